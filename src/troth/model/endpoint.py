"""Endpoints: host, port and protocol, in the one spelling that the store knows.

Two spellings of one host must never become two entries, and two hosts never one. Whatever has exactly one meaning
is brought to canonical form; whatever programs read in different ways (`010.0.0.1`) is refused with the reason.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass

from troth.errors.base import BadEndpoint
from troth.model.words import PROTOCOLS

__all__ = ["DEFAULT_PORTS", "PROTOCOLS", "Endpoint", "canonical_host"]

DEFAULT_PORTS = {
    "tls": 443,
    "smtp": 25,
    "imap": 143,
    "pop3": 110,
    "ftp": 21,
    "ldap": 389,
    "xmpp": 5222,
    "postgres": 5432,
    "mysql": 3306,
    "sieve": 4190,
    "nntp": 119,
}
_MAX_TEXT = 600
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"0x[0-9a-f]*|[0-9]+")
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_KEY = re.compile(r"(?P<host>.+)_(?P<port>[0-9]{1,5})")
# IDNA 2003 and 2008 read these differently (RFC 5894 section 7.2), so one name could mean two hosts. The capital sharp s
# is ss to the one, and to some programs that write it small first, ß to the other.
_DEVIATIONS = frozenset("ßẞς\u200c\u200d")
# Invisible, but with a meaning of their own in names: `_ascii` gives the better reason, or leaves the soft hyphen out.
_JOINERS = frozenset("\u200c\u200d\u00ad")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
# What nameprep reads as @, too: whatever stands before it may be a password.
_AT = "@\uff20\ufe6b"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A place to connect to, in canonical form; make it with `Endpoint.parse`.

    Args:
        host: Canonical host name (ASCII, lower case, no trailing dot) or IP address.
        port: TCP port, 1 to 65535.
        protocol: `tls`, or the STARTTLS protocol that is spoken first.
    """

    host: str
    port: int
    protocol: str = "tls"

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None, protocol: str = "tls") -> Endpoint:
        """Read `host`, `host:port`, `[v6]:port`, the entry key `host_port`, or an `https://host:port/` address.

        Without a port it is `default_port`, or the protocol's own.

        Raises:
            BadEndpoint: It has no meaning, or more than one.
        """
        if protocol not in PROTOCOLS:
            raise BadEndpoint(f"Troth does not speak {protocol!r}.", why="known are " + ", ".join(PROTOCOLS))
        host_text, port_text = _split(text)
        usual = DEFAULT_PORTS[protocol] if default_port is None else default_port
        port = _port(text, port_text) if port_text is not None else usual
        return cls(canonical_host(host_text), port, protocol)

    @property
    def key(self) -> str:
        """The incumbent's entry key, `host_port`; split it at the last underscore."""
        return f"{self.host}_{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address (then no server name is sent)."""
        return ":" in self.host or self.host.replace(".", "").isdigit()

    def __str__(self) -> str:
        """Give `host:port`, or `[v6]:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def canonical_host(text: str) -> str:
    """Give the one spelling of a host name or address.

    Raises:
        BadEndpoint: It has no meaning, or more than one.
    """
    if not text:
        raise _bad(text, "the host is empty")
    if any(ch.isspace() or unicodedata.category(ch) in _HIDDEN for ch in text if ch not in _JOINERS):
        raise _bad(text, "it holds a blank, a control character or an invisible one")
    if ":" in text:
        return _ipv6(text)
    name = text[:-1] if text.endswith(".") else text
    name = _ascii(name).lower()
    if len(name) > 253:
        raise _bad(text, f"a host name has at most 253 characters, this one {len(name)}")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _ipv4(text, labels)
    for label in labels:
        if not _LABEL.fullmatch(label):
            shown = _without_user(label)[:70]
            raise _bad(text, f"{shown!r} is no label of a host name" if label else "it has an empty label")
    return name


def _split(text: str) -> tuple[str, str | None]:
    if len(text) > _MAX_TEXT:
        raise _bad(text, "it is far too long")
    body = text.strip(" ")
    is_url = body.lower().startswith("https://")
    if is_url:
        body = body[8:].removesuffix("/")
    if any(ch in body for ch in _AT):
        raise _bad(text, "it holds a user name; give the host alone")
    if any(ch in body for ch in "/\\?#"):
        raise _bad(text, "give host:port, without scheme or path")
    keyed = _KEY.fullmatch(body)
    if is_url and keyed:
        # To a browser the underscore belongs to the host's name, in an entry key the port comes after it.
        raise _bad(text, "an address gives its port after a colon; write host:port, or the entry key without https://")
    if body.startswith("["):
        host, bracket, rest = body[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith((":", "_"))):
            raise _bad(text, "write an IPv6 address as [address]:port")
        return host, rest[1:] if rest else None
    if keyed and (":" not in body or body.count(":") > 1):
        return keyed["host"], keyed["port"]
    if body.count(":") == 1:
        host, _, port = body.partition(":")
        return host, port
    return body, None


def _port(text: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise _bad(text, f"{digits[:20]!r} is not a port; ports are 1 to 65535")
    return int(digits)


def _ascii(name: str) -> str:
    if name.isascii():
        return name
    if any(ch in name for ch in _DEVIATIONS):
        raise _bad(name, "the standards of 2003 and 2008 give it two meanings; write its xn-- form")
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        raise _bad(name, "it is no valid international name; write its xn-- form") from None


def _ipv4(text: str, labels: list[str]) -> str:
    """Read an address as `inet_aton` does, but refuse octal, which others read as decimal."""
    if len(labels) > 4 or not all(_NUMERIC.fullmatch(label) for label in labels):
        raise _bad(text, "a host name cannot end in a number")
    if any(len(label) > 1 and label[0] == "0" and not label.startswith("0x") for label in labels):
        raise _bad(text, "a leading zero means octal to some programs and nothing to others; write it without")
    try:
        parts = [int(label, 16) if label.startswith("0x") else int(label) for label in labels]
    except ValueError:
        raise _bad(text, "it is no IPv4 address") from None
    last_bits = 8 * (5 - len(parts))
    if any(part > 255 for part in parts[:-1]) or parts[-1] >= 1 << last_bits:
        raise _bad(text, "it is no IPv4 address")
    number = parts[-1]
    for index, part in enumerate(parts[:-1]):
        number |= part << (24 - 8 * index)
    return str(ipaddress.IPv4Address(number))


def _ipv6(text: str) -> str:
    address_text, percent, zone = text.partition("%")
    try:
        address = ipaddress.IPv6Address(address_text)
    except ValueError:
        raise _bad(text, "it is no IPv6 address; write [address]:port, or host:port") from None
    if address.ipv4_mapped is not None:
        if percent:
            raise _bad(text, "an IPv4 address has no zone")
        return str(address.ipv4_mapped)
    if percent and not (_ZONE.fullmatch(zone) and address.is_link_local):
        raise _bad(text, "a zone belongs to a link-local address alone, and names an interface")
    return f"{address}%{zone}" if percent else str(address)


def _without_user(text: str) -> str:
    """Leave out what stands before the last @, which messages and logs may not repeat."""
    last = max(text.rfind(ch) for ch in _AT)
    return text if last < 0 else "…@" + text[last + 1 :]


def _bad(text: str, why: str) -> BadEndpoint:
    text = _without_user(text)
    shown = text if text.isprintable() else ascii(text)[1:-1]
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    return BadEndpoint(
        f"{shown!r} cannot be used as an endpoint: {why}.",
        next_command="troth check HOST:PORT, for example: troth check ise.example.com:443",
    )
