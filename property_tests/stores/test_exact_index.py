"""The exact index gives, to the bit, what evaluating the policy over every memory gives, whatever became of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from soma import DAY, MemoryRecord, Namespace, Query, decay
from soma import policy as p
from soma.math.multiscale import Trace
from soma.math.similarity import unit_vectors
from soma.state.query import Filter
from soma.state.recall import Recall, rank
from soma.state.stored import StoredMemory
from soma.stores.protocols import Found
from soma.stores.rows import index_row
from soma.stores.segment_files import DamagedIndexError, SegmentFiles
from soma.stores.segments import BLOCK
from soma.stores.vectors_memory import ExactIndex, Sizes

LAB = Namespace("lab", dimension=1)
NOW_S = 1_000 * DAY
DIMENSION = 8
SMALL = Sizes(tail=12, segment=48, n_small=4, sorted_from=20, hollow_from=16, kept_from=6)
WEEK = decay.Exponential(half_life_s=7 * DAY)


def memory(n: int, rng: np.random.Generator, id: UUID | None = None) -> StoredMemory:
    record = MemoryRecord(
        id=UUID(int=int(rng.integers(2**63)) << 8 | n % 256) if id is None else id,
        namespace="lab",
        coordinate=[0.0],
        timestamp=float(rng.integers(0, 1_010)) * DAY,
        importance=int(rng.integers(-2, 13)),
        memory_type="semantic" if n % 3 else "episodic",
        tags=["odd", "all"] if n % 2 else ["all"],
        expires_at=None if n % 5 else float(rng.integers(900, 1_100)) * DAY,
        embedding=[float(x) for x in rng.integers(-3, 4, DIMENSION)],
        model_revision="test",
    )  # type: ignore[arg-type]
    recalled = float(rng.integers(0, 1_000)) * DAY if n % 4 == 0 else None
    return StoredMemory(record, 1, Trace.empty(LAB.trace), 0, recalled)


def vectors(records: list[MemoryRecord]) -> np.ndarray:  # type: ignore[type-arg]
    return unit_vectors(np.array([record.embedding for record in records]).reshape(-1, DIMENSION))


def put(index: ExactIndex, memories: list[StoredMemory], position: int = 1) -> None:
    index.upsert([index_row(m) for m in memories], list(vectors([m.record for m in memories])), position)


POLICIES = [
    p.presets.dense(),
    p.similarity().clip(0) * p.importance() ** 0.5 * p.decay(WEEK),
    p.similarity().clip(0.1) * p.decay(WEEK, of=p.idle_s) * p.decay(decay.Power(DAY, 0.5)) * p.memory_type("semantic"),
    p.similarity().clip(0),
    p.similarity() - 0.5 * p.importance(),
    0.8 * p.similarity() + 0.2 * p.decay(decay.Exponential(half_life_s=DAY), of=p.idle_s),
    p.memory_type("semantic") * p.similarity(),
    p.importance(),
    p.constant(1.0),
    -(p.similarity() ** 2) + p.exp(-p.age_s() / DAY),
]
FILTERS = [Filter.of(), Filter.of(tags=["odd"]), Filter.of(memory_type="episodic"), Filter.of(tags=["odd", "even"])]
FILTERS += [Filter.of(tags=["all", "odd"])]


def wanted_of(
    memories: dict[UUID, StoredMemory], query: Query, policy: p.Policy, k: int, keep: Filter, now_s: float
) -> Recall:
    return rank(
        [m for m in memories.values() if keep.admits(m.record, now_s)],
        query,
        policy=policy,
        namespace=LAB,
        now_s=now_s,
        k=k,
        vectors=vectors,  # type: ignore[arg-type]
        links=tuple,
    )


def assert_same(found: Found, wanted: Recall) -> None:
    assert found.ids == [hit.record.id for hit in wanted]
    assert found.scores.tolist() == [hit.score for hit in wanted]
    assert found.n_candidates == wanted.n_candidates
    for hit in wanted:
        assert {name: column[hit.rank].item() for name, column in found.columns.items()} == hit.features


@settings(max_examples=max(40, settings().max_examples // 2))
@given(
    st.integers(0, 2**32),
    st.integers(0, 3 * BLOCK + 7),
    st.integers(1, 40),
    st.sampled_from(POLICIES),
    st.sampled_from(FILTERS),
    st.integers(0, 300),
    st.booleans(),
)
def test_every_answer_equals_the_definition_of_recall(
    seed: int, n: int, k: int, policy: p.Policy, keep: Filter, n_changed: int, is_compiled: bool
) -> None:
    rng = np.random.default_rng(seed)
    memories = {m.record.id: m for m in (memory(i, rng) for i in range(n))}
    index = ExactIndex(DIMENSION, is_compiled=is_compiled)
    held = list(memories.values())
    put(index, held)
    for m in held[:n_changed]:  # some are removed, some come back otherwise
        if rng.random() < 0.5:
            index.remove([m.record.id], 2)
            del memories[m.record.id]
        else:
            memories[m.record.id] = memory(int(rng.integers(1_000)), rng, m.record.id)
            put(index, [memories[m.record.id]], 2)
    query = Query(embedding=tuple(float(x) for x in rng.integers(-3, 4, DIMENSION)))
    found = index.search(query, policy, LAB, NOW_S, k, keep)
    assert_same(found, wanted_of(memories, query, policy, k, keep, NOW_S))
    others = [Query(embedding=tuple(float(x) for x in rng.integers(-3, 4, DIMENSION))) for _ in range(3)]
    for other, also in zip(others, index.search_batch(others, policy, LAB, NOW_S, k, keep), strict=True):
        assert_same(also, wanted_of(memories, other, policy, k, keep, NOW_S))
    assert found.way == ("index (fast)" if is_compiled else "index")
    assert len(index) == len(memories)


class IndexEqualsRecall(RuleBasedStateMachine):
    """Whatever is stored, changed, deleted, merged, saved, reopened or damaged, answers are those of the definition."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="soma-index-"))
        self.memories: dict[UUID, StoredMemory] = {}
        self.head = 0
        self.log = "first"
        self.about = {"namespace": "lab", "revision": "test"}
        self.index = self.open()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def open(self) -> ExactIndex:
        files = SegmentFiles(self.folder / "index", self.about)
        self.is_unread = True
        return ExactIndex(DIMENSION, files=files, sizes=SMALL)

    def follow(self) -> None:
        self.head += 1
        self.index.follow(self.log, self.head)

    def close(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what is damaged cannot be saved again, and close says so
            self.index.close()

    def filled(self) -> None:
        """Put everything in again, as the store does that finds no index of its log."""
        self.index.clear()
        put(self.index, list(self.memories.values()))
        self.index.follow(self.log, self.head)

    @initialize(n=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
    def load(self, n: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.store(n)

    @rule(n=st.sampled_from([1, 2, 7, 25, 60]))
    def store(self, n: int) -> None:
        made = [memory(int(self.rng.integers(1_000)), self.rng) for _ in range(n)]
        self.write(made)

    @rule(share=st.sampled_from([0.02, 0.2, 1.0]), is_same=st.booleans())
    def update(self, share: float, is_same: bool) -> None:
        chosen = [id for id in self.memories if self.rng.random() < share]
        made = [memory(int(self.rng.integers(1_000)), self.rng, id) for id in chosen]
        if is_same:  # recalled: the same record, used later
            made = [StoredMemory(self.memories[id].record, 2, Trace.empty(LAB.trace), 1, NOW_S - DAY) for id in chosen]
        self.write(made)

    @rule(share=st.sampled_from([0.02, 0.3, 0.7, 1.0]))
    def delete(self, share: float) -> None:
        gone = [id for id in self.memories if self.rng.random() < share]
        self.guarded(lambda: self.index.remove([*gone, UUID(int=1)], self.head), gone, [])

    def write(self, made: list[StoredMemory]) -> None:
        self.guarded(lambda: put(self.index, made, self.head), [], made)

    def guarded(self, change, gone: list[UUID], made: list[StoredMemory]) -> None:  # type: ignore[no-untyped-def]
        self.is_unread = False
        for id in gone:
            del self.memories[id]
        self.memories |= {m.record.id: m for m in made}
        try:
            change()
        except DamagedIndexError:
            self.filled()
        self.follow()

    @rule()
    def save(self) -> None:
        self.is_unread = False
        try:
            self.index.save()
        except DamagedIndexError:
            self.filled()

    @rule(ending=st.sampled_from(["closed", "killed"]))
    def reopen(self, ending: str) -> None:
        written = self.head
        if ending == "closed":
            self.close()
        self.index = self.open()
        if self.index.followed() != (self.log, written):
            self.filled()

    @rule(at=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["flip", "cut", "gone"]), reopens=st.booleans())
    def damage(self, at: float, kind: str, reopens: bool) -> None:
        """Spoil one file; the index that is open has mapped it, or one that is opened finds it so."""
        files = [path for path in (self.folder / "index").glob("*") if path.stat().st_size]
        files.sort(key=lambda path: path.stat().st_mtime_ns)  # as they were written: their names are random
        # a file that is cut while it is mapped ends the process, and what was found whole is not read twice
        if not files or (not reopens and (kind == "cut" or not self.is_unread)):
            return
        path = files[int(at * len(files))]
        if kind == "gone":
            path.unlink()
        elif kind == "cut":
            self.index = ExactIndex(DIMENSION)  # maps nothing
            os.truncate(path, int(at * path.stat().st_size))
        else:
            spoilt = bytearray(path.read_bytes())
            spoilt[int(at * len(spoilt))] ^= 0x10
            with path.open("r+b") as file:  # in place: what is mapped changes too
                file.write(spoilt)
        if reopens:
            self.index = self.open()
            if self.index.followed() != (self.log, self.head):
                self.filled()

    @rule(what=st.sampled_from(["log", "revision"]))
    def another(self, what: str) -> None:
        """A snapshot of another log, or of another model, is none."""
        self.close()
        if what == "log":
            self.log = f"{self.log}'"
        else:
            self.about = {**self.about, "revision": f"{self.about['revision']}'"}
        self.index = self.open()
        assert self.index.followed()[0] != self.log
        if what == "revision":
            assert self.index.followed() == ("", 0)
        self.filled()

    @rule(
        policy=st.sampled_from(POLICIES), keep=st.sampled_from(FILTERS), k=st.sampled_from([1, 3, 200]),
        is_compiled=st.booleans(), ahead_s=st.sampled_from([0.0, 30 * DAY, -600 * DAY]),
    )  # fmt: skip
    def recall(self, policy: p.Policy, keep: Filter, k: int, is_compiled: bool, ahead_s: float) -> None:
        query = Query(embedding=tuple(float(x) for x in self.rng.integers(-3, 4, DIMENSION)))
        self.index.is_compiled = is_compiled
        now_s, self.is_unread = NOW_S + ahead_s, False
        try:
            found = self.index.search(query, policy, LAB, now_s, k, keep)
        except DamagedIndexError:
            self.filled()
            found = self.index.search(query, policy, LAB, now_s, k, keep)
        assert_same(found, wanted_of(self.memories, query, policy, k, keep, now_s))

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.index) == len(self.memories)

    @invariant()
    def what_is_forgotten_is_in_no_file(self) -> None:
        folder = self.folder / "index"
        named = {path.name for path in folder.glob("*")}
        held = {part.segment.file for part in self.index._sealed if part.is_spent}
        assert not held & named


TestIndexEqualsRecall = IndexEqualsRecall.TestCase
TestIndexEqualsRecall.settings = settings(
    max_examples=max(12, settings().max_examples // 3), stateful_step_count=25, deadline=None
)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_decaying_policy_leaves_most_blocks_unread(is_compiled: bool) -> None:
    rng = np.random.default_rng(0)
    n = 40 * BLOCK
    index = ExactIndex(DIMENSION, is_compiled=is_compiled)
    rows = sorted((index_row(memory(i, rng)) for i in range(n)), key=lambda row: row.timestamp_s)
    index.upsert(
        [row._replace(expires_at_s=None, last_used_s=row.timestamp_s) for row in rows],
        list(unit_vectors(rng.normal(size=(n, DIMENSION)))),
        1,
    )
    found = index.search(
        Query(embedding=tuple(rng.normal(size=DIMENSION))), POLICIES[1], LAB, 1_010 * DAY, 10, Filter.of()
    )
    assert found.n_visited < 0.25 * n


def test_half_removed_is_made_compact() -> None:
    rng = np.random.default_rng(1)
    held = [memory(i, rng) for i in range(5 * BLOCK)]
    index = ExactIndex(DIMENSION)
    put(index, held)
    index.remove((m.record.id for m in held[: 3 * BLOCK]), 2)
    assert sum(len(part.segment) for part in index._view.parts) == 2 * BLOCK


def test_many_small_segments_become_few() -> None:
    rng = np.random.default_rng(2)
    index = ExactIndex(DIMENSION, sizes=SMALL)
    for i in range(400):
        put(index, [memory(i, rng)])
    assert len(index) == 400
    assert len(index._view.parts) < 20


def test_the_compiled_kernels_serve_large_indexes_only() -> None:
    assert not ExactIndex(DIMENSION)._compiles(ExactIndex(DIMENSION)._view)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("policy", [p.presets.dense(), p.importance()])
def test_an_empty_index_has_no_answer(k: int, is_compiled: bool, policy: p.Policy) -> None:
    index = ExactIndex(2, is_compiled=is_compiled)
    found = index.search(Query(embedding=(1.0, 0.0)), policy, LAB, 0.0, k, Filter.of())
    assert (found.ids, found.scores.tolist(), found.n_candidates) == ([], [], 0)


def test_readers_see_whole_states_while_a_writer_writes() -> None:
    """A reader's answer is that of a state that the writer left between two writes, never of half of one."""
    rng = np.random.default_rng(3)
    index = ExactIndex(DIMENSION, sizes=SMALL)
    base = [memory(7, rng) for _ in range(30)]
    pairs = [[memory(7, rng), memory(7, rng)] for _ in range(150)]
    put(index, base)
    counts: list[int] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            query = Query(embedding=(1.0,) * DIMENSION)
            counts.append(len(index.search(query, p.importance(), LAB, NOW_S, 10_000, Filter.of()).ids))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for pair in pairs:  # two at once, always
        put(index, pair)
        if rng.random() < 0.3:
            index.remove([m.record.id for m in pair], 1)
    is_done.set()
    for reader in readers:
        reader.join()
    assert counts
    assert not [count for count in counts if count % 2]
