"""The contract of the command: what it records, what it rejects, how it exits, and what its JSON looks like."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import Command
from troth.demo.host import Host

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
OTHER = "sha256:" + "ab" * 32


def conforms(document: dict[str, object]) -> dict[str, object]:
    """Hold a document against the published schema that it names."""
    name, _, version = str(document["schema"]).rpartition("/")
    schema = json.loads((SCHEMAS / f"{name}.{version}.json").read_text())
    jsonschema.validate(document, schema)
    return document


def test_the_first_certificate_is_recorded_and_met_again(troth: Command, host: Host, where: str) -> None:
    """First use exits 0 and records; the same certificate later is a match."""
    first = troth("check", where, "--json")
    again = troth("check", where, "--json")
    assert (first.code, again.code) == (0, 0)
    assert conforms(first.document)["results"][0]["verdict"] == "first-use"  # type: ignore[index]
    assert conforms(again.document)["results"][0]["verdict"] == "match"  # type: ignore[index]
    assert first.document["results"][0]["presented"]["fingerprint"] == str(host.view.fingerprint)


def test_a_changed_certificate_is_rejected_and_explained(troth: Command, host: Host, where: str) -> None:
    """A changed certificate exits 3, and the document says what changed, both fingerprints, and the next command."""
    old = host.view
    troth("check", where)
    new = host.new_certificate()
    done = troth("check", where, "--json")
    assert done.code == 3
    result = conforms(done.document)["results"][0]  # type: ignore[index]
    assert (result["verdict"], result["trusted"], result["class"]) == ("changed", False, "self-signed-replaced")
    assert result["presented"]["fingerprint"] == str(new.fingerprint)
    assert [pin["fingerprint"] for pin in result["pinned"]] == [str(old.fingerprint)]
    assert {"field": "spki", "old": str(old.spki), "new": str(new.spki)} in result["diff"]
    assert result["next_command"].startswith(f"troth replace {where} --expect")
    problem = json.loads(done.err)
    jsonschema.validate(problem, json.loads((SCHEMAS / "problem.json").read_text()))
    assert problem["code"] == "TROTH-301"


def test_a_rejection_carries_the_incumbents_words_and_what_they_lacked(troth: Command, host: Host, where: str) -> None:
    """Administrators who search for the incumbent's words find the line, with host, port and both fingerprints in it."""
    old = host.view
    troth("check", where)
    new = host.new_certificate()
    text = troth("check", where).err
    line = next(line for line in text.splitlines() if line.startswith("TOFU failed."))
    assert "Current certificate of the remote host is different from what was used earlier - CN=ise-1" in line
    for part in (f"port={host.port}", "host=127.0.0.1", str(old.fingerprint), str(new.fingerprint), "first_seen=2"):
        assert part in line


def test_replace_swaps_only_for_the_expected_fingerprint(troth: Command, host: Host, where: str) -> None:
    """A wrong fingerprint exits 3 and changes nothing; the right one swaps, and the next check matches."""
    troth("check", where)
    before = troth("list", "--json").out
    new = host.new_certificate()
    wrong = troth("replace", where, "--expect", OTHER)
    assert wrong.code == 3
    assert troth("list", "--json").out == before
    done = troth("replace", where, "--expect", str(new.fingerprint), "--json")
    assert done.code == 0
    assert conforms(done.document)["new"] == str(new.fingerprint)
    assert troth("check", where).code == 0


def test_an_expected_fingerprint_authenticates_the_first_use(troth: Command, host: Host, where: str) -> None:
    """With --expect, a stranger with another certificate is rejected and nothing is stored."""
    assert troth("check", where, "--expect", OTHER).code == 3
    assert troth("list", "--json").document["entries"] == []
    assert troth("check", where, "--expect", str(host.view.spki)).code == 0
    assert troth("show", where, "--json").document["pins"][0]["evidence"] == "expected-fingerprint"


def test_a_deleted_host_waits_for_approval(troth: Command, host: Host, where: str) -> None:
    """Threat 36: after a deletion, whoever answers next is not trusted blindly."""
    troth("check", where)
    assert troth("delete", where).code == 0
    assert troth("list", "--json").document["entries"] == []
    assert troth("check", where).code == 4
    assert troth("approve", where, "--expect", OTHER).code == 3
    assert troth("check", where).code == 4
    assert troth("approve", where, "--expect", str(host.view.fingerprint)).code == 0
    assert troth("check", where).code == 0


