"""What a certificate is asked to say: a subject, and the names and addresses that it is for."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from troth.errors import BadEndpoint, BadInput
from troth.model.endpoint import canonical_host
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# The order of X.509 names: from the country down. The upper bounds are those of RFC 5280, appendix A.1.
_FIELDS = (
    ("c", NameOID.COUNTRY_NAME, 2),
    ("st", NameOID.STATE_OR_PROVINCE_NAME, 128),
    ("l", NameOID.LOCALITY_NAME, 128),
    ("o", NameOID.ORGANIZATION_NAME, 64),
    ("ou", NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
    ("cn", NameOID.COMMON_NAME, 64),
)
MAX_COMMON_NAME = 64
MAX_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The six fields that the incumbent asks for; empty ones are left out.

    Args:
        cn: Common name: the node's name.
        ou: Organizational unit.
        o: Organization.
        l: Locality.
        st: State or province.
        c: Country, two letters.
    """

    cn: str = ""
    ou: str = ""
    o: str = ""
    l: str = ""  # noqa: E741  # the field's name in X.509
    st: str = ""
    c: str = ""

    def __post_init__(self) -> None:
        for name, _, limit in _FIELDS:
            value = getattr(self, name)
            if len(value) > limit or value != value.strip() or printable(value, limit + 1) != value:
                raise BadInput(
                    f"{printable(value, 80)!r} cannot stand in the field {name.upper()} of a certificate.",
                    why=f"it has at most {limit} characters that can be shown, and no blank at its ends",
                )
        if self.c and not (len(self.c) == 2 and self.c.isascii() and self.c.isalpha() and self.c.isupper()):
            raise BadInput(f"{self.c!a} is no country: two capital letters of ISO 3166, such as US or DE.")

    @property
    def name(self) -> x509.Name:
        """The X.509 name."""
        present = ((oid, getattr(self, name)) for name, oid, _ in _FIELDS)
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in present if value])


def parse_san(text: str) -> str:
    """Read `DNS:name`, `IP:address`, or one of the two without its word; give the one spelling with its word.

    Raises:
        BadInput: It is neither, or has more than one meaning.
    """
    word, colon, rest = text.strip().partition(":")
    kind = word.upper() if colon and word.upper() in ("DNS", "IP") else ""
    try:
        host = canonical_host(rest.strip() if kind else text.strip().removeprefix("[").removesuffix("]"))
    except BadEndpoint as error:
        raise BadInput(
            f"{printable(text, 80)!r} is no name for a certificate.",
            why=error.why or error.what,
            next_command="--san DNS:node.example.com, or --san IP:192.0.2.10",
        ) from None
    is_address = _is_address(host)
    if kind and is_address != (kind == "IP"):
        raise BadInput(f"{printable(text, 80)!r} is {'an address' if is_address else 'no address'}.")
    return f"{'IP' if is_address else 'DNS'}:{host}"


def parse_sans(texts: Iterable[str]) -> tuple[str, ...]:
    """Read several, each once, in their order.

    Raises:
        BadInput: One cannot be used, or there are too many.
    """
    found = tuple(dict.fromkeys(parse_san(each) for each in texts))
    if len(found) > MAX_NAMES:
        raise BadInput(f"A certificate is for at most {MAX_NAMES} names here; these are {len(found)}.")
    return found


def usual_names(today: Iterable[str], who: Subject) -> tuple[str, ...]:
    """Give the names to ask for where none are given: the common name, if it is a host's, and those of today.

    Names that mean whatever machine they are used on are left out, for a CA that is worth its name signs none.
    """
    names = [each for each in today if not is_local(each)]
    with contextlib.suppress(BadInput):  # a common name may be anything
        names.insert(0, parse_san(who.cn))
    return tuple(dict.fromkeys(names))


def general_names(sans: Iterable[str]) -> list[x509.GeneralName]:
    """Make the names of the certificate's extension."""
    made: list[x509.GeneralName] = []
    for each in sans:
        kind, _, value = each.partition(":")
        made.append(x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value))
    return made


def covers(sans: Iterable[str], wanted: str) -> bool:
    """Whether names cover another: the same, or `*.` in place of its first label (RFC 6125 6.4.3)."""
    kind, _, value = wanted.partition(":")
    parent = value.partition(".")[2]
    spellings = {wanted.lower(), f"dns:*.{parent}".lower()} if kind == "DNS" and parent else {wanted.lower()}
    return any(each.lower() in spellings for each in sans)


def is_local(san: str) -> bool:
    """Whether a name means whatever machine it is used on: no peer reaches a node by it, and no CA vouches for it."""
    kind, _, value = san.partition(":")
    if kind == "IP":
        return ipaddress.ip_address(value).is_loopback
    return value == "localhost" or value.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
