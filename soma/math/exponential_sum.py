r"""A power law as a short sum of exponentials, with a proof of how near it comes.

.. math:: t^{-b} \approx S(t) = \sum_k w_k e^{-t/\tau_k}, \qquad \tau_k = \tau_0 r^k

The terms over all integers k are the trapezoid rule, with step ln r, for the integral of
:math:`e^{-t e^x + b x}/\Gamma(b)` over x, which is :math:`t^{-b}`. By Poisson summation its relative error is at
most `alias_bound` at every age and for every phase :math:`\tau_0`. Of these terms, `power_law` changes two ends:

* The fast terms, :math:`\tau < \tau_0`, are dropped. Their share of :math:`t^{-b}` is
  :math:`\frac{\ln r}{\Gamma(b)} \sum_{j \ge 1} \varphi(r^j t/\tau_0)`, :math:`\varphi(y) = y^b e^{-y}`. It falls
  with t, since phi falls from b on and :math:`t_{\min}/\tau_0 \ge 8 \ge b`: the worst age is :math:`t_{\min}`.
* The slow terms, of total weight W and mean rate L, become one term :math:`W e^{-L t}`. Exponentials are convex, so
  this is never above what it replaces (Jensen); the difference rises while :math:`L t \le 1`, which
  :math:`L\,t_{\max} \le 1` ensures, and so does its share of :math:`t^{-b}`: the worst age is :math:`t_{\max}`.

Both only lower the sum, so that :math:`S(t) \le (1 + \mathrm{eps})\,t^{-b}` at **every** age, and
:math:`S(t) \ge (1 - \mathrm{eps})\,t^{-b}` from t_min to t_max. Below t_min, S rises towards the finite
:math:`S(0) = \sum w`; far beyond t_max it falls as the slowest of the exponentials.

Why the difference rises: for the rates l of the slow terms, under their weights, it grows at the speed
:math:`W(L e^{-Lt} - \mathrm E\,l e^{-lt})`, and :math:`q(x) = x(1 - e^{-x}) - L t (e^{-x} - 1 + x)` at
:math:`x = (l - L)t`, whose mean has the sign of that speed, has its minimum 0 at x = 0 where :math:`L t \le 1`.

Laws: ``property_tests/math/test_exponential_sum.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite, non_negative, positive, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ExponentialSum", "alias_bound", "power_law"]

_MAX_EXPONENT: Final = 8.0
_MAX_TERMS: Final = 1_000
_MAX_RATIO: Final = 1_000.0
_AGES: Final = (1e-25, 1e25)  # no weight is then beyond the range of doubles
_LEAST_EPS: Final = 1e-11
_ROUNDING: Final = 1e-13  # hundreds of ulps, where the arithmetic takes tens
_SHIFT: Final = 16
_START: Final = 8.0  # t_min / tau_0, at least; no exponent is above it
_ALIAS_SHARE: Final = 0.8  # of the error asked for; each end gets a half of the rest


@dataclass(frozen=True, slots=True)
class ExponentialSum:
    r"""A power law as a sum of exponentials, :math:`S(t) = \sum_k w_k e^{-t/\tau_k}`; made by `power_law`.

    Parameters
    ----------
    tau_s : tuple of float, length K
        Time constants :math:`\tau_k`, seconds, > 0, rising.
    weight : tuple of float, length K
        Weights :math:`w_k`, in seconds\ :sup:`-b`, > 0.
    exponent : float
        Exponent :math:`b` of the power law, > 0.
    eps : float
        Proven bound of :math:`|S(t)/t^{-b} - 1|` for ages from ``t_min_s`` to ``t_max_s``: alias, both ends and
        rounding.
    t_min_s, t_max_s : float
        The ages for which the bound holds, seconds, > 0.

    Raises
    ------
    InvalidParameterError
        For a field outside its domain.
    """

    tau_s: tuple[float, ...]
    weight: tuple[float, ...]
    exponent: float
    eps: float
    t_min_s: float
    t_max_s: float

    def __post_init__(self) -> None:
        for name in ("tau_s", "weight"):
            terms = positive(name, getattr(self, name))
            if terms.ndim != 1 or not 1 <= len(terms) <= _MAX_TERMS:
                raise InvalidParameterError(name, getattr(self, name), f"must have 1 to {_MAX_TERMS} terms")
            object.__setattr__(self, name, tuple(terms.tolist()))
        for name in ("exponent", "eps", "t_min_s", "t_max_s"):
            object.__setattr__(self, name, positive_scalar(name, getattr(self, name)))
        if len(self.weight) != len(self.tau_s):
            raise InvalidParameterError("weight", self.weight, f"must have {len(self.tau_s)} terms, as tau_s")
        if any(later <= earlier for earlier, later in zip(self.tau_s, self.tau_s[1:], strict=False)):
            raise InvalidParameterError("tau_s", self.tau_s, "must rise")
        if self.t_max_s < self.t_min_s:
            raise InvalidParameterError("t_max_s", self.t_max_s, f"must be >= t_min_s, which is {self.t_min_s}")

    def value(self, age_s: ArrayLike) -> FloatArray:
        r"""Return the power law of an age, which is first clamped to the range of the bound.

        .. math:: S(\min(\max(t, t_{\min}), t_{\max}))

        Parameters
        ----------
        age_s : array_like, shape (\*batch,)
            Age :math:`t`, seconds, >= 0; may be infinite.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Within a factor 1 +- eps of the power of the clamped age.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> law = power_law(0.5, eps=1e-6, t_min_s=1.0, t_max_s=1e6)
        >>> law.value([0.0, 1.0, 100.0, 1e9]).round(5).tolist()
        [1.0, 1.0, 0.1, 0.001]
        """
        age = np.clip(non_negative("age_s", age_s), self.t_min_s, self.t_max_s)
        law: FloatArray = np.vecdot(np.exp(-age[..., None] / np.array(self.tau_s)), np.array(self.weight))
        return law

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
    def from_dict(cls, mapping: Mapping[str, Any]) -> ExponentialSum:
        """Return the constants that `to_dict` described.

        Raises
        ------
        SerializationError
            For a field that is unknown or missing; it is named.
        InvalidParameterError
            For a field outside its domain.
        """
        if not isinstance(mapping, Mapping):
            raise SerializationError(f"an exponential sum must be an object, got {mapping!r:.40}")
        known = [field.name for field in fields(cls)]
        for name in known:
            if name not in mapping:
                raise SerializationError(f'an exponential sum lacks the field "{name}"')
        for name in mapping:
            if name not in known:
                raise SerializationError(
                    f"an exponential sum has the unknown field {name!r:.40}; known are {', '.join(known)}"
                )
        return cls(**mapping)


def alias_bound(exponent: ArrayLike, ratio: ArrayLike) -> FloatArray:
    r"""Return the largest relative error of the endless sum with ratio ``ratio``, at any age.

    .. math:: \varepsilon(b, r) = 2 \sum_{m \ge 1} |\Gamma(b + 2 \pi i m/\ln r)|/\Gamma(b)

    Parameters
    ----------
    exponent : array_like, shape (\*batch,)
        Exponent :math:`b` of the power law, in (0, 8].
    ratio : array_like, broadcastable to (\*batch,)
        Ratio :math:`r` of successive time constants, > 1.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        >= 0, rising with the ratio.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Laws: ``property_tests/math/test_exponential_sum.py``.

    Examples
    --------
    >>> [f"{bound:.1e}" for bound in alias_bound(0.5, [2, 3, 4, 8])]
    ['1.9e-06', '3.5e-04', '2.3e-03', '2.5e-02']
    """
    b, r = positive("exponent", exponent), finite("ratio", ratio)
    if (b > _MAX_EXPONENT).any():
        raise InvalidParameterError("exponent", exponent, f"must be at most {_MAX_EXPONENT}")
    if (r <= 1.0).any():
        raise InvalidParameterError("ratio", ratio, "must be > 1")
    frequency = 2.0 * math.pi / np.log(r)
    bound = np.zeros(np.broadcast_shapes(b.shape, r.shape))
    term, m = np.ones_like(bound), 0
    while (term > 1e-17 * bound).any():  # the terms fall with m
        m += 1
        term = 2.0 * _gamma_ratio(b, np.asarray(m * frequency))
        bound = bound + term
    return bound


def power_law(exponent: float, eps: float, t_min_s: float, t_max_s: float) -> ExponentialSum:
    r"""Return :math:`t^{-b}` as a sum of exponentials, to a relative error of ``eps`` from t_min to t_max.

    Parameters
    ----------
    exponent : float
        Exponent :math:`b`, dimensionless, in (0, 8].
    eps : float
        Largest relative error, in [1e-11, 1).
    t_min_s, t_max_s : float
        Shortest and longest age, seconds, in [1e-25, 1e25].

    Returns
    -------
    ExponentialSum
        Its ``eps`` is the bound that is proven for it, at most the one asked for.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    The proof stands at the head of this module. Laws: ``property_tests/math/test_exponential_sum.py``.

    Examples
    --------
    >>> law = power_law(0.5, eps=5e-3, t_min_s=1.0, t_max_s=3.156e8)
    >>> len(law.tau_s), law.eps <= 5e-3
    (17, True)
    """
    b, t_min, t_max = _exponent(exponent), _age("t_min_s", t_min_s), _age("t_max_s", t_max_s)
    if t_max < t_min:
        raise InvalidParameterError("t_max_s", t_max_s, f"must be >= t_min_s, which is {t_min}")
    if not _LEAST_EPS <= positive_scalar("eps", eps) < 1.0:
        raise InvalidParameterError("eps", eps, f"must lie in [{_LEAST_EPS}, 1)")
    ratio = _ratio(b, _ALIAS_SHARE * eps)
    end = 0.5 * (1.0 - _ALIAS_SHARE) * eps
    start = _START
    while _dropped(b, ratio, start) > end - _ROUNDING:
        start *= ratio
    n = 1
    while _closed(b, ratio, t_max / t_min * start / ratio**n) > end:
        n += 1
    tau_s = t_min / start * ratio ** np.arange(n + 1)
    total, rate = _slow_terms(b, ratio)
    weight = _density(b, ratio) * tau_s**-b
    weight[n] *= total
    tau_s[n] /= rate
    bound = (
        float(alias_bound(b, ratio))
        + _dropped(b, ratio, start)
        + _closed(b, ratio, t_max / t_min * start / ratio**n)
        + _ROUNDING
    )
    return ExponentialSum(tuple(tau_s.tolist()), tuple(weight.tolist()), b, bound, t_min, t_max)


def _gamma_ratio(b: FloatArray, omega: FloatArray) -> FloatArray:
    r"""Return :math:`|\Gamma(b + i\omega)|/\Gamma(b)`, without loading scipy when a namespace is made."""
    # the recurrence up to where Stirling's series is good to the last digit
    terms = np.log1p((omega[..., None] / (b[..., None] + np.arange(_SHIFT))) ** 2)
    ratio: FloatArray = -0.5 * terms.sum(axis=-1)
    shifted = np.asarray(b + _SHIFT, dtype=np.complex128)
    return np.exp(ratio + _stirling(shifted + 1j * omega) - _stirling(shifted))


def _stirling(z: NDArray[np.complexfloating[Any, Any]]) -> FloatArray:
    """Return ln|Gamma(z)|, less ln(2 pi)/2, for large z."""
    series = 1.0 / (12.0 * z) - 1.0 / (360.0 * z**3) + 1.0 / (1260.0 * z**5) - 1.0 / (1680.0 * z**7)
    real: FloatArray = np.real((z - 0.5) * np.log(z) - z + series)
    return real


def _ratio(b: float, alias: float) -> float:
    """Return the largest ratio whose alias bound is at most ``alias``."""
    low, high = 0.0, math.log(_MAX_RATIO)
    for _ in range(30):
        step = 0.5 * (low + high)
        low, high = (step, high) if alias_bound(b, math.exp(step)) <= alias else (low, step)
    return math.exp(low)


def _dropped(b: float, r: float, start: float) -> float:
    """Return the share at t_min of the fast terms, from r t_min/tau = start r on."""
    n = math.ceil(math.log(800.0) / math.log(r))  # e^-800 is nothing
    y = start * r ** np.arange(1, n + 1)
    return _density(b, r) * float(np.sum(np.exp(b * np.log(y) - y)))


def _closed(b: float, r: float, u: float) -> float:
    """Return the share that closing loses at t_max = u tau, tau the first of the slow terms; infinite if L u > 1."""
    total, rate = _slow_terms(b, r)
    if rate * u > 1.0:
        return math.inf
    n = math.ceil(45.0 / ((2.0 + b) * math.log(r)))  # what is left is e^-45 of the first
    rates = r ** -np.arange(float(n))
    # less the mean, which both have in common, so that small differences keep their digits
    lost = np.sum(rates**b * _beyond_linear(u * rates)) - total * _beyond_linear(rate * u)
    return max(0.0, _density(b, r) * math.pow(u, b) * float(lost))


def _slow_terms(b: float, r: float) -> tuple[float, float]:
    """Return the total weight and the mean rate of all terms from one on, in units of that one."""
    log_r = math.log(r)
    own = -math.expm1(-b * log_r)
    return 1.0 / own, own / -math.expm1(-(b + 1.0) * log_r)


def _density(b: float, r: float) -> float:
    """Return ln r/Gamma(b)."""
    return math.log(r) * b / math.gamma(1.0 + b)


def _beyond_linear(x: ArrayLike) -> FloatArray:
    """Return e^-x - 1 + x."""
    values = np.asarray(x, dtype=np.float64)
    return np.expm1(-values) + values


def _exponent(exponent: float) -> float:
    b = positive_scalar("exponent", exponent)
    if b > _MAX_EXPONENT:
        raise InvalidParameterError("exponent", exponent, f"must be at most {_MAX_EXPONENT}")
    return b


def _age(parameter: str, value: float) -> float:
    age = positive_scalar(parameter, value)
    if not _AGES[0] <= age <= _AGES[1]:
        raise InvalidParameterError(parameter, value, f"must lie in [{_AGES[0]}, {_AGES[1]}] seconds")
    return age
