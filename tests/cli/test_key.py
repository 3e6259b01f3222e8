"""`troth key` and `ncs key`: what they ask, make, refuse and say, with a real terminal and a real openssl."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from psycopg.conninfo import conninfo_to_dict

from tests.cli.conftest import Command
from tests.identity.making import CA, foreign_request, key_pem, openssl
from troth.database.pool import Database

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
NCS_REQUEST = ("key", "genkey", "-newdn", "-csr", "node.csr", "repository", "defaultRepo")
ROOT = CA("Example Root")
MIDDLE = CA("Example Issuing CA", ROOT)


def conforms(text: str) -> Any:
    """Hold a document against the published schema that it names."""
    document = json.loads(text)
    name = document["schema"].replace("/", ".") if "schema" in document else "problem"
    jsonschema.validate(document, json.loads((SCHEMAS / f"{name}.json").read_text()))
    return document


@pytest.fixture
def node(troth: Command) -> Command:
    """A node, as `init` leaves it."""
    troth.home.mkdir(parents=True)
    (troth.home / "troth.toml").touch()
    assert troth("key", "generate", "--san", "node.example.com", "--san", "IP:192.0.2.10").code == 0
    return troth


@pytest.fixture
def whole(node: Command, database: Database) -> Command:
    """A node whose trust store can be reached, in a real PostgreSQL."""
    parts = conninfo_to_dict(database.conninfo)
    where = urlencode({name: str(parts[name]) for name in ("host", "port") if name in parts})
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?{where}"
    (node.home / "troth.toml").write_text(f'names = ["node.example.com", "localhost"]\n[database]\nurl = "{url}"\n')
    return node


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the CAs' certificates, and a key and certificate that were made elsewhere."""
    folder = tmp_path / "files"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(MIDDLE.pem + ROOT.pem)
    (folder / "middle.pem").write_bytes(MIDDLE.pem)
    (folder / "root.pem").write_bytes(ROOT.pem)
    (folder / "pair.pem").write_bytes(MIDDLE.sign(foreign_request(key)) + MIDDLE.pem + ROOT.pem)
    for name, secret in (("plain.key", None), ("locked.key", b"correct horse")):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(key_pem(key, secret))
    return folder


def current(node: Command) -> str:
    """Give the fingerprint in force."""
    return str(conforms(node("key", "show", "--json").out)["generations"][0]["certificate"]["fingerprint"])


def typed(
    node: Command, answers: str, *arguments: str, program: str = "troth", after: str = ""
) -> tuple[int, str, str]:
    """Run a command on a terminal of its own, type the answers (once `after` was asked), and give its code, output and questions."""
    master, slave = pty.openpty()
    module = "troth" if program == "troth" else "troth.cli.ncs"
    env = {**os.environ, "TROTH_HOME": str(node.home), "NO_COLOR": "1"}
    command = [sys.executable, "-m", module, *arguments]
    started = subprocess.Popen(
        command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True, bufsize=0
    )
    asked = b""
    try:
        assert started.stderr
        while after.encode() not in asked:
            asked += started.stderr.read(1) or pytest.fail(f"it never asked for {after}: {asked!r}")
        os.write(master, answers.encode())
        out, err = started.communicate(timeout=60)
    finally:
        started.kill()
        started.wait()
        os.close(master)
        os.close(slave)
    assert b"Traceback" not in err
    return started.returncode, out.decode(), (asked + err).decode()


# Without a node, without a key


@pytest.mark.parametrize("action", [["show"], ["generate"], ["csr", "--cn", "n"], ["import", "f"], ["activate"]])
def test_where_there_is_no_node_it_says_so(troth: Command, action: list[str]) -> None:
    """A home without a node ends with 7 and names the command that makes one; nothing is made."""
    done = troth("key", *action, "--json")
    assert done.code == 7
    assert conforms(done.err)["next_command"].startswith("troth init")
    assert not (troth.home / "identity").exists()


