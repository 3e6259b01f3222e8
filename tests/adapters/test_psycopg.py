"""psycopg: libpq insists on what is on record, and gives an impostor nothing, measured at the impostor."""

from __future__ import annotations

import ssl
from pathlib import Path

import psycopg
import pytest

from tests import servers
from tests.adapters.conftest import Record
from tests.adapters.test_clients import each_version
from tests.tls.authority import Authority, pem
from troth import manage
from troth.adapters.psycopg import parameters
from troth.errors import BadInput, CertificateChanged, Unreachable
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override, PinKind
from troth.store.authorities import add_authority
from troth.store.sqlite import SqliteStore

SECRET = "the_secret"


def connect(given: dict[str, str], **options: str) -> None:
    """Connect as a program does."""
    with psycopg.connect(**given, dbname=SECRET, user="app", connect_timeout=20, **options):
        pass


@each_version
def test_an_impostor_gets_no_byte_and_no_client_certificate(
    version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 8: libpq refuses another certificate inside the handshake; the name of the database does not leave."""
    server = record(protocol="postgres", version=version)
    certificate, key = server.client_certificate()
    key.chmod(0o600)
    client = {"sslcert": str(certificate), "sslkey": str(key)}
    given = parameters(store, "127.0.0.1", server.port)
    known = len(server.visits)
    connect(given, **client)
    visits = server.settled(known)
    assert SECRET.encode() in b"".join(visit.received for visit in visits)
    assert any(visit.certificate for visit in visits)
    known = len(server.visits)
    server.change()
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(given, **client)
    with pytest.raises(CertificateChanged, match=f"127.0.0.1:{server.port}"):
        parameters(store, "127.0.0.1", server.port)
    assert not any(visit.received or visit.certificate for visit in server.settled(known))


def test_a_real_server_is_used_by_its_pin(store: SqliteStore) -> None:
    """A query runs on PostgreSQL over TLS that libpq verified by the record."""
    with servers.open_folder() as folder, servers.postgres(folder) as port:
        given = parameters(store, "127.0.0.1", port)
        with psycopg.connect(**given, dbname="postgres", user="troth", connect_timeout=20) as connection:
            row = connection.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert row is not None
    assert row[0] is True


def test_the_file_follows_the_record(record: Record, store: SqliteStore) -> None:
    """After a replacement the same call gives parameters that work, in a file that only the owner reads."""
    server = record(protocol="postgres")
    old = parameters(store, "127.0.0.1", server.port)
    connect(old)
    view = server.change()
    endpoint = Endpoint("127.0.0.1", server.port, "postgres")
    entry = store.entry(endpoint)
    assert entry is not None
    manage.replace(store, entry, view, view.fingerprint)
    fresh = parameters(store, "127.0.0.1", server.port)
    connect(fresh)
    place = Path(fresh["sslrootcert"])
    assert place.read_text() == view.pem
    assert place.stat().st_mode & 0o077 == 0
    assert place.parent.stat().st_mode & 0o077 == 0


def test_a_leaf_of_a_private_ca_is_held_by_its_issuer(record: Record, store: SqliteStore) -> None:
    """Threat 22: libpq cannot pin such a leaf, and the error names the command; an issuer pin works, for the name too."""
    ca = Authority("Private CA")
    leaf, key = ca.issue("127.0.0.1")
    server = record(protocol="postgres")
    server.present((pem(leaf), _key(key)))
    with pytest.raises(BadInput) as caught:
        parameters(store, "127.0.0.1", server.port)
    assert "--kind issuer" in caught.value.next_command
    endpoint = Endpoint("127.0.0.1", server.port, "postgres")
    manage.delete(store, _entry(store, endpoint), None)
    root = CertificateView.from_pem(pem(ca.certificate).decode())
    manage.pin(store, endpoint, kind=PinKind.ISSUER, view=root)
    given = parameters(store, "127.0.0.1", server.port)
    assert given["sslmode"] == "verify-full"
    connect(given)
    other, key = ca.issue("127.0.0.9")
    server.present((pem(other), _key(key)))
    with pytest.raises(psycopg.OperationalError, match=r"127\.0\.0\.9"):
        connect(given)


def test_ca_mode_gives_libpq_the_domains_cas(record: Record, store: SqliteStore) -> None:
    """In `ca` mode libpq verifies chain and name by the domain's own CA store; without one it is told so."""
    ca = Authority("Private CA")
    leaf, key = ca.issue("127.0.0.1")
    server = record(protocol="postgres")
    server.present((pem(leaf), _key(key)))
    add_authority(store, "system", "private", CertificateView.from_pem(pem(ca.certificate).decode()))
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    given = parameters(store, "127.0.0.1", server.port)
    assert given["sslmode"] == "verify-full"
    connect(given)


def test_a_server_without_tls_is_an_error(serve_plain: int, store: SqliteStore) -> None:
    """Threat 14: a server that says N gets nothing; there is no fallback to plain text."""
    with pytest.raises(Unreachable):
        parameters(store, "127.0.0.1", serve_plain)


def _entry(store: SqliteStore, endpoint: Endpoint):  # type: ignore[no-untyped-def]  # tests are not typed
    entry = store.entry(endpoint)
    assert entry is not None
    return entry


def _key(key: object) -> bytes:
    from cryptography.hazmat.primitives import serialization

    private = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())  # type: ignore[attr-defined]
