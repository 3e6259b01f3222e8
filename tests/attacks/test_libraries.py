"""Attacks through client libraries: pools that outlive a pin, settings that relax, redirects and proxies (threats 9, 15, 16)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

import aiohttp
import httpx
import httpx2
import pytest
import urllib3
import websockets.asyncio.client

from tests.adapters.test_clients import reasons
from tests.attacks.conftest import Record
from tests.attacks.making import SENDING, by_socket, key_pem, view, way_name
from tests.simulators.connect_proxy import ConnectProxy
from tests.simulators.recorder import Recorder
from tests.tls.authority import Authority, pem
from troth import manage
from troth.adapters import aiohttp as aiohttp_adapter
from troth.adapters import http_client
from troth.adapters import httpx as httpx_adapter
from troth.adapters import httpx2 as httpx2_adapter
from troth.adapters import requests as requests_adapter
from troth.adapters import urllib3 as urllib3_adapter
from troth.errors import CertificateChanged, CertificateRejected, InvalidChain
from troth.model.endpoint import Endpoint
from troth.model.entry import CheckMode, Override
from troth.store.authorities import add_authority, delete_authority, set_follows_system, set_strictness
from troth.store.sqlite import SqliteStore
from troth.tls.context import Context

Way = Callable[[Context, str, Callable[[], None], str], None]
TIMEOUT_S = 15


def nothing() -> None:
    """Do nothing between two requests."""


# Each makes two requests with one client, and calls `between` after the first; `proxy` may be empty.


def use_http_client(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """One connection of http.client."""
    way, goal = urllib3.util.parse_url(proxy or url), urllib3.util.parse_url(url)
    made = http_client.HTTPSConnection(str(way.host), way.port, context=context, timeout=TIMEOUT_S)
    with contextlib.closing(made):
        if proxy:
            made.set_tunnel(str(goal.host), goal.port)
        for step in (between, nothing):
            made.request("GET", "/the-secret")
            assert made.getresponse().read() == b"yes"
            step()


def use_urllib(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """An opener of urllib."""
    opener = http_client.build_opener(context, urllib.request.ProxyHandler({"https": proxy} if proxy else {}))
    for step in (between, nothing):
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            assert answer.read() == b"yes"
        step()


def use_urllib3(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A pool manager of urllib3."""
    kind = urllib3_adapter.ProxyManager(proxy, context) if proxy else urllib3_adapter.PoolManager(context)
    with kind as pools:
        for step in (between, nothing):
            assert (
                pools.request("GET", url, timeout=TIMEOUT_S, retries=urllib3.Retry(2, connect=0, read=0)).data == b"yes"
            )
            step()


