"""Attacks on the first use: whoever is in the middle, whoever tells first-timers apart, whoever interrupts (threats 1 to 6)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests import servers
from tests.attacks.conftest import Command, Fickler, Lying, Record
from tests.attacks.making import WAYS, by_check, der, fresh, make, material, rsa_key, view, way_name
from tests.simulators.liar import Hello, Liar, Talk, read_hello
from tests.stores import ENGINES, on_both_engines, place_for
from troth import manage
from troth.errors import CertificateRejected, TrothError
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, EntryState, Evidence, Expiry, Override, PinKind
from troth.model.fingerprint import Fingerprint
from troth.store import open_store
from troth.store.base import Store
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context
from troth.trust.verdict import Verdict

each_way = pytest.mark.parametrize("way", WAYS, ids=way_name)
Way = Callable[..., None]


def here(port: int) -> Endpoint:
    """Give the endpoint of a port."""
    return Endpoint("127.0.0.1", port)


# Threat 1


@on_both_engines
@each_way
def test_threat_1_a_middleman_at_first_use_is_found_out(way: Way, fickle: Fickler, store: Store) -> None:
    """Threat 1: whom a middleman deceived at first use is told of a change when the real host answers, and when it began."""
    middleman, real = fresh("middleman"), fresh("real")
    server = fickle(lambda number, _: middleman if number == 0 else real, ask=False)
    way(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    (pin,) = entry.current
    assert pin.evidence is Evidence.FIRST_USE
    assert pin.added_by == store.actor
    assert pin.first_seen is not None
    (record,) = (each for each in store.records() if each.action == "first-use")
    assert record.detail["address"] in ("127.0.0.1", "")  # an object over memory buffers does not know it
    with pytest.raises(CertificateRejected) as caught:
        way(store, server.port)
    decision = caught.value.decision
    assert decision is not None
    assert decision.verdict is Verdict.CHANGED
    assert decision.presented.leaf.fingerprint == view(real[0]).fingerprint
    assert str(pin.fingerprint) in str(caught.value)
    assert not any(visit.received for visit in server.settled()[1:])


# Threat 2


def _no_record(store: SqliteStore, endpoint: Endpoint) -> None:
    """Nothing is known."""


def _pinned(store: SqliteStore, endpoint: Endpoint) -> None:
    """Its certificate is pinned; it is another than the one that comes."""
    manage.pin(store, endpoint, kind=PinKind.CERTIFICATE, view=view(fresh("known")[0]))


def _two_pins(store: SqliteStore, endpoint: Endpoint) -> None:
    """Two members are pinned."""
    for _ in range(2):
        _pinned(store, endpoint)


def _key_pin(store: SqliteStore, endpoint: Endpoint) -> None:
    """Its key is pinned."""
    manage.pin(store, endpoint, kind=PinKind.KEY, view=view(fresh("known")[0]))


def _fingerprint_alone(store: SqliteStore, endpoint: Endpoint) -> None:
    """Its fingerprint is pinned, its certificate was never seen."""
    manage.pin(store, endpoint, kind=PinKind.CERTIFICATE, fingerprint=Fingerprint.of(b"never seen"))


def _issuer_pin(store: SqliteStore, endpoint: Endpoint) -> None:
    """Its issuer is pinned."""
    manage.pin(store, endpoint, kind=PinKind.ISSUER, view=view(fresh("issuer", ca=True)[0]))


def _tombstone(store: SqliteStore, endpoint: Endpoint) -> None:
    """It was deleted."""
    _pinned(store, endpoint)
    entry = store.entry(endpoint)
    assert entry is not None
    manage.delete(store, entry, None)


def _announced(store: SqliteStore, endpoint: Endpoint) -> None:
    """A next certificate is announced."""
    _pinned(store, endpoint)
    entry = store.entry(endpoint)
    assert entry is not None
    manage.announce(store, entry, Fingerprint.of(b"next"), PinKind.CERTIFICATE)


def _revoked(store: SqliteStore, endpoint: Endpoint) -> None:
    """All that was known of it is revoked."""
    _pinned(store, endpoint)
    entry = store.entry(endpoint)
    assert entry is not None
    manage.revoke_entry(store, entry)


def _mode(mode: CheckMode) -> Callable[[SqliteStore, Endpoint], None]:
    def prepare(store: SqliteStore, endpoint: Endpoint) -> None:
        manage.set_domain(store, "system", Override(mode=mode))

    prepare.__name__ = f"_mode_{mode.name.lower()}"
    return prepare


def _dates_count(store: SqliteStore, endpoint: Endpoint) -> None:
    """It is pinned, and the policy insists on dates."""
    _pinned(store, endpoint)
    manage.set_domain(store, "system", Override(expired=Expiry.REJECT))


RECORDS = (
    _no_record,
    _pinned,
    _two_pins,
    _key_pin,
    _fingerprint_alone,
    _issuer_pin,
    _tombstone,
    _announced,
    _revoked,
    _dates_count,
    *map(_mode, CheckMode),
)


def silent_end(talk: Talk) -> None:
    """Take the hello, and say no more."""
    talk.connection.shutdown(socket.SHUT_RDWR)


def hellos(
    store: SqliteStore, way: Way, liar: Liar, host: str, prepare: Callable[[SqliteStore, Endpoint], None]
) -> list[Hello]:
    """Give the hellos that a way sends to a host with a certain record."""
    prepare(store, Endpoint(host, liar.port))
    known = len(liar.caught)
    with pytest.raises((TrothError, OSError)):
        way(store, liar.port)
    found = [each.hello for each in liar.settled(known)]
    assert found
    assert all(found)
    return [hello for hello in found if hello]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The structure of the hello of a plain check of an unknown host."""
    liar = Liar(silent_end)
    try:
        with open_store(tmp_path_factory.mktemp("reference") / "home" / "trust.db") as store:
            return hellos(store, by_check, liar, "127.0.0.1", _no_record)[0].structure
    finally:
        liar.close()


