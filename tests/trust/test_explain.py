"""What is said about a decision: complete, true, ready to be pasted, and never the way in for what a certificate says."""

from __future__ import annotations

import itertools
import json
import logging
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attacks.making import der, make, rsa_key
from tests.model.making import certificate, common_name, extension, name, simple, tlv
from troth import errors
from troth.cli.main import COMMANDS
from troth.cli.ncs import GRAMMAR
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, EntryState, Evidence, Expiry, Pin, PinKind, PinState, Policy
from troth.model.fingerprint import Fingerprint
from troth.trust import explain
from troth.trust.decide import decide
from troth.trust.rejection import document, rejection, require_trusted
from troth.trust.verdict import ChainOutcome, ChangeClass, Decision, Facts, Presented, Verdict

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
WHERE = Endpoint("ise.example.com", 443)
OLD, NEW = (CertificateView.from_der(simple(each)) for each in ("old", "new"))
WORDS = (
    "TOFU failed. Check local trust Trust-on-first-use is configure for this connection."
    " Current certificate of the remote host is different from what was used earlier - "
)


def pin(held: CertificateView, *, kind: PinKind = PinKind.CERTIFICATE, state: PinState = PinState.CURRENT) -> Pin:
    """Make a pin."""
    return Pin(
        kind=kind,
        fingerprint=held.fingerprint if kind is PinKind.CERTIFICATE else held.spki,
        state=state,
        evidence=Evidence.FIRST_USE,
        added_at=NOW - timedelta(days=9),
        certificate=held.fingerprint,
        first_seen=NOW - timedelta(days=8),
    )


def entry(*pins: Pin, state: EntryState = EntryState.ACTIVE, where: Endpoint = WHERE) -> Entry:
    """Make an entry."""
    return Entry(endpoint=where, pins=pins, state=state, created_at=NOW - timedelta(days=9), presented=OLD.fingerprint)


def judged(
    leaf: CertificateView = NEW,
    record: Entry | None = None,
    *,
    where: Endpoint = WHERE,
    policy: Policy = Policy(),  # noqa: B008  # frozen
    **facts: object,
) -> Decision:
    """Decide, as the store does."""
    return decide(where, Presented(leaf=leaf), record, policy, NOW, Facts(**facts))  # type: ignore[arg-type]  # handed on


def changed(leaf: CertificateView = NEW, **facts: object) -> Decision:
    """Give the decision of a changed certificate."""
    return judged(leaf, entry(pin(OLD)), **{"old": OLD, **facts})


DECISIONS: dict[str, Decision] = {
    "changed": changed(),
    "changed, retired": judged(NEW, entry(pin(OLD), pin(NEW, state=PinState.RETIRED)), old=OLD),
    "changed, weak": changed(weaknesses=("its RSA key has 512 bits",)),
    "changed, other host's": changed(holders=(Endpoint("other.example", 8082),)),
    "changed, expected": judged(OLD, entry(pin(OLD)), expect=Fingerprint(bytes(32))),
    "changed, neither": changed(expect=Fingerprint(bytes(32))),
    "changed, ca": changed(chain=ChainOutcome(valid=False, reason="it ends in an unknown CA")),
    "revoked": changed(revoked=True),
    "unapproved": judged(policy=Policy(mode=CheckMode.STRICT)),
    "deleted": judged(OLD, entry(pin(OLD, state=PinState.RETIRED), state=EntryState.DELETED)),
    "expired": judged(
        CertificateView.from_der(simple("gone", days=-1)),
        entry(pin(CertificateView.from_der(simple("gone", days=-1)))),
        policy=Policy(expired=Expiry.REJECT),
    ),
    "invalid chain": judged(policy=Policy(mode=CheckMode.CA), chain=ChainOutcome(valid=False, reason="self-signed")),
    "no chain": judged(policy=Policy(mode=CheckMode.CA)),
    "match": judged(OLD, entry(pin(OLD))),
    "first use": judged(),
    "renewed": judged(
        replace(NEW, spki=OLD.spki), entry(pin(OLD, kind=PinKind.KEY)), policy=Policy(pin=PinKind.KEY), old=OLD
    ),
    "promoted": judged(NEW, entry(pin(OLD), pin(NEW, state=PinState.NEXT))),
    "unchecked": judged(policy=Policy(mode=CheckMode.DISABLE)),
}


def test_every_verdict_is_met_here() -> None:
    """The cases below leave no verdict out."""
    assert {each.verdict for each in DECISIONS.values()} == set(Verdict)


