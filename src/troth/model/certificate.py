"""What a certificate says, read from the exact bytes that TLS verified (RFC 5280)."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model import der
from troth.model.fingerprint import Fingerprint
from troth.model.keys import describe_key, describe_signature, same_algorithm
from troth.model.name import DistinguishedName
from troth.model.text import printable
from troth.model.usage import for_servers

if TYPE_CHECKING:
    from collections.abc import Sequence

_PEM = re.compile(
    r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END (?:X509 |TRUSTED )?CERTIFICATE-----", re.S
)
_MAX_PEM = 4 << 20
_EXT_SAN, _EXT_BASIC_CONSTRAINTS = "2.5.29.17", "2.5.29.19"
_MAX_SANS = 1000
# RFC 5280 4.1.2.2 allows twenty bytes; some have more. It is for reading only: nothing is told apart by it.
_MAX_SERIAL = 64
_UNIQUE_IDS, _EXTENSIONS = (0x81, 0x82), 0xA3


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate's fields; every text is safe to print.

    `fingerprint` is the SHA-256 of the whole DER, `spki` that of the SubjectPublicKeyInfo; `for_servers` says whether
    OpenSSL accepts the certificate as a TLS server's. Dates that cannot be read
    are None: they are never guessed.
    """

    der: bytes
    fingerprint: Fingerprint
    spki: Fingerprint
    subject: str
    issuer: str
    serial: str
    not_before: datetime | None
    not_after: datetime | None
    san: tuple[str, ...]
    key: str
    signature_algorithm: str
    is_ca: bool
    for_servers: bool
    self_issued: bool
    version: int
    subject_der: bytes
    issuer_der: bytes
    spki_der: bytes

    @classmethod
    def from_der(cls, data: bytes) -> CertificateView:
        """Read a certificate.

        Raises:
            BadCertificate: It is not strict DER, or not a certificate.
        """
        try:
            return _view(data)
        except (der.DerError, ValueError, IndexError, OverflowError) as error:
            raise BadCertificate(
                "The certificate cannot be read.",
                why=printable(str(error)),
                next_command="openssl x509 -inform DER -noout -text -in FILE",
            ) from None

    @classmethod
    def from_pem(cls, text: str) -> CertificateView:
        """Read the first certificate of a PEM text (RFC 7468).

        Raises:
            BadCertificate: There is none, or it cannot be read.
        """
        return certificates_from_pem(text)[0]

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        body = base64.b64encode(self.der).decode("ascii")
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"

    @property
    def subject_slash(self) -> str:
        """The subject in the incumbent's slash form, safe to print."""
        return printable(DistinguishedName.from_der(self.subject_der).slash(), limit=1024)

    @property
    def subject_java(self) -> str:
        """The subject as the incumbent's logs print it, safe to print."""
        return printable(DistinguishedName.from_der(self.subject_der).java(), limit=1024)

    def valid_at(self, moment: datetime) -> bool:
        """Whether `moment` (aware) lies within the dates; unreadable dates are never valid."""
        if self.not_before is None or self.not_after is None:
            return False
        return self.not_before <= moment <= self.not_after


def certificates_from_pem(text: str) -> tuple[CertificateView, ...]:
    """Read every certificate of a PEM text.

    Raises:
        BadCertificate: There is none, or one cannot be read.
    """
    if len(text) > _MAX_PEM:
        raise BadCertificate("The PEM text is larger than 4 MiB.")
    views = []
    for match in _PEM.finditer(text):
        try:
            data = base64.b64decode("".join(match[1].split()), validate=True)
        except (binascii.Error, ValueError):
            raise BadCertificate("The PEM text holds a certificate whose base64 is damaged.") from None
        views.append(CertificateView.from_der(data))
    if not views:
        raise BadCertificate(
            "The text holds no certificate.",
            why="no BEGIN CERTIFICATE line was found",
            next_command="openssl x509 -in FILE -inform DER -out FILE.pem",
        )
    return tuple(views)


def spki_of(data: bytes) -> Fingerprint:
    """Give the key's fingerprint (SPKI) of a certificate, and read nothing else of it; cheap enough for whole chains.

    Raises:
        BadCertificate: It has none that can be found.
    """
    try:
        tbs, _ = _signed_parts(data)
        position = 6 if tbs and tbs[0].tag == 0xA0 else 5
        return Fingerprint.of(tbs[position].expect(der.SEQUENCE).raw)
    except (der.DerError, IndexError) as error:
        raise BadCertificate("The certificate cannot be read.", why=printable(str(error))) from None


