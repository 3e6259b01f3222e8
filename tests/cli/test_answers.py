"""What the commands tell a person: nothing that is untrue, nothing that is hidden, and the next command that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.attacks.making import fresh, key_pem
from tests.cli.conftest import Command
from tests.cli.test_contract import OTHER, conforms
from tests.tls.authority import Authority, pem
from troth import manage
from troth.demo.host import Host
from troth.model.endpoint import Endpoint
from troth.model.entry import Override, PinKind
from troth.store import open_store


def lines(text: str) -> list[str]:
    """Give the lines of a table, each word set apart by one blank."""
    return [" ".join(line.split()) for line in text.splitlines()]


# policy


def test_a_misspelt_domain_is_not_taken_for_a_host(troth: Command) -> None:
    """A bare word that is nearly a domain, or no host on record, is refused with the right name; nothing is made."""
    for word in ("System", "sytem", "devicemgnt"):
        done = troth("policy", "set", word, "strict")
        assert done.code == 2
        assert "did you mean" in done.err
    done = troth("policy", "set", "foo", "strict")
    assert done.code == 2
    assert "foo:443" in done.err
    assert troth("list", "--json").document["entries"] == []
    done = troth("policy", "set", "foo:8443", "strict")
    assert done.out.startswith("set foo:8443 in system: strict".replace("set ", "set  ").replace(" in", "  in"))
    assert troth("policy", "set", "foo", "observe").out.startswith("set  foo:8443"), "it is known now"
    assert troth("policy", "show", "Sytem").code == 2


def test_an_endpoints_settings_are_shown_moved_and_removed(troth: Command) -> None:
    """`policy show X` shows X alone and what is in force there; `default` removes its own settings; --domain moves it."""
    troth("policy", "set", "h:1", "strict", "--expired", "reject", "--domain", "pubnet")
    troth("policy", "set", "pubnet", "--revocation", "prefer", "--pin", "key")
    found = conforms(troth("policy", "show", "h:1", "--json").document)
    assert [row["of"] for row in found["policies"]] == ["pubnet", "h:1"]  # type: ignore[attr-defined]
    assert found["in_force"] == {
        "of": "h:1",
        "mode": "strict",
        "pin": "key",
        "expired": "reject",
        "revocation": "prefer",
        "domain": "pubnet",
    }
    moved = conforms(troth("policy", "set", "h:1", "--domain", "user", "--json").document)
    assert (moved["domain"], moved["pin"], moved["mode"]) == ("user", "certificate", "strict")
    reset = conforms(troth("policy", "set", "h:1", "default", "--json").document)
    assert (reset["mode"], reset["expired"]) == ("trust-on-first-use", "accept")
    assert len(troth("policy", "show", "--json").document["policies"]) == 4
    assert len(troth("policy", "show", "pubnet", "--json").document["policies"]) == 1
    assert troth("policy", "show", "nobody:1").code == 1
    assert "prefer" in troth("policy", "show").out
    assert troth("policy", "set", "system", "--revocation", "off").out.endswith("revocation off\n")
    assert "own settings removed" in troth("history", "h:1").out


def test_a_policy_that_checks_nothing_is_said(troth: Command, where: str, host: Host) -> None:
    """Setting `disable` or `observe` warns, and so does every check that rests on it."""
    for mode in ("disable", "observe"):
        assert "everybody in the middle is trusted" in troth("policy", "set", "system", mode).err
    troth("check", where)
    host.new_certificate()
    assert "only observes" in troth("check", where).err
    troth("policy", "set", where, "disable")
    assert "nothing was checked" in troth("check", where).err
    assert "trusts no CA yet" in troth("policy", "set", "pubnet", "ca").err


def test_a_domain_that_is_not_the_hosts_own_is_said(troth: Command, where: str) -> None:
    """A host on record in another domain is checked as that, and the command that moves it is named."""
    troth("check", where, "--domain", "pubnet")
    told = troth("check", where, "--domain", "user").err
    assert f"troth policy set {where} --domain user" in told
    assert "policy set" not in troth("check", where).err
    assert f"troth policy set {where} --domain user" in troth("pin", where, "--expect", OTHER, "--domain", "user").err
    troth("policy", "set", where, "--domain", "user")
    assert troth("check", where, "--domain", "user").err == ""


# list


def test_a_pin_is_listed_with_its_own_certificate(troth: Command, where: str, host: Host) -> None:
    """A pin whose certificate was never seen has no subject and no date, and an entry without a pin no fingerprint."""
    troth("policy", "set", "unknown:1", "strict")
    troth("check", where)
    troth("pin", where, "--expect", OTHER)
    with open_store(troth.home / "trust.db") as store:
        entry = store.entry(Endpoint("127.0.0.1", host.port))
        assert entry
        first = [pin for pin in entry.pins if str(pin.fingerprint) == OTHER]
        store.change(entry.endpoint, "test", lambda now: (now or entry).with_pins(first))
    bare, mixed = sorted(
        conforms(troth("list", "--json").document)["entries"],  # type: ignore[arg-type, call-overload]
        key=lambda each: each["endpoint"] == where,
    )
    assert (bare["kind"], bare["fingerprint"], bare["pins"]) == (None, None, 0)
    assert (mixed["fingerprint"], mixed["subject"], mixed["not_after"], mixed["expired"]) == (OTHER, None, None, None)


def test_an_empty_domain_is_not_an_empty_store(troth: Command, where: str) -> None:
    """Where nothing is on record in a domain, the domain is named."""
    troth("check", where)
    assert "nothing is on record in pubnet" in troth("list", "--domain", "pubnet").err


def test_what_is_revoked_and_what_waits_is_listed(troth: Command, where: str, host: Host) -> None:
    """A revoked host is no active one; a deleted one that waits is visible, and why, and whether it is the old one."""
    troth("check", where)
    troth("delete", where)
    assert troth("list", "--json").document["entries"] == []
    assert "it is one that was on record before the deletion" in troth("check", where).err
    listed = conforms(troth("list", "--json").document)["entries"][0]  # type: ignore[index]
    assert (listed["state"], listed["waits"], listed["fingerprint"]) == ("deleted", True, str(host.view.fingerprint))
    assert "deleted, waits" in troth("list").out
    new = host.new_certificate()
    assert "NOT one that was on record" in troth("check", where).err
    troth("approve", where, "--expect", str(new.fingerprint))
    troth("revoke", where, "--reason", "stolen | \x1b[2J")
    assert troth("list", "--json").document["entries"][0]["state"] == "revoked"
    done = troth("list", "--revoked")
    assert done.out.count("stolen") == 2
    assert "\x1b" not in done.out
    revoked = conforms(troth("list", "--revoked", "--json").document)["revoked"]
    assert {each["fingerprint"] for each in revoked} == {str(new.fingerprint), str(new.spki)}  # type: ignore[attr-defined]
    told = troth("check", where).err
    assert f"on record   {new.fingerprint} (revoked)" in told
    assert "stolen" in told
    assert troth("list", "--hints").err.startswith("no hints")


def test_what_expired_is_said_everywhere(troth: Command, where: str, host: Host) -> None:
    """A certificate outside its dates is learned and met with a warning; a list marks it; a stranger's is no right one."""
    host.present(fresh("old", days=(-30, -1)))
    for _ in range(2):
        assert "it expired on" in troth("check", where).err
    match = troth("check", where, "--json").document["results"][0]
    assert match["warnings"][0].startswith("it expired on")
    assert "(expired)" in troth("list").out
    assert troth("list", "--json").document["entries"][0]["expired"] is True
    troth("policy", "set", "pubnet", "--expired", "reject")
    with open_store(troth.home / "trust.db") as store:
        manage.set_policy(store, Endpoint("localhost", host.port), Override(), domain="pubnet")
    told = troth("check", f"localhost:{host.port}", "--domain", "pubnet")
    assert told.code == 3
    assert "is new, and its certificate is outside its dates" in told.err
    assert "right certificate" not in told.err


