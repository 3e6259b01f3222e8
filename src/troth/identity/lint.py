"""What is wrong with a certificate, found before anything changes.

An error stops an import: peers would refuse the certificate, or the node could not use it. A warning is told, and stops
nothing. Every finding says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.identity.names import covers
from troth.trust.weakness import weaknesses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from troth.identity.chain import Path
    from troth.model.certificate import CertificateView
    from troth.model.fingerprint import Fingerprint

SOON = timedelta(days=30)
# Keys that are sound, and that browsers connect to no server with.
_NOT_IN_BROWSERS = ("Ed25519", "Ed448", "EC P-521", "EC secp256k1")
_FROM_CA = "ask your CA for another certificate, with the request that `troth key csr` made"


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Args:
        code: A stable word for programs.
        severity: Whether it stops an import.
        what: One sentence: what is wrong.
        todo: What to do about it.
    """

    code: str
    severity: Severity
    what: str
    todo: str

    def document(self) -> dict[str, str]:
        """Give it as JSON-able values."""
        return {"code": self.code, "severity": self.severity.value, "what": self.what, "todo": self.todo}


def error(code: str, what: str, todo: str) -> Finding:
    """Make a finding that stops an import."""
    return Finding(code=code, severity=Severity.ERROR, what=what, todo=todo)


def warning(code: str, what: str, todo: str) -> Finding:
    """Make a finding that is told."""
    return Finding(code=code, severity=Severity.WARNING, what=what, todo=todo)


