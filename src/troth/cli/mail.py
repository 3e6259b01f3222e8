"""`troth mail`: where messages go: mail, webhooks, syslog."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.notify.settings import Settings

_EPILOG = """a channel's secret is no argument, for every user of a machine can read those:
  smtp      the password: TROTH_MAIL_PASSWORD, --secret-file, or typed in
  webhook   what calls are signed with: --secret-file; otherwise one is made, and shown this once

examples:
  troth mail set smtp mail.example.com:587 --from troth@example.com --to noc@example.com --user troth
  troth mail set webhook https://hooks.example.com/troth --least warning
  troth mail set syslog tls://logs.example.com:6514
  troth mail test smtp
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("show", "set", "test", "remove"))
    parser.add_argument(
        "what", nargs="?", metavar="KIND|NAME", help="for set: smtp, webhook or syslog; else a channel's name"
    )
    parser.add_argument(
        "where", nargs="?", metavar="PLACE", help="for set: HOST[:PORT], https://…, or tls://, tcp://, udp://, unix:"
    )
    parser.add_argument("--name", metavar="NAME", help="the channel's name (default: its kind)")
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="the sender of mail")
    parser.add_argument(
        "--to", dest="recipients", action="append", metavar="ADDRESS", help="a recipient of mail; may be given again"
    )
    parser.add_argument("--user", default="", metavar="NAME", help="the user name at the mail server")
    parser.add_argument(
        "--security",
        choices=("starttls", "tls", "plain"),
        default="starttls",
        help="for mail: when TLS begins (default: starttls); plain is for a relay on this machine's loopback address alone",
    )
    parser.add_argument(
        "--secret-file", metavar="FILE", help="a file whose first line is the secret; - for standard input"
    )
    parser.add_argument(
        "--least",
        choices=("info", "warning", "critical"),
        default="info",
        help="the least severity that is sent (default: info)",
    )
    parser.add_argument("--off", action="store_true", help="keep the settings, and send nothing")
    common.add_domain(parser)


def run(args: argparse.Namespace) -> int:
    """Show, set, test or remove channels."""
    return {"show": _show, "set": _set, "test": _test, "remove": _remove}[args.action](args)


def _show(args: argparse.Namespace) -> int:
    from troth.cli import desk

    with desk.opened() as here:
        found = [here.channels.get(args.what)] if args.what else here.channels.configured()
        told = [documents.channel(here.channels, each) for each in found]
    if args.json:
        output.document("troth.mail/1", channels=told)
    elif not args.quiet:
        if not found:
            output.note("no channels; to begin: troth mail set smtp HOST --from ADDRESS --to ADDRESS")
            return 0
        rows = [
            (
                each.name,
                str(document["destination"]),
                each.least.value,
                "on" if each.enabled else "off",
                each.trouble or "-",
            )
            for each, document in zip(found, told, strict=True)
        ]
        output.table(("NAME", "GOES TO", "LEAST", "STATE", "TROUBLE"), rows)
    return 0


def _set(args: argparse.Namespace) -> int:
    from troth.cli import desk
    from troth.notify.events import Severity

    settings = _settings(args)
    secret = _secret(args)
    name = args.name or args.what
    with desk.opened() as here:
        made = here.channels.set(
            name, settings, secret=secret, least=Severity(args.least), enabled=not args.off, who=here.who
        )
        kept = documents.channel(here.channels, here.channels.get(name))
        here.outbox.hurry(name)
    if args.json:
        output.document("troth.mail/1", channels=[kept], **({"secret": made.decode()} if made else {}))
    elif not args.quiet:
        output.say(f"set  {name}: {kept['destination']}")
        if made:
            output.say(f"  the secret that its calls are signed with, shown this once: {made.decode()}")
        output.note(f"next: troth mail test {name}")
    return 0


def _test(args: argparse.Namespace) -> int:
    from troth.cli import desk

    name = args.what or "smtp"
    with desk.opened() as here:
        note = here.channels.test(name, who=here.who)
        destination = str(documents.channel(here.channels, here.channels.get(name))["destination"])
        here.outbox.hurry(name)
    if args.json:
        output.document("troth.mail.test/1", channel=name, destination=destination, note=note or None)
    elif not args.quiet:
        output.say(f"sent  {name}: {destination} took the test message" + (f" ({note})" if note else ""))
    return 0


def _remove(args: argparse.Namespace) -> int:
    from troth.cli import desk
    from troth.errors import BadInput

    if not args.what:
        raise BadInput("Name the channel.", next_command="troth mail show")
    with desk.opened() as here:
        here.channels.remove(args.what)
    if args.json:
        output.document("troth.mail/1", channels=[])
    elif not args.quiet:
        output.say(f"removed  {args.what}")
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from troth.errors import BadInput
    from troth.notify.channel import ChannelKind
    from troth.notify.settings import settings_of

    if args.what not in list(ChannelKind) or not args.where:
        raise BadInput(
            "Say what kind of channel, and where it goes.", next_command="troth mail set smtp|webhook|syslog PLACE"
        )
    return settings_of(
        ChannelKind(args.what),
        args.where,
        sender=args.sender or "",
        recipients=args.recipients or (),
        user=args.user,
        security=args.security,
        domain=args.domain,
    )


def _secret(args: argparse.Namespace) -> bytes | None:
    """Take the secret from where nobody else can read it; None if none is given."""
    if args.secret_file:
        lines = common.read_text(args.secret_file).splitlines()
        return lines[0].encode() if lines and lines[0] else None
    if args.what != "smtp" or not args.user:
        return None
    given = os.environ.get("TROTH_MAIL_PASSWORD")
    if given is None and sys.stdin.isatty():
        import getpass

        given = getpass.getpass(f"Password of {args.user} (empty to keep the one on record): ")
    return given.encode() if given else None
