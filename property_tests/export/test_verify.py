"""Verification convicts a removed, an altered and an extra row of every table; a replay equals what is live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from property_tests.export.running import caught_up, count, created, produce, publish, raw, register, story, working
from soma.errors import ConfigurationError, NotFoundError, StoreError
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.log import Log
from soma_export.replay import replay, swap
from soma_export.verify import verify
from soma_export.wiring import Deployment

TABLES = ("memories", "memory_links", "memory_events", "dead_letters", "namespaces", "cursors")


@pytest.fixture
def written(deployment: Deployment) -> Deployment:
    register(deployment)
    publish(deployment, story(40))
    produce(deployment, [raw(deployment, created(), value=b"{")])
    with working(deployment):
        assert caught_up(deployment).is_clean
    return deployment


LIVE = "SELECT min(id::text)::uuid FROM memories WHERE deleted_at IS NULL"
FIRST = "SELECT min(id::text)::uuid FROM memories"
LINK = "SELECT min(source::text)::uuid FROM memory_links"
EVENT = "SELECT min(event_id::text)::uuid FROM memory_events"
PLACE = 'topic_id, partition, "offset"'
MADE_UP = (
    "deleted_at = NULL, payload = '{}', coordinate = '{0,0}', memory_type = 'episodic', timestamp = 0, importance = 1, "
    "pinned = false, extras = '{}', trace_at = 0, trace = '{1}', n_recalls = 0"
)
NEW_MEMORY = f"INSERT INTO memories (namespace, id, version, {PLACE}, payload)"
ALTERED = {
    "memories": {
        "a payload": f'SET payload = \'{{"note": "the clock is fast"}}\' WHERE id = ({LIVE})',
        "a trace": f"SET trace[3] = trace[3] * (1 + 1e-8) WHERE id = ({LIVE})",
        "a coordinate that is none": f"SET coordinate = '{{}}' WHERE id = ({LIVE})",
        "a position": f'SET "offset" = "offset" + 1 WHERE id = ({FIRST})',
        "a tombstone alive again": f"SET {MADE_UP} WHERE id = ({LIVE.replace('IS NULL', 'IS NOT NULL')})",
    },
    "memory_links": {"a weight": f"SET weight = 9 WHERE source = ({LINK})"},
    "memory_events": {
        "a body": f"SET body = body || '{{\"weight\": 7}}' WHERE event_id = ({EVENT} WHERE type = 'memory.recalled')",
        "an effect": f"SET effect = 'absent' WHERE event_id = ({EVENT} WHERE type = 'memory.created')",
    },
    "namespaces": {"a dimension": "SET registration = registration || '{\"dimension\": 3}'"},
    "cursors": {"a cursor beyond the log": "SET next_offset = next_offset + 5 WHERE partition = 0"},
}
REMOVED = {
    "memories": f"WHERE id = ({FIRST})",
    "memory_links": f"WHERE source = ({LINK})",
    "memory_events": f"WHERE event_id = ({EVENT})",
    "dead_letters": "",
    "namespaces": "",
}
ADDED = {
    "a memory": f"{NEW_MEMORY} SELECT namespace, gen_random_uuid(), 1, {PLACE}, '{{}}' FROM memories LIMIT 1",
    "a memory of another log": f"{NEW_MEMORY} VALUES ('lab', gen_random_uuid(), 1, 'elsewhere', 0, 0, '{{}}')",
    "a link": (
        f"INSERT INTO memory_links SELECT namespace, source, gen_random_uuid(), type, weight, at, {PLACE} "
        "FROM memory_links LIMIT 1"
    ),
    "an event": (
        "INSERT INTO memory_events SELECT gen_random_uuid(), type, namespace, record_id, at, cause_id, effect, "
        f"{PLACE}, recorded_at, body FROM memory_events LIMIT 1"
    ),
    "a namespace": "INSERT INTO namespaces SELECT 'ghost', registration, event_id, at FROM namespaces",
}


def tampering() -> Iterator[tuple[str, str, str, str]]:
    """Yield what is done, in SQL, to which table, and what it must be called."""
    for table, changes in ALTERED.items():
        for name, change in changes.items():
            yield f"{name} altered", f"UPDATE {table} {change}", table, "altered"
    for table, where in REMOVED.items():
        yield f"{table} removed", f"DELETE FROM {table} {where}", table, "missing"
    for name, statement in ADDED.items():
        yield f"{name} added", statement, statement.split()[2], "extra"


def test_every_tampering_is_convicted_and_named(written: Deployment) -> None:
    with written.database() as store:
        for table in TABLES:
            store.execute(f"CREATE TABLE kept_{table} AS TABLE {table}")
        for name, statement, table, kind in tampering():
            changed = store.execute(statement).rowcount
            assert changed == 1, name
            report = verify(written)
            assert not report.is_clean, name
            assert [(d.store, d.kind) for d in report.differences] == [(table, kind)], (name, report.differences)
            store.execute(f"TRUNCATE {table}")
            store.execute(f"INSERT INTO {table} TABLE kept_{table}")
        for table in TABLES:
            store.execute(f"DROP TABLE kept_{table}")
    assert verify(written).is_clean


def test_a_fold_in_segments_is_the_fold(written: Deployment) -> None:
    whole, parts = verify(written).to_dict(), verify(written, n_segments=5).to_dict()
    assert whole == parts
    with written.database() as store:
        store.execute("DELETE FROM memories WHERE id = (SELECT min(id::text)::uuid FROM memories)")
    assert verify(written, n_segments=5).n_differences == 1


def test_a_store_that_is_behind_is_compared_where_it_stands(written: Deployment) -> None:
    before = verify(written)
    publish(written, story(10))
    after = verify(written)
    assert after.is_clean
    assert after.positions == before.positions


def test_without_a_worker_there_is_nothing_to_verify(deployment: Deployment) -> None:
    with pytest.raises(NotFoundError, match="run-workers"):
        verify(deployment)


def test_a_replay_into_empty_tables_equals_what_is_live(written: Deployment) -> None:
    schema = f"{written.settings.schema}_r"
    done = replay(written, schema)
    assert done.n_messages == verify(written).n_messages
    assert verify(written, schema=schema).is_clean
    with written.database() as store:
        for table in ("memories", "memory_links", "dead_letters", "namespaces"):
            live, again = (
                store.execute(f"SELECT t::text FROM {where}.{table} AS t").fetchall()
                for where in (written.settings.schema, schema)
            )
            assert sorted(live) == sorted(again), table
            assert live, table


def test_a_replay_takes_the_place_of_what_is_live_while_workers_go_on(written: Deployment) -> None:
    live = written.settings.schema
    with working(written):
        with written.database() as store:
            store.execute("DELETE FROM memories")
        assert not verify(written).is_clean
        replay(written, f"{live}_r")
        publish(written, story(10))
        swap(written, f"{live}_r", retired=f"{live}_old")
        publish(written, story(10))
        report = caught_up(written)
    assert report.is_clean, report.differences[:5]
    assert count(written, "memories") == 60


def test_a_replay_never_writes_into_what_holds_something(written: Deployment) -> None:
    with pytest.raises(ConfigurationError, match="live tables"):
        replay(written, written.settings.schema)
    replay(written, f"{written.settings.schema}_r")
    with pytest.raises(ConfigurationError, match="not empty"):
        replay(written, f"{written.settings.schema}_r")
    with pytest.raises(StoreError, match="exists"):
        swap(written, f"{written.settings.schema}_r", retired=f"{written.settings.schema}_r")


def test_servers_that_are_away_are_named(
    written: Deployment, kafka_server: LocalKafka, postgres_server: LocalPostgres
) -> None:
    written.log = Log(written.settings, timeout_s=3)
    postgres_server.stop()
    with pytest.raises(StoreError, match="Postgres does not answer"):
        verify(written)
    postgres_server.start()
    kafka_server.stop()
    with pytest.raises(StoreError, match="Kafka at"):
        verify(written)
