"""One rejection, one text: what happened, why, and the next command, for the exception, the log and the command alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model.entry import Entry, Pin, PinKind, PinState
from troth.trust.verdict import ChainFault, ChangeClass, Decision, Verdict
from troth.trust.weakness import weaknesses

if TYPE_CHECKING:
    from datetime import datetime

_SHOWN_NAMES = 10
KEY_FINGERPRINT = "openssl x509 -in FILE -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256"

CLASSES: dict[ChangeClass, str] = {
    ChangeClass.NOT_EXPECTED: "It is not the certificate whose fingerprint was expected.",
    ChangeClass.OTHER_HOST_KEY: "Its key belongs to another known host: a mix-up of addresses, a cloned host, or a shared key.",
    ChangeClass.RETIRED_RETURNED: "It is an earlier certificate of this host that was replaced since: restored from a backup, or replayed.",
    ChangeClass.WEAK_KEY: "Its key is weak, so anybody may hold it.",
    ChangeClass.SAME_KEY: "The key is the same: a renewal that kept its key looks like this.",
    ChangeClass.CA_DOWNGRADED: "The one on record was issued by a CA, this one was not.",
    ChangeClass.SAME_ISSUER: "Both name the same issuer: a renewal with a new key looks like this; but a name proves nothing.",
    ChangeClass.SELF_SIGNED_REPLACED: "Both are self-signed: a new CSR or a redeployed host looks like this, and so does an impostor.",
    ChangeClass.DIFFERENT_ISSUER: "Another issuer signed it.",
    ChangeClass.WRONG_NAME: "It is for another name than this host's: another host's certificate, or the wrong server name.",
    ChangeClass.OUTSIDE_DATES: "Now is outside its dates, or those of its CA, so the CA on record does not vouch for it.",
    ChangeClass.UNKNOWN: "Of the one on record nothing but the fingerprint is known, so what differs cannot be said.",
}

# How a chain that is not valid is said, for each kind of failure: they have different remedies.
_CHAIN: dict[ChainFault, str] = {
    ChainFault.UNTRUSTED: "{at} presented a certificate that no trusted CA vouches for",
    ChainFault.NAME: "{at} presented a certificate for another name",
    ChainFault.DATES: "{at} presented a certificate whose chain is outside its dates",
    ChainFault.REVOKED: "{at} presented a certificate that its CA has revoked",
    ChainFault.UNANSWERED: "{at} presented a certificate of which it cannot be told whether its CA has revoked it",
}

_WHAT: dict[Verdict, str] = {
    Verdict.CHANGED: "{at} presented another certificate than the one on record",
    Verdict.REVOKED: "{at} presented a certificate or key that was revoked here",
    Verdict.UNAPPROVED: "{at} is waiting for approval",
    Verdict.EXPIRED: "{at} presented the right certificate, outside its dates",
    Verdict.INVALID_CHAIN: "{at} presented a certificate that no trusted CA vouches for",
    Verdict.MATCH: "{at} presented the certificate on record",
    Verdict.FIRST_USE: "{at} is new; its certificate is now on record",
    Verdict.RENEWED: "{at} presented a renewed certificate",
    Verdict.PROMOTED: "{at} presented the certificate that was announced",
    Verdict.UNCHECKED: "{at} was not checked",
}


_BY_CHAIN = frozenset({ChangeClass.CA_DOWNGRADED, ChangeClass.WRONG_NAME, ChangeClass.OUTSIDE_DATES})


def headline(decision: Decision) -> str:
    """Say what happened, in one sentence."""
    known = decision.entry is not None and decision.entry.recorded
    fault = _fault(decision) if decision.verdict is Verdict.INVALID_CHAIN else None
    return sentence(f"{decision.endpoint}", decision.verdict, decision.change, fault, known=known)


def sentence(at: str, verdict: Verdict, change: ChangeClass | None, fault: ChainFault | None, *, known: bool) -> str:
    """Say what happened, in one sentence, for those who have the decision's document alone.

    Args:
        at: The endpoint.
        verdict: The verdict.
        change: What the change looks like, where there is one.
        fault: What is wrong with the chain, where something is.
        known: Whether something was on record.
    """
    if verdict is Verdict.CHANGED and change is ChangeClass.NOT_EXPECTED:
        return f"{at} did not present the expected certificate."
    if verdict is Verdict.INVALID_CHAIN and fault is not None:
        return _CHAIN[fault].format(at=at) + "."
    if verdict is Verdict.EXPIRED and not known:
        return f"{at} is new, and its certificate is outside its dates."
    return _WHAT[verdict].format(at=at) + "."


def reason(decision: Decision) -> str:
    """Say why, in one sentence."""
    chain = decision.facts.chain
    if decision.change in _BY_CHAIN and chain is not None and not chain.valid:
        return f"The CA on record does not vouch for it: {chain.reason or 'the chain is not valid'}."
    if decision.verdict is Verdict.CHANGED and decision.change is not None:
        return CLASSES[decision.change]
    return decision.why[:1].upper() + decision.why[1:] + "."


def pinned_fingerprints(entry: Entry | None) -> tuple[str, ...]:
    """Give what is on record as current, as text with its kind where that is not a certificate.

    Where nothing is current, what was trusted or is announced is given, with its state.
    """
    if entry is None:
        return ()
    if entry.current:
        return tuple(_pin_text(pin) for pin in entry.current)
    others = entry.having(PinState.NEXT, PinState.REVOKED, PinState.RETIRED)
    if not others and entry.presented is not None:
        return (f"{entry.presented} (trusted for its chain)",)
    return tuple(_pin_text(pin) for pin in others)


def _pin_text(pin: Pin) -> str:
    words = [pin.kind.value] if pin.kind is not PinKind.CERTIFICATE else []
    words += [pin.state.value] if pin.state is not PinState.CURRENT else []
    return f"{pin.fingerprint} ({', '.join(words)})" if words else str(pin.fingerprint)


def next_command(decision: Decision) -> str:
    """Give the command that comes next; empty if there is nothing to do."""
    target, verdict = name_of(decision), decision.verdict
    replaced = f"troth replace {target}{_server_name(decision)} --expect FINGERPRINT"
    if verdict is Verdict.CHANGED:
        if decision.change is ChangeClass.NOT_EXPECTED:
            stranger = decision.entry is None or not decision.entry.recorded
            checked = f"troth check {target}{_server_name(decision)} --expect FINGERPRINT"
            return checked if stranger else f"troth show {target}"
        if decision.change is ChangeClass.SAME_KEY and decision.policy.pin is not PinKind.KEY:
            return f"{replaced}; or, to accept every certificate with this key: troth policy set {target} --pin key"
        return replaced
    if verdict is Verdict.UNAPPROVED:
        return f"troth approve {target} --expect FINGERPRINT"
    if verdict is Verdict.EXPIRED:
        return (
            f"troth check {target}{_server_name(decision)}, once the host has a certificate that is in date;"
            f" or, if its date does not matter: troth policy set {target} --expired accept"
        )
    if verdict is Verdict.REVOKED:
        return f"{replaced}, once the host has a new key"
    return _next_for_chain(decision, target) if verdict is Verdict.INVALID_CHAIN else ""


def _next_for_chain(decision: Decision, target: str) -> str:
    domain = decision.domain or "DOMAIN"
    again = f"troth check {target}{_server_name(decision)}"
    fault = _fault(decision)
    if fault is ChainFault.NAME:
        return f"troth check {target} --server-name NAME, with the name that you know the host by and that it has"
    if fault is ChainFault.DATES:
        return f"{again}, once the host has a certificate, and a chain, that is in date"
    if fault is ChainFault.REVOKED:
        return f"{again}, once the host has a new certificate"
    if fault is ChainFault.UNANSWERED:
        return (
            f"{again}, once its CA's responder can be reached from here;"
            f" or, if it never can: troth policy set {domain} --revocation prefer"
        )
    return (
        "ncs certvalidation trusted-ca-store importcacert alias ALIAS repository defaultRepo FILE truststore"
        f" {domain}, to trust its CA;"
        f" or troth policy set {target} trust-on-first-use, to hold on to the host without one"
    )


def _fault(decision: Decision) -> ChainFault:
    chain = decision.facts.chain
    return (chain.fault if chain else None) or ChainFault.UNTRUSTED


def chain_fault(decision: Decision) -> str | None:
    """Give the kind of a chain's failure, as a stable word; None where no chain failed."""
    chain = decision.facts.chain
    return None if chain is None or chain.valid else _fault(decision).value


