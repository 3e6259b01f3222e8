"""`troth.Context`: an `ssl.SSLContext` that holds every connection against the record.

It hands each connection to an inner context made for one endpoint and one version of its pins:

* certificates on record, whose bytes are known: for a socket they are the only anchors, so OpenSSL itself refuses any
  other inside the handshake; the leaf is compared once more afterwards;
* first contact, key pins, fingerprints alone, memory objects: the connection is guarded (see `guard`);
* `ca` mode and issuer pins: OpenSSL verifies chain and name, then the record is asked;
* with a client certificate, in each case: what answers the host is kept back until its certificate was judged, for a
  socket by a `duct`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from troth.errors import BadEndpoint, BadInput
from troth.model.endpoint import PROTOCOLS, Endpoint, canonical_host
from troth.model.entry import DEFAULT_DOMAIN, DOMAINS, Expiry
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable
from troth.tls.base import anchor, client_context
from troth.tls.guard import GuardedContext, GuardedObject
from troth.tls.judging import EndpointJudge, Trust
from troth.tls.settings import SettableContext, Settings

if TYPE_CHECKING:
    from troth.store.protocol import TrustStore

# A context per endpoint takes some 13 kB; a program that talks to more hosts than this makes the oldest anew.
MAX_INNER = 4096


@dataclass(slots=True)
class _Inner:
    settings: int
    trust: Trust
    context: GuardedContext
    judge: EndpointJudge


class Context(SettableContext):
    """An SSL context whose trust is the store's. Works wherever an `ssl.SSLContext` does.

    Args:
        store: The trust store.
        endpoint: The endpoint that all connections of this context go to; needed by clients that give `ssl` no socket
            (asyncio and what is built on it), and behind proxies. Without it, each socket's own peer is the endpoint.
        domain: The domain of endpoints that are new.
        starttls: The STARTTLS protocol that is spoken first; `tls` for none.
        expect: The fingerprint that the first use must have.
        proxied: Whether its sockets go to a proxy, so that their port is not the endpoint's.
        server_name: The server name to send to the endpoint, where it is another than the endpoint's host.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        store: TrustStore,
        endpoint: Endpoint | str | None = None,
        *,
        domain: str = DEFAULT_DOMAIN,
        starttls: str = "tls",
        expect: Fingerprint | str | None = None,
        server_name: str = "",
        proxied: bool = False,
    ):
        _require_words(store, domain, starttls)
        super().__init__(Settings())
        self._proxied = proxied
        self._inner: dict[tuple[Endpoint, bool, str], _Inner] = {}
        self._bound: dict[Endpoint, Context] = {}
        self._store = store
        self._domain = domain
        self._starttls = starttls
        self._endpoint = Endpoint.parse(endpoint, protocol=starttls) if isinstance(endpoint, str) else endpoint
        self._expect = Fingerprint.parse(expect) if isinstance(expect, str) else expect
        self._server_name = canonical_host(server_name) if server_name else ""
        self._require_client()

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint that it is bound to; None if each socket's own peer is the endpoint."""
        return self._endpoint

    @property
    def starttls(self) -> str:
        """The STARTTLS protocol that is spoken first; `tls` for none."""
        return self._starttls

    def unchanged(self) -> bool:
        """Whether the record says what it said when this context's connections were judged; pools ask before reuse."""
        judged = [each.judge.last for each in self._inner.values() if each.judge.last is not None]
        if self._endpoint is None or not judged:
            return True
        version = self._store.version()
        if all(trust.version == version for trust in judged):
            return True
        now = Trust.read(self._store, self._endpoint, self._domain)
        return all(trust.says_the_same(now) for trust in judged)

    def bind(
        self, endpoint: Endpoint | str, *, starttls: str | None = None, server_name: str = "", proxied: bool = False
    ) -> Context:
        """Make a context with the same settings for one endpoint; what is set on this one later counts there too."""
        bound = Context(
            self._store,
            endpoint,
            domain=self._domain,
            starttls=starttls or self._starttls,
            expect=self._expect,
            server_name=server_name,
            proxied=proxied or self._proxied,
        )
        bound.settings = Settings(self.settings)
        return bound

    def bound_to(self, host: str, port: int, *, shared: bool = True) -> Context:
        """Give the context for one endpoint; for adapters, and for programs with many hosts.

        Args:
            host: The host, as it may stand in a URL.
            port: The port.
            shared: Whether the same context may be given each time; a client certificate loaded into it then counts
                for all its users.
        """
        endpoint = Endpoint(canonical_host(host), port, self._starttls)
        # Whoever names host and port for each connection has sent it there, through whatever is in between.
        if not shared:
            return self.bind(endpoint, proxied=True)
        if self._endpoint == endpoint:
            return self
        held = self._bound.get(endpoint)
        if held is None:
            held = self._bound[endpoint] = self.bind(endpoint, proxied=True)
            _limit(self._bound)
        return held

    # Connections

    def wrap_socket(self, sock: Any, server_side: bool = False, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: FBT001, FBT002
        """Wrap a connected socket; by default the handshake happens, and is judged, here."""
        self._require_client(server_side)
        names = ("do_handshake_on_connect", "suppress_ragged_eofs", "server_hostname", "session")
        options = dict(zip(names, args, strict=False)) | kwargs
        options.pop("session", None)  # a session that is resumed shows no certificate
        asked = _name(options.get("server_hostname"))
        endpoint = self._endpoint or self._peer(sock, asked)
        options["server_hostname"] = name = self._name_for(endpoint, asked)
        self._require_port(sock, endpoint)
        try:
            inner = self._context_for(endpoint, sock=True, name=name)
        except Exception:
            sock.close()  # as `ssl` does when a handshake fails: callers rely on it
            raise
        return ssl.SSLContext.wrap_socket(inner, sock, **options)

    def wrap_bio(
        self,
        incoming: Any,
        outgoing: Any,
        server_side: bool = False,  # noqa: FBT001, FBT002  # the base class's signature
        server_hostname: Any = None,
        session: Any = None,  # noqa: ARG002  # a session that is resumed shows no certificate: never
    ) -> ssl.SSLObject:
        """Wrap memory buffers; the context must be bound to an endpoint, for the buffers do not tell a port."""
        self._require_client(server_side)
        if self._endpoint is None:
            raise BadInput(
                "This connection does not say which port it goes to, and a pin belongs to host and port.",
                why="asyncio gives TLS no socket",
                next_command="use Context(store, 'host:port'), or an adapter of troth.adapters",
            )
        try:
            name = self._name_for(self._endpoint, _name(server_hostname))
            inner = self._context_for(self._endpoint, sock=False, name=name)
        except Exception as error:  # noqa: BLE001  # it is told by the handshake, which closes what the caller has open
            return GuardedObject.refusing(error, incoming, outgoing)
        wrapped = ssl.SSLContext.wrap_bio(inner, incoming, outgoing, server_hostname=name)
        wrapped._outgoing = outgoing  # type: ignore[attr-defined]  # noqa: SLF001  # our own class
        return wrapped

    def _require_client(self, server_side: bool = False) -> None:  # noqa: FBT001, FBT002
        if server_side:
            raise BadInput("troth.Context is for clients; use ssl.SSLContext for a server.")

    def _peer(self, sock: Any, name: str) -> Endpoint:
        try:
            address = sock.getpeername()
        except OSError:
            raise BadEndpoint(
                "The socket is not connected, so it cannot be told which endpoint it will go to.",
                next_command="connect first, or use Context(store, 'host:port')",
            ) from None
        if not isinstance(address, tuple):
            raise BadEndpoint(
                "The socket goes to no host and port, so there is no endpoint to hold a pin.",
                next_command="use Context(store, 'host:port')",
            )
        return Endpoint(name or canonical_host(address[0]), address[1], self._starttls)

    def _require_port(self, sock: Any, endpoint: Endpoint) -> None:
        """Refuse a connection that goes to another port: what answers there is no business of this endpoint's pin."""
        if self._endpoint is None or self._proxied:
            return
        try:
            address = sock.getpeername()
        except OSError:
            return  # it connects later, and is held to the endpoint by whoever connects it
        if isinstance(address, tuple) and len(address) > 1 and address[1] != endpoint.port:
            sock.close()
            raise BadEndpoint(
                f"This context is bound to {endpoint}, and the connection goes to port {address[1]}.",
                why="a pin belongs to one host and port",
                next_command=f"bind another: context.bind('{endpoint.host}:{address[1]}'); behind a proxy: proxied=True",
            )

    def _name_for(self, endpoint: Endpoint, asked: str) -> str:
        """Give the server name to send. A context that is bound to one host is not for another (redirects)."""
        own = endpoint.host.partition("%")[0]
        if asked in ("", own, self._server_name):
            return self._server_name or own
        raise BadEndpoint(
            f"This context is bound to {endpoint}, and the connection goes to {asked}.",
            why="a pin belongs to one host and port",
            next_command=f"bind another: context.bind('{asked}:{endpoint.port}'), or name it: server_name='{asked}'",
        )

    # Inner contexts

    def _context_for(self, endpoint: Endpoint, *, sock: bool, name: str) -> GuardedContext:
        # With a client certificate, a socket keeps its answer back as a memory object does, and needs no anchor.
        key = endpoint, sock and self.client is None, name
        held, state = self._inner.get(key), self.settings.state
        if held is not None and held.settings == state:
            if held.trust.version == self._store.version():
                return held.context
            trust = Trust.read(self._store, endpoint, self._domain)
            if trust.says_the_same(held.trust):
                held.trust = held.judge.trust = trust
                return held.context
        trust = Trust.read(self._store, endpoint, self._domain)
        made = self._inner[key] = self._make(endpoint, trust, state, anchored=key[1])
        _limit(self._inner)
        return made.context

    def _make(self, endpoint: Endpoint, trust: Trust, state: int, *, anchored: bool) -> _Inner:
        anchors = trust.anchors(self._store)
        inner = client_context(GuardedContext)
        assert isinstance(inner, GuardedContext)  # noqa: S101  # client_context makes what it is asked for
        if trust.chained:
            from troth.tls.authority import trust_authorities

            domain = trust.entry.domain if trust.entry else self._domain
            trust_authorities(inner, self._store, trust.policy, trust.entry, domain)
        elif anchors and anchored:
            anchor(inner, anchors, any_time=trust.policy.expired is Expiry.ACCEPT)
        judge = EndpointJudge(
            self._store,
            endpoint,
            self._domain,
            trust,
            anchors=anchors,
            expect=self._expect,
            alpn=self.alpn,
        )
        inner.guard = judge
        inner.withholds = self.dress(inner)
        return _Inner(state, trust, inner, judge)


def _require_words(store: object, domain: str, starttls: str) -> None:
    """Refuse a misspelt word: as a domain, it would be a new one with the policy of none."""
    if not hasattr(store, "judge"):
        raise BadInput(f"A context needs a trust store, not {type(store).__name__}.", next_command="troth.open_store()")
    if domain not in DOMAINS:
        raise BadInput(f"There is no domain {printable(repr(domain), 80)}.", why="known are " + ", ".join(DOMAINS))
    if starttls not in PROTOCOLS:
        raise BadInput(
            f"Troth does not speak {printable(repr(starttls), 80)}.", why="known are " + ", ".join(PROTOCOLS)
        )


def _name(value: str | bytes | None) -> str:
    """Give a server name in its canonical form; empty for none."""
    if not value:
        return ""
    return canonical_host(value.decode("ascii", "replace") if isinstance(value, bytes) else value).partition("%")[0]


def _limit(cache: dict[Any, Any]) -> None:
    while len(cache) > MAX_INNER:
        cache.pop(next(iter(cache)), None)
