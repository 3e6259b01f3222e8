"""An identity in a folder of its own, and a CA with an intermediate one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.identity.making import CA, NAMES, now
from troth.identity import Identity, Subject


@dataclass(frozen=True)
class Authorities:
    """A root, and an intermediate CA that signs."""

    root: CA
    middle: CA

    @property
    def chain(self) -> bytes:
        """The certificates of both."""
        return self.middle.pem + self.root.pem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the identity lies."""
    return tmp_path / "identity"


@pytest.fixture
def node(folder: Path) -> Identity:
    """An identity as a node has it after its start."""
    made = Identity(folder, now)
    made.create(NAMES)
    return made


@pytest.fixture(scope="session")
def ca() -> Authorities:
    """A CA with an intermediate one."""
    root = CA("Example Root")
    return Authorities(root, CA("Example Issuing CA", root))


@pytest.fixture
def csr(node: Identity) -> str:
    """A request of the node."""
    return node.request(Subject(cn="node.example.com", o="Example Systems", c="US"), NAMES)
