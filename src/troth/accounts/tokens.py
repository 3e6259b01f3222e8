"""API tokens: for programs, one by one revocable, each with an end and a role of its own.

A token is shown once, when it is made. What it may do is never more than what its user may do at the moment of the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from troth.accounts import names, opaque
from troth.accounts.protocols import Identity, utc_now
from troth.accounts.roles import Role, lower
from troth.errors import BadInput, NotAuthenticated, NotFound, PermissionMissing

if TYPE_CHECKING:
    from datetime import datetime

    from troth.accounts.protocols import Audit, Clock, Transactions

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
_LONGEST_LABEL = 64
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token, as it is listed: the secret itself is nowhere.

    Args:
        id: Its number.
        name: Whose.
        label: What it is for.
        role: What it was given; the user's role counts if that is less.
        created_at: When it was made.
        expires_at: When it ends.
        used_at: When it was used last, to the minute; None if never.
        revoked_at: When it was revoked; None if it was not.
    """

    id: int
    name: str
    label: str
    role: Role
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class Tokens:
    """The API tokens of all users.

    Args:
        database: Where they are kept.
        clock: Gives the time.
    """

    def __init__(self, database: Transactions, *, clock: Clock = utc_now):
        self._database = database
        self._clock = clock

    def issue(
        self, name: str, *, label: str, role: Role, ceiling: Role, life: timedelta = DEFAULT_LIFE, audit: Audit
    ) -> tuple[str, Token]:
        """Make a token for a user. Gives the token itself, which is never to be had again, and its entry.

        Args:
            name: Whose it is to be.
            label: What it is for.
            role: What it may do.
            ceiling: What the caller may do: nobody makes a token that may do more than they.
            life: How long it is good for.
            audit: Writes the journal.

        Raises:
            BadInput: The label or the life cannot be used.
            NotFound: There is no such user.
            PermissionMissing: The role is above the user's, or above the caller's.
        """
        name, label = names.existing(name), label.strip()
        if not 1 <= len(label) <= _LONGEST_LABEL or not label.isprintable():
            raise BadInput(f"The label must have 1 to {_LONGEST_LABEL} characters that can be shown.")
        if not timedelta() < life <= LONGEST_LIFE:
            raise BadInput(f"A token is good for at most {LONGEST_LIFE.days} days.")
        now, secret = self._clock(), opaque.new_token()
        with self._database.transaction() as connection:
            # Locked, so that the role cannot sink between the look and the token.
            found = connection.execute("SELECT id, role FROM account WHERE name = %s FOR UPDATE", (name,)).fetchone()
            if found is None:
                raise names.unknown(name)
            most = lower(Role(found[1]), ceiling)
            if role.above(most):
                raise PermissionMissing(f"A token for {name} can have the role {most} at most.")
            row = connection.execute(
                "INSERT INTO api_token (account, label, role, digest, created_at, expires_at)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
                (found[0], label, role.value, opaque.digest(secret), now, now + life),
            ).fetchone()
            number = row[0] if row else 0
            detail = {"token": number, "label": label, "role": role.value, "expires_at": (now + life).isoformat()}
            audit(connection, "token-issued", name, detail)
        made = Token(
            id=number,
            name=name,
            label=label,
            role=role,
            created_at=now,
            expires_at=now + life,
            used_at=None,
            revoked_at=None,
        )
        return secret, made

    def identify(self, token: str) -> Identity:
        """Tell who calls with a token.

        Raises:
            NotAuthenticated: It is no token, or is not good (any longer).
        """
        refusal = NotAuthenticated("The token is not good.", next_command="troth user token NAME --label LABEL")
        if not opaque.is_token(token):
            raise refusal
        now, digest = self._clock(), opaque.digest(token)
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT t.id, t.digest, t.role, t.used_at, a.id, a.name, a.role FROM api_token t"
                " JOIN account a ON a.id = t.account"
                " WHERE t.digest = %s AND t.revoked_at IS NULL AND t.expires_at > %s AND a.enabled",
                (digest, now),
            ).fetchone()
            if row is None or not opaque.same(row[1], digest):
                raise refusal
            if row[3] is None or now - row[3] >= _NOTED_EVERY:
                connection.execute("UPDATE api_token SET used_at = %s WHERE id = %s", (now, row[0]))
        return Identity(
            user=row[4], name=row[5], role=lower(Role(row[2]), Role(row[6])), means="token", means_id=row[0]
        )

    def listing(self, name: str = "") -> list[Token]:
        """List the tokens of a user, or of all; those that are no longer good as well.

        Raises:
            NotFound: That cannot be a user.
        """
        name = names.existing(name) if name else ""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT t.id, a.name, t.label, t.role, t.created_at, t.expires_at, t.used_at, t.revoked_at"
                " FROM api_token t JOIN account a ON a.id = t.account WHERE %(name)s IN ('', a.name)"
                " ORDER BY a.name, t.id",
                {"name": name},
            ).fetchall()
        return [
            Token(
                id=row[0],
                name=row[1],
                label=row[2],
                role=Role(row[3]),
                created_at=row[4],
                expires_at=row[5],
                used_at=row[6],
                revoked_at=row[7],
            )
            for row in rows
        ]

    def revoke(self, number: int, *, of: str = "", audit: Audit) -> None:
        """Revoke a token. Twice is as once.

        Args:
            number: Which.
            of: Only if it belongs to this user, where that is given.
            audit: Writes the journal.

        Raises:
            NotFound: There is no such token.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT a.name, t.revoked_at FROM api_token t JOIN account a ON a.id = t.account"
                " WHERE t.id = %(id)s AND %(of)s IN ('', a.name) FOR UPDATE OF t",
                {"id": number, "of": names.existing(of) if of else ""},
            ).fetchone()
            if row is None:
                raise NotFound(f"There is no token {number}.", next_command="troth user tokens")
            if row[1] is None:
                connection.execute("UPDATE api_token SET revoked_at = %s WHERE id = %s", (self._clock(), number))
                audit(connection, "token-revoked", row[0], {"token": number})
