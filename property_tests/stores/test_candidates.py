"""Laws of the candidates and of the filters: what is held in memory follows the log, and admits what it should."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma import DAY, Between, InvalidParameterError, MemoryRecord, Query
from soma import policy as p
from soma.state.query import Filter
from soma.stores.candidates import LEAST

NOW = 1_772_323_200.0
ALL_TERMS = (
    p.bm25(ratio=0.5, reach=2, group="by.name")
    + p.bm25()
    + p.lexical()
    + p.mentions("by.name")
    + p.minmax(p.similarity())
    + p.top_mean(p.n_words() + p.asks(), "by.name", 2)
    + 0.1 * p.rank(p.importance())
)


@pytest.fixture
def memory(tmp_path: Path) -> soma.Memory:
    return soma.open(tmp_path / "store", embedder="hashing", clock=lambda: NOW)


def record(number: int, text: str, memory: soma.Memory, **others: Any) -> MemoryRecord:
    coordinate = [0.0] * memory.registration.dimension
    fields = {"timestamp": NOW - number * 60, "importance": number % 7, **others}
    return MemoryRecord(id=UUID(int=number), namespace=memory.namespace, coordinate=coordinate, text=text, **fields)


def assert_as_defined(memory: soma.Memory, question: str = "Did Ada mend the clock?", **keep: Any) -> soma.Recall:
    asked = memory._store.ask(question)
    found = memory.recall(asked, policy=ALL_TERMS, k=20, **keep)
    wanted = memory.recall(asked, policy=ALL_TERMS, k=20, state=memory.as_of(NOW + DAY), **keep)
    assert found.hits == wanted.hits
    assert found.explanations == wanted.explanations
    assert found.n_candidates == wanted.n_candidates
    return found


def test_what_is_held_follows_every_change_and_clears_away_what_is_gone(memory: soma.Memory, tmp_path: Path) -> None:
    words = ["clock", "mend", "menu", "Ada", "wall?", "test"]
    other = soma.open(tmp_path / "store", embedder="hashing", clock=lambda: NOW)
    for turn in range(4):
        numbers = range(turn * 100, turn * 100 + 400)
        memory.store_many(
            [
                record(
                    number,
                    " ".join(itertools.islice(itertools.cycle(words), number % 5, number % 5 + 1 + 3 * turn)),
                    memory,
                    payload={"by": {"name": ["Ada", "Grace", None][(number + turn) % 3]}, "n": number},
                )
                for number in numbers
            ]
        )
        assert_as_defined(memory)
        for number in range(turn * 100, turn * 100 + 20):
            other.forget(UUID(int=number))
        assert_as_defined(memory)
        assert_as_defined(other)
    held = memory._store._candidates
    assert held is not None
    assert len(held) == len(memory) == 700 - 80
    assert len(held._is_live.held) < 4 * 400
    assert max(map(len, (held._values["by.name"].values, held._tags.values))) <= 3


def test_a_store_is_read_once_for_all_questions(memory: soma.Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.store_many([record(number, f"clock {number}", memory) for number in range(20)])
    assert_as_defined(memory)
    records = type(memory._store.storage.records)
    monkeypatch.setattr(records, "live", lambda *_: pytest.fail("the store was read"))
    assert memory.recall("clock 7", policy=ALL_TERMS)[0].record.id == UUID(int=7)
    memory.remember("the clock of Ada")
    memory.recall("clock", policy=ALL_TERMS, reinforce=True)
    assert len(memory.recall("clock", policy=ALL_TERMS, k=30)) == 21


def test_an_empty_store_has_no_candidates(memory: soma.Memory) -> None:
    assert memory.recall("clock", policy=ALL_TERMS).hits == ()
    memory.store(record(1, "clock", memory))
    assert memory.recall("clock", policy=ALL_TERMS, tags=["none"]).n_candidates == 0
    memory.forget(UUID(int=1))
    assert memory.recall("clock", policy=ALL_TERMS).n_candidates == 0


def test_few_dead_rows_are_left_to_lie(memory: soma.Memory) -> None:
    memory.store(record(1, "clock", memory))
    for number in range(30):
        memory.recall("clock", policy=p.bm25() + number, reinforce=True)
    held = memory._store._candidates
    assert held is not None
    assert 1 < len(held._is_live.held) < LEAST


# Filters

PAYLOADS = [
    {},
    {"by": {"name": "Ada"}, "stars": 3},
    {"by": {"name": "Grace"}, "stars": 4.5, "on": "2024-06-03"},
    {"by": {"name": ["Ada", "Grace"]}, "stars": "4", "on": "2024-05-31"},
    {"by": None, "stars": [1, 9], "on": True},
]
CONDITIONS: list[tuple[dict[str, Any], set[int]]] = [
    ({"by.name": "Ada"}, {1, 3}),
    ({"by.name": ["Ada", "Grace"]}, {1, 2, 3}),
    ({"by.name": None}, {0, 4}),
    ({"by.name": ("Ada", None)}, {0, 1, 3, 4}),
    ({"stars": 3.0}, {1}),
    ({"stars": "4"}, {3}),
    ({"stars": Between(3, 5)}, {1, 2}),
    ({"stars": Between(upper=2)}, {4}),
    ({"stars": Between("0", "9")}, {3}),
    ({"on": Between(lower="2024-06")}, {2}),
    ({"on": True}, {4}),
    ({"on": []}, set()),
    ({"by.name": "Ada", "stars": Between(4)}, set()),
    ({"by.name": "Grace", "stars": Between(4)}, {2}),
]


@pytest.mark.parametrize(("where", "wanted"), CONDITIONS, ids=lambda value: str(value)[:40])
def test_a_filter_on_the_payload_admits_what_it_says(where: dict[str, Any], wanted: set[int], tmp_path: Path) -> None:
    memory = soma.open(tmp_path / "store", embedder="hashing", clock=lambda: NOW)
    memory.store_many([record(number, "clock", memory, payload=payload) for number, payload in enumerate(PAYLOADS)])
    for policy in (p.presets.dense(), p.bm25() + p.rank(p.importance())):
        found = memory.recall("clock", policy=policy, k=9, where=where)
        assert {hit.record.id.int for hit in found} == wanted
        assert found.n_candidates == len(wanted)
        past = memory.recall("clock", policy=policy, k=9, where=where, state=memory.as_of(NOW))
        assert past.hits == found.hits


times = st.none() | st.integers(-1, 5).map(lambda number: NOW - number * 60)


@given(times, times, st.sampled_from([(), ("odd",)]), st.sampled_from([None, "episodic", "semantic"]))
def test_a_filter_admits_the_same_records_one_by_one_in_the_index_and_in_all(
    filtered: soma.Memory, since: float | None, until: float | None, tags: tuple[str, ...], memory_type: str | None
) -> None:
    keep = {"since": since, "until": until, "tags": tags, "memory_type": memory_type}
    admits = Filter.of(**keep)  # type: ignore[arg-type]
    wanted = {record.id for record in filtered if admits.admits(record, NOW)}
    for policy in (p.presets.dense(), p.bm25()):
        assert {hit.record.id for hit in filtered.recall("clock", policy=policy, k=9, **keep)} == wanted  # type: ignore[arg-type]
    low, high = -np.inf if since is None else since, np.inf if until is None else until
    assert all(low <= memory.timestamp < high for memory in filtered if memory.id in wanted)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> soma.Memory:
    memory = soma.open(tmp_path_factory.mktemp("store"), embedder="hashing", clock=lambda: NOW)
    kinds = itertools.cycle(["episodic", "semantic", "semantic"])
    memory.store_many(
        [
            record(number, "clock", memory, tags=["odd"] if number % 2 else [], memory_type=kind)
            for number, kind in zip(range(6), kinds, strict=False)
        ]
    )
    return memory


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": float("nan")}, "until"),
        ({"where": "by=Ada"}, "where"),
        ({"where": {"": 1}}, "where"),
        ({"where": {3: 1}}, "where"),
    ],
)
def test_a_filter_outside_its_domain_is_named(memory: soma.Memory, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{named} must"):
        memory.recall("clock", **wrong)


@pytest.mark.parametrize("ends", [(), (3, "4"), (5, 3), ("b", "a"), (float("inf"),), (True,), ([1], [2])])
def test_a_range_has_two_ends_of_one_kind_in_order(ends: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidParameterError, match=r"^between must"):
        Between(*ends)


# Many questions


@pytest.mark.parametrize("policy", [p.default(), ALL_TERMS, p.presets.conversation("by.name", "by.name")])
@pytest.mark.parametrize("is_past", [False, True])
def test_a_batch_answers_as_one_by_one(memory: soma.Memory, policy: p.Policy, is_past: bool) -> None:
    texts = ["Ada mends the clock", "a menu?", "the wall", "clocks of last May"]
    memory.store_many([record(number, text, memory, payload=PAYLOADS[number]) for number, text in enumerate(texts)])
    asked = ["clock", "Did Ada mend it last May?", Query(text="menu"), "wall"]
    keep: dict[str, Any] = {"policy": policy, "k": 3, "since": NOW - DAY, "as_of": NOW if is_past else None}
    batch = memory.recall_batch(asked, **keep)
    assert batch == [memory.recall(query, **keep) for query in asked]
    assert memory.recall_batch([]) == []


def test_a_batch_with_a_blank_question_answers_none(memory: soma.Memory) -> None:
    with pytest.raises(InvalidParameterError, match="must contain words"):
        memory.recall_batch(["clock", " "])


def test_an_answer_says_which_way_it_was_found_and_which_times_it_understood(memory: soma.Memory) -> None:
    memory.store_many([record(number, f"clock {number}", memory) for number in range(3)])
    question = "Which clock broke in March 2023?"
    assert memory.recall(question, policy=p.presets.dense()).search == "found by index: 3 of 3 memories read"
    in_words = memory.recall(question, policy=p.bm25())
    assert in_words.search == "found by scan: 3 of 3 memories read, since the index keeps no range of bm25"
    by_nobody = memory.recall(question, policy=p.presets.dense(), where={"by": None})
    assert by_nobody.search == "found by scan: 3 of 3 memories read"
    assert [str(time) for time in in_words.times] == ["'in March 2023': 2023-03-01T00:00:00Z to 2023-04-01T00:00:00Z"]
    assert memory.recall([0.0] * memory.registration.dimension).times == ()
