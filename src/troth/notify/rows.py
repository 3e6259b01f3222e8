"""Events, messages and silences as rows of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from troth.model.endpoint import Endpoint
from troth.model.fingerprint import Fingerprint
from troth.notify.events import Cause, Event, Filed, Kind, Message, Severity
from troth.notify.silences import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from troth.database.pool import Connection

EVENT_COLUMNS = (
    "id, at, kind, severity, host, port, protocol, domain, what, why, next_command, advice, presented, pinned,"
    " cause_key, cause_text, not_through, message, silence"
)
_INSERT_EVENT = (
    "INSERT INTO event (at, kind, severity, host, port, protocol, domain, what, why, next_command, advice, presented,"
    " pinned, cause_key, cause_text, not_through)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
MESSAGE_COLUMNS = "id, key, kind, severity, cause_key, cause_text, count, first_at, last_at, not_through, made_at"
SILENCE_COLUMNS = "id, pattern, domain, kind, why, who, since, until, removed_at"


def file(connection: Connection, events: Iterable[Event]) -> None:
    """Put events on record, inside the transaction of whatever they tell."""
    values = [_event_values(event) for event in events]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT_EVENT, values)


def filed(row: Sequence[object]) -> Filed:
    """Read an event's row (`EVENT_COLUMNS`)."""
    found = cast("tuple[Any, ...]", row)
    (number, at, kind, severity, host, port, protocol, domain, what, why, command, advice, presented) = found[:13]
    (pinned, cause_key, cause_text, not_through, message, silence) = found[13:]
    event = Event(
        kind=Kind(kind),
        severity=Severity(severity),
        endpoint=Endpoint(host, port, protocol) if host is not None else None,
        domain=domain,
        what=what,
        why=why,
        next_command=command,
        advice=advice,
        presented=Fingerprint(bytes(presented)) if presented is not None else None,
        pinned=tuple(pinned),
        cause=Cause(key=cause_key, text=cause_text),
        not_through=not_through,
        at=at,
    )
    return Filed(id=number, event=event, message=message, silence=silence)


def write_message(connection: Connection, message: Message) -> int:
    """Put a message on record; give its number."""
    row = connection.execute(
        "INSERT INTO message (key, kind, severity, cause_key, cause_text, count, first_at, last_at, not_through, made_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            message.key,
            message.kind.value,
            message.severity.value,
            _text(message.cause.key),
            _text(message.cause.text),
            message.count,
            message.first_at,
            message.last_at,
            message.not_through,
            message.made_at,
        ),
    ).fetchone()
    return cast("int", row[0]) if row else 0


def message_of(row: Sequence[object], events: Sequence[Event]) -> Message:
    """Read a message's row (`MESSAGE_COLUMNS`), with the first of its events."""
    number, key, kind, severity, cause_key, cause_text, count, first, last, not_through, made = cast(
        "tuple[Any, ...]", row
    )
    return Message(
        key=key,
        id=number,
        kind=Kind(kind),
        severity=Severity(severity),
        cause=Cause(key=cause_key, text=cause_text),
        events=tuple(events),
        count=count,
        first_at=first,
        last_at=last,
        not_through=not_through,
        made_at=made,
    )


def silence_of(row: Sequence[object]) -> Silence:
    """Read a silence's row (`SILENCE_COLUMNS`)."""
    number, pattern, domain, kind, why, who, since, until, removed = cast("tuple[Any, ...]", row)
    return Silence(
        id=number,
        pattern=pattern,
        domain=domain,
        kind=Kind(kind) if kind else None,
        why=why,
        who=who,
        since=since,
        until=until,
        removed_at=removed,
    )


def _event_values(event: Event) -> tuple[object, ...]:
    endpoint = event.endpoint
    return (
        event.at,
        event.kind.value,
        event.severity.value,
        endpoint.host if endpoint else None,
        endpoint.port if endpoint else None,
        endpoint.protocol if endpoint else None,
        event.domain,
        _text(event.what),
        _text(event.why),
        _text(event.next_command),
        _text(event.advice),
        event.presented.digest if event.presented else None,
        [_text(each) for each in event.pinned],
        _text(event.cause.key),
        _text(event.cause.text),
        event.not_through,
    )


def _text(text: str) -> str:
    """Give a text that the database can hold: no NUL, no lone surrogate. An event is never lost for its words."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
