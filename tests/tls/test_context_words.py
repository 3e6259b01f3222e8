"""What a context is made with is what it says: no misspelt word, no other port, no older TLS."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from troth.demo.host import Host
from troth.errors import BadEndpoint, BadInput
from troth.store import open_store
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Two servers with certificates of their own."""
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(Host(name, tmp_path / name))
    yield made[0], made[1]
    for each in made:
        each.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with open_store(tmp_path / "home" / "trust.db") as opened:
        yield opened


def test_threat_13_a_bound_context_learns_nothing_from_another_port(
    hosts: tuple[Host, Host], store: SqliteStore
) -> None:
    """Threat 13: the certificate of another port is neither recorded under the bound endpoint, nor given a byte."""
    bound = Context(store, f"127.0.0.1:{hosts[0].port}")
    with pytest.raises(BadEndpoint, match=f"goes to port {hosts[1].port}"):
        urllib.request.urlopen(f"https://127.0.0.1:{hosts[1].port}/", context=bound, timeout=10)
    assert hosts[1].requests == 0
    assert list(store.entries()) == []
    with urllib.request.urlopen(f"https://127.0.0.1:{hosts[0].port}/", context=bound, timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("words", [{"domain": "devicemgnt"}, {"starttls": "smpt"}])
def test_a_misspelt_word_makes_no_context(store: SqliteStore, words: dict[str, str]) -> None:
    """As a domain, it would be a new one, and the host would escape the strict one that was meant."""
    with pytest.raises(BadInput, match="known are"):
        Context(store, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [None, "trust.db"])
def test_a_context_needs_a_store(thing: object) -> None:
    """It says so at once, and not at the first connection."""
    with pytest.raises(BadInput, match="needs a trust store"):
        Context(thing)  # type: ignore[arg-type]


def test_threat_12_no_program_lowers_tls_below_1_2(hosts: tuple[Host, Host], store: SqliteStore) -> None:
    """Threat 12: whatever a program sets, the connection is TLS 1.2 or newer."""
    context = Context(store)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with urllib.request.urlopen(f"https://127.0.0.1:{hosts[0].port}/", context=context, timeout=10) as answer:
        assert answer.status == 200
    inner = next(iter(context._inner.values())).context
    assert inner.minimum_version == ssl.TLSVersion.TLSv1_2
