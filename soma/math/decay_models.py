"""The forgetting curves of psychology, and the one that forgets nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.decay_family import Family, Laws, check, constant, share, tex
from soma.math.domain import FloatArray, positive_scalar
from soma.math.units import MINUTE

__all__ = ["Constant", "Ebbinghaus", "Exponential", "Power", "StretchedExponential", "Wickelgren"]

_LN2: Final = math.log(2.0)
_LN10: Final = math.log(10.0)


@final
@dataclass(frozen=True, slots=True)
class Exponential(Family):
    r"""A half of what is left is lost in each half-life: :math:`R(t) = 2^{-t/h}`.

    Parameters
    ----------
    half_life_s : float
        Half-life :math:`h`, seconds, > 0.

    Notes
    -----
    The hazard is constant, :math:`\ln 2/h`: the curve has no memory. MemoryBank's :math:`e^{-t/S}` has
    h = S ln 2.
    """

    half_life_s: float

    family: ClassVar[str] = "exponential"
    laws: ClassVar[Laws] = Laws("constant", times=("half_life_s",), rises_with=("half_life_s",))

    def __post_init__(self) -> None:
        check(self, half_life_s=positive_scalar)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``2^{-\frac{t}{60}}``."""
        return rf"2^{{-\frac{{{argument}}}{{{tex(self.half_life_s)}}}}}"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.exp2(-t / self.half_life_s)

    def _inverse(self, r: FloatArray) -> FloatArray:
        return np.abs(np.log2(r)) * self.half_life_s

    def _hazard(self, t: FloatArray) -> FloatArray:
        return constant(_LN2 / self.half_life_s, t)


@final
@dataclass(frozen=True, slots=True)
class Power(Family):
    r"""A power law that is finite at 0: :math:`R(t) = (1 + t/s)^{-b}`.

    Parameters
    ----------
    scale_s : float
        Scale :math:`s`, seconds, > 0.
    exponent : float
        Exponent :math:`b`, dimensionless, > 0.

    Notes
    -----
    With b/s fixed it tends to the exponential as b grows: :math:`-x \le \ln R \le -x + x^2/(2b)`, x = bt/s.
    FSRS 4 is the hyperbola with h = 9S; FSRS 4.5 and 5 have b = 1/2 and s = 81 S/19.
    """

    scale_s: float
    exponent: float

    family: ClassVar[str] = "power"
    laws: ClassVar[Laws] = Laws("falling", times=("scale_s",), rises_with=("scale_s",), falls_with=("exponent",))

    def __post_init__(self) -> None:
        check(self, scale_s=positive_scalar, exponent=positive_scalar)

    @classmethod
    def hyperbolic(cls, half_life_s: float) -> Power:
        """Return 1/(1 + t/h), by its half-life h, in seconds."""
        return cls(half_life_s, 1.0)

    @classmethod
    def gamma_mixture(cls, shape: float, theta_per_s: float) -> Power:
        r"""Return the average of exponentials :math:`e^{-\lambda t}` over gamma-distributed rates.

        .. math:: R(t) = \mathrm E\,e^{-\lambda t} = (1 + \theta t)^{-k}

        Parameters
        ----------
        shape : float
            Shape :math:`k` of the distribution, dimensionless, > 0.
        theta_per_s : float
            Scale :math:`\theta` of the distribution, per second, > 0; the mean rate is :math:`k \theta`.
        """
        return cls(1.0 / positive_scalar("theta_per_s", theta_per_s), positive_scalar("shape", shape))

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``\left(1 + \frac{t}{60}\right)^{-0.5}``."""
        return rf"\left(1 + \frac{{{argument}}}{{{tex(self.scale_s)}}}\right)^{{-{tex(self.exponent)}}}"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.exp(-self.exponent * _log1p(t / self.scale_s, t, -math.log(self.scale_s)))

    def _inverse(self, r: FloatArray) -> FloatArray:
        return self.scale_s * np.expm1(np.abs(np.log(r)) / self.exponent)

    def _hazard(self, t: FloatArray) -> FloatArray:
        return self.exponent / (self.scale_s + t)


@final
@dataclass(frozen=True, slots=True)
class Wickelgren(Family):
    r"""Wickelgren's power law, which may start below 1: :math:`R(t) = m (1 + b t)^{-\psi}`.

    Parameters
    ----------
    initial : float
        Retention at the start :math:`m`, in (0, 1].
    rate_per_s : float
        Rate :math:`b`, per second, > 0.
    exponent : float
        Exponent :math:`\psi`, dimensionless, > 0.

    Notes
    -----
    Source: Wickelgren 1974, who writes lambda for m and beta for b; without his factor for interference.
    """

    initial: float
    rate_per_s: float
    exponent: float

    family: ClassVar[str] = "wickelgren"
    laws: ClassVar[Laws] = Laws(
        "falling",
        rates=("rate_per_s",),
        rises_with=("initial",),
        falls_with=("rate_per_s", "exponent"),
        starts_at_one=False,
    )

    def __post_init__(self) -> None:
        check(self, initial=share, rate_per_s=positive_scalar, exponent=positive_scalar)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``0.9 \cdot \left(1 + 0.1 \cdot t\right)^{-0.5}``."""
        inside = rf"1 + {tex(self.rate_per_s)} \cdot {argument}"
        return rf"{tex(self.initial)} \cdot \left({inside}\right)^{{-{tex(self.exponent)}}}"

    def _value(self, t: FloatArray) -> FloatArray:
        log = _log1p(self.rate_per_s * t, t, math.log(self.rate_per_s))
        return self.initial * np.exp(-self.exponent * log)

    def _inverse(self, r: FloatArray) -> FloatArray:
        return np.expm1(np.abs(np.log(r / self.initial)) / self.exponent) / self.rate_per_s

    def _hazard(self, t: FloatArray) -> FloatArray:
        return self.exponent / (1.0 / self.rate_per_s + t)


