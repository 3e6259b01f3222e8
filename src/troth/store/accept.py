"""The way out when a store was restored or lost on purpose: a person says so, and the journal keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadInput, NotFound
from troth.store import paths
from troth.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from troth.database.pool import Database
    from troth.store.base import Store


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
    _go_on(witness, lambda: SqliteStore.open(database), empty=empty)
    return f"accepted: {what}"


def accept_database(database: Database, folder: Path, *, really: bool) -> str:
    """Go on with what is in the database now, although this node saw more of it, or another one.

    A program that runs goes by what it saw itself, so it refuses the database until it is started again.

    Args:
        database: The pool.
        folder: Where the node keeps what it saw; see `PostgresStore`.
        really: Do it; without, only say what would be done.

    Raises:
        NotFound: This node never saw the database, so there is nothing to accept.
    """
    from troth.store.postgres import WITNESS, PostgresStore

    witness = folder / WITNESS
    if not witness.exists():
        raise NotFound("There is nothing to accept: this node never saw a database.", next_command="troth status")
    what = "go on with the database as it is, and with what it trusts"
    if not really:
        return f"this would {what}; to do it, add --yes"
    _go_on(witness, lambda: PostgresStore(database, folder), empty=False)
    return f"accepted: {what}"


def _go_on(witness: Path, opening: Callable[[], Store], *, empty: bool) -> None:
    aside = witness.with_suffix(".witness.old")
    witness.replace(aside)
    try:
        with opening() as store, store.transaction() as connection:
            store.journal(connection, "accept", "store", {"empty": empty, "witness": aside.read_text()[:200].strip()})
    except BaseException:
        aside.replace(witness)
        raise
