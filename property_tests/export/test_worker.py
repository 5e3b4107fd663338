"""The worker on real servers: every event takes effect once, poison stops no partition, an outage loses nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from property_tests.export.contract.test_avro import serving
from property_tests.export.running import (
    LAB,
    caught_up,
    count,
    created,
    ids,
    is_caught_up,
    produce,
    publish,
    raw,
    register,
    story,
    until,
    working,
)
from soma.errors import ConfigurationError, NotFoundError
from soma.state.namespace import Namespace
from soma_export.contract import Position
from soma_export.letters import find, retry
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.telemetry import CATALOGUE, HealthServer, Metrics
from soma_export.wiring import Deployment
from soma_export.worker import WorkerOptions


def test_every_event_takes_effect_once_and_the_store_equals_the_fold(deployment: Deployment) -> None:
    register(deployment)
    told = story(100)
    publish(deployment, told)
    publish(deployment, told[:150])  # a client that tries again
    metrics = Metrics("kv")
    with working(deployment, metrics=metrics) as worker:
        report = caught_up(deployment)
        until(lambda: worker.is_ready() is None, "the worker is not ready")
    assert report.is_clean, report.differences
    assert (report.n_memories, report.n_links, report.n_events) == (100, 100, len(told))
    assert report.n_messages == len(told) + 150
    assert count(deployment, "memories", "deleted_at IS NULL") == 80
    assert f'soma_events_total{{effect="duplicate",projection="kv"}} {150.0}' in metrics.text().decode()


def test_avro_and_json_stand_side_by_side_in_one_log(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as registry:
        binary = Deployment(replace(deployment.settings, event_format="avro", schema_registry=registry.url))
        register(binary)
        publish(binary, story(40))
        publish(Deployment(replace(binary.settings, event_format="json")), story(40))
        with working(binary) as worker:
            report = caught_up(binary)
            assert (report.is_clean, report.n_memories) == (True, 80)
            registry.failure = (503, b"")  # what was asked for once is known
            publish(binary, story(10))
            assert caught_up(binary).n_memories == 90
        with working(Deployment(binary.settings)) as worker:  # and this one knows nothing yet
            publish(binary, story(10))
            until(lambda: "registry" in (worker.is_ready() or ""), "the worker does not say what it waits for")
            registry.failure = None
            assert caught_up(binary).is_clean
        binary.close()
    assert not find(deployment)


def test_workers_share_the_partitions_and_take_over_from_each_other(deployment: Deployment) -> None:
    register(deployment)
    with working(deployment) as one:
        publish(deployment, story(50))
        with working(deployment) as other:
            until(lambda: 0 < len(other._next) < 6 and len(one._next) + len(other._next) == 6, "nothing is shared")
            publish(deployment, story(50))
            assert caught_up(deployment).is_clean
        until(lambda: len(one._next) == 6, "the partitions are not taken over")
        publish(deployment, story(50))
        assert caught_up(deployment).is_clean
    assert count(deployment, "memories") == 150


def allow(deployment: Deployment, max_bytes: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, deployment.topics.events, incremental_configs=[entry])
    deployment.log.admin.incremental_alter_configs([resource])[resource].result()


def bad_messages(deployment: Deployment) -> dict[str, tuple[Any, Any, list[tuple[str, bytes]]]]:
    good = created()

    def body(**changes: Any) -> bytes:
        return json.dumps({**json.loads(deployment.codec.encode(good).value), **changes}).encode()

    nested = b'{"a":' * 60 + b"1" + b"}" * 60
    return {
        "not JSON": raw(deployment, good, value=b'{"id": '),
        "type 'memory.dreamt' is unknown": raw(
            deployment,
            good,
            headers={"ce_type": b"memory.dreamt", "ce_dataschema": b"urn:soma:event:memory.dreamt:1"},
        ),
        "version 7 of the schema": raw(deployment, good, headers={"ce_dataschema": b"urn:soma:event:memory.created:7"}),
        "must have dimension 2": raw(deployment, good, value=body(coordinate=[0.0])),
        "must lie in": raw(deployment, good, value=body(coordinate=[0.0, 9.0])),
        "at most 1,000,000 are accepted": raw(deployment, good, value=body(payload={"x": "y" * 10_000_000})),
        "nested deeper": raw(deployment, good, value=body(payload="X").replace(b'"X"', nested)),
        "NUL": raw(deployment, good, value=body(text="a\0b")),
        "1 to 128 letters": raw(deployment, good, value=body(namespace="x" * 300)),
        "broker's time": raw(deployment, good, value=body(timestamp=9e9)),
        "no namespace elsewhere": raw(deployment, created(namespace="elsewhere")),
        "lacks the header": (b"key", b"value", []),
        "no body": (raw(deployment, good)[0], None, raw(deployment, good)[2]),
    }


def test_poison_is_diverted_with_its_reason_and_no_neighbour_is_lost(deployment: Deployment) -> None:
    register(deployment)
    allow(deployment, 16_000_000)  # 10 MB must reach the worker
    bad = bad_messages(deployment)
    good = [created() for _ in range(len(bad))]
    neighbours = [raw(deployment, event) for event in good]
    produce(deployment, [message for pair in zip(bad.values(), neighbours, strict=True) for message in pair])
    with working(deployment):
        report = caught_up(deployment)
    assert report.is_clean, report.differences
    assert ids(deployment) == {event.record.id for event in good}
    letters = find(deployment)
    assert len(letters) == len(bad)
    for reason, (key, value, _) in bad.items():
        (letter,) = [letter for letter in letters if reason in letter.reason]
        assert (letter.key, letter.value) == (key, value), reason
    topic = deployment.log.required(deployment.topics.dead_letters)
    ((_, end),) = deployment.log.bounds(topic).values()
    sent = {dict(m.headers)["dl_reason"].decode(): m for m in deployment.log.read(topic, {0: 0}, {0: end})}
    assert set(sent) == {letter.reason for letter in letters}
    for letter in letters:
        message = sent[letter.reason]
        assert message.key == str(letter.position).encode()
        if letter.value is not None and len(letter.value) > 2_000_000:
            assert dict(message.headers)["dl_value_omitted"] == str(len(letter.value)).encode()
        else:
            assert message.value == letter.value


def test_what_the_store_alone_refuses_is_found_among_its_neighbours(deployment: Deployment) -> None:
    register(deployment)
    with deployment.database() as store:
        store.execute("ALTER TABLE memories ADD CONSTRAINT no_sevens CHECK (importance <> 777)")
    told = [created(importance=777 if i in (3, 40, 41) else 5) for i in range(100)]
    publish(deployment, told)
    with working(deployment):
        until(lambda: is_caught_up(deployment), "the worker is stuck")
    assert ids(deployment) == {event.record.id for event in told if event.record.importance == 5}
    assert [letter.stage for letter in find(deployment)] == ["write"] * 3
    assert all("no_sevens" in letter.reason for letter in find(deployment))


def test_an_environment_fault_diverts_nothing(deployment: Deployment) -> None:
    register(deployment)
    with working(deployment) as worker:
        with deployment.database() as store:
            store.execute("ALTER TABLE memories RENAME COLUMN importance TO was_importance")
        publish(deployment, story(10))
        until(lambda: "importance" in (worker.is_ready() or ""), "the worker does not say what is wrong")
        assert worker.is_alive() is None
        with deployment.database() as store:
            store.execute("ALTER TABLE memories RENAME COLUMN was_importance TO importance")
        assert caught_up(deployment).is_clean
    assert not find(deployment)


def test_dead_letters_are_throttled_and_nothing_is_lost(deployment: Deployment) -> None:
    register(deployment)
    good = created()
    produce(deployment, [raw(deployment, good, value=b"{") for _ in range(6)])
    publish(deployment, [good])
    metrics = Metrics("kv")
    with working(
        deployment,
        metrics=metrics,
        letters=deployment.letters(burst=2, per_s=2),
        options=WorkerOptions(batch_max=1, poll_s=0.05),
    ) as worker:
        until(lambda: "above the cap" in (worker.is_ready() or ""), "the cap is not felt")
        assert caught_up(deployment).is_clean
    assert len(find(deployment)) == 6
    assert ids(deployment) == {good.record.id}


def test_a_namespace_that_comes_too_late_can_be_retried(deployment: Deployment) -> None:
    register(deployment)
    late = created(namespace="late")
    produce(deployment, [raw(deployment, late)])
    with working(deployment):
        assert caught_up(deployment).is_clean
        assert [letter.stage for letter in find(deployment)] == ["admit"]
        register(deployment, Namespace("late", 2))
        report = caught_up(deployment)
        assert report.is_clean
        assert report.acceptable == [letter.position for letter in find(deployment)]
        assert retry(deployment, find(deployment)) == 1
        report = caught_up(deployment)
    assert report.is_clean
    assert report.acceptable == []
    assert ids(deployment) == {late.record.id}
    assert find(deployment, is_retried=False) == []
    with pytest.raises(NotFoundError, match="dead letter"):
        find(deployment, positions=[Position("another-topic", 0, 0)])


def test_a_worker_whose_cursor_was_moved_follows_it(deployment: Deployment) -> None:
    register(deployment)
    told = story(40)
    publish(deployment, told)
    with working(deployment) as worker:
        assert caught_up(deployment).is_clean
        with deployment.database() as store, store.transaction():  # what a replay into fresh tables amounts to
            store.execute("TRUNCATE memories, memory_links, memory_events")
            store.execute("UPDATE cursors SET next_offset = 0")
        publish(deployment, [created() for _ in range(60)])  # one in each partition at least
        report = caught_up(deployment)
        assert worker.is_alive() is None
    assert report.is_clean, report.differences[:5]
    assert report.n_memories == 100


def test_postgres_may_go_away_and_come_back(deployment: Deployment, postgres_server: LocalPostgres) -> None:
    register(deployment)
    with working(deployment) as worker:
        publish(deployment, story(20))
        assert caught_up(deployment).is_clean
        postgres_server.kill()
        publish(deployment, story(20))
        until(lambda: worker.is_ready() is not None, "the worker does not notice")
        postgres_server.start()
        assert caught_up(deployment).is_clean
        until(lambda: worker.is_ready() is None, "the worker does not recover")
    assert count(deployment, "memories") == 40


def test_kafka_may_go_away_and_come_back(deployment: Deployment, kafka_server: LocalKafka) -> None:
    register(deployment)
    with working(deployment) as worker:
        publish(deployment, story(20))
        assert caught_up(deployment).is_clean
        kafka_server.stop()
        until(lambda: "Kafka" in (worker.is_ready() or ""), "the worker does not notice", 90)
        kafka_server.start()
        publish(deployment, story(20))
        assert caught_up(deployment).is_clean
    assert count(deployment, "memories") == 40


def test_a_topic_that_is_not_there_ends_the_worker_with_the_command_that_makes_it(deployment: Deployment) -> None:
    deployment.log.admin.delete_topics([deployment.topics.namespaces])[deployment.topics.namespaces].result()
    worker = deployment.worker()
    with pytest.raises(NotFoundError, match="soma export init"):
        worker.run()


def test_a_log_that_was_made_again_is_not_read_as_the_old_one(deployment: Deployment) -> None:
    register(deployment)
    publish(deployment, story(10))
    with working(deployment):
        assert caught_up(deployment).is_clean
    name = deployment.topics.events
    deployment.log.admin.delete_topics([name])[name].result()
    until(lambda: deployment.log.state(name) is None, "the topic is still there")
    deployment.log.make(list(deployment.topics.to_make(6)))
    fresh = [created() for _ in range(30)]
    publish(deployment, fresh)
    with working(deployment):
        until(lambda: {event.record.id for event in fresh} <= ids(deployment), "the new log is dropped")


def test_health_is_answered_over_http(deployment: Deployment) -> None:
    register(deployment)
    metrics = Metrics("kv")
    with working(deployment, metrics=metrics) as worker:
        server = HealthServer("127.0.0.1:0", metrics, is_alive=worker.is_alive, is_ready=worker.is_ready)
        try:
            publish(deployment, story(5))
            caught_up(deployment)
            assert json.loads(get(server, "/healthz")[1]) == {"ok": True}
            until(lambda: get(server, "/readyz")[0] == 200, "not ready")
            told = 'soma_lag_messages{partition="0",projection="kv"} 0.0'
            until(lambda: told in get(server, "/metrics")[1], "the lag is not told")
            text = get(server, "/metrics")[1]
            assert [name for name in CATALOGUE if name not in text and name != "soma_dead_letters_total"] == []
            assert get(server, "/nothing")[0] == 404
        finally:
            server.close()


def test_a_worker_that_does_not_turn_is_not_alive() -> None:
    metrics = Metrics("kv")
    server = HealthServer("127.0.0.1:0", metrics, is_alive=lambda: "stuck", is_ready=lambda: "stuck")
    try:
        assert get(server, "/healthz") == (503, '{"ok": false, "reason": "stuck"}')
        with pytest.raises(ConfigurationError, match="cannot be listened on"):
            HealthServer(server.address, metrics, is_alive=lambda: None, is_ready=lambda: None)
    finally:
        server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_registration_is_kept_beside_the_memories(deployment: Deployment) -> None:
    register(deployment)
    publish(deployment, [created()])
    with working(deployment):
        caught_up(deployment)
    with deployment.database() as store:
        row = store.execute("SELECT registration FROM namespaces WHERE name = 'lab'").fetchone()
    assert row is not None
    assert Namespace.from_dict(row[0]) == LAB
