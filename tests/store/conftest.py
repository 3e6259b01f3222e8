"""A store of its own, and certificates as a peer presents them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.stores import ENGINES, Place, place_for
from troth.model.certificate import CertificateView
from troth.store.base import Store
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
    """Where the SQLite store is to be."""
    return tmp_path / "home" / "trust.db"


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place for a store, of each engine."""
    with place_for(request, request.param, tmp_path / "home") as made:
        yield made


@pytest.fixture
def store(place: Place) -> Store:
    """An empty trust store, of each engine."""
    return place.open()
