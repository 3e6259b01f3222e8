"""`troth list`: what is on record."""

from __future__ import annotations

import argparse
from datetime import datetime

from troth.cli import common, output


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_domain(parser, default=None)
    parser.add_argument("--all", action="store_true", help="tombstones of deleted endpoints too")


def run(args: argparse.Namespace) -> int:
    """List one line per endpoint."""
    with common.store() as opened:
        found = opened.listing(domain=args.domain, deleted=args.all)
    if args.json:
        output.document(
            "troth.list/1",
            entries=[
                {
                    "endpoint": str(each.endpoint),
                    "key": each.endpoint.key,
                    "protocol": each.endpoint.protocol,
                    "domain": each.domain,
                    "state": each.state,
                    "kind": each.kind or None,
                    "fingerprint": str(each.fingerprint) if each.fingerprint else None,
                    "pins": each.current,
                    "subject": each.subject or None,
                    "not_after": _iso(each.not_after),
                    "last_seen": _iso(each.last_seen),
                }
                for each in found
            ],
        )
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
                str(each.endpoint) + ("" if each.endpoint.protocol == "tls" else f" ({each.endpoint.protocol})"),
                each.state,
                each.domain,
                (each.kind or "-") + (f" +{each.current - 1}" if each.current > 1 else ""),
                f"{str(each.fingerprint)[:23]}…" if each.fingerprint else "-",
                each.not_after.strftime("%Y-%m-%d") if each.not_after else "-",
                each.subject or "-",
            )
            for each in found
        ],
    )
    return 0


def _iso(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
