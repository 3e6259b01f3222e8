"""Look at what an endpoint presents: connect, pass the proxy, start TLS, shake hands, and send nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors import BadCertificate, UnreadableCertificate
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint, canonical_host
from troth.tls.base import client_context
from troth.tls.connect import naming, reach
from troth.tls.deadline import DEFAULT_TIMEOUT_S, Deadline
from troth.tls.handshake import Handshake, shake
from troth.tls.proxy import Proxy, open_tunnel
from troth.trust.verdict import Presented

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from troth.tls.connect import Permit


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to look, and how to get there.

    Args:
        endpoint: Where.
        server_name: The server name to send; empty for the host's own (none for an address).
        timeout_s: The limit of the whole attempt, in seconds.
        proxy: An HTTP proxy on the way.
        alpn: The application protocols to offer, for hosts whose certificate depends on them.
        permit: Raises for an address (and port) that must not be connected to. Behind a proxy, which resolves names by
            itself, it is asked about the host as it is written.
    """

    endpoint: Endpoint
    server_name: str = ""
    timeout_s: float = DEFAULT_TIMEOUT_S
    proxy: Proxy | None = None
    alpn: tuple[str, ...] = ()
    permit: Permit | None = None

    @property
    def verified_name(self) -> str:
        """The name (or address) that a chain must be valid for."""
        return canonical_host(self.server_name) if self.server_name else self.endpoint.host.partition("%")[0]


def probe(
    target: Target, *, context: ssl.SSLContext | None = None, refuse: Callable[[bytes], bool] | None = None
) -> tuple[Presented, Handshake]:
    """Shake hands with an endpoint and give what it presented; nothing else is sent, and nothing is recorded.

    Args:
        target: Where, and how.
        context: A context that verifies; by default one that only looks.
        refuse: Given the leaf (DER) in the middle of the handshake; True ends it there.

    Raises:
        Unreachable: No connection, no TLS, or the limit ran out.
        UnreadableCertificate: There is no certificate, or it cannot be read.
        NotAllowed: The target's `permit` refused the address.
        ssl.SSLCertVerificationError: The given context refused the certificate.
    """
    endpoint = target.endpoint
    deadline = Deadline(target.timeout_s, str(endpoint))
    looking = context or client_context()
    if target.alpn:
        looking.set_alpn_protocols(target.alpn)
    way = target.proxy.endpoint if target.proxy else None
    with naming(str(endpoint)), reach(endpoint, way, deadline, target.permit) as sock:
        address = str(sock.getpeername()[0])
        if target.proxy:
            open_tunnel(sock, target.proxy, endpoint, deadline)
        if endpoint.protocol != "tls":
            from troth.tls.starttls import negotiate

            negotiate(sock, endpoint.protocol, server_name=target.verified_name, deadline=deadline)
        seen = shake(
            sock,
            looking,
            server_hostname=target.verified_name,
            deadline=deadline,
            refuse=refuse,
        )
    leaf = read_leaf(seen.chain[0], str(endpoint))
    presented = Presented(
        leaf=leaf, chain=seen.chain, server_name=target.server_name, address="" if target.proxy else address
    )
    return presented, seen


def read_leaf(data: bytes, what: str) -> CertificateView:
    """Read a presented certificate.

    Raises:
        UnreadableCertificate: It cannot be read; what cannot be checked is rejected.
    """
    try:
        return CertificateView.from_der(data)
    except BadCertificate as error:
        raise UnreadableCertificate(
            f"{what} presented a certificate that cannot be read, so it is not trusted.",
            why=error.why,
            next_command=f"openssl s_client -connect {what} </dev/null | openssl x509 -noout -text",
        ) from None