def test_a_deletion_that_names_the_next_certificate_trusts_it_alone(troth: Command, host: Host, where: str) -> None:
    """With --next, the named certificate is promoted at first sight, and no other."""
    troth("check", where)
    troth("delete", where, "--next", str(host.view.fingerprint))
    done = troth("check", where, "--json")
    assert (done.code, done.document["results"][0]["verdict"]) == (0, "promoted")


def test_an_announced_certificate_is_promoted_and_the_old_one_retires(troth: Command, host: Host, where: str) -> None:
    """The current certificate stays trusted until the announced one is seen; then it is trusted no more."""
    troth("check", where)
    old = host.material
    new = host.new_certificate()
    renewed = host.material
    host.present(old)
    assert conforms(troth("announce", where, "--next", str(new.fingerprint), "--json").document)
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "match"
    host.present(renewed)
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "promoted"
    host.present(old)
    back = troth("check", where, "--json")
    assert (back.code, back.document["results"][0]["class"]) == (3, "retired-certificate-returned")


def test_a_revoked_key_is_never_accepted_again(troth: Command, host: Host, where: str) -> None:
    """Revocation beats pin, announcement, approval, replacement and observation."""
    troth("check", where)
    fingerprint = str(host.view.fingerprint)
    assert conforms(troth("revoke", where, "--json").document)["revoked"] == [fingerprint, str(host.view.spki)]
    assert troth("check", where).code == 3
    for words in (("replace", where, "--expect"), ("pin", where, "--expect"), ("announce", where, "--next")):
        assert troth(*words, fingerprint).code == 2
    troth("policy", "set", where, "observe")
    assert troth("check", where).code == 3


def test_strict_mode_quarantines_strangers(troth: Command, host: Host, where: str) -> None:
    """In strict mode an unknown host exits 4 until a person approves its fingerprint."""
    assert conforms(troth("policy", "set", "system", "strict", "--json").document)["mode"] == "strict"
    assert troth("check", where).code == 4
    assert troth("list", "--json").document["entries"][0]["state"] == "quarantined"
    assert troth("approve", where, "--expect", str(host.view.fingerprint), "--json").code == 0
    assert troth("check", where).code == 0


def test_observe_mode_reports_and_lets_through(troth: Command, host: Host, where: str) -> None:
    """In observe mode a change is reported with exit code 0, and the record stays as it was."""
    troth("policy", "set", "system", "observe")
    troth("check", where)
    host.new_certificate()
    done = troth("check", where, "--json")
    result = done.document["results"][0]
    assert (done.code, result["verdict"], result["trusted"]) == (0, "changed", True)
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "changed"


def test_a_key_pin_survives_a_renewal_that_kept_the_key(troth: Command, where: str, host: Host) -> None:
    """The rejection of a renewal with the same key names the command, and after it the renewal is accepted."""
    troth("check", where)
    host.renew()
    rejected = troth("check", where, "--json")
    result = rejected.document["results"][0]
    assert (rejected.code, result["class"], result["same_key"]) == (3, "same-key", True)
    compare, loosen = result["next_command"].split("; or, ")
    assert compare == f"troth replace {where} --expect FINGERPRINT", "comparing comes before loosening"
    command = loosen.partition(": troth ")[2].split()
    assert troth(*command).code == 0
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "renewed"
    assert troth("check", where, "--json").document["results"][0]["verdict"] == "match"


def test_several_hosts_exit_with_the_worst_code(troth: Command, host: Host, where: str) -> None:
    """One rejected host among others decides the exit code; all are in the document, in order."""
    troth("check", where)
    host.new_certificate()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    done = troth("check", nobody, where, "--json")
    assert done.code == 3
    assert [result["verdict"] for result in conforms(done.document)["results"]] == [None, "changed"]  # type: ignore[attr-defined]