# show and history


def test_what_was_rejected_can_be_looked_at(troth: Command, where: str, host: Host) -> None:
    """The rejected certificate's subject, what differs, and its PEM are shown; `aloud` reads the pin's fingerprint."""
    troth("policy", "set", "system", "--pin", "key")
    old = host.view
    troth("check", where)
    assert troth("show", where, "--pem", "--rejected").code == 1
    new = host.new_certificate()
    troth("check", where)
    shown = troth("show", where).out
    assert str(new.fingerprint) in shown
    assert f"+ {new.spki}" in shown
    assert old.spki.spoken in shown
    assert troth("show", where, "--pem", "--rejected").out == new.pem
    found = conforms(troth("show", where, "--json").document)
    assert found["rejected_certificate"]["fingerprint"] == str(new.fingerprint)  # type: ignore[index]
    assert {"field": "spki", "old": str(old.spki), "new": str(new.spki)} in found["rejected_diff"]  # type: ignore[operator]


def test_history_tells_each_rejection_once_and_every_reason(troth: Command, where: str, host: Host) -> None:
    """The first rejection of each certificate, one row for a revocation with its reason, and domains and fingerprints."""
    troth("check", where)
    first = host.material
    seen = []
    for _ in range(2):
        seen.append(host.new_certificate())
        for _ in range(2):
            troth("check", where)
    host.present(first)
    troth("check", where)
    troth("revoke", where, "--reason", "stolen")
    troth("policy", "set", where, "--expired", "reject")
    records = conforms(troth("history", where, "--json").document)["records"]
    assert [each["action"] for each in records] == ["first-use", "changed", "changed", "revoke", "policy"]  # type: ignore[attr-defined]
    assert [each["detail"]["presented"] for each in records[1:3]] == [str(view.fingerprint) for view in seen]  # type: ignore[index]
    assert "reason stolen" in troth("history", where).out
    assert "expired reject" in troth("history", where).out
    troth("policy", "set", "system", "strict", "--revocation", "off")
    told = conforms(troth("history", "system", "--json").document)
    assert [each["action"] for each in told["records"]] == ["policy", "setting"]  # type: ignore[attr-defined]
    assert "strict, pins certificate, expired accept" in troth("history", "system").out
    found = conforms(troth("history", str(host.view.fingerprint), "--json").document)["records"]
    assert {each["action"] for each in found} >= {"first-use", "revoke"}  # type: ignore[attr-defined]
    assert troth("history", OTHER).code == 1
    assert troth("journal", "verify").code == 0


