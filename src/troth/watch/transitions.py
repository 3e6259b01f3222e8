"""What an observation means for an endpoint: the state before and the outcome give the state after and what to tell. Pure.

Three things are kept apart, for each has its own course:

* trust: a rejection is told once, and again if another certificate or another verdict comes; when a trusted certificate
  is back, that is told, with how long it took. Being unreachable meanwhile changes nothing about it.
* reach: one miss is no news, the second in a row is; being reachable again is told only where the other was.
* dates: of the certificate that is trusted, at 30, 14, 7 and 1 days before its end and after it, each once for each
  certificate; whoever comes late is told the nearest one only.

`cannot-check` is a rejection, and says nothing about reach: what could not be checked was not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from troth.notify.events import Kind

if TYPE_CHECKING:
    from troth.model.fingerprint import Fingerprint

THRESHOLDS_DAYS = (30, 14, 7, 1, 0)
MISSES_TOLD = 2
# Hosts behind one name may show several certificates in turn; the dates of this many are remembered.
DATES_KEPT = 8


class Outcome(StrEnum):
    """What came of one look at an endpoint: a verdict, or that there was none."""

    MATCH = "match"
    FIRST_USE = "first-use"
    RENEWED = "renewed"
    PROMOTED = "promoted"
    UNCHECKED = "unchecked"
    CHANGED = "changed"
    REVOKED = "revoked"
    UNAPPROVED = "unapproved"
    EXPIRED = "expired-by-policy"
    INVALID_CHAIN = "invalid-chain"
    UNREACHABLE = "unreachable"
    CANNOT_CHECK = "cannot-check"

    @property
    def accepts(self) -> bool:
        """Whether the certificate is the trusted one, or need not be."""
        return self in _ACCEPTING


_ACCEPTING = frozenset({Outcome.MATCH, Outcome.FIRST_USE, Outcome.RENEWED, Outcome.PROMOTED, Outcome.UNCHECKED})
_NEWS = {Outcome.FIRST_USE: Kind.FIRST_USE, Outcome.RENEWED: Kind.RENEWED, Outcome.PROMOTED: Kind.PROMOTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchState:
    """What was told about an endpoint, and since when it is as it is. The default is one that was never looked at.

    Args:
        rejected: The rejection that was told and still stands; None if there is none.
        rejected_with: The certificate that it was about.
        rejected_since: When the first rejection in this row came.
        misses: How often in a row it was not reached.
        missed_since: When the first of them was.
        told_dates: For each of the last certificates, the smallest threshold that was told, in days.
    """

    rejected: Outcome | None = None
    rejected_with: Fingerprint | None = None
    rejected_since: datetime | None = None
    misses: int = 0
    missed_since: datetime | None = None
    told_dates: tuple[tuple[Fingerprint, int], ...] = ()

    @property
    def unreachable(self) -> bool:
        """Whether it was told that it cannot be reached."""
        return self.misses >= MISSES_TOLD

    @property
    def settled(self) -> bool:
        """Whether there is nothing that somebody should look into."""
        return self.rejected is None and self.misses == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell; `telling` has the words.

    Args:
        kind: What.
        lasted: For a recovery, how long the trouble lasted.
        after: For a recovery, what it was.
        threshold_days: For dates, which threshold was passed.
    """

    kind: Kind
    lasted: timedelta | None = None
    after: Outcome | None = None
    threshold_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at an endpoint.

    Args:
        outcome: What came of it.
        certificate: What was presented; None if nothing was, or it could not be read.
        not_after: The end of its dates; None if that is not known.
        at: When, aware.
    """

    outcome: Outcome
    certificate: Fingerprint | None = None
    not_after: datetime | None = None
    at: datetime


def step(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    """Give the state after, and what to tell; every state and every outcome has an answer."""
    if seen.outcome is Outcome.UNREACHABLE:
        return _missed(state, seen)
    if seen.outcome is Outcome.CANNOT_CHECK:
        return _rejected(state, seen)
    state, notices = _reached(state, seen)
    if not seen.outcome.accepts:
        state, more = _rejected(state, seen)
        return state, notices + more
    state, more = _accepted(state, seen)
    state, dates = _dated(state, seen)
    return state, notices + more + dates


def _missed(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    misses = state.misses + 1
    after = replace(state, misses=misses, missed_since=state.missed_since or seen.at)
    return after, (Notice(kind=Kind.UNREACHABLE),) if misses == MISSES_TOLD else ()


def _reached(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    after = replace(state, misses=0, missed_since=None)
    if not state.unreachable:
        return after, ()
    lasted = _since(state.missed_since, seen.at)
    return after, (Notice(kind=Kind.REACHABLE, lasted=lasted, after=Outcome.UNREACHABLE),)


def _rejected(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    if state.rejected is seen.outcome and state.rejected_with == seen.certificate:
        return state, ()
    after = replace(
        state,
        rejected=seen.outcome,
        rejected_with=seen.certificate,
        rejected_since=state.rejected_since if state.rejected and state.rejected_since else seen.at,
    )
    return after, (Notice(kind=Kind(seen.outcome.value)),)


def _accepted(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    after = replace(state, rejected=None, rejected_with=None, rejected_since=None)
    notices: tuple[Notice, ...] = ()
    if state.rejected is not None:
        lasted = _since(state.rejected_since, seen.at)
        notices += (Notice(kind=Kind.RECOVERED, lasted=lasted, after=state.rejected),)
    if seen.outcome in _NEWS:
        notices += (Notice(kind=_NEWS[seen.outcome]),)
    return after, notices


def _dated(state: WatchState, seen: Seen) -> tuple[WatchState, tuple[Notice, ...]]:
    if seen.certificate is None or seen.not_after is None:
        return state, ()
    left = seen.not_after - seen.at
    passed = [days for days in THRESHOLDS_DAYS if left <= timedelta(days=days)]
    told = dict(state.told_dates).get(seen.certificate)
    if not passed or (told is not None and told <= passed[-1]):
        return state, ()
    kept = [pair for pair in state.told_dates if pair[0] != seen.certificate]
    kept.append((seen.certificate, passed[-1]))
    after = replace(state, told_dates=tuple(kept[-DATES_KEPT:]))
    return after, (Notice(kind=Kind.EXPIRING, threshold_days=passed[-1]),)


def _since(start: datetime | None, end: datetime) -> timedelta:
    """Give how long something lasted; a clock that was set back makes it nothing, not less."""
    return max(timedelta(), end - start) if start is not None else timedelta()
