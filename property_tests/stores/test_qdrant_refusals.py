"""What is not as it should be with vectors in Qdrant: another model, lost points, a damaged folder, a server's no.

Errors of a server come over HTTP from a program that answers with them.
"""

from __future__ import annotations

import json
import shutil
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
from qdrant_client import QdrantClient

import soma
from property_tests.stores.indexes import IMITATED, edge_index
from property_tests.stores.test_vectors_qdrant import NOW, OTHER, SMALL, TEXTS, filled, scores, settings, shared, texts
from soma import Namespace, Query, Settings
from soma import policy as p
from soma.errors import ConfigurationError, SomaError, StoreBusyError, StoreError
from soma.math.similarity import unit_vectors
from soma.reembedding import reembed_storage
from soma.state.query import Filter
from soma.stores.qdrant_engine import Place, PointOf
from soma.stores.qdrant_server import ServerEngine
from soma.stores.rows import IndexRow
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_qdrant import QdrantIndex

pytestmark = [pytest.mark.filterwarnings(said) for said in IMITATED]

SECRET = "s3cret-of-this-test"


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
            memory.recall("clock", policy=p.presets.dense())
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
            memory.recall("clock", policy=p.presets.dense())
        assert "4 of 5" in str(caught.value)
        assert "soma reembed --embedder hashing" in str(caught.value)
    with soma.create_memory(settings=of) as memory, pytest.raises(StoreError, match="are not whole"):
        memory.recall("clock", policy=p.presets.dense())
    assert soma.reembed(of, "hashing").n_made == 0
    with soma.create_memory(settings=of) as memory:
        assert scores(memory) == wanted


def test_one_lost_among_many_is_noticed_before_the_first_answer(swift_path: Path) -> None:
    n = 2_000  # more than are asked for: that the lost one is not among the nearest tells nothing
    place = Place("c0ffee", "lab", "test", 4)
    rows = [IndexRow(UUID(int=i + 1), NOW, NOW, 5, "episodic", None, (), b"") for i in range(n)]
    index = edge_index(swift_path, place)
    index.upsert(rows, list(unit_vectors(np.random.default_rng(0).normal(size=(n, 4)))), 1)
    index.follow("log", 1)
    edge = index.engine._edge  # type: ignore[attr-defined]
    index.engine._open.update(edge.UpdateOperation.delete_points([UUID(int=7)]))  # type: ignore[attr-defined]
    query = Query(embedding=(1.0, 0.0, 0.0, 0.0))
    with pytest.raises(StoreError, match=r"are not whole \(1,999 of 2,000\)"):
        index.search(query, p.similarity(), Namespace("lab", dimension=1), NOW, 3, Filter())
    index.close()


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