def use_requests(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A session of requests."""
    with requests_adapter.session(context) as session:
        session.trust_env = False
        session.proxies = {"https": proxy} if proxy else {}
        for step in (between, nothing):
            assert session.get(url, timeout=TIMEOUT_S).content == b"yes"
            step()


def use_httpx(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A client of httpx."""
    transport = httpx_adapter.transport(context, **({"proxy": proxy} if proxy else {}))
    with httpx.Client(transport=transport, timeout=TIMEOUT_S, follow_redirects=True) as client:
        for step in (between, nothing):
            assert client.get(url).content == b"yes"
            step()


def use_httpx_async(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A client of httpx on asyncio."""

    async def go() -> None:
        transport = httpx_adapter.async_transport(context, **({"proxy": proxy} if proxy else {}))
        async with httpx.AsyncClient(transport=transport, timeout=TIMEOUT_S, follow_redirects=True) as client:
            for step in (between, nothing):
                assert (await client.get(url)).content == b"yes"
                step()

    asyncio.run(go())


def use_httpx2(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A client of httpx2."""
    transport = httpx2_adapter.transport(context, **({"proxy": proxy} if proxy else {}))
    with httpx2.Client(transport=transport, timeout=TIMEOUT_S, follow_redirects=True) as client:
        for step in (between, nothing):
            assert client.get(url).content == b"yes"
            step()


def use_aiohttp(context: Context, url: str, between: Callable[[], None], proxy: str = "") -> None:
    """A session of aiohttp."""

    async def go() -> None:
        async with aiohttp.ClientSession(connector=aiohttp_adapter.TCPConnector(context)) as session:
            for step in (between, nothing):
                async with session.get(url, proxy=proxy or None) as answer:
                    assert await answer.read() == b"yes"
                step()

    asyncio.run(asyncio.wait_for(go(), 2 * TIMEOUT_S))


POOLS = (use_http_client, use_urllib3, use_requests, use_httpx, use_httpx_async, use_httpx2, use_aiohttp)
FOLLOWING = (use_urllib, use_urllib3, use_requests, use_httpx, use_httpx_async, use_httpx2, use_aiohttp)
name_of = lambda use: use.__name__.removeprefix("use_").replace("_", "-")  # noqa: E731  # for ids
each_pool = pytest.mark.parametrize("use", POOLS, ids=name_of)
each_following = pytest.mark.parametrize("use", FOLLOWING, ids=name_of)
each_proxied = pytest.mark.parametrize("use", [use_http_client, *FOLLOWING], ids=name_of)


@pytest.fixture(autouse=True)
def _no_proxies_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def address(server: Recorder) -> str:
    """Give the address to ask for."""
    return f"https://127.0.0.1:{server.port}/the-secret"


def here(server: Recorder) -> Endpoint:
    """Give a server's endpoint."""
    return Endpoint("127.0.0.1", server.port)


def distrust(store: SqliteStore, endpoint: Endpoint, how: str) -> None:
    """Withdraw the trust in an endpoint."""
    entry = store.entry(endpoint)
    assert entry is not None
    if how == "delete":
        manage.delete(store, entry, None)
    else:
        manage.revoke_entry(store, entry)


# Threat 9: pools


@each_pool
@pytest.mark.parametrize("how", ["delete", "revoke"])
def test_threat_9_a_kept_connection_ends_with_its_pin(use: Way, how: str, record: Record, store: SqliteStore) -> None:
    """Threat 9: after a deletion or a revocation, the next request puts no byte on the connection that the pool has kept."""
    server = record(ask=False)
    before: list[bytes] = []

    def between() -> None:
        before.append(server.visits[0].received)
        distrust(store, here(server), how)

    with pytest.raises(Exception) as caught:  # each library has its own
        use(Context(store), address(server), between, "")
    assert any(isinstance(each, CertificateRejected) for each in reasons(caught.value)), repr(caught.value)
    visits = server.settled()
    assert visits[0].received == before[0] != b""
    assert not any(visit.received for visit in visits[1:])


@each_pool
def test_threat_9_another_process_withdraws_the_pin(
    use: Way, record: Record, store: SqliteStore, troth: Callable[..., object]
) -> None:
    """Threat 9: a pin that another process deletes ends the kept connection as well."""
    server = record(ask=False)
    before: list[bytes] = []

    def between() -> None:
        before.append(server.visits[0].received)
        troth("delete", f"127.0.0.1:{server.port}")

    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        use(Context(store), address(server), between, "")
    visits = server.settled()
    assert visits[0].received == before[0] != b""
    assert not any(visit.received for visit in visits[1:])


@each_pool
def test_threat_9_a_change_elsewhere_cuts_nothing(use: Way, record: Record, store: SqliteStore) -> None:
    """Threat 9, the other way round: what changes at another endpoint leaves the kept connection in use."""
    server, other = record(ask=False), record(ask=False)
    by_socket(store, other.port)

    def between() -> None:
        distrust(store, here(other), "revoke")

    use(Context(store), address(server), between, "")
    assert len(server.settled()) == 1


@pytest.mark.parametrize("use", [each for each in POOLS if each is not use_http_client], ids=name_of)
def test_threat_9_a_pool_recovers_on_a_new_connection(use: Way, record: Record, store: SqliteStore) -> None:
    """Threat 9: after a replacement the pool drops the old connection by itself and works on a new one."""
    server = record(ask=False)

    def between() -> None:
        entry = store.entry(here(server))
        assert entry is not None
        renewed = server.change()
        manage.replace(store, entry, renewed, renewed.fingerprint)

    use(Context(store), address(server), between, "")
    visits = [visit for visit in server.settled() if visit.received]
    assert len(visits) == 2
    assert visits[0].received.count(b"the-secret") == 1


@pytest.mark.parametrize("way", SENDING, ids=way_name)
def test_threat_9_a_deleted_ca_is_trusted_no_more(
    way: Callable[..., None], record: Record, store: SqliteStore, tmp_path: Path
) -> None:
    """Threats 9 and 15: in `ca` mode, a CA that is deleted from the domain's store is not trusted by contexts that exist."""
    _, server = _in_ca_mode(record, store)
    context = Context(store)
    for _ in range(2):
        way(store, server.port, context)
    delete_authority(store, "system", "private")
    known = len(server.settled())
    with pytest.raises(CertificateRejected):
        way(store, server.port, context)
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize("use", POOLS, ids=name_of)
def test_threat_9_a_deleted_ca_ends_kept_connections(use: Way, record: Record, store: SqliteStore) -> None:
    """Threat 9: in `ca` mode, a kept connection ends when the CA that vouched for it is deleted."""
    _, server = _in_ca_mode(record, store)
    before: list[bytes] = []

    def between() -> None:
        before.append(server.visits[0].received)
        delete_authority(store, "system", "private")

    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        use(Context(store), address(server), between, "")
    assert server.settled()[0].received == before[0] != b""


@pytest.mark.parametrize("way", SENDING, ids=way_name)
def test_threat_9_a_domain_that_follows_the_system_no_more(
    way: Callable[..., None], record: Record, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threats 9 and 15: when a domain stops following the operating system's CAs, contexts and kept connections stop too."""
    ca, server = _in_ca_mode(record, store)
    server.protocol = "echo"
    (tmp_path / "system.pem").write_bytes(pem(ca.certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    delete_authority(store, "system", "private")
    set_follows_system(store, "system", True)
    context = Context(store)
    way(store, server.port, context)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
    ):
        set_strictness(store, "system", "prefer")
        tls.sendall(b"first")
        set_follows_system(store, "system", False)
        with pytest.raises(InvalidChain):
            tls.sendall(b"second")
    known = len(server.settled())
    assert server.visits[-1].received == b"first"
    with pytest.raises(CertificateRejected):
        way(store, server.port, context)
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize("way", SENDING, ids=way_name)
@pytest.mark.parametrize("known", [False, True], ids=["stranger", "known"])
def test_threat_9_a_pin_that_is_withdrawn_during_the_verdict(
    way: Callable[..., None], known: bool, record: Record, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 9: a revocation that falls between the verdict and its use is seen before the first byte."""
    server = record(protocol="echo", ask=False)
    if known:
        by_socket(store, server.port)
    before = len(server.settled())
    real = SqliteStore.judge

    def judge(self: SqliteStore, *args: object, **options: object) -> object:
        decision = real(self, *args, **options)  # type: ignore[arg-type]
        distrust(store, here(server), "revoke")
        return decision

    monkeypatch.setattr(SqliteStore, "judge", judge)
    with pytest.raises(CertificateRejected):
        way(store, server.port, Context(store))
    assert not any(visit.received for visit in server.settled(before))


def _in_ca_mode(record: Record, store: SqliteStore) -> tuple[Authority, Recorder]:
    ca = Authority("Private CA")
    leaf, key = ca.issue("127.0.0.1")
    server = record(ask=False)
    server.present((pem(leaf), key_pem(key)))
    add_authority(store, "system", "private", view(pem(ca.certificate)))
    set_strictness(store, "system", "off")
    manage.set_domain(store, "system", Override(mode=CheckMode.CA))
    return ca, server


# Threat 15: relaxed settings


def relax(context: Context) -> None:
    """Do all that programs do to have no verification."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.verify_flags = ssl.VerifyFlags(0)
    context.hostname_checks_common_name = True
    context.options &= ~(ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET)
    context.sslsocket_class = ssl.SSLSocket
    context.sslobject_class = ssl.SSLObject
    context.load_default_certs()
    context.set_default_verify_paths()
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("aNULL")
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")


@pytest.mark.parametrize("way", SENDING, ids=way_name)
@pytest.mark.parametrize("relaxed_first", [True, False])
def test_threat_15_a_relaxed_context_is_as_strict(
    way: Callable[..., None], relaxed_first: bool, record: Record, store: SqliteStore
) -> None:
    """Threat 15 (CVE-2024-35195): nothing that a program sets on a context makes it accept another certificate, before or after."""
    server = record(protocol="echo", ask=False)
    context = Context(store)
    if relaxed_first:
        relax(context)
        context.load_verify_locations(cadata=server.material[0].decode())
    way(store, server.port, context)
    known = len(server.settled())
    server.change()
    if not relaxed_first:
        relax(context)
    context.load_verify_locations(cadata=server.material[0].decode())
    with pytest.raises(CertificateChanged):
        way(store, server.port, context)
    with pytest.raises(CertificateChanged):
        way(store, server.port, Context(store))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not any(visit.received for visit in server.settled(known))


def test_threat_15_one_relaxed_request_relaxes_no_other(record: Record, store: SqliteStore) -> None:
    """Threat 15: a request with verification switched off is as strict, and so is the next of the same session."""
    server = record(ask=False)
    context = Context(store)
    with requests_adapter.session(context) as session:
        session.trust_env = False
        session.get(address(server), verify=False, timeout=TIMEOUT_S)
        known = len(server.visits)
        server.change()
        session.adapters["https://"].poolmanager.clear()  # type: ignore[attr-defined]  # an HTTPAdapter's
        for verify in (False, True, str(server.folder / "host.pem")):
            with pytest.raises(Exception) as caught:
                session.get(address(server), verify=verify, timeout=TIMEOUT_S)
            assert any(isinstance(each, CertificateChanged) for each in reasons(caught.value))
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize(
    "options",
    [{"cert_reqs": "CERT_NONE"}, {"assert_hostname": False}, {"cert_reqs": "CERT_NONE", "assert_hostname": False}],
    ids=str,
)
def test_threat_15_urllib3_options_relax_nothing(
    options: dict[str, object], record: Record, store: SqliteStore
) -> None:
    """Threat 15: what urllib3 offers against verification has no effect on the adapter's pools."""
    server = record(ask=False)
    by_socket(store, server.port)
    known = len(server.settled())
    server.change()
    with urllib3_adapter.PoolManager(Context(store), **options) as pools, pytest.raises(Exception) as caught:
        pools.request("GET", address(server), retries=False, timeout=TIMEOUT_S)
    assert any(isinstance(each, CertificateChanged) for each in reasons(caught.value))
    assert not any(visit.received for visit in server.settled(known))


def test_threat_15_pythons_own_switches_relax_nothing(
    record: Record, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 15: the process-wide switches (an unverified default context, CA files of the environment) have no effect."""
    server = record(ask=False)
    by_socket(store, server.port)
    known = len(server.settled())
    server.change()
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(server.folder / "host.pem"))
    for use in (use_http_client, use_urllib, use_requests, use_httpx, use_aiohttp):
        with pytest.raises(Exception):  # noqa: B017  # each library has its own
            use(Context(store), address(server), nothing, "")
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize("way", SENDING, ids=way_name)
def test_threat_15_a_setting_that_is_tightened_counts(
    way: Callable[..., None], record: Record, store: SqliteStore
) -> None:
    """Threat 15: a program that insists on TLS 1.3 from now on has no connection in TLS 1.2, also where it had one before."""
    server = record(protocol="echo", version=ssl.TLSVersion.TLSv1_2, ask=False)
    context = Context(store)
    way(store, server.port, context)
    way(store, server.port, context)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    known = len(server.settled())
    with pytest.raises(OSError):
        way(store, server.port, context)
    assert not any(visit.received for visit in server.settled(known))


@pytest.mark.parametrize("way", SENDING, ids=way_name)
def test_threat_15_a_key_log_that_is_switched_off_stays_off(
    way: Callable[..., None], record: Record, store: SqliteStore, tmp_path: Path
) -> None:
    """Threat 15: once the log of session keys is switched off, no further key is written to it."""
    server = record(protocol="echo", ask=False)
    by_socket(store, server.port)
    context = Context(store)
    log = tmp_path / "keys.log"
    context.keylog_filename = str(log)
    way(store, server.port, context)
    context.keylog_filename = None  # type: ignore[assignment]  # as the documentation has it
    size = log.stat().st_size
    way(store, server.port, context)
    assert log.stat().st_size == size > 0


@pytest.mark.parametrize("use", POOLS, ids=name_of)
def test_threat_15_a_setting_reaches_pools_that_exist(use: Way, record: Record, store: SqliteStore) -> None:
    """Threat 15: what is tightened on a context counts for the pools that were made of it, and for their next connection."""
    server = record(version=ssl.TLSVersion.TLSv1_2, ask=False)
    context = Context(store)
    received: list[bytes] = []

    def between() -> None:
        received.append(server.visits[0].received)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        server.drop()

    with pytest.raises(Exception) as caught:  # each library has its own
        use(context, address(server), between, "")
    visits = server.settled()
    assert len(visits) > 1 or use is use_http_client, repr(caught.value)
    assert visits[0].received == received[0] != b""
    assert not any(visit.received for visit in visits[1:])


def test_threat_15_a_setting_that_falls_into_a_lookup_counts(
    record: Record, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 15: what another thread sets while a context for an endpoint is being made counts from the next connection on."""
    server = record(protocol="echo", version=ssl.TLSVersion.TLSv1_2, ask=False)
    context = Context(store)
    real = Context._make

    def make(self: Context, *args: object, **options: object) -> object:
        made = real(self, *args, **options)  # type: ignore[arg-type]
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Context, "_make", make)
        by_socket(store, server.port, context)
    with pytest.raises(OSError):
        by_socket(store, server.port, context)


def test_threat_15_what_a_pool_sets_is_its_own(record: Record, store: SqliteStore) -> None:
    """Threats 8 and 15: a client certificate that one pool loads reaches neither the context that it was made of nor another."""
    server = record(protocol="echo")
    context = Context(store)
    one, other = (context.bound_to("127.0.0.1", server.port, shared=False) for _ in range(2))
    one.load_cert_chain(*server.client_certificate())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for each, given in ((one, True), (other, False), (context, False)):
        assert each.minimum_version is ssl.TLSVersion.TLSv1_3
        known = len(server.visits)
        by_socket(store, server.port, each)
        assert any(visit.certificate for visit in server.settled(known)) is given


# Threat 16: redirects and proxies


@each_following
def test_threat_16_a_redirect_is_judged_where_it_leads(use: Way, record: Record, store: SqliteStore) -> None:
    """Threat 16: a redirect from A to B is judged by B's own pin: learned at first, refused with zero bytes after a change."""
    one, two = record(ask=False), record(ask=False)
    one.location = address(two)
    use(Context(store), address(one), nothing, "")
    entries = {entry.endpoint: entry.current[0].fingerprint for entry in store.entries()}
    assert entries == {here(one): one.view.fingerprint, here(two): two.view.fingerprint}
    known = len(two.settled())
    two.change()
    with pytest.raises(Exception) as caught:
        use(Context(store), address(one), nothing, "")
    rejection = next(each for each in reasons(caught.value) if isinstance(each, CertificateChanged))
    assert f"127.0.0.1:{two.port}" in str(rejection)
    assert not any(visit.received for visit in two.settled(known))


@each_following
def test_threat_16_the_same_certificate_at_another_port_is_another_endpoint(
    use: Way, record: Record, store: SqliteStore
) -> None:
    """Threat 16: B may have A's very certificate; in strict mode it still waits for its own approval, and gets nothing."""
    one, two = record(ask=False), record(ask=False)
    two.present(one.material)
    use(Context(store), address(one), nothing, "")
    manage.set_domain(store, "system", Override(mode=CheckMode.STRICT))
    one.location = address(two)
    with pytest.raises(Exception):  # noqa: B017  # each library has its own
        use(Context(store), address(one), nothing, "")
    entry = store.entry(here(two))
    assert entry is not None
    assert entry.current == ()
    assert not any(visit.received for visit in two.settled())


def test_threat_16_websockets_follow_no_redirect_past_the_pin(record: Record, store: SqliteStore) -> None:
    """Threat 16: websockets follow a redirect with the context of A: B gets nothing, for A's pin is not its own."""
    one, two = record(ask=False), record(ask=False, protocol="websocket")
    by_socket(store, one.port)
    one.location = f"wss://127.0.0.1:{two.port}/the-secret"

    async def go() -> None:
        bound = Context(store).bound_to("127.0.0.1", one.port)
        async with websockets.asyncio.client.connect(
            f"wss://127.0.0.1:{one.port}/", ssl=bound, open_timeout=TIMEOUT_S, proxy=None
        ):
            pass

    with pytest.raises(Exception) as caught:
        asyncio.run(go())
    assert any(isinstance(each, CertificateChanged) for each in reasons(caught.value)), repr(caught.value)
    assert two.settled()
    assert not any(visit.received for visit in two.settled())


@each_proxied
def test_threat_16_through_a_proxy_the_pin_is_the_targets(
    use: Way, record: Record, proxy: ConnectProxy, store: SqliteStore
) -> None:
    """Threat 16: through a CONNECT proxy the pin belongs to the target, and the proxy never gets one."""
    server = record(ask=False)
    use(Context(store), address(server), nothing, proxy.url)
    assert [entry.endpoint for entry in store.entries()] == [here(server)]
    assert set(proxy.asked) == {f"127.0.0.1:{server.port}"}
    known = len(server.settled())
    server.change()
    with pytest.raises(Exception) as caught:
        use(Context(store), address(server), nothing, proxy.url)
    assert any(isinstance(each, CertificateChanged) for each in reasons(caught.value))
    assert not any(visit.received for visit in server.settled(known))
    assert not proxy.other
    assert b"the-secret" not in proxy.seen


@each_proxied
def test_threat_16_a_proxy_that_answers_itself_is_refused(
    use: Way, record: Record, proxy: ConnectProxy, store: SqliteStore
) -> None:
    """Threat 16: a proxy that leads to another server than the target is a changed certificate at the target."""
    server, impostor = record(ask=False), record(ask=False)
    use(Context(store), address(server), nothing, "")
    proxy.astray = impostor.port
    with pytest.raises(Exception) as caught:
        use(Context(store), address(server), nothing, proxy.url)
    assert any(isinstance(each, CertificateChanged) for each in reasons(caught.value))
    assert impostor.settled()
    assert not any(visit.received for visit in impostor.settled())
    assert store.entry(here(impostor)) is None
