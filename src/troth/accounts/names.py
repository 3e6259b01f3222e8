"""Names of users: one spelling each, in ASCII, so that no two look alike. Pure."""

from __future__ import annotations

import re

from troth.errors import BadInput, NotFound

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


def folded(text: str) -> str:
    """Give the spelling in which names are compared; it need not be one that a user can have."""
    return text.strip().lower()


def is_name(text: str) -> bool:
    """Tell whether a user can have this name."""
    return _NAME.fullmatch(text) is not None


def fresh(text: str) -> str:
    """Give the name of a user that is to be.

    Raises:
        BadInput: No user can have it.
    """
    name = folded(text)
    if not is_name(name):
        raise BadInput(
            f"{text[:64]!a} cannot be a user's name.",
            why="it has 1 to 64 of a-z, 0-9, '.', '_', '@' and '-', and begins with a letter or digit",
        )
    return name


def existing(text: str) -> str:
    """Give the name of a user that may exist.

    Raises:
        NotFound: No user can have it.
    """
    name = folded(text)
    if not is_name(name):
        raise unknown(text)
    return name


def unknown(text: str) -> NotFound:
    """Give the answer for a user that does not exist."""
    return NotFound(f"There is no user {text[:64]!a}.", next_command="troth user list")
