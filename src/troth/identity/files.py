"""The few things that an identity does to the disk, each of them durable when it returns.

Everything that changes the disk goes through `Files`, so that tests can end the process at every one of its steps.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.errors import IdentityUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_S = 30.0
_MAX_FILE = 1 << 20
_POLL_S = 0.02


class Files:
    """Writes, renames and removes; a step that returned survives a power cut."""

    def make_folder(self, path: Path) -> None:
        """Make a folder for its owner alone, whatever the umask is."""
        path.mkdir(mode=0o700)
        path.chmod(0o700)

    def write(self, path: Path, data: bytes) -> None:
        """Write a new file for its owner alone; it is private before its first byte is there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name in its folder; what had the name is replaced."""
        os.replace(old, new)

    def sync(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder of files; nothing happens if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
                return
            for each in path.iterdir():
                each.unlink()
            path.rmdir()


def read(path: Path) -> bytes:
    """Read a file that must be a plain one.

    Raises:
        FileNotFoundError: It is not there.
        IdentityUnusable: It cannot be read, is a link, or is far too large.
    """
    with _opened(path) as handle:
        return _contents(path, handle)


def read_own(path: Path) -> bytes:
    """Read a file that nobody else may have written.

    Raises:
        FileNotFoundError: It is not there.
        IdentityUnusable: It cannot be read, or others may write it.
    """
    with _opened(path) as handle:
        found = os.fstat(handle)
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise IdentityUnusable(
                f"{path} may be written by others, so what it says cannot be trusted.",
                next_command=f"chmod 600 {path}; chown {os.geteuid()} {path}, if you know how that came",
            )
        return _contents(path, handle)


def read_private(path: Path) -> bytes:
    """Read a file that nobody else may have read or written: a key.

    Raises:
        FileNotFoundError: It is not there.
        IdentityUnusable: It cannot be read, or others may read or write it.
    """
    with _opened(path) as handle:
        found = os.fstat(handle)
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise IdentityUnusable(
                f"{path} may be read or written by others, so the key in it may be known to them.",
                next_command=f"chmod 600 {path}; and make a new key if others use this machine: troth key generate",
            )
        return _contents(path, handle)


def require_private_folder(folder: Path) -> None:
    """Refuse a folder that others may write in, or that belongs to somebody else.

    Raises:
        IdentityUnusable: It is such a folder, or none.
    """
    try:
        found = folder.lstat()
    except OSError as error:
        raise unusable(folder, error) from None
    if not stat.S_ISDIR(found.st_mode):
        raise IdentityUnusable(f"{folder} is no folder.")
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise IdentityUnusable(
            f"The folder {folder} may be written by others, so nothing in it can be trusted.",
            next_command=f"chmod 700 {folder}; chown {os.geteuid()} {folder}, if you know how that came",
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that one process has at a time; the kernel drops it when its process ends, however it ends.

    Raises:
        IdentityUnusable: Somebody else holds it for too long.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise IdentityUnusable(
                        "Another process is changing the keys of this node and does not come to an end.",
                        next_command=f"fuser {path}",
                    ) from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def unusable(path: Path | str, error: OSError) -> IdentityUnusable:
    """Make the error for what the system refused."""
    return IdentityUnusable(f"{path} cannot be used.", why=error.strerror or str(error))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unusable(path, error) from None
    try:
        yield handle
    finally:
        os.close(handle)


def _contents(path: Path, handle: int) -> bytes:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise IdentityUnusable(f"{path} is not a plain file.")
    with os.fdopen(handle, "rb", closefd=False) as file:
        data = file.read(_MAX_FILE + 1)
    if len(data) > _MAX_FILE:
        raise IdentityUnusable(f"{path} is far too large.")
    return data
