"""Distinguished names: read from DER, and written in every way that admins meet them (RFC 5280, 4514, 1779).

The incumbent lists a subject in openssl's old slash form and logs the same subject as Java prints it. Each rendering
here was compared with what openssl 3.0 and OpenJDK 17 print. `parse` reads any of them back, and `same_subject` says
whether two can be one name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth.model import der
from troth.model.attributes import EMAIL, JAVA_KEYWORDS, SHORT_NAMES, Attribute, Rdn, decode_string
from troth.model.printed import PrintedName, parse, same_subject

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EMAIL", "Attribute", "DistinguishedName", "PrintedName", "Rdn", "parse", "same_subject"]


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A name in certificate order: a tuple of relative names, each a tuple of attributes.

    The renderings are made for reading by programs that know their escapes; pass them through
    `troth.model.text.printable` before they are shown.
    """

    rdns: tuple[Rdn, ...] = ()

    @classmethod
    def from_der(cls, data: bytes) -> DistinguishedName:
        """Read a Name (RFC 5280 4.1.2.4).

        Raises:
            DerError: It is not strict DER of a Name.
        """
        rdns = []
        for rdn in der.read_all(data).expect(der.SEQUENCE).children():
            attributes = tuple(_attribute(element) for element in rdn.expect(der.SET).children())
            if not attributes:
                raise der.DerError(f"empty relative name at byte {rdn.start}")
            rdns.append(attributes)
        return cls(tuple(rdns))

    def rfc4514(self) -> str:
        """Give the RFC 4514 string, last first: `CN=x,O=Example\\, Inc.,C=US`; well-known types have their names."""
        return ",".join("+".join(_pair(a, _short(a.type), _rfc4514_value) for a in rdn) for rdn in reversed(self.rdns))

    def slash(self) -> str:
        r"""Give openssl's compat form, the incumbent's: `/C=US/O=Example/CN=x`, with `\/`, `\+` and `\xNN`."""
        return "".join("/" + "+".join(_pair(a, _short(a.type), _slash_value) for a in rdn) for rdn in self.rdns)

    def java(self) -> str:
        """Give what Java's `X500Name.toString` prints, last first: `CN=x, O="Example, Inc.", C=US`."""
        return ", ".join(
            " + ".join(_pair(a, _java_type(a.type), _java_value) for a in rdn) for rdn in reversed(self.rdns)
        )

    def openssl(self) -> str:
        """Give openssl's default form: `C = US, O = "Example, Inc.", CN = x`."""
        return ", ".join(
            " + ".join(f"{_short(a.type)} = {a.value if a.encoded else _openssl_value(a.value)}" for a in rdn)
            for rdn in self.rdns
        )

    def values(self, attribute_type: str) -> tuple[str, ...]:
        """Give the values of one attribute type (`2.5.4.3` or `CN`), in certificate order."""
        return tuple(a.value for rdn in self.rdns for a in rdn if attribute_type in (a.type, _short(a.type)))


def _attribute(element: der.Element) -> Attribute:
    parts = list(element.expect(der.SEQUENCE).children())
    if len(parts) != 2:
        raise der.DerError(f"an attribute has a type and a value (byte {element.start})")
    text = decode_string(parts[1].tag, parts[1].value)
    if text is None:
        return Attribute(der.oid(parts[0]), "#" + parts[1].raw.hex(), encoded=True)
    return Attribute(der.oid(parts[0]), text)


def _short(attribute_type: str) -> str:
    return SHORT_NAMES.get(attribute_type, attribute_type)


def _java_type(attribute_type: str) -> str:
    return JAVA_KEYWORDS.get(attribute_type, "OID." + attribute_type)


def _pair(attribute: Attribute, name: str, write: Callable[[str], str]) -> str:
    return f"{name}={attribute.value if attribute.encoded else write(attribute.value)}"


def _hex_escaped(character: str, prefix: str) -> str:
    return "".join(f"{prefix}{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _is_control(character: str) -> bool:
    return character < " " or character == "\x7f"


def _rfc4514_value(value: str) -> str:
    out = []
    for index, ch in enumerate(value):
        edge = (index == 0 and ch in " #") or (index == len(value) - 1 and ch == " ")
        if edge or ch in '"+,;<>\\':
            out.append("\\" + ch)
        else:
            out.append(_hex_escaped(ch, "\\") if _is_control(ch) else ch)
    return "".join(out)


def _slash_value(value: str) -> str:
    out = []
    for ch in value:
        if ch in "/+":
            out.append("\\" + ch)
        else:
            out.append(ch if " " <= ch <= "~" else _hex_escaped(ch, "\\x"))
    return "".join(out)


def _java_value(value: str) -> str:
    quote = value != value.strip(" \n") or any(ch in ',+=\n<>#;\\"' for ch in value)
    quote = quote or any(pair in value for pair in ("  ", " \n", "\n "))
    body = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{body}"' if quote else body


def _openssl_value(value: str) -> str:
    quote = value != value.strip(" ") or value.startswith("#") or any(ch in ',+"\\<>;' for ch in value)
    out = []
    for ch in value:
        if ch in '"\\':
            out.append("\\" + ch)
        else:
            out.append(_hex_escaped(ch, "\\") if _is_control(ch) or not ch.isascii() else ch)
    return f'"{"".join(out)}"' if quote else "".join(out)
