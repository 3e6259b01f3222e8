"""Users: every change is whole and noted, and there is always an administrator who can log in."""

from __future__ import annotations

import threading

import pytest

from tests.accounts.conftest import OTHER, PASSWORD, House
from tests.accounts.racing import at_once
from troth.accounts.roles import Role
from troth.database.pool import Connection
from troth.errors import (
    BadInput,
    LastAdministrator,
    NameTaken,
    NotAuthenticated,
    NotFound,
    WeakPassword,
)

ADMINISTRATOR, OPERATOR, VIEWER = Role.ADMINISTRATOR, Role.OPERATOR, Role.VIEWER


_WAITS_FOR_ME = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


def test_a_user_is_added_changed_and_deleted(house: House) -> None:
    """Each change is there afterwards, and stands in the journal with nothing secret."""
    house.add("alice")
    house.add("bob", VIEWER)
    house.users.set_role("bob", OPERATOR, audit=house.audit)
    house.users.set_password("bob", OTHER, audit=house.audit)
    house.users.set_enabled("bob", enabled=False, audit=house.audit)
    bob = house.users.get("Bob ")
    assert (bob.name, bob.role, bob.enabled, bob.second_factor) == ("bob", OPERATOR, False, False)
    assert (bob.created_at, bob.password_set_at) == (house.clock.now, house.clock.now)
    house.users.set_enabled("bob", enabled=True, audit=house.audit)
    house.users.delete("bob", audit=house.audit)
    assert [each.name for each in house.users.listing()] == ["alice"]
    assert [(action, subject) for action, subject, _ in house.journal()] == [
        ("user-added", "alice"),
        ("user-added", "bob"),
        ("user-role-set", "bob"),
        ("user-password-set", "bob"),
        ("user-disabled", "bob"),
        ("user-enabled", "bob"),
        ("user-deleted", "bob"),
    ]
    everything = house.everything()
    assert PASSWORD not in everything
    assert OTHER not in everything


def test_what_changes_nothing_is_not_noted(house: House) -> None:
    """The same role again, or enabling who is enabled, is no change and ends no log-in."""
    house.add()
    secret = house.log_in()
    before = house.journal()
    house.users.set_role("alice", ADMINISTRATOR, audit=house.audit)
    house.users.set_enabled("alice", enabled=True, audit=house.audit)
    assert house.journal() == before
    assert house.sessions.identify(secret)


def test_a_change_that_cannot_be_noted_does_not_happen(house: House) -> None:
    """The journal is part of the change: where it fails, everything is as before."""
    house.add("alice")
    house.add("bob", VIEWER)
    before = house.everything()

    def broken(connection: Connection, action: str, subject: str, detail: dict[str, object]) -> None:
        raise RuntimeError("the journal is full")

    changes = [
        lambda: house.users.create("carol", PASSWORD, VIEWER, audit=broken),
        lambda: house.users.set_role("bob", OPERATOR, audit=broken),
        lambda: house.users.set_password("bob", OTHER, audit=broken),
        lambda: house.users.set_enabled("bob", enabled=False, audit=broken),
        lambda: house.users.delete("bob", audit=broken),
        lambda: house.tokens.issue("bob", label="x", role=VIEWER, ceiling=VIEWER, audit=broken),
        lambda: house.factor.remove("bob", audit=broken),
    ]
    for change in changes:
        with pytest.raises(RuntimeError, match="full"):
            change()
    assert house.everything() == before


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "Ä", "-a", ".a", "a" * 65, "a\nb", "a\0", "аlice", "a;DROP TABLE account", "../a", "a\u200b", "%"],
)
def test_names_have_one_spelling(house: House, name: str) -> None:
    """What could look like another name, or be read as more than one, is no name; and is found nowhere, either."""
    with pytest.raises(BadInput):
        house.users.create(name, PASSWORD, VIEWER, audit=house.audit)
    for look in (house.users.get, house.sessions.listing, house.factor.enrol):
        with pytest.raises(NotFound):
            look(name)
    with pytest.raises(NotAuthenticated):
        house.log_in(name)


