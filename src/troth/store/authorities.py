"""The CA store of each domain, and the settings of revocation checks: kept in the store, changed in its journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from troth.errors import BadInput, NotFound
from troth.model.certificate import CertificateView, certificates_from_pem
from troth.model.fingerprint import Fingerprint
from troth.store import rows

if TYPE_CHECKING:
    from datetime import datetime

    from troth.store.protocol import TrustStore

MAX_ALIAS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA that a domain trusts."""

    domain: str
    alias: str
    view: CertificateView
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSettings:
    """How revocation is asked for: the custom responders, if they are switched on."""

    custom: bool = False
    url1: str = ""
    url2: str = ""
    strictness: str = "require"

    @property
    def responders(self) -> tuple[str, ...]:
        """The responders in force, in order."""
        return tuple(url for url in (self.url1, self.url2) if url) if self.custom else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouching:
    """Whose word counts in a domain.

    Args:
        kept: SHA-256 of the certificates of the CAs in the domain's store.
        system: Whether the operating system's CAs count too.
    """

    kept: frozenset[Fingerprint]
    system: bool


def vouching(store: TrustStore, domain: str) -> Vouching:
    """Read whose word counts in a domain; no certificate is read for it."""
    with store.reading() as connection:
        found = connection.execute("SELECT certificate FROM authority WHERE domain = ?", (domain,)).fetchall()
    return Vouching(kept=frozenset(Fingerprint(digest) for (digest,) in found), system=follows_system(store, domain))


def authorities(store: TrustStore, domain: str) -> tuple[Authority, ...]:
    """Read the CAs of a domain, by alias."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT a.alias, c.der, a.added_at, a.added_by FROM authority a JOIN certificate c"
            " ON c.fingerprint = a.certificate WHERE a.domain = ? ORDER BY a.alias",
            (domain,),
        ).fetchall()
    return tuple(
        Authority(
            domain=domain,
            alias=alias,
            view=CertificateView.from_der(data),
            added_at=rows.from_us(at) or store.now(),
            added_by=who,
        )
        for alias, data, at, who in found
    )


def read_authority(text: str, name: str) -> CertificateView:
    """Read the one certificate of a file that an administrator gives as a CA's.

    Raises:
        BadFile: It holds none, several, or a private key.
    """
    from troth.errors import BadFile

    if "PRIVATE KEY" in text:
        raise BadFile(
            f"{name} holds a private key; a CA's private key belongs on no other machine.",
            next_command="give the CA's certificate alone, and remove this file",
        )
    views = certificates_from_pem(text)
    if len(views) != 1:
        raise BadFile(f"{name} holds {len(views)} certificates; an alias names one.")
    return views[0]


def add_authority(store: TrustStore, domain: str, alias: str, view: CertificateView) -> None:
    """Trust a CA in a domain.

    Raises:
        BadInput: The alias is taken or unusable, or the certificate is no CA's, or was revoked.
    """
    if not alias.isprintable() or not 0 < len(alias) <= MAX_ALIAS or any(ch.isspace() for ch in alias):
        raise BadInput(f"An alias has 1 to {MAX_ALIAS} printable characters and no blank.")
    if not view.is_ca:
        raise BadInput(
            "The certificate is not a CA's, so it can vouch for nobody.",
            why=f"{view.subject} has no CA:TRUE",
            next_command="to trust one host's certificate: troth pin ENDPOINT --pem FILE",
        )
    with store.transaction() as connection:
        _require_unrevoked(store, view)
        if connection.execute("SELECT 1 FROM authority WHERE domain = ? AND alias = ?", (domain, alias)).fetchone():
            raise BadInput(
                f"The alias {alias} is taken in {domain}.",
                next_command=f"ncs certvalidation trusted-ca-store deletecacert alias {alias} truststore {domain}",
            )
        rows.write_certificate(connection, view)
        connection.execute(
            "INSERT INTO authority VALUES (?, ?, ?, ?, ?)",
            (domain, alias, view.fingerprint.digest, rows.to_us(store.now()), store.actor),
        )
        store.journal(connection, "trust-ca", domain, {"alias": alias, "certificate": str(view.fingerprint)})


def _require_unrevoked(store: TrustStore, view: CertificateView) -> None:
    for revoked, when, who, _ in store.revocations():
        if revoked in (view.fingerprint, view.spki):
            raise BadInput(
                f"{revoked} was revoked by {who} on {when:%Y-%m-%d}, and what was revoked vouches for nobody.",
                next_command="import the CA's new certificate, with a new key",
            )


def delete_authority(store: TrustStore, domain: str, alias: str) -> None:
    """Trust a CA no more.

    Raises:
        NotFound: There is none of that alias.
    """
    with store.transaction() as connection:
        gone = connection.execute("DELETE FROM authority WHERE domain = ? AND alias = ?", (domain, alias)).rowcount
        if not gone:
            raise NotFound(
                f"There is no CA {ascii(alias)[1:-1]} in {domain}.",
                next_command=f"ncs certvalidation trusted-ca-store listcacerts truststore {domain}",
            )
        store.journal(connection, "distrust-ca", domain, {"alias": alias})


def follows_system(store: TrustStore, domain: str) -> bool:
    """Whether a domain also trusts the operating system's CAs, which the system keeps up to date."""
    return _get(store, f"auto-ca-update:{domain}") == "enable"


