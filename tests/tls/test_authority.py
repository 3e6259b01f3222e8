"""Mode `ca` and issuer pins: chain, name and revocation, on real connections, against CAs that answer truly or not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.tls.authority import Answers, Authority, Key, pem, server_context
from tests.tls.conftest import Serve
from troth import manage
from troth.errors import BadInput, InvalidChain
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override, PinKind
from troth.store import authorities
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.context import Context
from troth.tls.probe import Target
from troth.trust.verdict import ChangeClass, Decision, Verdict

Present = Callable[[list[x509.Certificate], Key], Endpoint]


@pytest.fixture
def ca() -> Authority:
    """A CA."""
    return Authority("Test CA")


@pytest.fixture
def answers() -> Iterator[Answers]:
    """An HTTP server for revocation."""
    made = Answers()
    yield made
    made.close()


@pytest.fixture
def present(serve: Serve, tmp_path: Path) -> Present:
    """Serves one port, with whatever chain was given last."""
    held: list[ssl.SSLContext] = []

    def behave(connection: socket.socket) -> None:
        with held[-1].wrap_socket(connection, server_side=True) as tls:
            tls.recv(100)

    endpoint = serve(behave)

    def now(chain: list[x509.Certificate], key: Key) -> Endpoint:
        held.append(server_context(tmp_path / "server", chain, key))
        return endpoint

    return now


def trusting(store: SqliteStore, ca: Authority) -> SqliteStore:
    """Put the system domain in `ca` mode, with one CA in its store."""
    view = CertificateView.from_pem(pem(ca.certificate).decode())
    authorities.add_authority(store, "system", "test", view)
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    return store


def check(store: SqliteStore, endpoint: Endpoint) -> Decision:
    """Check an endpoint."""
    return check_target(store, Target(endpoint=endpoint, timeout_s=10))


def test_a_valid_chain_is_trusted_and_a_renewal_is_too(store: SqliteStore, ca: Authority, present: Present) -> None:
    """In ca mode the chain and the name decide: first use, match, and a new certificate of the same CA."""
    trusting(store, ca)
    leaf, key = ca.issue()
    endpoint = present([leaf], key)
    assert check(store, endpoint).verdict is Verdict.FIRST_USE
    assert check(store, endpoint).verdict is Verdict.MATCH
    leaf, key = ca.issue()
    assert check(store, present([leaf], key)).verdict is Verdict.RENEWED


@pytest.mark.parametrize(
    ("san", "days", "word"), [("127.0.0.9", 10, "not for the name 127.0.0.1"), ("127.0.0.1", -1, "expired")]
)
def test_a_wrong_name_or_date_is_refused_with_its_reason(
    store: SqliteStore, ca: Authority, present: Present, san: str, days: int, word: str
) -> None:
    """A chain for another name, or out of its dates, is invalid, and the reason is said."""
    leaf, key = ca.issue(san, days=days)
    decision = check(trusting(store, ca), present([leaf], key))
    assert (decision.verdict, decision.trusted) == (Verdict.INVALID_CHAIN, False)
    assert word in decision.why


def test_a_ca_of_the_same_name_is_not_the_ca(store: SqliteStore, ca: Authority, present: Present) -> None:
    """A stranger's CA that calls itself like ours vouches for nobody."""
    leaf, key = Authority("Test CA").issue()
    assert check(trusting(store, ca), present([leaf], key)).verdict is Verdict.INVALID_CHAIN


def test_an_intermediate_is_found_in_the_handshake(store: SqliteStore, ca: Authority, present: Present) -> None:
    """A chain over an intermediate is followed to the root on record."""
    middle = Authority("Middle", parent=ca)
    leaf, key = middle.issue()
    trusting(store, ca)
    assert check(store, present([leaf], key)).verdict is Verdict.INVALID_CHAIN
    assert check(store, present([leaf, middle.certificate], key)).verdict is Verdict.FIRST_USE


def test_a_leaf_is_no_ca(store: SqliteStore, ca: Authority, present: Present) -> None:
    """A certificate without CA:TRUE can neither be put into a CA store nor vouch for another."""
    leaf, _ = ca.issue()
    with pytest.raises(BadInput, match="not a CA"):
        authorities.add_authority(store, "system", "leaf", CertificateView.from_pem(pem(leaf).decode()))


def test_a_revoked_certificate_is_refused_by_list_and_by_responder(
    store: SqliteStore, ca: Authority, answers: Answers, present: Present
) -> None:
    """What its CA revoked is refused, whether a CRL or an OCSP responder says so; a good one passes."""
    trusting(store, ca)
    for kind in ("crl_url", "ocsp_url"):
        leaf, key = ca.issue(**{kind: answers.url("/good")})  # type: ignore[arg-type]
        answers.give["/good"] = (lambda: ca.crl()) if kind == "crl_url" else (lambda leaf=leaf: ca.answer(leaf))  # type: ignore[misc]
        endpoint = present([leaf], key)
        assert check(store, endpoint).trusted, kind
        ca.revoked.add(leaf.serial_number)
        decision = check(store, endpoint)
        assert decision.verdict is Verdict.INVALID_CHAIN
        assert "revoked by its CA" in decision.why


