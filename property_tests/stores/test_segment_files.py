"""Snapshots of the exact index: found again as they were, noticed when they are not, and rid of what is forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

import soma
from property_tests.stores.test_exact_index import DIMENSION, LAB, NOW_S, POLICIES, memory, put
from soma import MemoryRecord, Query
from soma.embedding import HashingEmbedder
from soma.state.query import Filter
from soma.stores.protocols import Found
from soma.stores.segment_files import DamagedIndexError, SegmentFiles
from soma.stores.vectors_memory import ExactIndex

N = 5_000
QUERY = Query(embedding=(1.0, -1.0, 2.0, 0.5, 0.0, 1.0, 1.0, -2.0))


def files(folder: Path, *, is_read_only: bool = False) -> SegmentFiles:
    return SegmentFiles(folder, {"namespace": "lab"}, is_read_only=is_read_only)


def answer(index: ExactIndex, policy: int = 1) -> Found:
    return index.search(QUERY, POLICIES[policy], LAB, NOW_S, 25, Filter.of(tags=["odd"]))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Found]]:
    """Return a folder with a snapshot, and what the index answered that was saved there."""
    folder = tmp_path_factory.mktemp("saved") / "index"
    rng = np.random.default_rng(5)
    index = ExactIndex(DIMENSION, files=files(folder))
    put(index, [memory(i, rng) for i in range(N)])
    index.follow("log", 7)
    answers = [answer(index, policy) for policy in range(len(POLICIES))]
    index.close()
    return folder, answers


def assert_same(found: Found, wanted: Found) -> None:
    assert found.ids == wanted.ids
    assert found.scores.tobytes() == wanted.scores.tobytes()
    assert found.n_candidates == wanted.n_candidates


@pytest.mark.parametrize("is_compiled", [True, False])
def test_what_was_saved_is_found_again_mapped_and_answers_the_same(
    saved: tuple[Path, list[Found]], is_compiled: bool
) -> None:
    folder, answers = saved
    index = ExactIndex(DIMENSION, files=files(folder, is_read_only=True), is_compiled=is_compiled)
    assert index.followed() == ("log", 7)
    assert len(index) == N
    for policy, wanted in enumerate(answers):
        assert_same(answer(index, policy), wanted)
    held = index.n_bytes
    assert held["mapped"] > N * DIMENSION * 4
    assert held["in memory"] < N * (16 + 4 + 4 + 1 + 4 * len(POLICIES))  # codes, padded; their scales and errors


def arrays_of(path: Path) -> dict[str, tuple[int, int]]:
    """Return where each array of a file lies."""
    text = path.read_bytes()
    length = int.from_bytes(text[13:21], "little")
    header = json.loads(text[25 : 25 + length])
    first = 25 + length
    found = {}
    for name, held in header["arrays"].items():
        n_bytes = int(np.prod(held["shape"])) * np.dtype(held["type"]).itemsize
        found[name] = (first + held["at"], n_bytes)
    return found


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_flipped_bit_anywhere_is_noticed_before_it_can_change_an_answer(
    saved: tuple[Path, list[Found]], tmp_path: Path, is_compiled: bool
) -> None:
    folder, answers = saved
    rng = np.random.default_rng(6)
    noticed = set()
    for source in folder.iterdir():
        places = {**arrays_of(source), "magic": (0, 13), "length": (13, 8), "checksum": (21, 4), "header": (25, 200)}
        for name, (first, n_bytes) in places.items():
            if not n_bytes:
                continue
            copy = tmp_path / f"{source.name} {name}"
            copy.mkdir()
            for path in folder.iterdir():
                (copy / path.name).write_bytes(path.read_bytes())
            spoilt = bytearray(source.read_bytes())
            spoilt[first + int(rng.integers(n_bytes))] ^= 1 << int(rng.integers(8))
            (copy / source.name).write_bytes(spoilt)
            index = ExactIndex(DIMENSION, files=files(copy), is_compiled=is_compiled)
            if index.followed() == ("", 0):
                noticed.add(name)
                continue
            try:
                found = index.search(QUERY, POLICIES[1], LAB, NOW_S, N, Filter.of())
            except DamagedIndexError:
                noticed.add(name)
                continue
            raise AssertionError(f"{name} was spoilt, and the index answered {len(found.ids)}")
    assert {"vectors", "code", "ids", "importance", "live 0", "header", "sums", "tags"} <= noticed
    assert answers


def test_what_is_forgotten_leaves_the_files_at_once_and_for_good(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    folder = tmp_path / "index"
    held = [memory(i, rng) for i in range(N)]
    for i, m in enumerate(held):
        object.__setattr__(m.record, "embedding", tuple(float(x) for x in rng.normal(size=DIMENSION) + i * 1e-9))
    index = ExactIndex(DIMENSION, files=files(folder))
    put(index, held)
    index.follow("log", 1)
    index.save()
    secret = index._view.parts[0].segment
    (row,) = secret.rows_of(np.array([held[9].record.id.bytes], dtype="S16"))
    bits, name = secret.vectors[row].tobytes(), held[9].record.id.bytes

    def is_written(what: bytes) -> bool:
        return any(what in path.read_bytes() for path in folder.iterdir())

    assert is_written(bits)
    assert is_written(name)
    index.remove([held[9].record.id], 2)
    assert not is_written(bits)
    index.follow("log", 2)
    index.close()
    assert not is_written(bits)
    assert not is_written(name)
    again = ExactIndex(DIMENSION, files=files(folder))
    assert len(again) == N - 1
    again.remove([m.record.id for m in held], 3)
    again.follow("log", 3)
    again.close()
    assert not folder.exists()


def test_an_index_that_reads_only_writes_nothing(saved: tuple[Path, list[Found]]) -> None:
    folder, _ = saved
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    index = ExactIndex(DIMENSION, files=files(folder, is_read_only=True))
    index.remove([UUID(bytes=index._view[np.array([0])][0].ljust(16, b"\0"))], 8)
    index.follow("log", 8)
    index.close()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_a_warning_not_a_loss(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("in the way")
    index = ExactIndex(DIMENSION, files=files(tmp_path / "index"))
    put(index, [memory(i, np.random.default_rng(i)) for i in range(4_096)])
    index.follow("log", 1)
    with pytest.warns(RuntimeWarning, match="made again"):
        index.close()


def test_a_memory_opens_its_index_without_making_it_again(tmp_path: Path) -> None:
    """End to end: closed, opened, written to, closed and opened again; and damaged behind its back."""
    embedder = HashingEmbedder(dimension=16)
    with soma.open(tmp_path, embedder=embedder, clock=lambda: 1e6) as m:
        m.store_many(
            [
                MemoryRecord(
                    id=UUID(int=i), coordinate=[0.0] * 3, text=f"note {i} of {i % 7}", timestamp=i, importance=5
                )
                for i in range(1, 4_201)
            ]
        )
        wanted = m.recall("note 3 of 5", k=10)
    folder = tmp_path / "index" / "of default"
    assert {path.suffix for path in folder.iterdir()} == {"", ".segment"}
    with soma.open(tmp_path, embedder=embedder, clock=lambda: 1e6) as m:
        assert m._store.index._view.parts[0].segment.backing is not None  # type: ignore[attr-defined]
        assert m.recall("note 3 of 5", k=10).hits == wanted.hits
        m.remember("note 3 of 5", importance=10)
        more = m.recall("note 3 of 5", k=10)
        assert more.hits != wanted.hits
    segment = max(folder.glob("*.segment"), key=lambda path: path.stat().st_size)
    at, n_bytes = arrays_of(segment)["vectors"]
    spoilt = bytearray(segment.read_bytes())
    spoilt[at : at + n_bytes] = bytes(n_bytes)
    segment.write_bytes(spoilt)
    with soma.open(tmp_path, embedder=embedder, clock=lambda: 1e6) as m:
        assert m.recall("note 3 of 5", k=10).hits == more.hits
