"""A forecast is the policy followed into the future: before its time a memory stands, after it it has fallen."""

from __future__ import annotations

import math
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma import DAY, Namespace, fold, policy
from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.similarity import unit_vectors
from soma.state.events import NamespaceRegistered
from soma.state.forecast import best_scores, forecast
from soma.state.query import Query
from soma.state.recall import rank
from soma.state.stored import StoredMemory
from soma.testing.strategies import DIMENSION, events

LAB = Namespace("lab", dimension=DIMENSION)
REGISTERED = NamespaceRegistered(event_id=UUID(int=76_000), at_s=0, registration=LAB)
NOW = 3e9  # after everything that is drawn
HORIZON = NOW + 400 * DAY
CURVES = {
    "exponential": decay.Exponential(half_life_s=5_000 * DAY),
    "power": decay.Power(scale_s=100 * DAY, exponent=0.3),
    "steps": decay.Exponential(half_life_s=9_000 * DAY),
}


def states() -> st.SearchStrategy[list[StoredMemory]]:
    """Draw the live memories of a log."""
    drawn = st.lists(events(namespace="lab"), min_size=8, max_size=20, unique_by=lambda event: event.event_id)
    return drawn.map(lambda log: fold([REGISTERED, *log]).live("lab"))


@pytest.mark.parametrize("name", list(CURVES))
@settings(max_examples=60)
@given(memories=states(), share=st.floats(0.05, 1.5))
def test_a_memory_stands_until_it_falls(name: str, memories: list[StoredMemory], share: float) -> None:
    scored = policy.presets.dense() if name == "steps" else policy.decay(CURVES[name])
    now = best_scores(memories, scored, LAB, NOW)
    threshold = float(np.median(now)) * share if len(now) else 0.5
    found = forecast(memories, scored, LAB, threshold=threshold, now_s=NOW, horizon_s=HORIZON)
    falls = {fall.id: fall for fall in found.falls}
    assert found.n_memories == len(memories)
    for memory, score in zip(memories, now, strict=True):
        record, at_s = memory.record, falls[memory.record.id].at_s if memory.record.id in falls else math.inf
        ends = math.inf if record.expires_at is None else record.expires_at
        if record.pinned:
            assert at_s == math.inf
            continue

        def score_at(when: float, one: StoredMemory = memory) -> float:
            return float(best_scores([one], scored, LAB, when)[0])

        if at_s == math.inf:
            assert ends > HORIZON
            assert score_at(HORIZON) >= threshold * (1 - 1e-12)
            continue
        assert falls[record.id].score == score
        assert NOW <= at_s <= HORIZON
        assert at_s >= ends or score_at(at_s + 1.0) < threshold * (1 + 1e-12)
        if at_s > NOW:
            assert ends >= at_s
            assert score_at(at_s - 1.0) >= threshold * (1 - 1e-12)


@settings(max_examples=60)
@given(states(), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_higher_threshold_and_a_later_horizon_take_more(memories: list[StoredMemory], a: float, b: float) -> None:
    scored = policy.decay(CURVES["power"])

    def ids(threshold: float, horizon_s: float) -> set[UUID]:
        found = forecast(memories, scored, LAB, threshold=threshold, now_s=NOW, horizon_s=horizon_s)
        return {fall.id for fall in found.falls}

    assert ids(min(a, b), HORIZON) <= ids(max(a, b), HORIZON)
    assert ids(a, NOW + DAY) <= ids(a, HORIZON)


@settings(max_examples=60)
@given(states(), st.integers(0, 2**16))
def test_no_query_scores_a_memory_higher_than_its_best(memories: list[StoredMemory], seed: int) -> None:
    random = np.random.default_rng(seed)
    units = unit_vectors(random.normal(size=(len(memories) + 1, 3)).astype(np.float32))
    units[-1] = units[seed % len(units)]
    query = Query(text="the clock", embedding=tuple(units[-1].tolist()))
    found = rank(
        memories,
        query,
        policy=policy.presets.dense(),
        namespace=LAB,
        now_s=NOW,
        k=99,
        vectors=lambda _: units[:-1],
        links=tuple,
    )
    best = dict(
        zip(
            [memory.record.id for memory in memories],
            best_scores(memories, policy.presets.dense(), LAB, NOW).tolist(),
            strict=True,
        )
    )
    assert len(found) == len(memories)
    for hit in found:
        assert hit.score <= best[hit.record.id] * (1 + 1e-6)


def test_days_are_counted_in_their_order() -> None:
    memories = fold([REGISTERED]).live("lab")
    found = forecast(memories, policy.presets.dense(), LAB, threshold=0.5, now_s=NOW, horizon_s=HORIZON)
    assert (found.falls, found.by_day(), str(found)) == ((), {}, "0 of 0 memories fall under 0.5 by 2066-02-28")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"threshold": math.nan}, "threshold must be finite"),
        ({"horizon_s": NOW - 1}, "horizon must not lie before now"),
        ({"policy": policy.rank(policy.similarity())}, "pointwise"),
    ],
)
def test_what_has_no_meaning_is_refused(change: dict[str, object], sentence: str) -> None:
    given_: dict[str, object] = {"policy": policy.presets.dense(), "threshold": 0.5, "horizon_s": HORIZON} | change
    with pytest.raises(InvalidParameterError, match=sentence):
        forecast([], namespace=LAB, now_s=NOW, **given_)  # type: ignore[arg-type]
