"""A fractal dimension with its error, and the scales it was read from."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from soma.math.domain import FloatArray

__all__ = ["DimensionEstimate"]


@final
@dataclass(frozen=True, slots=True)
class DimensionEstimate:
    """What a set of points says about its dimension.

    Parameters
    ----------
    method : str
        How it was found: ``"renyi_0"``, ``"grassberger_procaccia"``, ``"two_nn"``, ``"levina_bickel"``.
    value : float
        The dimension, dimensionless.
    standard_error : float
        Of the fitted line, or of the likelihood; it knows nothing of the choice of scales.
    n_points : int
        Points that it comes from.
    scales : tuple of float
        Smallest and largest scale used: sides of cells in parts of the frame, or distances.
    log2_scale, log2_measure : tuple of float
        The line that was fitted, point by point; empty where there is none.
    """

    method: str
    value: float
    standard_error: float
    n_points: int
    scales: tuple[float, float]
    log2_scale: tuple[float, ...] = ()
    log2_measure: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.standard_error:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def slope(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return the slope of the least-squares line through at least three points, and its standard error."""
    away = x - x.mean()
    spread = float(away @ away)
    found = float(away @ y) / spread
    residual = y - y.mean() - found * away
    return found, math.sqrt(float(np.square(residual).sum()) / (len(x) - 2) / spread)
