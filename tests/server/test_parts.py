"""ISE servers, channels, silences, events and the node's own keys, over the API and with real ones at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.identity.making import CA, key_pem, pem
from tests.server.office import Office
from tests.simulators.ise import IseSimulator, session
from tests.simulators.receivers import Hook

USER, PASSWORD = "monitor", "s3cret-Pässword"


@pytest.fixture
def ise(office: Office, tmp_path: Path) -> Iterator[IseSimulator]:
    """A simulated ISE, which is not on record when the test ends."""
    made = IseSimulator(tmp_path, name="ise-1")
    made.add_user(USER, PASSWORD, "Super Admin")
    made.sessions = [session("alice", "00:11:22:33:44:55")]
    yield made
    made.close()
    for each in office.node.ise.all():
        office.node.ise.remove(each)


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Hook]:
    """A receiver of webhooks."""
    made = Hook(tmp_path / "hook")
    yield made
    made.close()


def journalled(office: Office, action: str) -> dict[str, Any]:
    """Give the last record of an action."""
    found = [each for each in office.node.store.records() if each.action == action]
    return found[-1].document()


def test_an_ise_server_is_tested_before_it_is_added(office: Office, ise: IseSimulator) -> None:
    """With its certificate first; one that is not the expected one is told as another host's failure, and none is added."""
    wish = {"server": f"{ise.host}:{ise.port}", "user": USER, "password": PASSWORD}
    refused = office.send("addIseServer", None, {**wish, "expect": "00" * 32}, expect=502).json()
    assert refused["code"].startswith("TROTH-3")
    assert office.call("listIseServers").json() == {"servers": []}
    refused = office.send("addIseServer", None, {**wish, "password": "wrong"}, expect=502).json()
    assert refused["code"] == "TROTH-541"
    added = office.call("addIseServer", **wish)
    assert (added.json()["role"], added.json()["state"]) == ("primary", "reachable")
    assert PASSWORD not in added.text + office.call("listIseServers").text
    record = journalled(office, "ise-add")
    assert (record["actor"], record["origin"][:4]) == ("administrator", "api@")
    assert PASSWORD not in str(record)


def test_a_changed_ise_server_is_told_where_it_is_asked(office: Office, ise: IseSimulator) -> None:
    """A test of a server whose certificate changed is 502, in the words of a rejection; the server's state says so too."""
    place = {"server": f"{ise.host}:{ise.port}"}
    office.call("addIseServer", **place, user=USER, password=PASSWORD)
    assert office.call("testIseServer", {"server": "primary"}, by="operator").json()["state"] == "reachable"
    new = ise.new_certificate()
    told = office.call("testIseServer", {"server": "primary"}, by="operator", expect=502).json()
    assert (told["code"], told["status"]) == ("TROTH-301", 502)
    assert str(new.fingerprint) in told["why"]
    assert office.call("listIseServers").json()["servers"][0]["state"] == "certificate-changed"
    office.send("replace", {"endpoint": place["server"]}, {"expect": str(new.fingerprint)})
    changed = office.call("changeIseServer", place, user=USER, password=PASSWORD, timeout_s=20.0).json()
    assert changed["state"] == "reachable"
    assert office.call("removeIseServer", place).json() == {"removed": place["server"], "primary": None}
    office.call("testIseServer", place, expect=404)


def test_a_channel_is_set_tested_and_removed(office: Office, hook: Hook) -> None:
    """Its secret is shown once; the receiver's certificate is learned, and another one is refused and told nothing."""
    made = office.call("setChannel", {"name": "hook"}, kind="webhook", place=hook.url).json()
    assert len(made["secret"]) == 64
    assert made["secret"] not in office.call("listChannels").text
    assert (
        office.call("setChannel", {"name": "hook"}, kind="webhook", place=hook.url, least="warning").json()["secret"]
        is None
    )
    office.call("testChannel", {"name": "hook"})
    assert len(hook.calls) == 1
    hook.swap()
    assert office.call("testChannel", {"name": "hook"}, expect=502).json()["code"] == "TROTH-301"
    assert len(hook.calls) == 1
    record = journalled(office, "channel-set")
    assert (record["actor"], record["subject"], record["detail"]["to"]) == ("administrator", "hook", hook.url)
    assert made["secret"] not in str(record)
    office.call("removeChannel", {"name": "hook"})
    assert journalled(office, "channel-remove")["subject"] == "hook"
    office.call("removeChannel", {"name": "hook"}, expect=404)
    office.call("setChannel", {"name": "NO"}, kind="webhook", place=hook.url, expect=422)
    office.call("setChannel", {"name": "mail"}, kind="smtp", place="mail.example.com", security="plain", expect=422)


