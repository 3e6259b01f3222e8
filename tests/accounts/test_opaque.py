"""Tokens tell what they are, and no two readers see two tokens in one text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.accounts import opaque


def test_a_token_tells_what_it_is() -> None:
    """A prefix for people and scanners, 256 bits, a checksum."""
    made = {opaque.new_token() for _ in range(200)}
    assert len(made) == 200
    for token in made:
        assert re.fullmatch(r"troth_[0-9A-Za-z]{49}", token)
        assert opaque.is_token(token)


@given(place=st.integers(0, 54), letter=st.characters())
def test_a_token_with_a_slip_is_none(place: int, letter: str) -> None:
    """One wrong character is seen without a look into the database."""
    token = opaque.new_token()
    wrong = token[:place] + letter + token[place + 1 :]
    assert opaque.is_token(wrong) == (wrong == token)


@given(st.text(max_size=80))
def test_other_texts_are_no_tokens(text: str) -> None:
    """Nothing raises, whatever it is, and nothing is a token by chance."""
    assert not opaque.is_token(text)
    assert len(opaque.digest(text)) == 32


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "Bearer {}", "{}\0", "troth_{}"])
def test_nothing_around_a_token_is_overlooked(around: str) -> None:
    """A token is the whole text."""
    assert not opaque.is_token(around.format(opaque.new_token()))


def test_the_secret_of_a_browser_fits_a_cookie() -> None:
    """256 bits, in letters that need no quoting."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", opaque.new_id())
    assert opaque.new_id() != opaque.new_id()
