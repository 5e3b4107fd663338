"""The two orders of a dyadic tree's cells: Morton's and Hilbert's, as codes of 64 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Codes",
    "as_cells",
    "as_codes",
    "as_uint64",
    "hilbert_decode",
    "hilbert_encode",
    "morton_decode",
    "morton_encode",
    "require_levels",
    "shift_right",
]

Codes: TypeAlias = "NDArray[np.uint64]"

_ONE: Final = np.uint64(1)


def morton_encode(cells: ArrayLike, levels: int) -> Codes:
    """Return the Morton code of grid cells: their bits interleaved, the first axis first.

    Parameters
    ----------
    cells : array_like of int, shape (*batch, d)
        In [0, 2^levels).
    levels : int
        Depth, 0 to 64 // d.

    Returns
    -------
    ndarray of uint64, shape (*batch,)
        In [0, 2^(d * levels)).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> morton_encode([[0, 0], [0, 1], [1, 0], [1, 1]], 1).tolist()
    [0, 1, 2, 3]
    """
    array = as_cells(cells, levels)
    dimension = array.shape[-1]
    code = np.zeros(array.shape[:-1], dtype=np.uint64)
    for axis in range(dimension):
        code |= _spread(array[..., axis], dimension, levels) << np.uint64(dimension - 1 - axis)
    return code


def morton_decode(codes: ArrayLike, dimension: int, levels: int) -> Codes:
    """Return the grid cells of Morton codes.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        In [0, 2^(dimension * levels)).
    dimension : int
        Number of axes, 1 to 64.
    levels : int
        Depth, 0 to 64 // dimension.

    Returns
    -------
    ndarray of uint64, shape (*batch, dimension)
        In [0, 2^levels).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> morton_decode(6, 2, 2).tolist()
    [1, 2]
    """
    array = as_codes(codes, dimension, levels)
    axes = [_gather(array >> np.uint64(dimension - 1 - axis), dimension, levels) for axis in range(dimension)]
    return np.stack(axes, axis=-1)


def hilbert_encode(cells: ArrayLike, levels: int) -> Codes:
    """Return the Hilbert code of grid cells: the same tree as Morton's, ordered so that successive cells touch.

    Parameters
    ----------
    cells : array_like of int, shape (*batch, d)
        In [0, 2^levels).
    levels : int
        Depth, 0 to 64 // d.

    Returns
    -------
    ndarray of uint64, shape (*batch,)
        In [0, 2^(d * levels)).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Skilling, Programming the Hilbert curve (2004). Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> hilbert_encode([[0, 0], [0, 1], [1, 1], [1, 0]], 1).tolist()
    [0, 1, 2, 3]
    """
    x = [axis.copy() for axis in np.moveaxis(as_cells(cells, levels), -1, 0)]
    for level in range(levels - 1, 0, -1):
        _turn(x, level, range(len(x)))
    for i in range(1, len(x)):
        x[i] ^= x[i - 1]
    flip = np.zeros_like(x[-1])
    for level in range(levels - 1, 0, -1):
        flip ^= np.where(x[-1] >> np.uint64(level) & _ONE, (_ONE << np.uint64(level)) - _ONE, np.uint64(0))
    return morton_encode(np.stack([axis ^ flip for axis in x], axis=-1), levels)


def hilbert_decode(codes: ArrayLike, dimension: int, levels: int) -> Codes:
    """Return the grid cells of Hilbert codes.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        In [0, 2^(dimension * levels)).
    dimension : int
        Number of axes, 1 to 64.
    levels : int
        Depth, 0 to 64 // dimension.

    Returns
    -------
    ndarray of uint64, shape (*batch, dimension)
        In [0, 2^levels).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Source: Skilling (2004). Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> hilbert_decode([0, 1, 2, 3], 2, 1).tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0]]
    """
    x = list(np.moveaxis(morton_decode(codes, dimension, levels), -1, 0))
    last = x[-1] >> _ONE
    for i in range(dimension - 1, 0, -1):
        x[i] = x[i] ^ x[i - 1]
    x[0] = x[0] ^ last
    for level in range(1, levels):
        _turn(x, level, range(dimension - 1, -1, -1))
    return np.stack(x, axis=-1)


def require_levels(dimension: int, levels: int) -> None:
    """Raise unless codes of ``levels`` levels in ``dimension`` dimensions fit 64 bits."""
    if not 1 <= dimension <= 64:
        raise InvalidParameterError("dimension", dimension, "must be 1 to 64")
    if isinstance(levels, bool) or not 0 <= levels <= 64 // dimension:
        raise InvalidParameterError("levels", levels, f"must be 0 to {64 // dimension} in {dimension} dimensions")


def as_uint64(parameter: str, value: ArrayLike) -> Codes:
    """Return integers >= 0 of at most 64 bits as uint64, or raise."""
    array = np.asarray(value)
    if array.dtype.kind == "u":
        return array.astype(np.uint64)
    try:
        if array.dtype.kind not in "iO" or (array < 0).any():
            raise TypeError
        return array.astype(np.uint64)
    except (TypeError, OverflowError, ValueError):
        raise InvalidParameterError(parameter, value, "must be integers of 64 bits, >= 0") from None


def as_cells(cells: ArrayLike, levels: int) -> Codes:
    """Return cells of a grid of 2^levels a side as uint64, or raise."""
    array = as_uint64("cells", cells)
    if array.ndim == 0:
        raise InvalidParameterError("cells", cells, "must have a last axis of coordinates")
    require_levels(array.shape[-1], levels)
    if (shift_right(array, levels) != 0).any():
        raise InvalidParameterError("cells", cells, f"must lie in [0, 2^{levels})")
    return array


def as_codes(codes: ArrayLike, dimension: int, levels: int) -> Codes:
    """Return codes of ``levels`` levels as uint64, or raise."""
    require_levels(dimension, levels)
    array = as_uint64("codes", codes)
    if (shift_right(array, dimension * levels) != 0).any():
        raise InvalidParameterError("codes", codes, f"must lie in [0, 2^{dimension * levels})")
    return array


def shift_right(array: Codes, bits: int) -> Codes:
    """Shift, also by 64, where the processor would shift by 0."""
    return array >> np.uint64(bits) if bits < 64 else np.zeros_like(array)


def _strides(dimension: int, levels: int) -> list[tuple[np.uint64, np.uint64]]:
    """Return (shift, mask) for halving runs of bits: after each, runs of that length stand d times as far apart."""
    steps = []
    run = 1 << max(0, (levels - 1).bit_length() - 1)
    while run and dimension > 1 and levels > 1:
        mask = 0
        for bit in range(levels):
            mask |= 1 << (bit // run * run * dimension + bit % run)
        steps.append((np.uint64(run * (dimension - 1)), np.uint64(mask & (2**64 - 1))))
        run >>= 1
    return steps


def _spread(x: Codes, dimension: int, levels: int) -> Codes:
    """Put bit i at place i * dimension."""
    for shift, mask in _strides(dimension, levels):
        x = (x | (x << shift)) & mask
    return x


def _gather(x: Codes, dimension: int, levels: int) -> Codes:
    """Put bit i * dimension at place i, and drop the others."""
    steps = _strides(dimension, levels)
    whole = np.uint64((1 << levels) - 1)
    if not steps:
        return x & whole
    masks = [mask for _, mask in reversed(steps)]
    x = x & masks[0]
    for (shift, _), mask in zip(reversed(steps), [*masks[1:], whole], strict=True):
        x = (x | (x >> shift)) & mask
    return x


def _turn(x: list[Codes], level: int, order: range) -> None:
    """Exchange or invert the bits below ``level``, as the bit at ``level`` of each axis says (in place)."""
    low = (_ONE << np.uint64(level)) - _ONE
    for i in order:
        is_set = (x[i] >> np.uint64(level) & _ONE).astype(bool)
        swapped = np.where(is_set, np.uint64(0), (x[0] ^ x[i]) & low)
        x[0] = x[0] ^ np.where(is_set, low, swapped)
        x[i] = x[i] ^ swapped if i else x[0]
