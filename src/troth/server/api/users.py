"""Users, their log-ins, tokens and second factors."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from troth.accounts.roles import Permission, Role
from troth.server.api.login import Text
from troth.server.api.words import RoleName, utc
from troth.server.operations import Operation

if TYPE_CHECKING:
    from troth.accounts.protocols import User
    from troth.server.operations import Call

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    name: str
    role: str
    enabled: bool
    second_factor: bool
    created_at: datetime
    password_set_at: datetime


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """All users."""

    users: list[UserView]


class NewUser(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A user to be added."""

    name: Name
    password: Text
    role: RoleName = "viewer"


class UserChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is to be another than it is; what is left out stays."""

    role: RoleName | None = None
    enabled: bool | None = None


class NewPassword(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A user's new password."""

    password: Text


def list_users(call: Call) -> UserList:
    """List them."""
    return UserList(users=[_user(each) for each in call.node.accounts.users.listing()])


def add_user(call: Call) -> UserView:
    """Add one."""
    asked: NewUser = call.body
    users = call.node.accounts.users
    return _user(users.create(asked.name, asked.password, Role.parse(asked.role), audit=call.node.audit))


def get_user(call: Call) -> UserView:
    """Show one."""
    return _user(call.node.accounts.users.get(call.path["name"]))


def change_user(call: Call) -> UserView:
    """Change a role, or whether a user may log in."""
    asked: UserChange = call.body
    users, name = call.node.accounts.users, call.path["name"]
    if asked.role is not None:
        users.set_role(name, Role.parse(asked.role), audit=call.node.audit)
    if asked.enabled is not None:
        users.set_enabled(name, enabled=asked.enabled, audit=call.node.audit)
    return _user(users.get(name))


def delete_user(call: Call) -> None:
    """Remove one."""
    call.node.accounts.users.delete(call.path["name"], audit=call.node.audit)


def set_password(call: Call) -> None:
    """Set another user's password."""
    asked: NewPassword = call.body
    call.node.accounts.users.set_password(call.path["name"], asked.password, audit=call.node.audit)


def remove_factor(call: Call) -> None:
    """Take a user's second factor away."""
    call.node.accounts.factor.remove(call.path["name"], audit=call.node.audit)


def _user(user: User) -> UserView:
    return UserView(
        name=user.name,
        role=user.role.value,
        enabled=user.enabled,
        second_factor=user.second_factor,
        created_at=utc(user.created_at),
        password_set_at=utc(user.password_set_at),
    )


_USERS = Permission.USERS
OPERATIONS = [
    Operation(
        method="GET",
        path="/users",
        name="listUsers",
        about="List the users.",
        tag="accounts",
        permission=_USERS,
        handler=list_users,
        result=UserList,
    ),
    Operation(
        method="POST",
        path="/users",
        name="addUser",
        about="Add a user.",
        tag="accounts",
        permission=_USERS,
        handler=add_user,
        body=NewUser,
        result=UserView,
        status=201,
        errors=(409,),
    ),
    Operation(
        method="GET",
        path="/users/{name}",
        name="getUser",
        about="Show a user.",
        tag="accounts",
        permission=_USERS,
        handler=get_user,
        result=UserView,
        errors=(404,),
    ),
    Operation(
        method="PATCH",
        path="/users/{name}",
        name="changeUser",
        about="Give a user another role, or let it log in or not.",
        tag="accounts",
        permission=_USERS,
        handler=change_user,
        body=UserChange,
        result=UserView,
        errors=(404, 409),
    ),
    Operation(
        method="DELETE",
        path="/users/{name}",
        name="deleteUser",
        about="Remove a user, with all log-ins and tokens.",
        tag="accounts",
        permission=_USERS,
        handler=delete_user,
        status=204,
        errors=(404, 409),
    ),
    Operation(
        method="PUT",
        path="/users/{name}/password",
        name="setPassword",
        about="Set a user's password, and end its log-ins.",
        tag="accounts",
        permission=_USERS,
        handler=set_password,
        body=NewPassword,
        status=204,
        errors=(404,),
    ),
    Operation(
        method="DELETE",
        path="/users/{name}/second-factor",
        name="removeSecondFactor",
        about="Take a user's second factor away.",
        tag="accounts",
        permission=_USERS,
        handler=remove_factor,
        status=204,
        errors=(404,),
    ),
]
