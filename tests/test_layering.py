"""Who may import whom, and what an import costs: a room that reaches into another is seen here first."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import troth

SOURCE = Path(troth.__file__).parent
# A room may import itself, what is below it, and the standard library. Imports inside functions count as well: they are
# late, not hidden. `*` is everything of Troth but the command line.
BELOW = {
    "errors": set(),
    "model": {"errors"},
    "trust": {"errors", "model"},
    "formats": {"errors", "model"},
    "store": {"errors", "model", "trust"},
    "tls": {"errors", "model", "trust", "store"},
    "adapters": {"errors", "model", "trust", "store", "tls"},
    # The node and what it is made of. Only these may import other people's packages at the top.
    "database": {"errors"},
    "identity": {"errors", "model", "trust"},
    "ise": {"errors", "model", "trust", "store", "tls", "adapters", "database", "manage"},
    "notify": {"errors", "model", "trust", "store", "tls", "adapters", "database"},
    "watch": {"errors", "model", "trust", "store", "tls", "notify", "database", "manage"},
    "accounts": {"errors", "database"},
    "node": {"*"},
    "server": {"*"},
    "demo": {"*"},
    "cli": {"*", "cli"},
    # Modules of the package itself.
    "__init__": {"errors", "store", "tls", "api", "_version"},
    "__main__": {"cli"},
    "_version": set(),
    "api": {"errors", "model", "trust", "store", "tls"},
    "documents": {"errors", "model", "trust", "store", "exchange", "identity", "ise", "notify"},
    "exchange": {"errors", "model", "trust", "store", "formats"},
    "manage": {"errors", "model", "trust", "store"},
    "repository": {"errors", "model"},
}
# What a room may use of other people's packages, and only inside functions.
LATE = {"tls": {"cryptography", "OpenSSL"}, "demo": {"cryptography"}}
# Adapters import their library at the top: that is what they are for.
NODE = {
    "database": {"psycopg", "psycopg_pool"},
    "identity": {"cryptography"},
    "ise": {"httpx2", "psycopg"},
    "notify": {"aiosmtplib", "httpx2", "psycopg"},
    "watch": {"psycopg"},
    "accounts": {"argon2", "pyotp", "psycopg"},
    "node": {"cryptography", "psycopg", "msgspec", "uvicorn", "starlette"},
    "server": {"starlette", "uvicorn", "msgspec", "prometheus_client", "psycopg", "anyio"},
    "store": {"psycopg"},
}
LIBRARIES = {"aiohttp", "httpx", "httpx2", "requests", "urllib3"}
PURE = ("model", "trust")
IMPURE = {
    "asyncio",
    "socket",
    "ssl",
    "sqlite3",
    "subprocess",
    "threading",
    "os",
    "pathlib",
    "time",
    "urllib",
    "tempfile",
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """Give what a module imports, each with whether it is for types only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(each.name, id(node) in typed) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            base = node.module or ""
            names = [f"{base}.{each.name}" for each in node.names] if base == "troth" else [base]
            found += [(name, id(node) in typed) for name in names]
    return found


def room(path: Path) -> str:
    """Name the room that a module stands in."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_what_is_below_it(path: Path) -> None:
    """Model and trust know nothing of I/O, nothing but the command line imports it, and other packages come late."""
    here = room(path)
    allowed = BELOW[here]
    for name, typed in imports(path):
        top, _, rest = name.partition(".")
        if top == "troth":
            there = rest.split(".")[0]
            fine = there == here or there in allowed or ("*" in allowed and there != "cli")
            assert fine or (typed and here not in PURE and there != "cli"), f"{here} may not import {name}"
        elif top not in sys.stdlib_module_names:
            late = (
                top in LATE.get(here, ())
                or top in NODE.get(here, ())
                or (here == "adapters" and top in LIBRARIES | {"psycopg"})
            )
            assert late or typed, f"{here} may not import {name}"
        elif here in PURE:
            assert top not in IMPURE or typed, f"{here} does no I/O, and imports {name}"


def loaded(program: str) -> set[str]:
    """Give the modules that a program has loaded at its end."""
    script = f"import sys, json\n{program}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_library_loads_nobody_elses_package() -> None:
    """`import troth`, its context, its store and a check need the standard library alone."""
    bare = loaded("pass")
    found = loaded("import troth; troth.Context; troth.open_store; troth.check; troth.errors.CertificateChanged")
    others = {name for name in found - bare if name not in sys.stdlib_module_names} - {"troth"}
    assert others == set()


def test_a_store_in_sqlite_loads_no_psycopg() -> None:
    """Only who opens a store in PostgreSQL loads its library: no module of the store does, but that one."""
    names = [f"troth.store.{path.stem}" for path in (SOURCE / "store").glob("*.py") if path.stem != "postgres"]
    found = loaded("\n".join(f"import {name}" for name in [*names, "troth.exchange", "troth.manage", "troth.cli.main"]))
    assert not found & {"psycopg", "psycopg_pool", "psycopg_binary"}


def test_listing_loads_no_tls(tmp_path: Path) -> None:
    """`troth list` starts in little time because it loads little."""
    program = f"import os; os.environ['TROTH_HOME']={str(tmp_path)!r}\nfrom troth.cli.main import main; main(['list', '--quiet'])"
    assert not loaded(program) & {"ssl", "asyncio", "cryptography", "hashlib", "logging", "dataclasses"} - loaded(
        "pass"
    )
