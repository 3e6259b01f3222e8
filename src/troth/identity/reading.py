"""Certificates as CAs hand them out: PEM, DER, PKCS #7. What else a file may be is named, with the command that helps."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from troth.errors import BadFile
from troth.model import der
from troth.model.certificate import CertificateView, certificates_from_pem

if TYPE_CHECKING:
    from cryptography import x509

MAX_FILE = 1 << 20
MAX_CERTIFICATES = 50
_SEQUENCE = b"\x30"
_SIGNED_DATA = "1.2.840.113549.1.7.2"


def certificates(data: bytes) -> tuple[CertificateView, ...]:
    """Read every certificate of a file, in its order, each once.

    Raises:
        BadFile: It is of another kind, is too large, or holds none.
        BadCertificate: One of them cannot be read.
    """
    if len(data) > MAX_FILE:
        raise BadFile(f"The file is larger than {MAX_FILE >> 20} MiB; no chain of certificates is.")
    views = _from_der(data) if data.startswith(_SEQUENCE) else _from_text(data)
    found = tuple(dict.fromkeys(views))
    if len(found) > MAX_CERTIFICATES:
        raise BadFile(f"The file holds {len(found)} certificates; a chain has a few.")
    return found


def _from_text(data: bytes) -> tuple[CertificateView, ...]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if "-----BEGIN PKCS7-----" in text:
        return _from_pkcs7(text.strip().encode(), pem=True)
    if "BEGIN CERTIFICATE-----" in text or "BEGIN X509 CERTIFICATE-----" in text:
        return certificates_from_pem(text)
    if "CERTIFICATE REQUEST-----" in text:
        raise BadFile(
            "The file is a certificate signing request, not a certificate.",
            next_command="give the request to your CA, and import the file that the CA answers with",
        )
    if "PRIVATE KEY-----" in text:
        raise BadFile(
            "The file holds a private key and no certificate.",
            next_command="troth key import CERTIFICATE --key KEYFILE",
        )
    raise BadFile("The file holds no certificate.", why="it is neither PEM, nor DER, nor PKCS #7")


def _from_der(data: bytes) -> tuple[CertificateView, ...]:
    try:
        first = next(iter(der.read_all(data).expect(der.SEQUENCE).children()), None)
        if first is not None and first.tag == der.OID and der.oid(first) == _SIGNED_DATA:
            return _from_pkcs7(data, pem=False)
        if first is not None and first.tag == der.INTEGER:
            raise BadFile(
                "The file is no certificate.",
                why="it looks like PKCS #12 (.p12, .pfx), or like a private key",
                next_command="openssl pkcs12 -in FILE -out FILE.pem; troth key import FILE.pem --key FILE.pem",
            )
    except der.DerError:
        raise BadFile("The file is damaged.", why="it begins like DER and is none") from None
    return (CertificateView.from_der(data),)


def _from_pkcs7(data: bytes, *, pem: bool) -> tuple[CertificateView, ...]:
    read = pkcs7.load_pem_pkcs7_certificates if pem else pkcs7.load_der_pkcs7_certificates
    try:
        with warnings.catch_warnings():
            # Some CAs write BER; what was read is read once more below, strictly.
            warnings.simplefilter("ignore")
            found = read(data)
    except ValueError:
        raise BadFile(
            "The PKCS #7 file cannot be read.", next_command="openssl pkcs7 -print_certs -in FILE -out FILE.pem"
        ) from None
    if not found:
        raise BadFile("The PKCS #7 file holds no certificate.")
    return tuple(_view(each) for each in found)


def _view(certificate: x509.Certificate) -> CertificateView:
    return CertificateView.from_der(certificate.public_bytes(serialization.Encoding.DER))
