"""`troth announce`: expect a next certificate; what is current stays trusted until it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common
from troth.cli.pin import changed

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--next", metavar="FINGERPRINT", help="the fingerprint of the next certificate")
    what.add_argument("--withdraw", metavar="FINGERPRINT", help="take an announcement back")
    parser.add_argument(
        "--kind",
        choices=("key", "certificate"),
        default="certificate",
        help="what the fingerprint is of (default: certificate)",
    )


def run(args: argparse.Namespace) -> int:
    """Add or withdraw an announcement."""
    from troth import manage
    from troth.model.entry import PinKind

    fingerprint = common.fingerprint(args.next or args.withdraw, args.kind)
    with common.store() as opened:
        found = common.entry(opened, args)
        if args.withdraw:
            entry = manage.withdraw(opened, found, fingerprint)
        else:
            entry = manage.announce(opened, found, fingerprint, PinKind(args.kind))
    word = "withdrawn" if args.withdraw else "announced"
    return changed("troth.announce/1", args, f"{word}  {entry.endpoint}  {fingerprint}", entry)