@pytest.mark.parametrize("words", [NCS_REQUEST, ("key", "importsignedcert", "f", "repository", "defaultRepo")])
def test_the_incumbents_commands_say_so_too(troth: Command, words: tuple[str, ...]) -> None:
    """So do the commands of the incumbent that need a node."""
    done = troth(*words, program="ncs")
    assert (done.code, "troth init" in done.err) == (7, True)


def test_a_node_without_a_key_says_so(troth: Command) -> None:
    """A node whose identity is not there yet ends with 7, and the first key that is generated is in force at once."""
    troth.home.mkdir(parents=True)
    (troth.home / "troth.toml").touch()
    for action in (["show"], ["csr", "--cn", "n"], ["activate"]):
        done = troth("key", *action)
        assert (done.code, "troth key generate" in done.err) == (7, True)
    done = troth("key", "generate", "--json")
    assert conforms(done.out)["generation"]["role"] == "current"
    assert troth("key", "show").code == 0


# The whole way


def test_from_request_to_service(node: Command, files: Path) -> None:
    """Request, signature, import, dry run, activation: each step says what it did and what comes next, as text and as JSON."""
    before = current(node)
    csr = files / "node.csr"
    done = node("key", "csr", "--cn", "node.example.com", "--o", "Example Systems", "--c", "US", "--out", str(csr))
    assert (done.code, done.out) == (0, f"requested  {csr}\n")
    assert "troth key import" in done.err
    assert openssl("req", "-verify", "-noout", "-in", csr).returncode == 0
    assert csr.stat().st_mode & 0o777 == 0o600
    (files / "signed.pem").write_bytes(MIDDLE.sign(csr.read_bytes()))
    arguments = ("key", "import", str(files / "signed.pem"), "--chain", str(files / "ca.pem"))
    dry = node(*arguments, "--dry-run", "--json")
    assert (dry.code, conforms(dry.out)["fits"], conforms(dry.out)["generation"]) == (0, True, None)
    assert "next" not in node("key", "show").out
    done = node(*arguments, "--json")
    new = conforms(done.out)["generation"]["certificate"]["fingerprint"]
    assert (done.code, current(node)) == (0, before)
    assert f"next  {new}" in node("key", "show").out
    dry = node("key", "activate", "--dry-run", "--json")
    assert (dry.code, conforms(dry.out)["activated"], current(node)) == (0, False, before)
    done = node("key", "activate")
    assert done.out == f"activated  {new}\n  in place of  {before}, which is kept\n"
    assert f"troth replace NODE --expect {new}" in done.err
    assert current(node) == new
    assert [each["role"] for each in conforms(node("key", "show", "--json").out)["generations"]] == [
        "current",
        "retired",
    ]
    shown = openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=node("key", "show", "--pem").out.encode())
    assert shown.stdout.decode().strip().partition("=")[2].replace(":", "").lower() == new.removeprefix("sha256:")


def test_what_does_not_fit_is_refused_with_every_reason(node: Command, files: Path) -> None:
    """An import with errors ends with 2 and names all of them; a dry run ends with 1; nothing changes."""
    text = node("key", "csr", "--cn", "node.example.com").out
    (files / "bad.pem").write_bytes(MIDDLE.sign(text, days=(-9, -1)))
    shown = node("key", "show").out
    done = node("key", "import", str(files / "bad.pem"), "--json")
    problem = conforms(done.err)
    assert (done.code, done.out, problem["code"]) == (2, "", "TROTH-222")
    assert {each["code"] for each in problem["findings"]} == {"chain-incomplete", "expired"}
    done = node("key", "import", str(files / "bad.pem"))
    assert (done.code, done.err.count(" expired at"), done.err.count(" is missing: ")) == (2, 2, 1)
    dry = node("key", "import", str(files / "bad.pem"), "--dry-run", "--json")
    assert (dry.code, conforms(dry.out)["fits"]) == (1, False)
    assert node("key", "show").out == shown


