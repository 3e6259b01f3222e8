"""The trust store over each engine: what it keeps, who wins a race, and what a reader may rely on."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.model.making import simple
from tests.store.conftest import presented, view
from tests.stores import Place, place_for
from troth import exchange, manage
from troth.errors import BadInput, NotFound
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, EntryState, Override, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.store import authorities
from troth.store.audit import audit
from troth.store.base import Store
from troth.trust.verdict import Presented, Verdict

HOST = Endpoint("ise.example.com", 443)
ROOT = Path(__file__).parents[2]


def in_another_process(place: Place, program: str, *words: str) -> subprocess.Popen[str]:
    """Start a program that has the store at this place as `store`."""
    opening = "import sys\nfrom tests.stores import Place\nstore = Place.read(sys.argv[1]).open()\n"
    return subprocess.Popen(
        [sys.executable, "-c", opening + program, place.text, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_decision_is_on_the_disk_when_it_is_told(place: Place) -> None:
    """What one process learned, another knows, with its certificate, its evidence and its journal."""
    place.open().judge(HOST, presented("a"))
    other = place.open()
    found = other.entry(HOST)
    assert found is not None
    assert found.current[0].fingerprint == view("a").fingerprint
    assert other.certificate(view("a").fingerprint) == view("a")
    assert [record.action for record in other.records()] == ["first-use"]
    assert not audit(other).faults


def test_of_parallel_first_uses_that_differ_one_wins(place: Place) -> None:
    """Threat 3, in threads that share a store and in stores of their own."""
    shared = place.open()
    verdicts: list[tuple[Verdict, str]] = []
    start = threading.Barrier(12)

    def learn(number: int) -> None:
        store = shared if number % 2 else place.open()
        name = f"cert {number % 4}"
        leaf = presented(name)
        start.wait()
        verdicts.append((store.judge(HOST, leaf).verdict, name))

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(12)]
    for name in range(4):
        view(f"cert {name}")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(verdicts) == 12
    (winner,) = [name for verdict, name in verdicts if verdict is Verdict.FIRST_USE]
    assert all((verdict is Verdict.CHANGED) == (name != winner) for verdict, name in verdicts)
    assert not audit(shared).faults


RACER = """
from tests.store.conftest import make_view
from troth.model.endpoint import Endpoint
from troth.trust.verdict import Presented
leaf = Presented(leaf=make_view(sys.argv[2]))
store.version()
print("ready", flush=True)
for line in sys.stdin:
    print(store.judge(Endpoint(line.strip(), 443), leaf).verdict.value, flush=True)
"""


def test_of_processes_that_meet_a_stranger_at_once_one_wins(place: Place) -> None:
    """Threat 3, in processes: each round, each meets the same stranger with a certificate of its own, and one wins."""
    place.open().version()
    racers = [in_another_process(place, RACER, f"racer {number}") for number in range(4)]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for round_ in range(25):
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(f"host-{round_}\n")
                racer.stdin.flush()
            verdicts = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
            assert sorted(verdicts) == ["changed"] * (len(racers) - 1) + ["first-use"]
    finally:
        for racer in racers:
            racer.communicate()
    assert not audit(place.open()).faults


def test_the_version_changes_with_every_commit_and_only_then(place: Place) -> None:
    """The token that contexts hold their pins against differs after each commit of any process."""
    store = place.open()
    store.judge(HOST, presented("a"))
    before = store.version()
    assert store.version() == before
    store.entry(HOST)
    assert store.version() == before
    program = "from troth.model.fingerprint import Fingerprint\nstore.revoke(Fingerprint.of(b'x'))"
    with in_another_process(place, program) as process:
        process.communicate()
    assert process.returncode == 0
    assert store.version() != before


def test_what_is_read_after_a_token_is_never_older_than_the_token(place: Place) -> None:
    """A reader that finds the same token again may rely on what it read: commits in between always show."""
    writer, rounds = place.open(), 60
    writer.judge(HOST, presented("a"))
    written: dict[bytes, int] = {writer.version(): 0}
    seen: list[tuple[bytes, int]] = []
    ready, done = threading.Barrier(4), threading.Event()

    def read() -> None:
        reader = place.open()
        ready.wait()
        while not done.is_set():
            token, entry = reader.version(), reader.entry(HOST)
            assert entry is not None
            seen.append((token, int(entry.server_name or 0)))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    ready.wait()
    for number in range(1, rounds):
        writer.change(HOST, "rename", lambda entry: replace(entry, server_name=str(number)))  # type: ignore[type-var]
        written[writer.version()] = number
    done.set()
    for each in readers:
        each.join()
    assert len(written) == rounds
    known = [(written[token], data) for token, data in seen if token in written]
    assert known
    assert all(data >= at for at, data in known)


def test_a_change_that_is_not_committed_shows_nowhere(place: Place) -> None:
    """While another's change is not committed, neither its token nor its data are seen; then both are."""
    store, other = place.open(), place.open()
    store.judge(HOST, presented("a"))
    before = store.version()
    inside, go = threading.Event(), threading.Event()

    def change() -> None:
        with other.transaction():
            other.revoke(view("a").fingerprint)
            inside.set()
            go.wait()

    thread = threading.Thread(target=change)
    thread.start()
    inside.wait()
    assert store.version() == before
    assert store.review(HOST, presented("a")).trusted
    go.set()
    thread.join()
    assert store.version() != before
    assert store.review(HOST, presented("a")).verdict is Verdict.REVOKED


