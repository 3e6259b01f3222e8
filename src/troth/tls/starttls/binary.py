"""PostgreSQL and MySQL: a few bytes each."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from troth.tls.starttls.wants import MAX_LINE, Dialect, Exactly, Send, Until, Want, refused

if TYPE_CHECKING:
    from collections.abc import Generator

_POSTGRES_SSL_REQUEST = struct.pack(">II", 8, 80877103)
_CLIENT_PROTOCOL_41, _CLIENT_SSL, _CLIENT_SECURE_CONNECTION, _CLIENT_PLUGIN_AUTH = 1 << 9, 1 << 11, 1 << 15, 1 << 19
_MAX_GREETING = 1024


def postgres(server_name: str) -> Dialect:
    """PostgreSQL (protocol documentation, "SSL Session Encryption"): SSLRequest, and one byte in answer."""
    del server_name
    yield Send(_POSTGRES_SSL_REQUEST)
    answer = yield Exactly(1)
    if answer == b"N":
        raise refused("postgres", "it has TLS switched off, or somebody in the middle said so")
    if answer == b"E":
        raise refused("postgres", (yield from _postgres_error()))
    if answer != b"S":
        raise refused("postgres", answer)


def _postgres_error() -> Generator[Want, bytes, bytes]:
    """Read an ErrorResponse: a length and fields; or, from a server that could not even fork, only text."""
    head = yield Exactly(4)
    length = int.from_bytes(head, "big")
    if not 4 < length <= MAX_LINE:
        # Text begins with letters, so as a length it is far too long.
        return head + (yield Until((b"\x00",))) if head.isascii() and head.strip().isalnum() else b"E" + head
    fields = (yield Exactly(length - 4)).split(b"\x00")
    return next((field[1:] for field in fields if field[:1] == b"M"), b" ".join(fields))


def mysql(server_name: str) -> Dialect:
    """MySQL and MariaDB (client/server protocol, "Protocol::HandshakeV10", "Protocol::SSLRequest")."""
    del server_name
    header = yield Exactly(4)
    length, sequence = int.from_bytes(header[:3], "little"), header[3]
    if length > _MAX_GREETING or length < 1 or sequence != 0:
        raise refused("mysql", "its greeting is not MySQL's")
    greeting = yield Exactly(length)
    if greeting[0] == 0xFF:
        raise refused("mysql", greeting[3:])
    end = greeting.find(b"\x00", 1)
    # version, thread (4), scramble (8), filler (1), capabilities (2)
    if greeting[0] != 10 or end < 0 or len(greeting) < end + 16:
        raise refused("mysql", "its greeting is not MySQL's")
    capabilities = int.from_bytes(greeting[end + 14 : end + 16], "little")
    if not capabilities & _CLIENT_SSL:
        raise refused("mysql", "it does not offer TLS; somebody in the middle may have taken the offer away")
    flags = _CLIENT_PROTOCOL_41 | _CLIENT_SSL | _CLIENT_SECURE_CONNECTION | _CLIENT_PLUGIN_AUTH
    body = struct.pack("<IIB23x", flags, 1 << 24, 45)
    yield Send(len(body).to_bytes(3, "little") + b"\x01" + body)
