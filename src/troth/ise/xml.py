"""XML from ISE, read with limits: no document type, no entities, bounded depth, size and number of elements.

The channel is authenticated, but what comes through it was partly written by strangers: user names, device names. And an
appliance that is broken, or a proxy in front of it, answers with anything.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat  # no document type gets past the handlers below, so there are no entities

from troth.errors import IseNotUnderstood
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES = 64 << 20
MAX_ELEMENTS = 5_000_000
MAX_DEPTH = 16
MAX_TEXT = 64 << 10
MAX_ATTRIBUTES = 32
MAX_CHILDREN = 512


@dataclass(slots=True)
class Element:
    """An element: its name, its attributes, its own text, and the elements in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def named(self, *names: str) -> list[Element]:
        """Give the children of any of these names."""
        return [each for each in self.children if each.name in names]

    def value(self, name: str) -> str:
        """Give the text of the first child of a name, without blanks around it, safe to print; empty if there is none."""
        found = next((each for each in self.children if each.name == name), None)
        return "" if found is None else printable(found.text.strip())


def read(data: bytes, take: Callable[[Element], None], *, roots: tuple[str, ...]) -> Element:
    """Read a document: hand each child of its root to `take` and forget it; give the root, without children.

    Args:
        data: The document, in UTF-8.
        take: Gets each child of the root, in order.
        roots: The names that the root may have.

    Raises:
        IseNotUnderstood: It is not well-formed, breaks a limit, has a document type, or is another document.
    """
    if len(data) > MAX_BYTES:
        _refuse(f"the document has more than {MAX_BYTES >> 20} MiB")
    if b"\0" in data or data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        _refuse("it is not in UTF-8")  # expat sees a byte order mark before it minds the encoding that it was given
    builder = _Builder(take, roots)
    # The encoding is fixed: what a document declares of itself would otherwise choose how its bytes are read.
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_document_type
    parser.EntityDeclHandler = _no_entities
    parser.SkippedEntityHandler = _no_entities
    parser.ExternalEntityRefHandler = _no_entities
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        parser.Parse(data, True)  # noqa: FBT003  # the signature of expat
    except expat.ExpatError as error:
        _refuse(f"it is not well-formed: {expat.ErrorString(error.code)} in line {error.lineno}")
    except RecursionError:
        _refuse("it is nested too deeply")
    if builder.root is None:
        _refuse("it is empty")
    return builder.root


class _Builder:
    """Puts elements together, and counts them."""

    def __init__(self, take: Callable[[Element], None], roots: tuple[str, ...]):
        self._take, self._roots = take, roots
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._length = 0
        self._elements = 0
        self.root: Element | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            _refuse(f"it has more than {MAX_ELEMENTS} elements")
        if len(self._open) >= MAX_DEPTH:
            _refuse(f"it is nested more than {MAX_DEPTH} deep")
        if len(attributes) > MAX_ATTRIBUTES:
            _refuse(f"an element has more than {MAX_ATTRIBUTES} attributes")
        made = Element(name.rpartition(":")[2], attributes)
        if not self._open:
            if made.name not in self._roots:
                _refuse(f"it is a {printable(made.name, 40)}, not a {self._roots[0]}")
            self.root = made
        elif len(self._open) > 1:
            parent = self._open[-1]
            if len(parent.children) >= MAX_CHILDREN:
                _refuse(f"an element holds more than {MAX_CHILDREN} others")
            parent.children.append(made)
        self._open.append(made)
        self._texts.append([])

    def characters(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_TEXT:
            _refuse(f"it has a text of more than {MAX_TEXT >> 10} KiB")
        self._texts[-1].append(text)

    def end(self, _name: str) -> None:
        done = self._open.pop()
        done.text = "".join(self._texts.pop())
        # What is between elements counts as well: the limit is for each child of the root, with all that is in it.
        if len(self._open) == 1:
            self._length = 0
            self._take(done)


def _no_document_type(*_declared: object) -> NoReturn:
    _refuse("it has a document type, which could hold entities")


def _no_entities(*_declared: object) -> NoReturn:
    _refuse("it uses entities")


def _refuse(why: str) -> NoReturn:
    raise IseNotUnderstood("ISE's answer cannot be read.", why=why)
