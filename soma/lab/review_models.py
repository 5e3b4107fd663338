"""Models of reviews side by side: each learns from the reviews before a time, and predicts those after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from soma.lab.reviews import ReviewLog
from soma.math.activation import base_level, recall_probability, spaced_decays
from soma.math.domain import FloatArray
from soma.math.review_history import first_within
from soma.math.review_odds import ReviewOdds
from soma.math.review_scores import log_losses
from soma.math.spacing import FSRS, HalfLifeRegression, fit_fsrs, replay
from soma.math.units import DAY

if TYPE_CHECKING:
    from soma.math.spacing_versions import Version

__all__ = ["MODELS", "ReviewModel"]

Predict: TypeAlias = Callable[[ReviewLog, slice, slice], FloatArray]
"""From a log, training rows and test rows of what is scored, to the probability of each test row."""

WINDOWS_S: Final = (1.0 * DAY, 7.0 * DAY, 30.0 * DAY, np.inf)


@dataclass(frozen=True, slots=True)
class ReviewModel:
    """A contender.

    Parameters
    ----------
    name : str
        How it is called in the table.
    n_params : int
        Numbers that it learns from a log.
    predict : callable
        Takes a log, the training rows and the test rows of what is scored, and returns the probability of recall at
        each test row. What happened in training and before each review may be used, and nothing else.
    source : str
        Where it is described.
    """

    name: str
    n_params: int
    predict: Predict
    source: str


def _soma(log: ReviewLog, train: slice, test: slice) -> FloatArray:
    return ReviewOdds.fit(log.scored.at(train), log.outcome[train]).retrievability(log.scored.at(test))


def _fsrs(log: ReviewLog, train: slice, test: slice, *, version: Version, is_fitted: bool) -> FloatArray:
    model = FSRS.published(version)
    if is_fitted:
        known = log.until(int(log.rows[train][-1]) + 1)
        model = fit_fsrs(version, known.item, known.time_s, known.grade, whole_days=True)
    seen = replay(model, log.item, log.time_s, log.grade, whole_days=True)
    return np.asarray(seen.retrievability[log.rows[test]])


def _average(log: ReviewLog, train: slice, test: slice) -> FloatArray:
    return np.full(test.stop - test.start, log.outcome[train].mean())


def _moving_average(log: ReviewLog, train: slice, test: slice) -> FloatArray:
    """Predict the mean of the outcomes before, the later ones weighing more; how much more is learnt."""

    def follow(params: FloatArray, rows: slice) -> FloatArray:
        rate, level, found = float(params[0]), float(log.outcome[train].mean()), []
        for recalled in log.outcome[: rows.stop].tolist():
            found.append(level)
            level += rate * (recalled - level)
        return np.array(found[rows])

    return follow(_fit(log, train, follow, [0.02], [(1e-4, 0.5)]), test)


def _power(params: FloatArray, log: ReviewLog, rows: slice) -> FloatArray:
    days = log.scored.elapsed_s[rows] / DAY
    return np.asarray(params[0] * (1.0 + days / params[2]) ** -params[1])


def _exponential(params: FloatArray, log: ReviewLog, rows: slice) -> FloatArray:
    return np.asarray(params[0] * np.exp2(-log.scored.elapsed_s[rows] / DAY / params[1]))


def _half_life(params: FloatArray, log: ReviewLog, rows: slice) -> FloatArray:
    seen = log.scored.at(rows)
    lapses = seen.lapse_share * seen.n_reviews
    features = np.column_stack([np.ones(len(lapses)), np.sqrt(np.abs(seen.n_reviews - lapses)), np.sqrt(lapses)])
    return HalfLifeRegression(tuple(params.tolist())).retrievability(seen.elapsed_s, features)


def _curve(
    log: ReviewLog,
    train: slice,
    test: slice,
    *,
    curve: Callable[[FloatArray, ReviewLog, slice], FloatArray],
    start: list[float],
    bounds: list[tuple[float, float]],
) -> FloatArray:
    fitted = _fit(log, train, lambda params, rows: curve(params, log, rows), start, bounds)
    return curve(fitted, log, test)


def _dash(log: ReviewLog, train: slice, test: slice) -> FloatArray:
    features = _windows(log)

    def odds(params: FloatArray, rows: slice) -> FloatArray:
        return np.asarray(1.0 / (1.0 + np.exp(-(params[0] + features[rows] @ params[1:]))))

    return odds(_fit(log, train, odds, [1.0] + [0.0] * 8, [(-20.0, 20.0)] * 9), test)


def _windows(log: ReviewLog) -> FloatArray:
    """Return for each scored review the logarithms of 1 + attempts and 1 + successes in each window before it."""
    order = np.lexsort((np.arange(len(log.item)), log.item))
    item, time_s = log.item[order], log.time_s[order]
    passed = np.concatenate([[0], np.cumsum(log.grade[order] > 1)])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    start = np.searchsorted(item, item)
    here, columns = np.arange(len(item)), []
    for window_s in WINDOWS_S:
        first = first_within(time_s, start, window_s)
        columns += [np.log1p(here - first), np.log1p(passed[here] - passed[first])]
    return np.column_stack(columns)[place[log.rows]]


def _act_r(log: ReviewLog, train: slice, test: slice) -> FloatArray:
    """Predict by the activation of all earlier reviews, each with a decay of its own (Pavlik and Anderson)."""
    order = np.argsort(log.item, kind="stable")
    start = np.flatnonzero(np.diff(log.item[order], prepend=log.item[order[0]] - 1))
    n_reviews = np.diff(start, append=len(order))
    number = np.arange(len(order)) - np.repeat(start, n_reviews)
    row = np.repeat(np.arange(len(start)), n_reviews)
    times = np.full((len(start), int(n_reviews.max())), np.inf)
    times[row, number] = log.time_s[order]
    place = np.empty((2, len(order)), np.int64)
    place[:, order] = row, number
    scored_row, scored_number = place[:, log.rows]

    def of(params: FloatArray, rows: slice) -> FloatArray:
        scale, intercept, threshold, noise = params.tolist()
        decays = spaced_decays(times, scale, intercept)
        item, k = scored_row[rows], scored_number[rows]
        is_before = np.arange(times.shape[1]) < k[:, None]
        ages = np.where(is_before, np.maximum(times[item, k][:, None] - times[item], 1.0), np.inf)
        return recall_probability(base_level(ages, decays[item]), threshold, noise)

    fitted = _fit(log, train, of, [0.25, 0.18, -1.5, 0.5], [(0.0, 2.0), (0.01, 2.0), (-20.0, 20.0), (0.05, 10.0)])
    return of(fitted, test)


def _fit(
    log: ReviewLog,
    train: slice,
    predict: Callable[[FloatArray, slice], FloatArray],
    start: list[float],
    bounds: list[tuple[float, float]],
) -> FloatArray:
    """Return the parameters under which the training is likeliest, with a breath of a penalty against running away."""
    from scipy.optimize import Bounds, minimize  # noqa: PLC0415 - loaded where it is needed

    outcome, begin = log.outcome[train], np.array(start)
    low, high = np.array(bounds).T

    def loss(params: FloatArray) -> float:
        p = np.clip(predict(np.clip(params, low, high), train), 0.0, 1.0)
        away = (params - begin) / (np.abs(begin) + 1.0)
        return float(log_losses(outcome, p).sum() + away @ away) / len(outcome)

    method: Literal["Nelder-Mead", "L-BFGS-B"]
    method = "Nelder-Mead" if len(begin) <= 3 else "L-BFGS-B"  # few parameters of a bent loss, or many of a convex one
    found = minimize(loss, begin, method=method, bounds=Bounds(low, high), options={"maxiter": 2_000})
    return np.asarray(np.clip(found.x, low, high))


def _of_curve(
    name: str,
    curve: Callable[[FloatArray, ReviewLog, slice], FloatArray],
    start: list[float],
    bounds: list[tuple[float, float]],
    source: str,
) -> ReviewModel:
    return ReviewModel(name, len(start), partial(_curve, curve=curve, start=start, bounds=bounds), source)


MODELS: Final[tuple[ReviewModel, ...]] = (
    ReviewModel("soma", 9, _soma, "docs/explanation/reviews.md"),
    ReviewModel("FSRS-6", 21, partial(_fsrs, version="6", is_fitted=True), "open-spaced-repetition, 2025"),
    ReviewModel("FSRS-6 default", 0, partial(_fsrs, version="6", is_fitted=False), "open-spaced-repetition, 2025"),
    ReviewModel("FSRS-5", 19, partial(_fsrs, version="5", is_fitted=True), "open-spaced-repetition, 2024"),
    ReviewModel("FSRS-5 default", 0, partial(_fsrs, version="5", is_fitted=False), "open-spaced-repetition, 2024"),
    ReviewModel("DASH", 9, _dash, "Lindsey, Shroyer, Pashler and Mozer 2014"),
    _of_curve("HLR", _half_life, [2.0, 0.5, -0.5], [(-20.0, 20.0)] * 3, "Settles and Meeder 2016"),
    ReviewModel("ACT-R", 4, _act_r, "Pavlik and Anderson 2005"),
    _of_curve(
        "power law", _power, [0.95, 0.2, 1.0], [(0.01, 1.0), (1e-3, 5.0), (1e-3, 100.0)], "Wixted and Ebbesen 1991"
    ),
    _of_curve("exponential", _exponential, [0.95, 60.0], [(0.01, 1.0), (0.05, 1e5)], "Ebbinghaus 1885, in Loftus 1985"),
    ReviewModel("moving average", 1, _moving_average, "a baseline"),
    ReviewModel("average", 1, _average, "a baseline"),
)
