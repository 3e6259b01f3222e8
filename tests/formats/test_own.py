"""Troth's own export: without loss, and strict."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.errors import BadFile
from troth.formats import ImportedDocument, Revocation, dump_json, dump_toml, load, load_json, load_toml
from troth.formats.toml_writer import write_toml
from troth.model.endpoint import PROTOCOLS, Endpoint
from troth.model.entry import (
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

WHEN = datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=UTC)
FP = Fingerprint(bytes(range(32)))
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
PEOPLE = WORDS.map(printable)  # whoever imported a name has made it safe
NAMES = st.sampled_from(["", "ise.example.test", "192.0.2.9", "xn--bcher-kva.example"])
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))  # made aware by timezones
FINGERPRINTS = st.binary(min_size=32, max_size=32).map(Fingerprint)
ENDPOINTS = st.builds(
    lambda host, port, protocol: Endpoint.parse(f"{host}:{port}", protocol=protocol),
    st.sampled_from(
        ["192.0.2.1", "[2001:db8::1]", "[fe80::1%eth0]", "a_b", "ise.example.test", "xn--bcher-kva.example"]
    ),
    st.integers(1, 65535),
    st.sampled_from(PROTOCOLS),
)
PINS = st.builds(
    Pin,
    kind=st.sampled_from(PinKind), fingerprint=FINGERPRINTS, state=st.sampled_from(PinState), evidence=st.sampled_from(Evidence),
    added_at=MOMENTS, added_by=PEOPLE, certificate=st.none() | FINGERPRINTS, first_seen=st.none() | MOMENTS,
    last_seen=st.none() | MOMENTS,
).map(lambda pin: replace(pin, certificate=pin.fingerprint) if pin.certificate and pin.kind is PinKind.CERTIFICATE else pin)  # fmt: skip
OVERRIDES = st.builds(
    Override,
    mode=st.none() | st.sampled_from(CheckMode),
    pin=st.none() | st.sampled_from(PinKind),
    expired=st.none() | st.sampled_from(Expiry),
)
ENTRIES = st.builds(
    Entry,
    endpoint=ENDPOINTS, domain=st.sampled_from(DOMAINS), state=st.sampled_from(EntryState),
    pins=st.lists(PINS, max_size=3, unique_by=lambda pin: (pin.kind, pin.fingerprint)).map(tuple), override=OVERRIDES,
    server_name=NAMES, created_at=MOMENTS, last_seen=st.none() | MOMENTS, presented=st.none() | FINGERPRINTS,
    rejected=st.none() | FINGERPRINTS, rejected_at=st.none() | MOMENTS,
)  # fmt: skip
POLICIES = st.builds(
    Policy, mode=st.sampled_from(CheckMode), pin=st.sampled_from(PinKind), expired=st.sampled_from(Expiry)
)
REVOKED = st.builds(Revocation, fingerprint=FINGERPRINTS, revoked_at=MOMENTS, revoked_by=PEOPLE, reason=WORDS)


@cache
def certificate() -> bytes:
    """Make one real certificate."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
               "-subj", "/CN=x", "-outform", "DER"]  # fmt: skip
    return subprocess.run(command, capture_output=True, check=True).stdout


DOCUMENTS = st.builds(
    ImportedDocument,
    entries=st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry.endpoint).map(tuple),
    policies=st.dictionaries(st.sampled_from(DOMAINS), POLICIES),
    revoked=st.lists(REVOKED, max_size=2, unique_by=lambda r: r.fingerprint).map(tuple),
    certificates=st.booleans().map(lambda some: (certificate(),) if some else ()),
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_a_store_is_written_and_read_without_loss(document: ImportedDocument) -> None:
    """TOML and JSON give back every pin, setting, date, tombstone, policy, revocation and certificate."""
    for dump, notation in ((dump_toml, "toml"), (dump_json, "json")):
        found = load(dump(document).encode())
        assert found.format == notation
        assert found.entries == document.entries
        assert found.policies == document.policies
        assert found.revoked == document.revoked
        assert found.certificates == document.certificates
        assert dump(found) == dump(document)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_the_toml_writer_escapes_every_text(table: dict[str, str]) -> None:
    """Any keys and texts are read back by the standard library, and no control character reaches the file."""
    text = write_toml({"a": [table], **table} if "a" not in table else table)
    assert tomllib.loads(text)["a"] == (table.get("a", [table]))
    assert not any((ch < " " and ch != "\n") or "\x7f" <= ch < "\xa0" or ch == "\u202e" for ch in text)


