"""A node's identity from its first day on: real openssl checks what it makes, and real TLS what it serves."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.identity.conftest import Authorities
from tests.identity.making import CA, NAMES, foreign_request, key_pem, now, openssl
from troth.errors import BadInput, CertificateUnfit, IdentityMissing, IdentityStep, IdentityUnusable
from troth.identity import Algorithm, Identity, Role, Subject
from troth.identity.names import usual_names

SUBJECT = Subject(cn="node.example.com", ou="Prime Infra", o="Example Systems", l="SJ", st="CA", c="US")


def served(node: Identity, name: str = "node.example.com") -> bytes:
    """Make a TLS server of an identity, connect both ways, and give the certificate that a client sees."""
    files = node.context_files()
    anchor = node.current().chain[-1].der
    server, client = (ssl.SSLContext(each) for each in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    for context in (server, client):
        context.load_cert_chain(files.certfile, files.keyfile)
        context.load_verify_locations(cadata=anchor)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    waiting = list(ends)
    for _ in range(10):
        for each in tuple(waiting):
            try:
                each.do_handshake()
                waiting.remove(each)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    assert ends[1].getpeercert(binary_form=True) == ends[0].getpeercert(binary_form=True)
    return ends[0].getpeercert(binary_form=True) or b""


# The first day


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_first_certificate_serves_and_vouches_for_nobody(folder: Path, algorithm: Algorithm) -> None:
    """Each kind of key gives a certificate that strict clients and servers take, by name and by address, and that is no CA's."""
    node = Identity(folder, now)
    made = node.create(NAMES, algorithm)
    view = made.certificate
    assert view is not None
    assert (made.role, made.number, view.is_ca, view.san) == (Role.CURRENT, 1, False, NAMES)
    assert {"EC P-256": "ec-p256", "EC P-384": "ec-p384", "RSA 3072": "rsa-3072", "RSA 4096": "rsa-4096"}[
        view.key
    ] == algorithm
    assert served(node) == served(node, "192.0.2.10") == view.der
    assert view.not_before is not None
    assert view.not_after is not None
    assert view.not_before < now() - timedelta(hours=23)
    assert view.not_after > now() + timedelta(days=3650)
    certfile = node.context_files().certfile
    assert openssl("verify", "-x509_strict", "-CAfile", certfile, "-purpose", "sslserver", certfile).returncode == 0
    assert openssl("verify", "-x509_strict", "-CAfile", certfile, "-purpose", "sslclient", certfile).returncode == 0


def test_a_name_that_is_too_long_for_a_common_name_still_serves(folder: Path) -> None:
    """A host name of more than 64 characters stands among the names alone, and these are critical then."""
    name = ".".join(["a" * 30] * 3) + ".example.com"
    node = Identity(folder, now)
    view = node.create([name]).certificate
    assert view is not None
    assert view.subject == ""
    assert served(node, name) == view.der


