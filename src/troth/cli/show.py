"""`troth show`: everything about one endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.model.certificate import CertificateView
    from troth.model.entry import Entry, Policy
    from troth.model.fingerprint import Fingerprint


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    parser.add_argument("--pem", action="store_true", help="print the current certificates as PEM, and nothing else")
    parser.add_argument("--rejected", action="store_true", help="with --pem: the one that was last rejected")


def run(args: argparse.Namespace) -> int:
    """Show an entry: its pins and their states, its certificate, its policy, and what was rejected last."""
    from troth.errors import BadInput

    if args.rejected and not args.pem:
        raise BadInput("--rejected belongs to --pem; without it, both are shown.", next_command="troth show ENDPOINT")
    with common.store() as opened:
        entry = common.entry(opened, args)
        policy = entry.override.over(opened.domain_policy(entry.domain))
        views, holders = documents.kept(opened, entry)
    if args.pem:
        output.block(documents.pem(entry, views, rejected=args.rejected))
    elif args.json:
        output.document("troth.show/1", **documents.entry(entry, policy, views, holders))
    elif not args.quiet:
        _tell(entry, policy, views, holders)
    return 0


def _tell(
    entry: Entry, policy: Policy, views: dict[Fingerprint, CertificateView], holders: dict[str, list[str]]
) -> None:
    from troth.trust.explain import moment

    output.say(output.styled(f"{entry.endpoint}", "strong") + f"  {entry.state}  ({entry.domain}, {policy.mode})")
    output.say(
        f"  protocol    {entry.endpoint.protocol}" + (f", server name {entry.server_name}" if entry.server_name else "")
    )
    output.say(f"  last seen   {moment(entry.last_seen)}")
    if entry.rejected:
        _tell_rejected(entry, views)
    for pin in entry.pins:
        output.say()
        output.say(f"  {pin.state}  {pin.kind}  {pin.fingerprint}")
        output.say(f"    added       {moment(pin.added_at)} by {pin.added_by or 'unknown'}, {pin.evidence}")
        output.say(f"    seen        {moment(pin.first_seen)} to {moment(pin.last_seen)}")
        output.say(f"    aloud       {pin.fingerprint.spoken}")
        view = views.get(pin.certificate) if pin.certificate else None
        if view is not None:
            _tell_certificate(view, holders)


def _tell_rejected(entry: Entry, views: dict[Fingerprint, CertificateView]) -> None:
    from troth.trust.explain import moment

    output.say(f"  rejected    {entry.rejected} at {moment(entry.rejected_at)}")
    view = documents.rejected(entry, views)
    if view is not None:
        output.say(f"    subject   {view.subject or '(empty)'}")
        output.say(f"    issuer    {'itself' if view.self_issued else view.issuer}")
        output.say(f"    valid     {moment(view.not_before)} to {moment(view.not_after)}")
        output.say(f"    key       {view.spki} ({view.key})")
    for each in documents.difference(entry, views):
        output.say(f"    {each.field:<19} - {each.old or '(none)'}")
        output.say(f"    {'':<19} + {each.new or '(none)'}")


def _tell_certificate(view: CertificateView, holders: dict[str, list[str]]) -> None:
    from troth.trust.explain import moment

    output.say(f"    subject     {view.subject or '(empty)'}")
    output.say(f"    issuer      {'itself' if view.self_issued else view.issuer}")
    output.say(f"    names       {', '.join(view.san) or '(none)'}")
    output.say(f"    valid       {moment(view.not_before)} to {moment(view.not_after)}")
    output.say(f"    key         {view.spki} ({view.key})")
    if holders.get(str(view.spki)):
        output.say(f"    also at     {', '.join(holders[str(view.spki)])}")
