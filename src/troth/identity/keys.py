"""Private keys: made, read and written. What a key is never stands in a message."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from troth.errors import BadKey, KeyLocked
from troth.model.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
_BEGIN, _END, _WORD = b"-----BEGIN ", b"-----END ", b"PRIVATE KEY-----"


class Algorithm(StrEnum):
    """The kinds of key that a node makes for itself.

    No Ed25519: no browser connects to a server that has such a certificate, and a node serves pages.
    """

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


DEFAULT = Algorithm.EC_P256
_MAKERS: dict[Algorithm, Callable[[], PrivateKey]] = {
    Algorithm.EC_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.EC_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.RSA_3072: lambda: rsa.generate_private_key(65537, 3072),
    Algorithm.RSA_4096: lambda: rsa.generate_private_key(65537, 4096),
}


def generate(algorithm: Algorithm) -> PrivateKey:
    """Make a new key."""
    return _MAKERS[algorithm]()


def load(data: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Read the one private key of a PEM text, whatever else stands in it.

    Args:
        data: The text.
        passphrase: What it is encrypted with, if it is.

    Raises:
        KeyLocked: It is encrypted, and the passphrase is missing or wrong.
        BadKey: There is none, or several, or it is of a kind that TLS has no use for.
    """
    text = _block(data)
    try:
        # A passphrase that was given for a key without one is no mistake that matters.
        encrypted = b"ENCRYPTED" in text
        key = serialization.load_pem_private_key(text, passphrase if encrypted else None)
    except TypeError:
        raise KeyLocked(
            "The private key is encrypted, and no passphrase was given.",
            next_command="troth key import FILE --key KEYFILE --passphrase-file FILE",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        if encrypted:
            raise KeyLocked(
                "The private key cannot be decrypted.", why="the passphrase is wrong, or the file is damaged"
            ) from None
        raise BadKey("The private key cannot be read: it is damaged, or of a kind that is not known.") from None
    if not isinstance(key, PrivateKey):
        raise BadKey(f"A {type(key).__name__.removesuffix('PrivateKey')} key is of no use in TLS.")
    return key


def dump(key: PrivateKey) -> bytes:
    """Write a key as PKCS #8 PEM, not encrypted: a node starts with nobody at hand to unlock it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def spki(key: CertificatePublicKeyTypes) -> bytes:
    """Give a public key as SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: PrivateKey) -> Fingerprint:
    """Give the fingerprint of a key's public half."""
    return Fingerprint.of(spki(key.public_key()))


def is_locked(data: bytes) -> bool:
    """Whether the private key of a PEM text is encrypted.

    Raises:
        BadKey: There is none, or several.
    """
    return b"ENCRYPTED" in _block(data)


def hash_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Choose the hash to sign with: as strong as the curve; Ed25519 and Ed448 have their own."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA512() if key.curve.key_size > 384 else hashes.SHA384()
    return hashes.SHA256()


def _block(data: bytes) -> bytes:
    """Cut the private key out of a text, which may hold certificates and parameters as well."""
    lines, found, inside = data.splitlines(), [], False
    for line in lines:
        stripped = line.strip()
        if stripped.startswith(_BEGIN) and stripped.endswith(_WORD):
            found.append([stripped])
            inside = True
        elif inside:
            found[-1].append(stripped)
            inside = not (stripped.startswith(_END) and stripped.endswith(_WORD))
    if not found:
        raise BadKey(
            "The text holds no private key.",
            why="no BEGIN … PRIVATE KEY line was found",
            next_command="openssl pkey -in FILE -out FILE.pem, or openssl pkcs12 -in FILE -out FILE.pem",
        )
    if len(found) > 1:
        raise BadKey(f"The text holds {len(found)} private keys; give the one that belongs to the certificate.")
    return b"\n".join(found[0]) + b"\n"
