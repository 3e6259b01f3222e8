"""What the tests of this room are made of: events, a clock that is set by hand, and a sealer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet

from troth.model.endpoint import Endpoint
from troth.model.fingerprint import Fingerprint
from troth.notify.events import Cause, Event, Kind, Severity


class Clock:
    """Gives a time that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        """Set it forward."""
        self.now += timedelta(**by)


class FernetSealer:
    """A real sealer, with a key of its own; what it is about is sealed along."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or Fernet.generate_key()
        self._fernet = Fernet(self.key)

    def seal(self, text: bytes, about: str) -> bytes:
        return self._fernet.encrypt(about.encode() + b"\0" + text)

    def open(self, sealed: bytes, about: str) -> bytes:
        found, _, text = self._fernet.decrypt(sealed).partition(b"\0")
        if found != about.encode():
            raise ValueError("sealed for something else")
        return text


def an_event(number: int = 0, **changes: Any) -> Event:
    """Make an event."""
    values: dict[str, Any] = {
        "kind": Kind.CHANGED,
        "severity": Severity.CRITICAL,
        "endpoint": Endpoint(f"host-{number}.example.com", 443),
        "domain": "devicemgmt",
        "what": f"host-{number}.example.com:443 presented another certificate than the one on record.",
        "why": "Another issuer signed it.",
        "next_command": f"troth replace host-{number}.example.com:443 --expect FINGERPRINT",
        "advice": "Ask the host's administrator.",
        "presented": Fingerprint.of(str(number).encode()),
        "pinned": ("sha256:00",),
        "cause": Cause(key="different-issuer x", text="certificates issued by CN=New CA"),
        "at": datetime.now(UTC),
    }
    return Event(**{**values, **changes})
