"""Whole review histories through FSRS at once: all items side by side, review number by review number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.spacing_fsrs import FSRS, ReviewState, grades
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Replay", "replay"]

_ITEMS_AT_ONCE: Final = 4_096  # what they need stays in the cache of one core


@final
@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Histories as a model saw them: what it knew before each review, and what it knows after the last.

    Parameters
    ----------
    elapsed_s : ndarray of float64, shape (n,)
        Seconds since the review before of the same item, as they were counted; NaN at its first review.
    retrievability : ndarray of float64, shape (n,)
        The probability of recall that was predicted for each review, in [0, 1]; NaN at a first review.
    stability_s : ndarray of float64, shape (n,)
        Stability before each review, seconds; NaN at a first review.
    difficulty : ndarray of float64, shape (n,)
        Difficulty before each review, in [1, 10]; NaN at a first review.
    item : ndarray of int64, shape (m,)
        The items, rising.
    state : ReviewState
        Of shape (m,): the state of each item after its last review.
    """

    elapsed_s: FloatArray
    retrievability: FloatArray
    stability_s: FloatArray
    difficulty: FloatArray
    item: NDArray[np.int64]
    state: ReviewState

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """Which reviews a benchmark scores: those at least one day after the review before, so never a first."""
        return self.elapsed_s >= DAY


class _Histories(NamedTuple):
    """Reviews in the order of their items: the i-th item has ``count[i]`` of them, from ``start[i]``."""

    order: NDArray[np.int64]  # where each review stood
    item: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]


def replay(model: FSRS, item: ArrayLike, time_s: ArrayLike, grade: ArrayLike, *, whole_days: bool = False) -> Replay:
    """Take every review of every item in turn, and keep what the model predicted before each.

    Parameters
    ----------
    model : FSRS
        The model.
    item : array_like of int, shape (n,)
        Which item each review is of: any 64-bit integers, in any order.
    time_s : array_like, shape (n,)
        When each review was, POSIX seconds; those of one item never fall.
    grade : array_like, shape (n,)
        The grades, 1 to 4.
    whole_days : bool
        Whether to count only the whole days between reviews, as published benchmarks do.

    Returns
    -------
    Replay
        Reviews in the order in which they came.

    Raises
    ------
    InvalidParameterError
        Outside the domain, for arrays that are not of one length, or for a time before one of the same item.

    Notes
    -----
    It is `FSRS.start` and `FSRS.review` on each item in turn, to rounding. The cost is a pass over arrays for each review
    that the longest history has: a few very long histories alone are slow. Laws:
    ``property_tests/math/test_spacing_replay.py``.

    Examples
    --------
    >>> seen = replay(FSRS.published("6"), [7, 9, 7], [0.0, 3_600.0, 2 * 86_400.0], [3, 4, 3])
    >>> seen.retrievability.round(3).tolist()
    [nan, nan, 0.911]
    >>> seen.item.tolist(), (seen.state.stability_s / 86_400.0).round(2).tolist()
    ([7, 9], [10.85, 8.3])
    """
    items, times, marks = _ids(item), finite("time_s", time_s), grades("grade", grade)
    if not items.shape == times.shape == marks.shape == (items.size,):
        shapes = (items.shape, times.shape, marks.shape)
        raise InvalidParameterError("item, time_s, grade", shapes, "must be of one dimension and one length")
    histories = _histories(items)
    order, _, start, count = histories
    times, marks = times[order], marks[order]
    elapsed = np.empty(items.size)
    np.subtract(times[1:], times[:-1], out=elapsed[1:])
    elapsed[start] = np.nan
    if (elapsed < 0.0).any():
        raise InvalidParameterError("time_s", time_s, "must never fall within the reviews of one item")
    elapsed /= DAY
    if whole_days:
        np.floor(elapsed, out=elapsed)
    before, after = _walk(model, histories, elapsed, marks)
    before[2] = np.exp(before[2])
    seen = np.empty((4, items.size))
    for given, grouped in zip(seen, (elapsed, *before), strict=True):
        given[order] = grouped
    return Replay(
        seen[0] * DAY,
        seen[3],
        seen[1] * DAY,
        seen[2],
        histories.item,
        ReviewState(after[0] * DAY, after[1], times[start + count - 1]),
    )


def _walk(
    model: FSRS, histories: _Histories, elapsed: FloatArray, marks: NDArray[Any]
) -> tuple[FloatArray, FloatArray]:
    """Return S, D and ln R before each review, in the order of the items, and S and D after each item's last."""
    before, after = np.full((3, len(elapsed)), np.nan), np.empty((2, len(histories.start)))
    longest_first = np.argsort(-histories.count, kind="stable")
    for low in range(0, len(longest_first), _ITEMS_AT_ONCE):
        rows = longest_first[low : low + _ITEMS_AT_ONCE]
        start, count = histories.start[rows], histories.count[rows]
        g = marks[start]
        stability, difficulty = model.initial_stability_s(g) / DAY, model.initial_difficulty(g)
        for k in range(1, count[0]):
            n = int(np.searchsorted(-count, -k))  # that have another review
            at = start[:n] + k
            s, d, t, g = stability[:n], difficulty[:n], elapsed[at], marks[at]
            log_recall = model.log_recall(t, s)
            before[0, at], before[1, at], before[2, at] = s, d, log_recall
            s[:], d[:] = model.stabler(s, d, t, g, log_recall), model.harder(d, g)
        after[:, rows] = stability, difficulty
    return before, after


def _histories(items: NDArray[np.int64]) -> _Histories:
    n = len(items)
    if n == 0:
        nothing = np.empty(0, np.int64)
        return _Histories(nothing, nothing, nothing, nothing)
    low, bits = int(items.min()), n.bit_length()
    if (int(items.max()) - low) >> (63 - bits):
        order = np.argsort(items, kind="stable")
        grouped = items[order]
    else:  # item and place in one integer: many times faster to sort
        keys = (items - low) << bits | np.arange(n)
        keys.sort()
        order, grouped = keys & ((1 << bits) - 1), (keys >> bits) + low
    start = np.flatnonzero(np.concatenate(([True], grouped[1:] != grouped[:-1])))
    return _Histories(order, grouped[start], start, np.diff(start, append=n))


def _ids(item: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(item)
    is_whole = array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64)
    if not is_whole and array.size:
        raise InvalidParameterError("item", item, "must be 64-bit integers")
    return array.astype(np.int64)
