"""ISE's documents, read into models. Any child may be absent, and children that are not known are left out."""

from __future__ import annotations

import json
import re
from typing import Any

from troth.errors import BadFingerprint, BadInput, IseNotUnderstood
from troth.ise import paths, xml
from troth.ise.models import (
    AuthStatus,
    FailureReason,
    Node,
    NodeCertificate,
    NodeType,
    Session,
    SessionList,
    Version,
)
from troth.model.fingerprint import Fingerprint
from troth.model.text import printable

MAX_SESSIONS = 100_000
MAX_ROWS = 10_000
_MAX_DIGITS = 12
_NODE_TYPES = {"0": NodeType.STANDALONE, "1": NodeType.PRIMARY, "2": NodeType.SECONDARY, "3": NodeType.NONE}
# The code of ISE's monitoring for "there is no such session"; the status is 500 beside it.
_NO_SUCH_SESSION = "34110"
_SESSION_LISTS = ("activeSessionList", "activeList")
_MAX_IPV6 = 64


def version(data: bytes) -> Version:
    """Read what a node says of itself."""
    root, children = _whole(data, "product")
    return Version(
        product=printable(root.attributes.get("name", "").strip()),
        version=children.value("version"),
        node_type=_NODE_TYPES.get(children.value("type_of_node"), NodeType.UNKNOWN),
    )


def count(data: bytes) -> int:
    """Read a count.

    Raises:
        IseNotUnderstood: It is no number.
    """
    _, children = _whole(data, "sessionCount")
    found = _number(children.value("count"))
    if found is None:
        raise IseNotUnderstood("ISE's answer cannot be read.", why="a count is no number")
    return found


def sessions(data: bytes, *, limit: int = MAX_SESSIONS) -> SessionList:
    """Read a list of sessions, in either spelling; those beyond `limit` are counted and left out."""
    kept: list[Session] = []
    total = 0

    def take(element: xml.Element) -> None:
        nonlocal total
        if element.name == "activeSession":
            total += 1
            if len(kept) < limit:
                kept.append(_session(element))

    root = xml.read(data, take, roots=_SESSION_LISTS)
    announced = _number(root.attributes.get("noOfActiveSession", "").strip())
    return SessionList(sessions=tuple(kept), total=total, announced=announced)


def session(data: bytes) -> Session | None:
    """Read the answer to the question for one session; None if there is none."""
    root, children = _whole(data, "sessionParameters", *_SESSION_LISTS)
    if root.name in _SESSION_LISTS:
        listed = children.named("activeSession")
        return _session(listed[0]) if listed else None
    found = _session(children)
    return None if found == Session() else found


def says_no_session(data: bytes) -> bool:
    """Whether an answer that is an error says that there is no such session."""
    try:
        _, children = _whole(data, "mnt-rest-result")
    except IseNotUnderstood:
        return False
    return children.value("cpm-code") == _NO_SUCH_SESSION


def auth_status(data: bytes) -> tuple[AuthStatus, ...]:
    """Read attempts to authenticate, the newest first."""
    found: list[AuthStatus] = []

    def take(element: xml.Element) -> None:
        for each in element.named("authStatusElements"):
            if len(found) < paths.MAX_RECORDS:
                found.append(_auth_status(each))

    xml.read(data, take, roots=("authStatusOutputList",))
    return tuple(found)


def failure_reasons(data: bytes) -> tuple[FailureReason, ...]:
    """Read what the failure codes mean."""
    found: list[FailureReason] = []

    def take(element: xml.Element) -> None:
        if element.name == "failureReason" and len(found) < MAX_ROWS:
            found.append(
                FailureReason(
                    code=printable(element.attributes.get("id", "").strip()),
                    text=element.value("code"),
                    cause=element.value("cause"),
                    resolution=element.value("resolution"),
                )
            )

    xml.read(data, take, roots=("failureReasonList",))
    return tuple(found)


