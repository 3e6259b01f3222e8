"""What tests of all rooms share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from troth.database.cluster import Cluster
    from troth.database.pool import Database


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server that this worker's tests share."""
    from tests.postgres import a_cluster

    with a_cluster() as made:
        yield made


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A database of the test's own, with Troth's tables and nothing in them."""
    from tests.postgres import a_database

    with a_database(cluster) as made:
        yield made


@pytest.fixture(autouse=True)
def loopback_may_be_named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let certificates name addresses of this machine for revocation: the tests' own servers have no others.

    Only tests with the mark `guarded` see what everybody else sees, that such an address is not contacted.
    """
    if request.node.get_closest_marker("guarded") is None:
        monkeypatch.setattr("troth.tls.fetch._is_here", lambda address: False)