PIN = Pin(kind=PinKind.KEY, fingerprint=FP, state=PinState.CURRENT, evidence=Evidence.APPROVED, added_at=WHEN)
SAMPLE = ImportedDocument(
    entries=(Entry(endpoint=Endpoint.parse("h:443"), created_at=WHEN, pins=(PIN,)),),
    policies={"system": Policy()},
    revoked=(Revocation(fingerprint=FP, revoked_at=WHEN),),
)


def test_the_document_reads_well() -> None:
    """A person finds schema, policy, entries and pins in plain TOML."""
    text = dump_toml(SAMPLE)
    assert 'schema = "troth.trust/1"' in text
    assert "[policy.system]" in text
    assert '[[entry]]\nendpoint = "h:443"' in text
    assert "[[entry.pins]]" in text
    assert "added_at = 2026-01-31T12:00:00.250000Z" in text


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("troth.trust/1", "troth.trust/2", "schema"),
        ("troth.trust/1", "other/1", "schema"),
        ('"schema": "troth.trust/1"', '"schema": 1', "schema"),
        ('"kind": "key"', '"kind": "any"', "entry[0].pins[0].kind"),
        ('"kind": "key"', '"kind": "key", "extra": 1', "entry[0].pins[0].extra"),
        ('"kind": "key"', '"kind": ["key"]', "entry[0].pins[0].kind"),
        ('"kind": "key",', "", "entry[0].pins[0].kind"),
        ('"state": "current"', '"state": "trusted"', "entry[0].pins[0].state"),
        ('"endpoint": "h:443"', '"endpoint": "h:0"', "entry[0].endpoint"),
        ('"endpoint": "h:443"', '"endpoint": "h:443", "protocol": "gopher"', "entry[0].endpoint"),
        ('"domain": "system"', '"domain": "root"', "entry[0].domain"),
        ('"domain": "system"', '"domain": "system", "added_by": "\\ud800"', "entry[0].added_by"),
        ('"created_at": "2026-01-31T12:00:00.250000Z"', '"created_at": "2026-01-31T12:00:00"', "entry[0].created_at"),
        ('"created_at": "2026-01-31T12:00:00.250000Z"', '"created_at": "2026-02-31T12:00:00Z"', "entry[0].created_at"),
        (
            '"created_at": "2026-01-31T12:00:00.250000Z"',
            '"created_at": "0001-01-01T00:00:00+14:00"',
            "entry[0].created_at",
        ),
        ('"policy": {', '"policy": {"root": {}, ', "policy.root"),
        ('"certificate": []', f'"certificate": [{{"fingerprint": "{FP}", "der": "MAA="}}]', "certificate[0].der"),
        ('"certificate": []', f'"certificate": [{{"fingerprint": "{FP}", "der": "!"}}]', "certificate[0].der"),
        ('"certificate": []', '"certificate": {}', "certificate"),
        ('"certificate": []', '"certificate": [1]', "certificate[0]"),
        ('"certificate": []', '"certificates": []', "certificates"),
    ],
)
def test_whatever_is_not_known_is_refused_with_its_place(old: str, new: str, place: str) -> None:
    """Unknown keys, wrong types, missing and impossible values name file, place and what is expected."""
    text = dump_json(SAMPLE)
    assert old in text
    with pytest.raises(BadFile) as caught:
        load_json(text.replace(old, new, 1), name="trust.json")
    assert f"trust.json, {place}:" in caught.value.what
    assert "nothing was imported" in caught.value.why


