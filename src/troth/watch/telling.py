"""From a notice to an event with its words: a rejection's are those of `troth.trust`, a failure's are its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from troth.errors import CertificateRejected, StoreUnusable, TrothError, Unreachable
from troth.notify.events import Cause, Event, Kind, Severity
from troth.notify.telling import certificate_cause, rejected_event
from troth.trust import explain
from troth.watch.transitions import Notice, Outcome, Seen

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.trust.verdict import Decision

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one probe found: a decision, or what went wrong.

    Args:
        endpoint: Where.
        domain: The endpoint's domain.
        at: When, aware.
        decision: The decision; None if there was none.
        error: What went wrong; None if there is a decision.
        address: The address that was connected to; empty if none was.
    """

    endpoint: Endpoint
    domain: str
    at: datetime
    decision: Decision | None = None
    error: TrothError | None = None
    address: str = ""

    @property
    def seen(self) -> Seen:
        """What the transitions need of it."""
        if self.decision is None:
            missed = isinstance(self.error, Unreachable)
            return Seen(outcome=Outcome.UNREACHABLE if missed else Outcome.CANNOT_CHECK, at=self.at)
        leaf = self.decision.presented.leaf
        return Seen(
            outcome=Outcome(self.decision.verdict.value),
            certificate=leaf.fingerprint,
            not_after=leaf.not_after,
            at=self.at,
        )


def event(notice: Notice, look: Look) -> Event:
    """Give the event for a notice."""
    if notice.kind is Kind.EXPIRING:
        return _expiring(notice, look)
    if notice.kind in (Kind.RECOVERED, Kind.REACHABLE):
        return _better(notice, look)
    if look.decision is None:
        return _failed(notice, look)
    if not look.decision.verdict.accepts:
        return rejected_event(look.decision, domain=look.domain, at=look.at)
    return _news(notice, look)


def lasting(value: timedelta) -> str:
    """Give a length of time as people say it, to two units."""
    if value < _MINUTE:
        return f"{value.seconds} s"
    if value < _HOUR:
        return f"{value // _MINUTE} min"
    if value < _DAY:
        return f"{value // _HOUR} h {value % _HOUR // _MINUTE} min"
    return f"{value // _DAY} d {value % _DAY // _HOUR} h"


def _failed(notice: Notice, look: Look) -> Event:
    error = cast("TrothError", look.error)
    unusable = isinstance(error, StoreUnusable)
    missed = notice.kind is Kind.UNREACHABLE
    return Event(
        kind=notice.kind,
        severity=Severity.WARNING if missed else Severity.CRITICAL,
        endpoint=look.endpoint,
        domain=look.domain,
        what=error.what,
        why=error.why,
        next_command=error.next_command,
        cause=Cause() if missed else Cause(key=error.code, text=error.title.lower() if unusable else ""),
        at=look.at,
    )


def _news(notice: Notice, look: Look) -> Event:
    decision = cast("Decision", look.decision)
    return Event(
        kind=notice.kind,
        severity=Severity.INFO,
        endpoint=look.endpoint,
        domain=look.domain,
        what=explain.headline(decision),
        why=explain.reason(decision),
        presented=decision.presented.leaf.fingerprint,
        pinned=explain.pinned_fingerprints(decision.entry),
        cause=certificate_cause(decision),
        at=look.at,
    )


def _expiring(notice: Notice, look: Look) -> Event:
    decision = cast("Decision", look.decision)
    leaf = decision.presented.leaf
    assert leaf.not_after is not None  # noqa: S101  # there is no such notice without a date
    left, days = leaf.not_after - look.at, notice.threshold_days or 0
    over = left <= timedelta()
    name = explain.name_of(decision)
    cause = certificate_cause(decision)
    return Event(
        kind=Kind.EXPIRING,
        severity=Severity.CRITICAL if days <= 1 else Severity.WARNING if days <= 14 else Severity.INFO,
        endpoint=look.endpoint,
        domain=look.domain,
        what=f"The certificate of {look.endpoint} "
        + (f"expired {lasting(-left)} ago." if over else f"expires in {lasting(left)}."),
        why=f"It is valid to {explain.moment(leaf.not_after)}; subject: {leaf.subject or '(empty)'}.",
        next_command=f"troth announce {name} --next FINGERPRINT, before the host gets its next certificate",
        presented=leaf.fingerprint,
        pinned=explain.pinned_fingerprints(decision.entry),
        cause=Cause(key=f"{days} {cause.key}", text=cause.text),
        at=look.at,
    )


def _better(notice: Notice, look: Look) -> Event:
    lasted = lasting(notice.lasted or timedelta())
    again = notice.kind is Kind.REACHABLE
    decision = look.decision
    return Event(
        kind=notice.kind,
        severity=Severity.INFO,
        endpoint=look.endpoint,
        domain=look.domain,
        what=f"{look.endpoint} can be reached again, after {lasted}."
        if again
        else f"{look.endpoint} is trusted again, after {lasted} of {notice.after}.",
        why="" if decision is None else f"{explain.headline(decision)} {explain.reason(decision)}",
        presented=decision.presented.leaf.fingerprint if decision else None,
        pinned=explain.pinned_fingerprints(decision.entry) if decision else (),
        cause=Cause(key=str(notice.after)),
        at=look.at,
    )


def as_error(error: Exception) -> TrothError:
    """Give what went wrong in a probe as one of Troth's own failures; nothing that is unforeseen is a verdict."""
    if isinstance(error, CertificateRejected | TrothError):
        return error
    return TrothError(
        "The check could not be done, so nothing was trusted.",
        why=f"{type(error).__name__}: {ascii(str(error))[1:-1][:200]}",
    )
