"""What programs are told, as JSON-able values: the same documents from the commands' `--json` and from the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from troth.errors.base import TrothError
    from troth.exchange import Imported
    from troth.identity.generations import Generation
    from troth.ise.models import Server
    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.entry import Entry, Pin, Policy
    from troth.model.fingerprint import Fingerprint
    from troth.notify.events import Filed
    from troth.notify.settings import Channels, Configured
    from troth.notify.silences import Silence
    from troth.store.audit import Audit
    from troth.store.authorities import Authority
    from troth.store.listing import Listed
    from troth.store.protocol import TrustStore
    from troth.trust.verdict import FieldDiff

Document = dict[str, object]


def listed(each: Listed, now: str) -> Document:
    """Give one line of a listing.

    Args:
        each: The line.
        now: The time, RFC 3339 in UTC.
    """
    return {
        "endpoint": each.endpoint,
        "key": each.key,
        "protocol": each.protocol,
        "domain": each.domain,
        "state": each.state,
        "waits": each.waits,
        "kind": each.kind or None,
        "fingerprint": each.fingerprint or None,
        "pins": each.pins,
        "subject": each.subject or None,
        "not_after": each.not_after,
        "expired": each.expired(now) if each.not_after else None,
        "last_seen": each.last_seen,
    }


def entry(
    found: Entry, policy: Policy, views: dict[Fingerprint, CertificateView], holders: dict[str, list[str]]
) -> Document:
    """Give everything about one entry.

    Args:
        found: The entry.
        policy: The policy in force there.
        views: The certificates that are kept of it.
        holders: Where else the keys of these are on record, by the key's fingerprint.
    """

    def pin(each: Pin) -> Document:
        view = views.get(each.certificate) if each.certificate else None
        return {
            "kind": each.kind.value,
            "fingerprint": str(each.fingerprint),
            "state": each.state.value,
            "evidence": each.evidence.value,
            "added_at": _time(each.added_at),
            "added_by": each.added_by,
            "first_seen": _time(each.first_seen),
            "last_seen": _time(each.last_seen),
            "certificate": certificate(view),
            "also_at": holders.get(str(view.spki), []) if view else [],
        }

    return {
        "endpoint": str(found.endpoint),
        "key": found.endpoint.key,
        "protocol": found.endpoint.protocol,
        "domain": found.domain,
        "state": found.state.value,
        "server_name": found.server_name or None,
        "policy": {"mode": policy.mode.value, "pin": policy.pin.value, "expired": policy.expired.value},
        "created_at": _time(found.created_at),
        "last_seen": _time(found.last_seen),
        "presented": str(found.presented) if found.presented else None,
        "rejected": str(found.rejected) if found.rejected else None,
        "rejected_at": _time(found.rejected_at),
        "rejected_certificate": certificate(rejected(found, views)),
        "rejected_diff": [{"field": each.field, "old": each.old, "new": each.new} for each in difference(found, views)],
        "pins": [pin(each) for each in found.pins],
    }


def certificate(view: CertificateView | None) -> Document | None:
    """Give what is in a certificate."""
    from troth.trust.diff import certificate_fields

    return {**certificate_fields(view), "san": list(view.san)} if view else None


def rejected(found: Entry, views: dict[Fingerprint, CertificateView]) -> CertificateView | None:
    """Give the certificate that was rejected last."""
    return views.get(found.rejected) if found.rejected else None


def difference(found: Entry, views: dict[Fingerprint, CertificateView]) -> tuple[FieldDiff, ...]:
    """Compare what was rejected last with what is on record, where both are known."""
    from troth.trust.diff import diff

    held = [found.presented, *(pin.certificate for pin in found.current if pin.kind.value != "issuer")]
    old = next((views[each] for each in held if each in views), None)
    new = rejected(found, views)
    return diff(old, new) if old is not None and new is not None else ()


def kept(store: TrustStore, found: Entry) -> tuple[dict[Fingerprint, CertificateView], dict[str, list[str]]]:
    """Read what an entry's document needs besides: the certificates, and where else their keys are on record."""
    wanted = [pin.certificate for pin in found.pins] + [found.presented, found.rejected]
    views = {fp: view for fp in wanted if fp is not None and (view := store.certificate(fp)) is not None}
    holders = {
        str(view.spki): [str(each) for each in store.holders(view.spki, but=found.endpoint)] for view in views.values()
    }
    return views, holders


