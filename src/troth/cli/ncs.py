"""`ncs`: the incumbent's grammar over the same store. The grammar is data; each line ends in one function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from troth.cli import ncs_actions as act
from troth.cli import ncs_key as key
from troth.cli import ncs_node as node
from troth.errors.base import BadInput

Run = Callable[[dict[str, str]], int]

TRUSTSTORES = ("devicemgmt", "pubnet", "system", "user")
_CERT = ("certvalidation",)
_CA = ("certvalidation", "trusted-ca-store")
_OCSP = ("certvalidation", "custom-ocsp-responder")

# A word in <angle brackets> takes any value; one in {braces|like|this} takes one of these.
GRAMMAR: tuple[tuple[tuple[str, ...], Run, str], ...] = (
    (
        (*_CERT, "tofu-certs", "listcerts"),
        act.list_certificates,
        "list the certificates that were trusted on first use",
    ),
    ((*_CERT, "tofu-certs", "deletecert", "host", "<host_port>"), act.delete_certificate, "forget one of them"),
    (
        (*_CERT, "certificate-check", "{disable|trust-on-first-use|enable}", "{devicemgmt|pubnet|system|user}"),
        act.certificate_check,
        "set how a truststore's hosts are checked",
    ),
    (
        (
            *_CA,
            "importcacert",
            "alias",
            "<alias>",
            "repository",
            "<repository>",
            "<file>",
            "truststore",
            "{devicemgmt|pubnet|system|user}",
        ),
        act.import_ca,
        "trust a CA, from a file in a repository",
    ),
    (
        (*_CA, "listcacerts", "truststore", "{devicemgmt|pubnet|system|user}"),
        act.list_cas,
        "list the CAs of a truststore",
    ),
    (
        (*_CA, "deletecacert", "alias", "<alias>", "truststore", "{devicemgmt|pubnet|system|user}"),
        act.delete_ca,
        "trust a CA no more",
    ),
    (
        (*_CA, "auto-ca-update", "{enable|disable}", "truststore", "{devicemgmt|pubnet|system|user}"),
        act.auto_ca_update,
        "follow the operating system's CAs",
    ),
    ((*_OCSP, "enable"), act.ocsp_enable, "ask the custom OCSP responders"),
    ((*_OCSP, "disable"), act.ocsp_disable, "ask the responder that a certificate names"),
    ((*_OCSP, "set", "{url1|url2}", "<url>"), act.ocsp_set, "set a custom OCSP responder"),
    ((*_OCSP, "clear", "{url1|url2}"), act.ocsp_clear, "clear a custom OCSP responder"),
    (
        ("key", "genkey", "-newdn", "-csr", "<file>", "repository", "<repository>"),
        key.genkey,
        "make a key and a request for its certificate, into a repository; asks on the terminal",
    ),
    (
        ("key", "importsignedcert", "<file>", "repository", "<repository>"),
        key.import_signed,
        "take the CA's answer; in force at the next start",
    ),
    (
        ("key", "importkey", "<key>", "<cert>", "repository", "<repository>"),
        key.import_key,
        "take a key and its certificate; in force at the next start",
    ),
    (
        ("key", "importcacert", "<alias>", "<file>", "repository", "<repository>"),
        key.import_ca,
        "trust a CA in the truststore system",
    ),
    (("key", "listcacerts"), key.list_cas, "list the CAs of the truststore system"),
    (("key", "deletecacert", "<alias>"), key.delete_ca, "trust a CA of the truststore system no more"),
    (("status",), node.status, "say which parts of the node run"),
    (("start",), node.start, "start the node, and wait until it runs"),
    (("stop",), node.stop, "stop the node, and wait until it has ended"),
)
# Options that the incumbent lacks: name, whether it takes a value, and the word that its line contains.
OPTIONS = {
    "--fingerprints": (False, "listcerts"),
    "--json": (False, "listcerts"),
    "--next": (True, "deletecert"),
    "--starttls": (True, "deletecert"),
}
_LATER = ("ha",)


def entry() -> NoReturn:
    """Run the `ncs` command line of this process."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run one command line and give its exit code."""
    from troth.cli.main import guarded

    return guarded(lambda: _run(list(argv)), as_json="--json" in argv)


