"""What this room needs from others, and who is who."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import psycopg

    from troth.accounts.roles import Role

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
    Clock: TypeAlias = Callable[[], datetime]


class Audit(Protocol):
    """Writes a change into the journal, in the transaction of the change: both happen, or neither."""

    def __call__(self, connection: Connection, action: str, subject: str, detail: dict[str, object], /) -> None:
        """Write one record. There is never a secret in the detail."""


class Sealer(Protocol):
    """Keeps what must be read again, under a key that does not lie in the database."""

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal bytes, for one purpose."""

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open what was sealed for the same purpose; what was altered, or sealed for another, is an error."""


class Transactions(Protocol):
    """The database, as far as this room uses it."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin; commit at the end, or roll back if it ends in an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in.

    Args:
        id: Never used again, also after the user was deleted.
        name: What the user logs in with.
        role: What the user may do.
        enabled: Whether the user may log in at all.
        second_factor: Whether a code is needed to log in.
        created_at: When the user was added.
        password_set_at: When the password was set last.
    """

    id: int
    name: str
    role: Role
    enabled: bool
    second_factor: bool
    created_at: datetime
    password_set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who makes a call, and what it may do now.

    Args:
        user: The id of the user.
        name: The user's name.
        role: What this call may do: the user's role, or a token's if that is less.
        means: `login` or `token`.
        means_id: Which log-in or token it is.
    """

    user: int
    name: str
    role: Role
    means: str
    means_id: int


def utc_now() -> datetime:
    """Give the time, aware, in UTC."""
    return datetime.now(UTC)
