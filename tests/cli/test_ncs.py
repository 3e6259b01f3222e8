"""`ncs`: the incumbent's words, its output byte for byte, and one clear message for every word that is not its own."""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.model.making import common_name, name, simple, view
from troth.cli import ncs
from troth.cli.main import main as troth_main
from troth.formats import load_listcerts
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Policy
from troth.store import authorities, open_store
from troth.store.sqlite import SqliteStore
from troth.trust.verdict import Presented, Verdict

CERT = ("certvalidation", "tofu-certs")
CA = ("certvalidation", "trusted-ca-store")
OCSP = ("certvalidation", "custom-ocsp-responder")
LIST = (*CERT, "listcerts")
DELETE = (*CERT, "deletecert", "host")
CHECK = ("certvalidation", "certificate-check")
STORES = ("devicemgmt", "pubnet", "system", "user")
BANNER = (
    "Host certificate are automatically added to this list on first connection,\n"
    "if trust-on-first-use is configured - ncs certvalidation certificate-check ...\n"
)
ONE, TWO = (CertificateView.from_der(simple(each)) for each in ("one", "two"))


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own."""
    monkeypatch.setenv("TROTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path / "home"


Run = Callable[..., Said]


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one line of `ncs` in this process; the tests of bytes and exit codes below run processes."""

    def one(*words: str, program: Callable[[list[str]], int] = ncs.main) -> Said:
        capsys.readouterr()
        code = program(list(words))
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return one


def meet(home: Path, *hosts: tuple[str, CertificateView], **more: object) -> None:
    """Let hosts present certificates to the store of a home."""
    with open_store(home / "trust.db") as opened:
        for where, presented in hosts:
            opened.judge(Endpoint.parse(where), Presented(leaf=presented), **more)  # type: ignore[arg-type]  # handed on


def in_store(home: Path, look: Callable[[SqliteStore], object]) -> object:
    """Look into the store of a home."""
    with open_store(home / "trust.db") as opened:
        return look(opened)


def subject(common: str) -> CertificateView:
    """Make a certificate with the incumbent's usual subject."""
    parts = (
        ("2.5.4.6", "US"),
        ("2.5.4.8", "CA"),
        ("2.5.4.7", "SJ"),
        ("2.5.4.10", "Example Systems"),
        ("2.5.4.11", "Prime Infra"),
        ("2.5.4.3", common),
    )
    return view(subject=name(*[(kind, 0x13, text.encode()) for kind, text in parts]))


def dump(home: Path) -> list[str]:
    """Give everything that a store holds."""
    connection = sqlite3.connect(f"file:{home / 'trust.db'}?mode=ro", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def refused(said: Said, code: int = 2) -> None:
    """Hold a refusal against the rules: one error, in printable lines, with what comes next, and nothing on standard output."""
    assert said.code == code, said
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0].startswith("error: ")
    assert sum(line.startswith("error:") for line in lines) == 1
    assert "TROTH-100]" not in lines[0], "nobody foresaw this"
    assert all(line.isprintable() and len(line) < 600 for line in lines)
    assert len(lines) <= 3


# listcerts


def test_the_list_is_the_incumbents_byte_for_byte(troth: Command) -> None:
    """facts.md 1.1: the two banner lines, `host=KEY;` and two spaces, `subject= ` and the slash form, for a whole process."""
    meet(
        troth.home,
        ("192.0.2.10:8082", subject("prime-pri")),
        ("192.0.2.30", subject("ISE-server")),
        ("192.0.2.20:8082", subject("prime-sec")),
    )
    done = troth(*LIST, program="ncs")
    about = "subject= /C=US/ST=CA/L=SJ/O=Example Systems/OU=Prime Infra/CN="
    assert done.out == (
        f"{BANNER}host=192.0.2.10_8082;  {about}prime-pri\n"
        f"host=192.0.2.20_8082;  {about}prime-sec\n"
        f"host=192.0.2.30_443;  {about}ISE-server\n"
    )
    assert (done.code, done.err) == (0, "")


def test_an_empty_list_is_the_banner_alone(troth: Command) -> None:
    """Where nothing was trusted yet, the incumbent prints its banner and no host."""
    assert (troth(*LIST, program="ncs").out, troth(*LIST, program="ncs").code) == (BANNER, 0)


