"""How each client library is used with Troth, as the how-to page shows it: one request that carries a secret."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import smtplib
import socket
import ssl
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import aiosmtplib
import httpx
import httpx2
import urllib3
import websockets.asyncio.client
import websockets.sync.client

from troth.adapters import aiohttp as aiohttp_adapter
from troth.adapters import asyncio as asyncio_adapter
from troth.adapters import http_client
from troth.adapters import httpx as httpx_adapter
from troth.adapters import httpx2 as httpx2_adapter
from troth.adapters import requests as requests_adapter
from troth.adapters import urllib3 as urllib3_adapter
from troth.tls.context import Context

SECRET = "the-secret"


def http_client_plain(context: Context, port: int) -> None:
    """http.client, with the context alone."""
    import http.client

    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"X-Secret": SECRET})
        assert connection.getresponse().read() == b"yes"


def http_client_adapter(context: Context, port: int) -> None:
    """http.client, with the adapter."""
    connection = http_client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"X-Secret": SECRET})
        assert connection.getresponse().read() == b"yes"


def urllib_plain(context: Context, port: int) -> None:
    """urllib.request, with the context alone."""
    asked = urllib.request.Request(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET})
    with urllib.request.urlopen(asked, context=context, timeout=20) as answer:
        assert answer.read() == b"yes"


def urllib_adapter(context: Context, port: int) -> None:
    """urllib.request, with an opener."""
    asked = urllib.request.Request(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET})
    with http_client.build_opener(context).open(asked, timeout=20) as answer:
        assert answer.read() == b"yes"


def urllib3_plain(context: Context, port: int) -> None:
    """urllib3, with the context alone."""
    with urllib3.PoolManager(ssl_context=context, retries=False, timeout=20) as pools:
        assert pools.request("GET", f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}).data == b"yes"


def urllib3_pools(context: Context, port: int) -> None:
    """urllib3, with the adapter's pools."""
    with urllib3_adapter.PoolManager(context, retries=False, timeout=20) as pools:
        assert pools.request("GET", f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}).data == b"yes"


def requests_session(context: Context, port: int) -> None:
    """requests."""
    with requests_adapter.session(context) as session:
        assert session.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}, timeout=20).content == b"yes"


def requests_unverified(context: Context, port: int) -> None:
    """requests, by a program that was told not to verify: that has no effect."""
    with requests_adapter.session(context) as session:
        session.verify = False
        asked = session.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}, timeout=20, verify=False)
        assert asked.content == b"yes"


def httpx_sync(context: Context, port: int) -> None:
    """httpx."""
    with httpx.Client(transport=httpx_adapter.transport(context), timeout=20) as client:
        assert client.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}).content == b"yes"


def httpx_plain(context: Context, port: int) -> None:
    """httpx without asyncio, with the context alone."""
    with httpx.Client(verify=context, timeout=20) as client:
        assert client.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}).content == b"yes"


def httpx_async(context: Context, port: int) -> None:
    """httpx on asyncio."""

    async def go() -> None:
        async with httpx.AsyncClient(transport=httpx_adapter.async_transport(context), timeout=20) as client:
            answer = await client.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET})
            assert answer.content == b"yes"

    asyncio.run(go())


def httpx2_sync(context: Context, port: int) -> None:
    """httpx2."""
    with httpx2.Client(transport=httpx2_adapter.transport(context), timeout=20) as client:
        assert client.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}).content == b"yes"


def httpx2_async(context: Context, port: int) -> None:
    """httpx2 on asyncio."""

    async def go() -> None:
        async with httpx2.AsyncClient(transport=httpx2_adapter.async_transport(context), timeout=20) as client:
            answer = await client.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET})
            assert answer.content == b"yes"

    asyncio.run(go())


def aiohttp_session(context: Context, port: int) -> None:
    """aiohttp."""

    async def go() -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp_adapter.TCPConnector(context)) as session,
            session.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}) as answer,
        ):
            assert await answer.read() == b"yes"

    asyncio.run(go())


def aiohttp_unverified(context: Context, port: int) -> None:
    """aiohttp, by a request that asks for no verification: that has no effect."""

    async def go() -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp_adapter.TCPConnector(context)) as session,
            session.get(f"https://127.0.0.1:{port}/", headers={"X-Secret": SECRET}, ssl=False) as answer,
        ):
            assert await answer.read() == b"yes"

    asyncio.run(go())


