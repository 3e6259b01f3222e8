"""Attacks by certificates: their bytes, sizes, dates, issuers and keys (threats 18 to 24)."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from math import lcm
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.attacks.conftest import Command, Fickler, Lying, Record
from tests.attacks.making import (
    SECRET,
    SENDING,
    WAYS,
    by_check,
    by_socket,
    der,
    fresh,
    key_pem,
    make,
    material,
    rsa_key,
    view,
    way_name,
)
from tests.attacks.programs import nginx, s_server, written
from tests.simulators.liar import ALERT, ECDHE_RSA, HANDSHAKE, Talk, chain12, relay12, relay13
from tests.tls.authority import Authority, pem
from troth import manage
from troth.errors import CertificateChanged, CertificateExpired, CertificateRejected, TrothError
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import Expiry, Override, PinKind
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.context import Context
from troth.tls.probe import Target
from troth.trust.verdict import ChangeClass, Verdict

each_way = pytest.mark.parametrize("way", WAYS, ids=way_name)
each_sending_way = pytest.mark.parametrize("way", SENDING, ids=way_name)
Way = Callable[..., None]


def here(port: int) -> Endpoint:
    """Give the endpoint of a port."""
    return Endpoint("127.0.0.1", port)


# Threat 18


def stretched(data: bytes) -> bytes:
    """Give the same certificate with a length that is not minimal (BER, not DER)."""
    assert data[:2] == b"\x30\x82"
    return b"\x30\x83\x00" + data[2:]


def spoilt(data: bytes) -> bytes:
    """Give the certificate with another signature: what is signed, and the key, are the same."""
    return data[:-1] + bytes([data[-1] ^ 1])


ODD = {
    "trailing-garbage": lambda data: data + b"\x00garbage",
    "trailing-certificate": lambda data: data + data,
    "inner-garbage": lambda data: b"\x30\x82" + (len(data) - 4 + 2).to_bytes(2, "big") + data[4:] + b"\x05\x00",
    "ber-length": stretched,
    "indefinite-length": lambda data: b"\x30\x80" + data[4:] + b"\x00\x00",
    "other-signature": spoilt,
    "cut": lambda data: data[:-20],
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@each_way
def test_threat_18_odd_bytes_make_no_second_identity(
    way: Way, odd: Callable[[bytes], bytes], lying: Lying, store: SqliteStore
) -> None:
    """Threat 18: a certificate in odd bytes is refused, or on record with the hash of exactly the DER that TLS verified."""
    certificate, key = make("odd")
    data = der(certificate)
    sent = odd(data)
    liar = lying(relay13(sent, signer=key))
    with suppress(TrothError, OSError):
        way(store, liar.port)
    entry = store.entry(here(liar.port))
    if entry is None:
        return
    (pin,) = entry.current
    assert pin.fingerprint.digest in (hashlib.sha256(sent).digest(), hashlib.sha256(data).digest())
    kept = store.certificate(pin.fingerprint)
    assert kept is not None
    assert hashlib.sha256(kept.der).digest() == pin.fingerprint.digest


@each_sending_way
def test_threat_18_another_signature_is_another_certificate(way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 18: the pinned names and key under another signature are not the pinned certificate."""
    certificate, key = make("odd")
    liar = lying(relay13(spoilt(der(certificate)), signer=key))
    known = CertificateView.from_der(der(certificate))
    manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=known)
    with pytest.raises(CertificateRejected):
        way(store, liar.port)


@pytest.mark.parametrize("odd", [ODD["trailing-garbage"], ODD["trailing-certificate"]])
@each_way
def test_threat_18_garbage_after_the_pinned_certificate_is_refused(
    way: Way, odd: Callable[[bytes], bytes], lying: Lying, store: SqliteStore
) -> None:
    """Threat 18: the pinned certificate with something behind it is no certificate, in TLS 1.2 as in 1.3."""
    certificate, key = make("odd")
    for lie in (relay13(odd(der(certificate)), signer=key), relay12(odd(der(certificate)), signer=key)):
        liar = lying(lie)
        manage.pin(store, here(liar.port), kind=PinKind.CERTIFICATE, view=CertificateView.from_der(der(certificate)))
        with pytest.raises((TrothError, OSError)):
            way(store, liar.port)
        assert not any(each.messages for each in liar.settled())


