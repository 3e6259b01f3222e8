"""The versions of the tables: numbered files of SQL, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from troth.errors import StoreVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

_NAME = re.compile(r"(\d{4})_([a-z_]+)\.sql")
# Any number, as long as nobody else in this database locks it: "troth" in ASCII.
LOCK = 0x74726F7468


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from a version of the tables to the next."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """What tells whether a database was made by this text or another."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Read the steps, in order."""
    found = []
    for file in resources.files("troth.database").joinpath("migrations").iterdir():
        named = _NAME.fullmatch(file.name)
        if named:
            found.append(Migration(number=int(named[1]), name=named[2], sql=file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda each: each.number)


def migrate(connection: psycopg.Connection[tuple[object, ...]], steps: Sequence[Migration] | None = None) -> list[int]:
    """Apply the steps that are missing; give their numbers. Several may call it at once: one does it, the others wait.

    Args:
        connection: In autocommit mode.
        steps: All steps, in order; by default those that came with Troth.

    Raises:
        StoreVersion: The database was made by a newer Troth, or by other steps than these.
    """
    known = migrations() if steps is None else list(steps)
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version (number integer PRIMARY KEY, name text NOT NULL,"
            " digest text NOT NULL)"
        )
        rows = connection.execute("SELECT number, name, digest FROM schema_version ORDER BY number").fetchall()
        applied = {int(str(number)): (str(name), str(digest)) for number, name, digest in rows}
        _require_ours(applied, known)
        done = []
        for step in known:
            if step.number not in applied:
                with connection.transaction():
                    connection.execute(step.sql.encode())
                    connection.execute(
                        "INSERT INTO schema_version VALUES (%s, %s, %s)", (step.number, step.name, step.digest)
                    )
                done.append(step.number)
        return done
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


def _require_ours(applied: dict[int, tuple[str, str]], known: Sequence[Migration]) -> None:
    ours = {step.number: step for step in known}
    for number, (name, digest) in applied.items():
        if number not in ours:
            raise StoreVersion(
                f"The database was made by a newer Troth: it has step {number} ({name}).",
                next_command="install that version, or restore a backup made by this one",
            )
        if ours[number].digest != digest:
            raise StoreVersion(
                f"The database was made by another step {number} ({name}) than this Troth's.",
                why="a step that was released never changes",
            )
