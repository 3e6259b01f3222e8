"""What an importer finds in a file, in neutral values: nothing here has been trusted yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from troth.errors import BadFile
from troth.model.entry import DEFAULT_DOMAIN, Entry, PinKind, PinState, Policy
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from troth.model.endpoint import Endpoint
    from troth.model.fingerprint import Fingerprint

MAX_BYTES = 64 << 20
MAX_ENTRIES = 1_000_000
# Of one endpoint, the retired ones of years included; each check reads them all.
MAX_PINS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPin:
    """A pin of another program's store.

    Args:
        endpoint: Where it is trusted.
        kind: Which part the fingerprint is of.
        fingerprint: SHA-256 of that part.
        state: Where it is in its life.
        der: The pinned thing itself (for a key pin, the SubjectPublicKeyInfo), where the file holds it.
        domain: The domain to import it into.
        comment: What else the file says of it.
        expires: When the other program stops believing it. An expired pin is still a pin: it never becomes first use.
        line: The line it stands in, from 1.
    """

    endpoint: Endpoint
    kind: PinKind
    fingerprint: Fingerprint
    state: PinState = PinState.CURRENT
    der: bytes | None = None
    domain: str = DEFAULT_DOMAIN
    comment: str = ""
    expires: datetime | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedHint:
    """A host and the subject that somebody saw there: unverified, and never a pin.

    Args:
        endpoint: Where.
        key: The entry key as it is printed, for the incumbent's own commands.
        subject: The subject as it is printed; pass it through `printable` before it is shown.
        line: The line it begins in, from 1.
        node: The node whose list it is, where a prompt tells; else empty.
    """

    endpoint: Endpoint
    key: str
    subject: str
    line: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A fingerprint that is never accepted again, at any endpoint."""

    fingerprint: Fingerprint
    revoked_at: datetime
    revoked_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDocument:
    """All that a file holds; a whole trust store if the format is Troth's own.

    Args:
        format: `toml`, `json`, `gnutls` or `listcerts`.
        entries: Whole entries with pins, settings and tombstones (own formats).
        pins: Pins of another program's store.
        hints: Unverified subjects.
        policies: The policy of each domain that the file names.
        revoked: Fingerprints that are never accepted again.
        certificates: DER of certificates that entries name by fingerprint.
        warnings: What the file holds and is not taken over, one sentence each, with its line.
        notes: What a person may want to know of the rest.
    """

    format: str = "toml"
    entries: tuple[Entry, ...] = ()
    pins: tuple[ImportedPin, ...] = ()
    hints: tuple[ImportedHint, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    revoked: tuple[Revocation, ...] = ()
    certificates: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def bad_file(
    name: str, what: str, *, line: int = 0, path: str = "", expected: str = "", next_command: str = ""
) -> BadFile:
    """Make the error of a file that cannot be imported; every part may be hostile text.

    Args:
        name: The file's name, as the user gave it.
        what: What is wrong.
        line: The line, from 1.
        path: Where in the document, such as `entry[3].pins[0].kind`.
        expected: What should stand there.
        next_command: The command that comes next.
    """
    place = f", line {line}" if line else f", {printable(path)}" if path else ""
    why = f"expected is {expected}; nothing was imported" if expected else "nothing was imported"
    return BadFile(
        f"{printable(name)}{place}: {what}.",
        why=why,
        next_command=next_command or "correct the file, then: troth import FILE",
        details={"file": printable(name), "line": line or None, "path": printable(path)},
    )


def quoted(value: object, limit: int = 60) -> str:
    """Give a value of a file for an error message: safe, and cut short."""
    return f"'{printable(str(value)[: limit * 2], limit)}'"
