"""Steps are applied once, in order, whole or not at all."""

from __future__ import annotations

import threading

import psycopg
import pytest

from troth.database.migrate import Migration, migrate, migrations
from troth.database.pool import Database
from troth.errors import StoreVersion

ONE = Migration(number=1, name="one", sql="CREATE TABLE one (n integer); INSERT INTO one VALUES (1);")
TWO = Migration(number=2, name="two", sql="ALTER TABLE one ADD COLUMN m integer;")
BROKEN = Migration(number=2, name="broken", sql="CREATE TABLE two (n integer); SELECT no_such_function();")


@pytest.fixture
def connection(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    with psycopg.connect(database.conninfo, autocommit=True) as made:
        made.execute("DROP SCHEMA public CASCADE")
        made.execute("CREATE SCHEMA public")
        yield made


def test_steps_are_applied_once_and_in_order(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """A second call does nothing; a later one applies what is new."""
    assert migrate(connection, [ONE]) == [1]
    assert migrate(connection, [ONE]) == []
    assert migrate(connection, [ONE, TWO]) == [2]
    assert connection.execute("SELECT n, m FROM one").fetchall() == [(1, None)]


def test_a_step_that_fails_leaves_nothing(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """What came before it in its file is undone, and it can be applied once it is mended."""
    with pytest.raises(psycopg.Error):
        migrate(connection, [ONE, BROKEN])
    assert connection.execute("SELECT to_regclass('two')").fetchone() == (None,)
    assert migrate(connection, [ONE, TWO]) == [2]


def test_a_newer_database_is_not_touched(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """An older Troth refuses, and changes nothing."""
    migrate(connection, [ONE, TWO])
    with pytest.raises(StoreVersion, match="newer"):
        migrate(connection, [ONE])


def test_other_steps_are_not_mistaken_for_ours(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """A database that was made by another text of a step is refused."""
    migrate(connection, [ONE])
    with pytest.raises(StoreVersion, match="another step 1"):
        migrate(connection, [Migration(number=1, name="one", sql="SELECT 1;")])


def test_several_at_once_apply_a_step_once(
    connection: psycopg.Connection[tuple[object, ...]], database: Database
) -> None:
    """Processes that start together wait for each other."""
    done: list[list[int]] = []

    def go() -> None:
        with psycopg.connect(database.conninfo, autocommit=True) as mine:
            done.append(migrate(mine, [ONE, TWO]))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(done) == [[], [], [], [1, 2]]


def test_the_steps_that_came_with_troth_have_no_gaps() -> None:
    """They are numbered from 1."""
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