def test_an_unreachable_host_exits_5(troth: Command) -> None:
    """Nothing listens there: exit code 5, and nothing is stored."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    assert troth("check", nobody).code == 5
    assert troth("list", "--json").document["entries"] == []


def test_a_silent_host_exits_5_when_the_time_is_out(troth: Command) -> None:
    """A host that accepts and says nothing costs its time limit and no more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = troth("check", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.3", "--json")
    assert done.code == 5
    assert json.loads(done.err)["code"] == "TROTH-502"


def test_every_reading_command_keeps_to_its_schema(troth: Command, host: Host, where: str) -> None:
    """Each --json document is valid under the schema that it names."""
    troth("check", where)
    for words in (
        ("list",),
        ("show", where),
        ("history", where),
        ("policy", "show"),
        ("journal", "verify"),
        ("pin", where, "--expect", OTHER),
        ("delete", where),
    ):
        done = troth(*words, "--json")
        assert done.code == 0, words
        conforms(done.document)


@pytest.mark.parametrize(
    "words",
    [
        ("check", "a b"),
        ("check", "010.0.0.1"),
        ("check", "host:99999"),
        ("check", "host:0"),
        ("check", "user@host"),
        ("check", "ho\nst"),
        ("check", "x" * 300),
        ("check", "host", "--expect", "sha1:abc"),
        ("check", "host", "--timeout", "-1"),
        ("check", "host", "--timeout", "nan"),
        ("check", "host", "--starttls", "gopher"),
        ("check", "host", "--domain", "elsewhere"),
        ("check", "host", "--proxy", "http://u:secret@proxy:1"),
        ("check",),
        ("pin", "host"),
        ("pin", "host", "--pem", "/nonexistent"),
        ("pin", "host", "--expect", OTHER, "--kind", "issuer"),
        ("replace", "host"),
        ("approve", "host", "--expect", "zz"),
        ("policy", "set"),
        ("policy", "set", "system", "sometimes"),
        ("import", "/nonexistent"),
        ("chekc", "host"),
        ("revoke", "sha256:12"),
        (),
    ],
)
def test_bad_words_exit_2_and_change_nothing(troth: Command, words: tuple[str, ...]) -> None:
    """Input that cannot be used gives one message, exit code 2, and an unchanged store."""
    troth("policy", "set", "user", "strict")
    before = troth("export").out
    done = troth(*words)
    assert done.code == 2
    assert done.err.strip() or done.out.strip()
    assert "secret" not in done.err
    assert troth("export").out == before


@pytest.mark.parametrize(
    "words",
    [
        ("show", "h:1"),
        ("history", "h:1"),
        ("delete", "h:1"),
        ("replace", "h:1", "--expect", OTHER),
        ("revoke", "h:1"),
        ("approve", "h:1", "--expect", OTHER),
    ],
)
def test_what_is_not_there_exits_1(troth: Command, words: tuple[str, ...]) -> None:
    """An endpoint that is not on record is a negative answer, with the next command."""
    done = troth(*words)
    assert done.code == 1
    assert "next:" in done.err


def test_a_vanished_store_is_an_error_and_never_a_first_use(troth: Command, host: Host, where: str) -> None:
    """Threat 25: with the database gone, a check exits 7 and learns nothing; a person can begin again on purpose."""
    troth("check", where)
    for file in troth.home.glob("trust.db*"):
        file.unlink()
    assert troth("check", where).code == 7
    assert not (troth.home / "trust.db").exists()
    assert troth("journal", "accept", "--empty").code == 1
    assert troth("check", where).code == 7
    assert troth("journal", "accept", "--empty", "--yes").code == 0
    assert troth("check", where).code == 0


def test_a_subject_cannot_forge_output(troth: Command, tmp_path: Path) -> None:
    """Threat 20: newline, escape and pipe in a subject reach neither the terminal nor a listing as themselves."""
    (tmp_path / "h").mkdir()
    hostile = Host("a\n\x1b[31mhost=10.0.0.1_443;\u202e|", tmp_path / "h")
    try:
        where = f"127.0.0.1:{hostile.port}"
        outputs = [troth("check", where), troth("list"), troth("show", where), troth("export", "--format", "listcerts")]
        hostile.new_certificate()
        outputs.append(troth("check", where))
    finally:
        hostile.close()
    for done in outputs:
        text = done.out + done.err
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert not any(line.startswith("host=10.0.0.1") for line in text.splitlines())


def test_help_of_every_command_has_its_words(troth: Command) -> None:
    """Every command explains itself, and the general help names them all and the exit codes."""
    from troth.cli.main import COMMANDS

    general = troth("--help").out
    for name in COMMANDS:
        assert name in general
        assert troth(name, "--help").out.startswith(f"usage: troth {name}")
    assert "130" in general


def test_completion_scripts_are_accepted_by_their_shells(troth: Command) -> None:
    """The bash script is valid, and completes commands."""
    script = troth("completion", "bash").out
    probe = script + '\nCOMP_WORDS=(troth ch); COMP_CWORD=1; _troth; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["check"]
    assert "complete -c troth" in troth("completion", "fish").out


def test_listing_loads_neither_tls_nor_a_third_party(troth: Command) -> None:
    """`troth list` starts fast because it imports no ssl, asyncio, or cryptography."""
    code = (
        "import sys; from troth.cli.main import main; main(['list']);"
        "print(sorted(m for m in ('ssl','asyncio','cryptography','http') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TROTH_HOME": str(troth.home)},
    )
    assert done.stdout.strip().endswith("[]")
