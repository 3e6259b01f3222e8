"""Where the record meets the CAs: contexts that verify chain and name, by a domain's CA store or a pinned issuer."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from troth.errors import BadCertificate
from troth.model.certificate import CertificateView
from troth.model.entry import CheckMode, Entry, PinKind, PinState, Policy
from troth.tls.base import anchor, client_context, peer_chain
from troth.trust.verdict import ChainFault, ChainOutcome

if TYPE_CHECKING:
    from troth.store.authorities import Vouching
    from troth.store.protocol import TrustStore
    from troth.tls.probe import Target

_HELD = (PinState.CURRENT, PinState.NEXT)


def verifying_context(store: TrustStore, policy: Policy, entry: Entry | None, domain: str) -> ssl.SSLContext:
    """Make a context that verifies chain and name, for a probe."""
    context = client_context()
    trust_authorities(context, store, policy, entry, domain)
    return context


def trust_authorities(
    context: ssl.SSLContext, store: TrustStore, policy: Policy, entry: Entry | None, domain: str
) -> None:
    """Make a context verify chain and name: by the pinned issuers if the mode pins, else by the domain's CA store."""
    if policy.mode is CheckMode.CA:
        from troth.store.authorities import authorities, follows_system

        if follows_system(store, domain):
            ssl.SSLContext.load_default_certs(context)
        anchors = b"".join(each.view.der for each in authorities(store, domain))
        if anchors:
            ssl.SSLContext.load_verify_locations(context, cadata=anchors)
        # An intermediate in the CA store is as good as a root, and vendors give out such.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        ssl.SSLContext.verify_mode.__set__(context, ssl.CERT_REQUIRED)  # type: ignore[attr-defined]  # a property
    else:
        pins = [pin for pin in (entry.having(*_HELD) if entry else ()) if pin.kind is PinKind.ISSUER]
        views = [store.certificate(pin.certificate) for pin in pins]
        anchor(context, [view.der for view in views if view is not None], any_time=False)
    ssl.SSLContext.check_hostname.__set__(context, True)  # type: ignore[attr-defined]  # noqa: FBT003  # a property


def outcome_of(
    store: TrustStore, policy: Policy, domain: str, connection: ssl.SSLSocket | ssl.SSLObject, target: Target
) -> ChainOutcome:
    """Give the outcome of a handshake that OpenSSL itself verified; `target` is where it went."""
    path = tuple(peer_chain(connection, verified=True))
    return with_revocation(store, policy, domain, path, outcome(path), target)


def outcome(path: tuple[bytes, ...]) -> ChainOutcome:
    """Give the outcome for a verified path (DER, the leaf first, the anchor last)."""
    try:
        views = [CertificateView.from_der(each) for each in path]
    except BadCertificate as error:
        return ChainOutcome(valid=False, reason=f"a certificate on the path cannot be read: {error.why}")
    if not views:
        return ChainOutcome(valid=False, reason="no chain was verified")
    issuers = frozenset(view.spki for view in views[1:] or views)
    named = frozenset(each for view in views for each in (view.fingerprint, view.spki))
    anchor = views[-1]
    return ChainOutcome(
        valid=True,
        issuers=issuers,
        path=named,
        anchor=anchor.fingerprint,
        reason=f"the chain leads to {anchor.subject}",
    )


def still_vouched(found: ChainOutcome, then: Vouching | None, now: Vouching) -> ChainOutcome:
    """Hold an outcome of before against the CAs of now.

    Args:
        found: The outcome.
        then: Whose word counted at that time; None if no CA store was asked.
        now: Whose word counts now.
    """
    if not found.valid or found.anchor in now.kept:
        return found
    if now.system and then is not None and found.anchor not in then.kept:
        return found
    return ChainOutcome(valid=False, reason="the CA that vouched for it is trusted no more")


def with_revocation(
    store: TrustStore, policy: Policy, domain: str, path: tuple[bytes, ...], found: ChainOutcome, target: Target
) -> ChainOutcome:
    """Ask whether a certificate on the path was revoked by its CA; in `ca` mode only, as the domain's settings say."""
    if policy.mode is not CheckMode.CA or not found.valid:
        return found
    from troth.store.authorities import revocation_of
    from troth.tls import stapling
    from troth.tls.revocation import Settings, Strictness, check_path

    kept = revocation_of(store, domain)
    settings = Settings(strictness=Strictness(kept.strictness), responders=kept.responders, timeout_s=target.timeout_s)
    # The host's own answer may take half of the time; the other sources have the rest.
    asked = replace(target, timeout_s=target.timeout_s / 2)
    staple = (lambda: stapling.stapled(asked)) if stapling.available() else None
    reason = check_path(path, settings=settings, now=store.now(), staple=staple, permit=target.permit)
    if not reason:
        return found
    # A subject begins with a type and "=", so it cannot be taken for these words.
    unknown = reason.startswith(("it cannot be told", "the revocation of"))
    return ChainOutcome(
        valid=False, reason=reason, fault=ChainFault.UNANSWERED if unknown else ChainFault.REVOKED, path=found.path
    )
