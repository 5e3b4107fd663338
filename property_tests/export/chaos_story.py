"""What a run of chaos does, and the story that is published while it happens; all of it drawn from one seed."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from confluent_kafka import Producer

from soma.errors import StoreBusyError
from soma.state import events as said
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma_export.publish import Publisher, PublishError
from soma_export.wiring import Deployment

__all__ = ["COMMAND", "SESSION_S", "SLICES", "SPACES", "Plan", "Story", "Teller"]

Raw: TypeAlias = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Partition (-1: as the key says), key, value, headers."""

COMMAND: Final = ("-c", "from soma.cli import main; main()", "export", "run-workers", "--batch", "40")
"""What each worker runs: the command of production, with batches so small that a slice makes several."""

BLOWS: Final = ("kill", "freeze", "terminate", "kill", "pause", "kill", "terminate", "pause")
"""A freeze outlasts the session, so that the worker wakes to partitions that another has; a pause does not."""

OUTAGES: Final = ("kafka stop", "postgres kill", "kafka kill", "postgres stop", "postgres pause", "kafka pause")
SESSION_S: Final = 2.0
SPACES: Final = (Namespace("lab", 3), Namespace("den", 2))
SLICES: Final = 2  # of the story, for each stroke


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens in a run.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    n_events : int
        Events published, each once at least.
    n_kills : int
        Kills and pauses of workers.
    n_outages : int
        Outages of a server: by turns Kafka and Postgres, stopped, killed and frozen.
    n_workers, n_partitions, n_records : int
        How many there are.
    poison : float
        Messages that can never take effect, for each event.
    again : float
        Probability that after a slice some of it is published again; half of it, that a whole earlier slice is, and
        that the last messages of a partition are appended again as they stand there.
    wait_s : float
        Longest wait between two strokes, seconds.
    command : sequence of str
        What a worker runs, after the name of the interpreter.
    blows : sequence of str
        What is done to workers, by turns and shuffled.
    """

    seed: int
    n_events: int
    n_kills: int
    n_outages: int = 0
    n_workers: int = 3
    n_partitions: int = 6
    n_records: int = 300
    poison: float = 0.01
    again: float = 0.3
    wait_s: float = 2.0
    command: Sequence[str] = COMMAND
    blows: Sequence[str] = BLOWS

    def draw(self, purpose: str) -> random.Random:
        """Return a generator of its own for each purpose."""
        return random.Random(f"{self.seed}/{purpose}")

    def strokes(self) -> list[tuple[str, int, float]]:
        """Return what is done, to which worker, and for how many seconds."""
        rng = self.draw("strokes")
        kinds = [self.blows[i % len(self.blows)] for i in range(self.n_kills)]
        kinds += [OUTAGES[i % len(OUTAGES)] for i in range(self.n_outages)]
        rng.shuffle(kinds)
        lasts = {"freeze": (SESSION_S + 1.0, SESSION_S + 3.0)}
        return [(kind, rng.randrange(self.n_workers), rng.uniform(*lasts.get(kind, (0.1, 2.0)))) for kind in kinds]


class Story:
    """Events of some records in two namespaces, of all types, and poison."""

    def __init__(self, plan: Plan, deployment: Deployment, now_s: float) -> None:
        self._rng = plan.draw("story")
        self._codec = deployment.codec
        self._now_s = now_s
        self._records = [(self._rng.choice(SPACES), self._uuid()) for _ in range(plan.n_records)]

    def event(self) -> said.Event:
        rng = self._rng
        space, id = rng.choice(self._records)
        to = next(other for where, other in rng.sample(self._records, len(self._records)) if where is space)
        common: dict[str, Any] = {"event_id": self._uuid(), "at_s": self._now_s - rng.uniform(0, 1e4)}
        common["cause_id"] = self._uuid() if rng.random() < 0.2 else None
        memory = {**common, "namespace": space.name, "id": id}
        link = {**common, "namespace": space.name, "source": id, "target": to, "link_type": rng.choice("rs")}
        (kind,) = rng.choices(["created", "updated", "recalled", "deleted", "linked", "unlinked"], [7, 2, 6, 2, 2, 1])
        match kind:
            case "created":
                return said.MemoryCreated(**common, record=self._record(space, id))
            case "updated":
                return said.MemoryUpdated(**common, record=self._record(space, id))
            case "recalled":
                return said.MemoryRecalled(**memory, weight=rng.uniform(0.1, 3.0))
            case "deleted":
                return said.MemoryDeleted(**memory, reason="forgotten", into=rng.choice([None, to]))
            case "linked":
                return said.MemoryLinked(**link, weight=rng.uniform(0.1, 1.0))
        return said.MemoryUnlinked(**link)

    def poison(self, victim: said.Event) -> Raw:
        """Return a message that cannot take effect; one kind takes the event id of a victim that came before it."""
        rng, (space, id) = self._rng, self._rng.choice(self._records)
        kind = rng.choice(["value", "type", "version", "key", "empty", "dimension", "future", "taken"])
        name, owner = victim.key if kind == "taken" else (space.name, id)
        assert owner is not None
        event: said.Event = said.MemoryRecalled(
            event_id=victim.event_id if kind == "taken" else self._uuid(),
            at_s=9e9 if kind == "future" else self._now_s,
            namespace=name,
            id=owner,
            weight=1e3 + rng.random(),
        )
        if kind == "dimension":
            record = self._record(Namespace(space.name, 5), id)
            event = said.MemoryCreated(event_id=self._uuid(), at_s=self._now_s, record=record)
        sent = self._codec.encode(event)
        changed = {
            "type": {"ce_type": b"memory.dreamt", "ce_dataschema": b"urn:soma:event:memory.dreamt:1"},
            "version": {"ce_dataschema": b"urn:soma:event:memory.recalled:7"},
        }
        value = {"value": sent.value[:-2], "empty": None}.get(kind, sent.value)
        key = f"elsewhere/{id}".encode() if kind == "key" else sent.key
        return -1, key, value, list((dict(sent.headers) | changed.get(kind, {})).items())

    def _record(self, space: Namespace, id: UUID) -> MemoryRecord:
        rng = self._rng
        vector: dict[str, Any] = {"embedding": [rng.random()] * 4, "model_revision": "m"} if rng.random() < 0.2 else {}
        return MemoryRecord(
            id=id,
            namespace=space.name,
            coordinate=tuple(rng.uniform(-1, 1) for _ in range(space.dimension)),
            timestamp=self._now_s - rng.uniform(0, 1e7),
            importance=rng.randrange(11),
            payload={
                "z": rng.random() * 10.0 ** rng.randrange(-300, 300),
                "s": 'é😀\n\t\\"',
                "l": [1, None, {"t": True}],
            },
            tags=tuple(rng.sample("abc", rng.randrange(3))),
            text=rng.choice([None, f"note {rng.random()}"]),
            **vector,
        )

    def _uuid(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)


class Teller:
    """Publishes the story in a thread, slice after slice, each until all of it is acknowledged."""

    def __init__(self, plan: Plan, deployment: Deployment, counts: Counter[str], now_s: float) -> None:
        self._plan, self._deployment, self._counts = plan, deployment, counts
        self._story = Story(plan, deployment, now_s)
        self._rng = plan.draw("teller")
        n_strokes = plan.n_kills + plan.n_outages
        self._n_slices = SLICES * n_strokes if n_strokes else 1 + plan.n_events // 200
        self.acknowledged: set[UUID] = set()
        self.poison: set[tuple[int, int]] = set()
        self.poison_bytes: set[tuple[bytes | None, bytes | None]] = set()
        self.may_tell = threading.Semaphore(0)  # one for each slice
        self.tells = threading.Event()
        self.is_cancelled = False
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with self._deployment.publisher(timeout_s=10.0) as publisher:
                self._tell(publisher)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.failure = error

    def _tell(self, publisher: Publisher) -> None:
        rng, size = self._rng, -(-self._plan.n_events // self._n_slices)
        earlier: deque[list[said.Event]] = deque(maxlen=50)
        left = self._plan.n_events
        while left > 0:
            while not self.may_tell.acquire(timeout=0.1):
                if self.is_cancelled:
                    return
            self.tells.set()
            told = [self._story.event() for _ in range(min(size, left))]
            left -= len(told)
            self._publish(publisher, told, "events")
            if rng.random() < self._plan.again:
                self._publish(publisher, rng.sample(told, rng.randint(1, len(told))), "duplicates_sent")
            if earlier and rng.random() < self._plan.again / 2:
                self._publish(publisher, rng.choice(earlier), "resends")
            bad = [self._story.poison(rng.choice(told)) for event in told if rng.random() < self._plan.poison]
            self.poison |= self._append(bad, "poison")
            self.poison_bytes |= {(key, value) for _, key, value, _ in bad}
            if rng.random() < self._plan.again / 2:
                self._append(self._suffix(), "redelivered")
            earlier.append(told)

    def _publish(self, publisher: Publisher, events: Sequence[said.Event], what: str) -> None:
        left = tuple(events)
        while left and not self.is_cancelled:
            try:
                publisher.publish(left)
                left = ()
            except PublishError as error:
                self._counts["publishes_repeated"] += 1
                left = error.unacknowledged
            except StoreBusyError:
                time.sleep(0.2)
        self._counts[what] += len(events)
        self.acknowledged.update({event.event_id for event in events} - {event.event_id for event in left})

    def _append(self, messages: Iterable[Raw], what: str) -> set[tuple[int, int]]:
        """Append bytes as they are, and return where they stand."""
        left, placed = list(messages), set()
        self._counts[what] += len(left)
        while left and not self.is_cancelled:
            options: Any = {"enable.idempotence": True, "delivery.timeout.ms": 10_000, "linger.ms": 5}
            producer = Producer({**self._deployment.settings.client(), **options})
            arrived: dict[int, tuple[int, int]] = {}
            for i, (partition, key, value, headers) in enumerate(left):

                def delivered(error: Any, message: Any, i: int = i, arrived: Any = arrived) -> None:
                    if error is None:
                        arrived[i] = message.partition(), message.offset()

                producer.produce(  # type: ignore[call-overload]
                    self._deployment.topics.events, value, key, partition, on_delivery=delivered, headers=headers
                )
            producer.flush(15)
            producer.close()
            placed |= set(arrived.values())
            left = [message for i, message in enumerate(left) if i not in arrived]
        return placed

    def _suffix(self) -> list[Raw]:
        """Return the last messages of a partition, as they stand there."""
        log, rng = self._deployment.log, self._rng
        partition, n = rng.randrange(self._plan.n_partitions), rng.randint(1, 60)
        while not self.is_cancelled:
            try:
                topic = log.required(self._deployment.topics.events)
                high = log.bounds(topic)[partition][1]
                found = log.read(topic, {partition: max(0, high - n)}, {partition: high})
                return [(partition, m.key, m.value, list(m.headers)) for m in found]
            except StoreBusyError:
                time.sleep(0.2)
        return []
