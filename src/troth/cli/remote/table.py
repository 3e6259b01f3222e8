"""Which operation of the API each command is, as data: one row for a command, or for an action of a command.

A value of a query or a body is the name of an argument, or what makes the value of the arguments. What is None is left
out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from troth.cli.remote import values
from troth.cli.remote.client import Ask, part

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    Source = str | Callable[[Namespace], object]

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_NO_PROXY = {"proxy": "the node connects by itself"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operation, and where what it takes comes from.

    Args:
        method: The HTTP method.
        path: The path below the API's, with `{arguments}`.
        query: What the query holds.
        body: What the body holds; None for no body.
        without: The arguments that the API has no word for, and why.
        patience: The argument that says how long the node may take, in seconds.
    """

    method: Method
    path: str
    query: Mapping[str, Source] = field(default_factory=dict)
    body: Mapping[str, Source] | None = None
    without: Mapping[str, str] = field(default_factory=dict)
    patience: str = ""

    def ask(self, args: Namespace, **more: object) -> Ask:
        """Make the request of a command's arguments; `more` is added to the query."""
        from argparse import Namespace

        refuse(self, args)
        given = Namespace(**{**vars(args), **more})
        return Ask(
            method=self.method,
            path=re.sub(r"\{(\w+)\}", lambda found: part(_value(found[1], given)), self.path),
            query={name: _value(each, args) for name, each in self.query.items()} | more,
            body=None if self.body is None else {name: _value(each, args) for name, each in self.body.items()},
            patience_s=3 * float(getattr(args, self.patience)) if self.patience else 0.0,
        )


def refuse(row: Row, args: Namespace) -> None:
    """Refuse arguments that cannot be honoured from afar: nothing is left out in silence.

    Raises:
        BadInput: There is one.
    """
    from troth.errors import BadInput

    for name, why in row.without.items():
        if getattr(args, name, None):
            raise BadInput(
                f"--{name.replace('_', '-')} cannot be used with --server.",
                why=why,
                next_command="run the command on the node itself",
            )


def _value(source: Source, args: Namespace) -> object:
    return getattr(args, source) if isinstance(source, str) else source(args)


