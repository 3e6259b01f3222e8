"""One generation of a node's identity on the disk: a folder that is written once and never changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from troth.errors import BadCertificate, IdentityUnusable
from troth.identity.files import read, read_private
from troth.model.certificate import CertificateView, certificates_from_pem
from troth.model.fingerprint import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from troth.identity.state import Role

KEY, CHAIN, REQUEST, META = "key.pem", "chain.pem", "csr.pem", "meta.json"


class Origin(StrEnum):
    """How a generation came to be."""

    SELF_SIGNED = "self-signed"
    REQUEST = "request"
    IMPORT = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What is known of a generation; the private key stays on the disk.

    Args:
        number: Its number, given once.
        role: What it is for.
        origin: How it came to be.
        made_at: When.
        spki: The fingerprint of its key.
        chain: Its certificate and those of the CAs after it; empty while it waits for them.
        request: The certificate signing request, as PEM; empty if there is none.
        sans: The names that were asked for.
    """

    number: int
    role: Role
    origin: Origin
    made_at: datetime
    spki: Fingerprint
    chain: tuple[CertificateView, ...] = ()
    request: str = ""
    sans: tuple[str, ...] = ()

    @property
    def certificate(self) -> CertificateView | None:
        """The node's own certificate, if there is one."""
        return self.chain[0] if self.chain else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses that it is for."""
        return (
            tuple(each for each in self.chain[0].san if each.startswith(("DNS:", "IP:"))) if self.chain else self.sans
        )


def name(number: int) -> str:
    """Name the folder of a generation."""
    return f"{number:06d}"


def meta(origin: Origin, made_at: datetime, spki: Fingerprint, sans: tuple[str, ...]) -> bytes:
    """Write what is to be known of a generation beside its key and certificates."""
    fields = {"origin": origin.value, "made_at": made_at.isoformat(), "spki": str(spki), "sans": list(sans)}
    return (json.dumps(fields, indent=1) + "\n").encode("ascii")


def load(folder: Path, number: int, role: Role) -> Generation:
    """Read a generation.

    Raises:
        FileNotFoundError: It is not there.
        IdentityUnusable: It cannot be read, or is damaged.
    """
    try:
        fields = json.loads(read(folder / META))
        found = Generation(
            number=number,
            role=role,
            origin=Origin(fields["origin"]),
            made_at=datetime.fromisoformat(fields["made_at"]),
            spki=Fingerprint.parse(fields["spki"]),
            chain=_chain(folder),
            request=_optional(folder / REQUEST).decode("ascii"),
            sans=tuple(map(str, fields["sans"])),
        )
    except (ValueError, KeyError, TypeError, RecursionError, BadCertificate):
        raise IdentityUnusable(
            f"{folder} is damaged.", next_command="restore it from a copy; the other generations are not touched"
        ) from None
    if found.chain and found.chain[0].spki != found.spki:
        raise IdentityUnusable(f"{folder} holds a certificate for another key.")
    return found


def key_of(folder: Path) -> bytes:
    """Read the private key, as PEM.

    Raises:
        FileNotFoundError: It is not there.
        IdentityUnusable: Others may have read it.
    """
    return read_private(folder / KEY)


def _chain(folder: Path) -> tuple[CertificateView, ...]:
    text = _optional(folder / CHAIN)
    return certificates_from_pem(text.decode("ascii")) if text else ()


def _optional(path: Path) -> bytes:
    try:
        return read(path)
    except FileNotFoundError:
        return b""
