"""Logging in: attempt, password, code, log-in; in this order, and each of them before the next.

    attempt = door.knock(name, address)                  refused, or counted
    …the answer is held back for attempt.delay…
    secret, identity = door.enter(attempt, password, code=code, audit=audit)

A name that nobody has, a wrong password, a user who is disabled and a wrong code end in the same words, and a name that
nobody has costs the same computation as one that somebody has.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.accounts import lockout, names, passwords
from troth.accounts.attempts import Attempts
from troth.accounts.protocols import utc_now
from troth.accounts.sessions import Sessions, end_all_of
from troth.accounts.users import Users
from troth.errors import NotAuthenticated, SecondFactorNeeded, TooManyAttempts, WeakPassword

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.accounts.attempts import Attempt
    from troth.accounts.passwords import Hasher
    from troth.accounts.protocols import Audit, Clock, Connection, Identity, Transactions
    from troth.accounts.totp import SecondFactor

_READ = "SELECT id, name, role, enabled, password, totp IS NOT NULL FROM account WHERE name = %s"
_LOCK = f"{_READ} FOR UPDATE"


@dataclass(frozen=True, slots=True)
class _Account:
    id: int
    name: str
    role: str
    enabled: bool
    password: str
    second_factor: bool


class Door:
    """Lets users in.

    Args:
        database: Where the users are kept.
        hasher: Checks passwords.
        factor: Checks codes.
        clock: Gives the time.
    """

    def __init__(self, database: Transactions, hasher: Hasher, factor: SecondFactor, *, clock: Clock = utc_now):
        self._database = database
        self._hasher = hasher
        self._factor = factor
        self._attempts = Attempts(database, clock=clock)
        self._sessions = Sessions(database, clock=clock)
        self._users = Users(database, hasher, clock=clock)

    def knock(self, name: str, address: str) -> Attempt:
        """Ask whether an attempt may be made now; it counts as a failure until it succeeds.

        Raises:
            TooManyAttempts: It may not.
        """
        return self._attempts.begin(name, address)

    def enter(
        self, attempt: Attempt, password: str, *, code: str = "", agent: str = "", replaces: str = "", audit: Audit
    ) -> tuple[str, Identity]:
        """Log in. Gives the secret for the browser, and who it is.

        Args:
            attempt: What `knock` gave; good for one call.
            password: What the user typed.
            code: A code or recovery code, where the user has a second factor.
            agent: What the browser calls itself.
            replaces: The secret that the browser holds so far; it ends.
            audit: Writes the journal.

        Raises:
            NotAuthenticated: Something is not right; it is not said what.
            SecondFactorNeeded: The password is right, and no code was given.
            TooManyAttempts: Too many passwords are being checked; this attempt does not count.
        """
        found = self._checked(attempt, password, audit)
        fresh = self._hasher.hash(password) if self._hasher.stale(found.password) else None
        with self._entering(attempt, found, code, audit) as (connection, used):
            if fresh:
                # The same password at today's cost; it was not set anew.
                connection.execute("UPDATE account SET password = %s WHERE id = %s", (fresh, found.id))
            secret = self._sessions.begin(connection, found.id, source=attempt.source, agent=agent, replaces=replaces)
            audit(connection, "user-logged-in", found.name, {"source": attempt.source, "by": used})
        return secret, self._sessions.identify(secret)

    def change_password(
        self, attempt: Attempt, current: str, new: str, *, code: str = "", agent: str = "", audit: Audit
    ) -> str:
        """Change a user's own password: all log-ins of the user end, and one begins. Gives its secret.

        Args:
            attempt: What `knock` gave: who sits at a browser that was left open may not guess, either.
            current: The password so far.
            new: The password to be.
            code: A code, where the user has a second factor.
            agent: What the browser calls itself.
            audit: Writes the journal.

        Raises:
            NotAuthenticated: The password so far, or the code, is not right.
            SecondFactorNeeded: The password is right, and no code was given.
            TooManyAttempts: Too many passwords are being checked.
            WeakPassword: The new one is not accepted.
        """
        found = self._checked(attempt, current, audit)
        try:
            passwords.accept(new, name=found.name)
            hashed = self._hasher.hash(new)
        except (WeakPassword, TooManyAttempts):
            self._attempts.take_back(attempt)
            raise
        with self._entering(attempt, found, code, audit) as (connection, _):
            self._users.replace_password(connection, found.id, hashed)
            ended = end_all_of(connection, found.id)
            secret = self._sessions.begin(connection, found.id, source=attempt.source, agent=agent)
            audit(connection, "user-password-set", found.name, {"logins_ended": ended, "by": "the user"})
        return secret

    def prove(self, attempt: Attempt, password: str, *, code: str = "", audit: Audit) -> None:
        """Go on only if it is the user who sits there: before the second factor or a role is changed.

        Raises:
            NotAuthenticated: Something is not right.
            SecondFactorNeeded: The password is right, and no code was given.
            TooManyAttempts: Too many passwords are being checked.
        """
        found = self._checked(attempt, password, audit)
        with self._entering(attempt, found, code, audit):
            pass

    def _checked(self, attempt: Attempt, password: str, audit: Audit) -> _Account:
        """Check the password, at the same cost whoever it is."""
        found = None
        if names.is_name(attempt.name):
            with self._database.transaction() as connection:
                found = _read(connection, attempt.name)
        try:
            right = self._hasher.verify(found.password if found else None, password)
        except TooManyAttempts:
            self._attempts.take_back(attempt)
            raise
        if found is None or not right or not found.enabled:
            raise self._refused(attempt, found, audit)
        return found

    @contextmanager
    def _entering(self, attempt: Attempt, found: _Account, code: str, audit: Audit) -> Iterator[tuple[Connection, str]]:
        """Check the code, and let the caller act in the same transaction. Gives what the user came in with."""
        try:
            with self._database.transaction() as connection:
                now = _read(connection, found.name, lock=True)
                # While the password was computed, it may have been changed, or the user disabled.
                if now is None or (now.id, now.password) != (found.id, found.password) or not now.enabled:
                    raise _Wrong
                used: str | None = "password"
                if now.second_factor:
                    if not code:
                        raise _Needed
                    used = self._factor.use(connection, now.id, code)
                if used is None:
                    raise _Wrong
                yield connection, used
                self._attempts.succeeded(connection, attempt, now.id)
        except _Needed:
            self._attempts.take_back(attempt)  # what was given is right
            raise SecondFactorNeeded(
                "The password is right; now the code of your second factor.",
                next_command="give the code that your telephone shows, or a recovery code",
            ) from None
        except _Wrong:
            raise self._refused(attempt, found, audit) from None

    def _refused(self, attempt: Attempt, found: _Account | None, audit: Audit) -> NotAuthenticated:
        """Give the refusal. The journal is told once, when somebody who exists begins to be guessed at."""
        if found is not None and attempt.failures == lockout.PAIR.free + 1:
            with self._database.transaction() as connection:
                audit(connection, "user-guessed-at", found.name, {"source": attempt.source})
        return NotAuthenticated("The name, the password or the code is not right.")


class _Wrong(Exception):
    """Ends the transaction: something is not right."""


class _Needed(Exception):
    """Ends the transaction: a code is needed."""


def _read(connection: Connection, name: str, *, lock: bool = False) -> _Account | None:
    row = connection.execute(_LOCK if lock else _READ, (name,)).fetchone()
    return _Account(*row) if row else None
