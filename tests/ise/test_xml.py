"""The XML reader: what ISE sends becomes models, and nothing that anybody sends becomes anything else."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from troth.errors import IseNotUnderstood
from troth.ise import documents, xml
from troth.ise.models import NodeType, Session
from troth.model.text import printable

DECLARED = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
# What XML 1.0 can carry, without what a parser would change (line ends).
CARRIED = st.text(
    st.characters(min_codepoint=32, exclude_categories=("Cs",), exclude_characters="\x7f\ufffe\uffff"), max_size=40
)
VALUES = st.dictionaries(
    st.sampled_from(
        [
            "user_name",
            "calling_station_id",
            "nas_ip_address",
            "framed_ip_address",
            "acct_session_id",
            "audit_session_id",
            "server",
        ]
    ),
    CARRIED,
)


def shown(text: str) -> str:
    """Give a text as models have it."""
    return printable(text.strip())


def sessions(rows: list[dict[str, str]], spelling: str = "activeSessionList", extra: str = "") -> bytes:
    """Write a list."""
    inner = "".join(
        "<activeSession>" + "".join(f"<{n}>{escape(v)}</{n}>" for n, v in row.items()) + extra + "</activeSession>"
        for row in rows
    )
    return DECLARED + f'<{spelling} noOfActiveSession="{len(rows)}">{inner}</{spelling}>'.encode()


@given(st.lists(VALUES, max_size=5), st.sampled_from(["activeSessionList", "activeList"]))
def test_lists_are_read_whatever_is_absent(rows: list[dict[str, str]], spelling: str) -> None:
    """Any child may be absent, both spellings are one, unknown children are left out, and texts come back."""
    found = documents.sessions(sessions(rows, spelling, "<unheard_of><user_name>mallory</user_name></unheard_of>"))
    assert found.complete
    assert found.announced == len(rows)
    for row, each in zip(rows, found.sessions, strict=True):
        assert each.user_name == shown(row.get("user_name", ""))
        assert each.server == shown(row.get("server", ""))
        assert each.accounting_id == shown(row.get("acct_session_id", ""))
        assert "mallory" not in repr(each)


@given(st.binary(max_size=300))
@example(b"\xff\xfe<\x00a\x00/\x00>\x00")
@example(b"<activeList/>" * 2)
@example(b"<a:activeList/>")
def test_any_bytes_are_a_list_or_refused(data: bytes) -> None:
    """No bytes lead to anything but a list or the one error."""
    for reader in (
        documents.sessions, documents.session, documents.version, documents.count, documents.auth_status,
        documents.failure_reasons, documents.nodes, documents.certificates,
    ):  # fmt: skip
        try:
            reader(data)
        except IseNotUnderstood as refused:
            assert refused.why
    documents.says_no_session(data)


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Give a real list with bytes changed, taken out or put in."""
    data = bytearray(sessions([{"user_name": "alice", "calling_station_id": "00:11:22:33:44:55"}] * 2))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        piece = draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"<", b">", b"&", b"&#0;", b"]]>", b"<![CDATA["]))
        )
        data[at : at + draw(st.integers(0, 3))] = piece
    return bytes(data)


@given(mutants())
@settings(max_examples=300)
def test_damaged_lists_are_lists_or_refused(data: bytes) -> None:
    """Damage is seen, or what is read is still safe to print and bounded."""
    try:
        found = documents.sessions(data)
    except IseNotUnderstood:
        return
    for each in found.sessions:
        assert printable(each.user_name) == each.user_name


@given(CARRIED)
def test_texts_are_safe_to_print(text: str) -> None:
    """A user chooses the user name: no escape sequence, no bidirectional character, no column separator gets through."""
    hostile = text + "\u202e\u200b|\u0085"
    one = documents.sessions(sessions([{"user_name": hostile}])).sessions[0]
    assert one.user_name == shown(hostile)
    assert not set(one.user_name) & set("\u202e\u200b|\u0085")
    found = documents.version(f"<product name={quoteattr(hostile)}/>".encode())
    assert not set(found.product) & set("\u202e\u200b|\u0085")


