"""The table in this folder's README is whole and true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
NOT_BUILT = {7, 34, 35}
ROWS = {int(row[1]): re.findall(r"`([^`]+)`", row[2]) for row in re.finditer(r"^\| (\d+) \| (.+) \|$", README, re.M)}


def claims_of(path: Path) -> dict[str, str]:
    """Give the tests of a file, with their docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_every_threat_that_applies_has_tests() -> None:
    """Threats 1 to 36 have a row each, but those that belong to parts which are not built."""
    assert set(ROWS) == set(range(1, 37)) - NOT_BUILT
    assert all(ROWS.values())


@pytest.mark.parametrize("threat", sorted(ROWS))
def test_every_named_test_exists(threat: int) -> None:
    """Every test that a row names exists."""
    for name in ROWS[threat]:
        file, _, test = name.partition("::")
        found = claims_of(TESTS / file)
        assert found
        assert not test or test in found, name


def test_every_attack_is_in_its_row() -> None:
    """Every test of this folder that is named after a threat stands in that threat's row, and says so in its docstring."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for name, told in claims_of(path).items():
            found = re.match(r"test_threat_(\d+)_", name)
            if found:
                assert f"attacks/{path.name}::{name}" in ROWS[int(found[1])], name
                assert re.match(r"Threats? (\d+(, | and )?)+", told), name
                assert found[1] in re.findall(r"\d+", told.partition(":")[0]), name
