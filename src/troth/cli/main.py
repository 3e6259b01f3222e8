"""`troth`: finds the command, runs it, and turns failures into a message and an exit code.

The rules of this interface: results go to standard output, everything else to standard error. A message says what
happened, why, and the next command. `--json` prints one document and nothing else. Nothing is ever asked where there is
no terminal.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from troth.errors.base import TrothError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: dict[str, str] = {
    "init": "make a node",
    "serve": "run a node in the foreground",
    "status": "show how a node and its parts do",
    "stop": "let a node finish what it does, and end",
    "backup": "write a whole node into one file",
    "restore": "make a node from a backup",
    "check": "connect to a host, hold its certificate against the record, and record it",
    "list": "list what is on record",
    "show": "show everything about one endpoint",
    "history": "show what happened to the trust in one endpoint",
    "pin": "trust a certificate, key or CA beforehand",
    "approve": "release an endpoint from quarantine",
    "replace": "swap the certificate on record for the one that you expect",
    "announce": "expect a next certificate",
    "revoke": "never accept a certificate or key again",
    "delete": "forget an endpoint",
    "policy": "show or set how endpoints are checked",
    "export": "write the trust store to a file",
    "import": "read trust from a file",
    "journal": "verify or export the record of every change",
    "key": "show, make, request, import or activate the keys and certificates of this node",
    "ise": "add, list, test or remove the ISE servers that are asked",
    "user": "show and change who may log in to a node, and the API tokens",
    "events": "list what the watch found, and what became of it",
    "silence": "keep what is expected from being sent, for a while",
    "mail": "show, set or test where messages go: mail, webhooks, syslog",
    "completion": "print the shell's completion script",
    "demo": "see it all happen, on this machine, with a real TLS server",
}

EXIT_CODES = """exit codes:
  0  ok
  1  a negative answer: not found
  2  the words of the call cannot be used
  3  rejected: the certificate is not the trusted one
  4  waits for approval
  5  unreachable, or out of time
  6  not authenticated or not allowed
  7  the configuration or the trust store cannot be used
130  interrupted
"""


class Command(Protocol):
    """What each file of this folder holds."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Run, and give the exit code."""


def entry() -> NoReturn:
    """Run the `troth` command line of this process."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line and give its exit code."""
    return guarded(lambda: _dispatch(list(argv)), as_json="--json" in argv)


def guarded(run: object, *, as_json: bool) -> int:
    """Run something, and turn what goes wrong into a message and an exit code; there is never a traceback.

    The code is that of what was done. Only where that is 0 does it say that the result could not be written.
    """
    from troth.cli.streams import steady

    with steady() as (out, _):
        code = _run_guarded(run, as_json=as_json)
        out.flush()
        if code == 0 and out.broken is not None and not out.reader_left:
            from troth.cli.output import complain
            from troth.errors import BadOutput

            error = BadOutput("What was asked was done, but the result could not be written.", why=str(out.broken))
            complain(error, as_json=as_json)
            return error.exit_code
    return code


