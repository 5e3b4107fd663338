"""Vectors in Qdrant: exact, durable, followed from the log, and never somebody else's.

The engine is the real one, in process. ``QdrantClient(":memory:")`` imitates a server.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import QdrantClient

import soma
from property_tests.stores.conftest import RedisServer
from property_tests.stores.indexes import IMITATED, edge_index, imitated_index
from soma import DAY, Namespace, Query, Settings, decay
from soma import policy as p
from soma.embedded import EmbeddedStore
from soma.embedding import HashingEmbedder
from soma.errors import StoreBusyError
from soma.math.similarity import unit_vectors
from soma.memory import Memory
from soma.state.query import Filter
from soma.stores.index_columns import IndexColumns
from soma.stores.qdrant_engine import Place, PointOf
from soma.stores.rows import IndexRow
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]

SMALL, OTHER = HashingEmbedder(dimension=32), HashingEmbedder(dimension=64)
NOW = 1_772_323_200.0
TEXTS = ["the clock is slow", "lunch was late", "a flaky test", "rain again", "the archive moved"]


def settings(folder: Path, **changes: object) -> Settings:
    return replace(Settings(path=folder / "store", qdrant_path=folder / "vectors"), **changes)  # type: ignore[arg-type]


def filled(of: Settings) -> Memory:
    memory = soma.create_memory(settings=of)
    for text in TEXTS:
        memory.remember(text)
    return memory


def shared(storage: SqliteStorage, client: QdrantClient, embedder: HashingEmbedder = SMALL) -> Memory:
    place = Place(storage.identity, "lab", embedder.revision, embedder.dimension)
    registration = Namespace("lab", dimension=1)
    index = imitated_index(client, place)
    return Memory(EmbeddedStore(storage, registration, embedder, index, clock=lambda: NOW, new_id=uuid4))


def scores(memory: Memory, text: str = "clock") -> list[tuple[UUID, float]]:
    return [(hit.record.id, hit.score) for hit in memory.recall(text, k=20, now=NOW)]


def texts(memory: Memory) -> set[str | None]:
    return {record.text for record in memory}


# Searching


@pytest.mark.parametrize(
    ("policy", "is_narrow"),
    [
        (p.similarity(), True),
        (p.presets.dense(), True),
        (p.similarity().clip(0) * p.decay(decay.Exponential(half_life_s=7 * DAY)), True),
        (p.similarity() + 0 * p.age_s(), True),
        (-p.similarity(), False),
    ],
)
def test_it_answers_as_the_exact_index_does_and_reads_few_vectors(
    swift_path: Path, policy: p.Policy, is_narrow: bool
) -> None:
    n, dimension = 6_000, 384
    rng = np.random.default_rng(7)
    vectors = unit_vectors(rng.normal(size=(n, dimension)) + 2 * rng.normal(size=dimension))
    rows = [
        IndexRow(UUID(int=i), NOW - i * DAY / 8, NOW - i * DAY / 9, int(rng.integers(0, 11)), "episodic", None, (), b"")
        for i in rng.permutation(n).tolist()
    ]
    index = edge_index(swift_path, Place("c0ffee", "lab", "test", dimension))
    exact = ExactIndex(dimension)
    for each in (index, exact):
        each.upsert(rows, list(vectors), 1)
        each.follow("log", 1)
    namespace = Namespace("lab", dimension=1)
    for _ in range(3):
        query = Query(embedding=tuple((vectors[rng.integers(n)] + 0.05 * rng.normal(size=dimension)).tolist()))
        found = index.search(query, policy, namespace, NOW, 10, Filter())
        wanted = exact.search(query, policy, namespace, NOW, 10, Filter())
        assert found is not None
        assert found.ids == wanted.ids
        assert found.scores.tolist() == wanted.scores.tolist()
        assert not is_narrow or found.n_visited < n / 8
    index.close()


@given(st.lists(st.tuples(st.integers(0, 5), st.sets(st.sampled_from("abc")), st.booleans()), max_size=40))
def test_columns_hold_what_was_put_last(changes: list[tuple[int, set[str], bool]]) -> None:
    columns, model = IndexColumns(), dict[UUID, IndexRow]()
    for n, (number, tags, is_drop) in enumerate(changes):
        id = UUID(int=number)
        if is_drop:
            columns.drop([id])
            model.pop(id, None)
        else:
            kind = "semantic" if n % 2 else "episodic"
            row = IndexRow(id, float(n), n / 2, n - 3, kind, None if n % 3 else n + 0.5, tuple(sorted(tags)), b"")
            columns.put([row])
            model[id] = row
    assert len(columns) == len(model)
    for keep in (Filter(), Filter.of(tags=["a"]), Filter.of(tags=["a", "b"], memory_type="semantic")):
        rows = columns.admitted(keep, 7.0)
        wanted = {
            id: row
            for id, row in model.items()
            if (row.expires_at_s is None or row.expires_at_s > 7.0)
            and keep.tags <= set(row.tags)
            and keep.memory_type in (None, row.memory_type)
        }
        assert set(columns.ids(rows)) == set(wanted)
        at = columns.at(rows)
        assert {id: at.importance[i] for i, id in enumerate(columns.ids(rows))} == {
            id: row.importance for id, row in wanted.items()
        }


# Opening


def test_a_store_remembers_what_it_has_followed(swift_path: Path) -> None:
    with filled(settings(swift_path)) as memory:
        wanted, head = scores(memory), memory.head().value
    with soma.open(swift_path / "store") as elsewhere:  # written to without Qdrant
        elsewhere.forget(next(iter(elsewhere)).id)
        elsewhere.remember("the clock is fast")
        wanted = scores(elsewhere)
    with soma.create_memory(settings=settings(swift_path)) as memory:
        index: QdrantIndex = memory._store.index  # type: ignore[assignment]
        assert index.followed()[1] == memory.head().value == head + 2
        assert scores(memory) == wanted


def test_the_folder_has_one_owner_and_the_second_is_told(swift_path: Path) -> None:
    script = (
        "import sys, pathlib, soma; soma.create_memory(settings=soma.Settings("
        "path=pathlib.Path(sys.argv[1]) / 'store', qdrant_path=pathlib.Path(sys.argv[1]) / 'vectors'))"
    )
    with filled(settings(swift_path)):
        with pytest.raises(StoreBusyError, match="open already, here or in another process: close them there"):
            soma.create_memory(settings=settings(swift_path))
        done = subprocess.run([sys.executable, "-c", script, swift_path], capture_output=True, text=True, check=False)
        assert "StoreBusyError: the vectors in " in done.stderr
        soma.create_memory(settings=settings(swift_path, namespace="other")).close()  # has a folder of its own
    soma.create_memory(settings=settings(swift_path)).close()


def test_processes_take_turns_and_none_takes_from_another(swift_path: Path) -> None:
    """Asked to load a shard while another flushes it, the engine would lose points of both."""
    of, script = (
        settings(swift_path),
        (
            "import sys, pathlib, soma; folder = pathlib.Path(sys.argv[1])\n"
            "of = soma.Settings(path=folder / 'store', qdrant_path=folder / 'vectors')\n"
            "with soma.create_memory(settings=of) as memory:\n"
            "    memory.remember(f'the clock of {sys.argv[2]}')"
        ),
    )
    with soma.open(of.path) as memory:
        for text in TEXTS:
            memory.remember(text)
    commands = [[sys.executable, "-c", script, swift_path, str(n)] for n in range(4)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    n_refused = 0
    for process in running:
        said = process.communicate()[1]
        n_refused += process.returncode != 0
        assert process.returncode == 0 or "are open already" in said
    with soma.create_memory(settings=of) as memory:
        assert len(scores(memory)) == len(memory) == len(TEXTS) + 4 - n_refused


def test_a_backup_that_went_another_way_is_never_answered_from_the_vectors_of_the_first(swift_path: Path) -> None:
    of = settings(swift_path)
    with filled(of):
        pass
    shutil.copytree(swift_path / "store", swift_path / "backup")
    with soma.create_memory(settings=of) as memory:
        memory.remember("said before the disaster")
    shutil.rmtree(swift_path / "store")
    shutil.copytree(swift_path / "backup", swift_path / "store")
    with soma.open(swift_path / "store") as memory:  # as long as the lost one, and not the same
        memory.remember("said after it")
        wanted = scores(memory, "said disaster after")
    with soma.create_memory(settings=of) as memory:
        assert scores(memory, "said disaster after") == wanted
        assert "said before the disaster" not in texts(memory)


def test_a_shorter_backup_is_followed_too(swift_path: Path) -> None:
    of = settings(swift_path)
    with filled(of):
        pass
    shutil.copytree(swift_path / "store", swift_path / "backup")
    with soma.create_memory(settings=of) as memory:
        memory.remember("lost")
    shutil.rmtree(swift_path / "store")
    shutil.copytree(swift_path / "backup", swift_path / "store")
    with soma.create_memory(settings=of) as memory:
        assert len(memory) == len(scores(memory)) == len(TEXTS)


WRITER = """
import sys, pathlib, soma
folder = pathlib.Path(sys.argv[1])
settings = soma.Settings(path=folder / "store", qdrant_path=folder / "vectors", namespace="lab")
with soma.create_memory(settings=settings) as memory:
    for n in range(100_000):
        record = memory.remember(f"note {n} about clocks", importance=n % 10)
        if n % 3 == 0:
            memory.recall("clocks", k=2, reinforce=True)
        if n % 5 == 0:
            memory.forget(record.id)
        print(record.id if n % 5 else "", flush=True)