@final
@dataclass(frozen=True, slots=True)
class StretchedExponential(Family):
    r"""An exponential of a slowed time: :math:`R(t) = e^{-(t/\tau)^b}`.

    Parameters
    ----------
    tau_s : float
        Time :math:`\tau` at which 1/e is left, seconds, > 0.
    exponent : float
        Exponent :math:`b`, dimensionless, in (0, 1]; 1 is the exponential.
    """

    tau_s: float
    exponent: float

    family: ClassVar[str] = "stretched_exponential"
    laws: ClassVar[Laws] = Laws("falling", times=("tau_s",), rises_with=("tau_s",))

    def __post_init__(self) -> None:
        check(self, tau_s=positive_scalar, exponent=share)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``\exp\left(-\left(\frac{t}{60}\right)^{0.5}\right)``."""
        slowed = rf"\left(\frac{{{argument}}}{{{tex(self.tau_s)}}}\right)^{{{tex(self.exponent)}}}"
        return rf"\exp\left(-{slowed}\right)"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.exp(-np.exp(self.exponent * (np.log(t) - math.log(self.tau_s))))

    def _inverse(self, r: FloatArray) -> FloatArray:
        return self.tau_s * np.power(np.abs(np.log(r)), 1.0 / self.exponent)

    def _hazard(self, t: FloatArray) -> FloatArray:
        b = self.exponent
        if b == 1.0:
            return constant(1.0 / self.tau_s, t)
        return b * np.exp((b - 1.0) * np.log(t) - b * math.log(self.tau_s))


@final
@dataclass(frozen=True, slots=True)
class Ebbinghaus(Family):
    r"""The savings of 1885, :math:`R = k/((\log_{10} t_{\min})^c + k)` with :math:`t_{\min} = 1 + t/60`.

    Parameters
    ----------
    k : float
        Constant :math:`k`, dimensionless, > 0.
    c : float
        Exponent :math:`c`, dimensionless, > 0.

    Notes
    -----
    Ebbinghaus counts minutes from one minute before the end of learning; ``elapsed_s`` counts from the end.
    Source: Ebbinghaus 1885, chapter VII. The frequent form with :math:`c \log t` is another curve, and wrong.
    """

    k: float = 1.84
    c: float = 1.25

    family: ClassVar[str] = "ebbinghaus"
    laws: ClassVar[Laws] = Laws("mixed", rises_with=("k",), is_unit_free=False)

    def __post_init__(self) -> None:
        check(self, k=positive_scalar, c=positive_scalar)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: a fraction."""
        logarithm = rf"\log_{{10}}\left(1 + \frac{{{argument}}}{{60}}\right)"
        k = tex(self.k)
        return rf"\frac{{{k}}}{{\left({logarithm}\right)^{{{tex(self.c)}}} + {k}}}"

    def _value(self, t: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + np.exp(self.c * self._log_log(t) - math.log(self.k)))

    def _inverse(self, r: FloatArray) -> FloatArray:
        log_odds_of_loss = np.log1p(-r) - np.log(r)
        return MINUTE * np.expm1(_LN10 * np.exp((math.log(self.k) + log_odds_of_loss) / self.c))

    def _hazard(self, t: FloatArray) -> FloatArray:
        t = np.minimum(t, np.finfo(np.float64).max)  # at infinity the hazard is 0, and its logarithm 0/0
        log_log = self._log_log(t)
        is_start = np.isneginf(log_log)
        log_log = np.where(is_start, 0.0, log_log)
        log_slope = math.log(self.c) - math.log(MINUTE * _LN10) - np.log1p(t / MINUTE) - log_log
        hazard = np.exp(log_slope - np.logaddexp(0.0, math.log(self.k) - self.c * log_log))
        at_start = 0.0 if self.c > 1.0 else math.inf
        if self.c == 1.0:
            at_start = 1.0 / (MINUTE * _LN10) / self.k
        return np.where(is_start, at_start, hazard)[()]

    @staticmethod
    def _log_log(t: FloatArray) -> FloatArray:
        return np.log(np.log1p(t / MINUTE) / _LN10)


@final
@dataclass(frozen=True, slots=True)
class Constant(Family):
    r"""No forgetting: :math:`R(t) = 1`."""

    family: ClassVar[str] = "constant"
    laws: ClassVar[Laws] = Laws("constant", has_inverse=False)

    def latex(self, argument: str) -> str:  # noqa: ARG002 - it does not depend on time
        """Return R as LaTeX: ``1``."""
        return "1"

    def _value(self, t: FloatArray) -> FloatArray:
        return constant(1.0, t)

    def _inverse(self, r: FloatArray) -> FloatArray:
        raise InvalidParameterError("retention", r, "has no inverse where nothing is forgotten")

    def _hazard(self, t: FloatArray) -> FloatArray:
        return constant(0.0, t)


def _log1p(x: FloatArray, t: FloatArray, log_factor: float) -> FloatArray:
    r"""Return ln(1 + x), x = t * factor; where x is beyond the range of doubles, that is ln t + ln factor."""
    beyond = np.isinf(x)
    return np.where(beyond, np.log(t) + log_factor, np.log1p(x)) if beyond.any() else np.log1p(x)
