"""Export and import: a whole store goes out and comes back, and a hostile file takes nothing over that it must not (threat 28)."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.model.making import simple
from tests.stores import ENGINES, place_for
from troth import exchange, manage
from troth.cli.main import main
from troth.errors import BadFile
from troth.formats import MAX_BYTES, ImportedDocument, ImportedPin, Revocation, dump_json, dump_toml, load
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Entry, EntryState, Evidence, Expiry, Override, Pin, PinKind, PinState, Policy
from troth.model.fingerprint import Fingerprint
from troth.store import open_store
from troth.store.base import Store
from troth.trust.verdict import Presented, Verdict

DUMPS: dict[str, Callable[[ImportedDocument], str]] = {"toml": dump_toml, "json": dump_json}
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
ONE, TWO, THREE = (CertificateView.from_der(simple(each)) for each in ("one", "two", "three"))
A, B, C, D, MAIL = (
    Endpoint.parse(each) for each in ("192.0.2.1:8082", "[2001:db8::1]:443", "a_b.example", "d", "mail:25")
)
MAIL = replace(MAIL, protocol="smtp")


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Opens stores of their own, of each engine."""
    with contextlib.ExitStack() as opened:
        yield lambda name: opened.enter_context(place_for(request, request.param, tmp_path / name)).open()


@pytest.fixture
def store(make: Callable[[str], Store]) -> Store:
    """An empty store."""
    return make("home")


def meet(store: Store, where: Endpoint, view: CertificateView, **more: object) -> Verdict:
    """Meet a host that presents a certificate."""
    return store.judge(where, Presented(leaf=view, chain=(view.der,)), **more).verdict  # type: ignore[arg-type]  # handed on


def pin(view: CertificateView, state: PinState = PinState.CURRENT, **fields: object) -> Pin:
    """Make a certificate pin."""
    given: dict[str, object] = {
        "kind": PinKind.CERTIFICATE, "fingerprint": view.fingerprint, "state": state, "evidence": Evidence.FIRST_USE, "added_at": WHEN,
        "certificate": view.fingerprint,
    }  # fmt: skip
    return Pin(**{**given, **fields})  # type: ignore[arg-type]  # handed on


def entry(where: Endpoint, *pins: Pin, **fields: object) -> Entry:
    """Make an entry."""
    return Entry(endpoint=where, pins=pins, created_at=WHEN, **fields)  # type: ignore[arg-type]  # handed on


def through(document: ImportedDocument, notation: str = "toml") -> ImportedDocument:
    """Send a document through a file, so that no test imports what no file can hold."""
    return load(DUMPS[notation](document).encode(), notation)


def bring(store: Store, *entries: Entry, notation: str = "toml", **parts: object) -> exchange.Imported:
    """Import a file with these entries."""
    document = ImportedDocument(entries=entries, **parts)  # type: ignore[arg-type]  # handed on
    return exchange.take_over(store, through(document, notation), source="hostile.toml")


def contents(store: Store) -> tuple[object, ...]:
    """Give all that an export of a store says."""
    document = exchange.export(store)
    revoked = sorted((str(each.fingerprint), each.reason) for each in document.revoked)
    return document.entries, document.policies, revoked, document.certificates


def fill(store: Store) -> None:
    """Give a store something of everything."""
    meet(store, A, ONE)
    meet(store, B, TWO, domain="pubnet")
    manage.pin(store, A, kind=PinKind.KEY, fingerprint=THREE.spki, view=THREE)
    manage.announce(store, manage.resolve(store, str(B)), ONE.spki, PinKind.KEY)
    meet(store, MAIL, THREE)
    manage.delete(store, manage.resolve(store, "mail:25", protocol="smtp"), TWO.fingerprint)
    manage.set_domain(store, "devicemgmt", Override(mode=CheckMode.STRICT))
    meet(store, D, ONE, domain="devicemgmt")
    manage.set_policy(store, C, Override(mode=CheckMode.CA, expired=Expiry.REJECT))
    doomed = CertificateView.from_der(simple("doomed"))
    meet(store, Endpoint("doomed", 1), doomed)
    store.revoke(doomed.spki, reason="its key was in a backup | \x1b[2J\n\"'")
    meet(store, A, TWO)


