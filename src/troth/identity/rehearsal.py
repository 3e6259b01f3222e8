"""A handshake of a node with itself, in memory, with a certificate that is not yet in force.

OpenSSL has the last word at every connection: on purposes, path lengths, name constraints, key sizes. So it is asked
beforehand, as a server and as a client at once, with the CA as the only thing that either side trusts.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from troth.identity.lint import Finding, error, warning
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path as FilePath

    from troth.identity.chain import Path

# X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h): dates are looked at elsewhere, by the clock that the node was given.
_NO_CHECK_TIME = 0x200000
_ROUNDS = 20


def rehearse(path: Path, chain: FilePath, key: FilePath, *, both_ways: bool) -> Iterator[Finding]:
    """Try a certificate and its key, from the very files that a server will load.

    Args:
        path: The way to the CA; where it ends is what both sides trust.
        chain: The file with the certificates.
        key: The file with the key.
        both_ways: Whether the node is the client, too.
    """
    reason = _attempt(path, chain, key, both_ways=both_ways, strict=False)
    if reason:
        yield error(
            "handshake-failed",
            f"OpenSSL refuses a connection with this certificate: {reason}.",
            "have it made anew by your CA, and show the CA this reason",
        )
        return
    reason = _attempt(path, chain, key, both_ways=both_ways, strict=True)
    if reason:
        yield warning(
            "not-strict",
            f"Clients that insist on the exact form of RFC 5280, such as Python from 3.13 on, refuse it: {reason}.",
            "nothing for peers that have it on record; else ask your CA for a certificate of that form",
        )


def _attempt(path: Path, chain: FilePath, key: FilePath, *, both_ways: bool, strict: bool) -> str:
    """Connect once; give why that fails, or nothing."""
    if path.anchor is None:
        return "it leads to no CA"
    sides = []
    try:
        for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
            context = ssl.SSLContext(protocol)
            context.load_verify_locations(cadata=path.anchor.der)
            # Cleared first: from Python 3.11 on, `~` of a flag also clears the flags that `ssl` has no name for.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
            if strict:
                context.verify_flags |= ssl.VERIFY_X509_STRICT
            if both_ways or protocol is ssl.PROTOCOL_TLS_SERVER:
                context.load_cert_chain(chain, key)
            sides.append(context)
        server, client = sides
        if both_ways:
            server.verify_mode = ssl.CERT_REQUIRED
        name = _name(path)
        client.check_hostname = bool(name)
        _connect(server, client, name or None)
    except ssl.SSLCertVerificationError as failed:
        return printable(failed.verify_message.rstrip("."))
    except (ssl.SSLError, OSError, ValueError) as failed:
        return printable(getattr(failed, "reason", None) or str(failed))
    return ""


def _connect(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_ROUNDS):
        for side in tuple(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
        if not sides:
            return
    raise ssl.SSLError("the handshake comes to no end")


def _name(path: Path) -> str:
    """Choose a name that the certificate is for."""
    for each in path.leaf.san:
        kind, _, value = each.partition(":")
        if kind in ("DNS", "IP"):
            return value.replace("*", "any", 1)
    return ""
