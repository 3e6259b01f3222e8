"""Side roads to trust: a revoked CA, modes that forget, settings made beforehand, expectations in a relaxed mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.making import by_asyncio, by_socket, fresh, key_pem, view
from tests.simulators.recorder import Recorder
from tests.tls.authority import Authority, pem
from troth import manage
from troth.errors import BadInput, CertificateRejected, CertificateRevoked
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, EntryState, Expiry, Override, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.store.authorities import add_authority, set_strictness
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.verdict import Decision, Verdict

OTHER = Fingerprint.of(b"another")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Recorder]:
    """A host that writes down what reaches it."""
    folder = tmp_path / "host"
    folder.mkdir()
    made = Recorder(folder, protocol="echo", ask=False)
    yield made
    made.close()


@pytest.fixture
def root() -> Authority:
    """A CA."""
    return Authority("Root")


def look(store: SqliteStore, server: Recorder, **options: object) -> Decision:
    """Check the host."""
    target = Target(endpoint=Endpoint("127.0.0.1", server.port), timeout_s=15)
    return check_target(store, target, **options)  # type: ignore[arg-type]  # handed on


def issue(server: Recorder, authority: Authority, *sent: Authority) -> CertificateView:
    """Give the host a certificate of a CA, with the CA certificates that it sends along."""
    leaf, key = authority.issue("127.0.0.1")
    server.present((pem(leaf) + b"".join(pem(each.certificate) for each in sent), key_pem(key)))
    return view(pem(leaf))


def trust(store: SqliteStore, authority: Authority, mode: CheckMode = CheckMode.CA) -> CertificateView:
    """Trust a CA in the domain system, and set its mode; nobody is asked about revocation."""
    held = view(pem(authority.certificate))
    add_authority(store, "system", "ca", held)
    set_strictness(store, "system", "off")
    manage.set_domain(store, "system", Override(mode=mode))
    return held


FORMS: dict[str, Callable[[CertificateView], Fingerprint]] = {
    "certificate": lambda held: held.fingerprint,
    "key": lambda held: held.spki,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_revoked_root_that_is_not_sent_vouches_for_nobody(
    store: SqliteStore, server: Recorder, root: Authority, form: str
) -> None:
    """Mode ca: after its certificate or its key was revoked, the anchor's old and new leaves are rejected, in every way."""
    held = trust(store, root)
    issue(server, root)
    assert look(store, server).verdict is Verdict.FIRST_USE
    store.revoke(FORMS[form](held), reason="stolen")
    decision = look(store, server)
    assert (decision.verdict, decision.trusted) == (Verdict.REVOKED, False)
    assert "a CA above it" in decision.why
    assert "stolen" in decision.why
    issue(server, root)
    assert look(store, server).verdict is Verdict.REVOKED
    for way in (by_socket, by_asyncio):
        with pytest.raises(CertificateRejected):
            way(store, server.port)
    assert not any(visit.received for visit in server.settled())


@pytest.mark.parametrize("form", FORMS)
def test_an_intermediate_that_is_the_anchor_can_be_revoked(
    store: SqliteStore, server: Recorder, root: Authority, form: str
) -> None:
    """A path ends at an intermediate in the CA store: its own certificate counts, not only those below it."""
    held = trust(store, middle := Authority("Middle", parent=root))
    issue(server, middle)
    store.revoke(FORMS[form](held))
    assert look(store, server).verdict is Verdict.REVOKED


@pytest.mark.parametrize("form", FORMS)
def test_an_issuer_pin_is_revoked_with_its_ca(store: SqliteStore, server: Recorder, root: Authority, form: str) -> None:
    """An issuer pin is current no more after its CA's certificate or key was revoked, and never again."""
    held = view(pem(root.certificate))
    where = Endpoint("127.0.0.1", server.port)
    issue(server, root)
    manage.pin(store, where, kind=PinKind.ISSUER, view=held)
    assert look(store, server).verdict is Verdict.MATCH
    store.revoke(FORMS[form](held))
    entry = store.entry(where)
    assert entry
    assert [pin.state for pin in entry.pins] == [PinState.REVOKED]
    assert not look(store, server).trusted
    with pytest.raises(BadInput):
        manage.pin(store, where, kind=PinKind.ISSUER, view=held)


@pytest.mark.parametrize("form", FORMS)
def test_a_revoked_ca_on_the_sent_chain_is_seen_at_first_use(
    store: SqliteStore, server: Recorder, root: Authority, form: str
) -> None:
    """Trust on first use: what is sent along is read, so a revoked CA is met by its certificate and by its key."""
    middle = Authority("Middle", parent=root)
    store.revoke(FORMS[form](view(pem(middle.certificate))))
    issue(server, middle, middle)
    assert look(store, server).verdict is Verdict.REVOKED
    with pytest.raises(CertificateRevoked):
        by_socket(store, server.port)


def test_a_revoked_ca_is_not_trusted_anew(store: SqliteStore, root: Authority) -> None:
    """What was revoked is not imported as a CA."""
    held = view(pem(root.certificate))
    store.revoke(held.spki)
    with pytest.raises(BadInput, match="vouches for nobody"):
        add_authority(store, "system", "ca", held)


