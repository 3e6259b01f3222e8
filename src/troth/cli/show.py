"""`troth show`: everything about one endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.model.certificate import CertificateView
    from troth.model.entry import Entry, Pin, Policy
    from troth.model.fingerprint import Fingerprint
    from troth.trust.verdict import FieldDiff


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
        wanted = [pin.certificate for pin in entry.pins] + [entry.presented, entry.rejected]
        views = {fp: view for fp in wanted if fp is not None and (view := opened.certificate(fp)) is not None}
        holders = {
            str(view.spki): [str(each) for each in opened.holders(view.spki, but=entry.endpoint)]
            for view in views.values()
        }
    if args.pem:
        return _pem(entry, views, rejected=args.rejected)
    if args.json:
        output.document("troth.show/1", **document(entry, policy, views, holders))
    elif not args.quiet:
        _tell(entry, policy, views, holders)
    return 0


def document(
    entry: Entry, policy: Policy, views: dict[Fingerprint, CertificateView], holders: dict[str, list[str]]
) -> dict[str, object]:
    """Give an entry as JSON-able values."""
    from troth.trust.explain import moment

    def pin(each: Pin) -> dict[str, object]:
        view = views.get(each.certificate) if each.certificate else None
        return {
            "kind": each.kind.value,
            "fingerprint": str(each.fingerprint),
            "state": each.state.value,
            "evidence": each.evidence.value,
            "added_at": moment(each.added_at),
            "added_by": each.added_by,
            "first_seen": moment(each.first_seen) if each.first_seen else None,
            "last_seen": moment(each.last_seen) if each.last_seen else None,
            "certificate": _certificate(view),
            "also_at": holders.get(str(view.spki), []) if view else [],
        }

    return {
        "endpoint": str(entry.endpoint),
        "key": entry.endpoint.key,
        "protocol": entry.endpoint.protocol,
        "domain": entry.domain,
        "state": entry.state.value,
        "server_name": entry.server_name or None,
        "policy": {"mode": policy.mode.value, "pin": policy.pin.value, "expired": policy.expired.value},
        "created_at": moment(entry.created_at),
        "last_seen": moment(entry.last_seen) if entry.last_seen else None,
        "presented": str(entry.presented) if entry.presented else None,
        "rejected": str(entry.rejected) if entry.rejected else None,
        "rejected_at": moment(entry.rejected_at) if entry.rejected_at else None,
        "rejected_certificate": _certificate(_rejected(entry, views)),
        "rejected_diff": [
            {"field": each.field, "old": each.old, "new": each.new} for each in _difference(entry, views)
        ],
        "pins": [pin(each) for each in entry.pins],
    }


def _certificate(view: CertificateView | None) -> dict[str, object] | None:
    from troth.trust.diff import certificate_fields

    return {**certificate_fields(view), "san": list(view.san)} if view else None


def _rejected(entry: Entry, views: dict[Fingerprint, CertificateView]) -> CertificateView | None:
    return views.get(entry.rejected) if entry.rejected else None


def _difference(entry: Entry, views: dict[Fingerprint, CertificateView]) -> tuple[FieldDiff, ...]:
    """Compare what was rejected last with what is on record, where both are known."""
    from troth.trust.diff import diff

    held = [entry.presented, *(pin.certificate for pin in entry.current if pin.kind.value != "issuer")]
    old = next((views[each] for each in held if each in views), None)
    new = _rejected(entry, views)
    return diff(old, new) if old is not None and new is not None else ()


def _pem(entry: Entry, views: dict[Fingerprint, CertificateView], *, rejected: bool) -> int:
    from troth.errors import NotFound

    if rejected:
        view = _rejected(entry, views)
        if view is None:
            raise NotFound(f"Nothing was rejected at {entry.endpoint} since it was last trusted.")
        output.block(view.pem)
        return 0
    found = [views[pin.certificate] for pin in entry.current if pin.certificate in views]
    if not found and entry.presented in views:
        found = [views[entry.presented]]
    if not found:
        raise NotFound(
            f"No certificate of {entry.endpoint} was ever seen.", next_command=f"troth check {entry.endpoint}"
        )
    output.block("".join(view.pem for view in found))
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
    view = _rejected(entry, views)
    if view is not None:
        output.say(f"    subject   {view.subject or '(empty)'}")
        output.say(f"    issuer    {'itself' if view.self_issued else view.issuer}")
        output.say(f"    valid     {moment(view.not_before)} to {moment(view.not_after)}")
        output.say(f"    key       {view.spki} ({view.key})")
    for each in _difference(entry, views):
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
