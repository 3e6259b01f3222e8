"""The trust store as the rest of Troth sees it, whatever engine is below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from troth.model.certificate import CertificateView
    from troth.model.endpoint import Endpoint
    from troth.model.entry import Entry, Policy
    from troth.model.fingerprint import Fingerprint
    from troth.store.engine import Connection
    from troth.store.journal import Record
    from troth.store.listing import Listed, Wanted
    from troth.trust.verdict import ChainOutcome, Decision, Presented


class TrustReader(Protocol):
    """What the trust store is asked."""

    @property
    def folder(self) -> Path:
        """Where on this machine what belongs to the store lies beside its tables."""

    def now(self) -> datetime:
        """Give the time by the store's clock."""

    def version(self) -> bytes:
        """Give a token that differs after every change by any process."""

    def last_change(self) -> int:
        """Give the number of the last change of trust; mere sightings do not move it."""

    def entry(self, endpoint: Endpoint) -> Entry | None:
        """Read what is on record about an endpoint."""

    def find(self, host: str, port: int) -> tuple[Entry, ...]:
        """Read the entries at a host and port, whatever protocol they are for."""

    def at_host(self, host: str) -> tuple[Entry, ...]:
        """Read the entries of a host, at all its ports."""

    def entries(self) -> Iterator[Entry]:
        """Read every entry, tombstones too."""

    def listing(self, *, domain: str | None = None, deleted: bool = False) -> list[Listed]:
        """Read one line per entry, ordered by host and port."""

    def page(self, wanted: Wanted) -> list[Listed]:
        """Read one page of the listing, searched and cut in the database."""

    def with_own_policy(self) -> tuple[Entry, ...]:
        """Read the entries that have settings of their own."""

    def certificate(self, fingerprint: Fingerprint | None) -> CertificateView | None:
        """Read a kept certificate."""

    def holders(self, spki: Fingerprint, *, but: Endpoint) -> tuple[Endpoint, ...]:
        """Find the other endpoints that are on record with a key."""

    def domain_policy(self, domain: str) -> Policy:
        """Give a domain's policy."""

    def has_policy(self, domain: str) -> bool:
        """Whether somebody set a domain's policy here."""

    def policy(self, endpoint: Endpoint, domain: str) -> tuple[Policy, Entry | None]:
        """Give the policy in force at an endpoint, and its entry."""

    def hint(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """Give the unverified subject that an imported list had for a host and port, and the list's name."""

    def open_hints(self) -> list[tuple[Endpoint, str, str, datetime]]:
        """Read the hints of hosts that nothing is on record about: place, subject, the list's name, when it came."""

    def revocations(self) -> list[tuple[Fingerprint, datetime, str, str]]:
        """Read what was revoked: fingerprint, when, by whom, why."""

    def records(self, *, subject: str | None = None, since: int = 0, limit: int = ...) -> Iterator[Record]:
        """Read the journal, in order."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection for reading."""


class TrustStore(TrustReader, Protocol):
    """The trust store. Each method that decides or changes is one transaction, and is on the disk when it returns.

    Every method raises `StoreUnusable` if the store cannot be read or written; then nothing is trusted.
    """

    @property
    def actor(self) -> str:
        """Who is named in the journal."""

    def judge(
        self,
        endpoint: Endpoint,
        presented: Presented,
        *,
        domain: str = "system",
        chain: ChainOutcome | None = None,
        expect: Fingerprint | None = None,
    ) -> Decision:
        """Decide about what was presented, and record it."""

    def review(
        self,
        endpoint: Endpoint,
        presented: Presented,
        *,
        domain: str = "system",
        chain: ChainOutcome | None = None,
        expect: Fingerprint | None = None,
    ) -> Decision:
        """Decide about what was presented, and record nothing."""

    def change(
        self,
        endpoint: Endpoint,
        action: str,
        step: Callable[[Entry | None], Entry],
        *,
        certificates: Iterable[CertificateView] = (),
        note: Mapping[str, object] | None = None,
    ) -> Entry:
        """Change one entry, journalled; an exception in `step` changes nothing."""

    def keep_certificate(self, view: CertificateView) -> None:
        """Keep a certificate's bytes; this trusts nothing."""

    def revoke(
        self, fingerprint: Fingerprint, *, reason: str = "", at: datetime | None = None, by: str = ""
    ) -> tuple[Endpoint, ...]:
        """Revoke a certificate or key everywhere, for ever; give the endpoints whose pins it revoked."""

    def set_domain_policy(self, domain: str, policy: Policy) -> None:
        """Set a domain's policy."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """One transaction for many changes: all of them are kept, or none. One inside another is part of it."""

    def journal(self, connection: Connection, action: str, subject: str, detail: Mapping[str, object]) -> None:
        """Add a record to the journal, inside the transaction that makes the change."""

    def rewrite(
        self,
        connection: Connection,
        action: str,
        before: Entry | None,
        changed: Entry,
        note: Mapping[str, object] | None = None,
        *,
        always: bool = False,
    ) -> None:
        """Write an entry inside a transaction, and journal it; what leaves trust as it is only where `always`."""

    def close(self) -> None:
        """Let go of what this thread holds."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
