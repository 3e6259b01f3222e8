"""Endpoints: one host has one spelling, two hosts never share one, and what has two meanings is refused (threat 30)."""

from __future__ import annotations

import ipaddress
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from troth.errors import BadEndpoint
from troth.model.endpoint import DEFAULT_PORTS, PROTOCOLS, Endpoint, canonical_host

# Every kind of host there is, each in canonical form.
_LABEL = st.from_regex(r"\A[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9_])?\Z")
_NAMES = st.lists(_LABEL, min_size=1, max_size=4).map(".".join).filter(lambda name: not _ends_in_number(name))
_V4 = st.ip_addresses(v=4).map(str)
_V6 = st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None).map(str)
_LINK_LOCAL = st.builds(
    lambda low, zone: f"{ipaddress.IPv6Address((0xFE80 << 112) | low)}%{zone}",
    st.integers(1, 2**64 - 1),
    st.from_regex(r"\A[A-Za-z0-9_.-]{1,15}\Z"),
)
HOSTS = _NAMES | _V4 | _V6 | _LINK_LOCAL
PORTS = st.integers(1, 65535)
ENDPOINTS = st.builds(Endpoint, HOSTS, PORTS, st.sampled_from(PROTOCOLS))


def _ends_in_number(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.isdigit() or (last[:2] == "0x" and all(ch in "0123456789abcdef" for ch in last[2:]))


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        # names: case, trailing dot, blanks around, schemes
        ("ISE.Example.COM", "ise.example.com:443"),
        ("ise.example.com.", "ise.example.com:443"),
        ("  ise.example.com  ", "ise.example.com:443"),
        ("https://ise.example.com", "ise.example.com:443"),
        ("HTTPS://ISE.example.com/", "ise.example.com:443"),
        ("https://ise.example.com:8443/", "ise.example.com:8443"),
        ("https://a_8443:443/", "a_8443:443"),
        ("https://prime_pri.example.com/", "prime_pri.example.com:443"),
        ("localhost", "localhost:443"),
        # default port against explicit
        ("ise.example.com:443", "ise.example.com:443"),
        ("ise.example.com:0443", "ise.example.com:443"),
        ("ise.example.com:8082", "ise.example.com:8082"),
        ("ise.example.com:1", "ise.example.com:1"),
        ("ise.example.com:65535", "ise.example.com:65535"),
        # entry keys, which are split at the last underscore
        ("a_443", "a:443"),
        ("a_443_443", "a_443:443"),
        ("a_443:443", "a_443:443"),
        ("a_443:8443", "a_443:8443"),
        ("prime_pri.example.com", "prime_pri.example.com:443"),
        ("192.0.2.20_8082", "192.0.2.20:8082"),
        ("2001:db8::1_8082", "[2001:db8::1]:8082"),
        ("[2001:db8::1]_8082", "[2001:db8::1]:8082"),
        ("fe80::1%eth0_8082", "[fe80::1%eth0]:8082"),
        ("fe80::1%br_0_8082", "[fe80::1%br_0]:8082"),
        ("host_100000", "host_100000:443"),
        ("_443", "_443:443"),
        # international names
        ("bücher.example", "xn--bcher-kva.example:443"),
        ("BÜCHER.example", "xn--bcher-kva.example:443"),
        ("bu\u0308cher.example", "xn--bcher-kva.example:443"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example:443"),
        ("ａ.example", "a.example:443"),
        ("a\u3002example", "a.example:443"),
        ("\u212aelvin.example", "kelvin.example:443"),
        # IPv4 as inet_aton reads it
        ("127.1", "127.0.0.1:443"),
        ("127.0.1", "127.0.0.1:443"),
        ("2130706433", "127.0.0.1:443"),
        ("0x7f.1", "127.0.0.1:443"),
        ("0X7F.0X1", "127.0.0.1:443"),
        ("0x7f000001", "127.0.0.1:443"),
        ("127.0.0.1.", "127.0.0.1:443"),
        ("１２７.0.0.1", "127.0.0.1:443"),
        ("4294967295", "255.255.255.255:443"),
        ("0", "0.0.0.0:443"),
        # IPv6: brackets, padding, case, IPv4-mapped, zones
        ("[::1]", "[::1]:443"),
        ("::1", "[::1]:443"),
        ("[0:0:0:0:0:0:0:1]:443", "[::1]:443"),
        ("[0000:0000:0000:0000:0000:0000:0000:0001]", "[::1]:443"),
        ("[2001:DB8::00Ff]:8443", "[2001:db8::ff]:8443"),
        ("[::ffff:192.0.2.1]:8443", "192.0.2.1:8443"),
        ("::ffff:c000:201", "192.0.2.1:443"),
        ("[64:ff9b::192.0.2.1]", "[64:ff9b::c000:201]:443"),
        ("[fe80::1%eth0]:443", "[fe80::1%eth0]:443"),
        ("[FE80::1%Eth0]", "[fe80::1%Eth0]:443"),
        ("::", "[::]:443"),
    ],
)
def test_each_spelling_has_one_canonical_form(spelling: str, canonical: str) -> None:
    """Whatever has exactly one meaning is brought to the one form that the store knows."""
    assert str(Endpoint.parse(spelling)) == canonical


