"""The reader of DER: strict where BER is lenient, bounded everywhere, and nothing but its own error for any bytes."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.making import certificate, common_name, extension, integer, oid, simple, tlv
from troth.errors import BadCertificate
from troth.model import der
from troth.model.certificate import CertificateView, certificates_from_pem
from troth.model.name import DistinguishedName


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"\x30", "truncated"),
        (b"\x30\x80\x00\x00", "unusable length"),  # BER's indefinite length
        (b"\x30\x80\x02\x01\x05\x00\x00", "unusable length"),
        (b"\x30\x81", "unusable length"),
        (b"\x30\x82\x01", "unusable length"),
        (b"\x30\xff" + b"\x01" * 130, "unusable length"),
        (b"\x30\x84\x00\x00\x00\x01\x00", "unusable length"),
        (b"\x30\x84\xff\xff\xff\xff", "unusable length"),
        (b"\x30\x88" + b"\xff" * 8, "unusable length"),
        (b"\x30\x81\x00", "not minimal"),
        (b"\x30\x81\x7f" + b"\x00" * 0x7F, "not minimal"),
        (b"\x30\x82\x00\x80" + b"\x00" * 0x80, "not minimal"),
        (b"\x30\x83\x00\x01\x00" + b"\x00" * 0x100, "not minimal"),
        (b"\x30\x01", "overruns"),
        (b"\x30\x83\xff\xff\xff", "overruns"),
        (b"\x1f\x01\x00", "tag number"),
        (b"\x3f\x81\x01\x00", "tag number"),
        (b"\x30\x00\x00", "after the end"),
        (b"\x30\x00\x30\x00", "after the end"),
        (tlv(0x04, b"x" * der.MAX_SIZE), "larger than"),
    ],
)
def test_what_is_not_strict_der_is_refused(data: bytes, why: str) -> None:
    """Indefinite, padded and overrunning lengths, long tags, trailing bytes and sheer size: each is refused as what it is."""
    with pytest.raises(der.DerError, match=why):
        der.read_all(data)


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, der.MAX_SIZE - 5])
def test_every_minimal_length_is_read(size: int) -> None:
    """Each form of the length that DER allows is read, and the value is a slice of the very bytes."""
    data = tlv(0x04, b"x" * size)
    element = der.read_all(data)
    assert (element.tag, element.raw, element.value) == (0x04, data, b"x" * size)


def test_a_child_never_leaves_its_parent() -> None:
    """An element that is longer than what holds it is refused, although the bytes after it would suffice."""
    inner = b"\x30\x05\x04\x09" + b"abcdefghi"
    with pytest.raises(der.DerError, match="overruns"):
        list(der.read(inner).children())
    with pytest.raises(der.DerError):
        list(der.read_all(b"\x30\x03\x02\x01\x05" + b"").expect(der.SET).children())


def test_children_fill_their_parent_exactly() -> None:
    """A byte that belongs to no child is refused."""
    with pytest.raises(der.DerError, match="truncated"):
        list(der.read_all(tlv(0x30, integer(1) + b"\x02")).children())
    assert [child.value for child in der.read_all(tlv(0x30, integer(1) + integer(2))).children()] == [b"\x01", b"\x02"]


def test_more_children_than_the_bound_are_refused() -> None:
    """Threat 19: a structure of very many elements is refused, and one just below the bound is read."""
    below = tlv(0x30, b"\x05\x00" * (der.MAX_CHILDREN - 1))
    assert len(list(der.read_all(below).children())) == der.MAX_CHILDREN - 1
    with pytest.raises(der.DerError, match="more than"):
        list(der.read_all(tlv(0x30, b"\x05\x00" * (der.MAX_CHILDREN + 1))).children())


def test_as_many_children_as_the_bound_are_read() -> None:
    """The bound itself is still allowed, as the message says."""
    assert len(list(der.read_all(tlv(0x30, b"\x05\x00" * der.MAX_CHILDREN)).children())) == der.MAX_CHILDREN


def test_deep_nesting_ends_in_an_error_and_no_crash() -> None:
    """Threat 19: a certificate of two hundred thousand nested elements is unreadable, not a stack overflow."""
    data = b""
    for _ in range(2500):
        data = tlv(0x30, data)
    for hostile in (data, tlv(0xA0, data), certificate(subject=data), certificate(spki=data), certificate(serial=data)):
        with pytest.raises(BadCertificate):
            CertificateView.from_der(hostile)
    deep = b"\x30\x80" * 200_000
    with pytest.raises(BadCertificate):
        CertificateView.from_der(deep)


@pytest.mark.parametrize(
    ("data", "number"),
    [(b"\x02\x01\x00", 0), (b"\x02\x01\x7f", 127), (b"\x02\x02\x00\x80", 128), (b"\x02\x01\x80", -128), (b"\x02\x01\xff", -1),
     (integer(2**4096), 2**4096), (integer(-(2**64)), -(2**64))],
)  # fmt: skip
def test_integers_are_signed(data: bytes, number: int) -> None:
    """An INTEGER is two's complement, as long as it may be."""
    assert der.integer(der.read_all(data)) == number


