"""Neighbours of each row: those within a reach in time or in places, and sums over them without cancellation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from soma.math.domain import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fading", "group_numbers", "spread", "window_sums", "within"]

Places: TypeAlias = "NDArray[np.intp]"


def group_numbers(labels: NDArray[np.str_]) -> Places:
    """Return one number for all rows with the same label; a row labelled ``""`` has a number of its own."""
    names: dict[str, int] = {}
    found = [names.setdefault(label, len(names)) for label in labels.tolist()]  # sorting them would cost ten times that
    number = np.array(found, dtype=np.intp)
    alone = labels == ""
    number[alone] = len(names) + np.arange(np.count_nonzero(alone))
    return number


def fading(
    rows: Places, values: NDArray[Any], place: Places, ratio: float, reach: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Return what each row has of its own and gets from earlier and from later ones, if values fade with each place.

    .. math:: \mathrm{own}_i = v_i, \quad \mathrm{before}_i = \sum_{0 < p_i - p_j \le R} r^{p_i - p_j} v_j, \quad
              \mathrm{after}_i = \sum_{0 < p_j - p_i \le R} r^{p_j - p_i} v_j

    Parameters
    ----------
    rows : ndarray of int, shape (m,)
        The rows that have a value, each once; that of all others is 0.
    values : ndarray, shape (m,)
        These values :math:`v`.
    place : ndarray of int, shape (n,)
        The place of each row :math:`p`, no two alike.
    ratio : float
        What is left of a value one place on :math:`r`, >= 0.
    reach : int
        How many places it goes :math:`R`, >= 0.

    Returns
    -------
    own, before, after : ndarray of float64, shape (n,)
        The order of the rows does not matter, to the last bit. O(n log n + R m).
    """
    order = np.argsort(place)
    stands = np.empty(len(order), dtype=np.intp)
    stands[order] = np.arange(len(order))
    at, source = place[order], stands[rows]
    found = np.zeros((3, len(order)))
    found[0, source] = values
    share = ratio ** np.arange(reach + 1.0)
    for step in range(1, reach + 1):
        for of, target in ((1, source + step), (2, source - step)):
            inside = np.flatnonzero((target >= 0) & (target < len(order)))
            distance = np.abs(at[target[inside]] - at[source[inside]])
            near = distance <= reach
            chosen = inside[near]
            found[of, target[chosen]] += share[distance[near]] * values[chosen]
    own, before, after = found[:, stands]
    return own, before, after


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