def errors(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Give those that stop an import."""
    return tuple(each for each in findings if each.severity is Severity.ERROR)


def lint(path: Path, given: Sequence[CertificateView], *, names: Sequence[str], now: datetime) -> tuple[Finding, ...]:
    """Look at a certificate and the way to its CA.

    Args:
        path: The way that was found.
        given: What the file holds, in its order.
        names: What the node is reached by, `DNS:…` and `IP:…`.
        now: The time, aware.
    """
    return (
        *_way(path, given),
        *dates(path, now),
        *_names(path.leaf, names),
        *_purpose(path),
        *_strength(path),
    )


def key(leaf: CertificateView, spki: Fingerprint) -> Iterator[Finding]:
    """Say whether a certificate is for another key."""
    if leaf.spki != spki:
        yield error(
            "key-mismatch",
            f"The certificate is for another key ({leaf.spki}), not for the one that was given ({spki}).",
            "give the key that the certificate was requested with",
        )


def unknown_key(leaf: CertificateView) -> Finding:
    """Say that no key of the node belongs to any certificate of a file."""
    return error(
        "key-unknown",
        f"This node holds no key of {leaf.subject or 'the certificate'} ({leaf.spki}).",
        "import the answer to this node's own request, or give its key: troth key import FILE --key KEYFILE",
    )


def dates(path: Path, now: datetime) -> Iterator[Finding]:
    """Say which certificates are outside their dates, or soon will be."""
    for view in dict.fromkeys((*path.certificates, *((path.anchor,) if path.anchor else ()))):
        who = "The certificate" if view is path.leaf else f"The CA certificate of {view.subject}"
        if view.not_before is None or view.not_after is None:
            yield error("unreadable-dates", f"{who} has dates that cannot be read.", _FROM_CA)
        elif now > view.not_after:
            yield error("expired", f"{who} expired at {_moment(view.not_after)}.", _FROM_CA)
        elif now < view.not_before:
            yield warning(
                "not-yet-valid",
                f"{who} is not valid before {_moment(view.not_before)}.",
                "activate it after that, or set this machine's clock if it is wrong",
            )
        elif now > view.not_after - SOON:
            yield warning("expires-soon", f"{who} expires at {_moment(view.not_after)}.", _FROM_CA)


def _way(path: Path, given: Sequence[CertificateView]) -> Iterator[Finding]:
    last = path.certificates[-1]
    if path.anchor is None:
        yield error(
            "chain-incomplete",
            f"The certificate of the CA that signed {last.subject or 'the certificate'} is missing: {last.issuer}.",
            "give the CA's certificates up to the root: troth key import FILE --chain CAFILE; or trust the CA first:"
            " ncs key importcacert ALIAS FILE repository defaultRepo",
        )
    for view in (*path.certificates[1:], *((path.anchor,) if path.anchor not in (None, path.leaf) else ())):
        if view is not None and not view.is_ca:
            yield error("issuer-is-no-ca", f"{view.subject} signed, and is no CA.", "ask your CA for its real chain")
    used = [view for view in given if view in path.certificates or view == path.anchor]
    if [view for view in used if view != path.anchor] != [each for each in path.certificates if each != path.anchor]:
        yield warning(
            "chain-disordered",
            "The certificates are not in the order that TLS wants.",
            "nothing: they are put in order",
        )
    strangers = [view for view in given if view not in used]
    if strangers and path.anchor is not None:
        yield warning(
            "chain-strangers",
            f"The file holds {len(strangers)} certificates that are not on the way to the CA.",
            "nothing: they are left out",
        )


def _names(leaf: CertificateView, wanted: Sequence[str]) -> Iterator[Finding]:
    sans = [each for each in leaf.san if each.startswith(("DNS:", "IP:"))]
    if not sans:
        yield error(
            "san-missing",
            "The certificate names no host: it has no subject alternative name, and common names are not looked at.",
            "ask your CA to keep the names of the request (troth key csr --san DNS:… --san IP:…)",
        )
        return
    missing = [each for each in wanted if not covers(sans, each)]
    if not missing:
        return
    told = ", ".join(missing)
    if len(missing) == len(wanted):
        yield error(
            "names-missing",
            f"The certificate is for {', '.join(sans)}, and this node has none of these names: it has {told}.",
            "ask your CA for a certificate with this node's names, or import the certificate on its own node",
        )
    else:
        yield warning(
            "names-missing",
            f"The certificate does not name {told}, which this node's certificate named so far.",
            "reach the node by its other names, or ask your CA for a certificate with these",
        )


def _purpose(path: Path) -> Iterator[Finding]:
    leaf = path.leaf
    if not leaf.for_servers:
        yield error("not-for-servers", "TLS libraries do not take it as a server's certificate.", _FROM_CA)
    if not for_clients_too(leaf):
        yield warning(
            "not-for-clients",
            "The certificate is for servers alone; the two servers of a pair are also each other's clients.",
            "for a pair, ask your CA for one with clientAuth as well",
        )
    if leaf.is_ca:
        make = warning if leaf.self_issued else error
        yield make(
            "is-a-ca",
            "The certificate is a CA's: who trusts it trusts whatever its key signs.",
            "have a certificate without CA:TRUE made: troth key generate, or troth key csr",
        )
    if _must_staple(leaf):
        yield error(
            "must-staple",
            "The certificate demands stapled OCSP answers, which this server does not give.",
            "ask your CA for one without must-staple",
        )


def _strength(path: Path) -> Iterator[Finding]:
    for view in path.certificates:
        for weak in weaknesses(view):
            who = "The certificate" if view is path.leaf else f"The CA certificate of {view.subject}"
            yield error(weak.code, f"{who} is weak: {weak.text}.", "make a new key: troth key csr, and ask your CA")
    if path.leaf.key in _NOT_IN_BROWSERS:
        yield warning(
            "not-in-browsers",
            f"Browsers connect to no server with a key of kind {path.leaf.key}.",
            "use ec-p256, unless only programs connect to this node",
        )


def for_clients_too(view: CertificateView) -> bool:
    """Whether a certificate may be a TLS client's as well as a server's."""
    certificate = _parsed(view)
    try:
        if certificate is None:
            return False
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in purposes


def _must_staple(view: CertificateView) -> bool:
    """Whether a certificate demands stapled OCSP answers (RFC 7633)."""
    certificate = _parsed(view)
    try:
        if certificate is None:
            return False
        feature = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except x509.ExtensionNotFound:
        return False
    except ValueError:
        return True
    return x509.TLSFeatureType.status_request in feature


def _parsed(view: CertificateView) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(view.der)
    except ValueError:
        return None


def _moment(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
