"""The oracle over every other combination: SQLite, fakeredis, Redis; the exact index, Qdrant's engine, its imitation.

The engine is the real one, in process. ``QdrantClient(":memory:")`` imitates a server: both memories of a run share it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import fakeredis
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from qdrant_client import QdrantClient

from property_tests.stores.conftest import RedisServer
from property_tests.stores.indexes import IMITATED, edge_index, imitated_index
from property_tests.stores.test_oracle import EMBEDDER, IDS, MemoryEqualsMinimalSoma
from soma import policy as p
from soma.stores.protocols import Storage, VectorIndex
from soma.stores.qdrant_engine import Place, PointOf
from soma.stores.redis_storage import RedisStorage
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]

COMBINATIONS = [
    (storage, index)
    for storage in ("sqlite", "fakeredis", "redis")
    for index in ("exact", "edge", "imitated")
    if (storage, index) != ("sqlite", "exact")  # which test_oracle.py searches longest
]


def machine(
    storage_of: Callable[[str, Path], Storage], index_of: Callable[[str, Place, str], VectorIndex]
) -> type[MemoryEqualsMinimalSoma]:
    """Return the machine over what makes storages and indexes, for a name that each run has alone."""

    class Here(MemoryEqualsMinimalSoma):
        def __init__(self) -> None:
            self.name = f"oracle-{uuid4()}"
            super().__init__()

        def storage(self) -> Storage:
            return storage_of(self.name, self.folder)

        def index(self, storage: Storage, who: str) -> VectorIndex:
            place = Place(storage.identity, "lab", EMBEDDER.revision, EMBEDDER.dimension)
            return index_of(self.name, place, who)

    return Here


def storages(kind: str, request: pytest.FixtureRequest) -> Callable[[str, Path], Storage]:
    if kind == "sqlite":
        return lambda _, folder: SqliteStorage(folder)
    if kind == "fakeredis":
        fake = fakeredis.FakeServer()
        return lambda name, _: RedisStorage(fakeredis.FakeRedis(server=fake), name)
    server: RedisServer = request.getfixturevalue("redis_server")
    return lambda name, _: RedisStorage.from_url(server.url, name)


def indexes(kind: str, folder: Path) -> Callable[[str, Place, str], VectorIndex]:
    if kind == "exact":
        return lambda _, place, __: ExactIndex(place.dimension)
    if kind == "edge":  # one folder, one owner
        return lambda name, place, who: edge_index(folder / name / who, place)
    client = QdrantClient(":memory:")
    return lambda _, place, __: imitated_index(client, place)


@pytest.mark.parametrize(("storage", "index"), COMBINATIONS)
def test_a_memory_equals_minimal_soma(
    storage: str, index: str, swift_path: Path, request: pytest.FixtureRequest
) -> None:
    limits = settings(max_examples=max(4, settings().max_examples // 10), stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine(storages(storage, request), indexes(index, swift_path)), settings=limits)


@pytest.mark.parametrize("index", ["edge", "imitated"])
def test_the_machine_convicts_an_index_whose_vector_was_altered(
    index: str, swift_path: Path, request: pytest.FixtureRequest
) -> None:
    """The oracle must be able to go red: a vector turned round behind its back is found."""
    run = machine(storages("sqlite", request), indexes(index, swift_path))()
    try:
        for id, text in zip(IDS, ["clock test", "menu", "clock"], strict=False):
            run.store(id, text, 5, 0.0, set(), "episodic", None, {})
        run.recall("clock test flaky", p.similarity(), 2, 0.0, (), None, (None, None), {})
        held: QdrantIndex = run.memory._store.index  # type: ignore[assignment]
        head = run.memory.head().value
        opposite = -EMBEDDER.embed(["clock test"])[0]
        held.engine.put([PointOf.live(IDS[0], opposite, "episodic", (), head)], head)
        with pytest.raises(AssertionError):
            run.recall("clock test flaky", p.similarity(), 2, 0.0, (), None, (None, None), {})
    finally:
        run.teardown()
