"""A store of its own, and certificates as a peer presents them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from troth.model.certificate import CertificateView
from troth.store import open_store
from troth.store.sqlite import SqliteStore
from troth.trust.verdict import Presented


@cache
def view(name: str) -> CertificateView:
    """Give a real self-signed certificate; the same name gives the same one within a process."""
    return make_view(name)


def make_view(name: str) -> CertificateView:
    """Make a real self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    return CertificateView.from_der(made.public_bytes(serialization.Encoding.DER))


def presented(name: str) -> Presented:
    """Give what a peer with this certificate presents."""
    return Presented(leaf=view(name))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is to be."""
    return tmp_path / "home" / "trust.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """An empty trust store."""
    with open_store(path) as opened:
        yield opened


Opener = Callable[[], SqliteStore]
