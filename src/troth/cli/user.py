"""`troth user`: who may log in to this node, with what, and what they may do."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from troth.accounts.bundle import Accounts
    from troth.accounts.protocols import Audit
    from troth.accounts.tokens import Token

_EPILOG = """actions:
  list                 list the users
  add NAME             add a user; --role says what the user may do
  passwd NAME          set a user's password, and end the user's log-ins
  role NAME ROLE       give a user another role
  disable NAME         let a user not log in; tokens are good for nothing meanwhile
  enable NAME          let a user log in again
  delete NAME          remove a user, with all tokens
  totp NAME            set up a second factor; with --off take it away
  token NAME           make an API token, and print it once
  tokens [NAME]        list the API tokens
  revoke-token NUMBER  revoke an API token

roles:
  viewer         sees everything, changes nothing
  operator       checks, pins, approves, replaces, announces, deletes, revokes
  administrator  everything, also users, policies, CA stores and settings

examples:
  troth user add alice --role operator
  troth user passwd alice --password-file - < password.txt
  troth user token backup --label nightly --role viewer --days 30 > token.txt
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=tuple(_ACTIONS), metavar="ACTION", help="one of those below")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the user, or the number of a token")
    parser.add_argument("value", nargs="?", metavar="ROLE", help="with role: the new role")
    parser.add_argument("--role", metavar="ROLE", help="with add, token: viewer (default), operator or administrator")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="read the password from a file, or with - from standard input (default: ask twice)",
    )
    parser.add_argument("--off", action="store_true", help="with totp: take the second factor away")
    parser.add_argument("--code", metavar="CODE", help="with totp: the code that confirms what was set up before")
    parser.add_argument("--label", metavar="TEXT", help="with token: what it is for")
    parser.add_argument(
        "--days",
        type=int,
        default=90,
        metavar="N",
        help="with token: for how long it is good (default: 90, at most 366)",
    )


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    require_sense(args)
    action, _ = _ACTIONS[args.action]
    with opened() as (accounts, audit):
        return action(args, accounts, audit)


def require_sense(args: argparse.Namespace) -> None:
    """Refuse what does not belong together.

    Raises:
        BadInput: Something is missing, or too much.
    """
    from troth.errors import BadInput

    _, needs = _ACTIONS[args.action]
    if "name" in needs and args.name is None:
        raise BadInput("Name the user.", next_command=f"troth user {args.action} NAME")
    if ("value" in needs) != (args.value is not None):
        raise BadInput(
            "A new role is given to the action role, and to no other.", next_command="troth user role NAME ROLE"
        )


@contextmanager
def opened() -> Iterator[tuple[Accounts, Audit]]:
    """Open the accounts of the node that this call is about, and its journal.

    Raises:
        ConfigUnusable: There is no node.
    """
    from troth.node.node import Node

    with Node() as node:
        yield node.accounts, node.audit


def _list(args: argparse.Namespace, accounts: Accounts, _audit: Audit) -> int:
    users = accounts.users.listing()
    if args.json:
        output.document(
            "troth.user.list/1",
            users=[
                {
                    "name": each.name,
                    "role": each.role.value,
                    "enabled": each.enabled,
                    "second_factor": each.second_factor,
                    "created_at": _moment(each.created_at),
                    "password_set_at": _moment(each.password_set_at),
                }
                for each in users
            ],
        )
    elif not args.quiet:
        rows = [
            (
                each.name,
                each.role.value,
                "enabled" if each.enabled else "disabled",
                "yes" if each.second_factor else "no",
                _moment(each.password_set_at),
            )
            for each in users
        ]
        output.table(("NAME", "ROLE", "STATE", "SECOND FACTOR", "PASSWORD SET"), rows)
    return 0


