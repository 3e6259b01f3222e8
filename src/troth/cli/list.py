"""`troth list`: what is on record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from troth.cli import output
from troth.cli.listed import listed
from troth.model.words import DOMAINS

if TYPE_CHECKING:
    import argparse

    from troth.store.listing import Listed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--domain", choices=DOMAINS, help="the domain (the incumbent's truststore)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="tombstones of deleted endpoints too")
    what.add_argument("--revoked", action="store_true", help="what was revoked, when, by whom and why, instead")
    what.add_argument(
        "--hints", action="store_true", help="hosts of imported lists that were not met yet, instead; none is trusted"
    )


def run(args: argparse.Namespace) -> int:
    """List one line per endpoint, revocation or hint."""
    if args.revoked:
        return _revoked(args)
    if args.hints:
        return _hints(args)
    found = listed(domain=args.domain, deleted=args.all)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if args.json:
        from troth import documents

        output.document("troth.list/1", entries=[documents.listed(each, now) for each in found])
    elif args.quiet:
        pass
    elif not found:
        where = f" in {args.domain}" if args.domain else ""
        output.note(f"nothing is on record{where} yet; begin with: troth check HOST:PORT{_option(args.domain)}")
    else:
        output.table(
            ("ENDPOINT", "STATE", "DOMAIN", "PIN", "FINGERPRINT", "EXPIRES", "SUBJECT"),
            [
                (
                    each.endpoint + ("" if each.protocol == "tls" else f" ({each.protocol})"),
                    _state(each),
                    each.domain,
                    (each.kind or "-") + (f" +{each.pins - 1}" if each.pins > 1 else ""),
                    f"{each.fingerprint[:23]}…" if each.fingerprint else "-",
                    (each.not_after or "-")[:10] + (" (expired)" if each.expired(now) else ""),
                    each.subject or "-",
                )
                for each in found
            ],
        )
    return 0


def _state(each: Listed) -> str:
    return "deleted, waits" if each.state == "deleted" and each.waits else each.state


def _option(domain: str | None) -> str:
    return f" --domain {domain}" if domain else ""


def _revoked(args: argparse.Namespace) -> int:
    from troth import documents
    from troth.cli import common

    with common.store() as opened:
        rows = [documents.revocation(*each) for each in opened.revocations()]
    if args.json:
        output.document("troth.list.revoked/1", revoked=rows)
    elif args.quiet:
        pass
    elif not rows:
        output.note("nothing was revoked here")
    else:
        cells = [[str(each) for each in row.values()] for row in rows]
        output.table(
            ("FINGERPRINT", "REVOKED", "BY", "REASON"), [(row[0], row[1], row[2], row[3] or "-") for row in cells]
        )
    return 0


def _hints(args: argparse.Namespace) -> int:
    from troth import documents
    from troth.cli import common

    with common.store() as opened:
        rows = [documents.hint(*each) for each in opened.open_hints()]
    if args.json:
        output.document("troth.list.hints/1", hints=rows)
    elif args.quiet:
        pass
    elif not rows:
        output.note("no hints are open")
    else:
        cells = [[str(each) for each in row.values()] for row in rows]
        output.table(("ENDPOINT", "SUBJECT (UNVERIFIED)", "FROM"), [row[:3] for row in cells])
    return 0
