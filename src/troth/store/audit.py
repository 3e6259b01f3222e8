"""Hold the store against its journal: every hash, and every entry against the last record about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.store import journal, rows
from troth.store.journal import subject_of

if TYPE_CHECKING:
    from troth.store.protocol import TrustStore

MAX_FAULTS = 50


@dataclass(slots=True)
class Audit:
    """What an audit found; intact if there are no faults."""

    records: int = 0
    entries: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)


def audit(store: TrustStore) -> Audit:
    """Verify the whole journal and the whole store, in one pass over each."""
    found = Audit()
    last: dict[str, dict[str, object]] = {}

    def watched() -> object:
        for record in store.records():
            found.records, found.head = record.seq, record.hash.hex()
            after = record.detail.get("after")
            if isinstance(after, dict):
                last[record.subject] = after
            yield record

    for fault in journal.faults(watched()):  # type: ignore[arg-type]  # a generator of records
        found.faults.append(fault)
        if len(found.faults) == MAX_FAULTS:
            return found
    for entry in store.entries():
        found.entries += 1
        name = subject_of(entry.endpoint)
        if last.pop(name, None) != rows.trust_state(entry):
            found.faults.append(
                f"{name} is not as the journal left it: its trust was changed behind the journal's back."
            )
    found.faults += [
        f"{name} is in the journal and not in the store." for name, after in last.items() if "pins" in after
    ]
    return found