def test_each_node_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Two nodes, or two creations, never share a key or a serial number."""
    views = [Identity(tmp_path / str(each), now).create(NAMES).certificate for each in range(3)]
    assert len({each.spki for each in views if each}) == len({each.serial for each in views if each}) == 3


def test_without_a_key_everything_says_so(folder: Path, ca: Authorities) -> None:
    """Before the first creation nothing can be asked, requested, imported or activated, and no folder is guessed at."""
    node = Identity(folder, now)
    assert (node.token(), node.generations(), node.retired(), node.fingerprints(), node.start()) == (
        "",
        (),
        (),
        (),
        None,
    )
    actions: list[Callable[[], object]] = [
        node.current,
        node.context_files,
        node.activate,
        node.activation,
        node.schedule,
        lambda: node.request(SUBJECT, NAMES),
        lambda: node.import_signed(ca.root.pem),
        lambda: node.lint(ca.root.pem),
    ]
    for each in actions:
        with pytest.raises(IdentityMissing):
            each()
    assert node.token() == ""


@pytest.mark.parametrize("names", [[], ["*.example.com"], ["a b"], ["DNS:192.0.2.1"], ["IP:node"], ["x\x1b[31m"], [""]])
def test_names_that_cannot_be_used_make_nothing(folder: Path, names: list[str]) -> None:
    """No name, a wildcard, an address that says it is a name, or an escape: nothing is made."""
    with pytest.raises(BadInput):
        Identity(folder, now).create(names)
    assert not folder.exists()


# Requests


def test_what_is_asked_for_by_default() -> None:
    """The common name first, if it is a host's; then the node's names, without those that mean any machine."""
    today = ("DNS:a.example.com", "DNS:localhost", "IP:127.0.0.1", "IP:::1", "IP:192.0.2.1")
    assert usual_names(today, Subject(cn="b.example.com")) == ("DNS:b.example.com", "DNS:a.example.com", "IP:192.0.2.1")
    assert usual_names(today, Subject(cn="a.example.com")) == ("DNS:a.example.com", "IP:192.0.2.1")
    assert usual_names(today, Subject(cn="Our Node")) == ("DNS:a.example.com", "IP:192.0.2.1")


@pytest.mark.parametrize("algorithm", Algorithm)
def test_openssl_verifies_a_request(node: Identity, algorithm: Algorithm) -> None:
    """The real openssl accepts the signature, and reads the subject in its order, the names and both purposes."""
    text = node.request(SUBJECT, (*NAMES, "2001:db8::1"), algorithm)
    done = openssl("req", "-verify", "-noout", "-text", stdin=text.encode())
    shown = done.stdout.decode()
    assert done.returncode == 0
    assert b"verify OK" in done.stderr + done.stdout
    assert "Subject: C = US, ST = CA, L = SJ, O = Example Systems, OU = Prime Infra, CN = node.example.com" in shown
    assert "DNS:node.example.com, IP Address:192.0.2.10, IP Address:2001:DB8:0:0:0:0:0:1" in shown
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in shown
    assert "CA:FALSE" in shown


def test_a_signed_request_serves_after_its_activation(node: Identity, csr: str, ca: Authorities) -> None:
    """From request to service: openssl verifies what is stored against the root alone, and the old one is kept with its key."""
    old, token = node.current(), node.token()
    change = node.import_signed(ca.middle.sign(csr) + ca.chain)
    assert change.findings == ()
    assert (change.generation.role, change.before.number, node.current().number) == (Role.NEXT, 1, 1)
    assert served(node) == old.chain[0].der
    assert node.token() != token
    files = node.context_files(Role.NEXT)
    root = files.certfile.with_name("root.pem").parent.parent.parent / "root.pem"
    root.write_bytes(ca.root.pem)
    assert (
        openssl("verify", "-x509_strict", "-CAfile", root, "-untrusted", files.certfile, files.certfile).returncode == 0
    )
    assert files.certfile.read_text().count("BEGIN") == 2
    node.activate()
    assert served(node) == change.generation.chain[0].der
    (retired,) = node.retired()
    assert retired.chain == old.chain
    place = files.keyfile.parents[1] / "000001" / "key.pem"
    assert openssl("pkey", "-in", place, "-noout").returncode == 0


def test_an_older_request_can_still_be_answered(node: Identity, ca: Authorities) -> None:
    """A second request does not lose the key of the first, which the CA may be about to sign."""
    first = node.request(SUBJECT, NAMES)
    second = node.request(SUBJECT, NAMES, Algorithm.RSA_3072)
    assert first != second
    change = node.import_signed(ca.middle.sign(first) + ca.chain)
    node.activate()
    assert served(node) == change.generation.chain[0].der
    assert [each.request for each in node.generations() if each.role is Role.PENDING] == [second]
    node.import_signed(ca.middle.sign(second) + ca.chain)
    assert not [each for each in node.generations() if each.role is Role.PENDING]


def test_a_request_can_use_the_key_again(node: Identity, ca: Authorities) -> None:
    """A renewal with the same key has the same key's fingerprint, so that peers that pin the key notice nothing."""
    before = node.current()
    text = node.request(SUBJECT, NAMES, reuse_key=True)
    node.import_signed(ca.middle.sign(text) + ca.chain)
    change = node.activate()
    assert change.generation.spki == before.spki == node.current().spki
    assert served(node) != before.chain[0].der


def test_a_renewed_certificate_needs_no_request(node: Identity, csr: str, ca: Authorities) -> None:
    """The CA may sign the same request again: the key in force is found."""
    node.import_signed(ca.middle.sign(csr) + ca.chain)
    node.activate()
    node.import_signed(ca.middle.sign(csr, days=(-1, 500)) + ca.chain)
    node.activate()
    assert [each.role for each in node.generations()] == [Role.CURRENT, Role.RETIRED, Role.RETIRED]


def test_going_back_is_an_import_of_what_was(node: Identity, folder: Path) -> None:
    """The certificate before can be put in force again: its key was kept."""
    old = node.current()
    node.create(NAMES)
    node.activate()
    node.import_signed((folder / "generations" / "000001" / "chain.pem").read_bytes())
    node.activate()
    assert served(node) == old.chain[0].der


# Pairs made elsewhere


