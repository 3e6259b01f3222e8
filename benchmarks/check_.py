"""The pin check per connection, beside a handshake that checks nothing."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.harness import Row, Run, cpu_s, interleave, on_core, ratios
from troth.model.entry import PinKind, Policy
from troth.tls.context import Context
from troth.tls.guard import Connection, GuardedContext, GuardedSocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from troth.model.endpoint import Endpoint


class Probe:
    """Takes the time that Troth's own code takes, in place: inside real connections, with the caches as they are there.

    It adds nothing but readings of the clock: when `wrap_socket` is called and when it hands over to `ssl`, and when the
    verdict begins and ends.
    """

    def __init__(self, context: Context):
        self._context, self._place = context, _place(context)
        self.before: list[int] = []
        self.verdicts: list[int] = []
        self._begun = 0
        inner = context._context_for(self._place, sock=True, name=self._place.host)
        inner.sslsocket_class = self._socket_class()
        inner.verdict = self._timed(inner)  # type: ignore[method-assign, assignment]

    def connect(self) -> None:
        """Make one connection through the context, as a program does."""
        with fixture.connect(self._place) as raw:
            self._begun = time.perf_counter_ns()
            with self._context.wrap_socket(raw, server_hostname=self._place.host):
                pass

    def inside_us(self, connections: int) -> float:
        """Give the median of what Troth adds to each of some connections."""
        self.before.clear()
        self.verdicts.clear()
        for _ in range(connections):
            self.connect()
        assert len(self.before) == len(self.verdicts) == connections
        return statistics.median(map(sum, zip(self.before, self.verdicts, strict=True))) / 1000

    def alone_us(self, calls: int) -> float:
        """Give what look-up and verdict take when nothing happens in between."""
        place, verdict = self._place, GuardedContext.verdict
        with fixture.connect(place) as raw, self._context.wrap_socket(raw, server_hostname=place.host) as tls:
            begun = time.perf_counter_ns()
            for _ in range(calls):
                verdict(self._context._context_for(place, sock=True, name=place.host), tls)
            return (time.perf_counter_ns() - begun) / calls / 1000

    def _socket_class(self) -> type[ssl.SSLSocket]:
        probe = self

        class Timed(GuardedSocket):
            @classmethod
            def _create(cls, *args: object, **kwargs: object) -> ssl.SSLSocket:
                probe.before.append(time.perf_counter_ns() - probe._begun)
                made: ssl.SSLSocket = super()._create(*args, **kwargs)  # type: ignore[misc]
                return made

        return Timed

    def _timed(self, inner: GuardedContext) -> Callable[[Connection], object]:
        verdict = inner.verdict

        def timed(connection: Connection, seen: object = None) -> object:
            begun = time.perf_counter_ns()
            standing = verdict(connection, seen)
            self.verdicts.append(time.perf_counter_ns() - begun)
            return standing

        return timed


def run(run: Run) -> Iterator[Row]:
    """Measure it at 100 000 pins."""
    pins = run.pick(100_000, 200)
    with (
        fixture.server(run.folder, 2) as (certified, keyed),
        fixture.fill(run.folder / "home" / "trust.db", pins) as store,
        on_core(-1),
    ):
        store.set_domain_policy("user", Policy(pin=PinKind.KEY))
        contexts = Context(store, certified), Context(store, keyed, domain="user")
        yield from _measure(*contexts, connections=run.pick(1000, 10), rounds=run.pick(7, 2))


def _measure(context: Context, keyed: Context, *, connections: int, rounds: int) -> Iterator[Row]:
    place = _place(context)
    _through(context)
    _through(keyed)
    probe = Probe(Context(context._store, place))
    key_probe = Probe(keyed)
    variants = {
        "bare": partial(_cpu_us, partial(fixture.bare, fixture.bare_context(), place), connections),
        "alone": partial(probe.alone_us, connections * 5),
        "inside": partial(probe.inside_us, connections),
        "key": partial(key_probe.alone_us, connections),
        "whole": partial(_cpu_us, partial(_through, context), connections),
    }
    interleave(1, {name: variants[name] for name in ("bare", "inside", "whole")})  # to warm up
    found = interleave(rounds, variants)
    yield Row.of("bare handshake, CPU", "µs", found["bare"])
    yield Row.of("look-up and verdict, by themselves", "µs", found["alone"])
    yield Row.of("… / bare", "x", ratios(found["alone"], found["bare"]), bar=0.02)
    yield Row.of("all that Troth adds, inside connections", "µs", found["inside"])
    yield Row.of("… / bare", "x", ratios(found["inside"], found["bare"]))
    yield Row.of("key pin: look-up and verdict, by themselves", "µs", found["key"])
    yield Row.of("… / bare", "x", ratios(found["key"], found["bare"]))
    yield Row.of("whole connection / bare, CPU", "x", ratios(found["whole"], found["bare"]))


def _place(context: Context) -> Endpoint:
    assert context.endpoint is not None
    return context.endpoint


def _through(context: Context) -> None:
    place = _place(context)
    with fixture.connect(place) as raw, context.wrap_socket(raw, server_hostname=place.host):
        pass


def _cpu_us(connection: partial[None], connections: int) -> float:
    begun = cpu_s()
    for _ in range(connections):
        connection()
    return (cpu_s() - begun) / connections * 1e6
