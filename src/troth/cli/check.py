"""`troth check`: connect, decide, record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output
from troth.errors.base import TrothError

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
    common.add_domain(parser)
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
        from troth.trust.rejection import document, rejection

        for each in targets:
            try:
                decision = check_target(opened, each, domain=args.domain, expect=expect)
            except TrothError as error:
                output.complain(error, as_json=args.json)
                results.append(documents.unchecked(each.endpoint, error))
                codes.append(error.exit_code)
                continue
            results.append(document(decision))
            codes.append(0 if decision.trusted else rejection(decision).exit_code)
            if not args.json:
                _tell(decision, quiet=args.quiet)
                _confirm_hint(opened, decision)
            elif not decision.trusted:
                output.complain(rejection(decision), as_json=True)
    if args.json:
        output.document("troth.check/1", results=results)
    return next(code for code in common.WORST_FIRST if code in codes)


def _tell(decision: Decision, *, quiet: bool) -> None:
    from troth.trust import explain

    leaf = decision.presented.leaf
    if decision.verdict.accepts:
        if not quiet:
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
        output.note(f"  next: {explain.next_command(decision)}")


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
    for text in facts.weaknesses:
        output.note(f"  weak: {text}")
