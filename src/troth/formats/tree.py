"""A strict walk through parsed TOML or JSON: it knows where it stands, and says what it expected there."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from troth.errors import BadFile, BadInput
from troth.formats.records import MAX_ENTRIES, bad_file, quoted
from troth.model.fingerprint import Fingerprint

MAX_TEXT = 4096
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)\Z", re.A)
_E = TypeVar("_E", bound=StrEnum)


class Table:
    """One table of the document; each key must be asked for exactly once, and none may be left over.

    Args:
        value: What the parser gave.
        path: Where it stands, such as `entry[3]`; empty for the document.
        name: The file's name, for errors.
    """

    def __init__(self, value: object, path: str, name: str) -> None:
        self._path, self._name = path, name
        if not isinstance(value, Mapping):
            raise self.wrong("", value, "a table of keys and values")
        self._values = dict(value)

    def wrong(self, key: str, value: object, expected: str) -> BadFile:
        """Make the error for the value of a key."""
        return self.error(key, f"{quoted(value)} does not belong here", expected)

    def error(self, key: str, what: str, expected: str = "") -> BadFile:
        """Make an error that names the place of a key."""
        return bad_file(self._name, what, path=".".join(part for part in (self._path, key) if part), expected=expected)

    def text(self, key: str, default: str | None = None, limit: int = MAX_TEXT) -> str:
        """Take a text; without a default it must be there."""
        value = self._take(key, default, "a text")
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        if len(value) > limit or any("\ud800" <= ch <= "\udfff" for ch in value):
            raise self.error(key, "the text is too long or damaged", f"at most {limit} Unicode characters")
        return value

    def choice(self, key: str, kind: type[_E], default: _E | None = None) -> _E:
        """Take one of the values of `kind`; without a default it must be there."""
        value = self._take(key, default, self._any_of(kind))
        if isinstance(value, str) and value in set(kind):
            return kind(value)
        raise self.wrong(key, value, self._any_of(kind))

    def optional_choice(self, key: str, kind: type[_E]) -> _E | None:
        """Take one of the values of `kind`, or None if the key is not there."""
        return self.choice(key, kind) if key in self._values else None

    def moment(self, key: str) -> datetime:
        """Take a date and time with its offset (RFC 3339), as UTC."""
        expected = "a date and time with offset, such as 2026-01-31T12:00:00Z"
        value = self._take(key, None, expected)
        try:
            if isinstance(value, str) and _MOMENT.match(value):
                value = datetime.fromisoformat(value)
            if isinstance(value, datetime) and value.tzinfo is not None:
                return value.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise self.wrong(key, value, expected)

    def optional_moment(self, key: str) -> datetime | None:
        """Take a date and time, or None if the key is not there."""
        return self.moment(key) if key in self._values else None

    def fingerprint(self, key: str) -> Fingerprint:
        """Take a SHA-256 fingerprint."""
        value = self.text(key, limit=200)
        try:
            return Fingerprint.parse(value)
        except BadInput:
            raise self.wrong(key, value, "sha256: and 64 hexadecimal digits") from None

    def optional_fingerprint(self, key: str) -> Fingerprint | None:
        """Take a fingerprint, or None if the key is not there."""
        return self.fingerprint(key) if key in self._values else None

    def base64(self, key: str) -> bytes:
        """Take bytes in base64."""
        value = self.text(key, limit=2 << 20)
        try:
            return base64.b64decode(value.encode("ascii"), validate=True)
        except (binascii.Error, ValueError):
            raise self.error(key, "the base64 is damaged", "base64 of the DER bytes, in one line") from None

    def table(self, key: str) -> Mapping[str, object]:
        """Take a table's keys and values; empty if it is not there."""
        value = self._take(key, {}, "a table")
        if not isinstance(value, Mapping):
            raise self.wrong(key, value, "a table")
        return value

    def rows(self, key: str) -> Iterator[Table]:
        """Take a list of tables; empty if it is not there."""
        value = self._take(key, [], "a list of tables")
        if not isinstance(value, list) or len(value) > MAX_ENTRIES:
            raise self.wrong(key, value, f"a list of at most {MAX_ENTRIES} tables")
        prefix = f"{self._path}.{key}" if self._path else key
        for index, row in enumerate(value):
            yield Table(row, f"{prefix}[{index}]", self._name)

    def close(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._values:
            key = str(next(iter(self._values)))
            raise self.error(key, f"the key {quoted(key)} is not known", "only the keys that `troth export` writes")

    def _take(self, key: str, default: object, expected: str) -> object:
        if key in self._values:
            return self._values.pop(key)
        if default is None:
            raise self.error(key, "the key is missing", expected)
        return default

    @staticmethod
    def _any_of(kind: type[StrEnum]) -> str:
        return "one of " + ", ".join(kind)