def advice(decision: Decision) -> str:
    """Say what a person does before the next command; empty if there is nothing to do."""
    if decision.verdict in (Verdict.CHANGED, Verdict.UNAPPROVED) and decision.change is not ChangeClass.NOT_EXPECTED:
        asked = (
            "Ask the host's administrator for its fingerprint, or read it on the host's own console; never take it"
            " from this message. Then give it as FINGERPRINT."
        )
        if decision.policy.pin is PinKind.KEY:
            asked += f" (That of its key will do: {KEY_FINGERPRINT})"
        if decision.verdict is Verdict.CHANGED:
            asked += f" (For one more member of a cluster: troth pin {name_of(decision)} --expect FINGERPRINT)"
        return asked
    return ""


def warnings(decision: Decision) -> tuple[str, ...]:
    """Say what is wrong with a certificate whatever the verdict: dates that now is outside of, weak keys."""
    weak = decision.facts.weaknesses or tuple(each.text for each in weaknesses(decision.presented.leaf))
    return ((decision.outside,) if decision.outside else ()) + weak


def lines(decision: Decision) -> list[tuple[str, str]]:
    """Give the facts of a decision as (label, text), for whoever has to judge."""
    leaf, entry, facts = decision.presented.leaf, decision.entry, decision.facts
    found = [("presented", str(leaf.fingerprint)), ("  its key", f"{leaf.spki} ({leaf.key})")]
    found += [("on record", text) for text in pinned_fingerprints(entry)]
    if facts.old is not None and decision.verdict is Verdict.CHANGED:
        found.append(("  its key", f"{facts.old.spki} ({facts.old.key})"))
    if facts.expect is not None:
        found.append(("expected", str(facts.expect)))
    if entry is not None:
        found.append(("first seen", moment(first_seen(entry))))
        found.append(("last seen", moment(entry.last_seen)))
    found.append(("subject", leaf.subject or "(empty)"))
    found.append(("issuer", "itself" if leaf.self_issued else leaf.issuer))
    found.append(("names", ", ".join(leaf.san[:_SHOWN_NAMES]) or "(none)"))
    found.append(("valid", f"{moment(leaf.not_before)} to {moment(leaf.not_after)}"))
    if decision.outside:
        found.append(("dates", decision.outside))
    if facts.holders:
        found.append(("also at", ", ".join(str(each) for each in facts.holders)))
    found += [("weak", text) for text in facts.weaknesses]
    return found


