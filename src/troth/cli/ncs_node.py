"""`ncs status`, `ncs start`, `ncs stop`: the incumbent's words for a node and its parts."""

from __future__ import annotations

from troth.cli import output

_START_LIMIT_S = 180.0
_STOP_LIMIT_S = 120.0
_NAMES = {"database": "Database server", "application": "NMS Server"}


def status(given: dict[str, str]) -> int:
    """Say of each part whether it runs; exit code 1 if one does not."""
    del given
    from troth.errors import NodeNotRunning
    from troth.node import control
    from troth.node.home import Home, find

    home = Home(find())
    try:
        found = control.ask(home, "status")
    except NodeNotRunning:
        output.say("Health Monitor Server is stopped")
        for name in _NAMES.values():
            output.say(f"{name} is stopped")
        output.note("next: ncs start")
        return 1
    state = "HA not Configured" if found["role"] == "standalone" else found["role"]
    output.say(f"Health Monitor Server is running. ( [Role] {str(found['role']).title()} [State] {state} )")
    for part in found["parts"]:
        word = "running" if part["state"] == "running" else f"not running ({part['state']})"
        output.say(f"{_NAMES.get(part['name'], part['name'])} is {word}")
    return 0 if found["state"] == "running" else 1


def start(given: dict[str, str]) -> int:
    """Start the node in the background, and wait until every part runs."""
    del given
    from troth.node.home import Home, find
    from troth.node.launch import start as launch

    home = Home(find())
    output.note("starting; this can take a minute")
    launch(home, limit_s=_START_LIMIT_S)
    output.say("started")
    return 0


def stop(given: dict[str, str]) -> int:
    """Stop the node, and wait until it has ended."""
    del given
    from troth.node.home import Home, find
    from troth.node.launch import stop as end

    end(Home(find()), limit_s=_STOP_LIMIT_S)
    output.say("stopped")
    return 0
