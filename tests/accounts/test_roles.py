"""The table of roles."""

from __future__ import annotations

import itertools

import pytest

from troth.accounts.roles import GRANTS, Permission, Role, lower, require
from troth.errors import BadInput, PermissionMissing


def test_a_higher_role_holds_all_that_a_lower_one_holds() -> None:
    """No permission of a lower role is missing in a higher one, and each step up adds something."""
    for below, above in itertools.pairwise(Role):
        assert GRANTS[below] < GRANTS[above]
        assert above.above(below)
        assert not below.above(above)
    assert GRANTS[Role.ADMINISTRATOR] == set(Permission)


def test_a_viewer_changes_nothing_and_an_operator_no_rules() -> None:
    """The table says what the documentation promises."""
    assert GRANTS[Role.VIEWER] == {Permission.READ, Permission.OWN_ACCOUNT}
    assert not GRANTS[Role.OPERATOR] & {
        Permission.USERS,
        Permission.POLICY,
        Permission.AUTHORITIES,
        Permission.SETTINGS,
        Permission.IMPORT,
        Permission.PAIR,
    }


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_require_follows_the_table(role: Role, permission: Permission) -> None:
    """What is not granted is refused, and the refusal names what is missing."""
    if permission in GRANTS[role]:
        require(role, permission)
    else:
        with pytest.raises(PermissionMissing) as caught:
            require(role, permission)
        assert caught.value.details["permission"] == permission


def test_the_lower_of_two_roles() -> None:
    """Order does not matter."""
    for one, other in itertools.product(Role, Role):
        assert lower(one, other) == lower(other, one) == min(one, other, key=lambda each: each.rank)


@pytest.mark.parametrize("text", ["", "root", "Administrator", "administrator ", "viewer\n", "\x1b[31m"])
def test_no_other_word_is_a_role(text: str) -> None:
    """Roles are words of a list, exactly; what was given is shown safely."""
    with pytest.raises(BadInput) as caught:
        Role.parse(text)
    assert "\x1b" not in caught.value.what
