"""Repositories: folders for files in transit, as the incumbent has them. `defaultRepo` always exists."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from troth.errors import BadFile, BadInput, NotFound

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = "defaultRepo"
MAX_FILE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def folder(home: Path, name: str) -> Path:
    """Give a repository's folder; the default one is made.

    Raises:
        BadInput: The name is no name of a repository.
        NotFound: There is none of that name.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!a} is no name of a repository.")
    found = home / "repositories" / name
    if name == DEFAULT:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
    if found.is_symlink() or not found.is_dir():
        raise NotFound(f"There is no repository {name}.", next_command=f"mkdir {found}")
    return found


def read(home: Path, name: str, file: str) -> str:
    """Read a text file of a repository; nothing outside its folder is ever read.

    Raises:
        BadInput: The file's name leads elsewhere.
        NotFound: It is not there.
        BadFile: It is a link, a folder or the like, too large, or not text.
    """
    try:
        return read_bytes(home, name, file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile(
            f"{file} in {name} is not PEM text.", next_command=f"openssl x509 -inform DER -in {file} -out {file}.pem"
        ) from None


def read_bytes(home: Path, name: str, file: str) -> bytes:
    """Read a file of a repository, whatever is in it.

    Raises:
        BadInput: The file's name leads elsewhere.
        NotFound: It is not there.
        BadFile: It is a link, a folder or the like, or too large.
    """
    place = path(home, name, file)
    try:
        data = _start_of(place)
    except FileNotFoundError:
        raise NotFound(f"There is no file {file} in {name}.", next_command=f"cp FILE {place}") from None
    except OSError as error:
        raise BadFile(f"{file} in {name} cannot be read.", why=error.strerror or str(error)) from None
    if data is None:
        raise BadFile(f"{file} in {name} cannot be read.", why="it is a folder, a pipe or a device, not a file")
    if len(data) > MAX_FILE:
        raise BadFile(f"{file} in {name} is larger than {MAX_FILE >> 20} MiB.")
    return data


def path(home: Path, name: str, file: str) -> Path:
    """Give the place of a file in a repository, whether it is there or not.

    Raises:
        BadInput: The file's name leads elsewhere.
        NotFound: There is no such repository.
    """
    if not _NAME.fullmatch(file):
        raise BadInput(f"{file!a} is no name of a file in a repository; give the name alone, without a path.")
    return folder(home, name) / file


def _start_of(place: Path) -> bytes | None:
    """Read a little more than the largest file; None if it is no regular file."""
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with os.fdopen(handle, "rb", closefd=False) as opened:
            return opened.read(MAX_FILE + 1)
    finally:
        os.close(handle)
