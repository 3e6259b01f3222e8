"""A store that is carried over a fork: daemons, pre-fork workers, `multiprocessing` (threats 9, 17 and 29)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.conftest import Record
from tests.attacks.making import WAYS, by_check, by_socket
from tests.store.conftest import presented
from troth.errors import CertificateRejected, StoreUnusable, StoreVanished
from troth.model.endpoint import Endpoint
from troth.store import forking, open_store
from troth.store.audit import audit
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context

ROOT = Path(__file__).parents[2]
HOST = Endpoint("ise.example.com", 443)
REVOKE = """
import sys
from troth import manage
from troth.model.endpoint import Endpoint
from troth.store import open_store
with open_store(sys.argv[1]) as store:
    manage.revoke_entry(store, store.entry(Endpoint("127.0.0.1", int(sys.argv[2]))))
"""
DAEMON = """
import os, sys
from tests.attacks.making import by_socket
from troth.errors import CertificateRejected
from troth.store import open_store
from troth.tls.context import Context
store = open_store(sys.argv[1])
list(store.entries())
if os.fork():
    os._exit(0) if sys.argv[3] == "at once" else sys.exit(0)
context = Context(store)
by_socket(store, int(sys.argv[2]), context)
by_socket(store, int(sys.argv[2]), context)
print("up", flush=True)
sys.stdin.readline()
try:
    by_socket(store, int(sys.argv[2]), context)
    print("trusted", flush=True)
except CertificateRejected:
    print("rejected", flush=True)
"""


def elsewhere(program: str, *arguments: object) -> None:
    """Run a program in another process."""
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True, cwd=ROOT)


def forked(work: Callable[[], None]) -> int:
    """Fork; the child does the work, and ends with 0 if all went as it should."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child, and give its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_whose_parent_closes_the_store_loses_nothing_and_sees_revocations(
    record: Record, store: SqliteStore
) -> None:
    """Threats 9 and 29: the parent's last close leaves the child its log; it learns, and obeys what others revoke."""
    server, other = record(protocol="echo", ask=False), record(protocol="echo", ask=False)
    by_check(store, server.port)
    ready, tell = os.pipe()
    wait, go = os.pipe()

    def work() -> None:
        context = Context(store)
        for _ in range(2):
            by_socket(store, server.port, context)
        os.write(tell, b"1")
        assert os.read(wait, 1)
        for way in WAYS:
            with pytest.raises(CertificateRejected):
                way(store, server.port, context)
        by_socket(store, other.port)

    child = forked(work)
    assert os.read(ready, 1)
    store.close()
    elsewhere(REVOKE, store.path, server.port)
    before = len(server.settled())
    os.write(go, b"1")
    assert ended(child) == 0
    for each in (ready, tell, wait, go):
        os.close(each)
    assert not any(visit.received for visit in server.settled(before))
    with open_store(store.path) as again:
        assert again.entry(Endpoint("127.0.0.1", other.port)) is not None
        assert not audit(again).faults


@pytest.mark.parametrize("how", ["at once", "in order"])
def test_a_daemon_whose_parent_exits_obeys_revocations(how: str, record: Record, tmp_path: Path) -> None:
    """Threat 9: a program that opens its store, goes into the background and stays there sees what the command revokes."""
    server = record(protocol="echo", ask=False)
    path = tmp_path / "daemon" / "trust.db"
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(path), str(server.port), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        elsewhere(REVOKE, path, server.port)
        before = len(server.settled())
        told, _ = process.communicate("\n", timeout=30)
    assert told == "rejected\n"
    assert not any(visit.received for visit in server.settled(before))
    with open_store(path) as store:
        assert not audit(store).faults


def test_a_fork_waits_for_a_transaction_of_another_thread(store: SqliteStore) -> None:
    """Threat 17: a fork beside a writing thread waits for its end; both sides write afterwards, and nothing is lost."""
    inside = threading.Event()

    def write() -> None:
        with store.transaction():
            store.judge(Endpoint("thread", 1), presented("a"))
            inside.set()
            while not forking._forks:
                threading.Event().wait(0.01)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait()
    child = forked(lambda: (store.judge(Endpoint("child", 1), presented("a")), store.version(), None)[2])
    thread.join()
    store.judge(Endpoint("parent", 1), presented("a"))
    assert ended(child) == 0
    assert {entry.endpoint.host for entry in store.entries()} == {"thread", "child", "parent"}
    assert not audit(store).faults


def _refuses(store: SqliteStore) -> None:
    for again in (store, None):
        for use in (
            lambda it: it.judge(HOST, presented("a")),
            lambda it: it.entry(HOST),
            lambda it: it.version(),
        ):
            with pytest.raises(StoreUnusable, match="forked"):
                use(again or open_store(store.path))


def test_a_child_of_a_fork_beside_a_transaction_that_does_not_end_refuses(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 17: where a thread stays in its transaction, the child hangs in nothing: it says that it cannot use the store."""
    monkeypatch.setattr(forking, "PATIENCE_S", 0.05)
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction():
            store.judge(HOST, presented("a"))
            inside.set()
            leave.wait()

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait()
    child = forked(lambda: _refuses(store))
    assert ended(child) == 0
    leave.set()
    thread.join()
    assert store.entry(HOST) is not None
    assert not audit(store).faults


def test_a_child_of_a_fork_inside_a_transaction_uses_nothing_of_it(store: SqliteStore) -> None:
    """Threats 17 and 29: a transaction belongs to the process that began it; the child of a fork inside it is refused."""
    with store.transaction():
        store.judge(HOST, presented("a"))
        assert ended(forked(lambda: _refuses(store))) == 0
    assert [entry.endpoint for entry in store.entries()] == [HOST]
    assert not audit(store).faults


def test_a_childs_end_of_its_parents_transaction_is_refused(store: SqliteStore) -> None:
    """Threat 29: a child that runs out of the block in which it was forked is told so, and the parent's commit stands."""
    child = -1
    try:
        with store.transaction():
            store.judge(HOST, presented("a"))
            child = os.fork()
    except StoreUnusable:
        if child == 0:
            os._exit(0)
        raise
    finally:
        if child == 0:
            os._exit(1)
    assert ended(child) == 0
    store.judge(Endpoint("parent", 1), presented("a"))
    assert {entry.endpoint.host for entry in store.entries()} == {HOST.host, "parent"}
    assert not audit(store).faults


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_program_whose_index_was_taken_away_stops(replaced: bool, store: SqliteStore) -> None:
    """Threats 9 and 17: with the shared memory removed under it, a program would see no change of others; so it stops."""
    store.judge(HOST, presented("a"))
    store.version()
    index = store.path.with_name("trust.db-shm")
    data = index.read_bytes()
    index.unlink()
    if replaced:
        index.write_bytes(data)
    for ask in (store.version, lambda: store.judge(HOST, presented("a")), lambda: store.entry(HOST)):
        with pytest.raises(StoreVanished, match="in use"):
            ask()
