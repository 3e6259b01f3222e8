"""`troth demo`: see it all happen, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import output

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: the demonstration needs nothing and leaves nothing."""
    parser.epilog = "Everything happens on loopback, in a temporary folder that is removed afterwards.\n"


def run(args: argparse.Namespace) -> int:
    """Tell the story; fail if a step did not do what was promised."""
    del args
    from troth.demo.story import tell

    failures = tell()
    for each in failures:
        output.note(f"not as promised: {each}")
    if not failures:
        output.say()
        output.say("Everything went as promised. Next: troth check HOST:PORT, with a host of yours.")
    return 1 if failures else 0
