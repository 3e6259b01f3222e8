"""How the commands speak: documents, tables, messages. Colour only on a terminal, and never where NO_COLOR is set."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

from troth.errors.base import TrothError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLES = {"bad": "31;1", "good": "32", "warn": "33", "dim": "2", "strong": "1"}
# What needs no second look: most lines are of these, and a list has thousands.
_PLAIN = re.compile("[ -~…]*")
_OURS = re.compile("(" + "|".join(re.escape(f"\x1b[{code}m") for code in (*_STYLES.values(), "0")) + ")")


def document(schema: str, **fields: object) -> None:
    """Print one JSON document that names its schema."""
    import json

    json.dump({"schema": schema, **fields}, sys.stdout, indent=2, ensure_ascii=True)
    sys.stdout.write("\n")


def say(text: str = "") -> None:
    """Print one line of the result."""
    sys.stdout.write(harmless(text) + "\n")


def note(text: str) -> None:
    """Print one line beside the result, to standard error."""
    sys.stderr.write(harmless(text, sys.stderr) + "\n")


def block(text: str) -> None:
    """Print lines of ours that must stand as they are: PEM, an export, a script."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def harmless(text: str, stream: TextIO | None = None) -> str:
    """Make a line that moves no cursor, rings no bell and begins no other line, whoever chose its words.

    What certificates, files and people say stands in it. Our own colours stay, where there is a terminal that has them.
    """
    if _PLAIN.fullmatch(text):
        return text
    pieces = _OURS.split(text) if _styles(sys.stdout if stream is None else stream) else [text]
    return "".join(each if _OURS.fullmatch(each) else _escaped(each) for each in pieces)


def _escaped(text: str) -> str:
    from troth.model.text import escaped, is_safe

    return "".join(ch if ch == "|" or is_safe(ch) else escaped(ch) for ch in text)


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour a text, if the stream is a terminal and nobody objects."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if _styles(sys.stdout if stream is None else stream) else text


def _styles(stream: TextIO) -> bool:
    # https://no-color.org: it counts when it is there and not empty.
    wanted = os.environ.get("FORCE_COLOR") or (stream.isatty() and not os.environ.get("NO_COLOR"))
    return bool(wanted) and os.environ.get("TERM") != "dumb"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns, as wide as their widest cell."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    say(styled(text[0], "dim"))
    sys.stdout.write("".join(harmless(line) + "\n" for line in text[1:]))


def complain(error: TrothError, *, as_json: bool) -> None:
    """Print a failure to standard error: what, why, next; or as an RFC 9457 document."""
    if as_json:
        import json

        json.dump(error.problem(), sys.stderr, indent=2, ensure_ascii=True)
        sys.stderr.write("\n")
        return
    note(f"{styled('error:', 'bad', sys.stderr)} {error.what} [{error.code}]")
    if error.why:
        note(f"  why:  {error.why}")
    if error.next_command:
        note(f"  next: {error.next_command}")


def complain_unforeseen(error: Exception, *, as_json: bool) -> int:
    """Print a failure that no one foresaw; `TROTH_DEBUG=1` adds the traceback."""
    if os.environ.get("TROTH_DEBUG"):
        import traceback

        traceback.print_exc()
    why = f"{type(error).__name__}: {ascii(str(error))[1:-1][:300]}"
    unforeseen = TrothError(
        "Something went wrong that Troth did not foresee.",
        why=why,
        next_command="run it again with TROTH_DEBUG=1 set, and report what it prints",
    )
    complain(unforeseen, as_json=as_json)
    return unforeseen.exit_code
