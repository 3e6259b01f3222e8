"""Trust over the API: found, checked, approved, replaced, announced, revoked, deleted; and who did it is on record."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.server.office import Office
from troth import documents, manage
from troth.demo.host import Host, _self_signed
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import PinKind
from troth.node.config import Probes
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.explain import moment
from troth.trust.rejection import document

ZERO = "sha256:" + "0" * 64


def at(host: Host) -> str:
    """Name a host's place."""
    return f"127.0.0.1:{host.port}"


def learn(office: Office, host: Host, **options: Any) -> dict[str, Any]:
    """Check a host, and give the result."""
    found: dict[str, Any] = office.call("check", hosts=[at(host)], **options).json()["results"][0]
    return found


def test_a_check_is_the_commands_own(office: Office, host: Host) -> None:
    """A first use, a match and a rejection: each result is what `troth check --json` says; a rejection is no failure."""
    first = learn(office, host, domain="devicemgmt")
    assert (first["verdict"], first["trusted"]) == ("first-use", True)
    assert first["presented"]["fingerprint"] == str(host.view.fingerprint)
    assert learn(office, host)["verdict"] == "match"
    new = host.new_certificate()
    rejected = learn(office, host)
    assert (rejected["verdict"], rejected["trusted"]) == ("changed", False)
    assert rejected["presented"]["fingerprint"] == str(new.fingerprint)
    assert rejected["next_command"].startswith("troth")
    decision = check_target(office.node.store, Target(endpoint=Endpoint("127.0.0.1", host.port)))
    assert json.loads(json.dumps(document(decision))) == rejected


def test_several_hosts_are_checked_at_once(office: Office, host: Host) -> None:
    """In the order in which they were given; what cannot be reached is a result with its error."""
    hosts = ["127.0.0.1:1", at(host), "no host at all", "127.0.0.1:1"]
    assert office.call("check", hosts=hosts, expect=422).json()["code"] == "TROTH-201"
    results = office.call("check", hosts=["127.0.0.1:1", at(host), "127.0.0.1:1"]).json()["results"]
    assert [each["verdict"] for each in results] == [None, "first-use", None]
    assert results[0]["error"]["code"] == "TROTH-501"
    office.call("check", hosts=["192.0.2.1"] * 21, expect=400)
    office.call("check", hosts=[at(host)], timeout_s=31, expect=400)


