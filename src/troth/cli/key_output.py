"""How `troth key` speaks of keys and certificates."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from troth.cli import output
from troth.identity import Role, Severity
from troth.trust.explain import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from troth.identity import Change
    from troth.identity.generations import Generation

_OTHERS = 0o077


def fingerprint(each: Generation) -> str:
    """Give what peers have on record: the certificate's fingerprint, or the key's while there is none."""
    view = each.certificate
    return str(view.fingerprint) if view else f"{each.spki} (key)"


def tell(every: Sequence[Generation], *, on_restart: bool) -> None:
    """Tell of every generation."""
    for index, each in enumerate(every):
        if index:
            output.say()
        when = "  (comes into force when the node starts)" if each.role is Role.NEXT and on_restart else ""
        output.say(output.styled(each.role.value, "strong") + f"  {fingerprint(each)}{when}")
        output.say(f"  made        {moment(each.made_at)}, {each.origin}")
        output.say(f"  key         {each.spki}" + (f" ({each.chain[0].key})" if each.chain else ""))
        output.say(f"  names       {', '.join(each.names) or '(none)'}")
        view = each.certificate
        if view is not None:
            output.say(f"  subject     {view.subject or '(empty)'}")
            output.say(f"  issuer      {'itself' if view.self_issued else view.issuer}")
            output.say(f"  valid       {moment(view.not_before)} to {moment(view.not_after)}")
            output.say(f"  aloud       {view.fingerprint.spoken}")


def tell_findings(findings: Iterable[Mapping[str, str]]) -> None:
    """Tell what is wrong, each with what to do about it."""
    for each in findings:
        style = "bad" if each["severity"] == Severity.ERROR else "warn"
        output.note(f"{output.styled(each['severity'] + ':', style, sys.stderr)} {each['what']} [{each['code']}]")
        output.note(f"  do:   {each['todo']}")


def tell_activation(change: Change, *, done: bool, on_restart: bool) -> None:
    """Tell what an activation did, or would do, and what peers will make of it."""
    new, old = change.generation, change.before
    word = "activated" if done else "activates at the next start" if on_restart else "would activate"
    output.say(f"{word}  {fingerprint(new)}")
    output.say(f"  in place of  {fingerprint(old)}, which is kept")
    output.note(
        "the key is the same: peers that pin the key notice nothing, those that pin the certificate reject it if untold"
        if new.spki == old.spki
        else "the key is another: peers that have this node on record reject it if untold"
    )
    command = (
        f"troth replace NODE --expect {fingerprint(new)}" if done else f"troth announce NODE --next {fingerprint(new)}"
    )
    output.note(f"  there: {command}")


def advise_next(each: Generation) -> None:
    """Say what comes after a next certificate is there."""
    output.note(f"on each server that trusts this node: troth announce NODE --next {fingerprint(each)}")
    output.note("then, here: troth key activate")


def advise_request(each: Generation) -> None:
    """Say what comes after a request."""
    output.note(f"key  {each.spki}, for {', '.join(each.names)}")
    output.note("import the CA's answer with: troth key import FILE --chain CAFILE")
    output.note(f"the key can be announced already: troth announce NODE --next {each.spki} --kind key")


def warn_exposed(file: str) -> None:
    """Warn of a file with a secret in it that others can read."""
    try:
        exposed = file != "-" and Path(file).stat().st_mode & _OTHERS
    except OSError:
        return
    if exposed:
        output.note(f"warning: {file} can be read by others, so they may know it: chmod 600 {file}")