@pytest.mark.parametrize(
    "spelling",
    [
        # empty and blank
        "", " ", "   ", "\t", ":443", ".", "..", "[]", "[]:443", "https://", "https:///",
        # blanks, control and invisible characters within
        "ho st", "host :443", "host: 443", "host\n", "host\r\n", "host:443\n", "host\t", "ho\0st", "host\0.example", "\x1b[31mhost",
        "host\x7f", "\u00a0host", "host\u3000", "host\u200b", "ho\u202est", "host\ufeff", "host\u2028", "\ud800.example", "a\udcff", "\ufdd0",
        # ports
        "host:", "host:0", "host:65536", "host:-1", "host:+1", "host:٤٤٣", "host:４４３", "host:4_4", "host:4 4", "host:0x1bb",
        "host:1e3", "host:000443", "host:443:", "host:443:443", "host_0", "host_65536", "host_99999", "[::1]:0", "[::1]:", "[::1]:+1",
        "[::1]_65536", "host\uff1a443",
        # user names, schemes, paths
        "user@host", "user:secret@host:443", "https://user@host/", "user\uff20host", "http://host", "ftp://host", "host/", "host/x",
        "https://host/path", "https://https://host", "host?x", "host#x", "host\\x", "host\uff0fx", "//host",
        # the underscore of an entry key in an address with a scheme
        "https://a_8443/", "https://a_8443", "HTTPS://A_443", "https://192.0.2.20_8082/", "https://[::1]_8443/", "https://2001:db8::1_8082",
        # IPv4 that programs read in different ways, or that is none
        "010.0.0.1", "0177.0.0.1", "127.0.0.01", "00", "08", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "1.2.65536", "4294967296", "0x", "0x.1",
        "1..2", "0x100000000", "ise.example.1", "1.2.3.4\uff0e", "١٢٧.0.0.1", "\u2488.example",
        # IPv6 that is none, or whose zone means nothing
        "[127.0.0.1]:443", "[::1", "::1]", "[::1]x", "[::1]443", "[host]:443", "[v1.fe]", ":::", "1:2:3", "[::1%lo]", "[2001:db8::1%eth0]",
        "[fe80::1%]", "[fe80::1%eth0%eth1]", "[fe80::1%eth 0]", "[fe80::1%" + "e" * 16 + "]", "[::ffff:192.0.2.1%eth0]", "[::ffff:010.0.0.1]",
        "[::00001]", "[::1]]", "[[::1]]", "host%eth0", "[::/0]",
        # labels
        "a..b", ".a", "a...", "a..", "-a.example", "a-.example", "*.example", "a,b", "a'b", 'a"b', "a|b", "a;b", "a$b", "a`b", "<b>", "xn--",
        "a" * 64, ".".join(["a" * 60] * 5), "ü" * 70, "a" * 601, "x." * 400,
        # IDN: two meanings in the two standards, mixed directions, false ACE
        "faß.example", "σοφός.example", "a\u200db.example", "a\u200cb.example", "\u05d0a.example", "xn--\u00fc.example",
    ],
)  # fmt: skip
def test_each_spelling_without_one_meaning_is_refused(spelling: str) -> None:
    """What is no endpoint, or what programs read in different ways, is refused with a reason and never guessed."""
    with pytest.raises(BadEndpoint) as caught:
        Endpoint.parse(spelling)
    assert caught.value.exit_code == 2
    assert caught.value.what.endswith(".")
    for text in (caught.value.what, caught.value.why, caught.value.next_command):
        assert not any(unicodedata.category(ch) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for ch in text), ascii(text)
        assert len(text) < 400


