"""What the ISE simulator says: XML of the monitoring API, JSON of the OpenAPI, and pages for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape as _escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

XML, JSON, HTML = "application/xml", "application/json", "text/html;charset=UTF-8"
_DECLARED = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_BOOLEAN = 'xsi:type="xs:boolean" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@dataclass(frozen=True)
class Answer:
    """An answer, before it is written to the wire.

    Args:
        status: The status.
        body: The body.
        kind: The content type; empty for none.
        headers: More headers.
    """

    status: int
    body: bytes
    kind: str = XML
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SimulatedSession:
    """A session: the elements of it that ISE knows, by name, and its IPv6 addresses."""

    values: Mapping[str, str] = field(default_factory=dict)
    ipv6: tuple[str, ...] = ()
    authenticated_at: str = "2030-01-01 00:00:00"

    def has(self, name: str, value: str) -> bool:
        """Whether an element has exactly this text."""
        return self.values.get(name) == value


@dataclass(frozen=True, kw_only=True)
class SimulatedCertificate:
    """A certificate of a node, as the OpenAPI lists it."""

    fingerprint: str
    name: str
    used_by: str
    issued_to: str = "ise-1"


def session(user: str, mac: str, *, server: str = "ise-1", **more: str) -> SimulatedSession:
    """Make a session as the documentation shows one."""
    values = {
        "user_name": user,
        "calling_station_id": mac,
        "nas_ip_address": "192.0.2.1",
        "acct_session_id": "00000032",
        "server": server,
        **more,
    }
    return SimulatedSession(values={name: value for name, value in values.items() if value})


def version(number: str, node_type: int) -> Answer:
    """Say what the node is."""
    return _xml(
        f'<product name="Cisco Identity Services Engine"><version>{_text(number)}</version>'
        f"<type_of_node>{node_type}</type_of_node></product>"
    )


def count(number: int) -> Answer:
    """Give a count."""
    return _xml(f"<sessionCount><count>{number}</count></sessionCount>")


def sessions(found: Iterable[SimulatedSession], spelling: str) -> Answer:
    """List sessions, in one of the two spellings."""
    rows = [f"<activeSession>{_elements(each)}</activeSession>" for each in found]
    return _xml(f'<{spelling} noOfActiveSession="{len(rows)}">{"".join(rows)}</{spelling}>')


def one_session(found: SimulatedSession) -> Answer:
    """Give one session."""
    return _xml(
        f"<sessionParameters><passed {_BOOLEAN}>true</passed><failed {_BOOLEAN}>false</failed>"
        f"{_elements(found)}<other_attr_string>:!:x=y</other_attr_string></sessionParameters>"
    )


def no_session() -> Answer:
    """Say that there is no such session, with the status that ISE gives."""
    body = (
        "<mnt-rest-result><http-code>500</http-code><cpm-code>34110</cpm-code><description>Server has encountered "
        "error while processing the REST request</description><module-name>MnT</module-name>"
        "<internal-error-info>no session</internal-error-info></mnt-rest-result>"
    )
    return Answer(500, (_DECLARED + body).encode())


def auth_status(mac: str, found: Iterable[SimulatedSession]) -> Answer:
    """List the attempts of a MAC address, the newest first."""
    rows = "".join(
        f"<authStatusElements><passed {_BOOLEAN}>{_passed(each)}</passed>"
        f"<failed {_BOOLEAN}>{'false' if _passed(each) == 'true' else 'true'}</failed>{_elements(each)}"
        f"<acs_timestamp>{_text(each.authenticated_at)}</acs_timestamp></authStatusElements>"
        for each in found
    )
    return _xml(f'<authStatusOutputList><authStatusList key="{mac}">{rows}</authStatusList></authStatusOutputList>')


def failure_reasons() -> Answer:
    """List what failure codes mean."""
    return _xml(
        '<failureReasonList><failureReason id="22056"><code>22056 Subject not found in the applicable identity '
        "store(s)</code><cause>The subject was not found</cause><resolution>Check the identity store &amp; its "
        "sequence</resolution></failureReason></failureReasonList>"
    )


def nodes(hostname: str, address: str) -> Answer:
    """List the nodes of the deployment."""
    row = {
        "hostname": hostname,
        "fqdn": f"{hostname}.example.com",
        "ipAddress": address,
        "roles": [],
        "services": ["Session"],
        "nodeStatus": "Connected",
    }
    return _json({"response": [row], "version": "1.0.0"})


def certificates(found: list[SimulatedCertificate], hostname: str, *, page: int, size: int) -> Answer:
    """Give one page of the certificates of the node."""
    rows = [
        {
            "id": f"00000000-0000-4000-8000-{index:012d}",
            "friendlyName": each.name,
            "sha256Fingerprint": each.fingerprint,
            "issuedTo": each.issued_to,
            "issuedBy": each.issued_to,
            "usedBy": each.used_by,
            "selfSigned": True,
            "keySize": 256,
            "expirationDate": "Tue Jan 01 00:00:00 UTC 2030",
            "link": {"rel": "self", "type": JSON},
        }
        for index, each in enumerate(found)
    ]
    document: dict[str, object] = {"response": rows[(page - 1) * size : page * size], "version": "1.0.0"}
    if page * size < len(rows):
        href = f"/api/v1/certs/system-certificate/{hostname}?page={page + 1}&size={size}"
        document["nextPage"] = {"rel": "next", "href": href, "type": JSON}
    return _json(document)


def page(status: int, title: str, **headers: str) -> Answer:
    """Give a page for people, as ISE and its gateway do where something is wrong."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(
        status, body.encode(), HTML, tuple((name.replace("_", "-"), value) for name, value in headers.items())
    )


def _passed(found: SimulatedSession) -> str:
    return "false" if "failure_reason" in found.values else "true"


def _elements(found: SimulatedSession) -> str:
    rows = [f"<{name}>{_text(value)}</{name}>" for name, value in found.values.items()]
    if found.ipv6:
        inner = "".join(f"<ipv6_address>{_text(each)}</ipv6_address>" for each in found.ipv6)
        rows.append(f"<framed_ipv6_address>{inner}</framed_ipv6_address>")
    return "".join(rows)


def _text(text: str) -> str:
    return _escape(text, quote=False)


def _xml(body: str) -> Answer:
    return Answer(200, (_DECLARED + body).encode())


def _json(document: object) -> Answer:
    return Answer(200, json.dumps(document).encode(), JSON)
