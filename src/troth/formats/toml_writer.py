"""A small TOML writer for the documents of `troth.formats.own`; the standard library reads TOML and does not write it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from troth.model.text import is_safe

_BARE_KEY = re.compile(r"^[A-Za-z0-9_-]+\Z")


def write_toml(document: Mapping[str, object]) -> str:
    """Write a document of texts, aware dates, numbers, tables and lists of tables (TOML 1.0).

    Every character that a terminal could obey is written as an escape. What no TOML can hold (a lone surrogate)
    becomes U+FFFD.

    Raises:
        TypeError: A value is of another type.
    """
    return "\n".join(_table(document, "")).strip("\n") + "\n"


def _table(table: Mapping[str, object], path: str) -> Iterator[str]:
    """Write plain values first: after a header, they would belong to that header's table."""
    nested = {key: value for key, value in table.items() if isinstance(value, (Mapping, list))}
    for key, value in table.items():
        if key not in nested:
            yield f"{_key(key)} = {_scalar(value)}"
    for key, value in nested.items():
        inner = f"{path}.{_key(key)}" if path else _key(key)
        if isinstance(value, Mapping):
            if any(not isinstance(item, Mapping) for item in value.values()):
                yield from ("", f"[{inner}]")
            yield from _table(value, inner)
        elif isinstance(value, list):
            for row in value:
                yield from ("", f"[[{inner}]]")
                yield from _table(row, inner)


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _text(key)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"TOML cannot hold a {type(value).__name__}")


def _text(value: str) -> str:
    return '"' + "".join(map(_character, value)).replace("'''", "\\u0027'\\u0027") + '"'


def _character(character: str) -> str:
    code = ord(character)
    if character in '"\\':
        return "\\" + character
    if is_safe(character) or character == "|":
        return character
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
