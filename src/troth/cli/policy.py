"""`troth policy`: how endpoints are checked, by domain and by endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth import documents
from troth.cli import common, output
from troth.model.words import DOMAINS

if TYPE_CHECKING:
    import argparse

    from troth.model.entry import Entry, Override, Policy
    from troth.store.protocol import TrustStore

_MODES = ("trust-on-first-use", "strict", "ca", "observe", "disable")
_RESET = "default"
_NEAR = 0.7
_EPILOG = """modes:
  trust-on-first-use  the first certificate is recorded, another one later is rejected
  strict              unknown hosts wait in quarantine for approval
  ca                  the chain must lead to a trusted CA, for the host's name
  observe             what would be rejected is reported, and let through
  disable             nothing is checked
  default             of a domain, the default; of an endpoint, its domain's policy: its own settings are removed

examples:
  troth policy set devicemgmt strict
  troth policy set ise.example.com:443 --pin key
  troth policy set ise.example.com:443 --domain pubnet
  troth policy set ise.example.com:443 default
"""
_LOOSE = {
    "disable": "nothing is checked in {of} any more: everybody in the middle is trusted",
    "observe": "nothing is rejected in {of} any more, only reported: everybody in the middle is trusted",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=("show", "set"))
    parser.add_argument("what", nargs="?", metavar="DOMAIN|ENDPOINT")
    parser.add_argument("mode", nargs="?", choices=(*_MODES, _RESET), metavar="MODE", help=", ".join((*_MODES, _RESET)))
    parser.add_argument("--pin", choices=("key", "certificate", "issuer"), help="what a first use pins")
    parser.add_argument("--expired", choices=("accept", "reject"), help="the right certificate outside its dates")
    parser.add_argument(
        "--revocation",
        choices=("require", "prefer", "off"),
        help="in mode ca, for a domain: what becomes of a revocation check that cannot be done (default: require)",
    )
    parser.add_argument("--domain", choices=DOMAINS, help="the domain to put the endpoint into")
    parser.add_argument("--starttls", choices=common.STARTTLS, metavar="PROTOCOL", help=", ".join(common.STARTTLS))


def run(args: argparse.Namespace) -> int:
    """Show all policies or one, or set one."""
    return _show(args) if args.action == "show" else _set(args)


# Show


def _show(args: argparse.Namespace) -> int:
    with common.store() as opened:
        responders = _responders(opened)
        if args.what is None:
            rows, force = documents.policies(opened), None
        elif args.what in DOMAINS:
            rows, force = [documents.domain_policy(opened, args.what)], None
        else:
            entry = _known(opened, args)
            own = documents.policy(str(entry.endpoint), entry.override)
            rows, force = [documents.domain_policy(opened, entry.domain), own], documents.policy_in_force(opened, entry)
    if args.json:
        output.document("troth.policy/1", policies=rows, in_force=force, responders=responders)
    elif not args.quiet:
        shown = rows if force is None else [*rows, {**force, "of": "in force"}]
        names = ("of", "mode", "pin", "expired", "revocation")
        output.table(
            ("OF", "MODE", "PINS", "EXPIRED", "REVOCATION"),
            [tuple(str(each[name] or "-") for name in names) for each in shown],
        )
        for url in responders:
            output.say(f"custom OCSP responder: {url}")
    return 0


def _known(opened: TrustStore, args: argparse.Namespace) -> Entry:
    from troth import manage
    from troth.errors import NotFound

    try:
        return manage.resolve(opened, args.what, protocol=args.starttls)
    except NotFound:
        refuse_near_domain(args.what)
        raise


def _responders(opened: TrustStore) -> list[str]:
    from troth.store.authorities import revocation_settings

    return list(revocation_settings(opened).responders)


# Set


def _set(args: argparse.Namespace) -> int:
    change = change_of(args)
    with common.store() as opened:
        if args.what in DOMAINS:
            of, domain, policy = args.what, args.what, _set_domain(opened, args, change)
        else:
            entry = _set_endpoint(opened, args, change)
            of, domain = str(entry.endpoint), entry.domain
            policy = entry.override.over(opened.domain_policy(domain))
        strictness = documents.domain_policy(opened, domain)["revocation"]
        row = documents.policy(of, policy, revocation=str(strictness))
        notes = _notes(opened, of, domain, policy)
    if args.json:
        output.document("troth.policy.set/1", **row, domain=domain)
    elif not args.quiet:
        place = "" if of == domain else f"in {domain}: "
        output.say(
            f"set  {of}  {place}{policy.mode}, pins {policy.pin}, expired {policy.expired}, revocation {row['revocation']}"
        )
    for text in notes if not args.quiet else ():
        output.note(text)
    return 0


def change_of(args: argparse.Namespace) -> Override:
    """Read what is to be set.

    Raises:
        BadInput: Nothing, or what does not belong together.
    """
    from troth.errors import BadInput
    from troth.model.entry import CheckMode, Expiry, Override, PinKind

    change = Override(
        mode=CheckMode(args.mode) if args.mode and args.mode != _RESET else None,
        pin=PinKind(args.pin) if args.pin else None,
        expired=Expiry(args.expired) if args.expired else None,
    )
    if args.revocation and args.what not in DOMAINS:
        raise BadInput("Revocation is set for a domain.", why=f"known are {', '.join(DOMAINS)}")
    if args.domain and args.what in DOMAINS:
        raise BadInput("A domain is in no domain; --domain is for an endpoint.", next_command="troth policy --help")
    given = change != Override() or args.revocation or args.domain or args.mode
    if args.what is None or not given:
        raise BadInput(
            "Say what to set, and to what.",
            next_command="troth policy set DOMAIN|ENDPOINT [MODE] [--pin KIND] [--expired …]",
        )
    return change


def _set_domain(opened: TrustStore, args: argparse.Namespace, change: Override) -> Policy:
    from troth import manage
    from troth.model.entry import Override
    from troth.store.authorities import set_strictness

    policy, reset = opened.domain_policy(args.what), args.mode == _RESET
    if reset or change != Override():
        policy = manage.set_domain(opened, args.what, change, reset=reset)
    if args.revocation:
        set_strictness(opened, args.what, args.revocation)
    return policy


def _set_endpoint(opened: TrustStore, args: argparse.Namespace, change: Override) -> Entry:
    from troth import manage
    from troth.errors import BadInput, NotFound
    from troth.model.endpoint import Endpoint
    from troth.model.entry import PinKind

    if change.pin is PinKind.ISSUER:
        raise BadInput(
            "An issuer is pinned with its CA certificate.",
            next_command=f"troth pin {args.what} --kind issuer --pem CA.pem",
        )
    place = Endpoint.parse(args.what, protocol=args.starttls or "tls")
    try:
        place = manage.resolve(opened, args.what, protocol=args.starttls).endpoint
    except NotFound:
        # An endpoint may get its policy before it is known; a word alone is rather a domain that was misspelt.
        refuse_near_domain(args.what)
        if _is_bare(args.what):
            raise BadInput(
                f"{args.what} is no domain, and nothing is on record about {place}.",
                why=f"the domains are {', '.join(DOMAINS)}",
                next_command=f"troth policy set {place} …, with its port, if you mean a host",
            ) from None
    return manage.set_policy(opened, place, change, domain=args.domain, reset=args.mode == _RESET)


def refuse_near_domain(text: str) -> None:
    """Refuse a word that is nearly a domain's name.

    Raises:
        BadInput: It is.
    """
    import difflib

    from troth.errors import BadInput

    near = difflib.get_close_matches(text.lower(), DOMAINS, n=1, cutoff=_NEAR) if _is_bare(text) else []
    if near:
        raise BadInput(
            f"{text} is no domain; did you mean {near[0]}?",
            why="names of domains are written in small letters; a host of this name is given with its port",
            next_command=f"troth policy show {near[0]}",
        )


def _is_bare(text: str) -> bool:
    return not any(character in text for character in ".:_[")


def loose_note(mode: str, of: str) -> str:
    """Say what is given up by a mode; empty if nothing is."""
    return _LOOSE[mode].format(of=of) if mode in _LOOSE else ""


def _notes(opened: TrustStore, of: str, domain: str, policy: Policy) -> list[str]:
    from troth.store.authorities import vouches

    found = [loose_note(policy.mode, of)] if loose_note(policy.mode, of) else []
    if policy.mode.value == "ca" and not vouches(opened, domain):
        found.append(
            f"{domain} trusts no CA yet, so every host is rejected: ncs certvalidation trusted-ca-store importcacert"
            f" alias ALIAS repository defaultRepo FILE truststore {domain}"
        )
    return found