def test_a_silence_has_an_end_and_a_reason(office: Office) -> None:
    """It is set, listed, an event of its own, and taken back; one that hides everything is not set."""
    until = (datetime.now(UTC) + timedelta(hours=8)).isoformat()
    made = office.call("addSilence", by="operator", pattern="*.lab.example.com", until=until, why="tonight").json()
    assert (made["who"], made["in_force"]) == ("operator", True)
    assert made in office.call("listSilences").json()["silences"]
    office.call("addSilence", until=until, why="everything", expect=422)
    office.call("addSilence", until=until[:19], why="no zone", kind="changed", expect=400)
    ended = office.call("endSilence", {"number": str(made["id"])}).json()
    assert ended["in_force"] is False
    office.call("endSilence", {"number": str(made["id"])}, expect=404)
    events = office.call("listEvents", query={"kind": "silenced"}).json()["events"]
    assert [each["kind"] for each in events[:2]] == ["silenced"] * 2
    assert (
        office.call("listEvents", query={"kind": "silenced", "before": events[0]["id"], "limit": 1}).json()["events"]
        == events[1:2]
    )
    assert journalled(office, "silence")["actor"] == "operator"


def test_keys_go_from_request_to_activation(office: Office) -> None:
    """A CA's answer is looked at, imported and put in force; a private key is in no answer, and each step is journalled."""
    asked = office.call("requestCertificate", cn="node.example.com", o="Example Systems", c="US").json()
    assert asked["generation"]["role"] == "pending"
    root = CA("Root")
    answer = root.sign(asked["request"].encode())
    certificates = (answer + pem(root.certificate)).decode()
    alone = office.call("importCertificate", certificates=answer.decode(), dry_run=True).json()
    assert alone["fits"] is False
    unfit = office.call("importCertificate", certificates=answer.decode(), expect=422).json()
    assert (unfit["code"], {each["code"] for each in unfit["findings"]}) == (
        "TROTH-222",
        {each["code"] for each in alone["findings"]},
    )
    taken = office.call("importCertificate", certificates=certificates).json()
    assert (taken["fits"], taken["generation"]["role"]) == (True, "next")
    dry = office.call("activateCertificate", dry_run=True).json()
    assert (dry["activated"], dry["generation"]) == (False, taken["generation"])
    done = office.call("activateCertificate")
    assert done.json()["activated"] is True
    shown = office.call("listKeys")
    assert (
        shown.json()["generations"][0]["certificate"]["fingerprint"] == dry["generation"]["certificate"]["fingerprint"]
    )
    assert "PRIVATE KEY" not in shown.text + done.text
    assert office.call("activateCertificate", expect=409).json()["code"] == "TROTH-223"
    for action in ("key-request", "key-import", "key-activate"):
        assert journalled(office, action)["actor"] == "administrator"


def test_a_key_that_was_made_elsewhere_is_imported(office: Office) -> None:
    """With its passphrase, which is in no answer and no journal."""
    root = CA("Root")
    made = CA("node.example.com", root, is_ca=False)
    key = key_pem(made.key, b"open sesame").decode()
    body = {"certificates": (pem(made.certificate) + pem(root.certificate)).decode(), "key": key, "dry_run": True}
    assert office.send("importCertificate", None, body, expect=422).json()["code"] in ("TROTH-220", "TROTH-221")
    found = office.send("importCertificate", None, {**body, "passphrase": "open sesame"})
    assert "sesame" not in found.text


def test_a_node_that_does_not_run_has_no_status(office: Office) -> None:
    """The application asks the process around it; here there is none."""
    answer = office.call("status", expect=503).json()
    assert set(answer) == {"type", "title", "status", "code", "instance"}
