"""Hostile text made safe to show: certificates and peers choose their words, and terminals obey some of them."""

from __future__ import annotations

import unicodedata

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Letters and marks that show nothing: Unicode's Default_Ignorable_Code_Point outside the categories above.
_INVISIBLE = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0))
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_CUT = "…"
DEFAULT_LIMIT = 256


def printable(text: str, limit: int = DEFAULT_LIMIT) -> str:
    r"""Give `text` so that a terminal, a log line and a table show it as one harmless piece.

    Control characters, ANSI escapes, bidirectional and invisible characters, odd blanks, surrogates and the column
    separator `|` are shown as `\xNN`, `\uNNNN` or `\UNNNNNNNN`. What is longer than `limit` ends in an ellipsis; an
    escape is never cut in two.

    Args:
        text: Any text, also with lone surrogates.
        limit: The longest result, in characters.
    """
    if text.isascii() and len(text) <= limit and text.isprintable() and "|" not in text:
        return text
    pieces: list[str] = []
    length = 0
    for character in text[: limit + 1]:
        piece = character if is_safe(character) else escaped(character)
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            return _cut(pieces, length, limit)
    return "".join(pieces)


def is_safe(character: str) -> bool:
    """Whether one character may be shown as it is."""
    if character.isascii():
        return " " <= character <= "~" and character != "|"
    code = ord(character)
    if code in _INVISIBLE or any(code in selectors for selectors in _VARIATION_SELECTORS):
        return False
    return unicodedata.category(character) not in _UNSAFE_CATEGORIES


def escaped(character: str) -> str:
    r"""Give one character as `\xNN`, `\uNNNN` or `\UNNNNNNNN`."""
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _cut(pieces: list[str], length: int, limit: int) -> str:
    while pieces and length > limit - len(_CUT):
        length -= len(pieces.pop())
    return "".join(pieces) + _CUT[: max(limit, 0)]
