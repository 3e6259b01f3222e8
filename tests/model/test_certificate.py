"""What a certificate says: the same to Troth, to `cryptography` and to openssl, and safe to show whatever it says."""

from __future__ import annotations

import ipaddress
import re
import subprocess
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.making import (
    certificate,
    common_name,
    extension,
    general_time,
    integer,
    name,
    simple,
    tlv,
    utc_time,
    view,
)
from troth.errors import BadCertificate
from troth.model import der
from troth.model.certificate import CertificateView, certificates_from_pem
from troth.model.fingerprint import Fingerprint
from troth.model.name import DistinguishedName
from troth.model.text import printable

KEYS: dict[str, Callable[[], Any]] = {
    "RSA 2048": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "RSA 1024": lambda: rsa.generate_private_key(public_exponent=3, key_size=1024),
    "EC P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EC P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EC P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "EC secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "EC brainpoolP256r1": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}
HASHES: dict[str, Any] = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}
START, END = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2035, 12, 31, 23, 59, 59, tzinfo=UTC)


@cache
def key_of(kind: str) -> Any:
    """Make one key of a kind."""
    return KEYS[kind]()


def signed(kind: str, hash_name: str = "SHA-256", *, pss: bool = False) -> x509.Certificate:
    """Make a certificate with one kind of key, signed by itself."""
    key = key_of(kind)
    algorithm = None if kind.startswith("Ed") else HASHES[hash_name]
    extra = {"rsa_padding": padding.PSS(padding.MGF1(HASHES[hash_name]), 32)} if pss else {}
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, kind)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(12345678901234567890).not_valid_before(START).not_valid_after(END)
    return builder.sign(key, algorithm, **extra)


