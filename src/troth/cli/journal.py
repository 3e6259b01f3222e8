"""`troth journal`: the record of every change of trust."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "action",
        choices=("verify", "export", "accept"),
        help="verify: check every hash, and the store against it; export: one JSON record a line;"
        " accept: go on with a store that was restored on purpose",
    )
    parser.add_argument("--empty", action="store_true", help="with accept: begin again with an empty store")
    parser.add_argument("--yes", action="store_true", help="with accept: do it; without, say what would be done")


def run(args: argparse.Namespace) -> int:
    """Verify, export, or accept."""
    if args.action == "accept":
        return _accept(args)
    with common.store() as opened:
        if args.action == "export":
            for record in opened.records():
                output.block(json.dumps(record.document(), ensure_ascii=True))
            return 0
        from troth.store.audit import audit

        found = audit(opened)
    if args.json:
        output.document(
            "troth.journal.verify/1",
            intact=not found.faults,
            records=found.records,
            head=found.head,
            faults=found.faults,
        )
    elif found.faults:
        for fault in found.faults:
            output.note(f"{output.styled('fault:', 'bad', sys.stderr)} {fault}")
    elif not args.quiet:
        output.say(f"intact  {found.records} records, {found.entries} entries; head {found.head}")
    return 7 if found.faults else 0


def _accept(args: argparse.Namespace) -> int:
    from troth.store.accept import accept

    done = accept(empty=args.empty, really=args.yes)
    if not args.quiet:
        output.say(done)
    return 0 if args.yes else 1
