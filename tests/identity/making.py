"""A CA that signs requests as CAs do, well or badly, and files that end their process at a chosen step."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from troth.identity.files import Files

NAMES = ("DNS:node.example.com", "IP:192.0.2.10")
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def pem(certificate: x509.Certificate) -> bytes:
    """Give a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    """Give a key as PKCS #8 PEM, encrypted if there is a passphrase."""
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


class CA:
    """A CA, or an intermediate one.

    Args:
        name: Its common name.
        parent: Who signs it; itself without.
        days: From when to when it is valid, from now.
        path_length: How many CAs may follow it.
        is_ca: Whether it says that it is a CA.
        key: Its key, if another certificate of a CA is to have the same.
    """

    def __init__(
        self,
        name: str,
        parent: CA | None = None,
        *,
        days: tuple[float, float] = (-10, 3000),
        path_length: int | None = None,
        is_ca: bool = True,
        key: ec.EllipticCurvePrivateKey | None = None,
    ):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = parent or self
        builder = builder_for(self.name, signer.name, self.key.public_key(), days)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        usage = x509.KeyUsage(True, False, False, False, False, is_ca, is_ca, False, False)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
        )
        if parent:
            issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
            builder = builder.add_extension(issuer_key, critical=False)
        self.certificate = builder.sign(signer.key, hashes.SHA256())
        self.pem = pem(self.certificate)

    def sign(
        self,
        request: str | bytes,
        *,
        days: tuple[float, float] = (-1, 300),
        sans: tuple[x509.GeneralName, ...] | None = None,
        usage: tuple[x509.ObjectIdentifier, ...] | None = BOTH,
        extra: tuple[x509.ExtensionType, ...] = (),
        is_ca: bool = False,
        hashed: hashes.SHA256 | hashes.SHA1 | None = None,
    ) -> bytes:
        """Sign a request (PEM); the names are those of the request, or `sans`, or none if that is empty."""
        csr = x509.load_pem_x509_csr(request if isinstance(request, bytes) else request.encode())
        assert csr.is_signature_valid
        builder = builder_for(csr.subject, self.name, csr.public_key(), days)  # type: ignore[arg-type]
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer_key, critical=False)
        if sans is None:
            asked = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(asked.value, critical=asked.critical)
        elif sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        for extension in extra:
            builder = builder.add_extension(extension, critical=False)
        return pem(builder.sign(self.key, hashed or hashes.SHA256()))  # type: ignore[arg-type]


def builder_for(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    days: tuple[float, float],
) -> x509.CertificateBuilder:
    """Begin a certificate, valid from and to so many days from now."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + timedelta(days=days[0]))
        .not_valid_after(now() + timedelta(days=days[1]))
    )


def foreign_request(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, names: tuple[x509.GeneralName, ...] | None = None
) -> bytes:
    """Make a request with a key of one's own, for the node's names."""
    wanted = names or (x509.DNSName("node.example.com"), x509.DNSName("node2.example.com"))
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.example.com")]))
        .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def openssl(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the real openssl."""
    words = ["openssl", *map(str, arguments)]
    return subprocess.run(words, input=stdin, capture_output=True, check=False, timeout=60)


class Dying(Files):
    """Files that kill their own process (SIGKILL) at one of their steps.

    Args:
        at: Which step, from 0; in its middle if `half`, else before it.
    """

    def __init__(self, at: int, *, half: bool):
        self.left, self.half = at, half

    def _step(self, half: Callable[[], None] = lambda: None) -> None:
        if self.left == 0:
            if self.half:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def make_folder(self, path: Path) -> None:
        """Die, or make it."""
        self._step(lambda: path.mkdir(mode=0o700))
        super().make_folder(path)

    def write(self, path: Path, data: bytes) -> None:
        """Die with half of the file written, or write it."""
        self._step(lambda: super(Dying, self).write(path, data[: len(data) // 2]))
        super().write(path, data)

    def rename(self, old: Path, new: Path) -> None:
        """Die, or rename."""
        self._step()
        super().rename(old, new)

    def sync(self, folder: Path) -> None:
        """Die, or make it durable."""
        self._step()
        super().sync(folder)

    def remove(self, path: Path) -> None:
        """Die with one file of the folder gone, or remove it."""
        if path.exists():
            self._step(lambda: next(iter(path.iterdir())).unlink() if path.is_dir() else path.unlink())
        super().remove(path)
