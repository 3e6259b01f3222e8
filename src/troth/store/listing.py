"""One line per entry, as plain text and numbers: what `list` shows, with nothing imported that it does not need.

Listing is what people run most, and most of a short command's time is imports. So this module knows no certificate, no
fingerprint and no date type; `SqliteStore.listing` gives the same lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

_QUERY = """
SELECT e.host, e.port, e.protocol, e.domain, e.state,
       (SELECT count(*) FROM pin p WHERE p.entry = e.id AND p.state = 'current'),
       coalesce(p.kind, ''), coalesce('sha256:' || lower(hex(p.fingerprint)), ''), coalesce(p.state, ''),
       coalesce(c.subject, ''), coalesce(c.slash, ''),
       strftime('%Y-%m-%dT%H:%M:%SZ', c.not_after / 1000000, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%SZ', e.last_seen / 1000000, 'unixepoch')
FROM entry e
LEFT JOIN pin p ON p.entry = e.id AND p.position = (
    SELECT q.position FROM pin q WHERE q.entry = e.id
    ORDER BY q.state = 'current' DESC, q.state = 'quarantined' DESC, q.state = 'next' DESC, q.position DESC LIMIT 1)
LEFT JOIN certificate c ON c.fingerprint = coalesce(p.certificate, e.presented)
WHERE (?1 IS NULL OR e.domain = ?1) AND (?2 OR e.state <> 'deleted')
ORDER BY e.host, e.port, e.protocol
"""


class Listed(NamedTuple):
    """One line of a listing.

    `kind`, `fingerprint` and `pin_state` are those of the pin that matters most; `pins` counts the current ones. Times
    are RFC 3339 in UTC, or None. `slash` is the subject in the incumbent's form.
    """

    host: str
    port: int
    protocol: str
    domain: str
    state: str
    pins: int
    kind: str
    fingerprint: str
    pin_state: str
    subject: str
    slash: str
    not_after: str | None
    last_seen: str | None

    @property
    def endpoint(self) -> str:
        """The endpoint, as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def key(self) -> str:
        """The incumbent's entry key."""
        return f"{self.host}_{self.port}"


def listing(connection: sqlite3.Connection, *, domain: str | None = None, deleted: bool = False) -> list[Listed]:
    """Read one line per entry, ordered by host and port; tombstones only where `deleted`."""
    return [Listed(*row) for row in connection.execute(_QUERY, (domain, deleted))]
