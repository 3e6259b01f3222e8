"""From what a CA or a person hands over to a certificate that may come next: which one, which key, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.errors import CertificateUnfit, IdentityMissing, IdentityUnusable
from troth.identity import generations, keys, lint, reading
from troth.identity.chain import Path, find
from troth.identity.names import is_local
from troth.identity.rehearsal import rehearse
from troth.identity.state import Refusal, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path as FilePath

    from troth.identity.generations import Generation
    from troth.identity.lint import Finding
    from troth.model.certificate import CertificateView

# Where the key of a signed certificate is looked for: the newest request first.
_SEARCHED = (Role.PENDING, Role.NEXT, Role.CURRENT, Role.ASIDE, Role.RETIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What was handed over.

    Args:
        data: The certificates: PEM, DER or PKCS #7, in any order.
        key_pem: Their key; None if it is one of the node's own.
        passphrase: What the key is encrypted with, if it is.
        known: CAs that the node knows beside those in the file.
    """

    data: bytes = field(repr=False)
    key_pem: bytes | None = field(default=None, repr=False)
    passphrase: bytes | None = field(default=None, repr=False)
    known: Iterable[CertificateView] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A certificate that may come next.

    Args:
        path: The way from it to its CA.
        key: Its private key, as PEM; empty if there is none.
        twins: The generations that hold the same key.
        request: The request that it answers, as PEM; empty if there was none.
        findings: What is wrong with it.
    """

    path: Path
    key: bytes = field(repr=False)
    twins: frozenset[int]
    request: str
    findings: tuple[Finding, ...]


def candidate(
    material: Material,
    found: tuple[Generation, ...],
    place: Callable[[int], FilePath],
    *,
    names: Sequence[str],
    now: datetime,
) -> Candidate:
    """Find which certificate is the node's, which key belongs to it, and what is wrong with them.

    Args:
        material: What was handed over.
        found: The generations that there are.
        place: Gives a generation's folder.
        names: What the node is reached by; empty for what its current certificate is for.
        now: The time, aware.

    Raises:
        BadFile: There is no certificate.
        BadKey: The key cannot be used.
    """
    given = reading.certificates(material.data)
    ordered = [each for role in _SEARCHED for each in found if each.role is role]
    likely = next((each for each in given if not each.is_ca), given[0])
    wrong: tuple[Finding, ...] = ()
    if material.key_pem is None:
        match = next(((each, leaf) for each in ordered for leaf in given if leaf.spki == each.spki), None)
        leaf = match[1] if match else likely
        spki, key = leaf.spki, generations.key_of(place(match[0].number)) if match else b""
        wrong = () if match else (lint.unknown_key(leaf),)
    else:
        private = keys.load(material.key_pem, material.passphrase)
        spki, key = keys.fingerprint(private), keys.dump(private)
        leaf = next((each for each in given if each.spki == spki), likely)
        wrong = tuple(lint.key(leaf, spki))
    path = find(leaf, given, material.known)
    wanted = names or current(found).names
    wanted = [each for each in wanted if not is_local(each)] or wanted
    twins = [each for each in ordered if each.spki == spki]
    return Candidate(
        path=path,
        key=key,
        twins=frozenset(each.number for each in twins),
        request=next((each.request for each in twins if each.request), ""),
        findings=(*wrong, *lint.lint(path, given, names=wanted, now=now)),
    )


def rehearsed(path: Path, place: FilePath) -> tuple[Finding, ...]:
    """Say why OpenSSL refuses the files of a generation, if it does."""
    both_ways = lint.for_clients_too(path.leaf)
    return tuple(rehearse(path, place / generations.CHAIN, place / generations.KEY, both_ways=both_ways))


def current(found: tuple[Generation, ...]) -> Generation:
    """Give the generation in force.

    Raises:
        IdentityMissing: There is none.
        IdentityUnusable: Its certificate is gone.
    """
    for each in found:
        if each.role is Role.CURRENT and each.chain:
            return each
    if any(each.role is Role.CURRENT for each in found):
        raise IdentityUnusable("The current certificate is gone.", next_command="restore the folder from a copy")
    raise IdentityMissing(Refusal.NO_IDENTITY.value, next_command="troth key generate")


def require_fit(findings: tuple[Finding, ...], what: str) -> None:
    """Refuse what has an error.

    Raises:
        CertificateUnfit: There is one.
    """
    wrong = lint.errors(findings)
    if wrong:
        raise CertificateUnfit(
            f"{what}: {wrong[0].what}",
            why=" ".join(each.what for each in wrong[1:]),
            next_command=wrong[0].todo,
            details={"findings": [each.document() for each in findings]},
        )
