"""What all channels have in common."""

from __future__ import annotations

import re
import socket
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from troth.errors import BadEndpoint, ChannelUnusable, NotDelivered, TrothError
from troth.model.endpoint import canonical_host
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.database.pool import Connection
    from troth.model.endpoint import Endpoint
    from troth.notify.events import Message

DEFAULT_TIMEOUT_S = 30.0
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class ChannelKind(StrEnum):
    """How messages travel."""

    SMTP = "smtp"
    WEBHOOK = "webhook"
    SYSLOG = "syslog"


class Sealer(Protocol):
    """Seals secrets for the database. `about` must be the same at both ends, or it does not open."""

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal a secret."""
        ...

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open a sealed secret."""
        ...


class Audit(Protocol):
    """Writes a change into the journal, in the transaction of the change: both happen, or neither."""

    def __call__(self, connection: Connection, action: str, subject: str, detail: dict[str, object], /) -> None:
        """Write one record. There is never a secret in the detail."""


class Channel(Protocol):
    """A way to a receiver. `send` blocks; it is called in a thread."""

    @property
    def destination(self) -> str:
        """Where it goes, without a secret; a sealed secret is bound to it."""
        ...

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint whose certificate is checked; None where there is no TLS."""
        ...

    def send(self, message: Message) -> str:
        """Deliver a message; give a note for the record, or an empty text.

        Raises:
            NotDelivered: It was not delivered.
            CertificateRejected: The receiver's certificate is not trusted; it was told nothing.
        """
        ...


def channel_name(text: str) -> str:
    """Check a channel's name.

    Raises:
        ChannelUnusable: It is none.
    """
    if not _NAME.fullmatch(text):
        raise ChannelUnusable(
            f"{printable(text, 40)!r} is no name of a channel.", why="take small letters, digits and -"
        )
    return text


def machine_name() -> str:
    """Give this machine's name as SMTP and syslog take it; no name service is asked."""
    name = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()).strip(".-")
    return name or "troth.invalid"


def host_of(text: object) -> str:
    """Read a host out of settings.

    Raises:
        ChannelUnusable: It is none.
    """
    try:
        return canonical_host(str(text))
    except BadEndpoint as error:
        raise ChannelUnusable(error.what, why=error.why, next_command="troth mail show") from None


def port_of(value: object) -> int:
    """Read a port out of settings.

    Raises:
        ChannelUnusable: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ChannelUnusable(f"{printable(str(value), 20)!r} is no port.", next_command="troth mail show")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address; a name may lead elsewhere."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def as_failure(error: BaseException, destination: str) -> TrothError:
    """Give a failed delivery as one of Troth's own failures: the first that is among its causes, or one that says why."""
    for cause in causes(error):
        if isinstance(cause, TrothError):
            return cause
    text = printable(str(error), 300) or type(error).__name__
    return NotDelivered(
        f"{destination} did not take the message.", why=text, next_command="troth mail test, once that is mended"
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and what it came from."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__