def usage() -> str:
    """Give the text of `ncs --help`."""
    lines = [f"  ncs {' '.join(words)}\n      {about}" for words, _, about in GRAMMAR]
    return (
        "usage: ncs COMMAND …\n\nThe incumbent's commands, over Troth's record. A ? in any place lists what may stand there.\n\n"
        + "\n".join(lines)
        + "\n\noptions that the incumbent lacks:\n"
        "  listcerts --fingerprints    add each pin's fingerprint, kind and domain\n"
        "  listcerts --json            one JSON document, as troth list --json\n"
        "  deletecert … --next FP      the certificate that may be trusted there without approval\n"
        "  deletecert … --starttls P   which entry, where a host and port has several\n"
    )


def _run(argv: list[str]) -> int:
    if not argv or argv in (["-h"], ["--help"], ["help"]):
        sys.stdout.write(usage())
        return 0 if argv else 2
    words, values = _options(argv)
    if words and words[0] in _LATER:
        raise BadInput(f"ncs {words[0]} is for a pair, and this version makes none yet.", next_command="ncs --help")
    if words and words[-1] == "?":
        sys.stdout.write("".join(f"  {word}\n" for word in _possible(words[:-1])))
        return 0
    for pattern, run, _ in GRAMMAR:
        bound = _bind(pattern, words)
        if bound is not None:
            for name in values:
                if OPTIONS[name][1] not in pattern:
                    raise BadInput(f"{name} does not belong to this command.", next_command="ncs --help")
            return run({**bound, **values})
    raise _wrong(words)


def _options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    values: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in OPTIONS:
            if word.startswith("--"):
                raise BadInput(f"{word!a} is no option of ncs.", next_command="ncs --help")
            words.append(word)
        elif not OPTIONS[name][0]:
            if equals:
                raise BadInput(f"{name} takes no value.", next_command="ncs --help")
            values[name] = "yes"
        else:
            given = value if equals else next(rest, None)
            if given is None:
                raise BadInput(f"{name} needs a value.", next_command="ncs --help")
            values[name] = given
    return words, values


def _bind(pattern: tuple[str, ...], words: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(words):
        return None
    bound: dict[str, str] = {}
    for part, word in zip(pattern, words, strict=True):
        if not _fits(part, word):
            return None
        if part[0] == "<" or part[0] == "{":
            bound[part[1:-1]] = word
    return bound


def _fits(part: str, word: str) -> bool:
    if part[0] == "<":
        return bool(word) and word != "?"
    if part[0] == "{":
        return word in part[1:-1].split("|")
    return part == word


def _possible(words: list[str]) -> list[str]:
    """Give the words that may follow, each once, in the grammar's order."""
    found: dict[str, None] = {}
    for pattern, _, _ in GRAMMAR:
        if all(_fits(part, word) for part, word in zip(pattern, words, strict=False)) and len(pattern) >= len(words):
            following = pattern[len(words)] if len(pattern) > len(words) else "<enter>"
            for each in following[1:-1].split("|") if following[0] == "{" else [following]:
                found[each] = None
    return list(found)


def _wrong(words: list[str]) -> BadInput:
    good = 0
    while good < len(words) and _possible(words[: good + 1]):
        good += 1
    expected = ", ".join(_possible(words[:good]))
    so_far = " ".join(["ncs", *words[:good]])
    if good == len(words):
        return BadInput(
            f"The command is not complete: {so_far} …", why=f"what may follow: {expected}", next_command=f"{so_far} ?"
        )
    return BadInput(
        f"{ascii(words[good])[:80]} cannot stand after {so_far!r}.",
        why=f"what may: {expected}",
        next_command=f"{so_far} ?",
    )


if __name__ == "__main__":
    entry()
