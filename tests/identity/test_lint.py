"""What is wrong with a certificate is found before anything changes, and openssl agrees."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.identity.conftest import Authorities
from tests.identity.making import CA, NAMES, foreign_request, key_pem, now, openssl, pem
from troth.errors import BadCertificate, BadFile, BadKey, CertificateUnfit, KeyLocked, TrothError
from troth.identity import Finding, Identity, Role, Severity
from troth.model.certificate import CertificateView

KEY = ec.generate_private_key(ec.SECP256R1())
NODE = (x509.DNSName("node.example.com"),)


def codes(findings: tuple[Finding, ...], severity: Severity = Severity.ERROR) -> list[str]:
    """Give the codes of the findings of one severity."""
    assert all(each.what and each.todo for each in findings)
    return [each.code for each in findings if each.severity is severity]


def unchanged(node: Identity, action: Callable[[], object]) -> TrothError:
    """Do what must fail, and must change nothing at all."""
    folder = node._disk.folder

    def tree() -> dict[str, tuple[int, bytes]]:
        return {
            str(each): (each.stat().st_mode, each.read_bytes() if each.is_file() else b"")
            for each in sorted(folder.rglob("*"))
        }

    before = tree()
    with pytest.raises(TrothError) as caught:
        action()
    assert tree() == before
    return caught.value


# The good ones


def test_nothing_is_wrong_with_a_good_one(node: Identity, csr: str, ca: Authorities, tmp_path: Path) -> None:
    """A chain in order, out of order, with the root, as PKCS #7 in both forms, or known otherwise: no error, and lint changes nothing."""
    leaf, loaded = ca.middle.sign(csr), x509.load_pem_x509_certificate
    bundle = [loaded(leaf), ca.middle.certificate, ca.root.certificate]
    token = node.token()
    assert node.lint(leaf + ca.chain) == ()
    assert node.lint(b"\xef\xbb\xbf" + leaf.replace(b"\n", b"\r\n") + b"some text\n" + ca.chain) == ()
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert codes(node.lint(pkcs7.serialize_certificates(bundle, encoding))) == []
    assert node.lint(leaf + ca.middle.pem, known=[CertificateView.from_pem(ca.root.pem.decode())]) == ()
    assert node.lint(leaf, known=[CertificateView.from_pem(ca.middle.pem.decode())]) == ()
    assert node.token() == token
    (tmp_path / "chain.p7b").write_bytes(pkcs7.serialize_certificates(bundle, serialization.Encoding.PEM))
    assert openssl("pkcs7", "-in", tmp_path / "chain.p7b", "-print_certs", "-noout").returncode == 0


def test_der_of_a_self_signed_one(node: Identity) -> None:
    """A certificate in DER is read as well."""
    view = node.current().chain[0]
    assert node.lint(view.der) == ()


def test_a_disordered_chain_is_put_in_order(node: Identity, csr: str, ca: Authorities, tmp_path: Path) -> None:
    """Root first, strangers between, the leaf last: it is told, and what is stored is the leaf and then its issuers, without root."""
    leaf, stranger = ca.middle.sign(csr), CA("Stranger").pem
    change = node.import_signed(ca.root.pem + stranger + ca.middle.pem + leaf + leaf)
    assert codes(change.findings, Severity.WARNING) == ["chain-disordered", "chain-strangers"]
    assert node.context_files(Role.NEXT).certfile.read_bytes() == leaf + ca.middle.pem
    assert codes(change.findings) == []


def test_cas_that_signed_each_other(node: Identity, csr: str, ca: Authorities) -> None:
    """Where a root also has a certificate from an older one that is not at hand, the way to the root itself is found."""
    old = CA("Old Root")
    crossed = CA("Example Root", old, key=ca.root.key)
    leaf = ca.middle.sign(csr)
    known = [CertificateView.from_pem(ca.root.pem.decode())]
    assert codes(node.lint(leaf + ca.middle.pem + crossed.pem)) == ["chain-incomplete"]
    assert codes(node.lint(leaf + ca.middle.pem + crossed.pem + ca.root.pem)) == []
    assert codes(node.lint(leaf + ca.middle.pem + crossed.pem, known=known)) == []
    assert codes(node.lint(leaf + ca.middle.pem + crossed.pem + old.pem)) == []


