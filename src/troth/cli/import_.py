"""`troth import`: read trust from a file. Nothing is overwritten, un-revoked or revived."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

_FORMATS = ("toml", "json", "gnutls", "listcerts")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument("--format", choices=_FORMATS, help="default: seen from the file")
    parser.epilog = (
        "listcerts text holds subjects only: they become unverified hints, never pins; confirm each with troth check\n"
    )


def run(args: argparse.Namespace) -> int:
    """Import, and say what was taken over and what was not."""
    from troth import exchange
    from troth.formats import load

    document = load(_bytes(args.file), args.format, name=args.file)
    with common.store() as opened:
        done = exchange.take_over(opened, document, source=Path(args.file).name)
    if args.json:
        output.document("troth.import/1", **documents.imported(done, format=document.format))
    elif not args.quiet:
        output.say(f"imported  {len(done.added)} new, {done.same} known already, {done.hints} unverified hints")
        for text in done.revoked:
            output.say(f"  revoked  {text}")
        for hint in document.hints[:20]:
            output.say(f"  hint  {hint.endpoint}: confirm it with: troth check {hint.endpoint}")
        for name, each in done.policies.items():
            output.say(f"  policy  {name} is now {each.mode}, pins {each.pin}, expired {each.expired}")
    if not args.json:
        for text in done.warnings:
            output.note(f"{output.styled('note:', 'warn', sys.stderr)} {text}")
        for text in done.refused:
            output.note(f"{output.styled('not taken over:', 'warn', sys.stderr)} {text}")
    return 1 if done.refused else 0


def _bytes(path: str) -> bytes:
    from troth.errors import BadFile
    from troth.formats import MAX_BYTES

    try:
        if path == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadFile(f"{path} cannot be read.", why=error.strerror or str(error)) from None
