"""What a certificate may be used for (RFC 5280 sections 4.2.1.3 and 4.2.1.12), as far as TLS libraries insist on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model import der

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY_USAGE, _EXTENDED_KEY_USAGE, _NETSCAPE_TYPE = "2.5.29.15", "2.5.29.37", "2.16.840.1.113730.1.1"
_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
# Bits as they stand in the first byte of a BIT STRING: digitalSignature, keyEncipherment, keyAgreement.
_USABLE_BITS = 0x80 | 0x20 | 0x08
_NETSCAPE_SERVER = 0x40


def for_servers(extensions: Mapping[str, bytes]) -> bool:
    """Whether OpenSSL takes a certificate with these extensions for a TLS server's; in doubt, it does not."""
    usage = extensions.get(_KEY_USAGE)
    if usage is not None and not _first_bits(usage) & _USABLE_BITS:
        return False
    kind = extensions.get(_NETSCAPE_TYPE)
    if kind is not None and not _first_bits(kind) & _NETSCAPE_SERVER:
        return False
    purposes = extensions.get(_EXTENDED_KEY_USAGE)
    if purposes is None:
        return True
    return any(der.oid(each) == _SERVER_AUTH for each in der.read_all(purposes).expect(der.SEQUENCE).children())


def _first_bits(value: bytes) -> int:
    content = der.read_all(value).expect(der.BIT_STRING).value
    return content[1] if len(content) > 1 else 0
