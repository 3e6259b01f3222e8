"""STARTTLS and swapped certificates, against the real servers from Debian's packages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import servers
from troth import manage
from troth.model.certificate import CertificateView
from troth.model.endpoint import Endpoint
from troth.store.sqlite import SqliteStore
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.verdict import Verdict

Start = Callable[[Path], "contextlib.AbstractContextManager[int]"]

SERVERS: dict[str, Start] = {
    "smtp": servers.postfix,
    "ldap": servers.slapd,
    "postgres": servers.postgres,
    "imap": lambda folder: servers.dovecot(folder, "imap"),
    "pop3": lambda folder: servers.dovecot(folder, "pop3"),
    "sieve": lambda folder: servers.dovecot(folder, "sieve"),
}


@pytest.mark.parametrize("protocol", SERVERS)
def test_a_real_server_is_met_known_and_held_against_the_record(
    store: SqliteStore, tmp_path: Path, protocol: str
) -> None:
    """First use and match; and with another certificate on record, the server's own is refused as changed."""
    with servers.open_folder() as folder, SERVERS[protocol](folder) as port:
        target = Target(endpoint=Endpoint("127.0.0.1", port, protocol), timeout_s=20)
        met = check_target(store, target)
        assert met.verdict is Verdict.FIRST_USE
        assert met.presented.leaf.pem == (folder / "host.pem").read_text()
        assert check_target(store, target).verdict is Verdict.MATCH
        entry = store.entry(target.endpoint)
        assert entry is not None
        other = CertificateView.from_pem(servers.certificate(tmp_path, "other")[0].read_text())
        manage.replace(store, entry, other, other.fingerprint)
        assert check_target(store, target).verdict is Verdict.CHANGED


def test_a_certificate_swapped_under_a_running_nginx_is_rejected(store: SqliteStore) -> None:
    """Nginx reloads with a new certificate: the next check says changed, with both certificates."""
    with servers.open_folder() as folder, servers.nginx(folder) as (port, swap):
        target = Target(endpoint=Endpoint("127.0.0.1", port), timeout_s=20)
        old = check_target(store, target).presented.leaf
        swap()
        decision = check_target(store, target)
        assert decision.verdict is Verdict.CHANGED
        assert decision.facts.old == old
        assert {each.field for each in decision.diff} >= {"spki", "fingerprint", "serial"}
