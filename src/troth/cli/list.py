"""`troth list`: what is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import output
from troth.model.words import DOMAINS
from troth.store.connection import Database, map_errors
from troth.store.listing import listing
from troth.store.paths import default_path

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--domain", choices=DOMAINS, help="the domain (the incumbent's truststore)")
    parser.add_argument("--all", action="store_true", help="tombstones of deleted endpoints too")


def run(args: argparse.Namespace) -> int:
    """List one line per endpoint."""
    database = Database(default_path())
    database.open()
    with map_errors(database.path):
        found = listing(database.connection(), database.dialect, domain=args.domain, deleted=args.all)
    if args.json:
        output.document("troth.list/1", entries=[documents.listed(each) for each in found])
        return 0
    if args.quiet:
        return 0
    if not found:
        output.note("nothing is on record yet; begin with: troth check HOST:PORT")
        return 0
    output.table(
        ("ENDPOINT", "STATE", "DOMAIN", "PIN", "FINGERPRINT", "EXPIRES", "SUBJECT"),
        [
            (
                each.endpoint + ("" if each.protocol == "tls" else f" ({each.protocol})"),
                each.state,
                each.domain,
                (each.kind or "-") + (f" +{each.pins - 1}" if each.pins > 1 else ""),
                f"{each.fingerprint[:23]}…" if each.fingerprint else "-",
                (each.not_after or "-")[:10],
                each.subject or "-",
            )
            for each in found
        ],
    )
    return 0
