"""Attacks on people, and on the changes that they make: fatigue, hostile successors, deletions (threats 32, 33 and 36)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attacks.conftest import Command, Fickler, Lying, Record
from tests.attacks.making import WAYS, by_check, by_socket, der, fresh, make, view, way_name
from tests.simulators.liar import Hello, relay12, relay13
from tests.stores import on_both_engines
from troth import manage
from troth.cli.main import COMMANDS, parser_for
from troth.errors import BadInput, CertificateRejected, TrothError
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import EntryState, PinKind, PinState
from troth.store.base import Store
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.verdict import Verdict

each_way = pytest.mark.parametrize("way", WAYS, ids=way_name)
Way = Callable[..., None]


def here(port: int) -> Endpoint:
    """Give the endpoint of a port."""
    return Endpoint("127.0.0.1", port)


# Threat 32


@pytest.mark.parametrize("command", ["replace", "approve"])
def test_threat_32_nothing_is_accepted_without_its_fingerprint(command: str, record: Record, troth: Command) -> None:
    """Threat 32: whoever replaces or approves names the fingerprint; there is no word that takes whatever comes."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    troth("check", where)
    server.change()
    troth("check", where)
    before = troth("show", where, "--json").out
    for words in ((), ("--expect", ""), ("--yes",), ("--force",), ("--all",), ("--expect", "any"), ("--expect", "*")):
        assert troth(command, where, *words).code == 2
    assert troth("show", where, "--json").out == before


def test_threat_32_no_command_takes_many_hosts_and_trusts_them() -> None:
    """Threat 32: no command that changes trust takes several endpoints, or has an option that accepts them all."""
    for command in COMMANDS:
        parser = parser_for(command)
        options = {word for action in parser._actions for word in action.option_strings}
        assert not options & {"--force", "--accept", "--accept-all", "--insecure", "--no-verify", "-k", "-f"}
        if command in ("replace", "approve", "pin", "delete", "announce", "revoke"):
            assert not any(action.nargs in ("+", "*") for action in parser._actions), command
            assert "--all" not in options


@pytest.mark.parametrize("keep", [8, 16, 32, 62, 63])
def test_threat_32_the_beginning_of_a_fingerprint_is_not_enough(keep: int, record: Record, troth: Command) -> None:
    """Threat 32: the machine compares all of a fingerprint; a part of the right one is no fingerprint."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    troth("check", where)
    right = str(server.change().fingerprint)
    head, _, digits = right.partition(":")
    assert troth("replace", where, "--expect", f"{head}:{digits[:keep]}").code == 2
    swapped = digits[:-1] + ("0" if digits[-1] != "0" else "1")
    assert troth("replace", where, "--expect", f"{head}:{swapped}").code == 3
    assert troth("replace", where, "--expect", right).code == 0


def test_threat_32_one_bad_host_among_many_is_not_hidden(record: Record, troth: Command) -> None:
    """Threat 32: of many hosts in one call the one that changed decides the exit code, is named, and is not replaced."""
    good = [record(ask=False) for _ in range(12)]
    bad = good[7]
    places = [f"127.0.0.1:{server.port}" for server in good]
    assert troth("check", *places).code == 0
    bad.change()
    done = troth("check", *places)
    assert done.code == 3
    assert done.err.count("rejected:") == 1
    assert f"127.0.0.1:{bad.port}" in done.err
    assert troth("check", *places, "--quiet").code == 3
    answer = troth("check", *places, "--json").document
    assert [each["endpoint"] for each in answer["results"] if not each["trusted"]] == [f"127.0.0.1:{bad.port}"]


def test_threat_32_asking_again_makes_nothing_trusted(record: Record, troth: Command) -> None:
    """Threat 32: however often a rejected host is asked again, it stays rejected, and nothing is ever prompted for."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    troth("check", where)
    server.change()
    for _ in range(4):
        done = troth("check", where, stdin="yes\ny\n\n")
        assert done.code == 3
        assert "?" not in done.out


# Threat 33


ANNOUNCED = make("announced")


