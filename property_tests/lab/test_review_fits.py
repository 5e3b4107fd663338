"""A curve from reviews: that which made them is found, cards are drawn whole, what a log does not say is refused."""

from __future__ import annotations

import numpy as np
import pytest

from soma.errors import InvalidParameterError
from soma.lab.review_fits import fit_reviews
from soma.lab.reviews import ReviewLog
from soma.math import decay
from soma.math.units import DAY

TRUTH = decay.Power(scale_s=2 * DAY, exponent=0.4)


def reviewed(curve: decay.Curve = TRUTH, n_items: int = 400, n_reviews: int = 6, seed: int = 0) -> ReviewLog:
    """Return reviews whose outcomes follow one curve of the whole days since the one before."""
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(n_items), n_reviews)
    gap_days = rng.integers(1, 60, (n_items, n_reviews))
    time_s = (1.7e9 + np.cumsum(gap_days, axis=1) * DAY).ravel()
    recalled = rng.random(len(item)) < curve.value(gap_days.ravel() * DAY)
    order = np.argsort(time_s, kind="stable")
    return ReviewLog(item[order], time_s[order], np.where(recalled, 3, 1).astype(np.int8)[order])


def test_the_curve_that_made_the_reviews_lies_in_the_intervals() -> None:
    found = fit_reviews(reviewed(), "power", rng=np.random.default_rng(1), n_resamples=40)
    for name in ("scale_s", "exponent"):
        low, high = found.intervals[name]
        assert low < getattr(TRUTH, name) < high
        assert low < found.fit.params[name] < high
    assert (found.fit.n, found.n_items) == (2_000, 400)
    assert found.log_loss < found.base_log_loss
    assert found.curve.value(10 * DAY) == pytest.approx(TRUTH.value(10 * DAY), abs=0.03)


def test_the_same_generator_gives_the_same_intervals_and_progress_is_told() -> None:
    log, told = reviewed(n_items=60), []
    one = fit_reviews(
        log,
        "exponential",
        rng=np.random.default_rng(1),
        n_resamples=10,
        progress=lambda done, of: told.append((done, of)),
    )
    assert one.to_dict() == fit_reviews(log, "exponential", rng=np.random.default_rng(1), n_resamples=10).to_dict()
    assert told == [(n, 10) for n in range(1, 11)]
    other = fit_reviews(log, "exponential", rng=np.random.default_rng(2), n_resamples=10)
    assert other.intervals != one.intervals
    assert other.fit == one.fit


def test_reviews_of_one_card_count_as_one_draw() -> None:
    """Every outcome of a card alike: the interval is as wide as that of the cards, not of the reviews."""
    log = reviewed(decay.Exponential(20 * DAY), n_items=60)
    alike = np.random.default_rng(0).random(60) < 0.6
    log = ReviewLog(log.item, log.time_s, np.where(alike[log.item], 3, 1).astype(np.int8))
    whole = fit_reviews(log, "exponential", rng=np.random.default_rng(0), n_resamples=60).intervals["half_life_s"]
    rng = np.random.default_rng(0)
    from soma.math.fitting import bootstrap, fit_curve

    elapsed, outcome = log.scored.elapsed_s, log.outcome
    each = bootstrap(
        lambda rows: fit_curve("exponential", elapsed[rows], outcome[rows]),
        range(len(outcome)),
        rng=rng,
        n_resamples=60,
    )["half_life_s"]
    assert np.log(whole[1] / whole[0]) > 1.5 * np.log(each[1] / each[0])


def test_a_curve_that_says_less_than_one_probability_is_seen_by_its_log_loss() -> None:
    log = reviewed(decay.Power(scale_s=60.0, exponent=0.05))
    found = fit_reviews(log, "exponential", rng=np.random.default_rng(0), n_resamples=4)
    assert found.log_loss > found.base_log_loss


@pytest.mark.parametrize(
    ("log", "family", "message"),
    [
        (reviewed(n_items=3), "power", "at least 20 reviews"),
        (reviewed(n_items=10), "constant", "must have a parameter"),
        (reviewed(n_items=10), "soap", "must be one of exponential"),
        (reviewed(decay.Constant(), n_items=10), "power", "that the log determines"),
    ],
)
def test_what_a_log_does_not_say_is_refused(log: ReviewLog, family: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        fit_reviews(log, family, rng=np.random.default_rng(0))