def test_a_name_is_taken_once(house: House) -> None:
    """Also in capitals, and also when several take it at the same moment."""
    house.add("alice")
    with pytest.raises(NameTaken):
        house.add("ALICE")
    found = at_once([lambda: house.add("bob", VIEWER)] * 6)
    assert sorted(type(each).__name__ for each in found) == ["NameTaken"] * 5 + ["NoneType"]


def test_weak_passwords_are_refused_everywhere(house: House) -> None:
    """When a user is added, and when a password is set."""
    house.add()
    with pytest.raises(WeakPassword):
        house.add("bob", VIEWER, "password1234")
    with pytest.raises(WeakPassword):
        house.users.set_password("alice", "alice-alice-alice", audit=house.audit)


def test_the_last_administrator_stays(house: House) -> None:
    """The last enabled one cannot be deleted, demoted or disabled; one who is disabled does not count."""
    house.add("alice")
    house.add("bob")
    house.add("carol", OPERATOR)
    house.users.set_enabled("bob", enabled=False, audit=house.audit)
    before = house.everything()
    for change in (
        lambda: house.users.delete("alice", audit=house.audit),
        lambda: house.users.set_role("alice", OPERATOR, audit=house.audit),
        lambda: house.users.set_enabled("alice", enabled=False, audit=house.audit),
    ):
        with pytest.raises(LastAdministrator):
            change()
    assert house.everything() == before
    house.users.delete("bob", audit=house.audit)
    house.users.set_role("carol", ADMINISTRATOR, audit=house.audit)
    house.users.delete("alice", audit=house.audit)


def test_two_administrators_delete_each_other(house: House) -> None:
    """At the same moment: exactly one of them wins. Each holds its deletion back until the other has come as far."""
    house.add("alice")
    house.add("bob")
    arrived, both = [], threading.Event()

    def held_back(connection: Connection, action: str, subject: str, detail: dict[str, object]) -> None:
        arrived.append(subject)
        if len(arrived) == 2:
            both.set()
        while not both.wait(0.02):  # or until the second one waits for the first
            if connection.execute(_WAITS_FOR_ME).fetchone():
                break
        house.audit(connection, action, subject, detail)

    found = at_once(
        [lambda: house.users.delete("alice", audit=held_back), lambda: house.users.delete("bob", audit=held_back)]
    )
    assert sorted(type(each).__name__ for each in found) == ["LastAdministrator", "NoneType"]
    assert len(house.users.listing()) == 1
    assert [action for action, _, _ in house.journal()].count("user-deleted") == 1


def test_all_ways_of_losing_administrators_at_once(house: House) -> None:
    """Eight administrators are deleted, demoted and disabled in one moment: one who can log in is left."""
    for each in range(8):
        house.add(f"admin{each}")
    ways = [
        lambda: house.users.delete("admin0", audit=house.audit),
        lambda: house.users.set_role("admin1", VIEWER, audit=house.audit),
        lambda: house.users.set_enabled("admin2", enabled=False, audit=house.audit),
        lambda: house.users.delete("admin3", audit=house.audit),
        lambda: house.users.set_role("admin4", OPERATOR, audit=house.audit),
        lambda: house.users.set_enabled("admin5", enabled=False, audit=house.audit),
        lambda: house.users.delete("admin6", audit=house.audit),
        lambda: house.users.set_role("admin7", VIEWER, audit=house.audit),
    ]
    found = at_once(ways)
    assert sum(isinstance(each, LastAdministrator) for each in found) == 1
    left = [each for each in house.users.listing() if each.role is ADMINISTRATOR and each.enabled]
    assert len(left) == 1


def test_a_number_is_never_given_again(house: House) -> None:
    """Who is added under the name of somebody who was deleted is somebody else."""
    house.add("alice")
    house.add("bob", VIEWER)
    before = house.users.get("bob").id
    secret, _ = house.tokens.issue("bob", label="x", role=VIEWER, ceiling=VIEWER, audit=house.audit)
    login = house.log_in("bob")
    house.users.delete("bob", audit=house.audit)
    house.add("bob", ADMINISTRATOR)
    assert house.users.get("bob").id != before
    for look, what in ((house.tokens.identify, secret), (house.sessions.identify, login)):
        with pytest.raises(NotAuthenticated):
            look(what)
