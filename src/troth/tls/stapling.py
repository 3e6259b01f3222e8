"""Asking a host for the OCSP answer that it staples to its handshake (RFC 6066 section 8, RFC 8446 section 4.4.2.1).

The standard library cannot ask; pyOpenSSL can (`pip install troth[stapling]`). The look is a connection of its own: an
answer is signed and about one certificate, so it is worth the same from wherever it comes. Without the extra, a
certificate that says that its answer is always stapled (RFC 7633) is asked about as any other.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from troth.errors import ProtocolViolation, Unreachable
from troth.tls.base import CIPHERS
from troth.tls.connect import reach
from troth.tls.deadline import Deadline
from troth.tls.handshake import MAX_HANDSHAKE
from troth.tls.proxy import open_tunnel

if TYPE_CHECKING:
    import socket

    from OpenSSL import SSL

    from troth.tls.probe import Target

_CHUNK = 32 << 10


def available() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("OpenSSL") is not None


def stapled(target: Target) -> bytes | None:
    """Give the OCSP answer (DER) that a host staples; None if it staples none, or cannot be asked.

    Nothing of it has been verified, and nothing but a handshake is sent.
    """
    deadline = Deadline(target.timeout_s, str(target.endpoint))
    try:
        with reach(target.endpoint, target.proxy.endpoint if target.proxy else None, deadline, target.permit) as sock:
            if target.proxy:
                open_tunnel(sock, target.proxy, target.endpoint, deadline)
            if target.endpoint.protocol != "tls":
                from troth.tls.starttls import negotiate

                negotiate(sock, target.endpoint.protocol, server_name=target.verified_name, deadline=deadline)
            return _shake(sock, target, deadline)
    except Unreachable:
        return None


def _shake(sock: socket.socket, target: Target, deadline: Deadline) -> bytes | None:
    from OpenSSL import SSL

    answers: list[bytes] = []

    def keep(_: SSL.Connection, answer: bytes, __: object) -> bool:
        answers.append(answer)
        return True

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS.encode("ascii"))
    context.set_verify(SSL.VERIFY_NONE)
    context.set_ocsp_client_callback(keep)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    if not _is_address(target.verified_name):
        connection.set_tlsext_host_name(target.verified_name.encode("ascii"))
    if target.alpn:
        connection.set_alpn_protos([name.encode("ascii") for name in target.alpn])
    connection.request_ocsp()
    try:
        _pump(sock, connection, deadline)
    except SSL.Error as error:
        raise ProtocolViolation(f"{deadline.what} did not complete a TLS handshake.", why=str(error)) from None
    return next((answer for answer in answers if answer), None)


def _pump(sock: socket.socket, connection: SSL.Connection, deadline: Deadline) -> None:
    from OpenSSL import SSL

    received = 0
    while received <= MAX_HANDSHAKE:
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            done = False
        else:
            done = True
        try:
            sock.settimeout(deadline())
            sock.sendall(_outgoing(connection))
            if done:
                return
            data = sock.recv(_CHUNK)
        except TimeoutError:
            raise deadline.error() from None
        except OSError as error:
            raise Unreachable(f"{deadline.what} broke the connection.", why=str(error)) from None
        if not data:
            raise Unreachable(f"{deadline.what} broke the connection.")
        received += len(data)
        connection.bio_write(data)
    raise ProtocolViolation(f"{deadline.what} sent a handshake of more than {MAX_HANDSHAKE >> 20} MiB.")


def _outgoing(connection: SSL.Connection) -> bytes:
    from OpenSSL import SSL

    data = b""
    while True:
        try:
            data += connection.bio_read(_CHUNK)
        except SSL.WantReadError:
            return data


def _is_address(name: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
