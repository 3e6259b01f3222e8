"""What a peer, or somebody between, can say before TLS, and what a client must make of it: the finer points."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.tls.conftest import Serve
from troth.demo.host import Host
from troth.errors import BadEndpoint, ProtocolViolation, TimedOut, Unreachable
from troth.tls.deadline import Deadline
from troth.tls.starttls import DIALECTS, PROTOCOLS, Talk, anegotiate, negotiate

TLS_XMLNS = b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'"


def answer(protocol: str, *replies: bytes) -> Talk:
    """Let a dialect talk to a peer that gives these replies in order."""
    conversation = Talk(protocol, "host.example.com")
    for reply in replies:
        conversation.outgoing()
        if reply:
            conversation.feed(reply)
    conversation.outgoing()
    return conversation


def refusal(protocol: str, *replies: bytes) -> str:
    """Give the reason with which a dialect refuses these replies."""
    with pytest.raises(ProtocolViolation) as caught:
        answer(protocol, *replies)
    return caught.value.why


def ldap_response(code: int, message: bytes = b"", *, number: int = 1, tags: bytes = b"\x04\x04") -> bytes:
    """Give an LDAP ExtendedResponse (RFC 4511 section 4.12); `tags` are those of matchedDN and diagnosticMessage."""
    inner = bytes([0x0A, 1, code, tags[0], 0, tags[1], len(message)]) + message
    body = bytes([0x02, 1, number, 0x78, len(inner)]) + inner
    return bytes([0x30, len(body)]) + body


def postgres_error(text: bytes) -> bytes:
    """Give PostgreSQL's ErrorResponse (protocol 3)."""
    fields = b"SFATAL\x00C53300\x00M" + text + b"\x00\x00"
    return b"E" + struct.pack(">I", len(fields) + 4) + fields


@pytest.mark.parametrize("size", [4096, 8190])
def test_plain_text_that_waits_behind_the_go_ahead_never_reaches_an_asyncio_reader(
    serve: Serve, host: Host, size: int
) -> None:
    """Threat 14: a go-ahead that fills the read exactly hides no injected line in the stream reader."""
    go_ahead = b"+OK " + b"x" * (size - 6) + b"\r\n"

    def inject(connection: socket.socket) -> None:
        connection.sendall(b"+OK ready\r\n")
        connection.recv(4096)
        connection.sendall(go_ahead + b"+OK injected\r\n")
        with host._context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(b"+OK genuine\r\n")
            tls.recv(1)

    place = serve(inject)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    async def run() -> bytes:
        reader, writer = await asyncio.open_connection(place.host, place.port)
        try:
            await anegotiate(reader, writer, "pop3", server_name="h", timeout_s=5)
            await writer.start_tls(context)
            return await reader.readline()
        finally:
            writer.close()

    with pytest.raises((ProtocolViolation, ssl.SSLError, ConnectionError)):
        assert asyncio.run(run()) == b"+OK genuine\r\n"


