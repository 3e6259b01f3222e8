"""What a guarded connection is held against: the record of one endpoint, as it was when the context was made."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from troth.errors import CertificateChanged
from troth.model.entry import CheckMode, Entry, EntryState, PinKind, PinState, Policy
from troth.tls.check import check_target
from troth.tls.probe import Target, read_leaf
from troth.trust.rejection import require_trusted
from troth.trust.verdict import ChainOutcome, Presented

if TYPE_CHECKING:
    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint
    from troth.store.authorities import Vouching
    from troth.store.protocol import TrustStore
    from troth.tls.guard import Connection

SIGHTING_S = 60.0
_PROBE_TIMEOUT_S = 5.0
_HELD = (PinState.CURRENT, PinState.NEXT)
_PINNING = frozenset({CheckMode.TOFU, CheckMode.STRICT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The record of an endpoint at one version of the store.

    Args:
        version: The store's version token.
        change: The number of the last change of trust.
        policy: The policy in force at the endpoint.
        entry: The entry; None for a stranger.
        vouching: Whose word counts, in mode `ca`; None in every other.
    """

    version: bytes
    change: int
    policy: Policy
    entry: Entry | None
    vouching: Vouching | None = None

    @classmethod
    def read(cls, store: TrustStore, endpoint: Endpoint, domain: str) -> Trust:
        """Read it; the token first, so that a change in between is seen the next time."""
        version, change = store.version(), store.last_change()
        policy, entry = store.policy(endpoint, domain)
        found = None
        if policy.mode is CheckMode.CA:
            from troth.store.authorities import vouching

            found = vouching(store, entry.domain if entry else domain)
        return cls(version=version, change=change, policy=policy, entry=entry, vouching=found)

    def says_the_same(self, other: Trust) -> bool:
        """Whether both say the same about trust; sightings do not matter."""
        return (
            self.policy == other.policy
            and self.vouching == other.vouching
            and _essence(self.entry) == _essence(other.entry)
        )

    @property
    def chained(self) -> bool:
        """Whether OpenSSL verifies a chain here: `ca` mode, and issuer pins."""
        return self.policy.mode is CheckMode.CA or _has_issuers(self.entry)

    def anchors(self, store: TrustStore) -> frozenset[bytes]:
        """Give the certificates (DER) that are all that may come; empty if that is not known."""
        if self.entry is None or self.entry.state is not EntryState.ACTIVE or not self.rejects:
            return frozenset()
        pins = self.entry.having(*_HELD)
        if self.chained or any(pin.kind is not PinKind.CERTIFICATE for pin in pins):
            return frozenset()
        views = [store.certificate(pin.certificate) for pin in pins]
        if any(view is None or not view.for_servers for view in views):
            return frozenset()
        return frozenset(view.der for view in views if view is not None)

    @property
    def rejects(self) -> bool:
        """Whether the policy rejects anything by pins at all."""
        return self.policy.mode in _PINNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a handshake showed."""

    presented: Presented
    chain: ChainOutcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a connection's verdict rests on."""

    trust: Trust
    presented: Presented
    chain: ChainOutcome | None


