"""The documentation says what the program does: pages are held against the code, and their commands are run again."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import troth
from troth import errors, manage
from troth.cli import main as cli
from troth.cli import ncs
from troth.cli.remote.problems import ServerError
from troth.errors import TrothError
from troth.model.entry import CheckMode, Expiry, Override, PinKind
from troth.model.fingerprint import Fingerprint
from troth.model.words import DOMAINS, PROTOCOLS
from troth.store import open_store
from troth.trust import decide
from troth.trust.verdict import Verdict

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if not {"_build", "_source"} & set(path.relative_to(DOCS).parts)]
SOURCES = sorted((DOCS / "_source").rglob("*.md"))
_LINK = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```\n", re.M | re.S)
_FOREIGN = re.compile(r"issue #|(?<!\.)\bsessions?\b|\bagents?\b|/work/|/root/|/opt/|/tmp/", re.I)


def name(path: Path) -> str:
    """Name a page in the test's id."""
    return str(path.relative_to(DOCS))


def script(module: str) -> ModuleType:
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(f"docs_{module}", DOCS / f"{module}.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def read(page: str) -> str:
    """Read a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def level(text: str) -> str:
    """Bring help texts of different Python versions together: blanks, and `-o FILE, --output FILE`."""
    return " ".join(re.sub(r"(-\w) [A-Z]+, (--)", r"\1, \2", text).split())


def anchors(text: str) -> set[str]:
    """Give the anchors that a page's headings make."""
    titles = re.findall(r"^#{1,4} +(.+)$", _FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").strip().lower()).replace(" ", "-") for title in titles}


def section(page: str, title: str) -> str:
    """Give the text under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", read(page), re.M | re.S)
    assert found, f"{page} has no section {title}"
    return found[1]


def all_errors() -> list[type[TrothError]]:
    """Give every error class that programs can see."""
    return [getattr(errors, each) for each in errors.__all__]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_made_parts_are_up_to_date(page: Path) -> None:
    """What a page takes from the program is what the program says now (else: python docs/make_reference.py)."""
    text = page.read_text(encoding="utf-8")
    assert level(script("make_reference").filled(text)) == level(text)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_and_option_is_on_the_page(command: str) -> None:
    """Every command has a section, and every option of its parser stands in it."""
    text = section("reference/commands.md", command)
    actions = cli.parser_for(command)._actions
    assert actions
    for action in actions:
        for option in action.option_strings:
            assert option in text, option
        if action.help and action.help is not argparse.SUPPRESS:
            assert level(action.help % {}) in level(text)


def test_every_line_of_the_incumbents_grammar_is_on_the_page() -> None:
    """Every line of the grammar and every option of it stands on its page."""
    text = read("reference/ncs.md")
    for words, _, _ in ncs.GRAMMAR:
        assert "ncs " + " ".join(words) in text
    for option in ncs.OPTIONS:
        assert option in text


def test_every_error_has_an_anchor_and_every_anchor_an_error() -> None:
    """The error page and the error classes have the same codes, each code once, and each section says the three things."""
    codes = [each.code for each in all_errors()]
    assert len(set(codes)) == len(codes)
    assert re.findall(r"^## (TROTH-\d+)$", read("reference/errors.md"), re.M) == sorted(codes)
    for code in codes:
        text = section("reference/errors.md", code)
        for part in ("**What happened.**", "**Why.**", "**What to do.**"):
            assert text.count(part) == 1, (code, part)


def test_every_error_class_of_the_package_is_public() -> None:
    """No error class exists that the error page could not know of."""

    def below(cls: type[TrothError]) -> set[type[TrothError]]:
        return {cls}.union(*(below(each) for each in cls.__subclasses__()))

    _ = errors.CertificateRejected
    # What another node's server said is told as it was said, by a class without a code of its own.
    ours = {each for each in below(TrothError) if each.__module__.startswith("troth.")} - below(ServerError)
    assert ours == set(all_errors())


def test_codes_in_pages_exist() -> None:
    """No page names an error code that does not exist."""
    known = {each.code for each in all_errors()}
    for page in PAGES:
        assert set(re.findall(r"TROTH-\d{3}", page.read_text(encoding="utf-8"))) <= known, name(page)


def test_exit_codes_are_those_of_the_program() -> None:
    """The page lists exactly the codes of the program's own help, in the same words, and each error's code is one."""
    promised = dict(line.split(None, 1) for line in cli.EXIT_CODES.splitlines()[1:] if line.strip())
    table = read("reference/exit-codes.md").split("<!-- made: exit-codes -->")[1].split("<!-- end -->")[0]
    assert dict(re.findall(r"^\| (\d+) \| (.*?) \|$", table, re.M)) == promised
    assert {str(each.exit_code) for each in all_errors()} <= set(promised)


def test_the_decision_table_is_the_docstring() -> None:
    """The decision table in the explanation is the docstring of the module that decides."""
    assert (inspect.getdoc(decide) or "").strip() in read("explanation/decision-table.md")


def test_every_schema_is_listed_and_readable() -> None:
    """Every published schema is listed on the JSON page, names itself, and is valid JSON."""
    text = read("reference/json.md")
    found = sorted((DOCS / "reference" / "schemas").glob("*.json"))
    assert found
    for path in found:
        assert f"(schemas/{path.name})" in text
        schema = json.loads(path.read_text(encoding="utf-8"))
        const = schema["properties"].get("schema", {}).get("const")
        assert path.name == "problem.json" or const == path.stem[::-1].replace(".", "/", 1)[::-1]


def test_policies_and_protocols_are_named() -> None:
    """Every domain, mode, kind, setting and STARTTLS protocol stands on its page."""
    text = read("reference/policy.md")
    for word in (*DOMAINS, *CheckMode, *PinKind, *Expiry):
        assert f"`{word}`" in text
    starttls = read("how-to/starttls.md")
    for protocol in PROTOCOLS:
        assert protocol == "tls" or f"`{protocol}`" in starttls


def test_every_variable_is_documented() -> None:
    """Every environment variable that the program reads stands on its page."""
    text = read("reference/environment.md")
    for path in sorted((ROOT / "src").rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        for variable in re.findall(
            r"environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"|\"([A-Z_]+)\" (?:not )?in os\.environ", code
        ):
            assert f"`{''.join(variable)}`" in text, (path.name, variable)


def test_the_librarys_parameters_are_documented() -> None:
    """Every public name of the package, and every parameter of what it offers, stands on the library page."""
    text = read("reference/library.md")
    for public in troth.__all__:
        assert public == "__version__" or f"troth.{public}" in text
    for offered in (troth.open_store, troth.Context.__init__, troth.check):
        for parameter in inspect.signature(offered).parameters.values():
            if parameter.name not in ("self", "store"):
                assert re.search(rf"`{parameter.name}`|\b{parameter.name}=", text), parameter.name
    for method in [
        each for each in vars(troth.Context) if not each.startswith("_") and each not in dir(ssl.SSLContext)
    ]:
        assert method in ("endpoint", "starttls") or f"context.{method}(" in text, method


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_pages_exist(page: Path) -> None:
    """Every `troth` command that a page shows exists, and so does every option that it is given."""
    text = re.sub(r"<!-- made: .*?<!-- end -->", "", page.read_text(encoding="utf-8"), flags=re.S)
    text = text.replace("\\\n", " ")
    # In code only: between backquotes, at the start of an indented line, or after a prompt.
    shown = re.findall(r"`troth ([a-z][^`]*)`", text) + re.findall(r"^(?: {4}|\$ )troth ([a-z].*)$", text, re.M)
    for line in shown:
        command, *rest = line.split()
        assert command in cli.COMMANDS, line
        known = {option for action in cli.parser_for(command)._actions for option in action.option_strings}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, line


def test_verdicts_are_all_explained() -> None:
    """Every verdict has a row under the decision table, with whether it trusts."""
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", read("explanation/decision-table.md"), re.M))
    assert set(rows) == {each.value for each in Verdict}
    assert {each for each, trusted in rows.items() if trusted == "yes"} == {
        each.value for each in Verdict if each.accepts
    }


def test_decisions_are_numbered_and_whole() -> None:
    """The recorded decisions are numbered without a gap, and each has the template's sections."""
    records = sorted((DOCS / "adr").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{each:04}" for each in range(len(records))]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: ")
        for part in ("* Date: ", "* State: ", "## Context", "## Options", "## Decision", "## Consequences"):
            assert part in text, (path.name, part)


def test_every_threat_has_a_section() -> None:
    """The threats are numbered from 1 to 36 without a gap."""
    numbers = re.findall(r"^### (\d+)\. ", read("explanation/threats.md"), re.M)
    assert numbers == [str(each) for each in range(1, 37)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and every anchor to a heading."""
    for groups in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        link = groups[0] or groups[1]
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), link
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_are_clean(page: Path) -> None:
    """A page has one title, closes its fences, and says nothing of the machine and the means by which it was made."""
    text = page.read_text(encoding="utf-8")
    assert not _FOREIGN.search(text), _FOREIGN.search(text)
    assert len(re.findall(r"^# ", _FENCE.sub("", text), re.M)) == 1
    assert text.count("\n```") % 2 == 0
    assert "%%" not in text
    assert text.count("<!-- made:") == text.count("<!-- end -->")


def test_every_page_can_be_reached() -> None:
    """Every page is in the index, by name or by a pattern of its folder."""
    index = read("index.md")
    for page in PAGES:
        short = name(page).removesuffix(".md")
        if short != "index":
            assert re.search(rf"^({re.escape(short)}|{re.escape(short.rpartition('/')[0])}/\*)$", index, re.M), short


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_told_commands_print_what_the_page_says(source: Path) -> None:
    """Run again, every command of a page ends as promised and prints the same, apart from hashes, serials and times."""
    try:
        for end in os.openpty():
            os.close(end)
    except OSError as error:
        pytest.skip(f"no terminal can be opened here: {error}")
    tell = script("tell")
    found = tell.written(source)
    assert same(found) == same(tell.of(source).read_text(encoding="utf-8"))


def same(text: str) -> str:
    """Replace what differs from run to run: each fingerprint by its number of appearance, times and serials by a mark."""
    seen: dict[str, int] = {}

    def number(digits: str) -> str:
        return f"<{seen.setdefault(digits.lower()[:16], len(seen))}>"

    text = re.sub(r"\b(?:[0-9a-f]{4} ){15}[0-9a-f]{4}\b", lambda m: number(m[0].replace(" ", "")), text)
    text = re.sub(r"\b(?:[0-9A-F]{2}:){31}[0-9A-F]{2}\b", lambda m: number(m[0].replace(":", "")), text)
    text = re.sub(r"sha256:([0-9a-f]{16,64})", lambda m: number(m[1]), text)
    text = re.sub(r"(?m)(serial +)(- )?[0-9a-f]+( -> [0-9a-f]+)?(\n +\+ [0-9a-f]+)?$", r"\1", text)
    text = re.sub(r"head [0-9a-f]{64}", "head", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text).replace("SHA256 Fingerprint", "sha256 Fingerprint")


def test_the_verifier_on_the_page_verifies_an_export(tmp_path: Path) -> None:
    """The journal's format is exact enough: the page's own program accepts an export, and refuses an altered one."""
    program = re.search(r"```python\n(import hashlib\n.*?)```", read("reference/store.md"), re.S)
    assert program
    with open_store(tmp_path / "trust.db") as store:
        manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
        store.revoke(Fingerprint.of(b"some key"), reason="Schlüssel 🔑 gestohlen")
        lines = [json.dumps(each.document()) for each in store.records()]

    def verify(text: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program[1]], input="\n".join(text), capture_output=True, text=True, check=False
        )

    assert len(lines) >= 2
    assert verify(lines).stdout.startswith(f"intact, {len(lines)} records")
    assert verify([lines[0].replace("strict", "observe"), *lines[1:]]).returncode == 1
    assert verify(lines[1:]).returncode == 1


@pytest.mark.parametrize(
    ("change", "page", "check"),
    [
        (("--kind", "--sort"), "reference/commands.md", lambda: test_every_command_and_option_is_on_the_page("pin")),
        (("## TROTH-304", "## TROTH-306"), "reference/errors.md", test_every_error_has_an_anchor_and_every_anchor_an_error),
        (("| 5 | unreach", "| 6 | unreach"), "reference/exit-codes.md", test_exit_codes_are_those_of_the_program),
        (("first-use          yes", "first-use          no"), "explanation/decision-table.md", test_the_decision_table_is_the_docstring),
    ],
    ids=["option", "error", "exit-code", "table"],
)  # fmt: skip
def test_these_tests_can_fail(
    change: tuple[str, str], page: str, check: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that says something else than the program is noticed."""
    text = read(page)
    assert change[0] in text
    monkeypatch.setattr(
        sys.modules[__name__], "read", lambda name: text.replace(*change) if name == page else (DOCS / name).read_text()
    )
    with pytest.raises(AssertionError):
        check()


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """Sphinx builds the pages with warnings as errors."""
    for module in ("sphinx", "myst_parser", "furo"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install sphinx myst-parser furo")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees"),
         str(DOCS), str(tmp_path / "html")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "tutorial.html").exists()