def test_every_kind_of_host_has_its_line(home: Path, run: Run) -> None:
    """IPv6, names with underscores, a certificate without subject, letters beyond ASCII: one line each, and the key can be deleted."""
    hosts = {
        "2001:db8::1_443": ("[2001:db8::1]:443", subject("v6"), "CN=v6"),
        "a_b.example_8082": ("a_b.example:8082", view(subject=common_name("Société")), r"/CN=Soci\xC3\xA9t\xC3\xA9"),
        "empty_443": ("empty", view(subject=name()), ""),
        "kong-1_443": ("kong-1", view(subject=common_name("kong")), "/CN=kong"),
        "kong-2_443": ("kong-2", view(subject=common_name("kong"), serial=b"\x02\x01\x07"), "/CN=kong"),
        "slash_443": ("slash", view(subject=common_name("A/B+C")), r"/CN=A\/B\+C"),
        "xn--bcher-kva.example_443": ("bücher.example", view(subject=common_name("b")), "/CN=b"),
    }
    meet(home, *[(where, leaf) for where, leaf, _ in hosts.values()])
    lines = run(*LIST).out.removeprefix(BANNER).splitlines()
    assert [line.partition(";")[0] for line in lines] == [f"host={key}" for key in hosts]
    for line, (_, _, end) in zip(lines, hosts.values(), strict=True):
        assert line.partition(";  subject= ")[2].endswith(end)
    for key in hosts:
        assert run(*DELETE, key).out == f"deleted {key}\n"
    assert run(*LIST).out == BANNER


def test_only_what_is_trusted_is_listed(home: Path, run: Run) -> None:
    """Deleted hosts, hosts that wait, and hosts of which there are only settings are not in the list."""
    meet(home, ("gone", ONE), ("here", TWO))
    run(*DELETE, "gone_443")
    meet(home, ("gone", ONE))
    run("policy", "set", "later", "strict", program=troth_main)
    run("policy", "set", "devicemgmt", "strict", program=troth_main)
    meet(home, ("waits", ONE), domain="devicemgmt")
    assert run(*LIST).out == f"{BANNER}host=here_443;  subject= /CN=two\n"


