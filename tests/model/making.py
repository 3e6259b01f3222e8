"""Certificates by hand: real ones from `cryptography`, and ones that no library would make, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from troth.model import der
from troth.model.certificate import CertificateView

SHA256_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def tlv(tag: int, content: bytes) -> bytes:
    """Write one element of DER."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def integer(number: int) -> bytes:
    """Write an INTEGER."""
    return tlv(0x02, number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Write an OBJECT IDENTIFIER."""
    arcs = [int(arc) for arc in dotted.split(".")]
    body = bytearray()
    for arc in [40 * arcs[0] + arcs[1], *arcs[2:]]:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        body += bytes(reversed(groups))
    return tlv(0x06, bytes(body))


def name(*attributes: tuple[str, int, bytes]) -> bytes:
    """Write a Name of one attribute each: (type, string tag, content)."""
    return tlv(0x30, b"".join(tlv(0x31, tlv(0x30, oid(kind) + tlv(tag, content))) for kind, tag, content in attributes))


def common_name(text: str | bytes) -> bytes:
    """Write a Name with one CN in UTF-8; bytes are taken as they are."""
    return name(("2.5.4.3", 0x0C, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text))


def rsa_spki(modulus: int, exponent: int = 65537) -> bytes:
    """Write an RSA SubjectPublicKeyInfo; the numbers may be nonsense."""
    key = tlv(0x30, integer(modulus) + integer(exponent))
    return tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1") + b"\x05\x00") + tlv(0x03, b"\0" + key))


def ec_spki(curve: str) -> bytes:
    """Write an EC SubjectPublicKeyInfo on a curve, with a point that need not lie on it."""
    return tlv(0x30, tlv(0x30, oid("1.2.840.10045.2.1") + oid(curve)) + tlv(0x03, b"\0\x04" + b"\x01" * 64))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Write one Extension."""
    return tlv(0x30, oid(dotted) + (b"\x01\x01\xff" if critical else b"") + tlv(0x04, value))


def utc_time(text: str) -> bytes:
    """Write a UTCTime."""
    return tlv(0x17, text.encode())


def general_time(text: str) -> bytes:
    """Write a GeneralizedTime."""
    return tlv(0x18, text.encode())


@cache
def plain_spki() -> bytes:
    """Give one real P-256 key, the same within a process."""
    key = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1()).public_key()
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate(
    *,
    subject: bytes | None = None,
    issuer: bytes | None = None,
    serial: bytes | None = None,
    dates: Sequence[bytes] = (),
    spki: bytes | None = None,
    extensions: Sequence[bytes] | None = None,
    algorithm: bytes = ECDSA_SHA256,
    version: int | None = 2,
    extra: bytes = b"",
) -> bytes:
    """Write a certificate of the given parts (RFC 5280 4.1); its signature is nonsense."""
    own = subject if subject is not None else common_name("by hand")
    parts = [
        b"" if version is None else tlv(0xA0, integer(version)),
        serial if serial is not None else integer(1),
        algorithm,
        issuer if issuer is not None else own,
        tlv(0x30, b"".join(dates or (utc_time("250101000000Z"), utc_time("350101000000Z")))),
        own,
        spki if spki is not None else plain_spki(),
        extra,
        b"" if extensions is None else tlv(0xA3, tlv(0x30, b"".join(extensions))),
    ]
    return tlv(0x30, tlv(0x30, b"".join(parts)) + algorithm + tlv(0x03, b"\0" + b"\x5a" * 70))


def view(**parts: object) -> CertificateView:
    """Read a certificate that was made by hand."""
    return CertificateView.from_der(certificate(**parts))  # type: ignore[arg-type]  # handed on


@cache
def simple(common: str, *, issued_by: str = "", days: int = 30, ca: bool = False, san: tuple[str, ...] = ()) -> bytes:
    """Give a real certificate as DER; the same arguments give the same one within a process."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject, issuer = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (common, issued_by or common)
    )
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in san]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def parts_of(data: bytes) -> list[bytes]:
    """Take a certificate apart into the elements of its first part."""
    return [part.raw for part in next(der.read_all(data).children()).children()]