@pytest.mark.parametrize("notation", DUMPS)
def test_a_whole_store_goes_out_and_comes_back(make: Callable[[str], Store], notation: str) -> None:
    """Pins of every state, tombstones, quarantine, settings, policies, revocations and certificates: none is lost or altered."""
    ours, theirs = make("ours"), make("theirs")
    fill(ours)
    done = exchange.take_over(theirs, through(exchange.export(ours), notation), source="backup")
    assert done.refused == []
    assert len(done.added) == len(list(ours.entries()))
    assert contents(theirs) == contents(ours)
    assert dump_json(through(exchange.export(theirs), notation)).count("sha256:") == dump_json(
        exchange.export(ours)
    ).count("sha256:")


@pytest.mark.parametrize("notation", DUMPS)
def test_what_came_back_decides_as_before(make: Callable[[str], Store], notation: str) -> None:
    """Threat 27: a restored store trusts what was trusted, and revives nothing that was revoked or deleted."""
    ours, theirs = make("ours"), make("theirs")
    fill(ours)
    exchange.take_over(theirs, through(exchange.export(ours), notation), source="backup")
    doomed = CertificateView.from_der(simple("doomed"))
    for where, view, expected in [
        (A, ONE, Verdict.MATCH), (A, THREE, Verdict.MATCH), (A, TWO, Verdict.CHANGED), (B, ONE, Verdict.PROMOTED), (D, ONE, Verdict.UNAPPROVED),
        (MAIL, ONE, Verdict.UNAPPROVED), (MAIL, TWO, Verdict.PROMOTED), (Endpoint("doomed", 1), doomed, Verdict.REVOKED),
        (Endpoint("elsewhere", 1), doomed, Verdict.REVOKED), (C, ONE, Verdict.INVALID_CHAIN),
    ]:  # fmt: skip
        assert meet(theirs, where, view) is expected is meet(ours, where, view), (where, view.subject)


def test_an_export_changes_nothing_and_is_repeatable(store: Store) -> None:
    """Two exports of one store are the same text, and the journal does not grow."""
    fill(store)
    records = len(list(store.records()))
    first = dump_toml(exchange.export(store))
    assert dump_toml(exchange.export(store)) == first
    assert len(list(store.records())) == records


def test_the_same_import_twice_adds_nothing(make: Callable[[str], Store]) -> None:
    """A second import of the same file says that all is known, refuses nothing, and changes nothing."""
    ours, theirs = make("ours"), make("theirs")
    fill(ours)
    document = through(exchange.export(ours))
    exchange.take_over(theirs, document, source="backup")
    before = contents(theirs)
    again = exchange.take_over(theirs, document, source="backup")
    assert (again.added, again.refused) == ([], [])
    assert again.same == len(document.entries)
    assert contents(theirs) == before


def test_the_same_import_twice_is_journalled_once(make: Callable[[str], Store]) -> None:
    """The journal tells changes of trust; an import that changes none adds no record."""
    ours, theirs = make("ours"), make("theirs")
    fill(ours)
    document = through(exchange.export(ours))
    exchange.take_over(theirs, document, source="backup")
    records = len(list(theirs.records()))
    exchange.take_over(theirs, document, source="backup")
    assert len(list(theirs.records())) == records


@pytest.mark.parametrize("notation", DUMPS)
def test_a_deleted_host_that_waits_with_its_old_certificate_can_be_exported(store: Store, notation: str) -> None:
    """A host that was deleted and comes again with the same certificate holds it twice (retired, quarantined); so does its export."""
    meet(store, A, ONE)
    manage.delete(store, manage.resolve(store, str(A)), None)
    assert meet(store, A, ONE) is Verdict.UNAPPROVED
    document = exchange.export(store)
    assert through(document, notation).entries == document.entries


def test_a_restored_revocation_keeps_its_date_and_author(make: Callable[[str], Store]) -> None:
    """The export is without loss: who revoked, and when, is part of the evidence."""
    theirs = make("theirs")
    bring(theirs, revoked=(Revocation(fingerprint=ONE.spki, revoked_at=WHEN, revoked_by="alice", reason="stolen"),))
    assert theirs.revocations() == [(ONE.spki, WHEN, "alice", "stolen")]


# Hostile files (threat 28)


@pytest.mark.parametrize("notation", DUMPS)
def test_a_file_cannot_overwrite_a_pin(store: Store, notation: str) -> None:
    """What is on record stays, to the byte; the file's other pin is refused with the command that would change it."""
    meet(store, A, ONE)
    before = store.entry(A)
    done = bring(store, entry(A, pin(TWO)), notation=notation)
    assert store.entry(A) == before
    assert done.added == []
    assert len(done.refused) == 1
    assert "troth replace 192.0.2.1:8082 --expect FINGERPRINT" in done.refused[0]
    assert meet(store, A, TWO) is Verdict.CHANGED


