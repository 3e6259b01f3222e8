"""Changes of trust, whole: look, compare, change in one transaction. The command, the server and the pages call these."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as with_changes
from typing import TYPE_CHECKING

from troth.errors import BadInput, NotFound
from troth.model.endpoint import Endpoint
from troth.model.entry import DEFAULT_DOMAIN, Entry, Evidence, Override, Pin, PinKind, PinState, Policy
from troth.trust import changes

if TYPE_CHECKING:
    from troth.model.certificate import CertificateView
    from troth.model.fingerprint import Fingerprint
    from troth.store.protocol import TrustStore


def resolve(store: TrustStore, text: str, *, protocol: str | None = None) -> Entry:
    """Find the entry that a person means: with or without a port, whatever its protocol, if there is just one.

    Raises:
        NotFound: There is none.
        BadInput: There are several.
    """
    place = Endpoint.parse(text, protocol=protocol or "tls")
    found = [each for each in store.find(place.host, place.port) if protocol in (None, each.endpoint.protocol)]
    if not found and not _names_port(text):
        found = [each for each in store.at_host(place.host) if protocol in (None, each.endpoint.protocol)]
    if not found:
        raise NotFound(
            f"Nothing is on record about {place}.", next_command=f"troth list; or, to look: troth check {place}"
        )
    if len(found) > 1:
        several = ", ".join(f"{each.endpoint} ({each.endpoint.protocol})" for each in found)
        raise BadInput(f"{text} could be any of {several}.", next_command="name the port, or add --starttls PROTOCOL")
    return found[0]


def pin(
    store: TrustStore,
    endpoint: Endpoint,
    *,
    kind: PinKind,
    fingerprint: Fingerprint | None = None,
    view: CertificateView | None = None,
    domain: str = DEFAULT_DOMAIN,
) -> Entry:
    """Trust something at an endpoint beforehand, beside what is trusted there already.

    Raises:
        BadInput: It was revoked, or an issuer is named by its fingerprint alone.
    """
    held = fingerprint or (changes.held_by(view, kind) if view else None)
    if held is None:
        raise BadInput("Name what is to be pinned.", next_command="troth pin ENDPOINT --expect FINGERPRINT")
    if kind is PinKind.ISSUER and (view is None or not view.is_ca):
        raise BadInput(
            "An issuer is pinned by its CA certificate, for its name counts as well as its key.",
            next_command=f"troth pin {endpoint} --kind issuer --pem CA.pem",
        )
    require_unrevoked(store, held, view)
    made = changes.pin_of(view, held, kind, evidence=Evidence.EXPECTED, now=store.now(), actor=store.actor)
    return store.change(
        endpoint,
        "pin",
        lambda entry: changes.add_pin(entry or changes.fresh(endpoint, store.now(), domain=domain), made),
        certificates=[view] if view else [],
        note={"kind": kind.value, "fingerprint": str(held)},
    )


def approve(store: TrustStore, entry: Entry, fingerprint: Fingerprint) -> Entry:
    """Release an endpoint from quarantine, if what waits there has this fingerprint (certificate or key).

    Raises:
        NotFound: Nothing waits there.
        CertificateChanged: What waits is another.
    """
    from troth.errors import CertificateChanged

    waiting = entry.having(PinState.QUARANTINED)
    view = store.certificate(waiting[0].certificate) if waiting else None
    if view is None:
        raise NotFound(f"Nothing waits for approval at {entry.endpoint}.", next_command="troth list")
    if fingerprint not in (view.fingerprint, view.spki):
        raise CertificateChanged(
            f"{entry.endpoint} waits with another certificate than the one that you expect.",
            why=f"waiting: {view.fingerprint}; expected: {fingerprint}",
            next_command=f"troth show {entry.endpoint}",
        )
    require_unrevoked(store, view.fingerprint, view)
    kind = entry.override.over(store.domain_policy(entry.domain)).pin
    kind = kind if kind is PinKind.KEY else PinKind.CERTIFICATE

    def step(now: Entry | None) -> Entry:
        return changes.approve(now or entry, fingerprint, view, kind, store.now(), store.actor)

    return store.change(entry.endpoint, "approve", step, note={"expected": str(fingerprint)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What a replacement did."""

    before: Entry
    after: Entry
    view: CertificateView


def replace(
    store: TrustStore, entry: Entry, view: CertificateView, fingerprint: Fingerprint, *, server_name: str | None = None
) -> Replaced:
    """Swap what is trusted for what was just presented, if it has this fingerprint (certificate or key).

    Args:
        store: The trust store.
        entry: The entry.
        view: What was just presented.
        fingerprint: What it must have.
        server_name: The server name that it was asked for, to be asked for from now on; None leaves the one on record.

    Raises:
        CertificateChanged: It has another; nothing was changed.
    """
    from troth.errors import CertificateChanged

    if fingerprint not in (view.fingerprint, view.spki):
        raise CertificateChanged(
            f"{entry.endpoint} did not present the expected certificate; nothing was changed.",
            why=f"presented: {view.fingerprint}; expected: {fingerprint}",
            next_command=f"compare with the host's own console, then: troth replace {entry.endpoint} --expect FINGERPRINT",
        )
    require_unrevoked(store, view.fingerprint, view)
    kind = entry.override.over(store.domain_policy(entry.domain)).pin
    kind = kind if kind is PinKind.KEY else PinKind.CERTIFICATE
    made = changes.pin_of(
        view, changes.held_by(view, kind), kind, evidence=Evidence.EXPECTED, now=store.now(), actor=store.actor
    )
    seen = with_changes(made, first_seen=store.now(), last_seen=store.now())
    changed = store.change(
        entry.endpoint,
        "replace",
        lambda now: with_changes(
            changes.swap(now or entry, seen),
            last_seen=store.now(),
            server_name=(now or entry).server_name if server_name is None else server_name,
        ),
        certificates=[view],
        note={"expected": str(fingerprint)},
    )
    return Replaced(before=entry, after=changed, view=view)


