"""The tables: numbered migrations, applied once and never changed; readers see their namespace alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from soma.errors import ConfigurationError, StoreBusyError
from soma_export import database
from soma_export.database import Connection, connect, migrate, migrations, require_migrated
from soma_export.local.postgres import LocalPostgres
from soma_export.settings import ExportSettings


@pytest.fixture
def settings(postgres_server: LocalPostgres, request: pytest.FixtureRequest) -> ExportSettings:
    return ExportSettings("127.0.0.1:1", postgres_server.address, schema=f"database_{abs(hash(request.node.name)):x}")


@pytest.fixture
def store(settings: ExportSettings) -> Iterator[Connection]:
    migrate(settings)
    with connect(settings) as connection:
        yield connection


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_migrating_is_safe_to_repeat_and_to_race(settings: ExportSettings) -> None:
    applied: list[list[str]] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(settings))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]
    assert migrate(settings) == []


def test_a_schema_that_is_not_migrated_says_which_command_does_it(settings: ExportSettings) -> None:
    with connect(settings) as store, pytest.raises(ConfigurationError, match="soma export migrate"):
        require_migrated(store, settings.schema)


def test_a_migration_that_was_changed_afterwards_is_refused(settings: ExportSettings, store: Connection) -> None:
    store.execute("UPDATE schema_migrations SET checksum = 'other' WHERE number = 1")
    with pytest.raises(ConfigurationError, match="0001_memories was changed"):
        migrate(settings)
    with pytest.raises(ConfigurationError, match="0001_memories was changed"):
        require_migrated(store, settings.schema)


def test_a_schema_of_a_newer_version_is_refused(settings: ExportSettings, store: Connection) -> None:
    store.execute("INSERT INTO schema_migrations VALUES (9999, 'from_the_future', 'x')")
    with pytest.raises(ConfigurationError, match="9999_from_the_future"):
        migrate(settings)


def test_a_migration_that_fails_leaves_nothing(settings: ExportSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [*migrations(), database.Migration(len(migrations()) + 1, "broken", "CREATE TABLE x (a int); SELECT 1/0")]
    monkeypatch.setattr(database, "migrations", lambda: broken)
    with pytest.raises(database.StoreError, match="division by zero"):
        migrate(settings)
    with connect(settings) as store:
        assert store.execute("SELECT to_regclass('memories')").fetchone() == (None,)


def test_a_reader_sees_its_namespace_alone_and_writes_nothing(store: Connection) -> None:
    for namespace in ("lab", "field"):
        store.execute(
            'INSERT INTO memories (namespace, id, version, topic_id, partition, "offset", payload) '
            "VALUES (%s, gen_random_uuid(), 1, 't', 0, 0, '{}')",
            [namespace],
        )
    store.execute("SET ROLE soma_reader")
    query = "SELECT namespace FROM memories"
    assert store.execute(query).fetchall() == []
    store.execute("SELECT set_config('soma.namespace', 'lab', false)")
    assert store.execute(query).fetchall() == [("lab",)]
    for table in ("memory_links", "memory_events", "namespaces"):
        assert store.execute(f"SELECT * FROM {table}").fetchall() == []
    for forbidden in ("DELETE FROM memories", "SELECT * FROM cursors", "SELECT * FROM dead_letters"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            store.execute(forbidden)


def test_large_doubles_come_back_from_jsonb_as_they_were(store: Connection) -> None:
    values = [1e300, 2.0**53 + 2, 1e22, 5e-324, 0.1, 2**53 - 1, -(2**53) + 1, 1e16]
    found = store.execute("SELECT %s::jsonb", [database.json.dumps(values)]).fetchone()
    assert found is not None
    assert list(map(repr, map(float, found[0]))) == list(map(repr, map(float, values)))


def test_a_postgres_that_does_not_answer_is_named() -> None:
    with pytest.raises(StoreBusyError, match="Postgres does not answer"):
        connect(ExportSettings("127.0.0.1:1", "host=127.0.0.1 port=1 user=x password=s3cret"))