@pytest.mark.parametrize(
    "pins",
    [
        (pin(ONE), pin(TWO)),
        (pin(ONE), pin(TWO, PinState.NEXT)),
        (pin(ONE, PinState.RETIRED),),
        (pin(ONE, PinState.REVOKED),),
        (pin(ONE, kind=PinKind.KEY, fingerprint=ONE.spki),),
    ],
    ids=["one more", "a next one", "retired", "revoked", "its key"],
)
def test_a_file_cannot_add_to_or_take_from_an_entry(store: Store, pins: tuple[Pin, ...]) -> None:
    """No pin is slipped in beside a known one, announced, retired or revoked by an entry of a file."""
    meet(store, A, ONE)
    before = store.entry(A)
    done = bring(store, entry(A, *pins))
    assert store.entry(A) == before
    assert done.refused
    assert meet(store, A, TWO) is Verdict.CHANGED


def test_a_file_cannot_change_the_settings_of_a_known_endpoint(store: Store) -> None:
    """An entry with the same pins and other settings, domain or state leaves those that are here."""
    meet(store, A, ONE)
    before = store.entry(A)
    bring(store, entry(A, pin(ONE), override=Override(mode=CheckMode.DISABLE), domain="user"))
    assert store.entry(A) == before


def test_a_file_cannot_revive_what_was_deleted(store: Store) -> None:
    """Threat 27: a tombstone is stronger than an old file; the host waits as before."""
    meet(store, A, ONE)
    manage.delete(store, manage.resolve(store, str(A)), None)
    before = store.entry(A)
    done = bring(store, entry(A, pin(ONE)))
    assert store.entry(A) == before
    assert "was deleted here" in done.refused[0]
    assert meet(store, A, ONE) is Verdict.UNAPPROVED


def test_a_file_cannot_approve_what_waits(store: Store) -> None:
    """A host in quarantine is not released by a file that says that it is trusted."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    meet(store, A, ONE)
    assert bring(store, entry(A, pin(ONE, evidence=Evidence.APPROVED))).refused
    assert meet(store, A, ONE) is Verdict.UNAPPROVED


@pytest.mark.parametrize("by", ["certificate", "key"])
@pytest.mark.parametrize("state", [PinState.CURRENT, PinState.NEXT])
def test_a_file_cannot_bring_back_what_was_revoked(store: Store, by: str, state: PinState) -> None:
    """Threat 28: a certificate that was revoked, by itself or by its key, comes in as revoked, at any endpoint."""
    store.revoke(ONE.fingerprint if by == "certificate" else ONE.spki)
    done = bring(store, entry(A, pin(ONE, state)), certificates=(ONE.der,))
    assert "stays revoked" in done.refused[0]
    found = store.entry(A)
    assert found is not None
    assert [each.state for each in found.pins] == [PinState.REVOKED]
    assert meet(store, A, ONE) is Verdict.REVOKED


def test_a_file_that_revokes_and_trusts_the_same_is_believed_in_the_revocation(store: Store) -> None:
    """Within one file, too, revocation is stronger than a pin."""
    bring(
        store, entry(A, pin(ONE)), revoked=(Revocation(fingerprint=ONE.spki, revoked_at=WHEN),), certificates=(ONE.der,)
    )
    assert meet(store, A, ONE) is Verdict.REVOKED


@pytest.mark.parametrize("by", ["certificate", "key"])
def test_a_file_that_says_it_was_seen_brings_back_nothing(store: Store, by: str) -> None:
    """Threat 28: a pin without its certificate, and a `presented` that names a revoked one, must not match it."""
    store.revoke(ONE.fingerprint if by == "certificate" else ONE.spki)
    held = (
        pin(ONE, certificate=None)
        if by == "key"
        else pin(ONE, kind=PinKind.KEY, fingerprint=ONE.spki, certificate=None)
    )
    bring(store, entry(A, held, presented=ONE.fingerprint))
    assert meet(store, A, ONE) is Verdict.REVOKED


def test_a_pin_that_shows_another_certificate_than_it_trusts_is_refused(store: Store) -> None:
    """Threat 28: a file must not make the list show an honest subject beside an impostor's fingerprint."""
    with pytest.raises(BadFile):
        bring(store, entry(A, pin(ONE, certificate=TWO.fingerprint)), certificates=(TWO.der,))