def test_the_node_is_no_port_scanner(office: Office, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default nothing on this machine and no metadata service is reached, by whatever name or spelling."""
    learn(office, host)
    monkeypatch.setattr(office.node, "config", msgspec.structs.replace(office.node.config, probes=Probes()))
    hosts = [
        at(host),
        f"localhost:{host.port}",
        f"[::ffff:127.0.0.1]:{host.port}",
        "169.254.169.254:80",
        "[fd00:ec2::254]:80",
        "0x7f.1:22",
        "0.0.0.0:22",
    ]
    results = office.call("check", hosts=hosts).json()["results"]
    assert {each["error"]["code"] for each in results} == {"TROTH-601"}
    assert replaced(office, host, ZERO, status=403).json()["code"] == "TROTH-601"


def replaced(office: Office, host: Host, fingerprint: object, *, status: int = 200, tag: str = "") -> Any:
    """Ask for a replacement."""
    return post(office, host, "replace", {"expect": str(fingerprint)}, status=status, tag=tag)


def post(office: Office, host: Host, name: str, body: dict[str, Any], *, status: int = 200, tag: str = "") -> Any:
    """Change an entry, as an operator does."""
    head = {"If-Match": tag} if tag else {}
    return office.send(name, {"endpoint": at(host)}, body, by="operator", expect=status, headers=head)


def test_a_replacement_looks_first(office: Office, host: Host) -> None:
    """What is presented must be what is expected: else another host's failure is told, in the words that it has everywhere."""
    learn(office, host)
    old, new = host.view, host.new_certificate()
    refused = replaced(office, host, old.fingerprint, status=502).json()
    assert (refused["code"], refused["status"]) == ("TROTH-301", 502)
    assert str(new.fingerprint) in refused["why"]
    assert refused["detail"] == f"{at(host)} did not present the expected certificate; nothing was changed."
    done = replaced(office, host, new.fingerprint).json()
    assert (done["old"], done["new"]) == ([str(old.fingerprint)], str(new.fingerprint))
    assert learn(office, host)["verdict"] == "match"
    assert replaced(office, host, new.fingerprint).json()["new"] == str(new.fingerprint)


def test_what_changed_meanwhile_is_not_changed(office: Office, host: Host) -> None:
    """The version moves with the trust and not with sightings; a call that means another one does nothing."""
    learn(office, host)
    seen = office.call("getEntry", {"endpoint": at(host)})
    tag = seen.headers["etag"]
    learn(office, host)
    assert office.call("getEntry", {"endpoint": at(host)}).headers["etag"] == tag
    announced = post(office, host, "announce", {"next": ZERO}, tag=tag)
    assert announced.headers["etag"] not in ("", tag)
    refused = post(office, host, "announce", {"next": "sha256:" + "1" * 64}, tag=tag, status=412).json()
    assert refused["code"] == "TROTH-634"
    for other in ("nonsense", '"' + "0" * 32 + '"', f"W/{tag}"):
        post(office, host, "revokeEntry", {}, tag=other, status=412)
    replaced(office, host, host.view.fingerprint, tag=tag, status=412)
    states = [each["state"] for each in office.call("getEntry", {"endpoint": at(host)}).json()["pins"]]
    assert states == ["current", "next"]
    replaced(office, host, host.view.fingerprint, tag=announced.headers["etag"])


def test_quarantine_and_approval(office: Office, host: Host) -> None:
    """What waits is approved by its fingerprint; another one is a conflict, and a replayed approval approves nothing more."""
    office.call("setEntryPolicy", {"endpoint": at(host)}, mode="strict")
    assert learn(office, host)["verdict"] == "unapproved"
    assert [each["endpoint"] for each in lines(office, state="quarantined")] == [at(host)]
    waits = office.call("getEntry", {"endpoint": at(host)}).headers["etag"]
    assert post(office, host, "approve", {"expect": ZERO}, status=409).json()["code"] == "TROTH-301"
    body = {"expect": str(host.view.fingerprint)}
    assert post(office, host, "approve", body, tag=waits).json()["state"] == "active"
    post(office, host, "approve", body, tag=waits, status=412)
    assert learn(office, host)["verdict"] == "match"
    new = host.new_certificate()
    assert learn(office, host)["trusted"] is False
    post(office, host, "approve", body, status=404)
    pem = office.call("getCertificate", {"endpoint": at(host)}, query={"rejected": "true"}).text
    assert CertificateView.from_pem(pem) == new
    office.call("deleteEntry", {"endpoint": at(host)})
    assert learn(office, host)["verdict"] == "unapproved"
    assert [each["endpoint"] for each in lines(office, waits="true")] == [at(host)]
    assert at(host) in [each["endpoint"] for each in lines(office)]


def test_deletion_and_revocation(office: Office, host: Host) -> None:
    """A tombstone is left, and names what may follow; what was revoked is never trusted again."""
    learn(office, host)
    place = {"endpoint": at(host)}
    office.call("deleteEntry", place, query={"next": str(host.view.fingerprint)})
    assert not lines(office, host="127.0.0.1", fingerprint=str(host.view.fingerprint))
    assert learn(office, host)["trusted"] is True
    assert post(office, host, "revokeEntry", {"reason": "lost"}).json()["endpoints"] == [at(host)]
    assert learn(office, host)["verdict"] == "revoked"
    assert replaced(office, host, host.view.fingerprint, status=422).json()["code"] == "TROTH-200"
    named = [each for each in office.call("listRevocations").json()["revocations"] if each["reason"] == "lost"]
    assert {each["revoked_by"] for each in named} == {"operator"}
    assert str(host.view.spki) in {each["fingerprint"] for each in named}


def lines(office: Office, **query: Any) -> list[Any]:
    """List entries."""
    found: list[Any] = office.call("listEntries", query=query).json()["entries"]
    return found


def test_a_list_is_given_page_by_page(office: Office) -> None:
    """Each entry once, in order, whatever the size of a page; domain, state, host, subject and fingerprint narrow it."""
    with office.node.store.transaction():
        for number in range(37):
            view = CertificateView.from_pem(_self_signed(f"paged-{number}")[0].decode())
            place = Endpoint(f"paged-{number:02}.example.com", 443 + number % 3)
            manage.pin(office.node.store, place, kind=PinKind.CERTIFICATE, view=view, domain="pubnet")
    whole = lines(office, domain="pubnet", limit=1000)
    assert len(whole) == 37
    for limit in (1, 10, 37):
        found, query = [], {"domain": "pubnet", "limit": limit}
        while True:
            page = office.call("listEntries", query=query).json()
            found += page["entries"]
            assert len(page["entries"]) <= limit
            if page["next"] is None:
                break
            query = {**query, "cursor": page["next"]}
        assert found == whole
    assert [each["endpoint"] for each in lines(office, host="Aged-07")] == ["paged-07.example.com:444"]
    assert len(lines(office, host="%aged")) == len(lines(office, host="paged_0")) == 0
    assert [each["endpoint"] for each in lines(office, subject="CN=PAGED-11,")] == ["paged-11.example.com:445"]
    one = whole[5]
    for text in (one["fingerprint"], one["fingerprint"].removeprefix("sha256:").upper()):
        assert lines(office, fingerprint=text) == [one]
    pem = office.call("getCertificate", {"endpoint": one["endpoint"]}).text
    view = CertificateView.from_pem(pem)
    assert lines(office, fingerprint=str(view.spki)) == [one]
    assert lines(office, domain="user") == lines(office, state="deleted", domain="pubnet") == []
    now = moment(office.node.store.now())
    plain = [documents.listed(each, now) for each in office.node.store.listing(domain="pubnet")]
    assert plain == whole
    assert office.call("listEntries", query={"cursor": "AAAA"}, expect=422).json()["code"] == "TROTH-200"


@pytest.mark.parametrize(
    "written", ["[2001:db8::7]:8443", "2001:db8::7", "[2001:DB8:0::7]:8443", "2001:db8::7_8443", "[2001:db8::7]"]
)
def test_an_endpoint_is_found_as_it_is_written(office: Office, written: str) -> None:
    """With brackets, without a port if there is just one, in any spelling that means the same."""
    office.send("pin", {"endpoint": "[2001:db8::7]:8443"}, {"expect": ZERO})
    assert office.call("getEntry", {"endpoint": written}).json()["endpoint"] == "[2001:db8::7]:8443"


def test_every_change_names_who_and_from_where(office: Office) -> None:
    """The journal has the caller's name and address, not the server's; and it is whole."""
    head = {"Authorization": f"Bearer {office.tokens['operator']}"}
    with office.browser("203.0.113.5") as client:
        done = client.post("/api/v1/entries/named.example.com/pins", json={"expect": ZERO}, headers=head)
        assert done.status_code == 200
    records = office.call("getHistory", {"endpoint": "named.example.com"}).json()["records"]
    assert [(each["action"], each["actor"], each["origin"]) for each in records] == [
        ("pin", "operator", "api@203.0.113.5")
    ]
    page = office.call("listJournal", query={"since": records[0]["seq"] - 1, "limit": 1}).json()
    assert page["records"] == records
    assert page["last"] >= records[0]["seq"]
    found = office.call("verifyJournal").json()
    assert (found["intact"], found["records"]) == (True, office.call("listJournal").json()["last"])


def test_policies_and_authorities(office: Office) -> None:
    """Set by domain and by endpoint; a CA is trusted under an alias, once."""
    set_ = office.call("setDomainPolicy", {"domain": "user"}, mode="strict", revocation="prefer").json()
    assert (set_["of"], set_["mode"], set_["pin"], set_["revocation"]) == ("user", "strict", "certificate", "prefer")
    moved = office.call("setEntryPolicy", {"endpoint": "own.example.com"}, pin="key", domain="user").json()
    assert (moved["mode"], moved["pin"], moved["domain"]) == ("strict", "key", "user")
    found = office.call("listPolicies").json()
    named = {each["of"]: each for each in found["policies"]}
    assert named["user"]["mode"] == "strict"
    assert (named["own.example.com:443"]["pin"], named["own.example.com:443"]["mode"]) == ("key", None)
    assert office.call("setEntryPolicy", {"endpoint": "own.example.com"}, reset=True).json()["pin"] == "certificate"
    assert office.call("setDomainPolicy", {"domain": "user"}, reset=True).json()["mode"] == "trust-on-first-use"
    office.call("setDomainPolicy", {"domain": "nowhere"}, expect=404)
    leaf = _self_signed("leaf")[0].decode()
    assert (
        office.call("addAuthority", {"domain": "user"}, alias="x", pem=leaf, expect=422).json()["code"] == "TROTH-200"
    )
    key = "-----BEGIN PRIVATE KEY-----"
    assert "private key" in office.call("addAuthority", {"domain": "user"}, alias="x", pem=key, expect=422).text
    office.call("changeAuthorities", {"domain": "user"}, follows_system=True)
    assert office.call("listAuthorities", {"domain": "user"}).json()["follows_system"] is True
    office.call("deleteAuthority", {"domain": "user", "alias": "x"}, expect=404)
    office.call("setResponders", custom=True, expect=422)
    office.call("setResponders", custom=True, url1="https://ocsp.example.com", expect=422)
    assert office.call("getResponders").json() == {"custom": False, "url1": "", "url2": ""}
    office.call("setResponders", custom=True, url1="http://ocsp.example.com")
    assert office.call("getResponders").json()["custom"] is True


@pytest.mark.parametrize(("name", "media"), [("toml", "application/toml"), ("json", "application/json")])
def test_what_is_exported_is_imported(office: Office, name: str, media: str) -> None:
    """The same text that the command writes; what is here already is the same, and nothing is overwritten."""
    text = office.call("exportTrust", query={"format": name})
    assert text.headers["content-type"].partition(";")[0] == media
    done = office.call("importTrust", text=text.text).json()
    assert (done["format"], done["added"], done["same"] > 0) == (name, [], True)
    assert office.call("importTrust", text="nothing of the kind", expect=422).json()["code"] == "TROTH-204"


def test_listcerts_is_exported(office: Office) -> None:
    """As the incumbent prints it."""
    answer = office.call("exportTrust", query={"format": "listcerts"})
    assert answer.headers["content-type"].startswith("text/plain")
