"""The way to a node's REST API, with the standard library alone.

What it promises:

* The server is trusted as every other host is: its certificate is held against the user's own trust store inside the
  handshake. The token is put into a request only after that, and goes to that server alone: no redirect is followed, no
  proxy of the environment is used.
* The token comes from a file. It stands in no argument, no URL, no message.
* Every answer is bounded, in time from the first look-up to the last byte, and in bytes.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote, urlencode

from troth.cli import output
from troth.cli.remote.problems import failure
from troth.errors import BadInput, NotAuthenticated, ProtocolViolation, TimedOut, TrothError, Unreachable
from troth.model.endpoint import Endpoint
from troth.model.text import printable
from troth.tls.context import Context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from troth.store.protocol import TrustStore

API = "/api/v1"
CONNECT_S = 10.0
ANSWER_S = 60.0
MAX_ANSWER = 256 << 20
MAX_PROBLEM = 1 << 20
_MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request.

    Args:
        method: The HTTP method.
        path: The path below the API's, quoted.
        query: What the query holds.
        body: What the body holds; None for no body.
        patience_s: How many seconds the server may take, besides its usual ones.
    """

    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    patience_s: float = 0.0


def server_of(text: str) -> Endpoint:
    """Read the address of a server: `https://host:port`, or `host:port`.

    Raises:
        BadInput: It is none, or holds more than that.
    """
    body = text.strip()
    if body[:8].lower() == "https://":
        body = body[8:].removesuffix("/")
    if any(each in body for each in "/@?#\\") or not body:
        # The text itself is not repeated: somebody may have put a password into it.
        raise BadInput(
            "The address of the server cannot be used.",
            why="it is https://HOST:PORT and nothing more: no path, no user, no other scheme",
            next_command="troth --server https://node.example.com:8443 list",
        )
    return Endpoint.parse(body)


def token_of(path: str | None) -> str:
    """Read the API token.

    Raises:
        NotAuthenticated: No file is named.
        BadInput: What it holds is no token.
    """
    from troth.cli.ise import read_password

    if not path:
        raise NotAuthenticated(
            "There is no API token for the server.",
            why="neither --token-file nor TROTH_TOKEN_FILE names the file that holds it",
            next_command="on the node: troth user token NAME --label TEXT; then give --token-file FILE",
        )
    text = read_password(path).strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text or len(text) > _MAX_TOKEN:
        raise BadInput(f"{path} holds no API token.", why="a token is one word")
    return text


