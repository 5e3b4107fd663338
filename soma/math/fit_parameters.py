"""What is fitted: named numbers with a domain, and what data have said about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, unit_interval_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FitResult", "Parameter"]

FARTHEST: Final = 25.0
"""How far a search goes on the scale without ends: a factor of 7e10, or as near to an end as 1.4e-11."""


@final
@dataclass(frozen=True, slots=True)
class Parameter:
    r"""A number to be fitted, and its domain: an open interval.

    The search runs on a scale without ends: :math:`u = \theta`, :math:`u = \ln(\theta - a)` with a lower end,
    :math:`u = -\ln(b - \theta)` with an upper one, and :math:`u = \ln \frac{\theta - a}{b - \theta}` with both.

    Parameters
    ----------
    name : str
        Its name in the results.
    start : float
        Where the search begins, inside the domain.
    lower, upper : float
        Ends of the domain :math:`(a, b)`; infinite by default.

    Raises
    ------
    InvalidParameterError
        For a start that is not inside.

    Examples
    --------
    >>> Parameter("decay", 0.5, 0.0, 1.0).free(0.5)
    0.0
    """

    name: str
    start: float
    lower: float = -math.inf
    upper: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and self.lower < self.start < self.upper):
            raise InvalidParameterError("start", self.start, f"must lie inside ({self.lower}, {self.upper})")

    def free(self, value: float) -> float:
        """Return the place of a value on the scale without ends."""
        above, below = value - self.lower, self.upper - value
        if math.isinf(above):
            return value if math.isinf(below) else -math.log(below)
        return math.log(above) if math.isinf(below) else math.log(above / below)

    def value(self, free: float) -> float:
        """Return the value at a place on the scale without ends."""
        if math.isinf(self.lower):
            return free if math.isinf(self.upper) else self.upper - math.exp(-free)
        if math.isinf(self.upper):
            return self.lower + math.exp(free)
        if free < 0.0:
            return self.lower + (self.upper - self.lower) * math.exp(free) / (1.0 + math.exp(free))
        return self.upper - (self.upper - self.lower) / (1.0 + math.exp(free))

    def slope(self, value: float) -> float:
        """Return by how much the value moves for a step on the scale without ends."""
        above, below = value - self.lower, self.upper - value
        if math.isinf(above):
            return 1.0 if math.isinf(below) else below
        return above if math.isinf(below) else above * below / (self.upper - self.lower)

    def reach(self) -> tuple[float, float]:
        """Return how far a search may go on the scale without ends."""
        if math.isinf(self.lower) and math.isinf(self.upper):
            return -math.inf, math.inf
        middle = 0.0 if math.isfinite(self.lower) and math.isfinite(self.upper) else self.free(self.start)
        return middle - FARTHEST, middle + FARTHEST


@final
@dataclass(frozen=True, slots=True)
class FitResult:
    """The parameters under which data are likeliest, and how sure that is.

    Parameters
    ----------
    model : str
        Name of what was fitted.
    parameters : tuple of Parameter
        What was searched for.
    values : tuple of float
        What was found, in their order.
    standard_errors : tuple of float
        From the curvature of the likelihood; infinite for what the data do not determine.
    log_likelihood : float
        Of the data, natural logarithm.
    n : int
        Number of observations.
    converged : bool
        Whether this is a maximum: no step improves it, and nothing has run off to infinity.
    message : str
        What happened, in words.
    ssd : float or None
        Sum of squared deviations; None for outcomes.
    r2_uncentred : float or None
        One minus that over the sum of squared observations, as papers on savings have it; None for outcomes.
    fixed : tuple of (str, float)
        Parameters of the model that were held.
    """

    model: str
    parameters: tuple[Parameter, ...]
    values: tuple[float, ...]
    standard_errors: tuple[float, ...]
    log_likelihood: float
    n: int
    converged: bool
    message: str
    ssd: float | None = None
    r2_uncentred: float | None = None
    fixed: tuple[tuple[str, float], ...] = field(default=())

    @property
    def params(self) -> dict[str, float]:
        """Every parameter by name, those that were held last."""
        found = {parameter.name: value for parameter, value in zip(self.parameters, self.values, strict=True)}
        return {**found, **dict(self.fixed)}

    @property
    def n_estimated(self) -> int:
        """Numbers taken from the data: the parameters and, for squares, the variance."""
        return len(self.values) + (self.ssd is not None)

    @property
    def aic(self) -> float:
        r"""Akaike's criterion, :math:`2k - 2 \ln L`."""
        return 2.0 * self.n_estimated - 2.0 * self.log_likelihood

    @property
    def aicc(self) -> float:
        r"""Akaike's criterion for small samples, :math:`AIC + 2k(k+1)/(n-k-1)`; infinite where n <= k + 1."""
        k = self.n_estimated
        return self.aic + 2.0 * k * (k + 1) / (self.n - k - 1) if self.n > k + 1 else math.inf

    @property
    def bic(self) -> float:
        r"""Schwarz's criterion, :math:`k \ln n - 2 \ln L`."""
        return self.n_estimated * math.log(self.n) - 2.0 * self.log_likelihood

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Return Wald's interval of each parameter, made on the scale without ends: it stays in the domain.

        Parameters
        ----------
        level : float
            Coverage, in (0, 1).

        Returns
        -------
        dict of str to (float, float)
            The whole domain for what the data do not determine.
        """
        from scipy.special import ndtri  # noqa: PLC0415 - `import soma` loads NumPy alone

        if not 0.0 < unit_interval_scalar("level", level) < 1.0:
            raise InvalidParameterError("level", level, "must lie in (0, 1)")
        z = float(ndtri((1.0 + level) / 2.0))
        found = {}
        for parameter, value, error in zip(self.parameters, self.values, self.standard_errors, strict=True):
            scale = parameter.slope(value)
            if not math.isfinite(error) or scale == 0.0:
                found[parameter.name] = (parameter.lower, parameter.upper)
                continue
            middle, half = parameter.free(value), min(z * error / scale, 10 * FARTHEST)
            found[parameter.name] = (parameter.value(middle - half), parameter.value(middle + half))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values; null stands for infinity."""
        errors = {p.name: error for p, error in zip(self.parameters, self.standard_errors, strict=True)}
        numbers = {name: getattr(self, name) for name in ("log_likelihood", "aic", "aicc", "bic")}
        return {
            "model": self.model,
            "params": self.params,
            "standard_errors": _finite(errors),
            **_finite(numbers),
            "n": self.n,
            "ssd": self.ssd,
            "r2_uncentred": self.r2_uncentred,
            "converged": self.converged,
            "message": self.message,
        }


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def named(parameters: Sequence[Parameter], free: FloatArray) -> dict[str, float]:
    """Return values by name at places on the scales without ends."""
    return {parameter.name: parameter.value(float(u)) for parameter, u in zip(parameters, free, strict=True)}


def checked(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Return parameters of different names, at least one, or raise."""
    found = tuple(parameters)
    names = [parameter.name for parameter in found]
    if not found or len(set(names)) < len(names):
        raise InvalidParameterError("parameters", names, "must be at least one, each of a name of its own")
    return found


def predicted(parameter: str, value: Any, n: int) -> FloatArray:
    """Return the n numbers that a model gave, or raise."""
    array = np.broadcast_to(finite(parameter, value), (n,)) if np.ndim(value) < 1 else finite(parameter, value)
    if array.shape != (n,):
        raise InvalidParameterError(parameter, array.shape, f"must return {n} numbers, one for each observation")
    return array
