"""A CA for the tests, with a revocation list and an OCSP responder that answer over real HTTP, truly or not."""

from __future__ import annotations

import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

Key = ec.EllipticCurvePrivateKey


def pem(certificate: x509.Certificate) -> bytes:
    """Give a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """A CA: issues, revokes, and answers."""

    def __init__(self, name: str, *, parent: Authority | None = None):
        self.key: Key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.parent = parent
        self.revoked: set[int] = set()
        signer = parent or self
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def issue(
        self,
        san: str = "127.0.0.1",
        *,
        ocsp_url: str = "",
        crl_url: str = "",
        days: int = 10,
        usage: x509.ObjectIdentifier | None = None,
    ) -> tuple[x509.Certificate, Key]:
        """Issue a certificate for an address or a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(san))
        except ValueError:
            name = x509.DNSName(san)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")]))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        )
        if ocsp_url:
            access = x509.AccessDescription(
                x509.oid.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url)
            )
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        if crl_url:
            point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256()), key

    def crl(self, *, age: timedelta = timedelta(), signer: Key | None = None) -> bytes:
        """Give the revocation list, `age` old."""
        now = datetime.now(UTC) - age
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - timedelta(hours=1))
            .next_update(now + timedelta(hours=1))
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(signer or self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def answer(
        self,
        certificate: x509.Certificate,
        *,
        age: timedelta = timedelta(),
        by: tuple[x509.Certificate, Key] | None = None,
    ) -> bytes:
        """Give an OCSP answer about a certificate, signed by the CA or by somebody else."""
        now = datetime.now(UTC) - age
        is_revoked = certificate.serial_number in self.revoked
        signer, key = by or (self.certificate, self.key)
        return (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=certificate,
                issuer=self.certificate,
                algorithm=hashes.SHA256(),
                cert_status=ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD,
                this_update=now - timedelta(hours=1),
                next_update=now + timedelta(hours=1),
                revocation_time=now if is_revoked else None,
                revocation_reason=x509.ReasonFlags.key_compromise if is_revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
            .certificates([signer])
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )


class Answers:
    """An HTTP server on loopback; each path gives what a function says. `asked` counts."""

    def __init__(self) -> None:
        self.give: dict[str, Callable[[], bytes | int]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append(self.path)
                found = outer.give.get(self.path, lambda: 404)()
                status, body = (found, b"") if isinstance(found, int) else (200, found)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", outer.url("/good"))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                """Stay silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        """Give the address of a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def server_context(folder: Path, chain: list[x509.Certificate], key: Key) -> ssl.SSLContext:
    """Make a server's context from a chain and a key."""
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(b"".join(pem(each) for each in chain))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context
