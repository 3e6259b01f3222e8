"""Every STARTTLS dialect against honest and dishonest peers, byte by byte, without a network; and four over one."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tls.conftest import Serve
from troth.demo.host import Host
from troth.errors import ProtocolViolation, TimedOut, Unreachable
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.tls.starttls import DIALECTS, Talk, anegotiate
from troth.trust.verdict import Verdict


def mysql_greeting(capabilities: int = 0x8800) -> bytes:
    """Give a MySQL server's greeting, with these capabilities."""
    body = (
        b"\x0a8.0.36\x00"
        + bytes(4)
        + b"12345678\x00"
        + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, 0)
        + bytes(11)
    )
    return len(body).to_bytes(3, "little") + b"\x00" + body


LDAP_OK = bytes.fromhex("300c02010178070a010004000400")
FEATURES = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

# What an honest server says: at once, and after each thing that the client says.
HONEST: dict[str, list[bytes]] = {
    "smtp": [b"220-mail\r\n220 ready\r\n", b"250-mail\r\n250-SIZE 1\r\n250 STARTTLS\r\n", b"220 go ahead\r\n"],
    "imap": [b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS\r\nt1 OK done\r\n", b"* OK x\r\nt2 OK begin\r\n"],
    "pop3": [b"+OK ready\r\n", b"+OK begin\r\n"],
    "ftp": [b"220-hello\r\n any text\r\n220 ready\r\n", b"234 go\r\n"],
    "sieve": [b'"IMPLEMENTATION" "x"\r\n"SASL" {5}\r\nPLAIN\r\n"STARTTLS"\r\nOK\r\n', b'OK "begin"\r\n'],
    "nntp": [b"200 ready\r\n", b"382 go\r\n"],
    "ldap": [b"", LDAP_OK],
    "xmpp": [b"", FEATURES, PROCEED],
    "postgres": [b"", b"S"],
    "mysql": [mysql_greeting(), b""],
}

DISHONEST: dict[str, list[list[bytes]]] = {
    "smtp": [[b"554 no\r\n"], [b"220 x\r\n", b"250 mail\r\n"], [b"220 x\r\n", b"250 STARTTLS\r\n", b"454 not now\r\n"]],
    "imap": [
        [b"* PREAUTH welcome\r\n"],
        [b"* BYE\r\n"],
        [b"* OK\r\n", b"* CAPABILITY IMAP4rev1\r\nt1 OK\r\n"],
        [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\nt1 OK\r\n", b"t2 NO\r\n"],
        [b"* OK\r\n", b"* CAPABILITY STARTTLS\r\nt1 OK\r\n", b"t9 OK\r\n"],
    ],
    "pop3": [[b"-ERR\r\n"], [b"+OK\r\n", b"-ERR unknown\r\n"]],
    "ftp": [[b"421 no\r\n"], [b"220 x\r\n", b"500 unknown\r\n"]],
    "sieve": [[b'"SASL" "PLAIN"\r\nOK\r\n'], [b'"STARTTLS"\r\nOK\r\n', b"NO\r\n"], [b"BYE\r\n"], [b"what\r\n"]],
    "nntp": [[b"502 no\r\n"], [b"200 x\r\n", b"580 cannot\r\n"]],
    "ldap": [
        [b"", bytes.fromhex("300c02010178070a013404000400")],
        [b"", bytes.fromhex("300c02010278070a010004000400")],
        [b"", bytes.fromhex("300c02010178070a0100040004ff")],
        [b"", b"\x30\x84\xff\xff\xff\xff"],
        [b"", b"HTTP/1.1 400\r\n"],
    ],
    "xmpp": [
        [b"", FEATURES.replace(b"starttls", b"other")],
        [b"", b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + FEATURES],
        [b"", FEATURES, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"],
        [b"", FEATURES, b"<proceed xmlns='other'/>"],
        [b"", b"</stream:stream>"],
    ],
    "postgres": [[b"", b"N"], [b"", b"EFATAL\x00no\x00\x00"], [b"", b"X"]],
    "mysql": [
        [mysql_greeting(0x8000)],
        [b"\x08\x00\x00\x00\xff\x10\x04denied"],
        [b"\xff\xff\xff\x00"],
        [b"\x01\x00\x00\x05\x0a"],
    ],
}
WITHOUT_END = dict.fromkeys(HONEST, b"x" * (70 << 10)) | {
    "smtp": b"220-x\r\n" * 20_000,
    "imap": b"* OK\r\n" + b"* x\r\n" * 20_000,
    "ftp": b"220-x\r\n" * 20_000,
    "sieve": b'"X"\r\n' * 20_000,
}


def talk(protocol: str, replies: list[bytes], split: int = 0) -> Talk:
    """Let a dialect talk to a peer that gives these replies in order, in pieces of `split` bytes."""
    conversation = Talk(protocol, "host.example.com")
    for reply in replies:
        conversation.outgoing()
        for at in range(0, len(reply), split or max(len(reply), 1)):
            conversation.feed(reply[at : at + (split or len(reply))])
    conversation.outgoing()
    return conversation


@pytest.mark.parametrize("protocol", HONEST)
@given(split=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_any_split_of_an_honest_peers_bytes_leads_to_tls(protocol: str, split: int) -> None:
    """However the bytes arrive, an honest peer is understood."""
    assert talk(protocol, HONEST[protocol], split).done


@pytest.mark.parametrize(
    ("protocol", "replies"), [(name, each) for name, several in DISHONEST.items() for each in several]
)
def test_a_refusal_or_a_missing_offer_is_an_error_and_never_plain_text(protocol: str, replies: list[bytes]) -> None:
    """Threat 14: stripped, refused, broken: TLS is not started, and nothing more is sent."""
    with pytest.raises(ProtocolViolation) as caught:
        talk(protocol, replies)
    assert caught.value.what.isprintable()
    assert caught.value.why.isprintable()


@pytest.mark.parametrize("protocol", [name for name in HONEST if name != "mysql"])
@pytest.mark.parametrize("injected", [b"x", b"\r\n", b"220 injected\r\n"])
def test_plain_text_after_the_go_ahead_is_an_injection(protocol: str, injected: bytes) -> None:
    """Threat 14 (CVE-2011-0411, CVE-2021-23222): what arrives with the go-ahead is refused, not kept for later."""
    replies = HONEST[protocol]
    with pytest.raises(ProtocolViolation, match="plain text"):
        talk(protocol, [*replies[:-1], replies[-1] + injected])


def test_plain_text_after_mysqls_greeting_is_an_injection() -> None:
    """MySQL has no go-ahead: nothing may follow its greeting."""
    with pytest.raises(ProtocolViolation, match="plain text"):
        talk("mysql", [mysql_greeting() + b"x"])


def test_an_answer_before_its_question_is_an_injection() -> None:
    """A go-ahead that comes with the offer, before STARTTLS was said, is refused."""
    with pytest.raises(ProtocolViolation, match="plain text"):
        talk("smtp", [HONEST["smtp"][0], HONEST["smtp"][1] + HONEST["smtp"][2]])


@pytest.mark.parametrize("protocol", HONEST)
def test_an_end_at_any_step_is_an_error(protocol: str) -> None:
    """Whenever the peer goes away before its go-ahead, that is an error."""
    replies = [each for each in HONEST[protocol] if each]
    for step in range(len(replies)):
        conversation = Talk(protocol, "h")
        for reply in replies[:step]:
            conversation.outgoing()
            conversation.feed(reply)
        conversation.outgoing()
        if not conversation.done:
            with pytest.raises(ProtocolViolation, match="did not start TLS"):
                conversation.feed(b"")


@pytest.mark.parametrize("protocol", HONEST)
def test_endless_talk_is_cut(protocol: str) -> None:
    """Threat 19: lines, replies and greetings without end are an error, in bounded memory."""
    with pytest.raises(ProtocolViolation):
        talk(protocol, [WITHOUT_END[protocol]] * 2, split=4096)


@pytest.mark.parametrize("protocol", HONEST)
@given(garbage=st.binary(min_size=1, max_size=400))
@settings(max_examples=60, deadline=None)
def test_garbage_gives_one_kind_of_error(protocol: str, garbage: bytes) -> None:
    """No bytes lead to any other error than the one that is meant."""
    conversation = Talk(protocol, "h")
    conversation.outgoing()
    try:
        conversation.feed(garbage)
        conversation.outgoing()
        if not conversation.done:
            conversation.feed(garbage)
    except ProtocolViolation:
        pass


def peer(host: Host, protocol: str, connection: socket.socket) -> None:
    """Speak a protocol's honest part on a connection, then TLS."""
    for number, reply in enumerate(HONEST[protocol]):
        if number:
            # MySQL's client does not wait for an answer: what follows its 36 bytes is TLS.
            connection.recv(36 if protocol == "mysql" else 4096)
        connection.sendall(reply)
    with host._context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


@pytest.mark.parametrize("protocol", HONEST)
def test_a_check_goes_through_the_dialect_to_tls(store: SqliteStore, host: Host, serve: Serve, protocol: str) -> None:
    """Over a real connection: the dialect, then the handshake, then the record, under the endpoint's own protocol."""
    from troth.model.endpoint import Endpoint

    place = serve(lambda connection: peer(host, protocol, connection))
    endpoint = Endpoint(place.host, place.port, protocol)
    assert check_target(store, Target(endpoint=endpoint)).verdict is Verdict.FIRST_USE
    assert store.entry(place) is None
    assert check_target(store, Target(endpoint=endpoint)).verdict is Verdict.MATCH


def test_silence_costs_the_whole_limit_once(serve: Serve, store: SqliteStore) -> None:
    """One limit covers the whole negotiation: a peer that drips its greeting does not stretch it."""
    from troth.model.endpoint import Endpoint

    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not stop.wait(0.02):
            connection.sendall(b"220-x\r\n")

    place = serve(drip)
    try:
        with pytest.raises((TimedOut, ProtocolViolation)):
            check_target(store, Target(endpoint=Endpoint(place.host, place.port, "smtp"), timeout_s=0.5))
    finally:
        stop.set()


@pytest.mark.parametrize("protocol", HONEST)
def test_asyncio_speaks_the_same_dialects(host: Host, serve: Serve, protocol: str) -> None:
    """The driver for asyncio streams comes to the same end."""
    place = serve(lambda connection: peer(host, protocol, connection))

    async def run() -> None:
        reader, writer = await asyncio.open_connection(place.host, place.port)
        await anegotiate(reader, writer, protocol, server_name="h", timeout_s=5)
        writer.close()

    asyncio.run(run())


def test_asyncio_keeps_the_limit_and_names_a_broken_connection(serve: Serve) -> None:
    """Silence is a time-out there too, and a reset is an unreachable host."""

    async def run(place: object, limit: float) -> None:
        reader, writer = await asyncio.open_connection(place.host, place.port)  # type: ignore[attr-defined]
        try:
            await anegotiate(reader, writer, "smtp", server_name="h", timeout_s=limit)
        finally:
            writer.close()

    with pytest.raises(TimedOut):
        asyncio.run(run(serve(lambda connection: connection.recv(1) and None), 0.2))
    with pytest.raises(Unreachable):
        asyncio.run(run(serve(lambda connection: None), 5))


def test_every_protocol_of_the_contract_has_a_dialect() -> None:
    """The ten protocols of the contract are all here."""
    from troth.model.endpoint import PROTOCOLS

    assert set(DIALECTS) == set(PROTOCOLS) - {"tls"}
