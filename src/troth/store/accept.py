"""The way out when a store was restored or lost on purpose: a person says so, and the journal keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadInput, NotFound
from troth.store import paths
from troth.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


def accept(path: Path | None = None, *, empty: bool, really: bool) -> str:
    """Go on with the store that is there now, or with an empty one, although the witness speaks against it.

    Args:
        path: The database file; the default place if None.
        empty: Begin again with nothing. What was there is set aside, not removed.
        really: Do it; without, only say what would be done.

    Raises:
        NotFound: There is no witness, so there is nothing to accept.
        BadInput: There is a store, and `empty` was asked; or there is none, and it was not.
    """
    database = path or paths.default_path()
    witness = paths.witness_path(database)
    if not witness.exists():
        raise NotFound("There is nothing to accept: no store was ever here.", next_command="troth list")
    there = database.exists() and database.stat().st_size > 0
    if empty and there:
        raise BadInput(
            f"There is a trust store at {database}; it is not thrown away.",
            next_command=f"mv {database} somewhere else first",
        )
    if not empty and not there:
        raise BadInput(
            f"There is no trust store at {database}.",
            next_command="restore a copy of it; or: troth journal accept --empty --yes",
        )
    what = "begin again with nothing: every host is a stranger" if empty else f"go on with {database} as it is"
    if not really:
        return f"this would {what}; to do it, add --yes"
    if empty:
        database.unlink(missing_ok=True)
    aside = witness.with_suffix(".witness.old")
    witness.replace(aside)
    try:
        with SqliteStore.open(database) as store, store.transaction() as connection:
            store.journal(connection, "accept", "store", {"empty": empty, "witness": aside.read_text()[:200].strip()})
    except BaseException:
        aside.replace(witness)
        raise
    return f"accepted: {what}"
