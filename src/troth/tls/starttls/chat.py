"""The protocols that talk in lines: SMTP, IMAP, POP3, FTP, ManageSieve, NNTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from troth.tls.starttls.wants import MAX_LINES, Dialect, Exactly, Line, Send, Want, refused

if TYPE_CHECKING:
    from collections.abc import Generator

_LITERAL = re.compile(rb"\{(\d{1,5})\+?\}$")


def smtp(server_name: str) -> Dialect:
    """SMTP (RFC 3207): EHLO must offer STARTTLS, and 220 is the go-ahead."""
    del server_name
    yield from _reply("smtp", b"220")
    yield Send(b"EHLO troth.invalid\r\n")
    offered = yield from _reply("smtp", b"250")
    # The first line holds the server's name, whatever that is (RFC 5321 section 4.1.1.1).
    if not any(line[4:].strip().upper() == b"STARTTLS" for line in offered[1:]):
        raise refused("smtp", "it does not offer STARTTLS; somebody in the middle may have taken the offer away")
    yield Send(b"STARTTLS\r\n")
    yield from _reply("smtp", b"220")


def ftp(server_name: str) -> Dialect:
    """FTP (RFC 4217): AUTH TLS, and 234 is the go-ahead."""
    del server_name
    yield from _reply("ftp", b"220")
    yield Send(b"AUTH TLS\r\n")
    yield from _reply("ftp", b"234")


def nntp(server_name: str) -> Dialect:
    """NNTP (RFC 4642): 382 is the go-ahead."""
    del server_name
    greeting = yield Line()
    if _word(greeting) not in (b"200", b"201"):
        raise refused("nntp", greeting)
    yield Send(b"STARTTLS\r\n")
    answer = yield Line()
    if _word(answer) != b"382":
        raise refused("nntp", answer)


def pop3(server_name: str) -> Dialect:
    """POP3 (RFC 2595): STLS."""
    del server_name
    greeting = yield Line()
    if _word(greeting) != b"+OK":
        raise refused("pop3", greeting)
    yield Send(b"STLS\r\n")
    answer = yield Line()
    if _word(answer) != b"+OK":
        raise refused("pop3", answer)


def imap(server_name: str) -> Dialect:
    """IMAP (RFC 9051 section 6.2.1). A PREAUTH greeting rules STARTTLS out, so it is an attack or a mistake."""
    del server_name
    greeting = yield Line()
    if greeting.upper().split()[:2] != [b"*", b"OK"]:
        raise refused("imap", greeting)
    yield Send(b"t1 CAPABILITY\r\n")
    offered = yield from _tagged(b"t1")
    words = [line.upper().split() for line in offered]
    if not any(each[:2] == [b"*", b"CAPABILITY"] and b"STARTTLS" in each for each in words):
        raise refused("imap", "it does not offer STARTTLS; somebody in the middle may have taken the offer away")
    yield Send(b"t2 STARTTLS\r\n")
    yield from _tagged(b"t2")


def sieve(server_name: str) -> Dialect:
    """ManageSieve (RFC 5804): the capabilities come unasked and must offer STARTTLS."""
    del server_name
    offered = yield from _sieve_reply()
    if not any(line.strip().upper().startswith(b'"STARTTLS"') for line in offered):
        raise refused("sieve", "it does not offer STARTTLS; somebody in the middle may have taken the offer away")
    yield Send(b"STARTTLS\r\n")
    yield from _sieve_reply()


def _reply(protocol: str, code: bytes) -> Generator[Want, bytes, list[bytes]]:
    """Read a reply of SMTP's or FTP's form, which may go over several lines (RFC 5321 4.2.1, RFC 959 4.2)."""
    found: list[bytes] = []
    while len(found) < MAX_LINES:
        line = yield Line()
        found.append(line)
        # Inside FTP's multi-line replies, a line may begin with anything.
        if line[:3] == code and line[3:4] in (b" ", b""):
            return found
        inside = (line if protocol == "smtp" else found[0])[:4] == code + b"-"
        if not inside:
            raise refused(protocol, line)
    raise refused(protocol, "it sent a reply without end")


def _word(line: bytes) -> bytes:
    return line.split(b" ", 1)[0]


def _tagged(tag: bytes) -> Generator[Want, bytes, list[bytes]]:
    found: list[bytes] = []
    while len(found) < MAX_LINES:
        line = yield Line()
        if line.startswith(tag + b" "):
            if _word(line[len(tag) + 1 :]).upper() != b"OK":
                raise refused("imap", line)
            return found
        if line[:2] != b"* " or _word(line[2:]).upper() == b"BYE":
            raise refused("imap", line)
        found.append(line)
    raise refused("imap", "it sent an answer without end")


def _sieve_reply() -> Generator[Want, bytes, list[bytes]]:
    """Read lines up to OK, NO or BYE; a line may end in a literal, whose bytes follow (RFC 5804 section 1.2)."""
    found: list[bytes] = []
    while len(found) < MAX_LINES:
        line = yield Line()
        literal = _LITERAL.search(line)
        if literal:
            line += yield Exactly(int(literal[1]))
            line += yield Line()
        word = line.split(b" ", 1)[0].split(b"(", 1)[0].upper()
        if word in (b"NO", b"BYE"):
            raise refused("sieve", line)
        if word == b"OK":
            return found
        if not line.startswith((b'"', b"{")):
            raise refused("sieve", line)
        found.append(line)
    raise refused("sieve", "it sent an answer without end")
