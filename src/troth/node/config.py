"""`troth.toml`: what an administrator decides about a node. Every setting has a default; what is not known is an error."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth.errors import BadInput, ConfigUnusable
from troth.model.endpoint import canonical_host
from troth.watch.reach import ProbePolicy, networks

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.node.home import Home

VERSION = 1
# What each version's file must be turned into, to be a file of the next version.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Format = Literal["text", "json", "journald"]
Level = Literal["debug", "info", "warning", "error"]


class Listen(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where a part listens; an empty address is all of the machine's, port 0 is any that is free."""

    address: str = ""
    port: Port = 0


class Postgres(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The node's own PostgreSQL."""

    programs: str = ""
    user: str = ""
    small: bool = False


class External(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An existing PostgreSQL service, instead of the node's own."""

    url: str = ""


class Logging(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What is logged, and how."""

    format: Format = "text"
    level: Level = "info"


class Probes(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where users may make the node connect to: the narrowest network that holds an address decides."""

    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def policy(self) -> ProbePolicy:
        """The policy that these make.

        Raises:
            ValueError: One is no network.
        """
        return ProbePolicy(allowed=networks(*self.allowed), refused=networks(*self.refused))


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The whole of it."""

    version: int = VERSION
    name: str = "troth"
    names: tuple[str, ...] = ()
    management: Listen = Listen(port=8443)
    health: Listen = Listen(port=8082)
    postgres: Postgres = Postgres()
    database: External = External()
    probes: Probes = Probes()
    logging: Logging = Logging()


def read(home: Home) -> Config:
    """Read a node's configuration.

    Raises:
        ConfigUnusable: It cannot be read or holds what it may not.
    """
    try:
        return parse(home.config.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigUnusable(f"{home.config} cannot be read.", why=error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise ConfigUnusable(f"{home.config} is not text in UTF-8.") from None


def parse(text: str) -> Config:
    """Read a configuration from its text, of this version or an older one.

    Raises:
        ConfigUnusable: It holds what it may not.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad(str(error)) from None
    version = document.get("version", VERSION)
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise _bad(f"version is {version!r}, and this Troth knows 1 to {VERSION}")
    for step in range(version, VERSION):
        document = {**MIGRATIONS[step](document), "version": step + 1}
    try:
        config = msgspec.convert(document, Config)
        for each in config.names:
            canonical_host(each)
        _ = config.probes.policy
    except msgspec.ValidationError as error:
        raise _bad(str(error)) from None
    except BadInput as error:
        raise _bad(error.what) from None
    except ValueError as error:
        raise _bad(f"probes: {error}") from None
    if not _NAME.fullmatch(config.name):
        raise _bad(f"name is {config.name!a}: letters, digits, dots, - and _ can be used")
    if config.database.url and not config.database.url.startswith(("postgresql://", "postgres://")):
        raise _bad("database.url begins with postgresql://")
    if "@" in config.database.url and ":" in config.database.url.partition("://")[2].partition("@")[0]:
        raise _bad(
            "database.url holds a password; put it into a password file (PGPASSFILE) that only the node can read"
        )
    return config


def _bad(why: str) -> ConfigUnusable:
    return ConfigUnusable("troth.toml cannot be used.", why=why, next_command="correct the file, then: troth status")


def text(config: Config) -> str:
    """Write a configuration with its comments."""
    return f"""\
# The configuration of a Troth node. What is left out has its default; what Troth does not know is an error.
# After a change: troth stop, troth serve (or: systemctl restart troth).
version = {VERSION}

# What this node calls itself, in logs and beside its twin.
name = {_quoted(config.name)}

# The names and addresses that it is reached by. Browsers and programs that ask for another are refused.
names = [{_listed(config.names)}]

# The management server: REST API and pages. An empty address is all of the machine's.
[management]
address = {_quoted(config.management.address)}
port = {config.management.port}

# The Health Monitor, which the other node of a pair talks to.
[health]
address = {_quoted(config.health.address)}
port = {config.health.port}

# The node's own PostgreSQL. programs: "debian", "wheel", a folder, or "" for the first that there is.
# user: who runs it where the node runs as root, for PostgreSQL refuses to. small: take less memory and disk.
[postgres]
programs = {_quoted(config.postgres.programs)}
user = {_quoted(config.postgres.user)}
small = {str(config.postgres.small).lower()}

# An existing PostgreSQL service instead: postgresql://user@host/database. Its password belongs into a password file.
[database]
url = {_quoted(config.database.url)}

# Which addresses users may make the node connect to, for checks and replacements, as networks. This machine itself, what is
# no single host, and the metadata services of clouds are refused unless they are allowed here, each by name.
[probes]
allowed = [{_listed(config.probes.allowed)}]
refused = [{_listed(config.probes.refused)}]

# format: text, json, or journald. level: debug, info, warning, error.
[logging]
format = {_quoted(config.logging.format)}
level = {_quoted(config.logging.level)}
"""


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(map(_quoted, values))


def _quoted(value: str) -> str:
    """Write a TOML basic string."""
    return '"' + "".join(_escaped(ch) for ch in value) + '"'


def _escaped(ch: str) -> str:
    if ch in '"\\':
        return "\\" + ch
    return ch if ch.isprintable() else f"\\U{ord(ch):08x}"