def test_plain_text_that_comes_after_the_go_ahead_is_not_read_before_tls(serve: Serve) -> None:
    """Threat 14: what arrives between the go-ahead and `start_tls` is left to TLS, which refuses it."""

    def inject(connection: socket.socket) -> None:
        connection.sendall(b"+OK ready\r\n")
        connection.recv(4096)
        connection.sendall(b"+OK begin\r\n")
        connection.recv(1)
        connection.sendall(b"+OK injected\r\n")
        connection.recv(4096)

    place = serve(inject)

    async def run() -> bytes:
        reader, writer = await asyncio.open_connection(place.host, place.port)
        try:
            await anegotiate(reader, writer, "pop3", server_name="h", timeout_s=5)
            writer.write(b"!")
            async with asyncio.timeout(0.3):
                return await reader.read(100)
        finally:
            writer.close()

    with pytest.raises(TimeoutError):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("protocol", "replies"),
    [
        ("smtp", [b"220x\r\n220 y\r\n"]),
        ("smtp", [b"220 x\r\n", b"250 STARTTLS\r\n"]),
        ("imap", [b"* OKAY\r\n"]),
        ("imap", [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\nt1 OKAY\r\n"]),
        ("imap", [b"* OK\r\n", b"* CAPABILITYX STARTTLS\r\nt1 OK\r\n"]),
        ("pop3", [b"+OKAY\r\n"]),
        ("pop3", [b"+OK\r\n", b"+OKAY\r\n"]),
        ("nntp", [b"2001 x\r\n"]),
        ("nntp", [b"200 x\r\n", b"3820 x\r\n"]),
        ("ldap", [b"", ldap_response(0, tags=b"\x05\x04")]),
        ("ldap", [b"", ldap_response(0, tags=b"\x04\x02")]),
        ("postgres", [b"", b"E" + struct.pack(">I", 1 << 30) + b"x\x00"]),
    ],
)
def test_a_reply_that_only_looks_like_the_go_ahead_is_none(protocol: str, replies: list[bytes]) -> None:
    """Codes and words are compared whole, and fields by their tags."""
    with pytest.raises(ProtocolViolation):
        answer(protocol, *replies)


@pytest.mark.parametrize(
    ("protocol", "replies", "words"),
    [
        ("postgres", [b"", postgres_error(b"sorry, too many clients")], "sorry, too many clients"),
        ("postgres", [b"", b"Ecould not fork\n\x00"], "could not fork"),
        ("mysql", [b"\x0f\x00\x00\x00\xff\x10\x04Too many pop"], "Too many pop"),
        ("imap", [b"* PREAUTH welcome\r\n"], "PREAUTH"),
        ("imap", [b"* OK\r\n", b"* BYE overloaded\r\n"], "overloaded"),
        ("ldap", [b"", ldap_response(52, b"shutting down", number=0)], "shutting down"),
        ("ldap", [b"", ldap_response(2, b"unsupported")], "unsupported"),
        ("xmpp", [b"", b"<stream:stream><stream:error><host-unknown/></stream:error></stream:stream>"], "host-unknown"),
        ("smtp", [b"421 4.3.2 Try later\r\n"], "421 4.3.2 Try later"),
    ],
)
def test_an_error_says_what_the_server_said(protocol: str, replies: list[bytes], words: str) -> None:
    """An administrator reads the server's own reason."""
    assert words in refusal(protocol, *replies)


HOSTILE = b"\x1b[2J\x00\x07|\xe2\x80\xae\xc3\xa4" + b"z" * 3000


@pytest.mark.parametrize(
    ("protocol", "replies"),
    [
        ("smtp", [b"554 " + HOSTILE + b"\r\n"]),
        ("imap", [b"* BYE " + HOSTILE + b"\r\n"]),
        ("pop3", [b"-ERR " + HOSTILE + b"\r\n"]),
        ("ftp", [b"421 " + HOSTILE + b"\r\n"]),
        ("sieve", [b"NO {%d}\r\n" % len(HOSTILE) + HOSTILE + b"\r\n"]),
        ("nntp", [b"502 " + HOSTILE + b"\r\n"]),
        ("ldap", [b"", ldap_response(52, HOSTILE[:90])]),
        ("xmpp", [b"", b"<stream:error>" + HOSTILE + b"</stream:stream>"]),
        ("postgres", [b"", postgres_error(HOSTILE.replace(b"\x00", b""))]),
        ("mysql", [b"\x20\x00\x00\x00\xff\x10\x04" + HOSTILE[:29]]),
    ],
)
def test_what_a_server_said_is_safe_to_print_in_every_dialect(protocol: str, replies: list[bytes]) -> None:
    """Threat 20: an error repeats a peer's words as short printable ASCII."""
    why = refusal(protocol, *replies)
    assert why.replace("…", "").isascii()
    assert why.isprintable()
    assert len(why) < 400
    assert "[2J" in why


def test_a_hostile_document_costs_xmpp_no_quadratic_time() -> None:
    """Threat 19: eight times the tags cost about eight times the work, not sixty-four."""

    def cost(count: int) -> float:
        document, best = b"<starttls " * count + b"</stream:features>", 9.0
        for _ in range(5):
            conversation = Talk("xmpp", "h")
            conversation.outgoing()
            start = time.process_time()
            with pytest.raises(ProtocolViolation):
                conversation.feed(document)
            best = min(best, time.process_time() - start)
        return best

    assert cost(6000) < 30 * max(cost(750), 1e-4)


def test_a_server_name_cannot_break_out_of_xmpps_attribute() -> None:
    """The name that is asked for stays inside its attribute."""
    sent = Talk("xmpp", "a'/><x y=\"&").outgoing()
    opening = sent.partition(b"?>")[2]
    assert opening.count(b"<") == opening.count(b">") == 1
    assert b"to='a&apos;/&gt;&lt;x y=&quot;&amp;'" in opening


@pytest.mark.parametrize(
    "proceed",
    [
        b"<proceed " + TLS_XMLNS + b"/>",
        b"<proceed " + TLS_XMLNS + b"></proceed>",
        b"<t:proceed xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'/>",
    ],
)
def test_xmpp_takes_every_way_to_write_proceed(proceed: bytes) -> None:
    """Empty tag, pair and prefix mean the same."""
    features = b"<stream:stream><stream:features><starttls " + TLS_XMLNS + b"/></stream:features>"
    assert answer("xmpp", b"", features, proceed).done


@pytest.mark.parametrize("ok", [b"OK\r\n", b'OK "go"\r\n', b"OK {2}\r\ngo\r\n", b'ok (TAG "x") "go"\r\n'])
def test_sieve_takes_every_way_to_write_ok(ok: bytes) -> None:
    """RFC 5804 section 1.2: bare, quoted, literal, and with a response code."""
    assert answer("sieve", b'"STARTTLS"\r\nOK\r\n', ok).done


def test_an_error_names_the_protocol_and_the_usual_port() -> None:
    """The next command can be pasted: it names the option and the port where the protocol is usually spoken."""
    with pytest.raises(ProtocolViolation) as caught:
        answer("sieve", b"NO\r\n")
    assert "4190" in caught.value.next_command
    assert "troth check HOST:PORT --starttls" in caught.value.next_command


@pytest.mark.parametrize("protocol", ["tls", "gopher"])
def test_a_protocol_without_starttls_is_said_so(protocol: str) -> None:
    """No bare KeyError: the error lists what is known."""
    left, right = socket.socketpair()
    with left, right, pytest.raises(BadEndpoint) as caught:
        negotiate(left, protocol, server_name="h", deadline=Deadline(1, "x"))
    assert "sieve" in caught.value.why


def test_the_registry_holds_the_ten_protocols_only() -> None:
    """`PROTOCOLS` lists what STARTTLS is spoken for, so not `tls` itself."""
    assert set(PROTOCOLS) == set(DIALECTS)


def test_blocking_use_imports_no_asyncio_and_no_xml(tmp_path: Path) -> None:
    """The blocking driver stays light."""
    code = "import sys, troth.tls.starttls; print([m for m in ('asyncio', 'xml', 'cryptography') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_silence_ends_with_the_limit_in_every_dialect(protocol: str) -> None:
    """A server that accepts and says nothing costs the limit, and then a time-out."""
    left, right = socket.socketpair()
    with left, right, pytest.raises(TimedOut):
        negotiate(left, protocol, server_name="h", deadline=Deadline(0.1, "x"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_close_at_once_is_an_error_in_every_dialect(protocol: str) -> None:
    """A server that goes away before a word gives an error, never a go-ahead."""
    left, right = socket.socketpair()
    with left:
        right.close()
        with pytest.raises(Unreachable):
            negotiate(left, protocol, server_name="h", deadline=Deadline(5, "x"))


# Beginnings of honest greetings, so that only time or size can end the talk.
DRIPS = {"smtp": b"220-", "imap": b"* OK ", "pop3": b"+OK ", "ftp": b"220-", "sieve": b'"X" "', "nntp": b"200 "} | {
    "ldap": b"\x30\x82\x30\x00",
    "xmpp": b"<stream:stream ",
    "postgres": b"E\x00\x00\x10\x00",
    "mysql": b"\x00\x04\x00\x00",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dripping_does_not_stretch_the_limit_in_any_dialect(protocol: str) -> None:
    """One limit covers the whole talk: a byte now and then buys no more time."""
    left, right = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        right.sendall(DRIPS[protocol])
        for _ in range(300):
            if stop.wait(0.01):
                return
            right.sendall(b"x")
        # A client that is still there has no limit: end its wait with another error than the one that is meant.
        right.shutdown(socket.SHUT_RDWR)

    dripping = threading.Thread(target=drip)
    with left, right:
        dripping.start()
        try:
            with pytest.raises(TimedOut):
                negotiate(left, protocol, server_name="h", deadline=Deadline(0.3, "x"))
        finally:
            stop.set()
            dripping.join()
