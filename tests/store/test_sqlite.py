"""The SQLite store: what it says when its file is not what it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store.conftest import presented, view
from troth.errors import BadInput, StoreRolledBack, StoreUnusable, StoreVanished, StoreVersion
from troth.model.endpoint import Endpoint
from troth.store import open_store
from troth.store.accept import accept
from troth.store.audit import audit
from troth.store.sqlite import SqliteStore

HOST = Endpoint("ise.example.com", 443)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(path) as opened:
        yield opened


def vanish(path: Path) -> None:
    """Delete the database and what SQLite keeps beside it."""
    for each in path.parent.glob("trust.db*"):
        each.unlink()


def truncate(path: Path) -> None:
    """Cut the database to nothing."""
    vanish(path)
    path.touch(mode=0o600)


def garble(path: Path) -> None:
    """Overwrite the database with something else."""
    vanish(path)
    path.write_bytes(b"not a database at all" * 500)
    path.chmod(0o600)


def overwrite_a_page(path: Path) -> None:
    """Damage pages in the middle of the database."""
    data = bytearray(path.read_bytes())
    data[2048 : len(data) - 2048] = os.urandom(len(data) - 4096)
    path.write_bytes(data)


def swap_for_another_program(path: Path) -> None:
    """Put another program's database in its place."""
    vanish(path)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.close()
    path.chmod(0o600)


def from_the_future(path: Path) -> None:
    """Pretend that a newer version wrote it."""
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 999")
    other.close()


def by_a_link(path: Path) -> None:
    """Reach it by a link."""
    path.rename(path.with_name("elsewhere.db"))
    path.symlink_to("elsewhere.db")


def for_everyone(path: Path) -> None:
    """Let everybody write it."""
    path.chmod(0o666)


def another_store(path: Path) -> None:
    """Put another store of Troth in its place."""
    vanish(path)
    with open_store(path.parent.parent / "other" / "trust.db"):
        pass
    shutil.copy(path.parent.parent / "other" / "trust.db", path)


HARMS: dict[Callable[[Path], None], type[StoreUnusable]] = {
    vanish: StoreVanished,
    truncate: StoreVanished,
    garble: StoreUnusable,
    overwrite_a_page: StoreUnusable,
    swap_for_another_program: StoreVersion,
    from_the_future: StoreVersion,
    by_a_link: StoreUnusable,
    for_everyone: StoreUnusable,
    another_store: StoreRolledBack,
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_store_that_is_not_what_it_was_stops(path: Path, harm: Callable[[Path], None]) -> None:
    """Threat 25: deleted, cut, damaged, replaced: an error with a way out, and never a first use."""
    store = open_store(path)
    for number in range(30):
        store.judge(Endpoint(f"h{number}", 443), presented("a"))
    store.close()
    harm(path)
    left = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file() and each.suffix == ".db"}
    with pytest.raises(HARMS[harm]) as caught, open_store(path) as again:
        again.judge(Endpoint("h1", 443), presented("b"))
        for entry in again.entries():
            assert entry
    assert caught.value.exit_code == 7
    assert caught.value.next_command or caught.value.why or "link" in caught.value.what
    assert {name: (path.parent / name).read_bytes() for name in left} == left


@pytest.mark.parametrize("harm", [vanish, swap_for_another_program, another_store], ids=lambda harm: harm.__name__)
def test_a_store_that_is_taken_away_while_open_stops(path: Path, harm: Callable[[Path], None]) -> None:
    """A running process notices at once that its store was deleted or replaced under it."""
    store = open_store(path)
    store.judge(HOST, presented("a"))
    harm(path)
    for ask in (lambda: store.judge(HOST, presented("b")), lambda: store.entry(HOST), store.version):
        with pytest.raises(StoreVanished):
            ask()


def test_an_old_copy_that_is_put_back_stops(path: Path, tmp_path: Path) -> None:
    """Threat 25: with an older copy, what was revoked since would be trusted again; so it is refused until accepted."""
    store = open_store(path)
    store.judge(HOST, presented("a"))
    store.close()
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    store = open_store(path)
    store.revoke(view("a").fingerprint)
    store.close()
    vanish(path)
    shutil.copy(copy, path)
    with pytest.raises(StoreRolledBack, match="journal"):
        open_store(path)
    assert "this would" in accept(path, empty=False, really=False)
    accept(path, empty=False, really=True)
    with open_store(path) as again:
        assert again.entry(HOST) is not None
        assert [record.action for record in again.records()][-1] == "accept"