def test_several_ipv6_addresses_and_other_shapes() -> None:
    """Several in one element, several elements, text directly, none; duplicates once."""
    inner = (
        "<framed_ipv6_address><ipv6_address>2001:db8::1</ipv6_address><ipv6_address>2001:db8::2</ipv6_address>"
        "</framed_ipv6_address><framed_ipv6_address><ipv6_address>2001:db8::2</ipv6_address></framed_ipv6_address>"
    )
    one = documents.sessions(sessions([{}], extra=inner)).sessions[0]
    assert one.framed_ipv6_addresses == ("2001:db8::1", "2001:db8::2")
    direct = documents.sessions(sessions([{"framed_ipv6_address": "2001:db8::3"}])).sessions[0]
    assert direct.framed_ipv6_addresses == ("2001:db8::3",)
    many = "".join(
        f"<framed_ipv6_address><ipv6_address>::{n:x}</ipv6_address></framed_ipv6_address>" for n in range(200)
    )
    assert len(documents.sessions(sessions([{}], extra=many)).sessions[0].framed_ipv6_addresses) < 65


def test_only_children_of_the_session_count() -> None:
    """A value deeper down, and a session inside a session, are not taken for one."""
    deep = "<other><user_name>mallory</user_name><activeSession><user_name>m</user_name></activeSession></other>"
    found = documents.sessions(sessions([{"server": "ise-1"}], extra=deep))
    assert (found.total, found.sessions) == (1, (Session(server="ise-1"),))


def test_prefixes_and_attributes_make_no_difference() -> None:
    """Some versions put a namespace's prefix in front."""
    data = b'<ns2:activeList xmlns:ns2="mnt" noOfActiveSession="1"><activeSession><user_name a="b">x</user_name></activeSession></ns2:activeList>'
    assert documents.sessions(data).sessions[0].user_name == "x"


def test_a_vpn_client_has_no_mac_address() -> None:
    """What is no MAC address stays as it is; what is one comes in ISE's spelling."""
    rows = [{"calling_station_id": "198.51.100.7"}, {"calling_station_id": "00-11-22-aa-bb-cc"}]
    assert [each.mac for each in documents.sessions(sessions(rows)).sessions] == ["198.51.100.7", "00:11:22:AA:BB:CC"]


@pytest.mark.parametrize(
    ("announced", "read"),
    [("3", 3), ("", None), ("x", None), ("-1", None), ("9" * 13, None), ("٣", None), ("1e3", None), (" 2 ", 2)],
)
def test_announced_numbers(announced: str, read: int | None) -> None:
    """What is no plain number is none."""
    data = f'<activeList noOfActiveSession="{announced}"/>'.encode()
    assert documents.sessions(data).announced == read


@pytest.mark.parametrize(
    ("number", "kind"), [*enumerate(list(NodeType)[:4]), (4, NodeType.UNKNOWN), ("", NodeType.UNKNOWN)]
)
def test_node_types(number: object, kind: NodeType) -> None:
    """The four documented types; any other is not known."""
    data = f"<product><type_of_node>{number}</type_of_node></product>".encode()
    assert documents.version(data).node_type is kind


def test_what_says_that_there_is_no_session() -> None:
    """ISE's own code says it; another code or a page for people does not."""
    said = "<mnt-rest-result><http-code>500</http-code><cpm-code>{}</cpm-code></mnt-rest-result>"
    assert documents.says_no_session(said.format(34110).encode())
    assert not documents.says_no_session(said.format(34111).encode())
    assert not documents.says_no_session(b"<html>34110</html>")
    assert documents.session(b"<sessionParameters><passed>true</passed></sessionParameters>") is None
    assert documents.session(b'<activeList noOfActiveSession="0"/>') is None
    assert documents.session(sessions([{"user_name": "x"}])) == Session(user_name="x")


def test_auth_status_is_newest_first_and_bounded() -> None:
    """The order is ISE's; passed may be told by its opposite, or not at all."""
    rows = "<authStatusElements><passed>false</passed></authStatusElements><authStatusElements><failed>false</failed></authStatusElements><authStatusElements/>"
    data = f"<authStatusOutputList><authStatusList key='x'>{rows}</authStatusList></authStatusOutputList>".encode()
    assert [each.passed for each in documents.auth_status(data)] == [False, True, None]


# Limits