HOSTILE = [
    "x\nhost=192.0.2.66_443;  subject= /CN=trusted",
    "\x1b[2J",
    "a\0b",
    "\u202eevil",
    "a|b",
    "\r\rhost=z_1;  subject= /CN=q",
    "y" * 9000,
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("option", [(), ("--fingerprints",)])
def test_a_hostile_subject_forges_no_line(home: Path, run: Run, hostile: str, option: tuple[str, ...]) -> None:
    """Threat 20: whatever a certificate calls itself, it has one line, and the list is read back as one host."""
    meet(home, ("evil", view(subject=common_name(hostile))), ("good", ONE))
    out = run(*LIST, *option).out
    assert all(line.isprintable() for line in out.splitlines())
    assert len(out.splitlines()) == 4
    if not option:
        assert [str(hint.endpoint) for hint in load_listcerts(out).hints] == ["evil:443", "good:443"]


def test_fingerprints_are_added_where_they_are_asked_for(home: Path, run: Run) -> None:
    """--fingerprints gives the incumbent's lines, each with the fingerprint, kind and domain that it never showed."""
    meet(home, ("one", ONE))
    meet(home, ("two", TWO), domain="pubnet")
    run("policy", "set", "two", "--pin", "key", program=troth_main)
    assert run(*LIST, "--fingerprints").out == (
        f"{BANNER}host=one_443;  subject= /CN=one;  fingerprint= {ONE.fingerprint}  pin= certificate  domain= system\n"
        f"host=two_443;  subject= /CN=two;  fingerprint= {TWO.spki}  pin= key  domain= pubnet\n"
    )


def test_a_renewal_with_the_same_subject_is_seen_with_fingerprints(home: Path, run: Run) -> None:
    """facts.md 1.1: the plain list stays byte for byte the same after a renewal, and proves nothing; --fingerprints tells."""
    meet(home, ("ise", view(subject=common_name("kong"))))
    before = run(*LIST).out, run(*LIST, "--fingerprints").out
    run(*DELETE, "ise_443", "--next", str(view(subject=common_name("kong"), serial=b"\x02\x01\x09").fingerprint))
    meet(home, ("ise", view(subject=common_name("kong"), serial=b"\x02\x01\x09")))
    assert run(*LIST).out == before[0]
    assert run(*LIST, "--fingerprints").out != before[1]


def test_the_json_list_is_that_of_troth(home: Path, run: Run) -> None:
    """--json gives the very document of `troth list --json`."""
    meet(home, ("one", ONE), ("[2001:db8::1]:8082", TWO))
    said = run(*LIST, "--json")
    assert json.loads(said.out)["schema"].startswith("troth.list/")
    assert said.out == run("list", "--json", program=troth_main).out


# The grammar: every command in full, and every way to get it wrong

GOOD: tuple[tuple[str, ...], ...] = (
    LIST,
    (*DELETE, "192.0.2.20_8082"),
    *((*CHECK, mode, store) for mode, store in itertools.product(("disable", "trust-on-first-use", "enable"), STORES)),
    *((*CA, "importcacert", "alias", "root", "repository", "defaultRepo", "ca.pem", "truststore", store) for store in STORES),
    *((*CA, "listcacerts", "truststore", store) for store in STORES),
    *((*CA, "deletecacert", "alias", "root", "truststore", store) for store in STORES),
    *((*CA, "auto-ca-update", word, "truststore", store) for word, store in itertools.product(("enable", "disable"), STORES)),
    (*OCSP, "enable"),
    (*OCSP, "disable"),
    *((*OCSP, "set", slot, "http://ocsp.example.com") for slot in ("url1", "url2")),
    *((*OCSP, "clear", slot) for slot in ("url1", "url2")),
    ("key", "genkey", "-newdn", "-csr", "node.csr", "repository", "defaultRepo"),
    ("key", "importsignedcert", "ca.pem", "repository", "defaultRepo"),
    ("key", "importkey", "node.key", "ca.pem", "repository", "defaultRepo"),
    ("key", "importcacert", "root", "ca.pem", "repository", "defaultRepo"),
    ("key", "listcacerts"),
    ("key", "deletecacert", "root"),
    ("status",),
    ("start",),
    ("stop",),
)  # fmt: skip
# The words that the caller chooses: anything may stand there as far as the grammar goes.
FREE = {"192.0.2.20_8082", "root", "defaultRepo", "ca.pem", "http://ocsp.example.com", "node.csr", "node.key"}


def test_the_grammar_is_complete() -> None:
    """Each line of the grammar is met by a command below, and each command by exactly one line."""
    met = [sum(ncs._bind(pattern, list(words)) is not None for pattern, _, _ in ncs.GRAMMAR) for words in GOOD]
    assert met == [1] * len(GOOD)
    assert all(any(ncs._bind(pattern, list(words)) is not None for words in GOOD) for pattern, _, _ in ncs.GRAMMAR)


def wrong_lines() -> list[tuple[str, ...]]:
    """Give every command cut short at each word, with each word replaced, dropped, doubled or in other case, and with one too many."""
    found: dict[tuple[str, ...], None] = {}
    for words in GOOD:
        for at in range(len(words)):
            found[words[:at]] = None
            found[words[:at] + words[at + 1 :]] = None
            found[words[: at + 1] + words[at:]] = None
            found[(*words[:at], "", *words[at + 1 :])] = None
            if words[at] not in FREE:
                for bad in (
                    words[at].upper(),
                    words[at][:-1],
                    words[at] + "x",
                    "all",
                    " ",
                    "*",
                    "\x1b[31m",
                    "\u202e",
                    "a\nb",
                    "<alias>",
                ):
                    found[(*words[:at], bad, *words[at + 1 :])] = None
        found[(*words, "now")] = None
        found[(*words, "")] = None
    return [words for words in found if words and words not in GOOD]


def test_every_wrong_line_is_refused_and_touches_nothing(home: Path, run: Run) -> None:
    """Each missing, wrong, doubled or superfluous word exits 2 with one message; no store is made or opened for it."""
    lines = wrong_lines()
    assert len(lines) > 500
    for words in lines:
        said = run(*words)
        refused(said)
        assert "next: " in said.err, words
    assert not home.exists()


@pytest.mark.parametrize("words", GOOD, ids=" ".join)
def test_every_part_of_a_command_is_told_what_is_missing(words: tuple[str, ...], run: Run) -> None:
    """A command that stops early is told what may follow, and a ? lists the same words, the right one among them."""
    for at in range(len(words)):
        listed = run(*words[:at], "?")
        assert (listed.code, listed.err) == (0, "")
        offered = {line.strip() for line in listed.out.splitlines()}
        assert words[at] in offered or any(each.startswith("<") for each in offered), (words[:at], offered)
        if at:
            said = run(*words[:at])
            refused(said)
            assert "not complete" in said.err
            assert set(said.err.partition("what may follow: ")[2].splitlines()[0].split(", ")) == offered
    assert run(*words, "?").out == "  <enter>\n"


def test_the_wrong_word_is_the_one_that_is_named(run: Run) -> None:
    """The message names the first word that cannot stand, what could, and how to ask."""
    said = run("certvalidation", "tofu-certs", "listcert")
    assert said.err == (
        "error: 'listcert' cannot stand after 'ncs certvalidation tofu-certs'. [TROTH-200]\n"
        "  why:  what may: listcerts, deletecert\n"
        "  next: ncs certvalidation tofu-certs ?\n"
    )


def test_help_is_help_and_nothing_is_a_mistake(run: Run) -> None:
    """--help exits 0 with every command in it; no word at all prints the same and exits 2."""
    said = run("--help")
    assert (said.code, said.err) == (0, "")
    for words in (LIST, CHECK, (*CA, "importcacert"), (*OCSP, "clear")):
        assert "ncs " + " ".join(words) in said.out
    assert (run().code, run().out) == (2, said.out)
    assert run("-h").out == run("help").out == said.out


@pytest.mark.parametrize(
    "words",
    [
        (*LIST, "--next", "x"),
        (*LIST, "--starttls", "smtp"),
        (*LIST, "--all"),
        (*LIST, "--fingerprint"),
        (*LIST, "-f"),
        (*DELETE, "a_443", "--fingerprints"),
        (*DELETE, "a_443", "--next"),
        (*DELETE, "a_443", "--next="),
        (*DELETE, "a_443", "--next", "sha256:12"),
        (*DELETE, "a_443", "--starttls"),
        (*DELETE, "a_443", "--starttls", "ssh"),
        (*DELETE, "a_443", "--starttls", "\x1b[2J"),
        (*CHECK, "disable", "user", "--force"),
        ("--json",),
        ("--next", "x"),
        (*CERT, "deletecert", "host", "--next", "a_443"),
    ],
)
def test_an_option_out_of_place_is_refused(home: Path, run: Run, words: tuple[str, ...]) -> None:
    """An option that is unknown, without its value, or of another command exits 2 and changes nothing."""
    meet(home, ("a", ONE))
    before = dump(home)
    said = run(*words)
    assert said.code == 2
    assert "TROTH-100" not in said.err
    assert all(line.isprintable() for line in said.err.splitlines())
    assert dump(home) == before


@pytest.mark.parametrize("option", ["--fingerprints=no", "--json=false"])
def test_a_value_for_an_option_that_takes_none_is_refused(home: Path, run: Run, option: str) -> None:
    """`--fingerprints=no` is not `--fingerprints`."""
    refused(run(*LIST, option))


# deletecert


def test_a_deleted_host_is_gone_from_the_list_and_waits(home: Path, run: Run) -> None:
    """Threat 36: deletecert forgets the host, says so, and the next certificate waits for approval instead of being trusted blindly."""
    meet(home, ("192.0.2.20:8082", ONE), ("other", TWO))
    said = run(*DELETE, "192.0.2.20_8082")
    assert (said.code, said.out) == (0, "deleted 192.0.2.20_8082\n")
    assert "troth approve 192.0.2.20:8082 --expect FINGERPRINT" in said.err
    assert run(*LIST).out == f"{BANNER}host=other_443;  subject= /CN=two\n"
    decide = lambda opened: opened.judge(Endpoint("192.0.2.20", 8082), Presented(leaf=ONE)).verdict  # noqa: E731  # asked twice
    assert in_store(home, decide) is Verdict.UNAPPROVED


@pytest.mark.parametrize("notation", ["{}", "{upper}"])
def test_a_deletion_that_names_the_next_trusts_it_alone(home: Path, run: Run, notation: str) -> None:
    """With --next, that certificate is trusted without approval, and no other."""
    meet(home, ("h", ONE))
    said = run(*DELETE, "h_443", "--next", notation.format(TWO.fingerprint, upper=TWO.fingerprint.digest.hex().upper()))
    assert said.code == 0
    assert f"only {TWO.fingerprint} is trusted" in said.err
    where = Endpoint("h", 443)
    judge = lambda leaf: in_store(home, lambda opened: opened.judge(where, Presented(leaf=leaf)).verdict)  # noqa: E731  # asked twice
    assert judge(CertificateView.from_der(simple("three"))) is Verdict.UNAPPROVED
    assert judge(TWO) is Verdict.PROMOTED


def test_what_is_not_there_cannot_be_deleted(home: Path, run: Run) -> None:
    """An unknown key exits 1, names what is near to it, and changes nothing; so does a second deletion."""
    meet(home, ("192.0.2.20:8082", ONE))
    before = dump(home)
    said = run(*DELETE, "192.0.2.2_8082")
    refused(said, 1)
    assert "near to it: 192.0.2.20_8082" in said.err
    assert "listcerts" in said.err
    refused(run(*DELETE, "192.0.2.20_443"), 1)
    assert dump(home) == before
    assert run(*DELETE, "192.0.2.20_8082").code == 0
    before = dump(home)
    refused(run(*DELETE, "192.0.2.20_8082"), 1)
    assert dump(home) == before


@pytest.mark.parametrize(
    "key",
    [
        "192.0.2.20", "192.0.2.20:8082", "192.0.2.20_", "_8082", "192.0.2.20_x", "192.0.2.20_80820000", "192.0.2.20_0", "192.0.2.20_-1",
        "192.0.2.20_65536", "192.0.2.20 8082", "192.0.2.20_8082 ", " _1", "192.0.2.20_8082\n", "a\nb_443", "\x1b[2J_443", "010.0.0.1_443",
        "user@192.0.2.20_8082", "../x_443", "*_443", "[2001:db8::1]:443", "x" * 700 + "_1", "faß_443",
    ],
)  # fmt: skip
def test_what_is_no_key_deletes_nothing(home: Path, run: Run, key: str) -> None:
    """A key that is none, or that would mean another host, exits 2 (or 1 where it only names nobody), and changes nothing."""
    meet(home, ("192.0.2.20:8082", ONE))
    before = dump(home)
    said = run(*DELETE, key)
    assert said.code in (1, 2)
    refused(said, said.code)
    assert dump(home) == before


def test_a_key_with_two_entries_is_asked_about(home: Path, run: Run) -> None:
    """Where a host and port has an entry for TLS and one for STARTTLS, neither is deleted unless it is named."""
    with open_store(home / "trust.db") as opened:
        opened.judge(Endpoint("mail", 25), Presented(leaf=ONE))
        opened.judge(Endpoint("mail", 25, "smtp"), Presented(leaf=TWO))
    before = dump(home)
    refused(run(*DELETE, "mail_25"))
    assert dump(home) == before
    assert run(*DELETE, "mail_25", "--starttls", "smtp").code == 0
    assert run(*LIST).out == f"{BANNER}host=mail_25;  subject= /CN=one\n"
    assert run(*DELETE, "mail_25", "--starttls=tls").code == 0


def test_a_revoked_certificate_is_no_successor(home: Path, run: Run) -> None:
    """Threat 27: --next cannot name what was revoked; nothing is deleted then."""
    meet(home, ("h", ONE))
    in_store(home, lambda opened: opened.revoke(TWO.fingerprint))
    before = dump(home)
    refused(run(*DELETE, "h_443", "--next", str(TWO.fingerprint)))
    assert dump(home) == before


# certificate-check


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("word", "mode"), [("disable", CheckMode.DISABLE), ("trust-on-first-use", CheckMode.TOFU), ("enable", CheckMode.CA)]
)
def test_a_check_mode_is_set_for_its_truststore_alone(
    home: Path, run: Run, word: str, mode: CheckMode, store: str
) -> None:
    """The incumbent's three words are Troth's modes; `enable` is `ca`; what else is set for the domain stays."""
    run("policy", "set", store, "strict", "--expired", "reject", program=troth_main)
    said = run(*CHECK, word, store)
    assert (said.code, said.out) == (0, f"certificate-check {word} for {store}\n")
    with open_store(home / "trust.db") as opened:
        assert opened.domain_policy(store).mode is mode
        assert opened.domain_policy(store).expired.value == "reject"
        assert all(opened.domain_policy(other) == Policy() for other in STORES if other != store)
    assert ("everybody in the middle is trusted" in said.err) is (word == "disable")
    assert ("trusts no CA yet" in said.err) is (word == "enable")


