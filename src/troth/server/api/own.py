"""One's own account: password, second factor, log-ins, and API tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from troth.accounts.roles import Permission, Role
from troth.accounts.tokens import LONGEST_LIFE
from troth.errors import BadInput
from troth.server.api.login import Short, Text
from troth.server.api.words import RoleName, number, utc
from troth.server.operations import Operation

if TYPE_CHECKING:
    from troth.accounts.sessions import Login
    from troth.accounts.tokens import Token
    from troth.server.operations import Call


class OwnPassword(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The caller's new password, and what proves that the caller is who the log-in says."""

    old: Text
    password: Text
    code: Short = ""


class Proof(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The caller's password; and a code, where there is a second factor already."""

    password: Text
    code: Short = ""


class EnrolmentView(msgspec.Struct, frozen=True, kw_only=True):
    """What the telephone needs; shown once."""

    secret: str
    uri: str


class Code(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A code that the telephone shows."""

    code: Short


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Codes for when the telephone is lost; each opens once, and they are shown once."""

    recovery_codes: list[str]


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, without the token itself."""

    number: int
    user: str
    label: str
    role: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """API tokens."""

    tokens: list[TokenView]


class NewToken(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A token to be made; it may do no more than the caller."""

    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    user: Annotated[str, msgspec.Meta(max_length=64)] = ""
    role: RoleName = "viewer"
    days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_LIFE.days)] = 90


class MadeToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was made, and the token itself, shown once."""

    token: str
    about: TokenView


class LoginView(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in that has not ended."""

    number: int
    user: str
    begun_at: datetime
    seen_at: datetime
    source: str
    agent: str


class LoginList(msgspec.Struct, frozen=True, kw_only=True):
    """Log-ins."""

    logins: list[LoginView]


def set_own_password(call: Call) -> None:
    """Set the caller's own password, after the old one was proved."""
    asked: OwnPassword = call.body
    _prove(call, asked.old, asked.code)
    call.node.accounts.users.set_password(call.caller.name, asked.password, audit=call.node.audit)


def enrol(call: Call) -> EnrolmentView:
    """Begin a second factor of the caller's."""
    asked: Proof = call.body
    _prove(call, asked.password, asked.code)
    made = call.node.accounts.factor.enrol(call.caller.name)
    return EnrolmentView(secret=made.secret, uri=made.uri)


def confirm(call: Call) -> RecoveryCodes:
    """Put the second factor in force."""
    asked: Code = call.body
    codes = call.node.accounts.factor.confirm(call.caller.name, asked.code, audit=call.node.audit)
    return RecoveryCodes(recovery_codes=codes)


def list_tokens(call: Call) -> TokenList:
    """List the caller's tokens; an administrator sees all."""
    everybody = call.caller.role.allows(Permission.USERS)
    found = call.node.accounts.tokens.listing("" if everybody else call.caller.name)
    return TokenList(tokens=[_token(each) for each in found])


def make_token(call: Call) -> MadeToken:
    """Make a token for the caller; an administrator makes them for others too."""
    asked: NewToken = call.body
    user = asked.user or call.caller.name
    if user != call.caller.name and not call.caller.role.allows(Permission.USERS):
        raise BadInput("A token is made for oneself.", next_command="leave the user out")
    secret, token = call.node.accounts.tokens.issue(
        user,
        label=asked.label,
        role=Role.parse(asked.role),
        ceiling=call.caller.role,
        life=timedelta(days=asked.days),
        audit=call.node.audit,
    )
    return MadeToken(token=secret, about=_token(token))


def revoke_token(call: Call) -> None:
    """Revoke one of the caller's tokens; an administrator revokes any."""
    everybody = call.caller.role.allows(Permission.USERS)
    of = "" if everybody else call.caller.name
    call.node.accounts.tokens.revoke(number(call.path["number"]), of=of, audit=call.node.audit)


def list_logins(call: Call) -> LoginList:
    """List the caller's log-ins."""
    return LoginList(logins=[_login(each) for each in call.node.accounts.sessions.listing(call.caller.name)])


def end_login(call: Call) -> None:
    """End one of the caller's log-ins."""
    call.node.accounts.sessions.end_one(call.caller.name, number(call.path["number"]), audit=call.node.audit)


def _prove(call: Call, password: str, code: str) -> None:
    import time

    door = call.node.accounts.door
    attempt = door.knock(call.caller.name, call.address)
    time.sleep(attempt.delay.total_seconds())
    door.prove(attempt, password, code=code, audit=call.node.audit)


def _token(token: Token) -> TokenView:
    return TokenView(
        number=token.id,
        user=token.name,
        label=token.label,
        role=token.role.value,
        created_at=utc(token.created_at),
        expires_at=utc(token.expires_at),
        used_at=utc(token.used_at) if token.used_at else None,
        revoked_at=utc(token.revoked_at) if token.revoked_at else None,
    )


def _login(login: Login) -> LoginView:
    return LoginView(
        number=login.id,
        user=login.name,
        begun_at=utc(login.begun_at),
        seen_at=utc(login.seen_at),
        source=login.source,
        agent=login.agent,
    )


_OWN = Permission.OWN_ACCOUNT
OPERATIONS = [
    Operation(
        method="PUT",
        path="/me/password",
        name="setOwnPassword",
        proves=True,
        about="Set one's own password; all one's log-ins end.",
        tag="accounts",
        permission=_OWN,
        handler=set_own_password,
        body=OwnPassword,
        status=204,
    ),
    Operation(
        method="POST",
        path="/me/second-factor",
        name="enrolSecondFactor",
        proves=True,
        about="Begin a second factor (TOTP, RFC 6238).",
        tag="accounts",
        permission=_OWN,
        handler=enrol,
        body=Proof,
        result=EnrolmentView,
    ),
    Operation(
        method="PUT",
        path="/me/second-factor",
        name="confirmSecondFactor",
        about="Put the second factor in force, with a code of it.",
        tag="accounts",
        permission=_OWN,
        handler=confirm,
        body=Code,
        result=RecoveryCodes,
    ),
    Operation(
        method="GET",
        path="/me/logins",
        name="listLogins",
        about="List one's log-ins.",
        tag="accounts",
        permission=_OWN,
        handler=list_logins,
        result=LoginList,
    ),
    Operation(
        method="DELETE",
        path="/me/logins/{number}",
        name="endLogin",
        about="End one of one's log-ins.",
        tag="accounts",
        permission=_OWN,
        handler=end_login,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/tokens",
        name="listTokens",
        about="List API tokens: one's own, or as administrator all.",
        tag="accounts",
        permission=_OWN,
        handler=list_tokens,
        result=TokenList,
    ),
    Operation(
        method="POST",
        path="/tokens",
        name="makeToken",
        about="Make an API token; it is shown this once.",
        tag="accounts",
        permission=_OWN,
        handler=make_token,
        body=NewToken,
        result=MadeToken,
        status=201,
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/tokens/{number}",
        name="revokeToken",
        about="Revoke an API token.",
        tag="accounts",
        permission=_OWN,
        handler=revoke_token,
        status=204,
        errors=(404,),
    ),
]
