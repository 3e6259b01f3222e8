"""The users of a node. Every change is one transaction, with its record in the journal.

There is always an administrator who can log in. Whoever removes, demotes or disables one holds the rows of all of them
meanwhile, so two administrators who remove each other at the same moment are looked at one after the other.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from troth.accounts import names, passwords
from troth.accounts.protocols import User, utc_now
from troth.accounts.roles import Role
from troth.accounts.sessions import end_all_of
from troth.errors import LastAdministrator, NameTaken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.accounts.passwords import Hasher
    from troth.accounts.protocols import Audit, Clock, Connection, Transactions

_COLUMNS = "id, name, role, enabled, totp IS NOT NULL, created_at, password_set_at"
_LIST = f"SELECT {_COLUMNS} FROM account ORDER BY name"  # noqa: S608  # constants
_FIND = f"SELECT {_COLUMNS} FROM account WHERE name = %s"  # noqa: S608
_LOCK = f"{_FIND} FOR UPDATE"
_ADD = (
    "INSERT INTO account (name, role, password, password_set_at, created_at) VALUES (%s, %s, %s, %s, %s)"  # noqa: S608
    f" ON CONFLICT (name) DO NOTHING RETURNING {_COLUMNS}"
)


class Users:
    """The users.

    Args:
        database: Where they are kept.
        hasher: Hashes their passwords.
        clock: Gives the time.
    """

    def __init__(self, database: Transactions, hasher: Hasher, *, clock: Clock = utc_now):
        self._database = database
        self._hasher = hasher
        self._clock = clock

    def listing(self) -> list[User]:
        """List all users by name."""
        with self._database.transaction() as connection:
            rows = connection.execute(_LIST).fetchall()
        return [_user(row) for row in rows]

    def get(self, name: str) -> User:
        """Find a user.

        Raises:
            NotFound: There is none of that name.
        """
        with self._database.transaction() as connection:
            return _find(connection, name)

    def create(self, name: str, password: str, role: Role, *, audit: Audit) -> User:
        """Add a user.

        Raises:
            BadInput: The name cannot be used.
            NameTaken: There is one of that name.
            WeakPassword: The password is not accepted.
        """
        name = names.fresh(name)
        passwords.accept(password, name=name)
        hashed, now = self._hasher.hash(password), self._clock()
        with self._database.transaction() as connection:
            row = connection.execute(_ADD, (name, role.value, hashed, now, now)).fetchone()
            if row is None:
                raise NameTaken(f"There is a user {name} already.", next_command="troth user list")
            audit(connection, "user-added", name, {"role": role.value})
        return _user(row)

    def set_role(self, name: str, role: Role, *, audit: Audit) -> User:
        """Give a user another role, and end the user's log-ins.

        Raises:
            NotFound: There is no such user.
            LastAdministrator: Nobody else administrates.
        """
        with self._changing(name) as (connection, before):
            if before.role is role:
                return before
            connection.execute("UPDATE account SET role = %s WHERE id = %s", (role.value, before.id))
            ended = end_all_of(connection, before.id)
            detail: dict[str, object] = {"role": role.value, "before": before.role.value, "logins_ended": ended}
            audit(connection, "user-role-set", before.name, detail)
            return _find(connection, before.name)

    def set_password(self, name: str, password: str, *, audit: Audit) -> None:
        """Give a user another password, and end the user's log-ins.

        Raises:
            NotFound: There is no such user.
            WeakPassword: The password is not accepted.
        """
        name = names.existing(name)
        passwords.accept(password, name=name)
        hashed = self._hasher.hash(password)
        with self._changing(name) as (connection, before):
            self.replace_password(connection, before.id, hashed)
            ended = end_all_of(connection, before.id)
            audit(connection, "user-password-set", before.name, {"logins_ended": ended})

    def replace_password(self, connection: Connection, user: int, hashed: str) -> None:
        """Write a hash, in the transaction of a change."""
        connection.execute(
            "UPDATE account SET password = %s, password_set_at = %s WHERE id = %s", (hashed, self._clock(), user)
        )

    def set_enabled(self, name: str, *, enabled: bool, audit: Audit) -> User:
        """Let a user log in, or not; then the user's log-ins end, and tokens are good for nothing meanwhile.

        Raises:
            NotFound: There is no such user.
            LastAdministrator: Nobody else administrates.
        """
        with self._changing(name) as (connection, before):
            if before.enabled is enabled:
                return before
            connection.execute("UPDATE account SET enabled = %s WHERE id = %s", (enabled, before.id))
            ended = end_all_of(connection, before.id)
            audit(connection, "user-enabled" if enabled else "user-disabled", before.name, {"logins_ended": ended})
            return _find(connection, before.name)

    def delete(self, name: str, *, audit: Audit) -> None:
        """Remove a user, with all log-ins and tokens.

        Raises:
            NotFound: There is no such user.
            LastAdministrator: Nobody else administrates.
        """
        with self._changing(name) as (connection, before):
            connection.execute("DELETE FROM account WHERE id = %s", (before.id,))
            audit(connection, "user-deleted", before.name, {"role": before.role.value})

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[Connection, User]]:
        """Change one user; if there is no administrator left at the end, nothing was changed."""
        with self._database.transaction() as connection:
            # Always all of them, and in the same order: whoever comes second waits here, and then sees what is left.
            connection.execute(
                "SELECT id FROM account WHERE role = 'administrator' AND enabled ORDER BY id FOR UPDATE"
            ).fetchall()
            before = _find(connection, name, lock=True)
            yield connection, before
            if before.role is Role.ADMINISTRATOR and before.enabled and not _administrators(connection):
                raise LastAdministrator(
                    f"{before.name} is the last administrator who can log in.",
                    next_command="troth user add NAME --role administrator",
                )


def _administrators(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM account WHERE role = 'administrator' AND enabled").fetchone()
    return int(row[0]) if row else 0


def _find(connection: Connection, name: str, *, lock: bool = False) -> User:
    row = connection.execute(_LOCK if lock else _FIND, (names.existing(name),)).fetchone()
    if row is None:
        raise names.unknown(name)
    return _user(row)


def _user(row: tuple[Any, ...]) -> User:
    return User(
        id=row[0],
        name=row[1],
        role=Role(row[2]),
        enabled=row[3],
        second_factor=row[4],
        created_at=row[5],
        password_set_at=row[6],
    )