def test_the_same_pin_again_changes_nothing(troth: Command, where: str, host: Host, tmp_path: Path) -> None:
    """Pinned or replaced again with the same certificate, the journal does not grow, and what was known stays known."""
    troth("check", where)
    before = troth("show", where, "--json").document["pins"]
    rows = len(troth("history", where, "--json").document["records"])
    (tmp_path / "host.crt").write_text(host.view.pem)
    fingerprint = str(host.view.fingerprint)
    for words in (
        ("pin", "--expect", fingerprint),
        ("pin", "--pem", str(tmp_path / "host.crt")),
        ("replace", "--expect", fingerprint),
    ):
        assert troth(words[0], where, *words[1:]).code == 0
    after = troth("show", where, "--json").document["pins"]
    assert [{**each, "last_seen": None} for each in after] == [{**each, "last_seen": None} for each in before]
    assert len(troth("history", where, "--json").document["records"]) == rows


# Fingerprints and server names


def test_the_fingerprint_of_the_key_will_do(troth: Command, where: str, host: Host) -> None:
    """A pin that was made from a fingerprint of unknown kind matches the certificate or its key, and is settled then."""
    troth("pin", where, "--expect", str(host.view.spki))
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "match"
    pins = troth("show", where, "--json").document["pins"]
    assert [(each["kind"], each["fingerprint"]) for each in pins] == [("certificate", str(host.view.fingerprint))]
    host.renew()
    assert troth("check", where).code == 3, "it is the certificate's pin, as the policy asks"


@pytest.mark.parametrize(
    "text",
    ["sha256:abcd", "AB:" * 15 + "AB", "sha1:" + "ab" * 20, "ab" * 20, "SHA1 Fingerprint=AB:CD", "0xabcdef", "FINGERPRINT",
     "ab:cd:ef:01:23:45:67:89:ab:cd"],
)  # fmt: skip
def test_a_damaged_fingerprint_is_not_taken_for_a_host(troth: Command, text: str) -> None:
    """What can only be a fingerprint is told to be a bad one."""
    done = troth("revoke", text)
    assert done.code == 2
    assert "is not a SHA-256 fingerprint" in done.err
    assert "IPv6" not in done.err


def test_a_placeholder_is_told_from_a_fingerprint(troth: Command) -> None:
    """Who pastes FINGERPRINT is told to replace the word; who wants a key's is told how to get it."""
    assert "put that in its place" in troth("pin", "h:1", "--expect", "FINGERPRINT").err
    assert "openssl pkey -pubin" in troth("pin", "h:1", "--kind", "key", "--expect", "sha256:12").err


def test_a_file_of_two_certificates_is_no_pin(troth: Command, host: Host, tmp_path: Path) -> None:
    """Of a chain it cannot be told which certificate is meant."""
    (tmp_path / "chain").write_text(host.view.pem * 2)
    done = troth("pin", "h:1", "--pem", str(tmp_path / "chain"))
    assert done.code == 2
    assert "holds 2 certificates" in done.err


