"""`troth delete`: forget an endpoint. It leaves a tombstone, so that nobody is trusted blindly in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output
from troth.cli.pin import changed

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    parser.add_argument(
        "--next", metavar="FINGERPRINT", help="the certificate that may be trusted there without approval"
    )


def run(args: argparse.Namespace) -> int:
    """Delete, and say what happens at the next connection."""
    from troth import manage
    from troth.model.fingerprint import Fingerprint

    successor = Fingerprint.parse(args.next) if args.next else None
    with common.store() as opened:
        entry = manage.delete(opened, common.entry(opened, args), successor)
    changed("troth.delete/1", args, f"deleted  {entry.endpoint}", entry)
    if not args.json and not args.quiet:
        output.note(
            f"  at the next connection, only {successor} is trusted without approval"
            if successor
            else f"  its next certificate waits in quarantine: troth approve {entry.endpoint} --expect FINGERPRINT"
        )
    return 0
