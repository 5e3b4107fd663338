"""The exact index gives, to the bit, what evaluating the policy over every memory gives."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma import DAY, MemoryRecord, Namespace, Query, decay
from soma import policy as p
from soma.math.multiscale import Trace
from soma.math.similarity import unit_vectors
from soma.state.query import Filter
from soma.state.recall import rank
from soma.state.stored import StoredMemory
from soma.stores.rows import index_row
from soma.stores.vectors_memory import BLOCK, ExactIndex

LAB = Namespace("lab", dimension=1)
NOW_S = 1_000 * DAY
DIMENSION = 8


def memory(n: int, rng: np.random.Generator) -> StoredMemory:
    record = MemoryRecord(
        id=UUID(int=int(rng.integers(2**63)) << 8 | n % 256),
        namespace="lab",
        coordinate=[0.0],
        timestamp=float(rng.integers(0, 1_010)) * DAY,
        importance=int(rng.integers(-2, 13)),
        memory_type="semantic" if n % 3 else "episodic",
        tags=["odd"] if n % 2 else [],
        expires_at=None if n % 5 else float(rng.integers(900, 1_100)) * DAY,
        embedding=[float(x) for x in rng.integers(-3, 4, DIMENSION)],
        model_revision="test",
    )  # type: ignore[arg-type]
    recalled = float(rng.integers(0, 1_000)) * DAY if n % 4 == 0 else None
    return StoredMemory(record, 1, Trace.empty(LAB.trace), 0, recalled)


def vectors(records: list[MemoryRecord]) -> np.ndarray:  # type: ignore[type-arg]
    return unit_vectors(np.array([record.embedding for record in records]).reshape(-1, DIMENSION))


POLICIES = [
    p.presets.dense(),
    p.similarity().clip(0) * p.importance() ** 0.5 * p.decay(decay.Exponential(half_life_s=7 * DAY)),
    p.similarity() - 0.5 * p.importance(),
    0.8 * p.similarity() + 0.2 * p.decay(decay.Exponential(half_life_s=DAY), of=p.idle_s),
    p.memory_type("semantic") * p.similarity(),
    p.importance(),
    p.constant(1.0),
    -(p.similarity() ** 2) + p.exp(-p.age_s() / DAY),
]
FILTERS = [Filter.of(), Filter.of(tags=["odd"]), Filter.of(memory_type="episodic"), Filter.of(tags=["odd", "even"])]


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(0, 3 * BLOCK + 7),
    st.integers(1, 40),
    st.sampled_from(POLICIES),
    st.sampled_from(FILTERS),
    st.integers(0, 300),
)
def test_every_answer_equals_the_definition_of_recall(
    seed: int, n: int, k: int, policy: p.Policy, keep: Filter, n_changed: int
) -> None:
    rng = np.random.default_rng(seed)
    memories = {m.record.id: m for m in (memory(i, rng) for i in range(n))}
    index = ExactIndex(DIMENSION)
    held = list(memories.values())
    index.upsert([index_row(m) for m in held], list(vectors([m.record for m in held])), 1)
    for m in held[:n_changed]:  # some are removed, some come back otherwise, in place
        if rng.random() < 0.5:
            index.remove([m.record.id], 2)
            del memories[m.record.id]
        else:
            other = memory(int(rng.integers(1_000)), rng)
            changed = StoredMemory(
                MemoryRecord(**{f: getattr(other.record, f) for f in other.record.__slots__} | {"id": m.record.id}),
                2,
                other.trace,
                0,
                other.last_recalled_s,  # type: ignore[arg-type]
            )
            memories[m.record.id] = changed
            index.upsert([index_row(changed)], list(vectors([changed.record])), 2)
    query = Query(embedding=tuple(float(x) for x in rng.integers(-3, 4, DIMENSION)))
    wanted = rank(
        [m for m in memories.values() if keep.admits(m.record, NOW_S)],
        query,
        policy=policy,
        namespace=LAB,
        now_s=NOW_S,
        k=k,
        vectors=vectors,  # type: ignore[arg-type]
    )
    ids, scores, columns, n_candidates, _ = index.search(query, policy, LAB, NOW_S, k, keep)
    assert ids == [hit.record.id for hit in wanted]
    assert scores.tolist() == [hit.score for hit in wanted]
    assert n_candidates == wanted.n_candidates
    for hit in wanted:
        assert {name: column[hit.rank].item() for name, column in columns.items()} == hit.features
    assert len(index) == len(memories)


def test_a_decaying_policy_leaves_most_blocks_unread() -> None:
    rng = np.random.default_rng(0)
    n = 40 * BLOCK
    index = ExactIndex(DIMENSION)
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


def test_half_removed_is_made_compact_and_answers_the_same() -> None:
    rng = np.random.default_rng(1)
    held = [memory(i, rng) for i in range(5 * BLOCK)]
    index = ExactIndex(DIMENSION)
    index.upsert([index_row(m) for m in held], list(vectors([m.record for m in held])), 1)
    index.remove((m.record.id for m in held[: 3 * BLOCK]), 2)
    rest = [m for m in held[3 * BLOCK :] if Filter.of().admits(m.record, NOW_S)]
    query = Query(embedding=(1.0,) * DIMENSION)
    wanted = rank(rest, query, policy=p.presets.dense(), namespace=LAB, now_s=NOW_S, k=20, vectors=vectors)  # type: ignore[arg-type]
    found = index.search(query, p.presets.dense(), LAB, NOW_S, 20, Filter.of())
    assert found.ids == [hit.record.id for hit in wanted]


@pytest.mark.parametrize("k", [1, 5])
def test_an_empty_index_has_no_answer(k: int) -> None:
    found = ExactIndex(2).search(Query(embedding=(1.0, 0.0)), p.presets.dense(), LAB, 0.0, k, Filter.of())
    assert (found.ids, found.scores.tolist(), found.n_candidates) == ([], [], 0)
