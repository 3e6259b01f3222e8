"""asyncio streams by the store's trust."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from troth.tls.deadline import DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from troth.tls.context import Context


async def open_connection(
    context: Context, host: str, port: int, **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as `asyncio.open_connection` does; return only if the certificate is trusted.

    Args:
        context: Whose trust it is.
        host: The host.
        port: The port.
        options: What `asyncio.open_connection` takes, but `ssl`.

    Raises:
        CertificateRejected: The certificate is not the trusted one.
        OSError: There is no connection.
    """
    return await asyncio.open_connection(host, port, ssl=context.bound_to(host, port), **options)


async def start_tls(
    context: Context,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> None:
    """Start TLS on plain streams by their protocol's STARTTLS, then shake hands.

    The context's `starttls` says which dialect is spoken; for `tls` nothing is said first.

    Args:
        context: Whose trust it is, with `starttls="smtp"` or another.
        reader: The reader.
        writer: The writer, of the same connection.
        host: The host that they lead to.
        port: The port that they lead to.
        timeout_s: The limit of the dialect's part, in seconds.

    Raises:
        CertificateRejected: The certificate is not the trusted one.
        ProtocolViolation: The peer would not start TLS, broke the protocol, or sent plain text before TLS that nobody read.
    """
    from troth.tls.connect import naming
    from troth.tls.starttls import anegotiate, require_silence

    bound = context.bound_to(host, port)
    if bound.starttls != "tls":
        await anegotiate(reader, writer, bound.starttls, server_name=host, timeout_s=timeout_s, where=f"{host}:{port}")
    with naming(f"{host}:{port}"):
        require_silence(reader, writer)
    await writer.start_tls(bound, server_hostname=host)
