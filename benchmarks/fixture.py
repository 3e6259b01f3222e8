"""What is measured against: certificates without number, large stores, and a TLS server in a process of its own."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.harness import ROOT
from troth.demo.host import _self_signed
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.store import open_store
from troth.trust.verdict import Presented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from troth.store.base import Store
    from troth.store.sqlite import SqliteStore

_NAME = "host-0000000"
_BATCH = 10_000


@cache
def _template() -> tuple[bytes, bytes]:
    """Give a certificate whose name has room for a number, and the key's point in it."""
    view = CertificateView.from_pem(_self_signed(_NAME)[0].decode())
    return view.der, view.spki_der[-64:]


def certificate(number: int) -> bytes:
    """Give a certificate (DER) whose name, key and fingerprint are like no other's. Its signature is not valid."""
    der, point = _template()
    key = hashlib.sha512(b"%d" % number).digest()
    return der.replace(point, key).replace(_NAME.encode(), b"host-%07d" % number)


def endpoint(number: int) -> Endpoint:
    """Give the endpoint that `fill` records for a number."""
    return Endpoint(f"host-{number:07d}.example.com", 443)


def fill(path: Path, count: int) -> SqliteStore:
    """Make a store of `count` entries, each with a pin and a certificate of its own.

    One is recorded by a decision, and the rest are copies of its rows, so that whatever columns the tables have are
    filled as the store fills them. The journal holds that one decision only.
    """
    store = open_store(path)
    store.judge(endpoint(0), Presented(leaf=CertificateView.from_der(certificate(0))))
    with store.reading() as connection:
        connection.execute("PRAGMA cache_size = -1000000")  # the copies' random keys would thrash the default of 2 MB
    with store.transaction() as connection:
        templates = {table: _columns(connection, table) for table in ("certificate", "entry", "pin")}
        (first,) = connection.execute("SELECT id FROM entry").fetchone()
        for start in range(1, count, _BATCH):
            numbers = range(start, min(start + _BATCH, count))
            changes = [_changes(number, first) for number in numbers]
            for table, columns in templates.items():
                marks = ", ".join("?" * len(columns))
                connection.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
                    [tuple((columns | change[table]).values()) for change in changes],
                )
    store.close()  # the large cache goes with the connection
    return open_store(path)


def _columns(connection: object, table: str) -> dict[str, object]:
    cursor = connection.execute(f"SELECT * FROM {table}")  # type: ignore[attr-defined]
    return dict(zip((each[0] for each in cursor.description), cursor.fetchone(), strict=True))


def _changes(number: int, first: int) -> dict[str, dict[str, object]]:
    der, name = certificate(number), f"host-{number:07d}"
    own = hashlib.sha256(der).digest()
    _, point = _template()
    at = der.index(hashlib.sha512(b"%d" % number).digest())
    spki = hashlib.sha256(der[at - 27 : at + len(point)]).digest()  # 27 bytes of a P-256 key precede its point
    subject = {"subject": f"CN={name},O=Example Systems,C=US", "slash": f"/C=US/O=Example Systems/CN={name}"}
    return {
        "certificate": {"fingerprint": own, "spki": spki, "der": der, "issuer": subject["subject"], **subject},
        "entry": {"id": first + number, "host": f"{name}.example.com", "presented": own},
        "pin": {"entry": first + number, "fingerprint": own, "certificate": own},
    }


def record(store: Store, place: Endpoint, der: bytes) -> None:
    """Record a host's certificate, as a first connection does."""
    store.judge(place, Presented(leaf=CertificateView.from_der(der)))


@contextmanager
def server(folder: Path, count: int = 1) -> Iterator[list[Endpoint]]:
    """Run TLS servers, each with a certificate of its own, in a process on the first core."""
    command = [sys.executable, "-m", "benchmarks.server", str(folder), str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [Endpoint("127.0.0.1", int(port)) for port in process.stdout.readline().split()]
        finally:
            process.stdin.close()  # which ends it


def connect(place: Endpoint) -> socket.socket:
    """Connect by TCP."""
    raw = socket.create_connection((place.host, place.port), timeout=10)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


def bare_context() -> ssl.SSLContext:
    """Give what a program without Troth has that checks nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def bare(context: ssl.SSLContext, place: Endpoint) -> None:
    """Connect, shake hands, close."""
    with connect(place) as raw, context.wrap_socket(raw, server_hostname=place.host):
        pass


def genuine() -> bytes:
    """Give a certificate (DER) that OpenSSL can load; it is not the server's."""
    return _template()[0]
