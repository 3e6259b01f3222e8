"""The channels, against real receivers: delivery, and what is not said to a receiver that is not trusted."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.notify.making import Clock, an_event
from tests.simulators.receivers import PASSWORD, USER, Collector, Datagrams, Hook, Mailbox
from troth import manage
from troth.errors import CertificateChanged, ChannelUnusable, NotDelivered, TrothError, Unreachable
from troth.model.endpoint import Endpoint
from troth.model.entry import PinKind
from troth.notify.grouping import single
from troth.notify.mail import MailChannel, MailSettings
from troth.notify.syslog import SyslogChannel, SyslogSettings
from troth.notify.webhook import WebhookChannel, WebhookSettings
from troth.store.sqlite import SqliteStore

MESSAGE = single(an_event(7), datetime.now(UTC))
SECRET = b"k" * 32


def mail(store: SqliteStore, port: int, *, password: str = PASSWORD, **changes: Any) -> MailChannel:
    """Make a mail channel to a server on loopback."""
    found = {
        "host": "127.0.0.1",
        "port": port,
        "user": USER,
        "sender": "troth@example.com",
        "recipients": ["ops@example.com", "noc@example.com"],
    }
    settings = MailSettings.read({**found, **changes})
    return MailChannel(settings=settings, store=store, password=password, name="node-1.example.com", timeout_s=20)


# Mail


def test_mail_arrives_over_starttls_and_the_server_is_on_record(store: SqliteStore, start: Any) -> None:
    """TLS first, then AUTH, then one mail to both recipients; the server's certificate is recorded under its protocol."""
    box = start(Mailbox)
    assert mail(store, box.port).send(MESSAGE) == ""
    assert box.greetings[-1] == ("node-1.example.com", True)
    assert len(box.auths) == 1
    assert box.envelopes == [("troth@example.com", ["ops@example.com", "noc@example.com"])]
    assert box.mails[0]["Message-ID"] == f"<troth.{MESSAGE.key}@node-1.example.com>"
    assert box.mails[0].get_content().startswith("host-7.example.com:443 presented another certificate")
    entry = store.entry(Endpoint("127.0.0.1", box.port, "smtp"))
    assert entry is not None
    assert entry.presented == box.view.fingerprint


def test_a_changed_mail_server_gets_no_byte_of_auth(store: SqliteStore, start: Any) -> None:
    """The handshake is refused: no AUTH, no mail, and the words are those of every rejection."""
    box = start(Mailbox)
    mail(store, box.port).send(MESSAGE)
    before = len(box.auths), len(box.mails), sum(tls for _, tls in box.greetings)
    box.swap()
    with pytest.raises(CertificateChanged) as caught:
        mail(store, box.port).send(MESSAGE)
    assert (len(box.auths), len(box.mails), sum(tls for _, tls in box.greetings)) == before
    assert caught.value.next_command == f"troth replace 127.0.0.1:{box.port} --starttls smtp --expect FINGERPRINT"
    entry = store.entry(Endpoint("127.0.0.1", box.port, "smtp"))
    assert entry is not None
    manage.replace(store, entry, box.view, box.view.fingerprint)
    mail(store, box.port).send(MESSAGE)
    assert len(box.mails) == 2


def test_mail_arrives_over_tls_from_the_start(store: SqliteStore, start: Any) -> None:
    """Implicit TLS is another protocol, and has an entry of its own."""
    box = start(Mailbox, tls="tls")
    mail(store, box.port, security="tls", user="").send(MESSAGE)
    assert len(box.mails) == 1
    assert store.entry(Endpoint("127.0.0.1", box.port)) is not None


def test_a_changed_server_with_tls_from_the_start_is_told_nothing(store: SqliteStore, start: Any) -> None:
    """The same as with STARTTLS."""
    box = start(Mailbox, tls="tls")
    endpoint = Endpoint("127.0.0.1", box.port)
    other = start(Mailbox).view
    manage.pin(store, endpoint, kind=PinKind.CERTIFICATE, view=other)
    with pytest.raises(CertificateChanged):
        mail(store, box.port, security="tls").send(MESSAGE)
    assert (box.greetings, box.auths, box.mails) == ([], [], [])


