"""The PostgreSQL store when its server, its database or its data are not what they were: nothing is trusted on their account."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.postgres import a_database, programs, runner
from tests.servers import open_folder, program, wait_until
from tests.store.conftest import make_view, presented, view
from tests.stores import Place, place_for
from troth import exchange
from troth.database.cluster import Cluster
from troth.database.pool import Database
from troth.database.settings import ADMIN_ROLE, APP_ROLE
from troth.errors import (
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnusable,
    NotFound,
    OutcomeUnknown,
    StoreRolledBack,
    StoreUnusable,
)
from troth.model.endpoint import Endpoint
from troth.model.entry import Override
from troth.store.accept import accept_database
from troth.store.audit import audit
from troth.store.base import Store
from troth.store.postgres import WITNESS, PostgresStore, translated
from troth.trust.verdict import Presented, Verdict

HOST = Endpoint("ise.example.com", 443)
ASKED: dict[str, Callable[[Store], object]] = {
    "judge": lambda store: store.judge(HOST, presented("b")),
    "judge a stranger": lambda store: store.judge(Endpoint("stranger", 1), presented("b")),
    "entry": lambda store: store.entry(HOST),
    "version": lambda store: store.version(),
    "policy": lambda store: store.policy(HOST, "system"),
    "review": lambda store: store.review(HOST, presented("a")),
    "revoke": lambda store: store.revoke(view("b").fingerprint),
    "listing": lambda store: store.listing(),
}


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place for a store in PostgreSQL."""
    with place_for(request, "postgres", tmp_path / "home") as made:
        yield made


@pytest.fixture
def store(place: Place) -> Store:
    """An empty trust store."""
    return place.open()


class Server:
    """A PostgreSQL server of the test's own, to be stopped, killed and damaged."""

    def __init__(self, folder: Path):
        self.cluster = Cluster(folder / "pg", programs(folder), user=runner(), small=True)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = self.cluster.start(log=log)

    def stop(self, mode: str = "fast") -> None:
        """Stop it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.cluster.stop(self.process, mode=mode)

    def kill(self) -> None:
        """Kill it as the system does where memory runs out."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def set(self, **settings: str) -> None:
        """Change settings that belong to the role, and wait until they are in force."""
        text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        (self.cluster.home / "role.conf").write_text(text)
        self.cluster.call("pg_ctl", "reload", "-D", self.cluster.data)
        for name, value in settings.items():
            wait_until(lambda: asked(self.cluster, f"SHOW {name}") == [(value,)], name)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    with open_folder() as folder:
        made = Server(folder)
        made.cluster.initialise()
        made.start()
        yield made
        made.stop("immediate")


@pytest.fixture
def own(server: Server, tmp_path: Path) -> Iterator[Place]:
    """A place for a store on a server of the test's own."""
    name = "own"
    do(server.cluster, f"CREATE DATABASE {name} OWNER {APP_ROLE}")
    made = Place(tmp_path / "home", server.cluster.conninfo(database=name))
    with contextlib.closing(Database(made.conninfo)) as database:
        database.migrate()
    yield made
    made.close()


def asked(cluster: Cluster, *queries: str, database: str = "postgres") -> list[tuple[object, ...]]:
    """Run statements as the administrator, and give the rows of the last."""
    with psycopg.connect(cluster.conninfo(role=ADMIN_ROLE, database=database), autocommit=True) as connection:
        cursor = [connection.execute(each.encode()) for each in queries][-1]
        return cursor.fetchall() if cursor.description else []


do = asked


def name_of(place: Place) -> str:
    """Name the database of a place."""
    return str(conninfo_to_dict(place.conninfo)["dbname"])


def copied(cluster: Cluster, place: Place) -> str:
    """Copy a database as it is now; give the copy's name."""
    name, copy = name_of(place), f"{name_of(place)}_copy"
    end_connections(cluster, place)
    do(cluster, f"CREATE DATABASE {copy} TEMPLATE {name} OWNER {APP_ROLE}")
    return copy


def put_back(cluster: Cluster, place: Place, copy: str) -> None:
    """Put a copy in a database's place, under the feet of whoever uses it."""
    do(cluster, f"DROP DATABASE {name_of(place)} WITH (FORCE)", f"ALTER DATABASE {copy} RENAME TO {name_of(place)}")