def test_a_trust_store_that_is_away_vouches_for_nobody(node: Command, files: Path) -> None:
    """While the node's database is down, a chain to a CA that only it knows is incomplete, and the reason is told."""
    text = node("key", "csr", "--cn", "node.example.com").out
    (files / "signed.pem").write_bytes(MIDDLE.sign(text) + MIDDLE.pem)
    done = node("key", "import", str(files / "signed.pem"))
    assert (done.code, "is missing" in done.err, "truststore system cannot be read" in done.err) == (2, True, True)
    assert node("key", "import", str(files / "signed.pem"), "--chain", str(files / "ca.pem")).code == 0


def test_a_ca_that_is_trusted_already_completes_the_chain(whole: Command, files: Path) -> None:
    """The `system` truststore, filled with the incumbent's command, is the end of the chain."""
    node = whole
    text = node("key", "csr", "--cn", "node.example.com").out
    (files / "signed.pem").write_bytes(MIDDLE.sign(text) + MIDDLE.pem)
    assert node("key", "import", str(files / "signed.pem")).code == 2
    _put(node, "root.pem", ROOT.pem)
    assert node("key", "importcacert", "root", "root.pem", "repository", "defaultRepo", program="ncs").code == 0
    assert node("key", "import", str(files / "signed.pem")).code == 0


def test_generate_comes_next_and_is_scheduled(node: Command) -> None:
    """A new key has the names of the one in force, and `--on-restart` leaves it for the start."""
    before = current(node)
    done = node("key", "generate", "--algorithm", "ec-p384", "--json")
    made = conforms(done.out)["generation"]
    assert (made["role"], made["names"], made["certificate"]["key"]) == (
        "next",
        ["DNS:node.example.com", "IP:192.0.2.10"],
        "EC P-384",
    )
    done = node("key", "activate", "--on-restart", "--json")
    assert (conforms(done.out)["activated"], conforms(done.out)["on_restart"], current(node)) == (False, True, before)
    assert "(comes into force when the node starts)" in node("key", "show").out
    assert conforms(node("key", "show", "--json").out)["on_restart"] is True


def test_nothing_to_activate(node: Command) -> None:
    """Without a next certificate there is a plain negative answer."""
    for words in ((), ("--dry-run",), ("--on-restart",)):
        done = node("key", "activate", *words, "--json")
        assert (done.code, conforms(done.err)["code"]) == (1, "TROTH-223")


# Keys from elsewhere


def test_a_locked_key_is_opened_from_a_file_or_a_terminal(node: Command, files: Path) -> None:
    """The passphrase comes from a file, standard input or a terminal, unseen; without any of them the exit code is 2."""
    arguments = ("key", "import", str(files / "pair.pem"), "--key", str(files / "locked.key"))
    (files / "secret").touch(0o600)
    (files / "secret").write_text("correct horse\n")
    done = node(*arguments)
    assert (done.code, "--passphrase-file" in done.err) == (2, True)
    assert node(*arguments, "--passphrase-file", str(files / "secret")).code == 0
    assert node(*arguments, "--passphrase-file", "-", stdin="correct horse\n").code == 0
    code, out, err = typed(node, "correct horse\n", *arguments, after="Passphrase")
    assert (code, "Passphrase of" in err, "correct horse" in out + err) == (0, True, False)
    (files / "secret").write_text("wrong battery\n")
    done = node(*arguments, "--passphrase-file", str(files / "secret"))
    assert (done.code, "TROTH-221" in done.err, "battery" in done.err) == (2, True, False)
    assert node("key", "import", str(files / "pair.pem"), "--key", str(files / "plain.key")).code == 0


def test_a_key_file_that_others_can_read_is_told(node: Command, files: Path) -> None:
    """A key that lay open is imported with a warning, and its copy is private."""
    (files / "plain.key").chmod(0o644)
    done = node("key", "import", str(files / "pair.pem"), "--key", str(files / "plain.key"))
    assert (done.code, "can be read by others" in done.err) == (0, True)
    assert {each.stat().st_mode & 0o777 for each in node.home.rglob("key.pem")} == {0o600}


