"""Text that is safe to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.model.text import printable

ANY_TEXT = st.text(st.characters(codec=None), max_size=400)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\0b", r"a\x00b"),
        ("a\nb\r", r"a\x0ab\x0d"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("a|b", r"a\x7cb"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("a\u2028b\u00a0", r"a\u2028b\xa0"),
        ("\u3164\ufe0f", r"\u3164\ufe0f"),
        ("Société 日本", "Société 日本"),
    ],
)
def test_each_hostile_character_becomes_a_visible_escape(hostile: str, shown: str) -> None:
    """Control, bidi, invisible and separator characters are shown as escapes, honest letters as they are."""
    assert printable(hostile) == shown


@given(ANY_TEXT, st.integers(0, 300))
def test_no_text_yields_a_control_character_or_exceeds_the_limit(text: str, limit: int) -> None:
    """Whatever goes in, the result fits, is one line, can be encoded, and holds nothing that a terminal obeys."""
    shown = printable(text, limit)
    assert len(shown) <= limit
    shown.encode("utf-8")
    assert not any(unicodedata.category(ch) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for ch in shown)
    assert "|" not in shown
    assert printable(shown, limit) == shown


def test_long_text_is_cut_between_escapes() -> None:
    """A text over the limit ends in an ellipsis and never in half an escape."""
    assert printable("x" * 300) == "x" * 255 + "…"
    assert printable("\n" * 300, limit=10) == r"\x0a\x0a" + "…"
