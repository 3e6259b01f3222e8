"""`troth check`: connect, decide, record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output
from troth.cli.main import at_home
from troth.errors.base import TrothError
from troth.model.words import DEFAULT_DOMAIN

if TYPE_CHECKING:
    import argparse

    from troth.store.protocol import TrustStore
    from troth.trust.verdict import Decision

_EPILOG = """examples:
  troth check ise.example.com
  troth check 192.0.2.20:8082 --expect sha256:…     (authenticates the first use)
  troth check mail.example.com:25 --starttls smtp
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("hosts", nargs="+", metavar="HOST[:PORT]", help="the port is 443 by default")
    parser.add_argument("--starttls", choices=common.STARTTLS, metavar="PROTOCOL", help=", ".join(common.STARTTLS))
    common.add_connection(parser)
    common.add_domain(parser, default=None)  # None is what nobody said
    common.add_expect(parser, required=False, about="the fingerprint (certificate or key) that it must have")


def run(args: argparse.Namespace) -> int:
    """Check each host in turn; the exit code is the worst."""
    from troth.model.endpoint import Endpoint

    expect = common.wanted(args)
    places = [Endpoint.parse(text, protocol=args.starttls or "tls") for text in args.hosts]
    targets = [common.target(args, place) for place in places]
    results: list[dict[str, object]] = []
    codes: list[int] = []
    with common.store() as opened:
        from troth.tls.check import check_target

        for each in targets:
            try:
                decision = check_target(opened, each, domain=args.domain or DEFAULT_DOMAIN, expect=expect)
            except TrothError as error:
                error.next_command = at_home(error.next_command, args.home)
                output.complain(error, as_json=args.json)
                results.append(documents.unchecked(each.endpoint, error))
                codes.append(error.exit_code)
                continue
            found, code = _judged(opened, decision, args)
            results.append(found)
            codes.append(code)
    if args.json:
        output.document("troth.check/1", results=results)
    return next(code for code in common.WORST_FIRST if code in codes)


def _judged(opened: TrustStore, decision: Decision, args: argparse.Namespace) -> tuple[dict[str, object], int]:
    """Say what was decided; give it as a result, and its exit code."""
    from troth.trust import explain
    from troth.trust.rejection import document, rejection

    found = document(decision)
    command = at_home(explain.next_command(decision), args.home)
    found["next_command"] = command or None
    if not args.json:
        _tell(decision, args)
        _confirm_hint(opened, decision)
    if decision.trusted:
        return found, 0
    refused = rejection(decision)
    if args.json:
        refused.next_command, refused.details["result"] = command, found
        output.complain(refused, as_json=True)
    return found, refused.exit_code


def _tell(decision: Decision, args: argparse.Namespace) -> None:
    from troth.trust import explain

    leaf = decision.presented.leaf
    if args.domain not in (None, decision.domain) and decision.domain:
        output.note(
            f"{decision.endpoint} is on record in {decision.domain}, and was checked as that, not as {args.domain};"
            f" to move it: troth policy set {explain.name_of(decision)} --domain {args.domain}"
        )
    if decision.verdict.accepts:
        if not args.quiet:
            output.say(f"{output.styled(decision.verdict.value, 'good')}  {decision.endpoint}  {leaf.fingerprint}")
            _accepted_notes(decision)
        return
    if not sys.stderr.isatty():
        output.note(explain.log_line(decision))
    word = "rejected:" if not decision.trusted else "observed:"
    output.note(f"{output.styled(word, 'bad', sys.stderr)} {explain.headline(decision)} [{decision.verdict}]")
    output.note(f"  {explain.reason(decision)}")
    for label, text in explain.lines(decision):
        output.note(f"  {label:<11} {text}")
    if decision.diff:
        output.note("  what differs:")
        for each in decision.diff:
            output.note(f"    {each.field:<19} - {each.old or '(none)'}")
            output.note(f"    {'':<19} + {each.new or '(none)'}")
    if explain.advice(decision):
        output.note(f"  {explain.advice(decision)}")
    if explain.next_command(decision):
        output.note(f"  next: {at_home(explain.next_command(decision), args.home)}")
    if decision.trusted:
        output.note(f"  let through all the same: {decision.domain or 'its'} policy only observes")


def _confirm_hint(opened: TrustStore, decision: Decision) -> None:
    """Hold a first use against what an imported list said of the host; that proves nothing, but a difference tells."""
    from troth.model.name import same_subject
    from troth.model.text import printable
    from troth.trust.verdict import Verdict

    hint = opened.hint(decision.endpoint) if decision.verdict is Verdict.FIRST_USE else None
    if hint is None:
        return
    subject, source = hint
    if same_subject(subject, decision.presented.leaf.subject):
        output.note(f"  its subject is the one in {printable(source)} (which proves nothing about the key)")
    else:
        output.note(f"  its subject is NOT the one in {printable(source)}, which has: {printable(subject)}")


def _accepted_notes(decision: Decision) -> None:
    from troth.model.entry import CheckMode
    from troth.trust import explain
    from troth.trust.verdict import Verdict

    leaf, facts = decision.presented.leaf, decision.facts
    if decision.verdict is Verdict.UNCHECKED:
        output.note("  nothing was checked: the policy is disable, and everybody in the middle is trusted")
        return
    if decision.verdict is Verdict.FIRST_USE:
        output.say(f"  subject  {leaf.subject or '(empty)'}")
        output.say(f"  key      {leaf.spki} ({leaf.key})")
        output.say(f"  valid    {explain.moment(leaf.not_before)} to {explain.moment(leaf.not_after)}")
        if facts.expect is None and decision.policy.mode is not CheckMode.CA:
            output.note(
                "  learned unverified: compare the fingerprint with the host's own console, or give --expect next time"
            )
    if decision.verdict is Verdict.RENEWED:
        for each in decision.diff:
            output.say(f"  {each.field:<19} {each.old} -> {each.new}")
    if facts.holders:
        output.note(f"  its key is also at {', '.join(str(each) for each in facts.holders)}")
    if decision.outside:
        output.note(f"  dates: {decision.outside}; it is trusted all the same, for a pin is the identity")
    for text in explain.warnings(decision)[1 if decision.outside else 0 :]:
        output.note(f"  weak: {text}")
