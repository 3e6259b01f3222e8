"""Twelve writers, some of them killed in the middle: what was acknowledged is there, and nothing is damaged."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.stores import Place
from troth.store.audit import audit
from troth.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
WRITERS, INSERTS, KILLS = 12, 60, 8

WRITER = """
import sys
from tests.store.conftest import make_view
from troth.model.endpoint import Endpoint
from tests.stores import Place
from troth.trust.verdict import Presented
store = Place.read(sys.argv[1]).open()
leaf = Presented(leaf=make_view(sys.argv[2]))
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    store.judge(Endpoint(f"w{sys.argv[2]}-{number}.example.com", 443), leaf)
    print(number, flush=True)
"""


def run_writers(place: Place, *, writers: int, inserts: int, kills: int, seed: int) -> int:
    """Run writers until each has done its inserts, killing some on the way; give the number of acknowledged inserts."""
    chance = random.Random(seed)
    acknowledged = dict.fromkeys(range(writers), 0)
    killed = 0
    running: dict[int, subprocess.Popen[str]] = {}

    def start(writer: int) -> None:
        running[writer] = subprocess.Popen(
            [sys.executable, "-c", WRITER, place.text, str(writer), str(acknowledged[writer]), str(inserts)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    for writer in range(writers):
        start(writer)
    while running:
        for writer, process in list(running.items()):
            assert process.stdout is not None
            line = process.stdout.readline()
            if line:
                acknowledged[writer] = int(line) + 1
                if killed < kills and chance.random() < kills / (writers * inserts):
                    process.send_signal(signal.SIGKILL)
                    killed += 1
                continue
            process.stdout.close()
            code = process.wait()
            del running[writer]
            assert code in (0, -signal.SIGKILL)
            if code:
                start(writer)
    assert killed
    return sum(acknowledged.values())


def test_writers_that_are_killed_lose_and_damage_nothing(place: Place) -> None:
    """Threat 29: every acknowledged insert of twelve writers is there after SIGKILLs, and journal and tables are whole."""
    count = run_writers(place, writers=WRITERS, inserts=INSERTS, kills=KILLS, seed=7)
    assert count == WRITERS * INSERTS
    store = place.open()
    found = {entry.endpoint.host for entry in store.entries()}
    assert found == {f"w{writer}-{number}.example.com" for writer in range(WRITERS) for number in range(INSERTS)}
    report = audit(store)
    assert (report.faults, report.entries) == ([], count)
    if isinstance(store, SqliteStore):
        assert sqlite3.connect(store.path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
