"""What a person does to the record: each change gives the entry after for the entry before, or refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from troth.errors import BadInput, NotFound
from troth.model.entry import DEFAULT_DOMAIN, Entry, EntryState, Evidence, Override, Pin, PinKind, PinState

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint


def fresh(endpoint: Endpoint, now: datetime, *, domain: str = DEFAULT_DOMAIN) -> Entry:
    """Make the empty entry of an endpoint that nothing is known of."""
    return Entry(endpoint=endpoint, domain=domain, created_at=now)


def pin_of(
    view: CertificateView | None,
    fingerprint: Fingerprint,
    kind: PinKind,
    *,
    state: PinState = PinState.CURRENT,
    evidence: Evidence,
    now: datetime,
    actor: str,
) -> Pin:
    """Make a pin; `view` is the certificate that it is known from, if one is."""
    return Pin(
        kind=kind,
        fingerprint=fingerprint,
        state=state,
        evidence=evidence,
        added_at=now,
        added_by=actor,
        certificate=view.fingerprint if view else None,
    )


def held_by(view: CertificateView, kind: PinKind) -> Fingerprint:
    """Give what a pin of this kind holds of a certificate."""
    return view.fingerprint if kind is PinKind.CERTIFICATE else view.spki


def add_pin(entry: Entry, pin: Pin) -> Entry:
    """Trust one more thing at an endpoint: a member of a cluster, an RSA certificate beside an ECDSA one.

    What is current already stays as it is: when it was first seen, and on what grounds it is trusted.
    """
    _require_unrevoked(entry, pin.fingerprint)
    kept = tuple(old for old in entry.pins if old.state is not PinState.QUARANTINED)
    settled = replace(entry, pins=kept, state=EntryState.ACTIVE, rejected=None, rejected_at=None)
    return _again(settled, pin) or settled.with_pin(pin)


def swap(entry: Entry, pin: Pin) -> Entry:
    """Trust this in place of all that is current and announced; the old pins retire, and what is the same stays."""
    _require_unrevoked(entry, pin.fingerprint)
    retired = [
        replace(old, state=PinState.RETIRED)
        if old.state in (PinState.CURRENT, PinState.NEXT) and not (old.state is PinState.CURRENT and old.same_as(pin))
        else old
        for old in entry.pins
        if old.state is not PinState.QUARANTINED
    ]
    settled = replace(entry, pins=tuple(retired), state=EntryState.ACTIVE, rejected=None, rejected_at=None)
    return replace(_again(settled, pin) or settled.with_pin(pin), presented=pin.certificate)


def _again(entry: Entry, pin: Pin) -> Entry | None:
    """Give the entry in which a pin that is current already knows what is new of it; None if it is not current."""
    known = next((old for old in entry.current if old.same_as(pin)), None)
    if known is None:
        return None
    told = replace(known, certificate=pin.certificate or known.certificate, last_seen=pin.last_seen or known.last_seen)
    return replace(entry, pins=tuple(told if old is known else old for old in entry.pins))


def approve(
    entry: Entry, fingerprint: Fingerprint, view: CertificateView, kind: PinKind, now: datetime, actor: str
) -> Entry:
    """Release what waits in quarantine; the caller has compared `fingerprint` with `view`.

    Raises:
        NotFound: It is not what waits.
    """
    waiting = [pin for pin in entry.having(PinState.QUARANTINED) if pin.certificate == view.fingerprint]
    if not waiting:
        raise NotFound(f"{fingerprint} does not wait for approval at {entry.endpoint}.", next_command="troth list")
    pin = replace(
        pin_of(view, held_by(view, kind), kind, evidence=Evidence.APPROVED, now=now, actor=actor),
        first_seen=waiting[0].first_seen,
        last_seen=waiting[0].last_seen,
    )
    return replace(swap(entry, pin), last_seen=waiting[0].last_seen)


def announce(entry: Entry, pin: Pin) -> Entry:
    """Expect a next certificate or key; what is current stays trusted until it comes.

    Raises:
        BadInput: It is current already.
    """
    _require_unrevoked(entry, pin.fingerprint)
    if any(old.same_as(pin) for old in entry.current):
        raise BadInput(
            f"{pin.fingerprint} is already trusted at {entry.endpoint}.", next_command=f"troth show {entry.endpoint}"
        )
    return entry.with_pin(pin)


def withdraw(entry: Entry, fingerprint: Fingerprint) -> Entry:
    """Take an announcement back.

    Raises:
        NotFound: It was not announced.
    """
    kept = [pin for pin in entry.pins if not (pin.state is PinState.NEXT and pin.fingerprint == fingerprint)]
    if len(kept) == len(entry.pins):
        raise NotFound(
            f"{fingerprint} is not announced at {entry.endpoint}.", next_command=f"troth show {entry.endpoint}"
        )
    return replace(entry, pins=tuple(kept))


def delete(entry: Entry, successor: Pin | None) -> Entry:
    """Forget an endpoint, and leave a tombstone: only what the deletion names is trusted without approval.

    Raises:
        NotFound: It is deleted already.
        BadInput: What is to come after it was revoked.
    """
    if successor is not None:
        _require_unrevoked(entry, successor.fingerprint)
    if entry.state is EntryState.DELETED and successor is None:
        raise NotFound(f"{entry.endpoint} is deleted already.", next_command="troth list --all")
    retired = [
        replace(pin, state=PinState.RETIRED) if pin.state in (PinState.CURRENT, PinState.NEXT) else pin
        for pin in entry.pins
        if pin.state is not PinState.QUARANTINED
    ]
    gone = replace(
        entry, pins=tuple(retired), state=EntryState.DELETED, presented=None, rejected=None, rejected_at=None
    )
    return gone if successor is None else gone.with_pin(successor)


def override(entry: Entry, change: Override, certificates: dict[Fingerprint, CertificateView]) -> Entry:
    """Give an endpoint its own settings; a new kind of pin is taken from the certificates on record.

    Args:
        entry: The entry before.
        change: The settings to change; None leaves one as it is.
        certificates: The certificates on record, by fingerprint.
    """
    merged = Override(
        mode=change.mode or entry.override.mode,
        pin=change.pin or entry.override.pin,
        expired=change.expired or entry.override.expired,
    )
    changed = replace(entry, override=merged)
    if change.pin in (PinKind.KEY, PinKind.CERTIFICATE):
        for pin in entry.current:
            changed = _as_kind(changed, pin, change.pin, certificates)
    return changed


def _as_kind(entry: Entry, pin: Pin, kind: PinKind, certificates: dict[Fingerprint, CertificateView]) -> Entry:
    view = certificates.get(pin.certificate) if pin.certificate else None
    if pin.kind in (kind, PinKind.ISSUER):
        return entry
    if view is None:
        raise BadInput(
            f"The certificate behind {pin.fingerprint} was never seen, so its {kind} is not known.",
            next_command=f"troth check {entry.endpoint}",
        )
    same = replace(pin, kind=kind, fingerprint=held_by(view, kind))
    _require_unrevoked(entry, same.fingerprint)
    kept = [old for old in entry.pins if not old.same_as(pin)]
    return replace(entry, pins=tuple(kept)).with_pin(same)


def _require_unrevoked(entry: Entry, fingerprint: Fingerprint) -> None:
    if any(pin.fingerprint == fingerprint for pin in entry.having(PinState.REVOKED)):
        raise BadInput(
            f"{fingerprint} was revoked at {entry.endpoint}, and what was revoked is never trusted again.",
            next_command="give the host a new key",
        )
