"""The library's front door: `troth.check` and `troth.acheck`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadEndpoint, BadInput
from troth.model.endpoint import PROTOCOLS, Endpoint
from troth.model.entry import DEFAULT_DOMAIN, DOMAINS
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable
from troth.tls.check import check_target
from troth.tls.deadline import DEFAULT_TIMEOUT_S
from troth.tls.probe import Target
from troth.tls.proxy import Proxy
from troth.trust.rejection import require_trusted

if TYPE_CHECKING:
    from troth.store.protocol import TrustStore
    from troth.trust.verdict import Decision


def check(
    store: TrustStore,
    endpoint: Endpoint | str,
    *,
    starttls: str = "tls",
    server_name: str = "",
    domain: str = DEFAULT_DOMAIN,
    expect: Fingerprint | str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    proxy: Proxy | str | None = None,
) -> Decision:
    """Connect to an endpoint, hold what it presents against the record, and record it.

    Args:
        store: The trust store.
        endpoint: `host:port`, or an `Endpoint`.
        starttls: The STARTTLS protocol to speak first; `tls` for none.
        server_name: The server name to send; empty for the host's own.
        domain: The domain of an endpoint that is new.
        expect: The fingerprint that it must have.
        timeout_s: The limit of the whole attempt, in seconds.
        proxy: `http://[user@]host:port`, or a `Proxy`.

    Returns:
        A decision that trusts.

    Raises:
        BadInput: The domain, the protocol or the time limit is none.
        CertificateRejected: It does not trust; `CertificateChanged` and the others carry the decision.
        Unreachable: There was nothing to decide on.
        StoreUnusable: The store cannot be used; nothing is trusted.
    """
    place = _place(endpoint, starttls)
    if domain not in DOMAINS:
        # A misspelt domain would be a new one, with the policy of none.
        raise BadInput(f"There is no domain {printable(repr(domain), 80)}.", why="known are " + ", ".join(DOMAINS))
    if not 0 < timeout_s < float("inf"):
        raise BadInput(f"A time limit is a number of seconds above 0, not {timeout_s}.")
    target = Target(
        endpoint=place,
        server_name=server_name,
        timeout_s=timeout_s,
        proxy=Proxy.parse(proxy) if isinstance(proxy, str) else proxy,
    )
    wanted = Fingerprint.parse(expect) if isinstance(expect, str) else expect
    return require_trusted(check_target(store, target, domain=domain, expect=wanted))


def _place(endpoint: Endpoint | str, starttls: str) -> Endpoint:
    if isinstance(endpoint, str):
        return Endpoint.parse(endpoint, protocol=starttls)
    if endpoint.protocol not in PROTOCOLS or starttls not in PROTOCOLS:
        said = endpoint.protocol if starttls in PROTOCOLS else starttls
        raise BadEndpoint(f"Troth does not speak {printable(repr(said), 80)}.", why="known are " + ", ".join(PROTOCOLS))
    if starttls not in ("tls", endpoint.protocol):
        raise BadEndpoint(
            f"The endpoint {endpoint} speaks {endpoint.protocol}, and starttls says {starttls}.",
            next_command=f"Endpoint.parse('{endpoint}', protocol='{starttls}')",
        )
    return endpoint


async def acheck(store: TrustStore, endpoint: Endpoint | str, **options: object) -> Decision:
    """Do the same as `check` without blocking the event loop; it runs in a thread of its own.

    Raises:
        CertificateRejected: As `check`.
        Unreachable: As `check`.
        StoreUnusable: As `check`.
    """
    import asyncio

    return await asyncio.to_thread(check, store, endpoint, **options)  # type: ignore[arg-type]  # the names of `check`
