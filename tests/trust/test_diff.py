"""The differences between two certificates: complete, in a fixed order, and safe to show."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.making import (
    certificate,
    common_name,
    extension,
    general_time,
    integer,
    rsa_spki,
    simple,
    tlv,
    utc_time,
    view,
)
from troth.model.certificate import CertificateView
from troth.trust.diff import certificate_fields, diff

BASE = certificate()
CHANGES: dict[str, tuple[dict[str, object], set[str]]] = {
    "subject": ({"subject": common_name("another"), "issuer": common_name("by hand")}, {"subject"}),
    "issuer": ({"issuer": common_name("another")}, {"issuer"}),
    "san": ({"extensions": [extension("2.5.29.17", tlv(0x30, tlv(0x82, b"a.example")))]}, {"san"}),
    "not_before": ({"dates": [utc_time("240101000000Z"), utc_time("350101000000Z")]}, {"not_before"}),
    "not_after": ({"dates": [utc_time("250101000000Z"), utc_time("360101000000Z")]}, {"not_after"}),
    "key": ({"spki": rsa_spki(2**2047 + 9)}, {"key", "spki"}),
    "serial": ({"serial": integer(-2)}, {"serial"}),
    "signature_algorithm": ({"algorithm": bytes.fromhex("300a06082a8648ce3d040303")}, {"signature_algorithm"}),
    "is_ca": ({"extensions": [extension("2.5.29.19", b"\x30\x03\x01\x01\xff")]}, {"is_ca"}),
    "version": ({"version": None}, {"version"}),
    "nothing that has a name": ({"extensions": [extension("1.2.3.4", b"x")]}, set()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_field_is_named_when_it_differs_and_no_other(what: str) -> None:
    """One changed part gives that field, and the fingerprint, which differs whenever a byte does."""
    parts, fields = CHANGES[what]
    found = diff(CertificateView.from_der(BASE), view(**parts))
    assert {each.field for each in found} == fields | {"fingerprint"}
    for each in found:
        assert each.old != each.new


def test_the_same_certificate_differs_in_nothing() -> None:
    """The list is empty for the same bytes, however often they were read."""
    assert diff(CertificateView.from_der(BASE), CertificateView.from_der(bytes(BASE))) == ()


@given(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8))
def test_the_list_is_empty_only_for_the_same_bytes(one: bytes, other: bytes) -> None:
    """Two certificates that differ in what no field shows still differ."""
    views = [view(extensions=[extension("1.2.3.4", each)]) for each in (one, other)]
    assert (diff(*views) == ()) is (one == other)


@given(st.permutations(range(4)), st.data())
def test_a_diff_turned_round_is_the_diff_of_the_turn(order: list[int], data: st.DataObject) -> None:
    """Old and new are told apart: the way back has the same fields, with the sides swapped."""
    made = [CertificateView.from_der(simple(f"turn {n}", san=("x.example",) * (n % 2))) for n in order]
    forth, back = diff(made[0], made[1]), diff(made[1], made[0])
    assert [(each.field, each.old, each.new) for each in forth] == [(each.field, each.new, each.old) for each in back]
    assert all(certificate_fields(made[0])[each.field] == each.old for each in forth)


def test_the_order_is_that_in_which_a_person_asks() -> None:
    """Who it is comes first, then when and what key, and the fingerprint last; the order never depends on the values."""
    old, new = CertificateView.from_der(simple("old")), CertificateView.from_der(simple("new", ca=True, san=("a",)))
    fields = [each.field for each in diff(old, new)]
    order = list(certificate_fields(old))
    assert fields == sorted(fields, key=order.index)
    assert fields[:3] == ["subject", "issuer", "san"]
    assert fields[-1] == "fingerprint"


def test_dates_are_written_in_full_or_said_to_be_unreadable() -> None:
    """A date is RFC 3339 in UTC; one that cannot be read is said to be that, not left out."""
    found = view(dates=[utc_time("nonsense"), general_time("20991231235959Z")])
    fields = certificate_fields(found)
    assert (fields["not_before"], fields["not_after"]) == ("unreadable", "2099-12-31T23:59:59Z")
    assert found.not_after == datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_an_early_date_is_written_in_full() -> None:
    """RFC 3339 has years of four digits."""
    found = certificate_fields(view(dates=[general_time("00010101000000Z"), general_time("20991231235959Z")]))
    assert found["not_before"] == "0001-01-01T00:00:00Z"


HOSTILE = ["a\0b", "a\nb", "\x1b[2J", "\u202eevil", "a|b", "\r\x9b1m", "\u2028", "\u200b"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_words_are_escaped_on_both_sides(hostile: str) -> None:
    """Threat 20: what a certificate says reaches no side of a difference as it is."""
    sans = [extension("2.5.29.17", tlv(0x30, tlv(0x82, hostile.encode())))]
    bad = view(subject=common_name(hostile), issuer=common_name(hostile + "!"), extensions=sans)
    good = CertificateView.from_der(BASE)
    for found in (diff(good, bad), diff(bad, good)):
        assert {"subject", "issuer", "san"} <= {each.field for each in found}
        for each in found:
            for text in (each.old, each.new):
                assert text.isprintable()
                assert "|" not in text
