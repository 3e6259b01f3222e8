"""What a program sets on a context, and how it reaches the contexts that are made of it.

A context makes other contexts: one for each endpoint, and one for each version of its pins. What was set must count for
all of them, also if it was set after they were made, and in the middle of making one.
"""

from __future__ import annotations

import itertools
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from troth.tls.base import CIPHERS, harden

if TYPE_CHECKING:
    from collections.abc import Iterable

_changes = itertools.count(1)
_UNSET = object()


class Settings:
    """Values by name. What was not set here is what the origin says, then as now.

    Args:
        origin: The settings of the context that this one was made of.
    """

    def __init__(self, origin: Settings | None = None):
        self._origin = origin
        self._own: dict[str, Any] = {}
        self._changed = 0

    @property
    def state(self) -> int:
        """A number that is another one after every change. What is read after it is not older than it."""
        return self._changed if self._origin is None else max(self._changed, self._origin.state)

    def put(self, name: str, value: object) -> None:
        """Set a value."""
        self._own[name] = value
        self._changed = next(_changes)  # after the value: who saw the number sees the value

    def get(self, name: str, default: Any = None) -> Any:
        """Give a value."""
        found = self._own.get(name, _UNSET)
        if found is not _UNSET:
            return found
        return default if self._origin is None else self._origin.get(name, default)


@dataclass(frozen=True, slots=True)
class Client:
    """A client certificate, as `load_cert_chain` was given it."""

    certfile: Any
    keyfile: Any
    password: Any


def _kept(name: str, doc: str) -> Any:
    """Make a property that is kept in the settings, besides being set on the context itself (which refuses nonsense)."""
    base = getattr(ssl.SSLContext, name)

    def get(self: SettableContext) -> Any:
        found = self.settings.get(name, _UNSET)
        return base.__get__(self) if found is _UNSET else found

    def put(self: SettableContext, value: Any) -> None:
        base.__set__(self, value)
        self.settings.put(name, base.__get__(self))

    return property(get, put, doc=doc)


class SettableContext(ssl.SSLContext):
    """A context whose settings reach other contexts. What would weaken verification has no effect.

    Args:
        settings: Its settings, still empty or those of an origin.
    """

    def __init__(self, settings: Settings):
        self.settings = Settings()  # what follows is no choice of the program's
        harden(self)
        self.settings = settings

    options = _kept("options", "The options; those that every context has stay on.")
    minimum_version = _kept("minimum_version", "The oldest version of TLS.")
    maximum_version = _kept("maximum_version", "The newest version of TLS.")
    keylog_filename = _kept("keylog_filename", "The file for session keys; None for none.")
    post_handshake_auth = _kept("post_handshake_auth", "Whether the host may ask for a client certificate later.")

    @property
    def verify_mode(self) -> ssl.VerifyMode:
        """Always `CERT_REQUIRED`: every connection is judged. Setting it has no effect."""
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: object) -> None:
        """Have no effect: some libraries set it."""

    @property
    def check_hostname(self) -> bool:
        """Always True: the peer's identity is checked, against the record. Setting it has no effect."""
        return True

    @check_hostname.setter
    def check_hostname(self, value: object) -> None:
        """Have no effect: some libraries set it."""

    def load_default_certs(self, purpose: object = None) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def load_verify_locations(self, *_args: object, **_kwargs: object) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def set_default_verify_paths(self) -> None:
        """Have no effect: CAs are trusted by the domain's policy, not by the caller."""

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        """Load a client certificate; it reaches no host whose certificate was not judged before."""
        super().load_cert_chain(certfile, keyfile, password)
        self.settings.put("client", Client(certfile, keyfile, password))

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Offer application protocols."""
        names = tuple(alpn_protocols)
        if names != self.alpn:  # some libraries say the same before each connection
            super().set_alpn_protocols(names)
            self.settings.put("alpn", names)

    def set_ciphers(self, cipherlist: str, /) -> None:
        """Choose the ciphers of TLS 1.2; those without a certificate stay out."""
        ciphers = cipherlist if cipherlist == CIPHERS else f"{cipherlist}:!aNULL:!eNULL:!PSK:!SRP"
        super().set_ciphers(ciphers)
        self.settings.put("ciphers", ciphers)

    def set_ecdh_curve(self, name: str, /) -> None:
        """Choose the one curve for key exchange."""
        super().set_ecdh_curve(name)
        self.settings.put("curve", name)

    @property
    def alpn(self) -> tuple[str, ...]:
        """The application protocols that are offered."""
        return cast("tuple[str, ...]", self.settings.get("alpn", ()))

    @property
    def client(self) -> Client | None:
        """The client certificate."""
        return cast("Client | None", self.settings.get("client"))

    def dress(self, inner: ssl.SSLContext) -> bool:
        """Give another context what was set on this one; say whether a client certificate was among it."""
        found = {name: self.settings.get(name, _UNSET) for name in _SETTERS}
        for name, value in found.items():
            if value is not _UNSET and value is not None:
                _SETTERS[name](inner, value)
        return isinstance(found["client"], Client)


def _set_options(inner: ssl.SSLContext, value: ssl.Options) -> None:
    inner.options |= value


def _load_client(inner: ssl.SSLContext, client: Client) -> None:
    inner.load_cert_chain(client.certfile, client.keyfile, client.password)


_SETTERS: dict[str, Any] = {
    "options": _set_options,
    "minimum_version": lambda inner, value: setattr(inner, "minimum_version", _floor(value)),
    "maximum_version": lambda inner, value: setattr(inner, "maximum_version", value),
    "ciphers": lambda inner, value: inner.set_ciphers(value),
    "curve": lambda inner, value: inner.set_ecdh_curve(value),
    "alpn": lambda inner, value: inner.set_alpn_protocols(list(value)),
    "keylog_filename": lambda inner, value: setattr(inner, "keylog_filename", value),
    "post_handshake_auth": lambda inner, value: setattr(inner, "post_handshake_auth", value),
    "client": _load_client,
}


def _floor(version: ssl.TLSVersion) -> ssl.TLSVersion:
    """Older versions than TLS 1.2 are broken: nobody sets them by being asked to."""
    if version == ssl.TLSVersion.MAXIMUM_SUPPORTED:
        return version
    return max(version, ssl.TLSVersion.TLSv1_2)
