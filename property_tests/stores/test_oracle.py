"""The oracle: `Memory` on SQLite equals `MinimalSoma` after any sequence of operations, crashes and reopenings.

``test_oracle_everywhere.py`` asks the same of every other combination of stores.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from soma import DAY, Between, MemoryRecord, MinimalSoma, Query, apply, decay, fold, state_hash
from soma import policy as p
from soma.embedded import EmbeddedStore
from soma.embedding import HashingEmbedder, record_vectors
from soma.errors import NotFoundError, StoreError
from soma.memory import Memory
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryRecalled,
    MemoryUnlinked,
    MemoryUpdated,
    NamespaceRegistered,
)
from soma.state.namespace import Namespace
from soma.stores.protocols import Storage, VectorIndex
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex

EMBEDDER = HashingEmbedder(dimension=32)
IDS = [UUID(int=n) for n in range(1, 9)]
WORDS = ["clock test flaky", "menu of the week?", "clock menu", "", "the test two days ago", "repaired timing bug"]
POLICIES = [
    p.default(),
    p.presets.dense(),
    p.similarity().clip(0) * p.importance() * p.decay(decay.Exponential(half_life_s=7 * DAY)),
    0.8 * p.similarity() + 0.2 * p.decay(decay.Power(scale_s=DAY, exponent=0.5), of=p.idle_s),
    p.importance(),
    p.memory_type("semantic") * p.similarity().clip(0),
    p.similarity() * p.lexical(),
    p.activation() + p.similarity(),
    p.bm25() + p.when(),
    p.minmax(p.similarity()) + p.minmax(p.bm25(k1=1.2, b=0.75)) + p.mentions("note"),
    p.rrf(p.similarity(), p.bm25()) + p.top_mean(p.lexical(), "by.name", 2),
    p.similarity() + p.context(p.bm25(), [3_600.0, DAY], "note") + p.n_recalls(),
    p.bm25(ratio=0.6, reach=6, group="note") + p.neighbours(p.similarity(), ratio=0.6, reach=6),
    p.bm25(ratio=0.5, reach=2) + p.previous(p.asks(), "by.name") + p.n_words(),
    p.graph() + 0.1 * p.similarity(),
    p.rank(p.graph(damping=0.8, direction="out", curve=decay.Exponential(half_life_s=DAY))) + p.graph(direction="in"),
]
FOCUS = {IDS[0]: 1.0, IDS[2]: 0.5, UUID(int=99): 0.25}

some_id = st.sampled_from(IDS)


class DisasterError(Exception):
    """The process dies here."""


class MemoryEqualsMinimalSoma(RuleBasedStateMachine):
    """Drive both with the same operations; after each of them everything that can be read must be equal."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="soma-oracle-"))
        self.now_s = 1_000_000.0
        self.numbers = itertools.count(1_000)
        self.model = MinimalSoma()
        self.memory = self.open("memory")
        self.reader = self.open("reader")

    def teardown(self) -> None:
        self.memory.close()
        self.reader.close()
        shutil.rmtree(self.folder)

    def new_id(self) -> UUID:
        return UUID(int=next(self.numbers))

    def storage(self) -> Storage:
        """Open what every memory of this run shares."""
        return SqliteStorage(self.folder)

    def index(self, storage: Storage, who: str) -> VectorIndex:
        """Open where one of the two memories has its vectors."""
        return ExactIndex(EMBEDDER.dimension)

    def open(self, who: str) -> Memory:
        registration = Namespace("lab", dimension=2)
        storage = self.storage()
        index = self.index(storage, who)
        store = EmbeddedStore(storage, registration, EMBEDDER, index, clock=lambda: self.now_s, new_id=self.new_id)
        return Memory(store)

    def expect(self, *events: Event) -> None:
        if events and "lab" not in self.model.namespaces:
            self.model, _ = apply(
                self.model,
                NamespaceRegistered(event_id=UUID(int=9), at_s=0, registration=Namespace("lab", dimension=2)),
            )
        for event in events:
            self.model, effect = apply(self.model, event)
            assert effect.is_change

    def is_live(self, id: UUID) -> bool:
        return self.model.get("lab", id) is not None

    @initialize(seconds=st.integers(0, 10))
    def start(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(seconds=st.sampled_from([0.25, 3_600.0, 40 * DAY]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(
        id=some_id,
        text=st.sampled_from(WORDS),
        importance=st.integers(-3, 13),
        age_s=st.sampled_from([0.0, 1.0, 90 * DAY, -200.0]),
        tags=st.sets(st.sampled_from(["a", "b"])),
        memory_type=st.sampled_from(["episodic", "semantic"]),
        ttl_s=st.none() | st.sampled_from([10.0, 30 * DAY]),
        payload=st.sampled_from([{}, {"note": "clock"}, {"n": [1, 2.5, None], "by": {"name": "Ada"}}]),
    )
    def store(
        self,
        id: UUID,
        text: str,
        importance: int,
        age_s: float,
        tags: set,
        memory_type: str,
        ttl_s: float | None,
        payload: dict,  # type: ignore[type-arg]
    ) -> None:
        record = MemoryRecord(
            id=id,
            namespace="lab",
            coordinate=[importance / 7, -1.0],
            timestamp=self.now_s - age_s,
            importance=importance,
            payload=payload,
            text=text or None,
            tags=tags,
            memory_type=memory_type,
            expires_at=None if ttl_s is None else self.now_s + ttl_s,
        )  # type: ignore[arg-type]
        kind = MemoryUpdated if self.is_live(id) else MemoryCreated
        self.expect(kind(event_id=self.new_id(), at_s=self.now_s, record=record))
        assert self.memory.store(record).is_change

    @rule(id=some_id)
    def forget(self, id: UUID) -> None:
        if self.is_live(id):
            event = MemoryDeleted(event_id=self.new_id(), at_s=self.now_s, namespace="lab", id=id, reason="forgotten")
            self.expect(event)
            self.memory.forget(id)
        else:
            self.refused(lambda: self.memory.forget(id))

    @rule()
    def forget_expired(self) -> None:
        gone = [
            m.record.id
            for m in self.model.live("lab")
            if m.record.expires_at is not None and m.record.expires_at <= self.now_s
        ]
        for id in gone:
            self.expect(
                MemoryDeleted(event_id=self.new_id(), at_s=self.now_s, namespace="lab", id=id, reason="expired")
            )
        assert self.memory.forget_expired() == gone

    @rule(
        source=some_id,
        other=some_id,
        link_type=st.sampled_from(["related", "caused"]),
        weight=st.sampled_from([1.0, 0.3]),
    )
    def link(self, source: UUID, other: UUID, link_type: str, weight: float) -> None:
        if self.is_live(source) and self.is_live(other):
            self.expect(
                MemoryLinked(
                    event_id=self.new_id(),
                    at_s=self.now_s,
                    namespace="lab",
                    source=source,
                    target=other,
                    link_type=link_type,
                    weight=weight,
                )
            )
            self.memory.link(source, other, link_type, weight)
        else:
            self.refused(lambda: self.memory.link(source, other, link_type, weight))

    @rule(source=some_id, other=some_id)
    def unlink(self, source: UUID, other: UUID) -> None:
        if self.model.link("lab", source, other, "related") is None:
            self.refused(lambda: self.memory.unlink(source, other))
        else:
            self.expect(
                MemoryUnlinked(
                    event_id=self.new_id(),
                    at_s=self.now_s,
                    namespace="lab",
                    source=source,
                    target=other,
                    link_type="related",
                )
            )
            self.memory.unlink(source, other)

    @rule(text=st.sampled_from([w for w in WORDS if w]), policy=st.sampled_from(POLICIES), k=st.integers(1, 4))
    def recall_and_reinforce(self, text: str, policy: p.Policy, k: int) -> None:
        hits = self.memory.recall(Query(text, focus=FOCUS), policy=policy, k=k, reinforce=True)
        assert hits.hits == self.recalled(text, policy, k)
        self.expect(
            *(
                MemoryRecalled(event_id=self.new_id(), at_s=self.now_s, namespace="lab", id=hit.record.id)
                for hit in hits
            )
        )

    @rule(
        text=st.sampled_from([w for w in WORDS if w]),
        policy=st.sampled_from(POLICIES),
        k=st.integers(1, 9),
        ahead_s=st.sampled_from([0.0, 365 * DAY]),
        tags=st.sampled_from([(), ("a",), ("a", "b")]),
        memory_type=st.sampled_from([None, "semantic"]),
        age_s=st.tuples(*[st.sampled_from([None, -100.0, 0.0, 1.0, 80 * DAY, 91 * DAY])] * 2),
        where=st.sampled_from([{}, {"note": ["clock", None]}, {"by.name": "Ada", "n": Between(2)}]),
    )
    def recall(
        self,
        text: str,
        policy: p.Policy,
        k: int,
        ahead_s: float,
        tags: tuple,
        memory_type: str | None,
        age_s: tuple,
        where: dict,  # type: ignore[type-arg]
    ) -> None:
        since, until = (None if age is None else self.now_s - age for age in age_s)
        keep = {"tags": tags, "memory_type": memory_type, "since": since, "until": until, "where": where}
        wanted = self.recalled(text, policy, k, ahead_s, **keep)
        for memory in (self.memory, self.reader):
            asked = Query(text, focus=FOCUS)
            assert memory.recall(asked, policy=policy, k=k, now=self.now_s + ahead_s, **keep).hits == wanted  # type: ignore[arg-type]

    @rule(id=some_id)
    def crash_in_the_middle_of_a_write(self, id: UUID) -> None:
        """The process dies after events were appended and before the transaction ended."""

        def dying() -> Iterator[Event]:
            record = MemoryRecord(id=id, namespace="lab", coordinate=[0.0, 0.0], timestamp=0, importance=0)
            yield MemoryCreated(event_id=self.new_id(), at_s=self.now_s, record=record)
            yield MemoryRecalled(event_id=self.new_id(), at_s=self.now_s, namespace="lab", id=id)
            raise DisasterError

        try:
            self.memory._store.commit(dying)
        except DisasterError:
            self.reopen()

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.memory = self.open("memory")

    @rule(id=some_id, text=st.sampled_from(WORDS), is_crash=st.booleans())
    def store_while_the_index_is_away(self, id: UUID, text: str, is_crash: bool) -> None:
        """What was stored was stored, whether the index can follow at once, later, or after a crash."""
        index: Any = self.memory._store.index

        def away(*_: object) -> None:
            raise DisasterError if is_crash else StoreError("the index does not answer")

        index.follow = away  # after it has put in what is new
        try:
            self.store(id, text, 3, 0.0, {"a"}, "episodic", None, {})
        except DisasterError:
            self.reopen()
        else:
            del index.follow

    @rule(seconds=st.sampled_from([0.0, 1.0, 3_600.0, 41 * DAY]))
    def travel_back(self, seconds: float) -> None:
        at_s = self.now_s - seconds
        past = fold(self.memory.events(), until_s=at_s)
        if self.memory.registration.name in past.namespaces:
            wanted = past.recall(
                Query(text="clock", embedding=tuple(EMBEDDER.embed(["clock"])[0].tolist())),
                now_s=at_s,
                namespace="lab",
                vectors=lambda records: record_vectors(EMBEDDER, records),
            )
            assert self.memory.recall("clock", as_of=at_s).hits == wanted.hits

    def refused(self, operation: object) -> None:
        try:
            operation()  # type: ignore[operator]
        except NotFoundError:
            return
        raise AssertionError("an operation on what is not there was accepted")

    def recalled(self, text: str, policy: p.Policy, k: int, ahead_s: float = 0.0, **keep: object) -> tuple:  # type: ignore[type-arg]
        if "lab" not in self.model.namespaces:
            return ()
        embedding = tuple(EMBEDDER.embed([text])[0].tolist())
        return self.model.recall(
            Query(text=text, embedding=embedding, focus=FOCUS),
            now_s=self.now_s + ahead_s,
            k=k,
            policy=policy,
            namespace="lab",
            vectors=lambda records: record_vectors(EMBEDDER, records),
            **keep,  # type: ignore[arg-type]
        ).hits

    @invariant()
    def every_memory_is_equal(self) -> None:
        expected = self.model.live("lab")
        assert [memory.record for memory in expected] == list(self.memory)
        assert len(self.memory) == len(self.reader) == len(expected)
        records = [memory.record for memory in expected]
        assert self.memory.records(str(record.id) for record in reversed(records)) == records[::-1]
        assert np.array_equal(
            self.reader.vectors(records), record_vectors(EMBEDDER, records).reshape(-1, EMBEDDER.dimension)
        )
        for memory in expected:
            for held in (self.memory.retrieve(memory.record.id), self.reader.retrieve(memory.record.id)):
                assert held == memory

    @invariant()
    def every_link_is_equal(self) -> None:
        assert tuple(self.memory.links()) == self.model.visible_links("lab")

    @invariant()
    def the_log_folds_to_the_same_state(self) -> None:
        folded = fold(self.memory.events())
        assert state_hash(folded) == state_hash(self.model)
        for key, stored in self.model.memories.items():
            assert folded.memories[key] == stored


TestMemoryEqualsMinimalSoma = MemoryEqualsMinimalSoma.TestCase
TestMemoryEqualsMinimalSoma.settings = settings(
    max_examples=max(10, settings().max_examples // 3), stateful_step_count=30, deadline=None
)


def test_the_machine_convicts_a_store_that_loses_a_write() -> None:
    """The oracle must be able to go red: a row altered behind its back is found."""
    machine = MemoryEqualsMinimalSoma()
    try:
        machine.store(IDS[0], "clock", 5, 0.0, set(), "episodic", None, {})
        machine.every_memory_is_equal()
        connection = machine.memory._store.storage._connection  # type: ignore[attr-defined]
        connection.execute("UPDATE memories SET json = replace(json, 'clock', 'block')")
        try:
            machine.every_memory_is_equal()
        except AssertionError:
            return
        raise AssertionError("an altered row was not found")
    finally:
        machine.teardown()


def test_vectors_are_the_same_bits_alone_and_together() -> None:
    records = [
        MemoryRecord(id=id, coordinate=[0.0], timestamp=0, importance=0, text=text)
        for id, text in zip(IDS, WORDS, strict=False)
    ]
    together = record_vectors(EMBEDDER, records)
    alone = np.stack([record_vectors(EMBEDDER, [record])[0] for record in records])
    assert np.array_equal(together, alone)
    assert math.isclose(float(np.linalg.norm(together[0])), 1.0, rel_tol=1e-6)