# Threat 19


def _primes() -> Iterator[int]:
    """Give different primes of 256 bits, always the same: search upwards from hashes."""
    number = 0
    while True:
        number += 1
        digest = int.from_bytes(hashlib.sha256(b"%d" % number).digest(), "big")
        candidate = digest | 1 << 255 | 1
        while not all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3)) or candidate % 65537 == 1:
            candidate += 2
        yield candidate


@cache
def giant(bits: int) -> rsa.RSAPrivateKey:
    """Make an RSA key of any size in no time, from many small primes; it is good for nothing but its size."""
    primes, found = _primes(), []
    for half in (0, 1):
        product, order, target = 1, 1, bits // 2
        while product.bit_length() < target - 255:
            prime = next(primes)
            product, order = product * prime, lcm(order, prime - 1)
        while product.bit_length() < target:
            prime = 3 + 2 * half
            product, order = product * prime, lcm(order, prime - 1)
            break
        found.append((product, order))
    (p, p_order), (q, q_order) = found
    d = pow(65537, -1, lcm(p_order, q_order))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % p_order,
        dmq1=d % q_order,
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(65537, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


@each_way
def test_threat_19_a_giant_rsa_key_is_met_in_time(way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 19: a key of sixteen thousand bits costs its one verification, and no search; the host is learned or refused."""
    key = giant(16000)
    certificate, _ = make("giant", key=key)
    liar = lying(relay13(der(certificate), signer=key))
    with suppress(TrothError, OSError):
        way(store, liar.port)
    entry = store.entry(here(liar.port))
    if way is by_check:
        assert entry is not None, "the largest keys that TLS libraries can use are used"
    if entry is not None:
        assert entry.current[0].fingerprint.digest == hashlib.sha256(der(certificate)).digest()


@each_way
def test_threat_19_a_key_beyond_all_bounds_is_an_error(way: Way, lying: Lying, store: SqliteStore) -> None:
    """Threat 19: a key that is larger than OpenSSL works with is an error at once, and not learned."""
    key = giant(24000)
    certificate, _ = make("giant", key=rsa_key())
    small = rsa_key().public_key().public_numbers().n
    size = (small.bit_length() + 7) // 8
    data = der(certificate)
    # Put a modulus of 24000 bits in its place; the certificate's own signature is nobody's business here.
    data = _with_modulus(data, small.to_bytes(size, "big"), key.public_key().public_numbers().n)
    for lie in (relay13(data, signer=rsa_key()), relay12(data, signer=rsa_key(), cipher=ECDHE_RSA)):
        liar = lying(lie)
        with pytest.raises((TrothError, OSError)):
            way(store, liar.port)
        assert store.entry(here(liar.port)) is None


def _with_modulus(data: bytes, old: bytes, new: int) -> bytes:
    """Put another modulus into a certificate, and mend the lengths of all that holds it."""

    number = b"\x00" + new.to_bytes((new.bit_length() + 7) // 8, "big")

    def mend(data: bytes) -> bytes:
        if old not in data:
            return data
        if data[0] == 0x02:
            return b"\x02" + _length(len(number)) + number
        content = _content(data)
        lead = content[:1] if data[0] == 0x03 else b""
        parts, rest = [], content[len(lead) :]
        while rest:
            inside = _content(rest)
            whole = rest[: len(rest) - len(rest[2:].partition(inside)[2])] if inside else rest[:2]
            parts.append(mend(whole))
            rest = rest[len(whole) :]
        body = lead + b"".join(parts)
        return data[:1] + _length(len(body)) + body

    return mend(data)


def _content(data: bytes) -> bytes:
    """Give the content of the first element."""
    size, at = data[1], 2
    if size & 0x80:
        at = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:at], "big")
    return data[at : at + size]


def _length(size: int) -> bytes:
    return bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")


def long_names(count: int) -> list[x509.GeneralName]:
    """Give alternative names of the greatest length."""
    return [x509.DNSName(".".join([f"{number:060}", "a" * 63, "b" * 63, "c" * 61])) for number in range(count)]


def filler(size: int) -> x509.UnrecognizedExtension:
    """Make an extension of some size."""
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x04\x83" + size.to_bytes(3, "big") + bytes(size)
    )


@pytest.mark.parametrize(
    "given",
    [
        lambda: fresh("long", san=long_names(100)),
        lambda: fresh("post-quantum", extensions=[filler(50_000)]),
        lambda: _with_chain(12),
    ],
    ids=["100-long-names", "50-kB", "chain-of-12"],
)
@each_way
def test_threat_19_large_and_honest_is_pinned_and_met_again(
    way: Way, given: Callable[[], tuple[bytes, bytes]], record: Record, store: SqliteStore
) -> None:
    """Threat 19: long lists of names, post-quantum sizes and long chains are no obstacle: learned, matched, held against others."""
    server = record(ask=False)
    server.present(given())
    for _ in range(2):
        way(store, server.port)
    known = len(server.settled())
    server.change()
    with pytest.raises(CertificateChanged):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))


def _with_chain(count: int) -> tuple[bytes, bytes]:
    authorities = [Authority("root")]
    for number in range(count - 2):
        authorities.append(Authority(f"CA {number}", parent=authorities[-1]))
    leaf, key = authorities[-1].issue("127.0.0.1")
    return pem(leaf) + b"".join(pem(each.certificate) for each in reversed(authorities)), key_pem(key)


def test_threat_19_long_names_do_not_flood_the_terminal(record: Record, troth: Command) -> None:
    """Threat 19: a certificate with a hundred names of the greatest length is told in a bounded number of characters."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    server.present(fresh("a", san=long_names(100)))
    first = troth("check", where)
    server.present(fresh("b", san=long_names(100)[:50]))
    changed = troth("check", where)
    assert (first.code, changed.code) == (0, 3)
    assert len(first.out + first.err) < 4_000
    assert len(changed.out + changed.err) < 70_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: chain12(*[der(make("many")[0])] * 400), id="400-certificates"),
        pytest.param(lambda: chain12(der(make("big", extensions=[filler(150_000)])[0])), id="150-kB-certificate"),
        pytest.param(lambda: b"\x0b\xff\xff\xff" + bytes(60_000), id="16-MB-announced"),
        pytest.param(lambda: chain12(), id="no-certificate"),
    ],
)
@each_way
def test_threat_19_what_is_too_much_is_an_error(
    way: Way, body: Callable[[], bytes], lying: Lying, store: SqliteStore
) -> None:
    """Threats 12 and 19: chains and certificates beyond all bounds, and none at all, are an error; nothing is learned or sent."""
    made = body()

    def lie12(talk: Talk) -> None:
        talk.say(talk.hello12(ECDHE_RSA), made)

    def lie13(talk: Talk) -> None:
        talk.begin13()
        talk.say(made[:4] + b"\x00" + made[4:])

    for lie in (lie12, lie13):
        liar = lying(lie)
        with pytest.raises((TrothError, OSError)):
            way(store, liar.port)
        assert store.entry(here(liar.port)) is None
        assert not any(each.messages for each in liar.settled())


