"""The commands about trust, from afar."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from troth.cli import common, output
from troth.cli.remote import aimed, render
from troth.cli.remote.problems import ServerError, told
from troth.cli.remote.table import ROWS, refuse
from troth.errors import (
    AwaitingApproval,
    CertificateChanged,
    CertificateExpired,
    CertificateRejected,
    CertificateRevoked,
    InvalidChain,
)
from troth.model.words import DOMAINS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from troth.cli.remote import Work
    from troth.cli.remote.client import Client

    Document = dict[str, Any]

_HOSTS, _PAGE = 20, 1000
# Of what the verdicts that reject are the errors: those have the exit codes.
_REJECTIONS = {
    "changed": CertificateChanged,
    "revoked": CertificateRevoked,
    "unapproved": AwaitingApproval,
    "expired-by-policy": CertificateExpired,
    "invalid-chain": InvalidChain,
}
_ENDPOINT = re.compile(r"[.:_\[]")


def finish(args: Namespace, schema: str, document: Document, *lines: str) -> int:
    """Print a result: the document, or what it says in lines."""
    if args.json:
        output.document(schema, **document)
    elif not args.quiet:
        for line in lines:
            output.say(line)
    return 0


def check(client: Client, args: Namespace) -> int:
    """Have the node check hosts; the exit code is the worst."""
    from argparse import Namespace

    results: list[Document] = []
    for start in range(0, len(args.hosts), _HOSTS):
        some = Namespace(**{**vars(args), "hosts": args.hosts[start : start + _HOSTS]})
        results += client.json(ROWS["check"].ask(some))["results"]
    codes = [_judged(client, args, each) for each in results]
    if args.json:
        output.document("troth.check/1", results=results)
    return next(code for code in common.WORST_FIRST if code in codes)


def _judged(client: Client, args: Namespace, result: Document) -> int:
    """Say what became of a host; give its exit code."""
    result["next_command"] = aimed(result["next_command"] or "", args) or None
    problem = result.get("error")
    if problem is not None:
        error = told(problem, f"{client.server}")
        error.next_command = aimed(error.next_command, args)
        output.complain(error, as_json=args.json)
        return error.exit_code
    if not args.json:
        render.checked(result, quiet=args.quiet)
    if result["trusted"]:
        return 0
    kind = _REJECTIONS.get(result["verdict"], CertificateRejected)
    if args.json:
        refused = kind(
            render.headline(result),
            why=result.get("why", ""),
            next_command=result["next_command"] or "",
            details={"result": result},
        )
        output.complain(refused, as_json=True)
    return kind.exit_code


def list_(client: Client, args: Namespace) -> int:
    """List what is on record, or what was revoked."""
    refuse(ROWS["list"], args)
    if args.revoked:
        found = client.json(ROWS["list revoked"].ask(args))["revocations"]
        if not args.json and not args.quiet:
            render.revoked(found)
        return finish(args, "troth.list.revoked/1", {"revoked": found})
    entries = list(_entries(client, args))
    deleted = list(_entries(client, args, state="deleted"))
    # As on the node: of the deleted ones, those where something waits are always shown.
    entries += [each for each in deleted if args.all or each["waits"]]
    known = {(each["endpoint"], each["protocol"]): each for each in entries}
    entries = sorted(known.values(), key=_place)
    if not args.json and not args.quiet:
        render.entries(entries, args.domain)
    return finish(args, "troth.list/1", {"entries": entries})


def _entries(client: Client, args: Namespace, **more: str) -> Iterator[Document]:
    cursor = None
    while True:
        page = client.json(ROWS["list"].ask(args, limit=_PAGE, cursor=cursor, **more))
        yield from page["entries"]
        cursor = page["next"]
        if cursor is None:
            return


def _place(line: Document) -> tuple[str, int, str]:
    host, _, port = line["key"].rpartition("_")
    return host, int(port), line["protocol"]


def show(client: Client, args: Namespace) -> int:
    """Show an entry."""
    if args.pem or args.rejected:
        output.block(client.text(ROWS["show pem"].ask(args)))
        return 0
    found = client.json(ROWS["show"].ask(args))
    if not args.json and not args.quiet:
        render.entry(found)
    return finish(args, "troth.show/1", found)


def history(client: Client, args: Namespace) -> int:
    """Show the journal's records about something; for what has no operation of its own, from the whole journal."""
    from troth.cli.history import named_in, subjects_of
    from troth.errors import BadFingerprint, NotFound
    from troth.model.fingerprint import Fingerprint

    endpoint = None
    if args.what in DOMAINS:
        subjects = subjects_of(args.what)
        records = [each for each in _journal(client, args) if each["subject"] in subjects]
    else:
        try:
            named = str(Fingerprint.parse(args.what))
        except BadFingerprint:
            found = client.json(ROWS["history"].ask(args))
            endpoint, records = found["endpoint"], found["records"]
        else:
            records = [each for each in _journal(client, args) if named_in(named, each["subject"], each["detail"])]
            if not records:
                raise NotFound(
                    f"The journal does not name {named}.", next_command="troth list --all; troth list --revoked"
                )
    if not args.json and not args.quiet:
        render.records(records, about=endpoint is None)
    of = args.what if endpoint is None else endpoint
    return finish(args, "troth.history/1", {"of": of, "endpoint": endpoint, "records": records})


