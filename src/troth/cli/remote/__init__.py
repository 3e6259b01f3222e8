"""`troth --server URL COMMAND`: the same commands, on another machine's node, over its REST API."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from troth.errors.base import TrothError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from troth.cli.remote.client import Client

    Work = Callable[[Client, Namespace], int]

VARIABLE, TOKEN_VARIABLE = "TROTH_SERVER", "TROTH_TOKEN_FILE"
# What is about this machine, and no node.
LOCAL = frozenset({"completion"})


def wanted(name: str, args: Namespace) -> str:
    """Give the server that a command is for; empty if it is for this machine."""
    named: str | None = args.remote
    return named if named is not None else "" if name in LOCAL else os.environ.get(VARIABLE, "")


def run(name: str, args: Namespace) -> int:
    """Run a command on the server; give its exit code.

    Raises:
        BadInput: The API has no operation for it.
        TrothError: What the server says, or why it could not be asked.
    """
    from troth.cli import common
    from troth.cli.remote.client import Client, server_of, token_of
    from troth.cli.remote.problems import ServerError

    # Python prints what nobody handles to standard error, where a rejection is said in our words.
    logging.getLogger("troth").addHandler(logging.NullHandler())
    work = _work(name, args)
    server = server_of(wanted(name, args))
    token = token_of(args.token_file or os.environ.get(TOKEN_VARIABLE))
    try:
        with common.store() as opened, Client(opened, server, token) as client:
            return work(client, args)
    except ServerError as error:
        error.next_command = aimed(error.next_command, args)
        raise
    except TrothError as error:
        _log_line(error, args)
        error.next_command = here(error.next_command, args)
        raise


def _log_line(error: TrothError, args: Namespace) -> None:
    """Say a rejection of the server as `troth check` says it where no person reads it: in one line for the log."""
    decision = getattr(error, "decision", None)
    if decision is not None and not args.json and not sys.stderr.isatty():
        from troth.cli import output
        from troth.trust import explain

        output.note(explain.log_line(decision))


def aimed(command: str, args: Namespace) -> str:
    """Give a next command that the server named with the server that this call was told to use."""
    import re
    import shlex

    from troth.cli.main import COMMANDS

    if not args.remote or not command:
        return command
    names = "|".join(COMMANDS)
    return re.sub(rf"\btroth ({names})\b", lambda found: f"{found[0]} --server {shlex.quote(args.remote)}", command)


def here(command: str, args: Namespace) -> str:
    """Give a next command that is for this machine, also where the environment names a server."""
    if args.remote is not None or not command.startswith("troth ") or not os.environ.get(VARIABLE):
        return command
    return f"{VARIABLE}= {command}"


def _work(name: str, args: Namespace) -> Work:
    from troth.cli.remote import node, trust

    found: Work | None = {**trust.WORKS, **node.WORKS}.get(name)
    if found is None:
        from troth.errors import BadInput

        raise BadInput(
            f"troth {name} cannot be run on a server from afar.",
            why="the REST API has no operation for it",
            next_command=f"run it on the node itself, without --server{'' if args.remote else ' and ' + VARIABLE}",
        )
    return found
