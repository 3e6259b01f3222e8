"""The API's documents as lines for people: those that the local commands print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from troth.cli import output
from troth.model.text import printable

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from troth.formats.records import ImportedDocument

    Document = dict[str, Any]

_HINTS_SHOWN = 20


def checked(result: Document, *, quiet: bool) -> None:
    """Say what was decided of a host."""
    from troth.trust.verdict import Verdict

    if not Verdict(result["verdict"]).accepts:
        _rejected(result)
    elif not quiet:
        _accepted(result)


def headline(result: Document) -> str:
    """Say what happened at a host, in one sentence."""
    from troth.trust.explain import sentence
    from troth.trust.verdict import ChainFault, ChangeClass, Verdict

    change = ChangeClass(result["class"]) if result["class"] else None
    fault = ChainFault(result["chain_fault"]) if result.get("chain_fault") else None
    return sentence(result["endpoint"], Verdict(result["verdict"]), change, fault, known=bool(result["pinned"]))


def _accepted(result: Document) -> None:
    presented, verdict = result["presented"], result["verdict"]
    output.say(f"{output.styled(verdict, 'good')}  {result['endpoint']}  {presented['fingerprint']}")
    if verdict == "first-use":
        output.say(f"  subject  {presented['subject'] or '(empty)'}")
        output.say(f"  key      {presented['spki']} ({presented['key']})")
        output.say(f"  valid    {presented['not_before']} to {presented['not_after']}")
    if verdict == "renewed":
        for each in result["diff"]:
            output.say(f"  {each['field']:<19} {each['old']} -> {each['new']}")
    if verdict == "unchecked":
        output.note("  nothing was checked: the policy is disable, and everybody in the middle is trusted")
    if result.get("also_at"):
        output.note(f"  its key is also at {', '.join(result['also_at'])}")
    for text in result.get("warnings", []):
        output.note(f"  weak: {text}")


def _rejected(result: Document) -> None:
    word = "observed:" if result["trusted"] else "rejected:"
    output.note(f"{output.styled(word, 'bad', sys.stderr)} {headline(result)} [{result['verdict']}]")
    output.note(f"  {result.get('why', '')}")
    output.note(f"  presented   {result['presented']['fingerprint']}")
    for pin in result["pinned"]:
        output.note(f"  on record   {pin['fingerprint']} ({pin['kind']}, {pin['state']})")
    if result["diff"]:
        output.note("  what differs:")
        _differences(result["diff"], "    ", output.note)
    if result["next_command"]:
        output.note(f"  next: {result['next_command']}")
    if result["trusted"]:
        output.note("  let through all the same: the policy only observes")


def _differences(diff: Sequence[Document], margin: str, write: Any) -> None:
    for each in diff:
        write(f"{margin}{each['field']:<19} - {each['old'] or '(none)'}")
        write(f"{margin}{'':<19} + {each['new'] or '(none)'}")


def entries(found: Sequence[Document], domain: str | None) -> None:
    """List entries."""
    if not found:
        output.note(f"nothing is on record{f' in {domain}' if domain else ''} yet; begin with: troth check HOST:PORT")
        return
    rows = [
        (
            each["endpoint"] + ("" if each["protocol"] == "tls" else f" ({each['protocol']})"),
            "deleted, waits" if each["state"] == "deleted" and each["waits"] else each["state"],
            each["domain"],
            (each["kind"] or "-") + (f" +{each['pins'] - 1}" if each["pins"] > 1 else ""),
            f"{each['fingerprint'][:23]}…" if each["fingerprint"] else "-",
            (each["not_after"] or "-")[:10] + (" (expired)" if each["expired"] else ""),
            each["subject"] or "-",
        )
        for each in found
    ]
    output.table(("ENDPOINT", "STATE", "DOMAIN", "PIN", "FINGERPRINT", "EXPIRES", "SUBJECT"), rows)


def revoked(found: Sequence[Document]) -> None:
    """List what was revoked."""
    if not found:
        output.note("nothing was revoked here")
        return
    rows = [
        (each["fingerprint"], each["revoked_at"], printable(each["revoked_by"]), printable(each["reason"]) or "-")
        for each in found
    ]
    output.table(("FINGERPRINT", "REVOKED", "BY", "REASON"), rows)


def entry(found: Document) -> None:
    """Show an entry."""
    from troth.model.fingerprint import Fingerprint

    head = f"  {found['state']}  ({found['domain']}, {found['policy']['mode']})"
    output.say(output.styled(found["endpoint"], "strong") + head)
    name = f", server name {found['server_name']}" if found["server_name"] else ""
    output.say(f"  protocol    {found['protocol']}{name}")
    output.say(f"  last seen   {found['last_seen'] or 'unknown'}")
    if found["rejected"]:
        output.say(f"  rejected    {found['rejected']} at {found['rejected_at'] or 'unknown'}")
        _certificate(found.get("rejected_certificate"), names=False)
        _differences(found.get("rejected_diff", []), "    ", output.say)
    for pin in found["pins"]:
        output.say()
        output.say(f"  {pin['state']}  {pin['kind']}  {pin['fingerprint']}")
        output.say(f"    added       {pin['added_at']} by {pin['added_by'] or 'unknown'}, {pin['evidence']}")
        output.say(f"    seen        {pin['first_seen'] or 'unknown'} to {pin['last_seen'] or 'unknown'}")
        output.say(f"    aloud       {Fingerprint.parse(pin['fingerprint']).spoken}")
        _certificate(pin["certificate"], names=True)
        if pin["also_at"]:
            output.say(f"    also at     {', '.join(pin['also_at'])}")


def _certificate(view: Document | None, *, names: bool) -> None:
    if view is None:
        return
    width = 12 if names else 10
    told = [("subject", view["subject"] or "(empty)")]
    told.append(("issuer", "itself" if view["issuer"] == view["subject"] else view["issuer"]))
    told += [("names", ", ".join(view["san"]) or "(none)")] if names else []
    told.append(("valid", f"{view['not_before']} to {view['not_after']}"))
    told.append(("key", f"{view['spki']} ({view['key']})"))
    for label, text in told:
        output.say(f"    {label:<{width}}{text}")


def records(found: Sequence[Document], *, about: bool) -> None:
    """List records of the journal."""
    from troth.cli.history import evidence
    from troth.store.rows import from_us
    from troth.trust.explain import moment

    rows = [
        (
            moment(from_us(each["at"])),
            *((each["subject"],) if about else ()),
            each["action"],
            printable(each["actor"]),
            printable(each["origin"]),
            evidence(each["detail"]),
        )
        for each in found
    ]
    output.table(("WHEN", *(("ABOUT",) if about else ()), "WHAT", "WHO", "FROM", "WHY"), rows)


def policies(rows: Sequence[Document], force: Document | None, responders: Sequence[str]) -> None:
    """Show policies, and what is in force."""
    shown = [*rows, *([{**force, "of": "in force"}] if force else [])]
    names = ("of", "mode", "pin", "expired", "revocation")
    output.table(
        ("OF", "MODE", "PINS", "EXPIRED", "REVOCATION"), [tuple(each[name] or "-" for name in names) for each in shown]
    )
    for url in responders:
        output.say(f"custom OCSP responder: {url}")


def imported(found: Document, document: ImportedDocument, args: Namespace) -> None:
    """Say what was taken over and what was not."""
    if args.json:
        return
    if not args.quiet:
        output.say(
            f"imported  {len(found['added'])} new, {found['same']} known already, {found['hints']} unverified hints"
        )
        for text in found["revoked"]:
            output.say(f"  revoked  {text}")
        for hint in document.hints[:_HINTS_SHOWN]:
            output.say(f"  hint  {hint.endpoint}: confirm it with: troth check {hint.endpoint}")
        for each in found["policies"]:
            output.say(f"  policy  {each['of']} is now {each['mode']}, pins {each['pin']}, expired {each['expired']}")
    for text in found["warnings"]:
        output.note(f"{output.styled('note:', 'warn', sys.stderr)} {text}")
    for text in found["refused"]:
        output.note(f"{output.styled('not taken over:', 'warn', sys.stderr)} {text}")


def faults(found: Sequence[str]) -> None:
    """List what is wrong with the journal."""
    for fault in found:
        output.note(f"{output.styled('fault:', 'bad', sys.stderr)} {fault}")


def ise_line(each: Document) -> None:
    """Say how one ISE server does."""
    fine = each["state"] == "reachable"
    line = f"{output.styled(each['state'], 'good' if fine else 'bad')}  {each['role']}  {each['endpoint']}"
    if fine:
        line += f"  {each['version'] or ''} ({each['node_type']}), {each['counts']['active']} active"
    output.say(line)


def ise_servers(found: Sequence[Document]) -> None:
    """List ISE servers."""
    if not found:
        output.note("no ISE server is on record; next: troth ise add HOST --user USER")
        return
    rows = [
        (
            each["role"],
            each["endpoint"],
            each["state"],
            (each["since"] or "-")[:16].replace("T", " "),
            each["version"] or "-",
            each["node_type"],
            "-" if each["counts"]["active"] is None else str(each["counts"]["active"]),
            each["user"],
        )
        for each in found
    ]
    output.table(("ROLE", "SERVER", "STATE", "SINCE", "VERSION", "NODE", "ACTIVE", "USER"), rows)
    ise_notes(found)


def ise_notes(found: Sequence[Document]) -> None:
    """Say why ISE servers do not answer, and what comes next."""
    for each in found:
        if each["why"]:
            output.note(f"{each['endpoint']}: {each['why']}")
            if each["next_step"]:
                output.note(f"  next: {each['next_step']}")


def users(found: Sequence[Document]) -> None:
    """List users."""
    rows = [
        (
            each["name"],
            each["role"],
            "enabled" if each["enabled"] else "disabled",
            "yes" if each["second_factor"] else "no",
            each["password_set_at"],
        )
        for each in found
    ]
    output.table(("NAME", "ROLE", "STATE", "SECOND FACTOR", "PASSWORD SET"), rows)


def tokens(found: Sequence[Document]) -> None:
    """List API tokens."""
    rows = [
        (
            str(each["number"]),
            each["user"],
            each["label"],
            each["role"],
            "revoked" if each["revoked_at"] else each["expires_at"],
            each["used_at"] or "never",
        )
        for each in found
    ]
    output.table(("NUMBER", "USER", "LABEL", "ROLE", "GOOD UNTIL", "LAST USED"), rows)


def token(found: Document) -> None:
    """Print a token, this once."""
    about = found["about"]
    output.say(found["token"])
    output.note(f"token {about['number']} of {about['user']}, {about['role']}, good until {about['expires_at']}")
    output.note("It is not shown again. Send it as: Authorization: Bearer TOKEN")


def events(found: Sequence[Document]) -> None:
    """List events."""
    if not found:
        output.note("no events")
        return
    rows = [
        (
            str(each["id"]),
            each["at"],
            each["severity"],
            each["kind"],
            _told(each),
            printable(each["what"], 120),
        )
        for each in found
    ]
    output.table(("ID", "AT", "SEVERITY", "KIND", "TOLD", "WHAT"), rows)


def _told(each: Document) -> str:
    if each["silenced_by"]:
        return f"silence {each['silenced_by']}"
    return f"message {each['message']}" if each["message"] else "waits"


def silences(action: str, found: Sequence[Document]) -> None:
    """List silences, or say what was done with one."""
    if action != "list":
        each, word = found[0], "set" if action == "add" else "ended"
        output.say(f"{word}  silence {each['id']}: {_hides(each)}, until {each['until']}")
    elif not found:
        output.note("no silences")
    else:
        rows = [(str(each["id"]), _hides(each), each["until"], each["who"], each["why"]) for each in found]
        output.table(("ID", "HIDES", "UNTIL", "BY", "WHY"), rows)


def _hides(each: Document) -> str:
    at = f" at {each['pattern']}" if each["pattern"] else ""
    return f"{each['kind'] or 'all events'}{at}" + (f" in {each['domain']}" if each["domain"] else "")
