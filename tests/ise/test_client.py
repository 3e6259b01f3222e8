"""The client against the simulator: what is asked, what is told, and what never leaves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import sqlite3
import tracemalloc
import zlib
from datetime import datetime
from typing import Any

import httpx2
import pytest

from tests.ise.conftest import PASSWORD, USER, Start, ask, place
from tests.servers import free_port
from tests.simulators.ise import (
    IseSimulator,
    answered,
    bomb,
    chopped,
    cut_off,
    drips,
    gzipped,
    hangs,
    hung_up_once,
    login_page,
    session,
)
from troth import manage
from troth.errors import (
    AwaitingApproval,
    BadInput,
    CertificateChanged,
    CertificateRevoked,
    IseBusy,
    IseCredentialsRefused,
    IseNotMonitoring,
    IseNotUnderstood,
    IseWrongGroup,
    StoreUnusable,
    StoreVanished,
    TimedOut,
    TrothError,
    Unreachable,
    UnreadableCertificate,
)
from troth.ise import client as client_module
from troth.ise import xml
from troth.ise.client import IseClient
from troth.ise.models import Counts, Credentials, NodeType, Session
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override
from troth.store.sqlite import SqliteStore

VERSION = "/admin/API/mnt/Version"
SENT = base64.b64encode(f"{USER}:{PASSWORD}".encode())
ONE = (
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><product name="ISE"><version>3.1</version>'
    b"<type_of_node>1</type_of_node></product>"
)


def version(client: IseClient) -> Any:
    """Ask the first question."""
    return client.version()


# What it can be asked


def test_every_question_has_its_answer(store: SqliteStore, ise: IseSimulator) -> None:
    """Each call of the client reaches its path, and the answer becomes a model."""
    ise.sessions.append(session("carol", "", framed_ip_address="192.0.2.78", failure_reason="22056 not found"))

    async def everything(client: IseClient) -> None:
        found = await client.version()
        assert (found.version, found.node_type) == ("3.2.0.542", NodeType.STANDALONE)
        assert found.product == "Cisco Identity Services Engine"
        assert await client.counts() == Counts(active=3, posture=0, profiler=3)
        listed = await client.active()
        assert [each.user_name for each in listed.sessions] == ["alice", "bob", "carol"]
        assert listed.complete
        assert listed.announced == 3
        alice = listed.sessions[0]
        assert alice == Session(
            user_name="alice",
            mac="00:11:22:33:44:55",
            nas_address="192.0.2.1",
            framed_address="192.0.2.77",
            accounting_id="00000032",
            server="ise-1",
        )
        assert await client.session_of_mac("0011.2233.4455") == alice
        assert await client.session_of_user("alice") == alice
        assert await client.session_of_address("192.0.2.1") == alice
        assert await client.session_of_mac("00:00:00:00:00:01") is None
        assert await client.session_of_user("nobody") is None
        attempts = await client.auth_status("00-11-22-33-44-55", seconds=100, records=5)
        assert [(each.passed, each.session, each.failure_reason) for each in attempts] == [(True, alice, "")]
        reasons = await client.failure_reasons()
        assert (reasons[0].code, reasons[0].resolution) == ("22056", "Check the identity store & its sequence")
        assert [each.hostname for each in await client.nodes()] == ["ise-1"]
        certificates = await client.certificates("ise-1")
        assert [each.fingerprint for each in certificates] == [ise.view.fingerprint]
        assert "admin" in certificates[0].usages

    ask(store, ise, everything)


@pytest.mark.parametrize("spelling", ["activeSessionList", "activeList"])
def test_both_spellings_of_lists_are_read(store: SqliteStore, ise: IseSimulator, spelling: str) -> None:
    """The documented spelling and the one in the field, empty and not."""
    ise.spelling = spelling
    assert [each.user_name for each in ask(store, ise, lambda c: c.active()).sessions] == ["alice", "bob"]
    ise.sessions = []
    empty = ask(store, ise, lambda c: c.active())
    assert (empty.sessions, empty.announced, empty.complete) == ((), 0, True)


def test_what_was_authenticated_is_asked_for_by_time(store: SqliteStore, ise: IseSimulator) -> None:
    """There are no pages, so a long list is read piece by piece: the pieces are the whole."""
    ise.sessions = [
        type(each)(values=each.values, authenticated_at=f"2030-01-0{day} 12:00:00")
        for day, each in enumerate([session(f"user{n}", "") for n in range(4)], start=1)
    ]
    middle = datetime(2030, 1, 2, 18, 0, 0)

    async def pieces(client: IseClient) -> list[list[str]]:
        found = [await client.authenticated(), await client.authenticated(None, middle)]
        found.append(await client.authenticated(middle, None))
        return [[each.user_name for each in one.sessions] for one in found]

    whole, before, after = ask(store, ise, pieces)
    assert whole == before + after == ["user0", "user1", "user2", "user3"]
    assert "/Session/AuthList/null/2030-01-02%2018:00:00" in ise.requests[-2].target


def test_sessions_beyond_the_limit_are_counted_and_left_out(store: SqliteStore, ise: IseSimulator) -> None:
    """A list of any length costs what was asked for, and says that it is not whole."""
    ise.sessions = [session(f"user{n}", "") for n in range(500)]
    found = ask(store, ise, lambda c: c.active(limit=20))
    assert (len(found.sessions), found.total, found.announced, found.complete) == (20, 500, 500, False)


@pytest.mark.parametrize(
    "name", ["DOMAIN\\al ice", "a/b", "../../ers", "%2e%2e", "Zoë", "a?b#c", "a;b", "host/pc.example.com", "'", "a b"]
)
def test_user_names_are_one_segment_of_the_path(store: SqliteStore, ise: IseSimulator, name: str) -> None:
    """Whatever a user is called, it is that user who is asked for, and no other path."""
    ise.sessions = [session(name, "00:00:00:00:00:01"), session("other", "00:00:00:00:00:02")]
    found = ask(store, ise, lambda c: c.session_of_user(name))
    assert found is not None
    assert found.mac == "00:00:00:00:00:01"
    assert ise.requests[-1].target.count("/") == len(["", "admin", "API", "mnt", "Session", "UserName", "x"]) - 1


def test_certificates_are_read_over_all_pages(store: SqliteStore, ise: IseSimulator) -> None:
    """A node may hold more certificates than one page."""
    for _ in range(3):
        ise.listed *= 5
    found = ask(store, ise, lambda c: c.certificates("ise-1"))
    assert len(found) == 125
    assert len(ise.requests) == 2


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_names_and_ipv6_addresses(store: SqliteStore, start: Start, host: str) -> None:
    """An endpoint by its name and one by its IPv6 address; the pin is at exactly that endpoint."""
    try:
        made = start(host="127.0.0.1" if host == "localhost" else host)
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    where = Endpoint(host, made.port)
    assert ask(store, where, version).version == "3.2.0.542"
    entry = store.entry(where)
    assert entry is not None
    assert entry.domain == "system"
    assert [pin.fingerprint for pin in entry.current] == [made.view.fingerprint]
    assert made.requests[0].headers["host"] == str(where)


def test_zones_are_refused(store: SqliteStore) -> None:
    """An address in a URL has no zone."""
    with pytest.raises(BadInput):
        IseClient(store, Endpoint("fe80::1%lo", 443), Credentials("a", "b"))


# What goes wrong


def test_wrong_password_wrong_group_and_wrong_node(store: SqliteStore, ise: IseSimulator) -> None:
    """Each refusal is told apart, although all of them come as pages for people."""
    with pytest.raises(IseCredentialsRefused) as refused:
        ask(store, ise, version, password="wrong")
    assert refused.value.exit_code == 6
    with pytest.raises(IseCredentialsRefused):
        ask(store, ise, version, user="nobody")
    ise.add_user("reader", PASSWORD, "Helpdesk Admin")
    with pytest.raises(IseWrongGroup) as group:
        ask(store, ise, version, user="reader")
    assert "MnT Admin" in group.value.next_command
    ise.monitoring = False
    with pytest.raises(IseNotMonitoring):
        ask(store, ise, version)


@pytest.mark.parametrize("group", ["Super Admin", "System Admin", "MnT Admin"])
def test_each_group_that_may_read_may(store: SqliteStore, ise: IseSimulator, group: str) -> None:
    """The three groups that the documentation names."""
    ise.add_user("one", "pw", group)
    assert ask(store, ise, version, user="one", password="pw").version


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [(503, "7", 7), (429, "99999", 3600), (503, "Wed, 21 Oct 2030 07:28:00 GMT", 0), (429, "-1", 0), (503, "٣", 0)],
)
def test_a_busy_server_says_for_how_long(
    store: SqliteStore, ise: IseSimulator, status: int, header: str, seconds: int
) -> None:
    """429 and 503, with a `Retry-After` that is bounded, a date, or nonsense."""
    ise.faults["*"] = (
        answered(status, b"<html>busy</html>", "text/html", Retry_After=header)
        if header.isascii()
        else (answered(status, b"", "text/html", Retry_After="\xd9\xa3"))
    )
    with pytest.raises(IseBusy) as busy:
        ask(store, ise, version)
    assert busy.value.details == {"retry_after_s": seconds}


NOT_UNDERSTOOD = {
    "a page for people": login_page(),
    "a page that claims to be XML": answered(200, b"<!DOCTYPE html><html/>"),
    "a document type": answered(200, b'<!DOCTYPE product [<!ENTITY a "b">]><product><version>&a;</version></product>'),
    "an external entity": answered(
        200, b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><product><version>&x;</version></product>'
    ),
    "another document": answered(200, b"<sessionCount><count>1</count></sessionCount>"),
    "an unknown entity": answered(200, b"<product><version>&nbsp;</version></product>"),
    "broken XML": answered(200, b"<product><version>3.2</product>"),
    "nothing": answered(200, b""),
    "UTF-16": answered(200, ONE.decode().replace("UTF-8", "UTF-16").encode("utf-16")),
    "no content type": answered(200, ONE, ""),
    "JSON": answered(200, b"{}", "application/json"),
    "more than fits": answered(200, b"<product>" + b" " * (2 << 20) + b"</product>"),
    "a gzip bomb": bomb(200 << 20),
    "half a gzip": gzipped(ONE * 20, damage=lambda data: data[:-20]),
    "a damaged gzip": gzipped(ONE, damage=lambda data: data[:12] + b"\xff\xff\xff" + data[15:]),
    "a gzip and more": gzipped(ONE, damage=lambda data: data + b"more"),
    "another encoding": answered(200, zlib.compress(ONE), Content_Encoding="br"),
    "a server error": login_page(500),
    "a redirect": login_page(302, Location="https://127.0.0.1:1/admin/login.jsp"),
}


@pytest.mark.parametrize("fault", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD.keys())
def test_what_is_no_answer_of_ise_is_not_used(store: SqliteStore, ise: IseSimulator, fault: Any) -> None:
    """Pages with status 200, other documents, entities, bombs, redirects: refused, whole, and each with a reason."""
    ise.faults["*"] = fault
    with pytest.raises(IseNotUnderstood) as refused:
        ask(store, ise, version)
    assert refused.value.why
    assert len(ise.requests) == 1, "it asked again, or followed a redirect"


def test_a_bomb_is_not_inflated(store: SqliteStore, ise: IseSimulator) -> None:
    """The limit holds while it is inflated, not afterwards: memory stays far below what a single chunk would become."""
    ise.faults["*"] = bomb(200 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(IseNotUnderstood):
            ask(store, ise, version)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    "fault",
    [gzipped(ONE), chopped(ONE), answered(200, ONE, "text/xml; charset=utf-8"), answered(200, b"\xef\xbb\xbf" + ONE)],
    ids=["gzip", "chunks", "text/xml", "byte order mark"],
)
def test_other_ways_to_give_the_answer(store: SqliteStore, ise: IseSimulator, fault: Any) -> None:
    """Gzip, chunks, another content type."""
    ise.faults["*"] = fault
    found = ask(store, ise, version)
    assert (found.version, found.node_type) == ("3.1", NodeType.PRIMARY)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_huge_pages_beside_a_refusal_are_not_read(store: SqliteStore, ise: IseSimulator, status: int) -> None:
    """The status is the answer; the page beside it is bounded and may be anything."""
    for fault in (
        answered(status, b"x" * (5 << 20), "text/html"),
        answered(status, b"\xff", "text/html", Content_Encoding="gzip"),
    ):
        ise.faults["*"] = fault
        with pytest.raises((IseCredentialsRefused, IseWrongGroup, IseNotMonitoring)):
            ask(store, ise, version)


@pytest.mark.parametrize("fault", [hangs(), drips(ONE * 100)], ids=["silence", "a byte now and then"])
def test_slow_answers_end_at_the_time_limit(store: SqliteStore, ise: IseSimulator, fault: Any) -> None:
    """The limit is for the whole answer; bytes that trickle do not extend it."""
    ise.faults["*"] = fault
    with pytest.raises(TimedOut):
        ask(store, ise, version, timeout_s=0.6)
    assert len(ise.requests) == 1


def test_a_broken_connection_is_tried_once_more(store: SqliteStore, ise: IseSimulator) -> None:
    """A GET changes nothing, so one that broke is sent again; once."""
    ise.faults["*"] = hung_up_once(ise)
    assert ask(store, ise, version).version == "3.2.0.542"
    assert len(ise.requests) == 2
    ise.faults["*"] = hung_up_once(ise, times=2)
    with pytest.raises(Unreachable):
        ask(store, ise, version)
    assert len(ise.requests) == 4
    ise.faults["*"] = cut_off(ONE)
    with pytest.raises(Unreachable):
        ask(store, ise, version)
    assert len(ise.requests) == 6


def test_nobody_listens(store: SqliteStore) -> None:
    """A refused connection is no rejection, and not tried again."""
    with pytest.raises(Unreachable) as gone:
        ask(store, Endpoint("127.0.0.1", free_port()), version)
    assert gone.value.exit_code == 5


def test_plain_http_is_no_ise(store: SqliteStore, start: Start) -> None:
    """What speaks no TLS gets no request."""
    import socket
    import threading

    got = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                got.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(Unreachable):
            ask(store, Endpoint("127.0.0.1", listener.getsockname()[1]), version)
        thread.join(timeout=20)
    assert SENT not in got[0]


# What never leaves, and what is never written down


def nothing_leaked(ise: IseSimulator, since: int) -> None:
    """Hold that the visits since a number gave away no application byte, and no credential in any form."""
    visits = ise.visits[since:]
    assert visits
    for visit in visits:
        assert visit.over.wait(30)
        assert visit.plain == b""
        assert visit.requests == []
        for secret in (SENT, PASSWORD.encode(), USER.encode()):
            assert secret not in visit.raw


def test_a_changed_certificate_gets_no_byte_of_the_credentials(store: SqliteStore, ise: IseSimulator) -> None:
    """The impostor is refused inside the handshake: not one byte of a request, in clear or encrypted, reaches it."""
    ask(store, ise, version)
    assert any(SENT.decode() in each.headers["authorization"] for each in ise.requests)
    since = len(ise.visits)
    ise.new_certificate()
    with pytest.raises(CertificateChanged) as changed:
        ask(store, ise, version)
    assert changed.value.decision is not None
    assert "troth replace" in changed.value.next_command
    nothing_leaked(ise, since)
    assert not any(visit.finished for visit in ise.visits[since:])


def test_a_certificate_that_changes_in_mid_operation(store: SqliteStore, ise: IseSimulator) -> None:
    """Between two requests of one client the server restarts with another certificate: the second is not sent."""

    async def two(client: IseClient) -> None:
        await client.version()
        await asyncio.to_thread(ise.new_certificate)
        await asyncio.to_thread(ise.hang_up)
        seen.append(len(ise.visits))
        await client.counts()

    seen: list[int] = []
    with pytest.raises(CertificateChanged):
        ask(store, ise, two)
    nothing_leaked(ise, seen[0])


def test_a_pin_that_is_revoked_in_mid_operation(store: SqliteStore, ise: IseSimulator) -> None:
    """A connection in the pool is not used again when the record no longer bears it."""

    async def two(client: IseClient) -> None:
        await client.version()
        store.revoke(ise.view.fingerprint)
        await client.counts()

    with pytest.raises(CertificateRevoked):
        ask(store, ise, two)
    assert len(ise.requests) == 1


def test_a_stranger_in_a_strict_domain_gets_no_credentials(store: SqliteStore, ise: IseSimulator) -> None:
    """Where first use needs approval, the credentials wait as well."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    with pytest.raises(AwaitingApproval):
        ask(store, ise, version)
    nothing_leaked(ise, 0)