def test_a_server_without_starttls_is_told_nothing(store: SqliteStore, start: Any) -> None:
    """Also where it was taken out on the way: no password, no mail, nothing on record."""
    box = start(Mailbox, tls="none")
    with pytest.raises(NotDelivered, match="offers no STARTTLS"):
        mail(store, box.port).send(MESSAGE)
    assert (box.auths, box.mails) == ([], [])
    assert store.entry(Endpoint("127.0.0.1", box.port, "smtp")) is None


def test_plain_text_is_for_this_machine_alone(store: SqliteStore, start: Any) -> None:
    """A relay on loopback may be spoken to without TLS, and without a password; nothing else may."""
    box = start(Mailbox, tls="none")
    mail(store, box.port, security="plain", user="").send(MESSAGE)
    assert len(box.mails) == 1
    for changes in ({"host": "192.0.2.1", "user": ""}, {"host": "relay.example.com", "user": ""}, {"user": USER}):
        with pytest.raises(ChannelUnusable):
            mail(store, box.port, security="plain", **changes)


def test_what_a_server_refuses_is_said(store: SqliteStore, start: Any) -> None:
    """A wrong password, every recipient, the message itself; one recipient of two is a note, for the other has it."""
    with pytest.raises(NotDelivered, match="535"):
        mail(store, start(Mailbox).port, password="wrong").send(MESSAGE)
    both = start(Mailbox, refused=("ops@example.com", "noc@example.com"))
    with pytest.raises(NotDelivered):
        mail(store, both.port).send(MESSAGE)
    with pytest.raises(NotDelivered, match="452"):
        mail(store, start(Mailbox, answer="452 full").port).send(MESSAGE)
    one = start(Mailbox, refused=("noc@example.com",))
    assert mail(store, one.port).send(MESSAGE) == "refused: noc@example.com"
    assert one.envelopes[0][1] == ["ops@example.com"]


def test_plain_text_that_was_put_before_tls_is_not_believed(store: SqliteStore) -> None:
    """A server (or somebody on the way) that answers ahead of TLS gains nothing: no password leaves without TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(b"220 hi\r\n")
            heard.append(connection.recv(4096))
            connection.sendall(b"250-hi\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
            heard.append(connection.recv(4096))
            connection.sendall(b"220 go\r\n250-hi\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok\r\n250 ok\r\n")
            heard.append(connection.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with pytest.raises(TrothError):
        mail(store, listener.getsockname()[1]).send(MESSAGE)
    thread.join(10)
    listener.close()
    assert heard[1] == b"STARTTLS\r\n"
    assert b"AUTH" not in b"".join(heard)
    assert b"MAIL" not in b"".join(heard)


def test_a_silent_server_is_given_up_in_time(store: SqliteStore) -> None:
    """One limit for the whole delivery."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channel = MailChannel(settings=mail(store, listener.getsockname()[1]).settings, store=store, timeout_s=0.3)
        with pytest.raises(TrothError, match=r"within 0.3 s|Timed out"):
            channel.send(MESSAGE)
    with pytest.raises(NotDelivered):
        channel.send(MESSAGE)


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "troth@example.com\r\nBcc: x@y"},
        {"sender": ""},
        {"recipients": []},
        {"recipients": ["a@b, c@d"]},
        {"recipients": ["<a@b>"]},
        {"recipients": ["a@b"] * 51},
        {"recipients": ["ä@example.com"]},
        {"host": "a b"},
        {"host": "user@host"},
        {"port": 0},
        {"port": True},
        {"port": "25"},
        {"security": "none"},
        {"user": "alice\r\n"},
    ],
)
def test_mail_settings_that_cannot_be_used(store: SqliteStore, changes: dict[str, Any]) -> None:
    """Nothing that could be a header, a second recipient, or another place."""
    with pytest.raises(ChannelUnusable):
        MailSettings.read({**mail(store, 25).settings.document(), **changes})