def announce(store: TrustStore, entry: Entry, fingerprint: Fingerprint, kind: PinKind) -> Entry:
    """Expect a next certificate or key at an endpoint."""
    require_unrevoked(store, fingerprint, None)
    return store.change(
        entry.endpoint,
        "announce",
        lambda now: changes.announce(now or entry, _next(store, fingerprint, kind)),
        note={"next": str(fingerprint)},
    )


def withdraw(store: TrustStore, entry: Entry, fingerprint: Fingerprint) -> Entry:
    """Take an announcement back."""
    return store.change(
        entry.endpoint,
        "withdraw",
        lambda now: changes.withdraw(now or entry, fingerprint),
        note={"next": str(fingerprint)},
    )


def delete(store: TrustStore, entry: Entry, successor: Fingerprint | None) -> Entry:
    """Forget an endpoint; `successor` is what may be trusted there without approval."""
    if successor is not None:
        require_unrevoked(store, successor, None)
    made = _next(store, successor, PinKind.CERTIFICATE) if successor else None
    return store.change(
        entry.endpoint,
        "delete",
        lambda now: changes.delete(now or entry, made),
        note={"next": str(successor)} if successor else None,
    )


def revoke_entry(store: TrustStore, entry: Entry, *, reason: str = "") -> list[Fingerprint]:
    """Revoke what is current and announced at an endpoint: the certificates, and the keys in them."""
    revoked: list[Fingerprint] = []
    with store.transaction():
        for held in entry.having(PinState.CURRENT, PinState.NEXT):
            view = store.certificate(held.certificate)
            spkis = [view.spki] if view is not None and held.kind is not PinKind.ISSUER else []
            for fingerprint in dict.fromkeys([held.fingerprint, *spkis]):
                store.revoke(fingerprint, reason=reason)
                revoked.append(fingerprint)
    if not revoked:
        raise NotFound(f"Nothing is trusted at {entry.endpoint}, so there is nothing to revoke.")
    return revoked


def set_policy(
    store: TrustStore, endpoint: Endpoint, change: Override, *, domain: str | None = None, reset: bool = False
) -> Entry:
    """Give an endpoint its own settings, also before it is known.

    Args:
        store: The trust store.
        endpoint: Where.
        change: The settings to change; None leaves one as it is.
        domain: The domain to put it into; None leaves it where it is.
        reset: Take away its own settings first.
    """
    note = {name: str(value) for name, value in _named(change, domain, reset=reset).items()}

    def step(now: Entry | None) -> Entry:
        entry = now or changes.fresh(endpoint, store.now())
        entry = with_changes(entry, domain=domain or entry.domain, override=Override() if reset else entry.override)
        return changes.override(entry, change, known)

    with store.transaction():
        found = store.entry(endpoint)
        views = [store.certificate(each.certificate) for each in (found.pins if found else ())]
        known = {view.fingerprint: view for view in views if view is not None}
        return store.change(endpoint, "policy", step, note=note)


def _named(change: Override, domain: str | None, *, reset: bool) -> dict[str, object]:
    given = {"mode": change.mode, "pin": change.pin, "expired": change.expired, "domain": domain}
    return {**({"own settings": "removed"} if reset else {}), **{name: each for name, each in given.items() if each}}


def set_domain(store: TrustStore, domain: str, change: Override, *, reset: bool = False) -> Policy:
    """Change a domain's policy, or begin again from the defaults; entries keep the pins that they have."""
    policy = change.over(Policy() if reset else store.domain_policy(domain))
    store.set_domain_policy(domain, policy)
    return policy


def require_unrevoked(store: TrustStore, fingerprint: Fingerprint, view: CertificateView | None) -> None:
    """Refuse what was revoked here.

    Raises:
        BadInput: It was.
    """
    view = view or store.certificate(fingerprint)
    suspects = {fingerprint, *((view.fingerprint, view.spki) if view else ())}
    for revoked, when, who, _ in store.revocations():
        if revoked in suspects:
            raise BadInput(
                f"{revoked} was revoked by {who} on {when:%Y-%m-%d}, and what was revoked is never trusted again.",
                next_command="give the host a new key",
            )


def _next(store: TrustStore, fingerprint: Fingerprint, kind: PinKind) -> Pin:
    return changes.pin_of(
        None,
        fingerprint,
        kind,
        state=PinState.NEXT,
        evidence=Evidence.ANNOUNCED,
        now=store.now(),
        actor=store.actor,
    )


def _names_port(text: str) -> bool:
    body = text.strip().removeprefix("https://").rstrip("/")
    return body.rpartition("]")[2].startswith(":") or body.count(":") == 1 or body.rpartition("_")[2].isdigit()
