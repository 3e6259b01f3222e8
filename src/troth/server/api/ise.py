"""The ISE servers that the node asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from troth import documents
from troth.accounts.roles import Permission
from troth.ise import actions
from troth.ise.models import Credentials, Role
from troth.model.endpoint import Endpoint
from troth.server.api.words import Digest, Place, digest
from troth.server.operations import Operation

if TYPE_CHECKING:
    from troth.server.operations import Call

User = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Limit = Annotated[float, msgspec.Meta(ge=1, le=300)]


class NewServer(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An ISE server to be asked. It is tested first, its certificate before its credentials, unless `untested` says no."""

    server: Place
    user: User
    password: Password
    role: Literal["primary", "standby"] | None = None
    expect: Digest | None = None
    timeout_s: Limit = 15.0
    untested: bool = False


class ServerChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Other credentials for a server; they are tested first, unless `untested` says no."""

    user: User
    password: Password
    timeout_s: Limit = 15.0
    untested: bool = False


class ServerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions there are; null where the server does not count them."""

    active: int | None
    posture: int | None
    profiler: int | None


class ServerView(msgspec.Struct, frozen=True, kw_only=True):
    """An ISE server, and how it stands with it."""

    role: str
    endpoint: str
    user: str
    state: str
    since: str | None
    polled_at: str | None
    why: str | None
    next_step: str | None
    version: str | None
    node_type: str
    counts: ServerCounts
    found_at: str | None


class ServerList(msgspec.Struct, frozen=True, kw_only=True):
    """The ISE servers, the primary first."""

    servers: list[ServerView]


class ServerRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """The server that is gone, and the one that was the standby and is the primary now, if one is."""

    removed: str
    primary: str | None


def list_servers(call: Call) -> documents.Document:
    """List them."""
    return {"servers": [documents.ise_server(each) for each in call.node.ise.all()]}


def add_server(call: Call) -> documents.Document:
    """Add one that was tested."""
    asked: NewServer = call.body
    wish = actions.Wish(
        endpoint=Endpoint.parse(asked.server),
        credentials=Credentials(asked.user, asked.password),
        role=Role(asked.role) if asked.role else None,
        timeout_s=asked.timeout_s,
        expect=digest(asked.expect) if asked.expect else None,
        untested=asked.untested,
        permit=call.node.permit,
    )
    return documents.ise_server(actions.add(call.node.ise, call.node.store, wish))


def change_server(call: Call) -> documents.Document:
    """Give one other credentials."""
    asked: ServerChange = call.body
    wish = actions.Wish(
        endpoint=call.node.ise.get(call.path["server"]).endpoint,
        credentials=Credentials(asked.user, asked.password),
        timeout_s=asked.timeout_s,
        untested=asked.untested,
        permit=call.node.permit,
    )
    return documents.ise_server(actions.add(call.node.ise, call.node.store, wish))


def remove_server(call: Call) -> documents.Document:
    """Remove one, with its password."""
    gone = call.node.ise.get(call.path["server"])
    promoted = call.node.ise.remove(gone)
    return {"removed": str(gone.endpoint), "primary": str(promoted.endpoint) if promoted else None}


def test_server(call: Call) -> documents.Document:
    """Ask one now."""
    found = actions.examine(call.node.ise, call.node.store, call.node.ise.get(call.path["server"]), strict=True)
    return documents.ise_server(found)


_SETTINGS = Permission.SETTINGS
OPERATIONS = [
    Operation(
        method="GET",
        path="/ise-servers",
        name="listIseServers",
        about="List the ISE servers that are asked.",
        tag="ise",
        permission=Permission.READ,
        handler=list_servers,
        result=ServerList,
    ),
    Operation(
        method="POST",
        path="/ise-servers",
        name="addIseServer",
        about="Add an ISE server.",
        tag="ise",
        permission=_SETTINGS,
        handler=add_server,
        body=NewServer,
        result=ServerView,
        status=201,
        errors=(502, 504),
        long=True,
    ),
    Operation(
        method="PUT",
        path="/ise-servers/{server}",
        name="changeIseServer",
        about="Give an ISE server other credentials.",
        tag="ise",
        permission=_SETTINGS,
        handler=change_server,
        body=ServerChange,
        result=ServerView,
        errors=(404, 502, 504),
        long=True,
    ),
    Operation(
        method="DELETE",
        path="/ise-servers/{server}",
        name="removeIseServer",
        about="Ask an ISE server no more; its certificate stays on record.",
        tag="ise",
        permission=_SETTINGS,
        handler=remove_server,
        result=ServerRemoved,
        errors=(404,),
    ),
    Operation(
        method="POST",
        path="/ise-servers/{server}/test",
        name="testIseServer",
        about="Ask an ISE server now.",
        tag="ise",
        permission=Permission.TEST_ISE,
        handler=test_server,
        result=ServerView,
        errors=(404, 502, 504),
        long=True,
    ),
]