def test_a_key_from_elsewhere_serves(node: Identity, ca: Authorities) -> None:
    """A key and certificate of another tool are taken, also encrypted, and stored for this node alone."""
    key = ec.generate_private_key(ec.SECP384R1())
    names = (x509.DNSName("node.example.com"),)
    data = ca.middle.sign(foreign_request(key, names)) + ca.chain
    change = node.import_pair(key_pem(key, b"correct horse"), data, passphrase=b"correct horse")
    assert [each.code for each in change.findings] == ["names-missing"]
    node.activate()
    assert served(node) == change.generation.chain[0].der
    assert b"ENCRYPTED" not in node.context_files().keyfile.read_bytes()


def test_a_next_that_another_one_displaces_is_not_lost(node: Identity, ca: Authorities) -> None:
    """A key that was imported and never in force can come back."""
    key = ec.generate_private_key(ec.SECP256R1())
    data = ca.middle.sign(foreign_request(key)) + ca.chain
    node.import_pair(key_pem(key), data)
    node.create(NAMES)
    assert [each.role for each in node.generations()] == [Role.CURRENT, Role.NEXT, Role.ASIDE]
    node.import_signed(data)
    assert [each.role for each in node.generations()] == [Role.CURRENT, Role.NEXT, Role.ASIDE]
    assert node.activate().generation.chain[0].spki == node.current().spki


# Activation


def test_nothing_to_activate(node: Identity) -> None:
    """Without a next one an activation is refused, and so is a second one after the first."""
    for action in (node.activate, node.activation, node.schedule):
        with pytest.raises(IdentityStep):
            action()
    node.create(NAMES)
    node.activate()
    with pytest.raises(IdentityStep):
        node.activate()


def test_a_scheduled_one_comes_into_force_at_the_start(node: Identity) -> None:
    """At a start, only what was scheduled is activated, once; a later next one is not scheduled by it."""
    coming = node.create(NAMES)
    assert node.start() is None
    node.schedule()
    change = node.start()
    assert change is not None
    assert node.current().number == change.generation.number == coming.number
    node.create(NAMES)
    assert node.start() is None
    node.schedule()
    node.schedule(on_start=False)
    assert node.start() is None


def test_a_start_does_not_fail_for_a_certificate_that_expired(folder: Path, ca: Authorities) -> None:
    """What was good at its import and expired before the start stays next; the node starts with what it has."""
    offset = timedelta()
    node = Identity(folder, lambda: now() + offset)
    old = node.create(NAMES)
    node.import_signed(ca.middle.sign(node.request(SUBJECT, NAMES)) + ca.chain)
    node.schedule()
    offset = timedelta(days=400)
    change = node.start()
    assert change is not None
    assert [each.code for each in change.findings] == ["expired"]
    assert node.current().number == old.number
    with pytest.raises(CertificateUnfit):
        node.activate()
    assert node.current().number == old.number


def test_a_certificate_of_tomorrow_is_activated_tomorrow(folder: Path, ca: Authorities) -> None:
    """It can be imported today with a warning, and not be activated before it is valid."""
    offset = timedelta()
    node = Identity(folder, lambda: now() + offset)
    node.create(NAMES)
    change = node.import_signed(ca.middle.sign(node.request(SUBJECT, NAMES), days=(1, 300)) + ca.chain)
    assert [each.code for each in change.findings] == ["not-yet-valid"]
    with pytest.raises(CertificateUnfit, match="not valid before"):
        node.activate()
    offset = timedelta(days=2)
    node.activate()
    assert node.current().chain == change.generation.chain


def test_the_token_differs_after_each_change_and_only_then(node: Identity) -> None:
    """A running server sees every change by one cheap look, from another object and another process as well."""
    seen = [node.token()]
    node.generations()
    node.context_files()
    assert node.token() == seen[-1]
    for change in (lambda: node.create(NAMES), node.schedule, node.activate, lambda: node.request(SUBJECT, NAMES)):
        change()
        assert Identity(node._disk.folder, now).token() == node.token()
        seen.append(node.token())
    assert len(set(seen)) == len(seen)


def test_fingerprints_are_those_of_openssl(node: Identity, csr: str) -> None:
    """What is told to peers is what openssl computes."""
    current, pending = node.fingerprints()
    done = openssl("x509", "-in", node.context_files().certfile, "-noout", "-fingerprint", "-sha256")
    assert done.stdout.decode().strip().partition("=")[2].replace(":", "").lower() == current.certificate.digest.hex()  # type: ignore[union-attr]
    public = openssl("req", "-noout", "-pubkey", stdin=csr.encode()).stdout
    spki = openssl("pkey", "-pubin", "-outform", "DER", stdin=public).stdout
    assert openssl("dgst", "-sha256", "-binary", stdin=spki).stdout == pending.key.digest
    assert (pending.certificate, pending.role) == (None, Role.PENDING)


# What others may have done


