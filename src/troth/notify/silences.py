"""Silences: what is expected for a while is not sent. It is still on record, and still listed. Pure.

A silence names what it hides, why, who asked for it, and when it ends. One that hides everything, or has no end, is
refused: it would be the first thing that an intruder sets.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from troth.errors import BadEndpoint, BadInput
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.words import DOMAINS
from troth.notify.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from troth.notify.events import Event

LONGEST = timedelta(days=90)
_EXAMPLE = "troth silence add '*.lab.example.com' --for 8h --why 'new certificates tonight'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What is not sent, and for how long. What it leaves empty does not matter to it.

    Args:
        id: Its number; 0 before it is on record.
        pattern: An endpoint, a host, `*.domain.name`, or a network; empty for all.
        domain: A domain; empty for all.
        kind: A kind of event; None for all.
        why: The reason, in the words of who asked for it.
        who: Who that was.
        since: When it begins, aware.
        until: When it ends, aware.
        removed_at: When it was taken back; None if it was not.
    """

    id: int = 0
    pattern: str = ""
    domain: str = ""
    kind: Kind | None = None
    why: str
    who: str
    since: datetime
    until: datetime
    removed_at: datetime | None = None

    @property
    def end(self) -> datetime:
        """When it ends, or was taken back."""
        return self.until if self.removed_at is None else min(self.until, self.removed_at)

    def in_force(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.since <= now < self.end

    def hides(self, event: Event, now: datetime) -> bool:
        """Whether it keeps an event from being sent: it held at some time between the event and now."""
        if not (self.since <= now and event.at < self.end):
            return False
        if self.domain and self.domain != event.domain:
            return False
        if self.kind is not None and self.kind is not event.kind:
            return False
        return not self.pattern or (event.endpoint is not None and matches(self.pattern, event.endpoint))


def hiding(silences: Iterable[Silence], event: Event, now: datetime) -> Silence | None:
    """Give the silence that keeps an event from being sent; None if it is to be sent."""
    return next((each for each in silences if each.hides(event, now)), None)


def checked(silence: Silence) -> Silence:
    """Give a silence in canonical form.

    Raises:
        BadInput: It hides everything, is without a reason, or does not end.
    """
    if not (silence.pattern or silence.domain or silence.kind):
        raise BadInput("A silence names what it hides.", why="this one would hide everything", next_command=_EXAMPLE)
    if silence.kind is Kind.SILENCED:
        raise BadInput("That silences are set is never silenced.", next_command=_EXAMPLE)
    if silence.domain and silence.domain not in DOMAINS:
        raise BadInput(f"{silence.domain!r} is no domain.", why="known are " + ", ".join(DOMAINS))
    if not silence.why.strip():
        raise BadInput("A silence says why.", next_command=_EXAMPLE)
    if not silence.since < silence.until <= silence.since + LONGEST:
        raise BadInput(f"A silence ends, within {LONGEST.days} days.", next_command=_EXAMPLE)
    return replace(silence, pattern=canonical(silence.pattern) if silence.pattern else "", why=silence.why.strip())


def canonical(pattern: str) -> str:
    """Give the one spelling of a pattern.

    Raises:
        BadInput: It has no meaning.
    """
    if "/" in pattern:
        try:
            network = ipaddress.ip_network(pattern, strict=True)
        except ValueError:
            raise BadInput(f"{pattern!r} is no network.", next_command="write it as 192.0.2.0/24") from None
        if network.prefixlen == 0:
            raise BadInput("A silence names what it hides.", why=f"{network} is everything", next_command=_EXAMPLE)
        return str(network)
    if pattern.startswith("*."):
        return "*." + canonical_host(pattern[2:])
    if pattern.startswith("*"):
        raise BadEndpoint(f"{pattern!r} is no pattern.", why="a star stands for whole labels: *.example.com")
    # With two default ports, a port that was named is the same in both readings.
    one, other = (Endpoint.parse(pattern, default_port=port) for port in (1, 2))
    return str(one) if one.port == other.port else one.host


def matches(pattern: str, endpoint: Endpoint) -> bool:
    """Whether a canonical pattern means an endpoint; a port that it does not name does not matter."""
    if "/" in pattern:
        return _within(endpoint.host, pattern)
    if pattern.startswith("*."):
        return endpoint.host.endswith(pattern[1:])
    return pattern in (endpoint.host, str(endpoint))


def _within(host: str, network: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address in ipaddress.ip_network(network)
