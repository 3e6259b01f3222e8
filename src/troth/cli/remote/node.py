"""The commands about the node itself, from afar: ISE servers, users, events, silences, and how it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from troth.cli import common, output
from troth.cli.remote import render
from troth.cli.remote.problems import ServerError
from troth.cli.remote.table import ROWS
from troth.cli.remote.trust import finish

if TYPE_CHECKING:
    from argparse import Namespace

    from troth.cli.remote import Work
    from troth.cli.remote.client import Client

    Document = dict[str, Any]

# What the node answers where an ISE server failed, and not the node or the caller.
_UPSTREAM = (502, 504)
_BUSY = "TROTH-544"


def ise(client: Client, args: Namespace) -> int:
    """Do what `troth ise` does."""
    from troth.cli.ise import require_sense

    require_sense(args)
    return {"add": _add_ise, "list": _list_ise, "test": _test_ise, "remove": _remove_ise}[args.action](client, args)


def _add_ise(client: Client, args: Namespace) -> int:
    from troth.cli.ise import ask_password, read_password

    args.password = read_password(args.password_file) if args.password_file else ask_password(args)
    made = client.json(ROWS["ise add"].ask(args))
    if not args.json and not args.quiet:
        render.ise_line(made)
    return finish(args, "troth.ise.add/1", {"server": made})


def _list_ise(client: Client, args: Namespace) -> int:
    found = client.json(ROWS["ise list"].ask(args))["servers"]
    if not args.json and not args.quiet:
        render.ise_servers(found)
    return finish(args, "troth.ise.list/1", {"servers": found})


def _test_ise(client: Client, args: Namespace) -> int:
    from troth.cli.ise import exit_code
    from troth.errors import NotFound
    from troth.ise.models import Condition

    names = [args.server] if args.server else [each["endpoint"] for each in _servers(client, args)]
    if not names:
        raise NotFound("No ISE server is on record.", next_command="troth ise add HOST --user USER")
    found = [_examined(client, args, each) for each in names]
    if not args.json and not args.quiet:
        for each in found:
            render.ise_line(each)
    if not args.json:
        render.ise_notes(found)
    finish(args, "troth.ise.test/1", {"servers": found})
    codes = [exit_code(Condition(each["state"])) for each in found]
    return next(code for code in common.WORST_FIRST if code in codes)


def _examined(client: Client, args: Namespace, name: str) -> Document:
    """Have a server asked; where it fails, that is its state, and no failure of the command."""
    from argparse import Namespace

    try:
        return client.json(ROWS["ise test"].ask(Namespace(**{**vars(args), "server": name})))
    except ServerError as error:
        if error.status not in _UPSTREAM and error.code != _BUSY:
            raise
        known = _servers(client, args)
        found = [
            each for each in known if name in (each["endpoint"], each["role"], each["endpoint"].rpartition(":")[0])
        ]
        if not found:
            raise
        return found[0]


def _servers(client: Client, args: Namespace) -> list[Document]:
    found: list[Document] = client.json(ROWS["ise list"].ask(args))["servers"]
    return found


def _remove_ise(client: Client, args: Namespace) -> int:
    found = client.json(ROWS["ise remove"].ask(args))
    lines = [f"removed  {found['removed']}"]
    if found["primary"]:
        lines.append(f"primary  {found['primary']}, which was the standby")
    finish(args, "troth.ise.remove/1", found, *lines)
    if not args.json and not args.quiet:
        output.note(f"its certificate stays on record; to forget it: troth delete {found['removed']}")
    return 0


def user(client: Client, args: Namespace) -> int:
    """Do what `troth user` does."""
    from troth.cli.user import require_sense
    from troth.errors import BadInput

    require_sense(args)
    if args.action in ("add", "passwd"):
        args.password = _new_password(args)
    if args.action == "token" and not args.label:
        raise BadInput("Say what the token is for.", next_command=f"troth user token {args.name} --label TEXT")
    if args.action == "totp" and not args.off:
        raise BadInput(
            "A second factor is set up by its user.",
            why="the API asks for the user's own password",
            next_command=f"on the node: troth user totp {args.name}; or the user does it on the node's pages",
        )
    found = _in_seconds(client.json(ROWS[f"user {args.action}"].ask(args)))
    if args.action == "list":
        if not args.json and not args.quiet:
            render.users(found["users"])
        return finish(args, "troth.user.list/1", found)
    if args.action == "tokens":
        tokens = [each for each in found["tokens"] if args.name in (None, "", each["user"])]
        if not args.json and not args.quiet:
            render.tokens(tokens)
        return finish(args, "troth.user.tokens/1", {"tokens": tokens})
    if args.action == "token":
        if args.json:
            output.document("troth.user.token/1", token=found["token"], **found["about"])
        else:
            render.token(found)
        return 0
    if not args.quiet:
        output.say(_DONE[args.action].format(args=args, **{"name": args.name, "role": "", **found}))
    return 0


_DONE = {
    "add": "added  {name}, {role}",
    "passwd": "password set  {name}; all log-ins of the user have ended",
    "role": "set  {name}, {role}",
    "disable": "disabled  {name}",
    "enable": "enabled  {name}",
    "delete": "deleted  {name}",
    "totp": "second factor removed  {name}",
    "revoke-token": "revoked  token {name}",
}


def _new_password(args: Namespace) -> str:
    """Get a new password; whether it is good enough, the node says."""
    import getpass
    import sys

    from troth.errors import BadInput

    if args.password_file:
        return common.read_text(args.password_file).removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise BadInput(
            "There is no terminal to ask for the password.",
            next_command=f"troth user {args.action} {args.name} --password-file FILE",
        )
    password = getpass.getpass(f"New password for {ascii(args.name)[1:-1]}: ")
    if getpass.getpass("The same again: ") != password:
        raise BadInput("The two passwords are not the same; nothing was changed.")
    return password


def _in_seconds(value: Any) -> Any:
    """Give a document's times to the second, as the commands write them."""
    if isinstance(value, dict):
        return {
            name: _second(each) if name.endswith("_at") and isinstance(each, str) else _in_seconds(each)
            for name, each in value.items()
        }
    return [_in_seconds(each) for each in value] if isinstance(value, list) else value


def _second(text: str) -> str:
    whole, point, _ = text.partition(".")
    return whole + "Z" if point else text


def events(client: Client, args: Namespace) -> int:
    """List events, the newest first."""
    found = client.json(ROWS["events"].ask(args))
    if not args.json and not args.quiet:
        render.events(found["events"])
    return finish(args, "troth.events/1", found)


def silence(client: Client, args: Namespace) -> int:
    """List silences, set one, or end one."""
    if args.action == "remove":
        from troth.cli.silence import number_of

        args.number = number_of(args.what)
    found = client.json(ROWS[f"silence {args.action}"].ask(args))
    silences = found["silences"] if args.action == "list" else [found]
    if not args.json and not args.quiet:
        render.silences(args.action, silences)
    return finish(args, "troth.silence/1", {"silences": silences})


def status(client: Client, args: Namespace) -> int:
    """Say how the node does; exit code 0 if every part runs, 1 if not."""
    from troth.cli.status import show

    found = client.json(ROWS["status"].ask(args))
    if args.json:
        output.document(**found)
    elif not args.quiet:
        show(found)
    return 0 if found.get("state") == "running" else 1


WORKS: dict[str, Work] = {
    "ise": ise,
    "user": user,
    "events": events,
    "silence": silence,
    "status": status,
}