def test_a_circle_of_cas_comes_to_an_end(node: Identity, csr: str) -> None:
    """Many CAs that signed each other in a circle are no chain, and cost no more than looking at each once."""
    one, other = CA("One"), CA("Other")
    ring = [CA("One", other, key=one.key).pem for _ in range(20)] + [
        CA("Other", one, key=other.key).pem for _ in range(20)
    ]
    assert codes(node.lint(one.sign(csr) + b"".join(ring)))[0] == "chain-incomplete"


# The bad ones


def test_an_incomplete_chain_is_refused(node: Identity, csr: str, ca: Authorities, tmp_path: Path) -> None:
    """Without the intermediate or without any CA, an import is refused; openssl refuses it too."""
    leaf = ca.middle.sign(csr)
    for data in (leaf, leaf + ca.root.pem, leaf + ca.middle.pem, leaf + CA("Example Issuing CA").pem):
        assert "chain-incomplete" in codes(node.lint(data))
        error = unchanged(node, lambda data=data: node.import_signed(data))  # type: ignore[misc]
        assert isinstance(error, CertificateUnfit)
        assert "missing" in error.what
    (tmp_path / "root.pem").write_bytes(ca.root.pem)
    (tmp_path / "leaf.pem").write_bytes(leaf)
    assert openssl("verify", "-CAfile", tmp_path / "root.pem", tmp_path / "leaf.pem").returncode != 0


def test_a_certificate_for_another_key_is_refused(node: Identity, csr: str, ca: Authorities) -> None:
    """A key that the node does not hold, or that is not the one given: the import is refused and says which key it is."""
    signed = ca.middle.sign(foreign_request(KEY)) + ca.chain
    assert codes(node.lint(signed)) == ["key-unknown"]
    other = key_pem(ec.generate_private_key(ec.SECP256R1()))
    assert codes(node.lint(signed, other)) == ["key-mismatch"]
    for action in (lambda: node.import_signed(signed), lambda: node.import_pair(other, signed)):
        error = unchanged(node, action)
        assert isinstance(error, CertificateUnfit)
        assert str(CertificateView.from_pem(signed.decode()).spki) in error.what
    assert node.import_pair(key_pem(KEY), signed).generation.role is Role.NEXT


def test_dates(node: Identity, csr: str, ca: Authorities) -> None:
    """Expired is an error, also of the CA; not yet valid and soon expiring are told."""
    assert codes(node.lint(ca.middle.sign(csr, days=(-300, -1)) + ca.chain)) == ["expired"]
    assert codes(node.lint(ca.middle.sign(csr, days=(2, 300)) + ca.chain), Severity.WARNING) == ["not-yet-valid"]
    assert codes(node.lint(ca.middle.sign(csr, days=(-2, 20)) + ca.chain), Severity.WARNING) == ["expires-soon"]
    old = CA("Old Issuing CA", ca.root, days=(-400, -1))
    assert codes(node.lint(old.sign(csr) + old.pem + ca.root.pem)) == ["expired"]
    assert isinstance(
        unchanged(node, lambda: node.import_signed(ca.middle.sign(csr, days=(-300, -1)) + ca.chain)), CertificateUnfit
    )


def test_names(node: Identity, csr: str, ca: Authorities) -> None:
    """No name at all, or none of the node's, is an error; a missing one is told, and a wildcard covers one label."""

    def of(*names: x509.GeneralName) -> tuple[Finding, ...]:
        return node.lint(ca.middle.sign(csr, sans=names) + ca.chain)

    assert codes(of()) == ["san-missing"]
    assert codes(of(x509.RFC822Name("root@example.com"))) == ["san-missing"]
    assert codes(of(x509.DNSName("other.example.com"))) == ["names-missing"]
    assert codes(of(x509.DNSName("*.com"))) == ["names-missing"]
    assert codes(of(x509.DNSName("*.node.example.com"))) == ["names-missing"]
    for name in ("node.example.com", "NODE.example.COM", "*.example.com"):
        assert codes(of(x509.DNSName(name))) == []
        assert codes(of(x509.DNSName(name)), Severity.WARNING) == ["names-missing"]


