"""Messages as mail, JSON and syslog: complete, and no hostile text gets out of its place (threat 20)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notify.making import an_event
from troth.model.endpoint import Endpoint
from troth.notify import render
from troth.notify.events import Cause, Event, Filed, Kind, Message, Severity
from troth.notify.grouping import Window, groups, single

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "schemas" / "troth.message.1.json"
NASTY = [
    "CN=a\r\nBcc: everyone@example.com\r\n\r\nbody",
    "x\n.\nRSET\nMAIL FROM:<a@b>",
    '"] [fake@1 a="b',
    "]\\",
    "\x1b[2J\x07",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "a\0b",
    "\ud800",
    "=?utf-8?q?x=0D=0ABcc:y?=",
    "é" * 900,
]
texts = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=300), st.text(alphabet='\r\n"]\\[= <>\x85\u2028|', max_size=80)
)


def grouped(count: int, **changes: object) -> Message:
    """Make a message of many events."""
    filed = [Filed(id=n, event=an_event(n, at=NOW - timedelta(seconds=count - n), **changes)) for n in range(count)]
    return groups(filed, NOW + timedelta(hours=1), Window(longest=timedelta(days=1)))[0][0].message


def parsed(message: Message) -> tuple[EmailMessage, bytes]:
    """Make a mail and read it as a receiver does."""
    made = render.mail(message, sender="troth@example.com", recipients=["ops@example.com"], host="node-1.example.com")
    data = made.as_bytes()
    found = message_from_bytes(data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found, data


def hostile(text: str, kind: Kind = Kind.CHANGED) -> Event:
    """Make an event whose every text is hostile."""
    return an_event(
        kind=kind, what=text, why=text, next_command=text, advice=text, pinned=(text,), domain=text,
        cause=Cause(key=text, text=text), at=NOW,
    )  # fmt: skip


def test_a_single_event_says_everything() -> None:
    """What, why, when, where, both fingerprints, what to do first, and the next command."""
    event = an_event(1, at=NOW)
    mail, _ = parsed(single(event, NOW))
    body = mail.get_content()
    for text in (
        event.what,
        event.why,
        event.next_command,
        event.advice,
        str(event.presented),
        "sha256:00",
        "devicemgmt",
        "2030-01-02T03:04:05Z",
    ):
        assert text in body
    assert mail["Subject"] == "[troth] critical: certificate changed: host-1.example.com:443"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(r"<troth\.[0-9a-f]{32}@node-1\.example\.com>", mail["Message-ID"])
    assert mail["Date"].datetime == NOW


def test_five_hundred_events_are_counted_twenty_are_listed_and_the_rest_is_named() -> None:
    """One mail, one document, one line."""
    message = grouped(500)
    body = parsed(message)[0].get_content()
    assert "500 certificates changed." in body
    assert "In common: certificates issued by CN=New CA" in body
    assert body.count(".example.com:443  sha256:") == 20
    assert "… and 480 more: troth events list --message 0" in body
    document = render.document(message)
    assert document["count"] == 500
    assert len(document["events"]) == 20  # type: ignore[arg-type]
    assert "480 more" in str(document["rest"])
    line = render.line(message)
    assert line.count(".example.com:443") == 20
    assert "480 more" in line
    assert "All of them" in parsed(grouped(20))[0].get_content()


def test_the_same_message_is_the_same_mail_at_every_attempt() -> None:
    """Receivers that drop what they have seen can do so."""
    message = grouped(3)
    assert parsed(message)[1] == parsed(message)[1]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_title(kind: Kind) -> None:
    """One and many."""
    assert render.title(single(an_event(kind=kind), NOW))
    assert render.title(grouped(2, kind=kind)).startswith("2 ")


@given(texts, st.sampled_from(list(Kind)))
def test_no_text_gets_out_of_its_place_in_a_mail(text: str, kind: Kind) -> None:
    """No header is added, none is split, no line of the body begins what the text wants; all lines are short enough."""
    endpoint = Endpoint(text[:60] or "x", 443)  # no name that Endpoint.parse would let in
    for message in (
        single(hostile(text, kind), NOW),
        single(an_event(what=text, endpoint=endpoint, at=NOW), NOW),
        grouped(3, what=text, cause=Cause(key="k", text=text), endpoint=endpoint),
    ):
        mail, data = parsed(message)
        head = data.partition(b"\r\n\r\n")[0]
        names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
        assert names == [
            b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"X-Troth-Kind", b"X-Troth-Severity",
            b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version",
        ]  # fmt: skip
        assert b"\r" not in data.replace(b"\r\n", b"")
        assert b"\n" not in data.replace(b"\r\n", b"")
        assert b"\0" not in data
        assert all(len(line) <= 998 for line in data.split(b"\r\n"))
        assert mail["To"] == "ops@example.com"
        assert mail["Bcc"] is None
        shown = mail.get_content()
        assert not any(each in shown for each in "\x1b\x07\u202e\u2028\x85\0")


@given(texts, st.sampled_from(list(Severity)), st.integers(300, 3000))
def test_no_text_gets_out_of_its_place_in_a_syslog_line(text: str, severity: Severity, limit: int) -> None:
    """A reader by the grammar of RFC 5424 finds one element with our parameters, and one line within the limit."""
    endpoint = Endpoint(text[:60] or "x", 443)
    events = (hostile(text), an_event(domain=text, endpoint=endpoint, severity=severity, what=text, at=NOW))
    for event in events:
        message = single(event, NOW)
        line = render.syslog(message, host=text, process=7, limit=2048)
        assert b"\n" not in line
        assert b"\r" not in line
        assert b"\0" not in line
        header, values, said = by_the_grammar(line)
        assert header[2:] == ["troth", "7", event.kind.value]
        assert set(values) <= {"key", "kind", "severity", "count", "endpoint", "domain", "presented", "message"}
        assert values["kind"] == event.kind.value
        assert values["key"] == message.key
        said.decode("utf-8")
        assert len(line) <= 2048
        local = render.syslog_local(message, process=7, limit=2048)
        assert re.match(rb"<\d+>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d troth\[7\]: \[", local)
        assert not any(each in local for each in (b"\n", b"\r", b"\0"))
    many = render.syslog(grouped(30, what=text, endpoint=endpoint), host="h", process=7, limit=limit + 500)
    assert len(many) <= limit + 500
    by_the_grammar(many)[2].decode("utf-8")


def by_the_grammar(line: bytes) -> tuple[list[str], dict[str, str], bytes]:
    """Read a line by RFC 5424 section 6: header fields, the parameters of the one element, the text."""
    found = re.fullmatch(
        rb"<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
        rb'\[([!-~]+?)((?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\.)*")*)\] \xef\xbb\xbf(.*)',
        line,
        re.S,
    )
    assert found, line
    assert found[7] == b"troth@32473"
    assert 0 <= int(found[1]) <= 191
    datetime.fromisoformat(found[2].decode())
    values = {
        name.decode(): re.sub(r"\\(.)", r"\1", value.decode("utf-8"))
        for name, value in re.findall(rb' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\.)*)"', found[8])
    }
    return (
        [found[2].decode(), found[3].decode(), found[4].decode(), found[5].decode(), found[6].decode()],
        values,
        found[9],
    )


def test_severities_are_those_of_syslog() -> None:
    """Facility authpriv (10); critical 2, warning 4, informational 6."""
    starts = [
        render.syslog(single(an_event(severity=each), NOW), host="h", process=1, limit=2048)[:5] for each in Severity
    ]
    assert starts == [b"<86>1", b"<84>1", b"<82>1"]


def test_the_published_schemas_know_every_kind() -> None:
    """A kind that they do not know would make a message that their readers refuse."""
    found = json.loads(SCHEMA.read_text())["properties"]
    assert set(found["kind"]["enum"]) == set(found["events"]["items"]["properties"]["kind"]["enum"]) == set(Kind)
    listed = json.loads((SCHEMA.parent / "troth.events.1.json").read_text())["properties"]["events"]["items"]
    assert set(listed["properties"]["kind"]["enum"]) == set(Kind)


@given(texts)
def test_the_document_keeps_to_its_schema_and_the_signature_holds(text: str) -> None:
    """ASCII JSON, valid by the published schema; the signature is of the time and the body."""
    schema = json.loads(SCHEMA.read_text())
    for message in (single(hostile(text), NOW), grouped(25, what=text)):
        body, headers = render.webhook(message, b"s" * 32, NOW)
        body.decode("ascii")
        jsonschema.validate(json.loads(body), schema)
        stamp, value = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", headers["Troth-Signature"]).groups()  # type: ignore[union-attr]
        assert stamp == str(int(NOW.timestamp()))
        assert hmac.new(b"s" * 32, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest() == value
        assert all(each.isascii() and each.isprintable() for pair in headers.items() for each in pair)
