"""First uses as a scan records them: many in one transaction."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.harness import Row, Run, interleave, on_core
from troth.model.certificate import CertificateView
from troth.store import open_store
from troth.trust.verdict import Presented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.store.sqlite import SqliteStore

BAR_PER_S = 100_000


def run(run: Run) -> Iterator[Row]:
    """Measure decisions in one transaction, decisions of one transaction each, and what bounds both."""
    batch, single, rounds = run.pick(5000, 20), run.pick(500, 5), run.pick(5, 2)
    numbers = itertools.count()
    with open_store(run.folder / "home" / "trust.db") as store, on_core(-1):
        found = interleave(
            rounds,
            {
                "parsed": partial(_parse, batch, numbers),
                "batch": partial(_batch, store, batch, numbers),
                "single": partial(_single, store, single, numbers),
            },
        )
        rows = [_rows(run, number, run.pick(100_000, 200)) for number in range(run.pick(3, 1))]
    yield Row.of("first uses, judged in one transaction", "/s", found["batch"], bar=BAR_PER_S, at_least=True)
    yield Row.of("first uses, each on the disk by itself", "/s", found["single"])
    yield Row.of("limit: certificates read", "/s", found["parsed"])
    yield Row.of("limit: the same rows by executemany, no journal", "/s", rows)


def _presented(count: int, numbers: Iterator[int]) -> list[tuple[int, Presented]]:
    chosen = list(itertools.islice(numbers, count))
    return [(each, Presented(leaf=CertificateView.from_der(fixture.certificate(each)))) for each in chosen]


def _parse(count: int, numbers: Iterator[int]) -> float:
    certificates = [fixture.certificate(each) for each in itertools.islice(numbers, count)]
    begun = time.perf_counter()
    for der in certificates:
        CertificateView.from_der(der)
    return count / (time.perf_counter() - begun)


def _batch(store: SqliteStore, count: int, numbers: Iterator[int]) -> float:
    all_presented = _presented(count, numbers)
    begun = time.perf_counter()
    with store.transaction():
        for number, presented in all_presented:
            store.judge(fixture.endpoint(number), presented)
    return count / (time.perf_counter() - begun)


def _single(store: SqliteStore, count: int, numbers: Iterator[int]) -> float:
    all_presented = _presented(count, numbers)
    begun = time.perf_counter()
    for number, presented in all_presented:
        store.judge(fixture.endpoint(number), presented)
    return count / (time.perf_counter() - begun)


def _rows(run: Run, number: int, count: int) -> float:
    begun = time.perf_counter()
    fixture.fill(run.folder / f"rows-{number}" / "trust.db", count).close()
    return count / (time.perf_counter() - begun)
