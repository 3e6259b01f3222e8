"""What each role may do. Pure: a table, and questions to it.

A role holds everything that the role below it holds, so that "not above" has one meaning: nobody gives away more than
they have.
"""

from __future__ import annotations

from enum import StrEnum

from troth.errors import BadInput, PermissionMissing


class Permission(StrEnum):
    """One thing that a role may allow. The values stand in answers and never change their meaning."""

    READ = "read"
    OWN_ACCOUNT = "own-account"
    CHECK = "check"
    PIN = "pin"
    APPROVE = "approve"
    REPLACE = "replace"
    ANNOUNCE = "announce"
    DELETE = "delete"
    REVOKE = "revoke"
    TEST_ISE = "test-ise"
    SILENCE = "silence"
    USERS = "users"
    POLICY = "policy"
    AUTHORITIES = "authorities"
    SETTINGS = "settings"
    IMPORT = "import"
    PAIR = "pair"


class Role(StrEnum):
    """What a user is, from the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        """Tell how much the role holds: a higher one holds more."""
        return _RANKS[self]

    def above(self, other: Role) -> bool:
        """Tell whether this role holds more than another."""
        return self.rank > other.rank

    def allows(self, permission: Permission) -> bool:
        """Tell whether the role allows something."""
        return permission in GRANTS[self]

    @classmethod
    def parse(cls, text: str) -> Role:
        """Read a role.

        Raises:
            BadInput: There is none of that name.
        """
        try:
            return cls(text)
        except ValueError:
            raise BadInput(f"{text[:64]!a} is no role.", why=f"known are {', '.join(cls)}") from None


_VIEWER = frozenset({Permission.READ, Permission.OWN_ACCOUNT})
_OPERATOR = _VIEWER | {
    Permission.CHECK,  # a check connects: who may make the node connect to a host is decided here
    Permission.PIN,
    Permission.APPROVE,
    Permission.REPLACE,
    Permission.ANNOUNCE,
    Permission.DELETE,
    Permission.REVOKE,
    Permission.TEST_ISE,
    Permission.SILENCE,
}
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMINISTRATOR: frozenset(Permission),
}
_RANKS = {role: rank for rank, role in enumerate(Role)}


def lower(one: Role, other: Role) -> Role:
    """Give the one of two roles that holds less."""
    return other if one.above(other) else one


def require(role: Role, permission: Permission) -> None:
    """Go on only if a role allows something.

    Raises:
        PermissionMissing: It does not.
    """
    if not role.allows(permission):
        needed = next(each for each in Role if each.allows(permission))
        raise PermissionMissing(
            f"A user with the role {role} may not do this.",
            why=f"it needs the permission {permission}, which the role {needed} has",
            details={"permission": permission.value, "role": role.value},
        )
