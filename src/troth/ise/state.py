"""How it stands with an ISE server: what a poll found, held against how it stood before. Pure, and total.

| a poll found | next poll after | told |
|---|---|---|
| reachable | the interval | when the server answers for the first time, and when told trouble is over |
| unreachable, busy, not understood | the interval, doubled each time, at most 15 minutes; as long as a busy server asks for | at the second time in a row, once |
| certificate changed, rejected, awaiting approval | the interval, doubled each time, at most 5 minutes; no credential left | at once, once |
| wrong group, not a monitoring node | the same, at most 15 minutes | at once, once |
| credentials refused | an hour, doubled each time, at most a day: ISE locks users after a few wrong passwords | at once, once |

A condition that turns into another one of the same sort of passing trouble is not told again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from troth.errors import (
    AwaitingApproval,
    CertificateChanged,
    CertificateRejected,
    ConfigUnusable,
    IseBusy,
    IseCredentialsRefused,
    IseNotMonitoring,
    IseNotUnderstood,
    IseWrongGroup,
    Unreachable,
)
from troth.ise.models import TRANSIENT, UNTRUSTED, Condition, Counts, State, Version
from troth.model.text import printable

if TYPE_CHECKING:
    from datetime import datetime

    from troth.errors import TrothError
    from troth.model.endpoint import Endpoint

DEFAULT_INTERVAL_S = 60.0
TELL_AFTER = 2
_MAX_DOUBLINGS = 16
_MOST_S = {
    Condition.CHANGED: 300.0,
    Condition.REJECTED: 300.0,
    Condition.UNAPPROVED: 300.0,
    Condition.CREDENTIALS_REFUSED: 86_400.0,
}
_MOST_OTHERWISE_S = 900.0
_FIRST_REFUSED_S = 3600.0
# The longest that any poll puts the next one off: a due time further away comes from a clock that was wrong.
LONGEST_S = 86_400.0 * 1.5
_MAX_FAILURES = 1_000_000
_MAX_WHY = 500


class EventKind(StrEnum):
    """What is told to whoever watches."""

    ANSWERS = "answers"
    TROUBLE = "trouble"
    REGAINED = "regained"
    TOOK_OVER = "took-over"
    HANDED_BACK = "handed-back"
    NEXT_SEEN = "next-certificate-seen"
    NEXT_ANNOUNCED = "next-certificate-announced"
    NOT_LISTED = "presented-certificate-not-listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a server.

    Args:
        kind: What.
        endpoint: Which server.
        condition: How it stands with it now.
        at: When, aware UTC.
        why: More, in a sentence.
        next_step: What an administrator does about it; empty if nothing.
    """

    kind: EventKind
    endpoint: Endpoint
    condition: Condition
    at: datetime
    why: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """What one poll found.

    Args:
        condition: How it stands; `unknown` if nothing was learned.
        at: When, aware UTC.
        why: What was wrong, in a sentence.
        next_step: What to do about it, where the failure itself knows better than the general advice.
        retry_after_s: How long a busy server wants to be left alone; 0 if it did not say.
        version: What the server says of itself, if it answered.
        counts: Its counts, if it answered.
    """

    condition: Condition
    at: datetime
    why: str = ""
    next_step: str = ""
    retry_after_s: float = 0.0
    version: Version | None = None
    counts: Counts | None = None


def classify(error: TrothError) -> Condition | None:
    """Say how it stands with a server that failed in this way; None if the failure says nothing about the server."""
    for kind, condition in _CLASSES:
        if isinstance(error, kind):
            return condition
    return None


# The more particular ones stand first: IseBusy is an Unreachable, CertificateChanged a CertificateRejected.
_CLASSES: tuple[tuple[type[TrothError], Condition], ...] = (
    (CertificateChanged, Condition.CHANGED),
    (AwaitingApproval, Condition.UNAPPROVED),
    (CertificateRejected, Condition.REJECTED),
    (IseCredentialsRefused, Condition.CREDENTIALS_REFUSED),
    (ConfigUnusable, Condition.CREDENTIALS_REFUSED),
    (IseWrongGroup, Condition.WRONG_GROUP),
    (IseNotMonitoring, Condition.NOT_MONITORING),
    (IseBusy, Condition.BUSY),
    (IseNotUnderstood, Condition.NOT_UNDERSTOOD),
    (Unreachable, Condition.UNREACHABLE),
)


