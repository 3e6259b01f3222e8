"""One line per entry, as plain text and numbers: what `list` shows, with nothing imported that it does not need.

Listing is what people run most, and most of a short command's time is imports. So this module knows no certificate, no
fingerprint and no date type; the store's `listing` gives the same lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from troth.store.engine import Connection

_QUERY = """
SELECT e.host, e.port, e.protocol, e.domain,
       CASE WHEN e.state = 'active' AND p.state = 'revoked' THEN 'revoked' ELSE e.state END,
       (SELECT count(*) FROM pin p WHERE p.entry = e.id AND p.state = 'current'),
       coalesce(p.kind, ''), CASE WHEN p.fingerprint IS NULL THEN '' ELSE 'sha256:' || {fingerprint} END,
       coalesce(p.state, ''),
       coalesce(c.subject, ''), coalesce(c.slash, ''),
       {not_after},
       {last_seen}
FROM entry e
LEFT JOIN pin p ON p.entry = e.id AND p.position = (
    SELECT q.position FROM pin q WHERE q.entry = e.id
    ORDER BY q.state = 'current' DESC, q.state = 'quarantined' DESC, q.state = 'next' DESC, q.state = 'revoked' DESC,
             q.position DESC LIMIT 1)
LEFT JOIN certificate c ON c.fingerprint = CASE
    WHEN p.fingerprint IS NULL THEN e.presented
    WHEN p.kind = 'certificate' THEN p.fingerprint
    ELSE p.certificate END
WHERE (CAST(? AS TEXT) IS NULL OR e.domain = ?) AND (? OR e.state <> 'deleted' OR p.state = 'quarantined')
ORDER BY e.host, e.port, e.protocol
"""


class Dialect(NamedTuple):
    """The few words that the engines' SQL does not share; `{}` stands for the column.

    Args:
        hex: A digest as small hexadecimal digits.
        moment: Microseconds since 1970 as RFC 3339.
    """

    hex: str
    moment: str


class Listed(NamedTuple):
    """One line of a listing.

    `kind`, `fingerprint` and `pin_state` are those of the pin that matters most, and subject and dates are those of its
    certificate; `pins` counts the current ones. `state` is the entry's, or `revoked` if nothing else is left of it.
    Times are RFC 3339 in UTC, or None. `slash` is the subject in the incumbent's form.
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


def listing(
    connection: Connection, dialect: Dialect, *, domain: str | None = None, deleted: bool = False
) -> list[Listed]:
    """Read one line per entry, ordered by host and port; tombstones only where `deleted`, or where something waits."""
    query = _QUERY.format(
        fingerprint=dialect.hex.format("p.fingerprint"),
        not_after=dialect.moment.format("c.not_after"),
        last_seen=dialect.moment.format("e.last_seen"),
    )
    return [Listed(*row) for row in connection.execute(query, (domain, domain, deleted))]