def test_a_file_cannot_relax_a_policy(store: Store) -> None:
    """A policy that was set here stays; one that was never set is not switched off or to mere observation by a file."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    policies = {
        "system": Policy(mode=CheckMode.TOFU),
        "pubnet": Policy(mode=CheckMode.DISABLE),
        "user": Policy(mode=CheckMode.OBSERVE),
        "devicemgmt": Policy(mode=CheckMode.STRICT, expired=Expiry.REJECT),
    }
    done = bring(store, policies=policies)
    assert store.domain_policy("system").mode is CheckMode.STRICT
    assert store.domain_policy("pubnet") == store.domain_policy("user") == Policy()
    assert store.domain_policy("devicemgmt") == policies["devicemgmt"]
    assert len(done.refused) == 3


def test_a_file_cannot_switch_pins_to_a_ca(store: Store) -> None:
    """A default counts as set once something depends on it: `ca` over pins lets in whoever a CA vouches for."""
    meet(store, A, ONE)
    given = Policy(mode=CheckMode.CA, pin=PinKind.KEY, expired=Expiry.REJECT)
    done = bring(store, policies={"system": given, "pubnet": given})
    assert store.domain_policy("system") == Policy(expired=Expiry.REJECT), "the stricter part is taken over"
    assert store.domain_policy("pubnet") == given, "nothing depends on it"
    assert sorted(done.policies) == ["pubnet", "system"]
    assert [text.split("; if")[0] for text in done.refused] == [
        "The policy of system would be relaxed by ca",
        "The policy of system would be relaxed by --pin key",
    ]
    assert "trusts no CA here" in done.warnings[0]


def test_a_file_cannot_relax_a_host_without_pins(store: Store) -> None:
    """Settings of an entry are held against the policy in force, and each weaker one is dropped and named."""
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT, expired=Expiry.REJECT))
    weak = Override(mode=CheckMode.TOFU, pin=PinKind.KEY, expired=Expiry.ACCEPT)
    done = bring(store, entry(A, override=weak), entry(B, override=Override(mode=CheckMode.CA)))
    found = store.entry(A)
    assert found is not None
    assert found.override == Override()
    assert len(done.refused) == 4
    assert f"troth policy set {A} --expired accept" in done.refused[2]
    assert meet(store, A, ONE) is meet(store, B, ONE) is Verdict.UNAPPROVED


def test_a_file_keeps_the_settings_that_were_made_beforehand(store: Store) -> None:
    """Settings for a host that is not known yet are a person's: a file brings pins to them, and no settings."""
    manage.set_policy(store, A, Override(expired=Expiry.REJECT), domain="devicemgmt")
    done = bring(store, entry(A, pin(ONE), override=Override(expired=Expiry.ACCEPT), domain="pubnet"))
    found = store.entry(A)
    assert found is not None
    assert (found.domain, found.override.expired, done.added) == ("devicemgmt", Expiry.REJECT, [str(A)])


def test_an_issuer_pin_without_its_ca_is_refused(store: Store) -> None:
    """The name of a CA counts as well as its key, so a file that pins an issuer holds its certificate."""
    bare = pin(ONE, kind=PinKind.ISSUER, fingerprint=ONE.spki, certificate=None)
    leaf = pin(ONE, kind=PinKind.ISSUER, fingerprint=ONE.spki)
    done = bring(store, entry(A, bare), entry(B, leaf), certificates=(ONE.der,))
    assert (done.added, len(done.refused)) == ([], 2)
    assert list(store.entries()) == []


def test_a_hostile_name_of_a_person_or_server_is_not_shown(make: Callable[[str], Store]) -> None:
    """Who added or revoked is shown in tables, so it comes in safe; a server name is one, or the file is refused."""
    theirs = make("theirs")
    hostile = "\x1b[2Jroot|"
    bring(
        theirs,
        entry(A, pin(ONE, added_by=hostile)),
        revoked=(Revocation(fingerprint=TWO.spki, revoked_at=WHEN, revoked_by=hostile),),
    )
    found = theirs.entry(A)
    assert found is not None
    for text in (found.pins[0].added_by, theirs.revocations()[0][2]):
        assert text.isprintable()
        assert "|" not in text
    with pytest.raises(BadFile):
        bring(theirs, replace(entry(B, pin(ONE)), server_name=hostile))
    bring(theirs, replace(entry(B, pin(ONE)), server_name="ISE.Example.COM."))
    named = theirs.entry(B)
    assert named is not None
    assert named.server_name == "ise.example.com"


