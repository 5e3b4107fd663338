r"""Fractal decay: mergeable traces, in which a whole history of accesses is a few numbers.

A power law is nearly a short sum of exponentials (`soma.math.exponential_sum` has the proof):

.. math:: t^{-b} \approx S(t) = \sum_k w_k e^{-t/\tau_k}

so a history of accesses needs no list of times. K accumulators are enough: each fades with its own time constant, an
access adds its weight to all of them, and the sum over the accesses of age^-b is w . s. Fading and adding are linear,
so traces of parts of a history, in any order and on any worker, add up to the trace of the whole, to rounding.

Laws: ``property_tests/math/test_multiscale.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import add, mul
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.exponential_sum import ExponentialSum, alias_bound, power_law

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

__all__ = [
    "ExponentialSum",
    "Trace",
    "access",
    "advance",
    "alias_bound",
    "base_level",
    "base_levels",
    "level",
    "levels",
    "merge",
    "power_law",
]

_CHUNK: Final = 4_096


@dataclass(frozen=True, slots=True)
class Trace:
    r"""A history of accesses as K accumulators, :math:`s_k = \sum_j c_j e^{-(T - T_j)/\tau_k}`.

    Parameters
    ----------
    at_s : float
        The time :math:`T` that the values are of, POSIX seconds; -infinity for a trace that has no access.
    values : tuple of float, length K
        The accumulators :math:`s_k`, finite, >= 0.

    Raises
    ------
    InvalidParameterError
        For a field outside its domain.
    """

    at_s: float
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        # one sum finds NaN and infinity: a trace is made for each event
        total = sum(self.values)
        if not 0.0 <= total < math.inf or min(self.values, default=-1.0) < 0.0:
            raise InvalidParameterError("values", self.values, "must be finite numbers >= 0, at least one")
        if not self.at_s < math.inf or (self.at_s == -math.inf and total > 0.0):
            raise InvalidParameterError("at_s", self.at_s, "must be finite, or -infinity for a trace of zeros")

    @classmethod
    def empty(cls, constants: ExponentialSum) -> Trace:
        """Return the trace of no access: merging it changes nothing."""
        return cls(-math.inf, (0.0,) * len(constants.tau_s))


def advance(trace: Trace, to_s: float, constants: ExponentialSum) -> Trace:
    r"""Return the trace at a later time: :math:`s_k e^{-\Delta t/\tau_k}`.

    Parameters
    ----------
    trace : Trace
        Accumulators with these constants.
    to_s : float
        The new time, POSIX seconds. A time before the trace's own gives the trace as it is: fading is not undone.
    constants : ExponentialSum
        The time constants, of K terms.

    Returns
    -------
    Trace
        Of the later of the two times.

    Raises
    ------
    InvalidParameterError
        For a time that is not finite, or a trace of another number of terms.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> advance(Trace.empty(law), 10.0, law).at_s
    10.0
    """
    elapsed_s = _elapsed("to_s", to_s, trace, constants)
    return trace if elapsed_s <= 0.0 else Trace(float(to_s), tuple(_fade(trace.values, elapsed_s, constants)))


def access(trace: Trace, at_s: float, weight: float, constants: ExponentialSum) -> Trace:
    r"""Return the trace with one more access, in or out of order.

    .. math:: s_k \leftarrow s_k + c

    after both have faded to the later of the two times.

    Parameters
    ----------
    trace : Trace
        Accumulators with these constants.
    at_s : float
        When the access was, POSIX seconds. If that is before the trace's time, its fading so far is applied first.
    weight : float
        Weight :math:`c` of the access, >= 0; 1 is an ordinary one.
    constants : ExponentialSum
        The time constants, of K terms.

    Returns
    -------
    Trace
        Of the later of the two times.

    Raises
    ------
    InvalidParameterError
        For a time or a weight outside its domain, or a trace of another number of terms.

    Notes
    -----
    From the later of the two times on, `level` is never less than without the access.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> trace = access(access(Trace.empty(law), 0.0, 1.0, law), 75.0, 1.0, law)
    >>> round(level(trace, 100.0, law), 2)  # 100 ** -0.5 + 25 ** -0.5
    0.3
    """
    if not 0.0 <= weight < math.inf:
        raise InvalidParameterError("weight", weight, "must be finite and >= 0")
    elapsed_s, weight = _elapsed("at_s", at_s, trace, constants), float(weight)
    if elapsed_s == math.inf:  # the first access of all
        return Trace(float(at_s), (weight,) * len(trace.values))
    if elapsed_s >= 0.0:
        return Trace(float(at_s), tuple([s + weight for s in _fade(trace.values, elapsed_s, constants)]))
    added = _fade((weight,) * len(trace.values), -elapsed_s, constants)
    return Trace(trace.at_s, tuple(map(add, trace.values, added)))


def merge(a: Trace, b: Trace, constants: ExponentialSum) -> Trace:
    """Return the trace of both histories together.

    Parameters
    ----------
    a, b : Trace
        Accumulators with these constants, of accesses that are counted once.
    constants : ExponentialSum
        The time constants, of K terms.

    Returns
    -------
    Trace
        Of the later of the two times.

    Raises
    ------
    InvalidParameterError
        For a trace of another number of terms.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> here, there = (access(Trace.empty(law), at_s, 1.0, law) for at_s in (0.0, 75.0))
    >>> round(level(merge(here, there, law), 100.0, law), 2)
    0.3
    """
    early, late = (a, b) if a.at_s <= b.at_s else (b, a)
    _require_terms(late, constants)
    if late.at_s > -math.inf:
        early = advance(early, late.at_s, constants)
    return Trace(late.at_s, tuple(map(add, early.values, late.values)))


def level(trace: Trace, now_s: float, constants: ExponentialSum) -> float:
    r"""Return how available a trace is, :math:`\sum_j c_j S(t_j)` over the ages of its accesses.

    Parameters
    ----------
    trace : Trace
        Accumulators with these constants.
    now_s : float
        The time of the question, POSIX seconds. Before the trace's own time, it is the level at that time.
    constants : ExponentialSum
        The time constants, of K terms.

    Returns
    -------
    float
        >= 0: 0 for no access, else within a factor 1 +- eps of :math:`\sum_j c_j t_j^{-b}` if all ages lie from
        t_min to t_max.

    Raises
    ------
    InvalidParameterError
        For a time that is not finite, or a trace of another number of terms.

    Notes
    -----
    Ages are not clamped one by one, for a trace knows none. An access of age :math:`t < t_{\min}` counts between
    :math:`(1 - \mathrm{eps})\,t_{\min}^{-b}` and the lesser of :math:`(1 + \mathrm{eps})\,t^{-b}` and
    :math:`\sum_k w_k`; one of age :math:`t > t_{\max}` at most :math:`(1 + \mathrm{eps})\,t^{-b}`.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> round(level(access(Trace.empty(law), 0.0, 1.0, law), 4.0, law), 2)
    0.5
    """
    elapsed_s = max(0.0, _elapsed("now_s", now_s, trace, constants))
    return math.fsum(map(mul, constants.weight, _fade(trace.values, elapsed_s, constants)))


def base_level(trace: Trace, now_s: float, constants: ExponentialSum) -> float:
    r"""Return the base-level activation of a trace, :math:`\ln \sum_j c_j S(t_j)`.

    Parameters
    ----------
    trace, now_s, constants
        As for `level`.

    Returns
    -------
    float
        -infinity for no access, else within :math:`-\ln(1 - \mathrm{eps})` of ACT-R's
        :math:`\ln \sum_j c_j t_j^{-b}` if all ages lie from t_min to t_max.

    Raises
    ------
    InvalidParameterError
        For a time that is not finite, or a trace of another number of terms.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-6, t_min_s=1.0, t_max_s=1e6)
    >>> trace = Trace.empty(law)
    >>> for at_s in (0.0, 90.0, 99.0):
    ...     trace = access(trace, at_s, 1.0, law)
    >>> round(base_level(trace, 100.0, law), 4)
    0.348
    >>> base_level(Trace.empty(law), 100.0, law)
    -inf
    """
    available = level(trace, now_s, constants)
    return math.log(available) if available > 0.0 else -math.inf


def levels(values: ArrayLike, at_s: ArrayLike, now_s: float, constants: ExponentialSum) -> FloatArray:
    r"""Return the `level` of many traces at once.

    Parameters
    ----------
    values : array_like, shape (n, K)
        Accumulators, finite, >= 0.
    at_s : array_like, shape (n,)
        The time of each trace, POSIX seconds; -infinity for one that has no access.
    now_s : float
        The time of the question, POSIX seconds.
    constants : ExponentialSum
        The time constants, of K terms.

    Returns
    -------
    ndarray of float64, shape (n,)
        >= 0. The level of a trace does not depend on which others are asked.

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for shapes that do not fit.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> trace = access(Trace.empty(law), 0.0, 1.0, law)
    >>> levels([trace.values, trace.values], [trace.at_s, 96.0], 100.0, law).round(2).tolist()
    [0.1, 0.5]
    """
    rows = finite("values", values)
    if rows.ndim != 2 or rows.shape[1] != len(constants.tau_s) or (rows < 0.0).any():
        raise InvalidParameterError("values", values, f"must be >= 0, of shape (n, {len(constants.tau_s)})")
    now, times = finite("now_s", now_s), np.asarray(at_s)
    if times.dtype.kind not in "fiu" or not (times < np.inf).all():
        raise InvalidParameterError("at_s", at_s, "must be finite, or -infinity for a trace of zeros")
    if now.ndim != 0 or times.shape != rows.shape[:1]:
        raise InvalidParameterError("at_s", at_s, f"must have shape ({len(rows)},), and now_s be one number")
    elapsed = np.maximum(0.0, now - times)
    tau, weight = np.array(constants.tau_s), np.array(constants.weight)
    found = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = np.vecdot(rows[part] * np.exp(-elapsed[part, None] / tau), weight)
    return found


def base_levels(values: ArrayLike, at_s: ArrayLike, now_s: float, constants: ExponentialSum) -> FloatArray:
    r"""Return the `base_level` of many traces at once.

    Parameters
    ----------
    values, at_s, now_s, constants
        As for `levels`.

    Returns
    -------
    ndarray of float64, shape (n,)
        -infinity for a trace that has no access.

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for shapes that do not fit.

    Examples
    --------
    >>> law = power_law(0.5, eps=1e-6, t_min_s=1.0, t_max_s=1e6)
    >>> trace = access(Trace.empty(law), 0.0, 1.0, law)
    >>> base_levels([trace.values, [0.0] * len(law.tau_s)], [0.0, 0.0], 1.0, law).round(4).tolist()
    [0.0, -inf]
    """
    with np.errstate(divide="ignore"):
        return np.log(levels(values, at_s, now_s, constants))


def _elapsed(parameter: str, time_s: float, trace: Trace, constants: ExponentialSum) -> float:
    if not math.isfinite(time_s):
        raise InvalidParameterError(parameter, time_s, "must be finite")
    _require_terms(trace, constants)
    return float(time_s) - trace.at_s


def _require_terms(trace: Trace, constants: ExponentialSum) -> None:
    if len(trace.values) != len(constants.tau_s):
        raise InvalidParameterError("trace", trace, f"must have {len(constants.tau_s)} values")


def _fade(values: Iterable[float], elapsed_s: float, constants: ExponentialSum) -> list[float]:
    exp = math.exp  # on some twenty floats this is faster than numpy
    return [s * exp(-elapsed_s / tau) for s, tau in zip(values, constants.tau_s, strict=True)]
