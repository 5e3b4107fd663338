r"""Fractal decay: a power law as a short sum of exponentials with a proven bound, and traces that merge.

:math:`t^{-b} = \frac{1}{\Gamma(b)} \int_{-\infty}^{\infty} e^{-t e^x + b x}\,dx`, and the trapezoid rule with step
:math:`\ln r` turns the integral into :math:`\sum_k w_k e^{-t/\tau_k}` with :math:`\tau_k = r^k`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, non_negative, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "ExponentialSum",
    "Trace",
    "access",
    "advance",
    "alias_bound",
    "base_level",
    "level",
    "levels",
    "merge",
    "power_law",
]

_ROUNDING: Final = 1e-12
_HARMONICS: Final = 400


@dataclass(frozen=True, slots=True)
class ExponentialSum:
    r"""A power law as a sum of exponentials, :math:`S(t) = \sum_k w_k e^{-t/\tau_k}`.

    Parameters
    ----------
    exponent : float
        Exponent :math:`b` of the power law.
    eps : float
        Bound of the relative error, :math:`|S(t) - t^{-b}| \le \epsilon\, t^{-b}`, for ages in [t_min_s, t_max_s].
    t_min_s, t_max_s : float
        The range of ages, seconds.
    tau_s : tuple of float, length K
        Times :math:`\tau_k`, seconds, rising.
    weight : tuple of float, length K
        Weights :math:`w_k`, > 0.

    Notes
    -----
    Laws: ``property_tests/math/test_multiscale.py``.
    """

    exponent: float
    eps: float
    t_min_s: float
    t_max_s: float
    tau_s: tuple[float, ...]
    weight: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("exponent", "eps", "t_min_s", "t_max_s"):
            object.__setattr__(self, name, positive_scalar(name, getattr(self, name)))
        for name in ("tau_s", "weight"):
            numbers = tuple(positive_scalar(name, value) for value in getattr(self, name))
            object.__setattr__(self, name, numbers)
        if not self.tau_s or len(self.tau_s) != len(self.weight):
            raise InvalidParameterError("weight", self.weight, f"must have {len(self.tau_s)} numbers, one a time")
        if self.t_max_s <= self.t_min_s:
            raise InvalidParameterError("t_max_s", self.t_max_s, f"must be > t_min_s = {self.t_min_s}")

    def __len__(self) -> int:
        return len(self.tau_s)

    def value(self, age_s: ArrayLike) -> FloatArray:
        r"""Return :math:`S(t)`, with the age clamped to [t_min_s, t_max_s].

        Parameters
        ----------
        age_s : array_like, shape (\*batch,)
            Age :math:`t`, seconds, >= 0.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            > 0.

        Raises
        ------
        InvalidParameterError
            For a negative age, or NaN.

        Examples
        --------
        >>> power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6).value([1.0, 100.0, 1e6]).round(3).tolist()
        [1.0, 0.1, 0.001]
        """
        age = np.clip(non_negative("age_s", age_s), self.t_min_s, self.t_max_s)
        return np.asarray(np.exp(-age[..., None] / np.array(self.tau_s)) @ np.array(self.weight))

    def to_dict(self) -> dict[str, Any]:
        """Return the constants as JSON values."""
        return {
            "exponent": self.exponent,
            "eps": self.eps,
            "t_min_s": self.t_min_s,
            "t_max_s": self.t_max_s,
            "tau_s": list(self.tau_s),
            "weight": list(self.weight),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> ExponentialSum:
        """Return the sum that `to_dict` described.

        Raises
        ------
        SerializationError
            For a missing or unknown field.
        InvalidParameterError
            For a number outside its domain.
        """
        names = ("exponent", "eps", "t_min_s", "t_max_s", "tau_s", "weight")
        if not isinstance(description, Mapping) or set(description) != set(names):
            raise SerializationError(f"trace constants have exactly the fields {', '.join(names)}")
        for name in ("tau_s", "weight"):
            if not isinstance(description[name], Sequence) or isinstance(description[name], str):
                raise SerializationError(f"{name} must be a list of numbers")
        return cls(*(description[name] for name in names))


@dataclass(frozen=True, slots=True)
class Trace:
    """A memory's whole history of accesses: K accumulators, as of a time.

    Parameters
    ----------
    at_s : float
        The latest access, POSIX seconds; minus infinity before the first.
    values : tuple of float, length K
        Sum over the accesses of weight * exp(-(at_s - access) / tau_k).
    """

    at_s: float
    values: tuple[float, ...]

    @classmethod
    def empty(cls, constants: ExponentialSum) -> Trace:
        """Return the trace of a memory that was never accessed."""
        return cls(-math.inf, (0.0,) * len(constants))


def alias_bound(exponent: float, ratio: float) -> float:
    r"""Return the relative error of the infinite sum.

    .. math:: \epsilon(b, r) = \frac{2}{\Gamma(b)} \sum_{m \ge 1} \left|\Gamma\left(b + \frac{2\pi i m}{\ln r}\right)\right|

    Parameters
    ----------
    exponent : float
        Exponent :math:`b`, > 0.
    ratio : float
        Ratio :math:`r` of successive times, > 1.

    Returns
    -------
    float
        > 0.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Poisson summation. Laws: ``property_tests/math/test_multiscale.py``.

    Examples
    --------
    >>> round(alias_bound(0.5, 4.0), 6)
    0.002291
    """
    from scipy.special import loggamma  # noqa: PLC0415 - scipy is loaded on first use

    b, r = positive_scalar("exponent", exponent), positive_scalar("ratio", ratio)
    if r <= 1.0:
        raise InvalidParameterError("ratio", ratio, "must be > 1")
    m = np.arange(1, _HARMONICS + 1)
    size = np.real(loggamma(b + 2j * np.pi * m / math.log(r))) - math.lgamma(b)
    return float(2.0 * np.exp(size).sum())


def power_law(exponent: float, *, eps: float, t_min_s: float, t_max_s: float) -> ExponentialSum:
    r"""Return a short sum of exponentials that is :math:`t^{-b}` within ``eps`` over a range of ages.

    The ratio is the largest whose `alias_bound` is half of ``eps``. What is left out of the infinite sum is bounded
    at both ends. Below: times under :math:`\tau_0 < t_{min}/8` add most at :math:`t_{min}`, where
    :math:`t^b e^{-t/\tau}` already falls. Above: all terms from some :math:`\tau` on become one with their weight
    :math:`W` and mean rate :math:`\lambda`; by Jensen the sum only loses, and at most
    :math:`\frac{t^2}{2} \sum w_k/\tau_k^2`, most at :math:`t_{max}`.

    Parameters
    ----------
    exponent : float
        Exponent :math:`b`, in (0, 4].
    eps : float
        Largest relative error, in (0, 0.1].
    t_min_s, t_max_s : float
        The range of ages, seconds, 0 < t_min_s < t_max_s.

    Returns
    -------
    ExponentialSum
        Its ``eps`` is the bound reached, at most the one asked for.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Beylkin and Monzon (2010), for the infinite sum. Laws: ``property_tests/math/test_multiscale.py``.

    Examples
    --------
    >>> ten_years = power_law(0.5, eps=5e-3, t_min_s=1.0, t_max_s=3.2e8)
    >>> len(ten_years), ten_years.eps <= 5e-3
    (19, True)
    """
    b, most = positive_scalar("exponent", exponent), positive_scalar("eps", eps)
    t_min, t_max = positive_scalar("t_min_s", t_min_s), positive_scalar("t_max_s", t_max_s)
    if b > 4.0:
        raise InvalidParameterError("exponent", exponent, "must lie in (0, 4]")
    if most > 0.1:
        raise InvalidParameterError("eps", eps, "must lie in (0, 0.1]")
    if t_max <= t_min:
        raise InvalidParameterError("t_max_s", t_max_s, f"must be > t_min_s = {t_min_s}")
    ratio = _largest_ratio(b, most / 2.0)
    log_r = math.log(ratio)
    scale = log_r / math.gamma(b)
    # in units of t_min: u = t / t_min, so that u^-b is summed from u = 1 to span
    span = t_max / t_min
    first = math.floor(math.log(1.0 / 8.0) / log_r)
    while _below(first, b, ratio, scale) > most / 4.0:
        first -= 1
    last = math.ceil(math.log(span) / log_r)
    while _above(last, b, ratio, scale, span) > most / 4.0:
        last += 1
    k = np.arange(first, last + 1)
    tau, weight = np.exp(k * log_r), scale * np.exp(-b * k * log_r)
    # the tail beyond `last`: geometric sums of w_k and of w_k / tau_k
    tail = scale * math.exp(-b * (last + 1) * log_r) / -math.expm1(-b * log_r)
    rate = scale * math.exp(-(b + 1) * (last + 1) * log_r) / -math.expm1(-(b + 1) * log_r) / tail
    reached = alias_bound(b, ratio) + _below(first, b, ratio, scale) + _above(last, b, ratio, scale, span)
    return ExponentialSum(
        exponent=b,
        eps=reached + _ROUNDING,
        t_min_s=t_min,
        t_max_s=t_max,
        tau_s=(*(t_min * tau).tolist(), t_min / rate),
        weight=(*(weight * t_min**-b).tolist(), tail * t_min**-b),
    )


def _largest_ratio(b: float, most: float) -> float:
    low, high = math.log(1.05), math.log(1e3)
    if alias_bound(b, math.exp(low)) > most:
        raise InvalidParameterError("eps", 2.0 * most, f"must be larger for exponent {b}")
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if alias_bound(b, math.exp(middle)) <= most else (low, middle)
    return math.exp(low)


def _below(first: int, b: float, ratio: float, scale: float) -> float:
    """Bound what the terms before ``first`` add at u = 1, relative to u^-b = 1."""
    k = first - 1 - np.arange(_HARMONICS)
    exponent = -b * k * math.log(ratio) - np.exp(np.minimum(-k * math.log(ratio), 700.0))
    return float(scale * np.exp(exponent).sum())


def _above(last: int, b: float, ratio: float, scale: float, span: float) -> float:
    """Bound what closing the tail after ``last`` loses at u = span, relative to u^-b."""
    log_r = math.log(ratio)
    exponent = (b + 2) * (math.log(span) - (last + 1) * log_r)
    return scale / 2.0 * math.exp(min(exponent, 700.0)) / -math.expm1(-(b + 2) * log_r)


def advance(trace: Trace, to_s: float, constants: ExponentialSum) -> Trace:
    """Return the trace as of a later time; an earlier one leaves it.

    Parameters
    ----------
    trace : Trace
        Of these constants.
    to_s : float
        POSIX seconds.
    constants : ExponentialSum
        The times.

    Returns
    -------
    Trace
        As of ``max(trace.at_s, to_s)``.
    """
    elapsed = to_s - trace.at_s
    if elapsed <= 0.0:
        return trace
    if elapsed == math.inf:  # only an empty trace has no time
        return Trace(to_s, trace.values)
    faded = zip(trace.values, constants.tau_s, strict=True)
    return Trace(to_s, tuple(value * math.exp(-elapsed / tau) for value, tau in faded))


def access(trace: Trace, at_s: float, weight: float, constants: ExponentialSum) -> Trace:
    """Return the trace with one more access, which may be older than the trace's time.

    Parameters
    ----------
    trace : Trace
        Of these constants.
    at_s : float
        When, POSIX seconds.
    weight : float
        How much it counts, > 0.
    constants : ExponentialSum
        The times.

    Returns
    -------
    Trace
        As of ``max(trace.at_s, at_s)``.

    Examples
    --------
    >>> constants = power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=1e6)
    >>> trace = access(access(Trace.empty(constants), 0.0, 1.0, constants), 9_900.0, 1.0, constants)
    >>> round(level(trace, 10_000.0, constants), 3)  # 10000 ** -.5 + 100 ** -.5
    0.11
    """
    late = advance(trace, at_s, constants)
    age = late.at_s - at_s
    added = zip(late.values, constants.tau_s, strict=True)
    return Trace(late.at_s, tuple(value + weight * math.exp(-age / tau) for value, tau in added))


def merge(one: Trace, other: Trace, constants: ExponentialSum) -> Trace:
    """Return the trace of both histories together.

    Parameters
    ----------
    one, other : Trace
        Of these constants, of disjoint accesses.
    constants : ExponentialSum
        The times.

    Returns
    -------
    Trace
        As of the later of the two times.
    """
    a, b = advance(one, other.at_s, constants), advance(other, one.at_s, constants)
    return Trace(a.at_s, tuple(x + y for x, y in zip(a.values, b.values, strict=True)))


def level(trace: Trace, now_s: float, constants: ExponentialSum) -> float:
    r"""Return the decayed sum over the accesses, :math:`\sum_j g_j S(t_j) \approx \sum_j g_j t_j^{-b}`.

    Ages in the range of the constants obey its bound. A younger access counts between :math:`S(t_{min})` and
    :math:`S(0) = \sum_k w_k`: it is finite however young. A time before the trace's counts as the trace's.

    Parameters
    ----------
    trace : Trace
        Of these constants.
    now_s : float
        POSIX seconds.
    constants : ExponentialSum
        The times and weights.

    Returns
    -------
    float
        >= 0; 0 for an empty trace.
    """
    now = advance(trace, now_s, constants)
    return math.fsum(w * s for w, s in zip(constants.weight, now.values, strict=True))


def base_level(trace: Trace, now_s: float, constants: ExponentialSum) -> float:
    r"""Return ACT-R's base level, :math:`\ln \sum_j t_j^{-b}`, within :math:`-\ln(1 - \epsilon)`.

    Parameters
    ----------
    trace : Trace
        Of these constants.
    now_s : float
        POSIX seconds.
    constants : ExponentialSum
        The times and weights.

    Returns
    -------
    float
        In log-odds; minus infinity for an empty trace.
    """
    available = level(trace, now_s, constants)
    return math.log(available) if available > 0.0 else -math.inf


def levels(values: FloatArray, at_s: FloatArray, now_s: float, constants: ExponentialSum) -> FloatArray:
    """Return the `level` of n traces at once.

    Parameters
    ----------
    values : ndarray of float64, shape (n, K)
        The accumulators.
    at_s : ndarray of float64, shape (n,)
        The traces' times, POSIX seconds.
    now_s : float
        POSIX seconds.
    constants : ExponentialSum
        The times and weights.

    Returns
    -------
    ndarray of float64, shape (n,)
        >= 0.
    """
    elapsed = np.maximum(0.0, now_s - at_s)[:, None]
    faded = values * np.exp(-elapsed / np.array(constants.tau_s)) * np.array(constants.weight)
    return np.asarray(faded.sum(axis=1))
