"""How long somebody who guesses has to wait. Pure: tallies and the time in, an answer out.

Three tallies of failures count for an attempt:

* of the **pair**, this account from this source: after a few failures the pair waits, longer each time;
* of the **source**, over all accounts: so that one source cannot try one password on everybody;
* of the **account**, over all sources: it makes attempts slower, and never refuses one.

So nothing that is done from elsewhere can refuse the owner: a refusal needs failures from the owner's own source. A
source from which the account was entered before is not slowed down, and is not refused for what other accounts failed.
Every wait ends by itself. The command line on the node asks none of this.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

_MOST_FAILURES = 1 << 20
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Rule:
    """How failures turn into a pause.

    Args:
        free: So many failures cost nothing.
        first: The pause after the first one that is not free; it doubles with each that follows.
        most: No pause is longer.
        forget: After so long without an attempt, the failures are forgotten.
    """

    free: int
    first: timedelta
    most: timedelta
    forget: timedelta


PAIR = Rule(free=5, first=timedelta(seconds=5), most=timedelta(minutes=15), forget=timedelta(hours=24))
SOURCE = Rule(free=30, first=timedelta(seconds=5), most=timedelta(minutes=15), forget=timedelta(hours=24))
ACCOUNT = Rule(free=10, first=timedelta(seconds=0.25), most=timedelta(seconds=4), forget=timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Tally:
    """Failures in a row, and when the last attempt was."""

    failures: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an attempt.

    Args:
        wait: The attempt is refused for so long; none if it may be made.
        delay: The attempt is made, and its answer is held back for so long.
    """

    wait: timedelta = _NONE
    delay: timedelta = _NONE

    @property
    def refused(self) -> bool:
        """Tell whether the attempt may not be made now."""
        return self.wait > _NONE


def judge(*, pair: Tally, source: Tally, account: Tally, familiar: bool, now: datetime) -> Answer:
    """Decide about an attempt from the failures before it.

    Args:
        pair: Of this account from this source.
        source: Of this source, over all accounts.
        account: Of this account, over all sources.
        familiar: The account was entered from this source before.
        now: The time.
    """
    wait = remaining(pair, PAIR, now)
    if familiar:
        return Answer(wait=wait)
    return Answer(wait=max(wait, remaining(source, SOURCE, now)), delay=pause(current(account, ACCOUNT, now), ACCOUNT))


def pause(tally: Tally, rule: Rule) -> timedelta:
    """Give how long the pause is that the failures are worth."""
    beyond = tally.failures - rule.free - 1
    if beyond < 0:
        return _NONE
    return min(rule.most, rule.first * (1 << min(beyond, 32)))


def remaining(tally: Tally, rule: Rule, now: datetime) -> timedelta:
    """Give how much of the pause is left. A clock that was set back makes no pause longer than it is."""
    tally = current(tally, rule, now)
    whole = pause(tally, rule)
    if tally.last is None or whole == _NONE:
        return _NONE
    return min(whole, max(_NONE, tally.last + whole - now))


def current(tally: Tally, rule: Rule, now: datetime) -> Tally:
    """Forget failures that are old enough."""
    return Tally() if tally.last is None or now - tally.last >= rule.forget else tally


def counted(tally: Tally, rule: Rule, now: datetime) -> Tally:
    """Count one more failure."""
    return Tally(min(current(tally, rule, now).failures + 1, _MOST_FAILURES), now)


def source_of(address: str) -> str:
    """Give what counts as one source: an IPv4 address, or the /64 network that one IPv6 customer has to themselves.

    What is no address is one source, `unknown`, that all such callers share.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
