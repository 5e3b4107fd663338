"""How good predictions of recall are: log loss, area under the curve, calibration by bins; and splits in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, unit_interval
from soma.math.review_history import ReviewHistory
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["area_under_curve", "bins_error", "log_losses", "time_splits"]

LEAST: Final = 1e-5
"""Probabilities are cut to [LEAST, 1 - LEAST]: one certain mistake does not outweigh all else."""


def log_losses(is_recalled: ArrayLike, probability: ArrayLike) -> FloatArray:
    r"""Return the surprise of each outcome, :math:`-\ln P(y)`.

    Parameters
    ----------
    is_recalled : array_like of bool, shape (n,)
        What happened.
    probability : array_like, shape (n,)
        What was predicted, in [0, 1]; cut to [1e-5, 1 - 1e-5].

    Returns
    -------
    ndarray of float64, shape (n,)
        In (0, 11.52].

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for arrays of different length.

    Notes
    -----
    Laws: ``property_tests/math/test_review_scores.py``.

    Examples
    --------
    >>> log_losses([True, False], [0.5, 0.9]).round(3).tolist()
    [0.693, 2.303]
    """
    outcome, p = _pair(is_recalled, probability)
    p = np.clip(p, LEAST, 1.0 - LEAST)
    return -np.where(outcome, np.log(p), np.log1p(-p))


def area_under_curve(is_recalled: ArrayLike, probability: ArrayLike) -> float:
    r"""Return the probability that a success was thought likelier than a failure, ties counting half.

    Parameters
    ----------
    is_recalled : array_like of bool, shape (n,)
        What happened.
    probability : array_like, shape (n,)
        What was predicted, in [0, 1].

    Returns
    -------
    float
        In [0, 1]; .5 for guessing, and for outcomes that are all alike.

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for arrays of different length.

    Notes
    -----
    The area under the receiver operating characteristic, by ranks (Mann and Whitney). Laws:
    ``property_tests/math/test_review_scores.py``.

    Examples
    --------
    >>> area_under_curve([True, False, True], [0.9, 0.8, 0.4])
    0.5
    """
    outcome, p = _pair(is_recalled, probability)
    n_true = int(outcome.sum())
    n_false = len(outcome) - n_true
    if not n_true or not n_false:
        return 0.5
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0  # the mean rank of each value, from 1
    ranks = middle[place.reshape(p.shape)]
    return float((ranks[outcome].sum() - n_true * (n_true + 1) / 2.0) / (n_true * n_false))


def bins_error(is_recalled: ArrayLike, probability: ArrayLike, history: ReviewHistory) -> float:
    r"""Return how far predictions are from what happened, in bins of reviews that are alike.

    .. math:: \sqrt{\sum_b n_b (\bar y_b - \bar p_b)^2 / \sum_b n_b}

    Parameters
    ----------
    is_recalled : array_like of bool, shape (n,)
        What happened.
    probability : array_like, shape (n,)
        What was predicted, in [0, 1].
    history : ReviewHistory
        Of the same n reviews. A bin holds reviews whose elapsed days, number of reviews and number of lapses fall into
        the same steps of ratio 3.62, 1.89 and 1.73.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for arrays of different length.

    Notes
    -----
    The steps are those of the RMSE (bins) of the spaced-repetition benchmarks of open-spaced-repetition. Laws:
    ``property_tests/math/test_review_scores.py``.

    Examples
    --------
    >>> from soma.math.review_history import review_history
    >>> seen = review_history([1, 2, 1, 2], [0.0, 0.0, DAY, DAY], [True] * 4).at(slice(2, 4))
    >>> bins_error([True, False], [0.9, 0.7], seen)  # one bin: half were recalled, and .8 were expected
    0.3
    """
    outcome, p = _pair(is_recalled, probability)
    if history.elapsed_s.shape != p.shape or not np.isfinite(history.elapsed_s).all():
        raise InvalidParameterError(
            "history", history.elapsed_s.shape, f"must be of {len(p)} reviews, and no first one"
        )
    lapses = np.rint(history.lapse_share * history.n_reviews)
    steps = np.column_stack(
        [
            _step(np.maximum(history.elapsed_s / DAY, 1.0), 3.62),
            _step(history.n_reviews + 1.0, 1.89),
            np.where(lapses > 0, _step(np.maximum(lapses, 1.0), 1.73) + 1.0, 0.0),
        ]
    )
    _, bins = np.unique(steps, axis=0, return_inverse=True)
    bins = bins.reshape(-1)
    n = np.bincount(bins)
    away = np.bincount(bins, outcome - p) / n
    return float(np.sqrt((n * away**2).sum() / n.sum()))


def time_splits(n: int, n_splits: int) -> Iterator[tuple[slice, slice]]:
    """Yield training and test rows of events in the order of time: each test follows all that it is predicted from.

    Parameters
    ----------
    n : int
        Events.
    n_splits : int
        Tests of equal length, >= 1; what remains belongs to the first training.

    Yields
    ------
    train, test : slice
        Rows; the training ends where the test begins.

    Raises
    ------
    InvalidParameterError
        For fewer events than splits and one.

    Notes
    -----
    Laws: ``property_tests/math/test_review_scores.py``. The same as scikit-learn's ``TimeSeriesSplit``.

    Examples
    --------
    >>> [(train.stop, test.stop) for train, test in time_splits(11, 2)]
    [(5, 8), (8, 11)]
    """
    if n_splits < 1 or n < n_splits + 1:
        raise InvalidParameterError("n, n_splits", (n, n_splits), "must be at least n_splits + 1, and 1")
    size = n // (n_splits + 1)
    for start in range(n - n_splits * size, n, size):
        yield slice(0, start), slice(start, start + size)


def _pair(is_recalled: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.bool_], FloatArray]:
    outcome, p = np.asarray(is_recalled), unit_interval("probability", probability)
    if outcome.dtype != np.bool_ or outcome.shape != p.shape or p.ndim != 1 or not p.size:
        raise InvalidParameterError("is_recalled", outcome.shape, f"must be truth values, one for each of {p.shape}")
    return outcome, p


def _step(values: FloatArray, ratio: float) -> FloatArray:
    return np.asarray(np.floor(np.log(values) / np.log(ratio)), dtype=np.float64)