@on_both_engines
@pytest.mark.parametrize("prepare", RECORDS, ids=lambda each: each.__name__.strip("_").replace("_", "-"))
@each_way
def test_threat_2_no_hello_tells_what_is_known(
    way: Way, prepare: Callable[..., None], reference: object, lying: Lying, store: Store
) -> None:
    """Threat 2 (CVE-2020-14145): whatever is on record, and however one connects, the hello is the same, to its order and length."""
    for hello in hellos(store, way, lying(silent_end), "127.0.0.1", prepare):
        assert hello.structure == reference


@on_both_engines
@each_way
def test_threat_2_a_client_certificate_does_not_show(
    way: Way, reference: object, lying: Lying, store: Store, record: Record
) -> None:
    """Threat 2: with a client certificate loaded the hello is the same, for known hosts and unknown ones."""
    liar = lying(silent_end)
    context = Context(store)
    context.load_cert_chain(*record().client_certificate())
    for prepare in (_no_record, _pinned):
        prepare(store, here(liar.port))
        with pytest.raises((TrothError, OSError)):
            way(store, liar.port, context)
    caught = liar.settled()
    assert len(caught) >= 2
    assert {repr(each.hello.structure) for each in caught if each.hello} == {repr(reference)}


@on_both_engines
def test_threat_2_the_name_shows_the_same_in_the_hello(lying: Lying, store: Store) -> None:
    """Threat 2: with a name (SNI) and protocols (ALPN), an unknown, a known and a deleted host get the same hello."""
    liar = lying(silent_end)
    place = Endpoint("localhost", liar.port)
    seen = set()
    for prepare in (_no_record, _pinned, _tombstone):
        if prepare is not _tombstone:
            prepare(store, place)
        else:
            entry = store.entry(place)
            assert entry is not None
            manage.delete(store, entry, None)
        context = Context(store, place)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", liar.port), timeout=15) as raw:
            context.wrap_socket(raw, server_hostname="localhost")
        (caught,) = liar.settled()[-1:]
        assert caught.hello is not None
        assert (caught.hello.name, caught.hello.protocols) == ("localhost", ("h2", "http/1.1"))
        seen.add(repr(caught.hello.structure))
    assert len(seen) == 1


@on_both_engines
def test_the_comparison_of_hellos_can_fail(lying: Lying, store: Store, reference: object) -> None:
    """A hello with another cipher, or of another length, is told apart by what the tests compare."""
    liar = lying(silent_end)
    context = Context(store)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", liar.port), timeout=15) as raw:
        context.wrap_socket(raw, server_hostname="127.0.0.1")
    hello = liar.settled()[0].hello
    assert hello is not None
    assert hello.structure != reference
    assert read_hello(hello.message) == hello


