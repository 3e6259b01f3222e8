"""The incumbent's listcerts text, read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import BadFile
from troth.formats import detect, dump_listcerts, load, load_listcerts
from troth.model.endpoint import Endpoint
from troth.model.name import same_subject

PRIME = "/C=US/ST=CA/L=SJ/O=Example Systems/OU=Prime Infra/CN=prime-pri"
LIST_36 = """\
prime-pri/admin# ncs certvalidation tofu-certs listcerts
Host certificate are automatically added to this list on first connection,
if trust-on-first-use is configured - ncs certvalidation certificate-check ...
host=192.0.2.10_8082;  subject= /C=US/ST=CA/L=SJ/O=Example Systems/OU=Prime Infra/CN=prime-pri
host=192.0.2.30_443;  subject= /C=US/ST=CA/L=SJ/O=Example Systems/OU=Prime Infra/CN=ISE-server
prime-pri/admin#
"""


def test_the_list_of_3_6_is_written_byte_for_byte() -> None:
    """Banner, two blanks after the semicolon, one after `subject=`, and a line feed at the end."""
    body = "".join(line + "\n" for line in LIST_36.splitlines()[1:5])
    entries = [("192.0.2.10_8082", PRIME), ("192.0.2.30_443", PRIME.replace("prime-pri", "ISE-server"))]
    assert dump_listcerts(entries) == body
    assert dump_listcerts(entries, banner=False) == "".join(body.splitlines(keepends=True)[2:])
    assert dump_listcerts([("h_1", "")], banner=False) == "host=h_1;  subject= \n"


def test_the_list_of_3_6_is_read_with_its_node_and_lines() -> None:
    """Every entry becomes a hint that knows its key, line and node; none becomes a pin."""
    for text in (LIST_36, LIST_36.replace("\n", "\r\n"), LIST_36.replace("\n", "   \r\n"), "\x1b[?2004h" + LIST_36):
        found = load(text.encode())
        assert found.format == "listcerts"
        assert not found.pins
        assert not found.entries
        assert not found.warnings
        assert [(hint.key, hint.line, hint.node) for hint in found.hints] == [
            ("192.0.2.10_8082", 4, "prime-pri"),
            ("192.0.2.30_443", 5, "prime-pri"),
        ]
        assert found.hints[0].subject == PRIME


def test_the_list_of_3_9_is_read() -> None:
    """No banner, openssl's subject form, one blank or two, blanks at line ends."""
    found = load("host=192.0.2.5_443; subject=CN = kong  \nhost=192.0.2.6_443;  subject=CN = kong\n")
    assert [hint.subject for hint in found.hints] == ["CN = kong", "CN = kong"]
    assert same_subject(found.hints[0].subject, "CN=kong")


@pytest.mark.parametrize(
    ("key", "endpoint"),
    [
        ("a_b_8082", Endpoint.parse("a_b:8082")),
        ("2001:db8::1_8082", Endpoint.parse("[2001:db8::1]:8082")),
        ("2001:0DB8:0::1_443", Endpoint.parse("[2001:db8::1]:443")),
        ("::ffff:192.0.2.1_443", Endpoint.parse("192.0.2.1:443")),
        ("127.0.0.1_8082", Endpoint.parse("127.0.0.1:8082")),
    ],
)
def test_a_key_is_split_at_its_last_underscore(key: str, endpoint: Endpoint) -> None:
    """Addresses of IPv6 and names with underscores keep their port apart, and the printed key is kept."""
    (hint,) = load_listcerts(f"host={key};  subject= /CN=x\n").hints
    assert (hint.endpoint, hint.key) == (endpoint, key)


@pytest.mark.parametrize("width", [40, 60, 72, 80, 132])
def test_entries_that_a_terminal_broke_are_joined(width: int) -> None:
    """A list that was broken at any usual width gives the same hints."""
    lines = []
    for line in LIST_36.splitlines()[3:5]:
        lines += [line[start : start + width] for start in range(0, len(line), width)]
    found = load_listcerts("\n".join(lines))
    assert [hint.key for hint in found.hints] == ["192.0.2.10_8082", "192.0.2.30_443"]
    if width >= 80:
        assert found.hints[0].subject == PRIME


