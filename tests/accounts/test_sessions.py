"""Log-ins: who holds the secret is the user, until it ends; and nobody can choose the secret."""

from __future__ import annotations

import pytest

from tests.accounts.conftest import OTHER, PASSWORD, House
from troth.accounts import opaque
from troth.accounts.roles import Role
from troth.errors import NotAuthenticated, NotFound

ENDED = NotAuthenticated


def test_a_log_in_is_who_one_is(house: House) -> None:
    """The secret tells the user and the role, and is not in the database."""
    house.add("bob", Role.OPERATOR)
    secret = house.log_in("bob")
    found = house.sessions.identify(secret)
    assert (found.name, found.role, found.means) == ("bob", Role.OPERATOR, "login")
    assert secret not in house.everything()


def test_a_planted_secret_is_worth_nothing(house: House) -> None:
    """Fixation: what the browser held before is never what it holds afterwards, and ends."""
    house.add("alice")
    house.add("mallory", Role.VIEWER)
    planted = opaque.new_id()
    secret = house.log_in(replaces=planted)
    assert secret != planted
    with pytest.raises(ENDED):
        house.sessions.identify(planted)
    # Mallory's own log-in, planted in Alice's browser, ends as soon as Alice logs in there.
    mallorys = house.log_in("mallory")
    house.log_in(replaces=mallorys)
    with pytest.raises(ENDED):
        house.sessions.identify(mallorys)
    assert house.sessions.identify(secret).name == "alice"


def test_a_rotated_secret_is_worth_nothing(house: House) -> None:
    """The new one is the same log-in, and neither limit is put off by it."""
    house.add()
    first = house.log_in()
    house.clock.pass_by(minutes=20)
    second = house.sessions.rotate(first)
    assert house.sessions.identify(second).name == "alice"
    for again in (house.sessions.identify, house.sessions.rotate):
        with pytest.raises(ENDED):
            again(first)
    for _ in range(34):  # up to 11 h 40 min
        house.clock.pass_by(minutes=20)
        second = house.sessions.rotate(second)
    house.clock.pass_by(minutes=20)
    with pytest.raises(ENDED):
        house.sessions.rotate(second)


def test_half_an_hour_without_a_call_ends_it(house: House) -> None:
    """A call within the half hour keeps it."""
    house.add()
    secret = house.log_in()
    for _ in range(3):
        house.clock.pass_by(minutes=29, seconds=59)
        house.sessions.identify(secret)
    house.clock.pass_by(minutes=30)
    with pytest.raises(ENDED):
        house.sessions.identify(secret)


def test_twelve_hours_end_it_in_any_case(house: House) -> None:
    """However busy it is."""
    house.add()
    secret = house.log_in()
    for _ in range(12 * 4 - 1):
        house.clock.pass_by(minutes=15)
        house.sessions.identify(secret)
    house.clock.pass_by(minutes=15)
    with pytest.raises(ENDED):
        house.sessions.identify(secret)


def test_a_log_in_from_the_future_is_not_believed(house: House) -> None:
    """A clock that was far ahead when it began does not make it last longer."""
    house.add()
    house.clock.pass_by(days=30)
    secret = house.log_in()
    house.clock.pass_by(days=-30)
    with pytest.raises(ENDED):
        house.sessions.identify(secret)


@pytest.mark.parametrize(
    "change",
    [
        lambda house: house.users.set_password("bob", OTHER, audit=house.audit),
        lambda house: house.users.set_role("bob", Role.OPERATOR, audit=house.audit),
        lambda house: house.users.set_enabled("bob", enabled=False, audit=house.audit),
        lambda house: house.users.delete("bob", audit=house.audit),
        lambda house: house.factor.remove("bob", audit=house.audit),
    ],
    ids=["password", "role", "disabled", "deleted", "factor"],
)
def test_a_change_of_the_user_ends_every_log_in(house: House, change: object) -> None:
    """Of that user, and of nobody else."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    mine, his = house.log_in(), [house.log_in("bob"), house.log_in("bob")]
    change(house)  # type: ignore[operator]
    for each in his:
        with pytest.raises(ENDED):
            house.sessions.identify(each)
    assert house.sessions.identify(mine).name == "alice"


def test_disabling_ends_log_ins_for_good(house: House) -> None:
    """They do not come back when the user may log in again."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    his = house.log_in("bob")
    for enabled in (False, True):
        house.users.set_enabled("bob", enabled=enabled, audit=house.audit)
    with pytest.raises(ENDED):
        house.sessions.identify(his)


def test_log_ins_are_listed_and_ended_one_by_one(house: House) -> None:
    """By their numbers; a number of another user's is not found."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    first = house.log_in(agent="Firefox\x1b[2J" + "x" * 1000)
    house.clock.pass_by(minutes=1)
    second, his = house.log_in(source="2001:db8::5"), house.log_in("bob")
    listed = house.sessions.listing("alice")
    assert [each.source for each in listed] == ["2001:db8::/64", "192.0.2.7"]
    assert "\x1b" not in listed[1].agent
    assert len(listed[1].agent) == 200
    with pytest.raises(NotFound):
        house.sessions.end_one("bob", listed[0].id, audit=house.audit)
    house.sessions.end_one("alice", listed[0].id, audit=house.audit)
    with pytest.raises(ENDED):
        house.sessions.identify(second)
    house.sessions.end(first)
    with pytest.raises(ENDED):
        house.sessions.identify(first)
    assert house.sessions.identify(his)
    assert ("user-login-ended", "alice", {"login": listed[0].id}) in house.journal()


def test_what_has_ended_is_swept(house: House) -> None:
    """Log-ins that ended by themselves do not pile up."""
    house.add()
    for _ in range(3):
        house.log_in()
    house.clock.pass_by(minutes=31)
    alive = house.log_in()
    house.clock.pass_by(minutes=1)
    house.sessions.sweep()
    with house.database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM login").fetchone() == (1,)
    assert house.sessions.identify(alive)


@pytest.mark.parametrize("secret", ["", "x", "\0", "\ud800", "ü" * 43, "x" * 1_000_000, "' OR 1=1 --", PASSWORD])
def test_no_other_text_is_a_secret(house: House, secret: str) -> None:
    """And none of them does harm."""
    house.add()
    house.log_in()
    with pytest.raises(ENDED):
        house.sessions.identify(secret)
    house.sessions.end(secret)