def endless_empty(talk: Talk) -> None:
    """Send empty records for ever."""
    while True:
        talk.send(HANDSHAKE, b"")


def endless_warnings(talk: Talk) -> None:
    """Send warnings for ever."""
    while True:
        talk.send(ALERT, b"\x01\x5a")


def endless_encrypted(talk: Talk) -> None:
    """Send encrypted extensions for ever, after a real ServerHello."""
    talk.begin13()
    while True:
        talk.say(b"\x08\x00\x00\x02\x00\x00")


def endless_message(talk: Talk) -> None:
    """Send one message without an end."""
    talk.send(HANDSHAKE, talk.hello12(ECDHE_RSA))
    while True:
        talk.send(HANDSHAKE, b"\x0b\x00\xff\xff" + bytes(16_000))


@pytest.mark.parametrize("lie", [endless_empty, endless_warnings, endless_encrypted, endless_message])
@each_way
def test_threat_19_a_handshake_without_end_ends(
    way: Way, lie: Callable[[Talk], None], lying: Lying, store: SqliteStore
) -> None:
    """Threat 19: records, warnings and messages without end are an error after a bounded number of them, in every way to connect."""
    liar = lying(lie)
    with pytest.raises((TrothError, OSError)):
        way(store, liar.port)
    assert store.entry(here(liar.port)) is None