LIMITS = {
    "depth": b"<activeList>" + b"<a>" * 20 + b"</a>" * 20 + b"</activeList>",
    "a text": b"<activeList><activeSession><user_name>" + b"a" * 70_000 + b"</user_name></activeSession></activeList>",
    "texts of one child": b"<activeList><activeSession>" + b"<a>aaaaaaaa</a>" * 500 + b"<b>" + b"a" * 64_000 + b"</b>"
    b"</activeSession></activeList>",
    "children": b"<activeList><activeSession>" + b"<a/>" * 600 + b"</activeSession></activeList>",
    "attributes": b"<activeList " + b" ".join(b'a%d=""' % n for n in range(40)) + b"/>",
    "parts of a small document": b"<product>" + b"<a/>" * 600 + b"</product>",
    "billion laughs": b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><activeList>&b;</activeList>',
    "an external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><activeList>&x;</activeList>',
    "a parameter entity": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/">%x;]><activeList/>',
    "a harmless document type": b"<!DOCTYPE activeList><activeList/>",
    "another root": b"<html/>",
    "two roots": b"<activeList/><activeList/>",
    "nothing": b"",
    "only a declaration": DECLARED,
    "an undeclared prefix of an attribute's value": b'<activeList a="&x;"/>',
}


@pytest.mark.parametrize("data", LIMITS.values(), ids=LIMITS.keys())
def test_limits(data: bytes) -> None:
    """Depth, sizes, numbers, entities: each limit refuses the whole document."""
    with pytest.raises(IseNotUnderstood):
        documents.version(data) if data.startswith(b"<product") else documents.sessions(data)


def test_documents_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of bytes and of elements, made smaller to be reached."""
    data = sessions([{"user_name": "x"}] * 100)
    monkeypatch.setattr(xml, "MAX_BYTES", len(data) - 1)
    with pytest.raises(IseNotUnderstood):
        documents.sessions(data)
    monkeypatch.setattr(xml, "MAX_BYTES", len(data))
    assert documents.sessions(data).total == 100
    monkeypatch.setattr(xml, "MAX_ELEMENTS", 200)
    with pytest.raises(IseNotUnderstood):
        documents.sessions(data)


def test_a_long_list_costs_what_is_kept_of_it() -> None:
    """The elements are forgotten as they are read: memory is for the sessions that were asked for."""
    import tracemalloc

    data = sessions([{"user_name": f"user{n}", "server": "ise-1"} for n in range(30_000)])
    tracemalloc.start()
    try:
        found = documents.sessions(data, limit=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.total, len(found.sessions)) == (30_000, 10)
    assert peak < 2 * len(data), "the whole tree takes ten times as much"


def test_the_declared_encoding_does_not_choose() -> None:
    """A document is UTF-8, whatever it says of itself."""
    for name in ("ISO-8859-1", "UTF-7", "utf-16", "koi8-r"):
        data = f'<?xml version="1.0" encoding="{name}"?><product name="é"/>'.encode()
        assert documents.version(data).product == "é"
    with pytest.raises(IseNotUnderstood):
        documents.version('<product name="é"/>'.encode("latin-1"))


# JSON


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b'{"response": {}}', b'{"response": [1]}', b'{"response": "x"}', b"\xff{}",
     b"[" * 100_000, json.dumps({"response": [{}] * 10_001}).encode(), b'{"response": [{}], "a": 1' + b"1" * 5000 + b"}"],
)  # fmt: skip
def test_json_that_is_no_answer(data: bytes) -> None:
    """Other types, damage, depth, more rows than there can be, numbers that are too long."""
    with pytest.raises(IseNotUnderstood):
        documents.certificates(data)


def test_certificates_in_json() -> None:
    """Fields of other types are left out; a fingerprint in any notation is read, and one that is none is None."""
    rows = [
        {"sha256Fingerprint": "AA:" * 31 + "AA", "usedBy": "Admin, EAP Authentication", "friendlyName": 3},
        {"sha256Fingerprint": "12", "usedBy": None},
        {"usedBy": ["Portal", 3], "issuedTo": "\u202ename"},
    ]
    found, more = documents.certificates(json.dumps({"response": rows, "nextPage": {"href": "x"}}).encode())
    assert more
    assert [each.fingerprint is None for each in found] == [False, True, True]
    assert found[0].usages == {"admin", "eap authentication"}
    assert found[0].name == ""
    assert found[2].issued_to == "\\u202ename"
    assert not documents.certificates(b'{"response": [], "nextPage": null}')[1]
    assert documents.nodes(b'{"response": [{"fqdn": "a.example.com"}, {"hostname": "b"}]}')[0].hostname == "b"
