"""Silences: what they match, when they hold, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.notify.making import an_event
from troth.errors import BadInput
from troth.model.endpoint import Endpoint
from troth.notify.events import Kind
from troth.notify.silences import LONGEST, Silence, checked, hiding

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def silence(**changes: Any) -> Silence:
    """Make a silence from an hour ago to an hour from now."""
    values = {"why": "works", "who": "alice", "since": NOW - timedelta(hours=1), "until": NOW + timedelta(hours=1)}
    return checked(Silence(**{**values, **changes}))


@pytest.mark.parametrize(
    ("pattern", "host", "port", "hidden"),
    [
        ("a.example.com", "a.example.com", 8443, True),
        ("A.Example.COM.", "a.example.com", 443, True),
        ("a.example.com:443", "a.example.com", 443, True),
        ("a.example.com:443", "a.example.com", 8443, False),
        ("a.example.com_443", "a.example.com", 443, True),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "a.b.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*.example.com", "a.badexample.com", 443, False),
        ("192.0.2.0/24", "192.0.2.77", 8082, True),
        ("192.0.2.0/24", "192.0.3.77", 8082, False),
        ("192.0.2.0/24", "a.example.com", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("[2001:db8::1]:443", "2001:db8::1", 443, True),
        ("2001:DB8:0::1", "2001:db8::1", 99, True),
        ("192.0.2.1", "192.0.2.1", 443, True),
        ("192.0.2.1", "192.0.2.10", 443, False),
    ],
)
def test_patterns(pattern: str, host: str, port: int, hidden: bool) -> None:
    """Hosts, endpoints, domains of names, and networks; a port that is not named does not matter."""
    event = an_event(endpoint=Endpoint(host, port), at=NOW)
    assert silence(pattern=pattern).hides(event, NOW) is hidden


def test_domain_and_kind_narrow() -> None:
    """All that is named must fit; events without an endpoint are hidden by no pattern."""
    event = an_event(kind=Kind.EXPIRING, domain="system", at=NOW)
    assert silence(domain="system").hides(event, NOW)
    assert not silence(domain="pubnet").hides(event, NOW)
    assert silence(domain="system", kind=Kind.EXPIRING).hides(event, NOW)
    assert not silence(domain="system", kind=Kind.CHANGED).hides(event, NOW)
    assert not silence(pattern="*.example.com").hides(an_event(endpoint=None, at=NOW), NOW)


@pytest.mark.parametrize(
    ("event_age_h", "now_h", "hidden"),
    [(0, 0, True), (2, 0, True), (0.5, 2, True), (-1, 2, False), (3, -1.5, False)],
)
def test_it_holds_at_any_time_between_the_event_and_the_message(event_age_h: float, now_h: float, hidden: bool) -> None:
    """Events that were on their way when it was set, and those of its last minutes, are hidden, too; later ones are not."""
    event = an_event(at=NOW - timedelta(hours=event_age_h))
    assert silence(kind=Kind.CHANGED).hides(event, NOW + timedelta(hours=now_h)) is hidden


def test_one_that_was_taken_back_hides_nothing_later() -> None:
    """Its end is when it was taken back."""
    ended = silence(kind=Kind.CHANGED, removed_at=NOW - timedelta(minutes=30))
    assert not ended.hides(an_event(at=NOW - timedelta(minutes=10)), NOW)
    assert ended.hides(an_event(at=NOW - timedelta(minutes=40)), NOW)
    assert not ended.in_force(NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pattern": "0.0.0.0/0"},
        {"pattern": "::/0"},
        {"pattern": "*"},
        {"pattern": "*example.com"},
        {"pattern": "*."},
        {"pattern": "192.0.2.1/24"},
        {"pattern": "a b"},
        {"domain": "nowhere"},
        {"kind": Kind.SILENCED},
        {"kind": Kind.CHANGED, "why": "  "},
        {"kind": Kind.CHANGED, "until": NOW - timedelta(hours=1)},
        {"kind": Kind.CHANGED, "until": NOW + LONGEST},
    ],
)
def test_what_is_refused(changes: dict[str, Any]) -> None:
    """Everything, nothing, without a reason, without an end, and that silences are set."""
    with pytest.raises(BadInput):
        silence(**changes)


def test_the_first_that_fits_is_named() -> None:
    """So that a list can say why an event was not sent."""
    others = [silence(id=1, kind=Kind.REVOKED), silence(id=2, domain="devicemgmt"), silence(id=3, kind=Kind.CHANGED)]
    found = hiding(others, an_event(at=NOW), NOW)
    assert found is not None
    assert found.id == 2
    assert hiding(others, an_event(kind=Kind.TEST, domain="", at=NOW), NOW) is None
