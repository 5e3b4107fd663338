r"""ACT-R: how available a memory is, as the log-odds of needing it.

Ages are the seconds since each presentation, on the last axis; infinity stands for no presentation, so that histories
of different length fit one array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, positive, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "base_level",
    "hybrid_base_level",
    "latency_s",
    "noise_variance",
    "optimised_base_level",
    "recall_probability",
    "spaced_decays",
]


def base_level(elapsed_s: ArrayLike, decay: ArrayLike = 0.5) -> FloatArray:
    r"""Return the base-level activation of histories of presentations.

    .. math:: B = \ln \sum_j t_j^{-d_j}

    Parameters
    ----------
    elapsed_s : array_like, shape (\*batch, n)
        Ages :math:`t_j`, seconds, > 0; infinity for no presentation.
    decay : array_like, broadcastable to (\*batch, n)
        Decay :math:`d_j`, dimensionless, finite and > 0: one for all, or one for each.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        -infinity for no presentation at all.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: Anderson and Schooler 1991. Laws: ``property_tests/math/test_activation.py``.

    Examples
    --------
    >>> round(float(base_level([1.0, 10.0, 100.0])), 6)
    0.347997
    """
    ages, d = _ages(elapsed_s), positive("decay", decay)
    try:
        each = np.broadcast_to(d, ages.shape)
    except ValueError:
        raise InvalidParameterError("decay", d.shape, f"must broadcast to the ages' shape {ages.shape}") from None
    return _log_sum(-each * np.log(ages))


def optimised_base_level(n_presentations: ArrayLike, oldest_s: ArrayLike, decay: float = 0.5) -> FloatArray:
    r"""Return the base level of presentations that are spread evenly over a life.

    .. math:: B = \ln \frac{n}{1 - d} - d \ln L

    Parameters
    ----------
    n_presentations : array_like, shape (\*batch,)
        How many, :math:`n`, finite and > 0.
    oldest_s : array_like, broadcast with it
        Age :math:`L` of the **oldest** presentation, seconds, finite and > 0. That of the latest is a known mistake.
    decay : float
        Decay :math:`d`, in (0, 1).

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        Finite.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: Anderson and Lebiere 1998. Laws: ``property_tests/math/test_activation.py``.

    Examples
    --------
    >>> round(float(optimised_base_level(5, 50.0)), 6)
    0.346574
    """
    d = _fraction(decay)
    n, oldest = positive("n_presentations", n_presentations), positive("oldest_s", oldest_s)
    return np.asarray(np.log(n) - np.log1p(-d) - d * np.log(oldest))


def hybrid_base_level(
    recent_s: ArrayLike, n_presentations: ArrayLike, oldest_s: ArrayLike, decay: float = 0.5
) -> FloatArray:
    r"""Return the base level with the latest presentations exact and those before them spread evenly.

    .. math:: B = \ln \left[\sum_{i \le k} t_i^{-d} + \frac{(n - k)(t_n^{1-d} - t_k^{1-d})}{(1 - d)(t_n - t_k)}\right]

    Parameters
    ----------
    recent_s : array_like, shape (\*batch, k)
        Ages of the k latest presentations, rising, seconds, finite and > 0; k = 0 makes it the optimised form.
    n_presentations : array_like, shape (\*batch,)
        How many there were altogether, :math:`n \ge k`.
    oldest_s : array_like, shape (\*batch,)
        Age :math:`t_n` of the oldest, seconds, at least the last of the recent ones.
    decay : float
        Decay :math:`d`, in (0, 1).

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        With k = n the exact base level.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Both limits are taken: of n = k, and of presentations at one time. Source: Petrov 2006. Laws:
    ``property_tests/math/test_activation.py``.

    Examples
    --------
    >>> round(float(hybrid_base_level([10.0], 5, 50.0)), 6)
    0.093477
    """
    d, recent = _fraction(decay), positive("recent_s", recent_s)
    if recent.ndim == 0 or (np.diff(recent, axis=-1) < 0.0).any():
        raise InvalidParameterError("recent_s", recent_s, "must rise along a last axis of presentations")
    n, oldest = positive("n_presentations", n_presentations), positive("oldest_s", oldest_s)
    k = recent.shape[-1]
    if (n < k).any():
        raise InvalidParameterError("n_presentations", n_presentations, f"must be at least {k}, as many as are recent")
    if k == 0:
        return optimised_base_level(n, oldest, d)
    last = recent[..., -1]
    if (oldest < last).any():
        raise InvalidParameterError("oldest_s", oldest_s, "must be at least the oldest of the recent ages")
    with np.errstate(divide="ignore", invalid="ignore"):
        more = (oldest - last) / last
        # the mean of t^-d between the two, over that at t_k
        share = np.where(more > 0.0, np.expm1((1.0 - d) * np.log1p(more)) / ((1.0 - d) * more), 1.0)
        rest = np.log(n - k) - d * np.log(last) + np.log(share)
    terms = np.broadcast_arrays(*(-d * np.log(recent[..., i]) for i in range(k)), rest)
    return _log_sum(np.stack(terms, axis=-1))


def recall_probability(activation: ArrayLike, threshold: float = 0.0, noise: float = 0.4) -> FloatArray:
    r"""Return the probability that a memory is recalled.

    .. math:: P = \frac{1}{1 + e^{(\tau - A)/s}}

    Parameters
    ----------
    activation : array_like, shape (\*batch,)
        Activation :math:`A`; -infinity is never recalled.
    threshold : float
        Threshold :math:`\tau`, finite.
    noise : float
        Scale :math:`s` of the logistic noise, > 0.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        In [0, 1].

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Examples
    --------
    >>> recall_probability([0.0, 1.0, -np.inf]).round(4).tolist()
    [0.5, 0.9241, 0.0]
    """
    from scipy.special import expit  # noqa: PLC0415 - `import soma` loads NumPy alone

    level, s = _activations(activation), positive_scalar("noise", noise)
    return np.asarray(expit((level - float(finite("threshold", threshold))) / s))


def latency_s(activation: ArrayLike, factor_s: float = 1.0, exponent: float = 1.0) -> FloatArray:
    r"""Return how long a recall takes, :math:`F e^{-f A}`.

    Parameters
    ----------
    activation : array_like, shape (\*batch,)
        Activation :math:`A`; that of -infinity takes for ever.
    factor_s : float
        Factor :math:`F`, seconds, > 0.
    exponent : float
        Exponent :math:`f`, dimensionless, > 0.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        Seconds, > 0.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Examples
    --------
    >>> latency_s([0.0, 1.0], factor_s=2.0).round(4).tolist()
    [2.0, 0.7358]
    """
    level = _activations(activation)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(
            positive_scalar("factor_s", factor_s) * np.exp(-positive_scalar("exponent", exponent) * level)
        )


def noise_variance(noise: float) -> float:
    r"""Return the variance of logistic noise of a scale, :math:`\pi^2 s^2 / 3`.

    Parameters
    ----------
    noise : float
        Scale :math:`s`, > 0.

    Returns
    -------
    float
        In squared units of activation.

    Examples
    --------
    >>> round(noise_variance(0.4), 4)
    0.5264
    """
    return float(np.pi**2 * positive_scalar("noise", noise) ** 2 / 3.0)


def spaced_decays(times_s: ArrayLike, scale: float, intercept: float) -> FloatArray:
    r"""Return the decay of each presentation, which is steeper the more active the memory was when it came.

    .. math:: d_j = c\, e^{m_{j-1}} + a, \quad m_{j-1} = \ln \sum_{i < j} (t_j - t_i)^{-d_i}

    Parameters
    ----------
    times_s : array_like, shape (\*batch, n)
        When the presentations were, rising along the last axis, seconds; infinity for no presentation.
    scale : float
        Scale :math:`c`, >= 0: without it spacing makes no difference.
    intercept : float
        Decay :math:`a` of a first presentation, > 0.

    Returns
    -------
    ndarray of float64, shape (\*batch, n)
        At least ``intercept``, which is also that of no presentation. Two presentations less than a second apart count
        as a second apart.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: Pavlik and Anderson 2005. Laws: ``property_tests/math/test_activation.py``.

    Examples
    --------
    >>> massed, spaced = spaced_decays([[0.0, 10.0], [0.0, 1e5]], 0.25, 0.18)
    >>> bool(massed[1] > spaced[1]), float(spaced[0])
    (True, 0.18)
    """
    times = np.asarray(times_s)
    if times.dtype.kind not in "fiu" or times.ndim == 0 or np.isnan(times).any() or (times == -np.inf).any():
        raise InvalidParameterError("times_s", times_s, "must be times along a last axis")
    times = times.astype(np.float64)
    if (times[..., 1:] < times[..., :-1]).any():
        raise InvalidParameterError("times_s", times_s, "must rise along the last axis")
    c, a = float(finite("scale", scale)), positive_scalar("intercept", intercept)
    if c < 0.0:
        raise InvalidParameterError("scale", scale, "must be >= 0")
    decays = np.full(times.shape, a)
    for j in range(1, times.shape[-1]):
        now, before = times[..., j, None], times[..., :j]
        with np.errstate(invalid="ignore"):
            apart = np.where(np.isfinite(now), np.maximum(now - before, 1.0), np.inf)
        with np.errstate(over="ignore"):
            decays[..., j] += c * np.power(apart, -decays[..., :j]).sum(axis=-1)
    return decays


def _ages(elapsed_s: ArrayLike) -> FloatArray:
    array = np.asarray(elapsed_s)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or not (array > 0).all():
        raise InvalidParameterError("elapsed_s", elapsed_s, "must be > 0, along a last axis of presentations")
    return array.astype(np.float64)


def _activations(activation: ArrayLike) -> FloatArray:
    array = np.asarray(activation)
    if array.dtype.kind not in "fiu" or not (array < np.inf).all():
        raise InvalidParameterError("activation", activation, "must be numbers below infinity")
    return array.astype(np.float64)


def _fraction(decay: float) -> float:
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0.0 < decay < 1.0:
        raise InvalidParameterError("decay", decay, "must lie in (0, 1)")
    return float(decay)


def _log_sum(terms: FloatArray) -> FloatArray:
    """Return the logarithm of the sum of exponentials along the last axis; -infinity for none."""
    top = terms.max(axis=-1, initial=-np.inf)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(np.exp(terms - safe[..., None]).sum(axis=-1)))