@pytest.mark.parametrize("case", DECISIONS)
def test_every_decision_is_put_in_words(case: str) -> None:
    """A headline names the endpoint in one sentence, and a reason says why, whatever the decision."""
    decision = DECISIONS[case]
    assert "ise.example.com:443" in explain.headline(decision)
    for text in (explain.headline(decision), explain.reason(decision)):
        assert text.endswith(".")
        assert not text.endswith("..")
        assert text.isprintable()
    assert explain.reason(decision)[:1].isupper()


def test_every_change_class_is_put_in_words() -> None:
    """No class of change is without its sentence."""
    assert set(explain.CLASSES) == set(ChangeClass)


@pytest.mark.parametrize("case", [name for name, decision in DECISIONS.items() if not decision.verdict.accepts])
def test_every_rejection_names_a_command_that_exists(case: str) -> None:
    """A rejection names the next command with the endpoint in it; what is to be compared is never filled in."""
    decision = DECISIONS[case]
    command = explain.next_command(decision)
    words = shlex.split(command.replace(",", " ").replace(";", " "))
    if words[0] == "ncs":
        assert any(pattern[:3] == tuple(words[1:4]) for pattern, _, _ in GRAMMAR)
    else:
        assert words[0] == "troth"
        assert words[1] in COMMANDS
    assert "ise.example.com:443" in words
    assert str(decision.presented.leaf.fingerprint) not in command, "threat 32: nobody pastes what the impostor showed"
    assert str(decision.presented.leaf.spki) not in command


@pytest.mark.parametrize("case", ["match", "first use", "promoted", "renewed", "unchecked"])
def test_an_accepted_certificate_asks_for_nothing(case: str) -> None:
    """Where there is nothing to do, no command and no advice is given."""
    assert explain.next_command(DECISIONS[case]) == ""
    assert explain.advice(DECISIONS[case]) == ""


def test_a_renewal_that_kept_its_key_names_the_policy_for_it() -> None:
    """The rejection of a renewal with the same key says so, and names the one command that accepts such renewals."""
    decision = changed(replace(NEW, spki=OLD.spki))
    assert decision.change is ChangeClass.SAME_KEY
    assert "The key is the same" in explain.reason(decision)
    first, second = explain.next_command(decision).split("; or, ")
    assert first == "troth replace ise.example.com:443 --expect FINGERPRINT", "comparing comes before loosening"
    assert second.endswith("troth policy set ise.example.com:443 --pin key")


def test_who_expects_another_fingerprint_is_told_so() -> None:
    """Not the expected certificate is told from not the one on record."""
    decision = DECISIONS["changed, expected"]
    assert explain.headline(decision) == "ise.example.com:443 did not present the expected certificate."
    assert ("expected", "sha256:" + "00" * 32) in explain.lines(decision)
    assert explain.advice(decision) == ""


@pytest.mark.parametrize("case", ["changed", "unapproved", "deleted"])
def test_the_advice_sends_people_to_the_host_itself(case: str) -> None:
    """Threat 32: the fingerprint comes from the host's own console, never from the message about it."""
    advice = explain.advice(DECISIONS[case])
    assert "never take it from this message" in advice


def test_a_starttls_protocol_is_part_of_every_command() -> None:
    """A command for an endpoint behind STARTTLS says which protocol."""
    mail = Endpoint("mail.example", 25, "smtp")
    decision = judged(NEW, entry(pin(OLD), where=mail), where=mail, old=OLD)
    assert explain.next_command(decision) == "troth replace mail.example:25 --starttls smtp --expect FINGERPRINT"


def test_an_ipv6_endpoint_is_pasted_with_its_brackets() -> None:
    """A command for an IPv6 endpoint can be pasted as it is."""
    where = Endpoint.parse("[2001:db8::1]:8082")
    decision = judged(NEW, entry(pin(OLD), where=where), where=where, old=OLD)
    assert "[2001:db8::1]:8082" in explain.next_command(decision)
    assert " host=2001:db8::1 port=8082 " in explain.log_line(decision)


def test_the_log_line_has_the_incumbents_words_and_what_they_lacked() -> None:
    """Administrators who search for the incumbent's words find host, port, class, both fingerprints, first seen and next command."""
    line = explain.log_line(DECISIONS["changed"])
    assert line.startswith(WORDS + "CN=new | ")
    for part in (
        "host=ise.example.com", "port=443", "verdict=changed", "class=self-signed-replaced", f"presented={NEW.fingerprint}",
        f"pinned={OLD.fingerprint}", "first_seen=2026-05-24T12:00:00Z", "next='troth replace ise.example.com:443 --expect FINGERPRINT'",
    ):  # fmt: skip
        assert part in line


