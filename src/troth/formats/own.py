"""Troth's own export, schema `troth.trust/1`: a whole trust store as TOML or JSON, without loss.

Both notations hold the same document. Reading is strict: what is not known, doubled, or of another type is an error
that names the place, because a file that is understood in part is a store that is trusted by accident.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from troth.errors import BadCertificate, BadInput
from troth.formats.records import MAX_PINS, ImportedDocument, Revocation, bad_file, quoted
from troth.formats.toml_writer import write_toml
from troth.formats.tree import Table
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.entry import (
    DEFAULT_DOMAIN,
    DOMAINS,
    CheckMode,
    Entry,
    EntryState,
    Evidence,
    Expiry,
    Override,
    Pin,
    PinKind,
    PinState,
    Policy,
)
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = "troth.trust/1"
_FAMILY = "troth.trust/"
_HEADER = "# A trust store, written by `troth export`. Read it back with: troth import FILE\n"
_MAX_DOTS = 16
_QUOTED_OR_COMMENT = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|\'[^\'\n]*+\'?|#[^\n]*+')


def dump_toml(document: ImportedDocument) -> str:
    """Write a document as TOML."""
    return _HEADER + write_toml(_plain(document))


def dump_json(document: ImportedDocument) -> str:
    """Write a document as JSON, in ASCII."""
    return json.dumps(_plain(document), indent=2, default=_json_moment) + "\n"


def load_toml(text: str, *, name: str = "the file") -> ImportedDocument:
    """Read a document from TOML.

    Raises:
        BadFile: It is not TOML, or not such a document; nothing is imported then.
    """
    # tomllib takes quadratic time for keys with very many dots; our documents have none outside of quotes.
    bare = _QUOTED_OR_COMMENT.sub("", text)
    if '"""' in text or "'''" in text or any(line.count(".") > _MAX_DOTS for line in bare.split("\n")):
        raise bad_file(
            name, "it uses TOML that a trust store never holds", expected="texts in one line, keys without dots"
        )
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise bad_file(name, f"it is not TOML ({printable(str(error))})") from None
    except (RecursionError, ValueError, OverflowError):
        raise bad_file(name, "it is not TOML that can be read", expected=f"a document of schema {SCHEMA}") from None
    return _document(tree, "toml", name)


def load_json(text: str, *, name: str = "the file") -> ImportedDocument:
    """Read a document from JSON.

    Raises:
        BadFile: It is not JSON, or not such a document; nothing is imported then.
    """

    def no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add() gives None
            raise bad_file(name, f"the key {quoted(twice)} stands twice in one table", expected="each key once")
        return found

    try:
        tree = json.loads(text, object_pairs_hook=no_doubles)
    except json.JSONDecodeError as error:
        raise bad_file(name, f"it is not JSON ({printable(error.msg)})", line=error.lineno) from None
    except (RecursionError, ValueError, OverflowError):
        raise bad_file(name, "it is not JSON that can be read", expected=f"a document of schema {SCHEMA}") from None
    return _document(tree, "json", name)


def _json_moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"cannot write {type(value).__name__}")


def _plain(document: ImportedDocument) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "policy": {domain: _policy(policy) for domain, policy in sorted(document.policies.items())},
        "revoked": [
            _given(fingerprint=r.fingerprint, revoked_at=r.revoked_at, revoked_by=r.revoked_by, reason=r.reason)
            for r in document.revoked
        ],
        "entry": [_entry(entry) for entry in document.entries],
        "certificate": [_given(fingerprint=Fingerprint.of(data), der=data) for data in document.certificates],
    }


def _given(**values: object) -> dict[str, object]:
    """Leave out what is empty, and bring the rest to plain types."""
    return {key: _value(value) for key, value in values.items() if value is not None and value != ""}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value if isinstance(value, list) else str(value)


def _policy(policy: Policy | Override) -> dict[str, object]:
    return _given(mode=policy.mode, pin=policy.pin, expired=policy.expired)


def _entry(entry: Entry) -> dict[str, object]:
    protocol = entry.endpoint.protocol
    return _given(
        endpoint=entry.endpoint,
        protocol=None if protocol == "tls" else protocol,
        domain=entry.domain,
        state=entry.state,
        server_name=entry.server_name,
        created_at=entry.created_at,
        last_seen=entry.last_seen,
        presented=entry.presented,
        rejected=entry.rejected,
        rejected_at=entry.rejected_at,
        **_policy(entry.override),
        pins=[_pin(pin) for pin in entry.pins],
    )


def _pin(pin: Pin) -> dict[str, object]:
    return _given(
        kind=pin.kind,
        fingerprint=pin.fingerprint,
        state=pin.state,
        evidence=pin.evidence,
        added_at=pin.added_at,
        added_by=pin.added_by,
        certificate=pin.certificate,
        first_seen=pin.first_seen,
        last_seen=pin.last_seen,
    )


def _document(tree: object, notation: str, name: str) -> ImportedDocument:
    table = Table(tree, "", name)
    schema = table.text("schema")
    if schema != SCHEMA:
        newer = schema.startswith(_FAMILY)
        raise table.error(
            "schema",
            f"the schema {quoted(schema)} is of another version" if newer else f"{quoted(schema)} is no trust store",
            SCHEMA + (" (update Troth, or export again)" if newer else ""),
        )
    policies = _read_policies(table, name)
    revoked = tuple(_read_revocation(row) for row in table.rows("revoked"))
    _once(table, "revoked", [r.fingerprint for r in revoked])
    entries = tuple(_read_entry(row) for row in table.rows("entry"))
    _once(table, "entry", [entry.endpoint for entry in entries])
    certificates = tuple(_read_certificate(row) for row in table.rows("certificate"))
    _once(table, "certificate", list(certificates))
    _require_bearers(table, entries, certificates)
    table.close()
    return ImportedDocument(
        format=notation, entries=entries, policies=policies, revoked=revoked, certificates=certificates
    )