@on_both_engines
@each_way
def test_threat_2_no_ticket_is_sent_back(way: Way, record: Record, store: Store) -> None:
    """Threat 2: a host that hands out tickets sees at the next visit a hello of a stranger: no ticket, no session it knows."""
    server = record(ask=False)
    for _ in range(3):
        way(store, server.port)
    found = [read_hello(visit.hello) for visit in server.settled()]
    assert len({repr(hello.structure) for hello in found}) == 1
    assert len({hello.session for hello in found}) == len(found)
    assert not any(hello.extension(kind) for hello in found for kind in (35, 41, 42))


# Threat 3 (processes; threads are in tests/tls and tests/store)


def test_threat_3_processes_that_meet_different_hosts_agree_on_one(
    fickle: Fickler, troth: Command, tmp_path: Path
) -> None:
    """Threat 3: of parallel first uses in processes of their own, exactly one wins; all who saw another exit 3."""
    made = [fresh(str(number)) for number in range(4)]
    server = fickle(lambda number, _: made[number % 4], ask=False)
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(troth("check", f"127.0.0.1:{server.port}", "--quiet").code))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [0, 3, 3, 3]
    with open_store(troth.home / "trust.db") as store:
        entry = store.entry(here(server.port))
        assert entry is not None
        assert len(entry.current) == 1
        assert [each.action for each in store.records()].count("first-use") == 1


# Threat 5


def test_threat_5_one_key_under_many_names_is_said(record: Record, troth: Command) -> None:
    """Threat 5: a host whose key is already known elsewhere (a vendor's default key, a clone) is named with the others."""
    one, two, three = record(ask=False), record(ask=False), record(ask=False)
    two.present(one.material)
    three.material = one.material
    three.renew()
    for server in (one, two, three):
        done = troth("check", f"127.0.0.1:{server.port}")
        assert done.code == 0
    assert f"127.0.0.1:{one.port}" in done.err
    assert f"127.0.0.1:{two.port}" in done.err
    assert re.search("its key is also at", done.err)
    answer = troth("check", f"127.0.0.1:{record(ask=False).port}")
    assert "also at" not in answer.err


@on_both_engines
def test_threat_5_a_key_that_changed_hands_is_named_in_the_rejection(record: Record, store: Store) -> None:
    """Threat 5: a host that suddenly has another known host's key is told apart from a renewal."""
    one, two = record(ask=False), record(ask=False)
    by_check(store, one.port)
    by_check(store, two.port)
    two.present(one.material)
    with pytest.raises(CertificateRejected) as caught:
        by_check(store, two.port)
    decision = caught.value.decision
    assert decision is not None
    assert str(decision.change) == "another-known-hosts-key"
    assert decision.facts.holders == (here(one.port),)


