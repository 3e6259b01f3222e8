"""The incumbent's `listcerts` text, read from copies of a terminal, and written byte for byte in its 3.5/3.6 form.

The list holds subjects and no fingerprints, so all that comes of it is hints. KEY is `address_port`, split at the LAST
underscore. Copies carry prompts, carriage returns, blanks at line ends, and lines that a terminal or a page has broken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.errors import BadInput
from troth.formats.records import MAX_ENTRIES, ImportedDocument, ImportedHint, bad_file, quoted
from troth.model.endpoint import Endpoint
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "listcerts"
BANNER = (
    "Host certificate are automatically added to this list on first connection,\n"
    "if trust-on-first-use is configured - ncs certvalidation certificate-check ...\n"
)
_SUBJECT_LIMIT = 4096
_MAX_CONTINUATIONS = 32
_MAX_ENTRY = 32768
_WIDE = 72  # a line of this width may have been broken by a terminal or a page
_START = re.compile(r"^[ \t]*host=")
_MAX_KEY = 600
_KEY = re.compile(r"^.+_[0-9]{1,5}\Z")
_PROMPT = re.compile(r"^[ \t]*(?P<node>[\w.-]{1,255})/[\w.-]{1,255}(?:\([\w-]{1,64}\))?[#>](?P<rest>.*)$")
_COMMAND = re.compile(r"^[ \t]*ncs[ \t]")
_BANNER_LINE = re.compile(
    r"^[ \t]*(?:Host certificates? (?:are|is) automatically|if trust-on-first-use is configured)", re.I
)
# Lines that other commands and logs print: never the rest of a subject.
_FOREIGN = re.compile(
    r"^\s*(?:\[|\d{4}-\d\d|[A-Z][a-z]{2} +\d|javax?\.|TOFU|Check local|Current certificate|Trust-on|- )"
)
_SIGN = re.compile(
    r"^[ \t]*host=[^;\n]{1,600};|^[ \t]*Host certificates? (?:are|is) automatically|tofu-certs[ \t]+listcerts",
    re.M | re.I,
)
# Cursor and colour commands that `script` and terminal programs record.
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-9;?]{0,20}[@-~]")


@dataclass(slots=True)
class _Open:
    """An entry whose lines are still being collected."""

    line: int
    text: str
    width: int
    pieces: int = 1


class _Reader:
    """Walks through the lines; what is no part of an entry is named in a warning, never dropped in silence."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._node = ""
        self._open: _Open | None = None
        self.recognised = False
        self.hints: dict[tuple[str, str, str], ImportedHint] = {}
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def feed(self, number: int, line: str) -> None:
        """Take the next line."""
        prompt = _PROMPT.match(line)
        if _START.match(line):
            self.finish()
            self._open = _Open(line=number, text=line.lstrip(), width=len(line))
        elif prompt or _COMMAND.match(line) or _BANNER_LINE.match(line):
            self.finish()
            self.recognised = True
            self._node = prompt["node"] if prompt else self._node
        elif not line.strip():
            if self._open and _parts(self._open.text):
                self.finish()
        elif self._open and _continues(self._open, line):
            self._continue(self._open, line)
        else:
            self.finish()
            self._warn(f"line {number} is no part of a list: {quoted(line)}")

    def _continue(self, entry: _Open, line: str) -> None:
        """Join a broken line: a terminal breaks anywhere, a page at a blank (and the copy loses the blank)."""
        tight = entry.text.endswith((" ", "/", "=", ",", ";")) or line[0] in " /" or entry.width in (79, 80, 132)
        joint = "" if tight else " "
        entry.text += joint + line
        entry.width = len(line)
        entry.pieces += 1

    def finish(self) -> None:
        """Close the entry that is open."""
        entry, self._open = self._open, None
        if entry is None:
            return
        found = _parts(entry.text)
        if found is None or not _KEY.match(found[0]):
            raise bad_file(
                self._name, f"{quoted(entry.text)} is no entry of a list", line=entry.line,
                expected="host=ADDRESS_PORT;  subject= /C=…",
            )  # fmt: skip
        try:
            endpoint = Endpoint.parse(found[0])
        except BadInput as error:
            raise bad_file(self._name, f"the key cannot be used ({printable(error.what)})", line=entry.line) from None
        self._add(ImportedHint(
            endpoint=endpoint, key=found[0], subject=found[1].strip(" \t\r\n"), line=entry.line, node=self._node
        ))  # fmt: skip

    def _add(self, hint: ImportedHint) -> None:
        self.recognised = True
        if len(self.hints) >= MAX_ENTRIES:
            raise bad_file(self._name, f"it holds more than {MAX_ENTRIES} entries", line=hint.line)
        known = self.hints.setdefault((hint.node, str(hint.endpoint), hint.subject), hint)
        if known is not hint:
            self.notes.append(f"line {hint.line} repeats line {known.line}")

    def _warn(self, text: str) -> None:
        if len(self.warnings) < MAX_ENTRIES:
            self.warnings.append(text)


def _parts(text: str) -> tuple[str, str] | None:
    """Give the key and the subject of a whole entry, in one pass: what is pasted may be anything."""
    head, semicolon, rest = text.partition(";")
    word, equals, subject = rest.partition("=")
    key = head.removeprefix("host=").strip()
    whole = head.startswith("host=") and semicolon and equals and word.strip() == "subject"
    return (key, subject) if whole and 0 < len(key) <= _MAX_KEY and len(text) <= _MAX_ENTRY else None


def _continues(entry: _Open, line: str) -> bool:
    """Whether a line is the rest of a broken entry, rather than something else that was printed after it."""
    if _FOREIGN.match(line) or entry.pieces >= _MAX_CONTINUATIONS or len(entry.text) > _MAX_ENTRY:
        return False
    found = _parts(entry.text)
    unfinished = found is None or found[1].rstrip().endswith(("/", ",", "=", "+"))
    return unfinished or entry.width >= _WIDE or "=" in line or line.lstrip().startswith(("/", ","))


def load_listcerts(text: str, *, name: str = "the list") -> ImportedDocument:
    """Read one or more lists, with or without banner and prompts.

    Raises:
        BadFile: An entry cannot be read, or there is no sign of a list; nothing is imported then.
    """
    reader = _Reader(name)
    for number, raw in enumerate(_CONTROL_SEQUENCE.sub("", text).split("\n"), 1):
        reader.feed(number, raw.rstrip("\r"))
    reader.finish()
    if not reader.recognised:
        raise bad_file(name, "it holds no list", expected="lines such as host=192.0.2.20_8082;  subject= /C=US/CN=x")
    return ImportedDocument(
        format=FORMAT,
        hints=tuple(reader.hints.values()),
        warnings=tuple(reader.warnings),
        notes=tuple(reader.notes[:MAX_ENTRIES]),
    )


def looks_like_listcerts(text: str) -> bool:
    """Whether a text shows an entry, a banner or the command of a list at the start of a line."""
    return _SIGN.search(text) is not None


def dump_listcerts(entries: Iterable[tuple[str, str]], *, banner: bool = True) -> str:
    """Write a list in the incumbent's 3.5/3.6 form.

    Args:
        entries: Entry key and subject in slash form, in the order to print. Both are made safe to print: a hostile
            subject cannot forge another line.
        banner: Whether to print the two lines that 3.5 and 3.6 print first.
    """
    lines = [
        f"host={printable(key, 600)};  subject= {printable(subject, _SUBJECT_LIMIT)}\n" for key, subject in entries
    ]
    return (BANNER if banner else "") + "".join(lines)
