"""Logging: text, JSON, or journald's own fields; and no secret in any of them."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from troth.model.text import printable

if TYPE_CHECKING:
    from troth.node.config import Logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_SECRET_NAME = re.compile(r"passw|secret|token|authorization|cookie|passphrase|private|otp", re.I)
# What is recognisable wherever it stands: our tokens, HTTP credentials, passwords in URLs, private keys.
_SECRET_TEXT = re.compile(
    r"troth_[A-Za-z0-9_-]{16,}"
    r"|(?<=asic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=earer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.S,
)
_JOURNALD = "/run/systemd/journal/socket"
_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def redacted(text: str) -> str:
    """Take out of a text what looks like a secret."""
    return _SECRET_TEXT.sub("[redacted]", text)


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Give what a record was logged with beside its text; what is named like a secret is left out."""
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {name: "[redacted]" if _SECRET_NAME.search(name) else redacted(str(value)) for name, value in extra.items()}


class Text(logging.Formatter):
    """One line a record, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = printable(redacted(record.getMessage()))
        rest = "".join(f" {name}={printable(str(value))}" for name, value in fields(record).items())
        line = f"{at} {record.levelname:<7} {record.name}: {text}{rest}"
        return line + ("\n" + redacted(self.formatException(record.exc_info)) if record.exc_info else "")


class Json(logging.Formatter):
    """One JSON document a record, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the document."""
        document: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
            **fields(record),
        }
        if record.exc_info:
            document["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(document, ensure_ascii=True)


class Journald(logging.Handler):
    """Writes to journald with its own fields (systemd.journal-fields(7))."""

    def __init__(self, place: str = _JOURNALD):
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.connect(place)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            text = redacted(record.getMessage())
            if record.exc_info:
                text += "\n" + redacted(logging.Formatter().formatException(record.exc_info))
            named = {"MESSAGE": text, "PRIORITY": str(_PRIORITY.get(record.levelno, 6)), "LOGGER": record.name}
            named["SYSLOG_IDENTIFIER"] = "troth"
            named |= {
                re.sub(r"[^A-Z0-9_]", "_", name.upper()).lstrip("_"): str(v) for name, v in fields(record).items()
            }
            self._socket.send(b"".join(_field(name, value) for name, value in named.items() if name))
        except Exception:  # noqa: BLE001  # a log that cannot be written stops nothing
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def set_up(settings: Logging) -> None:
    """Send this process's logs where the configuration says."""
    handler: logging.Handler
    if settings.format == "journald":
        handler = Journald()
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Json() if settings.format == "json" else Text())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    # Its lines hold whole URLs, and each request would be one.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
