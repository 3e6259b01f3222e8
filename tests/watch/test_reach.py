"""Which addresses may be probed: threat 38."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.watch.reach import (
    DEFAULT_POLICY,
    METADATA,
    REFUSED,
    WATCH_POLICY,
    ProbePolicy,
    may_probe,
    network_of,
    networks,
)


@pytest.mark.parametrize(
    "address",
    [
        *(str(each.network_address) for each in METADATA),
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::169.254.169.254",
        "::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "169.254.169.254%eth0",
        "169.254.1.1",
        "127.0.0.1",
        "127.255.0.9",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "ff02::1%eth0",
        "metadata.google.internal",
        "169.254.43518",
        "0x7f.1",
        "",
    ],
)
def test_what_is_refused_by_default(address: str) -> None:
    """Metadata services in every spelling, this machine, what is no host, and whatever is not resolved."""
    permission = may_probe(address)
    assert not permission
    assert permission.why


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "100.100.100.199", "64:ff9b::c000:201"]
)
def test_what_is_allowed_by_default(address: str) -> None:
    """Hosts, also private ones: they are what is managed."""
    assert may_probe(address)


def test_the_narrowest_network_decides() -> None:
    """To allow a wide network does not allow the metadata service inside it; to name it does."""
    wide = ProbePolicy(allowed=networks("169.254.0.0/16", "0.0.0.0/0", "::/0"))
    assert may_probe("169.254.1.1", wide)
    assert not may_probe("169.254.169.254", wide)
    assert not may_probe("64:ff9b::a9fe:a9fe", wide)
    assert not may_probe("127.0.0.1", wide)
    named = ProbePolicy(allowed=networks("169.254.169.254/32"))
    assert may_probe("169.254.169.254", named)
    assert not may_probe("169.254.169.253", named)


def test_what_an_administrator_refuses_stays_refused() -> None:
    """Refused and allowed alike is refused; a narrower permission wins."""
    both = ProbePolicy(allowed=networks("10.0.0.0/8"), refused=networks("10.0.0.0/8"))
    assert not may_probe("10.1.1.1", both)
    inside = ProbePolicy(allowed=networks("10.1.0.0/16"), refused=networks("10.0.0.0/8"))
    assert may_probe("10.1.1.1", inside)
    assert not may_probe("10.2.1.1", inside)


def test_ports() -> None:
    """Only ports of the policy."""
    policy = ProbePolicy(ports=((443, 443), (8000, 8999)))
    assert may_probe("192.0.2.1", policy, port=443)
    assert may_probe("192.0.2.1", policy, port=8082)
    assert not may_probe("192.0.2.1", policy, port=22)
    assert not may_probe("192.0.2.1", DEFAULT_POLICY, port=0)


def test_the_watch_may_look_at_this_machine_and_at_no_metadata_service() -> None:
    """A node's own monitor is on loopback."""
    assert may_probe("127.0.0.1", WATCH_POLICY)
    assert may_probe("::1", WATCH_POLICY)
    assert not may_probe("169.254.169.254", WATCH_POLICY)


@given(st.ip_addresses(v=4))
def test_no_spelling_in_ipv6_reaches_what_is_refused_in_ipv4(address: ipaddress.IPv4Address) -> None:
    """Whatever is refused is refused through every embedding, and what is not is not."""
    allowed = bool(may_probe(str(address)))
    for prefix in ("::ffff:", "64:ff9b::"):
        assert bool(may_probe(f"{prefix}{address}")) is allowed


@given(st.data(), st.sampled_from(REFUSED))
def test_every_address_of_a_refused_network_is_refused(
    data: st.DataObject, network: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> None:
    """No hole."""
    assert not may_probe(str(network[data.draw(st.integers(0, network.num_addresses - 1))]))


def test_networks_that_limits_count_by() -> None:
    """/24 and /64; IPv4 in IPv6 counts as IPv4."""
    assert network_of("192.0.2.77") == network_of("::ffff:192.0.2.1") == "192.0.2.0/24"
    assert network_of("2001:db8::1") == network_of("2001:db8::2%eth0") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("host.example.com") == "host.example.com"
