"""Small honest servers for protocols that Debian's servers here do not cover: FTP, XMPP, MySQL and NNTP.

Written from the protocols' documents, apart from the client: each reads what the client says strictly, refuses what a real
server would refuse, and notes what it was told. After the go-ahead the caller starts TLS.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import BinaryIO


class Refused(Exception):
    """The client did not keep to the protocol."""


Peer = Callable[[BinaryIO, BinaryIO], None]
_CLIENT_LONG_PASSWORD, _CLIENT_PROTOCOL_41, _CLIENT_SSL = 1, 1 << 9, 1 << 11
_CLIENT_SECURE_CONNECTION, _CLIENT_PLUGIN_AUTH = 1 << 15, 1 << 19


def ftp(reader: BinaryIO, writer: BinaryIO) -> None:
    """Speak FTP (RFC 959, RFC 2389, RFC 4217): a greeting of several lines, FEAT, AUTH."""
    _say(writer, b"220-Welcome\r\n 220 is not the end when it is indented\r\n 2200 nor here\r\n220 ready\r\n")
    while True:
        verb, _, argument = _line(reader).partition(b" ")
        if verb.upper() == b"FEAT":
            _say(writer, b"211-Features:\r\n AUTH TLS\r\n211 End\r\n")
        elif verb.upper() == b"AUTH" and argument.upper() in (b"TLS", b"TLS-C"):
            _say(writer, b"234 AUTH TLS successful\r\n")
            return
        elif verb.upper() == b"AUTH":
            _say(writer, b"504 Unknown security mechanism\r\n")
        else:
            _say(writer, b"530 Please log in\r\n")


def nntp(reader: BinaryIO, writer: BinaryIO) -> None:
    """Speak NNTP (RFC 3977, RFC 4642): CAPABILITIES and STARTTLS."""
    _say(writer, b"200 news.example.com ready\r\n")
    while True:
        word = _line(reader).upper()
        if word == b"CAPABILITIES":
            _say(writer, b"101 Capability list:\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\n.\r\n")
        elif word == b"STARTTLS":
            _say(writer, b"382 Continue with TLS negotiation\r\n")
            return
        else:
            _say(writer, b"483 Encryption required\r\n")


def mysql(reader: BinaryIO, writer: BinaryIO) -> None:
    """Speak MySQL's connection phase: HandshakeV10, then an SSLRequest of 32 bytes as packet number 1."""
    flags = _CLIENT_LONG_PASSWORD | _CLIENT_PROTOCOL_41 | _CLIENT_SSL | _CLIENT_SECURE_CONNECTION | _CLIENT_PLUGIN_AUTH
    body = b"\x0a" + b"8.0.36-example\x00" + struct.pack("<I", 7) + b"abcdefgh\x00"
    body += struct.pack("<HBHH", flags & 0xFFFF, 255, 2, flags >> 16) + bytes([21]) + bytes(10)
    body += b"ijklmnopqrst\x00" + b"caching_sha2_password\x00"
    _say(writer, len(body).to_bytes(3, "little") + b"\x00" + body)
    header = _exactly(reader, 4)
    length, number = int.from_bytes(header[:3], "little"), header[3]
    if (length, number) != (32, 1):
        raise Refused(f"an SSLRequest of {length} bytes as packet {number}")
    asked, largest, _, filler = struct.unpack("<IIB23s", _exactly(reader, 32))
    if not asked & _CLIENT_SSL or not asked & _CLIENT_PROTOCOL_41 or asked & ~0xFFFFFFFF or filler.strip(b"\x00"):
        raise Refused(f"flags {asked:#x}, filler {filler!r}")
    if not largest:
        raise Refused("a largest packet of 0 bytes")


def xmpp(reader: BinaryIO, writer: BinaryIO, *, domain: str = "chat.example.com") -> None:
    """Speak XMPP from client to server (RFC 6120 sections 4 and 5): only for the domain it serves."""
    opening = _tag(reader)
    if opening.startswith(b"<?xml"):
        opening = _tag(reader)
    head = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    _say(writer, head + b" id='s1' from='" + domain.encode() + b"' version='1.0'>")
    attributes = {name: value for name, _, value in re.findall(rb"([\w:]+)=(['\"])(.*?)\2", opening)}
    wanted = {b"xmlns": b"jabber:client", b"xmlns:stream": b"http://etherx.jabber.org/streams", b"version": b"1.0"}
    if not opening.startswith(b"<stream:stream") or any(
        attributes.get(name) != value for name, value in wanted.items()
    ):
        raise Refused(f"a stream opened as {opening!r}")
    if attributes.get(b"to") != domain.encode():
        _say(
            writer,
            b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        )
        return
    _say(
        writer,
        b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
        b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>",
    )
    asked = _tag(reader)
    if not re.fullmatch(rb"<starttls\s+xmlns=(['\"])urn:ietf:params:xml:ns:xmpp-tls\1\s*/>", asked):
        raise Refused(f"asked for TLS with {asked!r}")
    _say(writer, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")


PEERS: dict[str, Peer] = {"ftp": ftp, "nntp": nntp, "mysql": mysql, "xmpp": xmpp}


def _say(writer: BinaryIO, data: bytes) -> None:
    writer.write(data)
    writer.flush()


def _line(reader: BinaryIO) -> bytes:
    line = reader.readline(1024)
    if not line.endswith(b"\r\n"):
        raise Refused(f"a line that ends in {line[-2:]!r}")
    return line[:-2]


def _exactly(reader: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = reader.read(count - len(data))
        if not piece:
            raise Refused("the client went away")
        data += piece
    return data


def _tag(reader: BinaryIO) -> bytes:
    data = b""
    while not data.endswith(b">"):
        data += _exactly(reader, 1)
        if len(data) > 4096:
            raise Refused("an endless tag")
    return data.strip()
