"""Whether a CA revoked a certificate on a verified path: OCSP (RFC 6960) first, then CRLs (RFC 5280 section 5).

Asked in `ca` mode only. A certificate that names neither a responder nor a list cannot be asked about, and is not refused
for it; one that names them must be answered for, for a check that cannot be done is a rejection. The domain's setting
can relax that to "only a definite answer counts" where a network cannot reach its CAs.

Answers are fetched over plain HTTP, as the RFCs have it: they are signed, and HTTPS would need this very check. Where the
host staples an answer and the extra for it is installed, nobody else need be asked about its own certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from troth.errors import TrothError
from troth.model.text import printable
from troth.tls.answers import FRESH, Revoked, Unanswered, require_current
from troth.tls.crl import named_lists, read_list

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509
    from cryptography.x509 import ocsp

    from troth.tls.connect import Permit

MAX_OCSP = 64 << 10
MAX_CRL = 16 << 20

Fetch = Callable[[str, bytes | None, int], bytes]
Staple = Callable[[], bytes | None]


class Strictness(StrEnum):
    """What becomes of a question that nobody answers."""

    REQUIRE = "require"
    PREFER = "prefer"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How revocation is asked for.

    Args:
        strictness: What becomes of a question that nobody answers.
        responders: Custom OCSP responders, asked in place of the one that a certificate names.
        timeout_s: The limit of all fetches together, in seconds.
    """

    strictness: Strictness = Strictness.REQUIRE
    responders: tuple[str, ...] = ()
    timeout_s: float = 10.0


def check_path(
    path: tuple[bytes, ...],
    *,
    settings: Settings,
    now: datetime,
    fetch: Fetch | None = None,
    staple: Staple | None = None,
    permit: Permit | None = None,
) -> str:
    """Ask about every certificate of a verified path but the anchor; give why it is refused, or nothing.

    Args:
        path: DER, the leaf first, the anchor last.
        settings: How to ask.
        now: The time of the decision, aware.
        fetch: Gives the answer to (URL, body or None, size limit); by default over HTTP, guarded where a certificate names
            the address.
        staple: Asks the host for the answer that it staples; None where that cannot be asked.
        permit: Raises for an address (and port) that must not be connected to.
    """
    if settings.strictness is Strictness.OFF:
        return ""
    from cryptography import x509

    from troth.tls.fetch import fetcher

    named, configured = (fetch, fetch) if fetch else fetcher(settings.timeout_s, permit)
    try:
        certificates = [x509.load_der_x509_certificate(each) for each in path]
    except Exception as error:  # noqa: BLE001  # whatever a hostile certificate provokes, it cannot be checked
        return f"a certificate on the path cannot be read strictly, so it cannot be checked: {_said(error)}"
    for number, (subject, issuer) in enumerate(pairwise(certificates)):
        name = printable(subject.subject.rfc4514_string())
        try:
            if number or staple is None or not _by_staple(staple, subject, issuer, now):
                _ask(subject, issuer, settings, now, named=named, configured=configured)
        except Revoked as revoked:
            return f"{name} was revoked by its CA: {revoked}"
        except Exception as silence:  # noqa: BLE001  # whatever hinders the question: it was not answered
            if settings.strictness is Strictness.REQUIRE:
                return f"it cannot be told whether {name} was revoked: {_said(silence)}"
    return ""


def _ask(
    subject: x509.Certificate,
    issuer: x509.Certificate,
    settings: Settings,
    now: datetime,
    *,
    named: Fetch,
    configured: Fetch,
) -> None:
    """Return if it is good, or cannot be asked about; each source is asked until one answers.

    Raises:
        Revoked: It was revoked.
        Unanswered: No source answered.
    """
    asks: list[tuple[str, Callable[[], None]]] = []
    if settings.responders:
        asks += [(url, partial(_by_ocsp, url, subject, issuer, now, configured)) for url in settings.responders]
    else:
        asks += [(url, partial(_by_ocsp, url, subject, issuer, now, named)) for url in _named_responders(subject)]
    for url, point in named_lists(subject):
        asks.append((url, partial(_by_crl, url, subject, issuer, point, now, named)))
    failures: list[str] = []
    for url, ask in asks:
        try:
            return ask()
        except Revoked:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a hostile or broken answer provokes, it is none
            failures.append(f"{printable(url)}: {_said(error)}")
    if failures:
        raise Unanswered("; ".join(failures))
    return None


