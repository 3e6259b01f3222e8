"""`troth history`: what happened to the trust in one endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)


def run(args: argparse.Namespace) -> int:
    """Show the journal's records about an endpoint, oldest first."""
    from troth.store.journal import subject_of
    from troth.store.rows import from_us
    from troth.trust.explain import moment

    with common.store() as opened:
        entry = common.entry(opened, args)
        records = list(opened.records(subject=subject_of(entry.endpoint)))
    if args.json:
        output.document("troth.history/1", endpoint=str(entry.endpoint), records=[each.document() for each in records])
    elif not args.quiet:
        output.table(
            ("WHEN", "WHAT", "WHO", "FROM", "WHY"),
            [
                (moment(from_us(each.at)), each.action, each.actor, each.origin, evidence(each.detail))
                for each in records
            ],
        )
    return 0


def evidence(detail: dict[str, object]) -> str:
    """Give what a record rests on, in one line."""
    return ", ".join(f"{name} {value}" for name, value in detail.items() if name != "after" and value) or "-"
