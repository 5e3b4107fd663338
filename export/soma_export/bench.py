"""What a worker takes a second, beside its peers on the same servers; results are compared for equality first."""

from __future__ import annotations

import gc
import os
import platform
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Final
from uuid import UUID, uuid4

import confluent_kafka
import psycopg
from psycopg import sql

from soma.errors import StoreError
from soma.state.events import MemoryCreated, NamespaceRegistered
from soma.state.frozen import freeze_object
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma.state.stored import evolve
from soma_export.database import Connection, connect, migrate, translated
from soma_export.intake import Accepted, Poison, take_in
from soma_export.projections.kv_rows import COLUMNS, row_of
from soma_export.projections.kv_writer import EVENT_COLUMNS, Batch, Written, audit_row_of
from soma_export.settings import ExportSettings
from soma_export.verify import verify
from soma_export.wiring import Deployment
from soma_export.worker import GC_THRESHOLD, Projection, WorkerOptions

__all__ = ["WorkerFigures", "bench_workers"]

PARTITIONS: Final = 6
SAMPLE: Final = 2_000
PROBES: Final = 500
PROBES_PER_S: Final = 50.0
PATIENCE_S: Final = 120.0
SPACE: Final = Namespace("bench", 3)
VOCABULARY: Final = (
    "again almost angle answer archive basin bright careful channel clock copper current delay distant early ember "
    "equal evening fault field figure forest gather glass ground harbour hollow island kettle ladder later letter "
    "level lever meadow measure mirror morning number orbit pattern pepper quiet rather river season signal silver"
)


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What was measured; the rates of one round share its servers and its rows.

    Parameters
    ----------
    n_events, n_sample : int
        Events that the worker and COPY took, and those of them that were written with a transaction each.
    event_bytes : float
        Mean size of a message's value.
    batch : int
        Most messages of a worker's batch.
    worker_per_s, copy_per_s, one_by_one_per_s : tuple of float
        Events a second of each round: the worker from its first cursor to its last commit; COPY of the same rows into
        the same tables, in one transaction; the same effects, by hand, with one transaction an event.
    visible_ms : tuple of float
        From the call of ``publish`` to the commit of its effects, sorted: one event at a time, at a steady rate.
    about : dict
        Versions, the machine, and the settings of Postgres that decide durability.
    """

    n_events: int
    n_sample: int
    event_bytes: float
    batch: int
    worker_per_s: tuple[float, ...]
    copy_per_s: tuple[float, ...]
    one_by_one_per_s: tuple[float, ...]
    visible_ms: tuple[float, ...]
    about: Mapping[str, Any]

    @property
    def of_one_by_one(self) -> float:
        """How many times the rate of one transaction an event; the median of the rounds."""
        return _median_ratio(self.worker_per_s, self.one_by_one_per_s)

    @property
    def of_copy(self) -> float:
        """Which part of the rate of COPY; the median of the rounds."""
        return _median_ratio(self.worker_per_s, self.copy_per_s)

    def visible_after_ms(self, quantile: float) -> float:
        """Return how long after ``publish`` the given part of the events was visible, milliseconds."""
        return self.visible_ms[min(len(self.visible_ms) - 1, int(quantile * len(self.visible_ms)))]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        rates = {name: [round(rate) for rate in getattr(self, name)] for name in RATES}
        return {
            **{name: value for name, value in asdict(self).items() if name not in (*RATES, "visible_ms")},
            **rates,
            "of_one_by_one": round(self.of_one_by_one, 2),
            "of_copy": round(self.of_copy, 3),
            "visible_p50_ms": round(self.visible_after_ms(0.5), 1),
            "visible_p99_ms": round(self.visible_after_ms(0.99), 1),
        }


RATES: Final = ("worker_per_s", "copy_per_s", "one_by_one_per_s")


def bench_workers(
    settings: ExportSettings, *, n_events: int, batch: int = 1_000, n_rounds: int = 3, n_probes: int = PROBES
) -> WorkerFigures:
    """Measure the worker and its peers in topics and schemas of their own, which are gone afterwards.

    Parameters
    ----------
    settings : ExportSettings
        Where the servers are.
    n_events : int
        Memories to write, of about 1 KB each.
    batch : int
        Most messages of a worker's batch.
    n_rounds : int
        How often all of it is done, one after the other.
    n_probes : int
        Events for the time from ``publish`` to visible.

    Raises
    ------
    StoreError
        If a peer's rows are not those of the worker, or the store is not the fold of the log.
    StoreBusyError
        If a server does not answer.
    """
    name = f"bench_{uuid4().hex[:8]}"
    own = replace(settings, topic_prefix=f"{settings.topic_prefix}{name}.", schema=name)
    deployment = Deployment(own)
    topics = list(deployment.topics.to_make(PARTITIONS))
    schemas: list[str] = []
    rates: dict[str, list[float]] = {rate: [] for rate in RATES}
    try:
        deployment.log.make(topics)
        size = _publish(deployment, n_events)
        for number in range(n_rounds):
            made = {rate: f"{name}_{number}_{rate.partition('_')[0]}" for rate in RATES}
            for schema in made.values():
                schemas.append(schema)
                migrate(own, schema=schema)
            of_worker = Deployment(replace(own, schema=made["worker_per_s"]))
            rates["worker_per_s"].append(n_events / _run_worker(of_worker, n_events, batch))
            rates["copy_per_s"].append(n_events / _copy(of_worker, made["copy_per_s"]))
            n_sample = min(SAMPLE, n_events)
            rates["one_by_one_per_s"].append(n_sample / _one_by_one(of_worker, made["one_by_one_per_s"], n_sample))
        live = Deployment(replace(own, schema=schemas[0]))
        visible_ms = _probe(live, n_probes, batch)
        return WorkerFigures(
            n_events=n_events,
            n_sample=min(SAMPLE, n_events),
            event_bytes=round(size, 1),
            batch=batch,
            **{rate: tuple(values) for rate, values in rates.items()},
            visible_ms=tuple(sorted(visible_ms)),
            about=_about(live),
        )
    finally:
        with connect(settings) as store:
            for schema in schemas:
                store.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        for answer in deployment.log.admin.delete_topics([topic.name for topic in topics]).values():
            answer.result(30)


# -- the events ------------------------------------------------------------------------------------------------


def memories(n: int, *, seed: int, now_s: float) -> Iterator[MemoryCreated]:
    """Yield memories whose body as JSON has about 1,000 bytes.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Of all that is drawn.
    now_s : float
        The latest time of a memory, POSIX seconds.
    """
    rng, words = random.Random(seed), VOCABULARY.split()  # noqa: S311 - not for secrets
    for _ in range(n):
        text, note = (" ".join(rng.choices(words, k=n_words)) for n_words in (40, 45))
        record = MemoryRecord(
            id=_uuid(rng),
            namespace=SPACE.name,
            coordinate=tuple(rng.uniform(-1, 1) for _ in range(SPACE.dimension)),
            timestamp=now_s - rng.uniform(0, 1e7),
            importance=rng.randrange(11),
            payload=freeze_object({"note": note, "score": rng.random()}, "payload"),
            tags=tuple(rng.sample(words, 3)),
            text=text,
        )
        yield MemoryCreated(event_id=_uuid(rng), at_s=now_s, record=record)


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _publish(deployment: Deployment, n: int) -> float:
    """Publish the events, and return their mean size in bytes."""
    now_s, size = time.time(), 0
    with deployment.publisher() as publisher:
        publisher.register(SPACE, event_id=uuid4(), at_s=now_s)
        publisher.publish(memories(n, seed=0, now_s=now_s))
    topic = deployment.log.required(deployment.topics.events)
    ends = {partition: high for partition, (_, high) in deployment.log.bounds(topic).items()}
    for message in deployment.log.read(topic, {}, ends):
        size += len(message.value or b"")
    return size / n


# -- the worker ------------------------------------------------------------------------------------------------


class _Clocked:
    """A projection that notes when effects are visible, and says when all of them are."""

    def __init__(self, inner: Projection, n: int) -> None:
        self._inner = inner
        self._n_left = n
        self.first_s: float | None = None
        self.last_s = 0.0
        self.visible_s: dict[UUID, float] = {}
        self.is_ready = threading.Event()
        self.are_all_visible = threading.Event()

    def positions(self, topic_id: str, first: Mapping[int, int]) -> dict[int, int]:
        if self.first_s is None:
            self.first_s = time.perf_counter()
        found = self._inner.positions(topic_id, first)
        self.is_ready.set()
        return found

    def register(self, events: Sequence[NamespaceRegistered]) -> None:
        self._inner.register(events)

    def project(self, batch: Batch, bury: Callable[[Sequence[Poison]], None]) -> Written:
        written = self._inner.project(batch, bury)
        self.last_s = time.perf_counter()
        self.visible_s.update(dict.fromkeys((item.event.event_id for item in batch.accepted), self.last_s))
        self._n_left -= len(batch.accepted)
        if self._n_left <= 0:
            self.are_all_visible.set()
        return written

    def close(self) -> None:
        self._inner.close()


@contextmanager
def _working(deployment: Deployment, n: int, batch: int) -> Iterator[_Clocked]:
    """Run a worker, as ``soma export run-workers`` does, until it has taken n events."""
    clocked = _Clocked(deployment.kv_writer(), n)
    worker = deployment.worker(projection=clocked, options=WorkerOptions(batch_max=batch))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
            clocked.is_ready.set()
            clocked.are_all_visible.set()

    before = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield clocked
        is_done = clocked.are_all_visible.wait(PATIENCE_S)
    finally:
        worker.stop()
        thread.join()
        gc.set_threshold(*before)
    if failures:
        raise failures[0]
    if not is_done:
        raise StoreError(f"the worker has not taken {n} events in {PATIENCE_S:.0f} s")


def _run_worker(deployment: Deployment, n: int, batch: int) -> float:
    """Return how long a worker takes for the whole log, seconds."""
    with _working(deployment, n, batch) as clocked:
        pass
    report = verify(deployment)
    if not report.is_clean or report.n_events != n:
        raise StoreError(f"the worker's store is not the fold of the log: {report.n_differences} differences")
    return clocked.last_s - (clocked.first_s or 0.0)


def _probe(deployment: Deployment, n: int, batch: int) -> list[float]:
    """Return how long after ``publish`` each of some single events is visible, milliseconds."""
    published_s: dict[UUID, float] = {}
    with _working(deployment, n, batch) as clocked, deployment.publisher() as publisher:
        clocked.is_ready.wait(PATIENCE_S)
        due_s = time.perf_counter() + 0.5  # the first fetch is under way
        for event in memories(n, seed=1, now_s=time.time()):
            time.sleep(max(0.0, due_s - time.perf_counter()))
            published_s[event.event_id] = time.perf_counter()
            publisher.publish([event])
            due_s += 1 / PROBES_PER_S
    return [(clocked.visible_s[event_id] - at_s) * 1e3 for event_id, at_s in published_s.items()]


# -- its peers -------------------------------------------------------------------------------------------------


def _copy(deployment: Deployment, schema: str) -> float:
    """Return how long COPY takes for the worker's rows, which stand ready as text, in one transaction; seconds."""
    tables = {"memories": COLUMNS, "memory_events": EVENT_COLUMNS}
    names = {table: ", ".join(f'"{name}"' for name in columns) for table, columns in tables.items()}
    with deployment.database() as source, deployment.database(schema=schema) as target, translated():
        ready: dict[str, list[bytes]] = {}
        for table in tables:
            query = f'COPY (SELECT {names[table]} FROM {table} ORDER BY partition, "offset") TO STDOUT'  # noqa: S608 - constants
            with source.cursor() as cursor, cursor.copy(query) as copy:
                ready[table] = [bytes(chunk) for chunk in copy]
        started_s = time.perf_counter()
        with target.transaction():
            for table, chunks in ready.items():
                with target.cursor() as cursor, cursor.copy(f"COPY {table} ({names[table]}) FROM STDIN") as copy:
                    copy.write(b"".join(chunks))
        seconds = time.perf_counter() - started_s
        _require_equal(source, target, None)
    return seconds