# Threat 20: end to end; each renderer has its own tests


HOSTILE = "a\r\nTOFU ok\x1b[2J\x00|<b>\u202e;x=\u2028host=1.2.3.4_443;"


def test_threat_20_nothing_that_a_certificate_says_is_obeyed(record: Record, troth: Command) -> None:
    """Threat 20: hostile subjects, issuers and names reach no output of any command as they are, in no step of the story."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    issuer = (HOSTILE[:60], make()[1])
    names = [x509.DNSName("x\r\n\x1b[31mevil|<script>"), x509.UniformResourceIdentifier("http://\x07\n/")]
    outputs = []
    for step in (("check", where), ("check", where)):
        server.present(fresh(HOSTILE[:60], issuer=issuer, san=names))
        done = troth(*step)
        outputs.append(done.out + done.err)
    for words in (
        ("show", where),
        ("history", where),
        ("list",),
        ("list", "--json"),
        ("show", where, "--json"),
        ("check", where, "--json"),
        ("export",),
        ("export", "--format", "listcerts"),
        ("revoke", where),
        ("check", where),
    ):
        done = troth(*words)
        outputs.append(done.out + done.err)
    assert any("TOFU ok" in output for output in outputs), "the subject is shown"
    for output in outputs:
        assert not set(output) & set("\x00\x07\r\x1b\u202e\u2028"), repr(output)
        assert not any(line.startswith("TOFU ok") for line in output.splitlines())
        assert not any(line.startswith("host=1.2.3.4") for line in output.splitlines())


# Threat 21


DATES = {"expired": (-30, -10), "not-yet-valid": (10, 30), "long-expired": (-9000, -8000)}


@pytest.mark.parametrize("days", DATES.values(), ids=DATES)
@each_way
def test_threat_21_a_pin_holds_out_of_its_dates(
    way: Way, days: tuple[int, int], record: Record, store: SqliteStore
) -> None:
    """Threat 21: a pinned certificate out of its dates is met as before, and another one is refused as before."""
    server = record(ask=False)
    server.present(fresh("dated", days=days))
    for _ in range(3):
        way(store, server.port)
    known = len(server.settled())
    server.present(fresh("dated", days=days))
    with pytest.raises(CertificateChanged):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))
    assert [each.action for each in store.records()].count("first-use") == 1


@pytest.mark.parametrize("days", DATES.values(), ids=DATES)
@each_way
def test_threat_21_where_dates_count_it_is_refused_and_never_relearned(
    way: Way, days: tuple[int, int], record: Record, store: SqliteStore
) -> None:
    """Threats 21 and 26: where the policy insists on dates, a pin out of them is refused with zero bytes, and stays the pin."""
    server = record(ask=False)
    server.present(fresh("dated", days=days))
    way(store, server.port)
    manage.set_domain(store, "system", Override(expired=Expiry.REJECT))
    known = len(server.settled())
    for _ in range(2):
        with pytest.raises(CertificateExpired):
            way(store, server.port)
    server.change()
    with pytest.raises(CertificateChanged):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))
    assert [each.action for each in store.records()].count("first-use") == 1


@pytest.mark.parametrize("year", [1970, 2100])
@each_way
def test_threat_21_a_wrong_clock_makes_no_stranger(way: Way, year: int, record: Record, store: SqliteStore) -> None:
    """Threats 21 and 26: with the clock at 1970 or 2100 pins hold, changes are changes, and what was learned then holds later."""
    server, other = record(ask=False), record(ask=False)
    way(store, server.port)
    wrong = SqliteStore.open(store.path, clock=lambda: datetime(year, 1, 1, tzinfo=UTC))
    way(wrong, server.port)
    way(wrong, other.port)
    way(store, other.port)
    known = len(server.settled())
    server.change()
    for each in (wrong, store):
        with pytest.raises(CertificateChanged):
            way(each, server.port)
    assert not any(visit.received for visit in server.settled(known))
    # The change is told once, whatever the clock says the next time.
    assert [each.action for each in store.records()] == ["first-use", "first-use", "changed"]
    wrong.close()


def test_threat_21_a_wrong_clock_with_dates_that_count(record: Record, store: SqliteStore) -> None:
    """Threat 21: where dates count and the clock is wrong, all is refused; when it is right again, the same pins hold."""
    server = record(ask=False)
    by_check(store, server.port)
    manage.set_domain(store, "system", Override(expired=Expiry.REJECT))
    wrong = SqliteStore.open(store.path, clock=lambda: datetime(2100, 1, 1, tzinfo=UTC))
    known = len(server.settled())
    for way in WAYS:
        with pytest.raises(CertificateExpired):
            way(wrong, server.port)
    assert not any(visit.received for visit in server.settled(known))
    for way in WAYS:
        way(store, server.port)
    wrong.close()


def test_threat_21_the_command_exits_3(record: Record, troth: Command) -> None:
    """Threats 21 and 26: `policy set … --expired reject` makes an expired pin exit 3, again and again; taken back, it exits 0."""
    server = record(ask=False)
    where = f"127.0.0.1:{server.port}"
    server.present(fresh("dated", days=DATES["expired"]))
    assert troth("check", where).code == 0
    assert troth("policy", "set", "system", "--expired", "reject").code == 0
    for _ in range(2):
        done = troth("check", where)
        assert done.code == 3
        assert "outside its dates" in done.err
    assert troth("policy", "set", "system", "--expired", "accept").code == 0
    assert troth("check", where).code == 0


# Threat 22


def _private(count: int, *, with_root: bool) -> tuple[bytes, bytes]:
    authorities = [Authority("Private root")]
    for number in range(count):
        authorities.append(Authority(f"Intermediate {number}", parent=authorities[-1]))
    leaf, key = authorities[-1].issue("ise.example.com")
    sent = list(reversed(authorities if with_root else authorities[1:]))
    return pem(leaf) + b"".join(pem(each.certificate) for each in sent), key_pem(key)


@pytest.mark.parametrize(("count", "with_root"), [(0, False), (0, True), (1, False), (2, True)])
@pytest.mark.parametrize("with_client", [False, True], ids=["", "client-certificate"])
@each_way
def test_threat_22_a_leaf_of_a_private_ca_is_pinned_like_any_other(
    way: Way, with_client: bool, count: int, with_root: bool, record: Record, store: SqliteStore
) -> None:
    """Threat 22: a leaf that a private CA issued is learned and met again, with and without its chain; a sister of it is refused."""
    server = record(ask=with_client)
    server.present(_private(count, with_root=with_root))
    context = Context(store)
    if with_client:
        context.load_cert_chain(*server.client_certificate())
    for _ in range(3):
        way(store, server.port, context)
    assert server.settled()[-1].certificate is (with_client and way is not by_check)
    known = len(server.visits)
    server.present(_private(count, with_root=with_root))
    with pytest.raises(CertificateChanged):
        way(store, server.port, context)
    assert not any(visit.received or visit.certificate for visit in server.settled(known))


@each_sending_way
def test_threat_22_a_leaf_for_clients_only_is_pinned_all_the_same(way: Way, record: Record, store: SqliteStore) -> None:
    """Threat 22: a certificate that is not meant for servers (appliances have such) can be pinned; another is refused."""
    ca = Authority("Private root")
    leaf, key = ca.issue("ise.example.com", usage=x509.ExtendedKeyUsageOID.CLIENT_AUTH)
    server = record(ask=False)
    server.present((pem(leaf), key_pem(key)))
    for _ in range(3):
        way(store, server.port)
    known = len(server.settled())
    other, key = ca.issue("ise.example.com", usage=x509.ExtendedKeyUsageOID.CLIENT_AUTH)
    server.present((pem(other), key_pem(key)))
    with pytest.raises(CertificateChanged):
        way(store, server.port)
    assert not any(visit.received for visit in server.settled(known))


# Threat 23


def test_threat_23_the_key_tells_a_renewal_not_the_subject(record: Record, store: SqliteStore) -> None:
    """Threat 23: same key and new certificate is named so; same subject and new key is not, and neither is trusted by itself."""
    server = record(ask=False)
    target = Target(endpoint=here(server.port))
    check_target(store, target)
    old = server.view
    renewed = server.renew()
    assert (renewed.subject, renewed.spki) == (old.subject, old.spki)
    decision = check_target(store, target)
    assert (decision.verdict, decision.change, decision.trusted) == (Verdict.CHANGED, ChangeClass.SAME_KEY, False)
    swapped = server.change()
    assert swapped.subject == old.subject
    decision = check_target(store, target)
    assert decision.verdict is Verdict.CHANGED
    assert decision.change is not ChangeClass.SAME_KEY
    assert not decision.trusted


# Threat 24


@contextmanager
def both_kinds(folder: Path) -> Iterator[tuple[int, CertificateView, CertificateView]]:
    """Run nginx with an RSA and an ECDSA certificate; give its port and both."""
    one, two = fresh("both"), material(*make("both", key=rsa_key()))
    ec_files, rsa_files = written(folder, one, "ec"), written(folder, two, "rsa")
    lines = "".join(f"ssl_certificate {crt};\nssl_certificate_key {key};\n" for crt, key in (ec_files, rsa_files))
    with nginx(folder, lines) as port:
        yield port, view(one[0]), view(two[0])


def _with_ciphers(store: SqliteStore, kind: str) -> Context:
    context = Context(store)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
    return context


def test_threat_24_rsa_beside_ecdsa_is_no_change_once_both_are_known(store: SqliteStore, tmp_path: Path) -> None:
    """Threat 24: of a host with two certificates each matches once both are pinned; until then the other is a change."""
    with both_kinds(tmp_path) as (port, ecdsa, other):
        by_check(store, port)
        entry = store.entry(here(port))
        assert entry is not None
        first = entry.current[0].fingerprint
        assert first in (ecdsa.fingerprint, other.fingerprint)
        unknown = "RSA" if first == ecdsa.fingerprint else "ECDSA"
        for way in SENDING:
            with pytest.raises(CertificateChanged):
                way(store, port, _with_ciphers(store, unknown))
        for each in (ecdsa, other):
            manage.pin(store, here(port), kind=PinKind.CERTIFICATE, view=each)
        for way in SENDING:
            for kind in ("RSA", "ECDSA"):
                way(store, port, _with_ciphers(store, kind))
            way(store, port)
        assert check_target(store, Target(endpoint=here(port))).verdict is Verdict.MATCH


def test_threat_24_a_third_certificate_is_still_a_change(store: SqliteStore, tmp_path: Path) -> None:
    """Threat 24: two known certificates at one host let no third one in, of either kind."""
    with both_kinds(tmp_path) as (port, ecdsa, other):
        pass
    crt, key = written(tmp_path, fresh("third"), "third")
    rsa_crt, rsa_private = written(tmp_path, material(*make("third", key=rsa_key())), "third-rsa")
    with s_server(tmp_path, "-cert", rsa_crt, "-key", rsa_private, "-dcert", crt, "-dkey", key, "-rev") as port:
        for each in (ecdsa, other):
            manage.pin(store, here(port), kind=PinKind.CERTIFICATE, view=each)
        for way in SENDING:
            for kind in ("RSA", "ECDSA"):
                with pytest.raises(CertificateChanged):
                    way(store, port, _with_ciphers(store, kind))


def test_what_is_sent_is_what_is_looked_for(record: Record, store: SqliteStore) -> None:
    """The secret of these tests does arrive where a host is trusted."""
    server = record(ask=False)
    by_socket(store, server.port)
    assert server.settled()[0].received == SECRET


def test_the_fickle_server_is_used(fickle: Fickler) -> None:
    """A server that chooses for each connection starts and stops."""
    assert fickle(lambda number, hello: fresh()).port
