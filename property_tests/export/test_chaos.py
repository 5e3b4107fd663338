"""Whatever is killed, frozen and sent twice, the store equals the fold; and workers that are wrong are convicted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, TopicPartition

from property_tests.export.chaos import MARKS, Outcome, run
from property_tests.export.chaos_story import Plan
from soma_export.intake import Accepted, Poison
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.projections.kv_writer import Batch, KVWriter, Written
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment
from soma_export.worker import WorkerOptions

WINDOW_S: Final = 0.15
"""How long the wrong workers rest between two commits. One that does not rest is as wrong, and is met less often."""


def rest(batch: Batch) -> None:
    """Rest between two commits, and say so: where there are effects to lose or to repeat, that is where to strike."""
    mark = Path(os.environ[MARKS]) / str(os.getpid())
    if batch.accepted:
        mark.touch()
    time.sleep(WINDOW_S)
    mark.unlink(missing_ok=True)


class CommitFirst(KVWriter):
    """At most once, naively: the cursor moves in a transaction of its own, before the effects."""

    def project(self, batch: Batch, bury: Callable[[Sequence[Poison]], None]) -> Written:
        super().project(Batch(batch.topic_id, batch.starts, batch.ends, ()), bury)
        rest(batch)
        return super().project(Batch(batch.topic_id, batch.ends, batch.ends, batch.accepted, batch.poison), bury)


class NoCursor(KVWriter):
    """At least once, naively: goes on at the offsets committed to Kafka, and takes every message for a new event."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment.database, deployment.group)
        self._deployment = deployment
        self._written: dict[int, int] = {}

    def positions(self, topic_id: str, first: Mapping[int, int]) -> dict[int, int]:
        super().positions(topic_id, first)  # the rows that tell `verify` how far it is
        topic = self._deployment.topics.events
        consumer = Consumer(self._deployment.settings.client(group_id=self._deployment.group))
        try:
            found = consumer.committed([TopicPartition(topic, number) for number in first], timeout=10.0)
        finally:
            consumer.close()
        committed = {place.partition: max(place.offset, first[place.partition]) for place in found}
        return {number: max(offset, self._written.get(number, 0)) for number, offset in committed.items()}

    def project(self, batch: Batch, bury: Callable[[Sequence[Poison]], None]) -> Written:
        written = super().project(batch, bury)
        rest(batch)
        self._written.update(batch.ends)  # the loop commits to Kafka next
        return written

    def _load(self, batch: Batch) -> tuple[Any, Any, Any]:
        stands = self._connection.execute(
            "SELECT partition, next_offset FROM cursors WHERE partition = ANY (%s) FOR UPDATE", [list(batch.starts)]
        )
        _, stored, links = super()._load(Batch(batch.topic_id, dict(stands.fetchall()), batch.ends, batch.accepted))
        return {}, stored, links

    def _put_events(self, audit: Sequence[tuple[Accepted, str]]) -> None:
        ids = [item.event.event_id for item, _ in audit]
        rows = self._connection.execute("SELECT event_id FROM memory_events WHERE event_id = ANY (%s)", [ids])
        known = {event_id for (event_id,) in rows}
        super()._put_events([(item, effect) for item, effect in audit if item.event.event_id not in known])

    def _put_memories(self, fold: Any) -> None:
        ids = [id for _, id in fold.changed]
        self._connection.execute('UPDATE memories SET "offset" = -1 WHERE id = ANY (%s)', [ids])  # nor a guard
        super()._put_memories(fold)


class Wrong(Deployment):
    """A deployment with another projection."""

    def __init__(self, settings: ExportSettings, name: str) -> None:
        super().__init__(settings)
        self._name = name

    def kv_writer(self, *, schema: str | None = None) -> KVWriter:
        return NoCursor(self) if self._name == "NoCursor" else CommitFirst(self.database, self.group)


def work(name: str) -> None:
    """Run a wrong worker until SIGTERM, in a process of its own."""
    worker = Wrong(ExportSettings.from_environment(), name).worker(options=WorkerOptions(batch_max=40))
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


def told(outcome: Outcome) -> str:
    return f"seed {outcome.plan.seed}: {outcome.to_dict()}"


def test_whatever_is_killed_and_sent_again_nothing_is_lost_or_counted_twice(
    kafka_server: LocalKafka, postgres_server: LocalPostgres, tmp_path: Path
) -> None:
    plan = Plan(seed=3, n_events=3_000, n_kills=12, n_outages=2, wait_s=1.5)
    outcome = run(plan, kafka_server, postgres_server, tmp_path)
    assert outcome.is_clean, told(outcome)
    counts = outcome.counts
    assert counts["acknowledged"] == counts["events_taken"] == plan.n_events
    assert min(counts[what] for what in ("poison", "duplicates_sent", "resends", "redelivered")) > 0, told(outcome)
    assert counts["duplicates_dropped"] >= counts["duplicates_sent"] + counts["resends"]


@pytest.mark.parametrize("name", ["CommitFirst", "NoCursor"])
def test_a_worker_that_commits_twice_is_convicted_by_kills_alone(
    name: str, kafka_server: LocalKafka, postgres_server: LocalPostgres, tmp_path: Path
) -> None:
    command = ("-c", f"from property_tests.export.test_chaos import work; work({name!r})")
    calm = Plan(seed=1, n_events=600, n_kills=0, n_workers=1, again=0.0, poison=0.0, command=command)
    outcome = run(calm, kafka_server, postgres_server, tmp_path)
    assert outcome.is_clean, told(outcome)  # one that nobody joins: a partition that moves is enough to convict it
    kills = replace(calm, n_workers=3, n_events=2_000, n_kills=2, blows=["kill between commits"])
    outcome = run(kills, kafka_server, postgres_server, tmp_path)
    assert outcome.report is not None
    assert not outcome.report.is_clean, told(outcome)
    kinds = {(difference.store, difference.kind) for difference in outcome.report.differences}
    assert ("memory_events", "missing") in kinds if name == "CommitFirst" else kinds == {("memories", "altered")}, kinds
