"""`troth backup` and `troth restore`: a whole node in one file, held against itself when it is written and when it is read.

It holds the node's keys and the keys that its secrets are sealed with: without them it could not be restored, and with
them it must be kept like them. So it is readable by its owner alone.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from troth._version import __version__
from troth.database.settings import APP_ROLE
from troth.errors import BadFile, DatabaseUnusable, NodeExists, StoreUnusable
from troth.node import archive, config
from troth.node.init import make_database, make_folders
from troth.node.lock import exclusive
from troth.node.node import Node
from troth.node.vault import durable
from troth.store.audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.database.binaries import Binaries
    from troth.node.home import Home

_DUMP = "database.dump"
_FOLDERS = ("identity", "secrets", "repositories")
_LIMIT_S = 24 * 3600


def backup(node: Node, target: Path) -> archive.Manifest:
    """Write a backup of a node; the node may run meanwhile.

    Raises:
        BadFile: The file exists, or cannot be written.
        DatabaseUnusable: The database does not run, or could not be read whole.
    """
    with tempfile.TemporaryDirectory(prefix=".troth-backup-", dir=target.absolute().parent) as name:
        folder = Path(name)
        dump, peers = folder / _DUMP, folder / "peers.db"
        with _database(node):
            seq = node.store.last_change()
            _run(_programs(node), "pg_dump", "-Fc", "--no-owner", "-d", node.database.conninfo, "-f", str(dump))
        members = [(_DUMP, dump), ("troth.toml", node.home.config)]
        if node.home.peers.exists():
            with closing(sqlite3.connect(node.home.peers)) as source:
                source.execute("VACUUM INTO ?", (str(peers),))
            members.append(("peers.db", peers))
        for each in _FOLDERS:
            found = sorted((node.home.path / each).rglob("*"))
            members += [(str(file.relative_to(node.home.path)), file) for file in found if _is_kept(file)]
        at = node.store.now().isoformat(timespec="seconds").replace("+00:00", "Z")
        facts = {"node": node.config.name, "at": at, "troth": __version__, "journal": seq}
        return archive.write(target.absolute(), members, facts)


def restore(home: Home, file: Path) -> archive.Manifest:
    """Make a node from a backup, in a home where there is none.

    Raises:
        NodeExists: There is one.
        BadFile: The backup is not whole, or was altered.
        StoreUnusable: The journal in it does not hold together.
    """
    if home.is_node:
        raise NodeExists(
            f"There is a node in {home.path}; a restore never writes over one.",
            next_command="restore into another --home, or move this one away",
        )
    make_folders(home)
    with exclusive(home), tempfile.TemporaryDirectory(prefix=".restore-", dir=home.path) as name:
        folder = Path(name)
        manifest = archive.read(file, folder)
        if not {_DUMP, "troth.toml", "secrets/keys"} <= manifest.files.keys():
            raise BadFile(f"{file} lacks what a node needs.")
        settings = config.parse((folder / "troth.toml").read_text(encoding="utf-8"))
        for each in (*_FOLDERS, "peers.db"):
            if (folder / each).exists():
                _put(folder / each, home.path / each)
        shutil.rmtree(home.postgres, ignore_errors=True)
        make_database(home, settings)
        with Node(home, config=settings) as node, _database(node):
            _load(node, folder / _DUMP)
        (folder / "troth.toml").rename(home.config)
        durable(home.path)
    return manifest


def _load(node: Node, dump: Path) -> None:
    words = ("--no-owner", f"--role={APP_ROLE}", "--exit-on-error", "--single-transaction")
    _run(_programs(node), "pg_restore", *words, "-d", node.database.conninfo, str(dump))
    node.database.migrate()
    faults = audit(node.store).faults
    if faults:
        raise StoreUnusable("The journal in the backup does not hold together.", why=faults[0])


def _put(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _is_kept(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and not file.name.startswith(".") and file.name != "lock"


@contextmanager
def _database(node: Node) -> Iterator[None]:
    """Have the database running: as it is, or for this while."""
    if node.cluster is None or node.cluster.answers():
        yield
        return
    process = node.cluster.start()
    try:
        yield
    finally:
        node.close()
        node.cluster.stop(process)


def _programs(node: Node) -> Binaries:
    from troth.database.binaries import find

    return node.cluster.binaries if node.cluster is not None else find(node.config.postgres.programs)


def _run(programs: Binaries, program: str, *words: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own words
        [programs.program(program), *words], capture_output=True, text=True, check=False, timeout=_LIMIT_S
    )
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [""])[-1][:300]
        raise DatabaseUnusable(f"PostgreSQL's {program} failed.", why=why)
