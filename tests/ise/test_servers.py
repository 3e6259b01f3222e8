"""The servers on record, in a real database: two at most, one primary, and passwords that only the node can open."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.ise.conftest import Box, Hands
from troth.database.pool import Connection, Database
from troth.errors import BadInput, ConfigUnusable, NotFound, StoreUnusable
from troth.ise.models import Condition, Counts, Credentials, Findings, NodeType, Role, Server, State, Version
from troth.ise.servers import Servers
from troth.model.endpoint import Endpoint

ONE, TWO, THREE = Endpoint("ise-1.example.com", 443), Endpoint("192.0.2.2", 8443), Endpoint("2001:db8::3", 443)
MONITOR = Credentials("monitor", "pässword with blanks")


def test_the_first_is_the_primary_and_the_second_the_standby(servers: Servers, clock: Hands) -> None:
    """Without a role given; each with its own user and password."""
    one = servers.put(ONE, MONITOR, timeout_s=5)
    two = servers.put(TWO, Credentials("other", "secret"))
    assert [each.role for each in servers.all()] == [Role.PRIMARY, Role.STANDBY]
    assert servers.all() == (one, two)
    assert (one.endpoint, one.user, one.timeout_s, one.added_by, one.added_at) == (ONE, "monitor", 5, "tester", clock())
    assert one.state == State()
    assert servers.credentials(one) == MONITOR
    assert servers.credentials(two) == Credentials("other", "secret")


def test_there_are_never_three(servers: Servers) -> None:
    """Whatever role the third is to have."""
    servers.put(ONE, MONITOR)
    servers.put(TWO, MONITOR)
    for role in (None, *Role):
        with pytest.raises(BadInput) as refused:
            servers.put(THREE, MONITOR, role=role)
        assert "two" in refused.value.what
    assert len(servers.all()) == 2


def test_roles_that_are_taken_or_too_early(servers: Servers) -> None:
    """No standby without a primary, and no second primary."""
    with pytest.raises(BadInput):
        servers.put(ONE, MONITOR, role=Role.STANDBY)
    servers.put(ONE, MONITOR, role=Role.PRIMARY)
    with pytest.raises(BadInput):
        servers.put(TWO, MONITOR, role=Role.PRIMARY)
    with pytest.raises(BadInput):
        servers.put(ONE, MONITOR, role=Role.STANDBY)
    assert len(servers.all()) == 1


def test_the_standby_becomes_the_primary(servers: Servers) -> None:
    """When the primary is removed; and when the last one goes there is none."""
    one, two = servers.put(ONE, MONITOR), servers.put(TWO, MONITOR)
    promoted = servers.remove(one)
    assert promoted is not None
    assert (promoted.id, promoted.role) == (two.id, Role.PRIMARY)
    assert servers.credentials(promoted) == MONITOR
    third = servers.put(THREE, MONITOR)
    assert third.role is Role.STANDBY
    assert servers.remove(third) is None
    assert servers.remove(promoted) is None
    assert servers.all() == ()
    with pytest.raises(NotFound):
        servers.remove(promoted)


def test_new_credentials_for_a_server_on_record(servers: Servers, clock: Hands) -> None:
    """It keeps its place and what it said, it is asked at once, and the old password is gone."""
    old = servers.put(ONE, MONITOR)
    refused = State(
        condition=Condition.CREDENTIALS_REFUSED, due_at=clock() + timedelta(hours=9), failures=5, since=clock()
    )
    assert servers.note(old, refused, Findings())
    clock.go(60)
    new = servers.put(ONE, Credentials("monitor2", "new"))
    assert (new.id, new.role, new.user, new.changed_at) == (old.id, old.role, "monitor2", clock())
    assert (new.state.condition, new.state.due_at, new.state.failures) == (Condition.CREDENTIALS_REFUSED, None, 0)
    assert servers.credentials(new) == Credentials("monitor2", "new")
    with pytest.raises(NotFound):
        servers.credentials(old)


def test_what_was_learned_with_other_credentials_is_not_kept(servers: Servers, clock: Hands) -> None:
    """A poll that began before the change does not say how it stands after it."""
    old = servers.put(ONE, MONITOR)
    clock.go(1)
    servers.put(ONE, Credentials("monitor", "new"))
    assert not servers.note(old, State(condition=Condition.CREDENTIALS_REFUSED, since=clock()), Findings())
    assert servers.get("primary").state.condition is Condition.UNKNOWN
    servers.remove(servers.get("primary"))
    assert not servers.note(old, State(condition=Condition.REACHABLE), Findings())


def test_state_and_findings_come_back(servers: Servers, clock: Hands) -> None:
    """Everything that is kept of a poll is read again as it was."""
    server = servers.put(ONE, MONITOR)
    for condition in Condition:
        state = State(
            condition=condition,
            since=clock(),
            polled_at=clock(),
            due_at=clock() + timedelta(seconds=66.6),
            failures=1_000_000,
            announced=None if condition is Condition.REACHABLE else condition,
            why="\\x1b[31m 'quoted' \N{SNOWMAN}",
            next_step="troth …",
        )
        findings = Findings(
            version=Version(product="ISE", version="3.2", node_type=NodeType.SECONDARY),
            counts=Counts(active=999_999_999_999, posture=None, profiler=0),
            at=clock(),
        )
        assert servers.note(server, state, findings)
        found = servers.get(str(ONE))
        assert (found.state, found.findings) == (state, findings)
        clock.go(1)


@pytest.mark.parametrize(
    ("text", "found"),
    [("primary", ONE), ("standby", TWO), ("ISE-1.example.com.", ONE), ("ise-1.example.com:443", ONE),
     ("192.0.2.2:8443", TWO), ("192.0.2.2", TWO), ("192.0.2.2:443", TWO), ("192.0.2.2:1", None), ("ise-2", None)],
)  # fmt: skip
def test_a_server_is_found_as_people_name_it(servers: Servers, text: str, found: Endpoint | None) -> None:
    """By role, by address with or without the port; never another one."""
    servers.put(ONE, MONITOR)
    servers.put(TWO, MONITOR)
    if found is None:
        with pytest.raises(NotFound):
            servers.get(text)
    else:
        assert servers.get(text).endpoint == found


@pytest.mark.parametrize(
    "credentials",
    [Credentials("", "x"), Credentials("a:b", "x"), Credentials("a\n", "x"), Credentials("a" * 129, "x"),
     Credentials("a", ""), Credentials("a", "x\n"), Credentials("a", "x" * 1025), Credentials("a\x00", "x")],
)  # fmt: skip
def test_credentials_that_cannot_be_sent(servers: Servers, credentials: Credentials) -> None:
    """Empty, too long, a colon in the user, line ends: refused, and the message shows no password."""
    with pytest.raises(BadInput) as refused:
        servers.put(ONE, credentials)
    assert "x" * 20 not in str(refused.value)
    assert servers.all() == ()


@pytest.mark.parametrize("timeout_s", [0, -1, 0.5, 301, float("nan"), float("inf")])
def test_time_limits_that_make_no_sense(servers: Servers, timeout_s: float) -> None:
    """One second to five minutes."""
    with pytest.raises(BadInput):
        servers.put(ONE, MONITOR, timeout_s=timeout_s)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "fd00:ec2::254",
        "100.100.100.200",
    ],
)
def test_addresses_where_no_ise_is(servers: Servers, host: str) -> None:
    """A server on record is asked again and again: it is no way to reach a cloud's metadata."""
    with pytest.raises(BadInput):
        servers.require_room(Endpoint(host, 80), None)
    with pytest.raises(BadInput):
        servers.put(Endpoint(host, 80), MONITOR)
    servers.require_room(Endpoint("127.0.0.1", 443), None)


