"""The simulator itself: as strict as ISE, and it can be started as a program."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

from tests.ise.conftest import PASSWORD, USER
from tests.simulators.ise import IseSimulator

ROOT = Path(__file__).parents[2]
VERSION = "/admin/API/mnt/Version"


def fetch(
    port: int, path: str, *, accept: str = "application/xml", token: str = f"{USER}:{PASSWORD}"
) -> tuple[int, bytes]:
    """Ask without a trust store: another client than ours."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Accept": accept, "Authorization": "Basic " + b64encode(token.encode()).decode()}
    asked = urllib.request.Request(f"https://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, context=context, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (VERSION, 200),
        (VERSION.lower(), 404),
        ("/admin/api/mnt/Version", 404),
        ("/admin/API/mnt/version", 404),
        ("/admin/API/mnt/Version/", 404),
        ("/admin/API/mnt/Session/MACAddress/00:11:22:33:44:55", 200),
        ("/admin/API/mnt/Session/MACAddress/00:11:22:AA:BB:CC", 200),
        ("/admin/API/mnt/Session/MACAddress/00:11:22:aa:bb:cc", 500),
        ("/admin/API/mnt/Session/MACAddress/001122AABBCC", 500),
        ("/admin/API/mnt/AuthStatus/MACAddress/00:11:22:AA:BB:CC/60/1/All", 200),
        ("/admin/API/mnt/AuthStatus/MACAddress/00:11:22:aa:bb:cc/60/1/All", 404),
        ("/admin/API/mnt/AuthStatus/MACAddress/00:11:22:AA:BB:CC/60/1/all", 404),
        ("/admin/API/mnt/Session/AuthList/null/null", 200),
        ("/admin/API/mnt/Session/AuthList/yesterday/null", 404),
        ("/", 404),
    ],
)
def test_paths_are_case_sensitive_and_mac_addresses_are_ises(ise: IseSimulator, path: str, status: int) -> None:
    """What ISE does not know, the simulator does not either."""
    assert fetch(ise.port, path)[0] == status


def test_who_may_ask(ise: IseSimulator) -> None:
    """401 with a page, whatever is wrong about the credentials; 403 for another group; each API has its own groups."""
    for token in (f"{USER}:", f"{USER}:{PASSWORD}x", f":{PASSWORD}", "x", f"{USER.upper()}:{PASSWORD}"):
        status, body = fetch(ise.port, VERSION, token=token)
        assert (status, b"<html>" in body) == (401, True)
    ise.add_user("mnt", "m", "MnT Admin")
    ise.add_user("ers", "e", "ERS Admin")
    nodes = "/api/v1/deployment/node"
    assert fetch(ise.port, VERSION, token="ers:e")[0] == 403
    assert fetch(ise.port, nodes, accept="application/json", token="mnt:m")[0] == 403
    assert fetch(ise.port, nodes, accept="application/json", token="ers:e")[0] == 200
    assert fetch(ise.port, nodes)[0] == 404, "JSON was not asked for"


def test_every_byte_is_written_down(ise: IseSimulator) -> None:
    """The proof of silence elsewhere rests on this: what a client says is seen, in clear and as it came."""
    fetch(ise.port, VERSION)
    visit = ise.visits[-1]
    assert visit.over.wait(30)
    assert visit.finished
    assert b64encode(f"{USER}:{PASSWORD}".encode()) in visit.plain
    assert len(visit.raw) > len(visit.plain)


def test_it_can_be_started_as_a_program(tmp_path: Path) -> None:
    """It says where it listens, serves, and ends when it is told to."""
    password = tmp_path / "password"
    password.write_text("from a file\n")
    command = [sys.executable, "-m", "tests.simulators.ise", "--user", "u", "--password-file", str(password)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            assert "password" not in said
            assert fetch(said["port"], VERSION, token="u:from a file")[0] == 200
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