@pytest.mark.parametrize(
    ("honest", "homograph"),
    [
        ("paypal.example", "pаypal.example"),  # Cyrillic a
        ("apple.example", "аррӏе.example"),
        ("ise.example.com", "ise.ехample.com"),
        ("google.example", "gооgle.example"),
        ("host", "hоst"),
    ],
)
def test_a_homograph_is_another_host_and_is_seen(honest: str, homograph: str) -> None:
    """Threat 30: a name of look-alike letters never becomes the honest one, and its canonical form shows what it is."""
    found = Endpoint.parse(homograph)
    assert found.host != honest
    assert "xn--" in found.host
    assert found.host.isascii()


@pytest.mark.parametrize(
    "spelling",
    [
        "host\xad\n",
        "ho\u200dst\n",
        "fe80::1%eth0\n",
        "1\n",
        "a\xad\n.example",
        "127.0.0.1\xad\n",
        "a\xad\u200bb.example",
    ],
)
def test_a_soft_hyphen_does_not_let_hidden_characters_in(spelling: str) -> None:
    """Threat 30: whatever else a name holds, a newline or an invisible character in it is refused."""
    with pytest.raises(BadEndpoint):
        Endpoint.parse(spelling)


def test_an_entry_key_ends_where_its_port_ends() -> None:
    """A newline after an entry key is refused, as it is after host:port."""
    with pytest.raises(BadEndpoint):
        Endpoint.parse("host_443\n")


def test_the_capital_sharp_s_has_two_meanings_as_well() -> None:
    """Threat 30: the standards read the capital sharp s in two ways (ss, or ß), so it is refused as the small one is."""
    with pytest.raises(BadEndpoint):
        Endpoint.parse("fa\u1e9e.example")


@pytest.mark.parametrize(
    "spelling",
    [
        "admin:hunter2@ise.example.com", "https://admin:hunter2@ise.example.com/", "ssh://admin:hunter2@ise.example.com/x",
        "admin:p@hunter2@ise.example.com", "admin:hunter2\uff20ise.example.com", "admin:hunter2\ufe6bise.example.com",
        "admin:hunter2@" + "x" * 700, "hunter2@[::1]:443", "admin:hunter2\n@host",
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_not_repeated(spelling: str) -> None:
    """Who pastes an address with a password in it does not find the password in the message, and so in a log."""
    with pytest.raises(BadEndpoint) as caught:
        Endpoint.parse(spelling)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(BadEndpoint) as caught:
        canonical_host(spelling)
    assert "hunter2" not in str(caught.value)


def test_the_default_port_is_the_protocols_own() -> None:
    """Without a port it is the protocol's, or the one that the caller names; an explicit port always counts."""
    assert set(DEFAULT_PORTS) == set(PROTOCOLS)
    for protocol, port in DEFAULT_PORTS.items():
        assert Endpoint.parse("mail.example", protocol=protocol) == Endpoint("mail.example", port, protocol)
        assert Endpoint.parse("mail.example:2", protocol=protocol).port == 2
    assert Endpoint.parse("node", default_port=8082).port == 8082
    assert Endpoint.parse("node:443", default_port=8082).port == 443


@pytest.mark.parametrize("protocol", ["", "TLS", "http", "smtps", "tls ", "tls\n"])
def test_a_protocol_that_is_not_spoken_is_refused(protocol: str) -> None:
    """A protocol is one of the known words, in that spelling."""
    with pytest.raises(BadEndpoint):
        Endpoint.parse("host", protocol=protocol)


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.1", True), ("[::1]", True), ("127.1", True), ("[fe80::1%eth0]", True), ("ise.example", False), ("a1", False),
     ("1a", False), ("xn--9ca", False), ("12_34_443", False)],
)  # fmt: skip
def test_addresses_are_told_from_names(text: str, address: bool) -> None:
    """No server name is sent to an address, so an address is known as one, and no name is taken for one."""
    assert Endpoint.parse(text).is_address is address