@pytest.mark.parametrize("mode", [CheckMode.DISABLE, CheckMode.OBSERVE])
def test_a_file_cannot_switch_the_checks_of_an_endpoint_off(store: Store, mode: CheckMode) -> None:
    """What a file may not do to a domain it may not do to an endpoint: there, too, everybody in the middle would be trusted."""
    done = bring(store, entry(A, pin(ONE), override=Override(mode=mode)))
    found = store.entry(A)
    assert found is None or found.override.mode is not mode
    assert done.refused


def test_an_import_says_what_it_revoked(store: Store) -> None:
    """A revocation cannot be taken back, so an import that revokes what is trusted here says so."""
    meet(store, A, ONE)
    done = bring(store, revoked=(Revocation(fingerprint=ONE.fingerprint, revoked_at=WHEN),))
    assert meet(store, A, ONE) is Verdict.REVOKED
    told = [str(getattr(done, field)) for field in done.__dataclass_fields__]
    assert any("192.0.2.1" in text or str(ONE.fingerprint) in text for text in told)


def test_everything_that_is_refused_is_refused_alone(store: Store) -> None:
    """One refused entry does not keep the others out, and each is named."""
    meet(store, A, ONE)
    done = bring(store, entry(A, pin(TWO)), entry(B, pin(TWO)), entry(C, pin(THREE)))
    assert done.added == [str(B), str(C)]
    assert len(done.refused) == 1


def test_an_import_that_fails_takes_nothing_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All or nothing: what goes wrong at the third entry leaves no trace of the first, nor of a revocation."""
    meet(store, A, ONE)
    before = contents(store)
    whole = store.rewrite
    calls: list[Endpoint] = []

    def failing(connection: object, action: str, then: object, changed: Entry, note: object = None) -> None:
        calls.append(changed.endpoint)
        if len(calls) == 3:
            raise OSError("no space left on device")
        whole(connection, action, then, changed, note)  # type: ignore[arg-type]  # handed on

    monkeypatch.setattr(store, "rewrite", failing)
    with pytest.raises(Exception, match="no space left"):
        bring(
            store,
            *[entry(Endpoint(f"h{n}", 1), pin(TWO)) for n in range(5)],
            revoked=(Revocation(fingerprint=THREE.spki, revoked_at=WHEN),),
        )
    monkeypatch.undo()
    assert len(calls) == 3
    assert contents(store) == before


def test_an_import_is_in_the_journal_with_its_source(store: Store) -> None:
    """Who imported what from which file is on record, for each endpoint."""
    bring(store, entry(A, pin(ONE)), entry(B, pin(TWO)))
    records = [each for each in store.records() if each.action == "import"]
    assert [each.subject for each in records] == [str(A), str(B)]
    assert all(each.detail["source"] == "hostile.toml" for each in records)


def test_a_file_name_that_is_no_unicode_is_no_obstacle(store: Store) -> None:
    """POSIX allows any byte in a file name; the import is not refused as if the store were broken."""
    document = ImportedDocument(revoked=(Revocation(fingerprint=ONE.spki, revoked_at=WHEN),))
    exchange.take_over(store, document, source=os.fsdecode(b"backup-\xff.toml"))
    assert [each[0] for each in store.revocations()] == [ONE.spki]


def test_pins_of_another_program_are_evidence_of_an_import(store: Store) -> None:
    """A known_hosts of GnuTLS gives pins that say where they come from; a revoked one among them stays revoked."""
    store.revoke(TWO.spki)
    pins = tuple(
        ImportedPin(endpoint=where, kind=PinKind.KEY, fingerprint=view.spki) for where, view in ((A, ONE), (B, TWO))
    )
    done = exchange.take_over(store, ImportedDocument(format="gnutls", pins=pins), source="known_hosts")
    found = store.entry(A)
    assert found is not None
    assert [(each.evidence, each.state) for each in found.pins] == [(Evidence.IMPORTED, PinState.CURRENT)]
    assert meet(store, A, ONE) is Verdict.MATCH
    assert meet(store, B, TWO) is Verdict.REVOKED
    assert len(done.refused) == 1


def test_several_pins_of_one_host_in_another_programs_store(store: Store) -> None:
    """Several keys of one host are its members: each is trusted, and a third is not."""
    pins = tuple(ImportedPin(endpoint=A, kind=PinKind.KEY, fingerprint=view.spki) for view in (ONE, TWO))
    done = exchange.take_over(store, ImportedDocument(format="gnutls", pins=pins), source="known_hosts")
    assert (len(done.added), done.refused) == (1, [])
    found = store.entry(A)
    assert found is not None
    assert [pin.fingerprint for pin in found.current] == [ONE.spki, TWO.spki]


# Hints

LIST = "host=192.0.2.1_8082;  subject= /CN=one\nhost=d_443;  subject= /C=US/CN=\x1b[2Jtwo|\n"


def test_a_hint_is_never_a_pin(store: Store) -> None:
    """A listcerts text has subjects and no fingerprints: nothing of it is trusted, and a host in it is still a stranger."""
    done = exchange.take_over(store, load(LIST), source="list.txt")
    assert (done.hints, done.added) == (2, [])
    assert list(store.entries()) == []
    assert store.hint(A) == ("/CN=one", "list.txt")
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    assert meet(store, A, ONE) is Verdict.UNAPPROVED
    assert not store.hint(B)


def test_a_hint_changes_no_verdict(store: Store) -> None:
    """Before and after a list was imported, a known host is a match, a changed one changed, a deleted one unapproved."""
    meet(store, A, ONE)
    meet(store, D, ONE)
    manage.delete(store, manage.resolve(store, "d:443"), None)
    exchange.take_over(store, load(LIST.replace("/CN=one", "/CN=two")), source="list.txt")
    assert [meet(store, A, ONE), meet(store, A, TWO), meet(store, D, TWO)] == [
        Verdict.MATCH,
        Verdict.CHANGED,
        Verdict.UNAPPROVED,
    ]


def test_a_newer_list_does_not_take_the_place_of_an_older_one(store: Store) -> None:
    """There is one hint per host and port, the first list's, cut to a bounded length; what differs is reported."""
    long = "/CN=" + "x" * 3000
    first = exchange.take_over(store, load(f"host=192.0.2.1_8082;  subject= {long}\n"), source="first")
    again = exchange.take_over(store, load(f"host=192.0.2.1_8082;  subject= {long}\n"), source="again")
    other = exchange.take_over(store, load("host=192.0.2.1_8082;  subject= /CN=two\n"), source="other")
    assert store.hint(A) == (long[:1024], "first")
    assert [(each.hints, each.same, len(each.refused)) for each in (first, again, other)] == [
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
    ]
    assert "/CN=two" in other.refused[0]
    assert "first" in other.refused[0]


