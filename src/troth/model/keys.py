"""Names for public keys and signature algorithms, read from DER (RFC 3279, 4055, 5480, 8410)."""

from __future__ import annotations

from troth.model import der

_CURVES = {
    "1.2.840.10045.3.1.7": "P-256",
    "1.3.132.0.34": "P-384",
    "1.3.132.0.35": "P-521",
    "1.3.132.0.33": "P-224",
    "1.3.132.0.10": "secp256k1",
    "1.2.156.10197.1.301": "SM2",
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.8": "brainpoolP256t1",
    "1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1",
    "1.3.36.3.3.2.8.1.1.10": "brainpoolP320t1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.12": "brainpoolP384t1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
    "1.3.36.3.3.2.8.1.1.14": "brainpoolP512t1",
}
# Curves of fewer than 224 bits (SEC 2 version 1, RFC 5639).
_SMALL_CURVES = {
    "1.2.840.10045.3.1.1": "P-192",
    "1.3.132.0.1": "sect163k1",
    "1.3.132.0.2": "sect163r1",
    "1.3.132.0.4": "sect113r1",
    "1.3.132.0.5": "sect113r2",
    "1.3.132.0.6": "secp112r1",
    "1.3.132.0.7": "secp112r2",
    "1.3.132.0.8": "secp160r1",
    "1.3.132.0.9": "secp160k1",
    "1.3.132.0.15": "sect163r2",
    "1.3.132.0.22": "sect131r1",
    "1.3.132.0.23": "sect131r2",
    "1.3.132.0.24": "sect193r1",
    "1.3.132.0.25": "sect193r2",
    "1.3.132.0.28": "secp128r1",
    "1.3.132.0.29": "secp128r2",
    "1.3.132.0.30": "secp160r2",
    "1.3.132.0.31": "secp192k1",
    "1.3.36.3.3.2.8.1.1.1": "brainpoolP160r1",
    "1.3.36.3.3.2.8.1.1.2": "brainpoolP160t1",
    "1.3.36.3.3.2.8.1.1.3": "brainpoolP192r1",
    "1.3.36.3.3.2.8.1.1.4": "brainpoolP192t1",
}
_KEYS = {
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "1.2.840.10040.4.1": "DSA",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}
_PSS = "1.2.840.113549.1.1.10"
_SIGNATURES = {
    "1.2.840.113549.1.1.2": "RSA with MD2",
    "1.2.840.113549.1.1.3": "RSA with MD4",
    "1.2.840.113549.1.1.4": "RSA with MD5",
    "1.2.840.113549.1.1.5": "RSA with SHA-1",
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
    "1.3.14.3.2.27": "DSA with SHA-1",
    "1.3.14.3.2.29": "RSA with SHA-1",
}
_HASHES = {
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA-1",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
    "2.16.840.1.101.3.4.2.1": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384",
    "2.16.840.1.101.3.4.2.3": "SHA-512",
}
RSA_KEYS = ("1.2.840.113549.1.1.1", _PSS)
EC_KEY = "1.2.840.10045.2.1"
_FIRST_FIELD = 0xA0


def rsa_numbers(spki: bytes) -> tuple[int, int] | None:
    """Read (modulus, public exponent) of an RSA SubjectPublicKeyInfo; None if it is of another kind.

    They are the numbers that OpenSSL works with: it disregards their sign and their padding.

    Raises:
        DerError: It says RSA and is not readable.
    """
    algorithm, key = _parts(spki)
    if algorithm[0] not in RSA_KEYS:
        return None
    numbers = list(der.read_all(key).expect(der.SEQUENCE).children())
    if len(numbers) != 2:
        raise der.DerError("an RSA key has two numbers")
    return der.unsigned(numbers[0]), der.unsigned(numbers[1])


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
        return f"EC {_CURVES.get(curve) or _SMALL_CURVES.get(curve, curve)}"
    return _KEYS.get(name, name)


def is_small_curve(name: str) -> bool:
    """Whether a curve, as `describe_key` names it, has fewer than 224 bits."""
    return name in _SMALL_CURVES.values()


def describe_signature(algorithm: bytes) -> str:
    """Name a signature algorithm from its AlgorithmIdentifier: `RSA-PSS with SHA-256`, or its object identifier.

    Raises:
        DerError: It is not an AlgorithmIdentifier.
    """
    name, parameters = _algorithm(der.read_all(algorithm))
    if name == _PSS:
        return f"RSA-PSS with {_pss_hash(parameters)}"
    return _SIGNATURES.get(name) or _KEYS.get(name, name)


def same_algorithm(one: bytes, other: bytes) -> bool:
    """Whether two AlgorithmIdentifiers say the same; parameters that are NULL are as good as none (RFC 4055 2.1).

    Raises:
        DerError: One is not an AlgorithmIdentifier.
    """
    (name, parameters), (other_name, other_parameters) = (_algorithm(der.read_all(each)) for each in (one, other))
    return name == other_name and _meant(parameters) == _meant(other_parameters)


def _meant(parameters: der.Element | None) -> bytes:
    return b"" if parameters is None or parameters.tag == der.NULL else parameters.raw


def _pss_hash(parameters: der.Element | None) -> str:
    """Name the hash of RSASSA-PSS-params (RFC 4055 3.1): SHA-1 where none is named."""
    fields = [] if parameters is None else list(parameters.expect(der.SEQUENCE).children())
    if not fields or fields[0].tag != _FIRST_FIELD:
        return "SHA-1"
    name, _ = _algorithm(der.read_all(fields[0].value))
    return _HASHES.get(name, name)


def _algorithm(element: der.Element) -> tuple[str, der.Element | None]:
    fields = list(element.expect(der.SEQUENCE).children())
    if not 1 <= len(fields) <= 2:
        raise der.DerError("an algorithm has a name and at most one parameter")
    return der.oid(fields[0]), fields[1] if len(fields) == 2 else None


def _parts(spki: bytes) -> tuple[tuple[str, der.Element | None], bytes]:
    fields = list(der.read_all(spki).expect(der.SEQUENCE).children())
    if len(fields) != 2:
        raise der.DerError("a public key has two parts")
    bits = fields[1].expect(der.BIT_STRING).value
    if bits[:1] != b"\x00":
        raise der.DerError("a public key is whole bytes")
    return _algorithm(fields[0]), bits[1:]
