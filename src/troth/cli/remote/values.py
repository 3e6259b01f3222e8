"""What the arguments of a command are in the API's words. What cannot be used is refused here, before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from troth.cli import common

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from datetime import datetime


def expected(args: Namespace) -> str | None:
    """Give the fingerprint that is expected."""
    found = common.wanted(args)
    return str(found) if found is not None else None


def following(args: Namespace) -> str | None:
    """Give the fingerprint of what comes next."""
    return str(common.fingerprint(args.next, getattr(args, "kind", None))) if args.next else None


def named(args: Namespace) -> str:
    """Give the fingerprint that the command names."""
    return str(common.fingerprint(args.what))


def pem(args: Namespace) -> str | None:
    """Read the one certificate of a file; what else stands there is not sent."""
    from troth.cli.pin import only
    from troth.model.certificate import certificates_from_pem

    if not args.pem:
        return None
    # The file is read once: standard input can be read once alone.
    if not hasattr(args, "view"):
        args.view = only(certificates_from_pem(common.read_text(args.pem)), args.pem)
    return str(args.view.pem)


def setting(name: str) -> Callable[[Namespace], str | None]:
    """Give what a domain's setting is to be; the mode `default` means the default of each that is not named."""

    def value(args: Namespace) -> str | None:
        from troth.model.entry import Policy

        default = args.mode == "default"
        given = None if name == "mode" and default else getattr(args, name)
        return given or (str(getattr(Policy(), name).value) if default else None)

    return value


def file_name(args: Namespace) -> str:
    """Give the name of the file, without the folders of this machine."""
    return Path(args.file).name[:200]


def ise_server(args: Namespace) -> str:
    """Give the host and port of an ISE server."""
    from troth.errors import BadInput
    from troth.model.endpoint import Endpoint

    place = Endpoint.parse(args.server, default_port=args.port)
    if args.port is not None and place.port != args.port:
        raise BadInput(f"{args.server} names a port already, and it is not {args.port}.")
    return str(place)


def user_role(args: Namespace) -> str:
    """Give the role of a new user or token."""
    return str(args.role or "viewer")


def event_kind(args: Namespace) -> str | None:
    """Give a kind of event, if it is one."""
    from troth.cli.events import kind_of

    found = kind_of(args.kind)
    return None if found is None else str(getattr(found, "value", found))


def since(args: Namespace) -> str | None:
    """Give the time since when events are meant."""
    from troth.cli import desk

    if not args.since:
        return None
    return _written(desk.moment(args.since) if "T" in args.since else desk.now() - desk.length(args.since))


def over(args: Namespace) -> str | None:
    """Say whether silences that are over are meant, too."""
    return "true" if args.all else None


def until(args: Namespace) -> str:
    """Give the time until when something is silent."""
    from troth.cli import desk
    from troth.errors import BadInput

    if (args.length is None) == (args.until is None):
        raise BadInput("Say how long, or until when.", next_command="troth silence add WHAT --for 8h --why TEXT")
    return _written(desk.now() + desk.length(args.length) if args.length else desk.moment(args.until))


def _written(moment: datetime) -> str:
    return moment.isoformat()
