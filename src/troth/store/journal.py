"""The journal: every change of trust, each record chained to the one before by SHA-256.

A record's hash covers the hash before it and the record's canonical JSON (sorted keys, no blanks), so no record can be
altered, dropped from the middle, or put in another place without every later hash being wrong.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from troth.model.endpoint import Endpoint

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One change of trust.

    Args:
        seq: Its number, from 1, without gaps.
        at: Microseconds since 1970, UTC.
        actor: Who.
        origin: From where: the program and host that made the change.
        action: What was done, such as `first-use` or `replace`.
        subject: The endpoint's key with its protocol, a domain, or a fingerprint.
        detail: What it rests on, and the state of trust afterwards.
        previous: The hash of the record before.
        hash: This record's hash.
    """

    seq: int
    at: int
    actor: str
    origin: str
    action: str
    subject: str
    detail: dict[str, object]
    previous: bytes
    hash: bytes

    def document(self) -> dict[str, object]:
        """Give the record as JSON-able values, as it is exported."""
        return {
            "seq": self.seq,
            "at": self.at,
            "actor": self.actor,
            "origin": self.origin,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
            "previous": self.previous.hex(),
            "hash": self.hash.hex(),
        }


def subject_of(endpoint: Endpoint) -> str:
    """Name an endpoint in the journal: its text, and its protocol where that is not plain TLS."""
    return str(endpoint) if endpoint.protocol == "tls" else f"{endpoint}/{endpoint.protocol}"


def canonical(value: object) -> str:
    """Give the one JSON text of a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def seal(
    previous: bytes, *, seq: int, at: int, actor: str, origin: str, action: str, subject: str, detail: dict[str, object]
) -> Record:
    """Make the record that follows the one whose hash is `previous`."""
    body = canonical([seq, at, actor, origin, action, subject, detail])
    digest = hashlib.sha256(previous + body.encode()).digest()
    return Record(
        seq=seq,
        at=at,
        actor=actor,
        origin=origin,
        action=action,
        subject=subject,
        detail=detail,
        previous=previous,
        hash=digest,
    )


def faults(records: Iterable[Record]) -> Iterable[str]:
    """Yield one sentence for each record that does not follow from the one before; nothing if the chain is whole."""
    previous, expected = GENESIS, 1
    for record in records:
        if record.seq != expected:
            yield f"Record {expected} is missing: record {record.seq} follows {expected - 1}."
        elif record.previous != previous:
            yield f"Record {record.seq} does not follow the record before it."
        sealed = seal(
            record.previous,
            seq=record.seq,
            at=record.at,
            actor=record.actor,
            origin=record.origin,
            action=record.action,
            subject=record.subject,
            detail=record.detail,
        )
        if sealed.hash != record.hash:
            yield f"Record {record.seq} was altered after it was written."
        previous, expected = record.hash, record.seq + 1
