"""`troth replace`: probe, compare, and swap in one transaction; there is no moment of blind trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common
from troth.cli.pin import changed

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    common.add_endpoint(parser)
    common.add_expect(parser, required=True, about="the fingerprint (certificate or key) of the host's new certificate")
    common.add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Look at the host, and trust what it presents if it is what is expected."""
    from troth import manage
    from troth.model.endpoint import canonical_host
    from troth.model.fingerprint import Fingerprint
    from troth.tls.probe import probe

    fingerprint = Fingerprint.parse(args.expect)
    name = canonical_host(args.server_name) if args.server_name else None
    with common.store() as opened:
        entry = common.entry(opened, args)
        presented, _ = probe(common.target(args, entry.endpoint, server_name=entry.server_name))
        if name == entry.endpoint.host:
            name = ""  # the host's own is what is sent without being told
        done = manage.replace(opened, entry, presented.leaf, fingerprint, server_name=name)
    line = f"replaced  {entry.endpoint}  {done.view.fingerprint}"
    old = [str(pin.fingerprint) for pin in done.before.current]
    return changed("troth.replace/1", args, line, done.after, old=old, new=str(done.view.fingerprint))