def test_passwords_are_in_no_text_of_a_channel(store: SqliteStore) -> None:
    """Neither in its representation nor in where it goes."""
    channel = mail(store, 25)
    assert PASSWORD not in repr(channel) + channel.destination
    hook = WebhookChannel(settings=WebhookSettings.parse("https://h/x"), store=store, secret=SECRET, clock=Clock())
    assert SECRET.decode() not in repr(hook) + hook.destination


# Webhooks


def hook_to(store: SqliteStore, url: str, **changes: Any) -> WebhookChannel:
    """Make a webhook channel."""
    return WebhookChannel(
        settings=WebhookSettings.parse(url),
        store=store,
        **{"secret": SECRET, "clock": Clock(), "timeout_s": 20, **changes},
    )


def test_a_call_arrives_signed(store: SqliteStore, start: Any) -> None:
    """The receiver can tell who called, when, and whether it has seen the message."""
    hook = start(Hook)
    assert hook_to(store, f"{hook.url}?team=a").send(MESSAGE) == ""
    call = hook.calls[0]
    assert call.path == "/troth?team=a"
    assert call.headers["Idempotency-Key"] == f'"{MESSAGE.key}"'
    stamp, value = re.fullmatch(r"t=(\d+),v1=(\w+)", call.headers["Troth-Signature"]).groups()  # type: ignore[union-attr]
    assert hmac.compare_digest(hmac.new(SECRET, f"{stamp}.".encode() + call.body, hashlib.sha256).hexdigest(), value)
    assert json.loads(call.body)["events"][0]["endpoint"] == "host-7.example.com:443"
    assert SECRET not in call.body + str(call.headers).encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(store: SqliteStore, start: Any, status: int) -> None:
    """Nothing goes where the receiver points."""
    other = start(Hook)
    hook = start(Hook, status=status, location=other.url)
    with pytest.raises(NotDelivered) as caught:
        hook_to(store, hook.url).send(MESSAGE)
    assert "redirects are refused" in caught.value.why
    assert len(hook.calls) == 1
    assert other.calls == []


def test_a_changed_receiver_is_told_nothing(store: SqliteStore, start: Any) -> None:
    """No request, no signature."""
    hook = start(Hook)
    hook_to(store, hook.url).send(MESSAGE)
    hook.swap()
    with pytest.raises(CertificateChanged):
        hook_to(store, hook.url).send(MESSAGE)
    assert len(hook.calls) == 1


def test_other_answers_are_failures(store: SqliteStore, start: Any) -> None:
    """Only 200 to 299 means that it has the message."""
    for status in (400, 404, 500, 503):
        with pytest.raises(NotDelivered, match=str(status)):
            hook_to(store, start(Hook, status=status).url).send(MESSAGE)
    with pytest.raises(TrothError):
        hook_to(store, f"https://127.0.0.1:{servers.free_port()}/").send(MESSAGE)


def test_the_environments_proxy_has_no_part_in_it(
    store: SqliteStore, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where messages go is what was set, and nothing else."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{servers.free_port()}")
    hook = start(Hook)
    hook_to(store, hook.url).send(MESSAGE)
    assert len(hook.calls) == 1


def test_a_call_without_a_secret_is_not_made(store: SqliteStore, start: Any) -> None:
    """Nobody could tell who called."""
    hook = start(Hook)
    with pytest.raises(ChannelUnusable):
        hook_to(store, hook.url, secret=b"").send(MESSAGE)
    assert hook.calls == []


@pytest.mark.parametrize(
    "url",
    ["http://h/", "https://user:word@h/", "https://h:0/", "https://h:x/", "https://h/#a", "https://h/a b", "https:///x", "ftp://h", "https://h/ä", "h"],
)  # fmt: skip
def test_addresses_that_are_not_called(url: str) -> None:
    """Plain HTTP, passwords, and what has no one meaning; a password is not repeated in the message."""
    with pytest.raises(ChannelUnusable) as caught:
        WebhookSettings.parse(url)
    assert "word" not in str(caught.value)


