"""Attacks on the handshake: what a peer shows without holding the key, shows late, hides, or changes (threats 8 to 14)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.attacks.conftest import Fickler, Lying, Record
from tests.attacks.making import (
    CERTIFIED,
    SECRET,
    SENDING,
    WAYS,
    by_asyncio,
    by_certified_late_socket,
    by_certified_socket,
    by_check,
    by_late_socket,
    by_socket,
    der,
    fresh,
    key_pem,
    make,
    rsa_key,
    view,
    way_name,
)
from tests.attacks.programs import gnutls_serv, s_server, written
from tests.simulators.liar import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    DOWNGRADED,
    ECDHE_ECDSA,
    ECDHE_RSA,
    HANDSHAKE,
    HELLO_DONE,
    SERVER_CERTIFICATE_TYPE,
    Caught,
    Hello,
    Lie,
    Talk,
    chain12,
    chain13,
    message,
    relay12,
    relay13,
    relay_static_rsa,
)
from tests.tls.authority import Answers, Authority, pem
from troth import manage
from troth.errors import AwaitingApproval, CertificateChanged, CertificateRejected, InvalidChain, TrothError
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override, PinKind
from troth.store.authorities import add_authority
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.context import Context
from troth.tls.guard import GuardedContext
from troth.tls.probe import Target
from troth.trust.verdict import Verdict

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
each_way = pytest.mark.parametrize("way", WAYS, ids=way_name)
each_certified_way = pytest.mark.parametrize("way", CERTIFIED, ids=way_name)
each_sending_way = pytest.mark.parametrize("way", SENDING, ids=way_name)
Way = Callable[..., None]


def here(port: int) -> Endpoint:
    """Give the endpoint of a port."""
    return Endpoint("127.0.0.1", port)


def only_alerts(caught: list[Caught]) -> bool:
    """Whether the client sent nothing after its hello but alerts (and the empty message that TLS 1.3 wears)."""
    return all(set(each.after) <= {ALERT, CHANGE_CIPHER_SPEC} and not each.messages for each in caught)


# Threat 8: possession


VICTIM = make("victim")
RSA_VICTIM = make("victim", key=rsa_key())
RELAYS = {
    "tls-1.2-signed-by-another-key": relay12(der(VICTIM[0])),
    "tls-1.2-signed-by-another-rsa-key": relay12(der(RSA_VICTIM[0]), cipher=ECDHE_RSA, signer=None),
    "tls-1.3-signed-by-another-key": relay13(der(VICTIM[0])),
}


def unsigned13(talk: Talk) -> None:
    """Show a certificate in TLS 1.3 and leave the signature out."""
    talk.begin13()
    talk.say(chain13(der(VICTIM[0])))
    talk.say(talk.finish13())


def nameless13(talk: Talk) -> None:
    """Finish a handshake of TLS 1.3 without any certificate, as if a session were resumed."""
    talk.begin13()
    talk.say(talk.finish13())


def unsigned12(talk: Talk) -> None:
    """Show a certificate in TLS 1.2 and leave the key exchange out."""
    talk.say(talk.hello12(ECDHE_ECDSA), chain12(der(VICTIM[0])), message(HELLO_DONE, b""))


RELAYS |= {"tls-1.3-unsigned": unsigned13, "tls-1.3-no-certificate": nameless13, "tls-1.2-unsigned": unsigned12}


@each_way
@pytest.mark.parametrize("lie", RELAYS.values(), ids=RELAYS)
def test_threat_8_a_relayed_certificate_is_not_learned(lie: Lie, way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 8: a certificate that is shown without its key is not learned, and nothing is sent to whoever showed it."""
    liar = lying(lie)
    with pytest.raises((TrothError, ssl.SSLError)):
        way(store, liar.port)
    assert store.entry(here(liar.port)) is None
    assert only_alerts(liar.settled())


