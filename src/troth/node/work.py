"""What a node does by itself: look at the hosts it knows, ask ISE, and tell people."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from troth.ise.models import Condition
from troth.ise.poll import Poller
from troth.ise.state import EventKind
from troth.notify.courier import Courier
from troth.notify.events import Cause, Event, Kind, Severity
from troth.notify.outbox import Outbox
from troth.watch.runner import Watch

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from troth.ise.state import Event as IseEvent
    from troth.node.node import Node

_KINDS = {EventKind.TROUBLE: Kind.INTEGRATION_TROUBLE, EventKind.REGAINED: Kind.INTEGRATION_REGAINED}
# Nothing was sent to these, and nothing will be before a person looked.
_GRAVE = frozenset({Condition.CHANGED, Condition.REJECTED})


def background(node: Node, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
    """Give what runs beside the server until `stop` is set."""
    watch = Watch(node.database, node.store.acting("watch"), clock=node.store.now)
    courier = Courier(Outbox(node.database, node.channels, clock=node.store.now))
    return [watch.run(stop), courier.run(stop), _poll_ise(node.acting("ise"), stop)]


async def _poll_ise(node: Node, stop: asyncio.Event) -> None:
    """Poll in a loop of its own: a second look at a host that was refused would hold up the server's."""
    poller = Poller(node.ise, node.store, tell=lambda event: node.board.add([told(event)]), clock=node.store.now)
    own: dict[str, Any] = {}

    async def go() -> None:
        own["loop"], own["task"] = asyncio.get_running_loop(), asyncio.current_task()
        with suppress(asyncio.CancelledError):
            await poller.run()

    running = asyncio.ensure_future(asyncio.to_thread(asyncio.run, go()))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if "loop" in own:
        with suppress(RuntimeError):  # it has ended by itself
            own["loop"].call_soon_threadsafe(own["task"].cancel)
    await running


def told(event: IseEvent) -> Event:
    """Give an event of an ISE server as it is told to people."""
    kind = _KINDS.get(event.kind, Kind.INTEGRATION_NOTE)
    severity = Severity.INFO
    if event.kind is EventKind.TROUBLE:
        severity = Severity.CRITICAL if event.condition in _GRAVE else Severity.WARNING
    words = str(event.condition if event.kind is EventKind.TROUBLE else event.kind).replace("-", " ")
    return Event(
        kind=kind,
        severity=severity,
        endpoint=event.endpoint,
        domain="system",
        what=f"The ISE server {event.endpoint}: {words}.",
        why=event.why,
        next_command=event.next_step if re.match(r"(troth|ncs) ", event.next_step) else "",
        advice="" if re.match(r"(troth|ncs) ", event.next_step) else event.next_step,
        cause=Cause(key=f"ise:{event.condition}"),
        at=event.at,
    )
