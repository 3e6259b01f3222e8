"""How far this machine saw a store's journal come: in memory for each question, and in the witness for the next start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from troth.store import witness
from troth.store.paths import lock_path, locked, prepare_folder
from troth.store.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Watermark:
    """The highest record that was seen. A store that does not have it any more is not the store that it was.

    Args:
        path: The witness.
        name: What errors call the store.
    """

    def __init__(self, path: Path, name: str):
        self._path = path
        self._name = name
        self._lock = threading.Lock()
        self._seen: Witness | None = None

    def hold(self, store: str, seq: int, digest: bytes, record: Callable[[int], bytes | None]) -> None:
        """Hold a store's identity and the last record of its journal against what was seen, and remember what is new.

        Args:
            store: Its identity.
            seq: The number of its last record; 0 if there is none.
            digest: The hash of that record.
            record: Gives the hash of any record.

        Raises:
            StoreRolledBack: It is another store, or an older one, or its journal was rewritten.
        """
        found = Witness(store, seq, digest.hex())
        if found == self._seen:
            return
        with self._lock:
            written = witness.read(self._path)
            # Both: another process of this machine may have seen more, and one that was there before an acceptance less.
            for known in {each for each in (self._seen, written) if each is not None}:
                witness.require(known, self._name, store, record)
            if self._seen is None or seq > self._seen.seq:
                # Only for the next start, so it need not wait for the disk; what this machine writes itself does.
                self._advance(found, durable=written is None)

    def raise_to(self, seq: int, digest: bytes) -> None:
        """Remember a record that was just committed, and wait until that is on the disk."""
        with self._lock:
            if self._seen is not None and seq > self._seen.seq:
                self._advance(Witness(self._seen.store, seq, digest.hex()), durable=True)

    def _advance(self, found: Witness, *, durable: bool) -> None:
        prepare_folder(self._path.parent)
        with locked(lock_path(self._path)):
            written = witness.read(self._path)
            if written is None or written.store != found.store or written.seq < found.seq:
                witness.write(self._path, found, durable=durable)
        self._seen = found
