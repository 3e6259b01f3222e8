"""The ISE servers on record: at most two, and always exactly one primary while there are any.

The tables hold that by themselves (see the migration), so that it is true whatever program writes them. The password is
sealed under a key that is not in the database, for exactly this host, port and user: a row that was altered to send it
elsewhere opens no longer.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from troth.errors import BadInput, ConfigUnusable, NotFound
from troth.ise.models import Condition, Counts, Credentials, Findings, NodeType, Role, Server, State, Version
from troth.ise.protocols import utc_now
from troth.model.endpoint import Endpoint

if TYPE_CHECKING:
    from datetime import datetime

    from troth.ise.protocols import Audit, Clock, Connection, Sealer, Transactions

MAX_SERVERS = 2
MAX_USER, MAX_PASSWORD = 128, 1024
MAX_TIMEOUT_S = 300.0
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
_COLUMNS = (
    "id, role, host, port, username, timeout_s, added_at, added_by, changed_at, condition, since, polled_at, due_at,"
    " failures, announced, why, next_step, product, version, node_type, active, posture, profiler, found_at"
)
_ALL = f"SELECT {_COLUMNS} FROM ise_server ORDER BY role"  # noqa: S608  # constants
_PASSWORD = "SELECT password FROM ise_server WHERE id = %s AND changed_at = %s"  # noqa: S105  # a query for one
_LOCK = "LOCK TABLE ise_server IN SHARE ROW EXCLUSIVE MODE"
_ADD = (
    "INSERT INTO ise_server (role, host, port, username, password, timeout_s, added_at, added_by, changed_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_CHANGE = (
    "UPDATE ise_server SET username = %s, password = %s, timeout_s = %s, changed_at = %s, due_at = NULL, failures = 0"
    " WHERE id = %s"
)
_NOTE = (
    "UPDATE ise_server SET condition = %s, since = %s, polled_at = %s, due_at = %s, failures = %s, announced = %s,"
    " why = %s, next_step = %s, product = %s, version = %s, node_type = %s, active = %s, posture = %s, profiler = %s,"
    " found_at = %s WHERE id = %s AND changed_at = %s"
)


class Servers:
    """The servers.

    Args:
        database: Where they are kept.
        sealer: Seals their passwords.
        clock: Gives the time.
        actor: Who is named as the one who adds.
        audit: Writes changes into the journal, in their transactions.
    """

    def __init__(
        self,
        database: Transactions,
        sealer: Sealer,
        *,
        clock: Clock = utc_now,
        actor: str = "",
        audit: Audit | None = None,
    ):
        self._audit = audit
        self._database, self._sealer, self._clock, self._actor = database, sealer, clock, actor

    def all(self) -> tuple[Server, ...]:
        """List them, the primary first."""
        with self._database.transaction() as connection:
            return _all(connection)

    def get(self, text: str) -> Server:
        """Find the server that a person means: by its role, or as `host`, `host:port`, `[v6]:port`.

        Raises:
            NotFound: There is none.
        """
        return _meant(self.all(), text)

    def require_room(self, endpoint: Endpoint, role: Role | None) -> None:
        """Refuse a server that could not be added; one that is on record already may be given anew.

        Raises:
            BadInput: It could not.
        """
        require_address(endpoint)
        _place_for(self.all(), endpoint, role)

    def put(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        role: Role | None = None,
        timeout_s: float = 15.0,
    ) -> Server:
        """Add a server; one that is on record already gets these credentials instead of its own.

        Args:
            endpoint: Where.
            credentials: The user and the password.
            role: Primary or standby; by default the first is the primary, the second the standby.
            timeout_s: The limit of one request, in seconds.

        Raises:
            BadInput: There are two already, the role is taken, or a value cannot be used.
        """
        require_usable(credentials, timeout_s)
        require_address(endpoint)
        sealed = self._sealer.seal(credentials.password.encode(), _about(endpoint, credentials.user))
        now = self._clock()
        with self._database.transaction() as connection:
            connection.execute(_LOCK)
            present = _all(connection)
            known, given = _place_for(present, endpoint, role)
            if known is not None:
                connection.execute(_CHANGE, (credentials.user, sealed, timeout_s, now, known.id))
            else:
                place = (given.value, endpoint.host, endpoint.port)
                values = (*place, credentials.user, sealed, timeout_s, now, self._actor, now)
                connection.execute(_ADD, values)
            made = next(each for each in _all(connection) if each.endpoint == endpoint)
            if self._audit is not None:
                action = "ise-add" if known is None else "ise-change"
                self._audit(connection, action, str(endpoint), {"role": made.role.value, "user": made.user})
        return made

    def remove(self, server: Server) -> Server | None:
        """Remove a server, with its password; give the one that was the standby and is the primary now, if one is.

        Raises:
            NotFound: It is gone already.
        """
        with self._database.transaction() as connection:
            connection.execute(_LOCK)
            gone = connection.execute("DELETE FROM ise_server WHERE id = %s", (server.id,))
            if gone.rowcount == 0:
                raise NotFound(f"{server.endpoint} is no ISE server on record.", next_command="troth ise list")
            if self._audit is not None:
                self._audit(connection, "ise-remove", str(server.endpoint), {"role": server.role.value})
            if server.role is Role.STANDBY:
                return None
            connection.execute("UPDATE ise_server SET role = 'primary'")
            left = _all(connection)
            return left[0] if left else None

    def credentials(self, server: Server) -> Credentials:
        """Open a server's password.

        Raises:
            NotFound: The server is gone, or its credentials were changed meanwhile.
            ConfigUnusable: The key does not open it.
        """
        with self._database.transaction() as connection:
            row = connection.execute(_PASSWORD, (server.id, server.changed_at)).fetchone()
        if row is None:
            raise NotFound(f"{server.endpoint} was changed or removed meanwhile.", next_command="troth ise list")
        try:
            opened = self._sealer.open(bytes(row[0]), _about(server.endpoint, server.user))
            return Credentials(server.user, opened.decode())
        except Exception as error:
            raise ConfigUnusable(
                f"The password of {server.endpoint} on record cannot be opened.",
                why="the node's key is another than the one that sealed it, or the record was altered",
                next_command=f"troth ise add {server.endpoint} --user {server.user}",
            ) from error

    def note(self, server: Server, state: State, findings: Findings) -> bool:
        """Keep how it stands; give False, and keep nothing, if the server was changed or removed meanwhile."""
        version, counts = findings.version, findings.counts
        values = (
            *(state.condition.value, state.since, state.polled_at, state.due_at, state.failures),
            *(state.announced.value if state.announced else None, state.why, state.next_step),
            *(version.product, version.version, version.node_type.value),
            *(counts.active, counts.posture, counts.profiler, findings.at),
        )
        with self._database.transaction() as connection:
            return connection.execute(_NOTE, (*values, server.id, server.changed_at)).rowcount == 1


def require_usable(credentials: Credentials, timeout_s: float) -> None:
    """Refuse what cannot be sent to ISE.

    Raises:
        BadInput: It cannot.
    """
    user, password = credentials.user, credentials.password
    if not 1 <= len(user) <= MAX_USER or ":" in user or not user.isprintable():
        raise BadInput(f"A user name has 1 to {MAX_USER} printable characters, and no colon.")
    if not 1 <= len(password) <= MAX_PASSWORD or not password.isprintable():
        raise BadInput(f"A password has 1 to {MAX_PASSWORD} printable characters.")
    if not 1 <= timeout_s <= MAX_TIMEOUT_S:
        raise BadInput(f"The time limit is 1 to {MAX_TIMEOUT_S:g} seconds.")


def require_address(endpoint: Endpoint) -> None:
    """Refuse an address where no ISE can be, but a cloud's metadata or nobody in particular is.

    Raises:
        BadInput: It is link-local, multicast, unspecified, or a metadata service.
    """
    if not endpoint.is_address:
        return
    address = ipaddress.ip_address(endpoint.host.partition("%")[0])
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        raise BadInput(
            f"{endpoint} is no address of an ISE server.",
            why="it is link-local, multicast, unspecified, or a cloud's metadata service",
            next_command="troth ise add HOST --user USER, with the server's own address or name",
        )


def _meant(servers: tuple[Server, ...], text: str) -> Server:
    for each in servers:
        if text == each.role.value:
            return each
    if text not in (Role.PRIMARY.value, Role.STANDBY.value):
        place = Endpoint.parse(text)
        exact = [each for each in servers if each.endpoint == place]
        at_host = [each for each in servers if each.endpoint.host == place.host]
        found = exact or (at_host if len(at_host) == 1 and place.port == 443 else [])
        if found:
            return found[0]
    raise NotFound(f"{text} is no ISE server on record.", next_command="troth ise list")


def _place_for(present: tuple[Server, ...], endpoint: Endpoint, wanted: Role | None) -> tuple[Server | None, Role]:
    """Give the server that is on record there, if one is, and the role it has or gets."""
    known = next((each for each in present if each.endpoint == endpoint), None)
    if known is None:
        return None, _role_for(present, wanted)
    if wanted not in (None, known.role):
        raise BadInput(
            f"{known.endpoint} is on record as the {known.role.value}.",
            next_command=f"troth ise remove {known.endpoint}, then add both in the order that you want",
        )
    return known, known.role


def _role_for(present: tuple[Server, ...], wanted: Role | None) -> Role:
    if len(present) >= MAX_SERVERS:
        named = " and ".join(str(each.endpoint) for each in present)
        raise BadInput(
            f"There are two ISE servers already: {named}.", next_command=f"troth ise remove {present[-1].endpoint}"
        )
    free = Role.STANDBY if present else Role.PRIMARY
    if wanted in (None, free):
        return free
    if free is Role.PRIMARY:
        raise BadInput(
            "The first server is the primary: a standby stands by for one.",
            next_command="add the primary first, or leave --role out",
        )
    raise BadInput(
        f"{present[0].endpoint} is the primary already.",
        next_command=f"add it as the standby; or, first: troth ise remove {present[0].endpoint}",
    )


def _about(endpoint: Endpoint, user: str) -> str:
    return f"ise {endpoint} {user}"


def _all(connection: Connection) -> tuple[Server, ...]:
    return tuple(_server(row) for row in connection.execute(_ALL).fetchall())


def _utc(moment: datetime | None) -> datetime | None:
    """Give a time in UTC; it comes in whatever zone the database is set to."""
    return None if moment is None else moment.astimezone(UTC)


def _server(row: tuple[Any, ...]) -> Server:
    return Server(
        id=row[0],
        role=Role(row[1]),
        endpoint=Endpoint(row[2], row[3]),
        user=row[4],
        timeout_s=row[5],
        added_at=row[6].astimezone(UTC),
        added_by=row[7],
        changed_at=row[8].astimezone(UTC),
        state=State(
            condition=Condition(row[9]),
            since=_utc(row[10]),
            polled_at=_utc(row[11]),
            due_at=_utc(row[12]),
            failures=row[13],
            announced=Condition(row[14]) if row[14] else None,
            why=row[15],
            next_step=row[16],
        ),
        findings=Findings(
            version=Version(product=row[17], version=row[18], node_type=NodeType(row[19])),
            counts=Counts(active=row[20], posture=row[21], profiler=row[22]),
            at=_utc(row[23]),
        ),
    )