def test_the_nodes_names_can_be_given(folder: Path, ca: Authorities) -> None:
    """A node that knows its names is held to those, not to what its certificate happens to say."""
    Identity(folder, now).create(NAMES)
    node = Identity(folder, now, names=["other.example.com"])
    signed = ca.middle.sign(foreign_request(KEY, (x509.DNSName("other.example.com"),))) + ca.chain
    assert node.lint(signed, key_pem(KEY)) == ()
    assert codes(Identity(folder, now).lint(signed, key_pem(KEY))) == ["names-missing"]


def test_no_ca_need_vouch_for_localhost(folder: Path, ca: Authorities) -> None:
    """Names that mean whatever machine they are used on are not missed; where a node has no others, they count."""
    Identity(folder, now).create(["node.example.com", "localhost", "127.0.0.1", "::1"])
    signed = ca.middle.sign(foreign_request(KEY, NODE)) + ca.chain
    assert Identity(folder, now).lint(signed, key_pem(KEY)) == ()
    assert codes(Identity(folder, now, names=["localhost"]).lint(signed, key_pem(KEY))) == ["names-missing"]


def test_purposes(node: Identity, csr: str, ca: Authorities) -> None:
    """Not for servers is an error, not for clients is told, a CA's certificate and must-staple are refused."""

    def of(**how: object) -> tuple[Finding, ...]:
        return node.lint(ca.middle.sign(csr, **how) + ca.chain)  # type: ignore[arg-type]

    assert "not-for-servers" in codes(of(usage=(ExtendedKeyUsageOID.CLIENT_AUTH,)))
    assert codes(of(usage=(ExtendedKeyUsageOID.SERVER_AUTH,))) == []
    assert codes(of(usage=(ExtendedKeyUsageOID.SERVER_AUTH,)), Severity.WARNING) == ["not-for-clients"]
    assert of(usage=None) == ()
    assert "is-a-ca" in codes(of(is_ca=True))
    assert codes(of(extra=(x509.TLSFeature([x509.TLSFeatureType.status_request]),))) == ["must-staple"]


def test_a_ca_that_is_none_is_refused(node: Identity, csr: str, ca: Authorities) -> None:
    """A host's certificate that signs another one is no CA, whatever the signature says."""
    host = CA("host", ca.root, is_ca=False)
    assert "issuer-is-no-ca" in codes(node.lint(host.sign(csr) + host.pem + ca.root.pem))


def test_openssl_has_the_last_word(node: Identity, csr: str, ca: Authorities, tmp_path: Path) -> None:
    """What no list of checks foresees, such as a path that is too long for its root, is found in a handshake."""
    root = CA("Short Root", path_length=0)
    middle = CA("Middle", root)
    leaf = middle.sign(csr)
    assert codes(node.lint(leaf + middle.pem + root.pem)) == ["handshake-failed"]
    error = unchanged(node, lambda: node.import_signed(leaf + middle.pem + root.pem))
    assert "path length" in error.what
    for name, data in (("root", root.pem), ("middle", middle.pem), ("leaf", leaf)):
        (tmp_path / name).write_bytes(data)
    done = openssl("verify", "-CAfile", tmp_path / "root", "-untrusted", tmp_path / "middle", tmp_path / "leaf")
    assert b"path length" in done.stderr + done.stdout


def test_an_unusual_form_is_told(node: Identity, csr: str, tmp_path: Path) -> None:
    """A certificate that only lenient clients take is taken, and it is told who refuses it."""
    root = CA("Root without a key identifier")
    bare = pem(
        x509.CertificateBuilder()
        .subject_name(x509.load_pem_x509_csr(csr.encode()).subject)
        .issuer_name(root.name)
        .public_key(x509.load_pem_x509_csr(csr.encode()).public_key())  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(root.certificate.not_valid_before_utc)
        .not_valid_after(root.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("node.example.com")]), critical=False)
        .sign(root.key, x509.load_pem_x509_csr(csr.encode()).signature_hash_algorithm)  # type: ignore[arg-type]
    )
    findings = node.lint(bare + root.pem)
    assert codes(findings) == []
    assert codes(findings, Severity.WARNING) == ["names-missing", "not-strict"]


