"""The whole application in one process, over a real PostgreSQL, with a user of each role."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import msgspec
from starlette.testclient import TestClient

from troth.accounts.roles import Role
from troth.database.cluster import Cluster
from troth.database.pool import Database
from troth.database.settings import APP_ROLE, PORT
from troth.node.config import Config, External, Probes
from troth.node.home import Home
from troth.node.init import initialise
from troth.node.node import Node
from troth.server import openapi
from troth.server.api import OPERATIONS
from troth.server.app import application
from troth.server.operations import Operation

NAME = "node.example.com"
PASSWORD = "a long enough pass phrase"
OPERATION = {each.name: each for each in OPERATIONS}
_LIFE = timedelta(days=1)


@dataclass
class Office:
    """A node, its application, and who may call it.

    Args:
        node: The node.
        app: The guarded application.
        client: Sends requests to it.
        tokens: A token of a user of each role; the users have their roles' names.
    """

    node: Node
    app: Any
    client: TestClient
    tokens: dict[str, str]
    document: dict[str, Any]

    def call(self, name: str, path: dict[str, str] | None = None, /, **given: Any) -> Any:
        """Call an operation; what is not an option of `send` is a field of its body."""
        options = {each: given.pop(each) for each in ("by", "expect", "headers", "query") if each in given}
        return self.send(name, path, given, **options)

    def send(
        self,
        name: str,
        path: dict[str, str] | None,
        body: dict[str, Any],
        *,
        by: str | None = "administrator",
        expect: int | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, Any] | None = None,
    ) -> Any:
        """Call an operation by its name; the answer must be as the OpenAPI document promises.

        Args:
            name: The operation's name.
            path: The variables of its path.
            body: Its body, where it takes one.
            by: Whose token is sent; None for no token.
            expect: The status that is expected; without, that of an operation that worked.
            headers: More headers.
            query: The query.
        """
        operation = OPERATION[name]
        place = operation.path
        for variable, value in (path or {}).items():
            place = place.replace(f"{{{variable}}}", quote(value, safe=":"))
        head = {**(headers or {}), **({"Authorization": f"Bearer {self.tokens[by]}"} if by is not None else {})}
        content = None
        if operation.body is not None:
            content, head["Content-Type"] = msgspec.json.encode(body), "application/json"
        answer = self.client.request(operation.method, f"/api/v1{place}", headers=head, params=query, content=content)
        self.require_promised(operation, answer)
        wanted = operation.status if expect is None else expect
        assert answer.status_code == wanted, f"{name}: {answer.status_code} {answer.text[:600]}"
        return answer

    def require_promised(self, operation: Operation, answer: Any) -> None:
        """Hold an answer against the document."""
        told = self.document["paths"][f"/api/v1{operation.path}"][operation.method.lower()]["responses"]
        found = told[str(answer.status_code)]
        media = answer.headers.get("content-type", "").partition(";")[0]
        if "content" not in found:
            assert answer.content == b""
            return
        assert media in found["content"], f"{operation.name} answers {media}"
        if media.endswith("json"):
            schema = {**found["content"][media]["schema"], "components": self.strict()}
            jsonschema.validate(answer.json(), schema, cls=jsonschema.Draft202012Validator)

    def strict(self) -> dict[str, Any]:
        """Give the schemas so that nothing may be in an answer that they do not name; problems have details of their own."""
        closed = {
            name: schema
            if name == "Problem" or "properties" not in schema
            else {**schema, "additionalProperties": False}
            for name, schema in self.document["components"]["schemas"].items()
        }
        return {"schemas": closed}

    @contextlib.contextmanager
    def browser(self, address: str = "198.51.100.9") -> Iterator[TestClient]:
        """Give a client without a token, and with cookies of its own, at an address."""
        with _client(_From(self.app, itertools.repeat(address))) as made:
            yield made


class _From:
    """The application, called from one address after the other: each has a limit of its own.

    Args:
        app: The application.
        addresses: The addresses.
    """

    def __init__(self, app: Any, addresses: Iterator[str]):
        self._app, self._addresses = app, addresses

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a call on."""
        if scope["type"] == "http":
            scope = {**scope, "client": (next(self._addresses), 50000)}
        await self._app(scope, receive, send)


def _client(app: Any) -> TestClient:
    return TestClient(app, base_url=f"https://{NAME}:8443", raise_server_exceptions=False)


@contextlib.contextmanager
def an_office(
    cluster: Cluster, database: Database, folder: Path, *, allowed: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
) -> Iterator[Office]:
    """Make a node over a database, and its application.

    Args:
        cluster: Where the database is.
        database: The database.
        folder: Where the node's home is made.
        allowed: Where the node may be made to connect to.
    """
    name = _name(database)
    home = Home(folder / "home")
    wanted = Config(
        name="test",
        names=(NAME,),
        database=External(url=f"postgresql://{APP_ROLE}@/{name}?host={cluster.run}&port={PORT}"),
        probes=Probes(allowed=allowed),
    )
    initialise(home, wanted)
    with Node(home) as node:
        tokens = {}
        for role in Role:
            node.accounts.users.create(role.value, PASSWORD, role, audit=node.audit)
            tokens[role.value] = node.accounts.tokens.issue(
                role.value, label="test", role=role, ceiling=role, life=_LIFE, audit=node.audit
            )[0]
        app = application(node, names=lambda: (NAME,))
        everywhere = (f"10.{a}.{b}.7" for a, b in itertools.cycle(itertools.product(range(256), repeat=2)))
        with _client(_From(app, everywhere)) as client:
            yield Office(node, app, client, tokens, openapi.document(OPERATIONS, name="test"))


def _name(database: Database) -> str:
    with database.reading() as connection:
        row: Any = connection.execute(b"SELECT current_database()").fetchone()
    return str(row[0])
