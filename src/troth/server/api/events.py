"""Events, silences, and the channels that events are sent through."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents
from troth.accounts.roles import Permission
from troth.notify.board import Query, whereabouts
from troth.notify.channel import ChannelKind
from troth.notify.events import Kind, Severity
from troth.notify.settings import settings_of
from troth.notify.silences import Silence
from troth.server.api.words import Domain, Place, number
from troth.server.operations import Operation

if TYPE_CHECKING:
    from troth.server.operations import Call

Number = Annotated[int, msgspec.Meta(ge=0, le=10**18)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Address = Annotated[str, msgspec.Meta(max_length=320)]
Least = Literal["info", "warning", "critical"]


class EventQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which events; what is left out does not matter. `before` is the number of the last one of the page before."""

    endpoint: Place | None = None
    domain: Domain | None = None
    kind: Kind | None = None
    since: Moment | None = None
    message: Number | None = None
    before: Number | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; `message` is the one that carries it, `silenced_by` the silence that kept it back."""

    id: int
    kind: str
    severity: str
    endpoint: str | None
    protocol: str | None
    domain: str | None
    what: str
    why: str | None
    next_command: str | None
    presented: str | None
    pinned: list[str]
    at: str
    message: int | None
    silenced_by: int | None


class EventList(msgspec.Struct, frozen=True, kw_only=True):
    """Events, the newest first."""

    events: list[EventView]


class SilenceQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whether those that are over are meant as well."""

    over: bool = False