def _by_staple(staple: Staple, subject: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether the host staples an answer that says good; other sources are asked if it staples none that can be used.

    Raises:
        Revoked: It says revoked.
        Unanswered: The certificate says that there always is an answer (RFC 7633), and there is none.
    """
    must = _must_staple(subject)
    answer = staple()
    try:
        if answer is not None:
            _read_ocsp(answer, subject, issuer, now)
            return True
    except Revoked:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a hostile or broken answer provokes, it is none
        if must:
            raise Unanswered(f"the stapled answer: {_said(error)}") from None
    if must:
        raise Unanswered("the certificate says that its host always staples an answer, and it stapled none")
    return False


def _must_staple(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        features = certificate.extensions.get_extension_for_class(x509.TLSFeature).value
    except x509.ExtensionNotFound:
        return False
    return x509.TLSFeatureType.status_request in features


def _said(error: Exception) -> str:
    if isinstance(error, (Unanswered, TrothError)):
        return str(error)
    return f"the answer cannot be read ({printable(str(error), 80)})"


def _by_ocsp(url: str, subject: x509.Certificate, issuer: x509.Certificate, now: datetime, fetch: Fetch) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import ocsp

    request = ocsp.OCSPRequestBuilder().add_certificate(subject, issuer, hashes.SHA1()).build()  # noqa: S303  # an identifier
    _read_ocsp(fetch(url, request.public_bytes(serialization.Encoding.DER), MAX_OCSP), subject, issuer, now)


def _read_ocsp(data: bytes, subject: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    from cryptography.x509 import ocsp

    response = ocsp.load_der_ocsp_response(data)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unanswered(f"the responder says {response.response_status.name.lower().replace('_', ' ')}")
    _require_signed(response, issuer, now)
    name_hash, key_hash = _issuer_hashes(issuer, response.hash_algorithm)
    if (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) != (
        subject.serial_number,
        name_hash,
        key_hash,
    ):
        raise Unanswered("the answer is about another certificate")
    require_current(response.this_update_utc, response.next_update_utc, now, fresh=FRESH)
    if response.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        reason = response.revocation_reason
        raise Revoked(f"{response.revocation_time_utc:%Y-%m-%d}" + (f", {reason.value}" if reason else ""))
    if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise Unanswered("the responder does not know the certificate")


def _require_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """The answer is signed by the CA itself, or by one that the CA named for this (RFC 6960 section 4.2.2.2)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    candidates = [issuer]
    for each in response.certificates:
        try:
            each.verify_directly_issued_by(issuer)
            usages = each.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        if x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING in usages and (
            each.not_valid_before_utc <= now <= each.not_valid_after_utc
        ):
            candidates.append(each)
    for signer in candidates:
        try:
            _verify(signer.public_key(), response.signature, response.tbs_response_bytes, response)
        except InvalidSignature:
            continue
        return
    raise Unanswered("the answer is not signed by the CA")


def _verify(key: Any, signature: bytes, data: bytes, signed: Any) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

    algorithm = signed.signature_hash_algorithm
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(algorithm))
    elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        key.verify(signature, data)
    else:
        raise Unanswered("the answer is signed with an unknown kind of key")


def _issuer_hashes(issuer: x509.Certificate, algorithm: Any) -> tuple[bytes, bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from troth.model import der

    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_bits = list(der.read_all(spki).children())[1].value[1:]
    name = issuer.subject.public_bytes()
    return hashlib.new(algorithm.name, name).digest(), hashlib.new(algorithm.name, key_bits).digest()


def _by_crl(
    url: str,
    subject: x509.Certificate,
    issuer: x509.Certificate,
    point: x509.DistributionPoint,
    now: datetime,
    fetch: Fetch,
) -> None:
    read_list(fetch(url, None, MAX_CRL), subject, issuer, point, now)


def _named_responders(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return [
        str(each.access_location.value)
        for each in access
        if each.access_method == x509.oid.AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    ][:4]
