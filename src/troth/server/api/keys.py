"""The node's own keys and certificates. No private key is ever given out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents
from troth.accounts.roles import Permission
from troth.errors import BadInput
from troth.identity import Algorithm, Role, Subject
from troth.identity.lint import errors
from troth.identity.names import usual_names
from troth.server.operations import Operation
from troth.store.authorities import authorities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from troth.identity import Change
    from troth.identity.generations import Generation
    from troth.model.certificate import CertificateView
    from troth.server.operations import Call

Kind = Literal["ec-p256", "ec-p384", "rsa-3072", "rsa-4096"]
Names = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=300)]],
    msgspec.Meta(max_length=100, description="`DNS:name` or `IP:address`; those of today where none are given."),
]
Field = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200_000)]


class GenerationView(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its certificate, and what it is for."""

    number: int
    role: str
    origin: str
    made_at: str
    key: str
    names: list[str]
    requested: bool
    certificate: dict[str, Any] | None
    chain: list[str]


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; and whether the next one comes into force when the node starts."""

    generations: list[GenerationView]
    on_restart: bool


class KeyWish(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A key to be made, with a self-signed certificate."""

    algorithm: Kind = "ec-p256"
    names: Names = []


class RequestWish(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a request asks a CA to say of the node; `reuse_key` asks for another certificate of the key in force."""

    cn: Field = ""
    ou: Field = ""
    o: Field = ""
    l: Annotated[str, msgspec.Meta(max_length=128)] = ""  # noqa: E741  # the field's name in X.509
    st: Annotated[str, msgspec.Meta(max_length=128)] = ""
    c: Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")] = ""
    names: Names = []
    algorithm: Kind | None = None
    reuse_key: bool = False


class RequestMade(msgspec.Struct, frozen=True, kw_only=True):
    """The request as PEM, and what waits for its answer."""

    request: str
    generation: GenerationView


class KeyImport(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A CA's answer as PEM, with the certificates above it; and its key, if it was made elsewhere."""

    certificates: Text
    key: Text | None = None
    passphrase: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    dry_run: bool = False


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, and what to do about it."""

    code: str
    severity: str
    what: str
    todo: str


class ImportDone(msgspec.Struct, frozen=True, kw_only=True):
    """What was imported, or would be."""

    dry_run: bool
    fits: bool
    findings: list[FindingView]
    generation: GenerationView | None


class ActivationWish(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Whether it is only said what would happen; and whether it happens when the node starts."""

    dry_run: bool = False
    on_restart: bool = False


class ActivationDone(msgspec.Struct, frozen=True, kw_only=True):
    """What came into force, or would, in place of what."""

    dry_run: bool
    on_restart: bool
    activated: bool
    fits: bool
    findings: list[FindingView]
    generation: GenerationView
    before: GenerationView


def list_keys(call: Call) -> documents.Document:
    """Give every generation."""
    found = call.node.identity
    return {
        "generations": [documents.generation(each) for each in found.generations()],
        "on_restart": found.state().on_start,
    }


def generate(call: Call) -> documents.Document:
    """Make a key with a self-signed certificate, as the next one."""
    asked: KeyWish = call.body
    found = call.node.identity
    made = found.create(asked.names or found.current().names, Algorithm(asked.algorithm))
    _note(call, "key-generate", made)
    return documents.generation(made)


def request(call: Call) -> documents.Document:
    """Make a request for a CA to sign."""
    asked: RequestWish = call.body
    if asked.reuse_key and asked.algorithm:
        raise BadInput("A key that is used again keeps its kind: give reuse_key or algorithm.")
    found = call.node.identity
    who = Subject(cn=asked.cn, ou=asked.ou, o=asked.o, l=asked.l, st=asked.st, c=asked.c)
    names = asked.names or usual_names(found.names, who)
    text = found.request(who, names, Algorithm(asked.algorithm or Algorithm.EC_P256), reuse_key=asked.reuse_key)
    made = next(each for each in found.generations() if each.request == text)
    _note(call, "key-request", made)
    return {"request": text, "generation": documents.generation(made)}


def import_(call: Call) -> documents.Document:
    """Take a certificate, and perhaps its key, as the next one."""
    asked: KeyImport = call.body
    if asked.passphrase is not None and asked.key is None:
        raise BadInput("A passphrase belongs to a key.")
    data = asked.certificates.encode()
    key = asked.key.encode() if asked.key is not None else None
    secret = asked.passphrase.encode() if asked.passphrase is not None else None
    found, known = call.node.identity, _authorities(call)
    if asked.dry_run:
        findings = found.lint(data, key, passphrase=secret, known=known)
        return {
            "dry_run": True,
            "fits": not errors(findings),
            "findings": [each.document() for each in findings],
            "generation": None,
        }
    if key is None:
        change = found.import_signed(data, known=known)
    else:
        change = found.import_pair(key, data, passphrase=secret, known=known)
    _note(call, "key-import", change.generation)
    return {
        "dry_run": False,
        "fits": True,
        "findings": [each.document() for each in change.findings],
        "generation": documents.generation(change.generation),
    }


def activate(call: Call) -> documents.Document:
    """Put the next certificate in force: now, or when the node starts."""
    asked: ActivationWish = call.body
    found = call.node.identity
    done = not asked.dry_run and not asked.on_restart
    if done:
        change = found.activate()
        _note(call, "key-activate", change.generation)
    else:
        if asked.on_restart and not asked.dry_run:
            found.schedule()
            _note(call, "key-schedule", found.activation().generation)
        change = found.activation()
    return _activation(asked, change, done=done)


def _activation(asked: ActivationWish, change: Change, *, done: bool) -> documents.Document:
    return {
        "dry_run": asked.dry_run,
        "on_restart": asked.on_restart,
        "activated": done,
        "fits": not errors(change.findings),
        "findings": [each.document() for each in change.findings],
        "generation": documents.generation(change.generation),
        "before": documents.generation(change.before),
    }


def _authorities(call: Call) -> Iterator[CertificateView]:
    """Give the CAs that the node trusts for its peers; they are read only if somebody looks."""
    for each in authorities(call.node.store, "system"):
        yield each.view


def _note(call: Call, action: str, made: Generation) -> None:
    """Journal what was done: keys are files, which no transaction of the database can hold."""
    store = call.node.store
    detail = {
        "number": made.number,
        "role": (Role.CURRENT if action == "key-activate" else made.role).value,
        "certificate": str(made.certificate.fingerprint) if made.certificate else "",
    }
    with store.transaction() as connection:
        store.journal(connection, action, str(made.spki), detail)


_SETTINGS = Permission.SETTINGS
OPERATIONS = [
    Operation(
        method="GET",
        path="/keys",
        name="listKeys",
        about="Show the node's own keys and certificates.",
        tag="keys",
        permission=Permission.READ,
        handler=list_keys,
        result=Generations,
    ),
    Operation(
        method="POST",
        path="/keys",
        name="generateKey",
        about="Make a key with a self-signed certificate, as the next one.",
        tag="keys",
        permission=_SETTINGS,
        handler=generate,
        body=KeyWish,
        result=GenerationView,
        status=201,
        errors=(409,),
    ),
    Operation(
        method="POST",
        path="/keys/requests",
        name="requestCertificate",
        about="Make a certificate signing request for a CA.",
        tag="keys",
        permission=_SETTINGS,
        handler=request,
        body=RequestWish,
        result=RequestMade,
        status=201,
        errors=(409,),
    ),
    Operation(
        method="POST",
        path="/keys/import",
        name="importCertificate",
        about="Take a CA's answer, or a key and its certificate, as the next one, if nothing is wrong with it.",
        tag="keys",
        permission=_SETTINGS,
        handler=import_,
        body=KeyImport,
        result=ImportDone,
        errors=(409,),
    ),
    Operation(
        method="POST",
        path="/keys/activation",
        name="activateCertificate",
        about="Put the next certificate in force; the one before is kept.",
        tag="keys",
        permission=_SETTINGS,
        handler=activate,
        body=ActivationWish,
        result=ActivationDone,
        errors=(409,),
    ),
]
