"""The witness: a small file beside the store that says which store is here, and how far its journal had come.

A database that vanished looks like one that never was, and an old copy of it like a good one: both would make every
host a stranger again (or revive what was revoked). The witness is what tells them apart. It is written after each
commit, never before, so it can lag behind the journal but not run ahead of it; and it never goes back.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from troth.errors.base import StoreRolledBack, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SIZE = 256
_ACCEPT = "troth journal accept"


class Witness(NamedTuple):
    """Which store was here, and the last record of its journal that is known."""

    store: str
    seq: int
    hash: str


def read(path: Path) -> Witness | None:
    """Read the witness; None if there is none.

    Raises:
        StoreUnusable: It is there and cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be read.", why=error.strerror or str(error)) from None
    try:
        return _parsed(data)
    except (ValueError, KeyError, TypeError):
        raise StoreUnusable(
            f"{path} is damaged, so it cannot be told whether the trust store is complete.",
            why="it is not the line that Troth writes",
            next_command="troth journal accept --yes, which sets it aside; then: troth journal verify",
        ) from None


def write(path: Path, witness: Witness, *, durable: bool = False) -> None:
    """Write the witness in place, in one write of one size, so that no reader sees half of it.

    It never goes back: if another process has noted a later record of the same store, that one stays.
    """
    text = json.dumps({"store": witness.store, "seq": witness.seq, "hash": witness.hash})
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not _is_ahead(os.pread(handle, _SIZE, 0), witness):
            os.pwrite(handle, text.ljust(_SIZE - 1).encode() + b"\n", 0)
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def _is_ahead(data: bytes, witness: Witness) -> bool:
    try:
        known = _parsed(data)
    except (ValueError, KeyError, TypeError):
        return False
    return known.store == witness.store and known.seq > witness.seq


def _parsed(data: bytes) -> Witness:
    fields = json.loads(data)
    return Witness(str(fields["store"]), int(fields["seq"]), str(fields["hash"]))


def require(known: Witness, name: object, store: str, record: Callable[[int], bytes | None]) -> None:
    """Stop if a store is not the one that the witness knows, or its journal does not hold what it held.

    Args:
        known: What the witness knows.
        name: What the error calls the store.
        store: The identity of the store that is there.
        record: Gives the hash of a record of its journal.

    Raises:
        StoreRolledBack: It is not.
    """
    if known.store != store:
        raise StoreRolledBack(
            f"{name} is another trust store than the one that was here.",
            why=f"store {store} in place of {known.store}",
            next_command=f"{_ACCEPT}, if you put it there yourself",
        )
    found = record(known.seq) if known.seq else None
    if known.seq and (found is None or found.hex() != known.hash):
        raise StoreRolledBack(
            f"{name} is not the store that it was: record {known.seq} of its journal "
            + ("is missing." if found is None else "is another one."),
            why="an old copy was put back, or the journal was rewritten; what was revoked since would be trusted",
            next_command=f"restore the newest copy; or, if you put this one back yourself: {_ACCEPT}",
        )
