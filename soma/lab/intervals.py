"""Intervals of means over questions, by the bootstrap; of differences, they are paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MeanIntervals", "mean_intervals"]

_CHUNK: Final = 2**22  # counts held at a time


@dataclass(frozen=True, slots=True)
class MeanIntervals:
    """Means, and the percentile intervals of each.

    Parameters
    ----------
    mean, low, high : ndarray of float64, shape (m,)
        One of each for each column.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray


def mean_intervals(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    cluster: ArrayLike | None = None,
    n_resamples: int = 2_000,
    level: float = 0.95,
) -> MeanIntervals:
    r"""Return the mean of each column with its bootstrap interval, all columns over the same resamples.

    .. math:: \bar x^{(r)} = \frac{\sum_i c_i^{(r)} x_i}{\sum_i c_i^{(r)}}

    with :math:`c_i^{(r)}` how often the r-th resample draws row i. The interval of a difference between two systems
    that were asked the same is that of the column of their differences: paired, so that what makes a question hard for
    both counts for neither.

    Parameters
    ----------
    values : array_like, shape (n, m)
        One row a question, n >= 1.
    rng : numpy.random.Generator
        Draws the resamples.
    cluster : array_like, shape (n,), optional
        What each row belongs to: rows of a cluster are drawn together, because they depend on each other. By default
        each row is drawn for itself, which says how sure the means are over questions about the same conversations;
        with the conversation as the cluster, over other conversations too.
    n_resamples : int
        Resamples, >= 2.
    level : float
        Coverage, in (0, 1).

    Returns
    -------
    MeanIntervals
        The same for the same generator.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Efron and Tibshirani 1993. Laws: ``property_tests/lab/test_intervals.py``.

    Examples
    --------
    >>> found = mean_intervals([[0.0], [1.0], [1.0], [0.0]], rng=np.random.default_rng(0))
    >>> found.mean.tolist(), found.low.tolist(), found.high.tolist()
    ([0.5], [0.0], [1.0])
    """
    table = finite("values", values)
    if table.ndim != 2 or not len(table):
        raise InvalidParameterError("values", table.shape, "must have shape (n, m), n >= 1")
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int) or n_resamples < 2:
        raise InvalidParameterError("n_resamples", n_resamples, "must be an integer >= 2")
    if not 0.0 < level < 1.0:
        raise InvalidParameterError("level", level, "must lie in (0, 1)")
    labels = np.arange(len(table)) if cluster is None else np.asarray(cluster)
    if labels.shape != (len(table),):
        raise InvalidParameterError("cluster", labels.shape, f"must have shape ({len(table)},), as values has rows")
    _, number = np.unique(labels, return_inverse=True)
    size = np.bincount(number).astype(np.float64)
    total = np.zeros((len(size), table.shape[1]))
    np.add.at(total, number, table)
    draws = np.empty((n_resamples, table.shape[1]))
    step = max(1, _CHUNK // len(size))
    for start in range(0, n_resamples, step):
        n_draws = min(step, n_resamples - start)
        drawn = rng.integers(0, len(size), (n_draws, len(size)))
        counts = np.zeros((n_draws, len(size)))
        np.add.at(counts, (np.arange(n_draws)[:, None], drawn), 1.0)
        draws[start : start + n_draws] = (counts @ total) / (counts @ size)[:, None]
    low, high = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return MeanIntervals(table.mean(axis=0), low, high)