def test_the_log_line_of_a_stranger_says_never() -> None:
    """Where nothing is on record, the line says so in words that a search finds."""
    line = explain.log_line(DECISIONS["unapproved"])
    assert "pinned=none" in line
    assert "first_seen=never" in line
    assert "class=none" in line


def test_lines_name_both_keys_and_where_else_the_key_is() -> None:
    """Whoever has to judge sees both fingerprints, both keys, the other holders and every weakness."""
    decision = changed(holders=(Endpoint("other.example", 8082),), weaknesses=("its key is weak", "it is old"))
    found = explain.lines(decision)
    assert ("presented", str(NEW.fingerprint)) in found
    assert ("on record", str(OLD.fingerprint)) in found
    assert [text for label, text in found if label == "  its key"] == [
        f"{NEW.spki} ({NEW.key})",
        f"{OLD.spki} ({OLD.key})",
    ]
    assert ("also at", "other.example:8082") in found
    assert [text for label, text in found if label == "weak"] == ["its key is weak", "it is old"]


def test_pins_of_another_kind_are_shown_with_their_kind() -> None:
    """A key pin is not mistaken for a certificate's fingerprint; retired and announced ones are not shown as current."""
    record = entry(
        pin(OLD), pin(OLD, kind=PinKind.KEY), pin(NEW, state=PinState.RETIRED), pin(NEW, state=PinState.NEXT)
    )
    assert explain.pinned_fingerprints(record) == (str(OLD.fingerprint), f"{OLD.spki} (key)")
    assert explain.pinned_fingerprints(None) == ()


def test_first_seen_is_the_earliest_of_what_is_current() -> None:
    """A retired pin's first day is not the first day of what is trusted now."""
    early, late = NOW - timedelta(days=5), NOW - timedelta(days=1)
    record = entry(
        replace(pin(OLD), first_seen=late),
        replace(pin(OLD, kind=PinKind.KEY), first_seen=early),
        replace(pin(NEW, state=PinState.RETIRED), first_seen=NOW - timedelta(days=99)),
    )
    assert explain.first_seen(record) == early
    assert explain.first_seen(entry()) is None
    assert explain.moment(None) == "unknown"


def test_a_moment_is_rfc_3339_whatever_the_year() -> None:
    """The year has four digits, also in a certificate that begins in the year 1."""
    assert explain.moment(datetime(1, 2, 3, tzinfo=UTC)) == "0001-02-03T00:00:00Z"


def test_a_match_tells_what_is_weak_and_that_its_key_is_the_same() -> None:
    """A match is not silent about a weak key or its dates, whether or not the store looked for weaknesses."""
    made, _ = make("weak", key=rsa_key(1024), days=(-1, 1))
    weak = CertificateView.from_der(der(made))
    told = document(judged(weak, entry(pin(weak))))
    warnings = told["warnings"]
    assert isinstance(warnings, list)
    assert "its RSA key has 1024 bits, fewer than 2048" in warnings
    assert any("valid" in each or "expired" in each for each in warnings)
    assert (told["verdict"], told["same_key"]) == ("match", True)


def test_after_a_revocation_the_keys_have_owners() -> None:
    """Where nothing is current any more, what was is named with its state; keys stand under whom they belong to."""
    record = entry(pin(OLD, state=PinState.REVOKED))
    found = explain.lines(judged(NEW, record, old=OLD))
    labels = [label for label, _ in found]
    assert labels[:4] == ["presented", "  its key", "on record", "  its key"]
    assert found[2] == ("on record", f"{OLD.fingerprint} (revoked)")
    assert explain.pinned_fingerprints(entry()) == (f"{OLD.fingerprint} (trusted for its chain)",)


# Threat 20

HOSTILE = [
    "a\0b",
    "a\nTOFU failed. | host=trusted.example port=443 verdict=match",
    "\r\n\r\n",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "\u202emoc.elpmaxe\u202c",
    "\u2066x\u2069",
    "a|b|c",
    "\u2028\u2029",
    "\ud800",
    "\ufeff\u200b\u200d",
    "x" * 4000,
    "<script>alert('x')</script>",
    "'\"`$(reboot);&",
    "\\x0a\\n%0a",
]


def hostile_view(text: str) -> CertificateView:
    """Make a certificate that says something hostile in every place that holds words."""
    raw = text.encode("utf-8", "surrogatepass")
    sans = [tlv(tag, raw) for tag in (0x81, 0x82, 0x86)] + [
        tlv(0xA4, common_name(text)),
        tlv(0xA0, raw),
        tlv(0x87, raw[:5]),
    ]
    subject = name(
        ("2.5.4.10", 0x0C, raw), ("2.5.4.3", 0x1E, text.encode("utf-16-be", "surrogatepass")), ("1.2.3.4", 0x14, raw)
    )
    return CertificateView.from_der(
        certificate(
            subject=subject,
            issuer=common_name(text + "!"),
            extensions=[extension("2.5.29.17", tlv(0x30, b"".join(sans)))],
        )
    )