def test_a_host_that_stands_twice_in_one_list_is_counted_once(store: Store) -> None:
    """Two lines for one host are one hint; with two subjects, the second is reported."""
    done = exchange.take_over(store, load("host=d_443;  subject= /CN=a\nhost=d_443;  subject= /CN=b\n"), source="x")
    assert (done.hints, len(done.refused)) == (1, 1)
    assert store.hint(D) == ("/CN=a", "x")


# Time


@pytest.mark.parametrize(
    "text",
    [
        "host=a_1;  subject= /CN=x\n\nhost=" + " " * 30_000 + "x\n",
        "host=a_1;" + " " * 30_000 + "subject" + " " * 30_000 + "\n",
        "".join(f"|c0|h.example|443|0|6|{number:064x}\n" for number in range(20_000)),
    ],
    ids=["blanks", "blanks after the key", "keys of one host"],
)
def test_no_file_takes_longer_than_its_length(text: str) -> None:
    """Blanks without end and keys without number are refused in a time that no machine makes long."""
    spent = time.process_time()
    with pytest.raises(BadFile):
        load(text)
    assert time.process_time() - spent < 5


def test_fingerprints_do_not_collide_on_purpose() -> None:
    """Fingerprints that begin alike, as a file may choose them, are told apart as fast as any."""
    alike = {Fingerprint(bytes(8) + number.to_bytes(24, "big")) for number in range(20_000)}
    assert len({hash(each) for each in alike}) > 19_900


# Files that are none, through the command

GOOD = dump_json(ImportedDocument(entries=(entry(A, pin(ONE)),)))


def altered(change: Callable[[dict[str, object]], object]) -> str:
    """Give a good document with one thing changed."""
    tree = json.loads(GOOD)
    change(tree)
    return json.dumps(tree)


