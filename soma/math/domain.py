"""What the mathematics lets in: array-likes become float64 arrays, or an error names what was wrong.

NaN counts as outside every domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "FloatArray",
    "finite",
    "non_negative",
    "positive",
    "positive_scalar",
    "unit_interval",
    "unit_interval_scalar",
]

FloatArray: TypeAlias = "NDArray[np.float64]"


def _float64(parameter: str, value: ArrayLike) -> FloatArray:
    try:
        array = np.asarray(value)
        is_exact = array.dtype.kind == "O" and all(isinstance(x, int | float) for x in array.flat)  # ints over 64 bits
        if array.dtype.kind not in "fiub" and not is_exact:
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InvalidParameterError(parameter, value, "must be real numbers") from None


def _require(parameter: str, value: ArrayLike, array: FloatArray, ok: bool, requirement: str) -> FloatArray:
    if not ok:
        raise InvalidParameterError(parameter, value, requirement)
    return array


def finite(parameter: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as float64, or raise unless every element is finite."""
    array = _float64(parameter, value)
    return _require(parameter, value, array, bool(np.isfinite(array).all()), "must be finite")


def non_negative(parameter: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as float64, or raise unless every element is >= 0 (infinity is allowed)."""
    array = _float64(parameter, value)
    return _require(parameter, value, array, bool((array >= 0).all()), "must be >= 0")


def positive(parameter: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as float64, or raise unless every element is finite and > 0."""
    array = _float64(parameter, value)
    ok = bool(((array > 0) & np.isfinite(array)).all())
    return _require(parameter, value, array, ok, "must be finite and > 0")


def unit_interval(parameter: str, value: ArrayLike) -> FloatArray:
    """Return ``value`` as float64, or raise unless every element lies in [0, 1]."""
    array = _float64(parameter, value)
    return _require(parameter, value, array, bool(((array >= 0) & (array <= 1)).all()), "must lie in [0, 1]")


def positive_scalar(parameter: str, value: float) -> float:
    """Return one finite number > 0, or raise."""
    return _scalar(parameter, value, positive(parameter, value))


def unit_interval_scalar(parameter: str, value: float) -> float:
    """Return one number in [0, 1], or raise."""
    return _scalar(parameter, value, unit_interval(parameter, value))


def _scalar(parameter: str, value: float, array: FloatArray) -> float:
    if array.ndim != 0:
        raise InvalidParameterError(parameter, value, "must be one number")
    return float(array)
