"""One rejection, one text: what happened, why, and the next command, for the exception, the log and the command alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model.entry import Entry, PinKind, PinState
from troth.trust.verdict import ChangeClass, Decision, Verdict

if TYPE_CHECKING:
    from datetime import datetime

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


def headline(decision: Decision) -> str:
    """Say what happened, in one sentence."""
    if decision.verdict is Verdict.CHANGED and decision.change is ChangeClass.NOT_EXPECTED:
        return f"{decision.endpoint} did not present the expected certificate."
    return _WHAT[decision.verdict].format(at=decision.endpoint) + "."


def reason(decision: Decision) -> str:
    """Say why, in one sentence."""
    chain = decision.facts.chain
    if decision.change is ChangeClass.CA_DOWNGRADED and chain is not None:
        return f"The CA on record does not vouch for it: {chain.reason or 'the chain is not valid'}."
    if decision.verdict is Verdict.CHANGED and decision.change is not None:
        return CLASSES[decision.change]
    return decision.why[:1].upper() + decision.why[1:] + "."


def pinned_fingerprints(entry: Entry | None) -> tuple[str, ...]:
    """Give what is on record as current, as text with its kind where that is not a certificate."""
    if entry is None:
        return ()
    return tuple(
        str(pin.fingerprint) if pin.kind is PinKind.CERTIFICATE else f"{pin.fingerprint} ({pin.kind})"
        for pin in entry.current
    )


def next_command(decision: Decision) -> str:
    """Give the command that comes next; empty if there is nothing to do."""
    target = name_of(decision)
    if decision.verdict is Verdict.CHANGED:
        if decision.change is ChangeClass.NOT_EXPECTED:
            return f"troth show {target}"
        if decision.change is ChangeClass.SAME_KEY and not _has_key_pin(decision):
            return f"troth policy set {target} --pin key"
        return f"troth replace {target} --expect FINGERPRINT"
    if decision.verdict is Verdict.UNAPPROVED:
        return f"troth approve {target} --expect FINGERPRINT"
    if decision.verdict is Verdict.EXPIRED:
        return f"troth policy set {target} --expired accept"
    if decision.verdict is Verdict.REVOKED:
        return f"troth replace {target} --expect FINGERPRINT, once the host has a new key"
    if decision.verdict is Verdict.INVALID_CHAIN:
        return (
            "ncs certvalidation trusted-ca-store importcacert, to trust its CA;"
            f" or troth policy set {target} trust-on-first-use, to hold on to the host without one"
        )
    return ""


def advice(decision: Decision) -> str:
    """Say what a person does before the next command; empty if there is nothing to do."""
    if decision.verdict in (Verdict.CHANGED, Verdict.UNAPPROVED) and decision.change is not ChangeClass.NOT_EXPECTED:
        asked = (
            "Ask the host's administrator for its fingerprint, or read it on the host's own console; never take it"
            " from this message. Then give it as FINGERPRINT."
        )
        if decision.verdict is Verdict.CHANGED:
            asked += f" (For one more member of a cluster: troth pin {name_of(decision)} --expect FINGERPRINT)"
        return asked
    return ""


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
    found.append(("valid", f"{moment(leaf.not_before)} to {moment(leaf.not_after)}"))
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


def _has_key_pin(decision: Decision) -> bool:
    return decision.policy.pin is PinKind.KEY
