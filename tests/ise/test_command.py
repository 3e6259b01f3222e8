"""`troth ise`, with a database, a trust store and servers that are real; the node that opens them is the test's."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.ise.conftest import PASSWORD, USER, Start, place
from tests.simulators.ise import IseSimulator, answered, login_page
from troth import manage
from troth.cli import ise as command
from troth.cli.main import main
from troth.ise.models import Condition
from troth.ise.servers import Servers
from troth.model.entry import CheckMode, Override
from troth.store.protocol import TrustStore
from troth.store.sqlite import SqliteStore

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"


@dataclass
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document, held against the schema that it names."""
        found = json.loads(self.out)
        name, _, version = found["schema"].rpartition("/")
        jsonschema.validate(found, json.loads((SCHEMAS / f"{name}.{version}.json").read_text()))
        return found


Troth = Callable[..., Done]


@pytest.fixture
def troth(
    servers: Servers, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Troth:
    """Run `troth ise` on a node that has these servers and this trust store."""

    @contextlib.contextmanager
    def node() -> Iterator[tuple[Servers, TrustStore]]:
        yield servers, store

    monkeypatch.setattr(command, "node", node)
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str, stdin: str = PASSWORD + "\n") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(["ise", *words])
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        assert "Traceback" not in said.err
        return Done(code, said.out, said.err)

    return run


def add(troth: Troth, ise: IseSimulator, *words: str, **options: str) -> Done:
    """Add a simulator."""
    return troth("add", str(place(ise)), "--user", USER, "--password-file", "-", *words, **options)


def test_add_list_test_remove(troth: Troth, start: Start, servers: Servers) -> None:
    """The whole life of two servers, as a person sees it."""
    one, two = start("ise-1"), start("ise-2")
    done = add(troth, one, "--expect", str(one.view.fingerprint))
    assert (done.code, done.out) == (0, f"reachable  primary  {place(one)}  3.2.0.542 (standalone), 2 active\n")
    assert add(troth, two).code == 0
    listed = troth("list")
    assert listed.code == 0
    assert [line.split()[:3] for line in listed.out.splitlines()[1:]] == [
        ["primary", str(place(one)), "reachable"],
        ["standby", str(place(two)), "reachable"],
    ]
    assert troth("test").code == 0
    assert troth("test", "standby").out.startswith("reachable  standby")
    assert troth("test", "127.0.0.1:1").code == 1
    gone = troth("remove", str(place(one)))
    assert "which was the standby" in gone.out
    assert [each.endpoint for each in servers.all()] == [place(two)]


def test_documents(troth: Troth, ise: IseSimulator) -> None:
    """Each JSON document keeps to its schema, and holds no password."""
    assert add(troth, ise, "--json").document["server"]["state"] == "reachable"
    assert troth("list", "--json").document["servers"][0]["counts"] == {"active": 2, "posture": 0, "profiler": 2}
    ise.new_certificate()
    changed = troth("test", "--json")
    assert changed.code == 3
    assert changed.document["servers"][0]["state"] == "certificate-changed"
    assert "troth replace" in changed.document["servers"][0]["next_step"]
    assert troth("list", "--json").document["servers"][0]["user"] == USER
    assert troth("remove", "primary", "--json").document["primary"] is None
    assert troth("list", "--json").document["servers"] == []


FAILURES: dict[str, tuple[Callable[[IseSimulator], object], int, Condition]] = {
    "credentials": (lambda ise: ise.users.clear(), 6, Condition.CREDENTIALS_REFUSED),
    "group": (lambda ise: ise.add_user(USER, PASSWORD, "Helpdesk Admin"), 6, Condition.WRONG_GROUP),
    "no monitoring": (lambda ise: setattr(ise, "monitoring", False), 1, Condition.NOT_MONITORING),
    "log-in page": (lambda ise: ise.faults.update({"*": login_page()}), 5, Condition.NOT_UNDERSTOOD),
    "busy": (lambda ise: ise.faults.update({"*": answered(503, b"", "")}), 5, Condition.BUSY),
    "gone": (lambda ise: ise.close(), 5, Condition.UNREACHABLE),
}


@pytest.mark.parametrize(("change", "code", "condition"), FAILURES.values(), ids=FAILURES.keys())
def test_what_fails_leaves_no_server_behind(
    troth: Troth,
    ise: IseSimulator,
    servers: Servers,
    change: Callable[[IseSimulator], object],
    code: int,
    condition: Condition,
) -> None:
    """`add` tests first; `test` says the same of a server on record, with its next step."""
    change(ise)
    done = add(troth, ise)
    assert done.code == code
    assert "next:" in done.err
    assert servers.all() == ()
    assert add(troth, ise, "--untested").code == 0
    tested = troth("test", "--quiet")
    assert tested.code == code
    assert "next:" in tested.err
    assert servers.all()[0].state.condition is condition


def test_another_fingerprint_than_the_expected(troth: Troth, ise: IseSimulator, servers: Servers) -> None:
    """Nothing is learned and no credential leaves; with `--untested` the fingerprint is pinned beforehand."""
    wrong = "sha256:" + "ab" * 32
    assert add(troth, ise, "--expect", wrong).code == 3
    assert servers.all() == ()
    assert ise.requests == []
    assert add(troth, ise, "--expect", wrong, "--untested").code == 0
    assert troth("test").code == 3
    assert ise.requests == []


