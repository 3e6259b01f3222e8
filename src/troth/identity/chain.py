"""The way from a node's certificate to a CA, found among what a file holds and what the node knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from troth.model.certificate import CertificateView

MAX_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Path:
    """A leaf, and those that vouch for it.

    Args:
        certificates: What a server sends: the leaf, then each one's issuer; no root.
        anchor: Where the way ends: a self-signed certificate, or a CA that the node knows; None if it ends nowhere.
    """

    certificates: tuple[CertificateView, ...]
    anchor: CertificateView | None

    @property
    def leaf(self) -> CertificateView:
        """The node's own certificate."""
        return self.certificates[0]

    @property
    def pem(self) -> bytes:
        """What a server sends, as PEM."""
        return "".join(each.pem for each in self.certificates).encode("ascii")


def find(leaf: CertificateView, given: Sequence[CertificateView], known: Iterable[CertificateView]) -> Path:
    """Find the way from a leaf to a root among `given`, or else to one of the CAs that are `known`.

    `known` is looked at only where the file does not lead to a root. Each step is proven by a signature, so neither the order nor a name that several CAs share misleads it.
    """
    found = [leaf]
    while len(found) <= MAX_LENGTH:
        last = found[-1]
        if last.self_issued and signed(last, last):
            sent = found[:-1] or found
            return Path(tuple(sent), last)
        issuer = next((each for each in given if each not in found and signed(last, each)), None)
        if issuer is None:
            return Path(tuple(found), next((each for each in known if signed(last, each)), None))
        found.append(issuer)
    return Path(tuple(found), None)


def signed(view: CertificateView, issuer: CertificateView) -> bool:
    """Whether a certificate bears the issuer's name and signature."""
    if view.issuer_der != issuer.subject_der:
        return False
    try:
        parsed = x509.load_der_x509_certificate(view.der)
        parsed.verify_directly_issued_by(x509.load_der_x509_certificate(issuer.der))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
