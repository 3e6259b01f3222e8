"""How far this machine saw a store's journal come: in memory for each question, and in the witness for the next start."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from troth.store import witness
from troth.store.paths import prepare_folder
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
            known = self._seen or witness.read(self._path)
            if known is None:
                prepare_folder(self._path.parent)
                witness.write(self._path, found, durable=True)
            else:
                witness.require(known, self._name, store, record)
                if known.seq >= seq:
                    found = known  # another thread was faster
                else:
                    # Only for the next start, so it need not wait for the disk; what this node writes itself does.
                    witness.write(self._path, found)
            self._seen = found

    def raise_to(self, seq: int, digest: bytes) -> None:
        """Remember a record that was just committed, and wait until that is on the disk."""
        with self._lock:
            if self._seen is not None and seq > self._seen.seq:
                self._seen = Witness(self._seen.store, seq, digest.hex())
                witness.write(self._path, self._seen, durable=True)