# Syslog


def logs(store: SqliteStore, url: str, timeout_s: float = 20) -> SyslogChannel:
    """Make a syslog channel."""
    return SyslogChannel(settings=SyslogSettings.parse(url), store=store, name="node-1", timeout_s=timeout_s)


def test_a_line_arrives_over_udp(store: SqliteStore, start: Any) -> None:
    """One datagram, one line."""
    receiver = start(Datagrams)
    logs(store, f"udp://127.0.0.1:{receiver.port}").send(MESSAGE)
    assert re.match(rb"<82>1 \S+ node-1 troth \d+ changed \[troth@32473 ", receiver.line())


def test_a_line_arrives_at_this_machines_own_socket(store: SqliteStore, start: Any, tmp_path: Path) -> None:
    """In the form that the C library writes."""
    receiver = start(Datagrams, path=tmp_path / "log")
    logs(store, f"unix:{tmp_path}/log").send(MESSAGE)
    assert re.match(rb"<82>\w{3} [ \d]\d [\d:]{8} troth\[\d+\]: \[troth@32473 ", receiver.line())


@pytest.mark.parametrize(("tls", "polite"), [(False, True), (True, True), (True, False)])
def test_a_line_arrives_over_a_stream(store: SqliteStore, start: Any, tls: bool, polite: bool) -> None:
    """With its length in front; over TLS the receiver sees a proper end, and need not answer it."""
    receiver = start(Collector, tls=tls, polite=polite)
    channel = logs(store, f"{'tls' if tls else 'tcp'}://127.0.0.1:{receiver.port}")
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    servers.wait_until(lambda: len(receiver.lines) == 2, "both lines")
    assert receiver.failed == 0
    assert receiver.lines[0].startswith(b"<82>1 ")
    assert (store.entry(Endpoint("127.0.0.1", receiver.port)) is not None) is tls


def test_a_changed_syslog_receiver_is_told_nothing(store: SqliteStore, start: Any) -> None:
    """The line does not leave."""
    receiver = start(Collector, tls=True)
    channel = logs(store, f"tls://127.0.0.1:{receiver.port}")
    channel.send(MESSAGE)
    receiver.swap()
    with pytest.raises(CertificateChanged):
        channel.send(MESSAGE)
    servers.wait_until(lambda: receiver.failed >= 1, "the refused handshake")
    assert len(receiver.lines) == 1


def test_receivers_that_are_not_there(store: SqliteStore, tmp_path: Path) -> None:
    """TCP and the UNIX socket notice."""
    with pytest.raises(Unreachable):
        logs(store, f"tcp://127.0.0.1:{servers.free_port()}").send(MESSAGE)
    with pytest.raises(NotDelivered):
        logs(store, f"unix:{tmp_path}/nobody").send(MESSAGE)


def test_a_receiver_that_resets_did_not_take_the_line(store: SqliteStore) -> None:
    """A reset is a failure: the line is sent again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(NotDelivered):
            logs(store, f"tcp://127.0.0.1:{listener.getsockname()[1]}").send(MESSAGE)
        thread.join(10)


@pytest.mark.parametrize(
    "url", ["tls://", "http://h", "udp://h:0", "tcp://u@h", "tls://h/x", "unix:log", "unix:" + "/x" * 60, "h:514"]
)
def test_places_that_are_none_for_syslog(url: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ChannelUnusable):
        SyslogSettings.parse(url)


def test_settings_are_kept_whole() -> None:
    """What was written to the database is read as it was."""
    for settings in (
        WebhookSettings.parse("https://[2001:db8::1]:8443/a?b=c", domain="pubnet"),
        SyslogSettings.parse("tls://logs.example.com"),
        SyslogSettings.parse("unix:/dev/log"),
        MailSettings.read({"host": "mail.example.com", "sender": "a@b.example", "recipients": ["c@d.example"]}),
    ):
        assert type(settings).read(settings.document()) == settings
