"""Whatever a command does can be asked of the API as well, or there is a reason why not."""

from __future__ import annotations

import argparse

import pytest

from tests.server.office import OPERATION
from troth.cli import main as cli

LOCAL = "it is about this machine, before or without a server that could be asked"
# What each command does, and the operations that do it; or why none does.
COVERED: dict[str, dict[str, tuple[str, ...] | str]] = {
    "init": {"": LOCAL},
    "serve": {"": LOCAL},
    "status": {"": ("status",)},
    "stop": {"": "who stops a node must be able to start it: its service manager, or a person on the machine"},
    "backup": {"": "it holds every key and secret of the node, which leave the machine by no network"},
    "restore": {"": LOCAL},
    "check": {"": ("check",)},
    "list": {"": ("listEntries", "listRevocations", "listHints")},
    "show": {"": ("getEntry", "getCertificate")},
    "history": {"": ("getHistory", "listJournal")},
    "pin": {"": ("pin",)},
    "approve": {"": ("approve",)},
    "replace": {"": ("replace",)},
    "announce": {"": ("announce", "withdraw")},
    "revoke": {"": ("revoke", "revokeEntry")},
    "delete": {"": ("deleteEntry",)},
    "policy": {"show": ("listPolicies",), "set": ("setDomainPolicy", "setEntryPolicy")},
    "export": {"": ("exportTrust",)},
    "import": {"": ("importTrust",)},
    "journal": {
        "verify": ("verifyJournal",),
        "export": ("listJournal",),
        "accept": "a store that was rolled back is gone on with by a person at the machine, for the server stops over it",
    },
    "key": {
        "show": ("listKeys",),
        "generate": ("generateKey",),
        "csr": ("requestCertificate",),
        "import": ("importCertificate",),
        "activate": ("activateCertificate",),
    },
    "ise": {
        "add": ("addIseServer", "changeIseServer"),
        "list": ("listIseServers",),
        "test": ("testIseServer",),
        "remove": ("removeIseServer",),
    },
    "user": {
        "list": ("listUsers", "getUser"),
        "add": ("addUser",),
        "passwd": ("setPassword", "setOwnPassword"),
        "role": ("changeUser",),
        "disable": ("changeUser",),
        "enable": ("changeUser",),
        "delete": ("deleteUser",),
        "totp": ("enrolSecondFactor", "confirmSecondFactor", "removeSecondFactor"),
        "token": ("makeToken",),
        "tokens": ("listTokens",),
        "revoke-token": ("revokeToken",),
    },
    "events": {"list": ("listEvents",)},
    "silence": {"list": ("listSilences",), "add": ("addSilence",), "remove": ("endSilence",)},
    "mail": {"show": ("listChannels",), "set": ("setChannel",), "test": ("testChannel",), "remove": ("removeChannel",)},
    "completion": {"": LOCAL},
    "demo": {"": LOCAL},
}
# What only a caller over the network needs, and the lines of the incumbent's grammar that no command of Troth's has.
BESIDES = {
    *("logIn", "logOut", "me", "listLogins", "endLogin"),
    *("listAuthorities", "addAuthority", "changeAuthorities", "deleteAuthority", "getResponders", "setResponders"),
}


def actions(command: str) -> set[str]:
    """Give the actions of a command, by its own parser."""
    found = [
        set(map(str, each.choices))
        for each in cli.parser_for(command)._actions
        if each.dest == "action" and each.choices and not isinstance(each, argparse._SubParsersAction)
    ]
    return found[0] if found else {""}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_operations(command: str) -> None:
    """Each action of it, by its parser: a new one must be added here, and to the API."""
    covered = COVERED[command]
    assert set(covered) == actions(command)
    for names in covered.values():
        if isinstance(names, str):
            assert len(names) > 20
        else:
            assert set(names) <= set(OPERATION)


def test_every_operation_is_somebodys() -> None:
    """No operation does what no command does, but for those that are named here."""
    named = {
        name for each in COVERED.values() for names in each.values() if not isinstance(names, str) for name in names
    }
    assert set(OPERATION) == named | BESIDES
