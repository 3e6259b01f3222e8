"""`troth revoke`: never accept a certificate or key again, anywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.model.endpoint import Endpoint

# What can only be meant for a fingerprint, also if it is cut short or another hash: no host, and no IPv6 address, which
# has at most eight groups.
_LIKE_FINGERPRINT = re.compile(
    r"(?:sha|md5)[\d-]*(?:[ \t]+fingerprint)?[ \t]*(?:[:=/]|\()|0x[0-9a-f]|(?:[0-9a-f]{2}[: -]){8,}|[0-9a-f]{32,}\Z"
    r"|<?(?:FINGERPRINT|FP)>?\Z",
    re.I,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what",
        metavar="ENDPOINT|FINGERPRINT",
        help="a fingerprint, or an endpoint whose certificates and keys are meant",
    )
    parser.add_argument("--starttls", choices=common.STARTTLS, metavar="PROTOCOL", help=", ".join(common.STARTTLS))
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the journal")


def run(args: argparse.Namespace) -> int:
    """Revoke, and say where it was trusted."""
    from troth import manage
    from troth.model.fingerprint import Fingerprint

    places: tuple[Endpoint, ...]

    with common.store() as opened:
        if means_fingerprint(args.what):
            fingerprint = Fingerprint.parse(args.what)
            revoked, places = [fingerprint], opened.revoke(fingerprint, reason=args.reason)
        else:
            args.endpoint = args.what
            entry = common.entry(opened, args)
            revoked, places = manage.revoke_entry(opened, entry, reason=args.reason), (entry.endpoint,)
    if args.json:
        names = [str(each) for each in places]
        output.document("troth.revoke/1", revoked=[str(each) for each in revoked], endpoints=names)
    elif not args.quiet:
        for each in revoked:
            output.say(f"revoked  {each}")
        output.say("  on record at " + ", ".join(map(str, places)) if places else "  it was on record nowhere")
    return 0


def means_fingerprint(text: str) -> bool:
    """Whether a text is a fingerprint, or can only be meant for one; it is no endpoint then."""
    from troth.errors import BadFingerprint
    from troth.model.fingerprint import Fingerprint

    try:
        Fingerprint.parse(text)
    except BadFingerprint:
        return _LIKE_FINGERPRINT.match(text.strip()) is not None
    return True
