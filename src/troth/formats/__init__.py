"""Import and export formats: pure reading and writing of texts. Who may import what, and over what, is decided elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from troth.errors import BadInput
from troth.formats.gnutls import load_gnutls
from troth.formats.listcerts import dump_listcerts, load_listcerts, looks_like_listcerts
from troth.formats.own import SCHEMA, dump_json, dump_toml, load_json, load_toml
from troth.formats.records import (
    MAX_BYTES,
    MAX_ENTRIES,
    ImportedDocument,
    ImportedHint,
    ImportedPin,
    Revocation,
    bad_file,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_ENTRIES",
    "SCHEMA",
    "ImportedDocument",
    "ImportedHint",
    "ImportedPin",
    "Revocation",
    "detect",
    "dump_json",
    "dump_listcerts",
    "dump_toml",
    "load",
    "load_gnutls",
    "load_json",
    "load_listcerts",
    "load_toml",
]

_LOADERS: dict[str, Callable[..., ImportedDocument]] = {
    "toml": load_toml,
    "json": load_json,
    "gnutls": load_gnutls,
    "listcerts": load_listcerts,
}
FORMATS = tuple(_LOADERS)
_TOML_SCHEMA = re.compile(r"^[ \t]*[\"']?schema[\"']?[ \t]*=", re.M)
_GNUTLS_LINE = re.compile(r"^[ \t]*\|[gc]0\|", re.M)


def detect(text: str, *, name: str = "the file") -> str:
    """Tell the format of a text by its first signs.

    Raises:
        BadFile: It shows none.
    """
    if text.lstrip(" \t\r\n").startswith("{"):
        return "json"
    if _TOML_SCHEMA.search(text):
        return "toml"
    if _GNUTLS_LINE.search(text):
        return "gnutls"
    if looks_like_listcerts(text):
        return "listcerts"
    raise bad_file(
        name,
        "its format cannot be told",
        expected="an export of Troth (TOML or JSON), a known_hosts of GnuTLS, or a listcerts text",
        next_command="troth import FILE --format " + "|".join(FORMATS),
    )


def load(
    data: str | bytes,
    format: str | None = None,  # noqa: A002  # the option's name
    *,
    name: str = "the file",
) -> ImportedDocument:
    """Read a file in any known format.

    Args:
        data: The file's content.
        format: One of `FORMATS`; None means to detect it.
        name: The file's name, for errors.

    Raises:
        BadFile: It cannot be read in this format; nothing is imported then.
        BadInput: There is no such format.
    """
    if format is not None and format not in _LOADERS:
        raise BadInput(f"The format {quoted(format)} is not known.", why="known are " + ", ".join(FORMATS))
    text = _text(data, name)
    return _LOADERS[format or detect(text, name=name)](text, name=name)


def _text(data: str | bytes, name: str) -> str:
    """Decode a file, or say in one message why it is no text."""
    if len(data) > MAX_BYTES:
        raise bad_file(name, f"it is larger than {MAX_BYTES >> 20} MiB", expected="a smaller file, or several")
    if isinstance(data, bytes):
        if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in data[:4] and data[:4].strip(b"\0")):
            raise bad_file(name, "it is UTF-16 or binary", next_command="iconv -f UTF-16 -t UTF-8 FILE > FILE.txt")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise bad_file(
                name, "it is not UTF-8", line=line, next_command="iconv -f LATIN1 -t UTF-8 FILE > FILE.txt"
            ) from None
    else:
        text = data
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        raise bad_file(
            name, "it holds a NUL character, so it is no text", line=text.count("\n", 0, text.index("\0")) + 1
        )
    if not text.strip():
        raise bad_file(name, "it is empty", expected="an export of Troth, a known_hosts of GnuTLS, or a listcerts text")
    return text