@each_way
@pytest.mark.parametrize("lie", RELAYS.values(), ids=RELAYS)
def test_threat_8_a_relayed_pin_gets_no_client_certificate(
    lie: Lie, way: Way, lying: Lying, store: SqliteStore, record: Record
) -> None:
    """Threat 8: whoever shows the pinned certificate without its key gets no byte, no client certificate, and no match."""
    liar = lying(lie)
    for certificate, _ in (VICTIM, RSA_VICTIM):
        known = CertificateView.from_der(der(certificate))
        manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=known)
    context = Context(store)
    context.load_cert_chain(*record().client_certificate())
    with pytest.raises((TrothError, ssl.SSLError)):
        way(store, liar.port, context)
    entry = store.entry(here(liar.port))
    assert entry is not None
    assert entry.last_seen is None, "it was never seen with its key"
    assert only_alerts(liar.settled())


@each_way
def test_threat_8_rsa_key_exchange_proves_nothing_before_its_end(way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 8: where nothing is signed (RSA key exchange), the end of the handshake is waited for before anything counts."""
    liar = lying(relay_static_rsa(der(RSA_VICTIM[0])))
    with pytest.raises((TrothError, ssl.SSLError)):
        way(store, liar.port)
    assert store.entry(here(liar.port)) is None
    manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=CertificateView.from_der(der(RSA_VICTIM[0])))
    with pytest.raises((TrothError, ssl.SSLError)):
        way(store, liar.port)
    entry = store.entry(here(liar.port))
    assert entry is not None
    assert entry.last_seen is None
    for caught in liar.settled():
        assert caught.after.count(HANDSHAKE) <= 2, "ClientKeyExchange and Finished"
        assert set(caught.after) <= {HANDSHAKE, CHANGE_CIPHER_SPEC, ALERT}


@each_certified_way
def test_threat_8_an_answer_that_stands_before_an_error_does_not_leave(
    way: Way, lying: Lying, store: SqliteStore
) -> None:
    """Threat 8: with a message too many behind the host's flight, OpenSSL answers and then fails: the answer stays here all the same."""
    certificate, key = make("impostor")

    def lie(talk: Talk) -> None:
        bogus = message(20, bytes(12))
        shown = talk.hello12(ECDHE_ECDSA), chain12(der(certificate)), talk.key_exchange(key), message(HELLO_DONE, b"")
        talk.say(*shown, bogus)

    liar = lying(lie)
    manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=CertificateView.from_der(der(VICTIM[0])))
    for _ in range(2):
        with pytest.raises((TrothError, ssl.SSLError)):
            way(store, liar.port)
    caught = liar.settled()
    assert caught
    assert only_alerts(caught)