def _journal(client: Client, args: Namespace) -> Iterator[Document]:
    since = 0
    while True:
        page = client.json(ROWS["journal export"].ask(args, since=since, limit=_PAGE))["records"]
        yield from page
        if not page:
            return
        since = page[-1]["seq"]


def pin(client: Client, args: Namespace) -> int:
    """Add a pin."""
    from troth.model.entry import PinKind
    from troth.trust import changes

    found = client.json(ROWS["pin"].ask(args))
    if args.domain not in (None, found["domain"]) and not args.quiet:
        output.note(
            f"{found['endpoint']} is on record in {found['domain']}; to move it:"
            f" troth policy set {args.endpoint} --domain {args.domain}"
        )
    held: object = common.wanted(args)
    if args.pem:
        from troth.trust.weakness import weaknesses

        held = changes.held_by(args.view, PinKind(args.kind))
        for weak in () if args.quiet else weaknesses(args.view):
            output.note(f"  weak: {weak.text}")
    return finish(args, "troth.pin/1", found, f"pinned  {found['endpoint']}  {held} ({args.kind})")


def approve(client: Client, args: Namespace) -> int:
    """Release from quarantine."""
    found = client.json(ROWS["approve"].ask(args))
    current = [each["fingerprint"] for each in found["pins"] if each["state"] == "current"]
    return finish(args, "troth.approve/1", found, f"approved  {found['endpoint']}  {current[-1] if current else ''}")


def replace(client: Client, args: Namespace) -> int:
    """Have the node look at the host, and swap."""
    found = client.json(ROWS["replace"].ask(args))
    return finish(args, "troth.replace/1", found, f"replaced  {found['endpoint']}  {found['new']}")


def announce(client: Client, args: Namespace) -> int:
    """Add or withdraw an announcement."""
    args.fingerprint = str(common.fingerprint(args.next or args.withdraw, args.kind))
    found = client.json(ROWS["announce withdraw" if args.withdraw else "announce"].ask(args))
    word = "withdrawn" if args.withdraw else "announced"
    return finish(args, "troth.announce/1", found, f"{word}  {found['endpoint']}  {args.fingerprint}")


def revoke(client: Client, args: Namespace) -> int:
    """Revoke, and say where it was trusted."""
    from troth.cli.revoke import means_fingerprint

    found = client.json(ROWS["revoke fingerprint" if means_fingerprint(args.what) else "revoke"].ask(args))
    places = "  on record at " + ", ".join(found["endpoints"]) if found["endpoints"] else "  it was on record nowhere"
    return finish(args, "troth.revoke/1", found, *(f"revoked  {each}" for each in found["revoked"]), places)


def delete(client: Client, args: Namespace) -> int:
    """Delete, and say what happens at the next connection."""
    found = client.json(ROWS["delete"].ask(args))
    finish(args, "troth.delete/1", found, f"deleted  {found['endpoint']}")
    if not args.json and not args.quiet:
        output.note(
            f"  at the next connection, only {common.fingerprint(args.next)} is trusted without approval"
            if args.next
            else "  its next certificate waits in quarantine: "
            + aimed(f"troth approve {found['endpoint']} --expect FINGERPRINT", args)
        )
    return 0


def policy(client: Client, args: Namespace) -> int:
    """Show policies, or set one."""
    return _show_policy(client, args) if args.action == "show" else _set_policy(client, args)


