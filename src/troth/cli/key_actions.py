"""What each action of `troth key` does; `ncs key` does the same in the incumbent's words."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from troth import documents
from troth.cli import asking, common, key_output, output
from troth.errors import BadInput, CertificateUnfit, IdentityMissing, StoreUnusable
from troth.identity import Algorithm, Identity, Role, Severity
from troth.identity.lint import errors
from troth.identity.names import usual_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from troth.identity import Change, Subject
    from troth.identity.generations import Generation
    from troth.model.certificate import CertificateView


def identity() -> Identity:
    """Open the identity of the node that this call is about.

    Raises:
        ConfigUnusable: No node was initialised there.
    """
    from troth.node import home

    place = home.find()
    # Only a node has what its configuration is read with.
    from troth.node import config

    names = config.read(home.Home(place)).names
    return Identity(place / "identity", lambda: datetime.now(UTC), names=names)


def show(args: argparse.Namespace) -> int:
    """Show every generation, or print the certificates in force."""
    found = identity()
    every = found.generations()
    if not every:
        raise IdentityMissing("This node has no key yet.", next_command="troth key generate")
    if args.pem:
        sys.stdout.write("".join(view.pem for view in found.current().chain))
    elif args.json:
        state = found.state()
        output.document(
            "troth.key.show/1", generations=[documents.generation(each) for each in every], on_restart=state.on_start
        )
    elif not args.quiet:
        key_output.tell(every, on_restart=found.state().on_start)
    return 0


def generate(args: argparse.Namespace) -> int:
    """Make a key with a self-signed certificate."""
    found = identity()
    made = found.create(args.san or _names_so_far(found), Algorithm(args.algorithm or Algorithm.EC_P256))
    if args.json:
        output.document("troth.key.generate/1", generation=documents.generation(made))
    elif not args.quiet:
        output.say(f"generated  {made.role}  {key_output.fingerprint(made)}")
        if made.role is Role.NEXT:
            key_output.advise_next(made)
    return 0


def csr(args: argparse.Namespace) -> int:
    """Make a key and a request for its certificate."""
    found = identity()
    found.current()  # before anybody answers six questions in vain
    who = asking.subject({name: getattr(args, name) for name in asking.QUESTIONS})
    usual = usual_names(found.names, who)
    names = args.san or (asking.names(usual) if args.cn is None else usual)
    if args.out is None:
        made = request(found, who, names, args)
        text = made.request
    else:
        with common.new_file(Path(args.out)) as file:
            made = request(found, who, names, args)
            text = made.request
            file.write(text)
    if args.json:
        output.document("troth.key.csr/1", request=text, file=args.out, generation=documents.generation(made))
    elif args.out is None:
        sys.stdout.write(text)
    elif not args.quiet:
        output.say(f"requested  {args.out}")
    if not args.quiet and not args.json:
        key_output.advise_request(made)
    return 0


def request(found: Identity, who: Subject, names: Sequence[str], args: argparse.Namespace) -> Generation:
    """Make a request, and give what is pending now."""
    if args.reuse_key and args.algorithm:
        raise BadInput("A key that is used again keeps its kind: give --reuse-key or --algorithm.")
    text = found.request(who, names, Algorithm(args.algorithm or Algorithm.EC_P256), reuse_key=args.reuse_key)
    return next(each for each in found.generations() if each.request == text)


def import_(args: argparse.Namespace) -> int:
    """Take a certificate, and perhaps its key, as the next one."""
    if args.file is None:
        raise BadInput("Name the file with the certificate.", next_command="troth key import FILE [--key KEYFILE]")
    if args.passphrase_file and not args.key:
        raise BadInput("A passphrase belongs to a key.", next_command="troth key import FILE --key KEYFILE")
    found, data = identity(), common.read_bytes(args.file)
    if args.chain:
        data = _joined(data, common.read_bytes(args.chain))
    key = common.read_bytes(args.key) if args.key else None
    secret = unlock(key, args.key, args.passphrase_file) if key is not None else None
    if args.dry_run:
        return _would_import(args, found, data, key, secret)
    change = take(found, data, key, secret, quiet=args.json or args.quiet)
    if args.json:
        output.document(
            "troth.key.import/1",
            dry_run=False,
            fits=True,
            findings=[each.document() for each in change.findings],
            generation=documents.generation(change.generation),
        )
    elif not args.quiet:
        output.say(f"imported  next  {key_output.fingerprint(change.generation)}")
        key_output.advise_next(change.generation)
    if key is not None and not args.quiet:
        key_output.warn_exposed(args.key)
    return 0


def take(found: Identity, data: bytes, key: bytes | None, secret: bytes | None, *, quiet: bool = False) -> Change:
    """Import, and tell the findings.

    Raises:
        CertificateUnfit: There are errors.
    """
    try:
        if key is None:
            change = found.import_signed(data, known=authorities(quiet=quiet))
        else:
            change = found.import_pair(key, data, passphrase=secret, known=authorities(quiet=quiet))
    except CertificateUnfit as error:
        if not quiet:
            # The error itself tells the first one that counts.
            found_wrong = cast("list[dict[str, str]]", error.details["findings"])
            first = next(each for each in found_wrong if each["severity"] == Severity.ERROR)
            key_output.tell_findings(each for each in found_wrong if each is not first)
        raise
    if not quiet:
        key_output.tell_findings(each.document() for each in change.findings)
    return change


def activate(args: argparse.Namespace) -> int:
    """Put the next certificate in force: now, or when the node starts."""
    found = identity()
    if args.dry_run:
        change, done = found.activation(), False
    elif args.on_restart:
        found.schedule()
        change, done = found.activation(), False
    else:
        change, done = found.activate(), True
    wrong = bool(errors(change.findings))
    if args.json:
        output.document(
            "troth.key.activate/1",
            dry_run=args.dry_run,
            on_restart=args.on_restart,
            activated=done,
            fits=not wrong,
            findings=[each.document() for each in change.findings],
            generation=documents.generation(change.generation),
            before=documents.generation(change.before),
        )
    elif not args.quiet:
        key_output.tell_findings(each.document() for each in change.findings)
        key_output.tell_activation(change, done=done, on_restart=args.on_restart and not args.dry_run)
    return 1 if wrong else 0


def unlock(key: bytes, name: str, file: str | None) -> bytes | None:
    """Get the passphrase of a key, if it has one: from a file, or from the terminal.

    Raises:
        BadKey: It is no key.
        BadInput: There is no file, and nobody to ask.
    """
    from troth.identity.keys import is_locked

    if not is_locked(key):
        return None
    if file is None:
        return asking.passphrase(name)
    if file != "-":
        key_output.warn_exposed(file)
    return common.read_bytes(file).removesuffix(b"\n").removesuffix(b"\r")


def authorities(*, quiet: bool) -> Iterator[CertificateView]:
    """Give the CAs that the node trusts for its peers; the trust store is opened only if somebody looks.

    A store that cannot be read, as while the node is stopped, vouches for nobody: the chain is then incomplete.
    """
    from troth.store.authorities import authorities as trusted

    why = "the node does not run" if _is_stopped() else ""
    try:
        if not why:
            with common.store() as opened:
                found = trusted(opened, "system")
    except StoreUnusable as error:
        why = error.what
    if why:
        if not quiet:
            output.note(f"the CAs of the truststore system cannot be read: {why}; --chain FILE names them")
        return
    for each in found:
        yield each.view


def _is_stopped() -> bool:
    """Whether the node's own database has no socket, so that waiting for it is in vain."""
    from troth.node import config, home

    place = home.Home(home.find())
    return not config.read(place).database.url and not any((place.postgres / "run").glob(".s.PGSQL.*"))


def _would_import(
    args: argparse.Namespace, found: Identity, data: bytes, key: bytes | None, secret: bytes | None
) -> int:
    findings = found.lint(data, key, passphrase=secret, known=authorities(quiet=args.json or args.quiet))
    wrong = bool(errors(findings))
    if args.json:
        output.document(
            "troth.key.import/1",
            dry_run=True,
            fits=not wrong,
            findings=[each.document() for each in findings],
            generation=None,
        )
    elif not args.quiet:
        key_output.tell_findings(each.document() for each in findings)
        output.say("would not be imported" if wrong else "would be imported as the next one")
    return 1 if wrong else 0


def _joined(*files: bytes) -> bytes:
    from troth.identity.reading import certificates

    return "".join(view.pem for data in files for view in certificates(data)).encode("ascii")


def _names_so_far(found: Identity) -> tuple[str, ...]:
    import socket

    try:
        return found.names
    except IdentityMissing:
        return (socket.gethostname(),)
