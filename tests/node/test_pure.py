"""The parts of a node that need no node: configuration, back-off, lock, vault, logs, systemd."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import ConfigUnusable, NodeRunning, SecretUnusable
from troth.node import logs, systemd
from troth.node.backoff import MAX_S, STABLE_S, Failures
from troth.node.config import Config, External, Listen, Logging, Postgres, parse, text
from troth.node.home import Home
from troth.node.lock import exclusive
from troth.node.vault import Vault

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z]{2,5})?", fullmatch=True), max_size=4)


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    names=NAMES,
    address=st.sampled_from(["", "127.0.0.1", "::1"]),
    port=st.integers(0, 65535),
    folder=st.text(max_size=30),
    small=st.booleans(),
)
def test_what_is_written_is_read_again(
    name: str, names: list[str], address: str, port: int, folder: str, small: bool
) -> None:
    """The file that init writes says what it was made from, whatever characters stand in it."""
    config = Config(
        name=name,
        names=tuple(names),
        management=Listen(address=address, port=port),
        postgres=Postgres(programs=folder.encode("utf-8", "replace").decode(), small=small),
        logging=Logging(format="json", level="debug"),
    )
    assert parse(text(config)) == config


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("version = 99", "version is 99"),
        ("verzion = 1", "verzion"),
        ("[health]\nport = 70000", "health.port"),
        ("[health]\nprot = 8082", "prot"),
        ("[logging]\nlevel = 'loud'", "logging.level"),
        ("name = 'a b'", "name is"),
        ("names = ['a b']", "'a b'"),
        ("[database]\nurl = 'mysql://x'", "begins with postgresql://"),
        ("[database]\nurl = 'postgresql://u:geheim@h/d'", "holds a password"),
        ("version = \n", "line 1"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(written: str, says: str) -> None:
    """The setting is named; a password that stood in it is not repeated."""
    with pytest.raises(ConfigUnusable) as caught:
        parse(written)
    assert says in caught.value.why
    assert "geheim" not in str(caught.value)


def test_everything_has_a_default() -> None:
    """An empty file is a configuration."""
    assert parse("") == Config()
    assert Config().database == External()


@given(st.lists(st.floats(0, 2 * STABLE_S), max_size=40))
def test_back_off_is_bounded_and_forgives(runs: list[float]) -> None:
    """No wait is longer than the longest; after a run that was long enough, it begins anew."""
    failures = Failures()
    for ran in runs:
        before = failures
        failures = failures.after_run(ran)
        assert 0 < failures.delay_s <= MAX_S
        assert failures.delay_s >= before.delay_s or ran >= STABLE_S
    assert failures.after_run(STABLE_S).count == 1


def test_a_home_has_one_node(tmp_path: Path) -> None:
    """Another process that holds the lock is named; when it is killed, the lock is free."""
    program = (
        "import sys, pathlib\nfrom troth.node.home import Home\nfrom troth.node.lock import exclusive\n"
        f"with exclusive(Home(pathlib.Path({str(tmp_path)!r}))):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(NodeRunning, match=str(holder.pid)), exclusive(Home(tmp_path)):
        pass
    holder.kill()
    holder.wait()
    with exclusive(Home(tmp_path)):
        pass
    holder.stdin.close()
    holder.stdout.close()


def test_what_is_sealed_is_opened_for_its_purpose_alone(tmp_path: Path) -> None:
    """A secret that is moved to another place in the database opens there as nothing."""
    vault = Vault.create(tmp_path / "secrets")
    sealed = vault.seal(b"hunter2", "ise/a")
    assert b"hunter2" not in sealed
    assert Vault.read(tmp_path / "secrets").open(sealed, "ise/a") == b"hunter2"
    for altered, about in ((sealed, "ise/b"), (sealed[:-4] + b"AAA=", "ise/a"), (b"", "ise/a")):
        with pytest.raises(SecretUnusable) as caught:
            vault.open(altered, about)
        assert "hunter2" not in str(caught.value)


def test_making_a_vault_twice_keeps_its_key(tmp_path: Path) -> None:
    """What was sealed before can still be opened."""
    sealed = Vault.create(tmp_path).seal(b"x", "a")
    assert Vault.create(tmp_path).open(sealed, "a") == b"x"
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It says what to do, and goes on with nothing."""
    Vault.create(tmp_path)
    (tmp_path / "keys").chmod(0o644)
    with pytest.raises(ConfigUnusable, match="read by others"):
        Vault.read(tmp_path)


def test_an_older_key_still_opens(tmp_path: Path) -> None:
    """A new key is put in front; both open, the new one seals."""
    old = Vault.create(tmp_path)
    sealed = old.seal(b"x", "a")
    other = Vault.create(tmp_path / "other")
    (tmp_path / "keys").write_bytes((tmp_path / "other" / "keys").read_bytes() + (tmp_path / "keys").read_bytes())
    both = Vault.read(tmp_path)
    assert both.open(sealed, "a") == b"x"
    assert other.open(both.seal(b"y", "a"), "a") == b"y"


SECRETS = (
    "troth_abcdefghijklmnopqrstuvwxyz012345",
    "Authorization: Basic dXNlcjpodW50ZXIy",
    "Bearer eyJhbGciOi.x.y",
    "postgresql://user:hunter2@host/db",
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
)


@pytest.mark.parametrize("formatter", [logs.Text(), logs.Json()])
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_logged(formatter: logging.Formatter, secret: str) -> None:
    """Neither in the text, nor in a field, nor in an exception."""
    try:
        raise ValueError(f"failed with {secret}")
    except ValueError:
        info = sys.exc_info()
    record = logging.LogRecord("troth", logging.INFO, __file__, 1, "asked %s", (secret,), info)
    record.url = secret
    record.password = "hunter2"
    written = formatter.format(record)
    for part in ("abcdefghijklmnop", "dXNlcjpodW50ZXIy", "eyJhbGciOi.x.y", "hunter2", "MHcCAQEE"):
        assert part not in written


def test_a_hostile_name_forges_no_line() -> None:
    """A newline or an escape in what a peer said stays inside its record."""
    record = logging.LogRecord("troth", logging.INFO, __file__, 1, "%s", ("a\n2026 ERROR forged\x1b[31m",), None)
    assert "\n" not in logs.Text().format(record)
    assert "\x1b" not in logs.Text().format(record)
    assert json.loads(logs.Json().format(record))["message"].startswith("a\n")


def test_journald_gets_fields(tmp_path: Path) -> None:
    """A text of several lines is sent in the binary form (systemd.journal-fields(7))."""
    place = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(place)
        handler = logs.Journald(place)
        handler.emit(logging.LogRecord("troth.x", logging.ERROR, __file__, 1, "two\nlines", (), None))
        handler.close()
        data = journal.recv(4096)
    assert b"MESSAGE\n" + (9).to_bytes(8, "little") + b"two\nlines\n" in data
    assert b"PRIORITY=3\n" in data
    assert b"LOGGER=troth.x\n" in data


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the socket that it named, and nothing happens where it named none."""
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        monkeypatch.setenv("NOTIFY_SOCKET", place)
        systemd.notify("READY=1", "STATUS=here")
        assert manager.recv(100) == b"READY=1\nSTATUS=here"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.notify("READY=1")


def test_the_watchdog_is_fed_at_half_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only by the process that systemd watches."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert systemd.watchdog_interval_s() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog_interval_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    monkeypatch.delenv("WATCHDOG_PID")
    assert systemd.watchdog_interval_s() is None
