"""Rejections: a certificate that is not the trusted one. They are also what `ssl` raises, so TLS libraries route them.

asyncio sends only `ssl.SSLError` into a failed handshake, and HTTP clients map `ssl.SSLCertVerificationError`
to their own "certificate" error; hence the second base class.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from troth.errors.base import TrothError

if TYPE_CHECKING:
    from troth.trust.verdict import Decision


class CertificateRejected(TrothError, ssl.SSLCertVerificationError):
    """The presented certificate is not trusted; no application byte was exchanged.

    Args:
        what: One sentence with host and port.
        decision: The decision with both certificates, the diff and the class; None if there was nothing to decide on.
    """

    code, slug, exit_code, status = "TROTH-300", "certificate-rejected", 3, 409
    title = "The certificate is not the trusted one"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        next_command: str = "",
        details: dict[str, object] | None = None,
        decision: Decision | None = None,
    ):
        ssl.SSLCertVerificationError.__init__(self, 1, what)
        TrothError.__init__(self, what, why=why, next_command=next_command, details=details)
        self.args = (1, what)
        self.reason = "CERTIFICATE_VERIFY_FAILED"
        self.library = "SSL"
        self.verify_code = 0
        self.verify_message = what
        self.decision = decision

    def __reduce__(self) -> tuple[object, ...]:
        """Be pickled: a rejection passes from a worker process to its parent whole, with its decision."""
        return _restored, (type(self), self.what), self.__dict__

    def __str__(self) -> str:
        """Give the message; a rejection's text is complete by itself."""
        return TrothError.__str__(self)


def _restored(kind: type[CertificateRejected], what: str) -> CertificateRejected:
    return kind(what)


class CertificateChanged(CertificateRejected):
    """Another certificate than the one on record."""

    code, slug = "TROTH-301", "certificate-changed"
    title = "The certificate has changed"


class CertificateRevoked(CertificateRejected):
    """A certificate or key that was revoked here: it is never accepted again."""

    code, slug = "TROTH-302", "certificate-revoked"
    title = "The certificate was revoked"


class CertificateExpired(CertificateRejected):
    """The right certificate, outside its dates, where the policy insists on them."""

    code, slug = "TROTH-303", "certificate-expired"
    title = "The certificate is outside its dates"


class InvalidChain(CertificateRejected):
    """The chain does not lead to a trusted CA for this name."""

    code, slug = "TROTH-304", "invalid-chain"
    title = "The certificate chain is not valid"


class UnreadableCertificate(CertificateRejected):
    """The peer's certificate cannot be read, or there is none: what cannot be checked is rejected."""

    code, slug = "TROTH-305", "unreadable-certificate"
    title = "The certificate cannot be checked"


class AwaitingApproval(CertificateRejected):
    """The endpoint waits in quarantine until a person approves its certificate."""

    code, slug, exit_code, status = "TROTH-401", "awaiting-approval", 4, 409
    title = "The certificate waits for approval"
