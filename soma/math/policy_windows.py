"""Neighbours of each row: those within a reach in time or in places, and sums over them without cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from soma.math.domain import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["faded_postings", "fading", "group_numbers", "spread", "window_sums", "within"]

Places: TypeAlias = "NDArray[np.intp]"


def group_numbers(labels: NDArray[np.str_]) -> Places:
    """Return one number for all rows with the same label; a row labelled ``""`` has a number of its own."""
    names: dict[str, int] = {}
    found = [names.setdefault(label, len(names)) for label in labels.tolist()]  # sorting them would cost ten times that
    number = np.array(found, dtype=np.intp)
    alone = labels == ""
    number[alone] = len(names) + np.arange(np.count_nonzero(alone))
    return number


def fading(values: FloatArray, place: Places, ratio: float, reach: int) -> tuple[FloatArray, FloatArray]:
    r"""Return what each row gets from earlier and from later ones, if values fade with each place.

    .. math:: \mathrm{before}_i = \sum_{0 < p_i - p_j \le R} r^{p_i - p_j} v_j, \quad
              \mathrm{after}_i = \sum_{0 < p_j - p_i \le R} r^{p_j - p_i} v_j

    Parameters
    ----------
    values : ndarray of float64, shape (\*batch, n)
        The value of each row :math:`v`.
    place : ndarray of int, shape (n,)
        The place of each row :math:`p`, no two alike.
    ratio : float
        What is left of a value one place on :math:`r`, >= 0.
    reach : int
        How many places it goes :math:`R`, >= 0.

    Returns
    -------
    before, after : ndarray of float64, shape (\*batch, n)
        The order of the rows does not matter, to the last bit. O(n log n + R n).
    """
    order, stands = _line(place)
    at, value = place[order], values[..., order]
    before, after = np.zeros(values.shape), np.zeros(values.shape)
    share = np.append(ratio ** np.arange(reach + 1.0), 0.0)
    for step in range(1, min(reach, len(order) - 1) + 1):
        left = share[np.minimum(at[step:] - at[:-step], reach + 1)]  # a step apart there are as many places, or more
        before[..., step:] += left * value[..., :-step]
        after[..., :-step] += left * value[..., step:]
    return before[..., stands], after[..., stands]


def faded_postings(
    postings: Sequence[tuple[Places, NDArray[Any]]], place: Places, ratio: float, reach: int
) -> list[tuple[Places, FloatArray]]:
    """Return for each word the rows that have it, or get it from others as in `fading`, each once, and how much of it.

    Parameters
    ----------
    postings : sequence of (ndarray of int, ndarray), length m
        For each word the rows that have it, each once, and how often.
    place, ratio, reach
        As of `fading`.
    """
    order, stands = _line(place)
    at, n = place[order], len(order)
    word = np.repeat(np.arange(len(postings)), [len(rows) for rows, _ in postings])
    source = stands[np.concatenate([np.zeros(0, dtype=np.intp), *(rows for rows, _ in postings)])]
    counts = np.concatenate([np.zeros(0), *(counts for _, counts in postings)])
    total = np.zeros((len(postings), n))
    total[word, source] = counts
    share = ratio ** np.arange(reach + 1.0)
    for step in (sign * step for step in range(1, reach + 1) for sign in (1, -1)):
        inside = np.flatnonzero((source + step >= 0) & (source + step < n))
        target = source[inside] + step
        distance = np.abs(at[target] - at[source[inside]])
        near = np.flatnonzero(distance <= reach)
        total[word[inside[near]], target[near]] += share[distance[near]] * counts[inside[near]]
    return [(order[had], row[had]) for row in total for had in [np.flatnonzero(row)]]


def _line(place: Places) -> tuple[Places, Places]:
    """Return the rows in the order of their places, and where each row stands in it."""
    order = np.argsort(place)
    stands = np.empty(len(place), dtype=np.intp)
    stands[order] = np.arange(len(place))
    return order, stands


def spread(values: FloatArray, time_s: FloatArray, group: Places, reach_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    r"""Return what each row keeps of its value, and what it gets, if every row shares its value within a reach.

    .. math:: \mathrm{kept}_i = \frac{v_i}{|W_i|}, \quad \mathrm{all}_i = \sum_{j \in W_i} \frac{v_j}{|W_j|}, \quad
              W_i = \{j : g_j = g_i, |t_j - t_i| \le r\}

    Parameters
    ----------
    values, time_s : ndarray of float64, shape (n,)
        Values :math:`v` and times :math:`t`, seconds.
    group : ndarray of int, shape (n,)
        Nothing is shared between groups :math:`g`.
    reach_s : ndarray of float64, shape (m,)
        Reaches :math:`r`, seconds, >= 0.

    Returns
    -------
    kept, received : ndarray of float64, shape (m, n)
        Received is :math:`\mathrm{all} - \mathrm{kept}`, and 0 for a row alone within the reach. Both depend on the
        set of rows, not on their order, to the last bit; and on no row outside the windows of the window.
    """
    order = np.lexsort((values, time_s, group))
    value, time, number = values[order], time_s[order], group[order]
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    size = np.diff(np.r_[starts, len(order)])
    start = np.repeat(starts, size)
    stop = np.repeat(starts + size, size)
    kept, received = np.empty((2, len(reach_s), len(order)))
    for i, reach in enumerate(reach_s):
        first, last = within(time, start, stop, reach)
        share = value / (last - first)
        kept[i, order] = share
        received[i, order] = window_sums(share, first, last) - share
    return kept, received


def within(time: FloatArray, start: Places, stop: Places, reach: float) -> tuple[Places, Places]:
    """Return for each row where the rows no further than ``reach`` from it begin and end.

    Parameters
    ----------
    time : ndarray of float64, shape (n,)
        Never falls from ``start`` to ``stop``.
    start, stop : ndarray of int, shape (n,)
        The rows in question: start <= row < stop.
    reach : float
        >= 0. A distance is what the subtraction gives, so that i is near j exactly if j is near i.
    """
    n = len(time)
    first = _first(time, start, reach)
    return first, n - _first(-time[::-1], n - stop[::-1], reach)[::-1]


def window_sums(values: FloatArray, first: Places, last: Places) -> FloatArray:
    """Return the sum of ``values[first:last]`` for each row, from sums over 1, 2, 4, ... neighbours.

    No difference of running totals is taken: the error is that of a pairwise sum of the window alone, and the
    sum of one value is that value. O(n log n).
    """
    total = np.zeros(len(first))
    place, length = first.copy(), last - first
    block, size = values, 1
    while (length >= size).any():
        rows = np.flatnonzero(length & size)
        total[rows] += block[place[rows]]
        place[rows] += size
        block = block[:-size] + block[size:]
        size *= 2
    return total


def _first(time: FloatArray, start: Places, reach: float) -> Places:
    low, high = start.copy(), np.arange(len(time))
    while (low < high).any():
        middle = (low + high) // 2
        is_near = time - time[middle] <= reach
        low, high = np.where(is_near, low, middle + 1), np.where(is_near, middle, high)
        low = np.minimum(low, high)
    return low