def poll_of(error: TrothError, at: datetime) -> Poll | None:
    """Make the poll that failed in this way; None if the failure says nothing about the server."""
    condition = classify(error)
    if condition is None:
        return None
    seconds = error.details.get("retry_after_s", 0)
    why = f"{error.what} ({error.why})" if error.why else error.what
    return Poll(
        condition=condition,
        at=at,
        why=printable(why, _MAX_WHY),
        next_step=printable(error.next_command, _MAX_WHY) if condition in UNTRUSTED else "",
        retry_after_s=float(seconds) if isinstance(seconds, int | float) else 0.0,
    )


def advise(condition: Condition, endpoint: Endpoint) -> str:
    """Say what an administrator does next."""
    texts = {
        Condition.UNKNOWN: f"troth ise test {endpoint}",
        Condition.REACHABLE: "",
        Condition.CHANGED: f"troth show {endpoint}; compare the new fingerprint with ISE's own page Administration >"
        f" System > Certificates; then: troth replace {endpoint} --expect FINGERPRINT",
        Condition.REJECTED: f"troth check {endpoint}",
        Condition.UNAPPROVED: f"troth show {endpoint}; compare with ISE's own page Administration > System >"
        f" Certificates; then: troth approve {endpoint} --expect FINGERPRINT",
        Condition.CREDENTIALS_REFUSED: f"look whether ISE has locked the user; then: troth ise add {endpoint} --user USER",
        Condition.WRONG_GROUP: "on ISE, put the user into Super Admin, System Admin or MnT Admin;"
        f" then: troth ise test {endpoint}",
        Condition.NOT_MONITORING: f"add the node with the persona Monitoring: troth ise add HOST --user USER;"
        f" then: troth ise remove {endpoint}",
        Condition.BUSY: f"wait; ISE limits how often it is asked; then: troth ise test {endpoint}",
        Condition.NOT_UNDERSTOOD: "on ISE's console: show application status ise; are all services running?"
        f" then: troth ise test {endpoint}",
        Condition.UNREACHABLE: f"troth check {endpoint}, after a look at the network and the port",
    }
    return texts[condition]


def step(
    before: State, poll: Poll, endpoint: Endpoint, *, interval_s: float = DEFAULT_INTERVAL_S, jitter: float = 1.0
) -> tuple[State, tuple[Event, ...]]:
    """Give how it stands after a poll, and what is to be told.

    Args:
        before: How it stood.
        poll: What was found.
        endpoint: The server.
        interval_s: Seconds between polls of a server that answers.
        jitter: What every wait is multiplied with, about 1.
    """
    if poll.condition is Condition.UNKNOWN:
        return before, ()
    failures = _failures(before, poll.condition)
    next_step = poll.next_step or advise(poll.condition, endpoint)
    announced, kind = _announcement(before, poll.condition, failures)
    same = before.condition is poll.condition
    after = State(
        condition=poll.condition,
        since=before.since if same and before.since else poll.at,
        polled_at=poll.at,
        due_at=poll.at + timedelta(seconds=wait_s(poll, failures, interval_s) * jitter),
        failures=failures,
        announced=announced,
        why=poll.why,
        next_step=next_step,
    )
    if kind is None:
        return after, ()
    told = Event(kind=kind, endpoint=endpoint, condition=poll.condition, at=poll.at, why=poll.why, next_step=next_step)
    return after, (told,)


def wait_s(poll: Poll, failures: int, interval_s: float) -> float:
    """Give the seconds until the next poll, without jitter."""
    if failures == 0:
        return interval_s
    first = _FIRST_REFUSED_S if poll.condition is Condition.CREDENTIALS_REFUSED else interval_s
    most = max(_MOST_S.get(poll.condition, _MOST_OTHERWISE_S), interval_s)
    doubled: float = min(first * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), most)
    return max(doubled, poll.retry_after_s)


def is_due(state: State, now: datetime) -> bool:
    """Whether a server is to be asked; a due time that no poll can have set (a clock was wrong) counts for nothing."""
    return state.due_at is None or state.due_at <= now or state.due_at > now + timedelta(seconds=LONGEST_S)


def _failures(before: State, found: Condition) -> int:
    if found is Condition.REACHABLE:
        return 0
    alike = before.condition is found or (before.condition in TRANSIENT and found in TRANSIENT)
    return min(before.failures, _MAX_FAILURES) + 1 if alike else 1


def _announcement(before: State, found: Condition, failures: int) -> tuple[Condition | None, EventKind | None]:
    """Give what stands announced afterwards, and what is to be told now."""
    if found is Condition.REACHABLE:
        if before.announced is not None:
            return None, EventKind.REGAINED
        return None, EventKind.ANSWERS if before.condition is Condition.UNKNOWN else None
    if found in TRANSIENT:
        if failures < TELL_AFTER or before.announced in TRANSIENT:
            return before.announced, None
        return found, EventKind.TROUBLE
    return found, None if before.announced is found else EventKind.TROUBLE
