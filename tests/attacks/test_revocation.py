"""Attacks on the answers about revocation, which come over plain HTTP: whoever is in the middle chooses them (threat 38)."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from tests.attacks.conftest import Command, Record
from tests.attacks.making import der, key_pem, view
from tests.tls.authority import Answers, Authority, pem
from troth import manage
from troth.errors import TimedOut, Unreachable
from troth.model import der as reader
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override
from troth.store.authorities import add_authority, set_custom_responders, set_responder, set_strictness
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.fetch import get
from troth.tls.probe import Target
from troth.tls.revocation import Settings, check_path
from troth.trust.verdict import Decision, Verdict

URL = "http://lists.example/1.crl"


@pytest.fixture
def ca() -> Authority:
    """A CA that gives its lists out in parts."""
    return Authority("Sharding CA")


@pytest.fixture
def answers() -> Iterator[Answers]:
    """An HTTP server for revocation."""
    made = Answers()
    yield made
    made.close()


def scope(**options: Any) -> x509.IssuingDistributionPoint:
    """Say what a list is for; by default for everything."""
    url = options.pop("url", None)
    given: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(url)] if url else None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**given, **options})


def a_list(ca: Authority, *extensions: tuple[x509.ExtensionType, bool], revoked: tuple[int, ...] = ()) -> bytes:
    """Sign a list with the CA's own key."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.name)
        .last_update(now - timedelta(hours=1))
        .next_update(now + timedelta(hours=1))
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(entry)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def a_certificate(
    ca: Authority, *, is_ca: bool = False, point: x509.DistributionPoint | None = None
) -> x509.Certificate:
    """Have the CA sign a certificate that names a list."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    named = point or x509.DistributionPoint([x509.UniformResourceIdentifier(URL)], None, None, None)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "subject")]))
        .issuer_name(ca.name)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.CRLDistributionPoints([named]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def asked(ca: Authority, subject: x509.Certificate, answer: bytes | Callable[[], bytes]) -> str:
    """Ask about a certificate, where the answer is given; empty if it is good."""

    def fetch(_: str, __: bytes | None, ___: int) -> bytes:
        return answer if isinstance(answer, bytes) else answer()

    path = (der(subject), der(ca.certificate))
    return check_path(path, settings=Settings(), now=datetime.now(UTC), fetch=fetch)


OTHERS: dict[str, tuple[x509.IssuingDistributionPoint, bool]] = {
    "another shard": (scope(url="http://lists.example/2.crl"), False),
    "another shard of CAs": (scope(url="http://lists.example/2.crl"), True),
    "for CAs, about a host": (scope(only_contains_ca_certs=True), False),
    "for hosts, about a CA": (scope(only_contains_user_certs=True), True),
    "for attributes": (scope(only_contains_attribute_certs=True), False),
    "indirect": (scope(indirect_crl=True), False),
    "for some reasons": (scope(only_some_reasons=frozenset({x509.ReasonFlags.superseded})), False),
    "relative": (
        scope(
            relative_name=x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another")]),
        ),
        False,
    ),
}


@pytest.mark.parametrize(("about", "is_ca"), OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("critical", [True, False])
def test_a_genuine_list_about_others_is_no_answer(
    critical: bool, about: x509.IssuingDistributionPoint, is_ca: bool, ca: Authority
) -> None:
    """Threat 38 (RFC 5280 section 6.3.3): a list that the CA signed, and that does not cover the certificate, does not clear it."""
    subject = a_certificate(ca, is_ca=is_ca)
    assert "does not cover" in asked(ca, subject, a_list(ca, (about, critical)))


COVERING: dict[str, tuple[x509.IssuingDistributionPoint | None, bool]] = {
    "whole": (None, False),
    "its shard": (scope(url=URL), False),
    "for CAs, about a CA": (scope(url=URL, only_contains_ca_certs=True), True),
    "for hosts, about a host": (scope(only_contains_user_certs=True), False),
}


@pytest.mark.parametrize(("about", "is_ca"), COVERING.values(), ids=COVERING)
def test_the_list_that_covers_a_certificate_decides(
    about: x509.IssuingDistributionPoint | None, is_ca: bool, ca: Authority
) -> None:
    """Threat 38: the right list clears, and revokes."""
    subject = a_certificate(ca, is_ca=is_ca)
    extensions = [(about, True)] if about else []
    assert asked(ca, subject, a_list(ca, *extensions)) == ""
    assert "was revoked" in asked(ca, subject, a_list(ca, *extensions, revoked=(77,)))


@pytest.mark.parametrize("critical", [True, False])
def test_a_delta_is_no_list(critical: bool, ca: Authority) -> None:
    """Threat 38: what was changed since another list is not the whole list."""
    assert "delta" in asked(ca, a_certificate(ca), a_list(ca, (x509.DeltaCRLIndicator(1), critical)))


def test_a_point_for_some_reasons_clears_nobody(ca: Authority) -> None:
    """Threat 38: a distribution point that tells of some reasons of revocation only may say "revoked", and not "good"."""
    names = [x509.UniformResourceIdentifier(URL)]
    point = x509.DistributionPoint(names, None, frozenset({x509.ReasonFlags.superseded}), None)
    subject = a_certificate(ca, point=point)
    assert "some reasons" in asked(ca, subject, a_list(ca))
    assert "was revoked" in asked(ca, subject, a_list(ca, revoked=(77,)))


def test_another_shard_clears_no_host(ca: Authority, answers: Answers, record: Record, store: SqliteStore) -> None:
    """Threat 38: end to end, the CA's other list at the same address does not undo a revocation."""
    server = trusted(store, record, ca, crl_url=answers.url("/1.crl"))
    honest = a_list(ca, (scope(url=answers.url("/1.crl")), True), revoked=(int(server.view.serial, 16),))
    for given in (honest, a_list(ca, (scope(url=answers.url("/2.crl")), True))):
        answers.give["/1.crl"] = lambda given=given: given  # type: ignore[misc]
        assert look(store, server.port).verdict is Verdict.INVALID_CHAIN
    answers.give["/1.crl"] = lambda: a_list(ca, (scope(url=answers.url("/1.crl")), True))
    assert look(store, server.port).trusted