def test_mode_ca_releases_nobody_from_quarantine(store: SqliteStore, server: Recorder, root: Authority) -> None:
    """A host that waits goes on waiting in mode ca, and after it; with its fingerprint it comes in, if its chain is valid."""
    trust(store, root, CheckMode.STRICT)
    leaf = issue(server, root)
    where = Endpoint("127.0.0.1", server.port)
    assert look(store, server).verdict is Verdict.UNAPPROVED
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    assert look(store, server).verdict is Verdict.UNAPPROVED
    manage.set_domain(store, "system", Override(mode=CheckMode.TOFU))
    server.change()
    assert look(store, server).verdict is Verdict.UNAPPROVED
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    presented = look(store, server).presented.leaf
    assert look(store, server, expect=presented.fingerprint).verdict is Verdict.INVALID_CHAIN, "vouched for, and no CA"
    leaf = issue(server, root)
    assert look(store, server, expect=leaf.fingerprint).verdict is Verdict.FIRST_USE
    entry = store.entry(where)
    assert entry
    assert (entry.state, entry.pins) == (EntryState.ACTIVE, ())
    assert look(store, server).verdict is Verdict.MATCH


def test_mode_ca_revives_nobody(store: SqliteStore, server: Recorder, root: Authority) -> None:
    """A tombstone stays one in mode ca, also of a host that was known by its chain alone; only its --next gets out."""
    trust(store, root)
    issue(server, root)
    where = Endpoint("127.0.0.1", server.port)
    assert look(store, server).verdict is Verdict.FIRST_USE
    successor = issue(server, root)
    manage.delete(store, manage.resolve(store, str(where)), successor.fingerprint)
    issue(server, root)
    assert look(store, server).verdict is Verdict.UNAPPROVED
    manage.set_domain(store, "system", Override(mode=CheckMode.TOFU))
    server.change()
    assert look(store, server).verdict is Verdict.UNAPPROVED


def test_a_host_that_was_known_by_its_chain_is_no_stranger_to_pins(
    store: SqliteStore, server: Recorder, root: Authority
) -> None:
    """After mode ca, another certificate is a change; the same one is met and pinned; a revocation makes no stranger."""
    trust(store, root)
    leaf = issue(server, root)
    kept = server.material
    where = Endpoint("127.0.0.1", server.port)
    look(store, server)
    manage.set_domain(store, "system", Override(mode=CheckMode.TOFU))
    server.change()
    assert look(store, server).verdict is Verdict.CHANGED
    server.present(kept)
    assert look(store, server).verdict is Verdict.MATCH
    entry = store.entry(where)
    assert entry
    assert [pin.fingerprint for pin in entry.current] == [leaf.fingerprint]
    server.change()
    assert look(store, server).verdict is Verdict.CHANGED


def test_a_revoked_leaf_of_a_ca_makes_no_stranger(store: SqliteStore, server: Recorder, root: Authority) -> None:
    """A host without pins whose certificate was revoked is on record all the same: another one is not learned."""
    trust(store, root)
    leaf = issue(server, root)
    look(store, server)
    store.revoke(leaf.spki)
    manage.set_domain(store, "system", Override(mode=CheckMode.TOFU))
    server.change()
    assert look(store, server).verdict is Verdict.CHANGED


@pytest.mark.parametrize("mode", [CheckMode.OBSERVE, CheckMode.DISABLE])
@pytest.mark.parametrize("known", [False, True], ids=["stranger", "known"])
def test_a_failed_expectation_is_a_rejection_in_every_mode(
    store: SqliteStore, server: Recorder, mode: CheckMode, known: bool
) -> None:
    """Who says what it must be is told when it is not, also where nothing else is checked."""
    if known:
        look(store, server)
    manage.set_domain(store, "system", Override(mode=mode))
    decision = look(store, server, expect=OTHER)
    assert (decision.verdict, decision.trusted) == (Verdict.CHANGED, False)
    assert look(store, server, expect=decision.presented.leaf.fingerprint).trusted


def test_settings_made_beforehand_take_no_host_out_of_its_domain(store: SqliteStore, server: Recorder) -> None:
    """A host with settings and no record is a stranger in the domain that the caller names."""
    where = Endpoint("127.0.0.1", server.port)
    manage.set_domain(store, "devicemgmt", Override(mode=CheckMode.STRICT, expired=Expiry.REJECT))
    manage.set_policy(store, where, Override(pin=PinKind.KEY))
    decision = look(store, server, domain="devicemgmt")
    assert (decision.verdict, decision.policy.pin, decision.policy.expired) == (
        Verdict.UNAPPROVED,
        PinKind.KEY,
        Expiry.REJECT,
    )
    entry = store.entry(where)
    assert entry
    assert entry.domain == "devicemgmt"
    assert look(store, server, domain="pubnet").verdict is Verdict.UNAPPROVED, "it waits where it was met"


def test_settings_with_a_domain_keep_it(store: SqliteStore, server: Recorder) -> None:
    """Settings for an unknown host may name its domain, and a caller who names none meets it there."""
    where = Endpoint("127.0.0.1", server.port)
    manage.set_domain(store, "devicemgmt", Override(mode=CheckMode.STRICT))
    manage.set_policy(store, where, Override(pin=PinKind.KEY), domain="devicemgmt")
    assert look(store, server).verdict is Verdict.UNAPPROVED


def test_an_issuer_pin_and_a_certificate_pin_hold_for_one_member_each(
    store: SqliteStore, server: Recorder, root: Authority
) -> None:
    """Of two members behind one name, one is held by its CA and one by its certificate; a third is a change."""
    by_itself = look(store, server).presented.leaf
    kept = server.material
    where = Endpoint("127.0.0.1", server.port)
    manage.pin(store, where, kind=PinKind.ISSUER, view=view(pem(root.certificate)))
    assert look(store, server).verdict is Verdict.MATCH
    issue(server, root)
    assert look(store, server).trusted
    server.present(kept)
    decision = look(store, server)
    assert (decision.verdict, decision.presented.leaf.fingerprint) == (Verdict.MATCH, by_itself.fingerprint)
    server.present(fresh())
    assert look(store, server).verdict is Verdict.CHANGED