def _one_by_one(deployment: Deployment, schema: str, n: int) -> float:
    """Return how long the first events take with a transaction each, written by hand; seconds."""
    topic = deployment.log.required(deployment.topics.events)
    ends = {partition: high for partition, (_, high) in deployment.log.bounds(topic).items()}
    registrations = deployment.registrations()
    registrations.refresh()
    messages = list(islice(deployment.log.read(topic, {}, ends), n))
    writer = deployment.kv_writer(schema=schema)
    writer.positions(topic.topic_id, dict.fromkeys(ends, 0))
    writer.close()
    memory = (
        _insert("memories", COLUMNS)
        + " ON CONFLICT (namespace, id) DO UPDATE SET "
        + ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS[2:])
    )
    audit = _insert("memory_events", EVENT_COLUMNS) + " ON CONFLICT (event_id) DO NOTHING"
    cursor = "UPDATE cursors SET next_offset = %s, moved_at = now() WHERE topic_id = %s AND partition = %s"
    ids = []
    with deployment.database() as source, deployment.database(schema=schema) as target, translated():
        started_s = time.perf_counter()
        for message in messages:
            item = take_in(message, deployment.codec, registrations.get, deployment.settings.max_skew_s)
            if not isinstance(item, Accepted):
                raise StoreError(f"{item.position} is no event of this bench: {item.reason}")
            namespace, id = item.event.key
            stored, effect = evolve(None, item.event, item.registration)
            if id is None or stored is None:
                raise StoreError(f"{item.position} is no memory of this bench")
            ids.append(id)
            row = row_of(namespace, id, stored, item.position)
            with target.transaction():
                target.execute(audit, audit_row_of(item, effect.kind.value))
                target.execute(memory, [list(value) if isinstance(value, tuple) else value for value in row])
                target.execute(cursor, [item.position.offset + 1, topic.topic_id, item.position.partition])
        seconds = time.perf_counter() - started_s
        _require_equal(source, target, ids)
    return seconds


