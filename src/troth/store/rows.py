"""Values to rows and back. Only this module knows the columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from troth.model.endpoint import Endpoint
from troth.model.entry import (
    CheckMode,
    Entry,
    EntryState,
    Evidence,
    Expiry,
    Override,
    Pin,
    PinKind,
    PinState,
    Policy,
)
from troth.model.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from troth.model.certificate import CertificateView
    from troth.store.engine import Connection, Cursor

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

ENTRY_COLUMNS = (
    "e.id, e.host, e.port, e.protocol, e.domain, e.state, e.mode, e.pin, e.expired, e.server_name, e.created_at,"
    " e.last_seen, e.presented, e.rejected, e.rejected_at"
)
PIN_COLUMNS = (
    "p.kind, p.fingerprint, p.state, p.evidence, p.added_at, p.added_by, p.certificate, p.first_seen, p.last_seen"
)
_SELECT = f"SELECT {ENTRY_COLUMNS}, {PIN_COLUMNS} FROM entry e LEFT JOIN pin p ON p.entry = e.id"  # noqa: S608  # constants


def to_us(moment: datetime | None) -> int | None:
    """Give microseconds since 1970 for an aware moment."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def from_us(value: int | None) -> datetime | None:
    """Give the aware moment of microseconds since 1970."""
    return None if value is None else _EPOCH + value * _MICROSECOND


def select_entry(connection: Connection, endpoint: Endpoint) -> Entry | None:
    """Read one entry with its pins, in one query."""
    rows = connection.execute(
        f"{_SELECT} WHERE e.host = ? AND e.port = ? AND e.protocol = ? ORDER BY p.position",
        (endpoint.host, endpoint.port, endpoint.protocol),
    ).fetchall()
    return entry_from(rows) if rows else None


def select_entries(connection: Connection, where: str = "TRUE", parameters: Iterable[object] = ()) -> Iterator[Entry]:
    """Read entries with their pins, ordered by host, port and protocol; `where` is a constant condition on `e`.

    The question is asked at once, and the entries are made one by one.
    """
    cursor = connection.execute(
        f"{_SELECT} WHERE {where} ORDER BY e.host, e.port, e.protocol, p.position", tuple(parameters)
    )
    return _grouped(cursor)


def _grouped(cursor: Cursor) -> Iterator[Entry]:
    group: list[tuple[Any, ...]] = []
    for row in cursor:
        if group and group[0][0] != row[0]:
            yield entry_from(group)
            group = []
        group.append(row)
    if group:
        yield entry_from(group)


def entry_from(rows: list[tuple[Any, ...]]) -> Entry:
    """Make an entry of its joined rows."""
    _, host, port, protocol, domain, state, mode, pin, expired, name, created, seen, presented, rejected, at = rows[0][
        :15
    ]
    return Entry(
        endpoint=Endpoint(host, port, protocol),
        domain=str(domain),
        state=EntryState(state),
        pins=tuple(_pin(row[15:]) for row in rows if row[15] is not None),
        override=Override(
            mode=CheckMode(mode) if mode else None,
            pin=PinKind(pin) if pin else None,
            expired=Expiry(expired) if expired else None,
        ),
        server_name=str(name),
        created_at=from_us(created) or _EPOCH,
        last_seen=from_us(seen),
        presented=_fingerprint(presented),
        rejected=_fingerprint(rejected),
        rejected_at=from_us(at),
    )


