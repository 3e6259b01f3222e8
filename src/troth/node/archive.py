"""A backup's file: a tar archive of plain files with the SHA-256 of each, written whole or not at all, read with suspicion."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from troth.errors import BadFile
from troth.node.vault import durable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANIFEST = "manifest.json"
FORMAT = "troth.backup/1"
MAX_FILES = 10_000
_MAX_MANIFEST = 4 << 20
_NAME = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_.-]+){0,5}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Args:
        facts: When, by which version, of which node.
        files: The SHA-256 (hex) of each file.
    """

    facts: dict[str, Any]
    files: dict[str, str]


def write(target: Path, members: Iterable[tuple[str, Path]], facts: dict[str, Any]) -> Manifest:
    """Write an archive; it appears under its name when it is whole and on the disk.

    Args:
        target: The file; it must not exist.
        members: The name in the archive, and the file, of each.
        facts: What the manifest says besides.

    Raises:
        BadFile: The file exists, or cannot be written.
    """
    if target.exists():
        raise BadFile(f"{target} exists; a backup never overwrites another.", next_command="name another file")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    digests: dict[str, str] = {}
    try:
        handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with (
            os.fdopen(handle, "wb") as opened,
            tarfile.open(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, path in members:
                digests[name] = _digest(path)
                tar.add(path, arcname=name, recursive=False, filter=_plain)
            data = json.dumps({"format": FORMAT, "facts": facts, "files": digests}, sort_keys=True).encode()
            about = tarfile.TarInfo(MANIFEST)
            about.size, about.mode = len(data), 0o600
            tar.addfile(about, io.BytesIO(data))
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        found = read(unfinished)
        unfinished.rename(target)
        durable(target.parent)
    except OSError as error:
        raise BadFile(f"{target} cannot be written.", why=error.strerror or str(error)) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return found


def read(file: Path, into: Path | None = None) -> Manifest:
    """Read an archive and hold every file against its SHA-256; with `into`, put the files there.

    Raises:
        BadFile: It is no backup, or not what was written.
    """
    try:
        with tarfile.open(file, mode="r:") as tar:
            seen: dict[str, str] = {}
            manifest: Manifest | None = None
            for member in tar:
                if len(seen) > MAX_FILES or manifest is not None:
                    raise BadFile(f"{file} holds more than a backup does.")
                manifest = _take(tar, member, seen, into)
    except tarfile.TarError as error:
        raise BadFile(f"{file} is no backup of Troth, or is cut off.", why=str(error)) from None
    except OSError as error:
        raise BadFile(f"{file} cannot be read.", why=error.strerror or str(error)) from None
    if manifest is None:
        raise BadFile(f"{file} is cut off: what it holds is not said.")
    if manifest.files != seen:
        names = sorted({*manifest.files.items(), *seen.items()} - {*manifest.files.items()} & {*seen.items()})
        raise BadFile(f"{file} is not what was written: {names[0][0] if names else 'its list'} differs.")
    return manifest


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, seen: dict[str, str], into: Path | None) -> Manifest | None:
    if not member.isreg() or not _NAME.fullmatch(member.name) or member.name in seen:
        raise BadFile(f"The backup holds {member.name[:80]!a}, which is no file of a backup.")
    opened = tar.extractfile(member)
    assert opened is not None  # noqa: S101  # it is a regular file
    if member.name == MANIFEST:
        return _manifest(opened.read(_MAX_MANIFEST))
    digest = hashlib.sha256()
    target = None
    if into is not None:
        place = into / member.name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while piece := opened.read(_CHUNK):
            digest.update(piece)
            if target is not None:
                os.write(target, piece)
        if target is not None:
            os.fsync(target)
    finally:
        if target is not None:
            os.close(target)
    seen[member.name] = digest.hexdigest()
    return None


def _manifest(data: bytes) -> Manifest:
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise BadFile("The backup is of another version.", why=f"it is {document['format']!a}")
        files = {str(name): str(digest) for name, digest in document["files"].items()}
        return Manifest(facts=dict(document["facts"]), files=files)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadFile("What the backup says of itself cannot be read.") from None


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose the file was and when it changed: where it is restored, it is somebody else's and new."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode, member.mtime = 0o600, 0
    return member
