"""Passwords: what is accepted, how it is prepared, and what a check costs."""

from __future__ import annotations

import threading

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.accounts import passwords
from troth.accounts.passwords import CHEAPEST, PRODUCTION, Hasher, accept, prepare
from troth.errors import TooManyAttempts, WeakPassword

GOOD = "nine purple mountains sing"


def test_production_is_the_low_memory_profile_of_rfc_9106() -> None:
    """64 MiB, three passes, four lanes, argon2id; a new hasher has it unless it is told otherwise."""
    assert (PRODUCTION.memory_cost, PRODUCTION.time_cost, PRODUCTION.parallelism) == (65536, 3, 4)
    assert PRODUCTION.type is argon2.Type.ID
    hashed = Hasher().hash(GOOD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Hasher().verify(hashed, GOOD)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevencharx",
        "",
        "password1234",
        "P@ssw0rd!2024",
        "123456789012",
        "210987654321",
        "20230101-1234",
        "qwertyuiop123",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "Administrator1",
        "Summer2024!!!",
        "letmeinletmein",
        "correct horse battery staple",
        "1q2w3e4r5t6y",
        "alice-alice-alice",
        "Alice1234567",
        "tab\there and more",
        "line\nbreak and more",
        "nul\0 and much more",
        "\ud800 surrogate here",
        "unassigned \U000e0fff here",
        "x" * 1025,
        "ü" * 513,
    ],
)
def test_what_others_would_guess_or_nobody_can_type_is_refused(password: str) -> None:
    """Too short, too long, too common, the user's name, or not to be typed again."""
    with pytest.raises(WeakPassword):
        accept(password, name="alice")


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "kq8#vN2!pLw9z",
        "Zwölf grüne Äpfel",
        "密码很长而且不常见的一句话呀",
        "a" + "bcdxyz81" * 127,
        "my alice in chains ticket",
    ],
)
def test_length_counts_and_no_mixture(password: str) -> None:
    """Sentences are welcome in any script, and so is what a password manager makes."""
    accept(password, name="alice")


def test_a_password_is_the_same_however_it_is_typed() -> None:
    """Composed and decomposed letters are one, and so are blanks of other scripts; case and width are not changed."""
    assert prepare("Zwo\u0308lf gru\u0308ne") == prepare("Zw\u00f6lf gr\u00fcne")
    assert prepare("nine\u00a0purple\u3000mountains") == prepare("nine purple mountains")
    assert prepare("Nine") != prepare("nine")
    assert prepare("\uff4eine") != prepare("nine")


@given(st.text(max_size=40))
def test_preparing_twice_is_as_once(text: str) -> None:
    """What was prepared stays as it is, and is never longer than allowed."""
    try:
        once = prepare(text)
    except WeakPassword:
        return
    assert prepare(once.decode()) == once


@pytest.mark.parametrize("hostile", ["", "\0", "\ud800", "x" * 100_000, "nine purple mountains sinG", GOOD + " "])
def test_what_cannot_be_a_password_is_wrong_and_costs_the_same(hostile: str) -> None:
    """No input of a log-in is answered without a computation, and none raises."""
    hasher = Hasher(CHEAPEST)
    counted = Counting(hasher)
    assert not hasher.verify(hasher.hash(GOOD), hostile)
    assert counted.checks == 1


def test_nobody_costs_what_somebody_costs() -> None:
    """For a user who does not exist one hash is computed with the same parameters, and the answer is no."""
    hasher = Hasher(CHEAPEST)
    real = hasher.hash(GOOD)
    counted = Counting(hasher)
    assert not hasher.verify(None, GOOD)
    assert not hasher.verify(None, "another sentence")
    assert not hasher.verify(real, "wrong words of a sentence")
    assert counted.checks == 3
    assert all(argon2.extract_parameters(each) == CHEAPEST for each in counted.hashes)


def test_a_damaged_hash_lets_nobody_in() -> None:
    """What is no hash is nobody's password."""
    hasher = Hasher(CHEAPEST)
    for damaged in ("", "x", "$argon2id$", hasher.hash(GOOD)[:-1] + "!", "$2b$12$" + "a" * 53):
        assert not hasher.verify(damaged, GOOD)
        assert not hasher.verify(damaged, "")


def test_a_hash_of_another_cost_is_stale() -> None:
    """It is made anew when its user logs in next."""
    assert Hasher(PRODUCTION).stale(Hasher(CHEAPEST).hash(GOOD))
    assert not Hasher(CHEAPEST).stale(Hasher(CHEAPEST).hash(GOOD))


def test_few_hashes_at_a_time_and_a_short_queue() -> None:
    """No more than allowed are computed at once; whoever finds the queue full, or waits too long, is told to come later."""
    hasher = Hasher(CHEAPEST, at_once=1, queue=1, patience_s=0.01)
    held, release = threading.Event(), threading.Event()
    original = hasher._argon2

    class Slow:
        def hash(self, password: bytes) -> str:
            held.set()
            release.wait(30)
            return original.hash(password)

    hasher._argon2 = Slow()  # type: ignore[assignment]
    running = threading.Thread(target=hasher.hash, args=(GOOD,))
    running.start()
    held.wait(30)
    with pytest.raises(TooManyAttempts):
        hasher.verify(None, GOOD)  # waits, in vain
    with hasher._admitted, pytest.raises(TooManyAttempts):
        hasher.verify(None, GOOD)  # the queue is full
    release.set()
    running.join()
    hasher._argon2 = original
    assert hasher.verify(hasher.hash(GOOD), GOOD)


class Counting:
    """Counts the checks that a hasher computes."""

    def __init__(self, hasher: Hasher):
        self.checks = 0
        self.hashes: list[str] = []
        self._inner = hasher._argon2
        hasher._argon2 = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def verify(self, hashed: str, password: bytes) -> bool:
        """Check, and count it."""
        self.checks += 1
        self.hashes.append(hashed)
        return self._inner.verify(hashed, password)


def test_the_shortest_length_is_what_the_page_says() -> None:
    """Twelve characters, a thousand and twenty-four bytes."""
    assert (passwords.SHORTEST, passwords.MAX_BYTES) == (12, 1024)
