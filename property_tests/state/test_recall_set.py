"""Laws of recall by a set-level policy: the candidates are all that the filters admit, and no index takes part."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma import DAY, HOUR, InvalidParameterError
from soma import policy as p
from soma.lab import plots
from soma.state.minimal import MinimalSoma
from soma.state.query import Filter
from soma.state.record import MemoryRecord
from soma.stores.vectors_memory import ExactIndex

NOW = 1_772_323_200.0

POLICIES = {
    "fused": p.rrf(p.similarity(), p.lexical()),
    "normalised": p.minmax(p.similarity()) + p.minmax(p.importance()),
    "surrounded": p.similarity() + 0.5 * p.context(p.similarity(), [HOUR, DAY], "sitting"),
    "in its words": p.bm25(ratio=0.6, reach=2, group="sitting") + p.neighbours(p.bm25(), "sitting") * (1 - p.asks()),
    "after": p.previous(p.similarity(), "sitting") + p.when() + p.mentions("sitting") + p.n_words(),
    "together": p.top_mean(p.similarity(), "sitting", 2) * (1 + p.n_recalls()),
    "ranked": 0.9 ** p.rank(p.idle_s()),
    "as Generative Agents": p.presets.generative_agents(),
    "as Hindsight": p.presets.hindsight(),
}


def record(number: int, x: float, hours: int, sitting: object, importance: int) -> MemoryRecord:
    payload = {"note": "clock test" if number % 2 else "clock wall"}
    return MemoryRecord(
        id=UUID(int=number),
        coordinate=[x],
        timestamp=NOW - HOUR * hours,
        importance=importance,
        payload=payload if sitting is None else payload | {"sitting": sitting},
        embedding=[x, 1.0 - x],
        model_revision="test",
        tags=["odd"] if number % 2 else [],
    )


records = st.lists(
    st.tuples(
        st.sampled_from([0.1, 0.5, 0.9]),
        st.integers(-2, 60),
        st.sampled_from([None, "a", 1, "1", ["a"]]),
        st.integers(1, 10),
    ),
    min_size=1,
    max_size=12,
).map(lambda rows: [record(number, *row) for number, row in enumerate(rows)])


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(records, st.integers(1, 14), st.randoms(use_true_random=False))
def test_a_recall_scores_the_set_whatever_its_order_and_explains_each_hit(
    name: str, memories: list[MemoryRecord], k: int, random: object
) -> None:
    policy = POLICIES[name]
    query = soma.Query(text="clock test", embedding=[0.3, 0.7])

    def answer(shuffled: list[MemoryRecord], k: int) -> soma.Recall:
        state = MinimalSoma(dim=1)
        for memory in shuffled:
            state = state.store(memory)
        return state.recall(query, now_s=NOW, k=k, policy=policy)

    found = answer(memories, k)
    everything = answer(random.sample(memories, len(memories)), len(memories))  # type: ignore[attr-defined]
    assert found.n_candidates == len(memories)
    assert [(hit.record.id, hit.score) for hit in found] == [(hit.record.id, hit.score) for hit in everything[:k]]
    for hit in found:
        assert found.explain(hit.rank).value == hit.score
        assert set(hit.features) == {name for name in policy.features if name != "id" and not name.startswith("place.")}
    assert [row["id"] for row in found.to_rows()] == [str(hit.record.id) for hit in found]
    with pytest.raises(InvalidParameterError, match="below"):
        found.explain(len(found))


def test_labels_of_a_payload_are_its_json_values() -> None:
    state = MinimalSoma(dim=1)
    for number, sitting in enumerate([1, "1", 1.0, None, None, ["a"], ["a"]]):
        state = state.store(record(number, 0.1 * (number + 1), 1, sitting, 1))
    sizes = p.top_mean(p.similarity(), "sitting", 9)
    found = state.recall([0.5], now_s=NOW, k=9, policy=sizes)
    counts = {hit.record.id.int: found.explain(hit.rank).children[-1].value for hit in found}
    assert counts == {0: 2, 1: 1, 2: 2, 3: 1, 4: 1, 5: 2, 6: 2}


@pytest.fixture
def memory(tmp_path: Path) -> soma.Memory:
    opened = soma.open(tmp_path / "store", clock=lambda: NOW)
    for number in range(12):
        opened.remember(
            f"The clock test number {number} is {'slow' if number % 3 else 'flaky'}",
            timestamp=NOW - number * DAY,
            importance=1 + number % 5,
            payload={"sitting": number // 4},
            tags=["odd"] if number % 2 else [],
        )
    return opened


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_store_never_asks_the_index_about_a_set(
    name: str, memory: soma.Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the index was asked")

    monkeypatch.setattr(ExactIndex, "search_batch", refuse)
    found = memory.recall("flaky clock test", policy=POLICIES[name], k=3)
    assert found.n_candidates == 12
    assert found.explain(0).value == found[0].score
    assert len(found.to_frame()) == 3
    assert found.plot() is not None
    with pytest.raises(InvalidParameterError, match="must be pointwise here"):
        plots.fading(found)
    with pytest.raises(AssertionError, match="the index was asked"):
        memory.recall("flaky clock test", policy=p.presets.dense())


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"in its words", "after"}))  # which read what it does not hold
def test_the_index_refuses_a_set_level_policy(name: str, memory: soma.Memory) -> None:
    engine = memory._store
    query = soma.Query(text="clock", embedding=[1.0] + [0.0] * (engine.embedder.dimension - 1))
    with pytest.raises(InvalidParameterError, match="must be pointwise to have bounds"):
        engine.index.search(query, POLICIES[name], engine.registration, NOW, 3, Filter.of())


def test_the_filters_make_the_candidate_set(memory: soma.Memory) -> None:
    policy = p.rank(p.importance())
    odd = memory.recall("clock", policy=policy, tags=["odd"], k=12)
    assert odd.n_candidates == 6
    assert sorted(hit.score for hit in odd) == [0, 1, 2, 3, 4, 5]
    assert sorted(hit.score for hit in memory.recall("clock", policy=policy, k=12)) == list(range(12))


def test_n_recalls_counts_recalls(memory: soma.Memory) -> None:
    best = memory.recall("number 7", policy=p.similarity(), k=1, reinforce=True)[0].record.id
    found = memory.recall("number 7", policy=p.n_recalls(), k=12)
    assert {hit.record.id: hit.score for hit in found} == {hit.record.id: float(hit.record.id == best) for hit in found}
    assert np.isclose(found[0].score, 1.0)