def version(found: Entry) -> str:
    """Give a text that differs after every change of an entry's trust; sightings of what is trusted do not move it."""
    import hashlib

    from troth.store.journal import canonical, subject_of
    from troth.store.rows import trust_state

    text = canonical([subject_of(found.endpoint), trust_state(found)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def pem(found: Entry, views: dict[Fingerprint, CertificateView], *, rejected: bool = False) -> str:
    """Give an entry's current certificates, or the one that was presented last where none is.

    Args:
        found: The entry.
        views: The certificates that are kept of it.
        rejected: Give the one that was rejected last instead.

    Raises:
        NotFound: None was ever seen.
    """
    from troth.errors import NotFound

    if rejected:
        if found.rejected not in views:
            raise NotFound(f"Nothing was rejected at {found.endpoint} since it was last trusted.")
        return views[found.rejected].pem

    certificates = [views[pin.certificate] for pin in found.current if pin.certificate in views]
    if not certificates and found.presented in views:
        certificates = [views[found.presented]]
    if not certificates:
        raise NotFound(
            f"No certificate of {found.endpoint} was ever seen.", next_command=f"troth check {found.endpoint}"
        )
    return "".join(view.pem for view in certificates)


def changed(found: Entry) -> Document:
    """Give an entry as a change leaves it."""
    return {
        "endpoint": str(found.endpoint),
        "protocol": found.endpoint.protocol,
        "domain": found.domain,
        "state": found.state.value,
        "pins": [
            {
                "kind": pin.kind.value,
                "fingerprint": str(pin.fingerprint),
                "state": pin.state.value,
                "evidence": pin.evidence.value,
            }
            for pin in found.pins
        ],
    }


def unchecked(endpoint: Endpoint, error: TrothError) -> Document:
    """Give the result of a check that could not be made; one of `troth.check/1` as others are."""
    return {
        "endpoint": str(endpoint),
        "verdict": None,
        "trusted": False,
        "class": None,
        "presented": None,
        "pinned": [],
        "diff": [],
        "next_command": error.next_command or None,
        "error": error.problem(),
    }


def imported(done: Imported, *, format: str) -> Document:  # noqa: A002  # the document's word
    """Give what an import did."""
    return {
        "format": format,
        "added": done.added,
        "same": done.same,
        "hints": done.hints,
        "policies": [policy(name, each) for name, each in done.policies.items()],
        "revoked": done.revoked,
        "refused": done.refused,
        "warnings": list(done.warnings),
    }


def policies(store: TrustStore) -> list[Document]:
    """Give the policy of each domain, and what endpoints have of their own."""
    from troth.model.words import DOMAINS

    found: list[Document] = [policy(name, store.domain_policy(name)) for name in DOMAINS]
    for each in store.with_own_policy():
        own = each.override
        found.append({"of": str(each.endpoint), "mode": own.mode, "pin": own.pin, "expired": own.expired})
    return found


def policy(of: str, found: Policy) -> Document:
    """Give a policy, and what it is of."""
    return {"of": of, "mode": found.mode.value, "pin": found.pin.value, "expired": found.expired.value}


def revocation(fingerprint: Fingerprint, at: datetime, by: str, reason: str) -> Document:
    """Give something that is never trusted again."""
    return {"fingerprint": str(fingerprint), "revoked_at": _time(at), "revoked_by": by, "reason": reason}


def authority(each: Authority) -> Document:
    """Give a CA that a domain trusts."""
    from troth.trust.explain import moment

    return {
        "alias": each.alias,
        "fingerprint": str(each.view.fingerprint),
        "subject": each.view.subject,
        "not_after": moment(each.view.not_after),
        "added_at": _time(each.added_at),
        "added_by": each.added_by,
    }


def audited(done: Audit) -> Document:
    """Give what an audit found."""
    return {"intact": not done.faults, "records": done.records, "head": done.head, "faults": done.faults}


def ise_server(server: Server) -> Document:
    """Give an ISE server; there is no password in it."""
    state, findings = server.state, server.findings
    counts = findings.counts
    return {
        "role": server.role.value,
        "endpoint": str(server.endpoint),
        "user": server.user,
        "state": state.condition.value,
        "since": _time(state.since),
        "polled_at": _time(state.polled_at),
        "why": state.why or None,
        "next_step": state.next_step or None,
        "version": findings.version.version or None,
        "node_type": findings.version.node_type.value,
        "counts": {"active": counts.active, "posture": counts.posture, "profiler": counts.profiler},
        "found_at": _time(findings.at),
    }


def event(filed: Filed) -> Document:
    """Give an event that is on record."""
    from troth.notify.render import event_document

    return {
        "id": filed.id,
        **event_document(filed.event),
        "message": filed.message,
        "silenced_by": filed.silence,
    }


def silence(found: Silence, now: datetime) -> Document:
    """Give a silence."""
    return {
        "id": found.id,
        "pattern": found.pattern or None,
        "domain": found.domain or None,
        "kind": found.kind.value if found.kind else None,
        "why": found.why,
        "who": found.who,
        "since": _time(found.since),
        "until": _time(found.end),
        "in_force": found.in_force(now),
    }


def channel(channels: Channels, found: Configured) -> Document:
    """Give a channel, without its secret."""
    return {
        "name": found.name,
        "kind": found.kind.value,
        "destination": channels.destination(found),
        "settings": found.settings.document(),
        "has_secret": found.has_secret,
        "least": found.least.value,
        "enabled": found.enabled,
        "trouble": found.trouble or None,
        "changed_at": _time(found.changed_at),
        "changed_by": found.changed_by,
    }


def generation(each: Generation) -> Document:
    """Give a generation of the node's own keys; never a key."""
    from troth.trust.diff import certificate_fields

    view = each.certificate
    return {
        "number": each.number,
        "role": each.role.value,
        "origin": each.origin.value,
        "made_at": _time(each.made_at),
        "key": str(each.spki),
        "names": list(each.names),
        "requested": bool(each.request),
        "certificate": {**certificate_fields(view), "san": list(view.san)} if view else None,
        "chain": [str(link.fingerprint) for link in each.chain],
    }


def _time(moment: datetime | None) -> str | None:
    """Give a time as RFC 3339 in UTC, to the second."""
    from datetime import UTC

    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment is not None else None
