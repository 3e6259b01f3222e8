"""`troth backup`: a whole node in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import output

if TYPE_CHECKING:
    import argparse

_EPILOG = """The node may run meanwhile. The file holds the node's keys: keep it where only you can read it.

example:
  troth backup /backup/troth-2026-11-24.tar
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", help="the file to write; it must not exist")


def run(args: argparse.Namespace) -> int:
    """Write the backup, read it again, and say what is in it."""
    from pathlib import Path

    from troth.node.backup import backup
    from troth.node.node import Node

    with Node() as node:
        manifest = backup(node, Path(args.file))
    if args.json:
        output.document("troth.backup/1", file=args.file, files=len(manifest.files), **manifest.facts)
    elif not args.quiet:
        facts = manifest.facts
        output.say(f"wrote  {args.file}: {len(manifest.files)} files, the journal up to record {facts['journal']}")
        output.note(f"it holds the node's keys; to use it: troth restore {args.file} --home DIR")
    return 0
