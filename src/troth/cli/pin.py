"""`troth pin`: trust a certificate, key or CA beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--expect", metavar="FINGERPRINT", help="the fingerprint, of the certificate or (--kind key) the key"
    )
    source.add_argument("--pem", metavar="FILE", help="the certificate itself; - for standard input")
    parser.add_argument(
        "--kind",
        choices=("key", "certificate", "issuer"),
        default="certificate",
        help="what to hold on to (default: certificate)",
    )
    common.add_domain(parser)


def run(args: argparse.Namespace) -> int:
    """Add a pin beside those that are there; nothing is contacted."""
    from troth import manage
    from troth.model.certificate import CertificateView
    from troth.model.entry import PinKind

    place, fingerprint = common.place(args), common.wanted(args)
    view = CertificateView.from_pem(common.read_text(args.pem)) if args.pem else None
    with common.store() as opened:
        entry = manage.pin(
            opened, place, kind=PinKind(args.kind), fingerprint=fingerprint, view=view, domain=args.domain
        )
    if view is not None and not args.quiet:
        from troth.trust.weakness import weaknesses

        for weak in weaknesses(view):
            output.note(f"  weak: {weak.text}")
    return changed("troth.pin/1", args, f"pinned  {entry.endpoint}  {entry.pins[-1].fingerprint} ({args.kind})", entry)


def changed(schema: str, args: argparse.Namespace, line: str, entry: object, **fields: object) -> int:
    """Say what a change did, and the state of the entry after it."""
    from troth.model.entry import Entry

    assert isinstance(entry, Entry)  # noqa: S101  # callers give entries
    if args.json:
        output.document(schema, **documents.changed(entry), **fields)
    elif not args.quiet:
        output.say(line)
    return 0
