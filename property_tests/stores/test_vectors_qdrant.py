"""Vectors in Qdrant: exact, durable, followed from the log, and never somebody else's.

The engine is the real one, in process. ``QdrantClient(":memory:")`` imitates a server; errors of a server come over
HTTP from a program that answers with them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
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
from soma.errors import ConfigurationError, SomaError, StoreBusyError, StoreError
from soma.math.similarity import unit_vectors
from soma.memory import Memory
from soma.reembedding import reembed_storage
from soma.state.query import Filter
from soma.stores.index_columns import IndexColumns
from soma.stores.qdrant_engine import Place, PointOf
from soma.stores.qdrant_server import ServerEngine
from soma.stores.rows import IndexRow
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex
from soma.stores.vectors_qdrant import QdrantIndex

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]

SMALL, OTHER = HashingEmbedder(dimension=32), HashingEmbedder(dimension=64)
NOW = 1_772_323_200.0
TEXTS = ["the clock is slow", "lunch was late", "a flaky test", "rain again", "the archive moved"]
SECRET = "s3cret-of-this-test"


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


# What is not as it should be


def test_vectors_by_another_model_are_an_error_that_names_the_command(swift_path: Path) -> None:
    of = settings(swift_path)
    filled(of).close()
    with soma.open(of.path) as memory:
        place = Place(memory._store.storage.identity, "default", OTHER.revision, OTHER.dimension)
    soma.reembed(of.path, OTHER)  # without a word of Qdrant
    with pytest.raises(ConfigurationError, match="made by another model than hashing-v1-d64: make them again: soma re"):
        edge_index(swift_path / "vectors", place)


def test_the_same_holds_for_a_shared_collection(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")
    with shared(SqliteStorage(tmp_path), client) as memory:
        memory.remember("the clock is slow", coordinate=[0.0])
    with pytest.raises(ConfigurationError, match="made by another model than hashing-v1-d64"):
        shared(SqliteStorage(tmp_path), client, OTHER)


def test_reembed_fills_new_vectors_beside_the_old_and_swaps(swift_path: Path) -> None:
    of = settings(swift_path)
    with filled(of), pytest.raises(SomaError):  # the old vectors are in use: they stay until they are not
        soma.reembed(of, "oracle")
    with filled(replace(of, namespace="second")):
        pass
    done = soma.reembed(of, OTHER)
    assert (done.before, done.after, done.n_made) == ("hashing-v1-d256", OTHER.revision, len(TEXTS))
    assert len(list((swift_path / "vectors").glob("*/"))) == 2  # one a namespace: the old ones are gone
    with pytest.raises(ConfigurationError, match="d64, which is not at hand"):
        soma.create_memory(settings=of)
    done = soma.reembed(of, "hashing")
    assert done.n_made == len(TEXTS)
    with soma.create_memory(settings=of) as memory, soma.open(of.path) as plain:
        assert scores(memory) == scores(plain)
        index: QdrantIndex = memory._store.index  # type: ignore[assignment]
        assert index.followed()[1] == memory.head().value


def test_reembed_into_a_shared_collection_swaps_with_the_store(tmp_path: Path) -> None:
    client = QdrantClient(":memory:")

    def index_of(name: str) -> QdrantIndex:
        place = Place(storage.identity, name, OTHER.revision, OTHER.dimension)
        return QdrantIndex(ServerEngine(client, place, where="here", remedy="", is_new=True), remedy="")

    storage = SqliteStorage(tmp_path)
    with shared(SqliteStorage(tmp_path), client) as memory:
        for text in TEXTS:
            memory.remember(text, coordinate=[0.0])
        with storage.writing():
            storage.set_setting("embedder", SMALL.revision)
        reembed_storage(storage, OTHER, name="other", clock=lambda: NOW, new_id=uuid4, index_of=index_of)
        assert len(client.get_collections().collections) == 1
        with pytest.raises(StoreError, match=r"failed|gone"):
            memory.recall("clock")
        with shared(SqliteStorage(tmp_path), client, OTHER) as again:
            assert len(scores(again)) == len(TEXTS)
            assert again._store.index.engine.count_live() == len(TEXTS)  # type: ignore[attr-defined]


def test_broken_off_before_the_swap_nothing_has_changed(swift_path: Path) -> None:
    of = settings(swift_path)
    with filled(of) as memory:
        wanted = scores(memory)

    class BrokenOffError(Exception):
        pass

    def break_off(done: int, _: int) -> None:
        if done == 4:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        soma.reembed(of, OTHER, batch=2, progress=break_off)
    with soma.create_memory(settings=of) as memory:
        assert scores(memory) == wanted
    assert soma.reembed(of, OTHER, batch=2).n_made == 1


def test_lost_vectors_are_an_error_that_names_the_command_which_makes_them_again(swift_path: Path) -> None:
    of = settings(swift_path)
    with filled(of) as memory:
        lost = next(iter(memory)).id
        wanted = scores(memory)
        index: QdrantIndex = memory._store.index  # type: ignore[assignment]
        edge = index.engine._edge  # type: ignore[attr-defined]
        index.engine._open.update(edge.UpdateOperation.delete_points([lost]))  # type: ignore[attr-defined]
        with pytest.raises(StoreError, match="are not whole") as caught:
            memory.recall("clock")
        assert "4 of 5" in str(caught.value)
        assert "soma reembed --embedder hashing" in str(caught.value)
    with soma.create_memory(settings=of) as memory, pytest.raises(StoreError, match="are not whole"):
        memory.recall("clock")
    assert soma.reembed(of, "hashing").n_made == 0
    with soma.create_memory(settings=of) as memory:
        assert scores(memory) == wanted


def test_a_damaged_folder_is_one_sentence_that_says_what_to_do(swift_path: Path) -> None:
    of = settings(swift_path)
    filled(of).close()
    (folder,) = (path for path in (swift_path / "vectors").iterdir() if path.is_dir())
    (folder / "edge_config.json").write_text("garbage")
    with pytest.raises(StoreError, match="remove that folder, and it is filled again from the log"):
        soma.create_memory(settings=of)
    shutil.rmtree(folder)
    with soma.create_memory(settings=of) as memory:
        assert len(scores(memory)) == len(TEXTS)


def test_a_path_that_can_hold_nothing_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot hold vectors .*correct SOMA_QDRANT_PATH"):
        soma.create_memory(settings=settings(tmp_path))


def test_a_full_disk_costs_no_write_and_is_said_at_the_next_recall(
    swift_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = settings(swift_path)
    with filled(of) as memory:
        with monkeypatch.context() as full:
            full.setattr("soma.stores.qdrant_edge.FREE", 2**62)
            memory.remember("the clock is full")
            with pytest.raises(StoreError, match=r"MiB left, and the Qdrant engine needs .*make room"):
                memory.recall("clock")
            assert "the clock is full" in texts(memory)
        assert "the clock is full" in {hit.record.text for hit in memory.recall("clock", k=20)}  # there is room again


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("format", 2, "are kept in format 2, and not 1"),
        ("namespace", "home", "belong to namespace home, and not lab"),
        ("revision", "other-v1", "were made by other-v1, and not test"),
        ("dimension", 5, "have dimension 5, and not 4"),
        ("store", "beef", "follow the log of the store beef, and not c0ffee"),
    ],
)
def test_vectors_that_are_something_else_are_refused(
    swift_path: Path, field: str, value: object, sentence: str
) -> None:
    place = Place("c0ffee", "lab", "test", 4)
    index = edge_index(swift_path, place)
    index.engine.put([PointOf(0, [0.0] * 4, {**index.engine.about().to_payload(), field: value})], 0)
    index.close()
    with pytest.raises(ConfigurationError) as caught:
        edge_index(swift_path, place)
    assert sentence in str(caught.value)
    assert "soma reembed --embedder" in str(caught.value)


@pytest.mark.parametrize(("variable", "package"), [("qdrant_path", "qdrant_edge"), ("qdrant_url", "qdrant_client")])
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    where = {"qdrant_path": tmp_path / "q", "qdrant_url": "http://127.0.0.1:1"}[variable]
    with pytest.raises(ConfigurationError, match=r'pip install "soma-fractal-memory\[qdrant\]"'):
        soma.create_memory(settings=Settings(path=tmp_path / "s", **{variable: where}))  # type: ignore[arg-type]


# A server that is away, or says no


@contextmanager
def answering(status: int, body: object) -> Iterator[str]:
    """Run a server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (200, {"title": "qdrant", "version": "1.12.4"}, ConfigurationError, "is version 1.12.4: soma needs 1.16"),
        (401, {"status": "no"}, ConfigurationError, "refuses the key (401): set SOMA_QDRANT_API_KEY"),
        (503, {"status": "busy"}, StoreBusyError, "is overloaded: try again in a moment"),
        (500, {"status": "broken"}, StoreError, "failed: Unexpected Response: 500"),
    ],
)
def test_a_server_that_says_no_is_understood(
    tmp_path: Path, status: int, body: object, kind: type[SomaError], sentence: str
) -> None:
    with answering(status, body) as url, pytest.raises(kind) as caught:
        soma.create_memory(settings=Settings(path=tmp_path, qdrant_url=url))
    assert sentence in str(caught.value)


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
def test_a_server_that_is_away_is_one_sentence_without_a_secret(tmp_path: Path) -> None:
    of = Settings(path=tmp_path, qdrant_url=f"http://user:{SECRET}@127.0.0.1:1", qdrant_api_key=SECRET)
    with pytest.raises(StoreError, match=r"does not answer .*start it, correct SOMA_QDRANT_URL, or unset it") as caught:
        soma.create_memory(settings=of)
    assert SECRET not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    with soma.open(tmp_path) as memory:
        memory.remember("the clock is slow")
    with pytest.raises(StoreError, match="does not answer"):
        soma.reembed(of, OTHER)
    with soma.open(tmp_path) as memory:  # nothing was swapped
        assert memory.embedder.revision == "hashing-v1-d256"
