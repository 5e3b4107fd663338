"""Intervals by resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from soma.math.fit_parameters import FitResult

__all__ = ["Intervals", "bootstrap"]


@final
@dataclass(frozen=True, slots=True)
class Intervals:
    """Percentile intervals of the parameters over resamples.

    Parameters
    ----------
    lower, upper : tuple of (str, float)
        Ends by name.
    level : float
        Coverage.
    n_resamples : int
        Resamples drawn.
    n_failed : int
        Those whose fit did not converge; the intervals are over the others.
    """

    lower: tuple[tuple[str, float], ...]
    upper: tuple[tuple[str, float], ...]
    level: float
    n_resamples: int
    n_failed: int

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Return the interval of a parameter."""
        return dict(self.lower)[name], dict(self.upper)[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the intervals as JSON values."""
        ends = {name: list(self[name]) for name, _ in self.lower}
        return {"intervals": ends, "level": self.level, "n_resamples": self.n_resamples, "n_failed": self.n_failed}


def bootstrap(
    fit: Callable[[NDArray[np.int64]], FitResult],
    unit: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1_000,
    level: float = 0.95,
) -> Intervals:
    """Return percentile intervals of a fit, over resamples of whole units with replacement.

    Parameters
    ----------
    fit : callable
        From the numbers of rows, some of them more than once, to their fit.
    unit : array_like, shape (n,)
        What each row belongs to: a card, a subject. Rows of a unit are drawn together, because they depend on each
        other; ``range(n)`` takes each row for itself.
    rng : numpy.random.Generator
        Draws the units.
    n_resamples : int
        Resamples, >= 2.
    level : float
        Coverage, in (0, 1).

    Returns
    -------
    Intervals
        The same for the same generator.

    Raises
    ------
    InvalidParameterError
        Outside the domain, and where fewer than two resamples converged.

    Notes
    -----
    Source: Efron and Tibshirani 1993. Laws: ``property_tests/math/test_fitting.py``.

    Examples
    --------
    >>> from soma.math.fitting import Parameter, fit_outcomes
    >>> y = np.array([1, 1, 1, 0, 1, 1, 0, 1, 1, 1])
    >>> share = Parameter("share", 0.5, 0.0, 1.0)
    >>> def fit(rows):
    ...     return fit_outcomes(lambda p: p["share"], y[rows], [share])
    >>> found = bootstrap(fit, range(10), rng=np.random.default_rng(0), n_resamples=200)
    >>> [round(end, 3) for end in found["share"]], found.n_failed
    ([0.5, 1.0], 0)
    """
    if isinstance(n_resamples, bool) or not isinstance(n_resamples, int) or n_resamples < 2:
        raise InvalidParameterError("n_resamples", n_resamples, "must be an integer >= 2")
    if not 0.0 < level < 1.0:
        raise InvalidParameterError("level", level, "must lie in (0, 1)")
    units = np.asarray(unit)
    if units.ndim != 1 or not units.size:
        raise InvalidParameterError("unit", units.shape, "must have shape (n,), n >= 1")
    _, number = np.unique(units, return_inverse=True)
    rows = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    found: list[FitResult] = []
    for _ in range(n_resamples):
        chosen = rng.integers(0, len(rows), len(rows))
        result = fit(np.concatenate([rows[one] for one in chosen]))
        if result.converged:
            found.append(result)
    if len(found) < 2:
        raise InvalidParameterError("n_resamples", n_resamples, "must hold two that converge or more")
    draws = np.array([result.values for result in found])
    lower, upper = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    names = [parameter.name for parameter in found[0].parameters]
    return Intervals(
        tuple(zip(names, lower.tolist(), strict=True)),
        tuple(zip(names, upper.tolist(), strict=True)),
        float(level),
        n_resamples,
        n_resamples - len(found),
    )