def log_line(decision: Decision) -> str:
    """Give a rejection as one log line: the incumbent's words, which administrators search for, and what they lacked."""
    leaf, entry = decision.presented.leaf, decision.entry
    pinned = " ".join(pinned_fingerprints(entry)) or "none"
    return (
        "TOFU failed. Check local trust Trust-on-first-use is configure for this connection."
        " Current certificate of the remote host is different from what was used earlier"
        f" - {leaf.subject_java}"
        f" | host={decision.endpoint.host} port={decision.endpoint.port} verdict={decision.verdict}"
        f" class={decision.change or 'none'} presented={leaf.fingerprint} pinned={pinned}"
        f" first_seen={moment(first_seen(entry)) if entry else 'never'}"
        f" next={next_command(decision)!r}"
    )


def _server_name(decision: Decision) -> str:
    """Give the option for the server name that was sent, where a command would not know it by itself."""
    name = decision.presented.server_name
    known = decision.entry is not None and decision.entry.server_name == name
    return f" --server-name {name}" if name and not known else ""


def name_of(decision: Decision) -> str:
    """Name the endpoint as commands take it."""
    endpoint = decision.endpoint
    return str(endpoint) if endpoint.protocol == "tls" else f"{endpoint} --starttls {endpoint.protocol}"


def first_seen(entry: Entry) -> datetime | None:
    """Give when the host first presented what is current."""
    seen = [pin.first_seen for pin in entry.having(PinState.CURRENT) if pin.first_seen is not None]
    return min(seen) if seen else None


def moment(value: datetime | None) -> str:
    """Give a time as RFC 3339 in UTC, to the second."""
    return value.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if value else "unknown"
