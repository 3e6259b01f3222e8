"""`troth policy`: how endpoints are checked, by domain and by endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import common, output

if TYPE_CHECKING:
    import argparse

    from troth.model.endpoint import Endpoint
    from troth.store.protocol import TrustStore

_MODES = ("trust-on-first-use", "strict", "ca", "observe", "disable")
_EPILOG = """modes:
  trust-on-first-use  the first certificate is recorded, another one later is rejected
  strict              unknown hosts wait in quarantine for approval
  ca                  the chain must lead to a trusted CA, for the host's name
  observe             what would be rejected is reported, and let through
  disable             nothing is checked

examples:
  troth policy set devicemgmt strict
  troth policy set ise.example.com:443 --pin key
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("show", "set"))
    parser.add_argument("what", nargs="?", metavar="DOMAIN|ENDPOINT")
    parser.add_argument("mode", nargs="?", choices=_MODES, metavar="MODE", help=", ".join(_MODES))
    parser.add_argument("--pin", choices=("key", "certificate", "issuer"), help="what a first use pins")
    parser.add_argument("--expired", choices=("accept", "reject"), help="the right certificate outside its dates")
    parser.add_argument(
        "--revocation",
        choices=("require", "prefer", "off"),
        help="in mode ca, for a domain: what becomes of a revocation check that cannot be done (default: require)",
    )
    parser.add_argument("--starttls", choices=common.STARTTLS, metavar="PROTOCOL", help=", ".join(common.STARTTLS))


def run(args: argparse.Namespace) -> int:
    """Show all policies, or set one."""
    return _show(args) if args.action == "show" else _set(args)


def _show(args: argparse.Namespace) -> int:
    from troth.model.entry import DOMAINS

    with common.store() as opened:
        domains = [(name, opened.domain_policy(name)) for name in DOMAINS]
        own = [each for each in opened.entries() if any((each.override.mode, each.override.pin, each.override.expired))]
    rows = [(name, p.mode.value, p.pin.value, p.expired.value) for name, p in domains]
    rows += [
        (str(each.endpoint), each.override.mode or "-", each.override.pin or "-", each.override.expired or "-")
        for each in own
    ]
    if args.json:
        names = ("of", "mode", "pin", "expired")
        output.document(
            "troth.policy/1",
            policies=[dict(zip(names, [None if cell == "-" else cell for cell in row], strict=True)) for row in rows],
        )
    elif not args.quiet:
        output.table(("OF", "MODE", "PINS", "EXPIRED"), rows)
    return 0


def _set(args: argparse.Namespace) -> int:
    from troth import manage
    from troth.errors import BadInput
    from troth.model.endpoint import Endpoint
    from troth.model.entry import DOMAINS, CheckMode, Expiry, Override, PinKind

    change = Override(
        mode=CheckMode(args.mode) if args.mode else None,
        pin=PinKind(args.pin) if args.pin else None,
        expired=Expiry(args.expired) if args.expired else None,
    )
    if args.revocation and args.what not in DOMAINS:
        raise BadInput("Revocation is set for a domain.", why=f"known are {', '.join(DOMAINS)}")
    if args.what is None or (change == Override() and not args.revocation):
        raise BadInput(
            "Say what to set, and to what.",
            next_command="troth policy set DOMAIN|ENDPOINT [MODE] [--pin KIND] [--expired …]",
        )
    with common.store() as opened:
        if args.what in DOMAINS:
            policy = (
                opened.domain_policy(args.what)
                if change == Override()
                else manage.set_domain(opened, args.what, change)
            )
            if args.revocation:
                from troth.store.authorities import set_strictness

                set_strictness(opened, args.what, args.revocation)
        elif change.pin is PinKind.ISSUER:
            raise BadInput(
                "An issuer is pinned with its CA certificate.",
                next_command=f"troth pin {args.what} --kind issuer --pem CA.pem",
            )
        else:
            place = _place(opened, args, Endpoint.parse(args.what, protocol=args.starttls or "tls"))
            entry = manage.set_policy(opened, place, change)
            policy = entry.override.over(opened.domain_policy(entry.domain))
    if args.json:
        output.document(
            "troth.policy.set/1",
            of=args.what,
            mode=policy.mode.value,
            pin=policy.pin.value,
            expired=policy.expired.value,
        )
    elif not args.quiet:
        output.say(f"set  {args.what}  {policy.mode}, pins {policy.pin}, expired {policy.expired}")
    return 0


def _place(opened: TrustStore, args: argparse.Namespace, place: Endpoint) -> Endpoint:
    """Mean the entry that is on record there, if there is one; an endpoint may also get its policy beforehand."""
    from troth import manage
    from troth.errors import NotFound

    try:
        return manage.resolve(opened, args.what, protocol=args.starttls).endpoint
    except NotFound:
        return place
