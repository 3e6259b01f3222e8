"""Questions on a terminal. Where there is none, nothing is asked: what is missing is named instead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from troth.errors.base import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from troth.identity import Subject

# The incumbent's six questions, in its order.
QUESTIONS = {
    "cn": "Common name, the name of this node",
    "ou": "Organizational unit",
    "o": "Organization",
    "l": "Locality, such as a city",
    "st": "State or province",
    "c": "Country, two letters",
}


def on_terminal() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def subject(given: Mapping[str, str | None]) -> Subject:
    """Take the subject from the words of the call; without a common name among them, ask for what is missing.

    Args:
        given: The fields by their names; None where the call says nothing.

    Raises:
        BadInput: There is no common name and nobody to ask, or a value cannot be used.
    """
    from troth.identity import Subject

    known = {name: given.get(name) for name in QUESTIONS}
    if known["cn"] is None and on_terminal():
        for name, question in QUESTIONS.items():
            if known[name] is None:
                known[name] = _ask(question, "", _checked(name))
    elif known["cn"] is None:
        options = " ".join(f"--{name} …" for name in QUESTIONS)
        raise BadInput(
            "The common name is missing, and there is no terminal to ask on.",
            why="missing is --cn; --ou, --o, --l, --st, --c and --san may be given as well",
            next_command=f"troth key csr {options} --san DNS:…",
        )
    return Subject(**{name: value or "" for name, value in known.items()})


def names(default: Sequence[str]) -> tuple[str, ...]:
    """Ask for the names and addresses of a certificate."""
    from troth.identity.names import parse_sans

    def read(text: str) -> str:
        parse_sans(text.replace(",", " ").split())
        return text

    shown = ", ".join(default)
    answer = _ask("Names and addresses of this node (DNS:name, IP:address)", shown, read)
    return parse_sans(answer.replace(",", " ").split())


def passphrase(about: str) -> bytes:
    """Ask for a passphrase, unseen.

    Raises:
        BadInput: There is nobody to ask.
    """
    import getpass

    if not on_terminal():
        raise BadInput(
            f"{about} is encrypted, and there is no terminal to ask for its passphrase on.",
            next_command="--passphrase-file FILE, for a file that nobody else can read",
        )
    return getpass.getpass(f"Passphrase of {about}: ", sys.stderr).encode()


def _checked(name: str) -> Callable[[str], str]:
    from troth.identity import Subject

    def check(text: str) -> str:
        Subject(**{name: text})
        return text

    return check


def _ask(question: str, default: str, read: Callable[[str], str]) -> str:
    """Ask until the answer can be used; the prompt goes to standard error, so that a result can be piped."""
    while True:
        sys.stderr.write(f"{question}{f' [{default}]' if default else ''}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise BadInput("The answers ended before the questions did; nothing was changed.")
        try:
            return read(line.strip() or default)
        except BadInput as error:
            sys.stderr.write(f"  {error.what}{f' ({error.why})' if error.why else ''}\n")
