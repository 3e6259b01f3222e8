"""The figures of a node, for Prometheus: read from the database when they are asked for, so that none can be stale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from troth._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from troth.node.node import Node

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PINS = "SELECT e.domain, p.kind, p.state, count(*) FROM pin p JOIN entry e ON e.id = p.entry GROUP BY 1, 2, 3"
_ENTRIES = "SELECT domain, state, count(*) FROM entry GROUP BY 1, 2"
_VERDICTS = "SELECT action, count(*) FROM journal GROUP BY 1"
_EXPIRY = """
SELECT e.domain, count(*) FILTER (WHERE c.not_after < %(now)s),
       count(*) FILTER (WHERE c.not_after >= %(now)s AND c.not_after < %(now)s + 30 * 86400 * 1000000::bigint),
       min((c.not_after - %(now)s) / 86400000000.0)
FROM entry e JOIN certificate c ON c.fingerprint = e.presented WHERE e.state = 'active' GROUP BY 1
"""
_ISE = "SELECT host || ':' || port, role, condition, coalesce(active, 0) FROM ise_server"


def exposition(node: Node) -> bytes:
    """Give all figures as Prometheus reads them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(node))
    return bytes(generate_latest(registry))


class _Figures:
    """Collects by asking the database."""

    def __init__(self, node: Node):
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Give each figure."""
        yield InfoMetricFamily("troth_build", "The version of Troth.", {"version": __version__})
        with self._node.database.reading() as connection:

            def rows(query: str, **values: object) -> list[tuple[object, ...]]:
                return connection.execute(query.encode(), values or None).fetchall()

            yield _gauge("troth_pins", "Pins by state.", ("domain", "kind", "state"), rows(_PINS))
            yield _gauge("troth_entries", "Endpoints on record, by state.", ("domain", "state"), rows(_ENTRIES))
            journal = CounterMetricFamily("troth_journal_records", "Changes of trust, by kind.", labels=("action",))
            for action, count in rows(_VERDICTS):
                journal.add_metric([str(action)], float(str(count)))
            yield journal
            now = int(self._node.store.now().timestamp() * 1_000_000)
            found = rows(_EXPIRY, now=now)
            about = ("domain",)
            yield _gauge("troth_expired", "Certificates in use whose dates are over.", about, [r[:2] for r in found])
            yield _gauge("troth_expiring", "Those that end in 30 days.", about, [(r[0], r[2]) for r in found])
            text = "Days until the first certificate in use ends; negative if one has."
            yield _gauge("troth_days_to_expiry", text, about, [(r[0], r[3]) for r in found if r[3] is not None])
            ise = rows(_ISE)
            text = "1 for the state that an ISE server is in."
            labels = ("server", "role", "state")
            yield _gauge("troth_ise_state", text, labels, [(*row[:3], 1) for row in ise])
            text = "Active sessions that an ISE server counted last."
            yield _gauge("troth_ise_active_sessions", text, ("server", "role"), [(r[0], r[1], r[3]) for r in ise])


def _gauge(name: str, about: str, labels: tuple[str, ...], rows: list[tuple[object, ...]]) -> GaugeMetricFamily:
    made = GaugeMetricFamily(name, about, labels=labels)
    for *values, count in rows:
        made.add_metric([str(each) for each in values], float(str(count)))
    return made
