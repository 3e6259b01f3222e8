"""SHA-256 fingerprints, as people paste them and as Troth shows them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

from troth.errors import BadFingerprint

_FILE = r"(?:\([^()]{0,100}\))?"  # `openssl dgst` names what it read
_PREFIX = re.compile(
    r"^(?:sha-?256[ \t]+fingerprint[ \t]*=|fingerprint[ \t]*=|pin-sha256=|sha-?(?:2-)?256"
    + _FILE
    + r"[ \t]*(?://|[:=])"
    r"|sha-?(?:2-)?256[ \t]+|0x(?=[0-9a-f]{64}$))\s*",
    re.I,
)
_OTHER_HASH = re.compile(
    r"(md5|sha-?(?:2-)?(1|224|384|512))" + _FILE + r"[ \t]*(?:fingerprint[ \t]*=|[:=]|[ \t](?=[0-9a-f]{2}))", re.I
)
_PLACEHOLDER = re.compile(r"<?(?:sha256:)?(?:FINGERPRINT|FP|…|\.{3})>?")
_HEX = re.compile(r"[0-9a-f]+", re.I)
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True, order=True)
class Fingerprint:
    """The SHA-256 of a certificate's DER or of a SubjectPublicKeyInfo.

    Compare fingerprints with `==`; they are public values, and equality takes the same time wherever they differ.
    """

    digest: bytes

    def __post_init__(self) -> None:
        if len(self.digest) != 32:
            raise BadFingerprint(
                f"A SHA-256 fingerprint has 32 bytes, this one has {len(self.digest)}.",
                next_command="openssl x509 -noout -fingerprint -sha256 -in FILE",
            )

    @classmethod
    def of(cls, data: bytes) -> Fingerprint:
        """Hash `data`."""
        return cls(hashlib.sha256(data).digest())

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Read a fingerprint in any notation that tools print.

        Accepts `sha256:` and hex, bare hex, hex after `0x` or with colons, blanks or dashes, openssl's
        `sha256 Fingerprint=AA:BB…` and `SHA2-256(stdin)= …`, OpenSSH's `SHA256:` and base64, curl's `sha256//` and base64, and HPKP's `pin-sha256="…"`.

        Raises:
            BadFingerprint: It is none of these, or it is of another length (SHA-1, MD5).
        """
        shown = text if len(text) <= _MAX_TEXT else text[:40] + "…"
        body = text.strip().strip("\"'")
        if _PLACEHOLDER.fullmatch(body):
            raise _bad(shown, "the word stands for the fingerprint itself; put that in its place")
        other = _OTHER_HASH.match(body)
        if other:
            raise _bad(shown, f"it is {f'a SHA-{other[2]}' if other[2] else 'an MD5'} fingerprint")
        if len(text) > _MAX_TEXT:
            raise _bad(shown, "it is far too long")
        body = _PREFIX.sub("", body, count=1).strip().strip("\"'")
        compact = re.sub(r"[:\s-]", "", body)
        if _HEX.fullmatch(compact) and len(compact) != 44 and len(compact) != 43:
            return cls(_from_hex(text, compact))
        try:
            digest = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise _bad(text, "it is neither hexadecimal nor base64") from None
        if len(digest) != 32:
            raise _bad(text, f"it holds {len(digest)} bytes, not 32")
        return cls(digest)

    def __str__(self) -> str:
        """Give `sha256:` and 64 hexadecimal digits."""
        return "sha256:" + self.digest.hex()

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Fingerprint) and hmac.compare_digest(self.digest, other.digest)

    def __hash__(self) -> int:
        """Hash by the digest, with the process's own secret: whoever chooses fingerprints cannot make them collide."""
        return hash(self.digest)

    @property
    def spoken(self) -> str:
        """The fingerprint in groups of four digits, to be compared aloud."""
        text = self.digest.hex()
        return " ".join(text[i : i + 4] for i in range(0, 64, 4))


def _from_hex(text: str, compact: str) -> bytes:
    if len(compact) == 64:
        return bytes.fromhex(compact)
    kind = {40: "a SHA-1 fingerprint", 32: "an MD5 fingerprint", 128: "a SHA-512 fingerprint"}.get(len(compact))
    raise _bad(text, f"it is {kind}" if kind else f"it has {len(compact)} hexadecimal digits, not 64")


def _bad(text: str, why: str) -> BadFingerprint:
    shown = text if text.isprintable() else ascii(text)
    return BadFingerprint(
        f"{shown!r} is not a SHA-256 fingerprint: {why}.",
        next_command="openssl x509 -noout -fingerprint -sha256 -in FILE",
    )
