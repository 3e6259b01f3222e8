"""What is wrong with the output is never what the exit code says: the verdict counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from troth.demo.host import Host

TROTH = [sys.executable, "-m", "troth"]


def run(home: Path, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a command with streams of one's choice."""
    env = {**os.environ, "TROTH_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return subprocess.run([*TROTH, *words], env=env, check=False, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def changed(tmp_path: Path) -> tuple[Path, str]:
    """A home, and a host in its record whose certificate is another by now."""
    home = tmp_path / "home"
    host = Host("changed", tmp_path)
    assert run(home, "check", f"127.0.0.1:{host.port}", "--quiet").returncode == 0
    host.new_certificate()
    return home, f"127.0.0.1:{host.port}"


def gone() -> int:
    """Give a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("words", [[], ["--json"], ["--quiet"]])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("broken", ["gone", "full", "closed"])
def test_a_rejected_host_is_rejected_whoever_reads(
    changed: tuple[Path, str], stream: str, broken: str, words: list[str]
) -> None:
    """`troth check HOST | true` in a script with pipefail must not say that all is well."""
    home, where = changed
    options: dict[str, object] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if broken == "closed":
        number = 1 if stream == "stdout" else 2
        done = run(home, "check", where, *words, preexec_fn=lambda: os.close(number))
    else:
        handle = gone() if broken == "gone" else os.open("/dev/full", os.O_WRONLY)
        done = run(home, "check", where, *words, **{**options, stream: handle})
        os.close(handle)
    assert done.returncode == 3


def test_the_next_host_is_looked_at_although_nobody_reads(changed: tuple[Path, str], tmp_path: Path) -> None:
    """The reader that went away after the first host does not hide the second."""
    home, where = changed
    (tmp_path / "second").mkdir()
    second = Host("second", tmp_path / "second")
    handle = gone()
    done = run(home, "check", f"127.0.0.1:{second.port}", where, stdout=handle, stderr=subprocess.DEVNULL)
    os.close(handle)
    assert done.returncode == 3
    second.close()


def test_a_result_that_could_not_be_written_is_no_success(tmp_path: Path) -> None:
    """It says that the thing itself was done."""
    with Path("/dev/full").open("wb") as full:
        done = run(tmp_path, "list", "--json", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"was done, but the result could not be written" in done.stderr


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    """`troth list | head -1`."""
    handle = gone()
    done = run(tmp_path, "list", "--json", stdout=handle, stderr=subprocess.PIPE)
    os.close(handle)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_wrong_call_is_a_document_where_documents_were_asked(tmp_path: Path) -> None:
    """RFC 9457, as every other failure."""
    for words in (["list", "--bogus", "--json"], ["check", "--json"], ["lst", "--json"]):
        done = run(tmp_path, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 2
        assert json.loads(done.stderr)["code"] == "TROTH-200"
        assert done.stdout == b""


HOSTILE = "a\x1b[31m\x07\nerror: forged‮b"


def test_threat_20_no_word_of_the_caller_reaches_the_terminal_raw(tmp_path: Path) -> None:
    """Threat 20: names of files and arguments may come from somebody else."""
    for words in (
        ["import", HOSTILE],
        ["list", f"--{HOSTILE}"],
        [HOSTILE],
        ["export", "-o", f"{tmp_path}/no/{HOSTILE}"],
    ):
        done = run(tmp_path, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode in (2, 7)
        text = done.stderr.decode()
        assert not set("\x1b\x07‮") & set(text)
        assert "\nerror: forged" not in text


BASH = """
source <({program} completion bash)
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE="troth show 127.0.0.1:{part}"; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=(troth show 127.0.0.1 : {part}); COMP_CWORD={cword}
_troth; echo "${{COMPREPLY[*]}}"
"""


@pytest.mark.parametrize("typed", [0, 2])
def test_bash_completes_an_endpoint_without_repeating_its_host(
    changed: tuple[Path, str], tmp_path: Path, typed: int
) -> None:
    """What stands before the colon was typed already."""
    home, where = changed
    port = where.partition(":")[2]
    program = tmp_path / "troth"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m troth "$@"\n')
    program.chmod(0o755)
    script = BASH.format(program=program, part=port[:typed], cword=4 if typed else 3)
    env = {**os.environ, "TROTH_HOME": str(home), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert port in done.stdout.split()
    assert where not in done.stdout.split()
    assert done.stderr == ""
