"""The store's answer about one endpoint, among a million."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.harness import Row, Run, interleave, on_core, quantile
from troth.model.endpoint import Endpoint
from troth.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BAR_US = 50
BARRED = ("entry", "policy and entry", "policy, of a stranger")


def run(run: Run) -> Iterator[Row]:
    """Measure it at 1 000 000 pins."""
    pins, samples, rounds = run.pick(1_000_000, 100_000), run.pick(20_000, 1000), run.pick(7, 2)
    begun = time.perf_counter()
    path = run.folder / "home" / "trust.db"
    with fixture.fill(path, pins) as store, on_core(-1):
        yield Row.of("filling the store (not Troth's own way)", "s", [time.perf_counter() - begun])
        chance = random.Random(7)
        places = [fixture.endpoint(chance.randrange(pins)) for _ in range(samples)]
        strangers = [Endpoint(f"stranger-{number}.example.com", 443) for number in range(samples)]
        # What this machine does to code that asks nothing: its p99 is other programs and the processor's clock.
        still = partial(sum, range(1500))
        asked: dict[str, tuple[Callable[[Endpoint], object], list[Endpoint]]] = {
            "entry": (store.entry, places),
            "policy and entry": (lambda place: store.policy(place, "system"), places),
            "policy, of a stranger": (lambda place: store.policy(place, "system"), strangers),
            "version token": (lambda _: store.version(), places),
            "for comparison, a loop of constant work": (lambda _: still(), places),
        }
        times: dict[str, list[list[float]]] = {name: [] for name in asked}
        for place in places[:1000]:
            store.entry(place)
        interleave(rounds, {name: partial(_time, *what, times[name]) for name, what in asked.items()})
        for name, found in times.items():
            yield Row.of(f"{name}, median", "µs", [quantile(each, 0.5) for each in found])
            bar = BAR_US if name in BARRED else None
            yield Row.of(f"{name}, p99", "µs", [quantile(each, 0.99) for each in found], bar=bar)
    yield Row.of("open, and the first look-up", "ms", [_cold_ms(path, place) for place in places[: rounds * 3]])


def _time(ask: Callable[[Endpoint], object], places: list[Endpoint], into: list[list[float]]) -> float:
    clock = time.perf_counter_ns
    found = []
    for place in places:
        begun = clock()
        ask(place)
        found.append((clock() - begun) / 1000)
    into.append(found)
    return 0.0


def _cold_ms(path: object, place: Endpoint) -> float:
    begun = time.perf_counter()
    with open_store(str(path)) as store:
        store.entry(place)
    return (time.perf_counter() - begun) * 1000