# Questions


ANSWERS = "node.example.com\nPrime Infra\nExample Systems\nSJ\nCA\nUS\n"
ORDER = ["Common name", "Organizational unit", "Organization", "Locality", "State or province", "Country", "Names and"]


def test_the_six_questions_and_the_seventh(node: Command) -> None:
    """On a terminal the incumbent's questions come in its order, then the names; the request goes to standard output alone."""
    code, out, err = typed(node, ANSWERS + "DNS:node.example.com, 192.0.2.11\n", "key", "csr")
    assert code == 0
    places = [err.index(each) for each in ORDER]
    assert places == sorted(places)
    text = openssl("req", "-noout", "-text", "-verify", stdin=out.encode()).stdout.decode()
    assert "C = US, ST = CA, L = SJ, O = Example Systems, OU = Prime Infra, CN = node.example.com" in text
    assert "DNS:node.example.com, IP Address:192.0.2.11" in text


def test_answers_may_be_left_out_or_wrong_at_first(node: Command) -> None:
    """An empty answer leaves a field out, a wrong one is asked again, an empty list of names takes those that are offered."""
    code, out, err = typed(node, "node.example.com\n\n\n\n\nusa\nus\nUS\n\n", "key", "csr")
    assert code == 0
    assert err.count("Country") == 3
    text = openssl("req", "-noout", "-text", stdin=out.encode()).stdout.decode()
    assert "Subject: C = US, CN = node.example.com" in text
    assert "DNS:node.example.com, IP Address:192.0.2.10" in text


def test_what_was_given_is_not_asked(node: Command) -> None:
    """With a common name nothing is asked; with other fields only what is missing."""
    code, _, err = typed(node, "", "key", "csr", "--cn", "node.example.com")
    assert (code, "Organization" in err) == (0, False)
    code, _, err = typed(node, "node\n\n\n\nUS\n\n", "key", "csr", "--o", "Example Systems")
    assert (code, "Organization:" in err, "Organizational unit" in err) == (0, False, True)


def test_answers_that_end_early_make_nothing(node: Command) -> None:
    """End of input in the middle of the questions: exit 2, no request, no file."""
    code, _, _ = typed(node, "node\n\x04", "key", "csr", "--out", str(node.home / "node.csr"))
    assert code == 2
    assert not (node.home / "node.csr").exists()
    assert "pending" not in node("key", "show").out


def test_without_a_terminal_nothing_is_asked(node: Command) -> None:
    """Exit 2, and the message names what is missing; the incumbent's form does the same."""
    for words, program in ((("key", "csr"), "troth"), (NCS_REQUEST, "ncs")):
        done = node(*words, stdin=ANSWERS, program=program)
        assert done.code == 2
        assert all(f"--{each}" in done.err for each in ("cn", "ou", "o", "l", "st", "c", "san"))
    assert "pending" not in node("key", "show").out


@pytest.mark.parametrize(
    "words",
    [
        ["show", "--dry-run"],
        ["show", "file"],
        ["generate", "--cn", "x"],
        ["generate", "--algorithm", "rsa-1024"],
        ["generate", "--san", "*.example.com"],
        ["csr", "--cn", "x", "--c", "USA"],
        ["csr", "--cn", "x", "--san", "DNS:a b"],
        ["csr", "--cn", "x" * 65],
        ["csr", "--cn", "x\x1b[31m"],
        ["csr", "--cn", "x", "--reuse-key", "--algorithm", "ec-p384"],
        ["csr", "--cn", "x", "--out", "/"],
        ["import"],
        ["import", "/nowhere"],
        ["import", "/dev/null"],
        ["import", "/dev/null", "--passphrase-file", "/dev/null"],
        ["activate", "--key", "x"],
        ["announce"],
        [],
    ],
)
def test_words_that_cannot_be_used(node: Command, words: list[str]) -> None:
    """Wrong options, names and files end with 2, and change nothing."""
    shown = node("key", "show").out
    assert node("key", *words).code == 2
    assert node("key", "show").out == shown


