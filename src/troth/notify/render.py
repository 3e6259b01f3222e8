"""Messages as mail, JSON and syslog lines. Pure.

Whatever stands in an event may come from a hostile certificate or peer. So every text passes `printable` once more on
its way out, headers are set through a policy that refuses line ends, and syslog values are escaped by RFC 5424.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from troth.model.text import printable
from troth.notify.events import Event, Kind, Message, Severity
from troth.notify.grouping import LISTED
from troth.trust.explain import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA = "troth.message/1"
_SUBJECT_LIMIT = 160
_LINE_LIMIT = 600
# The number that RFC 5612 sets aside for examples: Troth has none of its own.
SYSLOG_ID = "troth@32473"
_FACILITY_AUTHPRIV = 10
_SYSLOG_SEVERITY = {Severity.CRITICAL: 2, Severity.WARNING: 4, Severity.INFO: 6}
UDP_LIMIT = 2048
STREAM_LIMIT = 8192

_TITLES = {
    Kind.CHANGED: ("certificate changed", "certificates changed"),
    Kind.REVOKED: ("revoked certificate presented", "revoked certificates presented"),
    Kind.UNAPPROVED: ("host waits for approval", "hosts wait for approval"),
    Kind.EXPIRED: ("certificate outside its dates", "certificates outside their dates"),
    Kind.INVALID_CHAIN: ("certificate chain not valid", "certificate chains not valid"),
    Kind.CANNOT_CHECK: ("check not possible", "checks not possible"),
    Kind.EXPIRING: ("certificate expires", "certificates expire"),
    Kind.UNREACHABLE: ("host unreachable", "hosts unreachable"),
    Kind.REACHABLE: ("host reachable again", "hosts reachable again"),
    Kind.RECOVERED: ("host trusted again", "hosts trusted again"),
    Kind.FIRST_USE: ("new host", "new hosts"),
    Kind.RENEWED: ("certificate renewed", "certificates renewed"),
    Kind.PROMOTED: ("announced certificate arrived", "announced certificates arrived"),
    Kind.INTEGRATION_TROUBLE: ("trouble with an ISE server", "troubles with ISE servers"),
    Kind.INTEGRATION_REGAINED: ("ISE server regained", "ISE servers regained"),
    Kind.INTEGRATION_NOTE: ("news of an ISE server", "news of ISE servers"),
    Kind.UNDELIVERABLE: ("messages not delivered", "messages not delivered"),
    Kind.SILENCED: ("silence set or ended", "silences set or ended"),
    Kind.TEST: ("test message", "test messages"),
}


def title(message: Message) -> str:
    """Say in a few words what a message is about."""
    one, many = _TITLES[message.kind]
    if message.count > 1:
        return _safe(f"{message.count} {many}", _SUBJECT_LIMIT)
    subject = message.events[0].subject
    return _safe(f"{one}: {subject}" if subject else one, _SUBJECT_LIMIT)


def rest(message: Message) -> str:
    """Say where the events are that are not listed; empty if all are."""
    more = message.count - len(message.events[:LISTED])
    return f"… and {more} more: troth events list --message {message.id}" if more > 0 else ""


# Mail


def mail(message: Message, *, sender: str, recipients: Sequence[str], host: str) -> EmailMessage:
    """Make the mail of a message (RFC 5322); the same message makes the same mail, at every attempt.

    Args:
        message: The message.
        sender: The address in `From`.
        recipients: The addresses in `To`.
        host: The name of this installation, for `Message-ID`.
    """
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = ", ".join(recipients)
    made["Subject"] = _header(f"[troth] {message.severity}: {title(message)}")
    made["Date"] = format_datetime(message.made_at.astimezone(UTC))
    made["Message-ID"] = f"<troth.{message.key}@{host}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply comes back
    made["X-Troth-Kind"] = message.kind.value
    made["X-Troth-Severity"] = message.severity.value
    made.set_content("\n".join(_mail_lines(message)) + "\n")
    return made


def _header(text: str) -> str:
    """Give a text that a header may hold.

    The library reads encoded words (RFC 2047) in what it is given, and would write a line end out of one as it is.
    """
    return text.replace("=?", "=\\x3f")


def _mail_lines(message: Message) -> Iterator[str]:
    if message.count == 1:
        yield from _event_lines(message.events[0])
        return
    yield f"{title(message)}."
    if message.cause.text:
        yield f"In common: {_safe(message.cause.text)}"
    yield f"From {moment(message.first_at)} to {moment(message.last_at)}."
    yield ""
    first = message.events[0]
    yield "The first of them:"
    yield ""
    yield from _event_lines(first)
    yield ""
    yield "All of them:" if not rest(message) else f"The first {LISTED} of {message.count}:"
    yield ""
    for event in message.events[:LISTED]:
        presented = f"  {event.presented}" if event.presented else ""
        yield f"  {_safe(event.subject) or _safe(event.what)}{presented}"
    if rest(message):
        yield ""
        yield rest(message)


def _event_lines(event: Event) -> Iterator[str]:
    yield _safe(event.what)
    for label, text in (
        ("why", event.why),
        ("at", moment(event.at)),
        ("domain", event.domain),
        ("presented", str(event.presented or "")),
        ("on record", ", ".join(event.pinned)),
        ("first", event.advice),
        ("next", event.next_command),
    ):
        if text:
            yield f"  {label + ':':<11}{_safe(text)}"


# JSON


def document(message: Message) -> dict[str, object]:
    """Give a message as JSON-able values."""
    return {
        "schema": SCHEMA,
        "key": message.key,
        "message": message.id,
        "kind": message.kind.value,
        "severity": message.severity.value,
        "title": title(message),
        "cause": _safe(message.cause.text) or None,
        "count": message.count,
        "first_at": moment(message.first_at),
        "last_at": moment(message.last_at),
        "events": [event_document(event) for event in message.events[:LISTED]],
        "rest": rest(message) or None,
    }


def event_document(event: Event) -> dict[str, object]:
    """Give an event as JSON-able values."""
    return {
        "kind": event.kind.value,
        "severity": event.severity.value,
        "endpoint": str(event.endpoint) if event.endpoint else None,
        "protocol": event.endpoint.protocol if event.endpoint else None,
        "domain": event.domain or None,
        "what": _safe(event.what),
        "why": _safe(event.why) or None,
        "next_command": _safe(event.next_command) or None,
        "presented": str(event.presented) if event.presented else None,
        "pinned": [_safe(each) for each in event.pinned],
        "at": moment(event.at),
    }


def webhook(message: Message, secret: bytes, sent_at: datetime) -> tuple[bytes, dict[str, str]]:
    """Make the body and the headers of a webhook call.

    The signature is HMAC-SHA256 of the time, a dot, and the body, so that neither can be changed, and an old call cannot
    be played again later. The idempotency key is the same at every attempt.

    Args:
        message: The message.
        secret: What the receiver knows as well.
        sent_at: The time of this attempt, aware.
    """
    body = json.dumps(document(message), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    stamp = str(int(sent_at.timestamp()))
    return body, {
        "Content-Type": "application/json",
        "Idempotency-Key": f'"{message.key}"',
        "Troth-Signature": f"t={stamp},v1={signature(secret, stamp, body)}",
    }


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """Sign a webhook's body, as its receiver does to compare."""
    return hmac.new(secret, stamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


# Syslog


def syslog(message: Message, *, host: str, process: int, limit: int) -> bytes:
    """Make an RFC 5424 line, without framing; what is longer than `limit` octets is cut, between characters.

    Args:
        message: The message.
        host: This machine's name.
        process: This process's number.
        limit: The longest line, in octets.
    """
    priority = _FACILITY_AUTHPRIV * 8 + _SYSLOG_SEVERITY[message.severity]
    at = message.made_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{priority}>1 {at} {_name(host, 255)} troth {process} {_name(message.kind.value, 32)} {_data(message)} "
    return head.encode("utf-8") + b"\xef\xbb\xbf" + _cut(line(message), limit - len(head.encode("utf-8")) - 3)


def syslog_local(message: Message, *, process: int, limit: int) -> bytes:
    """Make a line for this machine's own /dev/log, in the form that the C library writes there."""
    priority = _FACILITY_AUTHPRIV * 8 + _SYSLOG_SEVERITY[message.severity]
    at = message.made_at.astimezone()
    head = f"<{priority}>{at:%b} {at.day:2d} {at:%H:%M:%S} troth[{process}]: ".encode("ascii", "replace")
    return head + _cut(f"{_data(message)} {line(message)}", limit - len(head))


def line(message: Message) -> str:
    """Say it all in one line."""
    first = message.events[0]
    if message.count == 1:
        parts = [first.what, first.why, f"next: {first.next_command}" if first.next_command else ""]
        return " ".join(_safe(part) for part in parts if part)
    places = ", ".join(_safe(event.subject) for event in message.events[:LISTED] if event.subject)
    common = f" ({_safe(message.cause.text)})" if message.cause.text else ""
    return f"{title(message)}{common}: {places or _safe(first.what)}{' ' if rest(message) else ''}{rest(message)}"


def _data(message: Message) -> str:
    first = message.events[0]
    values = {
        "key": message.key,
        "kind": message.kind.value,
        "severity": message.severity.value,
        "count": str(message.count),
        "endpoint": first.subject if message.count == 1 else "",
        "domain": first.domain,
        "presented": str(first.presented or "") if message.count == 1 else "",
        "message": str(message.id) if message.id else "",
    }
    inside = "".join(f' {name}="{escaped(_safe(value, 300))}"' for name, value in values.items() if value)
    return f"[{SYSLOG_ID}{inside}]"


def escaped(value: str) -> str:
    """Escape a parameter's value (RFC 5424 section 6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _name(text: str, limit: int) -> str:
    """Give a header field: printable ASCII without blanks; the nil value if nothing is left."""
    return "".join(each for each in text if "!" <= each <= "~")[:limit] or "-"


def _cut(text: str, octets: int) -> bytes:
    data = text.encode("utf-8")
    if len(data) <= octets:
        return data
    return data[: max(octets - 3, 0)].decode("utf-8", "ignore").encode("utf-8") + "…".encode()


def _safe(text: str, limit: int = _LINE_LIMIT) -> str:
    return printable(text, limit)
