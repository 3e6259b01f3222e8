"""What an identity tells of itself and of its changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from troth.identity.generations import Generation
    from troth.identity.lint import Finding
    from troth.identity.state import Role
    from troth.model.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class ContextFiles:
    """What `ssl.SSLContext.load_cert_chain` takes."""

    certfile: Path
    keyfile: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What peers have on record, or will have: the certificate's fingerprint, if there is one, and the key's."""

    number: int
    role: Role
    certificate: Fingerprint | None
    key: Fingerprint


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made, or would be.

    Args:
        generation: The generation that it is about.
        before: The one in force before.
        findings: What is to be known about it.
    """

    generation: Generation
    before: Generation
    findings: tuple[Finding, ...] = ()
