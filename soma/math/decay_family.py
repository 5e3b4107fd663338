"""What every forgetting curve offers, and the laws that a family states about itself as data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from soma import canonical_json
from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, non_negative, unit_interval, unit_interval_scalar
from soma.math.policy_formula import Binding, number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Curve", "Family", "Laws"]


@dataclass(frozen=True, slots=True)
class Laws:
    """What holds for every member of a family, besides 0 <= R <= 1 and never rising with time.

    Parameters
    ----------
    hazard : {"constant", "falling", "rising", "mixed"}
        How the hazard moves with time; constant is the semigroup R(a + b) = R(a) R(b), without memory.
    times, rates : tuple of str
        Parameters in seconds, and in 1/seconds.
    rises_with, falls_with : tuple of str
        Parameters with which retention never falls, and never rises, at any time. The first to rise is the
        strength.
    starts_at_one : bool
        Whether R(0) = 1.
    has_inverse : bool
        Whether a retention belongs to one time; then R tends to 0.
    reaches_zero : bool
        Whether R is 0 from some finite time on, so that 0 has no inverse.
    is_unit_free : bool
        Whether another unit of time gives a member of the same family.
    """

    hazard: Literal["constant", "falling", "rising", "mixed"]
    times: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    rises_with: tuple[str, ...] = ()
    falls_with: tuple[str, ...] = ()
    starts_at_one: bool = True
    has_inverse: bool = True
    reaches_zero: bool = False
    is_unit_free: bool = True


@runtime_checkable
class Curve(Protocol):
    """A forgetting curve: what policies, plots and fits ask of one."""

    @property
    def half_life(self) -> float:
        """Seconds until R is at most 0.5; infinite if it never is."""

    def value(self, elapsed_s: ArrayLike) -> FloatArray:
        """Return the retention R, in [0, 1], never rising."""

    def inverse(self, retention: ArrayLike) -> FloatArray:
        """Return the seconds after which R is ``retention``."""

    def hazard(self, elapsed_s: ArrayLike) -> FloatArray:
        """Return the share of what is left that is lost per second."""

    def latex(self, argument: str) -> str:
        """Return R as LaTeX."""

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as JSON values."""


@dataclass(frozen=True, slots=True)
class Family(ABC):
    """What the families share: domains are checked here, formulas stand in the families."""

    family: ClassVar[str]
    laws: ClassVar[Laws]

    @property
    def half_life(self) -> float:
        """Seconds until R is at most 0.5: 0 if it starts there, infinite if it never is."""
        if not self.laws.has_inverse:
            return math.inf
        return float(self.inverse(min(0.5, float(self.value(0.0)))))

    def value(self, elapsed_s: ArrayLike) -> FloatArray:
        r"""Return the retention R after ``elapsed_s`` seconds.

        Parameters
        ----------
        elapsed_s : array_like, shape (\*batch,)
            Time since the trace was made, seconds, >= 0; may be infinite.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [0, 1], never rising with time.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> from soma.math.decay import Power
        >>> Power.hyperbolic(half_life_s=60.0).value([0.0, 60.0, 180.0]).tolist()
        [1.0, 0.5, 0.25]
        """
        elapsed = non_negative("elapsed_s", elapsed_s)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return self._value(elapsed)

    def inverse(self, retention: ArrayLike) -> FloatArray:
        r"""Return the seconds after which R is ``retention``.

        Parameters
        ----------
        retention : array_like, shape (\*batch,)
            R, from 0 (without it where R is 0 from a finite time on) to R(0).

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Seconds, >= 0; infinite for 0, and where the time is beyond the range of doubles.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside. Always for a constant curve.

        Examples
        --------
        >>> from soma.math.decay import Exponential
        >>> Exponential(half_life_s=60.0).inverse([1.0, 0.25, 0.0]).tolist()
        [0.0, 120.0, inf]
        """
        kept = unit_interval("retention", retention)
        start = float(self.value(0.0))
        if (kept > start).any():
            raise InvalidParameterError("retention", retention, f"must be at most {start}, where {self!r} starts")
        if self.laws.reaches_zero and not kept.all():
            raise InvalidParameterError("retention", retention, f"must be > 0, where {self!r} stays")
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return self._inverse(kept)

    def hazard(self, elapsed_s: ArrayLike) -> FloatArray:
        r"""Return the share of what is left that is lost per second, :math:`-R'(t)/R(t)`.

        Parameters
        ----------
        elapsed_s : array_like, shape (\*batch,)
            Time since the trace was made :math:`t`, seconds, >= 0.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Per second, >= 0; may be infinite.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> from soma.math.decay import Power
        >>> Power(scale_s=10.0, exponent=0.5).hazard([0.0, 40.0]).tolist()
        [0.05, 0.01]
        """
        elapsed = non_negative("elapsed_s", elapsed_s)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return self._hazard(elapsed)

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as JSON values: ``{"family": "exponential", "half_life_s": 60.0}``."""
        return {"family": self.family, **asdict(self)}

    def to_json(self) -> str:
        """Return the curve as canonical JSON (RFC 8785): compact, with sorted keys."""
        return canonical_json.dumps(self.to_dict()).decode()

    @abstractmethod
    def latex(self, argument: str) -> str:
        """Return R as LaTeX: no sum stands outermost, but it needs parentheses as the base of a power.

        Parameters
        ----------
        argument : str
            LaTeX of the elapsed time, of one symbol.
        """

    @abstractmethod
    def _value(self, t: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _inverse(self, r: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _hazard(self, t: FloatArray) -> FloatArray: ...


def check(curve: Family, **domains: Callable[[str, Any], float]) -> None:
    """Replace each parameter of a new curve by what its domain makes of it."""
    for name, domain in domains.items():
        object.__setattr__(curve, name, domain(name, getattr(curve, name)))


def share(parameter: str, value: float) -> float:
    """Return one number in (0, 1], or raise."""
    part = unit_interval_scalar(parameter, value)
    if part == 0.0:
        raise InvalidParameterError(parameter, value, "must lie in (0, 1]")
    return part


def constant(value: float, t: FloatArray) -> FloatArray:
    """Return ``value`` in the shape of ``t``."""
    filled: FloatArray = np.full(t.shape, value)[()]
    return filled


def tex(value: float) -> str:
    """Return a number as LaTeX."""
    return number(value).latex


def tex_base(value: float) -> str:
    """Return a number as LaTeX that may stand as the base of a power."""
    return number(value).latex_within(Binding.ATOM)
