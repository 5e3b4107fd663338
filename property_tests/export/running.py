"""Events, raw messages and workers for the tests of production."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer

from soma.math.coordinates import Frame
from soma.state.events import Event, MemoryCreated, MemoryDeleted, MemoryLinked, MemoryRecalled
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma_export.contract import key_of
from soma_export.telemetry import Metrics
from soma_export.verify import Report, verify
from soma_export.wiring import Deployment
from soma_export.worker import Worker, WorkerOptions

LAB = Namespace("lab", 2, frame=Frame((-1.0, -1.0), (1.0, 1.0)))
IMPATIENT = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500}


def record(**changes: Any) -> MemoryRecord:
    fields = {
        "id": uuid4(),
        "namespace": "lab",
        "coordinate": [0.25, 0.5],
        "timestamp": 1.7e9,
        "importance": 5,
        "payload": {"note": "the clock is slow", "n": [1, 2.5, None]},
    }
    return MemoryRecord(**{**fields, **changes})


def created(**changes: Any) -> MemoryCreated:
    return MemoryCreated(event_id=uuid4(), at_s=1.7e9, record=record(**changes))


def story(n: int) -> list[Event]:
    """Return n memories, each recalled, linked to the next; every fifth is forgotten."""
    made = [created(text=f"note {i}") for i in range(n)]
    told: list[Event] = list(made)
    for i, event in enumerate(made):
        common: dict[str, Any] = {"at_s": 1.7e9 + i + 1, "namespace": "lab"}
        told.append(MemoryRecalled(event_id=uuid4(), id=event.record.id, weight=1.5, **common))
        target = made[(i + 1) % n].record.id
        told.append(
            MemoryLinked(
                event_id=uuid4(), source=event.record.id, target=target, link_type="next", weight=0.5, **common
            )
        )
        if i % 5 == 0:
            told.append(MemoryDeleted(event_id=uuid4(), id=event.record.id, reason="forgotten", **common))
    return told


def register(deployment: Deployment, namespace: Namespace = LAB) -> None:
    with deployment.publisher() as publisher:
        publisher.register(namespace, event_id=uuid4(), at_s=1.7e9)


def publish(deployment: Deployment, events: Iterable[Event]) -> None:
    with deployment.publisher() as publisher:
        publisher.publish(events)


def produce(
    deployment: Deployment, messages: Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]
) -> None:
    """Append raw messages, whatever they are."""
    options: dict[str, Any] = deployment.settings.client(message_max_bytes=64_000_000)
    producer = Producer(options)
    failed: list[Any] = []
    for key, value, headers in messages:
        producer.produce(
            deployment.topics.events,
            key=key,
            value=value,
            headers=headers,  # type: ignore[arg-type]
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert producer.flush(30) == 0
    producer.close()
    assert not failed


def raw(deployment: Deployment, event: Event, **changes: Any) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Return an event as a message, with other bytes where they are given."""
    sent = deployment.codec.encode(event)
    headers = dict(sent.headers) | changes.pop("headers", {})
    return changes.get("key", key_of(event)), changes.get("value", sent.value), list(headers.items())


@contextmanager
def working(deployment: Deployment, **parts: Any) -> Iterator[Worker]:
    """Run a worker in a thread; an error of its own is raised when the block ends."""
    parts.setdefault("consumer", IMPATIENT)
    parts.setdefault("options", WorkerOptions(batch_max=50, poll_s=0.05))
    parts.setdefault("metrics", Metrics("kv"))
    worker = deployment.worker(**parts)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}, in {timeout_s:.0f} s"
        time.sleep(0.05)


def is_caught_up(deployment: Deployment) -> bool:
    topic = deployment.log.required(deployment.topics.events)
    ends = {partition: high for partition, (_, high) in deployment.log.bounds(topic).items() if high}
    with deployment.database() as store:
        rows = store.execute("SELECT partition, next_offset FROM cursors WHERE topic_id = %s", [topic.topic_id])
        cursors = dict(rows.fetchall())
    return all(cursors.get(partition, 0) >= high for partition, high in ends.items())


def caught_up(deployment: Deployment, timeout_s: float = 60.0) -> Report:
    """Wait until the store is at the end of the log, and verify it."""
    until(lambda: is_caught_up(deployment), "the worker has not caught up", timeout_s)
    return verify(deployment)


def count(deployment: Deployment, table: str, where: str = "true") -> int:
    with deployment.database() as store:
        row = store.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
    assert row is not None
    return int(row[0])


def ids(deployment: Deployment) -> set[UUID]:
    with deployment.database() as store:
        return {row[0] for row in store.execute("SELECT id FROM memories WHERE deleted_at IS NULL")}
