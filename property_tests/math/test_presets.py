"""Laws of published policies, and the laws that released code breaks: each defect is convicted by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soma.math import policy as p
from soma.math import presets
from soma.math.units import DAY, HOUR
from soma.testing.policies import columns

ALL = sorted(presets.PRESETS)
days = st.floats(0, 400)
unit = st.floats(0, 1)


def scored(policy: p.Policy, **given_columns: Any) -> Any:
    """Scores; what is not given is the same for all."""
    n = max(len(np.atleast_1d(column)) for column in given_columns.values())
    places = {name: np.arange(n) for name in policy.features if name.startswith("place.")}
    same = {name: np.zeros(n) for name in policy.features} | {"id": np.arange(n)} | places
    return policy.evaluate(same | given_columns)


@pytest.mark.parametrize("name", ALL)
def test_a_preset_is_a_policy_with_a_name_a_source_and_a_formula(name: str) -> None:
    builder = presets.PRESETS[name]
    assert builder is getattr(p.presets, name) is getattr(presets, name)
    assert builder.__name__ == name
    policy = builder()
    assert p.from_json(policy.to_json()) == policy
    assert name in ("default", "dense", "conversation") or "Source: " in (builder.__doc__ or "")


@pytest.mark.parametrize("name", ALL)
@given(st.data())
def test_a_preset_has_a_finite_score_for_all_memories(name: str, data: st.DataObject) -> None:
    policy = presets.PRESETS[name]()
    table = data.draw(columns(policy.features, min_rows=1))
    scores = policy.evaluate(table)
    assert np.isfinite(scores).all()
    why = policy.explain_rows(table, range(len(scores)))
    assert [one.value for one in why] == scores.tolist()


def test_released_hashes_of_presets() -> None:
    found = {name: presets.PRESETS[name]().content_hash[:12] for name in ALL}
    assert found == {
        "act_r": "08e0098a9998",
        "conversation": "d0a9e627d6fc",
        "default": "63517264fe44",
        "dense": "bdd8a4e0ea9f",
        "generative_agents": "cfcac2fecbcf",
        "generative_agents_code": "ed2975047a5c",
        "hindsight": "e4f786be3928",
        "memorybank": "acf4e42c0c88",
        "memorybank_code": "e9bb38531db2",
        "openmemory": "7065bfa94f18",
        "redis": "4d53aa277de0",
    }


RISES_WITH = {
    "conversation": ['bm25(ratio=0.5, reach=6, group="session")', "mentions.speaker", "n_words"],
    "default": ["similarity", "bm25", "importance"],
    "dense": ["similarity", "importance"],
    "generative_agents": ["similarity", "importance"],
    "generative_agents_code": ["similarity", "importance"],
    "memorybank": ["similarity"],
    "memorybank_code": ["similarity"],
    "redis": ["similarity"],
    "openmemory": ["similarity", "lexical"],
    "hindsight": ["similarity", "lexical"],
    "act_r": ["similarity", "activation"],
}


@pytest.mark.parametrize(("name", "feature"), [(name, feature) for name in ALL for feature in RISES_WITH[name]])
@given(st.lists(unit, min_size=2, max_size=8))
def test_more_of_what_counts_never_ranks_lower(name: str, feature: str, x: list[float]) -> None:
    scores = scored(presets.PRESETS[name](), **{feature: np.sort(x)}, id=np.arange(len(x))[::-1])
    assert (np.diff(scores) >= -1e-12).all()


# What is recent: every preset but two keeps this law over the times where it is meant

FADES = {
    "default": ["idle_s"],
    "dense": ["idle_s"],
    "generative_agents": ["idle_s"],
    "memorybank": ["idle_s"],
    "memorybank_code": ["idle_s"],
    "redis": ["idle_s", "age_s"],
    "hindsight": ["age_s"],
}


@pytest.mark.parametrize(("name", "time"), [(name, time) for name, times in FADES.items() for time in times])
@given(st.lists(days, min_size=2, max_size=8))
def test_the_newer_never_ranks_lower(name: str, time: str, ages: list[float]) -> None:
    ages_s = np.sort(ages) * DAY
    assert (np.diff(scored(presets.PRESETS[name](), similarity=0.5, **{time: ages_s})) <= 1e-12).all()


def recency_order(policy: p.Policy, idle_days: list[float]) -> Any:
    """Rows by falling score, where they differ in the last recall only."""
    return np.argsort(-scored(policy, idle_s=np.array(idle_days) * DAY), kind="stable")


@given(st.lists(st.integers(0, 60).map(float), min_size=2, max_size=12, unique=True))
def test_the_code_of_generative_agents_gives_the_newest_the_lowest_recency(idle_days: list[float]) -> None:
    newest, oldest = int(np.argmin(idle_days)), int(np.argmax(idle_days))
    meant = recency_order(presets.generative_agents(), idle_days)
    computed = recency_order(presets.generative_agents_code(), idle_days)
    assert (meant[0], meant[-1]) == (newest, oldest)
    assert (computed[0], computed[-1]) == (oldest, newest)
    assert meant.tolist() == computed[::-1].tolist()


@given(
    st.lists(
        st.tuples(st.integers(1, 500), unit, st.integers(1, 10)), min_size=2, max_size=10, unique_by=lambda t: t[0]
    )
)
def test_the_code_of_generative_agents_is_what_its_source_says(memories: list[tuple[int, float, int]]) -> None:
    idle, similarity, poignancy = map(list, zip(*memories, strict=True))

    def normalised(values: list[float]) -> list[float]:
        low, high = min(values), max(values)
        return [(1 - 0) / 2 if low == high else (value - low) / (high - low) for value in values]

    place = {i: count for count, i in enumerate(sorted(range(len(idle)), key=lambda i: -idle[i]), start=1)}
    recency = normalised([0.99 ** place[i] for i in range(len(idle))])
    want = [
        0.5 * r + 3 * s + 2 * i
        for r, s, i in zip(recency, normalised(similarity), normalised(list(map(float, poignancy))), strict=True)
    ]
    assume(min(np.diff(sorted(set(similarity))), default=1) > 1e-9)
    got = scored(
        presets.generative_agents_code(),
        idle_s=np.array(idle) * HOUR,
        similarity=similarity,
        importance=(np.array(poignancy) - 1) / 9,
    )
    assert np.allclose(got, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("hours", "left"), [(1, 0.995), (24, 0.8866535105013078), (168, 0.4308018556079912)])
def test_the_paper_of_generative_agents_keeps_995_thousandths_an_hour(hours: int, left: float) -> None:
    # minmax hides the scale of one curve: three memories show it
    x = np.array([0.0, hours, 2 * hours]) * HOUR
    got = scored(presets.generative_agents(), idle_s=x)
    want = (left - left**2) / (1 - left**2)
    assert math.isclose(got[1] - 1, want, rel_tol=1e-11)  # besides half a unit from each of the two that are constant
    assert got.tolist() == [2.0, got[1], 1.0]


@given(days, st.integers(0, 40), st.integers(1, 40))
def test_the_code_of_memorybank_makes_strong_memories_fade_faster(t: float, n: int, more: int) -> None:
    paper, code = (
        scored(policy, similarity=1.0, idle_s=t * DAY, n_recalls=[n, n + more])
        for policy in (presets.memorybank(), presets.memorybank_code())
    )
    assert paper[1] >= paper[0]
    assert code[1] <= code[0]
    if 0.1 < t < 10:
        assert paper[1] > paper[0]
        assert code[1] < code[0]


def test_retention_of_memorybank_after_five_days_and_after_one() -> None:
    def retention(policy: p.Policy, t: float, *strengths: int) -> list[float]:
        return scored(policy, similarity=1.0, idle_s=t * DAY, n_recalls=np.array(strengths) - 1.0).round(6).tolist()

    assert np.round(retention(presets.memorybank_code(), 5, 1, 2, 5), 3).tolist() == [0.368, 0.135, 0.007]
    assert retention(presets.memorybank_code(), 1, 1, 2, 5, 10) == [0.818731, 0.67032, 0.367879, 0.135335]
    assert retention(presets.memorybank(), 1, 1, 2, 5, 10) == [0.367879, 0.606531, 0.818731, 0.904837]


@given(st.lists(st.integers(1, 59).map(float), min_size=2, max_size=6, unique=True))
def test_the_recency_of_openmemory_falls_for_67_days_and_then_rises(idle_days: list[float]) -> None:
    early = np.sort(idle_days)
    assert (np.diff(scored(presets.openmemory(), idle_s=early * DAY)) < 0).all()
    assert (np.diff(scored(presets.openmemory(), idle_s=(67 + early) * DAY)) > 0).all()
    assert scored(presets.openmemory(), idle_s=[70 * DAY])[0] < scored(presets.openmemory(), idle_s=[1e9])[0]


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("openmemory", ["importance", "n_recalls", "trace", "activation"]),  # its salience
        ("redis", ["importance", "n_recalls"]),
        ("hindsight", ["importance", "n_recalls", "idle_s"]),
    ],
)
def test_what_a_system_keeps_and_never_ranks_by(name: str, unread: list[str]) -> None:
    assert not presets.PRESETS[name]().features & set(unread)


def test_links_count_only_where_they_are_asked_for() -> None:
    builders: list[Callable[..., p.Policy]] = [presets.openmemory, presets.act_r]
    for builder in builders:
        assert "graph" not in builder().features
        few, many = scored(builder(links=True), graph=[0.0, 1.0])
        assert few == scored(builder(), similarity=[0.0])[0]
        assert many > few


@given(days, days)
def test_redis_is_the_published_sum(idle: float, age: float) -> None:
    got = scored(presets.redis(), similarity=[0.25], idle_s=idle * DAY, age_s=age * DAY)[0]
    recency = 0.6 * math.exp(-math.log(2) * idle / 7) + 0.4 * math.exp(-math.log(2) * age / 30)
    assert math.isclose(got, 0.8 * 0.25 + 0.2 * recency, rel_tol=1e-12)


@given(st.lists(st.tuples(unit, unit, st.floats(0, 1e4)), min_size=2, max_size=10))
def test_the_boost_of_hindsight_is_bounded(memories: list[tuple[float, float, float]]) -> None:
    similarity, lexical, age = (np.array(column) for column in zip(*memories, strict=True))
    boosted = scored(presets.hindsight(), similarity=similarity, lexical=lexical, age_s=age * DAY)
    base = boosted / (1 + 0.2 * (np.clip(1 - age / 365, 0.1, 1) - 0.5))
    assert np.allclose(np.sort(base), np.linspace(0.1, 1, len(base)), rtol=1e-9)
    assert (boosted <= 1.1 * base + 1e-12).all()
    assert (boosted >= 0.92 * base - 1e-12).all()


@given(st.floats(-20, 20), st.floats(-1, 1), st.floats(0, 10))
def test_act_r_adds_log_odds(activation: float, similarity: float, penalty: float) -> None:
    got = scored(
        presets.act_r(mismatch_penalty=penalty), activation=[activation, activation], similarity=[1.0, similarity]
    )
    assert got[0] == activation
    assert math.isclose(got[1] - got[0], penalty * (similarity - 1), rel_tol=1e-9, abs_tol=1e-12)
