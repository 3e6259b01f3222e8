"""The tables of the SQLite store, and the steps that lead from each version to the next.

Times are INTEGER microseconds since 1970 in UTC; fingerprints are 32-byte BLOBs. What `list` shows of a certificate is
stored beside it as text, so that listing never parses one.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x54524F54  # "TROT"

_V1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE certificate (
    fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),
    spki        BLOB NOT NULL CHECK (length(spki) = 32),
    der         BLOB NOT NULL,
    subject     TEXT NOT NULL,
    slash       TEXT NOT NULL,
    issuer      TEXT NOT NULL,
    not_before  INTEGER,
    not_after   INTEGER
) STRICT;
CREATE INDEX certificate_spki ON certificate (spki);

CREATE TABLE entry (
    id          INTEGER PRIMARY KEY,
    host        TEXT NOT NULL,
    port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    protocol    TEXT NOT NULL,
    domain      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'deleted')),
    mode        TEXT,
    pin         TEXT,
    expired     TEXT,
    server_name TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    last_seen   INTEGER,
    presented   BLOB,
    rejected    BLOB,
    rejected_at INTEGER,
    UNIQUE (host, port, protocol)
) STRICT;

CREATE TABLE pin (
    entry       INTEGER NOT NULL REFERENCES entry (id),
    position    INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('key', 'certificate', 'issuer')),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    state       TEXT NOT NULL CHECK (state IN ('current', 'next', 'retired', 'revoked', 'quarantined')),
    evidence    TEXT NOT NULL,
    added_at    INTEGER NOT NULL,
    added_by    TEXT NOT NULL,
    certificate BLOB,
    first_seen  INTEGER,
    last_seen   INTEGER,
    PRIMARY KEY (entry, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX pin_fingerprint ON pin (fingerprint);
CREATE INDEX pin_certificate ON pin (certificate);

CREATE TABLE revocation (
    fingerprint BLOB PRIMARY KEY CHECK (length(fingerprint) = 32),
    revoked_at  INTEGER NOT NULL,
    revoked_by  TEXT NOT NULL,
    reason      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE policy (
    domain  TEXT PRIMARY KEY,
    mode    TEXT NOT NULL,
    pin     TEXT NOT NULL,
    expired TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE authority (
    domain      TEXT NOT NULL,
    alias       TEXT NOT NULL,
    certificate BLOB NOT NULL REFERENCES certificate (fingerprint),
    added_at    INTEGER NOT NULL,
    added_by    TEXT NOT NULL,
    PRIMARY KEY (domain, alias)
) STRICT, WITHOUT ROWID;

CREATE TABLE hint (
    host     TEXT NOT NULL,
    port     INTEGER NOT NULL,
    subject  TEXT NOT NULL,
    source   TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (host, port)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    origin   TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;
CREATE INDEX journal_subject ON journal (subject);
CREATE TRIGGER journal_is_append_only_u BEFORE UPDATE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_append_only_d BEFORE DELETE ON journal BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
"""

MIGRATIONS: tuple[str, ...] = (_V1,)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """Bring the tables from version `found` to `VERSION`, inside the caller's transaction."""
    for step in MIGRATIONS[found:]:
        for statement in _statements(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _statements(script: str) -> list[str]:
    """Split a script by complete statements; `executescript` would commit the caller's transaction."""
    found, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found
