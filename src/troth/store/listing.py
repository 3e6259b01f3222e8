"""One line per entry, as plain text and numbers: what `list` shows, with nothing imported that it does not need.

Listing is what people run most, and most of a short command's time is imports. So this module knows no certificate, no
fingerprint and no date type; the store's `listing` gives the same lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from troth.store.engine import Connection

_COLUMNS = """
SELECT e.host, e.port, e.protocol, e.domain,
       CASE WHEN e.state = 'active' AND p.state = 'revoked' THEN 'revoked' ELSE e.state END,
       (SELECT count(*) FROM pin p WHERE p.entry = e.id AND p.state = 'current'),
       coalesce(p.kind, ''), CASE WHEN p.fingerprint IS NULL THEN '' ELSE 'sha256:' || {fingerprint} END,
       coalesce(p.state, ''),
       coalesce(c.subject, ''), coalesce(c.slash, ''),
       {not_after},
       {last_seen}
"""
_JOINS = """
LEFT JOIN pin p ON p.entry = e.id AND p.position = (
    SELECT q.position FROM pin q WHERE q.entry = e.id
    ORDER BY q.state = 'current' DESC, q.state = 'quarantined' DESC, q.state = 'next' DESC, q.state = 'revoked' DESC,
             q.position DESC LIMIT 1)
LEFT JOIN certificate c ON c.fingerprint = CASE
    WHEN p.fingerprint IS NULL THEN e.presented
    WHEN p.kind = 'certificate' THEN p.fingerprint
    ELSE p.certificate END
"""
_ORDER = "ORDER BY e.host, e.port, e.protocol"
_QUERY = f"""{_COLUMNS} FROM entry e {_JOINS}
WHERE (CAST(? AS TEXT) IS NULL OR e.domain = ?) AND (? OR e.state <> 'deleted' OR p.state = 'quarantined')
{_ORDER}
"""  # constants
# The entries of the page are found first, along their index; only then is looked up what is said about each of them.
_PAGE = f"""{_COLUMNS} FROM (SELECT * FROM entry e WHERE {{where}} {_ORDER} LIMIT {{limit}}) e {_JOINS}
{_ORDER}
"""  # noqa: S608  # constants
_WAITS = "e.id IN (SELECT q.entry FROM pin q WHERE q.state = 'quarantined')"
_CONDITIONS = {
    "domain": "e.domain = {}",
    "state": "e.state = {}",
    "host": "e.host LIKE {} ESCAPE '!'",
    "after": "(e.host, e.port, e.protocol) > ({}, {}, {})",
}
# A subject is looked for among the certificates, which are many bytes: that is asked for by itself.
_SUBJECT = (
    "(e.presented IN (SELECT fingerprint FROM certificate WHERE lower(subject) LIKE {0} ESCAPE '!')"
    " OR e.id IN (SELECT p.entry FROM pin p JOIN certificate c ON c.fingerprint = p.certificate"
    " WHERE lower(c.subject) LIKE {0} ESCAPE '!'))"
)
_HOLDS = (
    "(e.presented = {0} OR e.id IN (SELECT entry FROM pin WHERE fingerprint = {0} OR certificate = {0})"
    " OR e.id IN (SELECT p.entry FROM pin p JOIN certificate c ON c.fingerprint = p.certificate WHERE c.spki = {0}))"
)


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

    @property
    def waits(self) -> bool:
        """Whether a certificate waits there for approval."""
        return self.pin_state == "quarantined"

    def expired(self, now: str) -> bool:
        """Whether its certificate's dates are over; `now` is of the same form as they, so texts compare as times do."""
        return self.not_after is not None and self.not_after < now


class Wanted(NamedTuple):
    """Which entries are meant; what is None does not matter.

    Args:
        domain: The domain.
        state: `active`, `quarantined` or `deleted`; without, all but the deleted ones where nothing waits.
        waits: Whether a certificate waits there for approval.
        host: A part of the host's name.
        subject: A part of a certificate's subject.
        digest: A certificate's or key's SHA-256.
        after: The host, port and protocol of the last entry of the page before.
        limit: At most so many.
    """

    domain: str | None = None
    state: str | None = None
    waits: bool | None = None
    host: str | None = None
    subject: str | None = None
    digest: bytes | None = None
    after: tuple[str, int, str] | None = None
    limit: int = 100


def page(connection: Connection, dialect: Dialect, wanted: Wanted) -> list[Listed]:
    """Read one page of a listing, searched and cut in the database."""
    parts: list[str] = []
    values: list[object] = []
    for condition, given in _conditions(wanted):
        part = condition.format(*"?" * len(given))
        parts.append(part)
        # What stands in it several times is given as often.
        values += given * (part.count("?") // len(given)) if given else ()
    query = _PAGE.format(where=" AND ".join(parts), limit="?", **_words(dialect))
    return [Listed(*row) for row in connection.execute(query, (*values, wanted.limit))]


def _conditions(wanted: Wanted) -> list[tuple[str, tuple[object, ...]]]:
    found: list[tuple[str, tuple[object, ...]]] = []
    if wanted.domain is not None:
        found.append((_CONDITIONS["domain"], (wanted.domain,)))
    here = (f"(e.state <> 'deleted' OR {_WAITS})", ())
    found.append(here if wanted.state is None else (_CONDITIONS["state"], (wanted.state,)))
    if wanted.waits is not None:
        found.append((_WAITS if wanted.waits else f"NOT ({_WAITS})", ()))
    if wanted.after is not None:
        found.append((_CONDITIONS["after"], wanted.after))
    if wanted.digest is not None:
        found.append((_HOLDS, (wanted.digest,)))
    if wanted.host:
        found.append((_CONDITIONS["host"], (_anywhere(wanted.host),)))
    if wanted.subject:
        found.append((_SUBJECT, (_anywhere(wanted.subject),)))
    return found


def _anywhere(text: str) -> str:
    plain = "".join(f"!{each}" if each in "!%_" else each for each in text.lower())
    return f"%{plain}%"


def _words(dialect: Dialect) -> dict[str, str]:
    return {
        "fingerprint": dialect.hex.format("p.fingerprint"),
        "not_after": dialect.moment.format("c.not_after"),
        "last_seen": dialect.moment.format("e.last_seen"),
    }


def listing(
    connection: Connection, dialect: Dialect, *, domain: str | None = None, deleted: bool = False
) -> list[Listed]:
    """Read one line per entry, ordered by host and port; tombstones only where `deleted`, or where something waits."""
    query = _QUERY.format(**_words(dialect))
    return [Listed(*row) for row in connection.execute(query, (domain, domain, deleted))]
