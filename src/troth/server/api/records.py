"""The whole of the record: export and import, hints, and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from troth import documents, exchange
from troth.accounts.roles import Permission
from troth.formats import MAX_BYTES, dump_json, dump_listcerts, dump_toml, load
from troth.server.api.entries import RecordView
from troth.server.operations import Answer, Operation
from troth.store.audit import audit

if TYPE_CHECKING:
    from troth.server.operations import Call


class ExportQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """In which format."""

    format: Literal["toml", "json", "listcerts"] = "toml"


class ImportRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A file's text; its format is seen from it where it is not named."""

    text: Annotated[str, msgspec.Meta(min_length=1)]
    format: Literal["toml", "json", "gnutls", "listcerts"] | None = None
    name: Annotated[str, msgspec.Meta(max_length=200)] = "the file"


class AnyImportedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A domain's policy that was taken over."""

    of: str
    mode: str
    pin: str
    expired: str


class HintView(msgspec.Struct, frozen=True, kw_only=True):
    """The subject that an imported list had for a host. It proves nothing, and nothing is trusted for it."""

    endpoint: str
    subject: str
    source: str
    added_at: str


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """The hints of hosts that nothing is on record about."""

    hints: list[HintView]


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken over, and what was not, each with its reason."""

    format: str
    added: list[str]
    same: int
    hints: int
    policies: list[AnyImportedPolicy]
    revoked: list[str]
    refused: list[str]
    warnings: list[str]


class JournalQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which records: those after the one of this number; and those about an endpoint, a domain or a fingerprint alone."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=700)] | None = None
    since: Annotated[int, msgspec.Meta(ge=0, le=10**18)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class JournalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records, the oldest first; `last` is the number of the last one that there is."""

    records: list[RecordView]
    last: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every hash and every entry is as it was written."""

    intact: bool
    records: int
    head: str
    faults: list[str]


def export(call: Call) -> Answer:
    """Give everything as a file."""
    store = call.node.store
    if call.query.format == "listcerts":
        return Answer(result=dump_listcerts([(each.key, each.slash) for each in store.listing()]), media="text/plain")
    document = exchange.export(store)
    if call.query.format == "json":
        return Answer(result=dump_json(document), media="application/json")
    return Answer(result=dump_toml(document), media="application/toml")


def import_(call: Call) -> documents.Document:
    """Take over what may be taken over."""
    asked: ImportRequest = call.body
    document = load(asked.text, asked.format, name=asked.name)
    done = exchange.take_over(call.node.store, document, source=asked.name)
    return documents.imported(done, format=document.format)


def list_hints(call: Call) -> documents.Document:
    """Give what imported lists said of hosts that were not met yet."""
    return {"hints": [documents.hint(*each) for each in call.node.store.open_hints()]}


def journal(call: Call) -> documents.Document:
    """Give records of the journal."""
    asked: JournalQuery = call.query
    store = call.node.store
    records = store.records(subject=asked.subject, since=asked.since, limit=asked.limit)
    return {"records": [each.document() for each in records], "last": store.last_change()}


def verify(call: Call) -> documents.Document:
    """Hold the store against its journal."""
    return documents.audited(audit(call.node.store))


_READ = Permission.READ
OPERATIONS = [
    Operation(
        method="GET",
        path="/export",
        name="exportTrust",
        about="Give the whole trust store as a file.",
        tag="trust",
        permission=_READ,
        handler=export,
        query=ExportQuery,
        result=dict[str, Any],
        media=("application/toml", "application/json", "text/plain"),
        long=True,
    ),
    Operation(
        method="POST",
        path="/import",
        name="importTrust",
        about="Read trust from a file; nothing is overwritten, un-revoked or revived.",
        tag="trust",
        permission=Permission.IMPORT,
        handler=import_,
        body=ImportRequest,
        result=ImportResult,
        long=True,
        larger=MAX_BYTES,
    ),
    Operation(
        method="GET",
        path="/hints",
        name="listHints",
        about="List what imported lists said of hosts that were not met yet; none of it is trusted.",
        tag="trust",
        permission=_READ,
        handler=list_hints,
        result=Hints,
    ),
    Operation(
        method="GET",
        path="/journal",
        name="listJournal",
        about="Read the record of every change.",
        tag="trust",
        permission=_READ,
        handler=journal,
        query=JournalQuery,
        result=JournalPage,
    ),
    Operation(
        method="GET",
        path="/journal/verification",
        name="verifyJournal",
        about="Check every hash of the journal, and the store against it.",
        tag="trust",
        permission=_READ,
        handler=verify,
        result=Verification,
        long=True,
    ),
]