def test_weak_keys_and_hashes(node: Identity, ca: Authorities, tmp_path: Path) -> None:
    """Short RSA keys, small curves and SHA-1 are refused; kinds of key that browsers refuse are told."""
    short = rsa.generate_private_key(65537, 1024)
    data = ca.middle.sign(foreign_request(short)) + ca.chain
    assert "short-rsa" in codes(node.lint(data, key_pem(short)))
    assert isinstance(unchanged(node, lambda: node.import_pair(key_pem(short), data)), CertificateUnfit)
    small = ec.generate_private_key(ec.SECP192R1())
    assert "small-curve" in codes(node.lint(ca.middle.sign(foreign_request(small)) + ca.chain, key_pem(small)))
    # cryptography signs with SHA-1 no more, openssl still does.
    for name, text in (("ca.key", key_pem(ca.middle.key)), ("ca.pem", ca.middle.pem), ("req", foreign_request(KEY))):
        (tmp_path / name).write_bytes(text)
    (tmp_path / "ext").write_text("subjectAltName=DNS:node.example.com\n")
    signed = openssl(
        *("x509", "-req", "-sha1", "-in", tmp_path / "req", "-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key"),
        *("-days", "60", "-set_serial", "7", "-extfile", tmp_path / "ext"),
    )
    assert signed.returncode == 0, signed.stderr
    assert "weak-signature" in codes(node.lint(signed.stdout + ca.chain, key_pem(KEY)))
    odd = ec.generate_private_key(ec.SECP521R1())
    found = node.lint(ca.middle.sign(foreign_request(odd, NODE)) + ca.chain, key_pem(odd))
    assert codes(found, Severity.WARNING) == ["names-missing", "not-in-browsers"]


def test_ed25519_works_and_is_told(node: Identity, ca: Authorities) -> None:
    """Programs can use it, browsers cannot."""
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(NODE), critical=True)
        .sign(key, None)
    )
    data = ca.middle.sign(csr.public_bytes(serialization.Encoding.PEM)) + ca.chain
    change = node.import_pair(text, data)
    assert codes(change.findings, Severity.WARNING) == ["names-missing", "not-in-browsers"]
    node.activate()


# What is no certificate, and what is no key


def garbage(ca: Authorities) -> dict[str, bytes]:
    """Give files that people import by mistake, or on purpose."""
    p12 = pkcs12.serialize_key_and_certificates(
        b"n", KEY, None, [ca.root.certificate], serialization.BestAvailableEncryption(b"p")
    )
    return {
        "nothing": b"",
        "blanks": b" \n\n",
        "text": b"hello\n",
        "binary": bytes(range(256)) * 10,
        "a request": foreign_request(KEY),
        "a key": key_pem(KEY),
        "PKCS #12": p12,
        "a key in DER": KEY.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        "cut PEM": ca.root.pem[:-60],
        "damaged PEM": ca.root.pem.replace(b"MII", b"M!!"),
        "cut DER": ca.root.certificate.public_bytes(serialization.Encoding.DER)[:-5],
        "DER and more": ca.root.certificate.public_bytes(serialization.Encoding.DER) + b"\0",
        "PKCS #7 of nothing": b"-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n",
        "deep": b"\x30\x80" * 5000,
        "huge": b"a" * (2 << 20),
        "huge PEM": ca.root.pem * 3000,
        "many": b"".join(CA(str(each)).pem for each in range(51)),
    }