def test_a_certificate_must_have_its_fingerprint() -> None:
    """DER under another certificate's fingerprint is refused: it would be shown for what it is not."""
    text = dump_json(ImportedDocument(certificates=(certificate(),)))
    with pytest.raises(BadFile, match=r"certificate\[0\]\.fingerprint"):
        load_json(text.replace(str(Fingerprint.of(certificate())), str(FP)))
    assert base64.b64encode(certificate()).decode() in text


@pytest.mark.parametrize("key", ["entry", "revoked"])
def test_doubles_are_refused(key: str) -> None:
    """The same endpoint, pin or revocation twice is an error; also when it is only spelled in another way."""
    tree = json.loads(dump_json(SAMPLE))
    tree[key].append(json.loads(json.dumps(tree[key][0]).replace("h:443", "H.:443")))
    with pytest.raises(BadFile, match=rf"{key}\[1\].*stands twice"):
        load_json(json.dumps(tree))
    tree = json.loads(dump_json(SAMPLE))
    tree["entry"][0]["pins"] *= 2
    with pytest.raises(BadFile, match=r"entry\[0\]\.pins\[1\].*stands twice"):
        load_json(json.dumps(tree))


def test_a_key_twice_is_refused_in_both_notations() -> None:
    """JSON readers silently take the last of two equal keys; this one does not."""
    with pytest.raises(BadFile, match="stands twice"):
        load_json('{"schema": "troth.trust/1", "schema": "troth.trust/1"}')
    with pytest.raises(BadFile, match="line 2"):
        load_toml('schema = "troth.trust/1"\nschema = "troth.trust/1"\n')


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100000,
        '{"a":' * 100000,
        "{",
        '{"schema": 1e999}',
        '{"schema": NaN}',
        '{"schema": ' + "9" * 5000 + "}",
        "[]",
        "1",
        '""',
    ],
)
def test_hostile_json_is_a_bad_file(text: str) -> None:
    """Deep nesting, huge numbers and other shapes give one clear error."""
    with pytest.raises(BadFile):
        load_json(text)


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100000, "a." * 500000 + "a = 1", "a = {" + "b." * 500000 + "b = 1}", 'a = """\n' + "b." * 99 + 'b = 1"""',
     "a = " + "9" * 5000, '"' * 1000001, "a = 2026-99-99", "\\" * 200000, '"' + '\\"' * 200000, "x", "a = 1"],
)  # fmt: skip
def test_hostile_toml_is_a_bad_file(text: str) -> None:
    """Deep nesting and endless dotted keys are refused at once, not read for hours."""
    with pytest.raises(BadFile):
        load_toml(text)


@given(
    st.text(st.sampled_from("[]{}\"'=.,\\#\nschematrothu/1 :0-éT\0"), max_size=80),
    st.sampled_from((load_json, load_toml)),
)
def test_hostile_texts_raise_bad_file_only(text: str, reader: type) -> None:
    """Any text is a BadFile; so is any value in the place of a known key."""
    for candidate in (
        text,
        f'{{"schema": "troth.trust/1", "entry": [{{"endpoint": {text}}}]}}',
        f'schema = "troth.trust/1"\nentry = {text}',
    ):
        with contextlib.suppress(BadFile):
            reader(candidate)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["schema", "policy", "revoked", "entry", "certificate"]), VALUES, st.booleans())
def test_any_json_value_anywhere_is_read_or_a_bad_file(key: str, value: object, deeper: bool) -> None:
    """Values of every type in every place raise BadFile or are read, and nothing else."""
    tree = json.loads(dump_json(SAMPLE))
    if deeper and key == "entry":
        tree["entry"][0]["pins"][0] = value
    elif deeper and key == "policy":
        tree["policy"]["system"] = value
    else:
        tree[key] = value
    try:
        load_json(json.dumps(tree))
    except BadFile as error:
        assert error.what.isprintable()