@on_both_engines
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@each_way
def test_threat_33_an_announced_certificate_must_be_possessed(
    way: Way, version: str, lying: Lying, store: Store
) -> None:
    """Threat 33: whoever shows the announced certificate without its key does not promote it; the current one stays."""
    data = der(ANNOUNCED[0])
    liar = lying(relay12(data) if version == "1.2" else relay13(data))
    current, following = view(fresh("current")[0]), CertificateView.from_der(data)
    manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=current)
    entry = store.entry(here(liar.port))
    assert entry is not None
    for kind, fingerprint in ((PinKind.CERTIFICATE, following.fingerprint), (PinKind.KEY, following.spki)):
        manage.announce(store, entry, fingerprint, kind)
    for _ in range(2):
        with pytest.raises((TrothError, OSError)):
            way(store, liar.port)
    entry = store.entry(here(liar.port))
    assert entry is not None
    assert [pin.fingerprint for pin in entry.current] == [current.fingerprint]
    assert len(entry.having(PinState.NEXT)) == 2


@on_both_engines
@each_way
def test_threat_33_the_current_one_stays_until_the_next_is_used(way: Way, fickle: Fickler, store: Store) -> None:
    """Threat 33: after an announcement both are met; once the next one was used, the old one is a change, whoever shows it."""
    one, two, three = fresh("one"), fresh("two"), fresh("three")
    order = [one]
    server = fickle(lambda number, hello: order[0], ask=False)
    way(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    manage.announce(store, entry, view(two[0]).fingerprint, PinKind.CERTIFICATE)
    way(store, server.port)
    order[0] = three
    with pytest.raises(CertificateRejected):
        way(store, server.port)
    order[0] = two
    for _ in range(2):
        way(store, server.port)
    order[0] = one
    known = len(server.settled())
    with pytest.raises(CertificateRejected):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))


@on_both_engines
@each_way
def test_threat_33_a_withdrawn_successor_is_a_change(way: Way, fickle: Fickler, store: Store) -> None:
    """Threat 33: an announcement that was taken back lets nobody in; what was revoked cannot be announced."""
    one, two = fresh("one"), fresh("two")
    order = [one]
    server = fickle(lambda number, hello: order[0], ask=False)
    way(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    following = view(two[0])
    manage.announce(store, entry, following.fingerprint, PinKind.CERTIFICATE)
    manage.withdraw(store, entry, following.fingerprint)
    order[0] = two
    known = len(server.settled())
    with pytest.raises(CertificateRejected):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))
    store.revoke(following.fingerprint)
    with pytest.raises(BadInput):
        manage.announce(store, entry, following.fingerprint, PinKind.CERTIFICATE)


# Threat 36


@on_both_engines
@each_way
def test_threat_36_a_deleted_host_is_not_learned_again(way: Way, record: Record, store: Store) -> None:
    """Threat 36: after a deletion whoever comes waits, with zero bytes, however often: the old host, and the impostor."""
    server = record(ask=False)
    way(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    manage.delete(store, entry, None)
    known = len(server.settled())
    for _ in range(2):
        with pytest.raises(CertificateRejected):
            way(store, server.port)
        server.change()
    with pytest.raises(CertificateRejected):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))
    entry = store.entry(here(server.port))
    assert entry is not None
    assert entry.state is EntryState.DELETED
    assert entry.current == ()


@on_both_engines
def test_threat_36_only_the_named_successor_comes_in(fickle: Fickler, store: Store) -> None:
    """Threat 36: a deletion that names the successor lets that one in, with its key, and no other."""
    old, named, other = fresh("old"), fresh("named"), fresh("other")
    order = [old]

    def choose(number: int, hello: Hello) -> tuple[bytes, bytes]:
        return order[0]

    server = fickle(choose, ask=False)
    by_socket(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    manage.delete(store, entry, view(named[0]).fingerprint)
    for each in (other, old):
        order[0] = each
        with pytest.raises(CertificateRejected):
            by_check(store, server.port)
    order[0] = named
    assert check_target(store, Target(endpoint=here(server.port))).verdict is Verdict.PROMOTED
    for way in WAYS:
        way(store, server.port)


def test_threat_36_an_approval_is_for_what_was_compared(fickle: Fickler, store: SqliteStore, troth: Command) -> None:
    """Threat 36: between the look and the approval the waiting certificate may change; then the approval is refused."""
    old, shown, swapped = fresh("old"), fresh("shown"), fresh("swapped")
    order = [old]
    server = fickle(lambda number, hello: order[0], ask=False)
    where = f"127.0.0.1:{server.port}"
    assert troth("check", where).code == 0
    assert troth("delete", where).code == 0
    order[0] = shown
    assert troth("check", where).code == 4
    order[0] = swapped
    assert troth("check", where).code == 4
    assert troth("approve", where, "--expect", str(view(shown[0]).fingerprint)).code == 3
    assert troth("check", where).code == 4
    assert troth("approve", where, "--expect", str(view(swapped[0]).fingerprint)).code == 0
    assert troth("check", where).code == 0