def test_no_credentials_where_the_store_cannot_be_read(store: SqliteStore, ise: IseSimulator) -> None:
    """A check that cannot be done is a rejection, and it is called what it is."""
    with contextlib.closing(sqlite3.connect(store.path)) as vandal:
        vandal.executescript("PRAGMA foreign_keys = off; DROP TABLE entry;")
    with pytest.raises(StoreUnusable):
        ask(store, ise, version)
    assert all(SENT not in visit.raw and visit.plain == b"" for visit in ise.visits)


def test_an_unusable_store_is_named_before_the_rejection_that_it_led_to() -> None:
    """What is wrapped twice on its way through the HTTP library is still told as what it is."""
    rejection = UnreadableCertificate("it could not be checked")
    rejection.__cause__ = StoreVanished("the store is gone")
    outer = httpx2.ConnectError("failed")
    outer.__context__ = rejection
    assert isinstance(client_module._reason(outer), StoreVanished)
    rejection.__cause__ = outer  # a circle ends as well
    assert client_module._reason(outer) is rejection
    assert client_module._reason(httpx2.ReadError("x")) is None


def test_redirects_carry_no_credentials(store: SqliteStore, ise: IseSimulator, start: Start) -> None:
    """Another host that is trusted as well gets nothing either."""
    other = start("ise-2")
    ask(store, other, version)
    asked = len(other.requests)
    ise.faults["*"] = login_page(307, Location=f"https://{place(other)}{VERSION}")
    with pytest.raises(IseNotUnderstood):
        ask(store, ise, version)
    assert len(other.requests) == asked