def test_a_strict_node_waits_for_approval(
    troth: Troth, ise: IseSimulator, servers: Servers, store: SqliteStore
) -> None:
    """Exit code 4, no credential, and after the approval it works."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    assert add(troth, ise).code == 4
    assert ise.requests == []
    entry = store.entry(place(ise))
    assert entry is not None
    manage.approve(store, entry, ise.view.fingerprint)
    assert add(troth, ise).code == 0
    assert len(servers.all()) == 1


def test_new_credentials(troth: Troth, ise: IseSimulator, servers: Servers) -> None:
    """Adding a server again gives it other credentials; wrong ones leave the old ones in force."""
    add(troth, ise)
    ise.add_user("second", "another", "MnT Admin")
    words = ("add", str(place(ise)), "--user", "second", "--password-file", "-")
    assert troth(*words, stdin="wrong\n").code == 6
    assert servers.all()[0].user == USER
    assert troth(*words, stdin="another").code == 0
    assert servers.credentials(servers.all()[0]).password == "another"


def test_a_third_one_asks_for_no_password(troth: Troth, start: Start) -> None:
    """Where there is no room, nothing is read and nobody is contacted."""
    one, two, three = start("ise-1"), start("ise-2"), start("ise-3")
    add(troth, one)
    add(troth, two)
    done = add(troth, three)
    assert done.code == 2
    assert "troth ise remove" in done.err
    assert three.visits == []


@pytest.mark.parametrize(
    "words",
    [("add",), ("add", "h"), ("remove",), ("list", "h"), ("list", "--user", "u"), ("test", "--untested"),
     ("add", "h:443", "--user", "u", "--port", "444", "--password-file", "-"), ("add", "h", "--user", "a:b", "--password-file", "-"),
     ("add", "h", "--user", "u"), ("add", "h", "--user", "u", "--password-file", "/nonexistent"), ("frobnicate",),
     ("add", "h", "--user", "u", "--timeout", "0"), ("add", "h", "--user", "u", "--expect", "md5"),
     ("add", "h/x", "--user", "u"), ("add", "h", "--user", "u", "--password", "secret")],
)  # fmt: skip
def test_words_that_make_no_sense(troth: Troth, words: tuple[str, ...]) -> None:
    """Exit code 2; there is no option that takes a password."""
    assert troth(*words).code == 2


def test_ports(troth: Troth, ise: IseSimulator, servers: Servers) -> None:
    """The port may be part of the address, or an option, or both if they are the same."""
    words = ("--user", USER, "--password-file", "-")
    assert troth("add", "127.0.0.1", "--port", str(ise.port), *words).code == 0
    assert troth("add", str(place(ise)), "--port", str(ise.port), *words).code == 0
    assert [each.endpoint for each in servers.all()] == [place(ise)]


def test_password_files(troth: Troth, ise: IseSimulator, tmp_path: Path) -> None:
    """One line end is taken off; a file that others can read is said to be one."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\r\n")
    file.chmod(0o600)
    words = ("add", str(place(ise)), "--user", USER, "--password-file", str(file))
    assert troth(*words).err == ""
    file.chmod(0o644)
    assert "chmod 600" in troth(*words).err
    file.write_bytes(b"\xff\xfe")
    assert troth(*words).code == 2
    file.write_text("x" * 5000)
    assert troth(*words).code == 2


def test_without_a_node() -> None:
    """A clear error with the next command, before anything else happens."""
    done = subprocess.run(
        [sys.executable, "-m", "troth", "ise", "list", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7
    assert "troth init" in json.loads(done.stderr)["next_command"]


# On a terminal

ASK = """
import argparse, os, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))  # a session's first terminal becomes its own
from troth.cli import ise
from troth.errors import BadInput
try:
    found = ise.ask_password(argparse.Namespace(user="monitor", server="h"))
except BadInput as error:
    found = error.what
open(sys.argv[1], "w").write(found)
"""


def on_a_terminal(tmp_path: Path, *lines: str) -> tuple[str, str]:
    """Answer the questions for a password on a terminal; give what was read, and what the terminal showed."""
    ours, theirs = pty.openpty()
    result = tmp_path / "result"
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", ASK, str(result)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        for line in lines:
            while not shown.endswith(b": "):
                shown += os.read(ours, 4096)
            os.write(ours, line.encode() + b"\n")
            shown += b"|"
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                shown += piece
        assert process.wait(30) == 0, shown
    os.close(ours)
    return result.read_text(), shown.decode()


def test_a_password_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    """Two questions, no echo."""
    found, shown = on_a_terminal(tmp_path, PASSWORD, PASSWORD)
    assert found == PASSWORD
    assert "Password of monitor: " in shown
    assert "Once more: " in shown
    assert PASSWORD not in shown


def test_two_passwords_that_differ(tmp_path: Path) -> None:
    """Nothing is taken."""
    found, shown = on_a_terminal(tmp_path, PASSWORD, PASSWORD + "x")
    assert found == "The two passwords differ; nothing was stored."
    assert PASSWORD not in shown


def test_the_parser_takes_no_password() -> None:
    """No option or argument is one."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert not [each for each in parser._actions if "password" in each.dest and each.dest != "password_file"]
