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

    Each step is proven by a signature, so neither the order nor a name that several CAs share misleads it. CAs that
    signed each other open several ways; one that ends nowhere is left for the next. `known` is looked at only where the
    file does not lead to a root.
    """
    return _Search(given, known).walk((leaf,))


class _Search:
    """A walk along signatures; each certificate is visited once, so that many of one name cost little."""

    def __init__(self, given: Sequence[CertificateView], known: Iterable[CertificateView]):
        self._given, self._known = given, known
        self._anchors: tuple[CertificateView, ...] | None = None
        self._visited: set[CertificateView] = set()

    def walk(self, found: tuple[CertificateView, ...]) -> Path:
        """Go on from the last one; without success, give the longest way that was tried."""
        last = found[-1]
        self._visited.add(last)
        if last.self_issued and signed(last, last):
            return Path(found[:-1] or found, last)
        best = Path(found, None)
        # A root ends the way at once, so it is tried before the same CA's certificate from another one.
        for issuer in sorted(self._given, key=lambda each: not each.self_issued):
            if len(found) < MAX_LENGTH and issuer not in self._visited and signed(last, issuer):
                path = self.walk((*found, issuer))
                if path.anchor is not None:
                    return path
                best = max(best, path, key=lambda each: len(each.certificates))
        anchor = next((each for each in self._trusted() if signed(last, each)), None)
        return best if anchor is None else Path(found, anchor)

    def _trusted(self) -> tuple[CertificateView, ...]:
        if self._anchors is None:
            self._anchors = tuple(self._known)
        return self._anchors


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
