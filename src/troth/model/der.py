"""A strict, bounded reader of DER (ITU-T X.690): just enough to find the parts of a certificate.

It exists because a pin must be taken from the exact bytes that TLS verified. A parser that re-serialises, or that is
more tolerant than OpenSSL, can see another key than the one that signed the handshake. Here every length must be
minimal and definite, nothing may overrun its parent, and no structure is ever rebuilt: values are slices.

A certificate that OpenSSL accepts and Troth cannot read would be rejected for ever, so it is no stricter than OpenSSL
without need. Measured with OpenSSL 3.0: padded INTEGERs (the serial number's included), padded object identifiers and
BIT STRINGs without a count of unused bits are refused by both; negative and huge serial numbers are read by both. In
two places OpenSSL takes what X.690 does not allow, and is followed: any BOOLEAN but 00 is TRUE (`boolean`), and the
numbers of an RSA key may be padded or lack the zero that makes them positive (`unsigned`).
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
        if position != self.end:
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


def boolean(element: Element) -> bool:
    """Read a BOOLEAN as OpenSSL does: everything but 00 is TRUE, also what X.690 11.1 does not allow.

    Raises:
        DerError: It is no BOOLEAN of one byte.
    """
    value = element.expect(BOOLEAN).value
    if len(value) != 1:
        raise DerError("a boolean has one byte")
    return value != b"\x00"


def integer(element: Element) -> int:
    """Read an INTEGER's value.

    Raises:
        DerError: It is none, or it is padded (X.690 8.3.2).
    """
    value = element.expect(INTEGER).value
    if not value:
        raise DerError("empty integer")
    # The first nine bits may not all be the same: one byte less would say the same.
    if len(value) > 1 and (value[0], value[1] >> 7) in ((0x00, 0), (0xFF, 1)):
        raise DerError(f"integer is not minimal at byte {element.start}")
    return int.from_bytes(value, "big", signed=True)


def unsigned(element: Element) -> int:
    """Read the bytes of an INTEGER as a number without a sign, as OpenSSL reads the numbers of an RSA key.

    Raises:
        DerError: It is no INTEGER.
    """
    return int.from_bytes(element.expect(INTEGER).value, "big")


def bits(element: Element) -> bytes:
    """Read a BIT STRING: its whole bytes, of which the unused bits are cleared.

    Raises:
        DerError: It is none, or the count of unused bits is missing or over 7 (X.690 8.6.2).
    """
    value = element.expect(BIT_STRING).value
    if not value or value[0] > 7:
        raise DerError("unusable bit string")
    if not value[0] or len(value) == 1:
        return value[1:]
    return value[1:-1] + bytes([value[-1] >> value[0] << value[0]])


def oid(element: Element) -> str:
    """Read an OBJECT IDENTIFIER's dotted form.

    Raises:
        DerError: It is none, it is unfinished, padded (X.690 8.19.2), or longer than 64 bytes.
    """
    value = element.expect(OID).value
    if not value or len(value) > 64 or value[-1] & 0x80:
        raise DerError("unusable object identifier")
    arcs: list[int] = []
    arc = 0
    starts = True
    for byte in value:
        if starts and byte == 0x80:
            raise DerError(f"object identifier is not minimal at byte {element.start}")
        starts = not byte & 0x80
        arc = arc << 7 | byte & 0x7F
        if starts:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(n) for n in (first, arcs[0] - 40 * first, *arcs[1:]))