def test_a_request_overwrites_no_file(node: Command, files: Path) -> None:
    """A file that is there stays as it is, and no key is made for a request that cannot be written."""
    done = node("key", "csr", "--cn", "node", "--out", str(files / "ca.pem"))
    assert (done.code, (files / "ca.pem").read_bytes()) == (2, MIDDLE.pem + ROOT.pem)
    assert "pending" not in node("key", "show").out


# The incumbent's grammar


def _put(node: Command, name: str, data: bytes) -> None:
    folder = node.home / "repositories" / "defaultRepo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def test_the_incumbents_way(whole: Command, files: Path) -> None:
    """genkey asks and writes into the repository, importsignedcert takes the answer for the next start."""
    node = whole
    before = current(node)
    code, out, err = typed(node, ANSWERS + "\n", *NCS_REQUEST, program="ncs")
    assert (code, out) == (0, "wrote node.csr to defaultRepo\n")
    places = [err.index(each) for each in ORDER]
    assert places == sorted(places)
    csr = (node.home / "repositories" / "defaultRepo" / "node.csr").read_bytes()
    assert openssl("req", "-verify", "-noout", stdin=csr).returncode == 0
    _put(node, "signed.pem", MIDDLE.sign(csr) + MIDDLE.pem)
    words = ("key", "importsignedcert", "signed.pem", "repository", "defaultRepo")
    done = node(*words, program="ncs")
    assert (done.code, "CN=Example Root" in done.err) == (2, True)
    _put(node, "root.pem", ROOT.pem)
    node("key", "importcacert", "example", "root.pem", "repository", "defaultRepo", program="ncs")
    done = node(*words, program="ncs")
    assert (done.code, "ncs stop, ncs start" in done.err) == (0, True)
    assert current(node) == before
    assert "(comes into force when the node starts)" in node("key", "show").out
    code, _, _ = typed(node, ANSWERS + "\n", *NCS_REQUEST, program="ncs")
    assert code == 2  # the file is there already


def test_the_incumbents_import_of_a_pair(node: Command, files: Path) -> None:
    """importkey takes a key and its certificate, and asks for a passphrase on a terminal only."""
    for name in ("pair.pem", "plain.key", "locked.key"):
        _put(node, name, (files / name).read_bytes())
    words = ("key", "importkey", "locked.key", "pair.pem", "repository", "defaultRepo")
    assert node(*words, program="ncs").code == 2
    code, _, err = typed(node, "correct horse\n", *words, program="ncs", after="Passphrase")
    assert (code, "Passphrase" in err) == (0, True)
    done = node("key", "importkey", "plain.key", "pair.pem", "repository", "defaultRepo", program="ncs")
    assert done.code == 0
    assert node("key", "importkey", "../x", "pair.pem", "repository", "defaultRepo", program="ncs").code == 2
    assert node("key", "importkey", "none", "pair.pem", "repository", "defaultRepo", program="ncs").code == 1


def test_the_incumbents_ca_commands_are_those_of_the_system_truststore(troth: Command) -> None:
    """importcacert, listcacerts and deletecacert are one code path with trusted-ca-store, also without a node."""
    _put(troth, "root.pem", ROOT.pem)
    assert troth("key", "importcacert", "example", "root.pem", "repository", "defaultRepo", program="ncs").code == 0
    listed = troth("key", "listcacerts", program="ncs")
    other = troth("certvalidation", "trusted-ca-store", "listcacerts", "truststore", "system", program="ncs")
    assert listed == other
    assert "alias=example" in listed.out
    assert troth("key", "deletecacert", "example", program="ncs").out == "deleted example\n"
    assert troth("key", "deletecacert", "example", program="ncs").code == 1
