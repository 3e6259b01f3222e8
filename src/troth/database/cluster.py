"""One PostgreSQL server that belongs to a node: made, started as a child of ours, stopped, asked.

It is a child, not a daemon: a postmaster that was killed stays a zombie that keeps `postmaster.pid` valid until its parent
reaps it, and only a parent can be sure that it does.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from troth.database import settings
from troth.errors import ConfigUnusable, DatabaseUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from troth.database.binaries import Binaries

START_LIMIT_S = 150.0
_STOP_LIMIT_S = 60.0
_MAKING_LIMIT_S = 120.0
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder with its configuration.

    Args:
        home: Everything of it lies here: `data/`, `run/` (the socket), and the configuration.
        binaries: The programs to use.
        user: Who runs it, if the caller is root; else the caller does.
        small: Take less memory and disk: for demonstrations and tests.
    """

    home: Path
    binaries: Binaries
    user: str = ""
    small: bool = False

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.home / "data"

    @property
    def run(self) -> Path:
        """The folder of the UNIX socket."""
        return self.home / "run"

    @property
    def exists(self) -> bool:
        """Whether there is a data folder."""
        return (self.data / "PG_VERSION").is_file()

    def conninfo(self, *, role: str = settings.APP_ROLE, database: str = settings.DATABASE) -> str:
        """Give what libpq needs to connect."""
        return settings.conninfo(self.run, role=role, database=database)

    # Making

    def initialise(self) -> None:
        """Make the data folder, the roles and the database. What was begun and not finished is made anew.

        Raises:
            ConfigUnusable: It cannot be made here, or there is one already.
        """
        if self.exists and (self.home / "ready").is_file():
            raise ConfigUnusable(f"There is a database in {self.home} already.", next_command="troth status")
        self._require_short_path()
        for folder in (self.home, self.data, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._account is not None:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        with self._alone() as lock:
            self._fill(lock)
        (self.home / "ready").touch()

    def _fill(self, lock: int) -> None:
        if any(self.data.iterdir()):
            self._set_aside()
        locale = (
            ("--locale-provider=builtin", "--locale=C.UTF-8") if self.binaries.major >= 17 else ("--locale=C.UTF-8",)
        )
        self.call(
            "initdb",
            "-D",
            self.data,
            "-U",
            settings.ADMIN_ROLE,
            "-E",
            "UTF8",
            "--data-checksums",
            "-A",
            "peer",
            *locale,
            keep=(lock,),
        )
        process = self.start()
        try:
            with psycopg.connect(
                self.conninfo(role=settings.ADMIN_ROLE, database="postgres"), autocommit=True
            ) as connection:
                connection.execute(f"CREATE ROLE {settings.APP_ROLE} LOGIN")
                connection.execute(f"CREATE DATABASE {settings.DATABASE} OWNER {settings.APP_ROLE}")
                connection.execute(f"REVOKE ALL ON DATABASE {settings.DATABASE} FROM PUBLIC")
        finally:
            self.stop(process)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Be the only one who makes the data folder: an initdb whose parent was killed goes on, and holds the lock."""
        handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + _MAKING_LIMIT_S
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise DatabaseUnusable("Somebody else makes this database, and does not finish.") from None
                    time.sleep(0.1)
            yield handle
        finally:
            os.close(handle)

    def _set_aside(self) -> None:
        aside = self.home / f"unfinished-{os.getpid()}"
        self.data.rename(aside)
        self.data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self.data, self._account.pw_uid, self._account.pw_gid)

    def write_settings(self) -> None:
        """Write the configuration; PostgreSQL reads it at its start and at a reload."""
        runner = self._account.pw_name if self._account else _name()
        files = {
            "postgresql.conf": settings.server_conf(
                socket_folder=self.run, role_file=self.home / "role.conf", small=self.small
            ),
            "pg_hba.conf": settings.access_conf(),
            "pg_ident.conf": settings.identity_conf((_name(), runner)),
        }
        for name, text in files.items():
            unfinished = self.home / f".{name}.new"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.chmod(0o644)
            unfinished.replace(self.home / name)

    # Running

    def command(self) -> list[str]:
        """Give the command line of the server."""
        named = {"config_file": "postgresql.conf", "hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf"}
        options = [word for name, file in named.items() for word in ("-c", f"{name}={self.home / file}")]
        return [self.binaries.program("postgres"), "-D", str(self.data), *options]

    def drop(self) -> dict[str, Any]:
        """Give what `subprocess` needs to start a program as the database's user."""
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def start(self, *, log: Any = subprocess.DEVNULL, limit_s: float = START_LIMIT_S) -> subprocess.Popen[bytes]:
        """Start it, and wait until it answers.

        Raises:
            DatabaseUnusable: It does not come up.
        """
        self.end_orphan()
        self.write_settings()
        process = subprocess.Popen(  # noqa: S603  # our own command line
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            **self.drop(),
        )
        end = time.monotonic() + limit_s
        while not self.answers():
            if process.poll() is not None:
                raise DatabaseUnusable(
                    f"PostgreSQL ended with status {process.returncode} while it started.",
                    next_command=f"see what it wrote, and whether the disk of {self.home} is full",
                )
            if time.monotonic() > end:
                self.stop(process, mode="immediate")
                raise DatabaseUnusable(f"PostgreSQL does not answer after {limit_s:.0f} s.")
            time.sleep(0.02)
        return process

    def answers(self) -> bool:
        """Whether it accepts connections."""
        admin = self.conninfo(role=settings.ADMIN_ROLE, database="postgres")
        with suppress(psycopg.OperationalError), psycopg.connect(admin, connect_timeout=3):
            return True
        return False

    def stop(self, process: subprocess.Popen[bytes], *, mode: str = "fast", limit_s: float = _STOP_LIMIT_S) -> None:
        """Stop it; one that does not stop in time is stopped as by a crash, which loses nothing that was committed."""
        process.send_signal(_SIGNALS[mode])
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(limit_s)

    def end_orphan(self) -> None:
        """End the server that a killed node left behind on this data folder; and no other process.

        Raises:
            DatabaseUnusable: It does not end.
        """
        if not self.exists or not (self.data / "postmaster.pid").is_file():
            return
        # pg_ctl itself checks that the process in the file is a postmaster of this folder.
        if self.call("pg_ctl", "status", "-D", self.data, check=False).returncode != 0:
            return
        stopped = self.call("pg_ctl", "stop", "-D", self.data, "-m", "fast", "-w", "-t", "60", check=False)
        if stopped.returncode != 0:
            raise DatabaseUnusable(
                "Another PostgreSQL runs on this node's data folder and does not stop.",
                why=stopped.stderr.strip()[:300],
                next_command=f"see who runs it: cat {self.data / 'postmaster.pid'}",
            )

    def call(
        self, program: str, *words: str | Path, check: bool = True, keep: tuple[int, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs as the database's user.

        Raises:
            DatabaseUnusable: It failed, and `check` is set.
        """
        done = subprocess.run(  # noqa: S603  # our own command line
            [self.binaries.program(program), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            pass_fds=keep,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            **self.drop(),
        )
        if check and done.returncode != 0:
            why = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise DatabaseUnusable(f"PostgreSQL's {program} failed.", why="; ".join(why[-3:])[:500])
        return done

    @property
    def _account(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(self.user)
        except KeyError:
            raise ConfigUnusable(
                f"There is no user {self.user or '(none named)'} to run PostgreSQL as.",
                why="PostgreSQL refuses to run as root",
                next_command="name a user in troth.toml: [postgres] user = …",
            ) from None

    def _require_short_path(self) -> None:
        socket = self.run / f".s.PGSQL.{settings.PORT}"
        if len(os.fsencode(socket)) > settings.MAX_SOCKET_PATH:
            raise ConfigUnusable(
                f"The path of the node's home is too long: {self.home}",
                why=f"the name of a UNIX socket has at most {settings.MAX_SOCKET_PATH} bytes, and {socket} has {len(os.fsencode(socket))}",
                next_command="choose a home with a shorter path",
            )


def _name() -> str:
    """Name the user that we are."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ConfigUnusable(
            f"The user {os.geteuid()} has no name on this system, and PostgreSQL wants one.",
            next_command="run as a user that is listed in /etc/passwd",
        ) from None