@pytest.mark.parametrize("bits", [1024])
def test_threat_5_a_weak_key_is_said_when_it_is_pinned(bits: int, troth: Command, tmp_path: Path) -> None:
    """Threat 5: an RSA-1024 key is said to be weak at first use, on the wire and from a file."""
    weak = material(*make("weak", key=rsa.generate_private_key(65537, bits)))
    crt, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    crt.write_bytes(weak[0])
    key.write_bytes(weak[1])
    port = servers.free_port()
    command = [servers.program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-cert", str(crt)]
    command += ["-key", str(key), "-cipher", "DEFAULT:@SECLEVEL=0"]
    with servers.running(command, port, log=tmp_path / "log"):
        done = troth("check", f"127.0.0.1:{port}")
    assert done.code == 0, done.err
    assert "weak: its RSA key has 1024 bits" in done.err
    from_file = troth("pin", "other.example.com:443", "--pem", str(crt))
    assert "1024 bits" in from_file.err


def test_threat_5_a_sound_key_is_not_said_to_be_weak(record: Record, troth: Command) -> None:
    """Threat 5, the other way round: RSA-2048 and P-256 are not blamed."""
    server = record(ask=False)
    assert "weak" not in troth("check", f"127.0.0.1:{server.port}").err
    server.present(material(*make("sound", key=rsa_key())))
    other = troth("check", f"localhost:{server.port}")
    assert other.code == 0
    assert "weak" not in other.err


# Threat 6


class Silent:
    """A host that accepts, and does not say a word; `met` is set when somebody came."""

    def __init__(self) -> None:
        self.met = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                self._held.append(connection)
                if connection.recv(1):
                    self.met.set()
            except OSError:
                return

    def close(self) -> None:
        """Stop."""
        for each in (self._listener, *self._held):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def start(home: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "troth", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TROTH_HOME": str(home), "NO_COLOR": "1"},
    )


@pytest.mark.parametrize(
    "more", [(), ("--json",), ("--expect", "sha256:" + "ab" * 32)], ids=["plain", "json", "expect"]
)
def test_threat_6_an_interrupted_check_stores_nothing(more: tuple[str, ...], tmp_path: Path) -> None:
    """Threat 6: interrupted while a host is silent, the command exits 130 with one line, no traceback, and stores nothing."""
    silent = Silent()
    home = tmp_path / "home"
    try:
        process = start(home, "check", f"127.0.0.1:{silent.port}", *more)
        assert silent.met.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        silent.close()
    assert process.returncode == 130
    assert out == b""
    if "--json" in more:
        assert json.loads(err)["code"] == "TROTH-102"
    else:
        assert len(err.decode().strip().splitlines()) == 1
        assert "Interrupted; nothing that was not confirmed was stored" in err.decode()
    with open_store(home / "trust.db") as store:
        assert list(store.entries()) == []
        assert list(store.records()) == []


def test_threat_6_an_interrupted_check_of_many_keeps_what_was_decided(record: Record, tmp_path: Path) -> None:
    """Threat 6: of several hosts those before the interrupt are whole on record, and the one in question is not there."""
    silent, server = Silent(), record(ask=False)
    home = tmp_path / "home"
    try:
        process = start(home, "check", f"127.0.0.1:{server.port}", f"127.0.0.1:{silent.port}")
        assert silent.met.wait(30)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        silent.close()
    assert process.returncode == 130
    with open_store(home / "trust.db") as store:
        assert [entry.endpoint for entry in store.entries()] == [here(server.port)]
        assert len(store.entry(here(server.port)).current) == 1  # type: ignore[union-attr]  # the line above


INTERRUPTED = """
import os, signal, sys
from tests.stores import Place
from troth.store import rows
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.model.endpoint import Endpoint
import troth.store.base as base

port, step = sys.argv[1], int(sys.argv[2])
count = 0

def interrupting(function):
    def wrapped(*args, **kwargs):
        global count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*args, **kwargs)
    return wrapped

for name in ("write_certificate", "write_entry", "select_entry", "trust_state"):
    setattr(rows, name, interrupting(getattr(rows, name)))
base.Store.journal = interrupting(base.Store.journal)
base.decide = interrupting(base.decide)
base.after = interrupting(base.after)
with Place.read(sys.argv[3]).open() as store:
    try:
        check_target(store, Target(endpoint=Endpoint("127.0.0.1", int(port))))
    except KeyboardInterrupt:
        sys.exit(130)
sys.exit(0 if count < step else 1)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_threat_6_an_interrupt_at_any_step_leaves_no_half_entry(
    engine: str, record: Record, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Threat 6: interrupted at each step of a first use in turn, the entry is there with all its parts, or not at all."""
    server = record(ask=False)
    outcomes = []
    for step in range(1, 20):
        with place_for(request, engine, tmp_path / f"home-{step}") as place:
            done = subprocess.run(
                [sys.executable, "-c", INTERRUPTED, str(server.port), str(step), place.text],
                capture_output=True,
                check=False,
                timeout=60,
                cwd=Path(__file__).parents[2],
            )
            assert done.returncode in (0, 130), done.stderr.decode()
            outcomes.append(done.returncode)
            store = place.open()
            entry = store.entry(here(server.port))
            if done.returncode == 130:
                assert entry is None
                assert list(store.records()) == []
                assert store.certificate(server.view.fingerprint) is None
            else:
                assert entry is not None
                assert entry.state is EntryState.ACTIVE
                break
    assert outcomes[-1] == 0
    assert outcomes.count(130) >= 5


def test_the_material_of_these_tests_is_sound() -> None:
    """The certificates that these tests make are read as what they are."""
    certificate, _ = make("sound")
    assert CertificateView.from_der(der(certificate)).self_issued
