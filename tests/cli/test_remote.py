"""`troth --server`: the commands on a real node, over TLS, and what an impostor gets."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Done
from tests.cli.test_contract import conforms
from tests.node.nodes import TestNode, a_node
from tests.servers import wait_until
from tests.simulators import recorder
from tests.simulators.ise import IseSimulator
from tests.simulators.recorder import Recorder, Visit
from troth.cli import main as cli
from troth.cli.remote import LOCAL, client, node, trust
from troth.cli.remote.client import part, server_of
from troth.cli.remote.table import ROWS
from troth.demo.host import Host
from troth.errors import BadInput, ProtocolViolation, TimedOut
from troth.store import open_store

PASSWORD = "a pass phrase that nobody guesses"
OTHER = "sha256:" + "ab" * 32


@dataclass
class Afar:
    """A person on another machine: a trust store and a token of their own."""

    home: Path
    url: str
    token_file: Path
    extra: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str, code: int | None = 0, stdin: str = "") -> Done:
        """Run a command on the server."""
        return self.plain("--server", self.url, *words, code=code, stdin=stdin)

    def plain(self, *words: str, code: int | None = 0, stdin: str = "") -> Done:
        """Run a command on this machine."""
        done = subprocess.run(
            [sys.executable, "-m", "troth", *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={
                **os.environ,
                "TROTH_HOME": str(self.home),
                "TROTH_TOKEN_FILE": str(self.token_file),
                "NO_COLOR": "1",
                **self.extra,
            },
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def there() -> Iterator[TestNode]:
    """A node that runs, and may connect to this machine."""
    with a_node() as made:
        made.extra["TROTH_TEST_CHEAP_PASSWORDS"] = "only-in-tests"
        made.init()
        settings = made.home / "troth.toml"
        text = settings.read_text()
        assert "allowed = []" in text
        settings.write_text(text.replace("allowed = []", 'allowed = ["127.0.0.1/32"]'))
        made.start()
        yield made


def url(there: TestNode) -> str:
    """Give the node's address."""
    return f"https://127.0.0.1:{there.part('application')['facts']['port']}"


def secret(there: TestNode, folder: Path, role: str) -> Path:
    """Make a token on the node, and put it into a file."""
    path = folder / f"{role}.token"
    path.write_text(there.run("user", "token", "admin", "--label", "test", "--role", role))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def afar(there: TestNode, tmp_path_factory: pytest.TempPathFactory) -> Afar:
    """An administrator elsewhere, who trusts the node already."""
    folder = tmp_path_factory.mktemp("afar")
    made = Afar(folder / "home", url(there), secret(there, folder, "administrator"))
    made("status")
    return made


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A real TLS server."""
    (tmp_path / "host").mkdir()
    made = Host("ise-1", tmp_path / "host")
    yield made
    made.close()


def at(host: Host) -> str:
    """Name a host."""
    return f"127.0.0.1:{host.port}"


# The server's certificate


def test_the_server_is_trusted_on_first_use_and_says_so_once(there: TestNode, afar: Afar, tmp_path: Path) -> None:
    """The fingerprint that is shown is the node's own; at the second call nothing is shown."""
    new = Afar(tmp_path / "home", afar.url, afar.token_file)
    first, again = new("status", "--json"), new("status", "--json")
    assert f"first-use  {afar.url[8:]}  {there.status()['certificate']['fingerprint']}" in first.err
    assert again.err == ""
    entries = new.plain("list", "--json").document["entries"]
    assert [each["endpoint"] for each in entries] == [afar.url[8:]]


def test_an_impostor_gets_no_byte_of_the_token(afar: Afar, tmp_path: Path) -> None:
    """Another certificate than the one on record ends inside the handshake: exit code 3, and nothing was sent."""
    (tmp_path / "impostor").mkdir()
    server = Recorder(tmp_path / "impostor", ask=False)
    try:
        victim = Afar(tmp_path / "home", f"https://127.0.0.1:{server.port}", afar.token_file)
        victim("status", code=5)  # it is no node, but it was trusted: so the token came
        token = afar.token_file.read_text().strip().encode()
        assert any(token in each.received for each in server.settled())
        server.change()
        seen = len(server.visits)
        done = victim("user", "list", "--json", code=3)
        problem = json.loads(done.err)
        assert problem["code"] == "TROTH-301"
        assert problem["next_command"].startswith(f"troth replace 127.0.0.1:{server.port} --expect")
        visits = server.settled(seen)
        assert visits
        assert {each.received + each.plain for each in visits} == {b""}
    finally:
        server.close()


