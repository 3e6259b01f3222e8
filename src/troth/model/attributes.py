"""Attribute types of distinguished names: their object identifiers and the many words that tools print for them."""

from __future__ import annotations

import re
from typing import NamedTuple

EMAIL = "1.2.840.113549.1.9.1"
# Attribute type -> openssl's short name. Java's keywords, where they differ, stand in JAVA_KEYWORDS.
SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.16": "postalAddress",
    "2.5.4.17": "postalCode",
    "2.5.4.18": "postOfficeBox",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
    EMAIL: "emailAddress",
    "1.2.840.113549.1.9.2": "unstructuredName",
    "1.2.840.113549.1.9.8": "unstructuredAddress",
}
JAVA_KEYWORDS = {
    "2.5.4.4": "SURNAME",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.9": "STREET",
    "2.5.4.12": "T",
    "2.5.4.42": "GIVENNAME",
    "2.5.4.43": "INITIALS",
    "2.5.4.44": "GENERATION",
    "2.5.4.46": "DNQ",
    EMAIL: "EMAILADDRESS",
    **{name: SHORT_NAMES[name] for name in ("2.5.4.3", "2.5.4.6", "2.5.4.7", "2.5.4.8", "2.5.4.10", "2.5.4.11")},
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_UTF8, _BMP, _UNIVERSAL = 0x0C, 0x1E, 0x1C
# Numeric, Printable, T61, IA5, Visible: one byte a character (openssl reads T61 as Latin-1, and so do CAs).
_ONE_BYTE = frozenset((0x12, 0x13, 0x14, 0x16, 0x1A))


class Attribute(NamedTuple):
    """One attribute of a name; `encoded` means that the value is `#` and hex, because it is no string."""

    type: str
    value: str
    encoded: bool = False


Rdn = tuple[Attribute, ...]


# Words beyond the short names above, as openssl (long names), Java, Windows and python-cryptography print them.
_ALIASES = {
    "COMMONNAME": "2.5.4.3",
    "SURNAME": "2.5.4.4",
    "SERIAL": "2.5.4.5",
    "COUNTRYNAME": "2.5.4.6",
    "LOCALITYNAME": "2.5.4.7",
    "S": "2.5.4.8",
    "STATEORPROVINCENAME": "2.5.4.8",
    "STREETADDRESS": "2.5.4.9",
    "ORGANIZATIONNAME": "2.5.4.10",
    "ORGANIZATIONALUNITNAME": "2.5.4.11",
    "T": "2.5.4.12",
    "GIVENNAME": "2.5.4.42",
    "G": "2.5.4.42",
    "I": "2.5.4.43",
    "GENERATION": "2.5.4.44",
    "DNQ": "2.5.4.46",
    "DNQUALIFIER": "2.5.4.46",
    "USERID": "0.9.2342.19200300.100.1.1",
    "DOMAINCOMPONENT": "0.9.2342.19200300.100.1.25",
    "E": EMAIL,
    "EMAIL": EMAIL,
    "JURISDICTIONLOCALITYNAME": "1.3.6.1.4.1.311.60.2.1.1",
    "JURISDICTIONSTATEORPROVINCENAME": "1.3.6.1.4.1.311.60.2.1.2",
    "JURISDICTIONCOUNTRYNAME": "1.3.6.1.4.1.311.60.2.1.3",
}
_BY_WORD = {**{name.upper(): number for number, name in SHORT_NAMES.items()}, **_ALIASES}
_DOTTED = re.compile(r"(?:OID\.)?([0-2](?:\.[0-9]{1,20}){1,40})", re.I)


def canonical_type(word: str) -> str:
    """Give the dotted object identifier for a printed attribute type; an unknown word comes back in upper case."""
    dotted = _DOTTED.fullmatch(word)
    if dotted:
        return dotted[1]
    return _BY_WORD.get(word.upper(), word.upper())


def is_known_type(word: str) -> bool:
    """Whether a word is an attribute type that Troth knows, or a dotted object identifier."""
    return word.upper() in _BY_WORD or _DOTTED.fullmatch(word) is not None


def decode_string(tag: int, content: bytes) -> str | None:
    """Read a DirectoryString's content as openssl does; None if the tag is no string or the length does not fit."""
    if tag == _UTF8:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content.decode("latin-1")
    if tag in _ONE_BYTE:
        return content.decode("latin-1")
    codec = {_BMP: "utf-16-be", _UNIVERSAL: "utf-32-be"}.get(tag)
    try:
        return content.decode(codec) if codec else None
    except UnicodeDecodeError:
        return None
