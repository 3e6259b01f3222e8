"""Logging in and out, and who one is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec

from troth.accounts.roles import GRANTS, Permission
from troth.server.cookies import ended_cookie, login_cookie
from troth.server.operations import Answer, Operation

if TYPE_CHECKING:
    from troth.server.operations import Call

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Short = Annotated[str, msgspec.Meta(max_length=64)]


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A user's name and password; and a code, where the user has a second factor."""

    name: Text
    password: Text
    code: Short = ""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who one is, and what one may do."""

    name: str
    role: str
    permissions: list[str]
    means: str


def log_in(call: Call) -> Answer:
    """Let a user in."""
    asked: LoginRequest = call.body
    door = call.node.accounts.door
    attempt = door.knock(asked.name, call.address)
    time.sleep(attempt.delay.total_seconds())
    secret, who = door.enter(
        attempt, asked.password, code=asked.code, agent=call.agent, replaces=call.login, audit=call.node.audit
    )
    return Answer(result=_who(who.name, who.role, who.means), cookie=login_cookie(secret))


def log_out(call: Call) -> Answer:
    """End the caller's log-in."""
    if call.login:
        call.node.accounts.sessions.end(call.login)
    return Answer(cookie=ended_cookie())


def me(call: Call) -> Who:
    """Say who the caller is."""
    return _who(call.caller.name, call.caller.role, call.caller.means)


def _who(name: str, role: object, means: str) -> Who:
    return Who(
        name=name,
        role=str(role),
        permissions=sorted(each.value for each in GRANTS[role]),  # type: ignore[index]  # a Role
        means=means,
    )


OPERATIONS = [
    Operation(
        method="POST",
        path="/login",
        name="logIn",
        proves=True,
        about="Log in, and get a cookie for it.",
        tag="accounts",
        permission=None,
        handler=log_in,
        body=LoginRequest,
        result=Who,
        errors=(401, 403),
    ),
    Operation(
        method="POST",
        path="/logout",
        name="logOut",
        about="End this log-in.",
        tag="accounts",
        permission=Permission.OWN_ACCOUNT,
        handler=log_out,
        status=204,
    ),
    Operation(
        method="GET",
        path="/me",
        name="me",
        about="Say who the caller is.",
        tag="accounts",
        permission=Permission.OWN_ACCOUNT,
        handler=me,
        result=Who,
    ),
]
