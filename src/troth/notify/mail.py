"""Mail, over SMTP whose server's certificate is under the store's trust: no password leaves before the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from email.policy import SMTP
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import aiosmtplib

from troth.errors import ChannelUnusable, NotDelivered
from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN
from troth.model.text import printable
from troth.notify import render
from troth.notify.channel import DEFAULT_TIMEOUT_S, as_failure, host_of, is_loopback, port_of
from troth.tls.context import Context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage

    from troth.notify.events import Message
    from troth.store.protocol import TrustStore

# A part of RFC 5321 that every server takes: no quotes, no comments, no blanks, ASCII.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_MAX_RECIPIENTS = 50
# Not every server offers 8BITMIME.
_WIRE = SMTP.clone(cte_type="7bit")


class Security(StrEnum):
    """When TLS begins. `plain` is for a relay on this very machine, and for nothing else."""

    STARTTLS = "starttls"
    TLS = "tls"
    PLAIN = "plain"


DEFAULT_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.PLAIN: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Where mail goes, and how.

    Args:
        host: The server's host.
        port: Its port.
        security: When TLS begins.
        user: The user name to authenticate with; empty for none.
        sender: The address in `From`.
        recipients: The addresses in `To`.
        domain: The domain of the server's entry, if it is new.
    """

    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str = ""
    sender: str
    recipients: tuple[str, ...]
    domain: str = DEFAULT_DOMAIN

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> MailSettings:
        """Read settings, from wherever they come.

        Raises:
            ChannelUnusable: They cannot be used.
        """
        try:
            security = Security(found.get("security", Security.STARTTLS))
        except ValueError:
            raise ChannelUnusable("The security of mail is starttls, tls or plain.") from None
        host = host_of("127.0.0.1" if found.get("host") == "localhost" else found.get("host", ""))
        user = str(found.get("user", ""))
        recipients = tuple(address_of(each) for each in found.get("recipients", ()))
        if not 1 <= len(recipients) <= _MAX_RECIPIENTS:
            raise ChannelUnusable(
                f"Mail has 1 to {_MAX_RECIPIENTS} recipients.", next_command="troth mail set smtp … --to"
            )
        if security is Security.PLAIN and not is_loopback(host):
            raise ChannelUnusable(
                f"Mail is not sent in plain text to {host}.",
                why="only a relay on this machine's own loopback address may be spoken to without TLS",
                next_command="troth mail set smtp … --security starttls",
            )
        if security is Security.PLAIN and user:
            raise ChannelUnusable("No password is sent in plain text.", next_command="leave --user out, or use TLS")
        if any(not " " < each <= "~" for each in user) or len(user) > 255:
            raise ChannelUnusable("The user name holds characters that SMTP servers do not take alike.")
        return cls(
            host=host,
            port=port_of(found.get("port", DEFAULT_PORTS[security])),
            security=security,
            user=user,
            sender=address_of(found.get("sender", "")),
            recipients=recipients,
            domain=str(found.get("domain", DEFAULT_DOMAIN)),
        )

    def document(self) -> dict[str, object]:
        """Give them as JSON-able values."""
        return {
            "host": self.host,
            "port": self.port,
            "security": self.security.value,
            "user": self.user,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "domain": self.domain,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MailChannel:
    """Sends messages as mail.

    Args:
        settings: Where, and how.
        store: The trust store that the server's certificate is held against.
        password: The password of `settings.user`.
        name: The name of this installation: in `EHLO` and `Message-ID`.
        timeout_s: The limit of one delivery, in seconds.
    """

    settings: MailSettings
    store: TrustStore
    password: str = field(default="", repr=False)
    name: str = "troth.invalid"
    timeout_s: float = DEFAULT_TIMEOUT_S

    @property
    def destination(self) -> str:
        """Where it goes."""
        settings = self.settings
        user = f"{settings.user}@" if settings.user else ""
        return f"smtp+{settings.security}://{user}{Endpoint(settings.host, settings.port)}"

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint whose certificate is checked."""
        if self.settings.security is Security.PLAIN:
            return None
        protocol = "smtp" if self.settings.security is Security.STARTTLS else "tls"
        return Endpoint(self.settings.host, self.settings.port, protocol)

    def send(self, message: Message) -> str:
        """Deliver a message; give the recipients that the server refused, if it took others.

        Raises:
            NotDelivered: No recipient has it.
            CertificateRejected: The server's certificate is not trusted; it was told nothing.
        """
        made = render.mail(message, sender=self.settings.sender, recipients=self.settings.recipients, host=self.name)
        try:
            refused = asyncio.run(self._deliver(made))
        except TimeoutError:
            raise self._late() from None
        except (OSError, aiosmtplib.SMTPException, ValueError) as error:
            raise as_failure(error, self.destination) from error
        return "" if not refused else "refused: " + printable(", ".join(sorted(refused)), 400)

    async def _deliver(self, made: EmailMessage) -> set[str]:
        plain = self.settings.security is Security.PLAIN
        endpoint = self.endpoint
        client = aiosmtplib.SMTP(
            hostname=self.settings.host,
            port=self.settings.port,
            local_hostname=self.name,
            use_tls=self.settings.security is Security.TLS,
            start_tls=False,
            tls_context=None
            if plain
            else Context(
                self.store, endpoint, domain=self.settings.domain, starttls=endpoint.protocol if endpoint else "tls"
            ),
            timeout=self.timeout_s,
        )
        transport: asyncio.BaseTransport | None = None
        try:
            async with asyncio.timeout(self.timeout_s):
                await client.connect()
                transport = client.transport
                if self.settings.security is Security.STARTTLS:
                    await self._start_tls(client)
                return await self._converse(client, made, plain=plain)
        finally:
            client.close()
            if isinstance(transport, asyncio.Transport):
                transport.abort()  # the client leaves it open where STARTTLS fails
                await asyncio.sleep(0)

    async def _start_tls(self, client: aiosmtplib.SMTP) -> None:
        await client.ehlo()
        if not client.supports_extension("starttls"):
            raise NotDelivered(
                f"{self.destination} offers no STARTTLS, so it was told nothing.",
                why="the server has none on this port, or somebody on the way took the offer out",
                next_command=f"troth check {Endpoint(self.settings.host, self.settings.port)} --starttls smtp",
            )
        await client.starttls()

    async def _converse(self, client: aiosmtplib.SMTP, made: EmailMessage, *, plain: bool) -> set[str]:
        if not plain and client.get_transport_info("sslcontext") is None:
            raise NotDelivered(f"{self.destination} did not start TLS, so it was told nothing.")
        if self.settings.user:
            await client.login(self.settings.user, self.password)
        refused, _ = await client.sendmail(
            self.settings.sender, list(self.settings.recipients), made.as_bytes(policy=_WIRE)
        )
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit()  # it has the message; whether it says goodbye does not matter
        return set(refused)

    def _late(self) -> NotDelivered:
        return NotDelivered(
            f"{self.destination} did not take the message within {self.timeout_s:g} s.",
            next_command="troth mail test",
        )


def address_of(value: object) -> str:
    """Read a mail address out of settings.

    Raises:
        ChannelUnusable: It is none that every server takes.
    """
    text = str(value).strip()
    if not _ADDRESS.fullmatch(text) or ".." in text:
        raise ChannelUnusable(f"{printable(text, 80)!r} is no mail address.", why="write it as name@example.com")
    return text
