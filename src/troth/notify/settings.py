"""The channels and their settings. Secrets are sealed, and bound to the place that they go to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from psycopg.types.json import Jsonb

from troth.errors import ChannelUnusable, NotFound
from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN
from troth.notify.channel import Channel, ChannelKind, channel_name, machine_name
from troth.notify.events import Event, Kind, Severity
from troth.notify.grouping import single
from troth.notify.mail import DEFAULT_PORTS, MailChannel, MailSettings, Security
from troth.notify.syslog import SyslogChannel, SyslogSettings
from troth.notify.webhook import SECRET_BYTES, WebhookChannel, WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from troth.database.pool import Connection, Database
    from troth.notify.channel import Audit, Sealer
    from troth.store.protocol import TrustStore

Settings = MailSettings | WebhookSettings | SyslogSettings
_READERS: dict[ChannelKind, type[Settings]] = {
    ChannelKind.SMTP: MailSettings,
    ChannelKind.WEBHOOK: WebhookSettings,
    ChannelKind.SYSLOG: SyslogSettings,
}
_COLUMNS = "name, kind, settings, secret, least, enabled, changed_at, changed_by, trouble, trouble_since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A channel as it is on record, without its secret.

    Args:
        name: Its name.
        kind: How its messages travel.
        settings: Where to, and how.
        has_secret: Whether a secret is sealed for it.
        least: The least severity that goes through it.
        enabled: Whether anything does.
        changed_at: When it was set last.
        changed_by: Who did it.
        trouble: The rejection of its receiver's certificate that was told; empty if there is none.
        trouble_since: Since when.
    """

    name: str
    kind: ChannelKind
    settings: Settings
    has_secret: bool
    least: Severity
    enabled: bool
    changed_at: datetime
    changed_by: str
    trouble: str = ""
    trouble_since: datetime | None = None

    def takes(self, severity: Severity, not_through: str) -> bool:
        """Whether a message goes through it."""
        return self.enabled and severity.reaches(self.least) and self.name != not_through


def settings_of(
    kind: ChannelKind,
    place: str,
    *,
    sender: str = "",
    recipients: Sequence[str] = (),
    user: str = "",
    security: str = "starttls",
    domain: str = DEFAULT_DOMAIN,
) -> Settings:
    """Read the settings of a channel, as a person gives them.

    Args:
        kind: How its messages travel.
        place: Where to: `host:port` for mail, `https://…`, or `tls://`, `tcp://`, `udp://`, `unix:`.
        sender: The sender of mail.
        recipients: The recipients of mail.
        user: The user name at the mail server.
        security: For mail, when TLS begins.
        domain: The domain of the receiver's entry, if it is new.

    Raises:
        ChannelUnusable: They cannot be used.
        BadEndpoint: The mail server is none.
    """
    if kind is ChannelKind.WEBHOOK:
        return WebhookSettings.parse(place, domain=domain)
    if kind is ChannelKind.SYSLOG:
        return SyslogSettings.parse(place, domain=domain)
    endpoint = Endpoint.parse(place, default_port=DEFAULT_PORTS[Security(security)])
    found = {"host": endpoint.host, "port": endpoint.port, "security": security, "user": user, "sender": sender}
    return MailSettings.read({**found, "recipients": recipients, "domain": domain})


