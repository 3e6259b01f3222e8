"""Names for public keys and signature algorithms, read from DER (RFC 3279, 4055, 5480, 8410)."""

from __future__ import annotations

from troth.model import der

_CURVES = {
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
    "1.3.132.0.33": "P-224",
    "1.2.840.10045.3.1.1": "P-192",
    "1.3.132.0.10": "secp256k1",
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
}
_KEYS = {
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "1.2.840.10040.4.1": "DSA",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}
_SIGNATURES = {
    "1.2.840.113549.1.1.4": "RSA with MD5",
    "1.2.840.113549.1.1.5": "RSA with SHA-1",
    "1.2.840.113549.1.1.10": "RSA-PSS",
    "1.2.840.113549.1.1.11": "RSA with SHA-256",
    "1.2.840.113549.1.1.12": "RSA with SHA-384",
    "1.2.840.113549.1.1.13": "RSA with SHA-512",
    "1.2.840.113549.1.1.14": "RSA with SHA-224",
    "1.2.840.10045.4.1": "ECDSA with SHA-1",
    "1.2.840.10045.4.3.1": "ECDSA with SHA-224",
    "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
    "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
    "1.2.840.10045.4.3.4": "ECDSA with SHA-512",
    "1.2.840.10040.4.3": "DSA with SHA-1",
}
RSA_KEYS = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")
EC_KEY = "1.2.840.10045.2.1"


def rsa_numbers(spki: bytes) -> tuple[int, int] | None:
    """Read (modulus, public exponent) of an RSA SubjectPublicKeyInfo; None if it is of another kind.

    Raises:
        DerError: It says RSA and is not readable.
    """
    algorithm, key = _parts(spki)
    if algorithm[0] not in RSA_KEYS:
        return None
    numbers = list(der.read_all(key).expect(der.SEQUENCE).children())
    if len(numbers) != 2:
        raise der.DerError("an RSA key has two numbers")
    return der.integer(numbers[0]), der.integer(numbers[1])


def describe_key(spki: bytes) -> str:
    """Name a key: `EC P-256`, `RSA 2048`, `Ed25519`, or its object identifier.

    Raises:
        DerError: It is not a SubjectPublicKeyInfo.
    """
    (name, parameters), _ = _parts(spki)
    numbers = rsa_numbers(spki)
    if numbers:
        return f"RSA {numbers[0].bit_length()}"
    if name == EC_KEY:
        if parameters is None or parameters.tag != der.OID:
            return "EC with explicit parameters"
        curve = der.oid(parameters)
        return f"EC {_CURVES.get(curve, curve)}"
    return _KEYS.get(name, name)


def describe_signature(algorithm: bytes) -> str:
    """Name a signature algorithm from its AlgorithmIdentifier.

    Raises:
        DerError: It is not an AlgorithmIdentifier.
    """
    name = der.oid(next(der.read_all(algorithm).expect(der.SEQUENCE).children()))
    return _SIGNATURES.get(name) or _KEYS.get(name, name)


def _parts(spki: bytes) -> tuple[tuple[str, der.Element | None], bytes]:
    fields = list(der.read_all(spki).expect(der.SEQUENCE).children())
    if len(fields) != 2:
        raise der.DerError("a public key has two parts")
    algorithm = list(fields[0].expect(der.SEQUENCE).children())
    if not 1 <= len(algorithm) <= 2:
        raise der.DerError("an algorithm has a name and at most one parameter")
    bits = fields[1].expect(der.BIT_STRING).value
    if bits[:1] != b"\x00":
        raise der.DerError("a public key is whole bytes")
    return (der.oid(algorithm[0]), algorithm[1] if len(algorithm) == 2 else None), bits[1:]