def test_no_redirect_is_followed(afar: Afar, tmp_path: Path) -> None:
    """A server that is trusted cannot send the token elsewhere."""
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    server, other = Recorder(tmp_path / "one", ask=False), Recorder(tmp_path / "other", ask=False)
    try:
        server.location = f"https://127.0.0.1:{other.port}/"
        user = Afar(tmp_path / "home", f"https://127.0.0.1:{server.port}", afar.token_file)
        done = user("list", code=5)
        assert "redirect" in done.err
        assert other.visits == []
    finally:
        server.close()
        other.close()


def test_the_changed_certificate_of_a_node_is_rejected_and_can_be_accepted(afar: Afar, tmp_path: Path) -> None:
    """A node with another identity is refused with the usual text; what the text says then mends it."""
    with a_node(name="m") as made:
        made.extra["TROTH_TEST_CHEAP_PASSWORDS"] = "only-in-tests"
        made.init()
        made.start()
        user = Afar(tmp_path / "home", url(made), secret(made, tmp_path, "viewer"))
        user("list")
        old = made.status()["certificate"]["fingerprint"]
        made.run("key", "generate")
        made.run("key", "activate")
        wait_until(lambda: user("list", code=None).code == 3, "the node's other certificate")
        refused = user("list", code=3)
        assert "another certificate than the one on record [changed]" in refused.err or "TROTH-301" in refused.err
        assert old in refused.err
        user.extra["TROTH_SERVER"] = user.url
        said = user.plain("list", code=3).err
        assert f"next: TROTH_SERVER= troth replace {user.url[8:]}" in said
        new = json.loads(made.run("key", "show", "--json"))
        text = json.dumps(new)
        presented = next(word for word in refused.err.split() if word.startswith("sha256:") and word.strip(";,") != old)
        assert presented.strip(";,") in text
        user.plain("replace", user.url[8:], "--expect", presented.strip(";,"), "--server", "")
        user.plain("list")


# Who may


def test_a_wrong_token_and_one_that_may_too_little_end_with_6(there: TestNode, afar: Afar, tmp_path: Path) -> None:
    """The server's refusals have its codes; without a token nobody is asked at all."""
    wrong = tmp_path / "wrong"
    wrong.write_text("troth_" + "a" * 40)
    wrong.chmod(0o600)
    done = Afar(afar.home, afar.url, wrong)("list", "--json", code=6)
    assert json.loads(done.err)["code"] == "TROTH-610"
    viewer = Afar(afar.home, afar.url, secret(there, tmp_path, "viewer"))
    viewer("list")
    assert "TROTH-611" in viewer("policy", "set", "pubnet", "strict", code=6).err
    nobody = Afar(afar.home, afar.url, afar.token_file, {"TROTH_TOKEN_FILE": ""})
    assert "There is no API token" in nobody("list", code=6).err
    assert "holds no API token" in afar("list", "--token-file", str(there.home / "troth.toml"), code=2).err


# Same words, same documents


def same(there: TestNode, afar: Afar, *words: str, code: int = 0) -> Any:
    """Run a question on the node and from afar; both must say the same, as a document and in words."""
    local = json.loads(there.run(*words, "--json", code=code))
    done = afar(*words, "--json", code=code)
    assert done.document == local
    assert done.err == ""
    assert afar(*words, code=code).out == there.run(*words, code=code)
    return local


