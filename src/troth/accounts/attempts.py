"""The failures that lock-out counts, in the database: a restart or a failover forgets none.

An attempt is counted before the password is looked at, and uncounted if it was right. So a hundred attempts at the same
moment are counted as a hundred, not as the first of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from troth.accounts import lockout, names
from troth.accounts.lockout import ACCOUNT, PAIR, SOURCE, Rule, Tally
from troth.accounts.protocols import utc_now
from troth.accounts.throttle import too_many

if TYPE_CHECKING:
    from datetime import datetime

    from troth.accounts.protocols import Clock, Connection, Transactions

FAMILIAR_FOR = timedelta(days=90)
_RULES = {"source": SOURCE, "pair": PAIR, "account": ACCOUNT}
_SWEPT_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that may be made, and is counted as failed until it succeeds.

    Args:
        name: The name that was given, as names are compared.
        source: What counts as one source; see `lockout.source_of`.
        delay: For so long the answer is to be held back, before the password is looked at.
        failures: How many failures of this name from this source there are, this attempt among them.
    """

    name: str
    source: str
    delay: timedelta
    failures: int


class Attempts:
    """Counts attempts to log in.

    Args:
        database: Where they are kept.
        clock: Gives the time.
    """

    def __init__(self, database: Transactions, *, clock: Clock = utc_now):
        self._database = database
        self._clock = clock

    def begin(self, name: str, address: str) -> Attempt:
        """Count an attempt, or refuse it.

        Args:
            name: The name that was given; there need not be such a user.
            address: The address that the caller has.

        Raises:
            TooManyAttempts: It comes too early after failures. A refusal is not counted.
        """
        now, source, name = self._clock(), lockout.source_of(address), names.folded(name)
        keys = {scope: _key(scope, name, source) for scope in _RULES}
        # By itself: rows of others must not stay locked while this attempt waits for its own.
        with self._database.transaction() as connection:
            _sweep(connection, now)
        with self._database.transaction() as connection:
            familiar = _familiar(connection, name, source, now)
            # Always in the same order, so that two attempts never wait for each other.
            before = {scope: _locked(connection, scope, key, now) for scope, key in keys.items()}
            answer = lockout.judge(**before, familiar=familiar, now=now)
            if answer.refused:
                raise too_many(answer.wait.total_seconds())
            after = {scope: lockout.counted(tally, _RULES[scope], now) for scope, tally in before.items()}
            for scope, tally in after.items():
                _write(connection, scope, keys[scope], tally)
        return Attempt(name=name, source=source, delay=answer.delay, failures=after["pair"].failures)

    def take_back(self, attempt: Attempt) -> None:
        """Uncount an attempt that was never judged."""
        with self._database.transaction() as connection:
            for scope in _RULES:
                _uncount(connection, scope, _key(scope, attempt.name, attempt.source))

    def succeeded(self, connection: Connection, attempt: Attempt, user: int) -> None:
        """Uncount an attempt that was right, forget the failures of its pair, and remember its source as familiar.

        The other tallies lose this attempt alone: whoever has an account must not be able to wash away what they tried
        on others.
        """
        for scope in _RULES:  # in the order of `begin`
            key = _key(scope, attempt.name, attempt.source)
            if scope == "pair":
                connection.execute("DELETE FROM login_attempt WHERE scope = 'pair' AND key = %s", (key,))
            else:
                _uncount(connection, scope, key)
        if attempt.source != "unknown":
            connection.execute(
                "INSERT INTO familiar_source VALUES (%s, %s, %s) ON CONFLICT (account, source) DO UPDATE"
                " SET seen_at = excluded.seen_at",
                (user, attempt.source, self._clock()),
            )


def _key(scope: str, name: str, source: str) -> bytes:
    about = {"source": ("", source), "pair": (name, source), "account": (name, "")}[scope]
    return hashlib.sha256("\0".join((scope, *about)).encode("utf-8", "backslashreplace")).digest()


def _locked(connection: Connection, scope: str, key: bytes, now: datetime) -> Tally:
    """Read a tally, and keep others from it until the transaction ends; what does not exist is locked as well."""
    row = connection.execute(
        "INSERT INTO login_attempt VALUES (%s, %s, 0, %s) ON CONFLICT (scope, key) DO UPDATE SET key = excluded.key"
        " RETURNING failures, last_at",
        (scope, key, now),
    ).fetchone()
    assert row is not None  # noqa: S101  # an INSERT that returns, returns a row
    return Tally(int(row[0]), row[1])


def _write(connection: Connection, scope: str, key: bytes, tally: Tally) -> None:
    connection.execute(
        "UPDATE login_attempt SET failures = %s, last_at = %s WHERE scope = %s AND key = %s",
        (tally.failures, tally.last, scope, key),
    )


def _uncount(connection: Connection, scope: str, key: bytes) -> None:
    connection.execute("DELETE FROM login_attempt WHERE scope = %s AND key = %s AND failures <= 1", (scope, key))
    connection.execute("UPDATE login_attempt SET failures = failures - 1 WHERE scope = %s AND key = %s", (scope, key))


def _familiar(connection: Connection, name: str, source: str, now: datetime) -> bool:
    if not names.is_name(name):
        return False
    row = connection.execute(
        "SELECT 1 FROM familiar_source f JOIN account a ON a.id = f.account"
        " WHERE a.name = %s AND f.source = %s AND f.seen_at > %s",
        (name, source, now - FAMILIAR_FOR),
    ).fetchone()
    return row is not None


def _sweep(connection: Connection, now: datetime) -> None:
    """Delete some of what is forgotten anyway, leaving alone what somebody else works on."""
    longest = max(_RULES.values(), key=_forgets).forget
    connection.execute(
        "DELETE FROM login_attempt WHERE (scope, key) IN (SELECT scope, key FROM login_attempt WHERE last_at < %s"
        " LIMIT %s FOR UPDATE SKIP LOCKED)",
        (now - longest, _SWEPT_AT_ONCE),
    )


def _forgets(rule: Rule) -> timedelta:
    return rule.forget