class Channels:
    """The channels of an installation.

    Args:
        database: Where their settings are.
        store: The trust store that their receivers' certificates are held against.
        sealer: Seals their secrets.
        clock: Gives the time, aware.
        name: This machine's name, in mail and syslog lines; by default the system's.
        audit: Writes changes into the journal, in their transactions.
    """

    def __init__(
        self,
        database: Database,
        store: TrustStore,
        sealer: Sealer,
        *,
        clock: Callable[[], datetime],
        name: str = "",
        audit: Audit | None = None,
    ):
        self._audit = audit
        self._database, self._sealer, self._store = database, sealer, store
        self._clock, self._name = clock, name or machine_name()

    def configured(self) -> list[Configured]:
        """Read all channels, by name."""
        with self._database.transaction() as connection:
            return read_channels(connection)

    def get(self, name: str) -> Configured:
        """Read one channel.

        Raises:
            NotFound: There is none of that name.
        """
        found = next((each for each in self.configured() if each.name == name), None)
        if found is None:
            raise NotFound(f"There is no channel {name!r}.", next_command="troth mail show")
        return found

    def set(
        self,
        name: str,
        settings: Settings,
        *,
        secret: bytes | None = None,
        least: Severity = Severity.INFO,
        enabled: bool = True,
        who: str,
    ) -> bytes | None:
        """Set a channel; give the secret that was made for a new webhook, which is shown this once.

        A secret that is not given anew is kept only if the channel goes where it went: it was given for that place.

        Args:
            name: The channel's name.
            settings: Where to, and how.
            secret: The password, or what calls are signed with.
            least: The least severity that goes through it.
            enabled: Whether anything does.
            who: Who sets it.

        Raises:
            ChannelUnusable: It needs a secret, and there is none.
        """
        kind = next(kind for kind, cls in _READERS.items() if isinstance(settings, cls))
        made: bytes | None = None
        about = self._about(channel_name(name), kind, settings)
        with self._database.transaction() as connection:
            sealed = self._sealer.seal(secret, about) if secret is not None else self._kept(connection, name, about)
            if sealed is None and kind is ChannelKind.WEBHOOK:
                made = secrets.token_hex(SECRET_BYTES).encode("ascii")
                sealed = self._sealer.seal(made, about)
            if sealed is None and isinstance(settings, MailSettings) and settings.user:
                raise ChannelUnusable(
                    f"The password of {settings.user} is needed.",
                    why="there is none on record for this server and this user",
                    next_command="run it again with TROTH_MAIL_PASSWORD set, or at a terminal",
                )
            connection.execute(
                "INSERT INTO channel (name, kind, settings, secret, least, enabled, changed_at, changed_by)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET kind = excluded.kind,"
                " settings = excluded.settings, secret = excluded.secret, least = excluded.least,"
                " enabled = excluded.enabled, changed_at = excluded.changed_at, changed_by = excluded.changed_by,"
                " trouble = '', trouble_since = NULL",
                (name, kind.value, Jsonb(settings.document()), sealed, least.value, enabled, self._clock(), who),
            )
            if self._audit is not None:
                detail: dict[str, object] = {"kind": kind.value, "to": self._place(settings), "enabled": enabled}
                self._audit(connection, "channel-set", name, detail)
        return made

    def remove(self, name: str) -> None:
        """Forget a channel, its secret, and what waits to go through it.

        Raises:
            NotFound: There is none of that name.
        """
        with self._database.transaction() as connection:
            if not connection.execute("DELETE FROM channel WHERE name = %s", (name,)).rowcount:
                raise NotFound(f"There is no channel {name!r}.", next_command="troth mail show")
            if self._audit is not None:
                self._audit(connection, "channel-remove", name, {})

    def open(self, configured: Configured) -> Channel:
        """Make the channel, with its secret.

        Raises:
            ChannelUnusable: Its secret cannot be opened.
        """
        secret = self._secret(configured)
        settings = configured.settings
        if isinstance(settings, MailSettings):
            return MailChannel(settings=settings, store=self._store, password=secret.decode(), name=self._name)
        if isinstance(settings, WebhookSettings):
            return WebhookChannel(settings=settings, store=self._store, secret=secret, clock=self._clock)
        return SyslogChannel(settings=settings, store=self._store, name=self._name)

    def test(self, name: str, *, who: str) -> str:
        """Send a test message through a channel, now and by itself; give the receiver's note.

        Raises:
            NotDelivered: It was not delivered.
            CertificateRejected: The receiver's certificate is not trusted; it was told nothing.
        """
        now = self._clock()
        event = Event(
            kind=Kind.TEST,
            severity=Severity.INFO,
            what=f"This is a test of the channel {name}, asked for by {who}.",
            why="Nothing happened.",
            at=now,
        )
        return self.open(self.get(name)).send(single(event, now))

    def destination(self, configured: Configured) -> str:
        """Say where a channel goes, without a secret."""
        return self._place(configured.settings)

    def _secret(self, configured: Configured) -> bytes:
        if not configured.has_secret:
            return b""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT secret FROM channel WHERE name = %s", (configured.name,)).fetchone()
        sealed = bytes(cast("bytes", row[0])) if row and row[0] is not None else b""
        about = self._about(configured.name, configured.kind, configured.settings)
        found = _opened(self._sealer, sealed, about)
        if found is None:
            raise ChannelUnusable(
                f"The secret of the channel {configured.name} cannot be opened.",
                why="it was sealed with another key, or its settings were changed behind Troth's back",
                next_command="troth mail set … again, with the secret",
            )
        return found

    def _kept(self, connection: Connection, name: str, about: str) -> bytes | None:
        row = connection.execute("SELECT secret FROM channel WHERE name = %s FOR UPDATE", (name,)).fetchone()
        sealed = bytes(cast("bytes", row[0])) if row and row[0] is not None else None
        return sealed if sealed is not None and _opened(self._sealer, sealed, about) is not None else None

    def _about(self, name: str, kind: ChannelKind, settings: Settings) -> str:
        # Whoever can write to the database alone must not be able to send a password to another place.
        return f"channel {name} {kind} {self._place(settings)}"

    def _place(self, settings: Settings) -> str:
        if isinstance(settings, MailSettings):
            return MailChannel(settings=settings, store=self._store).destination
        return settings.url


def read_channels(connection: Connection) -> list[Configured]:
    """Read all channels, by name. One whose settings cannot be read is left out, and found by `unreadable`."""
    rows = _rows(connection)
    return [found for row in rows if (found := _configured(row)) is not None]


def unreadable(connection: Connection) -> list[str]:
    """Name the channels whose settings cannot be read."""
    return [cast("str", row[0]) for row in _rows(connection) if _configured(row) is None]


def _rows(connection: Connection) -> Sequence[Sequence[object]]:
    text = f"SELECT {_COLUMNS} FROM channel ORDER BY name"  # noqa: S608  # our own text
    return connection.execute(text.encode()).fetchall()


def _configured(row: Sequence[object]) -> Configured | None:
    name, kind, settings, secret, least, enabled, changed_at, changed_by, trouble, since = cast("tuple[Any, ...]", row)
    try:
        return Configured(
            name=name,
            kind=ChannelKind(kind),
            settings=_READERS[ChannelKind(kind)].read(settings),
            has_secret=secret is not None,
            least=Severity(least),
            enabled=enabled,
            changed_at=changed_at,
            changed_by=changed_by,
            trouble=trouble,
            trouble_since=since,
        )
    except (ChannelUnusable, ValueError):
        return None


def _opened(sealer: Sealer, sealed: bytes, about: str) -> bytes | None:
    """Open a secret; None if it does not open, for whatever reason: then it is asked for again."""
    try:
        return sealer.open(sealed, about)
    except Exception:  # noqa: BLE001  # each sealer has failures of its own, and none of them is a secret
        return None