def test_trust_from_afar(there: TestNode, afar: Afar, host: Host) -> None:
    """Every command about one endpoint, on the node's record; what is asked is answered as on the node."""
    where, first = at(host), str(host.view.fingerprint)
    result = conforms(afar("check", where, "--json").document)["results"][0]  # type: ignore[index]
    assert (result["verdict"], result["presented"]["fingerprint"]) == ("first-use", first)
    assert afar("check", where).out.startswith(f"match  {where}  {first}")
    same(there, afar, "list")
    same(there, afar, "show", where)
    assert afar("show", where, "--pem").out == there.run("show", where, "--pem")
    changed = host.new_certificate()
    done = afar("check", where, "--json", code=3)
    refused = conforms(done.document)["results"][0]  # type: ignore[index]
    assert refused["verdict"] == "changed"
    problem = json.loads(done.err)
    assert (problem["code"], problem["exit_code"]) == ("TROTH-301", 3)
    assert problem["next_command"].startswith(f"troth replace --server {afar.url} {where} --expect")
    assert "presented another certificate than the one on record" in afar("check", where, code=3).err
    same(there, afar, "show", where)
    assert "did not present the expected" in afar("replace", where, "--expect", OTHER, code=3).err
    done = afar("replace", where, "--expect", str(changed.fingerprint))
    assert done.out == f"replaced  {where}  {changed.fingerprint}\n"
    afar("announce", where, "--next", OTHER)
    assert afar("announce", where, "--withdraw", OTHER).out == f"withdrawn  {where}  {OTHER}\n"
    afar("pin", where, "--expect", OTHER, "--kind", "key")
    same(there, afar, "history", where)
    same(there, afar, "history", OTHER)
    assert "waits in quarantine" in afar("delete", where).err
    same(there, afar, "list", "--all")
    afar("check", where, code=4)
    same(there, afar, "list")
    assert afar("approve", where, "--expect", str(changed.fingerprint)).out.startswith(f"approved  {where}")
    revoked = afar("revoke", OTHER, "--reason", "found in the street", "--json").document
    assert revoked["revoked"] == [OTHER]
    assert same(there, afar, "list", "--revoked")["revoked"][-1]["reason"] == "found in the street"
    assert "revoked  " in afar("revoke", where).out
    afar("check", where, code=3)


def test_a_file_of_this_machine_is_read_here(there: TestNode, afar: Afar, host: Host, tmp_path: Path) -> None:
    """A certificate, an import and an export are files of the machine where the command was typed."""
    pem = tmp_path / "host.pem"
    pem.write_text(host.view.pem)
    assert str(host.view.fingerprint) in afar("pin", at(host), "--pem", str(pem)).out
    assert afar("pin", at(host), "--pem", "-", stdin=host.view.pem).code == 0
    target = tmp_path / "trust.toml"
    afar("export", "--output", str(target))
    assert target.read_text() == there.run("export")
    assert target.stat().st_mode & 0o777 == 0o600
    for form in ("json", "listcerts"):
        assert afar("export", "--format", form).out == there.run("export", "--format", form)
    document = afar("import", str(target), "--json").document
    assert conforms(document) == json.loads(there.run("import", str(target), "--json"))
    assert afar("import", str(target)).out == there.run("import", str(target))


def test_policies_and_the_journal_from_afar(there: TestNode, afar: Afar, host: Host) -> None:
    """Policies are set and shown, and the journal is verified, read and searched."""
    where = at(host)
    afar("check", where)
    assert afar("policy", "set", "user", "strict", "--json").document["mode"] == "strict"
    assert afar("policy", "set", "user", "default").out == there.run("policy", "set", "user", "default")
    assert afar("policy", "set", where, "--pin", "key").out == there.run("policy", "set", where, "--pin", "key")
    same(there, afar, "policy", "show")
    same(there, afar, "policy", "show", "user")
    same(there, afar, "policy", "show", where)
    same(there, afar, "history", "user")
    local, done = there.run("journal", "verify", "--json"), afar("journal", "verify", "--json")
    assert done.document == json.loads(local)
    assert afar("journal", "verify").out.startswith("intact  ")
    assert afar("journal", "export").out == there.run("journal", "export")
    for words in (("system2", "strict"), ("alice", "strict"), (where, "default"), (where, "--domain", "user")):
        afar("policy", "set", *words, code=2)