# Secrets


def dump(database: Database) -> bytes:
    """Give every byte that the table holds."""
    with database.transaction() as connection:
        rows = connection.execute("SELECT ise_server::text, password FROM ise_server").fetchall()
    return b"".join(str(row[0]).encode() + bytes(row[1]) + bytes(row[1]).hex().encode() for row in rows)  # type: ignore[arg-type]


def test_the_database_holds_no_password(servers: Servers, database: Database) -> None:
    """Neither as it is nor in hexadecimal."""
    servers.put(ONE, MONITOR)
    held = dump(database)
    assert MONITOR.user.encode() in held
    assert MONITOR.password.encode() not in held
    assert MONITOR.password.encode().hex().encode() not in held


@pytest.mark.parametrize(
    "change",
    ["host = '198.51.100.66'", "port = 4443", "username = 'root'", "password = password || '\\x00'::bytea",
     "password = '\\x'::bytea", "password = (SELECT password FROM ise_server WHERE role = 'standby')"],
)  # fmt: skip
def test_a_row_that_was_altered_opens_no_longer(servers: Servers, database: Database, change: str) -> None:
    """Who can write to the database cannot have the password sent to another host, or under another name."""
    servers.put(ONE, MONITOR)
    servers.put(TWO, MONITOR)
    with database.transaction() as connection:
        connection.execute(f"UPDATE ise_server SET {change} WHERE role = 'primary'".encode())
    with pytest.raises(ConfigUnusable) as unusable:
        servers.credentials(servers.get("primary"))
    assert MONITOR.password not in str(unusable.value)
    assert unusable.value.exit_code == 7