def test_a_transaction_inside_another_is_part_of_it(store: Store) -> None:
    """Methods that change, called inside a transaction, see what it did, and are kept or lost with it."""
    with pytest.raises(RuntimeError), store.transaction():
        store.judge(HOST, presented("a"))
        with store.transaction():
            store.revoke(view("a").fingerprint)
            assert [each for each, *_ in store.revocations()] == [view("a").fingerprint]
            assert [record.seq for record in store.records()] == [1, 2, 3]
        raise RuntimeError
    assert store.entry(HOST) is None
    assert list(store.records()) == []
    with store.transaction():
        store.judge(HOST, presented("a"))
        store.keep_certificate(view("b"))
    assert [record.seq for record in store.records()] == [1]
    assert not audit(store).faults


def test_a_statement_that_fails_inside_a_transaction_loses_all_of_it(store: Store) -> None:
    """An error of the database that a caller swallows does not let half of the transaction pass for the whole."""
    store.judge(HOST, presented("a"))
    with pytest.raises(Exception), store.transaction() as connection:  # noqa: B017  # each engine has its own
        store.revoke(view("a").fingerprint)
        connection.execute("INSERT INTO no_such_table VALUES (?)", (1,))
    assert store.revocations() == []
    assert not audit(store).faults


def test_settings_and_authorities_are_kept(store: Store) -> None:
    """The CA store of a domain, and how revocation is asked for, in either engine."""
    ca = CertificateView.from_der(simple("ca", ca=True))
    authorities.add_authority(store, "system", "root", ca)
    with pytest.raises(BadInput, match="taken"):
        authorities.add_authority(store, "system", "root", ca)
    assert [each.alias for each in authorities.authorities(store, "system")] == ["root"]
    authorities.delete_authority(store, "system", "root")
    with pytest.raises(NotFound):
        authorities.delete_authority(store, "system", "root")
    authorities.set_follows_system(store, "pubnet", True)
    authorities.set_follows_system(store, "pubnet", False)
    assert not authorities.follows_system(store, "pubnet")
    authorities.set_strictness(store, "user", "prefer")
    assert authorities.revocation_of(store, "user").strictness == "prefer"


def test_a_nul_in_a_text_is_stored_by_neither_engine_as_something_else(store: Store) -> None:
    """PostgreSQL keeps no NUL in a text; a reason that holds one is kept all the same, and the journal holds."""
    store.revoke(Fingerprint.of(b"x"), reason="stolen\0| or not")
    (_, _, _, reason) = store.revocations()[0]
    assert reason.startswith("stolen")
    assert reason.endswith("| or not")
    (record,) = store.records()
    assert record.detail["reason"] == reason
    assert not audit(store).faults