def test_a_replacement_keeps_the_server_name_that_it_was_made_with(troth: Command, where: str, host: Host) -> None:
    """The next command carries the server name and the home, and after it a plain check asks for the same name."""
    troth("check", where)
    new = host.new_certificate()
    home = str(troth.home)
    done = troth("check", where, "--server-name", "ise.example.com", "--home", home, "--json")
    command = done.document["results"][0]["next_command"]
    assert command == f"troth replace --home {home} {where} --server-name ise.example.com --expect FINGERPRINT"
    assert troth(*command.replace("FINGERPRINT", str(new.fingerprint)).split()[1:]).code == 0
    assert troth("show", where, "--json").document["server_name"] == "ise.example.com"
    met = troth("check", where, "--json").document["results"][0]
    assert (met["verdict"], met["presented"]["server_name"]) == ("match", "ise.example.com")
    assert troth("replace", where, "--expect", str(new.fingerprint), "--server-name", "127.0.0.1").code == 0
    assert troth("show", where, "--json").document["server_name"] is None
    assert f"troth check --home {home} " in troth("show", "h:1", "--home", home).err


# Mode ca


def test_each_failure_of_a_chain_has_its_own_words(troth: Command, where: str, host: Host) -> None:
    """Untrusted, for another name, expired: each is told from the others, with its own next command."""
    ca = Authority("CA")
    (folder := troth.home / "repositories" / "defaultRepo").mkdir(parents=True)
    (folder / "ca.pem").write_bytes(pem(ca.certificate))
    troth("policy", "set", "system", "ca", "--revocation", "require")
    words = "certvalidation trusted-ca-store importcacert alias ca repository defaultRepo ca.pem truststore system"
    done = troth(*words.split(), program="ncs")
    assert done.code == 0, done.err

    def told(authority: Authority, san: str = "127.0.0.1", days: int = 10, ocsp_url: str = "") -> tuple[str, str]:
        leaf, key = authority.issue(san, days=days, ocsp_url=ocsp_url)
        host.present((pem(leaf), key_pem(key)))
        result = conforms(troth("check", where, "--json").document)["results"][0]  # type: ignore[index]
        return result["chain_fault"], result["next_command"]

    assert told(Authority("Other")) == ("untrusted-ca", told(Authority("Other"))[1])
    assert "truststore system" in told(Authority("Other"))[1]
    fault, command = told(ca, "127.0.0.9")
    assert (fault, "--server-name NAME" in command) == ("wrong-name", True)
    fault, command = told(ca, days=-1)
    assert (fault, "in date" in command) == ("outside-dates", True)
    fault, command = told(ca, ocsp_url="http://127.0.0.1:1/")
    assert (fault, "policy set system --revocation prefer" in command) == ("revocation-unknown", True)
    assert told(ca) == (None, None)


# import


def test_an_import_that_leaves_something_out_says_so(troth: Command, tmp_path: Path) -> None:
    """A line that is not taken over is refused, in the document and in the exit code; a repeated one is only told."""
    known, listed, doubled = (tmp_path / name for name in ("known_hosts", "list", "doubled"))
    known.write_text(f"|c0|*|443|0|6|{'ab' * 32}\n|c0|h.example|443|0|6|{'ab' * 32}\n")
    listed.write_text("host=a_443;  subject= /CN=a\n\nsomething else\n")
    doubled.write_text("host=b_443;  subject= /CN=b\nhost=b_443;  subject= /CN=b\n")
    for file, code, refused, warned in ((known, 1, 1, 0), (listed, 1, 1, 0), (doubled, 0, 0, 1)):
        done = troth("import", str(file), "--json")
        found = conforms(done.document)
        assert (done.code, len(found["refused"]), len(found["warnings"])) == (code, refused, warned)  # type: ignore[arg-type]
    hints = conforms(troth("list", "--hints", "--json").document)["hints"]
    assert [(each["endpoint"], each["subject"]) for each in hints] == [("a:443", "/CN=a"), ("b:443", "/CN=b")]  # type: ignore[attr-defined]
    policies = tmp_path / "policies.json"
    policies.write_text(json.dumps({"schema": "troth.trust/1", "policy": {"pubnet": {"mode": "ca"}}}))
    done = troth("import", str(policies))
    assert done.code == 0
    assert "pubnet is now ca" in done.out
    assert "trusts no CA here" in done.err
    assert "its CAs are no part of an export" in troth("export").err


def test_a_key_policy_says_how_to_get_the_fingerprint_of_a_key(troth: Command, where: str, host: Host) -> None:
    """Where keys are pinned, the advice names the command that prints a key's fingerprint."""
    troth("policy", "set", "system", "--pin", PinKind.KEY.value)
    troth("check", where)
    host.new_certificate()
    assert "openssl pkey -pubin" in troth("check", where).err
