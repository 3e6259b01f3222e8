"""The door: guessing is slow, every refusal sounds alike, a code counts once, and nobody locks somebody else out."""

from __future__ import annotations

from datetime import timedelta

import argon2
import pyotp
import pytest

from tests.accounts.conftest import ELSEWHERE, HOME, OTHER, PASSWORD, House
from tests.accounts.racing import at_once
from tests.accounts.test_passwords import Counting
from troth.accounts.door import Door
from troth.accounts.passwords import CHEAPEST, Hasher
from troth.accounts.roles import Role
from troth.errors import BadInput, NotAuthenticated, SecondFactorNeeded, TooManyAttempts, TrothError, WeakPassword

WRONG = "eight green valleys answer"


def guess(house: House, name: str = "alice", password: str = WRONG, *, source: str = ELSEWHERE, **more: str) -> object:
    """Try to log in; give the secret, or the refusal."""
    try:
        return house.log_in(name, password, source=source, **more)
    except TrothError as error:
        return error


def enrolled(house: House, name: str = "alice") -> tuple[pyotp.TOTP, list[str]]:
    """Give a user a second factor; time passes until its next code."""
    made = pyotp.TOTP(house.factor.enrol(name).secret)
    recovery = house.factor.confirm(name, made.at(house.clock.now), audit=house.audit)
    house.clock.pass_by(seconds=30)
    return made, recovery


# Refusals


def test_every_refusal_sounds_alike(house: House) -> None:
    """Whether nobody has the name, the password is wrong, or the user is disabled: the same words, code and number."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    house.users.set_enabled("bob", enabled=False, audit=house.audit)
    found = [guess(house, "nobody"), guess(house, "alice"), guess(house, "bob", PASSWORD), guess(house, "\0")]
    assert {type(each) for each in found} == {NotAuthenticated}
    assert len({str(each.problem()) for each in found}) == 1  # type: ignore[attr-defined]


def test_a_name_that_nobody_has_costs_the_same(house: House) -> None:
    """As many hashes are computed, at the same cost, whoever it is and whatever is wrong."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    house.users.set_enabled("bob", enabled=False, audit=house.audit)
    counted = Counting(house.hasher)
    for name, password in (("nobody", PASSWORD), ("alice", WRONG), ("bob", PASSWORD), ("\0", "\0"), ("alice", "")):
        before = counted.checks
        assert isinstance(guess(house, name, password), NotAuthenticated)
        assert counted.checks == before + 1
    assert all(argon2.extract_parameters(each) == CHEAPEST for each in counted.hashes)


def test_a_password_of_another_cost_is_hashed_anew(house: House) -> None:
    """At the next log-in; it is the same password, and the date at which it was set stays."""
    house.add()
    set_at = house.users.get("alice").password_set_at
    dearer = argon2.Parameters(**{**vars_of(CHEAPEST), "time_cost": 2})
    house.clock.pass_by(days=1)
    door = Door(house.database, Hasher(dearer), house.factor, clock=house.clock)
    for _ in range(2):
        door.enter(door.knock("alice", HOME), PASSWORD, audit=house.audit)
    with house.database.transaction() as connection:
        row = connection.execute("SELECT password FROM account").fetchone()
    assert row is not None
    assert argon2.extract_parameters(str(row[0])) == dearer
    assert house.users.get("alice").password_set_at == set_at


def vars_of(profile: argon2.Parameters) -> dict[str, object]:
    """Give the parameters by name."""
    return {name: getattr(profile, name) for name in profile.__slots__}


# Lock-out


def test_a_guesser_waits_longer_each_time(house: House) -> None:
    """Five guesses are judged; the sixth still, and then there is a pause that doubles. The right password has to wait, too."""
    house.add()
    for _ in range(6):
        assert isinstance(guess(house), NotAuthenticated)
    refused = guess(house, password=PASSWORD)
    assert isinstance(refused, TooManyAttempts)
    assert refused.details["retry_after"] == 5
    house.clock.pass_by(seconds=5)
    assert isinstance(guess(house), NotAuthenticated)
    house.clock.pass_by(seconds=5)
    assert isinstance(guess(house), TooManyAttempts)
    house.clock.pass_by(seconds=5)
    assert isinstance(guess(house, password=PASSWORD), str)
    assert isinstance(guess(house), NotAuthenticated)  # and everything is forgiven


def test_refused_attempts_compute_nothing(house: House) -> None:
    """A guesser who does not wait costs nothing, and does not make the pause longer."""
    house.add()
    for _ in range(6):
        guess(house)
    counted = Counting(house.hasher)
    for _ in range(50):
        assert isinstance(guess(house), TooManyAttempts)
    assert counted.checks == 0
    house.clock.pass_by(seconds=5)
    assert isinstance(guess(house, password=PASSWORD), str)