def story(store: Store) -> None:
    """Give a store something of everything."""
    one, two, ca = (CertificateView.from_der(simple(name)) for name in ("one", "Zwei é", "three"))
    for number, host in enumerate(("b.example.com", "a_b", "B", "Ä", "2001:db8::1", "zz")):
        store.judge(Endpoint(host, 443 + number), Presented(leaf=(one, two)[number % 2]), domain="pubnet")
    manage.announce(store, manage.resolve(store, "zz:448"), ca.spki, PinKind.KEY)
    store.judge(Endpoint("zz", 448), Presented(leaf=one))
    manage.delete(store, manage.resolve(store, "a_b:444"), None)
    manage.set_domain(store, "devicemgmt", Override(mode=CheckMode.STRICT))
    store.judge(Endpoint("waits", 1, "smtp"), Presented(leaf=ca), domain="devicemgmt")
    store.revoke(two.spki, reason="lost", at=datetime(2026, 1, 1, tzinfo=UTC), by="somebody")
    store.keep_certificate(ca)


def test_both_engines_tell_the_same(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The same story gives the same listing, the same export and, hash by hash, the same journal."""
    told: list[tuple[object, ...]] = []
    for engine in ("sqlite", "postgres"):
        with place_for(request, engine, tmp_path / engine) as place:
            store = place.open(clock=lambda: datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC), actor="tester")
            story(store)
            listings = [store.listing(), store.listing(deleted=True), store.listing(domain="pubnet")]
            records = [record.document() for record in store.records()]
            kept = {each for each, *_ in store.revocations()}
            told.append((listings, records, exchange.export(store), list(store.entries()), kept, audit(store)))
    assert told[0] == told[1]
    assert len(told[0][1]) > 10  # type: ignore[arg-type]  # the journal


def test_revocation_reaches_every_endpoint_that_bears_the_key(store: Store) -> None:
    """Revoking a key revokes the pins of every certificate with it, everywhere, and a later pin of it is refused."""
    for number in range(3):
        store.judge(Endpoint(f"h{number}", 443), presented("shared"))
    touched = store.revoke(view("shared").spki, reason="stolen")
    assert len(touched) == 3
    for number in range(3):
        assert store.judge(Endpoint(f"h{number}", 443), presented("shared")).verdict is Verdict.REVOKED
    assert store.judge(Endpoint("new", 443), presented("shared")).verdict is Verdict.REVOKED
    with pytest.raises(BadInput, match="revoked"):
        manage.pin(store, Endpoint("x", 1), kind=PinKind.CERTIFICATE, view=view("shared"))
    assert not audit(store).faults


def test_revoking_one_certificate_leaves_its_key_alone(store: Store) -> None:
    """A key pin outlives the revocation of one of its certificates, but that certificate is refused."""
    manage.set_policy(store, HOST, Override(pin=PinKind.KEY))
    store.judge(HOST, presented("a"))
    store.revoke(view("a").fingerprint)
    found = store.entry(HOST)
    assert found is not None
    assert found.current
    assert store.judge(HOST, presented("a")).verdict is Verdict.REVOKED


def test_a_failed_change_changes_nothing(store: Store) -> None:
    """An exception in the middle of a change leaves entry and journal as they were."""
    store.judge(HOST, presented("a"))
    before = (store.entry(HOST), [record.seq for record in store.records()])

    def fail(_: object) -> object:
        raise MemoryError

    with pytest.raises(MemoryError):
        store.change(HOST, "test", fail)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError), store.transaction():
        store.revoke(view("a").fingerprint)
        raise RuntimeError
    assert (store.entry(HOST), [record.seq for record in store.records()]) == before
    assert store.judge(HOST, presented("a")).verdict is Verdict.MATCH


def test_quarantine_and_deletion_are_states_not_absences(store: Store) -> None:
    """A quarantined or deleted endpoint is still on record, with its history."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    assert store.judge(HOST, presented("a")).verdict is Verdict.UNAPPROVED
    waiting = store.entry(HOST)
    assert waiting is not None
    assert (waiting.state, waiting.pins[0].state) == (EntryState.QUARANTINED, PinState.QUARANTINED)
    approved = manage.approve(store, waiting, view("a").fingerprint)
    assert approved.state is EntryState.ACTIVE
    gone = manage.delete(store, approved, None)
    assert gone.state is EntryState.DELETED
    assert gone.having(PinState.RETIRED)
    assert store.listing() == []
    assert len(store.listing(deleted=True)) == 1
