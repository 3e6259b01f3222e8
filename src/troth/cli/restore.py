"""`troth restore`: a node from a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import output

if TYPE_CHECKING:
    import argparse

_EPILOG = """Nothing is written over: the home must have no node in it. The backup is held against itself first, and the journal
in it once the database is there.

example:
  troth restore /backup/troth-2026-11-24.tar --home /var/lib/troth
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="a file that troth backup wrote")


def run(args: argparse.Namespace) -> int:
    """Make the node, and say how far it goes."""
    from pathlib import Path

    from troth.node.backup import restore
    from troth.node.home import here

    home = here()
    manifest = restore(home, Path(args.file))
    if args.json:
        output.document("troth.restore/1", home=str(home.path), **manifest.facts)
    elif not args.quiet:
        facts = manifest.facts
        output.say(f"restored  {facts['node']} of {facts['at']} into {home.path}, the journal up to {facts['journal']}")
        output.note(f"next: troth serve --home {home.path}")
    return 0