@pytest.mark.parametrize("data", [b"\x02\x00", b"\x04\x01\x00", b"\x0a\x01\x00", b"\x30\x00"])
def test_what_is_no_integer_is_refused(data: bytes) -> None:
    """An empty integer, and what has another tag, is none."""
    with pytest.raises(der.DerError):
        der.integer(der.read_all(data))


@given(
    st.lists(st.integers(0, 2**40), max_size=12), st.sampled_from([(0, 39), (1, 0), (2, 0), (2, 39), (2, 999), (2, 5)])
)
def test_object_identifiers_are_read_as_they_are_written(arcs: list[int], first: tuple[int, int]) -> None:
    """Every object identifier has the dotted form that it was written from."""
    dotted = ".".join(map(str, (*first, *arcs)))
    assert der.oid(der.read_all(oid(dotted))) == dotted


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x55\x84", b"\x55\x04\x83", b"\x55" + b"\x04" * 64, b"\xff" * 64])
def test_what_is_no_object_identifier_is_refused(content: bytes) -> None:
    """Empty, unfinished and over-long identifiers are refused."""
    with pytest.raises(der.DerError):
        der.oid(der.read_all(tlv(0x06, content)))


@pytest.mark.parametrize("content", [b"\x55\x04\x80\x03", b"\x80\x55\x04\x03", b"\x55\x80\x80\x1d\x11"])
def test_a_padded_object_identifier_is_refused(content: bytes) -> None:
    """Threat 18: an identifier that OpenSSL does not read (X.690 8.19.2) is not read here as the one that it resembles."""
    with pytest.raises(der.DerError):
        der.oid(der.read_all(tlv(0x06, content)))


@pytest.mark.parametrize("content", [b"\x00\x01", b"\x00\x00\x80", b"\xff\xff", b"\xff\x80"])
def test_a_padded_integer_is_refused(content: bytes) -> None:
    """Threat 18: an integer that is not minimal (X.690 8.3.2) is refused, as OpenSSL refuses it."""
    with pytest.raises(der.DerError):
        der.integer(der.read_all(tlv(0x02, content)))


@pytest.mark.parametrize(("content", "value"), [(b"\x00", False), (b"\xff", True), (b"\x01", True), (b"\x80", True)])
def test_a_boolean_is_true_where_openssl_takes_it_so(content: bytes, value: bool) -> None:
    """Threat 18: whatever is not 00 is TRUE, as it is to OpenSSL."""
    assert der.boolean(der.read_all(tlv(0x01, content))) is value


@pytest.mark.parametrize("data", [b"\x01\x00", b"\x01\x02\x00\x00", b"\x02\x01\x00"])
def test_what_is_no_boolean_is_refused(data: bytes) -> None:
    """A boolean has one byte."""
    with pytest.raises(der.DerError):
        der.boolean(der.read_all(data))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"\x00", b""),
        (b"\x05", b""),
        (b"\x00\xff", b"\xff"),
        (b"\x07\xff", b"\x80"),
        (b"\x03\xff\xff", b"\xff\xf8"),
        (b"\x07\x20", b"\x00"),
    ],
)
def test_unused_bits_count_for_nothing(content: bytes, value: bytes) -> None:
    """Threat 18: bits that are said to be unused are zero, as they are to OpenSSL, whatever stands there."""
    assert der.bits(der.read_all(tlv(0x03, content))) == value