def look(store: SqliteStore, port: int, timeout_s: float = 10) -> Decision:
    """Check a host on loopback."""
    return check_target(store, Target(endpoint=Endpoint("127.0.0.1", port), timeout_s=timeout_s))


def trusted(store: SqliteStore, record: Record, ca: Authority, **named: str) -> Any:
    """Start a host whose CA the store trusts; give it."""
    server = record(ask=False)
    leaf, key = ca.issue(**named)  # type: ignore[arg-type]
    server.present((pem(leaf), key_pem(key)))
    add_authority(store, "system", "ca", view(pem(ca.certificate)))
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    return server


# Time


class Dripping:
    """A responder that never comes to an end: a header without end, or "continue" again and again."""

    def __init__(self, begins: bytes, drop: bytes):
        self._begins, self._drop = begins, drop
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if select.select([self._listener], [], [], 0.05)[0]:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._drip, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _drip(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(self._begins)
            while not self._stop.wait(0.02):
                connection.sendall(self._drop)

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        for each in self._threads:
            each.join()
        self._listener.close()


DRIPS = {
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"a"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.fixture(params=DRIPS.values(), ids=DRIPS)
def dripping(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    """A responder that drips."""
    made = Dripping(*request.param)
    yield made
    made.close()


def test_a_dripping_responder_holds_no_fetch(dripping: Dripping) -> None:
    """Threat 38: the time limit of a fetch bounds the whole of it, whatever drips."""
    begun = time.monotonic()
    with pytest.raises(TimedOut):
        get(dripping.url, None, limit=10_000, timeout_s=0.3)
    assert time.monotonic() - begun < 5  # a bound for "at all", not a measurement


def test_a_dripping_responder_holds_no_check(
    ca: Authority, dripping: Dripping, record: Record, store: SqliteStore
) -> None:
    """Threat 38: all fetches of a check are bounded by the check's own limit, and the host is rejected."""
    server = trusted(store, record, ca, ocsp_url=dripping.url, crl_url=dripping.url)
    begun = time.monotonic()
    decision = look(store, server.port, timeout_s=2)
    assert decision.verdict is Verdict.INVALID_CHAIN
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("begins", [b"X: a\r\n" * 20_000, b"a" * 200_000], ids=["lines", "one line"])
def test_a_header_without_end_is_not_kept(begins: bytes) -> None:
    """Threat 38: a header has a size limit, too."""
    server = Dripping(b"HTTP/1.1 200 OK\r\n" + begins, b"a")
    try:
        with pytest.raises(Unreachable):
            get(server.url, None, limit=100, timeout_s=10)
    finally:
        server.close()


# Answers that cannot be read


def strange_answers(ca: Authority, leaf: x509.Certificate) -> dict[str, bytes]:
    """Give OCSP answers that are broken each in its own way."""
    good = ca.answer(leaf)
    signature, digest = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("0609608648016503040201")
    return {
        "unknown signature algorithm": good.replace(signature, signature[:-1] + b"\x7f", 1),
        "unknown hash algorithm": good.replace(digest, digest[:-1] + b"\x7f"),
        "cut": good[:-20],
        "garbage": b"\x30\x80",
        "try later": bytes.fromhex("30030a0103"),
        "empty": b"",
    }


@pytest.mark.parametrize("strictness", ["require", "prefer"])
def test_an_answer_that_cannot_be_read_is_no_answer(
    strictness: str, ca: Authority, answers: Answers, record: Record, store: SqliteStore
) -> None:
    """Threat 38: whatever an answer holds, it is read or it is none: a rejection where answers are required, never a crash."""
    leaf, key = ca.issue(ocsp_url=answers.url("/ocsp"))
    server = trusted(store, record, ca)
    server.present((pem(leaf), key_pem(key)))
    set_strictness(store, "system", strictness)
    for name, answer in strange_answers(ca, leaf).items():
        answers.give["/ocsp"] = lambda answer=answer: answer  # type: ignore[misc]
        assert look(store, server.port).trusted is (strictness == "prefer"), name
    ca.revoked.add(leaf.serial_number)
    answers.give["/ocsp"] = lambda: ca.answer(leaf)
    assert look(store, server.port).verdict is Verdict.INVALID_CHAIN


def _element(tag: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + body


def with_false_written_out(ca: Authority, leaf: x509.Certificate) -> bytes:
    """Give a certificate that says `critical FALSE`, which DER leaves out: OpenSSL reads it, strict readers do not."""
    fields = [each.raw for each in reader.read_all(leaf.tbs_certificate_bytes).children()]
    extension = next(reader.read_all(reader.read_all(fields[-1]).value).children())
    name, value = (each.raw for each in extension.children())
    fields[-1] = _element(0xA3, _element(0x30, _element(0x30, name + b"\x01\x01\x00" + value)))
    body = _element(0x30, b"".join(fields))
    signature = ca.key.sign(body, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return _element(0x30, body + algorithm + _element(3, b"\0" + signature))


@pytest.mark.parametrize("strictness", ["require", "prefer"])
def test_a_certificate_that_cannot_be_read_strictly_is_rejected(
    strictness: str, ca: Authority, record: Record, store: SqliteStore, troth: Command
) -> None:
    """Threat 38: a chain that cannot be asked about for its form is an invalid chain, exit 3, and no crash."""
    import base64

    leaf, key = ca.issue()
    server = trusted(store, record, ca)
    data = with_false_written_out(ca, leaf)
    (server.folder / "host.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE-----\n"
    )
    (server.folder / "host.key").write_bytes(key_pem(key))
    set_strictness(store, "system", strictness)
    decision = look(store, server.port)
    assert decision.verdict is Verdict.INVALID_CHAIN
    assert "cannot be" in decision.why
    assert troth("check", f"127.0.0.1:{server.port}", "--home", str(store.folder)).code == 3


def ocsp_without_next_update(ca: Authority, leaf: x509.Certificate, age: timedelta) -> bytes:
    """Answer as a responder that always has a newer answer: no time for the next one."""
    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=ca.certificate,
            algorithm=hashes.SHA1(),  # an identifier
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=datetime.now(UTC) - age,
            next_update=None,
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
        .sign(ca.key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


@pytest.mark.parametrize(
    ("age", "good"),
    [(timedelta(0), True), (timedelta(minutes=50), True), (timedelta(hours=2), False), (timedelta(hours=-1), False)],
    ids=["now", "50 min", "2 h", "tomorrow"],
)
def test_an_answer_without_a_next_one_counts_for_an_hour(age: timedelta, good: bool, ca: Authority) -> None:
    """Threat 38: a responder that names no next answer is believed, and its answer cannot be replayed for long."""
    leaf, _ = ca.issue(ocsp_url="http://ocsp.example/")
    assert (asked(ca, leaf, ocsp_without_next_update(ca, leaf, age)) == "") is good


# Addresses


FORBIDDEN = (
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "[::ffff:100.100.100.200]",
    "192.0.0.192",
    "168.63.129.16",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[::169.254.169.254]",
    "224.0.0.1",
    "0.0.0.0",
    "[::]",
)
HERE = ("127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "localhost")


@pytest.mark.guarded
@pytest.mark.parametrize("host", FORBIDDEN + HERE)
def test_a_certificate_leads_nobody_to_this_machine_or_its_cloud(host: str) -> None:
    """Threat 38: neither metadata services nor this machine are contacted for a certificate's sake, in whatever spelling."""
    with pytest.raises(Unreachable) as caught:
        get(f"http://{host}:1/", None, limit=100, timeout_s=5)
    assert "is not fetched" in caught.value.what


@pytest.mark.guarded
@pytest.mark.parametrize("host", FORBIDDEN)
def test_a_configured_address_is_no_metadata_service_either(host: str) -> None:
    """Threat 38: what a person configured may be on this machine, and is never a cloud's metadata service."""
    with pytest.raises(Unreachable, match="is not fetched"):
        get(f"http://{host}:1/", None, limit=100, timeout_s=5, configured=True)


@pytest.mark.guarded
def test_only_a_person_may_name_this_machine(
    ca: Authority, answers: Answers, record: Record, store: SqliteStore
) -> None:
    """Threat 38: a responder on this machine is asked if a person configured it, and never because a certificate names it."""
    server = trusted(store, record, ca, ocsp_url=answers.url("/ocsp"), crl_url=answers.url("/crl"))
    leaf = x509.load_pem_x509_certificate((server.folder / "host.pem").read_bytes())
    answers.give = {"/ocsp": lambda: ca.answer(leaf), "/crl": ca.crl}
    assert look(store, server.port).verdict is Verdict.INVALID_CHAIN
    assert not answers.asked
    set_responder(store, "url1", answers.url("/ocsp"))
    set_custom_responders(store, True)
    assert look(store, server.port).trusted
    assert answers.asked == ["/ocsp"]