def test_another_nodes_key_opens_nothing(servers: Servers, database: Database) -> None:
    """A copy of the database alone is worth nothing; a node with another key says so."""
    servers.put(ONE, MONITOR)
    with pytest.raises(ConfigUnusable):
        Servers(database, Box()).credentials(servers.get("primary"))


def test_changes_are_journalled_with_no_secret(database: Database) -> None:
    """Each change is written down in its own transaction; a journal that cannot be written undoes the change."""
    notes: list[tuple[str, str, dict[str, object]]] = []

    def audit(_connection: Connection, action: str, subject: str, detail: dict[str, object], /) -> None:
        notes.append((action, subject, detail))

    def broken(_connection: Connection, _action: str, _subject: str, _detail: dict[str, object], /) -> None:
        raise StoreUnusable("no room")

    servers, hindered = (Servers(database, Box(), audit=each) for each in (audit, broken))
    one = servers.put(ONE, MONITOR)
    servers.put(ONE, MONITOR)
    with pytest.raises(StoreUnusable):
        hindered.put(TWO, MONITOR)
    with pytest.raises(StoreUnusable):
        hindered.remove(one)
    assert len(servers.all()) == 1
    servers.remove(one)
    assert [note[:2] for note in notes] == [("ise-add", str(ONE)), ("ise-change", str(ONE)), ("ise-remove", str(ONE))]
    assert MONITOR.password not in repr(notes)


# The tables by themselves


ROW = (
    "INSERT INTO ise_server (role, host, port, username, password, timeout_s, added_at, added_by, changed_at)"
    " VALUES (%s, %s, 443, 'u', '\\x00', 1, now(), '', now())"
)


@pytest.mark.parametrize(
    "rows",
    [[("standby", "a")], [("primary", "a"), ("primary", "b")], [("primary", "a"), ("standby", "b"), ("standby", "c")],
     [("third", "a")], [("primary", "a"), ("standby", "a")]],
)  # fmt: skip
def test_the_tables_hold_the_rule_by_themselves(database: Database, rows: list[tuple[str, str]]) -> None:
    """Whatever program writes: no standby alone, no two primaries, no three, no server twice."""
    with pytest.raises(StoreUnusable), database.transaction() as connection:
        for row in rows:
            connection.execute(ROW.encode(), row)
    with pytest.raises(StoreUnusable), database.transaction() as connection:
        connection.execute(ROW.encode(), ("primary", "a"))
        connection.execute(ROW.encode(), ("standby", "b"))
        connection.execute("DELETE FROM ise_server WHERE role = 'primary'")


def test_many_add_at_once(servers: Servers) -> None:
    """Of eight who add at the same moment two succeed, and one of them is the primary."""
    results: list[Server | Exception] = []
    gate = threading.Barrier(8)

    def add(number: int) -> None:
        gate.wait()
        try:
            results.append(servers.put(Endpoint(f"ise-{number}", 443), MONITOR))
        except BadInput as error:
            results.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    made = [each for each in results if isinstance(each, Server)]
    assert sorted(each.role for each in made) == [Role.PRIMARY, Role.STANDBY]
    assert len(results) == 8
    assert len(servers.all()) == 2