def _show_policy(client: Client, args: Namespace) -> int:
    rows = client.json(ROWS["policy show"].ask(args))["policies"]
    revocation = {each["of"]: each["revocation"] for each in rows}
    force = None
    if args.what in DOMAINS:
        rows = [each for each in rows if each["of"] == args.what]
    elif args.what is not None:
        entry = client.json(ROWS["policy entry"].ask(args))
        of, domain = entry["endpoint"], entry["domain"]
        none = {"of": of, "mode": None, "pin": None, "expired": None, "revocation": None}
        own = next((each for each in rows if each["of"] == of), none)
        rows = [*(each for each in rows if each["of"] == domain), own]
        force = {"of": of, **entry["policy"], "revocation": revocation.get(domain), "domain": domain}
    asked = client.json(ROWS["policy responders"].ask(args))
    responders = [asked[name] for name in ("url1", "url2") if asked[name] and asked["custom"]]
    if not args.json and not args.quiet:
        render.policies(rows, force, responders)
    return finish(args, "troth.policy/1", {"policies": rows, "in_force": force, "responders": responders})


def _set_policy(client: Client, args: Namespace) -> int:
    from troth.cli.policy import change_of, loose_note, refuse_near_domain
    from troth.errors import BadInput

    change_of(args)
    domain = args.what
    if args.what in DOMAINS:
        found = client.json(ROWS["policy set domain"].ask(args))
    else:
        if args.mode == "default":
            raise BadInput(
                "An endpoint's own settings cannot be removed with --server.",
                why="the API has no operation for it",
                next_command="run the command on the node itself",
            )
        args.place, domain = _known(client, args)
        if args.place == args.what:
            refuse_near_domain(args.what)
            if not _ENDPOINT.search(args.what):
                raise BadInput(
                    f"{args.what} is no domain, and nothing is on record about it.",
                    why=f"the domains are {', '.join(DOMAINS)}",
                    next_command=f"troth policy set {args.what}:443 …, with its port, if you mean a host",
                )
        found = client.json(ROWS["policy set"].ask(args))
    every = client.json(ROWS["policy show"].ask(args))["policies"]
    revocation = next((each["revocation"] for each in every if each["of"] == domain), None)
    place = "" if found["of"] == domain else f"in {domain}: "
    line = f"{place}{found['mode']}, pins {found['pin']}, expired {found['expired']}, revocation {revocation}"
    document = {**found, "revocation": revocation, "domain": domain}
    finish(args, "troth.policy.set/1", document, f"set  {found['of']}  {line}")
    if not args.quiet and loose_note(found["mode"], found["of"]):
        output.note(loose_note(found["mode"], found["of"]))
    return 0


def _known(client: Client, args: Namespace) -> tuple[str, str]:
    """Give the endpoint that is meant and its domain; one that is not on record yet is what was said."""
    try:
        entry = client.json(ROWS["policy entry"].ask(args))
    except ServerError as error:
        if error.status != 404:
            raise
        return args.what, "system"
    return entry["endpoint"], entry["domain"]


def export(client: Client, args: Namespace) -> int:
    """Export everything, to this machine."""
    text = client.text(ROWS["export"].ask(args))
    if args.output in (None, "-"):
        output.block(text)
        return 0
    with common.new_file(Path(args.output)) as file:
        file.write(text)
    if not args.quiet:
        output.say(f"exported  {args.output}")
    return 0


def import_(client: Client, args: Namespace) -> int:
    """Import a file of this machine."""
    from troth.formats import load

    args.text = common.read_text(args.file)
    document = load(args.text, args.format, name=args.file)
    found = client.json(ROWS["import"].ask(args))
    finish(args, "troth.import/1", found)
    render.imported(found, document, args)
    return 1 if found["refused"] else 0


def journal(client: Client, args: Namespace) -> int:
    """Verify the journal, or export it."""
    import json

    from troth.errors import BadInput

    if args.action == "accept":
        raise BadInput(
            "A restored store is accepted on the node itself.",
            why="the REST API has no operation for it",
            next_command="on the node: troth journal accept",
        )
    if args.action == "export":
        for record in _journal(client, args):
            output.block(json.dumps(record, ensure_ascii=True))
        return 0
    found = client.json(ROWS["journal verify"].ask(args))
    render.faults([] if args.json else found["faults"])
    line = () if found["faults"] else (f"intact  {found['records']} records; head {found['head']}",)
    finish(args, "troth.journal.verify/1", found, *line)
    return 7 if found["faults"] else 0


WORKS: dict[str, Work] = {
    "check": check,
    "list": list_,
    "show": show,
    "history": history,
    "pin": pin,
    "approve": approve,
    "replace": replace,
    "announce": announce,
    "revoke": revoke,
    "delete": delete,
    "policy": policy,
    "export": export,
    "import": import_,
    "journal": journal,
}
