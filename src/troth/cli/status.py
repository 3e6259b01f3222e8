"""`troth status`: the node and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from troth.cli import output

if TYPE_CHECKING:
    import argparse

_GOOD = {"running": "good", "starting": "warn", "stopping": "warn", "waiting": "warn"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def run(args: argparse.Namespace) -> int:
    """Ask the node how it does; exit code 0 if every part runs, 1 if not."""
    from troth.node import control
    from troth.node.home import Home, find

    found = control.ask(Home(find()), "status")
    if args.json:
        output.document(**found)
    elif not args.quiet:
        show(found)
    return 0 if found.get("state") == "running" else 1


def show(found: dict[str, Any]) -> None:
    """Print a status for people."""
    state = str(found["state"])
    output.say(
        f"{found['name']}  {output.styled(state, _GOOD.get(state, 'bad'))}  Troth {found['version']}, {found['role']}"
    )
    output.say(f"  home         {found['home']}, since {found['since']}")
    output.say(f"  certificate  {found['certificate']['fingerprint']}, valid to {found['certificate']['not_after']}")
    output.say(f"  health       port {found['health']['port']}")
    for part in found["parts"]:
        facts = ", ".join(f"{name} {value}" for name, value in (part.get("facts") or {}).items())
        process = f"process {part['pid']}" if part["pid"] else "no process"
        styled = output.styled(part["state"], _GOOD.get(part["state"], "bad"))
        output.say(f"  {part['name']:<12} {styled}, {process}, since {part['since']}{', ' + facts if facts else ''}")
        if part["restarts"]:
            output.say(f"               started again {part['restarts']} times; last: {part['last_end']}")
        elif part["last_end"] and part["state"] != "running":
            output.say(f"               {part['last_end']}")