def _insert(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608 - constants


def _require_equal(one: Connection, other: Connection, ids: Sequence[UUID] | None) -> None:
    """Raise unless two schemas hold the same memories and the same audit; of some ids, or of all."""
    for table, column in (("memories", "id"), ("memory_events", "record_id")):
        query = (
            f"SELECT count(*), md5(string_agg((to_jsonb(t) - 'recorded_at')::text, '' ORDER BY {column})) "  # noqa: S608 - constants
            f"FROM {table} AS t WHERE %s::uuid[] IS NULL OR {column} = ANY (%s::uuid[])"
        )
        parameters = [ids, ids]
        if one.execute(query, parameters).fetchone() != other.execute(query, parameters).fetchone():
            raise StoreError(f"the rows of {table} are not those of the worker: what was measured is not the same work")


# -- what it was measured on -----------------------------------------------------------------------------------


def _about(deployment: Deployment) -> dict[str, Any]:
    with deployment.database() as store:
        shown = {name: store.execute(f"SHOW {name}".encode()).fetchone() for name in DURABILITY}
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "psycopg": psycopg.__version__,
        "postgres": {name: row[0] if row else None for name, row in shown.items()},
        "partitions": PARTITIONS,
        "probes_per_s": PROBES_PER_S,
    }


DURABILITY: Final = ("server_version", "fsync", "synchronous_commit", "full_page_writes")


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