BAD_FILES: dict[str, str | bytes] = {
    "empty": "", "blank": " \n\n", "no text": b"\xff\xfe\x00{", "latin": "schéma".encode("latin-1"), "NUL": '{"schema": "troth.trust/1\0"}',
    "cut": GOOD[:-30], "a list": "[]", "another document": '{"schema": "troth.check/1", "results": []}', "no schema": '{"entry": []}',
    "newer": GOOD.replace("troth.trust/1", "troth.trust/2"), "older": GOOD.replace("troth.trust/1", "troth.trust/0"),
    "schema as a number": GOOD.replace('"troth.trust/1"', "1"),
    "doubled key": GOOD.replace('"schema": "troth.trust/1",', '"schema": "troth.trust/1", "schema": "troth.trust/1",'),
    "doubled pin key": GOOD.replace('"kind": "certificate",', '"kind": "certificate", "kind": "key",'),
    "doubled key in TOML": 'schema = "troth.trust/1"\nschema = "troth.trust/1"\n',
    "doubled table in TOML": 'schema = "troth.trust/1"\n[policy.system]\nmode = "ca"\n[policy.system]\nmode = "strict"\n',
    "doubled entry": altered(lambda tree: tree["entry"].append(tree["entry"][0])),  # type: ignore[attr-defined]
    "doubled entry in another spelling": altered(lambda tree: tree["entry"].append({**tree["entry"][0], "endpoint": "192.0.2.1_8082"})),  # type: ignore[attr-defined,index]
    "entries as a table": altered(lambda tree: tree.update(entry={"endpoint": "a"})),
    "an entry as text": altered(lambda tree: tree.update(entry=["a"])),
    "pins as text": altered(lambda tree: tree["entry"][0].update(pins="sha256:")),  # type: ignore[index]
    "unknown key": altered(lambda tree: tree["entry"][0].update(trusted=True)),  # type: ignore[index]
    "unknown state": altered(lambda tree: tree["entry"][0]["pins"][0].update(state="trusted")),  # type: ignore[index]
    "a state as a list": altered(lambda tree: tree["entry"][0].update(state=["active"])),  # type: ignore[index]
    "unknown domain": altered(lambda tree: tree["entry"][0].update(domain="root")),  # type: ignore[index]
    "bad endpoint": altered(lambda tree: tree["entry"][0].update(endpoint="010.0.0.1:443")),  # type: ignore[index]
    "endpoint with control": altered(lambda tree: tree["entry"][0].update(endpoint="a\nb")),  # type: ignore[index]
    "short fingerprint": altered(lambda tree: tree["entry"][0]["pins"][0].update(fingerprint="sha256:" + "ab" * 20)),  # type: ignore[index]
    "a date without offset": altered(lambda tree: tree["entry"][0].update(created_at="2026-01-01T00:00:00")),  # type: ignore[index]
    "a boolean": altered(lambda tree: tree["entry"][0].update(server_name=True)),  # type: ignore[index]
    "not a number": altered(lambda tree: tree["entry"][0].update(created_at=float("nan"))),  # type: ignore[index]
    "endless text": altered(lambda tree: tree["entry"][0].update(server_name="x" * 5000)),  # type: ignore[index]
    "lone surrogate": altered(lambda tree: tree["entry"][0].update(server_name="\ud800")),  # type: ignore[index]
    "a certificate that is none": altered(lambda tree: tree.update(certificate=[{"fingerprint": str(ONE.fingerprint), "der": "MAA="}])),
    "another certificate": altered(lambda tree: tree.update(certificate=[{"fingerprint": str(TWO.fingerprint), "der": "MAA="}])),
    "deep": "[" * 100_000, "deep object": '{"a":' * 50_000, "deep TOML": 'schema = "troth.trust/1"\na = ' + "[" * 5000 + "]" * 5000,
    "many dots": 'schema = "troth.trust/1"\n' + "a." * 20_000 + "b = 1\n",
    "huge number": '{"schema": ' + "9" * 10_000 + "}",
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose store knows one host."""
    found = tmp_path / "cli"
    monkeypatch.setenv("TROTH_HOME", str(found))
    with open_store(found / "trust.db") as opened:
        meet(opened, A, ONE)
    return found


def of(home: Path) -> tuple[object, ...]:
    """Give all that the store in a home says, its journal too."""
    with open_store(home / "trust.db") as opened:
        return (*contents(opened), [each.hash for each in opened.records()])


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_none_is_refused_whole(
    case: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong types, versions, doubled keys, bombs and binary files exit 2 with one message; the store does not change."""
    data = BAD_FILES[case]
    file = tmp_path / "bad.toml"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    before = of(home)
    assert main(["import", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert "[TROTH-204]" in told.err
    assert len(told.err) < 2000
    assert all(line.isprintable() for line in told.err.splitlines())
    assert of(home) == before


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Threat 28: a file over the limit, or one without end, is refused after the limit."""
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 2)
    before = of(home)
    for name in (str(large), "/dev/zero"):
        assert main(["import", name]) == 2
        assert "larger than" in capsys.readouterr().err
    assert of(home) == before


def test_what_is_no_file_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory, a dangling link, a link in a circle, and a file that is not there exit 2, each with its reason."""
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    before = of(home)
    for name in (tmp_path, tmp_path / "dangling", tmp_path / "circle", tmp_path / "nowhere", Path("/dev/null")):
        assert main(["import", str(name)]) == 2
        assert "[TROTH-204]" in capsys.readouterr().err
    assert of(home) == before


def test_an_export_follows_no_link_and_overwrites_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Threat 28: the file of an export is new and its owner's alone; a link or a file in its place stops it."""
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "new-link").symlink_to(tmp_path / "elsewhere")
    for name in ("precious", "link", "new-link"):
        assert main(["export", "--output", str(tmp_path / name)]) == 2
    assert precious.read_text() == "keep me"
    assert not (tmp_path / "elsewhere").exists()
    old = os.umask(0)
    try:
        assert main(["export", "--output", str(tmp_path / "fresh")]) == 0
    finally:
        os.umask(old)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o600
    capsys.readouterr()


@pytest.mark.parametrize("notation", DUMPS)
def test_the_command_carries_a_store_to_another_home(
    notation: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`troth export` in one home and `troth import` in another: the same trust, seen from the file's own signs."""
    file = tmp_path / "backup"
    with open_store(home / "trust.db") as opened:
        fill(opened)
    assert main(["export", "--format", notation, "--output", str(file)]) == 0
    monkeypatch.setenv("TROTH_HOME", str(tmp_path / "other"))
    capsys.readouterr()
    assert main(["import", "--json", str(file)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["format"], told["refused"]) == ("troth.import/1", notation, [])
    assert of(tmp_path / "other")[:4] == of(home)[:4]


def test_a_refusal_is_told_and_is_a_negative_answer(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import of which something was refused exits 1 and says what and why, on standard error."""
    file = tmp_path / "other.json"
    file.write_text(dump_json(ImportedDocument(entries=(entry(A, pin(TWO)), entry(B, pin(TWO))))))
    assert main(["import", str(file)]) == 1
    told = capsys.readouterr()
    assert "1 new" in told.out
    assert "not taken over: 192.0.2.1:8082 is on record with other pins" in told.err


def test_an_import_long_ago_is_not_first_use_now(store: Store) -> None:
    """Threat 26: times in a file that are long past or far ahead make no pin expire, and no host a stranger."""
    old = datetime(1971, 1, 1, tzinfo=UTC)
    far = datetime(9990, 1, 1, tzinfo=UTC)
    bring(
        store,
        replace(entry(A, pin(ONE, added_at=old, first_seen=old, last_seen=old)), created_at=old, last_seen=old),
        replace(
            entry(B, pin(TWO, added_at=far, first_seen=far, last_seen=far + timedelta(days=1))),
            created_at=far,
            last_seen=far,
        ),
        entry(C, pin(THREE), state=EntryState.DELETED),
    )
    assert [meet(store, A, TWO), meet(store, B, ONE), meet(store, C, THREE)] == [
        Verdict.CHANGED,
        Verdict.CHANGED,
        Verdict.UNAPPROVED,
    ]
    assert [meet(store, A, ONE), meet(store, B, TWO)] == [Verdict.MATCH, Verdict.MATCH]
    assert store.entry(A) is not None


def test_a_fingerprint_of_nothing_is_no_wildcard(store: Store) -> None:
    """A pin of zeros holds nothing but what hashes to zeros."""
    bring(store, entry(A, pin(ONE, fingerprint=Fingerprint(bytes(32)), certificate=None)))
    assert meet(store, A, ONE) is Verdict.CHANGED