def test_users_and_tokens_from_afar(there: TestNode, afar: Afar) -> None:
    """Users are added, changed and removed; a password is read from a file or from standard input, never an argument."""
    assert afar("user", "add", "bob", "--password-file", "-", stdin=PASSWORD).out == "added  bob, viewer\n"
    assert afar("user", "role", "bob", "operator").out == "set  bob, operator\n"
    for action in ("disable", "enable"):
        assert afar("user", action, "bob").out == f"{action}d  bob\n"
    assert "password set  bob" in afar("user", "passwd", "bob", "--password-file", "-", stdin=PASSWORD + "!").out
    assert afar("user", "totp", "bob", "--off", code=None).code in (0, 1)
    afar("user", "totp", "bob", code=2)
    same(there, afar, "user", "list")
    made = conforms(afar("user", "token", "bob", "--label", "x", "--json").document)
    assert str(made["token"]).startswith("troth_")
    assert afar("user", "token", "bob", "--label", "y").out.startswith("troth_")
    local = json.loads(there.run("user", "tokens", "bob", "--json"))
    assert afar("user", "tokens", "bob", "--json").document == local
    assert afar("user", "tokens", "bob").out == there.run("user", "tokens", "bob")
    assert afar("user", "revoke-token", str(made["number"])).out == f"revoked  token {made['number']}\n"
    weak = afar("user", "add", "eve", "--password-file", "-", "--json", stdin="short", code=2)
    assert json.loads(weak.err)["code"] == "TROTH-613"
    assert afar("user", "delete", "bob").out == "deleted  bob\n"
    afar("user", "delete", "bob", code=1)


def test_events_and_silences_from_afar(there: TestNode, afar: Afar, host: Host) -> None:
    """Silences are set, listed and ended; events are listed."""
    done = conforms(afar("silence", "add", "*.lab.example.com", "--for", "8h", "--why", "tonight", "--json").document)
    number = done["silences"][0]["id"]  # type: ignore[index]
    same(there, afar, "silence", "list")
    assert afar("silence", "remove", str(number)).out.startswith(f"ended  silence {number}: all events at *.lab")
    same(there, afar, "silence", "list", "--all")
    same(there, afar, "events", "list", "--since", "24h", "--kind", "changed")
    same(there, afar, "status")
    afar("events", "--kind", "odd", code=2)
    afar("silence", "remove", "999999", code=1)


def test_ise_servers_from_afar(there: TestNode, afar: Afar, tmp_path: Path) -> None:
    """A server is added with a password of this machine's, asked, and removed; what it lacks is said with its code."""
    (tmp_path / "ise").mkdir()
    ise = IseSimulator(tmp_path / "ise")
    try:
        ise.add_user("monitor", PASSWORD, "MnT Admin")
        where = f"127.0.0.1:{ise.port}"
        words = ("ise", "add", where, "--user", "monitor", "--password-file", "-")
        assert afar(*words, "--json", stdin="wrong", code=6).out == ""
        assert afar(*words, stdin=PASSWORD).out.startswith(f"reachable  primary  {where}")
        wait_until(lambda: afar("ise", "list").out == there.run("ise", "list"), "the same list")
        conforms(afar("ise", "test", "--json").document)
        ise.users.clear()
        assert afar("ise", "test", "primary", code=6).out.startswith("credentials-refused  primary")
        assert afar("ise", "remove", "primary").out == f"removed  {where}\n"
        afar("ise", "test", code=1)
    finally:
        ise.close()


def test_the_worst_of_several_hosts_is_the_exit_code(afar: Afar, host: Host) -> None:
    """One that cannot be reached does not hide one that is rejected."""
    afar("check", at(host))
    host.new_certificate()
    done = afar("check", "127.0.0.1:1", at(host), "--json", code=3)
    assert [each["verdict"] for each in done.document["results"]] == [None, "changed"]
    assert afar("check", "127.0.0.1:1", code=5).err.count("error:") == 1


# Where it goes, and what cannot go there


