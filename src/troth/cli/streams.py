"""Standard output and error that never take the place of a verdict.

A reader that goes away, a full disk or a stream that is closed must not turn "rejected" into anything else, nor keep
the next host from being looked at. So writing never fails: what could not be written is noted, and told at the end.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


class Steady:
    """A text stream that notes what went wrong with it, and goes on.

    Args:
        stream: The stream below; None if the process was started without.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream
        self.broken: Exception | None = None if stream is not None else OSError("it is closed")

    def write(self, text: str) -> int:
        """Write, if that is still possible."""
        if self.broken is None and self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self.broken = error
        return len(text)

    def flush(self) -> None:
        """Flush, if that is still possible."""
        if self.broken is None and self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.broken = error

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.broken is None and self._stream is not None and self._stream.isatty()

    @property
    def reader_left(self) -> bool:
        """Whether the reader went away, so that there is nobody left to tell."""
        return isinstance(self.broken, BrokenPipeError)

    def __getattr__(self, name: str) -> Any:
        """Be the stream below in everything else."""
        return getattr(self._stream, name)


@contextmanager
def steady() -> Iterator[tuple[Steady, Steady]]:
    """Make this process's streams steady, until the block ends."""
    before = sys.stdout, sys.stderr
    out, err = Steady(before[0]), Steady(before[1])
    for stream in before:
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name that a terminal cannot show
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out, err
    finally:
        for each in (out, err):
            each.flush()
        sys.stdout, sys.stderr = before
        for stream, each in zip(before, (out, err), strict=True):
            if each.broken is not None and stream is not None:
                # Python would try once more at its end, and say so.
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
