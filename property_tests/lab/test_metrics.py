"""Laws of the measures: what ir-measures computes is what the definitions say, and what is undefined is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.lab.metrics import METRICS, per_query

IDS = [f"m{number}" for number in range(60)]


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[str], dict[str, int]]:
    ranking = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=60))
    relevant = draw(st.dictionaries(st.sampled_from(IDS), st.integers(1, 3), min_size=1, max_size=8))
    return ranking, relevant


def recall(ranking: list[str], relevant: dict[str, int], k: int) -> float:
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def ndcg(ranking: list[str], relevant: dict[str, int], k: int) -> float:
    def gain(labels: list[int]) -> float:
        return sum(label / math.log2(place + 1) for place, label in enumerate(labels[:k], 1))

    return gain([relevant.get(id, 0) for id in ranking]) / gain(sorted(relevant.values(), reverse=True))


def reciprocal_rank(ranking: list[str], relevant: dict[str, int]) -> float:
    return next((1.0 / place for place, id in enumerate(ranking, 1) if id in relevant), 0.0)


@given(st.lists(judged(), min_size=1, max_size=5))
def test_every_measure_is_what_its_definition_says(cases: list[tuple[list[str], dict[str, int]]]) -> None:
    rankings = {f"q{i}": ranking for i, (ranking, _) in enumerate(cases)}
    qrels = {f"q{i}": relevant for i, (_, relevant) in enumerate(cases)}
    found = per_query(rankings, qrels)
    assert list(found) == list(qrels)
    for question, relevant in qrels.items():
        ranking, values = rankings[question], found[question]
        assert list(values) == list(METRICS)
        for k in (5, 10, 25, 50):
            assert values[f"R@{k}"] == pytest.approx(recall(ranking, relevant, k), abs=1e-12)
        for k in (5, 10):
            assert values[f"recall_all@{k}"] == (set(relevant) <= set(ranking[:k]))
        assert values["nDCG@10"] == pytest.approx(ndcg(ranking, relevant, 10), abs=1e-9)
        assert values["RR"] == pytest.approx(reciprocal_rank(ranking, relevant), abs=1e-9)


@given(judged(), st.permutations(IDS))
def test_only_the_order_counts_and_no_tie_is_broken_by_name(
    case: tuple[list[str], dict[str, int]], names: list[str]
) -> None:
    renamed = dict(zip(IDS, names, strict=True))
    ranking, relevant = case
    other = {renamed[id]: label for id, label in relevant.items()}
    assert per_query({"q": ranking}, {"q": relevant}) == per_query({"q": [renamed[id] for id in ranking]}, {"q": other})


def test_a_question_without_an_answer_found_nothing() -> None:
    assert per_query({}, {"q": {"m1": 1}}, ["R@5", "RR"]) == {"q": {"R@5": 0.0, "RR": 0.0}}
    assert per_query({"other": ["m1"]}, {"q": {"m1": 1}}, ["R@5"]) == {"q": {"R@5": 0.0}}
    assert per_query({}, {}) == {}
    assert per_query({"q": ["m1"]}, {"q": {"m1": 1}}, []) == {"q": {}}


@pytest.mark.parametrize("metric", ["recall@5", "R@", "recall_all@0", "R@5; import os", "", "nDCG(dcg="])
def test_an_unknown_measure_is_refused(metric: str) -> None:
    with pytest.raises(InvalidParameterError, match="must be recall_all@K or a measure of ir_measures"):
        per_query({"q": ["m1"]}, {"q": {"m1": 1}}, [metric])


@pytest.mark.parametrize("relevant", [{}, {"m1": 0}, {"m1": 1, "m2": -1}])
def test_recall_over_nothing_is_undefined(relevant: dict[str, int]) -> None:
    with pytest.raises(InvalidParameterError, match="must name something relevant for each question"):
        per_query({"q": ["m1"]}, {"q": relevant})


def test_an_id_is_found_once() -> None:
    with pytest.raises(InvalidParameterError, match="must name no id twice"):
        per_query({"q": ["m1", "m1"]}, {"q": {"m1": 1}})
