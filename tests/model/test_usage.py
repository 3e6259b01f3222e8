"""What a certificate may be used for: never more than OpenSSL allows, for what it refuses would be held fast and never met."""

from __future__ import annotations

import itertools
import random
import subprocess
from pathlib import Path

import pytest

from tests.model.making import certificate, common_name, extension, integer, oid, tlv
from troth.model.certificate import CertificateView
from troth.model.usage import for_servers

USAGE, PURPOSES, NETSCAPE = "2.5.29.15", "2.5.29.37", "2.16.840.1.113730.1.1"
SERVER, CLIENT, CODE, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3", "2.5.29.37.0"
GATED = ("2.16.840.1.113730.4.1", "1.3.6.1.4.1.311.10.3.3")


def bit(number: int) -> bytes:
    """Write a BIT STRING with one bit set, as DER has it."""
    content = bytearray(number // 8 + 1)
    content[-1] = 0x80 >> number % 8
    return tlv(0x03, bytes([7 - number % 8]) + bytes(content))


def purposes(*names: str) -> bytes:
    """Write an ExtendedKeyUsage."""
    return tlv(0x30, b"".join(oid(name) for name in names))


USAGES = [
    None, *[bit(number) for number in range(9)], tlv(0x03, b"\x05\xa0"), tlv(0x03, b"\x00\xa0"), tlv(0x03, b"\x01\x06"), tlv(0x03, b"\x06\xa0"),
    # bits that are said to be unused, none at all, and what cannot be read
    tlv(0x03, b"\x07\x20"), tlv(0x03, b"\x04\x08"), tlv(0x03, b"\x00"), tlv(0x03, b"\x07"), tlv(0x03, b"\x00\x00"), tlv(0x03, b""),
    tlv(0x03, b"\x08\x80"), tlv(0x04, b"\x05\xa0"), tlv(0x23, tlv(0x03, b"\x05\xa0")), b"", b"\x03\x02\x05",
]  # fmt: skip
EXTENDED = [
    None, purposes(SERVER), purposes(CLIENT), purposes(CODE), purposes(ANY), purposes(CLIENT, SERVER), purposes(ANY, CODE), purposes(GATED[0]),
    purposes(GATED[1]), purposes("1.3.6.1.5.5.7.3.17", "1.2.3.4"), purposes(),
    # a good purpose before what cannot be read
    tlv(0x30, oid(SERVER) + b"\x05\x00"), tlv(0x30, oid(SERVER) + b"\x06\x00"), tlv(0x30, oid(SERVER) + b"\x06\x02\x80\x01"),
    tlv(0x30, b"\x06\x09\x80" + oid(SERVER)[2:]), tlv(0x31, oid(SERVER)), oid(SERVER), b"", purposes(SERVER)[:-1],
]  # fmt: skip
TYPES = [
    None, bit(0), bit(1), bit(2), bit(5), tlv(0x03, b"\x06\xc0"), tlv(0x03, b"\x07\x40"), tlv(0x03, b""), tlv(0x03, b"\x09\x40"), b"\x05\x00",
]  # fmt: skip
BASIC = [None, tlv(0x30, b""), tlv(0x30, b"\x01\x01\xff"), tlv(0x30, b"\x01\x01\xff" + integer(0))]


def parts(usage: bytes | None, extended: bytes | None, kind: bytes | None) -> dict[str, bytes]:
    """Give the extensions that are there, by name."""
    named = {USAGE: usage, PURPOSES: extended, NETSCAPE: kind}
    return {name: value for name, value in named.items() if value is not None}


def asked(made: dict[str, bytes], folder: Path) -> dict[str, bool]:
    """Ask openssl of each certificate whether a TLS client takes it for a server's, with the certificate itself as the anchor."""
    texts = {word: CertificateView.from_der(data).pem for word, data in made.items()}
    for word, text in texts.items():
        (folder / word).write_text(text)
    (folder / "all").write_text("".join(texts.values()))
    said = subprocess.run(
        ["openssl", "verify", "-partial_chain", "-no_check_time", "-purpose", "sslserver", "-trusted", "all", *texts],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    good = {line.removesuffix(": OK") for line in said.stdout.splitlines() if line.endswith(": OK")}
    bad = {line.split()[1].rstrip(":") for line in said.stderr.splitlines() if line.endswith("verification failed")}
    assert good | bad == set(texts), said.stderr[-500:]
    assert not good & bad
    return {word: word in good for word in texts}


Combination = tuple[bytes | None, ...]
# Those of each kind that are as their standard has them.
SOUND = (USAGES[:14], EXTENDED[:10], TYPES[:7], BASIC)


def compared(combinations: list[Combination], folder: Path) -> list[tuple[Combination, bool, bool]]:
    """Give for each combination whether it is for servers here, and to openssl."""
    made, here = {}, {}
    for number, (usage, extended, kind, basic) in enumerate(combinations):
        found = parts(usage, extended, kind)
        written = [extension(name, value) for name, value in found.items()]
        written += [] if basic is None else [extension("2.5.29.19", basic, critical=True)]
        made[f"c{number}"] = certificate(subject=common_name(f"c{number}"), extensions=written)
        here[f"c{number}"] = CertificateView.from_der(made[f"c{number}"]).for_servers
        assert here[f"c{number}"] is for_servers(found)
    there = asked(made, folder)
    return [(each, here[word], there[word]) for word, each in zip(made, combinations, strict=True)]


def test_each_extension_alone_is_judged_as_openssl_judges_it(tmp_path: Path) -> None:
    """Every bit, purpose and type by itself: what OpenSSL takes is for servers, and nothing else is."""
    alone = [tuple(each if at == place else None for at in range(4)) for place in range(4) for each in SOUND[place]]
    found = compared(alone, tmp_path)
    assert [(each, ours) for each, ours, _ in found] == [(each, theirs) for each, _, theirs in found]
    assert {ours for _, ours, _ in found} == {True, False}


def test_a_damaged_extension_is_a_doubt() -> None:
    """What OpenSSL cannot read it takes or refuses by its strictness: such a certificate is not held to be for servers."""
    damaged = [(USAGE, each) for each in USAGES[14:]] + [(PURPOSES, each) for each in EXTENDED[10:]]
    damaged += [(NETSCAPE, each) for each in TYPES[7:]]
    for name, value in damaged:
        assert value is not None
        assert not for_servers({name: value}), (name, value)


@pytest.mark.parametrize("seed", range(4))
def test_no_combination_is_for_servers_that_openssl_refuses(seed: int, tmp_path: Path) -> None:
    """A certificate that OpenSSL refuses as a server's is never said to be one: its anchor would refuse the host for ever."""
    chance = random.Random(seed)
    sound = chance.sample(list(itertools.product(*SOUND)), 150)
    every = chance.sample(list(itertools.product(USAGES, EXTENDED, TYPES, BASIC)), 150)
    found = compared(sound + every, tmp_path)
    for each, ours, theirs in found:
        assert theirs or not ours, each
    assert [(each, ours) for each, ours, _ in found[:150]] == [(each, theirs) for each, _, theirs in found[:150]]
    assert any(ours for _, ours, _ in found)


CRITICAL = {
    "2.5.29.17": tlv(0x30, tlv(0x82, b"x")), "2.5.29.19": tlv(0x30, b""), "2.5.29.30": tlv(0x30, tlv(0xA0, tlv(0x30, tlv(0x82, b"x")))),
    "2.5.29.31": tlv(0x30, b""), "2.5.29.32": tlv(0x30, tlv(0x30, oid("1.2.3"))), "2.5.29.33": tlv(0x30, tlv(0x30, oid("1.2.3") + oid("1.2.4"))),
    "2.5.29.36": tlv(0x30, tlv(0x80, b"\0")), "2.5.29.54": integer(0), USAGE: bit(0), PURPOSES: purposes(SERVER), NETSCAPE: bit(1),
    "2.5.29.14": tlv(0x04, b"x"), "2.5.29.18": tlv(0x30, tlv(0x82, b"x")), "2.5.29.46": tlv(0x30, b""), "1.3.6.1.5.5.7.1.1": tlv(0x30, b""),
    "1.3.6.1.5.5.7.1.24": tlv(0x30, integer(5)), "1.3.6.1.4.1.11129.2.4.2": b"x", "1.2.3.4": b"x",
}  # fmt: skip


def test_a_critical_extension_that_openssl_does_not_understand_is_not_for_servers(tmp_path: Path) -> None:
    """A certificate with an unknown critical extension can be pinned, but as an anchor it would refuse the host for ever."""
    made = {
        name: certificate(subject=common_name(name), extensions=[extension(name, value, critical=True)])
        for name, value in CRITICAL.items()
    }
    there = asked(made, tmp_path)
    for name, data in made.items():
        assert there[name] or not CertificateView.from_der(data).for_servers, name
        assert CertificateView.from_der(data).for_servers is (name in list(CRITICAL)[:11]), name
        relaxed = certificate(extensions=[extension(name, CRITICAL[name])])
        assert CertificateView.from_der(relaxed).for_servers, name


@pytest.mark.parametrize("value", [b"", b"\x30", b"\x05\x00", b"\x03\x00", b"\x30\x80\x00\x00"])
@pytest.mark.parametrize("name", [USAGE, PURPOSES, NETSCAPE])
def test_an_extension_that_cannot_be_read_leaves_the_certificate_readable(name: str, value: bytes) -> None:
    """In doubt a certificate is not for servers; but it can be shown, pinned and replaced like any other."""
    found = CertificateView.from_der(certificate(extensions=[extension(name, value)]))
    assert found.for_servers is False
    assert for_servers({}) is True
