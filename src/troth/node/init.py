"""`troth init`: a home from nothing. `troth.toml` is written last: until it is there, nothing is a node and init can be repeated."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from troth.errors import ConfigUnusable, NodeExists
from troth.node import config as configuration
from troth.node import control
from troth.node.lock import exclusive
from troth.node.node import Node, own_cluster
from troth.node.vault import Vault, durable

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.identity.keys import Algorithm
    from troth.node.config import Config
    from troth.node.home import Home

ADMINISTRATOR = "admin"
# Who runs PostgreSQL where the node runs as root: the first of these that there is.
_RUNNERS = ("troth", "postgres")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an administrator is told once.

    Args:
        config: The configuration as it was written.
        password: The first administrator's, which is kept nowhere.
        fingerprint: Of the node's certificate.
        key: Of the key in it.
        database: What PostgreSQL it has.
        created_user: The system user that was made to run PostgreSQL; empty if there was one.
    """

    config: Config
    password: str
    fingerprint: str
    key: str
    database: str
    created_user: str


def initialise(
    home: Home, wanted: Config, *, algorithm: Algorithm | None = None, say: Callable[[str], None] = lambda _: None
) -> Made:
    """Make a node in a home.

    Args:
        home: Where; what an earlier attempt left there is used or set aside.
        wanted: The configuration.
        algorithm: The kind of the node's key.
        say: Is told what happens.

    Raises:
        NodeExists: There is a node already.
        ConfigUnusable: Something that it needs is not here.
    """
    if home.is_node:
        raise NodeExists(f"There is a node in {home.path} already.", next_command="troth serve, or another --home")
    control.require_short(home)
    make_folders(home)
    with exclusive(home):
        config, created = _with_user(wanted)
        config = msgspec.structs.replace(config, names=config.names or own_names())
        say("keys and certificate")
        Vault.create(home.secrets)
        _certify(home, config, algorithm)
        say("database")
        origin = make_database(home, config)
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        _fill(home, config, password)
        unfinished = home.path / ".troth.toml.new"
        _write(unfinished, configuration.text(config))
        unfinished.rename(home.config)
        durable(home.path)
        with Node(home) as node:
            current = node.identity.current()
    assert current.certificate is not None  # noqa: S101  # it was just made
    return Made(
        config=config,
        password=password,
        fingerprint=str(current.certificate.fingerprint),
        key=str(current.certificate.spki),
        database=origin,
        created_user=created,
    )


def own_names() -> tuple[str, ...]:
    """Give the names that this machine calls itself, the full one first."""
    found = dict.fromkeys(name.lower() for name in (socket.getfqdn(), socket.gethostname(), "localhost") if name)
    return tuple(name for name in found if not name.endswith((".arpa", ".localdomain")))


def make_folders(home: Home) -> None:
    """Make a home and the folders in it."""
    # PostgreSQL's user must be able to pass through the home; what is secret has folders of its own.
    home.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    for folder in (home.state, home.logs, home.path / "repositories", home.path / "repositories" / "defaultRepo"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _certify(home: Home, config: Config, algorithm: Algorithm | None) -> None:
    from troth.errors import IdentityMissing
    from troth.identity import Identity
    from troth.identity.keys import DEFAULT
    from troth.store.base import utc_now

    identity = Identity(home.identity, utc_now)
    try:
        identity.current()
    except IdentityMissing:
        identity.create(config.names, algorithm or DEFAULT)


def _with_user(config: Config) -> tuple[Config, str]:
    """Name the user who runs PostgreSQL; as root, make one if there is none."""
    if os.geteuid() != 0 or config.postgres.user or config.database.url:
        return config, ""
    known = {each.pw_name for each in pwd.getpwall()}
    found = next((name for name in _RUNNERS if name in known), None)
    created = ""
    if found is None:
        created = found = _RUNNERS[0]
        program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if program is None:
            raise ConfigUnusable(
                "There is no user to run PostgreSQL as, and none can be made here.",
                why="PostgreSQL refuses to run as root",
                next_command="make a system user, then: troth init --postgres-user NAME; or run as an ordinary user",
            )
        words = [program, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        done = subprocess.run([*words, found], capture_output=True, text=True, check=False)  # noqa: S603  # our words
        if done.returncode != 0:
            raise ConfigUnusable(f"The user {found} could not be made.", why=done.stderr.strip()[:300])
    postgres = msgspec.structs.replace(config.postgres, user=found)
    return msgspec.structs.replace(config, postgres=postgres), created


def make_database(home: Home, config: Config) -> str:
    """Make the node's own PostgreSQL, unless it uses an existing service; say which it is."""
    if config.database.url:
        return "an existing service"
    cluster = own_cluster(home, config)
    if not (cluster.exists and (cluster.home / "ready").is_file()):
        cluster.initialise()
    return f"PostgreSQL {cluster.binaries.version} ({cluster.binaries.origin})"


def _fill(home: Home, config: Config, password: str) -> None:
    """Make the tables and the first administrator; of an earlier attempt's administrator, set the password."""
    from troth.accounts.roles import Role
    from troth.errors import NameTaken

    with Node(home, config=config) as node:
        process = node.cluster.start() if node.cluster is not None else None
        try:
            node.database.migrate()
            try:
                node.accounts.users.create(ADMINISTRATOR, password, Role.ADMINISTRATOR, audit=node.audit)
            except NameTaken:
                if config.database.url:
                    raise
                node.accounts.users.set_password(ADMINISTRATOR, password, audit=node.audit)
        finally:
            node.close()
            if process is not None and node.cluster is not None:
                node.cluster.stop(process)


def _write(file: object, text: str) -> None:
    handle = os.open(str(file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
