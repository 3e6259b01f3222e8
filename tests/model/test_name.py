"""Distinguished names: renderings against openssl and Java, and printed names read back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import BadInput
from troth.model import der
from troth.model.name import Attribute, DistinguishedName, parse, same_subject

C, O, OU, CN, EMAIL = "2.5.4.6", "2.5.4.10", "2.5.4.11", "2.5.4.3", "1.2.840.113549.1.9.1"  # noqa: E741  # X.520's letters


def name(*rdns: tuple[str, str] | list[tuple[str, str]]) -> DistinguishedName:
    """Make a name in certificate order."""
    rows = [rdn if isinstance(rdn, list) else [rdn] for rdn in rdns]
    return DistinguishedName(tuple(tuple(Attribute(kind, value) for kind, value in row) for row in rows))


ISE = name((C, "US"), (O, "Example Systems, Inc."), (CN, "ise.example.test"))
# Each row: the name, then what tools were measured to print for it.
PRINTED = [
    (
        ISE,
        [
            'subject=C = US, O = "Example Systems, Inc.", CN = ise.example.test',
            "subject= /C=US/O=Example Systems, Inc./CN=ise.example.test",
            'subject=C=US, O="Example Systems, Inc.", CN=ise.example.test',
            r"CN=ise.example.test,O=Example Systems\, Inc.,C=US",
            'CN=ise.example.test, O="Example Systems, Inc.", C=US',
            "CN=ise.example.test, O=Example Systems, Inc., C=US",
        ],
    ),
    (
        name((C, "DE"), (O, "A/B GmbH"), (CN, "s")),
        [r"/C=DE/O=A\/B GmbH/CN=s", "/C=DE/O=A/B GmbH/CN=s", "CN=s, O=A/B GmbH, C=DE", "C = DE, O = A/B GmbH, CN = s"],
    ),
    (
        name((O, "Société"), (CN, "x"), (EMAIL, "a@b")),
        [
            r"O = Soci\C3\A9t\C3\A9, CN = x, emailAddress = a@b",
            r"/O=Soci\xC3\xA9t\xC3\xA9/CN=x/emailAddress=a@b",
            "EMAILADDRESS=a@b, CN=x, O=Société",
            "1.2.840.113549.1.9.1=#1603614062,CN=x,O=Société",
            "1.2.840.113549.1.9.1=a@b,CN=x,O=Société",
            "OID.1.2.840.113549.1.9.1=a@b, CN=x, O=Société",
        ],
    ),
    (
        name([(CN, "m"), (OU, "a")], (O, '  lead"q\\b #x;<>=')),
        [
            r'CN = m + OU = a, O = "  lead\"q\\b #x;<>="',
            r'/CN=m+OU=a/O=  lead"q\b #x;<>=',
            r"O=\  lead\"q\\b #x\;\<\>=,OU=a+CN=m",
            r"O=\ \ lead\"q\\b \#x\;\<\>\=,CN=m+OU=a",
            r'O="  lead\"q\\b #x;<>=", CN=m + OU=a',
        ],
    ),
    (name((CN, "CN=x,O=y"), (O, "a")), ['CN = "CN=x,O=y", O = a', "/CN=CN=x,O=y/O=a", r"O=a,CN=CN\=x\,O\=y"]),
    (name((O, "R+D /X"), (CN, "a")), [r"/O=R\+D \/X/CN=a", "/O=R+D /X/CN=a", 'CN=a, O="R+D /X"', r"CN=a,O=R\+D /X"]),
    (name((CN, "kong")), ["subject=CN = kong", "CN=kong", "/CN=kong", "subject=CN = kong  "]),
    (name(), ["subject=", "", "subject= "]),
]


@pytest.mark.parametrize(("subject", "printed"), PRINTED)
def test_every_measured_form_is_one_subject(subject: DistinguishedName, printed: list[str]) -> None:
    """All that openssl, Java and the incumbent print for one certificate is recognised as one subject."""
    own = [subject.slash(), subject.java(), subject.openssl(), subject.rfc4514()]
    for text in printed + own:
        assert same_subject(text, subject), text
        for other in printed + own:
            assert same_subject(text, other), (text, other)


def test_different_names_are_not_one_subject() -> None:
    """Names that differ in a value, a type, or an attribute are told apart, in whatever form."""
    forms = [[subject.slash(), subject.java(), subject.openssl()] for subject, _ in PRINTED]
    for row, texts in enumerate(forms):
        for other_row, others in enumerate(forms):
            if row != other_row:
                assert not any(same_subject(one, other) for one in texts for other in others)


def test_renderings_are_exactly_those_of_the_tools() -> None:
    """The four renderings are character for character what openssl 3.0 and OpenJDK 17 print."""
    subject = name((C, "US"), (O, "Example Systems, Inc."), [(OU, "é"), (CN, 'a"b')], (EMAIL, "a@b"))
    assert subject.slash() == r'/C=US/O=Example Systems, Inc./OU=\xC3\xA9+CN=a"b/emailAddress=a@b'
    assert subject.openssl() == r'C = US, O = "Example Systems, Inc.", OU = \C3\A9 + CN = "a\"b", emailAddress = a@b'
    assert subject.java() == r'EMAILADDRESS=a@b, OU=é + CN="a\"b", O="Example Systems, Inc.", C=US'
    assert subject.rfc4514() == r"emailAddress=a@b,OU=é+CN=a\"b,O=Example Systems\, Inc.,C=US"


def test_a_slash_in_a_value_may_be_read_both_ways() -> None:
    """An unescaped `/CN=` is ambiguous, so it matches both names that old openssl prints like that; an escaped one does not."""
    assert same_subject("/O=x/CN=evil/CN=s", "CN=s, O=x/CN=evil")
    assert same_subject("/O=x/CN=evil/CN=s", "CN=s, CN=evil, O=x")
    assert not same_subject(r"/O=x\/CN=evil/CN=s", "CN=s, CN=evil, O=x")


def test_openssl_prints_what_slash_and_openssl_give(tmp_path: Path) -> None:
    """A certificate's subject made by the installed openssl is rendered as it renders it."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8",
         "-keyout", tmp_path / "key.pem", "-subj", r"/C=DE/O=A\/B, Société \+ Co/CN=x;y/emailAddress=a@b", "-outform", "DER"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    tbs = list(next(der.read_all(made).children()).children())
    subject = DistinguishedName.from_der(tbs[5].raw)
    for rendered, options in ((subject.slash(), ["-nameopt", "compat"]), (subject.openssl(), ["-nameopt", "oneline"])):
        command = ["openssl", "x509", "-inform", "DER", "-noout", "-subject", *options]
        shown = subprocess.run(command, input=made, capture_output=True, check=True).stdout.decode().rstrip("\n")
        assert same_subject(shown, subject)
        assert rendered in {shown.removeprefix("subject="), shown.removeprefix("subject= ")}


