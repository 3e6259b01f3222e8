"""Distinguished names as tools print them, read back far enough to be compared.

One subject is printed forwards with slashes by the incumbent's list and backwards with commas by its log, and openssl
prints it in three more ways. A printed name is a hint for people, never evidence: it decides nothing about trust.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from troth.errors import BadInput
from troth.model.attributes import Attribute, Rdn, canonical_type, decode_string, is_known_type

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAME = 65536
_LABEL = re.compile(r"^(?:subject|issuer)[ \t]*[=:]", re.I)
_WORD = r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}"
_TYPE = re.compile(rf"\s*({_WORD})\s*=\s*")
_SEPARATOR = re.compile(rf"[,;+]\s*{_WORD}\s*=")
_SLASH_TYPE = re.compile(rf"[/+]\s*({_WORD})\s*=")
_HEX_VALUE = re.compile(r"#((?:[0-9A-Fa-f]{2})+)")
_SLASH_ESCAPE = re.compile(r"((?:\\x[0-9A-Fa-f]{2})+)|\\([/+])")
_BYTE = re.compile(r"x?([0-9A-Fa-f]{2})")
_BLANKS = re.compile(r"\s+")


class _Named(Protocol):
    @property
    def rdns(self) -> tuple[Rdn, ...]: ...


@dataclass(frozen=True, slots=True)
class PrintedName:
    """A name as printed: which end comes first is not known, and types are object identifiers where they are known.

    Args:
        rdns: The relative names in the order in which they were printed.
        ambiguous: A slash form without escapes; a slash or a plus in a value looks like the next attribute.
    """

    rdns: tuple[Rdn, ...] = ()
    ambiguous: bool = False

    @property
    def common_name(self) -> str:
        """The value of the CN, the last one in certificate order where there are several; empty if there is none."""
        found = [a.value for rdn in self.rdns for a in rdn if a.type == "2.5.4.3"]
        return found[0] if found else ""


def parse(text: str) -> PrintedName:
    r"""Read a name in any form of openssl, Java, RFC 2253/4514 or the incumbent's list.

    Understands a leading `subject=`, quotes, `\,`, `\xC3`, `\C3`, `#hex`, `OID.1.2.3`, several attributes in one relative
    name, and slashes inside a value: only a slash before a known attribute type and `=` begins the next attribute.

    Raises:
        BadInput: It is no name, or it is longer than 65536 characters.
    """
    if len(text) > MAX_NAME:
        raise BadInput("The printed name is too long.", why=f"it has {len(text)} characters, more than {MAX_NAME}")
    body = _trim(_LABEL.sub("", _trim(text), count=1))
    if not body:
        return PrintedName()
    if body.startswith("/"):
        return _parse_slashes(body)
    return PrintedName(tuple(_CommaForm(body).rdns()))


def _trim(text: str) -> str:
    """Take blanks away from both ends, but not one that a backslash makes part of a value."""
    body = text.strip()
    slashes = len(body) - len(body.rstrip("\\"))
    end = text.find(body) + len(body)
    return body + text[end : end + 1] if slashes % 2 and end < len(text) else body


def same_subject(first: str | _Named, second: str | _Named) -> bool:
    """Whether two names can be one certificate's, whichever tools printed them.

    The order counts forwards or backwards, and blanks count as one. Where a slash form is ambiguous, every reading of it counts.
    A text that is no name equals nothing.

    Raises:
        BadInput: A text is longer than 65536 characters.
    """
    names = []
    for name in (first, second):
        if isinstance(name, str) and len(name) <= MAX_NAME:
            try:
                name = parse(name)
            except BadInput:
                return False
        names.append(parse(name) if isinstance(name, str) else name)
    one, other = (tuple(frozenset(_comparable(a) for a in rdn) for rdn in name.rdns) for name in names)
    if one == other or one == other[::-1]:
        return True
    if any(getattr(name, "ambiguous", False) for name in names):
        return not _flattened(names[0]).isdisjoint(_flattened(names[1]))
    return False


def _comparable(attribute: Attribute) -> tuple[str, str]:
    return canonical_type(attribute.type), _BLANKS.sub(" ", attribute.value).strip()


def _flattened(name: _Named) -> set[str]:
    """Write a name as one unescaped slash form, in each of the orders in which it can have been printed."""
    rdns = [[_comparable(a) for a in rdn] for rdn in name.rdns]
    texts = set()
    for outer, inner in itertools.product((1, -1), (1, -1)):
        flat = "".join(f"/{kind}={value}" for rdn in rdns[::outer] for kind, value in rdn[::inner])
        texts.add(_SLASH_TYPE.sub(lambda found: f"/{canonical_type(found[1])}=", flat))
    return texts


def _parse_slashes(text: str) -> PrintedName:
    starts: list[tuple[int, int, str, str]] = []
    for found in _SLASH_TYPE.finditer(text):
        begin = found.start()
        if begin and (text[begin - 1] == "\\" or not is_known_type(found[1])):
            continue
        starts.append((begin, found.end(), text[begin], found[1]))
    if not starts or starts[0][0] != 0:
        raise BadInput("The text is no distinguished name.", why="no attribute such as /CN= stands at its start")
    rdns: list[list[Attribute]] = []
    for index, (_, value_start, separator, word) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        attribute = Attribute(canonical_type(word), _slash_value(text[value_start:end]))
        if separator == "/":
            rdns.append([attribute])
        else:
            rdns[-1].append(attribute)
    escaped = "\\/" in text or "\\+" in text
    return PrintedName(tuple(tuple(rdn) for rdn in rdns), ambiguous=not escaped)


def _slash_value(text: str) -> str:
    def unescape(found: re.Match[str]) -> str:
        return _decoded(bytes.fromhex(found[1].replace("\\x", ""))) if found[1] else found[2]

    value = _SLASH_ESCAPE.sub(unescape, text)
    # openssl prints a BMPString byte by byte, so each ASCII character follows a NUL.
    if value[::2].strip("\0") == "" and len(value) % 2 == 0:
        return value[1::2]
    return value


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


class _CommaForm:
    """Reads `type=value` pairs between commas; whatever does not begin the next pair belongs to the value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def rdns(self) -> Iterator[Rdn]:
        rdn: list[Attribute] = []
        separator = ""
        while True:
            if separator and separator != "+":
                yield tuple(rdn)
                rdn = []
            found = _TYPE.match(self._text, self._at)
            if not found:
                raise BadInput(
                    "The text is no distinguished name.", why=f"no attribute such as CN= at character {self._at + 1}"
                )
            self._at = found.end()
            rdn.append(self._attribute(found[1]))
            if self._at >= len(self._text):
                yield tuple(rdn)
                return
            separator = self._text[self._at]
            self._at += 1

    def _attribute(self, word: str) -> Attribute:
        kind = canonical_type(word)
        if self._text.startswith('"', self._at):
            return Attribute(kind, self._quoted())
        raw_start = self._at
        value = self._plain()
        encoded = _HEX_VALUE.fullmatch(self._text[raw_start : self._at].strip())
        return _from_hex(kind, encoded[1]) if encoded else Attribute(kind, value)

    def _quoted(self) -> str:
        self._at += 1
        units: list[str | int] = []
        while self._at < len(self._text) and self._text[self._at] != '"':
            units.append(self._unit())
        if self._at >= len(self._text):
            raise BadInput("The text is no distinguished name.", why="a quote is not closed")
        self._at += 1
        # What follows a closing quote belongs to the value, too, if it is not a separator: `"a" b`.
        value = _joined(units)
        return value if self._at_separator() else value + self._plain()

    def _plain(self) -> str:
        units: list[str | int] = []
        solid = 0
        while self._at < len(self._text) and not (self._text[self._at] in ",;+" and self._at_separator()):
            escaped = self._text[self._at] == "\\"
            units.append(self._unit())
            if escaped or units[-1] not in (" ", "\t", "\n", "\r"):
                solid = len(units)
        return _joined(units[:solid])

    def _unit(self) -> str | int:
        r"""Read one character; `\C3` and `\xC3` give a byte."""
        character = self._text[self._at]
        self._at += 1
        if character != "\\" or self._at >= len(self._text):
            return character
        found = _BYTE.match(self._text, self._at)
        if found:
            self._at = found.end()
            return int(found[1], 16)
        self._at += 1
        return self._text[self._at - 1]

    def _at_separator(self) -> bool:
        return _SEPARATOR.match(self._text, self._at) is not None


def _joined(units: list[str | int]) -> str:
    pieces = []
    for is_byte, group in itertools.groupby(units, key=lambda unit: isinstance(unit, int)):
        items = list(group)
        pieces.append(_decoded(bytes(n for n in items if isinstance(n, int))) if is_byte else "".join(map(str, items)))
    return "".join(pieces)


def _from_hex(kind: str, digits: str) -> Attribute:
    """Read RFC 4514's `#` form: the DER of the value, short enough for one length byte or not a string."""
    data = bytes.fromhex(digits)
    if len(data) >= 2 and data[1] < 0x80 and len(data) == 2 + data[1]:
        text = decode_string(data[0], data[2:])
        if text is not None:
            return Attribute(kind, text)
    return Attribute(kind, "#" + digits.lower(), encoded=True)