def _run_guarded(run: object, *, as_json: bool) -> int:
    from troth.cli.output import complain, complain_unforeseen

    try:
        return cast("int", run())  # type: ignore[operator]
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except TrothError as error:
        complain(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        from troth.errors import Interrupted

        stopped = Interrupted("Interrupted; nothing that was not confirmed was stored.")
        complain(stopped, as_json=as_json)
        return stopped.exit_code
    except Exception as error:  # noqa: BLE001  # a traceback helps no administrator; the code can be searched for
        return complain_unforeseen(error, as_json=as_json)


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are errors like all others: with a code, a next command, and no control character."""

    _width = 100

    def _get_formatter(self) -> argparse.HelpFormatter:
        # Each argument that is added makes one; left to itself, each would ask how wide the terminal is.
        return self.formatter_class(prog=self.prog, width=self._width)  # type: ignore[call-arg]  # all of them take it

    def format_help(self) -> str:
        """Give the help, as wide as the terminal."""
        import shutil

        self._width = shutil.get_terminal_size().columns - 2
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Refuse a call."""
        from troth.errors import BadInput

        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        raise BadInput(f"{_sentence(message.rstrip('.'))}", why=f"usage: {usage}", next_command=f"{self.prog} --help")


def load(name: str) -> Command:
    """Import one command."""
    return cast(
        "Command", importlib.import_module(f"troth.cli.{name}_" if name in ("import",) else f"troth.cli.{name}")
    )


def parser_for(name: str) -> argparse.ArgumentParser:
    """Make the parser of one command."""
    parser = Parser(
        prog=f"troth {name}",
        description=_sentence(COMMANDS[name]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")
    parser.add_argument("--home", metavar="DIR", help="the folder of the trust store (default: $TROTH_HOME, else XDG)")
    parser.add_argument(
        "--server", dest="remote", metavar="URL", help="run it on this node, from afar (default: $TROTH_SERVER)"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="where the API token for --server lies (default: $TROTH_TOKEN_FILE)"
    )
    load(name).configure(parser)
    return parser


def usage() -> str:
    """Give the text of `troth --help`."""
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {about}" for name, about in COMMANDS.items())
    return (
        "usage: troth COMMAND …\n\n"
        "Keeps the trust between a management server and the hosts it works with.\n\n"
        f"commands:\n{rows}\n\n"
        "troth --server URL COMMAND … runs it on another machine's node, over its REST API.\n"
        "troth COMMAND --help tells all about one command. ncs speaks the incumbent's grammar.\n\n"
        f"{EXIT_CODES}\n"
        "example:\n"
        "  troth check ise.example.com\n"
        "  troth replace ise.example.com --expect sha256:…\n"
    )


def _dispatch(given: list[str]) -> int:
    leading, argv = _leading(given)
    if not argv or argv[0] in ("-h", "--help", "help"):
        if len(argv) > 1 and argv[1] in COMMANDS:
            parser_for(argv[1]).print_help()
            return 0
        sys.stdout.write(usage())
        return 0 if argv else 2
    if argv[0] in ("--version", "-V", "version"):
        from troth._version import __version__

        sys.stdout.write(f"troth {__version__}\n")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        _unknown(name)
    args = parser_for(name).parse_args([*leading, *argv[1:]])
    if args.home:
        os.environ["TROTH_HOME"] = args.home
    if args.remote is not None or os.environ.get("TROTH_SERVER"):
        from troth.cli import remote

        if remote.wanted(name, args):
            return remote.run(name, args)
    try:
        return load(name).run(args)
    except TrothError as error:
        error.next_command = at_home(error.next_command, args.home)
        raise


def _leading(argv: list[str]) -> tuple[list[str], list[str]]:
    """Part what may stand before the command from the rest, which begins with the command."""
    rest = argv
    found: list[str] = []
    while rest and rest[0].partition("=")[0] in ("--server", "--token-file"):
        taken = 1 if "=" in rest[0] else 2
        found, rest = found + rest[:taken], rest[taken:]
    return found, rest


def at_home(command: str, home: str | None) -> str:
    """Give a next command with the store that this call was told to use: in a plain shell it must work as well."""
    if not home or not command:
        return command
    import re
    import shlex

    names = "|".join(COMMANDS)
    # Taken as it stands: a folder's name may hold what is special in a replacement.
    return re.sub(rf"\btroth ({names})\b", lambda found: f"{found[0]} --home {shlex.quote(home)}", command)


def _unknown(name: str) -> NoReturn:
    import difflib

    from troth.errors import BadInput

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    if name.startswith("-"):
        raise BadInput(f"{name} stands before the command.", next_command="troth COMMAND … OPTIONS; see troth --help")
    raise BadInput(f"{name!r} is no command of troth.", next_command=f"troth {near[0]}" if near else "troth --help")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