def test_garbage_is_named_and_changes_nothing(node: Identity, ca: Authorities) -> None:
    """Whatever is no certificate is refused in words, with the command that helps where there is one."""
    for name, data in garbage(ca).items():
        for action in (
            lambda data=data: node.import_signed(data),
            lambda data=data: node.import_pair(key_pem(KEY), data),
        ):  # type: ignore[misc]
            error = unchanged(node, action)
            assert isinstance(error, BadFile | BadCertificate), name
    assert "openssl pkcs12" in unchanged(node, lambda: node.import_signed(garbage(ca)["PKCS #12"])).next_command


def test_garbage_for_a_key(node: Identity, ca: Authorities) -> None:
    """No key, two keys, a damaged one, one of a kind without use in TLS: refused, and nothing of a key is in any message."""
    signed = ca.middle.sign(foreign_request(KEY)) + ca.chain
    text, other = key_pem(KEY), key_pem(ec.generate_private_key(ec.SECP256R1()))
    plain_dsa = dsa.generate_private_key(1024).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = b"".join(text.splitlines()[1:-1])
    bad = {
        "nothing": b"",
        "a certificate": ca.root.pem,
        "two": text + other,
        "cut": text[:120],
        "damaged": text.replace(body[40:44], b"AAAA"),
        "not base64": text.replace(body[40:44], b"!!!!"),
        "no end": text.replace(b"-----END PRIVATE KEY-----", b""),
        "DSA": plain_dsa,
        "public": KEY.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }
    for name, data in bad.items():
        error = unchanged(node, lambda data=data: node.import_pair(data, signed))  # type: ignore[misc]
        assert isinstance(error, BadKey), name
        assert silent(error, data), name


def test_passphrases(node: Identity, ca: Authorities) -> None:
    """A missing or wrong passphrase is refused; one that a plain key does not need does not matter; neither is ever told."""
    signed = ca.middle.sign(foreign_request(KEY)) + ca.chain
    locked = key_pem(KEY, b"correct horse")
    old_form = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"correct horse"),
    )
    for data in (locked, old_form):
        for passphrase in (None, b"", b"wrong battery", b"correct horse\n"):
            error = unchanged(
                node,
                lambda data=data, given=passphrase: node.import_pair(data, signed, passphrase=given),  # type: ignore[misc]
            )
            assert isinstance(error, KeyLocked)
            assert silent(error, data)
            assert "battery" not in shown(error)
        node.import_pair(data, signed, passphrase=b"correct horse")
    node.import_pair(key_pem(KEY), signed, passphrase=b"not needed")


def test_a_key_is_in_no_message_and_no_representation(node: Identity, ca: Authorities) -> None:
    """Not in errors, not in their causes, not in what objects print of themselves."""
    text = key_pem(KEY)
    wrong = ca.middle.sign(foreign_request(ec.generate_private_key(ec.SECP256R1()))) + ca.chain
    assert silent(unchanged(node, lambda: node.import_pair(text, wrong)), text)
    change = node.import_pair(text, ca.middle.sign(foreign_request(KEY)) + ca.chain)
    every = repr((change, node, node.generations(), node.fingerprints(), node.state(), node.context_files()))
    assert not any(part in every for part in pieces(text))


def shown(error: BaseException) -> str:
    """Give all that is ever shown of an error."""
    problem = error.problem() if isinstance(error, TrothError) else ""
    text = "".join(traceback.format_exception(error))
    return f"{error!r} {error} {problem} {text} {error.__cause__!r} {error.__context__!r}"


def silent(error: BaseException, key: bytes) -> bool:
    """Whether nothing of a key is in an error."""
    return not any(part in shown(error) for part in pieces(key))


def pieces(key: bytes) -> list[str]:
    """Cut a key into pieces that are found wherever a part of it is shown."""
    lines = [line for line in key.decode("latin-1").splitlines() if line and "-----" not in line and ":" not in line]
    text = "".join(lines)
    raw = (
        base64.b64decode(text + "=" * (-len(text) % 4))
        if text.isascii() and text.replace("+", "").replace("/", "").rstrip("=").isalnum()
        else b""
    )
    found = [text[at : at + 12] for at in range(0, max(len(text) - 12, 0), 4)]
    return found + [raw[at : at + 8].hex() for at in range(0, max(len(raw) - 8, 0), 4)]