class EndpointJudge:
    """Judges the connections to one endpoint.

    Args:
        store: The trust store.
        endpoint: The endpoint.
        domain: The domain, if the endpoint is new.
        trust: The record, as the context was made for.
        anchors: The certificates (DER) that are all that may come, if that is known.
        expect: The fingerprint that the first use must have.
        alpn: The application protocols that are offered, for a second look.
    """

    def __init__(
        self,
        store: TrustStore,
        endpoint: Endpoint,
        domain: str,
        trust: Trust,
        *,
        anchors: frozenset[bytes] = frozenset(),
        expect: Fingerprint | None = None,
        alpn: tuple[str, ...] = (),
    ):
        self._alpn = alpn
        self._store, self._endpoint, self._domain, self._expect = store, endpoint, domain, expect
        self.trust, self.anchors = trust, anchors
        self.last: Trust | None = None
        self._sighted: dict[bytes, tuple[float, int, Standing]] = {}

    def admit(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection) -> Seen | None:
        """Look at what was presented before an answer to it leaves; the verdict waits for the end of the handshake.

        Raises:
            CertificateRejected: It would not be trusted.
            StoreUnusable: The record cannot be read.
        """
        known = self._sighting(leaf)
        if known is not None:
            self.recheck(known)
            return None
        seen = self._see(leaf, chain, connection)
        decision = self._store.review(
            self._endpoint, seen.presented, domain=self._domain, chain=seen.chain, expect=self._expect
        )
        if not decision.trusted:
            self._decide(replace(seen, presented=replace(seen.presented, proven=_has_signed(connection))))
        return seen

    def judge(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection, seen: object = None) -> Standing:
        """Give the standing of a trusted connection.

        Raises:
            CertificateRejected: It is not trusted.
            StoreUnusable: The record cannot be read or written, so it is not trusted either.
        """
        known = self._sighting(leaf)
        if known is not None:
            return known
        moment = time.monotonic()
        if not isinstance(seen, Seen) or seen.presented.leaf.der != leaf:
            seen = self._see(leaf, chain, connection)
        self._decide(seen)
        # What changed since the context was made, in the middle of this decision too, counts at once.
        standing = self.recheck(Standing(trust=self.trust, presented=seen.presented, chain=seen.chain))
        self.last = standing.trust
        if leaf in self.anchors:
            self._sighted[leaf] = (moment, standing.trust.change, standing)
        return standing

    def _sighting(self, leaf: bytes) -> Standing | None:
        """Give the standing of the bytes on record, seen less than a minute ago, if nothing changed since."""
        known = self._sighted.get(leaf)
        if known is None or time.monotonic() - known[0] >= SIGHTING_S or known[1] != self.trust.change:
            return None
        return known[2]

    def _see(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection) -> Seen:
        presented = self._presented(leaf, chain, connection)
        return Seen(presented=presented, chain=self._chain(connection) if self.trust.chained else None)

    def _decide(self, seen: Seen) -> None:
        require_trusted(
            self._store.judge(
                self._endpoint, seen.presented, domain=self._domain, chain=seen.chain, expect=self._expect
            )
        )

    def recheck(self, standing: object) -> Standing:
        """Give the standing as it is now.

        Raises:
            CertificateRejected: The record no longer trusts what this connection presented.
            StoreUnusable: The record cannot be read.
        """
        assert isinstance(standing, Standing)  # noqa: S101  # we made it
        version = self._store.version()
        if version == standing.trust.version:
            return standing
        if self._store.last_change() == standing.trust.change:
            return replace(standing, trust=replace(standing.trust, version=version))
        trust = Trust.read(self._store, self._endpoint, self._domain)
        chain = standing.chain
        if chain is not None and trust.vouching is not None:
            from troth.tls.authority import still_vouched

            chain = still_vouched(chain, standing.trust.vouching, trust.vouching)
        require_trusted(self._store.review(self._endpoint, standing.presented, domain=self._domain, chain=chain))
        return replace(standing, trust=trust)

    def explain(self, error: ssl.SSLCertVerificationError, connection: Connection) -> ssl.SSLError:
        """Find out what was presented: OpenSSL refused it without saying. The connection itself is already lost."""
        target = self._target(connection)
        why, command = error.verify_message or str(error), f"troth check {self._endpoint}"
        try:
            require_trusted(check_target(self._store, target, domain=self._domain))
        except ssl.SSLError as explained:
            return explained
        except Exception:  # noqa: BLE001, S110  # whatever hinders the explanation, the rejection stands
            pass
        else:
            why = "a second look found a trusted one: it has just been replaced, or several are in use there"
            command = f"connect again, or see troth show {self._endpoint}"
        return CertificateChanged(
            f"{self._endpoint} presented another certificate than the one on record.", why=why, next_command=command
        )

    def _presented(self, leaf: bytes, chain: tuple[bytes, ...], connection: Connection) -> Presented:
        address = ""
        if isinstance(connection, ssl.SSLSocket):
            peer = connection.getpeername()
            address = str(peer[0]) if isinstance(peer, tuple) else ""
        return Presented(
            leaf=read_leaf(leaf, str(self._endpoint)),
            chain=chain,
            address=address,
            server_name=_sent_name(connection, self._endpoint),
        )

    def _chain(self, connection: Connection) -> ChainOutcome:
        from troth.tls.authority import outcome_of

        policy, entry = self._store.policy(self._endpoint, self._domain)
        domain = entry.domain if entry else self._domain
        return outcome_of(self._store, policy, domain, connection, self._target(connection))

    def _target(self, connection: Connection) -> Target:
        """Give the way to where a connection went, for a second look."""
        return Target(
            endpoint=self._endpoint,
            server_name=_sent_name(connection, self._endpoint),
            timeout_s=_PROBE_TIMEOUT_S,
            alpn=self._alpn,
        )


def _sent_name(connection: Connection, endpoint: Endpoint) -> str:
    """Give the server name that was sent, where it is another than the endpoint's own."""
    name = connection.server_hostname or ""
    return "" if name == endpoint.host.partition("%")[0] else name


def _has_signed(connection: Connection) -> bool:
    """Whether the host has signed a handshake that is not complete: by its key exchange (RFC 5246 section 7.4.3).

    The names of TLS 1.3's ciphers begin otherwise: there the signature comes last.
    """
    cipher = connection.cipher()
    return cipher is not None and cipher[0].startswith(("ECDHE-", "DHE-"))


def _has_issuers(entry: Entry | None) -> bool:
    return entry is not None and any(pin.kind is PinKind.ISSUER for pin in entry.having(*_HELD))


def _essence(entry: Entry | None) -> object:
    if entry is None:
        return None
    return (
        entry.state,
        entry.override,
        entry.domain,
        [(p.kind, p.fingerprint, p.state, p.certificate) for p in entry.pins],
    )
