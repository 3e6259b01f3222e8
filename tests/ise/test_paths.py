"""Paths: nothing that a caller gives becomes another path than was meant."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import BadInput
from troth.ise import paths

_HEX = "0123456789abcdefABCDEF"


@pytest.mark.parametrize(
    "text", ["00:11:22:aa:bb:cc", "00-11-22-AA-BB-CC", "0011.22aa.bbcc", "001122AABBCC", "00:11:22:aA:Bb:cC"]
)
def test_every_notation_of_a_mac_address_becomes_ises(text: str) -> None:
    """Upper case, colons."""
    assert paths.session_of_mac(text) == "/admin/API/mnt/Session/MACAddress/00:11:22:AA:BB:CC"


@pytest.mark.parametrize(
    "text",
    ["", "00:11:22:AA:BB", "00:11:22:AA:BB:CC:DD", "00:11-22:AA:BB:CC", "00:11:22:AA:BB:CG", "../../../etc/pw",
     "00:11:22:AA:BB:CC/x", "00:11:22:AA:BB:CC\n", "٠٠:11:22:AA:BB:CC", "0:0:1:1:2:2:aabbcc", "00112.2AABBCC"],
)  # fmt: skip
def test_what_is_no_mac_address_is_refused(text: str) -> None:
    """Also what would be one after the separators are gone, and digits of other scripts."""
    with pytest.raises(BadInput):
        paths.mac(text)


@given(st.text(alphabet=_HEX, min_size=12, max_size=12))
def test_mac_is_idempotent(digits: str) -> None:
    """What came out goes in."""
    once = paths.mac(digits)
    assert paths.mac(once) == once == once.upper()
    assert once.replace(":", "") == digits.upper()


@given(st.text(min_size=1, max_size=256))
def test_a_user_is_one_segment_and_comes_back(name: str) -> None:
    """The encoded name has no separator, decodes to the name, and is refused where it cannot be sent."""
    try:
        path = paths.session_of_user(name)
    except BadInput:
        assert name in (".", "..") or any(
            ord(ch) < 32 or 127 <= ord(ch) < 160 or 0xD800 <= ord(ch) < 0xE000 for ch in name
        )
        return
    segment = path.removeprefix("/admin/API/mnt/Session/UserName/")
    assert unquote(segment) == name
    assert segment.isascii()
    assert not set(segment) & set("/?#;\\ :@&=+,\"'<>[]{}|^`")
    assert segment not in (".", "..")


@pytest.mark.parametrize("name", ["", "a" * 257, ".", "..", "a\nb", "a\x00b", "a\x85b", "\ud800"])
def test_names_that_cannot_be_asked_for(name: str) -> None:
    """Empty, too long, a step to another path, control characters."""
    with pytest.raises(BadInput):
        paths.session_of_user(name)


def test_addresses() -> None:
    """IPv4 and IPv6 in canonical form; nothing else."""
    assert paths.session_of_address("192.0.2.1").endswith("/IPAddress/192.0.2.1")
    assert paths.session_of_address("2001:DB8:0::1").endswith("/IPAddress/2001%3Adb8%3A%3A1")
    for text in ("", "192.0.2", "192.0.2.1/24", "010.0.0.1", "fe80::1%eth0", "host", "1.2.3.4 "):
        with pytest.raises(BadInput):
            paths.session_of_address(text)


def test_times() -> None:
    """Open ends are `null`, blanks are encoded, and a time that ends before it begins is refused."""
    early, late = datetime(2030, 1, 1), datetime(2030, 1, 2, 3, 4, 5)
    assert paths.authenticated(None, None).endswith("/AuthList/null/null")
    assert paths.authenticated(early, late).endswith("/AuthList/2030-01-01%2000:00:00/2030-01-02%2003:04:05")
    assert paths.authenticated(early, early)
    with pytest.raises(BadInput):
        paths.authenticated(late, early)


def test_ranges_are_bounded() -> None:
    """Seconds, records, pages."""
    assert paths.auth_status("001122aabbcc", seconds=432_000, records=1).endswith(
        "/AuthStatus/MACAddress/00:11:22:AA:BB:CC/432000/1/All"
    )
    for seconds, records in ((0, 1), (-1, 1), (432_001, 1), (1, 0), (1, 501)):
        with pytest.raises(BadInput):
            paths.auth_status("001122aabbcc", seconds=seconds, records=records)
    assert paths.certificates("ise-1", page=2) == "/api/v1/certs/system-certificate/ise-1?page=2&size=100"
    for host, page in (
        ("", 1),
        ("a/b", 1),
        ("..", 1),
        ("a?b", 1),
        ("-a", 1),
        ("a", 0),
        ("a", 1001),
        ("a" * 64, 1),
        ("a.", 1),
    ):
        with pytest.raises(BadInput):
            paths.certificates(host, page=page)