def test_a_key_that_others_can_read_is_not_used(node: Identity) -> None:
    """A loose key is refused rather than served, and the message says what to do."""
    keyfile = node.context_files().keyfile
    for mode in (0o640, 0o604, 0o660):
        keyfile.chmod(mode)
        with pytest.raises(IdentityUnusable, match="read or written by others"):
            node.context_files()
    keyfile.chmod(0o400)
    assert node.context_files().keyfile == keyfile


def test_a_folder_or_state_that_others_can_write_is_not_believed(node: Identity, folder: Path) -> None:
    """Who can write the folder or the state could choose the key; a link leads nowhere."""
    for place, mode in ((folder, 0o770), (folder / "state.json", 0o620)):
        before = place.stat().st_mode
        place.chmod(mode)
        with pytest.raises(IdentityUnusable, match="written by others"):
            node.current()
        place.chmod(before)
    real = folder.rename(folder.with_name("real"))
    folder.symlink_to(real)
    with pytest.raises(IdentityUnusable, match="no folder"):
        node.current()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_that_belongs_to_somebody_else_is_not_used(node: Identity) -> None:
    """Its owner could read and change it."""
    os.chown(node.context_files().keyfile, 12345, 12345)
    with pytest.raises(IdentityUnusable, match="by others"):
        node.context_files()


def test_damage_is_named_and_nothing_is_made_anew(node: Identity, folder: Path) -> None:
    """A damaged state, or a generation in force that is gone, stops; no new key takes its place in silence."""
    state = folder / "state.json"
    good = state.read_bytes()
    state.write_bytes(good[:-10])
    for action in (node.current, lambda: node.create(NAMES), lambda: node.request(SUBJECT, NAMES), node.context_files):
        with pytest.raises(IdentityUnusable, match="damaged"):
            action()
    state.write_bytes(good)
    (folder / "generations" / "000001").rename(folder / "elsewhere")
    for action in (node.current, lambda: node.create(NAMES), node.context_files):
        with pytest.raises(IdentityUnusable):
            action()
    (folder / "elsewhere").rename(folder / "generations" / "000001")
    assert node.current().number == 1


def test_damage_elsewhere_does_not_stop_the_service(node: Identity, folder: Path) -> None:
    """A next, pending or retired generation that is damaged or gone is told, and the one in force goes on serving."""
    node.create(NAMES)
    node.activate()
    node.request(SUBJECT, NAMES)
    node.create(NAMES)
    node.schedule()
    for number in (1, 3, 4):
        (folder / "generations" / f"{number:06d}" / "meta.json").write_text("{")
        with pytest.raises(IdentityUnusable, match="damaged"):
            node.generations()
        assert served(node) == node.current().chain[0].der
    with pytest.raises(IdentityUnusable):
        node.start()
    (folder / "generations" / "000004" / "meta.json").unlink()
    with pytest.raises(IdentityUnusable):
        node.activate()
    assert served(node) == node.current().chain[0].der


def test_a_certificate_that_was_swapped_under_the_key_is_noticed(node: Identity, folder: Path, ca: Authorities) -> None:
    """Certificates that do not belong to the key of their folder are not told to anybody."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "generations" / "000001" / "chain.pem").write_bytes(ca.middle.sign(foreign_request(key)))
    with pytest.raises(IdentityUnusable, match="another key"):
        node.current()


def test_a_retired_generation_may_be_removed_by_hand(node: Identity, folder: Path) -> None:
    """Nothing in force rests on it."""
    node.create(NAMES)
    node.activate()
    for each in (folder / "generations" / "000001").iterdir():
        each.unlink()
    (folder / "generations" / "000001").rmdir()
    assert node.retired() == ()
    node.create(NAMES)
    assert node.activate().generation.number == 3


def test_a_state_from_an_older_copy_loses_no_key(node: Identity, folder: Path) -> None:
    """Keys that an older state does not name are laid aside by the next change, not removed, and numbers are not reused."""
    old = (folder / "state.json").read_bytes()
    node.request(SUBJECT, NAMES)
    node.create(NAMES)
    keys = {each.key for each in node.fingerprints()}
    (folder / "state.json").write_bytes(old)
    node.create(NAMES)
    assert keys < {each.key for each in node.fingerprints()}
    assert [(each.number, each.role) for each in node.fingerprints()][2:] == [(3, Role.ASIDE), (2, Role.ASIDE)]


# Self-check of the CA that these tests use


def test_the_ca_of_these_tests_is_a_real_one(tmp_path: Path, csr: str) -> None:
    """What passes or fails here passes or fails with openssl too."""
    root = CA("Root")
    (tmp_path / "root.pem").write_bytes(root.pem)
    (tmp_path / "leaf.pem").write_bytes(root.sign(csr))
    assert openssl("verify", "-x509_strict", "-CAfile", tmp_path / "root.pem", tmp_path / "leaf.pem").returncode == 0