@each_version
@each_certified_way
def test_threat_8_one_connection_is_enough(
    way: Way, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threats 4 and 8: the connection that is judged is the one that gets the client certificate; there is no look before it."""
    server = record(protocol="echo", version=version)
    context = Context(store)
    context.load_cert_chain(*server.client_certificate())
    for number in range(1, 3):
        way(store, server.port, context)
        visits = server.settled()
        assert len(visits) == number
        assert visits[-1].certificate


@each_version
@each_certified_way
@pytest.mark.parametrize("reason", ["expected", "revoked", "strict", "deleted", "ca"])
def test_threat_8_a_stranger_that_would_be_rejected_gets_no_client_certificate(
    way: Way, reason: str, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 8: at a first contact, whatever will reject the host rejects it before the client certificate leaves."""
    server = record(protocol="echo", version=version)
    context = Context(store, expect=view(fresh()[0]).fingerprint if reason == "expected" else None)
    context.load_cert_chain(*server.client_certificate())
    if reason == "revoked":
        store.revoke(server.view.spki)
    elif reason == "strict":
        manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    elif reason == "ca":
        manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    elif reason == "deleted":
        by_check(store, server.port)
        entry = store.entry(here(server.port))
        assert entry is not None
        manage.delete(store, entry, None)
    known = len(server.settled())
    with pytest.raises(CertificateRejected) as caught:
        way(store, server.port, context)
    visits = server.settled(known)
    assert visits
    assert not any(visit.certificate or visit.finished or visit.received for visit in visits[:1])
    assert not any(visit.certificate or visit.received for visit in visits)
    assert isinstance(caught.value, AwaitingApproval) is (reason in ("strict", "deleted"))
    if reason in ("strict", "deleted"):
        entry = store.entry(here(server.port))
        assert entry is not None
        manage.approve(store, entry, server.view.fingerprint)
        way(store, server.port, context)
        assert server.settled()[-1].certificate


@each_version
@each_certified_way
def test_threat_8_what_its_ca_revoked_gets_no_client_certificate(
    way: Way, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 8: in `ca` mode, revocation is asked about before the client certificate leaves."""
    answers = Answers()
    try:
        ca = Authority("Private CA")
        leaf, key = ca.issue("127.0.0.1", crl_url=answers.url("/crl"))
        answers.give["/crl"] = ca.crl
        server = record(protocol="echo", version=version)
        server.present((pem(leaf), key_pem(key)))
        add_authority(store, "system", "private", view(pem(ca.certificate)))
        manage.set_domain(store, "system", Override(mode=CheckMode.CA))
        context = Context(store)
        context.load_cert_chain(*server.client_certificate())
        way(store, server.port, context)
        assert server.settled()[0].certificate
        asked = len(answers.asked)
        ca.revoked.add(leaf.serial_number)
        known = len(server.visits)
        with pytest.raises(InvalidChain):
            way(store, server.port, context)
        assert not any(visit.certificate or visit.received for visit in server.settled(known))
        assert len(answers.asked) > asked
    finally:
        answers.close()


@each_version
@pytest.mark.parametrize("way", [by_certified_socket, by_certified_late_socket], ids=way_name)
def test_threat_8_a_python_that_makes_its_sockets_in_another_way_gives_nothing_away(
    way: Way, version: ssl.TLSVersion, record: Record, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threats 8 and 17: should a Python no longer ask us for what is inside a socket, no client certificate is given at all."""
    server = record(protocol="echo", version=version)
    context = Context(store)
    context.load_cert_chain(*server.client_certificate())
    monkeypatch.delattr(GuardedContext, "_wrap_socket")
    with pytest.raises(ssl.SSLError, match="withheld"):
        way(store, server.port, context)
    assert not any(visit.certificate or visit.received for visit in server.settled())


@each_version
@pytest.mark.parametrize("kind", ["socket", "memory"])
def test_threat_9_a_pin_that_is_withdrawn_before_the_handshake_gets_no_client_certificate(
    kind: str, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threats 8 and 9: between the making of a connection and its handshake the pin is withdrawn: no client certificate leaves."""
    server = record(protocol="echo", version=version)
    context = Context(store, here(server.port))
    context.load_cert_chain(*server.client_certificate())
    for _ in range(2):
        by_socket(store, server.port, context)
        by_asyncio(store, server.port, context)
    known = len(server.settled())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=15))
        tls: ssl.SSLSocket | ssl.SSLObject
        if kind == "socket":
            tls = context.wrap_socket(raw, server_hostname="127.0.0.1", do_handshake_on_connect=False)
            stack.enter_context(tls)
        else:
            tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        entry = store.entry(here(server.port))
        assert entry is not None
        manage.revoke_entry(store, entry)
        with pytest.raises(CertificateRejected):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    incoming.write(raw.recv(65536))
        assert not outgoing.pending
    (visit,) = server.settled(known)
    assert not visit.certificate
    assert not visit.finished


class LateAsker:
    """A server of TLS 1.3 that asks for the client's certificate after the handshake (RFC 8446 section 4.6.2)."""

    def __init__(self, folder: Path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*written(folder, fresh()))
        clients = Authority("Clients")
        leaf, key = clients.issue("client.example.com")
        self.client = written(folder, (pem(leaf), key_pem(key)), "client")
        context.load_verify_locations(cadata=pem(clients.certificate).decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.post_handshake_auth = True
        self.given: bytes | None = None
        self.received = b""
        self.asked, self.over = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, args=(context,), daemon=True).start()

    def _serve(self, context: ssl.SSLContext) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: its question is not answered yet
            raw, _ = self._listener.accept()
            with raw:
                raw.settimeout(15)
                with context.wrap_socket(raw, server_side=True) as tls:
                    assert tls.recv(5) == b"first"
                    tls.verify_client_post_handshake()
                    tls.sendall(b"go on")
                    self.asked.set()
                    self.received = tls.recv(100)
                    self.given = tls.getpeercert(binary_form=True)
        self.over.set()

    def close(self) -> None:
        """Stop."""
        self._listener.close()


@pytest.mark.parametrize("withdrawn", [False, True])
@pytest.mark.parametrize("streams", [False, True], ids=["socket", "asyncio"])
def test_threat_8_a_certificate_that_is_asked_for_late_is_given_while_the_verdict_holds(
    streams: bool, withdrawn: bool, store: SqliteStore, tmp_path: Path
) -> None:
    """Threats 8 and 9: who asks for the client certificate after the handshake gets it, but not after its pin was withdrawn."""
    server = LateAsker(tmp_path)
    context = Context(store)
    context.load_cert_chain(*server.client)
    context.post_handshake_auth = True

    def between() -> None:
        assert server.asked.wait(15)
        entry = store.entry(here(server.port))
        assert entry is not None
        if withdrawn:
            manage.revoke_entry(store, entry)

    def by_stream() -> None:
        async def go() -> None:
            bound = context.bound_to("127.0.0.1", server.port)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=bound)
            try:
                writer.write(b"first")
                between()  # nothing is read meanwhile
                assert await reader.readexactly(5) == b"go on"
                writer.write(b"second")
                await writer.drain()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        asyncio.run(asyncio.wait_for(go(), 20))

    def by_tls() -> None:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(b"first")
            between()
            assert tls.recv(5) == b"go on"
            tls.sendall(b"second")
            assert server.over.wait(15)

    try:
        with pytest.raises(CertificateRejected) if withdrawn else contextlib.nullcontext():
            (by_stream if streams else by_tls)()
        assert server.over.wait(20)
    finally:
        server.close()
    assert (server.given is None) is withdrawn
    assert server.received == (b"" if withdrawn else b"second")


def test_the_liar_can_be_honest(lying: Lying, store: SqliteStore) -> None:
    """The handmade handshake is a whole one: with the right key, its certificate is learned."""
    certificate, key = make("honest")
    liar = lying(relay13(der(certificate), signer=key))
    by_check(store, liar.port)
    entry = store.entry(here(liar.port))
    assert entry is not None
    assert entry.current[0].fingerprint == CertificateView.from_der(der(certificate)).fingerprint


@each_version
@each_sending_way
def test_threat_4_what_was_judged_is_what_gets_the_client_certificate(
    way: Way, version: ssl.TLSVersion, fickle: Fickler, store: SqliteStore
) -> None:
    """Threats 4 and 8: a host that shows one certificate to the look and another to the connection gets nothing on the other."""
    shown: list[CertificateView] = []

    def choose(number: int, _: Hello) -> tuple[bytes, bytes]:
        made = fresh(str(number))
        shown.append(view(made[0]))
        return made

    server = fickle(choose, version=version)
    context = Context(store)
    context.load_cert_chain(*server.client_certificate())
    for _ in range(2):
        with contextlib.suppress(CertificateRejected):
            way(store, server.port, context)
    visits = server.settled()
    assert len(visits) == len(shown) >= 2
    entry = store.entry(here(server.port))
    assert entry is not None
    (pin,) = entry.current
    for each in visits:
        given = ssl.PEM_cert_to_DER_cert((server.folder / f"visit-{id(each)}" / "host.pem").read_text())
        if CertificateView.from_der(given).fingerprint != pin.fingerprint:
            assert not each.received
            assert not each.certificate


def test_threat_4_replace_takes_what_was_compared(fickle: Fickler, store: SqliteStore) -> None:
    """Threat 4: what a person compared is what is stored, though the host shows another at the next connection."""
    one, two, three = (fresh(each) for each in ("one", "two", "three"))
    server = fickle(lambda number, _: (one, two, three)[min(number, 2)])
    target = Target(endpoint=here(server.port))
    check_target(store, target)
    decision = check_target(store, target)
    assert decision.verdict is Verdict.CHANGED
    entry = store.entry(target.endpoint)
    assert entry is not None
    manage.replace(store, entry, decision.presented.leaf, view(two[0]).fingerprint)
    assert check_target(store, target).verdict is Verdict.CHANGED
    with pytest.raises(CertificateChanged):
        manage.replace(store, entry, view(three[0]), view(two[0]).fingerprint)


# Threat 9: resumption


@each_version
def test_threat_9_a_session_is_never_resumed(version: ssl.TLSVersion, record: Record, store: SqliteStore) -> None:
    """Threat 9: a session that a caller passes in is not used: each connection shows its certificate and is judged."""
    server = record(protocol="echo", version=version)
    context = Context(store, here(server.port))
    with contextlib.ExitStack() as stack:
        sessions = []
        for _ in range(2):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=15))
            old = sessions[-1] if sessions else None
            tls = stack.enter_context(context.wrap_socket(raw, server_hostname="127.0.0.1", session=old))
            tls.sendall(SECRET)
            assert tls.recv(100) == SECRET
            assert not tls.session_reused
            sessions.append(tls.session)
    server.change()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw,
        pytest.raises(CertificateChanged),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1", session=sessions[-1])
    assert not server.settled()[-1].received


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_threat_9_a_session_that_is_forced_on_is_refused(option: str, store: SqliteStore, tmp_path: Path) -> None:
    """Threat 9: a session that is set on the connection itself resumes nothing: without a certificate there is no verdict."""
    crt, key = written(tmp_path, fresh())
    with s_server(tmp_path, "-cert", crt, "-key", key, option, "-rev") as port:
        context = Context(store, here(port))
        session = None
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
                context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
            ):
                tls.sendall(b"one\n")
                assert tls.recv(100)
                session = tls.session
        assert session is not None
        assert session.has_ticket or session.id
        with (
            socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1", do_handshake_on_connect=False) as tls,
        ):
            tls.session = session
            try:
                tls.sendall(b"two\n")
            except ssl.SSLError as error:
                assert "resumed" in str(error)
            else:
                assert not tls.session_reused


