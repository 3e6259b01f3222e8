"""Where the trust store lies, and whether its place is safe to trust."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from troth.errors.base import ConfigUnusable, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator


def default_path() -> Path:
    """Give the database file: `$TROTH_HOME/trust.db`, else `$XDG_DATA_HOME/troth/trust.db`.

    Raises:
        ConfigUnusable: No variable names a place, and there is no home directory.
    """
    home = os.environ.get("TROTH_HOME")
    if home:
        return Path(home) / "trust.db"
    data = os.environ.get("XDG_DATA_HOME")
    if data and Path(data).is_absolute():
        return Path(data) / "troth" / "trust.db"
    try:
        return Path.home() / ".local" / "share" / "troth" / "trust.db"
    except RuntimeError:
        raise ConfigUnusable(
            "There is no place for the trust store: this account has no home directory.",
            next_command="export TROTH_HOME=/var/lib/troth",
        ) from None


def witness_path(database: Path) -> Path:
    """Give the file that remembers that there is a store, and how far it had come."""
    return database.with_name(database.stem + ".witness")


def lock_path(database: Path) -> Path:
    """Give the file that is locked while the store is made or migrated."""
    return database.with_name(database.stem + ".lock")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file, which is made if there is none; other processes wait."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def companions(database: Path) -> tuple[Path, ...]:
    """Give the files beside the database that it is read with: who writes one of them writes the store."""
    beside = tuple(database.with_name(database.name + end) for end in ("-wal", "-shm", "-journal"))
    return (*beside, witness_path(database), lock_path(database))


def prepare_folder(folder: Path) -> None:
    """Make the folder, for its owner alone.

    Raises:
        StoreUnusable: It cannot be made, belongs to somebody else, or others may write in it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise StoreUnusable(
            f"The folder {folder} for the trust store cannot be used.",
            why=error.strerror or str(error),
            next_command="export TROTH_HOME=FOLDER, for a folder that you may write in",
        ) from None
    # Who may write in the folder can put another log, or an old copy, in the place of what was there.
    if found.st_uid not in (0, os.geteuid()):
        raise StoreUnusable(
            f"The folder {folder} belongs to another user (uid {found.st_uid}), so nothing in it can be trusted.",
            why="its owner can replace every file in it",
            next_command="export TROTH_HOME=FOLDER, for a folder of your own; or run the command as that user",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "everyone" if found.st_mode & stat.S_IWOTH else "a group"
        raise StoreUnusable(
            f"The folder {folder} may be written by {who}, so nothing in it can be trusted.",
            next_command="export TROTH_HOME=FOLDER, for a folder of your own"
            if found.st_mode & stat.S_ISVTX
            else f"chmod go-w {folder}; then: troth journal verify",
        )


def require_private(file: Path) -> None:
    """Refuse a file that others could have written.

    Raises:
        StoreUnusable: The file is no plain file, belongs to somebody else, or others may write it.
    """
    found = file.lstat()
    if stat.S_ISDIR(found.st_mode):
        raise StoreUnusable(
            f"{file} is a folder, and the trust store is a file.", next_command=f"name the file in it: {file}/trust.db"
        )
    if not stat.S_ISREG(found.st_mode):
        raise StoreUnusable(
            f"{file} is not a plain file; a trust store is never reached through a link.",
            next_command="name the file itself, or set TROTH_HOME to its folder",
        )
    if found.st_uid not in (0, os.geteuid()):
        raise StoreUnusable(
            f"{file} belongs to another user (uid {found.st_uid}), so what it says cannot be trusted.",
            next_command=f"chown {os.geteuid()} {file}, if you know how it came there",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreUnusable(
            f"{file} may be written by others, so what it says cannot be trusted.",
            next_command=f"chmod go-w {file}; then: troth journal verify",
        )


def require_private_all(database: Path) -> None:
    """Refuse a store of which others could have written any file.

    Raises:
        StoreUnusable: One of them is not private; see `require_private`.
    """
    for each in (database, *companions(database)):
        if each.exists() or each.is_symlink():
            require_private(each)
