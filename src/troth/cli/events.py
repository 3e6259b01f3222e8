"""`troth events`: what the watch found, and what became of it. Silenced events are listed, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.notify.board import Query
    from troth.notify.events import Filed

_EPILOG = """examples:
  troth events list --since 24h
  troth events list --endpoint ise.example.com --kind changed
  troth events list --message 17      (all events of a message that lists only the first)
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", nargs="?", choices=("list",), default="list")
    parser.add_argument("--endpoint", metavar="HOST[:PORT]", help="those of one endpoint, or of all ports of a host")
    common.add_domain(parser, default=None)
    parser.add_argument("--kind", metavar="KIND", help="changed, unapproved, expiring, unreachable, recovered, …")
    parser.add_argument(
        "--since", metavar="LENGTH|TIME", help="those of the last 24h, 7d, …, or since 2030-01-31T18:00:00Z"
    )
    parser.add_argument("--message", type=int, metavar="NUMBER", help="those of one message")
    parser.add_argument(
        "--before", type=int, metavar="NUMBER", help="those before the event of this number: the next page"
    )
    parser.add_argument("--limit", type=int, default=100, metavar="NUMBER", help="at most so many (default: 100)")


def run(args: argparse.Namespace) -> int:
    """List events, the newest first."""
    from troth.cli import desk

    query = _query(args)
    with desk.opened() as here:
        found = here.board.events(query)
    if args.json:
        output.document("troth.events/1", events=[documents.event(each) for each in found])
    elif not args.quiet:
        _print(found)
    return 0


def kind_of(text: str | None) -> object:
    """Read a kind of event.

    Raises:
        BadInput: It is none.
    """
    from troth.errors import BadInput
    from troth.notify.events import Kind

    if text is None:
        return None
    try:
        return Kind(text)
    except ValueError:
        raise BadInput(f"{text[:40]!a} is no kind of event.", why="known are " + ", ".join(Kind)) from None


def _query(args: argparse.Namespace) -> Query:
    from troth.cli import desk
    from troth.notify.board import Query, whereabouts

    host = port = since = None
    if args.endpoint:
        host, port = whereabouts(args.endpoint)
    if args.since:
        since = desk.moment(args.since) if "T" in args.since else desk.now() - desk.length(args.since)
    return Query(
        host=host,
        port=port,
        domain=args.domain,
        kind=kind_of(args.kind),  # type: ignore[arg-type]  # a Kind, or None
        since=since,
        message=args.message,
        before=args.before,
        limit=args.limit,
    )


def _print(found: list[Filed]) -> None:
    from troth.model.text import printable
    from troth.trust.explain import moment

    if not found:
        output.note("no events")
        return
    rows = [
        (
            str(each.id),
            moment(each.event.at),
            each.event.severity.value,
            each.event.kind.value,
            f"silence {each.silence}" if each.silence else f"message {each.message}" if each.message else "waits",
            printable(each.event.what, 120),
        )
        for each in found
    ]
    output.table(("ID", "AT", "SEVERITY", "KIND", "TOLD", "WHAT"), rows)