def test_threat_9_asyncio_resumes_nothing(record: Record, store: SqliteStore) -> None:
    """Threat 9: over asyncio, a changed certificate is seen at the next connection of the same context, without a byte."""
    server = record(protocol="echo")
    context = Context(store)
    for _ in range(2):
        by_asyncio(store, server.port, context)
    known = len(server.settled())
    server.change()
    with pytest.raises(CertificateChanged):
        by_asyncio(store, server.port, context)
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize("option", ["--priority=NORMAL:-VERS-TLS1.3", "--earlydata"])
def test_threat_9_tickets_and_early_data_change_nothing(option: str, store: SqliteStore, tmp_path: Path) -> None:
    """Threat 9: with a server that hands out tickets and takes early data, every connection is judged and shows its certificate."""
    crt, key = written(tmp_path, fresh())
    with gnutls_serv(tmp_path, "--x509certfile", crt, "--x509keyfile", key, option) as port:
        context = Context(store)
        for _ in range(2):
            by_socket(store, port, context)
            by_asyncio(store, port, context)
        entry = store.entry(here(port))
        assert entry is not None
        manage.revoke_entry(store, entry)
        for way in SENDING:
            with pytest.raises(CertificateRejected):
                way(store, port, context)


# Threat 10: an anchor that is a CA


