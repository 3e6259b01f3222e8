"""`troth stop`: let a node finish what it does, and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--timeout",
        type=common.seconds,
        default=90.0,
        metavar="SECONDS",
        help="how long to wait for its end (default: 90)",
    )


def run(args: argparse.Namespace) -> int:
    """Ask the node to stop, and wait until it has."""
    from troth.node.home import Home, find
    from troth.node.launch import stop

    home = Home(find())
    stop(home, limit_s=args.timeout)
    if not args.quiet:
        output.say(f"stopped  {home.path}")
    return 0