def tlv(tag: int, content: bytes) -> bytes:
    """Encode one short DER element."""
    length = len(content)
    return bytes([tag, length] if length < 128 else [tag, 0x82, length >> 8, length & 255]) + content


def test_every_string_type_is_read_and_others_are_shown_in_hex() -> None:
    """UTF-8, Latin-1, BMP and universal strings give text; anything else gives its DER in hex, unescaped."""
    oid = bytes.fromhex("0603550403")
    values = [(0x0C, "é".encode(), "é"), (0x14, b"\xe9", "é"), (0x1E, "é".encode("utf-16-be"), "é")]
    values += [
        (0x1C, "é".encode("utf-32-be"), "é"),
        (0x0C, b"\xff", "ÿ"),
        (0x1E, b"\0", "#1e0100"),
        (0x02, b"\x05", "#020105"),
    ]
    for tag, content, shown in values:
        data = tlv(0x30, tlv(0x31, tlv(0x30, oid + tlv(tag, content))))
        assert DistinguishedName.from_der(data).rfc4514() == "CN=" + shown
    assert same_subject(r"/CN=\x00t\x00e", "CN=te")


@given(st.binary(max_size=60))
def test_hostile_der_raises_der_errors_only(data: bytes) -> None:
    """Arbitrary bytes are a name or a DerError."""
    for candidate in (data, tlv(0x30, tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + data)))):
        with contextlib.suppress(der.DerError):
            DistinguishedName.from_der(candidate).java()


@given(st.text('/+,;="\\x #CN.12ab\n\0é\ud800', max_size=60), st.text('/+,="\\ CNOxa', max_size=40))
def test_hostile_printed_names_raise_bad_input_only(one: str, other: str) -> None:
    """Any text is a name or BadInput, equality is symmetric, and a name equals itself."""
    try:
        found = parse(one)
    except BadInput:
        assert not same_subject(one, one)
    else:
        assert same_subject(one, one)
        assert same_subject(found, one)
    assert same_subject(one, other) == same_subject(other, one)


@given(
    st.lists(st.tuples(st.sampled_from((C, O, OU, CN, EMAIL, "1.2.3.4")), st.text(max_size=12)), min_size=1, max_size=5)
)
def test_every_name_is_found_again_in_each_of_its_renderings(pairs: list[tuple[str, str]]) -> None:
    """Java's, openssl's and RFC 4514's rendering of any name are read back as that name."""
    subject = name(*[(kind, value.replace("\0", "")) for kind, value in pairs])
    for text in (subject.java(), subject.openssl(), subject.rfc4514()):
        assert same_subject(text, subject), text


def test_names_have_a_size_limit() -> None:
    """A printed name over 65536 characters is refused before it is read, and one of that size is read quickly."""
    with pytest.raises(BadInput):
        parse("CN=" + "a" * 70000)
    with pytest.raises(BadInput):
        same_subject("CN=" + "a" * 70000, "CN=a")
    for filler in ('CN="a" ', "/CN=a", ", ", "/ ", "CN=a+", '\\"', "a" * 199 + " "):
        text = ("CN=" + filler * 65536)[:65536]
        same_subject(text, "/" + text[:65000])
