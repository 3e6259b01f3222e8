"""`troth user`, on a real database: what it changes, what it prints, and that no secret is ever an argument."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyotp
import pytest

from tests.accounts.conftest import OTHER, PASSWORD, Clock, House
from tests.cli.test_contract import conforms
from troth.accounts import opaque
from troth.accounts.roles import Role
from troth.cli import user
from troth.cli.main import main, parser_for
from troth.database.pool import Database
from troth.errors import NotAuthenticated

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def house(database: Database) -> House:
    """A node's accounts, with one administrator."""
    made = House(database, Clock())
    made.add("alice")
    return made


@pytest.fixture
def run(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `troth user …` against it, without a terminal."""

    @contextmanager
    def opened() -> Iterator[Any]:
        yield house, house.audit

    monkeypatch.setattr(user, "opened", opened)

    def command(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(["user", *words])
        told = capsys.readouterr()
        assert PASSWORD not in told.out + told.err
        return code, told.out, told.err

    return command


def test_a_user_is_added_and_listed(house: House, run: Run, tmp_path: Path) -> None:
    """With a password from a file or from standard input; one line end at its end is not part of it."""
    file = tmp_path / "password"
    file.write_text(OTHER + "\n")
    assert run("add", "Bob", "--role", "operator", "--password-file", str(file))[0] == 0
    assert run("add", "carol", "--password-file", "-", stdin=PASSWORD + "\r\n")[0] == 0
    assert house.log_in("bob", OTHER)
    assert house.log_in("carol", PASSWORD)
    code, out, _ = run("list", "--json")
    found = conforms(json.loads(out))
    assert code == 0
    assert [(each["name"], each["role"]) for each in found["users"]] == [  # type: ignore[attr-defined]
        ("alice", "administrator"),
        ("bob", "operator"),
        ("carol", "viewer"),
    ]
    table = run("list")[1].splitlines()
    assert table[2].split()[:4] == ["bob", "operator", "enabled", "no"]


def test_a_password_is_never_an_argument(run: Run) -> None:
    """There is no option that takes one, and without a terminal and a file nothing is asked."""
    for action in parser_for("user")._actions:
        assert "--password" not in action.option_strings
    code, _, err = run("passwd", "alice", stdin=OTHER)
    assert (code, "--password-file" in err) == (2, True)


@pytest.mark.parametrize("bad", ["short", "password1234", "two\nlines of a password", "\0" * 20])
def test_a_weak_password_changes_nothing(house: House, run: Run, bad: str) -> None:
    """The exit code says so, and the one so far is still good."""
    assert run("passwd", "alice", "--password-file", "-", stdin=bad)[0] == 2
    assert house.log_in()


def test_role_disable_enable_delete(house: House, run: Run) -> None:
    """Each change is made, noted, and said in one line; the last administrator stays."""
    house.add("bob", Role.VIEWER)
    assert run("role", "bob", "operator")[1] == "set  bob, operator\n"
    assert run("disable", "bob")[0] == 0
    assert not house.users.get("bob").enabled
    assert run("enable", "bob", "--quiet") == (0, "", "")
    assert run("delete", "alice")[0] == 6
    assert run("delete", "bob")[0] == 0
    assert run("delete", "bob")[0] == 1
    assert [each.name for each in house.users.listing()] == ["alice"]
    assert [action for action, _, _ in house.journal()][-4:] == [
        "user-role-set",
        "user-disabled",
        "user-enabled",
        "user-deleted",
    ]


def test_a_failure_is_a_problem_document(run: Run) -> None:
    """With `--json`, on standard error."""
    code, out, err = run("delete", "alice", "--json")
    assert (code, out, json.loads(err)["code"]) == (6, "", "TROTH-614")


@pytest.mark.parametrize(
    "words",
    [["add"], ["role", "alice"], ["role", "alice", "root"], ["delete", "alice", "viewer"], ["passwd"], ["nonsense"]],
)
def test_words_that_cannot_be_used(house: House, run: Run, words: list[str]) -> None:
    """Exit code 2, and nothing is changed."""
    before = house.everything()
    assert run(*words)[0] == 2
    assert house.everything() == before


def test_a_token_is_printed_once(house: House, run: Run) -> None:
    """Alone on standard output, so that it can be put into a file; the list does not have it."""
    code, out, err = run("token", "alice", "--label", "nightly", "--days", "30")
    token = out.removesuffix("\n")
    assert (code, opaque.is_token(token)) == (0, True)
    assert token not in err
    assert house.tokens.identify(token).role is Role.VIEWER
    listed = run("tokens", "alice", "--json")[1]
    assert token not in listed
    (entry,) = conforms(json.loads(listed))["tokens"]  # type: ignore[misc]
    assert run("revoke-token", str(entry["number"]))[0] == 0
    with pytest.raises(NotAuthenticated):
        house.tokens.identify(token)
    assert "revoked" in run("tokens")[1]
    document = conforms(json.loads(run("token", "alice", "--label", "x", "--role", "operator", "--json")[1]))
    assert house.tokens.identify(str(document["token"])).role is Role.OPERATOR


@pytest.mark.parametrize(
    "words",
    [
        ["token", "alice"],
        ["token", "alice", "--label", "x", "--days", "0"],
        ["token", "alice", "--label", "x", "--days", "367"],
        ["token", "alice", "--label", "x", "--days", "999999999999"],
        ["token", "alice", "--label", "x\x1b[2J"],
        ["token", "alice", "--label", "x", "--role", "root"],
        ["revoke-token", "x"],
        ["revoke-token", "²"],
    ],
)
def test_no_token_of_bad_words(house: House, run: Run, words: list[str]) -> None:
    """Exit code 2, and there is none."""
    assert run(*words)[0] == 2
    assert house.tokens.listing() == []


def test_a_second_factor_is_set_up_in_two_calls(house: House, run: Run) -> None:
    """Without a terminal: the secret first, the code that confirms it then, and `--off` takes it away."""
    _, out, _ = run("totp", "alice")
    secret = out.split()[1]
    assert not house.users.get("alice").second_factor
    code, out, _ = run("totp", "alice", "--code", pyotp.TOTP(secret).at(house.clock.now))
    assert (code, out.count("recovery code")) == (0, 10)
    assert house.users.get("alice").second_factor
    assert run("totp", "alice", "--off")[0] == 0
    assert not house.users.get("alice").second_factor


PROGRAM = """
    import sys
    from contextlib import contextmanager
    from troth.cli import user
    from troth.cli.main import main
    from troth.database.pool import Database
    from tests.accounts.conftest import Clock, House

    @contextmanager
    def opened():
        database = Database(sys.argv[1])
        made = House(database, Clock())
        try:
            yield made, made.audit
        finally:
            database.close()

    user.opened = opened
    sys.exit(main(["user", *sys.argv[2:]]))
"""


def at_terminal(house: House, answers: list[tuple[str, str]], *words: str) -> tuple[int, str]:
    """Run `troth user …` at a terminal, and type each answer when its question stands there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), house.database.conninfo, *words],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    os.close(follower)
    shown = b""
    try:
        while select.select([leader], [], [], 60)[0]:
            try:
                shown += os.read(leader, 4096)
            except OSError:  # the terminal ends with the program
                break
            if answers and answers[0][0].encode() in shown:
                os.write(leader, answers.pop(0)[1].encode() + b"\n")
        return process.wait(60), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_a_terminal_is_asked_twice_and_shows_nothing(house: House) -> None:
    """What is typed does not appear, and two different passwords are none."""
    first, second = "New password for alice: ", "The same again: "
    code, shown = at_terminal(house, [(first, OTHER), (second, PASSWORD)], "passwd", "alice")
    assert (code, "not the same" in shown) == (2, True)
    code, shown = at_terminal(house, [(first, OTHER), (second, OTHER)], "passwd", "alice")
    assert (code, OTHER in shown) == (0, False)
    assert house.log_in(password=OTHER)
