"""Telling formats apart, and refusing what is no text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import troth.formats
from troth.errors import BadFile, BadInput
from troth.formats import ImportedDocument, detect, dump_json, dump_listcerts, dump_toml, load

LIST = dump_listcerts([("192.0.2.1_443", "/CN=x")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (dump_toml(ImportedDocument()), "toml"),
        (dump_json(ImportedDocument()), "json"),
        ("\n|g0|h|443|0|AAAA\n", "gnutls"),
        (LIST, "listcerts"),
        ("host=a_1; subject=CN = kong\n", "listcerts"),
    ],
)
def test_each_format_is_told_by_its_signs(text: str, expected: str) -> None:
    """Every format that Troth reads is detected without being named."""
    assert detect(text) == expected
    assert detect("\r\n" + text) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (LIST.encode("utf-16"), "UTF-16"),
        (LIST.encode("utf-16-le"), "UTF-16"),
        (LIST.encode() + b"\0", "line 4: it holds a NUL"),
        (LIST.encode() + b"host=a_1;  subject= /O=Soci\xe9t\xe9", "line 4: it is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\0\0", "NUL"),
        (b"hello", "format cannot be told"),
    ],
)
def test_what_is_no_text_is_refused_in_one_clear_message(data: bytes, reason: str) -> None:
    """Empty, binary, UTF-16 and Latin-1 files and unknown formats name the reason and the file."""
    with pytest.raises(BadFile) as caught:
        load(data, name="in\x1b.txt")
    assert reason in caught.value.what
    assert r"in\x1b.txt" in caught.value.what
    assert caught.value.next_command


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """An UTF-8 file of Windows begins with one."""
    assert len(load(b"\xef\xbb\xbf" + LIST.encode()).hints) == 1


def test_a_file_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of bytes holds before anything is decoded, the limit of entries while they are read."""
    monkeypatch.setattr(troth.formats, "MAX_BYTES", 10)
    with pytest.raises(BadFile, match="larger"):
        load(LIST)
    monkeypatch.undo()
    monkeypatch.setattr("troth.formats.listcerts.MAX_ENTRIES", 1)
    with pytest.raises(BadFile, match="more than 1 entries"):
        load(LIST + "host=b_1;  subject= /CN=x\n")


def test_an_unknown_format_name_is_bad_input() -> None:
    """A format that does not exist is the caller's mistake, and the known ones are named."""
    with pytest.raises(BadInput, match="listcerts"):
        load("x", "csv")


@given(st.binary(max_size=80), st.sampled_from([None, "toml", "json", "gnutls", "listcerts"]))
def test_arbitrary_bytes_raise_bad_file_only(data: bytes, format_name: str | None) -> None:
    """No content of a file makes anything else than a document or a BadFile."""
    with contextlib.suppress(BadFile):
        load(data, format_name)
