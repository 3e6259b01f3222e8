"""Webhooks: JSON over HTTPS, signed, under the store's trust. Redirects are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from troth.adapters import httpx2 as adapter
from troth.errors import ChannelUnusable, NotDelivered
from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN
from troth.model.text import printable
from troth.notify import render
from troth.notify.channel import DEFAULT_TIMEOUT_S, as_failure, host_of, port_of
from troth.tls.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from troth.notify.events import Message
    from troth.store.protocol import TrustStore

SECRET_BYTES = 32
_MAX_URL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where calls go.

    Args:
        host: The receiver's host.
        port: Its port.
        path: The path, with the query if there is one. It is shown; a secret does not belong into it.
        domain: The domain of the receiver's entry, if it is new.
    """

    host: str
    port: int
    path: str
    domain: str = DEFAULT_DOMAIN

    @classmethod
    def parse(cls, url: str, *, domain: str = DEFAULT_DOMAIN) -> WebhookSettings:
        """Read an address.

        Raises:
            ChannelUnusable: It cannot be used.
        """
        try:
            parts = urlsplit(url)
            port = 443 if parts.port is None else parts.port
        except ValueError:
            raise _bad(url, "its port is none") from None
        if parts.scheme != "https":
            raise _bad(url, "messages go to https:// alone")
        if "@" in parts.netloc:
            raise _bad(url, "it holds a user name; the signature tells who calls")
        if parts.fragment:
            raise _bad(url, "what is behind # is never sent")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls.read({"host": parts.hostname or "", "port": port, "path": path, "domain": domain})

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> WebhookSettings:
        """Read settings, from wherever they come.

        Raises:
            ChannelUnusable: They cannot be used.
        """
        path = str(found.get("path", "/"))
        if not path.startswith("/") or len(path) > _MAX_URL or any(not "!" <= each <= "~" for each in path):
            raise _bad(path, "its path holds what must be written with %")
        return cls(
            host=host_of(found.get("host", "")),
            port=port_of(found.get("port", 443)),
            path=path,
            domain=str(found.get("domain", DEFAULT_DOMAIN)),
        )

    @property
    def url(self) -> str:
        """The address."""
        return f"https://{Endpoint(self.host, self.port)}{self.path}"

    def document(self) -> dict[str, object]:
        """Give them as JSON-able values."""
        return {"host": self.host, "port": self.port, "path": self.path, "domain": self.domain}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChannel:
    """Calls a receiver.

    Args:
        settings: Where.
        store: The trust store that the receiver's certificate is held against.
        secret: What calls are signed with.
        clock: Gives the time of each attempt.
        timeout_s: The limit of each step of a call, in seconds.
    """

    settings: WebhookSettings
    store: TrustStore
    secret: bytes = field(repr=False)
    clock: Callable[[], datetime]
    timeout_s: float = DEFAULT_TIMEOUT_S

    @property
    def destination(self) -> str:
        """Where it goes."""
        return self.settings.url

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint whose certificate is checked."""
        return Endpoint(self.settings.host, self.settings.port)

    def send(self, message: Message) -> str:
        """Call the receiver; any answer of 200 to 299 means that it has the message.

        Raises:
            NotDelivered: It gave another answer, or none.
            CertificateRejected: The receiver's certificate is not trusted; it was told nothing.
        """
        if len(self.secret) < SECRET_BYTES // 2:
            raise ChannelUnusable(f"There is no secret to sign calls to {self.destination} with.")
        body, headers = render.webhook(message, self.secret, self.clock())
        context = Context(self.store, domain=self.settings.domain)
        try:
            # Neither a proxy nor a .netrc of the environment has a part in where this goes.
            with (
                httpx2.Client(
                    transport=adapter.transport(context),
                    follow_redirects=False,
                    trust_env=False,
                    timeout=self.timeout_s,
                ) as client,
                client.stream("POST", self.settings.url, content=body, headers=headers) as answer,
            ):
                status, location = answer.status_code, answer.headers.get("location", "")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise as_failure(error, self.destination) from error
        if 200 <= status < 300:
            return ""
        why = f"the answer was {status}"
        if 300 <= status < 400:
            why += f", a redirect to {printable(location, 200)}; redirects are refused"
        raise NotDelivered(
            f"{self.destination} did not take the message.", why=why, next_command="troth mail test, once it does"
        )


def _bad(url: str, why: str) -> ChannelUnusable:
    shown = printable(url.rpartition("@")[2], 80)
    return ChannelUnusable(f"{shown!r} cannot be called.", why=why, next_command="troth mail set webhook https://…")
