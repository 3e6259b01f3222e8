"""Fingerprints: every notation that tools print is read, and nothing that could be another thing."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import BadFingerprint
from troth.model import fingerprint as module
from troth.model.fingerprint import Fingerprint

DIGEST = hashlib.sha256(b"the key").digest()
HEX = DIGEST.hex()
B64 = base64.b64encode(DIGEST).decode()
COLONS = ":".join(HEX[i : i + 2] for i in range(0, 64, 2))


@pytest.mark.parametrize(
    "text",
    [
        HEX, HEX.upper(), "sha256:" + HEX, "SHA256:" + HEX.upper(), "sha-256:" + HEX, "sha256=" + HEX,
        COLONS, COLONS.upper(), "sha256:" + COLONS,
        COLONS.replace(":", " "), COLONS.replace(":", "-"), " ".join(HEX[i : i + 4] for i in range(0, 64, 4)),
        f"sha256 Fingerprint={COLONS.upper()}", f"SHA256 Fingerprint={COLONS.upper()}", f"SHA256 Fingerprint = {COLONS}",
        f"Fingerprint={COLONS}", f"Fingerprint = {HEX}", f"SHA2-256(stdin)= {HEX}", f"SHA256(cert.der)= {HEX}", f"SHA-256 {HEX}",
        f"SHA256 {COLONS}", "0x" + HEX, "0X" + HEX.upper(),
        "SHA256:" + B64.rstrip("="), "SHA256:" + B64, "sha256//" + B64, "sha256//" + B64.rstrip("="),
        f'pin-sha256="{B64}"', f"pin-sha256={B64}", f"pin-sha256='{B64}'",
        B64, B64.rstrip("="),
        f'"{HEX}"', f"'{HEX}'", f"  {HEX}  ", f"{HEX}\n", f"\tsha256:{HEX}\r\n", HEX[:32] + "\n" + HEX[32:],
    ],
)  # fmt: skip
def test_every_notation_of_a_tool_is_read(text: str) -> None:
    """openssl, OpenSSH, curl, HPKP, browsers, and people who paste: one digest, one fingerprint."""
    assert Fingerprint.parse(text).digest == DIGEST


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "sha256:", "sha256//", "fingerprint=", "pin-sha256=", '""',
        HEX[:-1], HEX + "0", HEX[:-2], HEX + "00", HEX[:-1] + "g", "0x" + HEX[:-1], "0x0x" + HEX, HEX + "\x1b[0m", HEX + "\0", HEX + "|", "sha256:sha256:" + HEX,
        HEX + " " + HEX, HEX[:62] + "..", "٠" * 64, "ａ" * 64, HEX.translate({ord("a"): "а", ord("0"): "О"}),
        "a" * 40, "sha1:" + "a" * 40, "md5:" + "b" * 32, "b" * 32, "c" * 96, "d" * 128, "sha512:" + "d" * 128, "sha384:" + HEX, "md5:" + HEX,
        B64[:-2], "A" + B64, B64 + "A", B64[:-1] + "==", "sha256///" + B64, base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode(),
        B64[:20] + "\n" + B64[20:], B64 + "\nB", base64.b64encode(DIGEST * 2).decode(), base64.b64encode(DIGEST[:20]).decode(),
        "SHA1 Fingerprint=" + ":".join(["AA"] * 20), "x" * 201, HEX + " " * 200, "sha256:FINGERPRINT", "FINGERPRINT", "sha256:…",
    ],
)  # fmt: skip
def test_what_is_no_sha256_fingerprint_is_refused(text: str) -> None:
    """Other lengths, other hashes, look-alike digits and damaged pastes are refused, with the command that prints a good one."""
    with pytest.raises(BadFingerprint) as caught:
        Fingerprint.parse(text)
    assert caught.value.exit_code == 2
    assert "-sha256" in caught.value.next_command
    shown = f"{caught.value.what}{caught.value.why}"
    assert shown.isprintable()
    assert len(shown) < 500


@pytest.mark.parametrize(("length", "name"), [(40, "SHA-1"), (32, "MD5"), (128, "SHA-512")])
def test_another_hash_is_named(length: int, name: str) -> None:
    """Who pastes a fingerprint of another hash is told which one it is."""
    with pytest.raises(BadFingerprint, match=name):
        Fingerprint.parse("ab" * (length // 2))


@pytest.mark.parametrize(
    ("text", "name"),
    [("SHA1 Fingerprint=" + ":".join(["AA"] * 20), "a SHA-1"), ("sha1:" + "ab" * 20, "a SHA-1"), ("MD5 Fingerprint=" + ":".join(["AA"] * 16), "an MD5"),
     ("SHA512 Fingerprint=" + "AA" * 64, "a SHA-512"), ("SHA512 Fingerprint=" + ":".join(["AA"] * 64), "a SHA-512"), ("MD5:" + ":".join(["aa"] * 16), "an MD5"), ("sha1 Fingerprint=" + HEX, "a SHA-1")],
)  # fmt: skip
def test_another_hash_is_named_as_openssl_prints_it(text: str, name: str) -> None:
    """`openssl x509 -fingerprint` prints SHA-1 where no hash is named: the commonest mistake is told as what it is."""
    with pytest.raises(BadFingerprint, match=name):
        Fingerprint.parse(text)


@pytest.mark.parametrize("length", [0, 20, 31, 33, 64])
def test_a_digest_of_another_length_is_never_made(length: int) -> None:
    """No fingerprint of another length exists, however it is made."""
    with pytest.raises(BadFingerprint):
        Fingerprint(b"x" * length)


@given(st.binary(min_size=32, max_size=32))
def test_text_and_parse_are_inverse(digest: bytes) -> None:
    """What is printed, in every notation that can be printed, is read back as the same fingerprint."""
    made = Fingerprint(digest)
    encoded = base64.b64encode(digest).decode()
    for text in (str(made), made.spoken, digest.hex(), "SHA256:" + encoded.rstrip("="), "sha256//" + encoded):
        assert Fingerprint.parse(text) == made
    assert re.fullmatch("sha256:[0-9a-f]{64}", str(made))
    assert re.fullmatch("([0-9a-f]{4} ){15}[0-9a-f]{4}", made.spoken)


@given(st.text(max_size=220))
def test_any_text_is_a_fingerprint_or_refused(text: str) -> None:
    """No text crashes the reader."""
    with contextlib.suppress(BadFingerprint):
        assert len(Fingerprint.parse(text).digest) == 32


def test_the_digest_is_that_of_the_bytes() -> None:
    """`of` is SHA-256 of exactly these bytes."""
    assert Fingerprint.of(b"the key").digest == DIGEST
    assert str(Fingerprint.of(b"the key")) == "sha256:" + HEX


def test_openssl_agrees(tmp_path: Path) -> None:
    """What openssl prints for a certificate and for its key is read as the view's own fingerprints."""
    from tests.model.making import simple
    from troth.model.certificate import CertificateView

    view = CertificateView.from_der(simple("x"))
    file = tmp_path / "x.pem"
    file.write_text(view.pem)
    printed = _openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", str(file)).decode()
    assert Fingerprint.parse(printed) == view.fingerprint
    key = _openssl("x509", "-noout", "-pubkey", "-in", str(file))
    file.write_bytes(key)
    spki = _openssl("pkey", "-pubin", "-in", str(file), "-outform", "DER")
    assert Fingerprint.of(spki) == view.spki


