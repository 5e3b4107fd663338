"""Whole review histories through FSRS at once: all items side by side, review number by review number."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.spacing_formulas import Formulas
from soma.math.spacing_fsrs import FSRS
from soma.math.spacing_state import ReviewState, grades
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Replay", "replay"]

_ITEMS_AT_ONCE: Final = 16_384  # what they need stays in the cache of one core


@final
@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Histories as a model saw them: what it knew before each review, and what it knows after the last.

    Parameters
    ----------
    retrievability : ndarray of float64, shape (n,)
        The probability of recall that was predicted for each review, in [0, 1]; NaN at a first review.
    stability_s : ndarray of float64, shape (n,)
        Stability before each review, seconds; NaN at a first review.
    difficulty : ndarray of float64, shape (n,)
        Difficulty before each review, in [1, 10]; NaN at a first review.
    is_scored : ndarray of bool, shape (n,)
        Which reviews a benchmark scores: those at least one day after the review before, so never a first.
    item : ndarray of int64, shape (m,)
        The items, rising.
    state : ReviewState
        Of shape (m,): the state of each item after its last review.
    """

    retrievability: FloatArray
    stability_s: FloatArray
    difficulty: FloatArray
    is_scored: NDArray[np.bool_]
    item: NDArray[np.int64]
    state: ReviewState


class _Histories(NamedTuple):
    """Reviews in the order of their items: the i-th item has ``n_reviews[i]`` of them, from ``start[i]``."""

    order: NDArray[np.int64] | None  # where each review stood, if not there
    item: NDArray[np.int64]
    start: NDArray[np.int64]
    n_reviews: NDArray[np.int64]


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
    It is `FSRS.start` and `FSRS.review` on each item in turn, to rounding. It costs a pass over arrays for each review
    of the longest history: a few very long histories alone are slow. Laws:
    ``property_tests/math/test_spacing_replay.py``.

    Examples
    --------
    >>> seen = replay(FSRS.published("6"), [7, 9, 7], [0.0, 3_600.0, 2 * 86_400.0], [3, 4, 3])
    >>> seen.retrievability.round(3).tolist()
    [nan, nan, 0.909]
    >>> seen.item.tolist(), (seen.state.stability_s / 86_400.0).round(2).tolist()
    ([7, 9], [10.96, 8.3])
    """
    items, times, marks = _ids(item), finite("time_s", time_s), grades("grade", grade)
    if not items.shape == times.shape == marks.shape == (items.size,):
        shapes = (items.shape, times.shape, marks.shape)
        raise InvalidParameterError("item, time_s, grade", shapes, "must be of one dimension and one length")
    histories = _histories(items)
    formulas, n_reviews = Formulas(model.rules, model.weights), histories.n_reviews
    before, after = np.empty((3, items.size)), np.empty((3, len(n_reviews)))
    is_scored = np.empty(items.size, np.bool_)
    shortness = (-n_reviews).astype(np.min_scalar_type(-int(n_reviews.max(initial=1))))  # small integers sort faster
    # items of like length together, so that there are few passes; and in their order, so that memory is near
    by_doublings = np.argsort(np.frexp(n_reviews)[1].astype(np.int8), kind="stable")
    for low in range(0, len(by_doublings), _ITEMS_AT_ONCE):
        rows = by_doublings[low : low + _ITEMS_AT_ONCE]
        rows = rows[np.argsort(shortness[rows], kind="stable")]
        place, widths = _steps(histories, rows)
        with np.errstate(over="ignore", under="ignore"):
            elapsed, seen, after[:, rows] = _walk(formulas, widths, times.take(place), marks.take(place), whole_days)
        if (elapsed < 0.0).any():
            raise InvalidParameterError("time_s", time_s, "must never fall within the reviews of one item")
        for whole, part in zip(before, seen, strict=True):
            whole[place] = part
        is_scored[place] = elapsed >= 1.0
    return Replay(before[0], before[1], before[2], is_scored, histories.item, ReviewState(*after))


def _steps(histories: _Histories, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Return where the first reviews of these items stood, then the second, and so on; and how many of each.

    The items come longest history first, so that those with another review are always the first of those before.
    """
    start, n_reviews = histories.start[rows], histories.n_reviews[rows]
    widths = np.searchsorted(-n_reviews, -np.arange(n_reviews[0])).tolist()
    at = np.concatenate([start[:width] + k for k, width in enumerate(widths)])
    return at if histories.order is None else histories.order.take(at), widths


def _walk(
    formulas: Formulas, widths: list[int], times: FloatArray, marks: NDArray[np.int8], whole_days: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return elapsed days, then R, S in s and D before each review; and S in s, D and the time after the last ones."""
    elapsed, seen, n_items = np.empty(len(times)), np.empty((3, len(times))), widths[0]
    last, now = np.empty((3, n_items)), slice(0, n_items)
    elapsed[now] = seen[:, now] = np.nan
    s, d = formulas.first_stability(marks[now]), formulas.first_difficulty(marks[now])
    for n_before, n in pairwise(widths):
        last[:, n:n_before] = s[n:], d[n:], times[now][n:]
        before, now = times[now][:n], slice(now.stop, now.stop + n)
        s, d, g, t = s[:n], d[:n], marks[now], elapsed[now]
        np.divide(times[now] - before, DAY, out=t)
        if whole_days:
            np.floor(t, out=t)
        r = formulas.recall(t, s)
        seen[0, now], seen[1, now], seen[2, now] = r, s, d
        s, d = formulas.next_stability(s, d, t, g, r), formulas.next_difficulty(d, g)
    last[:, : widths[-1]] = s, d, times[now]
    seen[1] *= DAY
    last[0] *= DAY
    return elapsed, seen, last


def _histories(items: NDArray[np.int64]) -> _Histories:
    n = len(items)
    order: NDArray[np.int64] | None = None
    if not (items[1:] >= items[:-1]).all():
        low, bits = int(items.min()), n.bit_length()
        if (int(items.max()) - low) >> (63 - bits):
            order = np.argsort(items, kind="stable")
            items = items[order]
        else:  # item and place in one integer: many times faster to sort
            keys = (items - low) << bits | np.arange(n)
            keys.sort()
            order, items = keys & ((1 << bits) - 1), (keys >> bits) + low
    is_first = np.ones(n, np.bool_)
    np.not_equal(items[1:], items[:-1], out=is_first[1:])
    start = np.flatnonzero(is_first)
    return _Histories(order, items[start], start, np.diff(start, append=n))


def _ids(item: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(item)
    is_whole = array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64)
    if not is_whole and array.size:
        raise InvalidParameterError("item", item, "must be 64-bit integers")
    return array.astype(np.int64, copy=False)
