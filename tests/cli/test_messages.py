"""`troth mail`, `troth events`, `troth silence`, on a real database; run in this process, on a node that is only a database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.notify.making import FernetSealer, an_event
from tests.simulators.receivers import PASSWORD, USER, Hook, Mailbox
from troth.cli.main import main
from troth.database.pool import Database
from troth.notify.board import Board
from troth.notify.channel import machine_name
from troth.notify.events import Kind
from troth.store import open_store
from troth.store.sqlite import SqliteStore

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
Run = Callable[..., tuple[int, str, str]]


@dataclass
class Node:
    """What the commands ask of a node."""

    database: Database
    vault: FernetSealer
    store: SqliteStore


@pytest.fixture
def run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs a command line; gives its exit code, its output and its messages."""
    with open_store(tmp_path / "home" / "trust.db") as store:
        node = Node(database, FernetSealer(), store)
        monkeypatch.setattr("troth.node.node.Node", lambda: contextlib.nullcontext(node))

        def command(*words: str) -> tuple[int, str, str]:
            code = main(words)
            said = capsys.readouterr()
            if "--json" in words and code == 0:
                document = json.loads(said.out)
                schema = json.loads((SCHEMAS / f"{document['schema'].replace('/', '.')}.json").read_text())
                jsonschema.validate(document, schema)
            return code, said.out, said.err

        yield command


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    """A real SMTP server."""
    made = Mailbox(tmp_path / "mail")
    yield made
    made.close()


def test_mail_is_set_tested_shown_and_removed(run: Run, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password comes from the environment, and is in no output; the test message arrives."""
    monkeypatch.setenv("TROTH_MAIL_PASSWORD", PASSWORD)
    place = f"127.0.0.1:{mailbox.port}"
    words = (
        "mail",
        "set",
        "smtp",
        place,
        "--from",
        "troth@example.com",
        "--to",
        "a@example.com",
        "--to",
        "b@example.com",
    )
    outputs = [run(*words, "--user", USER)]
    monkeypatch.delenv("TROTH_MAIL_PASSWORD")
    outputs += [
        run("mail", "test"),
        run("mail", "test", "smtp", "--json"),
        run("mail", "show"),
        run("mail", "show", "--json"),
    ]
    assert [code for code, _, _ in outputs] == [0] * 5
    assert outputs[0][1] == f"set  smtp: smtp+starttls://alice@{place}\n"
    assert len(mailbox.mails) == 2
    assert mailbox.envelopes[0][1] == ["a@example.com", "b@example.com"]
    assert mailbox.mails[0]["Subject"] == "[troth] info: test message"
    assert mailbox.greetings[-1] == (machine_name(), True)
    assert mailbox.mails[0]["Message-ID"].endswith(f"@{machine_name()}>")
    shown = json.loads(outputs[4][1])["channels"][0]
    assert (shown["name"], shown["has_secret"], shown["least"], shown["enabled"]) == ("smtp", True, "info", True)
    assert not any(PASSWORD in text for _, *texts in outputs for text in texts)
    assert run(*words, "--user", USER, "--least", "warning", "--off")[0] == 0, "the password is kept"
    assert json.loads(run("mail", "show", "smtp", "--json")[1])["channels"][0]["enabled"] is False
    assert run("mail", "remove", "smtp")[0] == 0
    assert run("mail", "test", "smtp")[0] == 1


def test_a_changed_server_is_exit_code_3_with_the_rejections_words(run: Run, mailbox: Mailbox) -> None:
    """The same text as everywhere."""
    place = f"127.0.0.1:{mailbox.port}"
    run("mail", "set", "smtp", place, "--from", "troth@example.com", "--to", "a@example.com")
    assert run("mail", "test")[0] == 0
    mailbox.swap()
    code, _, said = run("mail", "test")
    assert code == 3
    assert f"{place} presented another certificate than the one on record. [TROTH-301]" in said
    assert f"next: troth replace {place} --starttls smtp --expect FINGERPRINT" in said


def test_webhooks_and_syslog_are_set(run: Run, tmp_path: Path) -> None:
    """A webhook's secret is shown once, or comes from a file."""
    hook = Hook(tmp_path / "hook")
    code, out, _ = run("mail", "set", "webhook", hook.url, "--json")
    assert code == 0
    assert len(json.loads(out)["secret"]) == 64
    assert "secret" not in json.loads(run("mail", "set", "webhook", hook.url, "--json")[1])
    assert run("mail", "test", "webhook")[0] == 0
    assert len(hook.calls) == 1
    hook.close()
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef0123\n")
    assert "secret" not in json.loads(
        run(
            "mail", "set", "webhook", "https://h.example.com/x", "--name", "other", "--secret-file", str(file), "--json"
        )[1]
    )
    assert run("mail", "set", "syslog", "tls://logs.example.com")[0] == 0
    assert [each["name"] for each in json.loads(run("mail", "show", "--json")[1])["channels"]] == [
        "other",
        "syslog",
        "webhook",
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("mail", "set", "smtp", "mail.example.com"), 7),
        (("mail", "set", "smtp"), 2),
        (("mail", "set", "carrier-pigeon", "x"), 2),
        (
            (
                "mail",
                "set",
                "smtp",
                "mail.example.com",
                "--from",
                "a@b.example",
                "--to",
                "c@d.example",
                "--security",
                "plain",
            ),
            7,
        ),
        (("mail", "set", "webhook", "http://h/"), 7),
        (("mail", "set", "syslog", "logs.example.com"), 7),
        (("mail", "set", "syslog", "udp://logs.example.com", "--name", "A b"), 7),
        (("mail", "remove"), 2),
        (("mail", "test", "nobody"), 1),
        (("events", "--kind", "nonsense"), 2),
        (("events", "--since", "yesterday"), 2),
        (("events", "--since", "2030-01-31T18:00:00"), 2),
        (("silence", "add", "--for", "8h", "--why", "x"), 2),
        (("silence", "add", "h", "--why", "x"), 2),
        (("silence", "add", "h", "--for", "8h"), 2),
        (("silence", "add", "h", "--for", "0h", "--why", "x"), 2),
        (("silence", "add", "h", "--for", "999d", "--why", "x"), 2),
        (("silence", "add", "0.0.0.0/0", "--for", "8h", "--why", "x"), 2),
        (("silence", "remove", "x"), 2),
        (("silence", "remove", "77"), 1),
    ],
)
def test_words_that_cannot_be_used(run: Run, words: tuple[str, ...], code: int) -> None:
    """Each says why, and nothing is set."""
    found, out, said = run(*words)
    assert found == code
    assert out == ""
    assert said.startswith("error: ")


