"""Secrets that Troth makes itself: 256 random bits, kept as a SHA-256 only.

What is kept leads to no secret: whoever reads the database, or a copy of it, can neither log in nor call.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECK = 43, 6
TOKEN_PREFIX = "troth_"  # noqa: S105  # it is what tells a token
_TOKEN_LENGTH = len(TOKEN_PREFIX) + _BODY + _CHECK
_LONGEST_ID = 64


def new_id() -> str:
    """Make the secret that a browser holds: 256 bits, safe in a cookie."""
    return secrets.token_urlsafe(32)


def new_token() -> str:
    """Make an API token. Its prefix tells people and scanners what it is, its last six characters are a checksum."""
    body = TOKEN_PREFIX + _base62(secrets.randbits(256), _BODY)
    return body + _checksum(body)


def is_token(text: str) -> bool:
    """Tell whether a text is written like a token and its checksum is right; it need not be one that was given out."""
    body, check = text[:-_CHECK], text[-_CHECK:]
    return (
        len(text) == _TOKEN_LENGTH
        and text.startswith(TOKEN_PREFIX)
        and set(text[len(TOKEN_PREFIX) :]) <= set(_ALPHABET)
        and _checksum(body) == check
    )


def digest(secret: str) -> bytes:
    """Give what is kept of a secret. A text that cannot be one gives a digest that nothing has."""
    usable = secret.isascii() and len(secret) <= max(_TOKEN_LENGTH, _LONGEST_ID)
    return hashlib.sha256(secret.encode() if usable else b"").digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare two digests in a time that tells nothing."""
    return hmac.compare_digest(one, other)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)
