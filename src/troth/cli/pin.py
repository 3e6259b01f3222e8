"""`troth pin`: trust a certificate, key or CA beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output
from troth.model.words import DEFAULT_DOMAIN

if TYPE_CHECKING:
    import argparse

    from troth.model.certificate import CertificateView


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
    common.add_domain(parser, default=None)  # None is what nobody said


def run(args: argparse.Namespace) -> int:
    """Add a pin beside those that are there; nothing is contacted."""
    from troth import manage
    from troth.model.certificate import certificates_from_pem
    from troth.model.entry import PinKind
    from troth.trust import changes

    place, fingerprint = common.place(args), common.wanted(args)
    view = only(certificates_from_pem(common.read_text(args.pem)), args.pem) if args.pem else None
    with common.store() as opened:
        entry = manage.pin(
            opened,
            place,
            kind=PinKind(args.kind),
            fingerprint=fingerprint,
            view=view,
            domain=args.domain or DEFAULT_DOMAIN,
        )
    if args.domain not in (None, entry.domain) and not args.quiet:
        output.note(
            f"{entry.endpoint} is on record in {entry.domain}; to move it:"
            f" troth policy set {args.endpoint} --domain {args.domain}"
        )
    if view is not None and not args.quiet:
        from troth.trust.weakness import weaknesses

        for weak in weaknesses(view):
            output.note(f"  weak: {weak.text}")
    held = fingerprint or (changes.held_by(view, PinKind(args.kind)) if view else None)
    return changed("troth.pin/1", args, f"pinned  {entry.endpoint}  {held} ({args.kind})", entry)


def only(views: tuple[CertificateView, ...], name: str) -> CertificateView:
    """Give the one certificate of a file; of several, it cannot be told which is meant.

    Raises:
        BadFile: There are several.
    """
    from troth.errors import BadFile

    if len(views) != 1:
        raise BadFile(
            f"{name} holds {len(views)} certificates; a pin is one.",
            next_command="give the host's own certificate alone, or for --kind issuer its CA's",
        )
    return views[0]


def changed(schema: str, args: argparse.Namespace, line: str, entry: object, **fields: object) -> int:
    """Say what a change did, and the state of the entry after it."""
    from troth.model.entry import Entry

    assert isinstance(entry, Entry)  # noqa: S101  # callers give entries
    if args.json:
        output.document(schema, **documents.changed(entry), **fields)
    elif not args.quiet:
        output.say(line)
    return 0