def test_events_are_listed_filtered_and_paged(run: Run, database: Database) -> None:
    """The newest first; silenced ones, too; hostile texts stay in their cells."""
    now = datetime.now(UTC)
    board = Board(database, clock=lambda: now)
    board.add(an_event(number, at=now - timedelta(hours=number)) for number in range(5))
    board.add([an_event(9, kind=Kind.EXPIRING, domain="system", what="x\n\x1b[2J|y", at=now)])

    def ids(*words: str) -> list[int]:
        return [each["id"] for each in json.loads(run("events", "list", *words, "--json")[1])["events"]]

    assert ids() == [6, 5, 4, 3, 2, 1]
    assert ids("--kind", "expiring") == ids("--domain", "system") == [6]
    assert ids("--endpoint", "host-2.example.com") == ids("--endpoint", "host-2.example.com:443") == [3]
    assert ids("--endpoint", "host-2.example.com:444") == []
    assert ids("--since", "90m") == [6, 2, 1]
    assert ids("--since", (now - timedelta(minutes=90)).isoformat()) == [6, 2, 1]
    assert ids("--limit", "2") == [6, 5]
    assert ids("--limit", "2", "--before", "5") == [4, 3]
    code, out, _ = run("events")
    assert code == 0
    assert len(out.splitlines()) == 7
    assert "x\\x0a\\x1b[2J\\x7cy" in out
    assert run("events", "--message", "4")[1:] == ("", "no events\n")


def test_silences_are_set_listed_and_ended(run: Run) -> None:
    """With who, why and until when; ended ones are in the list of all."""
    code, out, _ = run("silence", "add", "*.Lab.example.com", "--for", "8h", "--why", "new certificates")
    assert code == 0
    assert out.startswith("set  silence 1: all events at *.lab.example.com, until ")
    assert (
        run("silence", "add", "--kind", "unreachable", "--domain", "user", "--until", _later(), "--why", "x", "--json")[
            0
        ]
        == 0
    )
    listed = json.loads(run("silence", "list", "--json")[1])["silences"]
    assert [(each["id"], each["pattern"], each["kind"], each["domain"], each["in_force"]) for each in listed] == [
        (1, "*.lab.example.com", None, None, True), (2, None, "unreachable", "user", True),
    ]  # fmt: skip
    assert "new certificates" in run("silence", "list")[1]
    assert run("silence", "remove", "1")[1].startswith("ended  silence 1")
    assert [each["id"] for each in json.loads(run("silence", "list", "--json")[1])["silences"]] == [2]
    assert len(json.loads(run("silence", "list", "--all", "--json")[1])["silences"]) == 2
    assert [each["kind"] for each in json.loads(run("events", "--json")[1])["events"]] == ["silenced"] * 3


def _later() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


def test_without_a_node_there_is_nothing_to_work_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """That is said, with the next command."""
    monkeypatch.setenv("TROTH_HOME", str(tmp_path))
    for words in (("events",), ("silence", "list"), ("mail", "show")):
        assert main(words) == 7
        assert "troth init" in capsys.readouterr().err
