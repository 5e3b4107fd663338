"""Laws of MinimalSoma: a value that never changes, and recall as an expression over it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma import DAY, MemoryRecord, MinimalSoma, Query, decay
from soma import policy as p
from soma.errors import InvalidParameterError, NotFoundError
from soma.math.coordinates import Frame
from soma.state.namespace import Namespace
from soma.testing.strategies import DIMENSION, records


def filled(stored: list[MemoryRecord]) -> MinimalSoma:
    value = MinimalSoma(dim=DIMENSION)
    for record in stored:
        value = soma.store(value, record)
    return value


some_records = st.lists(records(ids=st.uuids(), namespace="default", embedding_dimension=3), max_size=12)


@given(some_records)
def test_all_returns_what_was_stored_by_id(stored: list[MemoryRecord]) -> None:
    assert filled(stored).all() == tuple(sorted({r.id: r for r in stored}.values(), key=lambda r: r.id))


@given(some_records, records(namespace="default"))
def test_storing_leaves_the_old_value_intact(stored: list[MemoryRecord], record: MemoryRecord) -> None:
    before = filled(stored)
    everything, digest = before.all(), soma.state_hash(before)
    after = soma.store(before, record)
    assert record in after.all()
    assert (before.all(), soma.state_hash(before)) == (everything, digest)


@given(some_records, st.integers(1, 15))
def test_hits_come_by_falling_score_and_ties_by_id(stored: list[MemoryRecord], k: int) -> None:
    hits = filled(stored).recall([0.0, 0.0], now_s=2e9, k=k, policy=p.importance())
    order = [(-hit.score, hit.record.id) for hit in hits]
    assert order == sorted(order)
    assert [hit.rank for hit in hits] == list(range(len(hits)))


@given(some_records, st.integers(1, 5))
def test_a_smaller_k_is_a_prefix(stored: list[MemoryRecord], k: int) -> None:
    value = filled(stored)
    few, all_ = value.recall([0.0, 0.0], now_s=2e9, k=k), value.recall([0.0, 0.0], now_s=2e9, k=100)
    assert few.hits == all_.hits[:k]


@given(some_records)
def test_every_score_is_explained(stored: list[MemoryRecord]) -> None:
    hits = filled(stored).recall(Query(embedding=(1.0, 0.0, 0.0)), now_s=2e9, k=20)
    for hit in hits:
        assert math.isclose(hits.explain(hit.rank).value, hit.score, rel_tol=1e-12, abs_tol=1e-300)


@given(some_records)
def test_what_has_expired_is_not_recalled(stored: list[MemoryRecord]) -> None:
    now_s = 2.5e9
    found = {hit.record.id for hit in filled(stored).recall([0.0, 0.0], now_s=now_s, k=100)}
    live = {r.id for r in filled(stored).all() if r.expires_at is None or r.expires_at > now_s}
    assert found == live


@given(some_records)
def test_namespaces_do_not_leak(stored: list[MemoryRecord]) -> None:
    value, _ = filled(stored).register(Namespace("other", dimension=DIMENSION))
    assert len(value.recall([0.0, 0.0], now_s=2e9, namespace="other")) == 0


@given(some_records, st.floats(0, 1e9), st.floats(0, 1e9))
def test_recall_under_decay_never_rises_with_time(stored: list[MemoryRecord], a: float, b: float) -> None:
    value, policy = filled(stored), p.similarity() * p.decay(decay.Exponential(half_life_s=7 * DAY))
    early, late = (
        {hit.record.id: hit.score for hit in value.recall([0.0, 0.0], now_s=now_s, k=100, policy=policy)}
        for now_s in (4.2e9 - max(a, b) - 1e9, 4.2e9 - min(a, b))
    )
    assert all(late[id] <= early[id] for id in late if id in early)


def record(n: int, **fields: object) -> MemoryRecord:
    given: dict[str, object] = {"coordinate": [0.0, 0.0], "timestamp": 0.0, "importance": 5}
    return MemoryRecord(id=f"00000000-0000-4000-8000-{n:012d}", **{**given, **fields})  # type: ignore[arg-type]


def test_filters_by_tag_and_type() -> None:
    value = filled([record(1, tags=["a", "b"]), record(2, tags=["a"], memory_type="semantic"), record(3)])

    def ids(**keep: object) -> list[int]:
        return [int(str(hit.record.id)[-1]) for hit in value.recall([0.0, 0.0], now_s=0, k=9, **keep)]  # type: ignore[arg-type]

    assert ids(tags=["a"]) == [1, 2]
    assert ids(tags=["a", "b"]) == [1]
    assert ids(memory_type="semantic") == [2]


def test_the_same_cell_is_found_by_address() -> None:
    value, _ = MinimalSoma().register(Namespace("cells", dimension=2, frame=Frame((0.0, 0.0), (1.0, 1.0))))
    for n, point in enumerate([(0.1, 0.1), (0.2, 0.2), (0.9, 0.9)]):
        value = value.store(record(n, namespace="cells", coordinate=point))
    hits = value.recall([0.15, 0.15], now_s=0, policy=p.same_cell(2), namespace="cells")
    assert [hit.score for hit in hits] == [1.0, 1.0, 0.0]


def test_lexical_overlap_and_activation_are_terms_too() -> None:
    value = filled([record(1, text="the flaky clock test"), record(2, text="a menu")])
    hits = value.recall("clock test", now_s=DAY, policy=p.lexical() + 0 * p.activation())
    assert [int(str(hit.record.id)[-1]) for hit in hits] == [1, 2]
    assert hits[0].score == 1.0


def test_a_newer_access_raises_the_trace() -> None:
    from soma.state.events import MemoryRecalled

    value = filled([record(1)])
    recalled = MemoryRecalled(event_id=record(9).id, at_s=DAY, namespace="default", id=record(1).id)
    after, _ = soma.apply(value, recalled)
    before_s, after_s = (v.recall([0.0, 0.0], now_s=2 * DAY, policy=p.trace())[0].score for v in (value, after))
    assert after_s > before_s


@pytest.mark.parametrize(
    ("query", "policy", "word"),
    [
        ("words", None, "embedding"),
        ([0.0, 0.0], p.lexical(), "text"),
        ([0.0], None, "dimension"),
        ([0.0, 0.0], p.same_cell(1), "frame"),
        ([0.0, 0.0], p.graph(), "focus"),
        ([math.nan, 0.0], None, "finite"),
    ],
)
def test_a_query_that_cannot_serve_the_policy_says_why(query: object, policy: object, word: str) -> None:
    with pytest.raises(InvalidParameterError, match=word):
        filled([record(1)]).recall(query, now_s=0, policy=policy)  # type: ignore[arg-type]


def test_a_naive_datetime_a_bad_k_and_an_unknown_namespace_are_refused() -> None:
    from datetime import datetime

    value = filled([record(1)])
    with pytest.raises(InvalidParameterError, match="aware"):
        value.recall([0.0, 0.0], now_s=datetime(2026, 3, 1))  # noqa: DTZ001 - the naive one is the point
    with pytest.raises(InvalidParameterError, match="k must"):
        value.recall([0.0, 0.0], now_s=0, k=0)
    with pytest.raises(InvalidParameterError, match="policy must be a Policy"):
        value.recall([0.0, 0.0], now_s=0, policy="similarity()")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="offset from UTC"):
        value.recall([0.0, 0.0], now_s="2026-03-01T12:00:00")
    with pytest.raises(NotFoundError, match="namespace nowhere"):
        value.recall([0.0, 0.0], now_s=0, namespace="nowhere")


def test_a_coordinate_of_another_dimension_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="dimension 2"):
        MinimalSoma(dim=2).store(record(1, coordinate=[0.0, 0.0, 0.0]))


def test_control_characters_do_not_reach_the_terminal() -> None:
    hits = filled([record(1, text="\x1b[31mred\x07 \u202e alert\nsecond line")]).recall([0.0, 0.0], now_s=0)
    assert all(letter.isprintable() or letter == "\n" for letter in repr(hits))
    assert "second line" not in repr(hits)


def test_html_is_escaped() -> None:
    hits = filled([record(1, text="<script>alert(1)</script>")]).recall([0.0, 0.0], now_s=0)
    assert "<script>" not in hits._repr_html_()
    assert np.isfinite(hits[0].score)
