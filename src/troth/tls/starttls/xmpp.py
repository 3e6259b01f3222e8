"""XMPP (RFC 6120 section 5), client to server. No XML parser sees what comes: it is scanned for whole tags."""

from __future__ import annotations

import re

from troth.tls.starttls.wants import Dialect, Send, Until, refused

_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
# `[^<>]` stops at the next tag: a document of nothing but open tags costs linear time.
_STARTTLS = re.compile(rb"<(?:[\w-]+:)?starttls\b[^<>]*xmlns(?::[\w-]+)?=['\"]urn:ietf:params:xml:ns:xmpp-tls['\"]")
_PROCEED = re.compile(
    rb"<(?:[\w-]+:)?proceed\b[^<>]*xmlns(?::[\w-]+)?=['\"]urn:ietf:params:xml:ns:xmpp-tls['\"][^<>]*/?>"
)


def xmpp(server_name: str) -> Dialect:
    """Open a stream, wait for the features, ask for TLS; `<proceed/>` is the go-ahead."""
    yield Send(
        f"<?xml version='1.0'?><stream:stream to='{_escaped(server_name)}' version='1.0' xmlns='jabber:client'"
        " xmlns:stream='http://etherx.jabber.org/streams'>".encode()
    )
    header = yield Until((b"</stream:features>", b"<stream:features/>", b"</stream:stream>", b"<!DOCTYPE", b"<!ENTITY"))
    if b"<!" in header:
        raise refused("xmpp", "it sent a document type, which XMPP forbids")
    error = header.find(b"<stream:error")
    if error >= 0:
        raise refused("xmpp", header[error:])
    if not _STARTTLS.search(header):
        raise refused("xmpp", "it does not offer STARTTLS; somebody in the middle may have taken the offer away")
    yield Send(f"<starttls xmlns='{_TLS}'/>".encode())
    answer = yield Until((b">",))
    if not _PROCEED.fullmatch(answer.strip()):
        raise refused("xmpp", answer)
    if not answer.rstrip().endswith(b"/>"):
        closing = yield Until((b">",))
        if not re.fullmatch(rb"</(?:[\w-]+:)?proceed\s*>", closing):
            raise refused("xmpp", closing)


def _escaped(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&apos;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text
