"""A coming rotation, seen in advance: ISE lists its certificates, and the next one is announced before it is presented.

Since 3.1 ISE lists the certificates of a node at `/api/v1/certs/system-certificate/{hostName}`. When an administrator binds
a new certificate to the use *Admin*, the list names it while the node still presents the old one, until its services have
restarted. Its fingerprint becomes a `next` pin of the endpoint, so that the restart is no alarm.

How far this can be trusted: as far as the channel that it came through, and no further. The list is read over a connection
whose certificate is the trusted one, by an authenticated user, and nothing else vouches for it.

* Whoever holds the current private key can say what comes next; that is what holding the key means. So an announcement
  makes no more than the current pin does, but it outlives it: revoke the endpoint (`troth revoke HOST`), which revokes what
  is announced too, not the stolen certificate alone.
* A first use that nobody verified stays unverified: an impostor who was pinned can announce another impostor. But an
  impostor who only passes requests on is found out here: ISE does not list the certificate that the channel presents.
  That is told, and then nothing is announced.
* It proves no possession of the new key, and needs none: the announcement opens nothing until the host presents that very
  certificate in a handshake.
* It is visible (`troth show`, the journal), it can be taken back (`troth announce --withdraw`) and then stays so,
  the current pin stays, and what was retired or revoked here, or waits in quarantine, is not announced.
* Where first use needs a person's approval (mode `strict`), so does this: it is told, with the command, and not done. In
  the modes `ca`, `observe` and `disable` there is nothing to announce for.

Only certificates for *Admin* count: port 443 presents them. One for EAP alone is presented to supplicants, not here, and
announcing it would trust another key than needed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from troth import manage
from troth.errors import BadInput
from troth.ise.client import DOMAIN
from troth.model.entry import CheckMode, Entry, EntryState, PinKind, PinState
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable
from troth.store.journal import subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from troth.ise.client import IseClient
    from troth.ise.models import Node, NodeCertificate
    from troth.model.endpoint import Endpoint
    from troth.store.protocol import TrustStore

_ADMIN = "admin"
# Announcements that were never used: more than this, and a person looks first.
MAX_PENDING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the list of certificates means for an endpoint.

    Args:
        announce: The certificate to announce; None if there is none.
        coming: Certificates for Admin that are neither presented nor on record.
        listed: Whether ISE lists the certificate that it presents.
        why: Why something that is coming is not announced, in a sentence.
        next_step: The command for a person to decide.
    """

    announce: NodeCertificate | None = None
    coming: tuple[NodeCertificate, ...] = ()
    listed: bool = True
    why: str = ""
    next_step: str = ""


def plan(
    entry: Entry,
    mode: CheckMode,
    certificates: Sequence[NodeCertificate],
    *,
    withdrawn: frozenset[Fingerprint] = frozenset(),
) -> Plan:
    """Decide what a list of certificates means. Pure.

    Args:
        entry: The record of the endpoint, after the list was read through it.
        mode: The check mode in force there.
        certificates: The list.
        withdrawn: Announcements that a person took back here.
    """
    fingerprints = {each.fingerprint for each in certificates if each.fingerprint is not None}
    if not fingerprints:
        return Plan()
    if entry.presented not in fingerprints:
        return Plan(
            listed=False,
            why=f"ISE does not list {entry.presented}, which {entry.endpoint} presents",
            next_step=f"compare with ISE's own page Administration > System > Certificates, then: troth show {entry.endpoint}",
        )
    coming = _coming(entry, certificates)
    if not coming:
        return Plan()
    hindrance = _hindrance(entry, mode, coming, withdrawn)
    if hindrance:
        command = f"troth announce {entry.endpoint} --next {coming[0].fingerprint}"
        return Plan(coming=coming, why=hindrance, next_step=command)
    return Plan(announce=coming[0], coming=coming)


def _coming(entry: Entry, certificates: Sequence[NodeCertificate]) -> tuple[NodeCertificate, ...]:
    known = {pin.fingerprint for pin in entry.pins} | {entry.presented}
    found: dict[Fingerprint, NodeCertificate] = {}
    for each in certificates:
        if each.fingerprint is not None and _ADMIN in each.usages and each.fingerprint not in known:
            found.setdefault(each.fingerprint, each)
    return tuple(found.values())


def _hindrance(
    entry: Entry, mode: CheckMode, coming: Sequence[NodeCertificate], withdrawn: frozenset[Fingerprint]
) -> str:
    if mode is not CheckMode.TOFU:
        return f"mode {mode.value}: a person decides what is announced"
    if entry.state is not EntryState.ACTIVE or not entry.current:
        return "nothing is trusted here that could vouch for it"
    if len(coming) > 1:
        return "several certificates are for Admin, and only one of them can be next"
    if coming[0].fingerprint in withdrawn:
        return "its announcement was taken back"
    if len(entry.having(PinState.NEXT)) >= MAX_PENDING:
        return f"{MAX_PENDING} announcements wait already"
    return ""


def node_for(endpoint: Endpoint, nodes: Sequence[Node]) -> Node | None:
    """Find the node that an endpoint is; None if that is not certain. A node alone need not be named."""
    wanted = endpoint.host
    named = [each for each in nodes if wanted in (each.address, each.fqdn.lower(), each.hostname.lower())]
    if len(named) == 1:
        return named[0]
    return nodes[0] if len(nodes) == 1 else None


async def look(client: IseClient, store: TrustStore) -> Plan:
    """Read a server's certificates, and announce the next one; give what was found, with what was done.

    Raises:
        TrothError: The OpenAPI is not there, is not switched on, or the user may not read it.
    """
    node = node_for(client.endpoint, await client.nodes())
    if node is None:
        return Plan()
    certificates = await client.certificates(node.hostname)
    return await asyncio.to_thread(_apply, store, client.endpoint, certificates)


def _apply(store: TrustStore, endpoint: Endpoint, certificates: Sequence[NodeCertificate]) -> Plan:
    policy, entry = store.policy(endpoint, DOMAIN)
    if entry is None:
        return Plan()
    made = plan(entry, policy.mode, certificates, withdrawn=_withdrawn(store, endpoint))
    if made.announce is not None and made.announce.fingerprint is not None:
        try:
            manage.announce(store, entry, made.announce.fingerprint, PinKind.CERTIFICATE)
        except BadInput as error:  # it was revoked, here or at another endpoint
            return Plan(coming=made.coming, why=error.what, next_step=error.next_command)
    return made


def _withdrawn(store: TrustStore, endpoint: Endpoint) -> frozenset[Fingerprint]:
    """Give what was taken back at an endpoint; the record of the endpoint has forgotten it, the journal has not."""
    records = store.records(subject=subject_of(endpoint))
    return frozenset(Fingerprint.parse(str(each.detail["next"])) for each in records if each.action == "withdraw")


def describe(found: NodeCertificate) -> str:
    """Describe a certificate of the list, for a message."""
    return f"{printable(found.name, 80) or 'a certificate'} {found.fingerprint}, for {', '.join(sorted(found.usages))}"
