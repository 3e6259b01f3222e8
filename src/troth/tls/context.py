"""`troth.Context`: an `ssl.SSLContext` that holds every connection against the record.

It hands each connection to an inner context made for one endpoint and one version of its pins:

* certificates on record, whose bytes are known: they are the only anchors, so OpenSSL itself refuses any other inside
  the handshake, before a client certificate leaves; the leaf is compared once more afterwards;
* first contact, key pins, fingerprints alone: the connection is guarded (see `guard`), and no client certificate is
  loaded until the certificate that it would go to was judged in a probe of its own;
* `ca` mode and issuer pins: OpenSSL verifies chain and name, then the record is asked.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Self

from troth.errors import BadEndpoint, BadInput
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.entry import DEFAULT_DOMAIN, CheckMode, Entry, EntryState, Expiry, PinKind, PinState, Policy
from troth.model.fingerprint import Fingerprint
from troth.tls.base import anchor, client_context, harden
from troth.tls.check import check_target, refusal
from troth.tls.guard import GuardedContext
from troth.tls.probe import Target, read_leaf
from troth.trust.rejection import require_trusted
from troth.trust.verdict import ChainOutcome, Presented

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.store.sqlite import SqliteStore

SIGHTING_S = 60.0
_PROBE_TIMEOUT_S = 5.0


class Context(ssl.SSLContext):
    """An SSL context whose trust is the store's. Works wherever an `ssl.SSLContext` does.

    Args:
        store: The trust store.
        endpoint: The endpoint that all connections of this context go to; needed by clients that give `ssl` no socket
            (asyncio and what is built on it), and behind proxies. Without it, each socket's own peer is the endpoint.
        domain: The domain of endpoints that are new.
        protocol: What is spoken before TLS: `tls`, or a STARTTLS protocol.
        expect: The fingerprint that the first use must have.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        store: SqliteStore,
        endpoint: Endpoint | str | None = None,
        *,
        domain: str = DEFAULT_DOMAIN,
        protocol: str = "tls",
        expect: Fingerprint | str | None = None,
    ):
        harden(self)
        self._store = store
        self._domain = domain
        self._protocol = protocol
        self._endpoint = Endpoint.parse(endpoint, protocol=protocol) if isinstance(endpoint, str) else endpoint
        self._expect = Fingerprint.parse(expect) if isinstance(expect, str) else expect
        self._setup: list[Callable[[ssl.SSLContext], None]] = []
        self._client_certificate = False
        self._inner: dict[tuple[Endpoint, bool], tuple[bytes, Entry | None, Policy, GuardedContext]] = {}
        self._sighted: dict[Endpoint, float] = {}
        self._require_client()

    def bind(self, endpoint: Endpoint | str) -> Context:
        """Make a context with the same settings for one endpoint."""
        bound = Context(self._store, endpoint, domain=self._domain, protocol=self._protocol, expect=self._expect)
        for step in self._setup:
            step(bound)
            bound._setup.append(step)
        bound._client_certificate = self._client_certificate
        return bound

    # What libraries set. What would weaken verification has no effect; the rest reaches the inner contexts.

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        """Always `CERT_REQUIRED`: every connection is judged. Setting it has no effect."""
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: object) -> None:
        """Have no effect: some libraries set it."""

    @property
    def check_hostname(self) -> bool:
        """Always False: identity is the record's, not the name's. Setting it has no effect."""
        return False

    @check_hostname.setter
    def check_hostname(self, value: object) -> None:
        """Have no effect: some libraries set it."""

    def load_default_certs(self, purpose: object = None) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def load_verify_locations(self, *_args: object, **_kwargs: object) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def set_default_verify_paths(self) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        """Load a client certificate; it reaches no host whose certificate was not judged before."""
        super().load_cert_chain(certfile, keyfile, password)
        self._client_certificate = True
        self._inner.clear()
        self._setup.append(lambda inner: ssl.SSLContext.load_cert_chain(inner, certfile, keyfile, password))

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Offer application protocols."""
        names = list(alpn_protocols)
        super().set_alpn_protocols(names)
        self._inner.clear()
        self._setup.append(lambda inner: inner.set_alpn_protocols(names))

    # Connections

    def wrap_socket(self, sock: Any, server_side: bool = False, *args: Any, **kwargs: Any) -> ssl.SSLSocket:  # noqa: FBT001, FBT002
        """Wrap a connected socket; by default the handshake happens, and is judged, here."""
        self._require_client(server_side)
        names = ("do_handshake_on_connect", "suppress_ragged_eofs", "server_hostname", "session")
        options = dict(zip(names, args, strict=False)) | kwargs
        options.pop("session", None)
        endpoint = self._endpoint or self._peer(sock, options.get("server_hostname"))
        if options.get("server_hostname") is None:
            options["server_hostname"] = endpoint.host.partition("%")[0]
        inner = self._context_for(endpoint, sock=True)
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
        inner = self._context_for(self._endpoint, sock=False)
        name = server_hostname or self._endpoint.host.partition("%")[0]
        wrapped = ssl.SSLContext.wrap_bio(inner, incoming, outgoing, server_hostname=name)
        wrapped._outgoing = outgoing  # type: ignore[attr-defined]  # noqa: SLF001  # our own class
        return wrapped

    def _require_client(self, server_side: bool = False) -> None:  # noqa: FBT001, FBT002
        if server_side:
            raise BadInput("troth.Context is for clients; use ssl.SSLContext for a server.")

    def _peer(self, sock: Any, server_hostname: Any) -> Endpoint:
        try:
            address = sock.getpeername()
        except OSError:
            raise BadEndpoint(
                "The socket is not connected, so it cannot be told which endpoint it will go to.",
                next_command="connect first, or use Context(store, 'host:port')",
            ) from None
        host = server_hostname.decode() if isinstance(server_hostname, bytes) else server_hostname or address[0]
        return Endpoint(canonical_host(host), address[1], self._protocol)

    # Inner contexts

    def _context_for(self, endpoint: Endpoint, *, sock: bool) -> GuardedContext:
        version = self._store.version()
        held = self._inner.get((endpoint, sock))
        if held is not None and held[0] == version:
            return held[3]
        policy, entry = self._store.policy(endpoint, self._domain)
        if held is not None and _same_trust(held[1], entry) and held[2] == policy:
            inner = held[3]
        else:
            inner = self._make(endpoint, entry, policy, sock=sock)
            # The judgement of a probe may just have changed the record; the next connection reads it anew.
        self._inner[endpoint, sock] = (version, entry, policy, inner)
        return inner

    def _make(self, endpoint: Endpoint, entry: Entry | None, policy: Policy, *, sock: bool) -> GuardedContext:
        if sock and self._client_certificate and not self._anchors(entry, policy):
            entry = self._judge_beforehand(endpoint)
        inner = client_context(GuardedContext)
        assert isinstance(inner, GuardedContext)  # noqa: S101  # client_context makes what it is asked for
        anchors = self._anchors(entry, policy)
        chained = policy.mode is CheckMode.CA or _has_issuers(entry)
        if chained:
            self._chain_settings(inner, entry, policy)
        elif anchors and sock:
            anchor(inner, anchors.values(), any_time=policy.expired is Expiry.ACCEPT)
        inner.refuse = refusal(entry)
        inner.explain = lambda error, connection: self._explain(endpoint, error, connection)
        inner.judge = self._judge_with(endpoint, anchors, chained=chained)
        for step in self._setup:
            step(inner)
        return inner

    def _anchors(self, entry: Entry | None, policy: Policy) -> dict[bytes, bytes]:
        """Give the certificates that are all that may come, by their bytes; empty if that is not known."""
        if entry is None or entry.state is not EntryState.ACTIVE or policy.mode not in _PINNING:
            return {}
        pins = entry.having(PinState.CURRENT, PinState.NEXT)
        client_only = self._client_certificate
        if any(pin.kind is not PinKind.CERTIFICATE and not client_only for pin in pins) or _has_issuers(entry):
            return {}
        views = [self._store.certificate(pin.certificate) for pin in pins]
        if not views or any(view is None for view in views):
            return {}
        return {view.der: view.der for view in views if view is not None}

    def _chain_settings(self, inner: GuardedContext, entry: Entry | None, policy: Policy) -> None:
        from troth.tls.authority import trust_authorities

        trust_authorities(inner, self._store, policy, entry, entry.domain if entry else self._domain)

    def _judge_with(
        self, endpoint: Endpoint, anchors: dict[bytes, bytes], *, chained: bool
    ) -> Callable[[bytes, tuple[bytes, ...], ssl.SSLSocket | ssl.SSLObject], None]:
        current = frozenset(anchors)

        def judge(leaf: bytes, chain: tuple[bytes, ...], connection: ssl.SSLSocket | ssl.SSLObject) -> None:
            # The bytes on record, seen less than a minute ago: there is nothing to write, and nothing to ask.
            moment = time.monotonic()
            if leaf in current and moment - self._sighted.get(endpoint, -SIGHTING_S) < SIGHTING_S:
                return
            outcome = self._chain(endpoint, connection) if chained else None
            presented = Presented(leaf=read_leaf(leaf, str(endpoint)), chain=chain)
            require_trusted(
                self._store.judge(endpoint, presented, domain=self._domain, chain=outcome, expect=self._expect)
            )
            self._sighted[endpoint] = moment

        return judge

    def _chain(self, endpoint: Endpoint, connection: ssl.SSLSocket | ssl.SSLObject) -> ChainOutcome:
        from troth.tls.authority import outcome_of

        policy, entry = self._store.policy(endpoint, self._domain)
        return outcome_of(self._store, policy, entry.domain if entry else self._domain, connection)

    def _judge_beforehand(self, endpoint: Endpoint) -> Entry | None:
        """Look without the client certificate; it may then go to exactly what was trusted."""
        if endpoint.protocol != "tls":
            raise BadInput(
                f"{endpoint} is not on record, and a client certificate is not given to a stranger.",
                next_command=f"troth check {endpoint} --starttls {endpoint.protocol}",
            )
        require_trusted(check_target(self._store, Target(endpoint=endpoint), domain=self._domain, expect=self._expect))
        return self._store.entry(endpoint)

    def _explain(
        self, endpoint: Endpoint, error: ssl.SSLCertVerificationError, connection: ssl.SSLSocket | ssl.SSLObject
    ) -> ssl.SSLError:
        """Find out what was presented: OpenSSL refused it without saying. The connection itself is already lost."""
        del connection
        if endpoint.protocol != "tls":
            return self._unexplained(endpoint, error)
        try:
            require_trusted(
                check_target(self._store, Target(endpoint=endpoint, timeout_s=_PROBE_TIMEOUT_S), domain=self._domain)
            )
        except ssl.SSLError as explained:
            return explained
        except Exception:  # noqa: BLE001  # whatever hinders the explanation, the rejection stands
            return self._unexplained(endpoint, error)
        return self._unexplained(endpoint, error)

    def _unexplained(self, endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> ssl.SSLError:
        from troth.errors import CertificateChanged

        return CertificateChanged(
            f"{endpoint} presented another certificate than the one on record.",
            why=error.verify_message or str(error),
            next_command=f"troth check {endpoint}",
        )


_PINNING = frozenset({CheckMode.TOFU, CheckMode.STRICT})


def _has_issuers(entry: Entry | None) -> bool:
    return entry is not None and any(
        pin.kind is PinKind.ISSUER for pin in entry.having(PinState.CURRENT, PinState.NEXT)
    )


def _same_trust(one: Entry | None, other: Entry | None) -> bool:
    """Whether both say the same about trust; sightings do not matter."""
    if one is None or other is None:
        return one is other
    return (one.state, one.override, [(p.kind, p.fingerprint, p.state, p.certificate) for p in one.pins]) == (
        other.state,
        other.override,
        [(p.kind, p.fingerprint, p.state, p.certificate) for p in other.pins],
    )
