"""Revocation lists (RFC 5280 section 5), and which certificates one speaks about (section 6.3.3).

A list comes over plain HTTP, so whoever is in the middle chooses among all lists that the CA ever signed. A list that is
genuine, and about other certificates, must not count as "not revoked".
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from troth.tls.answers import Revoked, Unanswered, is_ca, require_current

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

MAX_POINTS = 4


def named_lists(certificate: x509.Certificate) -> list[tuple[str, x509.DistributionPoint]]:
    """Give the addresses of the lists that a certificate names, each with its distribution point."""
    from cryptography import x509

    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    found = [
        (str(name.value), point)
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return found[:MAX_POINTS]


def read_list(
    data: bytes, subject: x509.Certificate, issuer: x509.Certificate, point: x509.DistributionPoint, now: datetime
) -> None:
    """Return if a list says that a certificate was not revoked.

    Args:
        data: The list, DER or PEM.
        subject: The certificate.
        issuer: Its CA, which signs the list itself.
        point: The distribution point of the certificate that the list was fetched for.
        now: The time of the decision, aware.

    Raises:
        Revoked: It was revoked.
        Unanswered: The list is not the CA's, not of now, or not about this certificate.
    """
    from cryptography import x509

    is_pem = data.startswith(b"-----BEGIN")
    found = x509.load_pem_x509_crl(data) if is_pem else x509.load_der_x509_crl(data)
    if found.issuer != issuer.subject or not found.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        raise Unanswered("the list is not the CA's")
    if not _may_sign_lists(issuer):
        raise Unanswered("the CA's certificate does not allow it to sign lists")
    require_current(found.last_update_utc, found.next_update_utc, now, fresh=timedelta())
    _require_scope(found, subject, point)
    entry = found.get_revoked_certificate_by_serial_number(subject.serial_number)
    if entry is not None:
        raise Revoked(f"{entry.revocation_date_utc:%Y-%m-%d}")
    if point.reasons is not None:
        raise Unanswered("the certificate names this list for some reasons of revocation only")


def _require_scope(
    found: x509.CertificateRevocationList, subject: x509.Certificate, point: x509.DistributionPoint
) -> None:
    """Stop unless the list is complete for this certificate (RFC 5280 section 6.3.3 (b)(2))."""
    from cryptography import x509

    for extension in found.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise Unanswered("the list holds only what was changed since another one (a delta)")
        if isinstance(value, x509.IssuingDistributionPoint):
            for reason in _out_of_scope(value, subject, point):
                raise Unanswered(f"the list does not cover this certificate: {reason}")
        elif extension.critical:
            raise Unanswered("the list has a rule that Troth does not know")


def _out_of_scope(
    scope: x509.IssuingDistributionPoint, subject: x509.Certificate, point: x509.DistributionPoint
) -> Iterator[str]:
    if scope.only_contains_attribute_certs:
        yield "it is for attribute certificates"
    if scope.only_contains_user_certs and is_ca(subject):
        yield "it is for end entities, and this is a CA"
    if scope.only_contains_ca_certs and not is_ca(subject):
        yield "it is for CAs, and this is none"
    if scope.only_some_reasons is not None:
        yield "it is for some reasons of revocation only"
    if scope.indirect_crl:
        yield "it is of other CAs' certificates too (an indirect list)"
    if scope.full_name is not None and not set(scope.full_name) & set(point.full_name or ()):
        yield "it belongs to another distribution point"
    if scope.relative_name is not None and scope.relative_name != point.relative_name:
        yield "it belongs to another distribution point"


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
