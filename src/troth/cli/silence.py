"""`troth silence`: what is expected for a while is not sent. It is listed all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output
from troth.cli.events import kind_of

if TYPE_CHECKING:
    import argparse

    from troth.notify.silences import Silence

_EPILOG = """what is silenced, for `add`:
  ise.example.com        a host, at all its ports
  ise.example.com:8443   one endpoint
  *.lab.example.com      the hosts below a name
  192.0.2.0/24           the hosts of a network
  or nothing, with --domain or --kind; all that is named must fit

examples:
  troth silence add '*.lab.example.com' --for 8h --why 'new certificates tonight'
  troth silence add --kind unreachable --domain devicemgmt --until 2030-01-31T18:00:00Z --why 'moving the racks'
  troth silence remove 3
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("list", "add", "remove"))
    parser.add_argument(
        "what", nargs="?", metavar="WHAT|NUMBER", help="for add: see below; for remove: the silence's number"
    )
    common.add_domain(parser, default=None)
    parser.add_argument("--kind", metavar="KIND", help="one kind of event alone")
    parser.add_argument("--for", dest="length", metavar="LENGTH", help="how long: 30m, 8h, 7d, 2w")
    parser.add_argument("--until", metavar="TIME", help="until when: 2030-01-31T18:00:00Z")
    parser.add_argument("--why", default="", metavar="TEXT", help="the reason; it is shown to whoever asks")
    parser.add_argument("--all", action="store_true", help="with list: also those that are over")


def run(args: argparse.Namespace) -> int:
    """List silences, set one, or end one."""
    from troth.cli import desk

    if args.action == "add":
        wanted = _wanted(args)
        with desk.opened() as here:
            found = [here.board.silence(_by(wanted, here.who))]
    elif args.action == "remove":
        number = number_of(args.what)
        with desk.opened() as here:
            found = [here.board.end_silence(number, who=here.who)]
    else:
        with desk.opened() as here:
            found = here.board.silences(over=args.all)
    if args.json:
        output.document("troth.silence/1", silences=[documents.silence(each, desk.now()) for each in found])
    elif not args.quiet:
        _print(args.action, found)
    return 0


def _wanted(args: argparse.Namespace) -> Silence:
    from troth.cli import desk
    from troth.errors import BadInput
    from troth.notify.silences import Silence, checked

    if (args.length is None) == (args.until is None):
        raise BadInput("Say how long, or until when.", next_command="troth silence add WHAT --for 8h --why TEXT")
    since = desk.now()
    until = since + desk.length(args.length) if args.length else desk.moment(args.until)
    return checked(
        Silence(
            pattern=args.what or "",
            domain=args.domain or "",
            kind=kind_of(args.kind),  # type: ignore[arg-type]  # a Kind, or None
            why=args.why,
            who="somebody",
            since=since,
            until=until,
        )
    )


def _by(silence: Silence, who: str) -> Silence:
    from dataclasses import replace

    return replace(silence, who=who)


def number_of(text: str | None) -> int:
    """Read a silence's number.

    Raises:
        BadInput: It is none.
    """
    from troth.errors import BadInput

    if not (text and text.isascii() and text.isdigit() and len(text) < 16):
        raise BadInput("Name the silence by its number.", next_command="troth silence list")
    return int(text)


def _print(action: str, found: list[Silence]) -> None:
    from troth.notify.board import described
    from troth.trust.explain import moment

    if action != "list":
        word = "set" if action == "add" else "ended"
        output.say(f"{word}  silence {found[0].id}: {described(found[0])}, until {moment(found[0].end)}")
    elif not found:
        output.note("no silences")
    else:
        rows = [(str(each.id), described(each), moment(each.end), each.who, each.why) for each in found]
        output.table(("ID", "HIDES", "UNTIL", "BY", "WHY"), rows)
