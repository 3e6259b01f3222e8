"""Log-ins: from the password to the end of the work, each under a secret that the browser holds.

The secret is made here and never taken from the caller, so nobody can plant one. It is made anew at each log-in and at
each change of what the user may do, and whatever the browser held before ends with that. It ends after half an hour
without a call, after twelve hours in any case, and at once when the password or the role changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from troth.accounts import names, opaque
from troth.accounts.protocols import Identity, utc_now
from troth.accounts.roles import Role
from troth.errors import NotAuthenticated, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from troth.accounts.protocols import Audit, Clock, Connection, Transactions

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
# Two nodes' clocks may differ; a log-in from further ahead than this is not believed.
SKEW = timedelta(minutes=5)
_TOUCHED_EVERY = timedelta(minutes=1)
_LONGEST_AGENT = 200
_ALIVE = "l.seen_at > %(idle)s AND l.begun_at > %(longest)s AND l.begun_at < %(ahead)s AND a.enabled"
_FROM = f"FROM login l JOIN account a ON a.id = l.account WHERE {_ALIVE}"
_IDENTIFY = f"SELECT l.id, l.digest, l.seen_at, a.id, a.name, a.role {_FROM} AND l.digest = %(digest)s"
_LIST = (
    f"SELECT l.id, a.name, l.begun_at, l.seen_at, l.source, l.agent {_FROM} AND a.name = %(name)s"
    " ORDER BY l.begun_at DESC, l.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One log-in, as it is listed.

    Args:
        id: Its number.
        name: Whose.
        begun_at: When the password was given.
        seen_at: When it was used last, to the minute.
        source: From where.
        agent: What the browser called itself.
    """

    id: int
    name: str
    begun_at: datetime
    seen_at: datetime
    source: str
    agent: str


class Sessions:
    """The log-ins of all users.

    Args:
        database: Where they are kept.
        clock: Gives the time.
    """

    def __init__(self, database: Transactions, *, clock: Clock = utc_now):
        self._database = database
        self._clock = clock

    def begin(self, connection: Connection, user: int, *, source: str, agent: str = "", replaces: str = "") -> str:
        """Begin a log-in, in the transaction in which its user was found to be the one; give its secret.

        Args:
            connection: That transaction.
            user: Whose.
            source: From where.
            agent: What the browser calls itself.
            replaces: The secret that the browser holds so far: it ends here, whoever's it is.
        """
        now, secret = self._clock(), opaque.new_id()
        connection.execute(
            "DELETE FROM login WHERE digest = %s OR (account = %s AND (seen_at <= %s OR begun_at <= %s))",
            (opaque.digest(replaces), user, now - IDLE, now - LONGEST),
        )
        connection.execute(
            "INSERT INTO login (account, digest, begun_at, seen_at, source, agent) VALUES (%s, %s, %s, %s, %s, %s)",
            (user, opaque.digest(secret), now, now, source, _plain(agent)),
        )
        return secret

    def identify(self, secret: str) -> Identity:
        """Tell who holds a secret.

        Raises:
            NotAuthenticated: Nobody, or the log-in has ended.
        """
        now, digest = self._clock(), opaque.digest(secret)
        with self._database.transaction() as connection:
            row = connection.execute(_IDENTIFY, {"digest": digest, **_bounds(now)}).fetchone()
            if row is None or not opaque.same(row[1], digest):
                raise NotAuthenticated("You are not logged in, or no longer.", next_command="log in again")
            if now - row[2] >= _TOUCHED_EVERY:
                connection.execute("UPDATE login SET seen_at = %s WHERE id = %s", (now, row[0]))
        return Identity(user=row[3], name=row[4], role=Role(row[5]), means="login", means_id=row[0])

    def rotate(self, secret: str) -> str:
        """Give a new secret to a log-in; the old one is worth nothing from here on. Neither limit is put off.

        Raises:
            NotAuthenticated: Nobody holds the old one.
        """
        fresh = opaque.new_id()
        self.identify(secret)
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE login SET digest = %s WHERE digest = %s", (opaque.digest(fresh), opaque.digest(secret))
            )
            if done.rowcount != 1:
                raise NotAuthenticated("You are not logged in, or no longer.", next_command="log in again")
        return fresh

    def listing(self, name: str) -> list[Login]:
        """List the log-ins of a user that have not ended, the latest first.

        Raises:
            NotFound: That cannot be a user.
        """
        with self._database.transaction() as connection:
            bounds = {"name": names.existing(name), **_bounds(self._clock())}
            rows = connection.execute(_LIST, bounds).fetchall()
        return [
            Login(id=row[0], name=row[1], begun_at=row[2], seen_at=row[3], source=row[4], agent=row[5]) for row in rows
        ]

    def end(self, secret: str) -> None:
        """End the log-in of whoever holds a secret: log out."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM login WHERE digest = %s", (opaque.digest(secret),))

    def end_one(self, name: str, number: int, *, audit: Audit) -> None:
        """End one log-in of a user by its number.

        Raises:
            NotFound: The user has none of that number.
        """
        with self._database.transaction() as connection:
            done = connection.execute(
                "DELETE FROM login l USING account a WHERE a.id = l.account AND a.name = %s AND l.id = %s",
                (names.existing(name), number),
            )
            if not done.rowcount:
                raise NotFound(f"{name} has no log-in {number}.")
            audit(connection, "user-login-ended", names.folded(name), {"login": number})

    def sweep(self) -> int:
        """Delete the log-ins that have ended by themselves; give how many."""
        now = self._clock()
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM login WHERE seen_at <= %s OR begun_at <= %s", (now - IDLE, now - LONGEST)
            ).rowcount


def end_all_of(connection: Connection, user: int) -> int:
    """End every log-in of a user, in the transaction of the change that calls for it; give how many there were."""
    return connection.execute("DELETE FROM login WHERE account = %s", (user,)).rowcount


def _bounds(now: datetime) -> dict[str, datetime]:
    return {"idle": now - IDLE, "longest": now - LONGEST, "ahead": now + SKEW}


def _plain(agent: str) -> str:
    """Keep of what a browser calls itself what can be shown."""
    return "".join(each if each.isprintable() and each.isascii() else "?" for each in agent[:_LONGEST_AGENT])