def _openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], capture_output=True, check=True).stdout


@given(st.binary(min_size=32, max_size=32), st.integers(0, 31), st.integers(1, 255))
def test_one_bit_makes_another_fingerprint(digest: bytes, at: int, change: int) -> None:
    """Fingerprints are equal if all their bytes are, and only then; equal ones hash alike."""
    other = bytearray(digest)
    other[at] ^= change
    assert Fingerprint(digest) == Fingerprint(bytes(digest))
    assert hash(Fingerprint(digest)) == hash(Fingerprint(bytes(digest)))
    assert Fingerprint(digest) != Fingerprint(bytes(other))


@pytest.mark.parametrize("other", [DIGEST, HEX, "sha256:" + HEX, None, 0, (DIGEST,)])
def test_a_fingerprint_equals_no_other_type(other: object) -> None:
    """A fingerprint is never equal to text or bytes that look like it, so no comparison is made by accident."""
    assert Fingerprint(DIGEST) != other


def test_equality_takes_the_same_time_wherever_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every comparison, also that in a tuple or a set, goes through the constant-time comparison of whole digests."""
    seen: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        seen.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(module.hmac, "compare_digest", spy)
    near, far = bytes([DIGEST[0] ^ 1]) + DIGEST[1:], DIGEST[:-1] + bytes([DIGEST[-1] ^ 1])
    for digest in (DIGEST, near, far):
        seen.clear()
        assert (Fingerprint(digest) == Fingerprint(DIGEST)) is (digest == DIGEST)
        assert (Fingerprint(digest) in (Fingerprint(DIGEST),)) is (digest == DIGEST)
        assert seen == [(digest, DIGEST)] * 2 or seen == [(digest, DIGEST), (DIGEST, digest)]


def test_fingerprints_cannot_be_changed() -> None:
    """A fingerprint is a frozen value."""
    with pytest.raises((AttributeError, TypeError)):
        Fingerprint(DIGEST).digest = b""  # type: ignore[misc]  # that is the point
