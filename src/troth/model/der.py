"""A strict, bounded reader of DER (ITU-T X.690): just enough to find the parts of a certificate.

It exists because a pin must be taken from the exact bytes that TLS verified. A parser that re-serialises, or that is
more tolerant than OpenSSL, can see another key than the one that signed the handshake. Here every length must be
minimal and definite, nothing may overrun its parent, and no structure is ever rebuilt: values are slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SIZE = 1 << 20
MAX_CHILDREN = 4096

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31


class DerError(ValueError):
    """The bytes are not strict DER of the expected shape."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag-length-value: `data[start:end]` is the whole of it, `data[content:end]` its content."""

    data: bytes
    tag: int
    start: int
    content: int
    end: int

    @property
    def raw(self) -> bytes:
        """The exact bytes, tag and length included."""
        return self.data[self.start : self.end]

    @property
    def value(self) -> bytes:
        """The exact bytes of the content."""
        return self.data[self.content : self.end]

    def children(self) -> Iterator[Element]:
        """Yield the elements inside, which must fill the content exactly."""
        position = self.content
        for _ in range(MAX_CHILDREN):
            if position == self.end:
                return
            child = read(self.data, position, self.end)
            yield child
            position = child.end
        raise DerError(f"more than {MAX_CHILDREN} elements in one structure")

    def expect(self, tag: int) -> Element:
        """Return itself if it has this tag.

        Raises:
            DerError: It has another tag.
        """
        if self.tag != tag:
            raise DerError(f"expected tag 0x{tag:02x}, found 0x{self.tag:02x} at byte {self.start}")
        return self


def read(data: bytes, start: int = 0, end: int | None = None) -> Element:
    """Read the element at `start`, which must end at or before `end`.

    Raises:
        DerError: The length is indefinite, not minimal, or overruns; or the tag number needs more than one byte.
    """
    limit = len(data) if end is None else end
    if limit > MAX_SIZE:
        raise DerError(f"larger than {MAX_SIZE} bytes")
    if start + 2 > limit:
        raise DerError(f"truncated at byte {start}")
    tag, first = data[start], data[start + 1]
    if tag & 0x1F == 0x1F:
        raise DerError(f"tag number over 30 at byte {start}")
    content = start + 2
    if first < 0x80:
        length = first
    else:
        count = first & 0x7F
        if not 1 <= count <= 3 or content + count > limit:
            raise DerError(f"unusable length at byte {start}")
        length = int.from_bytes(data[content : content + count], "big")
        content += count
        if length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise DerError(f"length is not minimal at byte {start}")
    if content + length > limit:
        raise DerError(f"element at byte {start} overruns its parent")
    return Element(data, tag, start, content, content + length)


def read_all(data: bytes) -> Element:
    """Read one element that is all of `data`.

    Raises:
        DerError: There is something after it, or it is not DER.
    """
    element = read(data)
    if element.end != len(data):
        raise DerError(f"{len(data) - element.end} bytes after the end")
    return element


def integer(element: Element) -> int:
    """Read an INTEGER's value."""
    value = element.expect(INTEGER).value
    if not value:
        raise DerError("empty integer")
    return int.from_bytes(value, "big", signed=True)


def oid(element: Element) -> str:
    """Read an OBJECT IDENTIFIER's dotted form."""
    value = element.expect(OID).value
    if not value or len(value) > 64 or value[-1] & 0x80:
        raise DerError("unusable object identifier")
    arcs: list[int] = []
    arc = 0
    for byte in value:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(n) for n in (first, arcs[0] - 40 * first, *arcs[1:]))
