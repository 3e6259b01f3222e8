"""GnuTLS's known_hosts (`~/.gnutls/known_hosts`), as `gnutls-cli --tofu` writes it.

Measured with GnuTLS 3.7.9: `|g0|host|service|expiration|key` holds the SubjectPublicKeyInfo in base64, and
`|c0|host|service|expiration|algorithm|hash` the hash of one in hex. The service is a name of /etc/services where there
is one, else the port. The expiration is in seconds since 1970, and 0 means never. Several lines for one host are all good.
GnuTLS treats an expired line as if the host had never been seen; here it stays a pin.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from datetime import UTC, datetime

from troth.errors import BadInput
from troth.formats.records import MAX_ENTRIES, MAX_PINS, ImportedDocument, ImportedPin, bad_file, quoted
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.entry import PinKind
from troth.model.fingerprint import Fingerprint
from troth.model.keys import describe_key
from troth.model.text import printable

FORMAT = "gnutls"
_ANY = "*"
_SHA256 = "6"
# gnutls_digest_algorithm_t: the hash's name and its number of hexadecimal digits.
_OTHER_HASHES = {
    "2": ("MD5", 32),
    "3": ("SHA-1", 40),
    "7": ("SHA-384", 96),
    "8": ("SHA-512", 128),
    "9": ("SHA-224", 56),
}
# Names of /etc/services for TLS: where the name means a plain port, TLS begins there with STARTTLS.
_SERVICES = {
    "https": (443, "tls"),
    "submissions": (465, "tls"),
    "smtps": (465, "tls"),
    "ssmtp": (465, "tls"),
    "urd": (465, "tls"),
    "imaps": (993, "tls"),
    "pop3s": (995, "tls"),
    "ldaps": (636, "tls"),
    "ftps": (990, "tls"),
    "nntps": (563, "tls"),
    "telnets": (992, "tls"),
    "domain-s": (853, "tls"),
    "sip-tls": (5061, "tls"),
    "ircs-u": (6697, "tls"),
    "secure-mqtt": (8883, "tls"),
    "http-alt": (8080, "tls"),
    "smtp": (25, "smtp"),
    "submission": (587, "smtp"),
    "imap": (143, "imap"),
    "imap2": (143, "imap"),
    "pop3": (110, "pop3"),
    "ftp": (21, "ftp"),
    "ldap": (389, "ldap"),
    "nntp": (119, "nntp"),
    "xmpp-client": (5222, "xmpp"),
    "postgresql": (5432, "postgres"),
    "postgres": (5432, "postgres"),
    "mysql": (3306, "mysql"),
    "sieve": (4190, "sieve"),
}
_MAX_SECONDS = 253402300799  # the end of the year 9999


def load_gnutls(text: str, *, name: str = "known_hosts") -> ImportedDocument:
    """Read a GnuTLS known_hosts file; every key becomes a key pin.

    What GnuTLS can say and Troth cannot (any host, any port, another hash than SHA-256) becomes a warning.

    Raises:
        BadFile: A line is no such entry; nothing is imported then.
    """
    pins: dict[tuple[Endpoint, Fingerprint], ImportedPin] = {}
    counted: Counter[Endpoint] = Counter()
    warnings: list[str] = []
    notes: list[str] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        if len(pins) + len(warnings) + len(notes) >= MAX_ENTRIES:
            raise bad_file(name, f"it holds more than {MAX_ENTRIES} entries", line=number)
        found = _pin(line, number, name)
        if isinstance(found, str):
            warnings.append(f"line {number}: {found}")
            continue
        known = pins.setdefault((found.endpoint, found.fingerprint), found)
        if known is not found:
            pins[found.endpoint, found.fingerprint] = _longer(known, found)
            notes.append(f"line {number}: the same key of {found.endpoint} stands in line {known.line}, too")
            continue
        counted[found.endpoint] += 1
        if counted[found.endpoint] > MAX_PINS:
            raise bad_file(name, f"it holds more than {MAX_PINS} keys of {found.endpoint}", line=number)
    return ImportedDocument(format=FORMAT, pins=tuple(pins.values()), warnings=tuple(warnings), notes=tuple(notes))


def _longer(one: ImportedPin, other: ImportedPin) -> ImportedPin:
    """Choose between two lines for one key: GnuTLS believes it as long as either of them holds."""
    if one.expires is None or other.expires is None:
        return one if one.expires is None else other
    return max(one, other, key=lambda pin: pin.expires or datetime.max.replace(tzinfo=UTC))


def _pin(line: str, number: int, name: str) -> ImportedPin | str:
    """Read one line; a text is the reason why it cannot be expressed."""
    fields = line.split("|")
    kind = fields[1] if len(fields) > 1 and not fields[0] else ""
    if (kind, len(fields)) not in (("g0", 6), ("c0", 7)):
        raise bad_file(
            name,
            f"{quoted(line)} is no entry of GnuTLS",
            line=number,
            expected="|g0|host|service|expiration|key in base64",
        )
    expires = _expiration(fields[4], number, name)
    spki: bytes | None = None
    if kind == "g0":
        spki = _key(fields[5], number, name)
        fingerprint: Fingerprint | str = Fingerprint.of(spki)
    else:
        fingerprint = _commitment(fields[5], fields[6], number, name)
    endpoint = _endpoint(fields[2], fields[3], number, name)
    if isinstance(endpoint, str):
        return endpoint
    if isinstance(fingerprint, str):
        return f"{endpoint}: {fingerprint}"
    return ImportedPin(
        endpoint=endpoint, kind=PinKind.KEY, fingerprint=fingerprint, der=spki, expires=expires, line=number,
        comment="GnuTLS key" if spki else "GnuTLS commitment",
    )  # fmt: skip


def _endpoint(host: str, service: str, number: int, name: str) -> Endpoint | str:
    port, protocol = _SERVICES.get(service.lower(), (0, "tls"))
    if not port and service.isascii() and service.isdigit() and len(service) <= 5:
        port = int(service) if int(service) <= 65535 else 0
    if not port and not service.startswith(_ANY):
        raise bad_file(
            name, f"the service {quoted(service)} is not known", line=number, expected="a port number, such as 443"
        )
    if host.startswith(_ANY) or not port:
        what = "host" if host.startswith(_ANY) else "port"
        return f"a key for any {what} is not imported (host {quoted(host)}, service {quoted(service)})"
    try:
        return Endpoint(canonical_host(host), port, protocol)
    except BadInput as error:
        raise bad_file(name, f"the host {quoted(host)} cannot be used ({printable(error.what)})", line=number) from None


def _expiration(text: str, number: int, name: str) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise bad_file(
            name, f"{quoted(text)} is no expiration", line=number, expected="seconds since 1970, or 0 for never"
        )
    seconds = int(text)
    return datetime.fromtimestamp(min(seconds, _MAX_SECONDS), UTC) if seconds else None


def _key(text: str, number: int, name: str) -> bytes:
    try:
        spki = base64.b64decode(text.encode("ascii"), validate=True)
        describe_key(spki)
    except (binascii.Error, ValueError, IndexError, StopIteration):
        raise bad_file(
            name, "the key cannot be read", line=number, expected="a public key (SubjectPublicKeyInfo) in base64"
        ) from None
    return spki


def _commitment(algorithm: str, digits: str, number: int, name: str) -> Fingerprint | str:
    label, length = ("SHA-256", 64) if algorithm == _SHA256 else _OTHER_HASHES.get(algorithm, ("", 0))
    if not label:
        raise bad_file(
            name, f"the hash algorithm {quoted(algorithm)} is not known", line=number, expected="6 (SHA-256)"
        )
    if len(digits) != length or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        raise bad_file(
            name, f"{quoted(digits)} is no {label} hash", line=number, expected=f"{length} hexadecimal digits"
        )
    if algorithm != _SHA256:
        return f"a {label} hash cannot become a pin; pin the host with its SHA-256 fingerprint"
    return Fingerprint(bytes.fromhex(digits))