def _add(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    from troth.accounts.names import fresh
    from troth.accounts.roles import Role

    role, name = Role.parse(args.role or "viewer"), fresh(args.name)
    user = accounts.users.create(name, _password(args, name), role, audit=audit)
    return _said(args, f"added  {user.name}, {user.role}")


def _passwd(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    user = accounts.users.get(args.name)
    accounts.users.set_password(user.name, _password(args, user.name), audit=audit)
    return _said(args, f"password set  {user.name}; all log-ins of the user have ended")


def _role(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    from troth.accounts.roles import Role

    user = accounts.users.set_role(args.name, Role.parse(args.value), audit=audit)
    return _said(args, f"set  {user.name}, {user.role}")


def _disable(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    user = accounts.users.set_enabled(args.name, enabled=False, audit=audit)
    return _said(args, f"disabled  {user.name}")


def _enable(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    user = accounts.users.set_enabled(args.name, enabled=True, audit=audit)
    return _said(args, f"enabled  {user.name}")


def _delete(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    accounts.users.delete(args.name, audit=audit)
    return _said(args, f"deleted  {args.name}")


def _totp(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    if args.off:
        accounts.factor.remove(args.name, audit=audit)
        return _said(args, f"second factor removed  {args.name}")
    code = args.code
    if not code:
        enrolment = accounts.factor.enrol(args.name)
        output.say(f"secret  {enrolment.secret}")
        output.say(f"uri     {enrolment.uri}")
        if not sys.stdin.isatty():
            output.note(f"next: troth user totp {args.name} --code CODE, with the code that the telephone shows")
            return 0
        output.note("Put this into the telephone's authenticator. Then type the code that it shows:")
        code = sys.stdin.readline().strip()
    for each in accounts.factor.confirm(args.name, code, audit=audit):
        output.say(f"recovery code  {each}")
    output.note("The second factor is in force. Each recovery code opens once; they are not shown again.")
    return 0


def _token(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    from datetime import timedelta

    from troth.accounts.roles import Role
    from troth.accounts.tokens import LONGEST_LIFE
    from troth.errors import BadInput

    if not args.label:
        raise BadInput("Say what the token is for.", next_command=f"troth user token {args.name} --label TEXT")
    if not 0 < args.days <= LONGEST_LIFE.days:
        raise BadInput(f"A token is good for 1 to {LONGEST_LIFE.days} days.")
    # Whoever can open the node's database may do everything already.
    secret, token = accounts.tokens.issue(
        args.name,
        label=args.label,
        role=Role.parse(args.role or "viewer"),
        ceiling=Role.ADMINISTRATOR,
        life=timedelta(days=args.days),
        audit=audit,
    )
    if args.json:
        output.document("troth.user.token/1", token=secret, **_described(token))
        return 0
    output.say(secret)
    output.note(f"token {token.id} of {token.name}, {token.role}, good until {_moment(token.expires_at)}")
    output.note("It is not shown again. Send it as: Authorization: Bearer TOKEN")
    return 0


def _tokens(args: argparse.Namespace, accounts: Accounts, _audit: Audit) -> int:
    tokens = accounts.tokens.listing(args.name or "")
    if args.json:
        output.document("troth.user.tokens/1", tokens=[_described(each) for each in tokens])
    elif not args.quiet:
        rows = [
            (
                str(each.id),
                each.name,
                each.label,
                each.role.value,
                "revoked" if each.revoked_at else _moment(each.expires_at),
                _moment(each.used_at) if each.used_at else "never",
            )
            for each in tokens
        ]
        output.table(("NUMBER", "USER", "LABEL", "ROLE", "GOOD UNTIL", "LAST USED"), rows)
    return 0


def _revoke_token(args: argparse.Namespace, accounts: Accounts, audit: Audit) -> int:
    from troth.errors import BadInput

    if not (args.name.isascii() and args.name.isdigit() and len(args.name) <= 18):
        raise BadInput("A token is revoked by its number.", next_command="troth user tokens")
    accounts.tokens.revoke(int(args.name), audit=audit)
    return _said(args, f"revoked  token {args.name}")


def _password(args: argparse.Namespace, name: str) -> str:
    """Get a new password: never from the arguments, which every user of the machine can read."""
    from troth.accounts.passwords import accept
    from troth.errors import BadInput

    if args.password_file:
        password = common.read_text(args.password_file).removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        import getpass

        password = getpass.getpass(f"New password for {name}: ")
        accept(password, name=name)
        if getpass.getpass("The same again: ") != password:
            raise BadInput("The two passwords are not the same; nothing was changed.")
    else:
        raise BadInput(
            "There is no terminal to ask for the password.",
            next_command=f"troth user {args.action} {name} --password-file FILE",
        )
    return password


def _described(token: Token) -> dict[str, object]:
    return {
        "number": token.id,
        "user": token.name,
        "label": token.label,
        "role": token.role.value,
        "created_at": _moment(token.created_at),
        "expires_at": _moment(token.expires_at),
        "used_at": _moment(token.used_at) if token.used_at else None,
        "revoked_at": _moment(token.revoked_at) if token.revoked_at else None,
    }


def _moment(value: datetime) -> str:
    from datetime import UTC

    from troth.trust.explain import moment

    return moment(value.astimezone(UTC))


def _said(args: argparse.Namespace, text: str) -> int:
    if not args.quiet:
        output.say(text)
    return 0


_ACTIONS: dict[str, tuple[Callable[[argparse.Namespace, Accounts, Audit], int], tuple[str, ...]]] = {
    "list": (_list, ()),
    "add": (_add, ("name",)),
    "passwd": (_passwd, ("name",)),
    "role": (_role, ("name", "value")),
    "disable": (_disable, ("name",)),
    "enable": (_enable, ("name",)),
    "delete": (_delete, ("name",)),
    "totp": (_totp, ("name",)),
    "token": (_token, ("name",)),
    "tokens": (_tokens, ()),
    "revoke-token": (_revoke_token, ("name",)),
}
