"""`troth completion`: completion scripts for the shells, made from the commands' own parsers."""

from __future__ import annotations

import argparse

from troth.cli import output

_BASH = """_troth() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; else
        case "$command" in
{cases}
        esac
        case "$command" in
            show|history|approve|replace|announce|revoke|delete|pin)
                [[ "$cur" == -* ]] || words="$words $(troth completion --endpoints 2>/dev/null)";;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
{tail}}}
complete -o default -F _troth troth"""

# Bash takes an endpoint's colon for the end of a word, and completes what stands behind it.
_COLONS = """    case "$COMP_WORDBREAKS" in *:*)
        local whole="${COMP_LINE:0:COMP_POINT}"; whole="${whole##* }"
        if [[ "$whole" == *:* ]]; then
            local before="${whole%"${whole##*:}"}"
            COMPREPLY=($(compgen -W "$words" -- "$whole"))
            COMPREPLY=("${COMPREPLY[@]#"$before"}")
        fi;;
    esac
"""

_ZSH = "#compdef troth\nautoload -U +X bashcompinit && bashcompinit\n"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = (
        "examples:\n  troth completion bash > /etc/bash_completion.d/troth\n  troth completion fish | source\n"
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"))
    parser.add_argument("--endpoints", action="store_true", help="print the endpoints on record, for the scripts")


def run(args: argparse.Namespace) -> int:
    """Print a script, or what it asks for."""
    from troth.errors import BadInput

    if args.endpoints:
        from troth.cli import common

        with common.store() as opened:
            for each in opened.listing():
                output.say(str(each.endpoint))
        return 0
    if args.shell is None:
        raise BadInput("Name the shell.", next_command="troth completion bash|zsh|fish")
    output.block(_fish() if args.shell == "fish" else _ZSH + _bash(colons=False) if args.shell == "zsh" else _bash())
    return 0


def _words() -> dict[str, list[str]]:
    from troth.cli.main import COMMANDS, parser_for

    found = {}
    for name in COMMANDS:
        words: list[str] = []
        for action in parser_for(name)._actions:  # noqa: SLF001  # argparse has no public list of them
            words += action.option_strings
            words += [str(each) for each in action.choices or ()]
        found[name] = words
    return found


def _bash(*, colons: bool = True) -> str:
    words = _words()
    cases = "\n".join(f'            {name}) words="{" ".join(each)}";;' for name, each in words.items())
    return _BASH.format(commands=" ".join(words), cases=cases, tail=_COLONS if colons else "")


def _fish() -> str:
    from troth.cli.main import COMMANDS

    lines = ["complete -c troth -f"]
    for name, about in COMMANDS.items():
        text = about.replace("'", r"\'")
        lines.append(f"complete -c troth -n __fish_use_subcommand -a {name} -d '{text}'")
    for name, words in _words().items():
        used = f"'__fish_seen_subcommand_from {name}'"
        for word in words:
            option = f"-l {word[2:]}" if word.startswith("--") else "" if word.startswith("-") else f"-a {word}"
            if option:
                lines.append(f"complete -c troth -n {used} {option}")
    names = "show history approve replace announce revoke delete pin"
    lines.append(f"complete -c troth -n '__fish_seen_subcommand_from {names}' -a '(troth completion --endpoints)'")
    return "\n".join(lines)
