"""GnuTLS's known_hosts, also one that the installed gnutls-cli has just written."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import ctypes.util
import hashlib
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import BadFile
from troth.formats import load, load_gnutls
from troth.model.endpoint import Endpoint
from troth.model.fingerprint import Fingerprint

# An EC P-256 public key that gnutls-cli 3.7.9 wrote for a throw-away server.
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEtMnooTW3ygKv6iEzJpBAziCHNzTONgDkc8frJhINMR+6Eg4znrXDKqfebgwcMAJAsFtDK4jv9uvnC63S"
    "CIZfFQ=="
)
PIN = "sha256:72745fe283b9791bb9ee158ba81c8cf06f42ffcec941d5f37b83269564ba0468"


def test_a_key_becomes_a_key_pin() -> None:
    """The pin is the SHA-256 of the raw public key, as gnutls-cli itself prints it."""
    (pin,) = load(f"|g0|127.0.0.1|14733|0|{KEY}\n".encode()).pins
    assert (pin.endpoint, str(pin.fingerprint), pin.kind, pin.state) == (
        Endpoint.parse("127.0.0.1:14733"), PIN, "key", "current",
    )  # fmt: skip
    assert (pin.expires, pin.line, pin.der) == (None, 1, base64.b64decode(KEY))


@pytest.mark.parametrize(
    ("service", "port", "protocol"),
    [("https", 443, "tls"), ("imap2", 143, "imap"), ("smtp", 25, "smtp"), ("8443", 8443, "tls"), ("ldaps", 636, "tls")],
)
def test_services_have_names_or_numbers(service: str, port: int, protocol: str) -> None:
    """Where the name is one of a plain port, TLS begins there with STARTTLS."""
    (pin,) = load_gnutls(f"|g0|Mail.Example.TEST.|{service}|0|{KEY}\n").pins
    assert pin.endpoint == Endpoint.parse(f"mail.example.test:{port}", protocol=protocol)


def test_an_expired_entry_is_a_pin_with_its_date() -> None:
    """An entry that GnuTLS no longer believes is imported, never dropped: a pin does not fall back to first use."""
    (pin,) = load_gnutls(f"|g0|h|443|1000000000|{KEY}\n").pins
    assert pin.expires == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    (late,) = load_gnutls(f"|g0|h|443|18446744073709551615|{KEY}\n").pins
    assert late.expires is not None
    assert late.expires.year == 9999


def test_commitments_are_hashes_of_keys() -> None:
    """A SHA-256 commitment is a key pin; one with another hash is a warning that names its line."""
    found = load_gnutls(f"|c0|h|443|0|6|{PIN[7:]}\r\n|c0|old|443|0|3|{'ab' * 20}\n|g0|*|443|0|{KEY}\n|g0|h|*|0|{KEY}\n")
    assert [(str(pin.endpoint), str(pin.fingerprint), pin.der) for pin in found.pins] == [("h:443", PIN, None)]
    assert [warning.split(":")[0] for warning in found.warnings] == ["line 2", "line 3", "line 4"]


def test_several_keys_of_a_host_are_all_kept_and_repeats_are_named() -> None:
    """GnuTLS accepts any of a host's lines; of two lines for one key the longer lasting one counts."""
    other = base64.b64encode(base64.b64decode(KEY)[:-1] + b"\x16").decode()
    found = load_gnutls(f"# note\n\n|g0|h|443|5|{KEY}\n|g0|h|443|0|{other}\n|g0|h|443|0|{KEY}\n")
    assert len(found.pins) == 2
    assert found.pins[0].expires is None
    assert "line 5" in found.notes[0]


@pytest.mark.parametrize(
    "line",
    ["|g0|h|443|0|AAAA", "|g0|h|443|0|", f"|g0|h|443|x|{KEY}", f"|g0|h|443|-1|{KEY}", f"|g0|h|0|0|{KEY}", f"|g0|h|65536|0|{KEY}",
     f"|g0|h|nonsense|0|{KEY}", f"|g0||443|0|{KEY}", f"|g0|a@b|443|0|{KEY}", f"|g0|010.0.0.1|443|0|{KEY}", f"|g1|h|443|0|{KEY}",
     f"|g0|h|443|0|{KEY}|", f"|g0|h|443|0|{KEY[:-4]}", f"|g0|h|443|0| {KEY[:20]} {KEY[20:]}", "|c0|h|443|0|6|abcd", "|c0|h|443|0|99|ab",
     f"|c0|h|443|0|6|{'zz' * 32}", "h ssh-rsa AAAA", f"|g0|https://h|443|0|{KEY}", "|", "|g0"],
)  # fmt: skip
def test_a_bad_line_stops_the_import_and_is_named(line: str) -> None:
    """Good lines before a bad one are not imported either."""
    with pytest.raises(BadFile, match="known, line 2"):
        load_gnutls(f"|g0|good|443|0|{KEY}\n{line}\n", name="known")


@given(st.text(st.sampled_from("|gc0*h1446aAB=/\n\r\0\x1b-é"), max_size=80), st.integers(0, 5))
def test_hostile_files_raise_bad_file_only(text: str, position: int) -> None:
    """Any text, and any text in place of a field, is read or is a BadFile."""
    fields = ["g0", "h", "443", "0", KEY, ""]
    fields[position] = text
    for candidate in (text, "|" + "|".join(fields[:5])):
        with contextlib.suppress(BadFile):
            load_gnutls(candidate)


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def test_a_file_that_gnutls_cli_wrote_is_read(tmp_path: Path) -> None:
    """The pin that comes of `gnutls-cli --tofu` is the hash of the server's own public key."""
    if not (shutil.which("gnutls-cli") and shutil.which("openssl")):
        pytest.skip("gnutls-cli or openssl is not installed")
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate], capture_output=True, check=True,
    )  # fmt: skip
    spki = subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], capture_output=True, check=True
    ).stdout
    command = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-key",
        str(key),
        "-cert",
        str(certificate),
        "-quiet",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(port)
            subprocess.run(
                ["gnutls-cli", "--tofu", "--port", str(port), "127.0.0.1"], input=b"y\n", capture_output=True, timeout=30,
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin:/usr/local/bin"}, check=False,
            )  # fmt: skip
        finally:
            server.terminate()
    found = load((tmp_path / ".gnutls" / "known_hosts").read_bytes())
    assert found.format == "gnutls"
    (pin,) = found.pins
    assert (pin.endpoint, pin.fingerprint) == (Endpoint("127.0.0.1", port), Fingerprint.of(spki))


def test_a_commitment_that_gnutls_wrote_is_read(tmp_path: Path) -> None:
    """The library's own `gnutls_store_commitment` writes what the reader takes for the hash of a key."""
    path = ctypes.util.find_library("gnutls")
    if not path:
        pytest.skip("libgnutls is not installed")

    class Datum(ctypes.Structure):
        _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_uint))

    library = ctypes.CDLL(path)
    digest = hashlib.sha256(base64.b64decode(KEY)).digest()
    target = tmp_path / "known_hosts"
    library.gnutls_store_commitment.argtypes = [
        ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(Datum),
        ctypes.c_long, ctypes.c_uint,
    ]  # fmt: skip
    done = library.gnutls_store_commitment(
        str(target).encode(), None, b"h.example", b"443", 6, ctypes.byref(Datum(digest, len(digest))), 2000000000, 0
    )
    assert done == 0
    (pin,) = load(target.read_bytes()).pins
    assert (str(pin.endpoint), str(pin.fingerprint)) == ("h.example:443", PIN)
    assert pin.expires == datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)