def lies(ca: Authority, leaf: x509.Certificate, other: x509.Certificate) -> dict[str, bytes | int]:
    """Give answers that must not count as "good"."""
    impostor = Authority("Test CA")
    bystander = ca.issue()
    return {
        "silence": 503,
        "redirect": 302,
        "garbage": b"<html>",
        "empty": b"",
        "too large": b"x" * (70 << 10),
        "stale": ca.answer(leaf, age=timedelta(days=2)),
        "future": ca.answer(leaf, age=timedelta(days=-2)),
        "another certificate": ca.answer(other),
        "forged": ca.answer(leaf, by=(impostor.certificate, impostor.key)),
        "a delegate without the right": ca.answer(leaf, by=bystander),
    }


def test_an_answer_that_proves_nothing_is_a_refusal(
    store: SqliteStore, ca: Authority, answers: Answers, present: Present
) -> None:
    """A check that cannot be done is a rejection: no stale, forged, borrowed or unsigned answer counts as good."""
    trusting(store, ca)
    leaf, key = ca.issue(ocsp_url=answers.url("/ocsp"))
    other, _ = ca.issue()
    endpoint = present([leaf], key)
    for name, lie in lies(ca, leaf, other).items():
        answers.give["/ocsp"] = lambda lie=lie: lie  # type: ignore[misc]
        answers.give["/good"] = lambda: ca.answer(leaf)
        decision = check(store, endpoint)
        assert decision.verdict is Verdict.INVALID_CHAIN, name
        assert "cannot be" in decision.why, name
    delegate, delegate_key = ca.issue(usage=x509.ExtendedKeyUsageOID.OCSP_SIGNING)
    answers.give["/ocsp"] = lambda: ca.answer(leaf, by=(delegate, delegate_key))
    assert check(store, endpoint).trusted


def test_a_list_that_proves_nothing_is_a_refusal(
    store: SqliteStore, ca: Authority, answers: Answers, present: Present
) -> None:
    """A stale list, and one that another key signed, do not count."""
    trusting(store, ca)
    leaf, key = ca.issue(crl_url=answers.url("/crl"))
    endpoint = present([leaf], key)
    for lie in (ca.crl(age=timedelta(days=3)), ca.crl(signer=Authority("Test CA").key), b"no list"):
        answers.give["/crl"] = lambda lie=lie: lie  # type: ignore[misc]
        assert check(store, endpoint).verdict is Verdict.INVALID_CHAIN
    authorities.set_strictness(store, "system", "prefer")
    assert check(store, endpoint).trusted


def test_a_custom_responder_is_asked_in_place_of_the_named_one(
    store: SqliteStore, ca: Authority, answers: Answers, present: Present
) -> None:
    """With a custom responder switched on, the certificate's own address is not contacted."""
    trusting(store, ca)
    leaf, key = ca.issue(ocsp_url=answers.url("/named"))
    answers.give["/custom"] = lambda: ca.answer(leaf)
    authorities.set_responder(store, "url1", answers.url("/custom"))
    authorities.set_custom_responders(store, True)
    assert check(store, present([leaf], key)).trusted
    assert answers.asked == ["/custom"]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "file:///etc/passwd", "https://127.0.0.1/", "http://u@h/"]
)
def test_a_certificate_cannot_make_us_fetch_anything_but_public_http(url: str) -> None:
    """Threat 38: metadata addresses, files and credentials in a certificate's URLs are refused."""
    from troth.errors import Unreachable
    from troth.tls.fetch import get

    with pytest.raises(Unreachable):
        get(url, None, limit=100, timeout_s=0.5)


def test_an_issuer_pin_needs_the_key_and_the_name(store: SqliteStore, ca: Authority, present: Present) -> None:
    """An issuer pin follows renewals of its CA, and refuses a CA of the same name and a leaf for another name."""
    leaf, key = ca.issue()
    endpoint = present([leaf], key)
    view = CertificateView.from_pem(pem(ca.certificate).decode())
    manage.pin(store, endpoint, kind=PinKind.ISSUER, view=view)
    assert check(store, endpoint).verdict is Verdict.MATCH
    assert check(store, present(*_as_chain(ca.issue()))).verdict is Verdict.RENEWED
    for impostor, change in (
        (Authority("Test CA").issue(), ChangeClass.CA_DOWNGRADED),
        (ca.issue("127.0.0.9"), ChangeClass.WRONG_NAME),
    ):
        decision = check(store, present(*_as_chain(impostor)))
        assert (decision.verdict, decision.change) == (Verdict.CHANGED, change)


def test_a_context_in_ca_mode_verifies_chain_name_and_revocation(
    store: SqliteStore, ca: Authority, answers: Answers, present: Present
) -> None:
    """The library's context holds to the same rules as the command."""
    trusting(store, ca)
    leaf, key = ca.issue(crl_url=answers.url("/crl"))
    answers.give["/crl"] = ca.crl
    endpoint = present([leaf], key)
    context = Context(store)

    def connect() -> None:
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=endpoint.host),
        ):
            pass

    connect()
    ca.revoked.add(leaf.serial_number)
    with pytest.raises(InvalidChain):
        connect()
    present(*_as_chain(Authority("Test CA").issue()))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect()


def _as_chain(issued: tuple[x509.Certificate, Key]) -> tuple[list[x509.Certificate], Key]:
    return [issued[0]], issued[1]
