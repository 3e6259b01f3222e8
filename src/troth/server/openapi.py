"""The OpenAPI document, made from the operations themselves, so that it cannot say anything else than what is done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from troth._version import __version__
from troth.model.words import DOMAINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from troth.server.operations import Operation

_VARIABLE = re.compile(r"\{(\w+)\}")
_ALWAYS = (400, 429, 500, 503)
_REASONS = {
    400: "The call is not of the form that this document promises.",
    401: "The caller is not logged in.",
    403: "The caller may not do this.",
    404: "What was asked for is not there.",
    409: "It is in the way of something that is there.",
    412: "It was changed since the caller looked at it.",
    413: "The body is too large.",
    421: "The request is for another host.",
    422: "The call is of the right form, and what it says cannot be used; the answer says why.",
    429: "Too many calls; `Retry-After` says when.",
    500: "The node failed; its log has more under the request's number.",
    502: "The other host could not be used; or it is not trusted, and nothing was sent to it.",
    503: "A part of the node does not work just now.",
    504: "The other host did not answer in time.",
}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 600}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
# What a variable of a path may be, and what it means.
_VARIABLES: dict[str, tuple[dict[str, Any], str]] = {
    "alias": (_TEXT, "What the CA is called here."),
    "domain": ({"type": "string", "enum": list(DOMAINS)}, "A domain (the incumbent's truststore)."),
    "endpoint": (_TEXT, "`host:port`, `[v6]:port`, or a host alone if it is on record with one port."),
    "fingerprint": (_TEXT, "A SHA-256 fingerprint."),
    "name": (_TEXT, "A name."),
    "number": (_NUMBER, "A number."),
    "server": (_TEXT, "`primary`, `standby`, or the server's `host:port`."),
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the entry that was looked at: if it was changed meanwhile, nothing is done.",
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
}
_ETAG = {
    "ETag": {
        "description": "The version of the entry: of its trust, not of its sightings.",
        "schema": {"type": "string"},
    }
}


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A failure (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""
    code: str = ""
    exit_code: int = 0
    why: str = ""
    next_command: str = ""
    instance: str = ""


def document(operations: Sequence[Operation], *, name: str) -> dict[str, Any]:
    """Give the document.

    Args:
        operations: All operations.
        name: What the node calls itself.
    """
    kinds: list[Any] = [Problem]
    for each in operations:
        kinds += [kind for kind in (each.query, each.body, each.result) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    known = dict(zip(map(repr, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(f"/api/v1{each.path}", {})[each.method.lower()] = _operation(each, known, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Troth, node {name}",
            "version": __version__,
            "description": "Everything that the commands do. Failures are RFC 9457 documents with Troth's stable codes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token: `troth user token`."},
                "login": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-troth",
                    "description": "POST /api/v1/login",
                },
            },
        },
    }


def statuses(each: Operation) -> list[int]:
    """Give the statuses that an operation may end with when it did not work."""
    found = {*_ALWAYS, *each.errors}
    if each.permission is not None:
        found |= {401, 403}
    if each.body is not None or each.query is not None or "{" in each.path:
        found |= {422}
    if each.body is not None:
        found |= {413}
    if each.versioned and each.method != "GET":
        found |= {412}
    return sorted(found)


def _operation(each: Operation, known: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.about,
        "tags": [each.tag],
        "parameters": [*_path_parameters(each), *_query_parameters(each, known, components)],
        "responses": _responses(each, known),
    }
    if each.versioned and each.method != "GET":
        made["parameters"].append(_IF_MATCH)
    if each.body is not None:
        content = {"application/json": {"schema": known[repr(each.body)]}}
        made["requestBody"] = {"required": True, "content": content}
    if each.permission is not None:
        made["security"] = [{"token": []}, {"login": []}]
        made["description"] = f"Needs the permission `{each.permission}`."
    else:
        made["security"] = []
    return made


def _path_parameters(each: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": about, "schema": schema}
        for name in _VARIABLE.findall(each.path)
        for schema, about in (_VARIABLES[name],)
    ]


def _query_parameters(each: Operation, known: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    name = known[repr(each.query)]["$ref"].rpartition("/")[2]
    schema = components[name]
    required = schema.get("required", ())
    return [
        {"name": field, "in": "query", "required": field in required, "schema": _without_null(kind)}
        for field, kind in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out that a parameter may be null: it is left out then, and a query has no other way to say so."""
    kept = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    if not kept:
        return schema
    return {**rest, **kept[0]} if len(kept) == 1 else {**rest, "anyOf": kept}


def _responses(each: Operation, known: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": each.about}
    text = {"type": "string"}
    if each.result is not None:
        good["content"] = {
            media: {"schema": known[repr(each.result)] if media == "application/json" else text} for media in each.media
        }
    if each.versioned:
        good["headers"] = _ETAG
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    failures = {str(status): {"description": _REASONS[status], "content": problem} for status in statuses(each)}
    return {str(each.status): good, **failures}
