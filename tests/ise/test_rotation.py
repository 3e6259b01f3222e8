"""A coming rotation: announced when ISE itself says so over the pinned channel, and in no other case."""

from __future__ import annotations

import pytest

from tests.ise.conftest import PASSWORD, Start, ask, place
from tests.simulators.ise import IseSimulator
from troth import manage
from troth.errors import CertificateChanged, IseNotMonitoring, IseWrongGroup
from troth.ise import rotation
from troth.ise.client import IseClient
from troth.ise.models import Node
from troth.ise.rotation import Plan, node_for, plan
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, Override, PinState
from troth.store.sqlite import SqliteStore
from troth.trust.verdict import Verdict


def look(store: SqliteStore, ise: IseSimulator, **options: str) -> Plan:
    """Look once."""

    async def question(client: IseClient) -> Plan:
        return await rotation.look(client, store)

    return ask(store, ise, question, **options)  # type: ignore[arg-type]


def entry(store: SqliteStore, ise: IseSimulator) -> Entry:
    """Read the record."""
    found = store.entry(place(ise))
    assert found is not None
    return found


def test_a_rotation_that_was_seen_in_advance_is_no_alarm(store: SqliteStore, ise: IseSimulator) -> None:
    """Bound on ISE, announced here, presented after the restart: accepted, and the old one retires."""
    assert look(store, ise) == Plan()
    coming = ise.prepare()
    view = ise.bind(coming)
    seen = look(store, ise)
    assert seen.announce is not None
    assert seen.announce.fingerprint == view.fingerprint
    assert [pin.fingerprint for pin in entry(store, ise).having(PinState.NEXT)] == [view.fingerprint]
    assert look(store, ise) == Plan(), "it is announced once"
    old = ise.material
    ise.present(coming)
    ask(store, ise, lambda c: c.version())
    assert [pin.fingerprint for pin in entry(store, ise).current] == [view.fingerprint]
    assert any(each.action == Verdict.PROMOTED.value for each in store.records())
    ise.present(old)
    with pytest.raises(CertificateChanged):
        ask(store, ise, lambda c: c.version())


def test_a_rotation_that_was_not_listed_is_still_an_alarm(store: SqliteStore, ise: IseSimulator) -> None:
    """What is announced is one certificate, not a licence to change."""
    look(store, ise)
    ise.bind(ise.prepare())
    look(store, ise)
    ise.present(ise.prepare())
    with pytest.raises(CertificateChanged):
        ask(store, ise, lambda c: c.version())


@pytest.mark.parametrize("used_by", ["", "EAP Authentication", "Portal, RADIUS DTLS", "pxGrid", "Administrator"])
def test_certificates_for_other_uses_are_not_announced(store: SqliteStore, ise: IseSimulator, used_by: str) -> None:
    """Port 443 presents the one for Admin; another one's key need not be trusted here."""
    look(store, ise)
    ise.bind(ise.prepare(), used_by)
    assert look(store, ise) == Plan()
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_an_impostor_who_passes_requests_on_is_found_out(store: SqliteStore, ise: IseSimulator) -> None:
    """Who was pinned at first use, and lets the real ISE answer, is not on ISE's list; nothing is announced then."""
    real = ise.listed
    ise.new_certificate()
    ise.listed = real
    ise.bind(ise.prepare())
    seen = look(store, ise)
    assert not seen.listed
    assert seen.announce is None
    assert str(ise.view.fingerprint) in seen.why
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_retired_and_revoked_certificates_are_not_announced(store: SqliteStore, ise: IseSimulator) -> None:
    """A list cannot bring back what was trusted before, nor what was revoked."""
    look(store, ise)
    first = ise.material
    coming = ise.prepare()
    ise.bind(coming)
    look(store, ise)
    ise.present(coming)
    look(store, ise)
    ise.bind(first)
    assert look(store, ise) == Plan()
    third = ise.prepare()
    view = ise.bind(third)
    store.revoke(view.fingerprint)
    seen = look(store, ise)
    assert seen.announce is None
    assert "revoked" in seen.why
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_an_announcement_that_was_taken_back_stays_so(store: SqliteStore, ise: IseSimulator) -> None:
    """The next look does not undo what a person decided."""
    look(store, ise)
    view = ise.bind(ise.prepare())
    assert look(store, ise).announce is not None
    manage.withdraw(store, entry(store, ise), view.fingerprint)
    seen = look(store, ise)
    assert seen.announce is None
    assert "taken back" in seen.why
    assert str(view.fingerprint) in seen.next_step
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_several_at_once_are_for_a_person(store: SqliteStore, ise: IseSimulator) -> None:
    """Only one can be next: which one is not guessed."""
    look(store, ise)
    second, third = ise.prepare(), ise.prepare()
    ise.bind(second)
    listed = ise.listed
    ise.bind(third)
    ise.listed = [*listed, ise.listed[-1]]
    seen = look(store, ise)
    assert (seen.announce, len(seen.coming)) == (None, 2)
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_announcements_do_not_pile_up(store: SqliteStore, ise: IseSimulator) -> None:
    """Somebody who names a new one each hour gets two, and then a person looks."""
    look(store, ise)
    for _ in range(rotation.MAX_PENDING + 2):
        ise.bind(ise.prepare())
        look(store, ise)
    assert len(entry(store, ise).having(PinState.NEXT)) == rotation.MAX_PENDING


