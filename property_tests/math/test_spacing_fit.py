"""Fitting FSRS: likelier than where it began, held near the published weights, and within the domain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from soma.errors import InvalidParameterError
from soma.math.review_scores import log_losses
from soma.math.spacing import FSRS, WEIGHT_DOMAIN, fit_fsrs, replay
from soma.math.units import DAY

PUBLISHED = FSRS.published("6")


def drawn(model: FSRS, n_items: int, n_reviews: int, seed: int) -> tuple[Any, Any, Any]:
    """Return a log in which the model is right: every outcome is drawn from its prediction."""
    rng = np.random.default_rng(seed)
    state = model.start(np.full(n_items, 3), np.zeros(n_items))
    items, times, marks = [np.arange(n_items)], [np.zeros(n_items)], [np.full(n_items, 3)]
    for _ in range(n_reviews):
        at_s = state.last_review_s + np.ceil(rng.exponential(10.0, n_items)) * DAY
        recall = model.retrievability(at_s - state.last_review_s, state.stability_s)
        grade = np.where(rng.random(n_items) < recall, rng.choice([2, 3, 4], n_items, p=[0.3, 0.6, 0.1]), 1)
        state = model.review(state, grade, at_s)
        items.append(np.arange(n_items))
        times.append(at_s)
        marks.append(grade)
    return np.concatenate(items), np.concatenate(times), np.concatenate(marks)


def loss(model: FSRS, log: tuple[Any, Any, Any]) -> float:
    seen = replay(model, *log)
    return float(log_losses(log[2][seen.is_scored] > 1, seen.retrievability[seen.is_scored]).mean())


TRUE = FSRS("6", (*PUBLISHED.weights[:2], 6.0, *PUBLISHED.weights[3:20], 0.4))


@pytest.mark.parametrize("version", ["4", "4.5", "5", "6"])
def test_the_fit_is_likelier_than_the_published_weights(version: Any) -> None:
    log = drawn(TRUE, 150, 4, 1)
    fitted = fit_fsrs(version, *log, max_rounds=15)
    assert loss(fitted, log) < loss(FSRS.published(version), log)
    for weight, (low, high) in zip(fitted.weights, WEIGHT_DOMAIN, strict=False):
        assert low <= weight <= high


def test_the_fit_is_as_likely_as_the_truth_and_foretells_what_it_has_not_seen() -> None:
    log, other = drawn(TRUE, 600, 4, 2), drawn(TRUE, 600, 4, 3)
    fitted = fit_fsrs("6", *log, penalty=1.0, max_rounds=40)
    assert loss(fitted, log) <= loss(TRUE, log) + 1e-3
    assert loss(fitted, other) < loss(PUBLISHED, other)


def test_more_rounds_are_likelier_and_no_more_are_taken_than_asked_for() -> None:
    log = drawn(TRUE, 60, 4, 5)
    losses = [loss(fit_fsrs("6", *log, penalty=0.0, max_rounds=rounds), log) for rounds in (1, 3, 9)]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 3


def test_a_penalty_holds_the_weights() -> None:
    log = drawn(TRUE, 100, 4, 4)
    away = []
    for penalty in (1.0, 100.0, 1e7):
        fitted = fit_fsrs("6", *log, penalty=penalty, max_rounds=20)
        away.append(float(np.abs(np.array(fitted.weights) - PUBLISHED.weights).max()))
    assert away == sorted(away, reverse=True)
    assert away[-1] < 1e-3


def test_what_cannot_be_fitted_is_refused() -> None:
    log = drawn(TRUE, 5, 2, 5)
    for changes, message in (
        ({"penalty": -1.0}, "penalty"), ({"penalty": np.nan}, "penalty"), ({"max_rounds": 0}, "max_rounds"),
    ):  # fmt: skip
        with pytest.raises(InvalidParameterError, match=message):
            fit_fsrs("6", *log, **changes)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="a day after"):
        fit_fsrs("6", [1, 1], [0.0, 60.0], [3, 3])
