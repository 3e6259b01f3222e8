"""Every client library, in both TLS versions: nothing of ours reaches an impostor, measured at the impostor."""

from __future__ import annotations

import ssl

import pytest

from tests.adapters.clients import CLIENTS, SECRET, Client
from tests.adapters.conftest import Record
from troth import manage
from troth.errors import CertificateChanged
from troth.model.endpoint import Endpoint
from troth.model.entry import Override, PinKind
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
each_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


def reasons(error: BaseException | None) -> list[BaseException]:
    """Give an exception and everything that it stands for."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        each = todo.pop()
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            todo += [each.__cause__, each.__context__, *each.args, getattr(each, "reason", None)]
    return found


@each_version
@each_client
def test_an_impostor_gets_no_byte_and_no_client_certificate(
    client: Client, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threats 8 and 11: after a change, zero application bytes and no client certificate, on every path."""
    server = record(protocol=client.protocol, version=version)
    context = Context(store, starttls=client.starttls)
    context.load_cert_chain(*server.client_certificate())
    for _ in range(2):
        known = len(server.visits)
        client.use(context, server.port)
        visits = server.settled(known)
        assert SECRET.encode() in b"".join(visit.received for visit in visits)
        assert any(visit.certificate for visit in visits), "the trusted server is given the client certificate"
    known = len(server.visits)
    server.change()
    with pytest.raises(Exception) as caught:  # each library has its own
        client.use(context, server.port)
    rejection = next((each for each in reasons(caught.value) if isinstance(each, CertificateChanged)), None)
    assert rejection is not None, repr(caught.value)
    assert f"127.0.0.1:{server.port}" in str(rejection)
    visits = server.settled(known)
    assert visits
    assert [visit.received for visit in visits] == [b""] * len(visits)
    assert not any(visit.certificate for visit in visits)


@each_version
@each_client
def test_a_key_pin_follows_a_renewal_and_refuses_another_key(
    client: Client, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 23: a renewed certificate for the pinned key is served, client certificate and all; another key gets nothing."""
    server = record(protocol=client.protocol, version=version)
    manage.set_domain(store, "system", Override(pin=PinKind.KEY))
    context = Context(store, starttls=client.starttls)
    context.load_cert_chain(*server.client_certificate())
    client.use(context, server.port)
    server.renew()
    known = len(server.visits)
    client.use(context, server.port)
    assert any(visit.certificate for visit in server.settled(known))
    entry = store.entry(Endpoint("127.0.0.1", server.port, client.starttls))
    assert entry is not None
    assert entry.presented == server.view.fingerprint
    known = len(server.visits)
    server.change()
    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        client.use(context, server.port)
    visits = server.settled(known)
    assert visits
    assert not any(visit.received or visit.certificate for visit in visits)


@each_version
@each_client
def test_without_a_client_certificate_it_is_the_same(
    client: Client, version: ssl.TLSVersion, record: Record, store: SqliteStore
) -> None:
    """Threat 11: the usual client, without a certificate of its own, gives an impostor nothing either."""
    server = record(protocol=client.protocol, version=version, ask=False)
    context = Context(store, starttls=client.starttls)
    client.use(context, server.port)
    known = len(server.settled())
    server.change()
    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        client.use(context, server.port)
    visits = server.settled(known)
    assert visits
    assert not any(visit.received for visit in visits)