@pytest.mark.parametrize("mode", [each for each in CheckMode if each is not CheckMode.TOFU])
def test_where_a_person_decides_it_is_only_told(store: SqliteStore, ise: IseSimulator, mode: CheckMode) -> None:
    """Strict mode has a person approve what is trusted; the others hold nothing against a pin."""
    look(store, ise)
    ise.bind(ise.prepare())
    listed = ask(store, ise, lambda c: c.certificates("ise-1"))
    seen = plan(entry(store, ise), mode, listed)
    assert (seen.announce, len(seen.coming)) == (None, 1)
    assert "troth announce" in seen.next_step
    assert plan(entry(store, ise), CheckMode.TOFU, listed).announce is not None


def test_strict_mode_is_asked_about_in_the_store(store: SqliteStore, ise: IseSimulator) -> None:
    """The mode is the one in force at the endpoint."""
    look(store, ise)
    ise.bind(ise.prepare())
    manage.set_policy(store, place(ise), Override(mode=CheckMode.STRICT))
    assert look(store, ise).announce is None
    assert entry(store, ise).having(PinState.NEXT) == ()


def test_where_the_open_api_cannot_be_had(store: SqliteStore, ise: IseSimulator) -> None:
    """Older versions have none, and a monitoring administrator may not read it: an error, and no change."""
    ise.open_api = False
    with pytest.raises(IseNotMonitoring):
        look(store, ise)
    ise.open_api = True
    ise.add_user("reader", PASSWORD, "MnT Admin")
    with pytest.raises(IseWrongGroup):
        look(store, ise, user="reader")
    ise.listed = []
    assert look(store, ise) == Plan()


def test_which_node_an_endpoint_is() -> None:
    """By address, by name with or without its domain; a node alone need not be named; in doubt, none."""
    one, two = Node(hostname="ISE-1", fqdn="ise-1.example.com", address="192.0.2.1"), Node(hostname="ise-2")
    for host in ("192.0.2.1", "ise-1", "ise-1.example.com"):
        assert node_for(Endpoint(host, 443), (one, two)) == one
    assert node_for(Endpoint("load-balancer", 443), (one, two)) is None
    assert node_for(Endpoint("load-balancer", 443), (two,)) == two
    assert node_for(Endpoint("ise-1", 443), (one, one)) is None
    assert node_for(Endpoint("ise-1", 443), ()) is None


def test_another_nodes_list_announces_nothing(store: SqliteStore, start: Start) -> None:
    """The list of the node that answers in another's place does not hold what this endpoint presents."""
    first, second = start("ise-1"), start("ise-2")
    first.listed = second.listed
    first.bind(first.prepare())
    assert not look(store, first).listed