@given(ENDPOINTS)
def test_text_and_parse_are_inverse(endpoint: Endpoint) -> None:
    """What is printed is read back as the same endpoint."""
    assert Endpoint.parse(str(endpoint), protocol=endpoint.protocol) == endpoint


@given(ENDPOINTS)
def test_key_and_parse_are_inverse(endpoint: Endpoint) -> None:
    """The incumbent's entry key is read back as the same endpoint, whatever underscores and colons the host has."""
    assert Endpoint.parse(endpoint.key, protocol=endpoint.protocol) == endpoint
    assert endpoint.key == f"{endpoint.host}_{endpoint.port}"


@given(ENDPOINTS)
def test_canonical_form_is_a_fixed_point(endpoint: Endpoint) -> None:
    """The canonical form of a canonical host is itself."""
    assert canonical_host(endpoint.host) == endpoint.host


@given(ENDPOINTS, ENDPOINTS)
def test_two_endpoints_never_share_a_key_or_a_text(one: Endpoint, other: Endpoint) -> None:
    """Two places never have one key: `a_443` and `a` at 443 are told apart."""
    assume((one.host, one.port) != (other.host, other.port))
    assert one.key != other.key
    assert str(one) != str(other)


@given(_LABEL.filter(lambda name: not _ends_in_number(name)), PORTS, PORTS)
def test_a_host_named_like_a_key_collides_with_none(name: str, first: int, second: int) -> None:
    """The host `a_443` and the entry key `a_443` are two things, however they are nested."""
    nested = Endpoint(f"{name}_{first}", second)
    assert Endpoint.parse(nested.key) == nested != Endpoint(name, first)
    assert Endpoint.parse(str(nested)) == nested


@given(_NAMES, st.data())
def test_case_and_a_trailing_dot_never_make_another_host(name: str, data: st.DataObject) -> None:
    """Letters count without case, and the root's dot counts for nothing."""
    mixed = "".join(ch.upper() if data.draw(st.booleans()) else ch for ch in name)
    assume(canonical_host(name) == name)
    assert canonical_host(mixed) == canonical_host(mixed + ".") == name


@given(st.ip_addresses(v=6))
def test_every_way_to_write_an_address_is_one_host(address: ipaddress.IPv6Address) -> None:
    """Short, long, upper-case and mixed notations of an IPv6 address give one endpoint."""
    forms = {address.compressed, address.exploded, address.exploded.upper()}
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    forms.add(":".join(address.exploded.split(":")[:6]) + f":{last}")
    assert len({Endpoint.parse(f"[{form}]:443") for form in forms}) == 1


@given(st.ip_addresses(v=4))
def test_mapped_and_numeric_forms_of_an_address_are_one_host(address: ipaddress.IPv4Address) -> None:
    """An IPv4 address, its number, its hexadecimal forms and its IPv4-mapped IPv6 form are one endpoint."""
    number = int(address)
    a, b = number >> 24, number & 0xFFFFFF
    forms = [str(address), str(number), hex(number), f"{a}.{b}", f"{a:#x}.{b:#x}", f"[::ffff:{address}]"]
    assert {Endpoint.parse(form) for form in forms} == {Endpoint(str(address), 443)}


@settings(max_examples=400)
@given(st.text(st.characters(codec=None), max_size=40) | st.text("aA1.:_[]%@/\\-0xX \n\0ſß。\u00ad\u200d", max_size=20))
def test_any_text_gives_a_usable_endpoint_or_a_reason(text: str) -> None:
    """Whatever is typed gives an endpoint of plain printable ASCII that is its own canonical form, or BadEndpoint."""
    try:
        found = Endpoint.parse(text)
    except BadEndpoint:
        return
    assert found.host.isascii()
    assert found.host.isprintable()
    assert not set(found.host) & set(" /\\?#@[]|;'\"")
    assert 1 <= found.port <= 65535
    assert Endpoint.parse(str(found)) == found == Endpoint.parse(found.key)
