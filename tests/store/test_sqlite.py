"""The SQLite store: what it keeps, who wins a race, and what it says when its file is not what it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.conftest import presented, view
from troth import manage
from troth.errors import BadInput, StoreRolledBack, StoreUnusable, StoreVanished, StoreVersion
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, EntryState, Override, PinKind, PinState
from troth.store import open_store
from troth.store.accept import accept
from troth.store.audit import audit
from troth.store.sqlite import SqliteStore
from troth.trust.verdict import Verdict

HOST = Endpoint("ise.example.com", 443)


def test_a_decision_is_on_the_disk_when_it_is_told(store: SqliteStore, path: Path) -> None:
    """What one process learned, another knows, with its certificate, its evidence and its journal."""
    store.judge(HOST, presented("a"))
    with open_store(path) as other:
        found = other.entry(HOST)
        assert found is not None
        assert found.current[0].fingerprint == view("a").fingerprint
        assert other.certificate(view("a").fingerprint) == view("a")
        assert [record.action for record in other.records()] == ["first-use"]
        assert not audit(other).faults


def test_of_parallel_first_uses_that_differ_one_wins(path: Path) -> None:
    """Threat 3, in threads that share a store and in stores of their own."""
    shared = open_store(path)
    verdicts: list[tuple[Verdict, str]] = []
    start = threading.Barrier(12)

    def learn(number: int) -> None:
        store = shared if number % 2 else open_store(path)
        name = f"cert {number % 4}"
        leaf = presented(name)
        start.wait()
        verdicts.append((store.judge(HOST, leaf).verdict, name))

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(12)]
    for name in range(4):
        view(f"cert {name}")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for verdict, name in verdicts if verdict is Verdict.FIRST_USE]
    assert all((verdict is Verdict.CHANGED) == (name != winner) for verdict, name in verdicts)
    assert not audit(shared).faults


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


def test_the_version_changes_with_every_commit_and_only_then(store: SqliteStore, path: Path) -> None:
    """The token that contexts hold their pins against differs after each commit of any process."""
    store.judge(HOST, presented("a"))
    before = store.version()
    assert store.version() == before
    store.entry(HOST)
    assert store.version() == before
    program = (
        "import sys; from troth.store import open_store; from troth.model.fingerprint import Fingerprint;"
        "open_store(sys.argv[1]).revoke(Fingerprint.of(b'x'))"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    assert store.version() != before


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


def test_revocation_reaches_every_endpoint_that_bears_the_key(store: SqliteStore) -> None:
    """Revoking a key revokes the pins of every certificate with it, everywhere, and a later pin of it is refused."""
    for number in range(3):
        store.judge(Endpoint(f"h{number}", 443), presented("shared"))
    touched = store.revoke(view("shared").spki, reason="stolen")
    assert len(touched) == 3
    for number in range(3):
        assert store.judge(Endpoint(f"h{number}", 443), presented("shared")).verdict is Verdict.REVOKED
    assert store.judge(Endpoint("new", 443), presented("shared")).verdict is Verdict.REVOKED
    with pytest.raises(BadInput, match="revoked"):
        manage.pin(store, Endpoint("x", 1), kind=PinKind.CERTIFICATE, view=view("shared"))
    assert not audit(store).faults


def test_revoking_one_certificate_leaves_its_key_alone(store: SqliteStore) -> None:
    """A key pin outlives the revocation of one of its certificates, but that certificate is refused."""
    manage.set_policy(store, HOST, Override(pin=PinKind.KEY))
    store.judge(HOST, presented("a"))
    store.revoke(view("a").fingerprint)
    found = store.entry(HOST)
    assert found is not None
    assert found.current
    assert store.judge(HOST, presented("a")).verdict is Verdict.REVOKED


def test_a_failed_change_changes_nothing(store: SqliteStore) -> None:
    """An exception in the middle of a change leaves entry and journal as they were."""
    store.judge(HOST, presented("a"))
    before = (store.entry(HOST), [record.seq for record in store.records()])

    def fail(_: object) -> object:
        raise MemoryError

    with pytest.raises(MemoryError):
        store.change(HOST, "test", fail)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError), store.transaction():
        store.revoke(view("a").fingerprint)
        raise RuntimeError
    assert (store.entry(HOST), [record.seq for record in store.records()]) == before
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH


def test_quarantine_and_deletion_are_states_not_absences(store: SqliteStore) -> None:
    """A quarantined or deleted endpoint is still on record, with its history."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    assert store.judge(HOST, presented("a")).verdict is Verdict.UNAPPROVED
    waiting = store.entry(HOST)
    assert waiting is not None
    assert (waiting.state, waiting.pins[0].state) == (EntryState.QUARANTINED, PinState.QUARANTINED)
    approved = manage.approve(store, waiting, view("a").fingerprint)
    assert approved.state is EntryState.ACTIVE
    gone = manage.delete(store, approved, None)
    assert gone.state is EntryState.DELETED
    assert gone.having(PinState.RETIRED)
    assert store.listing() == []
    assert len(store.listing(deleted=True)) == 1


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
