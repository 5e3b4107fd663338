"""Rows in blocks: what a block's bounds are made of, and the orders of rows that make them tight.

Laws of everything here: ``property_tests/math/test_blocks.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BLOCK_ROWS", "block_max", "block_min", "newest_first"]

Rows: TypeAlias = "NDArray[np.int64]"

BLOCK_ROWS: Final = 512
"""Rows in a block: few enough to share a bound, enough to read at the speed of memory."""


def block_max(values: ArrayLike, block_rows: int = BLOCK_ROWS) -> FloatArray:
    """Return the largest value of each block of rows.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value a row; not NaN.
    block_rows : int
        Rows in a block, >= 1; the last block may be short.

    Returns
    -------
    ndarray of float64, shape (ceil(n / block_rows),)
        One value a block.

    Raises
    ------
    InvalidParameterError
        For NaN, or a block of no rows.

    Examples
    --------
    >>> block_max([1.0, 5.0, 2.0], 2).tolist()
    [5.0, 2.0]
    """
    return _reduced(np.maximum, values, block_rows)


def block_min(values: ArrayLike, block_rows: int = BLOCK_ROWS) -> FloatArray:
    """Return the smallest value of each block of rows.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value a row; not NaN.
    block_rows : int
        Rows in a block, >= 1; the last block may be short.

    Returns
    -------
    ndarray of float64, shape (ceil(n / block_rows),)
        One value a block.

    Raises
    ------
    InvalidParameterError
        For NaN, or a block of no rows.

    Examples
    --------
    >>> block_min([1.0, 5.0, 2.0], 2).tolist()
    [1.0, 2.0]
    """
    return _reduced(np.minimum, values, block_rows)


def newest_first(time_s: ArrayLike, weight: ArrayLike | None = None, *, n_bands: int = 8) -> Rows:
    """Return an order of rows in which blocks have tight bounds, under any decay that never rises with age.

    Blocks of contemporaries are bounded by their newest and by their heaviest row, which are seldom one. With
    ``weight``, rows are first parted into bands of nearly equal weight and size, heaviest first, and lie newest
    first within each: a block's newest row is then nearly as heavy as its heaviest.

    Parameters
    ----------
    time_s : array_like, shape (n,)
        Finite times, seconds.
    weight : array_like, shape (n,), optional
        What the score rises with, beside time: importance.
    n_bands : int
        Number of bands, >= 1; each should hold several blocks.

    Returns
    -------
    ndarray of int64, shape (n,)
        Row numbers; rows alike keep their order. Raises `InvalidParameterError` outside the domain.

    Examples
    --------
    >>> newest_first([10.0, 30.0, 20.0]).tolist()
    [1, 2, 0]
    >>> newest_first([10.0, 30.0, 20.0, 40.0], [9.0, 1.0, 8.0, 2.0], n_bands=2).tolist()
    [2, 0, 3, 1]
    """
    times = finite("time_s", time_s)
    require_shape("time_s", times, (times.size,))
    if weight is None:
        return np.argsort(-times, kind="stable").astype(np.int64)
    require_positive_int("n_bands", n_bands)
    weights = finite("weight", weight)
    require_shape("weight", weights, times.shape)
    by_weight = np.argsort(-weights, kind="stable")
    band = np.empty(len(times), dtype=np.int64)
    band[by_weight] = np.arange(len(times)) * n_bands // max(1, len(times))
    return np.lexsort((-times, band)).astype(np.int64)


def _reduced(extreme: np.ufunc, values: ArrayLike, block_rows: int) -> FloatArray:
    require_positive_int("block_rows", block_rows)
    array = np.asarray(values, dtype=np.float64)
    require_numbers("values", array, (array.size,))
    starts = np.arange(0, len(array), block_rows)
    return np.asarray(extreme.reduceat(array, starts)) if len(array) else array


def require_positive_int(parameter: str, value: int) -> None:
    """Raise unless ``value`` is an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidParameterError(parameter, value, "must be an integer >= 1")


def require_shape(parameter: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise unless ``array`` has ``shape``."""
    if array.shape != shape:
        raise InvalidParameterError(parameter, array.shape, f"must have shape {shape}")


def require_numbers(parameter: str, array: FloatArray, shape: tuple[int, ...]) -> None:
    """Raise unless ``array`` has ``shape`` and holds no NaN."""
    require_shape(parameter, array, shape)
    if np.isnan(array).any():
        raise InvalidParameterError(parameter, array, "must not be NaN")
