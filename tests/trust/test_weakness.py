"""What is weak about a key or certificate: each thing that is said to be covered is found, and honest keys are not blamed."""

from __future__ import annotations

from math import gcd, prod

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from tests.model.making import SHA256_RSA, certificate, common_name, ec_spki, integer, oid, rsa_spki, tlv, view
from troth.model.certificate import CertificateView
from troth.trust import weakness
from troth.trust.weakness import weaknesses

# Fixed primes, so that no run depends on luck: 1024 bits each, far apart.
P = 2**1024 - 105
Q = 2**1023 + 1155
while pow(2, Q - 1, Q) != 1 or gcd(Q, 210) != 1:
    Q += 2
NEAR = P - 2
while pow(2, NEAR - 1, NEAR) != 1:
    NEAR -= 2
ISSUER = common_name("a CA")


def codes(spki: bytes = b"", **parts: object) -> list[str]:
    """Give the codes of what is weak about a certificate."""
    return [each.code for each in weaknesses(view(**({"spki": spki} if spki else {}), **parts))]


def of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
) -> bytes:
    """Give a key's SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "spki",
    [
        rsa_spki(P * Q),
        rsa_spki(P * Q, 3),
        rsa_spki(P * Q * (2**2203 - 1)),
        of(ec.derive_private_key(7, ec.SECP256R1())),
        of(ec.derive_private_key(7, ec.SECP384R1())),
        of(ec.derive_private_key(7, ec.SECP521R1())),
        of(ec.derive_private_key(7, ec.BrainpoolP256R1())),
        of(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32)),
        of(ed448.Ed448PrivateKey.from_private_bytes(b"7" * 57)),
    ],
)
def test_a_sound_key_is_not_blamed(spki: bytes) -> None:
    """Keys that are made as they should be have no weakness; who is warned for nothing stops reading warnings."""
    assert codes(spki) == []


def test_freshly_made_rsa_keys_are_not_blamed() -> None:
    """A key of OpenSSL's own making passes every test of its modulus."""
    assert codes(of(rsa.generate_private_key(public_exponent=65537, key_size=2048))) == []


@pytest.mark.parametrize("bits", [512, 1024, 1536, 2047])
def test_a_short_rsa_key_is_named(bits: int) -> None:
    """Threat 5: RSA below 2048 bits is said to be short, with its size."""
    modulus = (1 << bits) - 1
    while gcd(modulus, prod(weakness._SMALL_PRIMES)) != 1:
        modulus -= 2
    found = weaknesses(view(spki=rsa_spki(modulus)))
    assert found[0].code == "short-rsa"
    assert str(bits) in found[0].text


@pytest.mark.parametrize("exponent", [1, 2, 4, 65536, 0, P * Q + 2, 2**64 + 2])
def test_an_exponent_that_protects_nothing_is_named(exponent: int) -> None:
    """An exponent below 3, or an even one, is no RSA."""
    assert codes(rsa_spki(P * Q, exponent)) == ["bad-exponent"]


def test_a_huge_exponent_is_named_and_no_crash() -> None:
    """Threat 19: an exponent of twenty thousand bits is a bad exponent, in a text of readable length."""
    found = weaknesses(view(spki=rsa_spki(P * Q, 2**20_000)))
    assert [each.code for each in found] == ["bad-exponent"]
    assert len(found[0].text) < 200


@pytest.mark.parametrize("lead", [b"", b"\0", b"\0\0\0"], ids=["without a sign", "as it should be", "padded"])
def test_a_key_is_judged_by_the_numbers_that_openssl_works_with(lead: bytes) -> None:
    """Threats 5 and 18: OpenSSL disregards sign and padding of an RSA key's numbers, so neither hides a weak key."""
    for modulus, found in ((P * Q, []), (P * NEAR, ["close-primes"]), (2**2048 - 3, ["small-factor"])):
        number = modulus.to_bytes(256, "big")
        key = tlv(0x30, tlv(0x02, lead + number) + tlv(0x02, lead + b"\1\0\1"))
        spki = tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1") + b"\x05\x00") + tlv(0x03, b"\0" + key))
        assert codes(spki) == found