class Client:
    """Asks one server; use it as a context manager.

    Args:
        store: The user's trust store.
        server: The server.
        token: The API token.
    """

    def __init__(self, store: TrustStore, server: Endpoint, token: str):
        self.server = server
        self._store = store
        self._token = token
        self._context = Context(store, server)
        self._connection: http.client.HTTPSConnection | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def json(self, ask: Ask) -> dict[str, Any]:
        """Ask, and read the answer as a JSON object; empty if the server has nothing to say.

        Raises:
            TrothError: What the server says, or why it could not be asked.
        """
        kind, data = self._send(ask)
        if not data:
            return {}
        try:
            found = json.loads(data) if kind == "application/json" else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._strange("its answer is no JSON object")
        return found

    def text(self, ask: Ask) -> str:
        """Ask, and give the answer as it is.

        Raises:
            TrothError: What the server says, or why it could not be asked.
        """
        try:
            return self._send(ask)[1].decode()
        except UnicodeDecodeError:
            raise self._strange("its answer is no text in UTF-8") from None

    def _send(self, ask: Ask) -> tuple[str, bytes]:
        limit = ANSWER_S + ask.patience_s
        idle = self._connection is not None
        try:
            return self._within(limit, ask)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            # A server closes connections that are idle; what changes nothing may be sent twice.
            self.close()
            if not idle or ask.method != "GET":
                self._fail(error)
            try:
                return self._within(limit, ask)
            except (OSError, http.client.HTTPException) as again:
                self._fail(again)
        except (OSError, http.client.HTTPException) as error:
            self._fail(error)

    def _within(self, limit: float, ask: Ask) -> tuple[str, bytes]:
        """Ask within a time limit: a limit for each read would let a server drip for ever."""
        over = threading.Event()

        def stop() -> None:
            over.set()
            with suppress(OSError):
                if self._socket is not None:
                    self._socket.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(limit, stop)
        timer.daemon = True
        timer.start()
        try:
            connection = self._connected()
            connection.sock.settimeout(limit)
            found = self._exchange(connection, ask)
            if over.is_set():
                raise TimeoutError  # what ends where it was cut off looks whole
            return found
        except (OSError, http.client.HTTPException, TrothError):
            if over.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()

    def _connected(self) -> http.client.HTTPSConnection:
        """Give a connection whose certificate was judged; nothing of ours was sent yet."""
        if self._connection is not None and self._connection.sock is not None:
            return self._connection
        known = self._store.entry(self.server)
        made = http.client.HTTPSConnection(self.server.host, self.server.port, timeout=CONNECT_S, context=self._context)
        # It never connects by itself: each connection is opened here, and judged before a request is made.
        made.auto_open = 0
        self._connection = made
        made.connect()
        # The connection forgets its socket as soon as an answer says that it is the last, and then reads it.
        self._socket = made.sock
        if known is None or not known.current:
            self._tell_first_use()
        return made

    def _tell_first_use(self) -> None:
        entry = self._store.entry(self.server)
        for pin in entry.current if entry is not None else ():
            output.note(f"first-use  {self.server}  {pin.fingerprint}")
            output.note(
                "  the server is trusted from now on; compare the fingerprint with what `troth status` says on the node"
            )

    def _exchange(self, connection: http.client.HTTPSConnection, ask: Ask) -> tuple[str, bytes]:
        head = {"Authorization": f"Bearer {self._token}", "Accept": "*/*", "User-Agent": "troth"}
        body = None
        if ask.body is not None:
            body = json.dumps({name: value for name, value in ask.body.items() if value is not None}).encode()
            head["Content-Type"] = "application/json"
        wanted = {name: value for name, value in ask.query.items() if value is not None}
        path = API + ask.path + (f"?{urlencode(wanted)}" if wanted else "")
        connection.request(ask.method, path, body=body, headers=head)
        answer = connection.getresponse()
        kind = answer.headers.get_content_type()
        if 200 <= answer.status < 300:
            data = answer.read(MAX_ANSWER + 1)
            if len(data) > MAX_ANSWER:
                raise self._strange(f"its answer is larger than {MAX_ANSWER >> 20} MiB")
            if answer.length:
                raise self._strange("its answer ends too early")
            if answer.will_close:
                self.close()
            return kind, data
        data = answer.read(MAX_PROBLEM) if kind == "application/problem+json" else b""
        self.close()
        if 300 <= answer.status < 400:
            raise self._strange("it redirects to another place, and no redirect is followed")
        raise failure(answer.status, data, f"{self.server}") or self._strange(f"it answers with status {answer.status}")

    # What went wrong

    def _strange(self, why: str) -> ProtocolViolation:
        self.close()
        return ProtocolViolation(
            f"{self.server} does not answer as a node's management server does.",
            why=why,
            next_command="look at the port: the management server's is 8443, unless troth.toml says otherwise",
        )

    def _fail(self, error: Exception) -> NoReturn:
        """Say why the server could not be asked, in our own words."""
        self.close()
        if isinstance(error, TrothError):
            raise error
        if isinstance(error, TimeoutError):
            raise TimedOut(
                f"{self.server} did not answer in time.", next_command=f"troth check {self.server}"
            ) from None
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
            raise self._strange(printable(str(error), 200) or type(error).__name__) from None
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(
            f"{self.server} could not be reached.",
            why=printable(why, 300),
            next_command=f"troth check {self.server}",
        ) from None


def part(text: object) -> str:
    """Quote one part of a path; a slash in it begins no other part."""
    return quote(str(text).strip().removeprefix("https://").rstrip("/"), safe="")