def test_a_truststore_with_a_ca_is_not_said_to_have_none(home: Path, run: Run) -> None:
    """The warning of `enable` is given only where every host would be rejected."""
    run(*CA, "auto-ca-update", "enable", "truststore", "pubnet")
    assert run(*CHECK, "enable", "pubnet").err == ""


# trusted-ca-store

IMPORT = (*CA, "importcacert", "alias", "root", "repository", "defaultRepo")


def place(home: Path, file: str, data: str | bytes) -> None:
    """Put a file into the default repository."""
    folder = home / "repositories" / "defaultRepo"
    folder.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)


ROOT = CertificateView.from_der(simple("root ca", ca=True, days=300))


def test_a_ca_is_imported_listed_and_deleted(home: Path, run: Run) -> None:
    """A CA comes from a file in a repository under an alias, is listed in its truststore alone, and goes by its alias."""
    place(home, "ca.pem", f"a comment\r\n{ROOT.pem}")
    assert run(*IMPORT, "ca.pem", "truststore", "system").out == f"imported root  {ROOT.fingerprint}  CN=root ca\n"
    assert ROOT.not_after is not None
    assert run(*CA, "listcacerts", "truststore", "system").out == (
        f"alias=root;  subject= /CN=root ca\n  {ROOT.fingerprint}  valid to {ROOT.not_after:%Y-%m-%dT%H:%M:%SZ}\n"
    )
    assert run(*CA, "listcacerts", "truststore", "user") == Said(0, "", "user trusts no CA\n")
    assert run(*IMPORT, "ca.pem", "truststore", "user").code == 0
    assert run(*CA, "deletecacert", "alias", "root", "truststore", "system").out == "deleted root\n"
    refused(run(*CA, "deletecacert", "alias", "root", "truststore", "system"), 1)
    assert run(*CA, "listcacerts", "truststore", "system").out == ""
    assert "root ca" in run(*CA, "listcacerts", "truststore", "user").out


