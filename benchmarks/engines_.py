"""The same questions to the trust store in SQLite and in PostgreSQL, side by side."""

from __future__ import annotations

import contextlib
import itertools
import random
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.harness import Row, Run, interleave, ratios
from troth.errors import TrothError
from troth.model.certificate import CertificateView
from troth.store import open_store
from troth.trust.verdict import Presented

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from troth.store.base import Store

_BATCH = 200


def run(run: Run) -> Iterator[Row]:
    """Measure both with 5 000 entries; without a PostgreSQL to be had, SQLite alone."""
    count, samples, rounds = run.pick(5000, 50), run.pick(1000, 20), run.pick(9, 2)
    with contextlib.ExitStack() as opened:
        stores: dict[str, Store] = {"SQLite": opened.enter_context(open_store(run.folder / "home" / "trust.db"))}
        try:
            stores["PostgreSQL"] = opened.enter_context(_postgres(run.folder))
        except TrothError as error:
            print(f"without PostgreSQL: {error}", file=sys.stderr)
        for store in stores.values():
            with store.transaction():
                for number in range(count):
                    _learn(store, number)
        chance = random.Random(7)
        places = [fixture.endpoint(chance.randrange(count)) for _ in range(samples)]
        leaf = Presented(leaf=CertificateView.from_der(fixture.certificate(0)))
        numbers = {name: itertools.count(count) for name in stores}
        asked: dict[str, tuple[int, Callable[[str, Store], object]]] = {
            "entry": (samples, lambda _, store: [store.entry(place) for place in places]),
            "policy and entry": (samples, lambda _, store: [store.policy(place, "system") for place in places]),
            "version token": (samples, lambda _, store: [store.version() for _ in places]),
            "review": (samples, lambda _, store: [store.review(fixture.endpoint(0), leaf) for _ in places]),
            "sighting": (100, lambda _, store: [store.judge(fixture.endpoint(0), leaf) for _ in range(100)]),
            "first use": (100, lambda name, store: [_learn(store, next(numbers[name])) for _ in range(100)]),
            "first use, in a batch": (_BATCH, lambda name, store: _batch(store, numbers[name])),
        }
        for what, (each, ask) in asked.items():
            yield from _compared(
                what, each, {name: partial(ask, name, store) for name, store in stores.items()}, rounds
            )


def _compared(what: str, each: int, ways: dict[str, Callable[[], object]], rounds: int) -> Iterator[Row]:
    times = interleave(rounds, {name: partial(_time, way, each) for name, way in ways.items()})
    for name, found in times.items():
        yield Row.of(f"{what}, {name}", "µs", found)
    if len(times) == 2:
        yield Row.of(f"{what}, PostgreSQL / SQLite", "x", ratios(times["PostgreSQL"], times["SQLite"]))


def _time(way: Callable[[], object], each: int) -> float:
    begun = time.perf_counter()
    way()
    return (time.perf_counter() - begun) / each * 1e6


def _learn(store: Store, number: int) -> None:
    fixture.record(store, fixture.endpoint(number), fixture.certificate(number))


def _batch(store: Store, numbers: Iterator[int]) -> None:
    with store.transaction():
        for number in itertools.islice(numbers, _BATCH):
            _learn(store, number)


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[Store]:
    from tests.postgres import a_cluster, a_database
    from troth.database.binaries import find
    from troth.store.postgres import PostgresStore

    find()  # or say why not
    with a_cluster() as cluster, a_database(cluster) as database:
        yield PostgresStore(database, folder / "state")
