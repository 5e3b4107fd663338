"""What is known of an item before each of its reviews: of whole logs at once, all items side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReviewHistory", "first_within", "review_history"]

SITTING_S = 0.5 * DAY
"""Reviews that are not longer before an item's last review than this are of one sitting with it."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class ReviewHistory:
    """What was known before each review of a log; every array has shape (n,), with NaN where nothing was known.

    Parameters
    ----------
    n_reviews : ndarray of float64
        Earlier reviews of the item, >= 0.
    elapsed_s : ndarray of float64
        Time since the one before, seconds, >= 0.
    last_interval_s : ndarray of float64
        Time between the two before, seconds, >= 0; 0 after a single one.
    longest_s : ndarray of float64
        Longest interval after which the item was recalled, seconds, >= 0; 0 if it never was.
    lapse_share : ndarray of float64
        Share of the earlier reviews that failed, in [0, 1].
    n_sitting : ndarray of float64
        Reviews of the item in its last sitting (twelve hours up to its last review), >= 1.
    last_log_duration, mean_log_duration : ndarray of float64
        Logarithm of 1 + the time that an answer took in milliseconds: of the last one, and the mean; 0 where none is
        known.
    """

    n_reviews: FloatArray
    elapsed_s: FloatArray
    last_interval_s: FloatArray
    longest_s: FloatArray
    lapse_share: FloatArray
    n_sitting: FloatArray
    last_log_duration: FloatArray
    mean_log_duration: FloatArray

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """Which reviews a benchmark scores: those at least a day after the one before; shape (n,)."""
        return np.asarray(self.elapsed_s >= DAY)

    def at(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer[Any]]) -> ReviewHistory:
        """Return some of the reviews: a slice, a mask or places."""
        return ReviewHistory(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def review_history(
    item: ArrayLike,
    time_s: ArrayLike,
    is_recalled: ArrayLike,
    *,
    duration_ms: ArrayLike | None = None,
    whole_days: bool = False,
) -> ReviewHistory:
    """Return what was known before each review.

    Parameters
    ----------
    item : array_like of int, shape (n,)
        Which item each review is of.
    time_s : array_like, shape (n,)
        When it was, POSIX seconds; those of one item never fall.
    is_recalled : array_like of bool, shape (n,)
        Whether it succeeded.
    duration_ms : array_like, shape (n,), optional
        How long the answer took, milliseconds, >= 0.
    whole_days : bool
        Whether intervals count only whole days, as published benchmarks do.

    Returns
    -------
    ReviewHistory
        Reviews in the order in which they came.

    Raises
    ------
    InvalidParameterError
        Outside the domain, for arrays that are not of one length, or for a time before one of the same item.

    Notes
    -----
    Laws: ``property_tests/math/test_review_history.py``. Nothing that is known depends on the review itself or on a
    later one, but for the time that has passed.

    Examples
    --------
    >>> seen = review_history([7, 9, 7, 7], [0.0, 60.0, 86_400.0, 3 * 86_400.0], [True, True, False, True])
    >>> seen.n_reviews.tolist(), (seen.elapsed_s / 86_400.0).tolist()
    ([0.0, 0.0, 1.0, 2.0], [nan, nan, 1.0, 2.0])
    >>> seen.lapse_share.tolist()
    [nan, nan, 0.0, 0.5]
    """
    items, times = np.asarray(item), finite("time_s", time_s)
    recalled = np.asarray(is_recalled)
    log_duration = np.zeros(items.shape) if duration_ms is None else np.log1p(non_negative("duration_ms", duration_ms))
    if items.dtype.kind not in "iu" and items.size:
        raise InvalidParameterError("item", item, "must be integers")
    if recalled.dtype != np.bool_ and recalled.size:
        raise InvalidParameterError("is_recalled", is_recalled, "must be true or false")
    if not items.shape == times.shape == recalled.shape == log_duration.shape == (items.size,):
        shapes = (items.shape, times.shape, recalled.shape, log_duration.shape)
        raise InvalidParameterError("item, time_s, is_recalled, duration_ms", shapes, "must be of one length")
    if not np.isfinite(log_duration).all():
        raise InvalidParameterError("duration_ms", duration_ms, "must be finite")
    order = np.argsort(items, kind="stable")
    found = _of_sorted(items[order], times[order], recalled[order], log_duration[order], whole_days)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return found.at(back)


def _of_sorted(
    items: NDArray[np.int64],
    times: FloatArray,
    recalled: NDArray[np.bool_],
    log_duration: FloatArray,
    whole_days: bool,
) -> ReviewHistory:
    """Return the history of reviews that stand item by item, each in the order of time."""
    n = len(items)
    if n == 0:
        return ReviewHistory(*(np.empty(0) for _ in ReviewHistory.__dataclass_fields__))
    is_first = np.ones(n, np.bool_)
    is_first[1:] = items[1:] != items[:-1]
    row = np.arange(n)
    start = np.maximum.accumulate(np.where(is_first, row, 0))
    interval = np.zeros(n)
    interval[1:] = times[1:] - times[:-1]
    interval[is_first] = 0.0
    if (interval < 0.0).any():
        raise InvalidParameterError("time_s", times, "must never fall within the reviews of one item")
    if whole_days:
        interval = np.floor(interval / DAY) * DAY
    n_before = (row - start).astype(np.float64)
    previous = np.maximum(row - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        lapse_share = _before(np.where(recalled, 0.0, 1.0), start) / n_before
        mean_log_duration = _before(log_duration, start) / n_before

    def known(values: FloatArray) -> FloatArray:
        return np.where(is_first, np.nan, values)

    n_sitting = (row - first_within(times, start, SITTING_S) + 1).astype(np.float64)
    return ReviewHistory(
        n_reviews=n_before,
        elapsed_s=known(interval),
        last_interval_s=known(interval[previous]),
        longest_s=known(_longest_before(np.where(recalled, interval, 0.0), is_first)),
        lapse_share=known(lapse_share),
        n_sitting=known(n_sitting[previous]),
        last_log_duration=known(log_duration[previous]),
        mean_log_duration=known(mean_log_duration),
    )


def _before(values: FloatArray, start: NDArray[np.int64]) -> FloatArray:
    """Return for each review the sum over the earlier ones of its item."""
    total: FloatArray = np.concatenate([[0.0], np.cumsum(values)])
    return np.subtract(total[:-1], total[start])


def _longest_before(intervals: FloatArray, is_first: NDArray[np.bool_]) -> FloatArray:
    """Return for each review the longest interval of the earlier ones of its item."""
    number = np.cumsum(is_first) - 1
    # the rank keeps the order exactly, and an item above all before it begins anew
    values, rank = np.unique(intervals, return_inverse=True)
    best = np.maximum.accumulate(rank.reshape(intervals.shape) + number * len(values)) - number * len(values)
    before = np.concatenate([best[:1], best[:-1]])
    return np.asarray(values[np.maximum(before, 0)], dtype=np.float64)


def first_within(times: FloatArray, start: NDArray[np.int64], window_s: float) -> NDArray[np.int64]:
    """Return for each review the first of its item that is not longer before it than a window.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        Times of reviews that stand item by item, each in the order of time, seconds.
    start : ndarray of int64, shape (n,)
        Where the item of each begins.
    window_s : float
        Seconds, >= 0.

    Returns
    -------
    ndarray of int64, shape (n,)
        At most the review's own place.

    Examples
    --------
    >>> first_within(np.array([0.0, 5.0, 7.0, 1.0]), np.array([0, 0, 0, 3]), 2.0).tolist()
    [0, 1, 1, 3]
    """
    low, high = start.copy(), np.arange(len(times))
    while (low < high).any():  # all of them by bisection at once
        middle = (low + high) // 2
        is_older = times[middle] < times - window_s
        low, high = np.where(is_older, middle + 1, low), np.where(is_older, high, middle)
    return low
