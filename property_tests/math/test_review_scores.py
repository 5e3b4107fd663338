"""Scores of predictions: what they mean, that the truth scores best, and that others compute the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests.math.test_review_odds import histories
from soma.errors import InvalidParameterError
from soma.math.review_scores import LEAST, area_under_curve, bins_error, log_losses, time_splits
from soma.math.units import DAY

probabilities = st.floats(0.0, 1.0)
pairs = st.lists(st.tuples(st.booleans(), probabilities), min_size=1, max_size=40)


def columns(pairs: list[tuple[bool, float]]) -> tuple[Any, Any]:
    return np.array([y for y, _ in pairs]), np.array([p for _, p in pairs])


@given(probabilities, st.lists(probabilities, min_size=1, max_size=9))
def test_the_truth_has_the_least_expected_loss(truth: float, others: list[float]) -> None:
    truth = min(max(truth, LEAST), 1 - LEAST)

    def expected(p: float) -> float:
        return float(truth * log_losses([True], [p])[0] + (1 - truth) * log_losses([False], [p])[0])

    assert all(expected(truth) <= expected(p) + 1e-12 for p in others)


@given(pairs)
def test_the_loss_is_the_surprise_and_bounded(pairs: list[tuple[bool, float]]) -> None:
    y, p = columns(pairs)
    losses = log_losses(y, p)
    cut = np.clip(p, LEAST, 1 - LEAST)
    np.testing.assert_allclose(losses, [-np.log(q if ok else 1 - q) for ok, q in zip(y, cut, strict=True)], rtol=1e-9)
    assert ((losses > 0) & (losses <= -np.log(LEAST) + 1e-9)).all()


@given(pairs)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[bool, float]]) -> None:
    y, p = columns(pairs)
    won = [(a > b) + (a == b) / 2 for a in p[y] for b in p[~y]]
    assert area_under_curve(y, p) == pytest.approx(sum(won) / len(won) if won else 0.5, abs=1e-12)


@given(pairs)
def test_the_area_sees_only_the_order(pairs: list[tuple[bool, float]]) -> None:
    y, p = columns(pairs)
    ranks = np.unique(p, return_inverse=True)[1].reshape(p.shape) / len(p)
    assert area_under_curve(y, ranks) == pytest.approx(area_under_curve(y, p), abs=1e-12)
    assert area_under_curve(~y, p) == pytest.approx(1 - area_under_curve(y, p), abs=1e-12)


@given(st.integers(1, 60), st.integers(0, 1_000))
def test_bins_that_are_met_on_average_have_no_error(n: int, seed: int) -> None:
    seen, rng = histories(n, seed), np.random.default_rng(seed)
    y, p = rng.random(n) < 0.8, rng.random(n)
    error = bins_error(y, p, seen)
    assert 0.0 <= error <= 1.0
    assert bins_error(y, y.astype(float), seen) == 0.0
    order = rng.permutation(n)
    assert bins_error(y[order], p[order], seen.at(order)) == pytest.approx(error, abs=1e-12)
    one_bin = replace(seen, elapsed_s=np.full(n, 1e5), n_reviews=np.full(n, 3.0), lapse_share=np.full(n, 1 / 3))
    assert bins_error(y, p, one_bin) == pytest.approx(abs(y.mean() - p.mean()), abs=1e-12)
    assert error >= bins_error(y, p, one_bin) - 1e-12  # finer bins never hide an error


def bin_by_hand(days: float, n_reviews: int, n_lapses: int) -> tuple[int, int, int]:
    """Count the steps one by one, as one would with a table of their ends."""
    steps = []
    for value, ratio in ((max(days, 1.0), 3.62), (n_reviews + 1.0, 1.89), (float(n_lapses), 1.73)):
        ends, step = ratio, 0
        while value >= ends:
            ends, step = ends * ratio, step + 1
        steps.append(step)
    return steps[0], steps[1], steps[2] + 1 if n_lapses else 0


@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_bins_hold_reviews_of_like_age_number_and_lapses(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.random(n) < 0.7, rng.random(n)
    days, n_reviews = 10.0 ** rng.uniform(-1.0, 3.5, n), rng.integers(1, 60, n)
    n_lapses = rng.integers(0, n_reviews + 1)
    seen = replace(
        histories(n, seed),
        elapsed_s=days * DAY,
        n_reviews=n_reviews.astype(np.float64),
        lapse_share=n_lapses / n_reviews,
    )
    bins: dict[tuple[int, int, int], list[int]] = {}
    for row in range(n):
        bins.setdefault(bin_by_hand(days[row], int(n_reviews[row]), int(n_lapses[row])), []).append(row)
    squares = [len(rows) * (y[rows].mean() - p[rows].mean()) ** 2 for rows in bins.values()]
    assert bins_error(y, p, seen) == pytest.approx(np.sqrt(sum(squares) / n), abs=1e-12)


@given(st.integers(2, 500), st.integers(1, 12))
def test_each_test_follows_its_training(n: int, n_splits: int) -> None:
    if n < n_splits + 1:
        with pytest.raises(InvalidParameterError, match="n_splits"):
            list(time_splits(n, n_splits))
        return
    splits = list(time_splits(n, n_splits))
    assert len(splits) == n_splits
    assert [train.start for train, _ in splits] == [0] * n_splits
    assert [train.stop for train, _ in splits] == [test.start for _, test in splits]
    assert {test.stop - test.start for _, test in splits} == {n // (n_splits + 1)}
    assert splits[-1][1].stop == n
    assert [test.stop for _, test in splits[:-1]] == [test.start for _, test in splits[1:]]


@pytest.mark.parametrize("score", [log_losses, area_under_curve])
@pytest.mark.parametrize(
    ("outcome", "probability"),
    [([True], [1.1]), ([True], [np.nan]), ([True, False], [0.5]), ([1], [0.5]), ([], []), ([[True]], [[0.5]])],
)
def test_what_is_no_prediction_is_refused(score: Any, outcome: Any, probability: Any) -> None:
    with pytest.raises(InvalidParameterError):
        score(outcome, probability)


def test_bins_need_the_history_of_the_same_reviews() -> None:
    seen = histories(3, 0)
    with pytest.raises(InvalidParameterError, match="3"):
        bins_error([True] * 3, [0.5] * 3, seen.at(slice(0, 2)))
    with pytest.raises(InvalidParameterError, match="no first one"):
        bins_error([True] * 3, [0.5] * 3, replace(seen, elapsed_s=np.array([1.0, np.nan, 1.0])))