def nodes(data: bytes) -> tuple[Node, ...]:
    """Read the nodes of the deployment; one without a name that can be asked for is left out."""
    return tuple(
        Node(hostname=_text(each, "hostname"), fqdn=_text(each, "fqdn"), address=_text(each, "ipAddress"))
        for each in _rows(data)
        if _text(each, "hostname")
    )


def certificates(data: bytes) -> tuple[tuple[NodeCertificate, ...], bool]:
    """Read a page of the certificates of a node, and whether there is another page."""
    rows = _rows(data)
    found = tuple(
        NodeCertificate(
            fingerprint=_fingerprint(each.get("sha256Fingerprint")),
            name=_text(each, "friendlyName"),
            usages=_usages(each.get("usedBy")),
            issued_to=_text(each, "issuedTo"),
            issued_by=_text(each, "issuedBy"),
            expires=_text(each, "expirationDate"),
        )
        for each in rows
    )
    following = _document(data).get("nextPage")
    return found, isinstance(following, dict) and bool(following)


def _whole(data: bytes, *roots: str) -> tuple[xml.Element, xml.Element]:
    """Read a small document; give its root, and an element that holds the root's children."""
    held = xml.Element("", {})

    def take(element: xml.Element) -> None:
        if len(held.children) >= xml.MAX_CHILDREN:
            raise IseNotUnderstood("ISE's answer cannot be read.", why=f"it has more than {xml.MAX_CHILDREN} parts")
        held.children.append(element)

    return xml.read(data, take, roots=roots), held


def _session(element: xml.Element) -> Session:
    held = [element.value("framed_ipv6_address")]
    for each in element.named("framed_ipv6_address"):
        held += [printable(inner.text.strip()) for inner in each.named("ipv6_address")]
    ipv6 = tuple(dict.fromkeys(text for text in held[:_MAX_IPV6] if text))
    return Session(
        user_name=element.value("user_name"),
        mac=_mac(element.value("calling_station_id")),
        nas_address=element.value("nas_ip_address") or element.value("nas_ipv6_address"),
        framed_address=element.value("framed_ip_address"),
        framed_ipv6_addresses=ipv6,
        accounting_id=element.value("acct_session_id"),
        audit_id=element.value("audit_session_id"),
        server=element.value("server") or element.value("acs_server"),
    )


def _auth_status(element: xml.Element) -> AuthStatus:
    passed, failed = element.value("passed").lower(), element.value("failed").lower()
    verdict = {"true": True, "false": False}.get(passed)
    return AuthStatus(
        passed=verdict if verdict is not None else {"true": False, "false": True}.get(failed),
        at=element.value("acs_timestamp"),
        session=_session(element),
        failure_reason=element.value("failure_reason"),
    )


def _mac(text: str) -> str:
    """Give a MAC address in ISE's own spelling; what is none (a VPN's client has an address) stays as it is."""
    try:
        return paths.mac(text)
    except BadInput:
        return text


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(rf"[0-9]{{1,{_MAX_DIGITS}}}", text) else None


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise IseNotUnderstood("ISE's answer cannot be read.", why="it is no JSON document") from None
    if not isinstance(found, dict):
        raise IseNotUnderstood("ISE's answer cannot be read.", why="its JSON is no object")
    return found


def _rows(data: bytes) -> list[dict[str, Any]]:
    rows = _document(data).get("response", [])
    if not isinstance(rows, list) or len(rows) > MAX_ROWS or not all(isinstance(each, dict) for each in rows):
        raise IseNotUnderstood("ISE's answer cannot be read.", why="its JSON holds no list of objects")
    return rows


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return printable(value.strip()) if isinstance(value, str) else ""


def _fingerprint(value: object) -> Fingerprint | None:
    try:
        return Fingerprint.parse(value) if isinstance(value, str) else None
    except BadFingerprint:
        return None


def _usages(value: object) -> frozenset[str]:
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset(each.strip().lower() for each in words if isinstance(each, str) and each.strip())
