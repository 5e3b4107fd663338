"""Stored in A, never seen from B: whatever another namespace holds and does, each answer of this one is the same."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import fakeredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient

from property_tests.stores.indexes import IMITATED, Maker, edge_index, exact_index, imitated_index, swift_folder
from soma import DAY, Memory, MemoryRecord, Position, Query, Scales, fold, policy, state_hash
from soma.embedded import EmbeddedStore
from soma.embedding import HashingEmbedder
from soma.errors import NotFoundError, SomaError
from soma.math.coordinates import Frame
from soma.state.namespace import Namespace
from soma.stores.protocols import Storage, VectorIndex
from soma.stores.qdrant_engine import Place
from soma.stores.redis_storage import RedisStorage
from soma.stores.sqlite import SqliteStorage

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]

EMBEDDER = HashingEmbedder(dimension=16)
NOW = 1_772_323_200.0
IDS = [UUID(int=n) for n in range(1, 5)]
TEXTS = ["the clock is slow", "lunch was late", "the clock is slow again", "rain"]
SCALES = Scales(tau_s=DAY, ratio=2.0, levels=2)
NAMES = UUID("11111111-2222-5333-8444-555555555555")

Verb = tuple[str, str, int, int]
"""Namespace, verb, which id, which text."""

WHAT = [
    "forget",
    "reinforce",
    "link",
    "unlink",
    "pin",
    "evict",
    "sweep",
    "duplicates",
    "consolidate",
    "budget",
    "restore",
]
verbs = st.tuples(
    st.sampled_from(["a", "b"]), st.just("store") | st.sampled_from(WHAT), st.integers(0, 3), st.integers(0, 3)
)


class Pair:
    """Two namespaces of one store; the ids that are made depend on the namespace alone."""

    def __init__(self, make: Callable[[], Storage], index_of: Maker = exact_index) -> None:
        self.now_s = NOW
        self.memories = {name: self._open(make, index_of, name) for name in ("a", "b")}

    def _open(self, make: Callable[[], Storage], index_of: Maker, name: str) -> Memory:
        numbers = itertools.count()

        def new_id() -> UUID:
            return uuid5(NAMES, f"{name} {next(numbers)}")

        registration = Namespace(name, dimension=2, frame=Frame((-1.0, -1.0), (1.0, 1.0)))
        storage = make()
        index = index_of(Place(storage.identity, name, EMBEDDER.revision, EMBEDDER.dimension))
        return Memory(EmbeddedStore(storage, registration, EMBEDDER, index, clock=lambda: self.now_s, new_id=new_id))

    def close(self) -> None:
        for memory in self.memories.values():
            memory.close()

    def do(self, verb: Verb) -> None:
        """Do it; what does not exist is not there to be done."""
        name, what, which, text = verb
        memory, id = self.memories[name], IDS[which]
        with contextlib.suppress(NotFoundError):
            self._do(memory, what, id, text)

    def _do(self, memory: Memory, what: str, id: UUID, text: int) -> None:
        if what == "store":
            record = MemoryRecord(
                id=id,
                namespace=memory.namespace,
                coordinate=(0.5, text / 4),
                timestamp=self.now_s - text * 3 * DAY,
                importance=text,
                text=f"{TEXTS[text]} ({memory.namespace})",
                tags=[memory.namespace],
                expires_at=self.now_s + 5 if text == 3 else None,
            )
            memory.store(record)
        elif what == "forget":
            memory.forget(id)
        elif what == "reinforce":
            memory.recall("clock", k=2, reinforce=True)
        elif what == "link":
            memory.link(id, IDS[text], "after")
        elif what == "unlink":
            memory.unlink(id, IDS[text], "after")
        elif what == "pin":
            memory.pin(id)
        elif what == "evict":
            memory.evict(2)
        elif what == "sweep":
            memory.sweep()
        elif what == "duplicates":
            memory.forget_duplicates(0.6)
        elif what == "consolidate":
            memory.consolidate(SCALES)
        elif what == "budget":
            memory.set_budget(text)
        elif what == "restore":
            memory.restore(id, version=1)


def everything(memory: Memory) -> dict[str, Any]:
    """Return each answer of each verb that reads, places in the log left out: those count what others wrote too."""

    def hits(*args: Any, **more: Any) -> list[tuple[MemoryRecord, float]]:
        return [(hit.record, hit.score) for hit in memory.recall(*args, k=9, **more)]

    def changes(id: UUID) -> Any:
        try:
            return [(change.event, change.stored) for change in memory.history(id)]
        except NotFoundError:
            return None

    events = list(memory.events())
    return {
        "records": list(memory),
        "number": len(memory),
        "stats": {name: value for name, value in memory.stats().items() if name not in ("events", "bytes")},
        "by words": hits("the clock is slow"),
        "of all": hits("the clock is slow", policy=policy.similarity() * policy.lexical()),
        "by vector": hits(Query(embedding=tuple(EMBEDDER.embed(["rain"])[0].tolist()))),
        "by the other's tag": hits("clock", tags=["a"]),
        "of the past": hits("clock", as_of=NOW + 3.5),
        "of a place": hits("clock", as_of=memory.head(), now=memory_clock(memory)),
        "links": memory.links(),
        "graph": memory.graph("both").links,
        "events": events,
        "as of": state_hash(memory.as_of(NOW + 3.5)),
        "as of the head": state_hash(memory.as_of(Position(memory.head().value))),
        "history": [changes(id) for id in IDS],
        "retrieved": [retrieved(memory, id) for id in IDS],
        "forecast": memory.forecast(1e9).falls,
        "evicted": memory.evict(1, dry_run=True),
        "swept": memory.sweep(dry_run=True),
        "budget": memory.budget,
        "duplicates": memory.duplicates(0.5),
        "consolidated": [record.id for record in memory.consolidate(SCALES, dry_run=True).made],
        "archive": memory.archive().to_bytes() if events else None,
    }


def memory_clock(memory: Memory) -> float:
    return memory._store.clock()


def retrieved(memory: Memory, id: UUID) -> Any:
    try:
        return memory.retrieve(id)
    except NotFoundError:
        return None


def answers(
    make: Callable[[], Storage], log: list[Verb], *, with_a: bool, index_of: Maker = exact_index
) -> dict[str, Any]:
    pair = Pair(make, index_of)
    try:
        for verb in log:
            pair.now_s += 1
            if verb[0] == "b" or with_a:
                pair.do(verb)
        found = everything(pair.memories["b"])
        assert state_hash(fold(found["events"])) == found["as of the head"]
        if with_a:
            pair.memories["a"].delete_namespace("a")
            assert everything(pair.memories["b"]) == found
        return found
    finally:
        pair.close()


def storage_in(folder: Path, kind: str) -> Callable[[], Storage]:
    if kind == "sqlite":
        return lambda: SqliteStorage(folder)
    server = fakeredis.FakeServer()
    return lambda: RedisStorage(fakeredis.FakeRedis(server=server))


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@settings(max_examples=25)
@given(st.lists(verbs, min_size=6, max_size=20))
def test_what_another_namespace_does_changes_no_answer(
    tmp_path_factory: pytest.TempPathFactory, kind: str, log: list[Verb]
) -> None:
    folder = tmp_path_factory.mktemp("namespaces")
    together = answers(storage_in(folder / "together", kind), log, with_a=True)
    alone = answers(storage_in(folder / "alone", kind), log, with_a=False)
    for what, answer in alone.items():
        assert together[what] == answer, what


@pytest.mark.parametrize("kind", ["edge", "imitated"])
@settings(max_examples=8)
@given(st.lists(verbs, min_size=6, max_size=20))
def test_nor_where_both_keep_their_vectors_in_one_qdrant(kind: str, log: list[Verb]) -> None:
    client = QdrantClient(":memory:")
    with tempfile.TemporaryDirectory(prefix="soma-", dir=swift_folder()) as folder:

        def index_of(place: Place) -> VectorIndex:
            return edge_index(Path(folder) / "vectors", place) if kind == "edge" else imitated_index(client, place)

        together = answers(storage_in(Path(folder) / "together", "sqlite"), log, with_a=True, index_of=index_of)
        alone = answers(storage_in(Path(folder) / "alone", "sqlite"), log, with_a=False, index_of=index_of)
    for what, answer in alone.items():
        assert together[what] == answer, what


def test_the_law_sees_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that lists the memories of every namespace is convicted."""
    from soma.stores.keyvalue_sqlite import SqliteKeyValueStore

    log: list[Verb] = [("a", "store", 0, 0), ("b", "store", 1, 1)]
    honest = SqliteKeyValueStore.live
    monkeypatch.setattr(SqliteKeyValueStore, "live", lambda store, _: [*honest(store, "a"), *honest(store, "b")])
    with pytest.raises((AssertionError, SomaError)):
        assert answers(storage_in(tmp_path / "1", "sqlite"), log, with_a=True) == answers(
            storage_in(tmp_path / "2", "sqlite"), log, with_a=False
        )
