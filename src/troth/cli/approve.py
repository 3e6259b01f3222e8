"""`troth approve`: release an endpoint from quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common
from troth.cli.pin import changed

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    common.add_expect(parser, required=True, about="the fingerprint that the host's administrator gave you")


def run(args: argparse.Namespace) -> int:
    """Trust what waits, if it has the expected fingerprint."""
    from troth import manage
    from troth.model.fingerprint import Fingerprint

    fingerprint = Fingerprint.parse(args.expect)
    with common.store() as opened:
        entry = manage.approve(opened, common.entry(opened, args), fingerprint)
    return changed("troth.approve/1", args, f"approved  {entry.endpoint}  {entry.current[-1].fingerprint}", entry)
