"""A PostgreSQL of the node's own: made, started, killed, started again; each build that is here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgres import FAST, programs, runner
from tests.servers import open_folder, wait_until
from troth.database.binaries import find
from troth.database.cluster import Cluster
from troth.database.pool import Database
from troth.database.settings import ADMIN_ROLE, quoted
from troth.errors import ConfigUnusable, DatabaseUnusable, OutcomeUnknown


@pytest.fixture(params=["debian", "wheel"])
def made(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that is not running, of each build."""
    with open_folder() as place:
        cluster = Cluster(place / "pg", programs(place, request.param), user=runner(), small=True)
        cluster.initialise()
        yield cluster
        cluster.end_orphan()


def test_it_starts_answers_and_stops(made: Cluster) -> None:
    """It answers over its socket, and has no network port at all."""
    process = made.start()
    with psycopg.connect(made.conninfo()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
        superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        assert superuser == (False,)
    made.stop(process)
    assert process.returncode == 0
    assert not made.answers()


def test_one_that_a_killed_node_left_behind_is_ended(made: Cluster) -> None:
    """A start finds the server of before still running on its data folder, ends it, and loses nothing."""
    before = made.start()
    with psycopg.connect(made.conninfo()) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
    after = made.start()
    assert before.wait(30) == 0
    with psycopg.connect(made.conninfo()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]
    made.stop(after)


def test_a_killed_server_starts_again(made: Cluster) -> None:
    """SIGKILL of the server loses nothing that was committed."""
    process = made.start()
    with psycopg.connect(made.conninfo()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    again = made.start()
    with psycopg.connect(made.conninfo()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
    made.stop(again)


def test_there_is_no_second_database_in_a_home(made: Cluster) -> None:
    """What is there is never made anew."""
    with pytest.raises(ConfigUnusable, match="already"):
        made.initialise()


def test_what_was_begun_is_finished(made: Cluster) -> None:
    """A home whose making was cut short is made again, and what lay there is set aside."""
    (made.home / "ready").unlink()
    made.initialise()
    assert list(made.home.glob("unfinished-*"))
    made.stop(made.start())


def test_a_home_with_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """The name of a UNIX socket is short; it says so before anything is made."""
    deep = tmp_path / ("x" * 100)
    with pytest.raises(ConfigUnusable, match="too long"):
        Cluster(deep, find(), user=runner()).initialise()
    assert not deep.exists()


def test_a_server_that_cannot_start_says_so(made: Cluster) -> None:
    """A damaged data folder is an error, not a wait."""
    (made.data / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(DatabaseUnusable, match="ended with status"):
        made.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_other_users_do_not_get_in(cluster: Cluster) -> None:
    """Another user of the machine cannot even reach the socket."""
    assert cluster.run.stat().st_mode & 0o077 == 0


def reloaded(cluster: Cluster, names: str) -> None:
    """Set the standbys that commits wait for, and wait until the server goes by it."""
    fast = FAST.replace("synchronous_commit = off", "synchronous_commit = on") if names else FAST
    (cluster.home / "role.conf").write_text(f"{fast}synchronous_standby_names = '{names}'\n")
    cluster.call("pg_ctl", "reload", "-D", cluster.data)

    def in_force() -> bool:
        with psycopg.connect(cluster.conninfo(role=ADMIN_ROLE, database="postgres"), autocommit=True) as connection:
            return connection.execute("SHOW synchronous_standby_names").fetchone() == (names,)

    wait_until(in_force, "the setting")


def test_a_wait_for_the_standby_that_was_cut_short_is_no_success(cluster: Cluster, database: Database) -> None:
    """PostgreSQL only warns; Troth raises, for nobody knows whether the change outlives a failover."""

    def cancel() -> bool:
        with psycopg.connect(cluster.conninfo(role=ADMIN_ROLE, database="postgres"), autocommit=True) as watcher:
            query = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            return bool(watcher.execute(query).fetchall())

    reloaded(cluster, "nobody")
    helper = threading.Thread(target=wait_until, args=(cancel, "a commit that waits"))
    helper.start()
    try:
        with pytest.raises(OutcomeUnknown), database.transaction() as connection:
            connection.execute("CREATE TABLE perhaps (n integer)")
    finally:
        helper.join()
        reloaded(cluster, "")


def test_quoting_survives_every_character() -> None:
    """A quote in a path ends no string."""
    assert quoted("a'b\\c") == "'a''b\\\\c'"


def test_the_second_build_is_found_when_it_is_named() -> None:
    """Each is found by its name; what is not there is an error that says what to install."""
    with pytest.raises(ConfigUnusable, match="was not found in /nowhere"):
        find("/nowhere")
    with pytest.raises(ConfigUnusable) as caught:
        find(major=3)
    assert "apt-get install postgresql-3" in caught.value.next_command