def vouches(store: TrustStore, domain: str) -> bool:
    """Whether a domain trusts any CA; one in mode `ca` that trusts none rejects every host."""
    return bool(authorities(store, domain)) or follows_system(store, domain)


def set_follows_system(store: TrustStore, domain: str, follow: bool) -> None:  # noqa: FBT001  # the setting itself
    """Set whether a domain also trusts the operating system's CAs."""
    _set(store, f"auto-ca-update:{domain}", "enable" if follow else "disable")


def revocation_settings(store: TrustStore) -> RevocationSettings:
    """Read the custom OCSP responders."""
    return RevocationSettings(
        custom=_get(store, "ocsp") == "enable", url1=_get(store, "ocsp:url1"), url2=_get(store, "ocsp:url2")
    )


def revocation_of(store: TrustStore, domain: str) -> RevocationSettings:
    """Read how revocation is asked for in a domain."""
    return replace(revocation_settings(store), strictness=_get(store, f"revocation:{domain}") or "require")


def set_strictness(store: TrustStore, domain: str, strictness: str) -> None:
    """Set what becomes of a question about revocation that nobody answers: `require`, `prefer` or `off`."""
    _set(store, f"revocation:{domain}", strictness)


def set_custom_responders(store: TrustStore, enable: bool) -> None:  # noqa: FBT001  # the setting itself
    """Switch the custom OCSP responders on or off.

    Raises:
        BadInput: None is set, so switching them on would check nothing.
    """
    found = revocation_settings(store)
    if enable and not (found.url1 or found.url2):
        raise BadInput(
            "No custom OCSP responder is set.",
            next_command="ncs certvalidation custom-ocsp-responder set url1 http://ocsp.example.com",
        )
    _set(store, "ocsp", "enable" if enable else "disable")


def set_responder(store: TrustStore, slot: str, url: str) -> None:
    """Set or clear (empty) a custom OCSP responder; `slot` is `url1` or `url2`.

    Raises:
        BadInput: The URL is not plain HTTP to a host: OCSP answers are signed, and HTTPS would need a check of its own.
    """
    if url and not _is_plain_http(url):
        raise BadInput(
            "An OCSP responder is an http:// address without a user name.",
            why="its answers are signed; HTTPS would need a certificate check of its own",
            next_command="ncs certvalidation custom-ocsp-responder set url1 http://ocsp.example.com",
        )
    _set(store, f"ocsp:{slot}", url)


def _is_plain_http(url: str) -> bool:
    from urllib.parse import urlsplit

    from troth.model.endpoint import canonical_host

    if len(url) > 1024 or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
        canonical_host(parts.hostname or "")
    except (ValueError, BadInput):
        return False
    return usable


def _get(store: TrustStore, name: str) -> str:
    with store.reading() as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"setting:{name}",)).fetchone()
    return row[0] if row else ""


def _set(store: TrustStore, name: str, value: str) -> None:
    with store.transaction() as connection:
        connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (f"setting:{name}", value),
        )
        store.journal(connection, "setting", name, {"value": value})