def test_the_environment_has_no_say(
    store: SqliteStore, ise: IseSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A proxy or a .netrc of the environment changes neither the way nor the credentials."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert ask(store, ise, version).version


def test_logs_hold_no_secret(store: SqliteStore, ise: IseSimulator, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG: no password, no header, no cookie, in an answer or in a failure."""
    ise.cookie = "cookie-that-is-a-secret"
    with caplog.at_level(logging.DEBUG):
        for logger in ("httpcore2.http11", "httpcore2.connection", "httpx2"):
            logging.getLogger(logger).setLevel(logging.DEBUG)
        ask(store, ise, lambda c: c.counts())
        with pytest.raises(IseCredentialsRefused):
            ask(store, ise, version, password=PASSWORD + "wrong")
        ise.faults["*"] = cut_off(ONE)
        with pytest.raises(Unreachable):
            ask(store, ise, version)
    assert "receive_response_headers" in caplog.text, "the library logs less than this test assumes"
    assert "set-cookie" in caplog.text.lower()
    for secret in (PASSWORD, SENT.decode(), ise.cookie):
        assert secret not in caplog.text
    for name in ("httpcore2.http11", "httpcore2.connection", "httpx2"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_errors_and_reprs_hold_no_secret(store: SqliteStore, ise: IseSimulator) -> None:
    """Neither a message nor a repr shows the password."""
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))
    with pytest.raises(TrothError) as refused:
        ask(store, ise, version, password="wrong-but-secret")
    for text in (str(refused.value), repr(refused.value.problem()), repr(refused.value.__cause__)):
        assert "wrong-but-secret" not in text


def test_limits_are_what_they_should_be() -> None:
    """A list may be large, anything else may not."""
    assert client_module.MAX_SMALL <= 1 << 20 < xml.MAX_BYTES