_WHERE: dict[str, Source] = {"protocol": "starttls"}
ROWS: dict[str, Row] = {
    "check": Row(
        method="POST",
        path="/checks",
        body={
            "hosts": "hosts",
            "starttls": "starttls",
            "server_name": "server_name",
            "domain": "domain",
            "expect": values.expected,
            "timeout_s": "timeout",
        },
        without=_NO_PROXY,
        patience="timeout",
    ),
    "list": Row(
        method="GET",
        path="/entries",
        query={"domain": "domain"},
        without={"hints": "the API has no operation for hints"},
    ),
    "list revoked": Row(method="GET", path="/revocations"),
    "show": Row(
        method="GET",
        path="/entries/{endpoint}",
        query=_WHERE,
        without={"rejected": "the API gives the current certificates as PEM, and no others"},
    ),
    "show pem": Row(
        method="GET",
        path="/entries/{endpoint}/certificate",
        query=_WHERE,
        without={"rejected": "the API gives the current certificates as PEM, and no others"},
    ),
    "history": Row(method="GET", path="/entries/{what}/history", query=_WHERE),
    "pin": Row(
        method="POST",
        path="/entries/{endpoint}/pins",
        query=_WHERE,
        body={"expect": values.expected, "pem": values.pem, "kind": "kind", "domain": "domain"},
    ),
    "approve": Row(method="POST", path="/entries/{endpoint}/approval", query=_WHERE, body={"expect": values.expected}),
    "replace": Row(
        method="POST",
        path="/entries/{endpoint}/replacement",
        query=_WHERE,
        body={"expect": values.expected, "server_name": "server_name", "timeout_s": "timeout"},
        without=_NO_PROXY,
        patience="timeout",
    ),
    "announce": Row(
        method="POST",
        path="/entries/{endpoint}/announcements",
        query=_WHERE,
        body={"next": values.following, "kind": "kind"},
    ),
    "announce withdraw": Row(method="DELETE", path="/entries/{endpoint}/announcements/{fingerprint}", query=_WHERE),
    "revoke": Row(method="POST", path="/entries/{what}/revocation", query=_WHERE, body={"reason": "reason"}),
    "revoke fingerprint": Row(
        method="POST", path="/revocations", body={"fingerprint": values.named, "reason": "reason"}
    ),
    "delete": Row(method="DELETE", path="/entries/{endpoint}", query={**_WHERE, "next": values.following}),
    "policy show": Row(method="GET", path="/policies"),
    "policy responders": Row(method="GET", path="/ocsp-responders"),
    "policy entry": Row(method="GET", path="/entries/{what}", query=_WHERE),
    "policy set domain": Row(
        method="PATCH",
        path="/policies/{what}",
        body={
            "mode": values.setting("mode"),
            "pin": values.setting("pin"),
            "expired": values.setting("expired"),
            "revocation": "revocation",
        },
    ),
    "policy set": Row(
        method="PATCH",
        path="/entries/{place}/policy",
        query=_WHERE,
        body={"mode": "mode", "pin": "pin", "expired": "expired"},
        without={"domain": "the API puts no endpoint into another domain"},
    ),
    "export": Row(method="GET", path="/export", query={"format": "format"}),
    "import": Row(method="POST", path="/import", body={"text": "text", "format": "format", "name": values.file_name}),
    "journal verify": Row(method="GET", path="/journal/verification"),
    "journal export": Row(method="GET", path="/journal"),
    "ise list": Row(method="GET", path="/ise-servers"),
    "ise add": Row(
        method="POST",
        path="/ise-servers",
        body={
            "server": values.ise_server,
            "user": "user",
            "password": "password",
            "role": "role",
            "expect": values.expected,
            "timeout_s": "timeout",
            "untested": "untested",
        },
        patience="timeout",
    ),
    "ise test": Row(method="POST", path="/ise-servers/{server}/test", patience="timeout"),
    "ise remove": Row(method="DELETE", path="/ise-servers/{server}"),
    "user list": Row(method="GET", path="/users"),
    "user add": Row(
        method="POST", path="/users", body={"name": "name", "password": "password", "role": values.user_role}
    ),
    "user passwd": Row(method="PUT", path="/users/{name}/password", body={"password": "password"}),
    "user role": Row(method="PATCH", path="/users/{name}", body={"role": "value"}),
    "user enable": Row(method="PATCH", path="/users/{name}", body={"enabled": lambda _: True}),
    "user disable": Row(method="PATCH", path="/users/{name}", body={"enabled": lambda _: False}),
    "user delete": Row(method="DELETE", path="/users/{name}"),
    "user totp": Row(method="DELETE", path="/users/{name}/second-factor"),
    "user token": Row(
        method="POST",
        path="/tokens",
        body={"label": "label", "user": "name", "role": values.user_role, "days": "days"},
    ),
    "user tokens": Row(method="GET", path="/tokens"),
    "user revoke-token": Row(method="DELETE", path="/tokens/{name}"),
    "events": Row(
        method="GET",
        path="/events",
        query={
            "endpoint": "endpoint",
            "domain": "domain",
            "kind": values.event_kind,
            "since": values.since,
            "message": "message",
            "before": "before",
            "limit": "limit",
        },
    ),
    "silence list": Row(method="GET", path="/silences", query={"over": values.over}),
    "silence add": Row(
        method="POST",
        path="/silences",
        body={
            "until": values.until,
            "why": "why",
            "pattern": "what",
            "domain": "domain",
            "kind": values.event_kind,
        },
    ),
    "silence remove": Row(method="DELETE", path="/silences/{number}"),
    "status": Row(method="GET", path="/status"),
}
