"""`troth export`: write the trust store to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--format", choices=("toml", "json", "listcerts"), default="toml", help="default: toml")
    parser.add_argument(
        "--output", "-o", metavar="FILE", help="a new file, for its owner alone (default: standard output)"
    )


def run(args: argparse.Namespace) -> int:
    """Export everything: pins, tombstones, revocations, policies, certificates."""
    with common.store() as opened:
        if args.format == "listcerts":
            from troth.formats import dump_listcerts

            text = dump_listcerts([(each.key, each.slash) for each in opened.listing()])
        else:
            from troth import exchange
            from troth.formats import dump_json, dump_toml

            document = exchange.export(opened)
            text = (dump_json if args.format == "json" else dump_toml)(document)
            for domain, policy in document.policies.items():
                if policy.mode.value == "ca":
                    output.note(
                        f"{domain} is in mode ca, and its CAs are no part of an export; import them on the other side,"
                        f" too: ncs certvalidation trusted-ca-store listcacerts truststore {domain}"
                    )
    if args.output in (None, "-"):
        output.block(text)
        return 0
    with common.new_file(Path(args.output)) as file:
        file.write(text)
    if not args.quiet:
        output.say(f"exported  {args.output}")
    return 0