@pytest.mark.parametrize("data", [b"\x03\x00", b"\x03\x02\x08\x00", b"\x23\x02\x00\x00", b"\x04\x01\x00"])
def test_what_is_no_bit_string_is_refused(data: bytes) -> None:
    """A bit string says how many bits are unused, at most seven, and stands in one piece."""
    with pytest.raises(der.DerError):
        der.bits(der.read_all(data))


@pytest.mark.parametrize(("content", "number"), [(b"", 0), (b"\xff", 255), (b"\x00\x00\x01", 1)])
def test_numbers_of_a_key_have_no_sign(content: bytes, number: int) -> None:
    """OpenSSL reads the numbers of an RSA key as plain bytes, padded or not."""
    assert der.unsigned(der.read_all(tlv(0x02, content))) == number


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes give anything but elements that lie inside them, or DerError."""
    try:
        todo = [der.read_all(data)]
        while todo:
            element = todo.pop()
            assert 0 <= element.start < element.content <= element.end <= len(data)
            assert element.raw == data[element.start : element.end]
            if element.tag & 0x20:
                todo.extend(element.children())
    except der.DerError:
        pass


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_no_crash_as_a_certificate_or_a_name(data: bytes) -> None:
    """What a peer sends is a certificate, or BadCertificate; a name, or DerError."""
    with pytest.raises(BadCertificate):
        CertificateView.from_der(data)
    with contextlib.suppress(der.DerError):
        DistinguishedName.from_der(data)


def _seeds() -> list[bytes]:
    return [
        simple("fuzz", san=("a.example", "b.example"), ca=True),
        certificate(version=None),
        certificate(
            extensions=[
                extension("2.5.29.19", b"\x30\x03\x01\x01\xff", critical=True),
                extension("2.5.29.17", tlv(0x30, tlv(0x82, b"x.example") + tlv(0x87, b"\x7f\0\0\1") + tlv(0xA4, common_name("d")))),
            ]
        ),
    ]  # fmt: skip


def _mutants(data: bytes, chance: random.Random, count: int) -> list[bytes]:
    made = []
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(changed))
            what = chance.randrange(5)
            if what == 0:
                changed[at] = chance.randrange(256)
            elif what == 1:
                changed[at] ^= 1 << chance.randrange(8)
            elif what == 2:
                del changed[at : at + chance.randint(1, 4)]
            elif what == 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 4))
            else:
                changed[at] = chance.choice([0x00, 0x01, 0x1F, 0x30, 0x31, 0x7F, 0x80, 0x81, 0x82, 0xA0, 0xA3, 0xFF])
        made.append(bytes(changed))
    return made


def _read(data: bytes) -> CertificateView | None:
    """Read, and use everything that a view offers; only BadCertificate may come of it."""
    try:
        view = CertificateView.from_der(data)
    except BadCertificate as error:
        assert error.why.isprintable()
        return None
    for text in (
        view.subject,
        view.issuer,
        view.subject_slash,
        view.subject_java,
        view.serial,
        view.key,
        view.signature_algorithm,
        *view.san,
    ):
        assert text.isprintable(), ascii(text)
    assert view.der == data
    assert certificates_from_pem(view.pem)[0] == view
    return view


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_certificate_is_unreadable_and_never_a_crash(seed: int) -> None:
    """Threat 19: of thousands of damaged certificates, each is read safely or is BadCertificate."""
    outcomes = [_read(data) is not None for data in _mutants(_seeds()[seed], random.Random(seed), 1500)]
    assert any(outcomes)
    assert not all(outcomes)


@pytest.mark.parametrize("seed", range(3))
def test_a_truncated_or_longer_certificate_is_unreadable(seed: int) -> None:
    """Every prefix of a certificate, and a certificate with anything after it, is refused."""
    data = _seeds()[seed]
    for end in range(len(data)):
        assert _read(data[:end]) is None
    for tail in (b"\0", b"\n", data, b"\x05\x00"):
        assert _read(data + tail) is None


def _paths(data: bytes) -> list[tuple[int, ...]]:
    """Give the way to each element of a certificate: the indices from the outermost one."""
    found: list[tuple[int, ...]] = []
    todo: list[tuple[tuple[int, ...], der.Element]] = [((), der.read_all(data))]
    while todo:
        path, element = todo.pop()
        found.append(path)
        if element.tag & 0x20:
            todo += [((*path, index), child) for index, child in enumerate(element.children())]
    return found


def _rebuilt(data: bytes, path: tuple[int, ...], change: str) -> bytes:
    """Write a certificate anew with one element changed; every length around it is right."""
    element = der.read_all(data)
    if not path:
        return {
            "emptied": tlv(element.tag, b""),
            "dropped": b"",
            "doubled": element.raw * 2,
            "another type": tlv(0x0C, element.value),
            "null": b"\x05\x00",
            "grown": tlv(element.tag, element.value + b"\x05\x00"),
        }[change]
    children = [child.raw for child in element.children()]
    children[path[0]] = _rebuilt(children[path[0]], path[1:], change)
    return tlv(element.tag, b"".join(children))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "change",
    [
        "emptied",
        "dropped",
        "doubled",
        "another type",
        "null",
        "grown",
    ],
)
def test_a_certificate_with_any_part_out_of_place_is_no_crash(seed: int, change: str) -> None:
    """Whichever element is empty, missing, doubled, of another type or too long, there is a view or BadCertificate."""
    data = _seeds()[seed]
    for path in _paths(data):
        _read(_rebuilt(data, path, change))


@pytest.mark.parametrize(
    "spoilt",
    [
        certificate(serial=b"\x02\x00"),
        certificate(serial=b"\x04\x01\x01"),
        certificate(spki=b""),
        certificate(spki=tlv(0x30, b"")),
        certificate(spki=tlv(0x31, b"\x05\x00")),
        certificate(subject=b"\x31\x00"),
        certificate(subject=tlv(0x30, tlv(0x31, b""))),
        certificate(subject=tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3"))))),
        certificate(subject=tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3") + b"\x0c\x01a" + b"\x0c\x01b")))),
        certificate(dates=[b"\x17\x0d250101000000Z"]),
        certificate(extensions=[extension("2.5.29.17", b"\x30\x00"), extension("2.5.29.17", b"\x30\x00")]),
        certificate(extensions=[extension("2.5.29.17", b"")]),
        certificate(extensions=[extension("2.5.29.17", b"\x30\x00\x00")]),
        certificate(extensions=[extension("2.5.29.19", b"\x02\x01\x01")]),
        certificate(extensions=[tlv(0x30, b"")]),
        certificate(extensions=[tlv(0x30, oid("2.5.29.17"))]),
        certificate(extensions=[tlv(0x30, oid("2.5.29.17") + b"\x03\x01\x00")]),
    ],
)
def test_a_part_that_is_not_as_the_standard_has_it_is_refused(spoilt: bytes) -> None:
    """A certificate of the right shape whose parts are wrong is refused: doubled extensions, empty names, no key."""
    with pytest.raises(BadCertificate) as caught:
        CertificateView.from_der(spoilt)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("place", [b"\x05\x00", b"\x03\x00", b"\x30\x00"])
def test_a_certificate_without_a_signature_is_refused(place: bytes) -> None:
    """What no TLS library reads as a certificate is none: the third part must be a BIT STRING."""
    whole = [part.raw for part in der.read_all(certificate()).children()]
    with pytest.raises(BadCertificate):
        CertificateView.from_der(tlv(0x30, whole[0] + whole[1] + place))


def test_a_certificate_with_two_signature_algorithms_is_refused() -> None:
    """RFC 5280 4.1.1.2: the algorithm outside must be the one inside, or the view shows one that signed nothing."""
    whole = [part.raw for part in der.read_all(certificate()).children()]
    other = tlv(0x30, oid("1.2.840.113549.1.1.5") + b"\x05\x00")
    with pytest.raises(BadCertificate):
        CertificateView.from_der(tlv(0x30, whole[0] + other + whole[2]))
