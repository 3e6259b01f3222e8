"""API tokens: shown once, never more than their user, gone at once when revoked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.accounts.conftest import House
from troth.accounts import opaque
from troth.accounts.roles import Role
from troth.errors import BadInput, NotAuthenticated, NotFound, PermissionMissing

ADMINISTRATOR, OPERATOR, VIEWER = Role.ADMINISTRATOR, Role.OPERATOR, Role.VIEWER


def issue(house: House, name: str, role: Role, ceiling: Role = ADMINISTRATOR, **more: timedelta) -> str:
    """Make a token."""
    return house.tokens.issue(name, label="backup job", role=role, ceiling=ceiling, audit=house.audit, **more)[0]


def test_a_token_is_shown_once(house: House) -> None:
    """It is nowhere in the database, and the journal has its number, label, role and end."""
    house.add("bob", OPERATOR)
    token = issue(house, "bob", VIEWER)
    assert opaque.is_token(token)
    assert token not in house.everything()
    assert token[6:30] not in house.everything()
    found = house.tokens.identify(token)
    assert (found.name, found.role, found.means) == ("bob", VIEWER, "token")
    (action, subject, detail) = house.journal()[-1]
    assert (action, subject, set(detail)) == ("token-issued", "bob", {"token", "label", "role", "expires_at"})


def test_nobody_makes_a_token_that_may_do_more(house: House) -> None:
    """Not more than its user, and not more than the caller."""
    house.add("alice")
    house.add("bob", OPERATOR)
    for name, role, ceiling in (
        ("bob", ADMINISTRATOR, ADMINISTRATOR),
        ("alice", ADMINISTRATOR, OPERATOR),
        ("alice", OPERATOR, VIEWER),
    ):
        with pytest.raises(PermissionMissing):
            issue(house, name, role, ceiling)
    assert house.tokens.listing() == []


def test_a_token_sinks_with_its_user(house: House) -> None:
    """What counts is what the user may do at the moment of the call; and it rises no higher than it was made."""
    house.add("alice")
    house.add("bob", OPERATOR)
    token = issue(house, "bob", OPERATOR)
    house.users.set_role("bob", VIEWER, audit=house.audit)
    assert house.tokens.identify(token).role is VIEWER
    house.users.set_role("bob", ADMINISTRATOR, audit=house.audit)
    assert house.tokens.identify(token).role is OPERATOR
    house.users.set_enabled("bob", enabled=False, audit=house.audit)
    with pytest.raises(NotAuthenticated):
        house.tokens.identify(token)


def test_a_token_ends(house: House) -> None:
    """To the second."""
    house.add()
    token = issue(house, "alice", VIEWER, life=timedelta(days=1))
    house.clock.pass_by(hours=23, minutes=59, seconds=59)
    assert house.tokens.identify(token)
    house.clock.pass_by(seconds=1)
    with pytest.raises(NotAuthenticated):
        house.tokens.identify(token)


def test_a_revoked_token_is_gone_at_once(house: House) -> None:
    """Twice is as once, and it stays in the list."""
    house.add("alice")
    house.add("bob", VIEWER)
    token = issue(house, "alice", VIEWER)
    (entry,) = house.tokens.listing("alice")
    with pytest.raises(NotFound):
        house.tokens.revoke(entry.id, of="bob", audit=house.audit)
    for _ in range(2):
        house.tokens.revoke(entry.id, of="alice", audit=house.audit)
    with pytest.raises(NotAuthenticated):
        house.tokens.identify(token)
    assert house.tokens.listing()[0].revoked_at == house.clock.now
    assert [action for action, _, _ in house.journal()].count("token-revoked") == 1
    with pytest.raises(NotFound):
        house.tokens.revoke(4711, audit=house.audit)


def test_the_last_use_is_noted(house: House) -> None:
    """To the minute: a busy program does not write for each call."""
    house.add()
    token = issue(house, "alice", VIEWER)
    assert house.tokens.listing()[0].used_at is None
    first = house.clock.now
    house.tokens.identify(token)
    house.clock.pass_by(seconds=59)
    house.tokens.identify(token)
    assert house.tokens.listing()[0].used_at == first
    house.clock.pass_by(seconds=1)
    house.tokens.identify(token)
    assert house.tokens.listing()[0].used_at == house.clock.now


@pytest.mark.parametrize("label", ["", " ", "x" * 65, "a\nb", "a\x1b[2J", "a\0"])
def test_a_label_can_be_shown(house: House, label: str) -> None:
    """Nothing in it does something to a terminal."""
    house.add()
    with pytest.raises(BadInput):
        house.tokens.issue("alice", label=label, role=VIEWER, ceiling=VIEWER, audit=house.audit)


@pytest.mark.parametrize("life", [timedelta(), timedelta(seconds=-1), timedelta(days=367), timedelta.max])
def test_no_token_is_for_ever(house: House, life: timedelta) -> None:
    """A year and a day at most."""
    house.add()
    with pytest.raises(BadInput):
        issue(house, "alice", VIEWER, life=life)


def test_no_other_text_is_a_token(house: House) -> None:
    """Well-formed ones that were never given out are none, and neither are a log-in's secret and a token's digest."""
    house.add()
    token = issue(house, "alice", VIEWER)
    texts = [opaque.new_token(), house.log_in(), opaque.digest(token).hex(), token.lower(), token + "\n", "", "\0"]
    for text in texts:
        with pytest.raises(NotAuthenticated):
            house.tokens.identify(text)
    with pytest.raises(NotAuthenticated):
        house.sessions.identify(token)
