"""TLS for what a node serves: its certificate of today, also for connections that come after it changed."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Protocol

from troth.tls.base import anchor

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class Keys(Protocol):
    """A certificate file with its key file."""

    @property
    def certfile(self) -> Path:
        """The certificate, with its chain."""

    @property
    def keyfile(self) -> Path:
        """The key."""


class OwnKeys(Protocol):
    """The node's own keys and certificates, as far as serving uses them."""

    def token(self) -> str:
        """Give a text that differs after each change."""

    def context_files(self) -> Keys:
        """Give the files of the certificate in force."""


class Served:
    """A server context whose certificate, and whose accepted clients, can change while it is in use.

    Loading another certificate into a context would keep the old one beside it if its key is of another kind, and clients
    would choose. So each change makes a context of its own, and each handshake is handed to the newest.

    Args:
        identity: The node's keys and certificates.
        clients: None to accept everybody; else the certificates (DER) of the only clients that get in.
    """

    def __init__(self, identity: OwnKeys, *, clients: Collection[bytes] | None = None):
        self._identity = identity
        self._clients = None if clients is None else frozenset(clients)
        self._token = ""
        self._current = self._make()
        self.context = self._fresh()
        self.context.sni_callback = self._hand_over

    def refresh(self, clients: Collection[bytes] | None = None) -> bool:
        """Take over what changed; give whether anything did.

        Args:
            clients: The clients that get in now, where not everybody does.
        """
        wanted = self._clients if clients is None else frozenset(clients)
        if self._identity.token() == self._token and wanted == self._clients:
            return False
        self._clients = wanted
        self._current = self._make()
        return True

    def _make(self) -> ssl.SSLContext:
        token = self._identity.token()
        context = self._fresh()
        self._token = token
        return context

    def _fresh(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A session that is resumed shows no certificate, neither ours of today nor the client's.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.num_tickets = 0
        files = self._identity.context_files()
        context.load_cert_chain(files.certfile, files.keyfile)
        if self._clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            if self._clients:
                anchor(context, self._clients, any_time=True)
        return context

    def _hand_over(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        connection.context = self._current