def test_padding_makes_no_key_longer() -> None:
    """A short key that is padded to many bytes is still said to be short, and is named by its real size."""
    key = tlv(0x30, tlv(0x02, b"\0" * 200 + P.to_bytes(128, "big")) + tlv(0x02, b"\1\0\1"))
    made = view(spki=tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1") + b"\x05\x00") + tlv(0x03, b"\0" + key)))
    assert made.key == "RSA 1024"
    assert "short-rsa" in [each.code for each in weaknesses(made)]


@pytest.mark.parametrize("prime", [2, *weakness._SMALL_PRIMES])
def test_a_small_factor_is_found(prime: int) -> None:
    """A modulus with a factor below 100 is no secret to anybody."""
    assert "small-factor" in codes(rsa_spki(P * Q * prime))


def test_primes_that_are_close_together_are_found() -> None:
    """CVE-2022-26320: Fermat's method factors such a modulus in a few steps, and so does everybody."""
    assert "close-primes" in codes(rsa_spki(P * NEAR))
    assert "close-primes" in codes(rsa_spki(P * P))


_PRIMORIAL = prod(p for p in range(2, 168) if all(p % d for d in range(2, p)))


def _roca_prime(k: int, a: int) -> int:
    return k * _PRIMORIAL + pow(65537, a, _PRIMORIAL)


def test_the_form_of_a_broken_generator_is_found() -> None:
    """CVE-2017-15361: a modulus whose primes have Infineon's form k*M + 65537^a mod M is named; a change of one bit is not."""
    modulus = _roca_prime(2**930 + 3, 91) * _roca_prime(2**931 + 11, 17)
    assert modulus.bit_length() >= 2048
    assert "roca" in codes(rsa_spki(modulus))
    assert "roca" not in codes(rsa_spki(modulus + 2))


@pytest.mark.parametrize("number", [0, 1, -1, -(P * Q)])
def test_a_modulus_that_is_none_is_no_crash(number: int) -> None:
    """Nonsense in the place of a modulus is at least short or of small factors, and never an exception."""
    assert codes(rsa_spki(number)) or number < -1


@pytest.mark.parametrize(
    ("bits", "text"),
    [("1.2.840.10045.3.1.1", "P-192")],
)
def test_a_small_curve_is_named(bits: str, text: str) -> None:
    """A curve of 192 bits is too small, and the text says which one it is."""
    found = weaknesses(view(spki=ec_spki(bits)))
    assert [each.code for each in found] == ["small-curve"]
    assert text in found[0].text


@pytest.mark.parametrize(
    "curve",
    ["1.3.132.0.6", "1.3.132.0.8", "1.3.132.0.31", "1.3.132.0.4", "1.3.132.0.99", "1.2.3.4.5"],
    ids=["secp112r1", "secp160r1", "secp192k1", "sect113r1", "unheard of", "unknown"],
)
def test_a_curve_that_is_not_known_is_named(curve: str) -> None:
    """What the module says that it covers: small or unknown curves."""
    unheard = curve in ("1.3.132.0.99", "1.2.3.4.5")
    assert codes(ec_spki(curve)) == ["unknown-curve" if unheard else "small-curve"]


@pytest.mark.parametrize(
    "curve", ["1.3.36.3.3.2.8.1.1.9", "1.3.36.3.3.2.8.1.1.12", "1.2.156.10197.1.301", "1.3.132.0.10", "1.3.132.0.33"]
)
def test_a_rare_curve_that_is_known_is_not_blamed(curve: str) -> None:
    """Brainpool's other curves, SM2, secp256k1 and P-224 are known and large enough."""
    assert codes(ec_spki(curve)) == []


def test_a_curve_of_its_own_is_named() -> None:
    """CVE-2020-0601: explicit parameters can make any key anybody's."""
    parameters = tlv(0x30, integer(1))
    spki = tlv(0x30, tlv(0x30, oid("1.2.840.10045.2.1") + parameters) + tlv(0x03, b"\0\x04" + b"\1" * 64))
    assert codes(spki) == ["explicit-curve"]


def test_dsa_is_named() -> None:
    """A DSA key is named as what nothing uses any more."""
    spki = tlv(0x30, tlv(0x30, oid("1.2.840.10040.4.1") + tlv(0x30, integer(7))) + tlv(0x03, b"\0" + integer(5)))
    assert codes(spki) == ["dsa"]


@pytest.mark.parametrize(
    ("algorithm", "label"),
    [("1.2.840.113549.1.1.2", "MD2"), ("1.2.840.113549.1.1.3", "MD4"), ("1.3.14.3.2.29", "SHA-1"), ("1.2.840.113549.1.1.4", "MD5"), ("1.2.840.113549.1.1.5", "SHA-1"), ("1.2.840.10045.4.1", "SHA-1"), ("1.2.840.10040.4.3", "SHA-1")],
)  # fmt: skip
def test_a_cas_signature_with_a_broken_hash_is_named(algorithm: str, label: str) -> None:
    """MD5 and SHA-1 matter where a CA vouches with them; a self-signed certificate's own signature proves nothing anyway."""
    written = tlv(0x30, oid(algorithm) + b"\x05\x00")
    found = weaknesses(view(issuer=ISSUER, algorithm=written))
    assert [each.code for each in found] == ["weak-signature"]
    assert label in found[0].text
    assert codes(algorithm=written) == []
    assert codes(issuer=ISSUER, algorithm=SHA256_RSA) == []


def test_a_cas_pss_signature_with_sha1_is_named() -> None:
    """RFC 4055 3.1: PSS without parameters means SHA-1, which is no better for being PSS."""
    sha1, sha256 = (tlv(0x30, tlv(0xA0, tlv(0x30, oid(name)))) for name in ("1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1"))
    salt_alone = tlv(0x30, tlv(0xA2, integer(20)))
    for parameters, weak in ((b"", True), (b"\x30\x00", True), (salt_alone, True), (sha1, True), (sha256, False)):
        written = tlv(0x30, oid("1.2.840.113549.1.1.10") + parameters)
        assert codes(issuer=ISSUER, algorithm=written) == (["weak-signature"] if weak else [])


def test_a_key_that_cannot_be_read_is_named() -> None:
    """Where the key says RSA and is not, nothing is known of its strength, and that is said."""
    good = view(spki=rsa_spki(P * Q))
    broken = tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.1.1") + b"\x05\x00") + tlv(0x03, b"\0\x30\x03\x02\x01\x05"))
    made = CertificateView(
        **{field: getattr(good, field) for field in CertificateView.__dataclass_fields__} | {"spki_der": broken}
    )
    assert [each.code for each in weaknesses(made)] == ["unreadable-key"]


def test_several_weaknesses_are_all_named() -> None:
    """A key that is weak in several ways is named in each of them, and the codes are words for programs."""
    found = weaknesses(
        view(spki=rsa_spki(15, 2), issuer=ISSUER, algorithm=tlv(0x30, oid("1.2.840.113549.1.1.4") + b"\x05\x00"))
    )
    assert [each.code for each in found] == ["short-rsa", "bad-exponent", "small-factor", "weak-signature"]
    for each in found:
        assert each.text.isprintable()
        assert not each.text.endswith(".")


def test_a_huge_modulus_costs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threat 19: the search for factors is for keys that TLS can use (16384 bits); a larger one is not computed with."""
    asked: list[int] = []
    monkeypatch.setattr(weakness, "isqrt", lambda number: asked.append(number.bit_length()) or 1)
    found = weaknesses(CertificateView.from_der(certificate(spki=rsa_spki((1 << 200_000) + 1))))
    assert [each.code for each in found] == ["oversized-rsa"]
    assert "200001 bits" in found[0].text
    assert asked == []
    assert "oversized-rsa" not in codes(rsa_spki((1 << 16383) + 9))
    assert asked
