"""psycopg, and whatever else is built on libpq: connection parameters that make libpq itself insist on what is on record.

libpq does its own TLS and takes no `ssl.SSLContext`. So the record is written to a file for `sslrootcert`, and libpq
refuses everything else inside the handshake, before it sends a byte or its own certificate (PostgreSQL documentation,
chapter "SSL Support" of libpq).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from troth.errors import BadInput
from troth.model.endpoint import Endpoint, canonical_host
from troth.model.entry import DEFAULT_DOMAIN, CheckMode, Entry, PinKind, PinState, Policy
from troth.tls.check import check_target
from troth.tls.probe import Target
from troth.trust.rejection import require_trusted

if TYPE_CHECKING:
    from troth.model.certificate import CertificateView
    from troth.model.fingerprint import Fingerprint
    from troth.store.protocol import TrustStore


def parameters(
    store: TrustStore,
    host: str,
    port: int = 5432,
    *,
    domain: str = DEFAULT_DOMAIN,
    expect: Fingerprint | None = None,
    folder: Path | None = None,
) -> dict[str, str]:
    """Look at a PostgreSQL server, judge it, and give the parameters with which libpq accepts just what was trusted.

    Call it before each connection (or pool): it follows the record, and the file that it writes is replaced in one step.

    Args:
        store: The trust store.
        host: The server's host.
        port: Its port.
        domain: The domain, if the server is new.
        expect: The fingerprint that it must have.
        folder: Where the file goes; by default `libpq` beside the store.

    Returns:
        `host`, `port`, `sslmode`, `sslrootcert` and `gssencmode`, for `psycopg.connect(**parameters, dbname=…)`.

    Raises:
        CertificateRejected: The server's certificate is not the trusted one.
        BadInput: What is on record cannot be told to libpq.
        Unreachable: There is no PostgreSQL server with TLS.
    """
    endpoint = Endpoint(canonical_host(host), port, "postgres")
    decision = require_trusted(check_target(store, Target(endpoint=endpoint), domain=domain, expect=expect))
    policy, entry = store.policy(endpoint, domain)
    mode, roots = _roots(store, endpoint, policy, entry, decision.presented.leaf, entry.domain if entry else domain)
    place = _write(folder or store.folder / "libpq", f"{endpoint.key}.pem", roots)
    return {
        "host": endpoint.host,
        "port": str(port),
        "sslmode": mode,
        "sslrootcert": str(place),
        # Kerberos encryption would be tried before TLS, and knows nothing of pins.
        "gssencmode": "disable",
    }


def _roots(
    store: TrustStore, endpoint: Endpoint, policy: Policy, entry: Entry | None, leaf: CertificateView, domain: str
) -> tuple[str, list[CertificateView]]:
    """Give libpq's `sslmode`, and what it is to trust."""
    if policy.mode is CheckMode.CA:
        from troth.store.authorities import authorities

        roots = [each.view for each in authorities(store, domain)]
        if not roots:
            raise BadInput(
                f"{domain} follows the operating system's CAs, and holds none of its own.",
                why="libpq reads its own file",
                next_command="give libpq sslmode=verify-full and sslrootcert=system (PostgreSQL 16 or newer)",
            )
        return "verify-full", roots
    pins = entry.having(PinState.CURRENT, PinState.NEXT) if entry else ()
    issuers = [store.certificate(pin.certificate) for pin in pins if pin.kind is PinKind.ISSUER]
    if any(issuers):
        return "verify-full", [view for view in issuers if view is not None]
    if not leaf.self_issued:
        raise BadInput(
            f"{endpoint} has a certificate that a CA issued, and libpq can insist only on the CA.",
            why="it has no setting for a pinned leaf that is not self-signed",
            next_command=f"troth pin {endpoint} --starttls postgres --kind issuer --pem CA.pem",
        )
    return "verify-ca", [leaf]


def _write(folder: Path, name: str, roots: list[CertificateView]) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / name
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.writelines(view.pem for view in roots)
        Path(temporary).replace(place)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return place