def end_connections(cluster: Cluster, place: Place) -> None:
    """End all connections to a database."""
    name = name_of(place)
    do(cluster, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    busy = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"
    wait_until(lambda: asked(cluster, busy) == [], "the end of the connections")


# Threat 25: a database that is not what it was


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_an_older_copy_stops_a_running_program(ask: Callable[[Store], object], cluster: Cluster, place: Place) -> None:
    """With an older copy in place, what was revoked since would be trusted again; each question is refused."""
    store = place.open()
    store.judge(HOST, presented("a"))
    copy = copied(cluster, place)
    store.revoke(view("a").fingerprint)
    put_back(cluster, place, copy)
    for _ in range(2):
        with pytest.raises(StoreRolledBack, match="journal is missing"):
            ask(store)


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_an_older_copy_is_refused_at_the_next_start(
    ask: Callable[[Store], object], cluster: Cluster, place: Place
) -> None:
    """What a program saw, the next one knows: by the witness, which was on the disk when the change was told."""
    store = place.open()
    store.judge(HOST, presented("a"))
    copy = copied(cluster, place)
    store.revoke(view("a").fingerprint)
    put_back(cluster, place, copy)
    with pytest.raises(StoreRolledBack):
        ask(place.open())


def test_what_another_node_changed_is_known_at_the_next_start(cluster: Cluster, place: Place, tmp_path: Path) -> None:
    """A node that only looked knows how far the journal was, too."""
    store, looker = place.open(), Place(tmp_path / "looker", place.conninfo)
    store.judge(HOST, presented("a"))
    looker.open().version()
    copy = copied(cluster, place)
    store.revoke(view("a").fingerprint)
    looker.open().version()
    looker.close()
    put_back(cluster, place, copy)
    with pytest.raises(StoreRolledBack):
        looker.open().version()
    looker.close()


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_another_database_in_its_place_is_refused(
    ask: Callable[[Store], object], cluster: Cluster, place: Place
) -> None:
    """A fresh database would make every host a stranger: it is refused by the running program and by the next."""
    store = place.open()
    store.judge(HOST, presented("a"))
    with a_database(cluster) as other:
        end_connections(cluster, Place(place.folder, other.conninfo))
        do(cluster, f"DROP DATABASE {name_of(place)} WITH (FORCE)")
        fresh = name_of(Place(place.folder, other.conninfo))
        do(cluster, f"CREATE DATABASE {name_of(place)} TEMPLATE {fresh} OWNER {APP_ROLE}")
    for each in (store, place.open()):
        with pytest.raises(StoreRolledBack, match="another trust store"):
            ask(each)


def test_a_rewritten_journal_is_refused(cluster: Cluster, place: Place) -> None:
    """A record with the same number and another hash is not the one that was there, also where more came after it."""
    store = place.open()
    store.judge(HOST, presented("a"))
    copy = copied(cluster, place)
    store.judge(Endpoint("other", 1), presented("a"))
    put_back(cluster, place, copy)
    elsewhere = Place(place.folder.parent / "elsewhere", place.conninfo)
    for host in ("x", "y"):
        elsewhere.open().judge(Endpoint(host, 1), presented("a"))
        for each in (store, place.open()):
            with pytest.raises(StoreRolledBack, match="another one"):
                each.version()
    elsewhere.close()


def test_a_database_that_is_gone_stops(cluster: Cluster, place: Place) -> None:
    """With the database dropped, each question is an error, and none is answered from memory."""
    database = Database(place.conninfo, wait_s=0.5)
    store = PostgresStore(database, place.folder)
    store.judge(HOST, presented("a"))
    copy = copied(cluster, place)
    do(cluster, f"DROP DATABASE {name_of(place)} WITH (FORCE)")
    try:
        with pytest.raises(DatabaseUnusable):
            store.judge(HOST, presented("b"))
    finally:
        do(cluster, f"ALTER DATABASE {copy} RENAME TO {name_of(place)}")
    assert place.open().judge(HOST, presented("b")).verdict is Verdict.CHANGED
    database.close()


def test_a_restored_backup_is_accepted_on_purpose(cluster: Cluster, place: Place) -> None:
    """A person says so, and the journal keeps it; until then, and without --yes, nothing changes."""
    store = place.open()
    with contextlib.closing(Database(place.conninfo)) as database:
        with pytest.raises(NotFound):
            accept_database(database, place.folder, really=True)
        store.judge(HOST, presented("a"))
        copy = copied(cluster, place)
        store.revoke(view("a").fingerprint)
        put_back(cluster, place, copy)
        assert "this would" in accept_database(database, place.folder, really=False)
        with pytest.raises(StoreRolledBack):
            place.open().version()
        assert "accepted" in accept_database(database, place.folder, really=True)
    again = place.open()
    assert again.judge(HOST, presented("a")).verdict is Verdict.MATCH
    assert [record.action for record in again.records()] == ["first-use", "accept"]
    with pytest.raises(StoreRolledBack):
        store.version()  # it goes by what it saw itself


def test_an_acceptance_that_fails_accepts_nothing(cluster: Cluster, place: Place) -> None:
    """If the database cannot be used, the witness is as it was."""
    place.open().judge(HOST, presented("a"))
    before = (place.folder / WITNESS).read_bytes()
    copy = copied(cluster, place)
    do(cluster, f"DROP DATABASE {name_of(place)} WITH (FORCE)")
    with contextlib.closing(Database(place.conninfo, wait_s=0.5)) as database, pytest.raises(StoreUnusable):
        accept_database(database, place.folder, really=True)
    do(cluster, f"ALTER DATABASE {copy} RENAME TO {name_of(place)}")
    assert (place.folder / WITNESS).read_bytes() == before


def test_a_witness_that_cannot_be_written_fails_the_call(place: Place) -> None:
    """What cannot be promised is not told as success; the change itself is kept, and the next call sees it."""
    store = place.open()
    store.judge(HOST, presented("a"))
    witness = place.folder / WITNESS
    aside = witness.rename(witness.with_suffix(".aside"))
    witness.mkdir()
    with pytest.raises(StoreUnusable):
        store.judge(Endpoint("other", 1), presented("a"))
    witness.rmdir()
    aside.rename(witness)
    assert store.judge(Endpoint("other", 1), presented("a")).verdict is Verdict.MATCH
    assert not audit(place.open()).faults


def test_a_changed_pin_or_journal_is_found(cluster: Cluster, place: Place) -> None:
    """Whoever changes the tables behind the journal's back, or the journal itself, is found by an audit."""
    store, name = place.open(), name_of(place)
    store.judge(HOST, presented("a"))
    store.judge(Endpoint("other", 1), presented("b"))
    assert not audit(store).faults
    with psycopg.connect(place.conninfo, autocommit=True) as raw:
        raw.execute("UPDATE pin SET fingerprint = %s WHERE entry = 1", (view("evil").fingerprint.digest,))
        assert any("ise.example.com" in fault for fault in audit(store).faults)
        for harm in ("UPDATE journal SET actor = 'nobody'", "DELETE FROM journal", "TRUNCATE journal"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                raw.execute(harm.encode())
    do(
        cluster,
        "ALTER TABLE journal DISABLE TRIGGER ALL",
        "UPDATE journal SET actor = 'x' WHERE seq = 1",
        database=name,
    )
    assert any("altered" in fault for fault in audit(store).faults)
    do(cluster, "DELETE FROM journal WHERE seq = 1", database=name)
    assert any("missing" in fault for fault in audit(store).faults)


# Threat 3: who waits sees what came before


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_who_waited_for_the_lock_sees_what_the_other_did(isolation: str, cluster: Cluster, place: Place) -> None:
    """Of two first uses at once, the second begins before the first commits, waits, and then reads what that left."""
    do(cluster, f"ALTER DATABASE {name_of(place)} SET default_transaction_isolation = '{isolation}'")
    first, second = place.open(), place.open()
    verdicts: list[Verdict] = []
    thread = threading.Thread(target=lambda: verdicts.append(second.judge(HOST, presented("b")).verdict))
    waiting = (
        f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(place)}' AND wait_event_type = 'Lock'"
        " AND wait_event = 'advisory'"
    )
    view("b")
    with first.transaction():
        assert first.judge(HOST, presented("a")).verdict is Verdict.FIRST_USE
        thread.start()
        wait_until(lambda: bool(asked(cluster, waiting)), "the second one's wait")
    thread.join()
    assert verdicts == [Verdict.CHANGED]
    assert [record.action for record in first.records()] == ["first-use", "changed"]
    assert not audit(first).faults


# Threats 17 and 29: a server that goes away


@pytest.mark.parametrize("at", ["the beginning", "the middle", "the end"])
def test_a_connection_that_is_lost_in_a_transaction_stores_nothing(at: str, cluster: Cluster, place: Place) -> None:
    """Wherever it is lost, the call fails, all of it is undone, and the next call gets a new connection."""
    store = place.open()
    store.judge(HOST, presented("a"))
    with pytest.raises(DatabaseUnusable), store.transaction() as connection:
        if at == "the beginning":
            end_connections(cluster, place)
        store.revoke(view("a").fingerprint)
        if at == "the middle":
            end_connections(cluster, place)
            connection.execute("SELECT 1")
        store.judge(Endpoint("other", 1), presented("a"))
        end_connections(cluster, place)
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH
    assert [record.action for record in store.records()] == ["first-use"]
    assert not audit(store).faults


def test_a_failed_transaction_cannot_be_ended_well(place: Place) -> None:
    """PostgreSQL answers COMMIT of a failed transaction by rolling it back, without an error: that is no success."""
    store = place.open()
    store.judge(HOST, presented("a"))
    with pytest.raises(StoreUnusable), store.transaction() as connection:
        store.revoke(view("a").fingerprint)
        with contextlib.suppress(psycopg.Error):
            connection.execute("SELECT 1 / 0")
    assert store.revocations() == []
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_store_whose_server_stops_and_starts_again(how: str, server: Server, own: Place) -> None:
    """While it is gone, nothing is trusted; when it is back, the same store goes on, and all that was told is there."""
    database = Database(own.conninfo, wait_s=0.5)
    store = PostgresStore(database, own.folder)
    for number in range(20):
        store.judge(Endpoint(f"h{number}", 443), presented("a"))
    store.judge(HOST, presented("a"))
    server.kill() if how == "kill" else server.stop(how)
    for ask in ASKED.values():
        with pytest.raises(DatabaseUnusable) as caught:
            ask(store)
        assert caught.value.exit_code == 7
        assert caught.value.next_command
    server.start()

    def back() -> bool:
        with contextlib.suppress(DatabaseUnusable):
            return bool(store.version())
        return False

    wait_until(back, "the server")
    assert store.judge(HOST, presented("b")).verdict is Verdict.CHANGED
    assert len(list(store.entries())) == 21
    assert not audit(store).faults
    database.close()


def test_a_damaged_table_is_an_error(server: Server, own: Place) -> None:
    """Pages that are not what was written are an error of their own, not an empty answer."""
    store = own.open()
    for number in range(50):
        store.judge(Endpoint(f"h{number}", 443), presented("a"))
    ((file,),) = asked(server.cluster, "CHECKPOINT", "SELECT pg_relation_filepath('entry')", database="own")
    server.stop()
    path = server.cluster.data / str(file)
    data = bytearray(path.read_bytes())
    data[100 : len(data)] = os.urandom(len(data) - 100)
    path.write_bytes(data)
    server.start()
    for ask in (lambda: store.judge(Endpoint("h1", 443), presented("b")), lambda: list(store.entries())):
        with pytest.raises(DatabaseCorrupt) as caught:
            ask()
        assert caught.value.exit_code == 7
    assert [record.seq for record in store.records()] == list(range(1, 51))


def limit_files(server: Server, pid: int, size: str) -> None:
    """Limit the size of the files that one of the server's processes writes."""
    command = [program("prlimit"), f"--pid={pid}", f"--fsize={size}:unlimited"]
    subprocess.run(command, check=True, **server.cluster.drop())


def test_a_full_disk_stores_nothing_and_says_so(own: Place, server: Server) -> None:
    """When the server's disk is full, the decision fails, the store is as it was, and goes on when there is room."""
    database = Database(own.conninfo, size=1)
    store = PostgresStore(database, own.folder)
    leaf = Presented(leaf=make_view("x"))
    # PostgreSQL ignores SIGXFSZ, so that a limit of file size acts as a full disk does. Segments of the write-ahead log
    # have 16 MB already; only a table beyond that meets the limit. Seven of these rows leave no room in a page.
    filler = (
        "INSERT INTO entry (host, port, protocol, domain, state, server_name, created_at)"
        " SELECT 'filler-' || lpad(n::text, 5, '0'), 1, 'tls', 'user', 'deleted', repeat('x', 1064), 0"
        " FROM generate_series(1, 16000) n"
    )
    with database.transaction() as raw:
        raw.execute(filler.encode())
    with database.reading() as raw:
        pid, size = raw.execute("SELECT pg_backend_pid(), pg_relation_size('entry')").fetchone() or (0, 0)
    assert isinstance(pid, int)
    assert isinstance(size, int)
    assert size > 17 << 20
    limit_files(server, pid, str(size + 100))
    done = 0
    with pytest.raises(DatabaseFull) as caught:
        while done < 1000:
            store.judge(Endpoint(f"h{done}", 443), leaf)
            done += 1
    assert caught.value.next_command
    limit_files(server, pid, "unlimited")
    assert [record.seq for record in store.records()] == list(range(1, done + 1))
    assert store.judge(Endpoint(f"h{done}", 443), leaf).verdict is Verdict.FIRST_USE
    database.close()


# The pair


@pytest.fixture
def standby(server: Server, own: Place) -> Iterator[Server]:
    """A standby of the server."""
    del own  # it is to be copied
    with open_folder() as folder:
        made = Server(folder)
        made.cluster.home.mkdir(mode=0o700)
        for each in (made.cluster.data, made.cluster.run):
            each.mkdir(mode=0o700)
        if os.geteuid() == 0:
            for each in (made.cluster.home, made.cluster.data, made.cluster.run):
                os.chown(each, server.cluster.data.stat().st_uid, server.cluster.data.stat().st_gid)
        upstream = server.cluster.conninfo(role=ADMIN_ROLE, database="replication")
        made.cluster.call("pg_basebackup", "-d", upstream, "-D", made.cluster.data, "-X", "stream", "-c", "fast")
        signal_file = made.cluster.data / "standby.signal"
        signal_file.touch()
        source = server.cluster.conninfo(role=ADMIN_ROLE, database="postgres").replace("'", "''")
        (made.cluster.home / "role.conf").write_text(f"primary_conninfo = '{source}'\n")
        made.start()
        yield made
        made.stop("immediate")


def test_a_standby_answers_and_takes_no_changes(server: Server, standby: Server, own: Place, tmp_path: Path) -> None:
    """A standby is read; what would be learned there is refused, and says which node to ask. Promoted, it goes on."""
    store = own.open()
    store.judge(HOST, presented("a"))
    there = Place(tmp_path / "there", standby.cluster.conninfo(database="own"))
    copy = there.open()
    wait_until(lambda: copy.entry(HOST) is not None, "the standby")
    before = copy.version()
    for ask in ("judge", "judge a stranger", "revoke"):
        with pytest.raises(DatabaseReadOnly) as caught:
            ASKED[ask](copy)
        assert "active" in caught.value.next_command
    assert copy.version() == before == store.version()
    assert copy.review(HOST, presented("a")).trusted
    store.revoke(view("a").fingerprint)
    wait_until(lambda: copy.version() != before, "the change on the standby")
    assert copy.review(HOST, presented("a")).verdict is Verdict.REVOKED
    server.stop()
    standby.cluster.call("pg_ctl", "promote", "-w", "-D", standby.cluster.data)
    assert copy.judge(HOST, presented("b")).verdict is Verdict.CHANGED
    assert copy.judge(Endpoint("new", 1), presented("b")).verdict is Verdict.FIRST_USE
    assert not audit(copy).faults
    there.close()


def test_a_standby_that_takes_over_without_the_last_changes_is_noticed(
    server: Server, standby: Server, own: Place
) -> None:
    """What was acknowledged and did not reach the standby was perhaps a revocation: the node that saw it goes on with neither."""
    store = own.open()
    store.judge(HOST, presented("a"))
    there = Place(own.folder.parent / "there", standby.cluster.conninfo(database="own"))
    copy = there.open()
    wait_until(lambda: copy.entry(HOST) is not None, "the standby")
    standby.stop()
    store.revoke(view("a").fingerprint)
    server.kill()
    standby.start()
    standby.cluster.call("pg_ctl", "promote", "-w", "-D", standby.cluster.data)
    seer = Place(own.folder, there.conninfo)
    for ask in ASKED.values():
        with pytest.raises(StoreRolledBack):
            ask(seer.open())
    assert copy.judge(HOST, presented("a")).verdict is Verdict.MATCH  # which this node has no reason to doubt
    with contextlib.closing(Database(there.conninfo)) as database:
        accept_database(database, own.folder, really=True)
    assert seer.open().judge(HOST, presented("a")).verdict is Verdict.MATCH
    seer.close()
    there.close()


def test_a_wait_for_the_standby_that_was_cut_short_is_no_success(server: Server, own: Place) -> None:
    """PostgreSQL only warns, and the pin is visible; but whether it outlives a failover nobody knows, so it is an error."""
    store = own.open()
    store.version()
    view("a")

    def cancel() -> bool:
        query = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return bool(asked(server.cluster, query))

    server.set(synchronous_standby_names="nobody")
    helper = threading.Thread(target=wait_until, args=(cancel, "a commit that waits"))
    helper.start()
    try:
        with pytest.raises(OutcomeUnknown):
            store.judge(HOST, presented("a"))
    finally:
        helper.join()
        server.set(synchronous_standby_names="")
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH


# What the engine is made of


def test_a_fork_is_refused(place: Place) -> None:
    """A child that was forked shares its parent's sockets, and would read the parent's answers: it is refused."""
    store = place.open()
    store.judge(HOST, presented("a"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for ask in ASKED.values():
                with pytest.raises(StoreUnusable, match="fork"):
                    ask(store)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH


def test_more_threads_than_connections_get_their_turn(place: Place) -> None:
    """Writers that wait for the lock leave connections for the readers."""
    database = Database(place.conninfo, size=2)
    store = PostgresStore(database, place.folder)
    view("a")
    failures: list[StoreUnusable] = []

    def use(number: int) -> None:
        try:
            for each in range(5):
                store.judge(Endpoint(f"h{number}-{each}", 1), presented("a"))
                store.entry(HOST)
                for entry in store.entries():
                    store.certificate(entry.presented)
                    break
        except StoreUnusable as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    database.close()
    assert failures == []
    assert len(list(place.open().entries())) == 80


def test_what_changes_nothing_changes_no_token_and_writes_nothing(cluster: Cluster, place: Place) -> None:
    """A match that was seen a moment ago, an export: they take the lock, and cost neither a write nor a second look."""
    store = place.open(clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    store.judge(HOST, presented("a"))
    store.judge(HOST, presented("a"))
    before, ((number,),) = store.version(), asked(cluster, "SELECT pg_current_xact_id()::text")
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH
    exchange.export(store)
    assert store.version() == before
    assert asked(cluster, "SELECT pg_current_xact_id()::text") == [(str(int(str(number)) + 1),)]  # this question's own


def test_a_token_never_comes_again(place: Place) -> None:
    """The token of a change that was undone is not the token of the next one."""
    store = place.open()
    tokens = {store.version()}
    for number in range(10):
        with contextlib.suppress(ZeroDivisionError), store.transaction():
            store.keep_certificate(view("a"))
            tokens.add(store.version())
            1 / (number % 2)  # every other one is undone
        tokens.add(store.version())
    assert len(tokens) == 1 + 10


def test_a_database_without_tables_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    """Tables that are not there are no empty store."""
    with a_database(cluster, migrated=False) as database:
        for ask in ASKED.values():
            with pytest.raises(StoreUnusable):
                ask(PostgresStore(database, tmp_path))


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT ? + ?", b"SELECT $1 + $2"),
        ("SELECT ?1, ?1", b"SELECT $1, $1"),
        ("SELECT ?2, ?1, ?", b"SELECT $2, $1, $3"),
        ("SELECT 1", b"SELECT 1"),
    ],
)
def test_parameters_are_numbered_as_in_sqlite(written: str, sent: bytes) -> None:
    """A bare mark is the one after the highest so far."""
    assert translated(written) == sent


def test_policy_of_a_domain_is_kept(store: Store) -> None:
    """An override at an endpoint goes before the domain's policy."""
    store.judge(HOST, presented("a"))
    policy, entry = store.policy(HOST, "user")
    assert entry is not None
    assert entry.override == Override()
    assert policy == store.domain_policy("system")