def test_the_server_may_stand_before_and_after_the_command_and_in_the_environment(afar: Afar) -> None:
    """All three say the same; an empty one takes the environment's away."""
    wanted = afar("list", "--json").out
    assert afar.plain("list", "--json", "--server", afar.url).out == wanted
    assert afar.plain(f"--server={afar.url}", f"--token-file={afar.token_file}", "list", "--json").out == wanted
    named = Afar(afar.home, afar.url, afar.token_file, {"TROTH_SERVER": afar.url})
    assert named.plain("list", "--json").out == wanted
    here = named.plain("list", "--json", "--server", "").document["entries"]
    assert [each["endpoint"] for each in here] == [afar.url[8:]]
    assert "_troth" in named.plain("completion", "bash").out


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_a_command_without_an_operation_says_so(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is mapped, or is refused before anything is read or sent."""
    monkeypatch.setenv("TROTH_HOME", str(tmp_path / "home"))
    from argparse import Namespace

    from troth.cli import remote

    if name in trust.WORKS or name in node.WORKS or name in LOCAL:
        return
    with pytest.raises(BadInput, match="cannot be run on a server"):
        remote.run(name, Namespace(remote="https://127.0.0.1:1", token_file=None))


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--hints"),
        ("show", "h:1", "--pem", "--rejected"),
        ("check", "h:1", "--proxy", "http://p:1"),
        ("journal", "accept"),
        ("key", "show"),
    ],
)
def test_what_cannot_be_done_from_afar_is_not_left_out_in_silence(afar: Afar, words: tuple[str, ...]) -> None:
    """An option without a word in the API is refused, and nothing is done without it."""
    assert afar(*words, code=2).out == ""


def test_a_server_that_is_not_there_is_5(afar: Afar) -> None:
    """Nobody listens."""
    gone = Afar(afar.home, "https://127.0.0.1:1", afar.token_file)
    assert json.loads(gone("list", "--json", code=5).err)["code"] == "TROTH-501"


@pytest.mark.parametrize(
    "text", ["http://h:1", "https://h:1/api", "https://u:p@h:1", "ftp://h", "https://", "", "h?x", "https://h/#"]
)
def test_an_address_is_a_host_and_a_port_and_nothing_more(text: str) -> None:
    """No path, no user, no other scheme; and what stands in it is not repeated."""
    with pytest.raises(BadInput) as caught:
        server_of(text)
    assert "u:p" not in str(caught.value)


def test_the_address_of_a_server() -> None:
    """Https is the scheme, and its port is 443."""
    assert str(server_of("https://Node.example.com")) == "node.example.com:443"
    assert str(server_of("HTTPS://[2001:db8::1]:8443/")) == "[2001:db8::1]:8443"


def test_an_answer_that_drips_or_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for the whole answer, not for each read; and there is one for its size."""

    def drip(tls: ssl.SSLSocket, visit: Visit, server: Recorder) -> None:
        tls.recv(4096)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not visit.over.wait(0.05):
            tls.sendall(b" ")

    monkeypatch.setitem(recorder.INSIDE, "drip", drip)
    server = Recorder(tmp_path, protocol="drip", ask=False)
    try:
        with open_store(tmp_path / "home" / "trust.db") as store:
            endpoint = server_of(f"https://127.0.0.1:{server.port}")
            monkeypatch.setattr(client, "ANSWER_S", 1.0)
            with client.Client(store, endpoint, "troth_x") as made, pytest.raises(TimedOut):
                made.json(client.Ask(method="GET", path="/status"))
            monkeypatch.setattr(client, "ANSWER_S", 60.0)
            monkeypatch.setattr(client, "MAX_ANSWER", 3)
            with client.Client(store, endpoint, "troth_x") as made, pytest.raises(ProtocolViolation, match="larger"):
                made.json(client.Ask(method="GET", path="/status"))
    finally:
        server.close()


def test_a_part_of_a_path_begins_no_other() -> None:
    """Whatever somebody calls a host, it stays one part of the path."""
    assert part("../users/x?y#z") == "..%2Fusers%2Fx%3Fy%23z"


def test_every_row_is_an_operation_of_the_api() -> None:
    """Each row's method and path are in the API, and all that it sends is known there."""
    import re

    from troth.server.api import OPERATIONS

    def shape(path: str) -> str:
        return re.sub(r"\{\w+\}", "{}", path)

    known = {(each.method, shape(each.path)): each for each in OPERATIONS}
    for name, row in ROWS.items():
        operation = known[row.method, shape(row.path)]
        asked = set(getattr(operation.query, "__struct_fields__", ()))
        assert set(row.query) <= asked, name
        assert set(row.body or {}) <= set(getattr(operation.body, "__struct_fields__", ())), name
        assert (row.body is None) == (operation.body is None), name
