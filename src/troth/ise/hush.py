"""Keeps ISE's cookies out of logs: the HTTP library writes the headers of every answer at DEBUG."""

from __future__ import annotations

import logging
import re
from typing import Final

# As `httpcore2` prints headers: (b'Set-Cookie', b'JSESSIONIDSSO=…').
_COOKIE = re.compile(r"""(\(b(['"])(?:set-)?cookie2?\2, b)(['"]).*?(?<!\\)\3\)""", re.I | re.S)
_LOGGERS = ("httpcore2.http11", "httpcore2.http2", "httpcore2.connection", "httpcore2.proxy")


class _Hush(logging.Filter):
    """Takes cookies out of messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it pass."""
        message = record.getMessage()
        if "cookie" in message.lower():
            record.msg, record.args = _COOKIE.sub(r"\1'…')", message), ()
        return True


_HUSH: Final = _Hush()


def hush() -> None:
    """Install the filter, once; it only takes away, so it harms no other user of the library."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_HUSH)  # adding it again has no effect
