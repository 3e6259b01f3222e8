"""Things that happen at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def at_once(things: Sequence[Callable[[], object]]) -> list[object]:
    """Do things in threads that start together; give what each gave, or the error that it ended with."""
    gate = threading.Barrier(len(things))
    found: list[object] = [None] * len(things)

    def run(place: int) -> None:
        gate.wait(60)
        try:
            found[place] = things[place]()
        except Exception as error:  # noqa: BLE001  # it is handed back
            found[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(things))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
        assert not each.is_alive()
    return found
