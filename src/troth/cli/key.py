"""`troth key`: a node's own keys and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.cli import asking
from troth.errors.base import BadInput

if TYPE_CHECKING:
    import argparse

_ALGORITHMS = ("ec-p256", "ec-p384", "rsa-3072", "rsa-4096")
# Which action takes which option; an option in a wrong place is an error, never disregarded.
_TAKES = {
    "show": ("pem",),
    "generate": ("algorithm", "san"),
    "csr": ("algorithm", "reuse_key", "san", "out", *asking.QUESTIONS),
    "import": ("file", "key", "chain", "passphrase_file", "dry_run"),
    "activate": ("dry_run", "on_restart"),
}
_EPILOG = """actions:
  show      the certificates and keys of this node, and what each is for
  generate  a new key with a self-signed certificate, as the next one
  csr       a request for a CA to sign, with a new key; asks for what is missing, on a terminal
  import    take a CA's answer, or a key and its certificate, as the next one, if nothing is wrong with it
  activate  put the next one in force; the one before is kept

examples:
  troth key csr --cn node.example.com --o "Example Systems" --c US --san DNS:node.example.com --out node.csr
  troth key import node.pem --chain ca.pem
  troth key activate
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("action", choices=tuple(_TAKES))
    parser.add_argument("file", nargs="?", metavar="FILE", help="with import: the certificate, in PEM, DER or PKCS #7")
    parser.add_argument("--pem", action="store_true", help="with show: print the certificates in force, as PEM")
    parser.add_argument(
        "--algorithm", choices=_ALGORITHMS, help="with generate and csr: the kind of key (default: ec-p256)"
    )
    parser.add_argument("--reuse-key", action="store_true", help="with csr: another certificate for the key in force")
    for name, about in asking.QUESTIONS.items():
        parser.add_argument(f"--{name}", metavar="TEXT", help=f"with csr: {about[0].lower()}{about[1:]}")
    parser.add_argument(
        "--san",
        action="append",
        metavar="DNS:NAME|IP:ADDRESS",
        help="with generate and csr: a name that the node is reached by, once for each (default: those it has)",
    )
    parser.add_argument("--out", metavar="FILE", help="with csr: a new file (default: standard output)")
    parser.add_argument("--key", metavar="KEYFILE", help="with import: the private key, if it was made elsewhere")
    parser.add_argument("--chain", metavar="FILE", help="with import: the certificates of the CAs, up to the root")
    parser.add_argument(
        "--passphrase-file", metavar="FILE", help="with import: what the key is encrypted with (default: asked)"
    )
    parser.add_argument("--dry-run", action="store_true", help="with import and activate: only say what would happen")
    parser.add_argument("--on-restart", action="store_true", help="with activate: when the node starts, not now")


def run(args: argparse.Namespace) -> int:
    """Do one of the actions."""
    from troth.cli import key_actions as act

    for name in sorted({each for names in _TAKES.values() for each in names}):
        if getattr(args, name) not in (None, False) and name not in _TAKES[args.action]:
            word = "FILE" if name == "file" else f"--{name.replace('_', '-')}"
            raise BadInput(f"troth key {args.action} takes no {word}.", next_command="troth key --help")
    actions = {
        "show": act.show,
        "generate": act.generate,
        "csr": act.csr,
        "import": act.import_,
        "activate": act.activate,
    }
    return actions[args.action](args)