def asyncio_streams(context: Context, port: int) -> None:
    """asyncio's streams."""

    async def go() -> None:
        reader, writer = await asyncio_adapter.open_connection(context, "127.0.0.1", port)
        writer.write(SECRET.encode())
        assert await reader.read(100) == SECRET.encode()
        writer.close()
        await writer.wait_closed()

    asyncio.run(go())


def socket_late(context: Context, port: int) -> None:
    """A socket that shakes hands with its first write."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1", do_handshake_on_connect=False) as tls,
    ):
        tls.sendall(SECRET.encode())
        assert tls.recv(100) == SECRET.encode()


def memory_late(context: Context, port: int) -> None:
    """Memory buffers that shake hands with their first write."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.bound_to("127.0.0.1", port).wrap_bio(incoming, outgoing)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        while True:
            try:
                tls.write(SECRET.encode())
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                data = raw.recv(65536)
                incoming.write(data) if data else incoming.write_eof()
            except ssl.SSLError:
                raw.sendall(outgoing.read())  # whatever is left over there, a careless caller sends it
                raise
        raw.sendall(outgoing.read())
        answer = b""
        while not answer:
            incoming.write(raw.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer = tls.read(100)
        assert answer == SECRET.encode()


def smtplib_starttls(context: Context, port: int) -> None:
    """smtplib with STARTTLS."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=context)
        client.ehlo(SECRET)


def smtplib_tls(context: Context, port: int) -> None:
    """smtplib with TLS from the start."""
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=20, context=context) as client:
        client.ehlo(SECRET)


def aiosmtplib_starttls(context: Context, port: int) -> None:
    """aiosmtplib with STARTTLS."""

    async def go() -> None:
        bound = context.bound_to("127.0.0.1", port)
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, timeout=20, start_tls=False, tls_context=bound)
        await client.connect()
        plain = client.transport
        try:
            await client.starttls()
            await client.ehlo(hostname=SECRET)
            await client.quit()
        finally:
            assert plain is not None
            plain.abort()  # it leaves its transport open when STARTTLS fails
            await asyncio.sleep(0)

    asyncio.run(go())


def imaplib_starttls(context: Context, port: int) -> None:
    """imaplib with STARTTLS."""
    with imaplib.IMAP4("127.0.0.1", port, timeout=20) as client:
        client.starttls(ssl_context=context)
        client.xatom("NOOP", SECRET)


def imaplib_tls(context: Context, port: int) -> None:
    """imaplib with TLS from the start."""
    with imaplib.IMAP4_SSL("127.0.0.1", port, timeout=20, ssl_context=context) as client:
        client.xatom("NOOP", SECRET)


def websockets_sync(context: Context, port: int) -> None:
    """websockets, blocking."""
    headers = {"X-Secret": SECRET}
    with websockets.sync.client.connect(
        f"wss://127.0.0.1:{port}/", ssl=context, additional_headers=headers, open_timeout=20, proxy=None
    ):
        pass


def websockets_async(context: Context, port: int) -> None:
    """websockets on asyncio."""

    async def go() -> None:
        bound = context.bound_to("127.0.0.1", port)
        async with websockets.asyncio.client.connect(
            f"wss://127.0.0.1:{port}/", ssl=bound, additional_headers={"X-Secret": SECRET}, open_timeout=20, proxy=None
        ):
            pass

    asyncio.run(go())


@dataclass(frozen=True)
class Client:
    """One way to be a client."""

    use: Callable[[Context, int], None]
    protocol: str = "https"
    starttls: str = "tls"

    @property
    def name(self) -> str:
        """What the tests call it."""
        return self.use.__name__.replace("_", "-")


CLIENTS = (
    *map(Client, (http_client_plain, http_client_adapter, urllib_plain, urllib_adapter, urllib3_plain, urllib3_pools)),
    *map(Client, (requests_session, requests_unverified, httpx_plain, httpx_sync, httpx_async, httpx2_sync)),
    *map(Client, (httpx2_async, aiohttp_session, aiohttp_unverified)),
    *(Client(use, "echo") for use in (asyncio_streams, socket_late, memory_late)),
    *(Client(use, "smtp", "smtp") for use in (smtplib_starttls, aiosmtplib_starttls)),
    Client(imaplib_starttls, "imap", "imap"),
    Client(smtplib_tls, "smtps"),
    Client(imaplib_tls, "imaps"),
    *(Client(use, "websocket") for use in (websockets_sync, websockets_async)),
)