def test_a_hundred_guesses_at_once_are_counted_as_a_hundred(house: House) -> None:
    """Parallel attempts do not slip past the tally: six are judged, whatever the moment."""
    house.add()
    found = at_once([lambda: guess(house)] * 40)
    assert sum(isinstance(each, NotAuthenticated) for each in found) == 6
    assert sum(isinstance(each, TooManyAttempts) for each in found) == 34


def test_nobody_locks_somebody_else_out(house: House) -> None:
    """A thousand guesses from a hundred addresses: the only administrator gets in, from a new place and from home."""
    house.add()
    house.log_in(source=HOME)
    for each in range(100):
        for _ in range(8):
            guess(house, source=f"203.0.113.{each}")
    strange, home = house.door.knock("alice", "192.0.2.200"), house.door.knock("alice", HOME)
    assert timedelta() < strange.delay <= timedelta(seconds=4)
    assert home.delay == timedelta()
    for attempt in (strange, home):
        assert house.door.enter(attempt, PASSWORD, audit=house.audit)


def test_one_source_cannot_try_one_password_on_everybody(house: House) -> None:
    """After thirty names the source waits, for any name; another source does not."""
    house.add()
    found = [guess(house, f"user{each}") for each in range(40)]
    assert [type(each) for each in found] == [NotAuthenticated] * 31 + [TooManyAttempts] * 9
    assert isinstance(guess(house, "alice", PASSWORD), TooManyAttempts)
    assert isinstance(guess(house, "alice", PASSWORD, source=HOME), str)


def test_an_own_account_washes_nothing_away(house: House) -> None:
    """Logging in between guesses at others does not reset what the source has failed."""
    house.add("alice")
    house.add("mallory", Role.VIEWER)
    refused = 0
    for each in range(40):
        refused += isinstance(guess(house, f"victim{each}"), TooManyAttempts)
        guess(house, "mallory", PASSWORD)
    assert refused == 9


def test_a_neighbour_does_not_lock_out_who_was_here_before(house: House) -> None:
    """Behind one address with a guesser: who logged in from there before is refused for own failures alone."""
    house.add()
    house.log_in(source=ELSEWHERE)
    for each in range(40):
        guess(house, f"user{each}")
    assert isinstance(guess(house, "alice", PASSWORD), str)


def test_a_whole_ipv6_network_is_one_guesser(house: House) -> None:
    """Another address in it gives no new guesses."""
    house.add()
    for each in range(6):
        guess(house, source=f"2001:db8:1:2::{each}")
    assert isinstance(guess(house, source="2001:db8:1:2:ffff::1"), TooManyAttempts)


def test_the_journal_is_told_of_guessing_once(house: House) -> None:
    """Not of every guess: whoever guesses must not be able to fill it; and not of names that nobody has."""
    house.add()
    for name in ("alice", "nobody"):
        for _ in range(10):
            guess(house, name)
            house.clock.pass_by(minutes=15)
    assert [entry for entry in house.journal() if entry[0] == "user-guessed-at"] == [
        ("user-guessed-at", "alice", {"source": ELSEWHERE})
    ]


def test_no_name_that_was_typed_is_kept(house: House) -> None:
    """Somebody typed a password into the field of the name: it is nowhere."""
    house.add()
    guess(house, PASSWORD)
    assert PASSWORD not in house.everything()


def test_forgotten_failures_are_swept(house: House) -> None:
    """The tallies of a day ago do not pile up."""
    house.add()
    for each in range(5):
        guess(house, f"user{each}", source=f"203.0.113.{each}")
    house.clock.pass_by(hours=25)
    guess(house)
    with house.database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM login_attempt").fetchone() == (3,)


def test_what_was_not_judged_is_not_counted(house: House) -> None:
    """When too many passwords are being checked, the attempt is given back."""
    house.add()
    hasher = Hasher(CHEAPEST, at_once=1, queue=0)
    door = Door(house.database, hasher, house.factor, clock=house.clock)
    with hasher._turn():
        for _ in range(20):
            with pytest.raises(TooManyAttempts):
                door.enter(door.knock("alice", ELSEWHERE), PASSWORD, audit=house.audit)
    assert door.enter(door.knock("alice", ELSEWHERE), PASSWORD, audit=house.audit)


# Races with changes


