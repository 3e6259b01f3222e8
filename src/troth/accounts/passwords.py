"""Passwords: which ones are accepted, and how they are kept (argon2id).

A password is prepared as RFC 8265 says for opaque strings: blanks of other scripts become the ASCII one, the text is
brought to Unicode's form NFC, and control characters and unassigned code points are refused. Neither case nor width is
changed.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING

import argon2
from argon2 import exceptions
from argon2.low_level import Type

from troth.accounts.common_passwords import is_common
from troth.accounts.throttle import too_many
from troth.errors import WeakPassword

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST = 12
MAX_BYTES = 1024
_REFUSED = {"Cc", "Cs", "Cn", "Co"}
_BESIDE_THE_NAME = 8

# RFC 9106, the second recommended choice: 64 MiB, 3 passes, 4 lanes.
PRODUCTION = argon2.profiles.RFC_9106_LOW_MEMORY
# For tests alone: it holds nobody up, an attacker neither.
CHEAPEST = argon2.Parameters(
    type=Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=8, parallelism=1
)


class Hasher:
    """Makes and checks hashes of passwords, a few at a time: each takes 64 MiB. Threads may share it.

    Args:
        profile: What a hash costs.
        at_once: How many are computed at the same time.
        queue: How many more may wait for that; who comes later is told to.
        patience_s: How long one waits.
    """

    def __init__(
        self, profile: argon2.Parameters = PRODUCTION, *, at_once: int = 2, queue: int = 16, patience_s: float = 10.0
    ):
        self._argon2 = argon2.PasswordHasher.from_parameters(profile)
        self._running = threading.BoundedSemaphore(at_once)
        self._admitted = threading.BoundedSemaphore(at_once + queue)
        self._patience_s = patience_s
        # A user that does not exist is checked against this one, at the same cost.
        self._nobody = self._argon2.hash(secrets.token_bytes(32))

    def hash(self, password: str) -> str:
        """Hash a new password; `accept` says before whether it may be one.

        Raises:
            WeakPassword: It cannot be prepared.
            TooManyAttempts: Too many hashes are being computed.
        """
        prepared = prepare(password)
        with self._turn():
            return self._argon2.hash(prepared)

    def verify(self, hashed: str | None, password: str) -> bool:
        """Tell whether a password is the one of a hash. It costs the same for one that cannot be, and for no hash.

        Args:
            hashed: The hash, or None where there is no such user: then the answer is no.
            password: What was given.

        Raises:
            TooManyAttempts: Too many hashes are being computed.
        """
        try:
            prepared = prepare(password)
        except WeakPassword:
            hashed, prepared = None, b""
        with self._turn():
            try:
                self._argon2.verify(self._nobody if hashed is None else hashed, prepared)
            except (exceptions.VerificationError, exceptions.InvalidHashError):
                return False
        return hashed is not None

    def stale(self, hashed: str) -> bool:
        """Tell whether a hash was made at another cost than new ones are."""
        return self._argon2.check_needs_rehash(hashed)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._admitted.acquire(blocking=False):
            raise too_many(1)
        try:
            if not self._running.acquire(timeout=self._patience_s):
                raise too_many(1)
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._admitted.release()


def prepare(password: str) -> bytes:
    """Give the bytes that are hashed.

    Raises:
        WeakPassword: It is empty, too long, or holds what cannot be typed again for certain.
    """
    if not password:
        raise WeakPassword("The password is empty.")
    if len(password) > MAX_BYTES:
        raise WeakPassword(f"The password is longer than {MAX_BYTES} bytes.")
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    if any(unicodedata.category(each) in _REFUSED for each in spaced):
        raise WeakPassword("The password holds a control character, or one that has no meaning yet.")
    prepared = unicodedata.normalize("NFC", spaced).encode()
    if len(prepared) > MAX_BYTES:
        raise WeakPassword(f"The password is longer than {MAX_BYTES} bytes.")
    return prepared


def accept(password: str, *, name: str) -> None:
    """Go on only if a password may become a user's. Length counts, not a mixture: a sentence with blanks is welcome.

    Raises:
        WeakPassword: It is too short or too long, the user's name, or one of those that are tried first.
    """
    text = prepare(password).decode()
    if len(text) < SHORTEST:
        raise WeakPassword(
            f"The password is shorter than {SHORTEST} characters.", next_command="take four or more words, with blanks"
        )
    folded = text.casefold()
    if name.casefold() in folded and len(folded.replace(name.casefold(), "")) < _BESIDE_THE_NAME:
        raise WeakPassword("The password is little more than the user's name.")
    if is_common(text):
        raise WeakPassword(
            "The password is one of those that are tried first.",
            why="it is a common word, a run along the keyboard, or repeats itself",
            next_command="take four or more words that do not belong together",
        )
