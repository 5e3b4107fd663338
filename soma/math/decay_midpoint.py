"""The curves of search engines: named by a time, the scale, at which they pass through a midpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.decay_family import Family, Laws, check, constant, tex, tex_base
from soma.math.domain import FloatArray, positive_scalar, unit_interval_scalar

__all__ = ["ExponentialMidpoint", "GaussianMidpoint", "LinearMidpoint"]


@final
@dataclass(frozen=True, slots=True)
class ExponentialMidpoint(Family):
    r"""The exponential through a midpoint: :math:`R(d) = e^{d \ln m/s}`.

    Parameters
    ----------
    scale_s : float
        Time :math:`s` at which R is the midpoint, seconds, > 0.
    midpoint : float
        Midpoint :math:`m`, in (0, 1).

    Notes
    -----
    Equal to Qdrant's ``exp_decay`` and Elasticsearch's ``exp`` at offset 0.
    """

    scale_s: float
    midpoint: float = 0.5

    family: ClassVar[str] = "exponential_midpoint"
    laws: ClassVar[Laws] = Laws("constant", times=("scale_s",), rises_with=("scale_s", "midpoint"))

    def __post_init__(self) -> None:
        check(self, scale_s=positive_scalar, midpoint=_between)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``0.5^{\frac{t}{60}}``."""
        return rf"{tex_base(self.midpoint)}^{{\frac{{{argument}}}{{{tex(self.scale_s)}}}}}"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.exp(math.log(self.midpoint) * (t / self.scale_s))

    def _inverse(self, r: FloatArray) -> FloatArray:
        return np.abs(np.log(r) / math.log(self.midpoint)) * self.scale_s

    def _hazard(self, t: FloatArray) -> FloatArray:
        return constant(-math.log(self.midpoint) / self.scale_s, t)


@final
@dataclass(frozen=True, slots=True)
class GaussianMidpoint(Family):
    r"""The bell through a midpoint: :math:`R(d) = e^{d^2 \ln m/s^2}`.

    Parameters
    ----------
    scale_s : float
        Time :math:`s` at which R is the midpoint, seconds, > 0.
    midpoint : float
        Midpoint :math:`m`, in (0, 1).

    Notes
    -----
    Equal to Qdrant's ``gauss_decay`` and Elasticsearch's ``gauss`` at offset 0.
    """

    scale_s: float
    midpoint: float = 0.5

    family: ClassVar[str] = "gaussian_midpoint"
    laws: ClassVar[Laws] = Laws("rising", times=("scale_s",), rises_with=("scale_s", "midpoint"))

    def __post_init__(self) -> None:
        check(self, scale_s=positive_scalar, midpoint=_between)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``0.5^{\left(\frac{t}{60}\right)^2}``."""
        return rf"{tex_base(self.midpoint)}^{{\left(\frac{{{argument}}}{{{tex(self.scale_s)}}}\right)^2}}"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.exp(math.log(self.midpoint) * np.square(t / self.scale_s))

    def _inverse(self, r: FloatArray) -> FloatArray:
        return np.sqrt(np.abs(np.log(r) / math.log(self.midpoint))) * self.scale_s

    def _hazard(self, t: FloatArray) -> FloatArray:
        return -2.0 * math.log(self.midpoint) * (t / self.scale_s) / self.scale_s


@final
@dataclass(frozen=True, slots=True)
class LinearMidpoint(Family):
    r"""The straight line through a midpoint: :math:`R(d) = \max(0, 1 - d (1 - m)/s)`.

    Parameters
    ----------
    scale_s : float
        Time :math:`s` at which R is the midpoint, seconds, > 0.
    midpoint : float
        Midpoint :math:`m`, in (0, 1).

    Notes
    -----
    Equal to Qdrant's ``lin_decay`` and Elasticsearch's ``linear`` at offset 0. R is 0 from s/(1 - m) on,
    where the hazard is infinite.
    """

    scale_s: float
    midpoint: float = 0.5

    family: ClassVar[str] = "linear_midpoint"
    laws: ClassVar[Laws] = Laws("rising", times=("scale_s",), rises_with=("scale_s", "midpoint"), reaches_zero=True)

    def __post_init__(self) -> None:
        check(self, scale_s=positive_scalar, midpoint=_between)

    def latex(self, argument: str) -> str:
        r"""Return R as LaTeX: ``\max\left(0, 1 - \frac{0.5 \cdot t}{60}\right)``."""
        lost = rf"\frac{{{tex(1.0 - self.midpoint)} \cdot {argument}}}{{{tex(self.scale_s)}}}"
        return rf"\max\left(0, 1 - {lost}\right)"

    def _value(self, t: FloatArray) -> FloatArray:
        return np.maximum(0.0, 1.0 - (1.0 - self.midpoint) * (t / self.scale_s))

    def _inverse(self, r: FloatArray) -> FloatArray:
        return (1.0 - r) / (1.0 - self.midpoint) * self.scale_s

    def _hazard(self, t: FloatArray) -> FloatArray:
        kept = self._value(t)
        slope = (1.0 - self.midpoint) / self.scale_s
        return np.where(kept > 0.0, slope / np.maximum(kept, 5e-324), np.inf)[()]


def _between(parameter: str, value: float) -> float:
    midpoint = unit_interval_scalar(parameter, value)
    if midpoint in (0.0, 1.0):
        raise InvalidParameterError(parameter, value, "must lie in (0, 1)")
    return midpoint