def test_a_lost_store_is_begun_again_only_on_purpose(path: Path) -> None:
    """With --empty a person says that every host shall be a stranger; a store that is there is never thrown away."""
    open_store(path).close()
    with pytest.raises(BadInput):
        accept(path, empty=True, really=True)
    vanish(path)
    with pytest.raises(BadInput):
        accept(path, empty=False, really=True)
    accept(path, empty=True, really=True)
    with open_store(path) as again:
        assert list(again.entries()) == []


def test_a_folder_that_everyone_may_write_is_refused(tmp_path: Path) -> None:
    """In a folder that others write in, nothing can be trusted."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StoreUnusable, match="everyone"):
        open_store(folder / "trust.db")


def test_the_stores_files_are_private(store: SqliteStore, path: Path) -> None:
    """No other user reads or writes what is trusted here."""
    store.judge(HOST, presented("a"))
    for each in path.parent.iterdir():
        assert each.stat().st_mode & 0o077 == 0, each


def test_a_full_disk_stores_nothing_and_says_so(path: Path) -> None:
    """When the disk is full, the decision fails, and the store is as it was."""
    open_store(path).close()
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from tests.store.conftest import make_view; from troth.store import open_store;"
        "from troth.model.endpoint import Endpoint; from troth.trust.verdict import Presented;"
        "from troth.errors import StoreUnusable\n"
        "store = open_store(sys.argv[1]); leaf = make_view('x')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))\n"
        "done = 0\n"
        "try:\n"
        "    while True: store.judge(Endpoint(f'h{done}', 443), Presented(leaf=leaf)); done += 1\n"
        "except StoreUnusable as error: print(done, error.exit_code, error.next_command)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    count, code, *command = done.stdout.split()
    assert code == "7"
    assert command
    with open_store(path) as again:
        assert len(list(again.entries())) == int(count)
        assert not audit(again).faults


def test_a_changed_pin_or_journal_is_found(store: SqliteStore, path: Path) -> None:
    """Whoever changes the tables behind the journal's back, or the journal itself, is found by an audit."""
    store.judge(HOST, presented("a"))
    store.judge(Endpoint("other", 1), presented("b"))
    assert not audit(store).faults
    raw = sqlite3.connect(path)
    raw.execute("UPDATE pin SET fingerprint = ? WHERE entry = 1", (view("evil").fingerprint.digest,))
    raw.commit()
    assert any("ise.example.com" in fault for fault in audit(store).faults)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute("UPDATE journal SET actor = 'nobody'")
    raw.rollback()
    raw.execute("DROP TRIGGER journal_is_append_only_u")
    raw.execute("UPDATE journal SET actor = 'nobody' WHERE seq = 1")
    raw.commit()
    assert any("altered" in fault for fault in audit(store).faults)
    raw.execute("DROP TRIGGER journal_is_append_only_d")
    raw.execute("DELETE FROM journal WHERE seq = 1")
    raw.commit()
    assert any("missing" in fault for fault in audit(store).faults)


def test_a_fork_has_connections_of_its_own(store: SqliteStore, path: Path) -> None:
    """A child that was forked while the store was open uses it without harm to the parent."""
    store.judge(HOST, presented("a"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.judge(Endpoint("child", 1), presented("a"))
            store.version()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.judge(Endpoint("parent", 1), presented("a"))
    assert {entry.endpoint.host for entry in store.entries()} == {"ise.example.com", "child", "parent"}
    assert not audit(store).faults


def test_a_version_never_comes_back(store: SqliteStore, path: Path) -> None:
    """Threat 9: a change that was made while nobody here had the store open is another version, also in another thread."""
    store.judge(HOST, presented("a"))
    seen = []

    def look() -> None:
        seen.append(store.version())
        store.close()

    for name in ("b", "c", "d"):
        thread = threading.Thread(target=look)
        store.close()
        thread.start()
        thread.join()
        with open_store(path) as other:
            other.judge(Endpoint("ise.example.com", 8443), presented(name))
        look()
    assert len(set(seen)) == len(seen) == 6


def test_opening_again_and_again_uses_nothing_up(path: Path) -> None:
    """A program that opens the store for each request runs out of nothing."""

    def once() -> int:
        with open_store(path) as store:
            store.version()
        return len(os.listdir("/proc/self/fd"))

    once()
    assert once() == once() == once()


def test_a_look_in_one_thread_breaks_no_lock_of_another(store: SqliteStore, path: Path) -> None:
    """Threat 29: the first look of a thread leaves the locks of the process alone: POSIX ties them to every handle."""
    store.version()
    with store.transaction():
        thread = threading.Thread(target=store.version)
        thread.start()
        thread.join()
        code = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "database is locked" in found.stderr