def _pinned_ca(server: object, store: SqliteStore) -> tuple[Authority, bytes, bytes]:
    ca = Authority("appliance")
    manage.pin(
        store,
        here(server.port),  # type: ignore[attr-defined]  # a recorder
        kind=PinKind.CERTIFICATE,
        view=view(pem(ca.certificate)),
    )
    leaf, key = ca.issue("127.0.0.1")
    return ca, pem(leaf) + pem(ca.certificate), key_pem(key)


@each_version
@each_way
def test_threat_10_what_a_pinned_ca_signed_is_not_the_pin(
    way: Way, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 10: the pinned self-signed certificate is a CA; a leaf that it signed is refused, with zero bytes."""
    server = record(protocol="echo", version=version, ask=False)
    ca, chain, key = _pinned_ca(server, store)
    server.present((pem(ca.certificate), key_pem(ca.key)))
    way(store, server.port)
    known = len(server.settled())
    server.present((chain, key))
    with pytest.raises(CertificateChanged):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))


@each_version
@each_sending_way
def test_threat_10_what_a_pinned_ca_signed_gets_no_client_certificate(
    way: Way, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threats 8 and 10: a leaf that the pinned CA certificate signed gets no client certificate either."""
    server = record(protocol="echo", version=version)
    ca, chain, key = _pinned_ca(server, store)
    context = Context(store)
    context.load_cert_chain(*server.client_certificate())
    server.present((pem(ca.certificate), key_pem(ca.key)))
    way(store, server.port, context)
    assert server.settled()[-1].certificate
    known = len(server.visits)
    server.present((chain, key))
    with pytest.raises(CertificateChanged):
        way(store, server.port, context)
    visits = server.settled(known)
    assert not any(visit.received for visit in visits)
    assert not any(visit.certificate for visit in visits)


# Threat 12: no certificate, another kind of it, or another one later


@each_way
def test_threat_12_anonymous_ciphers_are_an_error(way: Way, store: SqliteStore, tmp_path: Path) -> None:
    """Threat 12: a server that has no certificate at all gets no connection, and nothing is learned."""
    with s_server(tmp_path, "-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0", "-rev") as port:
        with pytest.raises((TrothError, ssl.SSLError)):
            way(store, port)
        assert store.entry(here(port)) is None


@pytest.mark.parametrize("ciphers", ["aNULL", "ALL:aNULL:eNULL:PSK:@SECLEVEL=0", "ADH-AES128-SHA:DEFAULT:@SECLEVEL=0"])
def test_threat_12_no_setting_lets_anonymous_ciphers_in(ciphers: str, store: SqliteStore, tmp_path: Path) -> None:
    """Threats 12 and 15: a program that asks for anonymous ciphers gets none."""
    context = Context(store)
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers(ciphers)
    with s_server(tmp_path, "-nocert", "-tls1_2", "-cipher", "ALL:aNULL:eNULL:@SECLEVEL=0", "-rev") as port:
        for way in SENDING:
            with pytest.raises(ssl.SSLError):
                way(store, port, context)
        assert store.entry(here(port)) is None


@each_way
def test_threat_12_raw_public_keys_are_an_error(way: Way, store: SqliteStore, tmp_path: Path) -> None:
    """Threat 12: a server that has nothing but a raw public key (RFC 7250) gets no connection."""
    _, key = make()
    (tmp_path / "raw.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "raw.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    files = ("--rawpkkeyfile", str(tmp_path / "raw.key"), "--rawpkfile", str(tmp_path / "raw.pem"))
    with gnutls_serv(tmp_path, "--priority=NORMAL:+CTYPE-SRV-RAWPK", *files) as port:
        with pytest.raises((TrothError, ssl.SSLError)):
            way(store, port)
        assert store.entry(here(port)) is None


@each_way
def test_threat_12_a_raw_public_key_that_nobody_asked_for_is_an_error(
    way: Way, lying: Lying, store: SqliteStore
) -> None:
    """Threat 12: a server that sends a raw public key unasked, rightly signed, gets no connection."""
    key = VICTIM[1]
    raw = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def lie12(talk: Talk) -> None:
        hello = talk.hello12(ECDHE_ECDSA, (SERVER_CERTIFICATE_TYPE, b"\x02"))
        body = message(11, len(raw).to_bytes(3, "big") + raw)
        talk.say(hello, body, talk.key_exchange(key), message(HELLO_DONE, b""))

    def lie13(talk: Talk) -> None:
        talk.begin13((SERVER_CERTIFICATE_TYPE, b"\x02"))
        talk.say(chain13(raw))
        talk.say(talk.verify13(key))
        talk.say(talk.finish13())

    for lie in (lie12, lie13):
        liar = lying(lie)
        with pytest.raises((TrothError, ssl.SSLError)):
            way(store, liar.port)
        assert store.entry(here(liar.port)) is None
        assert only_alerts(liar.settled())


@each_way
def test_threat_12_a_downgrade_is_noticed(way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 12: a server that could speak TLS 1.3 and is made to speak 1.2 (RFC 8446 section 4.1.3) gets no connection."""

    def lie(talk: Talk) -> None:
        hello = talk.hello12(ECDHE_ECDSA, random=os.urandom(24) + DOWNGRADED)
        talk.say(hello, chain12(der(VICTIM[0])), talk.key_exchange(VICTIM[1]), message(HELLO_DONE, b""))

    liar = lying(lie)
    with pytest.raises((TrothError, ssl.SSLError)):
        way(store, liar.port)
    assert store.entry(here(liar.port)) is None
    assert only_alerts(liar.settled())


def test_threat_12_renegotiation_to_another_certificate_does_not_happen(store: SqliteStore) -> None:
    """Threat 12: a server that asks to negotiate again, with another certificate, is refused; nothing leaves after it."""
    SSL = pytest.importorskip("OpenSSL.SSL", reason="pyOpenSSL is not installed")  # a module's name
    one, other = make("one"), make("other")

    def context_of(certificate: x509.Certificate, key: object) -> object:
        made = SSL.Context(SSL.TLS_SERVER_METHOD)
        made.set_max_proto_version(SSL.TLS1_2_VERSION)
        made.set_options(getattr(SSL, "OP_ALLOW_CLIENT_RENEGOTIATION", 0))
        made.use_certificate(certificate)
        made.use_privatekey(key)
        return made

    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []
    shakes: list[bool] = []

    def serve() -> None:
        raw, _ = listener.accept()
        raw.settimeout(None)
        connection = SSL.Connection(context_of(*one), raw)
        connection.set_accept_state()
        try:
            connection.do_handshake()
            received.append(connection.recv(100))
            connection.set_context(context_of(*other))
            connection.use_certificate(other[0])
            connection.use_privatekey(other[1])
            assert connection.renegotiate()
            connection.do_handshake()
            connection.sendall(b"go on")
            received.append(connection.recv(100))
            shakes.append(connection.total_renegotiations() > 0 and not connection.renegotiate_pending())
        except SSL.Error as error:
            shakes.append(False)
            received.append(repr(error).encode())
        finally:
            connection.close()
            raw.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    context = Context(store, here(port))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=15) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        first = tls.getpeercert(binary_form=True)
        tls.sendall(SECRET)
        with contextlib.suppress(OSError):
            tls.recv(100)
            tls.sendall(b"after")
        with contextlib.suppress(OSError, ValueError):
            assert tls.getpeercert(binary_form=True) in (None, first)
    thread.join(20)
    listener.close()
    assert not thread.is_alive()
    assert received[0] == SECRET
    assert shakes == [False], "no second handshake was completed"


# Threat 13: certificates that depend on what is asked


def test_threat_13_a_certificate_by_server_name_is_pinned_by_endpoint(fickle: Fickler, store: SqliteStore) -> None:
    """Threat 13: a host with a certificate for each server name has a pin for each endpoint; one is never taken for another."""
    by_name = {"": fresh("address"), "localhost": fresh("localhost"), "other.example.com": fresh("other")}
    server = fickle(lambda _, hello: by_name[hello.name])
    for host, asked in (("127.0.0.1", ""), ("localhost", "localhost")):
        decision = check_target(store, Target(endpoint=Endpoint(host, server.port)))
        assert decision.verdict is Verdict.FIRST_USE
        assert decision.presented.leaf.fingerprint == view(by_name[asked][0]).fingerprint
    other = Target(endpoint=Endpoint("localhost", server.port), server_name="other.example.com")
    assert check_target(store, other).verdict is Verdict.CHANGED
    context = Context(store, Endpoint("localhost", server.port), server_name="other.example.com")
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw,
        pytest.raises(CertificateChanged) as caught,
    ):
        context.wrap_socket(raw, server_hostname="other.example.com")
    assert str(view(by_name["other.example.com"][0]).fingerprint) in str(caught.value)
    assert not any(visit.received for visit in server.settled())


@each_sending_way
def test_threat_13_a_certificate_by_protocol_is_refused_and_named(
    way: Way, fickle: Fickler, store: SqliteStore
) -> None:
    """Threat 13 (ALPACA): another certificate for another application protocol is a change; the message names that very one."""
    plain, special = fresh("plain"), fresh("special")
    server = fickle(lambda _, hello: special if "h2" in hello.protocols else plain, alpn=["h2"])
    by_check(store, server.port)
    context = Context(store)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(CertificateChanged) as caught:
        way(store, server.port, context)
    assert str(view(special[0]).fingerprint) in str(caught.value)
    assert not any(visit.received for visit in server.settled())


def test_threat_13_starttls_and_tls_have_pins_of_their_own(record: Record, store: SqliteStore) -> None:
    """Threat 13: what was learned of a port's STARTTLS service says nothing of the TLS service at that port."""
    server = record(protocol="smtp", ask=False)
    check_target(store, Target(endpoint=Endpoint("127.0.0.1", server.port, "smtp")))
    assert [entry.endpoint.protocol for entry in store.entries()] == ["smtp"]
    assert store.entry(here(server.port)) is None
    server.protocol = "echo"
    server.change()
    assert check_target(store, Target(endpoint=here(server.port))).verdict is Verdict.FIRST_USE
    server.protocol = "smtp"
    changed = check_target(store, Target(endpoint=Endpoint("127.0.0.1", server.port, "smtp")))
    assert changed.verdict is Verdict.CHANGED


def test_threat_13_each_connection_another_certificate(fickle: Fickler, store: SqliteStore) -> None:
    """Threats 13 and 31: of a host that shows another certificate each time the first is held, and each other is a change."""
    first = fresh("0")
    server = fickle(lambda number, _: fresh(str(number)) if number else first, ask=False)
    by_check(store, server.port)
    for way in (by_socket, by_asyncio, by_late_socket):
        with pytest.raises(CertificateRejected):
            way(store, server.port)
    entry = store.entry(here(server.port))
    assert entry is not None
    assert [pin.fingerprint for pin in entry.current] == [view(first[0]).fingerprint]
    visits = server.settled()
    assert not any(visit.received for visit in visits)


def test_the_hello_is_read_as_it_is(fickle: Fickler, store: SqliteStore) -> None:
    """The simulator reads what a client asks for."""
    seen: list[Hello] = []
    server = fickle(lambda _, hello: seen.append(hello) or fresh(), alpn=["h2"])  # type: ignore[func-returns-value]
    context = Context(store, Endpoint("localhost", server.port))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw:
        context.wrap_socket(raw, server_hostname="localhost").close()
    assert (seen[0].name, seen[0].protocols) == ("localhost", ("h2", "http/1.1"))
