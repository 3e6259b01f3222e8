"""Answers that a real host staples: OpenSSL's own server, with an answer of our CA."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests import servers
from tests.tls.authority import Answers, Authority, Key, pem
from troth import manage
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override
from troth.store.authorities import add_authority
from troth.store.sqlite import SqliteStore
from troth.tls import stapling
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.verdict import Decision, Verdict

pytest.importorskip("OpenSSL", reason="the extra `stapling` is not installed")

Staple = Callable[[x509.Certificate, Key, bytes | None], Endpoint]


@pytest.fixture
def ca(store: SqliteStore) -> Authority:
    """A CA that the domain trusts."""
    made = Authority("Stapling CA")
    add_authority(store, "system", "ca", CertificateView.from_pem(pem(made.certificate).decode()))
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    return made


@pytest.fixture
def staple(tmp_path: Path) -> Iterator[Staple]:
    """Start a server that staples an answer, or none."""
    program = shutil.which("openssl") or pytest.skip("openssl is not installed")
    running: list[subprocess.Popen[bytes]] = []

    def start(certificate: x509.Certificate, key: Key, answer: bytes | None) -> Endpoint:
        folder = tmp_path / f"stapling-{len(running)}"
        folder.mkdir()
        (folder / "leaf.pem").write_bytes(pem(certificate))
        private = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, private, plain))
        port = servers.free_port()
        command = [
            program,
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-cert",
            "leaf.pem",
            "-key",
            "key.pem",
            "-quiet",
        ]
        if answer is not None:
            (folder / "answer.der").write_bytes(answer)
            command += ["-status_file", "answer.der"]
        running.append(subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        servers.wait_until(lambda: servers.listening(port), "openssl s_server")
        return Endpoint("127.0.0.1", port)

    yield start
    for each in running:
        each.kill()
        each.wait()


def check(store: SqliteStore, endpoint: Endpoint) -> Decision:
    """Check an endpoint."""
    return check_target(store, Target(endpoint=endpoint))


def test_a_stapled_answer_is_enough(store: SqliteStore, ca: Authority, staple: Staple) -> None:
    """The CA's responder cannot be reached, and the host brings its answer itself."""
    leaf, key = ca.issue(ocsp_url="http://127.0.0.1:1/")
    assert check(store, staple(leaf, key, ca.answer(leaf))).verdict is Verdict.FIRST_USE
    assert check(store, staple(leaf, key, None)).verdict is Verdict.INVALID_CHAIN


def test_a_stapled_answer_that_says_revoked_rejects(store: SqliteStore, ca: Authority, staple: Staple) -> None:
    """An answer of the CA that says revoked counts, wherever it comes from."""
    leaf, key = ca.issue()
    ca.revoked.add(leaf.serial_number)
    decision = check(store, staple(leaf, key, ca.answer(leaf)))
    assert decision.verdict is Verdict.INVALID_CHAIN
    assert "revoked" in decision.why


def test_an_answer_of_somebody_else_proves_nothing(store: SqliteStore, ca: Authority, staple: Staple) -> None:
    """An answer that the CA did not sign is as good as none: the responder is asked, and its silence rejects."""
    leaf, key = ca.issue(ocsp_url="http://127.0.0.1:1/")
    other = Authority("Stapling CA")
    forged = ca.answer(leaf, by=(other.certificate, other.key))
    assert check(store, staple(leaf, key, forged)).verdict is Verdict.INVALID_CHAIN


def test_the_responder_is_asked_where_nothing_is_stapled(store: SqliteStore, ca: Authority, staple: Staple) -> None:
    """Without a stapled answer it is as before."""
    answers = Answers()
    try:
        leaf, key = ca.issue(ocsp_url=answers.url("/ocsp"))
        answers.give["/ocsp"] = lambda: ca.answer(leaf)
        assert check(store, staple(leaf, key, None)).verdict is Verdict.FIRST_USE
        assert answers.asked == ["/ocsp"]
    finally:
        answers.close()


@pytest.mark.parametrize("stapling_host", [True, False])
def test_must_staple_is_insisted_on(store: SqliteStore, ca: Authority, staple: Staple, stapling_host: bool) -> None:
    """RFC 7633: a certificate that promises an answer is refused without one."""
    leaf, key = ca.issue()
    builder = x509.CertificateBuilder(
        ca.name,
        leaf.subject,
        leaf.public_key(),
        leaf.serial_number,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
    )
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    leaf = builder.add_extension(feature, critical=False).sign(ca.key, hashes.SHA256())
    decision = check(store, staple(leaf, key, ca.answer(leaf) if stapling_host else None))
    assert decision.verdict is (Verdict.FIRST_USE if stapling_host else Verdict.INVALID_CHAIN)


def test_a_silent_or_broken_host_staples_nothing(tmp_path: Path) -> None:
    """What cannot be asked gives no answer, and no error of its own."""
    assert stapling.stapled(Target(endpoint=Endpoint("127.0.0.1", 1), timeout_s=1)) is None