def test_an_alias_names_one_ca(home: Path, run: Run) -> None:
    """Threat 28: an alias that is taken is not silently given to another CA."""
    place(home, "ca.pem", ROOT.pem)
    place(home, "other.pem", CertificateView.from_der(simple("other ca", ca=True)).pem)
    run(*IMPORT, "ca.pem", "truststore", "system")
    before = dump(home)
    said = run(*IMPORT, "other.pem", "truststore", "system")
    refused(said)
    assert "deletecacert alias root truststore system" in said.err
    assert dump(home) == before


def test_a_ca_outside_its_dates_is_imported_with_a_word(home: Path, run: Run) -> None:
    """An expired CA can be imported, and is said to vouch for nobody."""
    place(home, "ca.pem", CertificateView.from_der(simple("old ca", ca=True, days=-1)).pem)
    said = run(*IMPORT, "ca.pem", "truststore", "system")
    assert said.code == 0
    assert "vouches for nobody" in said.err


BAD_CAS: dict[str, str | bytes] = {
    "not a ca": ONE.pem,
    "empty": "",
    "no certificate": "hello\n",
    "damaged base64": ROOT.pem.replace(ROOT.pem[60], "!", 1),
    "damaged der": ROOT.pem.replace(ROOT.pem.splitlines()[1], "A" * 64),
    "cut": ROOT.pem[:-60],
    "der": ROOT.der,
    "two": ROOT.pem + CertificateView.from_der(simple("other ca", ca=True)).pem,
    "with its key": ROOT.pem + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "key alone": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    "a request": ROOT.pem.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
    "huge": ROOT.pem + "x" * (1 << 20),
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("case", BAD_CAS)
def test_a_file_that_holds_no_ca_is_refused(home: Path, run: Run, case: str) -> None:
    """A host's certificate, a damaged or cut file, DER, several certificates, a private key, a huge file: exit 2, and no CA is trusted."""
    meet(home, ("h", ONE))
    place(home, "ca.pem", BAD_CAS[case])
    before = dump(home)
    refused(run(*IMPORT, "ca.pem", "truststore", "system"))
    assert dump(home) == before


@pytest.mark.parametrize(
    "file",
    [
        "../trust.db",
        "..",
        ".",
        "/etc/ssl/cert.pem",
        "a/b.pem",
        "~/ca.pem",
        ".hidden",
        "a b",
        "\x1b[2J",
        "x" * 200,
        "-",
        "ca.pem\n",
    ],
)
def test_a_path_is_no_name_of_a_file(home: Path, run: Run, file: str) -> None:
    """CVE-2019-1821: nothing outside the repository's folder is read, whatever the name says."""
    place(home, "ca.pem", ROOT.pem)
    said = run(*IMPORT, file, "truststore", "system")
    assert said.code in (1, 2)
    refused(said, said.code)
    assert run(*CA, "listcacerts", "truststore", "system").out == ""


@pytest.mark.parametrize("repository", ["../..", "/", ".", "..", "a/b", "nowhere", "link", "\x1b[2J", "file"])
def test_a_path_is_no_name_of_a_repository(home: Path, run: Run, repository: str) -> None:
    """A repository is a real folder beside the store: no path, no link, no file."""
    place(home, "ca.pem", ROOT.pem)
    (home / "repositories" / "link").symlink_to(home / "repositories" / "defaultRepo")
    (home / "repositories" / "file").write_text("x")
    said = run(*CA, "importcacert", "alias", "root", "repository", repository, "ca.pem", "truststore", "system")
    assert said.code in (1, 2)
    refused(said, said.code)


def test_a_missing_file_is_not_found(home: Path, run: Run) -> None:
    """A file that is not there exits 1 and says where it should be; the default repository is made."""
    said = run(*IMPORT, "ca.pem", "truststore", "system")
    refused(said, 1)
    assert str(home / "repositories" / "defaultRepo") in said.err
    assert (home / "repositories" / "defaultRepo").is_dir()


def test_links_and_pipes_are_not_read(home: Path, run: Run) -> None:
    """Threat 28: a link in a repository is not followed, and a pipe is not waited for."""
    place(home, "real.pem", ROOT.pem)
    folder = home / "repositories" / "defaultRepo"
    (folder / "ca.pem").symlink_to(folder / "real.pem")
    refused(run(*IMPORT, "ca.pem", "truststore", "system"))
    os.mkfifo(folder / "pipe.pem")
    refused(run(*IMPORT, "pipe.pem", "truststore", "system"))


def test_a_folder_is_no_file(home: Path, run: Run) -> None:
    """A folder in the place of the file exits 2 with its reason."""
    place(home, "ca.pem", ROOT.pem)
    (home / "repositories" / "defaultRepo" / "folder.pem").mkdir()
    refused(run(*IMPORT, "folder.pem", "truststore", "system"))


@pytest.mark.parametrize("alias", ["a b", "a\nb", "\x1b[2J", "\u202e", "x" * 65, "\u00a0"])
def test_an_alias_is_one_short_printable_word(home: Path, run: Run, alias: str) -> None:
    """An alias that could not be shown or typed is refused."""
    place(home, "ca.pem", ROOT.pem)
    refused(run(*CA, "importcacert", "alias", alias, "repository", "defaultRepo", "ca.pem", "truststore", "system"))
    assert run(*CA, "listcacerts", "truststore", "system").out == ""


def test_a_hostile_ca_has_two_harmless_lines(home: Path, run: Run) -> None:
    """Threat 20: what a CA calls itself forges no alias in the list."""
    evil = view(subject=common_name("x\nalias=root;  subject= /CN=root ca\x1b[2J"), extensions=[
        bytes.fromhex("300f0603551d130101ff040530030101ff")
    ])  # fmt: skip
    place(home, "ca.pem", evil.pem)
    assert run(*IMPORT, "ca.pem", "truststore", "system").out.count("\n") == 1
    lines = run(*CA, "listcacerts", "truststore", "system").out.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_the_systems_cas_are_followed_or_not(home: Path, run: Run) -> None:
    """auto-ca-update is a setting of one truststore, shown in its list."""
    assert run(*CA, "auto-ca-update", "enable", "truststore", "pubnet").out == "auto-ca-update enable for pubnet\n"
    assert "operating system" in run(*CA, "listcacerts", "truststore", "pubnet").out
    assert "operating system" not in run(*CA, "listcacerts", "truststore", "system").out
    assert run(*CA, "auto-ca-update", "disable", "truststore", "pubnet").code == 0
    assert run(*CA, "listcacerts", "truststore", "pubnet") == Said(0, "", "pubnet trusts no CA\n")


# custom-ocsp-responder


def responders(home: Path) -> tuple[str, ...]:
    """Give the custom responders in force."""
    found = in_store(home, authorities.revocation_settings)
    assert isinstance(found, authorities.RevocationSettings)
    return found.responders


def test_responders_are_set_switched_and_cleared(home: Path, run: Run) -> None:
    """Two places for responders, asked in order, only while they are switched on."""
    assert (
        run(*OCSP, "set", "url2", "http://two.example:8080/ocsp").out
        == "custom-ocsp-responder url2 http://two.example:8080/ocsp\n"
    )
    run(*OCSP, "set", "url1", "http://one.example/")
    assert responders(home) == ()
    assert run(*OCSP, "enable").out == "custom-ocsp-responder enable\n"
    assert responders(home) == ("http://one.example/", "http://two.example:8080/ocsp")
    assert run(*OCSP, "clear", "url1").out == "custom-ocsp-responder url1 cleared\n"
    assert responders(home) == ("http://two.example:8080/ocsp",)
    run(*OCSP, "disable")
    assert responders(home) == ()


def test_no_responder_is_not_switched_on(home: Path, run: Run) -> None:
    """Switching on what is not there would check nothing, so it is refused, with the command that sets one."""
    said = run(*OCSP, "enable")
    refused(said)
    assert "custom-ocsp-responder set url1" in said.err
    assert responders(home) == ()


@pytest.mark.parametrize(
    "url",
    [
        "https://ocsp.example.com", "ftp://ocsp.example.com", "ocsp.example.com", "http://", "http:///x", "http://user@ocsp.example.com",
        "http://user:secret@ocsp.example.com", "file:///etc/passwd", "http://a b/", "http://a\nb/", "http://a/\x1b[2J", "http://" + "a" * 2000,
        "http://ho%00st/", "http://010.0.0.1/", "http://-a/", "http://[::1%25lo]/", "javascript:alert(1)", "http://\u202e/",
        "http://[::1", "http://[x]/", "http://h:99999/", "http://h:x/", "http://h:0/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_responder_is_refused(home: Path, run: Run, url: str) -> None:
    """A responder is a plain http:// address without user name, on a host and port that can be: exit 2, nothing is set."""
    run(*OCSP, "set", "url1", "http://before.example/")
    before = dump(home)
    said = run(*OCSP, "set", "url1", url)
    refused(said)
    assert "secret" not in said.err
    assert dump(home) == before


# As processes


def test_every_change_is_in_the_journal(home: Path, run: Run) -> None:
    """Who changed which truststore, CA, responder or host is on record, and the chain is whole."""
    meet(home, ("h", ONE))
    place(home, "ca.pem", ROOT.pem)
    steps = [
        (*CHECK, "disable", "user"), (*IMPORT, "ca.pem", "truststore", "system"), (*CA, "deletecacert", "alias", "root", "truststore", "system"),
        (*CA, "auto-ca-update", "enable", "truststore", "user"), (*OCSP, "set", "url1", "http://o.example"), (*DELETE, "h_443"),
    ]  # fmt: skip
    for words in steps:
        grown = len(list(in_store(home, lambda opened: list(opened.records()))))  # type: ignore[call-overload]  # a list
        assert run(*words).code == 0
        assert len(in_store(home, lambda opened: list(opened.records()))) == grown + 1, words  # type: ignore[arg-type]  # a list
    assert run("journal", "verify", program=troth_main).code == 0


def test_a_terminal_without_unicode_is_no_obstacle(troth: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of another character set, help and list are shown with escapes, and nothing fails once it was done."""
    meet(troth.home, ("h", view(subject=common_name("日本"))))
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert [troth("--help", program="ncs").code, troth("list").code] == [0, 0]


def test_a_process_exits_as_it_says(troth: Command) -> None:
    """A whole process: 0, 1 and 2 as exit codes, the message on standard error, and no traceback."""
    codes = [
        troth(*words, program="ncs").code
        for words in ((*CHECK, "enable", "user"), (*DELETE, "nobody_443"), (*CHECK, "off", "user"))
    ]
    assert codes == [0, 1, 2]
    done = troth(*LIST, "extra", program="ncs")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
