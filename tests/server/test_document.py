"""The OpenAPI document, held against the application by schemathesis: whatever it allows works, and nothing else does.

`make fuzz` asks for many more examples of each operation.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import NonFatalError, ScenarioFinished

from tests.postgres import a_database
from tests.server.office import NAME, OPERATION, Office, an_office
from troth.accounts.roles import Role
from troth.database.cluster import Cluster
from troth.errors import TrothError
from troth.node.config import Probes
from troth.server import openapi
from troth.server.api import OPERATIONS

EXAMPLES = int(os.environ.get("TROTH_FUZZ_EXAMPLES", "20"))
STAND_IN = "the-administrators-token"
CONFIG = {
    "continue-on-failure": True,
    "headers": {"Authorization": f"Bearer {STAND_IN}"},
    "generation": {
        "max-examples": EXAMPLES,
        "deterministic": "TROTH_FUZZ_EXAMPLES" not in os.environ,
        "database": "none",
    },
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # What no schema can say (a revoked fingerprint, a certificate that is none) is refused with 422; and that another
        # host does not answer is no failure of the node.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422", "429", "502", "504"]
        },
        # A tag of another form than ours is one that does not match.
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428", "429"]
        },
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "502", "504"]},
    },
}


class Named:
    """The application under its own name, from one address after the other, and with a token that is good.

    Whatever the administrator did to its own tokens: the stand-in for one is put into its place.
    """

    def __init__(self, office: Office):
        self._office, self._calls = office, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a call on."""
        if scope["type"] == "http":
            self._calls += 1
            kept = [(name, self._real(value)) for name, value in scope["headers"] if name != b"host"]
            address = f"10.{self._calls // 256 % 256}.{self._calls % 256}.9"
            scope = {
                **scope,
                "scheme": "https",
                "client": (address, 50000),
                "headers": [*kept, (b"host", f"{NAME}:8443".encode())],
            }
        await self._office.app(scope, receive, send)

    def _real(self, value: bytes) -> bytes:
        return f"Bearer {token(self._office)}".encode() if value == f"Bearer {STAND_IN}".encode() else value


def nearby(host: Any, *args: Any, **options: Any) -> Any:
    """Resolve addresses of this machine alone: no name server is asked, and no other host is reached."""
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text not in ("127.0.0.1", "::1"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _resolve(host, *args, **options)


_resolve = socket.getaddrinfo


@pytest.fixture(scope="module")
def fuzzed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office that may do what it likes with itself, and reaches nobody else."""
    with pytest.MonkeyPatch.context() as patch, a_database(cluster) as database:
        patch.setenv("TROTH_TEST_CHEAP_PASSWORDS", "only-in-tests")
        folder = tmp_path_factory.mktemp("fuzzed")
        with an_office(cluster, database, folder) as made:
            probes = Probes(allowed=("127.0.0.1/32", "::1/128"), refused=("0.0.0.0/0", "::/0"))
            made.node.config = msgspec.structs.replace(made.node.config, probes=probes)
            patch.setattr(socket, "getaddrinfo", nearby)
            yield made


def token(office: Office) -> str:
    """Give the administrator's token; it may have been revoked, for the one who asks may do that."""
    try:
        office.node.accounts.tokens.identify(office.tokens["administrator"])
    except TrothError:
        office.tokens["administrator"] = office.node.accounts.tokens.issue(
            "administrator",
            label="again",
            role=Role.ADMINISTRATOR,
            ceiling=Role.ADMINISTRATOR,
            life=timedelta(days=1),
            audit=office.node.audit,
        )[0]
    return office.tokens["administrator"]


def faults(office: Office, config: dict[str, Any], **chosen: Any) -> list[str]:
    """Let schemathesis ask for some operations, and give what it finds."""
    schema = schemathesis.openapi.from_asgi(
        "/api/openapi.json", Named(office), config=SchemathesisConfig.from_dict(config)
    )
    found, asked = [], 0
    for event in engine.from_schema(schema.include(**chosen) if chosen else schema).execute():
        if isinstance(event, NonFatalError):
            found.append(f"{event.label}: {event.info}")
        if not isinstance(event, ScenarioFinished):
            continue
        asked += len(event.recorder.interactions)
        for number, checks in event.recorder.checks.items():
            wrong = [each.failure_info.failure for each in checks if each.failure_info is not None]
            if wrong:
                call = event.recorder.cases[number].value.as_curl_command()
                found.append(f"{event.label}: {'; '.join(f'{each.title}: {each.message}' for each in wrong)}\n  {call}")
    assert asked
    return found


# The status is asked of the process around the application, which is not here: see test_node.py.
@pytest.mark.parametrize("name", sorted(set(OPERATION) - {"status"}))
def test_it_does_what_its_document_says(fuzzed: Office, name: str) -> None:
    """No failure of the node, no status, type or form that was not promised; nothing allowed is refused, or the reverse."""
    assert "\n".join(faults(fuzzed, CONFIG, operation_id=name)[:5]) == ""


def test_the_document_is_openapi(office: Office) -> None:
    """Every operation has its own name, says who may call it, and promises no status twice."""
    found = office.client.get("/api/openapi.json").json()
    assert found["openapi"] == "3.1.0"
    names = [each["operationId"] for path in found["paths"].values() for each in path.values()]
    assert sorted(names) == sorted({each.name for each in OPERATIONS})
    assert found == openapi.document(OPERATIONS, name="test")
    open_to_all = [
        each["operationId"] for path in found["paths"].values() for each in path.values() if not each["security"]
    ]
    assert open_to_all == ["logIn"]
