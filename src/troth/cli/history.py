"""`troth history`: what happened to the trust in an endpoint, to a domain's policy, or with a fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output
from troth.model.text import printable
from troth.model.words import DOMAINS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from troth.model.endpoint import Endpoint
    from troth.store.journal import Record
    from troth.store.protocol import TrustStore


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what",
        metavar="ENDPOINT|DOMAIN|FINGERPRINT",
        help="an endpoint; a domain, for its policy; or a fingerprint, for all that names it",
    )
    parser.add_argument("--starttls", choices=common.STARTTLS, metavar="PROTOCOL", help=", ".join(common.STARTTLS))


def run(args: argparse.Namespace) -> int:
    """Show the journal's records about something, oldest first."""
    from troth.store.rows import from_us
    from troth.trust.explain import moment

    with common.store() as opened:
        endpoint, records = _records(opened, args)
    if args.json:
        output.document(
            "troth.history/1",
            of=args.what if endpoint is None else str(endpoint),
            endpoint=None if endpoint is None else str(endpoint),
            records=[each.document() for each in records],
        )
    elif not args.quiet:
        about = () if endpoint is not None else ("ABOUT",)
        output.table(
            ("WHEN", *about, "WHAT", "WHO", "FROM", "WHY"),
            [
                (
                    moment(from_us(each.at)),
                    *(() if endpoint is not None else (each.subject,)),
                    each.action,
                    printable(each.actor),
                    printable(each.origin),
                    evidence(each.detail),
                )
                for each in records
            ],
        )
    return 0


def _records(opened: TrustStore, args: argparse.Namespace) -> tuple[Endpoint | None, list[Record]]:
    from troth import manage
    from troth.errors import BadFingerprint, NotFound
    from troth.model.fingerprint import Fingerprint
    from troth.store.journal import subject_of

    if args.what in DOMAINS:
        found = [record for subject in subjects_of(args.what) for record in opened.records(subject=subject)]
        return None, sorted(found, key=lambda record: record.seq)
    try:
        named = str(Fingerprint.parse(args.what))
    except BadFingerprint:
        entry = manage.resolve(opened, args.what, protocol=args.starttls)
        return entry.endpoint, list(opened.records(subject=subject_of(entry.endpoint)))
    found = [record for record in opened.records() if named_in(named, record.subject, record.detail)]
    if not found:
        raise NotFound(f"The journal does not name {named}.", next_command="troth list --all; troth list --revoked")
    return None, found


def subjects_of(domain: str) -> tuple[str, ...]:
    """Give what the journal's records about a domain are about."""
    return domain, f"revocation:{domain}", f"auto-ca-update:{domain}"


def named_in(named: str, subject: str, detail: object) -> bool:
    """Whether a record of the journal names a fingerprint."""
    return named in (subject, *_texts(detail))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def evidence(detail: dict[str, object]) -> str:
    """Give what a record rests on, in one line."""
    after = detail.get("after")
    told = [f"{name} {printable(str(value))}" for name, value in detail.items() if name != "after" and value]
    if isinstance(after, list) and len(after) == 3:  # a domain's policy: its mode, what it pins, and expired ones
        told.append(f"{after[0]}, pins {after[1]}, expired {after[2]}")
    return ", ".join(told) or "-"