def write_entry(connection: Connection, entry: Entry) -> None:
    """Write an entry and its pins, in place of what was there."""
    where = entry.endpoint
    (row,) = connection.execute(
        "INSERT INTO entry (host, port, protocol, domain, state, mode, pin, expired, server_name, created_at, last_seen,"
        " presented, rejected, rejected_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (host, port, protocol) DO UPDATE SET domain = excluded.domain, state = excluded.state,"
        " mode = excluded.mode, pin = excluded.pin, expired = excluded.expired, server_name = excluded.server_name,"
        " last_seen = excluded.last_seen, presented = excluded.presented, rejected = excluded.rejected,"
        " rejected_at = excluded.rejected_at RETURNING id",
        (
            where.host,
            where.port,
            where.protocol,
            entry.domain,
            entry.state.value,
            entry.override.mode,
            entry.override.pin,
            entry.override.expired,
            entry.server_name,
            to_us(entry.created_at),
            to_us(entry.last_seen),
            _bytes(entry.presented),
            _bytes(entry.rejected),
            to_us(entry.rejected_at),
        ),
    ).fetchone()
    connection.execute("DELETE FROM pin WHERE entry = ?", (row,))
    connection.executemany(
        "INSERT INTO pin VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(row, position, *_pin_row(pin)) for position, pin in enumerate(entry.pins)],
    )


def write_certificate(connection: Connection, view: CertificateView) -> None:
    """Keep a certificate; the same bytes are kept once."""
    connection.execute(
        "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING",
        (
            view.fingerprint.digest,
            view.spki.digest,
            view.der,
            view.subject,
            view.subject_slash,
            view.issuer,
            to_us(view.not_before),
            to_us(view.not_after),
        ),
    )


def policy_from(row: tuple[str, str, str]) -> Policy:
    """Make a policy of its row."""
    return Policy(mode=CheckMode(row[0]), pin=PinKind(row[1]), expired=Expiry(row[2]))


def trust_state(entry: Entry) -> dict[str, object]:
    """Give the part of an entry that is a matter of trust, as it is journalled: no times of sightings."""
    return {
        "domain": entry.domain,
        "state": entry.state.value,
        "mode": entry.override.mode,
        "pin": entry.override.pin,
        "expired": entry.override.expired,
        "server_name": entry.server_name,
        "pins": [_pin_state(pin) for pin in entry.pins],
    }


def is_same_trust(told: dict[str, object] | None, state: dict[str, object]) -> bool:
    """Whether a journalled state is an entry's own; journals of before do not tell the certificate of an issuer pin."""
    if told is None or not isinstance(told.get("pins"), list):
        return False
    before, now = told["pins"], state["pins"]
    assert isinstance(before, list)  # noqa: S101  # the line above
    assert isinstance(now, list)  # noqa: S101  # trust_state makes it
    pins = [mine[: len(theirs)] if len(theirs) >= _TOLD else mine for theirs, mine in zip(before, now, strict=False)]
    return len(before) == len(now) and {**told, "pins": before} == {**state, "pins": pins}


_TOLD = 4


def _pin_state(pin: Pin) -> list[str]:
    state = [pin.kind.value, str(pin.fingerprint), pin.state.value, pin.evidence.value]
    # Of a CA, the name counts as well as the key, so its certificate is part of what is trusted. The certificate in which
    # a key was last seen is a sighting; that of a certificate pin is the pin itself.
    return [*state, str(pin.certificate)] if pin.kind is PinKind.ISSUER and pin.certificate else state


def _pin(row: tuple[Any, ...]) -> Pin:
    kind, fingerprint, state, evidence, added_at, added_by, certificate, first, last = row
    return Pin(
        kind=PinKind(kind),
        fingerprint=Fingerprint(fingerprint),
        state=PinState(state),
        evidence=Evidence(evidence),
        added_at=from_us(added_at) or _EPOCH,
        added_by=str(added_by),
        certificate=_fingerprint(certificate),
        first_seen=from_us(first),
        last_seen=from_us(last),
    )


def _pin_row(pin: Pin) -> tuple[object, ...]:
    return (
        pin.kind.value,
        pin.fingerprint.digest,
        pin.state.value,
        pin.evidence.value,
        to_us(pin.added_at),
        pin.added_by,
        _bytes(pin.certificate),
        to_us(pin.first_seen),
        to_us(pin.last_seen),
    )


def _fingerprint(value: bytes | None) -> Fingerprint | None:
    return None if value is None else Fingerprint(value)


def _bytes(fingerprint: Fingerprint | None) -> bytes | None:
    return None if fingerprint is None else fingerprint.digest
