"""Soma's own model of reviews: what it says, that its fit is the best, and what it reaches on real reviews."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.review_history import ReviewHistory, review_history
from soma.math.review_odds import ReviewOdds
from soma.math.units import DAY

FIELDS = tuple(ReviewHistory.__dataclass_fields__)
NAMES = tuple(asdict(ReviewOdds(0.0, 0.0)))
weights = st.floats(-5.0, 5.0)
models = st.builds(ReviewOdds, *[weights] * len(NAMES))


def histories(n: int, seed: int) -> ReviewHistory:
    rng = np.random.default_rng(seed)
    longest = rng.exponential(20 * DAY, n)
    return ReviewHistory(
        n_reviews=rng.integers(1, 30, n).astype(float),
        elapsed_s=rng.exponential(10 * DAY, n),
        last_interval_s=rng.exponential(10 * DAY, n),
        longest_s=longest,
        lapse_share=rng.uniform(0, 1, n),
        n_sitting=rng.integers(1, 6, n).astype(float),
        last_log_duration=rng.normal(9, 1, n),
        mean_log_duration=rng.normal(9, 0.5, n),
    )


@given(models, st.integers(0, 10**6))
def test_the_odds_are_what_the_formula_says(model: ReviewOdds, seed: int) -> None:
    seen = histories(5, seed)
    found = model.retrievability(seen)
    for j in range(5):
        t = max(seen.elapsed_s[j] / DAY, 0.5)
        odds = (
            model.intercept
            + model.log_elapsed * np.log(t)
            + model.log_longest * np.log(1 + seen.longest_s[j] / DAY)
            + model.log_last_interval * np.log(1 + seen.last_interval_s[j] / DAY)
            + model.lapse_share * seen.lapse_share[j]
            + model.n_sitting * seen.n_sitting[j]
            + model.n_reviews * seen.n_reviews[j]
            + model.last_log_duration * seen.last_log_duration[j]
            + model.mean_log_duration * seen.mean_log_duration[j]
        )
        assert found[j] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-9, abs=1e-300)


@given(models, st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_recall_never_rises_with_time_if_time_weighs_against_it(model: ReviewOdds, one: float, other: float) -> None:
    fading = replace(model, log_elapsed=-abs(model.log_elapsed))
    seen = histories(1, 1)
    early, late = (
        fading.retrievability(replace(seen, elapsed_s=np.array([elapsed])))[0] for elapsed in sorted((one, other))
    )
    assert late <= early


def drawn(model: ReviewOdds, n: int, seed: int) -> tuple[ReviewHistory, Any]:
    seen = histories(n, seed)
    return seen, np.random.default_rng(seed + 1).random(n) < model.retrievability(seen)


def loss(model: ReviewOdds, seen: ReviewHistory, recalled: Any) -> float:
    p = np.clip(model.retrievability(seen), 1e-300, 1 - 1e-16)
    return float(-np.where(recalled, np.log(p), np.log1p(-p)).mean())


TRUE = ReviewOdds(2.0, -0.8, 0.4, 0.3, -1.5, -0.3, 0.05, -0.2, 0.1)


@given(st.integers(0, 1_000), st.integers(0, len(NAMES) - 1), st.sampled_from([-1e-2, 1e-2]))
def test_no_step_away_from_the_fit_is_likelier(seed: int, number: int, step: float) -> None:
    seen, recalled = drawn(TRUE, 400, seed)
    fitted = ReviewOdds.fit(seen, recalled, ridge=0.0)
    near = replace(fitted, **{NAMES[number]: getattr(fitted, NAMES[number]) + step})
    assert loss(fitted, seen, recalled) <= loss(near, seen, recalled)
    assert loss(fitted, seen, recalled) <= loss(TRUE, seen, recalled)


def test_a_fit_finds_the_weights_that_reviews_were_drawn_from() -> None:
    seen, recalled = drawn(TRUE, 200_000, 3)
    fitted = ReviewOdds.fit(seen, recalled)
    for name in NAMES:
        assert getattr(fitted, name) == pytest.approx(getattr(TRUE, name), abs=0.15 if name == "intercept" else 0.03)


@pytest.mark.parametrize("ridge", [0.0, 1.0, 30.0])
def test_units_and_constants_do_not_matter(ridge: float) -> None:
    seen, recalled = drawn(TRUE, 2_000, 5)
    fitted = ReviewOdds.fit(seen, recalled, ridge=ridge)
    scaled = replace(seen, lapse_share=seen.lapse_share * 1e3, n_reviews=np.full(2_000, 7.0))
    again = ReviewOdds.fit(scaled, recalled, ridge=ridge)
    assert again.n_reviews == 0.0
    without = ReviewOdds.fit(replace(seen, n_reviews=np.full(2_000, 1e6)), recalled, ridge=ridge)
    assert again.lapse_share * 1e3 == pytest.approx(without.lapse_share, rel=1e-3)
    assert abs(fitted.log_elapsed) > 0


def test_a_ridge_draws_the_weights_together() -> None:
    seen, recalled = drawn(TRUE, 500, 7)
    sizes = []
    for ridge in (0.0, 1.0, 10.0, 1e6):
        fitted = ReviewOdds.fit(seen, recalled, ridge=ridge)
        sizes.append(abs(fitted.log_elapsed))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-3


def test_what_cannot_be_fitted_is_refused() -> None:
    seen, recalled = drawn(TRUE, 100, 7)
    for arguments, message in (
        ((seen, recalled[:-1]), "truth values"),
        ((seen, recalled.astype(float)), "truth values"),
        ((seen.at(slice(0, 19)), recalled[:19]), "20 reviews"),
        ((replace(seen, lapse_share=np.full(100, np.nan)), recalled), "history must .* no first one, got 100"),
        ((seen, np.ones(100, np.bool_)), "is_recalled must hold successes and failures, got True"),
    ):
        with pytest.raises(InvalidParameterError, match=message):
            ReviewOdds.fit(*arguments)
    assert len(ReviewOdds.fit(seen.at(slice(0, 20)), recalled[:20]).to_dict()) == 9
    for ridge in (-1.0, np.nan, np.inf):
        with pytest.raises(InvalidParameterError, match="ridge"):
            ReviewOdds.fit(seen, recalled, ridge=ridge)
    with pytest.raises(InvalidParameterError, match="weights"):
        ReviewOdds(np.nan, 0.0)


def test_on_one_learner_s_reviews_it_is_better_than_what_is_published_for_fsrs_6(shared_data: Path) -> None:
    with (shared_data / "decay" / "py_fsrs_review_log_12580.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: datetime.fromisoformat(row["review_time"]))
    recalled = np.array([int(row["review_rating"]) > 1 for row in rows])
    seen = review_history(
        [int(row["card_id"]) for row in rows],
        [datetime.fromisoformat(row["review_time"]).timestamp() for row in rows],
        recalled,
        duration_ms=[float(row["review_duration"]) for row in rows],
        whole_days=True,
    )
    scored, outcome = seen.at(seen.is_scored), recalled[seen.is_scored]
    n_test = len(outcome) // 6
    losses = []
    for start in range(len(outcome) - 5 * n_test, len(outcome), n_test):  # each fold is predicted from those before
        model = ReviewOdds.fit(scored.at(slice(0, start)), outcome[:start])
        p = model.retrievability(scored.at(slice(start, start + n_test)))
        losses.append(-np.where(outcome[start : start + n_test], np.log(p), np.log1p(-p)))
        assert model.log_elapsed < 0 < model.log_longest + model.log_last_interval
    assert (len(outcome), sum(map(len, losses))) == (5_329, 4_440)
    assert float(np.concatenate(losses).mean()) == pytest.approx(0.42200, abs=5e-5)
    assert float(np.concatenate(losses).mean()) < 0.4308  # fitted FSRS-6 on the same events
    assert float(np.concatenate(losses[2:]).mean()) < 0.434  # the folds that its design was not chosen on