"""


def test_killed_in_the_middle_of_writing_it_equals_the_fold_again(swift_path: Path) -> None:
    of = settings(swift_path, namespace="lab")
    acknowledged: set[str] = set()
    for n_lines in (5, 40, 120):
        with subprocess.Popen([sys.executable, "-c", WRITER, swift_path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(n_lines):
                acknowledged.add(writer.stdout.readline().strip())
            writer.kill()
            acknowledged |= {line.strip() for line in writer.stdout if len(line.strip()) == 36}
        with soma.create_memory(settings=of) as memory:
            assert acknowledged - {""} <= {str(record.id) for record in memory}
            with soma.open(of.path, namespace="lab", is_read_only=True) as plain:
                assert scores(memory, "note about clocks 7") == scores(plain, "note about clocks 7")
                assert soma.state_hash(soma.fold(memory.events())) == soma.state_hash(plain.as_of(plain.head()))


def test_records_in_redis_and_vectors_in_the_engine(swift_path: Path, redis_server: RedisServer) -> None:
    of = settings(swift_path, redis_url=redis_server.url, redis_name=f"q-{uuid4()}")
    with filled(of) as memory:
        wanted = scores(memory)
    assert not (swift_path / "store").exists()
    with soma.create_memory(settings=of) as memory:
        assert scores(memory) == wanted
    with soma.create_memory(settings=replace(of, qdrant_path=None)) as memory:
        assert scores(memory) == wanted


# Several processes on one server


def test_two_processes_follow_one_log_into_one_collection(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    with shared(SqliteStorage(tmp_path), client) as one, shared(SqliteStorage(tmp_path), client) as two:
        kept = one.remember("the clock is slow", coordinate=[0.0])
        two.remember("the clock is fast", coordinate=[0.0])
        assert scores(one) == scores(two)
        assert len(scores(one)) == 2
        one.forget(kept.id)
        assert scores(two) == scores(one)
        assert len(scores(two)) == 1


def test_while_another_goes_on_the_definition_answers(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    with shared(SqliteStorage(tmp_path), client) as one, shared(SqliteStorage(tmp_path), client) as two:
        first = one.remember("the clock is slow", coordinate=[0.0])
        wanted = scores(two)
        query = two._store.ask("clock")
        ask = (query, p.presets.dense(), two.registration, NOW, 5, Filter())
        assert two._store.index.search(*ask) is not None
        with two._store.storage.reading():  # two stands on this snapshot
            assert two.head().value == 2
            one.remember("the clock is slow", id=first.id, coordinate=[0.0], importance=9)
            one.remember("a clock again", coordinate=[0.0])
            assert two._store.index.search(*ask) is None
            assert scores(two) == wanted
        assert len(scores(two)) == 2
        assert two._store.index.search(*ask) is not None


def test_a_writer_of_the_past_brings_nothing_back(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    with shared(SqliteStorage(tmp_path), client) as memory:
        gone = memory.remember("the clock is slow", coordinate=[0.0])
        memory.remember("lunch was late", coordinate=[0.0])
        memory.forget(gone.id)
        engine = memory._store.index.engine  # type: ignore[attr-defined]
        zombie = PointOf.live(gone.id, SMALL.embed(["the clock is slow"])[0], "episodic", (), 2)
        engine.put([zombie], 2)
        assert engine.count_live() == 1
        assert [hit.record.text for hit in memory.recall("clock")] == ["lunch was late"]
