"""Arguments and look-ups that several commands share."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from troth.model.endpoint import PROTOCOLS, Endpoint
from troth.model.entry import DEFAULT_DOMAIN, DOMAINS, Entry
from troth.model.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from troth.store.protocol import TrustStore
    from troth.tls.probe import Target

STARTTLS = tuple(name for name in PROTOCOLS if name != "tls")
# Of several hosts, the code that needs a person most comes first.
WORST_FIRST = (7, 3, 6, 4, 5, 2, 1, 0)
_MAX_FILE = 64 << 20


@contextmanager
def store() -> Iterator[TrustStore]:
    """Open the trust store that this call is about: a node's, where the home is one; else the user's own."""
    from troth.store.paths import default_path

    if default_path().with_name("troth.toml").is_file():
        import logging

        from troth.node.node import Node

        # Python prints what nobody handles to standard error, where a failure is said in our words.
        logging.getLogger("psycopg").addHandler(logging.NullHandler())
        with Node() as node:
            yield node.store
        return
    from troth.store import open_store

    with open_store() as opened:
        yield opened


def add_endpoint(parser: argparse.ArgumentParser) -> None:
    """Add the endpoint, and what tells its protocol."""
    parser.add_argument("endpoint", metavar="ENDPOINT", help="host:port, [v6]:port, or the entry key host_port")
    parser.add_argument("--starttls", choices=STARTTLS, metavar="PROTOCOL", help=", ".join(STARTTLS))


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add what a connection needs."""
    parser.add_argument("--server-name", default="", metavar="NAME", help="the server name (SNI) to send")
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="SECONDS", help="the limit of the whole attempt (default: 10)"
    )
    parser.add_argument(
        "--proxy", metavar="URL", help="http://[user@]host:port; the password comes from TROTH_PROXY_PASSWORD"
    )


def add_domain(parser: argparse.ArgumentParser, *, default: str | None = DEFAULT_DOMAIN) -> None:
    """Add the domain."""
    parser.add_argument("--domain", choices=DOMAINS, default=default, help="the domain (the incumbent's truststore)")


def add_expect(parser: argparse.ArgumentParser, *, required: bool, about: str) -> None:
    """Add the expected fingerprint."""
    parser.add_argument("--expect", required=required, metavar="FINGERPRINT", help=about)


def target(args: argparse.Namespace, endpoint: Endpoint, *, server_name: str = "") -> Target:
    """Make the target of a connection from the arguments."""
    import os

    from troth.tls.probe import Target
    from troth.tls.proxy import Proxy

    password = os.environ.get("TROTH_PROXY_PASSWORD", "")
    proxy = Proxy.parse(args.proxy, password=password) if args.proxy else None
    return Target(endpoint=endpoint, server_name=args.server_name or server_name, timeout_s=args.timeout, proxy=proxy)


def wanted(args: argparse.Namespace) -> Fingerprint | None:
    """Read the expected fingerprint, before anything else is done."""
    return fingerprint(args.expect, getattr(args, "kind", None)) if args.expect else None


def fingerprint(text: str, kind: str | None = None) -> Fingerprint:
    """Read a fingerprint; a failure says how to get one of the kind that is wanted."""
    from troth.errors import BadFingerprint

    try:
        return Fingerprint.parse(text)
    except BadFingerprint as error:
        if kind == "key":
            from troth.trust.explain import KEY_FINGERPRINT

            error.next_command = KEY_FINGERPRINT
        raise


def entry(opened: TrustStore, args: argparse.Namespace) -> Entry:
    """Find the entry that the arguments mean."""
    from troth.manage import resolve

    return resolve(opened, args.endpoint, protocol=args.starttls)


def place(args: argparse.Namespace) -> Endpoint:
    """Read the endpoint of the arguments, known or not."""
    return Endpoint.parse(args.endpoint, protocol=args.starttls or "tls")


def read_text(path: str) -> str:
    """Read a text file, or standard input for `-`.

    Raises:
        BadFile: It cannot be read, is too large, or is not text.
    """
    from troth.errors import BadFile

    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(f"{path} is not a text file in UTF-8.") from None


def read_bytes(path: str) -> bytes:
    """Read a file, or standard input for `-`.

    Raises:
        BadFile: It cannot be read, or is too large.
    """
    import sys

    from troth.errors import BadFile

    try:
        data = sys.stdin.buffer.read(_MAX_FILE + 1) if path == "-" else _read(Path(path))
    except OSError as error:
        raise BadFile(f"{path} cannot be read.", why=error.strerror or str(error)) from None
    if len(data) > _MAX_FILE:
        raise BadFile(f"{path} is larger than {_MAX_FILE >> 20} MiB.")
    return data


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Open a new text file for its owner alone, and make it durable; nothing is left of it if the work fails.

    Raises:
        BadFile: It cannot be made, or is there already.
    """
    import os

    from troth.errors import BadFile

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        hint = "name a file that does not exist, or - for standard output" if isinstance(error, FileExistsError) else ""
        raise BadFile(f"{path} cannot be written.", why=error.strerror or str(error), next_command=hint) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise BadFile(f"{path} cannot be written.", why=error.strerror or str(error)) from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE + 1)


def seconds(text: str) -> float:
    """Read a number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 3600")
    return value
