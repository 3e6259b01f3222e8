"""A process that is killed at any step leaves the old state or the new one, and loses no key; a full disk does neither."""

from __future__ import annotations

import errno
import json
import os
import shutil
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.identity.conftest import Authorities
from tests.identity.making import NAMES, foreign_request, key_pem, now
from troth.errors import CertificateUnfit, IdentityUnusable
from troth.identity import Identity, Role, Subject
from troth.identity import files as disk
from troth.identity.files import Files
from troth.identity.keys import fingerprint, load
from troth.identity.state import State

ROOT = Path(__file__).parents[2]
CHANGES = ("create", "request", "import", "pair", "activate", "schedule", "start")


@pytest.fixture
def ready(node: Identity, csr: str, ca: Authorities, tmp_path: Path) -> Path:
    """A node with everything: current, next (scheduled), two requests, a retired one; and what is to be imported."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "signed.pem").write_bytes(ca.middle.sign(csr) + ca.chain)
    key = ec.generate_private_key(ec.SECP256R1())
    (sources / "pair.key").write_bytes(key_pem(key))
    (sources / "pair.pem").write_bytes(ca.middle.sign(foreign_request(key)) + ca.chain)
    node.create(NAMES)
    node.activate()
    node.request(Subject(cn="second"), NAMES)
    node.create(NAMES)
    node.schedule()
    return sources


def keys_in(folder: Path) -> set[str]:
    """Give the fingerprints of all private keys that can be read in a folder's generations, each file private."""
    found = set()
    for place in (folder / "generations").glob("[0-9]*/key.pem"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        found.add(str(fingerprint(load(place.read_bytes()))))
    return found


def die(folder: Path, change: str, sources: Path) -> list[Path]:
    """Kill a change at each of its steps; give the folders that it left, the last of them whole."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.identity.dying", str(folder), change, str(sources)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    killed = json.loads(done.stdout)
    assert killed[-1] is False
    assert all(killed[:-1])
    return [folder.with_name(f"{folder.name}.{number}") for number in range(len(killed))]


@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_at_any_step_leaves_the_old_or_the_new(node: Identity, folder: Path, ready: Path, change: str) -> None:
    """After each kill the node reads and serves one of the two states, every key is there, and the next change succeeds and tidies up."""
    old, kept = node.state(), keys_in(folder)
    left = die(folder, change, ready)
    new = Identity(left[-1], now).state()
    assert new != old
    assert len(left) > 6
    seen = set()
    for place in left:
        there = Identity(place, now)
        state = there.state()
        seen.add(state)
        assert state in (old, new)
        assert kept <= keys_in(place)
        _serves(there)
        # What is found beside the state is put right by the next change, whatever it is.
        there.request(Subject(cn="next.example.com"), NAMES)
        tidied = there.state()
        names = {each.name for each in (place / "generations").iterdir()}
        assert names == {f"{number:06d}" for number in tidied.roles}
        assert {each.name for each in place.iterdir()} == {"state.json", "lock", "generations"}
        assert kept <= {str(each.key) for each in there.fingerprints()}
        assert (tidied.current, tidied.next) == (state.current, state.next)
        shutil.rmtree(place)
    assert seen == {old, new}


def test_a_kill_during_the_first_creation(folder: Path, tmp_path: Path) -> None:
    """There is no node or a whole one, never half of one; and creation can be repeated."""
    left = die(folder, "create", tmp_path)
    states = [Identity(place, now).state() for place in left]
    assert {each.current for each in states} == {0, 1}
    for place, state in zip(left, states, strict=True):
        there = Identity(place, now)
        if state.current:
            _serves(there)
        else:
            assert there.generations() == ()
            assert there.create(NAMES).role is Role.CURRENT
            _serves(there)


def _serves(node: Identity) -> None:
    files = node.context_files()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certfile, files.keyfile)


# Durability: what a power cut would find


class Watching(Files):
    """Files that write down what they do."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []

    def make_folder(self, path: Path) -> None:
        """Write it down and do it."""
        self.log.append(("folder", path.name))
        super().make_folder(path)

    def write(self, path: Path, data: bytes) -> None:
        """Write it down and do it."""
        self.log.append(("write", f"{path.parent.name}/{path.name}"))
        super().write(path, data)

    def rename(self, old: Path, new: Path) -> None:
        """Write it down and do it."""
        self.log.append(("rename", new.name))
        super().rename(old, new)

    def sync(self, folder: Path) -> None:
        """Write it down and do it."""
        self.log.append(("sync", folder.name))
        super().sync(folder)


def test_nothing_is_named_before_it_is_durable(folder: Path) -> None:
    """Each folder is synced before the name that leads to it, and the state's own name comes last and is synced too."""
    watching = Watching()
    Identity(folder, now, files=watching).create(NAMES)
    staged = ".new-000001"
    assert watching.log == [
        ("folder", "identity"),
        ("sync", folder.parent.name),
        ("folder", "generations"),
        ("sync", "identity"),
        ("folder", staged),
        ("write", f"{staged}/key.pem"),
        ("write", f"{staged}/meta.json"),
        ("write", f"{staged}/chain.pem"),
        ("sync", staged),
        ("rename", "000001"),
        ("sync", "generations"),
        ("write", "identity/state.json.new"),
        ("rename", "state.json"),
        ("sync", "identity"),
    ]


def test_each_file_is_synced_before_it_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write and a folder's sync end in fsync, on that very file or folder."""
    synced: list[int] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    folder.mkdir()
    Files().write(folder / "file", b"data")
    Files().sync(folder)
    assert synced == [(folder / "file").stat().st_ino, folder.stat().st_ino]


# A disk that refuses


class Failing(Files):
    """Files of a disk that is full from one write on."""

    def __init__(self, after: int):
        self.left = after

    def write(self, path: Path, data: bytes) -> None:
        """Write, or leave a half-written file and fail."""
        if self.left == 0:
            super().write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self.left -= 1
        super().write(path, data)


@pytest.mark.parametrize("change", ["create", "request", "import", "pair", "activate", "schedule"])
def test_a_full_disk_changes_nothing_and_says_so(node: Identity, folder: Path, ready: Path, change: str) -> None:
    """At whichever write the disk is full, the state is the old one, and afterwards the change can be repeated."""
    from tests.identity.dying import change as do

    old = node.state()
    for after in range(10):
        failing = Failing(after)
        try:
            do(Identity(folder, now, files=failing), change, ready)
        except IdentityUnusable as error:
            assert "No space left" in error.why
            # A whole generation that came before the full disk is laid aside by the next attempt; nothing else differs.
            assert replace(node.state(), aside=(), last=0) == replace(old, aside=(), last=0)
            assert node.context_files(Role.NEXT)
        else:
            break
    else:
        pytest.fail("the change never succeeded")
    assert after >= 1
    assert node.state() != old


# Who may read


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_files_are_private_whatever_the_umask(folder: Path, ca: Authorities, mask: int) -> None:
    """With every umask, folders are 0700 and files 0600, and the node works."""
    with _umask(mask):
        node = Identity(folder, now)
        node.create(NAMES)
        text = node.request(Subject(cn="node.example.com"), NAMES)
        node.import_signed(ca.middle.sign(text) + ca.chain)
        node.activate()
    modes = {each.relative_to(folder): stat.S_IMODE(each.lstat().st_mode) for each in folder.rglob("*")}
    for place, mode in modes.items():
        if place.name != "lock":
            assert mode == (0o700 if (folder / place).is_dir() else 0o600), place
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_key_is_private_before_its_first_byte(tmp_path: Path) -> None:
    """A process that is killed in the middle of writing a key under umask 000 leaves a private file."""
    seen = []

    class Peeking(Files):
        def write(self, path: Path, data: bytes) -> None:
            real = os.fchmod
            try:
                os.fchmod = lambda handle, mode: seen.append(stat.S_IMODE(os.fstat(handle).st_mode))  # type: ignore[assignment]
                super().write(path, data)
            finally:
                os.fchmod = real

    with _umask(0):
        Peeking().write(tmp_path / "key.pem", b"secret")
    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_key_never_goes_through_a_link(tmp_path: Path) -> None:
    """A link or file that lies in wait where a key will be written is refused, not followed or overwritten."""
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(OSError, match=r"File exists|symbolic"):
            Files().write(tmp_path / "key.pem", b"secret")
        (tmp_path / "key.pem").unlink()
        (tmp_path / "key.pem").write_text("mine")
    assert (tmp_path / "elsewhere").read_text() == (tmp_path / "key.pem").read_text() == "mine"


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# Two at once


def test_many_processes_at_once_lose_nothing(node: Identity, folder: Path) -> None:
    """Requests, keys and readings of several processes: every one succeeds, each number is given once, each key is kept."""
    program = (
        "import sys; from pathlib import Path; from tests.identity.making import NAMES, now\n"
        "from troth.identity import Identity, Subject\n"
        "node = Identity(Path(sys.argv[1]), now)\n"
        "for turn in range(5):\n"
        "    node.request(Subject(cn='node'), NAMES)\n"
        "    node.create(NAMES)\n"
        "    assert node.current().number == 1 and len(node.generations()) > 2 * turn\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for each in started:
        _, complaint = each.communicate(timeout=120)
        assert each.returncode == 0, complaint.decode()
    state = node.state()
    assert sorted(state.roles) == list(range(1, 42))
    assert (len(state.pending), len(state.aside), state.last) == (20, 19, 41)
    assert len(keys_in(folder)) == 41


def test_two_activations_at_once_activate_once(node: Identity, folder: Path) -> None:
    """The second of two processes finds nothing to activate, and says so."""
    node.create(NAMES)
    program = (
        "import sys; from pathlib import Path; from tests.identity.making import now; from troth.identity import Identity\n"
        "from troth.errors import IdentityStep\n"
        "try: Identity(Path(sys.argv[1]), now).activate()\n"
        "except IdentityStep: sys.exit(9)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT) for _ in range(3)]
    assert sorted(each.wait(timeout=60) for each in started) == [0, 9, 9]
    assert node.state() == State(current=2, retired=(1,), last=2)


def test_somebody_who_holds_the_lock_for_ever_is_named(
    node: Identity, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change waits for another and gives up in the end; reading needs no lock."""
    monkeypatch.setattr(disk, "LOCK_S", 0.1)
    before = node.state()
    with disk.locked(folder / "lock"):
        with pytest.raises(IdentityUnusable, match="does not come to an end"):
            Identity(folder, now).create(NAMES)
        assert node.current().number == 1
        _serves(node)
    assert node.state() == before
    node.create(NAMES)


def test_a_failed_import_loses_nothing(node: Identity, folder: Path, csr: str, ca: Authorities) -> None:
    """After an import that was refused, the request's key is still there, and the right certificate is taken."""
    kept = keys_in(folder)
    for bad in (
        ca.middle.sign(csr),
        ca.middle.sign(csr, days=(-9, -1)) + ca.chain,
        ca.middle.sign(csr, sans=()) + ca.chain,
    ):
        with pytest.raises(CertificateUnfit):
            node.import_signed(bad)
        assert keys_in(folder) == kept
    assert node.import_signed(ca.middle.sign(csr) + ca.chain).generation.role is Role.NEXT
    assert keys_in(folder) == kept


def test_the_seam_is_what_these_tests_think(folder: Path) -> None:
    """Nothing in the room writes to the disk but through the seam that the tests die in."""
    import re

    import troth.identity

    room = Path(troth.identity.__file__).parent
    words = "write_text|write_bytes|mkdir|unlink|rmdir|touch|chmod|rename|symlink_to"
    changing = re.compile(rf"(?<!_files)\.({words})\(|\bos\.(open|replace|link)|\bopen\(|shutil|tempfile")
    for module in sorted(room.glob("*.py")):
        if module.name == "files.py":
            continue
        for line in module.read_text().splitlines():
            assert changing.search(line) is None, f"{module.name}: {line}"
