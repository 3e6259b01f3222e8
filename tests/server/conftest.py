"""An office for the tests of this room: made once for each file, because it takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import a_database
from tests.server.office import Office, an_office
from troth.database.cluster import Cluster
from troth.demo.host import Host


@pytest.fixture(scope="module")
def office(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The whole application, which may connect to this machine."""
    with pytest.MonkeyPatch.context() as patch, a_database(cluster) as database:
        patch.setenv("TROTH_TEST_CHEAP_PASSWORDS", "only-in-tests")
        with an_office(cluster, database, tmp_path_factory.mktemp("office")) as made:
            yield made


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A real TLS server, whose certificate can be replaced."""
    (tmp_path / "host").mkdir()
    made = Host("ise-1", tmp_path / "host")
    yield made
    made.close()
