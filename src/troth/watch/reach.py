"""Which addresses may be probed at all. Pure: no name is resolved here.

A probe goes wherever somebody says, and tells what answered: a port scanner, and a way to services that trust whoever
reaches them. So the address that a name leads to is asked about, at the moment of connecting, and not the name: a name
may lead elsewhere the next time.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(*texts: str) -> tuple[IPNetwork, ...]:
    """Read networks.

    Raises:
        ValueError: One is none.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


# The metadata services of the clouds give credentials to whoever asks from the machine itself.
METADATA = networks(
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "168.63.129.16/32",
)
LOOPBACK = networks("127.0.0.0/8", "::1/128")
# What is no single host, or is this machine by another name. Unicast link-local IPv6 stays: it names an interface, and
# hosts are managed by it; in IPv4 it is where metadata services live.
NO_HOSTS = networks(
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "ff00::/8",
)
REFUSED = (*METADATA, *LOOPBACK, *NO_HOSTS)
# IPv4 inside IPv6 (RFC 4291 2.5.5.1, RFC 6052, RFC 8215): what these lead to is asked about instead. IPv4-mapped
# addresses and those of 6to4 and Teredo, `ipaddress` knows by itself.
_TRANSLATED = networks("64:ff9b::/96", "64:ff9b:1::/48", "::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePolicy:
    """Which addresses and ports may be probed.

    The narrowest network that holds an address decides: to allow 169.254.0.0/16 does not allow the metadata service
    inside it, to allow 169.254.169.254/32 does. What is in no network is allowed. What an administrator refuses and
    allows alike is refused.

    Args:
        allowed: Networks that may be probed though they are inside refused ones.
        refused: Networks that may not be probed, besides the ones that are refused by default.
        ports: The ports that may be probed, as (first, last).
    """

    allowed: tuple[IPNetwork, ...] = ()
    refused: tuple[IPNetwork, ...] = ()
    ports: tuple[tuple[int, int], ...] = ((1, 65535),)


# For people's probes, and for everything that takes an address from outside.
DEFAULT_POLICY = ProbePolicy()
# For the watch: what is on record was put there by an administrator, and a node's own monitor is on loopback.
WATCH_POLICY = ProbePolicy(allowed=LOOPBACK)


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an address may be probed, and if not, why; true if it may."""

    allowed: bool
    why: str = ""

    def __bool__(self) -> bool:
        """Whether it may."""
        return self.allowed


def may_probe(address: str, policy: ProbePolicy = DEFAULT_POLICY, *, port: int | None = None) -> Permission:
    """Say whether an address may be probed. It must be an address that a name was resolved to, never a name.

    Args:
        address: The resolved address; a zone may follow it.
        policy: The policy.
        port: The port; None if it is asked about the address alone.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Permission(allowed=False, why="it is no resolved address")
    if port is not None and not any(first <= port <= last for first, last in policy.ports):
        return Permission(allowed=False, why=f"port {port} is not one that may be probed")
    for each in (found, *inner(found)):
        if not (permission := _one(each, policy)):
            return permission
    return Permission(allowed=True)


def inner(address: IPAddress) -> tuple[IPAddress, ...]:
    """Give the IPv4 addresses that an IPv6 address leads to, through a gateway or by another spelling."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found: list[IPAddress] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    found += address.teredo or ()
    if any(address in network for network in _TRANSLATED) and int(address) > 1:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(found)


def network_of(address: str) -> str:
    """Name the network that limits count by: /24 of IPv4, /64 of IPv6; what is no address counts by itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 64), strict=False))


def _one(address: IPAddress, policy: ProbePolicy) -> Permission:
    by_default, refused = _narrowest(address, REFUSED), _narrowest(address, policy.refused)
    allowed = _narrowest(address, policy.allowed)
    if refused is not None and (allowed is None or allowed.prefixlen <= refused.prefixlen):
        return Permission(allowed=False, why=f"{refused} is refused by the policy")
    if by_default is not None and (allowed is None or allowed.prefixlen < by_default.prefixlen):
        return Permission(
            allowed=False, why=f"{address} is {_named(by_default)}, which is refused unless it is allowed"
        )
    return Permission(allowed=True)


def _narrowest(address: IPAddress, among: tuple[IPNetwork, ...]) -> IPNetwork | None:
    holding = [each for each in among if each.version == address.version and address in each]
    return max(holding, key=lambda each: each.prefixlen, default=None)


def _named(network: IPNetwork) -> str:
    if network in METADATA:
        return "a cloud's metadata service"
    return "this machine itself" if network in LOOPBACK else f"in {network}, where no host is"