def told(decision: Decision) -> list[str]:
    """Give every text that is made of a decision."""
    found = [
        explain.headline(decision),
        explain.reason(decision),
        explain.advice(decision),
        explain.next_command(decision),
    ]
    found += [explain.log_line(decision), *itertools.chain.from_iterable(explain.lines(decision))]
    found += [text for each in decision.diff for text in (each.field, each.old, each.new)]
    if not decision.verdict.accepts:
        error = rejection(decision)
        found += [str(error), error.what, error.why, error.next_command]
    return found


def texts(value: object) -> list[str]:
    """Give every text in a JSON document."""
    if isinstance(value, dict):
        return [*value, *itertools.chain.from_iterable(map(texts, value.values()))]
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(map(texts, value)))
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_reach_no_text_as_they_are(hostile: str) -> None:
    """Threat 20: every text about a decision is one printable line, whatever the two certificates say of themselves."""
    bad = hostile_view(hostile)
    for decision in (
        changed(bad),
        judged(NEW, entry(pin(bad)), old=bad),
        judged(bad, policy=Policy(mode=CheckMode.STRICT)),
        judged(bad),
    ):
        for text in told(decision):
            assert text.isprintable(), ascii(text[:200])
            text.encode("utf-8")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_forge_no_log_line(hostile: str) -> None:
    """Threat 20: a log line has one separator, which no subject can hold, and our fields stand after it, in our order."""
    line = explain.log_line(changed(hostile_view(hostile)))
    said, separator, fields = line.partition(" | ")
    assert separator
    assert "|" not in said + fields
    assert fields.startswith("host=ise.example.com port=443 verdict=changed class=")
    assert len(said) < 1300


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_reach_no_document_as_they_are(hostile: str) -> None:
    """Threat 20: texts in the JSON document are harmless before JSON escapes them, so also after it is decoded."""
    made = document(changed(hostile_view(hostile), chain=None))
    assert json.loads(json.dumps(made)) == made
    for text in texts(made):
        assert text.isprintable(), ascii(text[:200])
        assert "|" not in text
    problem = rejection(changed(hostile_view(hostile))).problem()
    for text in texts(problem):
        assert text.isprintable()


@settings(max_examples=150)
@given(st.text(st.characters(codec=None), max_size=60))
def test_no_words_reach_any_text_as_they_are(words: str) -> None:
    """Whatever Unicode a certificate holds, what is told of it can be shown and logged."""
    decision = changed(hostile_view(words))
    for text in (*told(decision), *texts(document(decision))):
        assert text.isprintable()


@pytest.mark.parametrize("hostile", ["a\nb", "\x1b[2J", "\u202e", "a\0b"])
def test_the_logged_record_is_one_line(hostile: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the logger gets is one line in one record, with the incumbent's words, and the exception is the verdict's own."""
    with caplog.at_level(logging.WARNING, "troth.trust"), pytest.raises(errors.CertificateChanged) as caught:
        require_trusted(changed(hostile_view(hostile)))
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith(WORDS)
    assert message.isprintable()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [("changed", "CertificateChanged", 3), ("revoked", "CertificateRevoked", 3), ("unapproved", "AwaitingApproval", 4), ("deleted", "AwaitingApproval", 4),
     ("expired", "CertificateExpired", 3), ("invalid chain", "InvalidChain", 3), ("no chain", "InvalidChain", 3)],
)  # fmt: skip
def test_every_rejection_is_its_own_error(case: str, kind: str, code: int) -> None:
    """Each verdict that rejects has its exception and exit code, which say both fingerprints and carry the document."""
    decision = DECISIONS[case]
    with pytest.raises(errors.CertificateRejected) as caught:
        require_trusted(decision)
    error = caught.value
    assert (type(error).__name__, error.exit_code) == (kind, code)
    assert str(decision.presented.leaf.fingerprint) in error.why
    assert error.decision is decision
    assert error.details["result"] == document(decision)


def test_an_observed_rejection_is_logged_and_let_through(caplog: pytest.LogCaptureFixture) -> None:
    """In mode observe the change is reported with the same words, and the connection is trusted all the same."""
    decision = judged(NEW, entry(pin(OLD)), policy=Policy(mode=CheckMode.OBSERVE), old=OLD)
    with caplog.at_level(logging.WARNING, "troth.trust"):
        assert require_trusted(decision) is decision
    assert "verdict=changed" in caplog.text
