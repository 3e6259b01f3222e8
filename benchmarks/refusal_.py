"""What it costs when a host shows another certificate than the one on record."""

from __future__ import annotations

import logging
import ssl
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import fixture
from benchmarks.check_ import _cpu_us
from benchmarks.harness import Row, Run, interleave, on_core, ratios
from troth.errors import CertificateRejected
from troth.store import open_store
from troth.tls.base import anchor, client_context
from troth.tls.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.model.endpoint import Endpoint


def run(run: Run) -> Iterator[Row]:
    """Measure the refusal by OpenSSL inside the handshake, and the whole rejection with its explanation."""
    connections, rounds = run.pick(500, 5), run.pick(7, 2)
    logging.getLogger("troth").addHandler(logging.NullHandler())  # each rejection is logged; here there are thousands
    with (
        fixture.server(run.folder) as (place,),
        open_store(run.folder / "home" / "trust.db") as store,
        on_core(-1),
    ):
        other = fixture.genuine()
        fixture.record(store, place, other)
        refusing = client_context()
        anchor(refusing, [other], any_time=True)
        bare = partial(fixture.bare, fixture.bare_context(), place)
        found = interleave(
            rounds,
            {
                "bare": partial(_cpu_us, bare, connections),
                "refused": partial(_cpu_us, partial(_refused, refusing, place), connections),
                "rejected": partial(_cpu_us, partial(_rejected, Context(store, place), place), connections),
            },
        )
    yield Row.of("bare handshake, CPU", "µs", found["bare"])
    yield Row.of("refused inside the handshake, CPU", "µs", found["refused"])
    yield Row.of("… / bare", "x", ratios(found["refused"], found["bare"]))
    yield Row.of("rejected and explained (a second look), CPU", "µs", found["rejected"])
    yield Row.of("… / bare", "x", ratios(found["rejected"], found["bare"]))


def _refused(context: ssl.SSLContext, place: Endpoint) -> None:
    with fixture.connect(place) as raw:
        try:
            context.wrap_socket(raw, server_hostname=place.host).close()
        except ssl.SSLCertVerificationError:
            return
    raise AssertionError("another certificate was accepted")


def _rejected(context: Context, place: Endpoint) -> None:
    with fixture.connect(place) as raw:
        try:
            context.wrap_socket(raw, server_hostname=place.host).close()
        except CertificateRejected:
            return
    raise AssertionError("another certificate was accepted")
