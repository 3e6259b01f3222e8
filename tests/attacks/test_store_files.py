"""The files of the store: planted by another user, written past SQLite, on a disk that takes no writes (threats 25 to 29)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.attacks.conftest import Command, Record
from tests.attacks.making import WAYS, by_check, by_socket, way_name
from tests.store.conftest import path as path
from tests.store.conftest import presented, view
from tests.tls.authority import Authority, pem
from troth import manage
from troth.errors import StoreRolledBack, StoreUnusable, StoreVersion
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override, PinKind
from troth.store import open_store, rows, witness
from troth.store.audit import audit
from troth.store.authorities import add_authority, delete_authority, set_strictness
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context

ROOT = Path(__file__).parents[2]
HOST = Endpoint("ise.example.com", 443)
OTHER_USER = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


# Another user writes in the folder


def group_may_write(folder: Path) -> None:
    """The group may write in it."""
    folder.chmod(0o770)


def everyone_may_write(folder: Path) -> None:
    """Everyone may write in it."""
    folder.chmod(0o707)


def like_tmp(folder: Path) -> None:
    """Everyone may write in it, and remove only what is theirs."""
    folder.chmod(0o1777)


def of_another(folder: Path) -> None:
    """It belongs to another user, who may replace every file in it."""
    os.chown(folder, OTHER_USER, -1)


FOLDERS = (group_may_write, everyone_may_write, like_tmp, pytest.param(of_another, marks=as_root))


@pytest.mark.parametrize("harm", FOLDERS)
@pytest.mark.parametrize("new", [False, True], ids=["store", "no-store"])
def test_a_folder_that_others_may_write_in_is_no_home(new: bool, harm: Callable[[Path], None], path: Path) -> None:
    """Threat 25: who may write in the folder can plant a log or take the witness away; so nothing in it is believed."""
    path.parent.mkdir(mode=0o700)
    if not new:
        open_store(path).close()
    harm(path.parent)
    before = sorted(each.name for each in path.parent.iterdir())
    with pytest.raises(StoreUnusable) as caught:
        open_store(path)
    assert caught.value.next_command
    assert sorted(each.name for each in path.parent.iterdir()) == before


def writable(file: Path) -> None:
    """The group may write it."""
    file.chmod(0o660)


def given(file: Path) -> None:
    """It belongs to another user."""
    os.chown(file, OTHER_USER, -1)


def linked(file: Path) -> None:
    """It is a link."""
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [writable, linked, pytest.param(given, marks=as_root)])
@pytest.mark.parametrize("name", ["trust.db-wal", "trust.db-shm", "trust.db-journal", "trust.witness", "trust.lock"])
def test_a_file_beside_the_store_that_others_may_write_is_refused(
    name: str, harm: Callable[[Path], None], path: Path
) -> None:
    """Threat 25: the log, its index, the journal, the witness and the lock are as private as the database itself."""
    open_store(path).close()
    file = path.with_name(name)
    file.touch(mode=0o600)
    harm(file)
    with pytest.raises(StoreUnusable, match=name):
        open_store(path)


@as_root
def test_a_planted_log_takes_no_store_over(record: Record, tmp_path: Path, troth: Command) -> None:
    """Threat 25: another user's log, put into a folder that is theirs, does not make root trust an impostor."""
    evil, honest = record(ask=False), record(ask=False)
    where = f"127.0.0.1:{honest.port}"
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.attacks.making import view;"
        "from troth import manage; from troth.model.endpoint import Endpoint; from troth.model.entry import PinKind;"
        "from troth.store import open_store; store = open_store(sys.argv[1]);"
        "manage.pin(store, Endpoint('127.0.0.1', int(sys.argv[2])), kind=PinKind.CERTIFICATE,"
        " view=view(Path(sys.argv[3]).read_bytes())); os.kill(os.getpid(), signal.SIGKILL)"
    )
    chain = tmp_path / "evil.pem"
    chain.write_bytes(evil.material[0])
    planted = tmp_path / "planted" / "trust.db"
    subprocess.run([sys.executable, "-c", program, str(planted), str(honest.port), str(chain)], cwd=ROOT, check=False)
    assert troth("pin", where, "--expect", str(honest.view.fingerprint)).code == 0
    shutil.copyfile(planted.with_name("trust.db-wal"), troth.home / "trust.db-wal")
    (troth.home / "trust.witness").unlink()
    for owned in (troth.home / "trust.db-wal", troth.home):
        os.chown(owned, OTHER_USER, OTHER_USER)
    honest.present(evil.material)
    assert troth("check", where).code == 7
    os.chown(troth.home, 0, 0)
    assert troth("check", where).code == 7


