"""LDAP (RFC 4511 section 4.14): the StartTLS extended operation, in strict and bounded BER."""

from __future__ import annotations

from troth.model import der
from troth.tls.starttls.wants import Dialect, Exactly, Send, refused, said

_OID = b"1.3.6.1.4.1.1466.20037"
_REQUEST = bytes([0x77, len(_OID) + 2, 0x80, len(_OID)]) + _OID
_MESSAGE = bytes([0x30, len(_REQUEST) + 3, 0x02, 0x01, 0x01]) + _REQUEST
_MAX_ANSWER = 16 << 10
_RESULTS = {
    1: "operations error",
    2: "protocol error: it knows no StartTLS, or TLS is running already",
    50: "insufficient access rights",
    51: "busy",
    52: "unavailable: it has no certificate",
    53: "unwilling to perform",
}


def ldap(server_name: str) -> Dialect:
    """Ask for StartTLS; result code 0 is the go-ahead."""
    del server_name
    yield Send(_MESSAGE)
    head = yield Exactly(2)
    if head[0] != der.SEQUENCE:
        raise refused("ldap", "its answer is not LDAP")
    length, extra = head[1], b""
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise refused("ldap", "its answer is not LDAP")
        # BER lengths need not be minimal (slapd sends 84 00 00 00 xx).
        extra = yield Exactly(count)
        length = int.from_bytes(extra, "big")
    if not 0 < length <= _MAX_ANSWER:
        raise refused("ldap", "its answer has an impossible length")
    code, message = _result((yield Exactly(length)))
    if code != 0:
        words = f" (it said: {said(message)})" if message else ""
        raise refused("ldap", f"{_RESULTS.get(code, 'result code')} [{code}]{words}")


def _result(body: bytes) -> tuple[int, bytes]:
    """Read messageID and ExtendedResponse; lengths may be padded, as BER allows."""
    try:
        position, fields = 0, []
        for expected in (0x02, 0x78):
            tag, value, position = _element(body, position)
            if tag != expected:
                raise IndexError
            fields.append(value)
        inner = fields[1]
        tag, code, at = _element(inner, 0)
        matched, _, at = _element(inner, at)
        diagnostic, message, _ = _element(inner, at)
        if (tag, matched, diagnostic) != (0x0A, 0x04, 0x04) or len(code) != 1:
            raise IndexError
    except IndexError:
        raise refused("ldap", "its answer is no StartTLS response") from None
    if int.from_bytes(fields[0], "big") != 1:
        # Number 0 is a notice of disconnection (RFC 4511 section 4.4.1), and its text the reason.
        words = f" (it said: {said(message)})" if message else ""
        raise refused("ldap", f"its answer belongs to another request{words}")
    return code[0], message


def _element(data: bytes, start: int) -> tuple[int, bytes, int]:
    tag, length, at = data[start], data[start + 1], start + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or at + count > len(data):
            raise IndexError
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > len(data):
        raise IndexError
    return tag, data[at : at + length], at + length