@pytest.mark.parametrize("change", ["password", "disable", "delete"])
def test_a_password_that_changes_meanwhile_is_wrong(house: House, change: str) -> None:
    """Between the look at the password and the log-in the user is changed: nobody gets in with what was."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    attempt = house.door.knock("bob", HOME)
    checked = house.hasher.verify

    def meanwhile(hashed: str | None, password: str) -> bool:
        answer = checked(hashed, password)
        if change == "password":
            house.users.set_password("bob", OTHER, audit=house.audit)
        elif change == "disable":
            house.users.set_enabled("bob", enabled=False, audit=house.audit)
        else:
            house.users.delete("bob", audit=house.audit)
        return answer

    house.hasher.verify = meanwhile  # type: ignore[method-assign]
    with pytest.raises(NotAuthenticated):
        house.door.enter(attempt, PASSWORD, audit=house.audit)
    assert house.sessions.listing("bob") == []


def test_an_own_password_is_changed_with_the_old_one(house: House) -> None:
    """All other log-ins end, a new one begins; a wrong old password counts as a guess."""
    house.add()
    before = house.log_in()
    with pytest.raises(NotAuthenticated):
        house.door.change_password(house.door.knock("alice", HOME), WRONG, OTHER, audit=house.audit)
    with pytest.raises(WeakPassword):
        house.door.change_password(house.door.knock("alice", HOME), PASSWORD, "short", audit=house.audit)
    secret = house.door.change_password(house.door.knock("alice", HOME), PASSWORD, OTHER, audit=house.audit)
    assert house.sessions.identify(secret).name == "alice"
    with pytest.raises(NotAuthenticated):
        house.sessions.identify(before)
    assert isinstance(guess(house, password=PASSWORD), NotAuthenticated)
    assert isinstance(guess(house, password=OTHER), str)


def test_who_sits_there_proves_who_it_is(house: House) -> None:
    """Before a second factor is changed; guesses there count as everywhere."""
    house.add()
    house.door.prove(house.door.knock("alice", HOME), PASSWORD, audit=house.audit)
    for _ in range(6):
        with pytest.raises(NotAuthenticated):
            house.door.prove(house.door.knock("alice", HOME), WRONG, audit=house.audit)
    with pytest.raises(TooManyAttempts):
        house.door.knock("alice", HOME)


# The second factor


def test_a_code_is_needed_and_counts_once(house: House) -> None:
    """The password alone is not enough, a code is accepted one step early or late, and never twice."""
    house.add()
    made, _ = enrolled(house)
    assert house.users.get("alice").second_factor
    assert isinstance(guess(house, password=PASSWORD), SecondFactorNeeded)
    assert isinstance(guess(house, code=made.at(house.clock.now)), NotAuthenticated)  # the password is wrong
    assert isinstance(guess(house, password=PASSWORD, code="000000x"), NotAuthenticated)
    code = made.at(house.clock.now)
    assert isinstance(guess(house, password=PASSWORD, code=f"{code[:3]} {code[3:]}"), str)
    assert isinstance(guess(house, password=PASSWORD, code=code), NotAuthenticated)
    house.clock.pass_by(seconds=60)
    assert isinstance(guess(house, password=PASSWORD, code=made.at(house.clock.now + timedelta(seconds=30))), str)
    # Codes of the steps before are over as well: somebody may have looked over a shoulder.
    for step in (-30, 0, 30):
        old = made.at(house.clock.now + timedelta(seconds=step))
        assert isinstance(guess(house, password=PASSWORD, code=old, source=HOME), NotAuthenticated)


def test_of_two_who_use_one_code_at_once_one_gets_in(house: House) -> None:
    """A code that is read on the way cannot be used beside its owner."""
    house.add()
    made, _ = enrolled(house)
    code = made.at(house.clock.now)
    found = at_once([lambda: guess(house, password=PASSWORD, code=code)] * 5)
    assert sum(isinstance(each, str) for each in found) == 1


def test_the_confirming_code_is_used_up(house: House) -> None:
    """The code that put the factor in force does not open the door as well."""
    house.add()
    made = pyotp.TOTP(house.factor.enrol("alice").secret)
    code = made.at(house.clock.now)
    house.factor.confirm("alice", code, audit=house.audit)
    assert isinstance(guess(house, password=PASSWORD, code=code), NotAuthenticated)


def test_codes_outside_the_window_are_wrong(house: House) -> None:
    """One step early or late, no more."""
    house.add()
    made, _ = enrolled(house)
    house.clock.pass_by(minutes=5)
    for steps in (-3, -2, 2, 3):
        away = made.at(house.clock.now + timedelta(seconds=30 * steps))
        assert isinstance(
            guess(house, password=PASSWORD, code=away, source=f"203.0.113.{steps + 10}"), NotAuthenticated
        )
    for steps in (-1, 1):
        near = made.at(house.clock.now + timedelta(seconds=30 * steps))
        assert isinstance(guess(house, password=PASSWORD, code=near, source=HOME), str)


def test_guessing_codes_is_locked_out_as_well(house: House) -> None:
    """Who knows the password has six codes to try, not a million."""
    house.add()
    enrolled(house)
    found = [guess(house, password=PASSWORD, code=f"{each:06}") for each in range(100_000, 100_020)]
    assert sum(isinstance(each, NotAuthenticated) and not isinstance(each, SecondFactorNeeded) for each in found) <= 6
    assert isinstance(found[-1], TooManyAttempts)


def test_asking_for_the_code_is_no_failure(house: House) -> None:
    """Who logs in in two steps, every day, is never slowed down for it."""
    house.add()
    made, _ = enrolled(house)
    for _ in range(40):
        assert isinstance(guess(house, password=PASSWORD), SecondFactorNeeded)
        assert isinstance(guess(house, password=PASSWORD, code=made.at(house.clock.now)), str)
        house.clock.pass_by(seconds=30)
    assert house.door.knock("alice", "203.0.113.5").delay == timedelta()


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "１２３４５６", "12345٣", "abcdef", "\0" * 6, "-" * 16, "A" * 10_000]
)
def test_no_other_text_is_a_code(house: House, code: str) -> None:
    """And none raises anything else."""
    house.add()
    enrolled(house)
    assert isinstance(guess(house, password=PASSWORD, code=code), NotAuthenticated)


def test_each_recovery_code_opens_once(house: House) -> None:
    """However it is written; it is not in the database, and its use is noted."""
    house.add()
    _, recovery = enrolled(house)
    assert len(set(recovery)) == 10
    assert not any(each in house.everything() or each.replace("-", "") in house.everything() for each in recovery)
    assert isinstance(guess(house, password=PASSWORD, code=recovery[0].lower().replace("-", " ")), str)
    assert house.journal()[-1][2]["by"] == "recovery-code"
    assert isinstance(guess(house, password=PASSWORD, code=recovery[0]), NotAuthenticated)
    found = at_once([lambda: guess(house, password=PASSWORD, code=recovery[1])] * 4)
    assert sum(isinstance(each, str) for each in found) == 1


def test_a_factor_counts_only_when_it_is_confirmed(house: House) -> None:
    """A new one that waits does not replace the one in force; a wrong code confirms nothing."""
    house.add()
    with pytest.raises(BadInput):
        house.factor.confirm("alice", "123456", audit=house.audit)
    house.factor.enrol("alice")
    with pytest.raises(NotAuthenticated):
        house.factor.confirm("alice", "12345", audit=house.audit)
    assert isinstance(guess(house, password=PASSWORD), str)
    made, old = enrolled(house)
    fresh = pyotp.TOTP(house.factor.enrol("alice").secret)
    assert isinstance(guess(house, password=PASSWORD, code=fresh.at(house.clock.now)), NotAuthenticated)
    assert isinstance(guess(house, password=PASSWORD, code=made.at(house.clock.now)), str)
    house.factor.confirm("alice", fresh.at(house.clock.now), audit=house.audit)
    house.clock.pass_by(seconds=30)
    assert isinstance(guess(house, password=PASSWORD, code=old[0]), NotAuthenticated)
    assert isinstance(guess(house, password=PASSWORD, code=fresh.at(house.clock.now)), str)


def test_a_factor_that_was_removed_is_not_asked_for(house: House) -> None:
    """Nor do its recovery codes live on."""
    house.add()
    enrolled(house)
    house.factor.remove("alice", audit=house.audit)
    assert isinstance(guess(house, password=PASSWORD), str)
    with house.database.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM recovery_code").fetchone() == (0,)


def test_the_shared_secret_is_sealed_for_its_user(house: House) -> None:
    """It is not in the database, and moved to another user's row it opens nothing: nobody logs in, with any code."""
    house.add("alice")
    house.add("bob", Role.VIEWER)
    made, _ = enrolled(house)
    assert made.secret not in house.everything()
    with house.database.transaction() as connection:
        connection.execute(
            "UPDATE account SET totp = (SELECT totp FROM account WHERE name = 'alice') WHERE name = 'bob'"
        )
    with pytest.raises(ValueError, match="something else"):
        house.log_in("bob", code=made.at(house.clock.now))
    assert house.sessions.listing("bob") == []


def test_the_address_for_the_telephone(house: House) -> None:
    """The issuer and the name stand in it, and the secret has 160 bits."""
    house.add()
    enrolment = house.factor.enrol("alice")
    read = pyotp.parse_uri(enrolment.uri)
    assert (read.name, read.issuer, read.secret) == ("alice", "Troth", enrolment.secret)
    assert len(enrolment.secret) == 32
