"""Many processes that record first uses at once, while some of them are killed."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from benchmarks.harness import Row, Run
from tests.store.test_writers import run_writers
from tests.stores import Place
from troth.store import open_store
from troth.store.audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(run: Run) -> Iterator[Row]:
    """Measure it with 12 writers of 1 000 first uses each; each is on the disk before it is acknowledged."""
    writers, inserts, kills = run.pick(12, 3), run.pick(1000, 20), run.pick(12, 6)
    path = run.folder / "home" / "trust.db"
    begun = time.perf_counter()
    acknowledged = run_writers(Place(path.parent), writers=writers, inserts=inserts, kills=kills, seed=7)
    taken = time.perf_counter() - begun
    expected = {f"w{writer}-{number}.example.com" for writer in range(writers) for number in range(inserts)}
    with open_store(path) as store:
        lost = expected - {entry.endpoint.host for entry in store.entries()}
        faults = list(audit(store).faults)
    connection = sqlite3.connect(path)
    faults += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    connection.close()
    yield Row.of("acknowledged first uses", "", [acknowledged])
    yield Row.of("lost", "", [len(lost)], bar=0)
    yield Row.of("faults in tables and journal", "", [len(faults)], bar=0)
    yield Row.of(f"first uses, {writers} processes, starts and kills included", "/s", [acknowledged / taken])