class NewSilence(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is expected and not to be sent, until when, and why. All that is named must fit."""

    until: Moment
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    pattern: Annotated[str, msgspec.Meta(max_length=600)] = ""
    domain: Domain | None = None
    kind: Kind | None = None


class SilenceView(msgspec.Struct, frozen=True, kw_only=True):
    """A silence."""

    id: int
    pattern: str | None
    domain: str | None
    kind: str | None
    why: str
    who: str
    since: str
    until: str
    in_force: bool


class SilenceList(msgspec.Struct, frozen=True, kw_only=True):
    """Silences, the oldest first."""

    silences: list[SilenceView]


class ChannelView(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, without its secret."""

    name: str
    kind: str
    destination: str
    settings: dict[str, Any]
    has_secret: bool
    least: str
    enabled: bool
    trouble: str | None
    changed_at: str
    changed_by: str


class ChannelList(msgspec.Struct, frozen=True, kw_only=True):
    """Channels, by name."""

    channels: list[ChannelView]


class ChannelWish(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where a channel goes, and how. `sender`, `recipients`, `user` and `security` are for mail.

    A secret that is left out is kept, as long as the channel goes where it went.
    """

    kind: Literal["smtp", "webhook", "syslog"]
    place: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    sender: Address = ""
    recipients: Annotated[list[Address], msgspec.Meta(max_length=50)] = []
    user: Annotated[str, msgspec.Meta(max_length=255)] = ""
    security: Literal["starttls", "tls", "plain"] = "starttls"
    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)] | None = None
    least: Least = "info"
    enabled: bool = True
    domain: Domain = "system"


class ChannelSet(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, and the secret that was made for it, shown this once; null if none was made."""

    channel: ChannelView
    secret: str | None


class ChannelTested(msgspec.Struct, frozen=True, kw_only=True):
    """Where the test message went, and what the receiver said."""

    channel: str
    destination: str
    note: str | None


def list_events(call: Call) -> documents.Document:
    """Give events, the newest first."""
    asked: EventQuery = call.query
    host, port = whereabouts(asked.endpoint) if asked.endpoint else (None, None)
    query = Query(
        host=host,
        port=port,
        domain=asked.domain,
        kind=asked.kind,
        since=asked.since,
        message=asked.message,
        before=asked.before,
        limit=asked.limit,
    )
    return {"events": [documents.event(each) for each in call.node.board.events(query)]}


def list_silences(call: Call) -> documents.Document:
    """Give the silences."""
    now = call.node.store.now()
    return {"silences": [documents.silence(each, now) for each in call.node.board.silences(over=call.query.over)]}


def add_silence(call: Call) -> documents.Document:
    """Set one."""
    asked: NewSilence = call.body
    now = call.node.store.now()
    wanted = Silence(
        pattern=asked.pattern,
        domain=asked.domain or "",
        kind=asked.kind,
        why=asked.why,
        who=call.caller.name,
        since=now,
        until=asked.until,
    )
    return documents.silence(call.node.board.silence(wanted), now)


def end_silence(call: Call) -> documents.Document:
    """Take one back."""
    ended = call.node.board.end_silence(number(call.path["number"]), who=call.caller.name)
    return documents.silence(replace(ended), call.node.store.now())


def list_channels(call: Call) -> documents.Document:
    """Give the channels."""
    channels = call.node.channels
    return {"channels": [documents.channel(channels, each) for each in channels.configured()]}


def set_channel(call: Call) -> documents.Document:
    """Set one."""
    asked: ChannelWish = call.body
    name, channels = call.path["name"], call.node.channels
    settings = settings_of(
        ChannelKind(asked.kind),
        asked.place,
        sender=asked.sender,
        recipients=asked.recipients,
        user=asked.user,
        security=asked.security,
        domain=asked.domain,
    )
    made = channels.set(
        name,
        settings,
        secret=asked.secret.encode() if asked.secret is not None else None,
        least=Severity(asked.least),
        enabled=asked.enabled,
        who=call.caller.name,
    )
    call.node.outbox.hurry(name)
    return {"channel": documents.channel(channels, channels.get(name)), "secret": made.decode() if made else None}


def remove_channel(call: Call) -> None:
    """Remove one, with its secret."""
    call.node.channels.remove(call.path["name"])


def test_channel(call: Call) -> documents.Document:
    """Send a test message."""
    name, channels = call.path["name"], call.node.channels
    note = channels.test(name, who=call.caller.name)
    call.node.outbox.hurry(name)
    return {"channel": name, "destination": channels.destination(channels.get(name)), "note": note or None}


_READ, _SETTINGS, _SILENCE = Permission.READ, Permission.SETTINGS, Permission.SILENCE
OPERATIONS = [
    Operation(
        method="GET",
        path="/events",
        name="listEvents",
        about="List what the watch found, and what became of it.",
        tag="events",
        permission=_READ,
        handler=list_events,
        query=EventQuery,
        result=EventList,
    ),
    Operation(
        method="GET",
        path="/silences",
        name="listSilences",
        about="List the silences that hold.",
        tag="events",
        permission=_READ,
        handler=list_silences,
        query=SilenceQuery,
        result=SilenceList,
    ),
    Operation(
        method="POST",
        path="/silences",
        name="addSilence",
        about="Keep what is expected from being sent, for a while; it is listed all the same.",
        tag="events",
        permission=_SILENCE,
        handler=add_silence,
        body=NewSilence,
        result=SilenceView,
        status=201,
    ),
    Operation(
        method="DELETE",
        path="/silences/{number}",
        name="endSilence",
        about="Take a silence back.",
        tag="events",
        permission=_SILENCE,
        handler=end_silence,
        result=SilenceView,
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/channels",
        name="listChannels",
        about="List where messages go: mail, webhooks, syslog.",
        tag="events",
        permission=_READ,
        handler=list_channels,
        result=ChannelList,
    ),
    Operation(
        method="PUT",
        path="/channels/{name}",
        name="setChannel",
        about="Set a channel.",
        tag="events",
        permission=_SETTINGS,
        handler=set_channel,
        body=ChannelWish,
        result=ChannelSet,
    ),
    Operation(
        method="DELETE",
        path="/channels/{name}",
        name="removeChannel",
        about="Forget a channel, its secret, and what waits to go through it.",
        tag="events",
        permission=_SETTINGS,
        handler=remove_channel,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/channels/{name}/test",
        name="testChannel",
        about="Send a test message through a channel, now.",
        tag="events",
        permission=_SETTINGS,
        handler=test_channel,
        result=ChannelTested,
        errors=(404, 502, 504),
        long=True,
    ),
]
