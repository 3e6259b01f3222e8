"""What a certificate may be used for (RFC 5280 sections 4.2.1.3 and 4.2.1.12), as far as TLS libraries insist on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model import der

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_KEY_USAGE, _EXTENDED_KEY_USAGE, _NETSCAPE_TYPE = "2.5.29.15", "2.5.29.37", "2.16.840.1.113730.1.1"
# serverAuth, and the two of Netscape and Microsoft before it ("server gated cryptography"), which OpenSSL takes as well.
_SERVER_PURPOSES = frozenset(("1.3.6.1.5.5.7.3.1", "2.16.840.1.113730.4.1", "1.3.6.1.4.1.311.10.3.3"))
# Bits as they stand in the first byte of a BIT STRING: digitalSignature, keyEncipherment, keyAgreement.
_USABLE_BITS = 0x80 | 0x20 | 0x08
_NETSCAPE_SERVER = 0x40
# Extensions that every OpenSSL understands where they are critical; it refuses a certificate with another one.
_UNDERSTOOD = frozenset(
    ("2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.32", "2.5.29.33", "2.5.29.36", "2.5.29.54")
) | {_KEY_USAGE, _EXTENDED_KEY_USAGE, _NETSCAPE_TYPE}


def for_servers(extensions: Mapping[str, bytes], critical: Collection[str] = ()) -> bool:
    """Whether OpenSSL takes a certificate with these extensions for a TLS server's; in doubt, it does not.

    An extension that cannot be read, and a key usage without any bit, is a doubt: whether OpenSSL lets it pass depends on
    VERIFY_X509_STRICT. The certificate stays readable, and may be pinned all the same.

    Args:
        extensions: The values, by name.
        critical: The names of those that are critical.
    """
    usage, kind = extensions.get(_KEY_USAGE), extensions.get(_NETSCAPE_TYPE)
    purposes = extensions.get(_EXTENDED_KEY_USAGE)
    try:
        return (
            _UNDERSTOOD.issuperset(critical)
            and (usage is None or bool(_first_byte(usage) & _USABLE_BITS))
            and (kind is None or bool(_first_byte(kind) & _NETSCAPE_SERVER))
            and (purposes is None or not _SERVER_PURPOSES.isdisjoint(_purposes(purposes)))
        )
    except der.DerError:
        return False


def _first_byte(value: bytes) -> int:
    """Give the first eight bits; OpenSSL disregards those that are said to be unused, and so does this."""
    return next(iter(der.bits(der.read_all(value))), 0)


def _purposes(value: bytes) -> list[str]:
    """Give every purpose: one that cannot be read spoils the list, wherever it stands."""
    return [der.oid(each) for each in der.read_all(value).expect(der.SEQUENCE).children()]
