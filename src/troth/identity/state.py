"""The states of a node's identity, and every way from one to the next. Pure: nothing here touches a file.

A generation is a key, with its request or its certificates, under a number that is given once. The state says what each
of them is for:

    role      it holds             it comes from               it goes to
    current   key and chain        the first one; activation   retired, by the next activation
    next      key and chain        import, or a new key        current, or aside if another next takes its place
    pending   key and request      a request                   nothing is left of it once its certificate is next
    retired   key and chain        what was current            stays: the old key can vouch for the new one
    aside     key, perhaps chain   a next that was displaced   stays: a private key is never lost

`step` is total: for each state and each event it gives the state that follows, or the reason why there is none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from enum import Enum, StrEnum
from typing import Any

FORMAT = 1


class Role(StrEnum):
    """What a generation is for."""

    CURRENT = "current"
    NEXT = "next"
    PENDING = "pending"
    RETIRED = "retired"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Which generation is for what; 0 is none. The newest of several stands first.

    Args:
        current: The generation in force.
        next: The one that waits for its activation.
        pending: Keys whose certificates were requested.
        retired: Those that were in force before.
        aside: Those that were displaced before they were in force.
        last: The highest number that was ever given.
        on_start: Whether the next one comes into force when the node starts.
    """

    current: int = 0
    next: int = 0
    pending: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
    aside: tuple[int, ...] = ()
    last: int = 0
    on_start: bool = False

    @property
    def roles(self) -> dict[int, Role]:
        """Every generation that is named, with its role."""
        singles = {self.current: Role.CURRENT, self.next: Role.NEXT}
        several = {Role.PENDING: self.pending, Role.RETIRED: self.retired, Role.ASIDE: self.aside}
        found = {number: role for number, role in singles.items() if number}
        return found | {number: role for role, numbers in several.items() for number in numbers}


@dataclass(frozen=True, slots=True)
class Made:
    """A key with a certificate of its own is there; the first of all is in force at once."""

    number: int


@dataclass(frozen=True, slots=True)
class Requested:
    """A key is there, and a request for its certificate."""

    number: int


@dataclass(frozen=True, slots=True)
class Imported:
    """A key with its certificates is there; `twins` are the generations that hold the same key."""

    number: int
    twins: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Activated:
    """The next one comes into force."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The next one comes into force when the node starts, or does no more."""

    on_start: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Generations are there that the state does not name: left by a change that was cut off, or restored."""

    numbers: tuple[int, ...]


Event = Made | Requested | Imported | Activated | Scheduled | Found


class Refusal(Enum):
    """Why an event cannot happen in a state."""

    NO_IDENTITY = "This node has no key yet."
    NO_NEXT = "There is no next certificate."
    NUMBER_USED = "The number of this generation was given before."


def step(state: State, event: Event) -> State | Refusal:
    """Give the state after an event, or why it cannot happen."""
    match event:
        case Made(number) | Requested(number) | Imported(number) if number <= state.last:
            return Refusal.NUMBER_USED
        case Found(numbers):
            return _found(state, numbers)
        case Made(number) if not state.current:
            return replace(state, current=number, last=number)
        case _ if not state.current:
            return Refusal.NO_IDENTITY
        case Made(number):
            return _with_next(state, number, frozenset())
        case Requested(number):
            return replace(state, pending=(number, *state.pending), last=number)
        case Imported(number, twins):
            return _with_next(state, number, twins)
        case _ if not state.next:
            return Refusal.NO_NEXT
        case Activated():
            return replace(state, current=state.next, next=0, retired=(state.current, *state.retired), on_start=False)
        case Scheduled(on_start):
            return replace(state, on_start=on_start)


def _with_next(state: State, number: int, twins: frozenset[int]) -> State:
    displaced = () if state.next in twins | {0} else (state.next,)
    return replace(
        state,
        next=number,
        pending=_without(state.pending, twins),
        aside=displaced + _without(state.aside, twins),
        last=number,
        on_start=False,
    )


def _found(state: State, numbers: tuple[int, ...]) -> State:
    known = state.roles
    strangers = tuple(sorted((each for each in numbers if each not in known), reverse=True))
    return replace(state, aside=strangers + state.aside, last=max((state.last, *strangers)))


def _without(numbers: tuple[int, ...], gone: frozenset[int]) -> tuple[int, ...]:
    return tuple(each for each in numbers if each not in gone)


def dump(state: State) -> bytes:
    """Write a state as text."""
    written = {"format": FORMAT} | {each.name: getattr(state, each.name) for each in fields(state)}
    return (json.dumps(written, indent=1) + "\n").encode("ascii")


def load(data: bytes) -> State:
    """Read what `dump` wrote.

    Raises:
        ValueError: It is something else, is of a newer format, or contradicts itself.
    """
    try:
        read: dict[str, Any] = json.loads(data)
        form = read.pop("format")
        given: dict[str, Any] = {name: tuple(each) if type(each) is list else each for name, each in read.items()}
        state = State(**given)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it is no state of an identity") from None
    if form != FORMAT:
        raise ValueError(f"it is of format {form!a}, and this Troth reads {FORMAT}")
    _require_sound(state)
    return state


def _require_sound(state: State) -> None:
    several = (state.pending, state.retired, state.aside)
    if type(state.on_start) is not bool or not all(type(each) is tuple for each in several):
        raise ValueError("a field is of the wrong kind")
    named = [each for each in (state.current, state.next) if each != 0] + [each for part in several for each in part]
    if not all(type(each) is int and each > 0 for each in named) or type(state.last) is not int:
        raise ValueError("a number is none")
    if len(set(named)) != len(named) or max(named, default=0) > state.last:
        raise ValueError("a generation has two roles, or a number that was never given")
    # What was found before there was a first key lies aside.
    if not state.current and set(named) != set(state.aside):
        raise ValueError("nothing is current, and something else is there")
    if state.on_start and not state.next:
        raise ValueError("there is nothing to activate")
