"""STARTTLS against small honest servers, which openssl's and GnuTLS's clients must find honest, too."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
from functools import partial
from typing import BinaryIO, cast

import pytest

from tests.simulators.starttls_peers import PEERS, Peer, Refused, xmpp
from tests.tls.conftest import Serve
from troth.demo.host import Host
from troth.errors import ProtocolViolation
from troth.model.endpoint import Endpoint
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.verdict import Verdict

GNUTLS = ("ftp", "nntp")


class Line:
    """One peer behind a port, with TLS after its go-ahead; keeps what went wrong."""

    def __init__(self, peer: Peer, host: Host):
        self.peer, self.host = peer, host
        self.failures: list[Refused] = []

    def __call__(self, connection: socket.socket) -> None:
        """Serve one connection."""
        # Unbuffered: what belongs to TLS must stay in the socket.
        raw = cast(BinaryIO, connection.makefile("rwb", buffering=0))
        assert isinstance(raw, io.RawIOBase)
        try:
            self.peer(raw, raw)
        except Refused as error:
            self.failures.append(error)
            return
        with self.host._context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)


@pytest.mark.parametrize("protocol", PEERS)
def test_an_honest_peer_is_met_and_matched(serve: Serve, host: Host, store: SqliteStore, protocol: str) -> None:
    """The dialect satisfies a strict server, and the certificate behind it is the server's own."""
    line = Line(PEERS[protocol], host)
    place = serve(line)
    target = Target(endpoint=Endpoint(place.host, place.port, protocol), server_name="chat.example.com", timeout_s=10)
    met = check_target(store, target)
    assert not line.failures
    assert met.verdict is Verdict.FIRST_USE
    assert met.presented.leaf == host.view
    assert check_target(store, target).verdict is Verdict.MATCH


@pytest.mark.parametrize("protocol", PEERS)
def test_openssl_finds_the_same_peers_honest(serve: Serve, host: Host, protocol: str) -> None:
    """An independent client reaches TLS through them: the peers prove something."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    line = Line(PEERS[protocol], host)
    place = serve(line)
    command = ["openssl", "s_client", "-connect", f"{place.host}:{place.port}", "-starttls", protocol]
    command += ["-xmpphost", "chat.example.com"] if protocol == "xmpp" else []
    ran = subprocess.run(command, check=False, input="", capture_output=True, text=True, timeout=30)
    assert not line.failures
    assert "BEGIN CERTIFICATE" in ran.stdout, ran.stderr


@pytest.mark.parametrize("protocol", GNUTLS)
def test_gnutls_finds_them_honest_too(serve: Serve, host: Host, protocol: str) -> None:
    """A second independent client, where it speaks the protocol."""
    if shutil.which("gnutls-cli") is None:
        pytest.skip("gnutls-cli is not installed")
    line = Line(PEERS[protocol], host)
    place = serve(line)
    command = ["gnutls-cli", "--no-ca-verification", "--starttls-proto", protocol, "-p", str(place.port), place.host]
    ran = subprocess.run(command, check=False, input="", capture_output=True, text=True, timeout=30)
    assert not line.failures
    assert "Handshake was completed" in ran.stdout, ran.stdout + ran.stderr


def test_xmpp_says_that_the_domain_is_unknown(serve: Serve, host: Host, store: SqliteStore) -> None:
    """A server that does not serve the name says so, and its word reaches the administrator."""
    place = serve(Line(partial(xmpp, domain="other.example.com"), host))
    target = Target(endpoint=Endpoint(place.host, place.port, "xmpp"), server_name="chat.example.com", timeout_s=10)
    with pytest.raises(ProtocolViolation) as caught:
        check_target(store, target)
    assert "host-unknown" in caught.value.why
    assert store.entry(target.endpoint) is None
