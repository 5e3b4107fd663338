"""Half-life regression: recall halves after a time that is log-linear in features of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative
from soma.math.units import DAY, MINUTE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MAX_HALF_LIFE_S", "MIN_HALF_LIFE_S", "HalfLifeRegression"]

MIN_HALF_LIFE_S: Final = 15.0 * MINUTE
"""No item is forgotten faster: a quarter of an hour."""
MAX_HALF_LIFE_S: Final = 274.0 * DAY
"""No item is kept longer: nine months."""


@final
@dataclass(frozen=True, slots=True)
class HalfLifeRegression:
    r"""Half-life regression, :math:`h = 2^{\theta \cdot x}` days, within a quarter of an hour and 274 days.

    Parameters
    ----------
    weights : tuple of float, length n
        The weights :math:`\theta`, dimensionless, finite; at least one.

    Raises
    ------
    InvalidParameterError
        For weights outside the domain.

    Notes
    -----
    Source: Settles and Meeder 2016; there x has the roots of 1 plus the numbers of recalls and of lapses, and 1.
    Laws: ``property_tests/math/test_spacing_half_life.py``.

    Examples
    --------
    >>> model = HalfLifeRegression((1.0, -2.0, 0.0))
    >>> (model.half_life_s([[2.0, 1.0, 1.0], [5.0, 1.0, 1.0]]) / 86_400.0).tolist()
    [1.0, 8.0]
    """

    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        weights = finite("weights", self.weights)
        if weights.ndim != 1 or not weights.size:
            raise InvalidParameterError("weights", self.weights, "must be one row of at least one number")
        object.__setattr__(self, "weights", tuple(weights.tolist()))

    def half_life_s(self, features: ArrayLike) -> FloatArray:
        r"""Return the half-life of each row of features.

        Parameters
        ----------
        features : array_like, shape (\*batch, n)
            What is known of each item :math:`x`, finite.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Seconds, in [`MIN_HALF_LIFE_S`, `MAX_HALF_LIFE_S`].

        Raises
        ------
        InvalidParameterError
            Outside the domain, or for another number of features than of weights.

        Examples
        --------
        >>> HalfLifeRegression((1.0,)).half_life_s([[0.0], [-99.0], [99.0]]).tolist()
        [86400.0, 900.0, 23673600.0]
        """
        x = finite("features", features)
        n = len(self.weights)
        if x.ndim == 0 or x.shape[-1] != n:
            raise InvalidParameterError("features", features, f"must have {n} numbers in each row")
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            exponent = (x * np.array(self.weights)).sum(axis=-1)  # in one order everywhere: a fused sum hides inf - inf
            if np.isnan(exponent).any():
                raise InvalidParameterError("features", features, "must be small enough to be weighted and summed")
            half_life: FloatArray = np.clip(np.exp2(exponent) * DAY, MIN_HALF_LIFE_S, MAX_HALF_LIFE_S)
        return half_life

    def retrievability(self, elapsed_s: ArrayLike, features: ArrayLike) -> FloatArray:
        r"""Return the probability of recall after ``elapsed_s`` seconds, :math:`2^{-t/h}`.

        Parameters
        ----------
        elapsed_s : array_like, shape (\*batch,)
            Time since the last review :math:`t`, seconds, >= 0; may be infinite.
        features : array_like, shape (\*batch, n), broadcast over what stands before n
            What is known of each item :math:`x`, finite.

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
        >>> HalfLifeRegression((1.0,)).retrievability([0.0, 86_400.0, 172_800.0], [0.0]).tolist()
        [1.0, 0.5, 0.25]
        """
        elapsed = non_negative("elapsed_s", elapsed_s)
        with np.errstate(under="ignore"):
            recall: FloatArray = np.exp2(-elapsed / self.half_life_s(features))
        return recall