def agree(data: bytes) -> CertificateView:
    """Hold each field of a view against `cryptography`."""
    found = CertificateView.from_der(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about negative serials, which are the point
        other = x509.load_der_x509_certificate(data)
        serial = other.serial_number
        assert found.is_ca is _is_ca(other)
        assert found.san == _sans(other)
    spki = other.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    assert found.fingerprint.digest == other.fingerprint(hashes.SHA256())
    assert found.spki == Fingerprint.of(spki)
    digits = f"{abs(serial):x}"
    assert found.serial == "-" * (serial < 0) + (digits if len(digits) <= 64 else digits[:64] + "…")
    assert found.version == {x509.Version.v1: 1, x509.Version.v3: 3}[other.version]
    assert (found.not_before, found.not_after) == (other.not_valid_before_utc, other.not_valid_after_utc)
    assert _attributes(found.subject_der) == _theirs(other.subject)
    assert _attributes(found.issuer_der) == _theirs(other.issuer)
    assert found.self_issued is (found.subject_der == found.issuer_der)
    return found


def _attributes(data: bytes) -> list[set[tuple[str, str]]]:
    return [{(a.type, a.value) for a in rdn} for rdn in DistinguishedName.from_der(data).rdns]


def _theirs(names: x509.Name) -> list[set[tuple[str, str]]]:
    return [{(a.oid.dotted_string, str(a.value)) for a in rdn} for rdn in names.rdns]


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _sans(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    labels = {
        x509.DNSName: "DNS",
        x509.IPAddress: "IP",
        x509.RFC822Name: "email",
        x509.UniformResourceIdentifier: "URI",
    }
    return tuple(f"{labels[type(each)]}:{printable(str(each.value))}" for each in names)


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_key_is_named_and_hashed_as_it_is(kind: str) -> None:
    """RSA, every usual curve and the Edwards keys: type and size by name, and the hash of the very key."""
    data = signed(kind).public_bytes(serialization.Encoding.DER)
    assert agree(data).key == kind


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize(
    ("kind", "pss", "label"),
    [("RSA 2048", False, "RSA with "), ("RSA 2048", True, "RSA-PSS with "), ("EC P-256", False, "ECDSA with ")],
)
def test_each_signature_algorithm_is_named(kind: str, pss: bool, label: str, hash_name: str) -> None:
    """PKCS#1, PSS and ECDSA signatures with each hash are named as administrators know them."""
    found = agree(signed(kind, hash_name, pss=pss).public_bytes(serialization.Encoding.DER))
    assert found.signature_algorithm == label + hash_name


def test_a_dsa_key_is_named() -> None:
    """A kind of key that nothing should use any more is still read and named."""
    numbers = dsa.DSAParameterNumbers(p=2**2047 + 1, q=2**255 + 95, g=2)
    spki = tlv(0x30, tlv(0x30, bytes.fromhex("06072a8648ce380401") + tlv(0x30, b"".join(map(integer, (numbers.p, numbers.q, numbers.g)))))
               + tlv(0x03, b"\0" + integer(5)))  # fmt: skip
    assert view(spki=spki).key == "DSA"


# Every string type of a directory, with content that means the same in all of them.
_ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
_PLAIN = st.text("abcXYZ 019'()+,-./:=?", min_size=1, max_size=12)
_BMP = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=12)
_ANY = st.text(min_size=1, max_size=12)
STRINGS = st.one_of(
    st.tuples(st.just(0x13), _PLAIN.map(str.encode)),
    st.tuples(st.just(0x16), _ASCII.map(str.encode)),
    st.tuples(st.just(0x1A), _ASCII.map(str.encode)),
    st.tuples(st.just(0x12), st.text("0123456789 ", min_size=1, max_size=8).map(str.encode)),
    st.tuples(st.just(0x0C), _ANY.map(str.encode)),
    st.tuples(st.just(0x1E), _BMP.map(lambda text: text.encode("utf-16-be"))),
    st.tuples(st.just(0x1C), _ANY.map(lambda text: text.encode("utf-32-be"))),
)
# No countryName: `cryptography` warns about its length; test_name.py has it.
TYPES = st.sampled_from(
    ["2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.7", "2.5.4.5", "0.9.2342.19200300.100.1.25", "1.2.3.4.5"]
)
NAMES = st.lists(st.tuples(TYPES, STRINGS), max_size=4).map(
    lambda found: name(*[(kind, *text) for kind, text in found])
)
DNS = st.from_regex(r"\A[a-z0-9*-]{1,12}(\.[a-z0-9-]{1,12}){0,2}\Z").map(lambda text: tlv(0x82, text.encode()))
GENERAL_NAMES = st.one_of(
    DNS,
    st.ip_addresses().map(lambda address: tlv(0x87, address.packed)),
    _ASCII.map(lambda text: tlv(0x86, text.encode())),
    st.from_regex(r"\A[a-z]{1,8}@[a-z]{1,8}\.example\Z").map(lambda text: tlv(0x81, text.encode())),
)
DATES = st.one_of(
    st.datetimes(datetime(1950, 1, 1), datetime(2049, 12, 31)).map(lambda at: utc_time(f"{at:%y%m%d%H%M%S}Z")),
    st.datetimes(datetime(2050, 1, 1), datetime(9999, 12, 31)).map(lambda at: general_time(f"{at:%Y%m%d%H%M%S}Z")),
)
EXTENSIONS = st.none() | st.builds(
    lambda sans, basic: [
        *([extension("2.5.29.17", tlv(0x30, b"".join(sans)))] if sans else []),
        *([] if basic is None else [extension("2.5.29.19", basic, critical=True)]),
        extension("1.2.3.4.5.6", b"anything"),
    ],
    st.lists(GENERAL_NAMES, max_size=5),
    st.sampled_from([None, b"\x30\x00", b"\x30\x03\x01\x01\xff", b"\x30\x06\x01\x01\xff\x02\x01\x00"]),
)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(
    subject=NAMES,
    issuer=NAMES,
    serial=st.integers(-(2**160), 2**200) | st.sampled_from([0, -1, 127, 128, -128, -129, 2**2000]),
    dates=st.tuples(DATES, DATES),
    extensions=EXTENSIONS,
)
def test_every_field_is_what_another_parser_reads(
    subject: bytes, issuer: bytes, serial: int, dates: tuple[bytes, bytes], extensions: list[bytes] | None
) -> None:
    """Threat 18: odd names in every string type, negative and huge serials, both time types, many extensions, v1 and v3."""
    agree(
        certificate(
            subject=subject,
            issuer=issuer,
            serial=integer(serial),
            dates=dates,
            extensions=extensions,
            version=None if extensions is None else 2,
        )
    )


def test_a_v1_certificate_is_read() -> None:
    """A certificate without a version and without extensions is version 1, has no names beside its subject and is no CA."""
    found = agree(certificate(version=None))
    assert (found.version, found.san, found.is_ca) == (1, (), False)


@pytest.mark.parametrize("names", [1, 100, 999, 1000])
def test_many_names_are_all_shown(names: int) -> None:
    """A certificate of a thousand names shows each of them, in order."""
    value = tlv(0x30, b"".join(tlv(0x82, f"host-{n}.example".encode()) for n in range(names)))
    assert view(extensions=[extension("2.5.29.17", value)]).san[:names] == tuple(
        f"DNS:host-{n}.example" for n in range(names)
    )


@pytest.mark.parametrize("names", [1001, 5000])
def test_very_many_names_are_cut_and_the_cut_is_said(names: int) -> None:
    """Threat 19: beyond a thousand names the list ends, and says so; the certificate stays readable."""
    value = tlv(0x30, b"".join(tlv(0x82, f"host-{n}.example".encode()) for n in range(names)))
    found = view(extensions=[extension("2.5.29.17", value)]).san
    assert len(found) == 1001
    assert found[-1] == "… more names are not shown"


def test_a_thousand_names_are_not_said_to_be_more() -> None:
    """Where every name is shown, none is said to be missing."""
    value = tlv(0x30, b"".join(tlv(0x82, f"host-{n}.example".encode()) for n in range(1000)))
    assert len(view(extensions=[extension("2.5.29.17", value)]).san) == 1000


@pytest.mark.parametrize(
    ("element", "shown"),
    [
        (tlv(0x87, b"\x7f\0\0\1"), "IP:127.0.0.1"),
        (tlv(0x87, ipaddress.ip_address("2001:db8::1").packed), "IP:2001:db8::1"),
        (tlv(0x87, b"\x7f\0\0"), "other:7f0000"),
        (tlv(0x87, b""), "other:"),
        (tlv(0x88, bytes.fromhex("2a0304")), "RID:2a0304"),
        (tlv(0xA4, common_name("d|x\n")), "DirName:CN=d\\x7cx\\\\0A"),
        (tlv(0xA0, b"\x01" * 100), "other:" + "01" * 32),
        (tlv(0x82, b"a.example\0.evil.example"), "DNS:a.example\\x00.evil.example"),
        (tlv(0x82, b"a\nb\x1b[2J"), "DNS:a\\x0ab\\x1b[2J"),
        (tlv(0x82, "a\u202eb".encode()), "DNS:a\\u202eb"),
        (tlv(0x82, b"\xff\xfe"), "DNS:\\xff\\xfe"),
        (tlv(0x82, b"a" * 300), "DNS:" + "a" * 255 + "…"),
        (tlv(0x86, b"https://a|b/<script>"), "URI:https://a\\x7cb/<script>"),
        (tlv(0x81, b"a@b\r\nBcc: c"), "email:a@b\\x0d\\x0aBcc: c"),
    ],
)
def test_each_kind_of_name_is_shown_safely(element: bytes, shown: str) -> None:
    """Threat 20: names of every kind are shown with their kind, and what a terminal or a log obeys as an escape."""
    found = view(extensions=[extension("2.5.29.17", tlv(0x30, element))]).san[0]
    if element[:1] != b"\xa4":
        assert found == shown
    assert found.isprintable()
    assert "|" not in found


HOSTILE = ["a\0b", "a\nhost=evil_443;  subject= /CN=x", "\x1b[2J\x1b[31m", "\u202eevil\u202c", "a|b|c", "\r", "\x9b1m", "\u2028", "\ud800", "\u200b",
           "<script>alert(1)</script>", "/CN=x,CN=y+O=z", "x" * 5000]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("kind", ["2.5.4.3", "2.5.4.10", "1.2.840.113549.1.9.1", "1.2.3"])
def test_a_hostile_subject_is_shown_as_one_harmless_line(hostile: str, kind: str) -> None:
    """Threat 20: NUL, newline, ANSI, bidi, separator and endless values in a subject or issuer never reach a line as they are."""
    text = hostile.encode("utf-8", "surrogatepass")
    for tag, content in ((0x0C, text), (0x1E, hostile.encode("utf-16-be", "surrogatepass")), (0x14, text)):
        found = view(subject=name((kind, tag, content)))
        for shown in (found.subject, found.issuer, found.subject_slash, found.subject_java):
            assert shown.isprintable()
            assert len(shown) <= 1024
            assert "|" not in shown
            shown.encode("utf-8")


def test_a_huge_serial_is_cut() -> None:
    """Threat 19: a serial of sixty thousand bytes does not fill the log, the page and the diff."""
    assert view(serial=tlv(0x02, b"\x7f" * 60_000)).serial == "7f" * 32 + "…"
    assert view(serial=tlv(0x02, b"\x80" + b"\0" * 60_000)).serial == "-8" + "0" * 63 + "…"
    assert view(serial=tlv(0x02, b"\x7f" * 32)).serial == "7f" * 32


@pytest.mark.parametrize(
    ("content", "read"),
    [(b"\x00", True), (b"\x80", True), (b"\xff", True), (b"\x00\x80", True), (b"\x7f" * 500, True), (b"", False),
     (b"\x00\x01", False), (b"\x00\x00\x80", False), (b"\xff\xff", False)],
)  # fmt: skip
def test_a_serial_is_read_where_openssl_reads_it(content: bytes, read: bool, tmp_path: Path) -> None:
    """What OpenSSL accepts must be readable, or it is rejected for ever: zero, negative and huge serials are, padded ones are not."""
    data = certificate(serial=tlv(0x02, content))
    (tmp_path / "c.der").write_bytes(data)
    command = ["openssl", "x509", "-inform", "DER", "-in", "c.der", "-noout", "-serial"]
    assert (subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0) is read
    if read:
        assert CertificateView.from_der(data).serial
    else:
        with pytest.raises(BadCertificate):
            CertificateView.from_der(data)


@pytest.mark.parametrize(
    ("date", "read"),
    [
        (utc_time("500101000000Z"), datetime(1950, 1, 1, tzinfo=UTC)),
        (utc_time("491231235959Z"), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (general_time("20500101000000Z"), datetime(2050, 1, 1, tzinfo=UTC)),
        (general_time("99991231235959Z"), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (general_time("20240229120000Z"), datetime(2024, 2, 29, 12, tzinfo=UTC)),
        *[(bad, None) for bad in (
            utc_time("2501010000Z"), utc_time("250101000000+0100"), utc_time("251301000000Z"), utc_time("250230000000Z"),
            utc_time("250101240000Z"), utc_time("250101000060Z"), utc_time("25010100000 Z"), utc_time("+50101000000Z"), utc_time(""),
            general_time("20250101000000.5Z"), general_time("20250101000000"), general_time("20250101000000+0000"), general_time("00000101000000Z"),
            general_time("2025010100000\u0661Z"), tlv(0x0C, b"250101000000Z"), tlv(0x18, b"250101000000Z"), tlv(0x17, b"20250101000000Z"),
        )],
    ],
)  # fmt: skip
def test_a_date_is_read_or_unknown_and_never_guessed(date: bytes, read: datetime | None) -> None:
    """RFC 5280 4.1.2.5: both time types in their one form; whatever else stands there is unknown, and never valid."""
    found = view(dates=[date, general_time("99991231235959Z")])
    assert found.not_before == read
    if read is None:
        assert not found.valid_at(datetime(2030, 1, 1, tzinfo=UTC))


def test_validity_includes_both_ends() -> None:
    """A certificate is valid from its first to its last second."""
    found = CertificateView.from_der(signed("EC P-256").public_bytes(serialization.Encoding.DER))
    second = timedelta(seconds=1)
    assert [found.valid_at(at) for at in (START - second, START, END, END + second)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "ca"),
    [(None, False), (b"\x30\x00", False), (b"\x30\x03\x01\x01\x00", False), (b"\x30\x03\x01\x01\xff", True),
     (b"\x30\x06\x01\x01\xff\x02\x01\x00", True), (b"\x30\x03\x02\x01\x00", False)],
)  # fmt: skip
def test_a_ca_is_one_that_says_so(value: bytes | None, ca: bool) -> None:
    """Only a BasicConstraints with cA TRUE makes a CA."""
    assert view(extensions=[] if value is None else [extension("2.5.29.19", value)]).is_ca is ca


def test_a_ca_flag_that_openssl_takes_for_true_is_not_taken_for_false() -> None:
    """Threats 10 and 18: cA as 01 is TRUE to OpenSSL; it is refused, or it is a CA, but never the harmless certificate."""
    for true in (1, 0x7F, 0x80, 0xFE):
        assert view(extensions=[extension("2.5.29.19", b"\x30\x03\x01\x01" + bytes([true]))]).is_ca
    for length in (b"\x30\x02\x01\x00", b"\x30\x04\x01\x02\xff\xff"):
        with pytest.raises(BadCertificate):
            view(extensions=[extension("2.5.29.19", length)])


@pytest.mark.parametrize(
    "spoilt",
    [
        {"extra": tlv(0xA4, b"")},
        {"extra": tlv(0xA3, tlv(0x30, extension("1.2.3", b"x")))},
        {"extra": tlv(0x82, b"\0\1") + tlv(0x81, b"\0\1")},
        {"extensions": [tlv(0x30, bytes.fromhex("06032a0304") + b"\x05\x00" + tlv(0x04, b"x"))]},
        {"extensions": [tlv(0x30, bytes.fromhex("06032a0304") + b"\x01\x02\0\0" + tlv(0x04, b"x"))]},
        {"extensions": [tlv(0x30, bytes.fromhex("06032a0304") + b"\x01\x01\xff" + tlv(0x04, b"x") * 2)]},
    ],
)
def test_what_openssl_does_not_read_is_not_read(spoilt: dict[str, Any], tmp_path: Path) -> None:
    """Threat 18: parts out of their place, and extensions with parts too many, are no certificate to OpenSSL, nor to Troth."""
    data = certificate(**{"extensions": [extension("1.2.4", b"y")], **spoilt})
    (tmp_path / "c.der").write_bytes(data)
    command = ["openssl", "x509", "-inform", "DER", "-in", "c.der", "-noout"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode
    with pytest.raises(BadCertificate):
        CertificateView.from_der(data)


def test_unique_identifiers_are_passed_over() -> None:
    """RFC 5280 4.1.2.8: the identifiers of version 2 may stand before the extensions; they are read past."""
    extra = tlv(0x81, b"\0\1") + tlv(0x82, b"\0\1")
    assert view(extra=extra, extensions=[extension("2.5.29.19", b"\x30\x03\x01\x01\xff")]).is_ca


def test_an_algorithm_without_parameters_is_the_one_with_null() -> None:
    """RFC 4055 2.1: NULL and no parameters are one algorithm, so a certificate that has each once stays readable."""
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    whole = [part.raw for part in der.read_all(certificate(algorithm=algorithm)).children()]
    bare = bytes.fromhex("300b06092a864886f70d01010b")
    found = CertificateView.from_der(tlv(0x30, whole[0] + bare + whole[2]))
    assert found.signature_algorithm == "RSA with SHA-256"
    with pytest.raises(BadCertificate):
        CertificateView.from_der(tlv(0x30, whole[0] + tlv(0x30, bare[2:] + b"\x30\x00") + whole[2]))


def _openssl(*words: str, folder: Path) -> str:
    return subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=True, text=True).stdout


ALGORITHMS = {
    "rsa": ("RSA 2048", "-newkey", "rsa:2048"),
    "rsa-pss": ("RSA 2048", "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"),
    "P-256": ("EC P-256", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "P-384": ("EC P-384", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "P-521": ("EC P-521", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
    "explicit": ("EC with explicit parameters", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"),
    "Ed25519": ("Ed25519", "-newkey", "ed25519"),
    "Ed448": ("Ed448", "-newkey", "ed448"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_what_openssl_makes_is_read_as_openssl_prints_it(kind: str, tmp_path: Path) -> None:
    """Certificates of openssl's own making: serial, dates, names and fingerprint as openssl prints them."""
    label, *how = ALGORITHMS[kind]
    subject = "/C=DE/O=Société|Générale/OU=a+CN=m/CN=ise 1"
    _openssl("req", "-x509", "-utf8", *how, "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-days", "30", "-subj", subject, "-multivalue-rdn",
             "-addext", "subjectAltName=DNS:a.example,IP:192.0.2.1,IP:2001:db8::1,email:a@b.example,URI:https://x/", folder=tmp_path)  # fmt: skip
    found = CertificateView.from_pem((tmp_path / "c.pem").read_text())
    printed = _openssl(
        "x509",
        "-in",
        "c.pem",
        "-noout",
        "-serial",
        "-fingerprint",
        "-sha256",
        "-startdate",
        "-enddate",
        folder=tmp_path,
    )
    fields = dict(line.split("=", 1) for line in printed.splitlines())
    assert int(fields["serial"], 16) == int(found.serial, 16)
    assert Fingerprint.parse(fields["sha256 Fingerprint"]) == found.fingerprint
    for word, date in (("notBefore", found.not_before), ("notAfter", found.not_after)):
        assert datetime.strptime(fields[word], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC) == date
    assert found.key == label
    assert found.is_ca  # the default of `openssl req -x509`
    assert found.san == ("DNS:a.example", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@b.example", "URI:https://x/")
    slash = _openssl("x509", "-in", "c.pem", "-noout", "-subject", "-nameopt", "compat", folder=tmp_path).strip()
    assert found.subject_slash == slash.partition("=")[2].strip().replace("|", "\\x7c")
    key = _openssl("x509", "-in", "c.pem", "-noout", "-pubkey", folder=tmp_path)
    (tmp_path / "p.pem").write_text(key)
    subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", "p.pem", "-outform", "DER", "-out", "p.der"], cwd=tmp_path, check=True
    )
    if kind != "explicit":  # openssl writes the named curve there
        assert Fingerprint.of((tmp_path / "p.der").read_bytes()) == found.spki


def test_a_v1_certificate_of_openssl_is_read(tmp_path: Path) -> None:
    """A certificate that openssl signs without extensions is version 1, with the issuer's own name."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", folder=tmp_path)
    _openssl("req", "-new", *new, "-keyout", "k.pem", "-out", "r.pem", "-subj", "/CN=old", folder=tmp_path)
    _openssl(
        "x509",
        "-req",
        "-in",
        "r.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-set_serial",
        "-5",
        "-out",
        "c.pem",
        folder=tmp_path,
    )
    found = CertificateView.from_pem((tmp_path / "c.pem").read_text())
    shown = _openssl("x509", "-in", "c.pem", "-noout", "-text", folder=tmp_path)
    assert f"Version: {found.version} " in shown
    assert (found.version, found.serial, found.subject, found.issuer, found.self_issued) == (
        1,
        "-5",
        "CN=old",
        "CN=ca",
        False,
    )


def test_pem_texts_are_read_as_openssl_writes_them() -> None:
    """Text around the certificates, Windows line ends, several certificates and the older labels are read, in order."""
    one, two = (CertificateView.from_der(simple(each)) for each in ("one", "two"))
    text = f"Bag Attributes\n    friendlyName: x\nsubject=CN = one\n{one.pem}\njunk\n{two.pem}".replace("\n", "\r\n")
    assert certificates_from_pem(text) == (one, two)
    assert CertificateView.from_pem(text) == one
    for label in ("X509 CERTIFICATE", "TRUSTED CERTIFICATE"):
        assert CertificateView.from_pem(one.pem.replace("CERTIFICATE", label)) == one
    assert re.fullmatch(r"-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n", one.pem)


@pytest.mark.parametrize(
    "text",
    [
        "", "no certificate", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----", "x" * ((4 << 20) + 1),
    ],
)  # fmt: skip
def test_a_text_without_a_readable_certificate_is_refused(text: str) -> None:
    """Empty, damaged, cut and over-long texts, and keys and requests, are BadCertificate."""
    with pytest.raises(BadCertificate):
        certificates_from_pem(text)


def test_one_damaged_certificate_spoils_the_text() -> None:
    """A bundle of which one certificate cannot be read is refused whole, not read in part."""
    good = CertificateView.from_der(simple("one")).pem
    bad = good.replace(good.splitlines()[2], "A" * 64)
    with pytest.raises(BadCertificate):
        certificates_from_pem(good + bad)


def test_a_view_holds_the_very_bytes() -> None:
    """Threat 18: nothing is re-serialised: bytes, names and key are slices of what was given."""
    data = simple("slices", issued_by="ca")
    found = CertificateView.from_der(data)
    assert found.der == data
    for part in (found.subject_der, found.issuer_der, found.spki_der):
        assert data.count(part) == 1
    assert found.spki == Fingerprint.of(found.spki_der)
    assert der.read_all(found.spki_der).tag == der.SEQUENCE
