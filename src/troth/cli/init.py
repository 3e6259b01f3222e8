"""`troth init`: make a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import output

if TYPE_CHECKING:
    import argparse

_EPILOG = """The first administrator's password is printed once and kept nowhere. Settings can be changed later in troth.toml.

examples:
  troth init --home /var/lib/troth --name-of prime-pri.example.com --name-of 192.0.2.10
  troth init --address 127.0.0.1 --management-port 9443 --health-port 9082
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--node-name", default="", metavar="NAME", help="what the node calls itself (default: the host's)"
    )
    parser.add_argument(
        "--name-of",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address that it is reached by; repeatable",
    )
    parser.add_argument("--address", default="", help="the address to listen on (default: all of the machine's)")
    parser.add_argument("--management-port", type=_port, default=8443, metavar="PORT", help="REST and pages (8443)")
    parser.add_argument("--health-port", type=_port, default=8082, metavar="PORT", help="the Health Monitor (8082)")
    parser.add_argument(
        "--algorithm",
        choices=("ec-p256", "ec-p384", "rsa-3072", "rsa-4096"),
        help="the kind of the node's key (default: ec-p256)",
    )
    parser.add_argument(
        "--postgres", default="", metavar="WHICH", help="debian, wheel, or a folder of PostgreSQL's programs"
    )
    parser.add_argument("--postgres-user", default="", metavar="USER", help="who runs PostgreSQL, where you are root")
    parser.add_argument(
        "--database-url", default="", metavar="URL", help="an existing PostgreSQL service, without password"
    )
    parser.add_argument("--small", action="store_true", help="a database for demonstrations: little memory and disk")


def run(args: argparse.Namespace) -> int:
    """Make the node, and say what comes next."""
    import socket

    from troth.identity.keys import Algorithm
    from troth.node.config import Config, External, Listen, Postgres
    from troth.node.home import here
    from troth.node.init import ADMINISTRATOR, initialise

    home = here()
    wanted = Config(
        name=args.node_name or socket.gethostname().split(".")[0],
        names=tuple(args.name_of),
        management=Listen(address=args.address, port=args.management_port),
        health=Listen(address=args.address, port=args.health_port),
        postgres=Postgres(programs=args.postgres, user=args.postgres_user, small=args.small),
        database=External(url=args.database_url),
    )
    algorithm = Algorithm(args.algorithm) if args.algorithm else None
    made = initialise(home, wanted, algorithm=algorithm, say=lambda what: output.note(f"making {what} …"))
    if args.json:
        output.document(
            "troth.init/1",
            home=str(home.path),
            administrator=ADMINISTRATOR,
            password=made.password,
            fingerprint=made.fingerprint,
            key=made.key,
            database=made.database,
            names=list(made.config.names),
        )
        return 0
    output.say(f"made a node in {home.path}")
    if made.created_user:
        output.say(f"  the system user {made.created_user} was made, to run PostgreSQL")
    output.say(f"  database      {made.database}")
    output.say(f"  reached as    {', '.join(made.config.names)}")
    output.say(f"  certificate   {made.fingerprint}")
    output.say(f"  its key       {made.key}")
    output.say(f"  log in as     {ADMINISTRATOR}")
    output.say(f"  password      {made.password}   (shown this once)")
    output.note(f"next: troth serve --home {home.path}")
    return 0


def _port(text: str) -> int:
    import argparse

    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)
