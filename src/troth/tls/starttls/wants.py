"""What a dialect can ask for, and how a refusal is said."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from troth.errors import ProtocolViolation
from troth.model.endpoint import DEFAULT_PORTS
from troth.model.text import printable

MAX_LINE = 8 << 10
MAX_LINES = 200
MAX_TOTAL = 64 << 10
MAX_SAID = 200


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """Read something; `take` gives it once it is whole."""

    def take(self, buffer: bytearray, protocol: str) -> bytes | None:
        """Take it from the front of the buffer; None if more is needed.

        Raises:
            ProtocolViolation: It is longer than it may be.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Line(Reader):
    """Read one line, without its end."""

    def take(self, buffer: bytearray, protocol: str) -> bytes | None:
        """Take one line."""
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > MAX_LINE:
                raise refused(protocol, "it sent a line without end")
            return None
        if end > MAX_LINE:
            raise refused(protocol, "it sent a line without end")
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        return line.rstrip(b"\r")


@dataclass(frozen=True, slots=True)
class Exactly(Reader):
    """Read so many bytes."""

    count: int

    def take(self, buffer: bytearray, protocol: str) -> bytes | None:
        """Take so many bytes."""
        del protocol
        if len(buffer) < self.count:
            return None
        data = bytes(buffer[: self.count])
        del buffer[: self.count]
        return data


@dataclass(frozen=True, slots=True)
class Until(Reader):
    """Read up to and with one of these marks, whichever comes first."""

    marks: tuple[bytes, ...]

    def take(self, buffer: bytearray, protocol: str) -> bytes | None:
        """Take up to a mark."""
        del protocol
        ends = [found + len(mark) for mark in self.marks if (found := buffer.find(mark)) >= 0]
        if not ends:
            return None
        data = bytes(buffer[: min(ends)])
        del buffer[: min(ends)]
        return data


Want = Send | Reader
Dialect = Generator[Want, bytes, None]


def refused(protocol: str, why: str | bytes) -> ProtocolViolation:
    """Say that a peer would not start TLS; what it said (bytes) is made safe to print."""
    text = why if isinstance(why, str) else f"it said: {said(why)}"
    return ProtocolViolation(
        f"The {protocol} server did not start TLS.",
        why=text,
        next_command=f"check that the port offers STARTTLS ({protocol} usually is on {DEFAULT_PORTS[protocol]}), "
        "or name the right protocol: troth check HOST:PORT --starttls PROTOCOL",
    )


def said(words: bytes) -> str:
    """Give a peer's words as short printable ASCII: before TLS, anybody may have written them."""
    return printable(words.strip().decode("ascii", "backslashreplace"), MAX_SAID)
