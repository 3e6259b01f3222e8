"""`troth ise`: the ISE servers that this node asks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from troth.ise.models import Condition, Credentials, Server
    from troth.ise.servers import Servers
    from troth.store.protocol import TrustStore

_EPILOG = """examples:
  troth ise add ise.example.com --user monitor --expect sha256:…
  troth ise add 192.0.2.31 --user monitor --password-file /run/secrets/ise
  troth ise list
  troth ise test standby
  troth ise remove ise.example.com

The password is asked for twice on a terminal, or read from a file; it is never an argument. The user must be an internal
administrator of ISE in Super Admin, System Admin or MnT Admin.
"""
_MAX_PASSWORD_FILE = 4096


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("add", "list", "test", "remove"))
    parser.add_argument("server", nargs="?", metavar="SERVER", help="host, host:port, [v6]:port; or primary, standby")
    parser.add_argument("--user", metavar="USER", help="add: the user that asks")
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="add: where the password lies, - for standard input; else it is asked for",
    )
    parser.add_argument("--port", type=int, metavar="PORT", help="add: the port (default: 443)")
    parser.add_argument(
        "--role",
        choices=("primary", "standby"),
        help="add: the first is the primary by default, the second the standby",
    )
    common.add_expect(parser, required=False, about="add: the fingerprint (certificate or key) that it must have")
    parser.add_argument(
        "--timeout",
        type=common.seconds,
        default=15.0,
        metavar="SECONDS",
        help="add: the limit of one request (default: 15)",
    )
    parser.add_argument("--untested", action="store_true", help="add: put it on record without asking it anything")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    require_sense(args)
    if args.action == "add":
        return _add(args)
    return {"list": _list, "test": _test, "remove": _remove}[args.action](args)


@contextmanager
def node() -> Iterator[tuple[Servers, TrustStore]]:
    """Open the node that this call is about: its servers, and its trust store.

    Raises:
        ConfigUnusable: There is no node.
    """
    from troth.node.node import Node

    with Node() as opened:
        yield opened.ise, opened.store


def require_sense(args: argparse.Namespace) -> None:
    """Refuse what does not belong together.

    Raises:
        BadInput: Something is missing, or too much.
    """
    from troth.errors import BadInput

    if args.action in ("add", "remove") and not args.server:
        raise BadInput("Name the server.", next_command=f"troth ise {args.action} HOST")
    if args.action == "list" and args.server:
        raise BadInput("All servers are listed; there are two at most.", next_command="troth ise list")
    if args.action == "add" and not args.user:
        raise BadInput("Name the user that asks.", next_command=f"troth ise add {args.server} --user USER")
    given = (args.user, args.password_file, args.port, args.role, args.expect, args.untested or None)
    if args.action != "add" and any(each is not None for each in given):
        raise BadInput("These options belong to: troth ise add.", next_command="troth ise --help")


def _add(args: argparse.Namespace) -> int:
    from troth.errors import BadInput
    from troth.ise import actions
    from troth.ise.models import Role
    from troth.model.endpoint import Endpoint

    place = Endpoint.parse(args.server, default_port=args.port)
    if args.port is not None and place.port != args.port:
        raise BadInput(f"{args.server} names a port already, and it is not {args.port}.")
    expect = common.wanted(args)
    with node() as (servers, store):
        role = Role(args.role) if args.role else None
        servers.require_room(place, role)
        wish = actions.Wish(
            endpoint=Endpoint(place.host, place.port),
            credentials=_credentials(args),
            role=role,
            timeout_s=args.timeout,
            expect=expect,
            untested=args.untested,
        )
        made = actions.add(servers, store, wish)
    if args.json:
        output.document("troth.ise.add/1", server=documents.ise_server(made))
    elif not args.quiet:
        _show(made)
    return 0


def _list(args: argparse.Namespace) -> int:
    with node() as (servers, _):
        found = servers.all()
    if args.json:
        output.document("troth.ise.list/1", servers=[documents.ise_server(each) for each in found])
    elif not args.quiet and found:
        header = ("ROLE", "SERVER", "STATE", "SINCE", "VERSION", "NODE", "ACTIVE", "USER")
        output.table(header, [_row(each) for each in found])
        _notes(found)
    elif not found:
        output.note("no ISE server is on record; next: troth ise add HOST --user USER")
    return 0


def _test(args: argparse.Namespace) -> int:
    from troth.errors import NotFound
    from troth.ise import actions

    with node() as (servers, store):
        chosen = [servers.get(args.server)] if args.server else list(servers.all())
        if not chosen:
            raise NotFound("No ISE server is on record.", next_command="troth ise add HOST --user USER")
        found = [actions.examine(servers, store, each) for each in chosen]
    if args.json:
        output.document("troth.ise.test/1", servers=[documents.ise_server(each) for each in found])
    elif not args.quiet:
        for each in found:
            _show(each)
    if not args.json:
        _notes(found)
    codes = [exit_code(each.state.condition) for each in found]
    return next(code for code in common.WORST_FIRST if code in codes)


def _remove(args: argparse.Namespace) -> int:
    with node() as (servers, _):
        gone = servers.get(args.server)
        promoted = servers.remove(gone)
    if args.json:
        named = None if promoted is None else str(promoted.endpoint)
        output.document("troth.ise.remove/1", removed=str(gone.endpoint), primary=named)
    elif not args.quiet:
        output.say(f"removed  {gone.endpoint}")
        if promoted is not None:
            output.say(f"primary  {promoted.endpoint}, which was the standby")
        output.note(f"its certificate stays on record; to forget it: troth delete {gone.endpoint}")
    return 0


def _credentials(args: argparse.Namespace) -> Credentials:
    from troth.ise.models import Credentials

    password = read_password(args.password_file) if args.password_file else ask_password(args)
    return Credentials(args.user, password)


def read_password(path: str) -> str:
    """Read a password, or another secret of one line, from a file, or standard input for `-`.

    Raises:
        BadFile: It cannot be read, is too large, or is no text.
    """
    import os
    import stat
    from pathlib import Path

    from troth.errors import BadFile

    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MAX_PASSWORD_FILE + 1)
        else:
            with Path(path).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
                    output.note(f"{path} can be read by others; next: chmod 600 {path}")
                data = file.read(_MAX_PASSWORD_FILE + 1)
        text = data.decode()
    except OSError as error:
        raise BadFile(f"{path} cannot be read.", why=error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise BadFile(f"{path} holds no text in UTF-8.") from None
    if len(data) > _MAX_PASSWORD_FILE:
        raise BadFile(f"{path} is too large for a password.")
    return text.removesuffix("\n").removesuffix("\r")


def ask_password(args: argparse.Namespace) -> str:
    """Ask twice, without an echo; where there is no terminal nothing is asked."""
    import getpass

    from troth.errors import BadInput

    if not sys.stdin.isatty():
        raise BadInput(
            "There is no terminal to ask for the password.",
            next_command=f"troth ise add {args.server} --user {args.user} --password-file FILE",
        )
    first = getpass.getpass(f"Password of {ascii(args.user)[1:-1]}: ")
    if first != getpass.getpass("Once more: "):
        raise BadInput("The two passwords differ; nothing was stored.")
    return first


def exit_code(condition: Condition) -> int:
    """Give the exit code of a server's condition: that of the failure behind it."""
    from troth.ise.models import Condition

    codes = {
        Condition.REACHABLE: 0,
        Condition.CHANGED: 3,
        Condition.REJECTED: 3,
        Condition.UNAPPROVED: 4,
        Condition.CREDENTIALS_REFUSED: 6,
        Condition.WRONG_GROUP: 6,
        Condition.NOT_MONITORING: 1,
    }
    return codes.get(condition, 5)


def _show(server: Server) -> None:
    from troth.ise.models import Condition

    fine = server.state.condition is Condition.REACHABLE
    line = f"{output.styled(server.state.condition.value, 'good' if fine else 'bad')}  {server.role}  {server.endpoint}"
    if fine:
        found = server.findings
        line += f"  {found.version.version} ({found.version.node_type}), {found.counts.active} active"
    output.say(line)


def _row(server: Server) -> tuple[str, ...]:
    state, found = server.state, server.findings
    active = found.counts.active
    return (
        server.role.value,
        str(server.endpoint),
        state.condition.value,
        f"{state.since:%Y-%m-%d %H:%M}" if state.since else "-",
        found.version.version or "-",
        found.version.node_type.value,
        "-" if active is None else str(active),
        server.user,
    )


def _notes(servers: list[Server] | tuple[Server, ...]) -> None:
    for each in servers:
        if each.state.why:
            output.note(f"{each.endpoint}: {each.state.why}")
        if each.state.why and each.state.next_step:
            output.note(f"  next: {each.state.next_step}")
