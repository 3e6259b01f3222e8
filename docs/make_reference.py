"""Write the parts of the reference that are made from the program itself.

A part stands between `<!-- made: NAME -->` and `<!-- end -->` in a page, and is replaced there.

    python docs/make_reference.py           write the pages again
    python docs/make_reference.py --check   only say which pages are out of date
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from troth import errors
from troth.cli import main as cli
from troth.cli import ncs
from troth.database.migrate import migrations
from troth.store import schema
from troth.trust import decide
from troth.trust.explain import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from troth.errors import TrothError

DOCS = Path(__file__).parent
_PART = re.compile(r"(?P<begin><!-- made: (?P<name>[^>]*?) -->\n).*?(?P<end><!-- end -->)", re.S)


def helped(command: str) -> str:
    """Give the help of a command, at a fixed width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        return _fenced(cli.parser_for(command).format_help())
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def usage() -> str:
    """Give the text of `troth --help`."""
    return _fenced(cli.usage())


def ncs_usage() -> str:
    """Give the text of `ncs --help`."""
    return _fenced(ncs.usage())


def decision_table() -> str:
    """Give the decision table as its module has it."""
    return _fenced(inspect.getdoc(decide) or "")


def exit_codes() -> str:
    """Give the exit codes as a table."""
    rows = [line.split(None, 1) for line in cli.EXIT_CODES.splitlines()[1:] if line.strip()]
    return "| code | meaning |\n|---|---|\n" + "".join(f"| {code} | {text} |\n" for code, text in rows)


def exit_code_errors() -> str:
    """Give the errors that lead to each exit code."""
    found: dict[int, list[str]] = {}
    for each in sorted(all_errors(), key=lambda cls: cls.code):
        found.setdefault(each.exit_code, []).append(f"[{each.code}](errors.md#{each.code.lower()})")
    rows = (f"| {code} | {', '.join(codes)} |\n" for code, codes in sorted(found.items()))
    return "| exit code | errors |\n|---|---|\n" + "".join(rows)


def error_table() -> str:
    """Give every error in one table."""
    head = "| code | title | class in `troth.errors` | exit code | problem type | status |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| [{each.code}](#{each.code.lower()}) | {each.title} | `{each.__name__}` | {each.exit_code} |"
        f" `urn:troth:problem:{each.slug}` | {each.status} |\n"
        for each in sorted(all_errors(), key=lambda cls: cls.code)
    )


def classes() -> str:
    """Give the classes of a change."""
    rows = (f"| `{each.value}` | {text} |\n" for each, text in CLASSES.items())
    return "| class | what it says |\n|---|---|\n" + "".join(rows)


def tables() -> str:
    """Give the tables of the store, as they are made."""
    return "```sql\n" + "\n".join(schema.MIGRATIONS).strip() + "\n```\n"


def database_tables() -> str:
    """Give the tables of the store in PostgreSQL, as they are made."""
    return "```sql\n" + migrations()[0].sql.strip() + "\n```\n"


def operations() -> str:
    """Give every operation of the API, by group."""
    from troth.server.api import OPERATIONS
    from troth.server.openapi import statuses

    text = ""
    for tag in dict.fromkeys(each.tag for each in OPERATIONS):
        text += f"\n### {tag}\n\n| operation | does | needs | failures |\n|---|---|---|---|\n"
        for each in (each for each in OPERATIONS if each.tag == tag):
            needs = f"`{each.permission}`" if each.permission else "nothing"
            own = [str(status) for status in statuses(each) if status not in (400, 401, 403, 413, 429, 500, 503)]
            call = f"`{each.method} {each.path}`<br>`{each.name}`"
            text += f"| {call} | {each.about} | {needs} | {', '.join(own) or '-'} |\n"
    return text.lstrip("\n")


def permissions() -> str:
    """Give what each role may do."""
    from troth.accounts.roles import GRANTS, Permission, Role

    rows = (
        f"| `{each}` | {' | '.join('yes' if each in GRANTS[role] else '' for role in Role)} |\n" for each in Permission
    )
    return f"| permission | {' | '.join(Role)} |\n|---|{'---|' * len(Role)}\n" + "".join(rows)


def schemas() -> str:
    """Give the list of the published schemas."""
    names = sorted(path.name for path in (DOCS / "reference" / "schemas").glob("*.json"))
    return "".join(f"* [`{name.removesuffix('.json')}`](schemas/{name})\n" for name in names)


def all_errors() -> list[type[TrothError]]:
    """Give every error class."""
    return [getattr(errors, name) for name in errors.__all__]


MAKERS: dict[str, Callable[[], str]] = {
    "usage": usage,
    "ncs-usage": ncs_usage,
    "decision-table": decision_table,
    "exit-codes": exit_codes,
    "exit-code-errors": exit_code_errors,
    "error-table": error_table,
    "classes": classes,
    "operations": operations,
    "permissions": permissions,
    "tables": tables,
    "database-tables": database_tables,
    "schemas": schemas,
}


def made(name: str) -> str:
    """Give one part by its name."""
    word, _, rest = name.partition(" ")
    return helped(rest) if word == "help" else MAKERS[name]()


def filled(page: str) -> str:
    """Give a page with every made part in it as it is now."""
    return _PART.sub(lambda found: found["begin"] + made(found["name"]) + found["end"], page)


def pages() -> Iterator[Path]:
    """Give every page."""
    for path in sorted(DOCS.rglob("*.md")):
        if not {"_build", "_source"} & set(path.relative_to(DOCS).parts):
            yield path


def main() -> int:
    """Write, or check."""
    stale = 0
    for path in pages():
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            stale += 1
            sys.stdout.write(f"{path.relative_to(DOCS)}\n")
            if "--check" not in sys.argv:
                path.write_text(after, encoding="utf-8")
    return 1 if stale and "--check" in sys.argv else 0


def _fenced(text: str) -> str:
    return "```text\n" + "".join(f"{line.rstrip()}\n" for line in text.rstrip().splitlines()) + "```\n"


if __name__ == "__main__":
    sys.exit(main())