def _require_bearers(table: Table, entries: Sequence[Entry], certificates: Sequence[bytes]) -> None:
    """Require that the certificate that a key pin names bears the key, so that no list shows another's subject."""
    keys = {view.fingerprint: view.spki for view in map(_readable, certificates) if view is not None}
    for index, entry in enumerate(entries):
        for pin in entry.pins:
            if (
                pin.kind is PinKind.KEY
                and pin.certificate
                and keys.get(pin.certificate, pin.fingerprint) != pin.fingerprint
            ):
                place = f"entry[{index}].pins"
                raise table.error(
                    place, f"{pin.certificate} does not bear the key {pin.fingerprint}", "a certificate of it"
                )


def _readable(data: bytes) -> CertificateView | None:
    try:
        return CertificateView.from_der(data)
    except BadCertificate:
        return None


def _once(table: Table, key: str, values: Sequence[object]) -> None:
    seen: set[object] = set()
    for index, value in enumerate(values):
        if value in seen:
            shown = Fingerprint.of(value) if isinstance(value, bytes) else value
            raise table.error(f"{key}[{index}]", f"{quoted(shown, 120)} stands twice", "each one once")
        seen.add(value)


def _read_policies(table: Table, name: str) -> dict[str, Policy]:
    policies = {}
    for domain, value in table.table("policy").items():
        row = Table(value, f"policy.{domain}", name)
        if domain not in DOMAINS:
            raise row.error("", f"the domain {quoted(domain)} is not known", "one of " + ", ".join(DOMAINS))
        standard = Policy()
        policies[domain] = Policy(
            mode=row.choice("mode", CheckMode, standard.mode),
            pin=row.choice("pin", PinKind, standard.pin),
            expired=row.choice("expired", Expiry, standard.expired),
        )
        row.close()
    return policies


def _read_revocation(row: Table) -> Revocation:
    found = Revocation(
        fingerprint=row.fingerprint("fingerprint"),
        revoked_at=row.moment("revoked_at"),
        revoked_by=printable(row.text("revoked_by", "")),
        reason=row.text("reason", ""),
    )
    row.close()
    return found


def _read_certificate(row: Table) -> bytes:
    expected, data = row.fingerprint("fingerprint"), row.base64("der")
    try:
        found = CertificateView.from_der(data).fingerprint
    except BadInput as error:
        raise row.error(
            "der", f"the certificate cannot be read ({printable(error.why)})", "a certificate in DER"
        ) from None
    if found != expected:
        raise row.error("fingerprint", "the fingerprint is not that of the certificate", str(found))
    row.close()
    return data


def _read_entry(row: Table) -> Entry:
    domain = row.text("domain", DEFAULT_DOMAIN)
    if domain not in DOMAINS:
        raise row.wrong("domain", domain, "one of " + ", ".join(DOMAINS))
    pins = tuple(_read_pin(pin) for pin in row.rows("pins"))
    if len(pins) > MAX_PINS:
        raise row.error("pins", f"it holds {len(pins)} pins of one endpoint", f"at most {MAX_PINS}")
    # What waits in quarantine may be what was trusted once.
    waiting = PinState.QUARANTINED
    _once(row, "pins", [f"{pin.kind} {pin.fingerprint}" for pin in pins if pin.state is not waiting])
    _once(row, "pins", [f"{pin.kind} {pin.fingerprint}" for pin in pins if pin.state is waiting])
    entry = Entry(
        endpoint=_read_endpoint(row),
        domain=domain,
        state=row.choice("state", EntryState, EntryState.ACTIVE),
        pins=pins,
        override=Override(
            mode=row.optional_choice("mode", CheckMode),
            pin=row.optional_choice("pin", PinKind),
            expired=row.optional_choice("expired", Expiry),
        ),
        server_name=_read_server_name(row),
        created_at=row.moment("created_at"),
        last_seen=row.optional_moment("last_seen"),
        presented=row.optional_fingerprint("presented"),
        rejected=row.optional_fingerprint("rejected"),
        rejected_at=row.optional_moment("rejected_at"),
    )
    row.close()
    return entry


def _read_server_name(row: Table) -> str:
    text = row.text("server_name", "")
    try:
        return canonical_host(text) if text else ""
    except BadInput as error:
        raise row.error("server_name", printable(error.what.rstrip(".")), "a host name or an address") from None


def _read_endpoint(row: Table) -> Endpoint:
    text, protocol = row.text("endpoint"), row.text("protocol", "tls")
    try:
        return Endpoint.parse(text, protocol=protocol)
    except BadInput as error:
        raise row.error("endpoint", printable(error.what.rstrip(".")), "host:port or [v6 address]:port") from None


def _read_pin(row: Table) -> Pin:
    pin = Pin(
        kind=row.choice("kind", PinKind),
        fingerprint=row.fingerprint("fingerprint"),
        state=row.choice("state", PinState),
        evidence=row.choice("evidence", Evidence),
        added_at=row.moment("added_at"),
        added_by=printable(row.text("added_by", "")),
        certificate=row.optional_fingerprint("certificate"),
        first_seen=row.optional_moment("first_seen"),
        last_seen=row.optional_moment("last_seen"),
    )
    row.close()
    if pin.kind is PinKind.CERTIFICATE and pin.certificate not in (None, pin.fingerprint):
        raise row.error("certificate", "the pin holds another certificate than it names", str(pin.fingerprint))
    return pin