def _view(data: bytes) -> CertificateView:
    tbs, algorithm = _signed_parts(data)
    version = 1
    if tbs and tbs[0].tag == 0xA0:
        version = der.integer(der.read_all(tbs.pop(0).value)) + 1
    if len(tbs) < 6:
        raise der.DerError("a part of the certificate is missing")
    serial, inner, issuer, validity, subject, spki = tbs[:6]
    if not same_algorithm(inner.raw, algorithm):
        raise der.DerError("it names two signature algorithms")
    dates = list(validity.expect(der.SEQUENCE).children())
    if len(dates) != 2:
        raise der.DerError("a validity has two dates")
    extensions, critical = _extensions(tbs[6:])
    return CertificateView(
        der=data,
        fingerprint=Fingerprint.of(data),
        spki=Fingerprint.of(spki.expect(der.SEQUENCE).raw),
        subject=printable(DistinguishedName.from_der(subject.raw).rfc4514(), limit=1024),
        issuer=printable(DistinguishedName.from_der(issuer.raw).rfc4514(), limit=1024),
        serial=_serial(serial),
        not_before=_time(dates[0]),
        not_after=_time(dates[1]),
        san=_san(extensions.get(_EXT_SAN)),
        key=describe_key(spki.raw),
        signature_algorithm=describe_signature(algorithm),
        is_ca=_is_ca(extensions.get(_EXT_BASIC_CONSTRAINTS)),
        for_servers=for_servers(extensions, critical),
        self_issued=subject.raw == issuer.raw,
        version=version,
        subject_der=subject.raw,
        issuer_der=issuer.raw,
        spki_der=spki.raw,
    )


def _signed_parts(data: bytes) -> tuple[list[der.Element], bytes]:
    """Give the parts of what is signed, and the algorithm that stands beside it (RFC 5280 4.1.1)."""
    outer = list(der.read_all(data).expect(der.SEQUENCE).children())
    if len(outer) != 3:
        raise der.DerError("a certificate has three parts")
    der.bits(outer[2])
    return list(outer[0].expect(der.SEQUENCE).children()), outer[1].raw


def _serial(element: der.Element) -> str:
    number = der.integer(element)
    sign, digits = "-" if number < 0 else "", f"{abs(number):x}"
    return sign + (digits if len(digits) <= _MAX_SERIAL else digits[:_MAX_SERIAL] + "…")


def _time(element: der.Element) -> datetime | None:
    """Read a Time (RFC 5280 4.1.2.5); what is not of that form is None rather than an error."""
    text = element.value.decode("ascii", "replace")
    if element.tag == der.UTC_TIME and len(text) == 13:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != der.GENERALIZED_TIME or len(text) != 15:
        return None
    if not (text.endswith("Z") and text[:-1].isdigit()):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _extensions(rest: Sequence[der.Element]) -> tuple[dict[str, bytes], frozenset[str]]:
    """Give the values by name, and the names of those that are critical (RFC 5280 4.1.2.9)."""
    tags = [part.tag for part in rest]
    if tags != sorted(set(tags)) or not set(tags) <= {*_UNIQUE_IDS, _EXTENSIONS}:
        raise der.DerError("what follows the key is out of place")
    found: dict[str, bytes] = {}
    critical: set[str] = set()
    if _EXTENSIONS not in tags:
        return found, frozenset()
    for extension in der.read_all(rest[-1].value).expect(der.SEQUENCE).children():
        fields = list(extension.expect(der.SEQUENCE).children())
        if not 2 <= len(fields) <= 3:
            raise der.DerError("an extension has a name, a value, and may be critical")
        name = der.oid(fields[0])
        if len(fields) == 3 and der.boolean(fields[1]):
            critical.add(name)
        if name in found:
            raise der.DerError(f"extension {name} stands twice")
        found[name] = fields[-1].expect(der.OCTET_STRING).value
    return found, frozenset(critical)


def _is_ca(value: bytes | None) -> bool:
    """Read BasicConstraints (RFC 5280 4.2.1.9); whatever OpenSSL takes for TRUE makes a CA."""
    if value is None:
        return False
    fields = list(der.read_all(value).expect(der.SEQUENCE).children())
    return bool(fields) and fields[0].tag == der.BOOLEAN and der.boolean(fields[0])


def _san(value: bytes | None) -> tuple[str, ...]:
    if value is None:
        return ()
    names: list[str] = []
    for element in der.read_all(value).expect(der.SEQUENCE).children():
        if len(names) == _MAX_SANS:
            names.append("… more names are not shown")
            break
        names.append(_general_name(element))
    return tuple(names)


def _general_name(element: der.Element) -> str:
    """Name one GeneralName (RFC 5280 4.2.1.6)."""
    kind = element.tag & 0x1F
    if kind == 7 and len(element.value) in (4, 16):
        return f"IP:{ipaddress.ip_address(element.value)}"
    if kind == 4:
        return "DirName:" + printable(DistinguishedName.from_der(element.value).rfc4514())
    label = {1: "email", 2: "DNS", 6: "URI", 8: "RID"}.get(kind, "other")
    if label in ("email", "DNS", "URI"):
        return f"{label}:{printable(element.value.decode('utf-8', 'backslashreplace'))}"
    return f"{label}:{element.value[:32].hex()}"