# Bytes that were written past SQLite


def copied(path: Path) -> Path:
    """Copy the file, in another process: to close a handle on it here would drop SQLite's locks."""
    copy = path.parent.parent / "copy"
    subprocess.run(["cp", str(path), str(copy)], check=True)
    return copy


def write_over(path: Path, copy: Path) -> None:
    """Write into the file as a backup program does, in another process."""
    program = (
        "import sys; data = open(sys.argv[2], 'rb').read(); f = open(sys.argv[1], 'r+b'); f.write(data); f.truncate()"
    )
    subprocess.run([sys.executable, "-c", program, str(path), str(copy)], check=True)


def checkpoint(path: Path) -> None:
    """Bring the whole log into the file, in another process."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "assert c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()[0][0] == 0"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


@pytest.mark.parametrize("way", WAYS, ids=way_name)
def test_an_older_copy_that_is_written_in_place_stops_a_running_program(
    way: Callable[..., None], record: Record, store: SqliteStore
) -> None:
    """Threat 25: an older copy written into the file under a running program revives nothing, and never reaches the witness."""
    server, stranger = record(protocol="echo", ask=False), record(ask=False)
    by_check(store, server.port)
    checkpoint(store.path)
    old = copied(store.path)
    entry = store.entry(Endpoint("127.0.0.1", server.port))
    assert entry is not None
    manage.revoke_entry(store, entry)
    checkpoint(store.path)
    known = witness.read(store.path.with_name("trust.witness"))
    context, before = Context(store), len(server.settled())
    write_over(store.path, old)
    for port in (server.port, stranger.port):
        with pytest.raises(Exception) as caught:
            way(store, port, context)
        assert isinstance(caught.value, StoreRolledBack) or isinstance(caught.value.__cause__, StoreRolledBack)
    assert not any(visit.received for visit in server.settled(before) + stranger.settled())
    assert witness.read(store.path.with_name("trust.witness")) == known


def test_an_open_connection_ends_when_an_older_copy_is_written_in_place(record: Record, store: SqliteStore) -> None:
    """Threat 25: a connection that is open at a roll-back in place sends nothing more; its pin may be a revived one."""
    server = record(protocol="echo", ask=False)
    by_socket(store, server.port)
    checkpoint(store.path)
    old = copied(store.path)
    store.revoke(view("another").fingerprint)
    checkpoint(store.path)
    store.version()
    write_over(store.path, old)
    for ask in (store.version, lambda: store.revoke(view("b").fingerprint), lambda: list(store.entries())):
        with pytest.raises(StoreRolledBack):
            ask()


def test_the_witness_never_goes_back(path: Path) -> None:
    """Threat 25: a process that notes late does not undo what another has noted since."""
    with open_store(path) as first, open_store(path) as second:
        first.judge(HOST, presented("a"))
        head = list(first.records())[-1]
        second.revoke(view("b").fingerprint)
        known = witness.read(path.with_name("trust.witness"))
        first._engine.note(head.seq, head.hash)
        assert witness.read(path.with_name("trust.witness")) == known


def test_a_store_without_what_the_witness_knows_takes_no_write(path: Path) -> None:
    """Threat 25: another process has seen more of the journal than is there; then nothing is written on top of it."""
    with open_store(path) as store:
        store.judge(HOST, presented("a"))
        place = path.with_name("trust.witness")
        known = witness.read(place)
        assert known is not None
        witness.write(place, known._replace(seq=known.seq + 5))
        with pytest.raises(StoreRolledBack, match="missing"):
            store.judge(Endpoint("b", 1), presented("b"))
        assert store.last_change() == known.seq


# What is no trust store


def test_a_folder_is_not_called_a_link(tmp_path: Path) -> None:
    """Who names the folder in place of the file is told so."""
    with pytest.raises(StoreUnusable, match="is a folder") as caught:
        open_store(tmp_path)
    assert caught.value.next_command


def test_nothing_is_made_beside_another_programs_database(tmp_path: Path) -> None:
    """Another program's database is left as it was, and so is its folder."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
    path.chmod(0o600)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(StoreVersion):
        open_store(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


@pytest.mark.parametrize("words", [["list"], ["check", "127.0.0.1:1"], ["journal", "verify"]], ids=lambda each: each[0])
def test_a_relative_home_is_a_home(words: list[str], tmp_path: Path) -> None:
    """A home that is named from where one stands serves every command."""
    environment = {**os.environ, "TROTH_HOME": "relhome"}
    code = f"import sys; from troth.cli.main import main; sys.exit(main({words!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == (5 if words[0] == "check" else 0), done.stderr
    assert (tmp_path / "relhome" / "trust.db").exists()


def test_a_damaged_witness_names_a_way_out_that_works(path: Path, troth: Command) -> None:
    """What the error tells to do about a damaged witness can be done."""
    with open_store(troth.home / "trust.db") as store:
        store.judge(HOST, presented("a"))
    (troth.home / "trust.witness").write_text("rubbish")
    told = troth("list")
    assert told.code == 7
    assert "journal accept --yes" in told.err
    assert troth("journal", "accept", "--yes").code == 0
    assert troth("journal", "verify").code == 0


def test_a_closed_store_that_is_used_again_opens_the_same_file(path: Path) -> None:
    """`close` lets go of what this thread holds; the store itself is no less to be trusted afterwards."""
    store = open_store(path)
    store.judge(HOST, presented("a"))
    store.close()
    assert store.entry(HOST) is not None
    store.close()
    path.unlink()
    with pytest.raises(StoreUnusable):
        store.entry(HOST)


# A disk that takes no writes


@pytest.fixture
def disk(tmp_path: Path) -> object:
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def _full(disk: Path) -> None:
    handle = os.open(disk / "rubbish", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        with pytest.raises(OSError):
            while True:
                os.write(handle, b"x" * 4096)
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("harm", "advice"), [(_read_only, "remount"), (_full, "free space")], ids=["read-only", "full"]
)
@pytest.mark.parametrize("log", [False, True], ids=["whole", "log-left"])
def test_a_disk_that_takes_no_writes_can_still_be_read(
    log: bool, harm: Callable[[Path], None], advice: str, disk: Path, record: Record, troth: Command
) -> None:
    """What is on record can be read on a read-only or full disk; nothing is trusted there, and the way out is named."""
    server = record(ask=False)
    path = disk / "home" / "trust.db"
    program = (
        "import os, signal, sys; from tests.attacks.making import by_check; from troth.store import open_store;"
        "store = open_store(sys.argv[1]); by_check(store, int(sys.argv[2]));"
        "os.kill(os.getpid(), signal.SIGKILL) if sys.argv[3] == 'True' else store.close()"
    )
    subprocess.run([sys.executable, "-c", program, str(path), str(server.port), str(log)], cwd=ROOT, check=False)
    harm(disk)
    before = len(server.visits)
    where = f"127.0.0.1:{server.port}"
    for words in (("list",), ("show", where), ("journal", "verify")):
        told = troth(*words, "--home", str(path.parent))
        assert told.code == 0, told.err
    server.change()
    told = troth("check", where, "--home", str(path.parent))
    if harm is _read_only:
        assert told.code == 7
        assert advice in told.err
    else:
        assert told.code in (3, 7)
    assert not any(visit.received for visit in server.settled(before))


@as_root
def test_a_folder_of_mode_500_tells_its_owner_what_to_do() -> None:
    """The owner of a folder that takes no new file is not told to become the owner; what is on record can be read."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        path = Path(place) / "home" / "trust.db"
        with open_store(path) as store:
            store.judge(HOST, presented("a"))
        for each in (path.parent, *path.parent.iterdir()):
            os.chown(each, OTHER_USER, -1)
        path.parent.chmod(0o500)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setuid(OTHER_USER)
                with open_store(path) as store:
                    assert store.entry(HOST) is not None
                    with pytest.raises(StoreUnusable) as caught:
                        store.judge(HOST, presented("a"))
                    code = 0 if caught.value.next_command.startswith(f"chmod u+rwx {path.parent}") else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# The journal knows


def _untouched(_: sqlite3.Connection) -> None:
    """Nothing was changed."""


def _execute(*statements: tuple[str, tuple[object, ...]]) -> Callable[[sqlite3.Connection], None]:
    def harm(raw: sqlite3.Connection) -> None:
        for sql, values in statements:
            assert raw.execute(sql, values).rowcount

    return harm


def _rogue() -> tuple[object, ...]:
    rogue = view("rogue")
    return (rogue.fingerprint.digest, rogue.spki.digest, rogue.der, "x", "x", "x", 0, 0)


BEHIND: dict[str, tuple[Callable[[sqlite3.Connection], None], str]] = {
    "nothing": (_untouched, ""),
    "revocation deleted": (_execute(("DELETE FROM revocation", ())), "revocation of"),
    "revocation added": (_execute(("INSERT INTO revocation VALUES (?, 0, 'x', '')", (b"x" * 32,))), "revocation of"),
    "policy added": (
        _execute(("INSERT INTO policy VALUES ('user', 'disable', 'certificate', 'accept')", ())),
        "policy of user",
    ),
    "policy changed": (_execute(("UPDATE policy SET mode = 'disable'", ())), "policy of system"),
    "policy deleted": (_execute(("DELETE FROM policy", ())), "policy of system"),
    "authority deleted": (_execute(("DELETE FROM authority", ())), "CA mine in system"),
    "setting changed": (
        _execute(("UPDATE meta SET value = 'off' WHERE key = 'setting:revocation:system'", ())),
        "setting revocation:system",
    ),
    "setting added": (
        _execute(("INSERT INTO meta VALUES ('setting:auto-ca-update:system', 'enable')", ())),
        "setting auto-ca-update:system",
    ),
    "certificate of an issuer pin": (
        lambda raw: _execute(
            ("INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _rogue()),
            ("UPDATE pin SET certificate = ? WHERE kind = 'issuer'", (view("rogue").fingerprint.digest,)),
        )(raw),
        "not as the journal left it",
    ),
    "certificate of a certificate pin": (
        _execute(("UPDATE pin SET certificate = ? WHERE kind = 'certificate'", (b"y" * 32,))),
        "another certificate than its own",
    ),
    "bytes of a certificate": (
        lambda raw: _execute(
            ("UPDATE certificate SET der = ? WHERE subject = 'CN=a'", (view("rogue").der,)),
        )(raw),
        "is another one",
    ),
    "key of a certificate": (
        _execute(("UPDATE certificate SET spki = ? WHERE subject = 'CN=a'", (b"z" * 32,))),
        "is another one",
    ),
}


@pytest.mark.parametrize(("harm", "word"), BEHIND.values(), ids=BEHIND)
def test_an_audit_sees_whatever_was_changed_behind_the_journals_back(
    harm: Callable[[sqlite3.Connection], None], word: str, path: Path
) -> None:
    """Threat 25: revocations, policies, CAs, settings and the certificates behind pins are held against the journal, too."""
    with open_store(path) as store:
        ca = view_of(Authority("CA"))
        store.judge(HOST, presented("a"))
        store.revoke(view("b").fingerprint, reason="stolen")
        store.revoke(view("b").fingerprint, reason="again")
        manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
        add_authority(store, "system", "mine", ca)
        add_authority(store, "system", "gone", ca)
        delete_authority(store, "system", "gone")
        set_strictness(store, "system", "require")
        manage.pin(store, Endpoint("issued", 1), kind=PinKind.ISSUER, view=ca)
        assert not audit(store).faults
    with closing(sqlite3.connect(path)) as raw:
        harm(raw)
        raw.commit()
    with open_store(path) as store:
        faults = audit(store).faults
    assert bool(faults) is bool(word)
    assert any(word in fault for fault in faults) or not word, faults


def test_an_audit_reads_journals_of_before(store: SqliteStore) -> None:
    """A journal that does not tell the certificate behind an issuer pin is as good as it was."""
    manage.pin(store, HOST, kind=PinKind.ISSUER, view=view_of(Authority("CA")))
    entry = store.entry(HOST)
    assert entry is not None
    state = rows.trust_state(entry)
    told = {**state, "pins": [pin[:4] for pin in state["pins"]]}  # type: ignore[attr-defined]  # a list of lists
    assert rows.is_same_trust(told, state)
    assert not rows.is_same_trust({**told, "pins": []}, state)
    with store.transaction() as connection:
        store.journal(connection, "pin", "ise.example.com:443", {"after": told})
    assert not audit(store).faults


def view_of(ca: Authority) -> CertificateView:
    """Read a CA's certificate."""
    return CertificateView.from_pem(pem(ca.certificate).decode())
