"""The benchmarks run, print their rows, and say when a bar is missed. Nothing here is about how fast anything is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import fixture
from benchmarks.__main__ import NAMES
from benchmarks.harness import Row, interleave, quantile, ratios, table
from troth.model.certificate import CertificateView
from troth.store.audit import audit

ROOT = Path(__file__).parents[2]
BARS = {"check": 1, "lookup": 3, "engines": 0, "list": 2, "writers": 2, "batch": 1, "refusal": 0}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("name", NAMES)
def test_each_benchmark_prints_its_rows(name: str, tmp_path: Path) -> None:
    """Every benchmark runs to its end, prints each row, has its bars, and ends with 1 exactly if one is missed."""
    done = run(name, "--quick", "--json", str(tmp_path / "rows.json"), "--folder", str(tmp_path))
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert rows
    for row in rows:
        assert row["benchmark"] == name
        assert row["what"] in done.stdout
        assert 0 <= row["low"] <= row["value"] <= row["high"]
    assert sum(row["bar"] is not None for row in rows) == BARS[name]
    assert done.returncode == any(row["verdict"] in ("over", "under") for row in rows)
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.json"]


def test_a_name_that_is_none_is_refused() -> None:
    """A benchmark that does not exist is an error of the call, and nothing runs."""
    done = run("speed")
    assert (done.returncode, done.stdout) == (2, "")
    assert "speed" in done.stderr


def test_bars_are_upper_or_lower_limits() -> None:
    """A row misses its bar above an upper one and below a lower one, and never without one."""
    assert Row.of("a", "x", [1, 2, 9], bar=2).verdict == "PASS"
    assert Row.of("a", "x", [1, 3, 9], bar=2).verdict == "over"
    assert Row.of("a", "/s", [1, 2, 9], bar=2, at_least=True).verdict == "PASS"
    assert Row.of("a", "/s", [1, 2, 9], bar=3, at_least=True).verdict == "under"
    assert not Row.of("a", "x", [1e9]).missed
    assert "over" in table([("b", Row.of("a", "x", [1, 3, 9], bar=2))])


def test_variants_take_turns() -> None:
    """Every variant runs once per round, and every other round goes backwards."""
    order: list[str] = []
    found = interleave(3, {name: lambda name=name: order.append(name) or len(order) for name in "ab"})
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert ratios(found["a"], found["b"]) == [1 / 2, 4 / 3, 5 / 6]
    assert quantile([5, 1, 4, 2, 3], 0.5) == 3


def test_a_filled_store_is_one_that_the_store_takes_for_its_own(tmp_path: Path) -> None:
    """What is measured is real: each copied entry has the pin and the rows of its own readable certificate."""
    with fixture.fill(tmp_path / "home" / "trust.db", 30) as store:
        views = [CertificateView.from_der(fixture.certificate(number)) for number in range(30)]
        assert len({view.spki for view in views}) == 30
        for number, view in enumerate(views):
            entry = store.entry(fixture.endpoint(number))
            assert entry is not None
            assert entry.presented == entry.current[0].fingerprint == view.fingerprint
            kept = store.certificate(view.fingerprint)
            assert kept == view
            assert kept.fingerprint.digest == hashlib.sha256(view.der).digest()
            assert store.holders(view.spki, but=fixture.endpoint(30)) == (fixture.endpoint(number),)
        subjects = {each.host: each.subject for each in store.listing()}
        assert subjects == {fixture.endpoint(n).host: view.subject for n, view in enumerate(views)}
        assert audit(store).entries == 30
