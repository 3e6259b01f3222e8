"""What can be wrong with a store's files, said so that somebody can do something about it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.errors.base import StoreUnusable, StoreVanished, TrothError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RESTORE = "troth journal verify; if that fails too, restore the newest copy of the store"
_FREE = "free space on the disk (df {folder}), then run the command again"
_REMEDIES = {
    "FULL": _FREE,
    "BUSY": "run the command again; another process is writing",
    "IOERR": "look at the disk (df {folder}; dmesg), then run the command again",
    "CORRUPT": "restore the newest copy of the store",
    "NOTADB": "restore the newest copy of the store",
}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def map_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into one that says what to do.

    Raises:
        StoreUnusable: For each of them.
    """
    try:
        yield
    except TrothError:
        raise
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        raise unusable(path, f"{error}" + (f" ({name})" if name else ""), remedy(path, error)) from error
    except (OSError, ValueError) as error:
        # ValueError: a value in the tables that no version of this program wrote.
        raise unusable(path, str(error), remedy(path, error)) from error


def unusable(path: Path, why: str, next_command: str) -> StoreUnusable:
    """Say that nothing was trusted, and nothing stored."""
    return StoreUnusable(
        f"The trust store {path} cannot be used: nothing was trusted, and nothing was stored.",
        why=why,
        next_command=next_command,
    )


def remedy(path: Path, error: Exception) -> str:
    """Give what to do about an error of SQLite's or the system's."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return _FREE.format(folder=path.parent)
        return permission_remedy(path) if error.errno in _FORBIDDEN else _RESTORE
    name = getattr(error, "sqlite_errorname", "").partition("_")[2]
    if name.startswith(("READONLY", "CANTOPEN", "PERM", "AUTH")):
        return permission_remedy(path)
    if name in ("IOERR_SHMSIZE", "IOERR_WRITE"):
        return _FREE.format(folder=path.parent)
    return _REMEDIES.get(name.partition("_")[0], _RESTORE).format(folder=path.parent)


def permission_remedy(path: Path) -> str:
    """Give what to do where the store's folder or one of its files cannot be written."""
    folder = path.parent
    try:
        found, system = folder.stat(), os.statvfs(folder)
    except OSError:
        return f"ls -ld {folder}, and run the command as the owner of the folder"
    if system.f_flag & os.ST_RDONLY:
        return f"make the file system writable: mount -o remount,rw $(findmnt -n -o TARGET -T {folder})"
    if found.st_uid != os.geteuid():
        return f"run the command as the owner of {folder} (uid {found.st_uid})"
    return (
        f"chmod u+rwx {folder} && chmod u+rw {folder}/trust.*" if path.name == "trust.db" else f"chmod u+rwx {folder}"
    )


def may_still_be_read(error: Exception) -> bool:
    """Whether an error on opening only says that nothing can be written: no space, no permission, a read-only disk."""
    if isinstance(error, OSError):
        return error.errno in _FULL | _FORBIDDEN
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(
        ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_SHM", "SQLITE_IOERR_WRITE")
    )


def vanished(path: Path) -> StoreVanished:
    """Say that the store is gone, which is never a first use."""
    return StoreVanished(
        f"The trust store {path} was here before and is gone: no host is trusted until it is back.",
        why="a store that vanished must not make every host a stranger again",
        next_command="restore the newest copy; or, to begin again with nothing: troth journal accept --empty",
    )


def index_vanished(path: Path) -> StoreVanished:
    """Say that the files beside the store were taken from a running program."""
    return StoreVanished(
        f"What SQLite keeps beside {path} was removed while it was in use: this program sees no changes of others.",
        why=f"{path}-shm is not the file that it was",
        next_command="start this program again; then: troth journal verify",
    )
