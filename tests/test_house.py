"""How the house is kept: sizes, docstrings, and what must not stand in it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MAX_MODULE, MAX_FUNCTION = 400, 60


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_modules_and_functions_are_of_a_size_to_be_read(path: Path) -> None:
    """No module is longer than it can be kept in mind, no function longer than a page."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_what_is_public_is_documented(path: Path) -> None:
    """Every module, class and public function says what it is for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the module says nothing"
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} says nothing"
            todo += node.body if isinstance(node, ast.ClassDef) else []


def tracked() -> list[Path]:
    """Give the files of the project."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of the machine that it was written on stands in it, and no lock file names where packages come from."""
    own = re.compile(rb"(?<![\w.~-])%s(?![\w.-])" % re.escape(str(ROOT).encode()))
    for path in tracked():
        if path.is_file():
            assert own.search(path.read_bytes()) is None, f"{path} names {ROOT}"
    for lock in (ROOT / "locks").iterdir():
        assert b"://" not in lock.read_bytes(), f"{lock} names an address"