def test_an_entry_broken_at_a_blank_keeps_its_subject() -> None:
    """A page breaks a line at a blank and the copy loses it."""
    found = load_listcerts(
        "host=192.0.2.10_8082;\nsubject= /C=US/ST=CA/L=SJ/O=Example\nSystems/OU=Prime Infra/CN=prime-pri\n\n"
    )
    assert found.hints[0].subject == PRIME


def test_other_lines_are_warned_of_and_never_become_part_of_a_subject() -> None:
    """A log line after an entry is named in a warning."""
    found = load_listcerts(LIST_36.rsplit("\n", 2)[0] + "\n[system] [HealthMonitorThread] TOFU failed.\nhello\n")
    assert found.hints[1].subject.endswith("CN=ISE-server")
    assert [warning.split(" is")[0] for warning in found.warnings] == ["line 6", "line 7"]


@pytest.mark.parametrize(
    "text",
    ["host=192.0.2.1;  subject= /CN=x", "host=_443;  subject= /CN=x", "host=a_99999;  subject=", "host=010.0.0.1_443; subject=x",
     "host=a_443; issuer=x", "host=" + " " * 100000, "host=a_443;" * 9000, "hello\nworld"],
)  # fmt: skip
def test_a_bad_entry_stops_the_import_and_names_its_line(text: str) -> None:
    """Nothing is imported from a list with an entry that has no clear meaning."""
    with pytest.raises(BadFile) as caught:
        load_listcerts("\n" + text, name="list.txt")
    assert "list.txt" in caught.value.what
    assert "line 2" in caught.value.what or not text.startswith("host=")


def test_an_empty_list_is_a_list() -> None:
    """The command and the banner alone are an empty list, not an error."""
    assert load(dump_listcerts([])).hints == ()
    assert load("n1/admin# ncs certvalidation tofu-certs listcerts\nn1/admin#\n").hints == ()


def test_the_same_entry_twice_is_one_hint_and_a_warning() -> None:
    """Repeats are not dropped in silence; the same host with another subject stays."""
    found = load_listcerts("host=a_1; subject=CN=x\nhost=a_1; subject=CN=x\nhost=a_1; subject=CN=y\n")
    assert len(found.hints) == 2
    assert (found.warnings, found.notes) == ((), ("line 2 repeats line 1",))


def test_a_hostile_subject_cannot_forge_a_line() -> None:
    """Line feeds, escapes and separators in a subject are shown, so the list has as many lines as entries."""
    evil = "/CN=a\nhost=192.0.2.1_443;  subject= /CN=forged\x1b[2K\u2028\r"
    text = dump_listcerts([("192.0.2.2_443", evil)], banner=False)
    assert text.count("\n") == 1
    assert text.isascii()
    assert "\x1b" not in text
    assert [hint.key for hint in load(text).hints] == ["192.0.2.2_443"]


KEYS = st.sampled_from(["192.0.2.1_443", "a_b_8082", "2001:db8::1_8082", "ise.example.test_443"])


@given(st.lists(st.tuples(KEYS, st.text(max_size=60)), max_size=6, unique_by=lambda row: row[0]), st.booleans())
def test_what_was_written_is_read_again(entries: list[tuple[str, str]], banner: bool) -> None:
    """Any list of keys is read back whole, whatever the subjects hold."""
    text = dump_listcerts(entries, banner=banner) + ("" if banner or entries else "x/admin#\n")
    assert [hint.key for hint in load_listcerts(text).hints] == [key for key, _ in entries]


@given(st.text(st.sampled_from("host=_;: subject/CN\r\n\x1b[m#.1a4é|"), max_size=120))
def test_hostile_lists_raise_bad_file_only(text: str) -> None:
    """Any text is a list or a BadFile."""
    for candidate in (text, "host=" + text, "host=a_1;" + text):
        try:
            load_listcerts(candidate)
            detect(candidate)
        except BadFile:
            pass
