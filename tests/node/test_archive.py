"""A backup's file: whole or not there, and nothing in it is believed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from troth.errors import BadFile
from troth.node import archive


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A small archive."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name * 100)
    target = tmp_path / "backup.tar"
    archive.write(target, [("a/one", tmp_path / "one"), ("two", tmp_path / "two")], {"node": "x"})
    return target


def test_what_was_written_is_read(made: Path, tmp_path: Path) -> None:
    """Every file comes back, readable by its owner alone."""
    manifest = archive.read(made, tmp_path / "out")
    assert manifest.facts == {"node": "x"}
    assert (tmp_path / "out" / "a" / "one").read_text() == "one" * 100
    assert (tmp_path / "out" / "two").stat().st_mode & 0o077 == 0
    assert made.stat().st_mode & 0o077 == 0


def test_a_backup_overwrites_no_other(made: Path, tmp_path: Path) -> None:
    """What is there stays as it was."""
    before = made.read_bytes()
    with pytest.raises(BadFile, match="exists"):
        archive.write(made, [("one", tmp_path / "one")], {})
    assert made.read_bytes() == before


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """No half file stands under its name or another."""
    with pytest.raises(BadFile):
        archive.write(tmp_path / "backup.tar", [("gone", tmp_path / "gone")], {})
    assert list(tmp_path.iterdir()) == []


def test_every_altered_byte_is_seen(made: Path) -> None:
    """Of the files, wherever it is; padding carries nothing."""
    data = bytearray(made.read_bytes())
    for position in (520, 600, data.index(b"twotwo"), data.index(MANIFEST_WORD) + 5):
        harmed = bytearray(data)
        harmed[position] ^= 1
        made.write_bytes(harmed)
        with pytest.raises(BadFile):
            archive.read(made)


MANIFEST_WORD = b'"files"'


@pytest.mark.parametrize("cut", [0, 100, 1024, 2000, 3000])
def test_a_cut_off_backup_is_refused(made: Path, cut: int) -> None:
    """However much of it is there."""
    made.write_bytes(made.read_bytes()[:cut])
    with pytest.raises(BadFile):
        archive.read(made)


def crafted(place: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """Write an archive of somebody else's."""
    files = {}
    with tarfile.open(place, "w") as tar:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))
        import hashlib

        files = {name: hashlib.sha256(data).hexdigest() for name, data, _ in members}
        about = json.dumps({"format": archive.FORMAT, "facts": {}, "files": files}).encode()
        member = tarfile.TarInfo(archive.MANIFEST)
        member.size = len(about)
        tar.addfile(member, io.BytesIO(about))
    return place


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "a/..", ".hidden", "a//b", "a\nb", "./a", "x" * 300 + "/.."]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """The attack that the incumbent's file synchronisation fell to."""
    hostile = crafted(tmp_path / "h.tar", (name, b"evil", tarfile.REGTYPE))
    (tmp_path / "out").mkdir()
    with pytest.raises(BadFile):
        archive.read(hostile, tmp_path / "out")
    assert list((tmp_path / "out").rglob("*")) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_nothing_but_plain_files_is_taken(tmp_path: Path, kind: bytes) -> None:
    """No link, no device, no folder of somebody else's making."""
    hostile = crafted(tmp_path / "h.tar", ("a", b"", kind))
    with pytest.raises(BadFile):
        archive.read(hostile, tmp_path / "out")


def test_a_file_stands_in_it_once(tmp_path: Path) -> None:
    """A second one of the same name would take the place of the first."""
    hostile = crafted(tmp_path / "h.tar", ("a", b"1", tarfile.REGTYPE), ("a", b"2", tarfile.REGTYPE))
    with pytest.raises(BadFile):
        archive.read(hostile, tmp_path / "out")


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """With a word that says what it is not."""
    (tmp_path / "x").write_bytes(b"\x1f\x8b" + bytes(2000))
    with pytest.raises(BadFile, match="no backup"):
        archive.read(tmp_path / "x")
