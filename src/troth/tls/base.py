"""The settings that all of Troth's client contexts share.

They must look alike on the wire: a server that can tell a first-timer from one that knows it can choose whom to deceive
(CVE-2020-14145). What differs between contexts is only what is trusted, and that is not in the ClientHello.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

# X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h): a pinned certificate is not refused for its dates; the policy is asked.
NO_CHECK_TIME = 0x200000
# Appliances have RSA-1024 keys and old curves: they must be seen to be named as weak. Level 1 still refuses anything
# below 80 bits, and the protocol stays at TLS 1.2 or newer.
CIPHERS = "DEFAULT:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=1"
_DER = 2


def client_context(cls: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """Make a client context that verifies nothing by itself; the caller adds what is trusted."""
    context = cls(ssl.PROTOCOL_TLS_CLIENT)
    harden(context)
    ssl.SSLContext.check_hostname.__set__(context, False)  # type: ignore[attr-defined]  # noqa: FBT003  # a property at run time
    ssl.SSLContext.verify_mode.__set__(context, ssl.CERT_NONE)  # type: ignore[attr-defined]
    return context


def harden(context: ssl.SSLContext) -> None:
    """Set what every context has: TLS 1.2 or newer, no tickets, no renegotiation, no strict X.509 form.

    Python 3.13 sets VERIFY_X509_STRICT, which refuses many appliance certificates for their form alone.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_ciphers(CIPHERS)


def anchor(context: ssl.SSLContext, certificates: Iterable[bytes], *, any_time: bool) -> None:
    """Make certificates (DER) the only thing a context accepts: each is a trust anchor, whether it is a CA or not.

    A mismatch is then refused by OpenSSL itself, inside the handshake, before a client certificate leaves. An anchor
    that is a CA would accept what it signed, so the leaf must still be compared afterwards. With no certificate, nothing
    is accepted.
    """
    anchors = b"".join(certificates)
    if anchors:
        ssl.SSLContext.load_verify_locations(context, cadata=anchors)
    flags = ssl.VERIFY_X509_PARTIAL_CHAIN | (NO_CHECK_TIME if any_time else 0)
    context.verify_flags |= flags
    ssl.SSLContext.verify_mode.__set__(context, ssl.CERT_REQUIRED)  # type: ignore[attr-defined]


class _Certificate(Protocol):
    def public_bytes(self, encoding: int) -> bytes: ...


class Peer(Protocol):
    """The object of OpenSSL's inside a socket."""

    def get_unverified_chain(self) -> list[_Certificate] | list[bytes] | None:
        """Give the chain as it was sent."""
        ...

    def get_verified_chain(self) -> list[_Certificate] | list[bytes] | None:
        """Give the chain along the verified path."""
        ...


def peer_chain(connection: ssl.SSLObject | ssl.SSLSocket, *, verified: bool = False) -> list[bytes]:
    """Give the chain as DER, the leaf first: as it was sent, or along the verified path. Empty before it is known.

    Unlike `getpeercert`, this answers as soon as the certificate was received, in the middle of a TLS 1.2 handshake.
    Up to Python 3.12 only the object inside has the method.
    """
    return chain_of(cast("Peer", connection._sslobj), verified=verified)  # type: ignore[union-attr]  # noqa: SLF001


def chain_of(inner: Peer, *, verified: bool = False) -> list[bytes]:
    """Give the same for the object inside."""
    chain = inner.get_verified_chain() if verified else inner.get_unverified_chain()
    return [each if isinstance(each, bytes) else each.public_bytes(_DER) for each in chain or ()]
