"""The OpenAPI document, made from the operations themselves, so that it cannot say anything else than what is done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from troth._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from troth.server.operations import Operation

_VARIABLE = re.compile(r"\{(\w+)\}")
_ALWAYS = (400, 429, 500, 503)
_REASONS = {
    400: "The call cannot be used as it is.",
    401: "The caller is not logged in.",
    403: "The caller may not do this.",
    404: "What was asked for is not there.",
    409: "It is in the way of something that is there.",
    421: "The request is for another host.",
    429: "Too many calls; `Retry-After` says when.",
    500: "The node failed; its log has more under the request's number.",
    502: "The other host could not be used; or it is not trusted, and nothing was sent to it.",
    503: "A part of the node does not work just now.",
    504: "The other host did not answer in time.",
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


def _operation(each: Operation, known: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.about,
        "tags": [each.tag],
        "parameters": [*_path_parameters(each), *_query_parameters(each, known, components)],
        "responses": _responses(each, known),
    }
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
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": 600}}
        for name in _VARIABLE.findall(each.path)
    ]


def _query_parameters(each: Operation, known: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    name = known[repr(each.query)]["$ref"].rpartition("/")[2]
    schema = components[name]
    required = schema.get("required", ())
    return [
        {"name": field, "in": "query", "required": field in required, "schema": kind}
        for field, kind in schema["properties"].items()
    ]


def _responses(each: Operation, known: dict[str, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": each.about}
    if each.media != "application/json":
        good["content"] = {each.media: {"schema": {"type": "string"}}}
    elif each.result is not None:
        good["content"] = {"application/json": {"schema": known[repr(each.result)]}}
    statuses = {*_ALWAYS, *each.errors, *((401, 403) if each.permission is not None else ())}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    failures = {str(status): {"description": _REASONS[status], "content": problem} for status in sorted(statuses)}
    return {str(each.status): good, **failures}
