"""`troth serve`: run a node in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_EPILOG = """The node stops at SIGTERM, SIGINT, or troth stop. Logs go to standard error, as [logging] in troth.toml says.

example:
  troth serve --home /var/lib/troth
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG


def run(args: argparse.Namespace) -> int:
    """Run until told to stop."""
    del args
    from troth.node.home import Home, find
    from troth.node.run import serve

    serve(Home(find()))
    return 0
