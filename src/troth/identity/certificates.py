"""The certificates and requests that a node signs for itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.identity.keys import hash_for
from troth.identity.names import MAX_COMMON_NAME, Subject, general_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from troth.identity.keys import PrivateKey

# Ten years. What vouches for a self-signed certificate is that its peers have it on record, and each new one must be
# put on record at every peer by a person: a shorter life adds outages and no security. Who wants short lives has a CA,
# and imports its certificates. RFC 5280 would allow no end at all (99991231235959Z), which some libraries misread.
LIFETIME = timedelta(days=3652)
# Peers whose clocks are behind must be able to connect on the first day.
BACKDATED = timedelta(days=1)


def self_signed(key: PrivateKey, sans: Sequence[str], now: datetime) -> bytes:
    """Make a node's own certificate, as PEM; its subject is the first of its names.

    Args:
        key: The node's key.
        sans: `DNS:…` and `IP:…`, the most important first.
        now: The time, aware.
    """
    first = sans[0].partition(":")[2]
    # A name that is too long for a common name stands among the alternative names alone.
    subject = Subject(cn=first if len(first) <= MAX_COMMON_NAME else "").name
    public = key.public_key()
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    for extension, critical in _extensions(key, subject, sans):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hash_for(key)).public_bytes(serialization.Encoding.PEM)


def request(key: PrivateKey, subject: Subject, sans: Sequence[str]) -> bytes:
    """Make a certificate signing request (PKCS #10), as PEM; it asks for all that a node needs."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject.name)
    for extension, critical in _extensions(key, subject.name, sans):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hash_for(key)).public_bytes(serialization.Encoding.PEM)


def _extensions(key: PrivateKey, subject: x509.Name, sans: Sequence[str]) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Give what a node's certificate says beside its subject, each with whether it is critical.

    A node is a server to all and a client to its twin, so it needs both purposes. It never vouches for others.
    """
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield _usage(encipherment=isinstance(key, rsa.RSAPrivateKey)), True
    yield x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
    if sans:
        # RFC 5280 4.2.1.6: where the subject is empty, the names are critical.
        yield x509.SubjectAlternativeName(general_names(sans)), not list(subject)


def _usage(*, encipherment: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=encipherment,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
