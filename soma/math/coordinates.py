"""Fractal coordinates: a point's address in the dyadic tree of a box, as one integer.

A frame ``[lower, upper)`` is halved along every axis again and again; the first L choices are the point's address, and
a prefix of it names a cell. Morton codes are the canonical order of the children, Hilbert codes the same tree reordered
so that successive cells touch.

That points of one cell are near each other is a law. The converse is **not**: two points as near as one likes, on the
two sides of a cell's wall, may share no prefix at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.frame import Frame
from soma.math.space_filling import (
    Codes,
    as_codes,
    as_uint64,
    hilbert_decode,
    hilbert_encode,
    morton_decode,
    morton_encode,
    require_levels,
    shift_right,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Frame",
    "address",
    "ancestor",
    "cell_bounds",
    "cell_distance",
    "children",
    "common_level",
    "grid_cells",
    "hilbert_decode",
    "hilbert_encode",
    "morton_decode",
    "morton_encode",
    "parent",
]


def grid_cells(x: ArrayLike, levels: int) -> Codes:
    r"""Return the cell of each point on the finest grid: :math:`\lfloor 2^L x \rfloor`.

    Parameters
    ----------
    x : array_like, shape (\*batch, d)
        In [0, 1).
    levels : int
        Depth :math:`L`, 0 to 64 // d.

    Returns
    -------
    ndarray of uint64, shape (\*batch, d)
        In [0, 2^L).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Examples
    --------
    >>> grid_cells([0.25, 0.75], 2).tolist()
    [1, 3]
    """
    array = finite("x", x)
    if array.ndim == 0:
        raise InvalidParameterError("x", x, "must have a last axis of coordinates")
    require_levels(array.shape[-1], levels)
    if not ((array >= 0.0) & (array < 1.0)).all():
        raise InvalidParameterError("x", x, "must lie in [0, 1)")
    return np.ldexp(array, levels).astype(np.uint64)


def address(points: ArrayLike, frame: Frame, levels: int) -> Codes:
    """Return the Morton codes of points: their fractal coordinates.

    Parameters
    ----------
    points : array_like, shape (*batch, d)
        In the frame.
    frame : Frame
        The box.
    levels : int
        Depth, 0 to 64 // d.

    Returns
    -------
    ndarray of uint64, shape (*batch,)
        In [0, 2^(d * levels)).

    Raises
    ------
    InvalidParameterError
        For a point outside the frame, or too many levels.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> address([[0.0, 0.0], [0.9, 0.9]], Frame.unit(2), 1).tolist()
    [0, 3]
    """
    return morton_encode(grid_cells(frame.normalise(points), levels), levels)


def parent(codes: ArrayLike, dimension: int) -> Codes:
    """Return the codes one level up, of either curve.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        Codes of either curve.
    dimension : int
        Number of axes.

    Returns
    -------
    ndarray of uint64, shape (*batch,)
        The code of level 0 is its own parent.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> parent([0, 3, 4], 2).tolist()
    [0, 0, 1]
    """
    return shift_right(as_uint64("codes", codes), dimension)


def ancestor(codes: ArrayLike, dimension: int, levels: int, level: int) -> Codes:
    """Return the codes of the cells at ``level`` that hold those of depth ``levels``, of either curve.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        Codes of either curve.
    dimension : int
        Number of axes.
    levels : int
        Depth of the codes.
    level : int
        Depth of the ancestors, 0 to ``levels``.

    Returns
    -------
    ndarray of uint64, shape (*batch,)
        In [0, 2^(dimension * level)).

    Raises
    ------
    InvalidParameterError
        For a level that is not from 0 to ``levels``.

    Examples
    --------
    >>> ancestor(0b110100, 2, 3, 1).tolist()
    3
    """
    _require_level(level, levels)
    return shift_right(as_codes(codes, dimension, levels), dimension * (levels - level))


def children(codes: ArrayLike, dimension: int) -> Codes:
    """Return the codes of the 2^dimension cells one level down, of either curve, on a new last axis.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        Codes of either curve.
    dimension : int
        Number of axes.

    Returns
    -------
    ndarray of uint64, shape (*batch, 2^dimension)
        Rising.

    Raises
    ------
    InvalidParameterError
        For codes that have no room for another level, or more than 16 dimensions.

    Examples
    --------
    >>> children(1, 2).tolist()
    [4, 5, 6, 7]
    """
    array = as_uint64("codes", codes)
    if not 1 <= dimension <= 16 or (shift_right(array, 64 - dimension) != 0).any():
        raise InvalidParameterError("codes", codes, "must leave room for another level of at most 16 dimensions")
    return (array[..., None] << np.uint64(dimension)) | np.arange(2**dimension, dtype=np.uint64)


def cell_bounds(codes: ArrayLike, frame: Frame, level: int) -> tuple[FloatArray, FloatArray]:
    """Return the box of each Morton cell.

    Parameters
    ----------
    codes : array_like of int, shape (*batch,)
        Morton codes of ``level`` levels.
    frame : Frame
        The box that level 0 is.
    level : int
        Depth of the codes.

    Returns
    -------
    lower, upper : ndarray of float64, shape (*batch, d)
        The half-open box.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Examples
    --------
    >>> [side.tolist() for side in cell_bounds(3, Frame.unit(2), 1)]
    [[0.5, 0.5], [1.0, 1.0]]
    """
    cells = morton_decode(codes, frame.dimension, level).astype(np.float64)
    lower, side = np.array(frame.lower), np.array(frame.upper) - np.array(frame.lower)
    return lower + side * np.ldexp(cells, -level), lower + side * np.ldexp(cells + 1.0, -level)


def common_level(a: ArrayLike, b: ArrayLike, dimension: int, levels: int) -> NDArray[np.int64]:
    """Return how many levels two addresses share from the top; ``levels`` if they are equal.

    Parameters
    ----------
    a, b : array_like of int, broadcastable
        Codes of one curve.
    dimension : int
        Number of axes.
    levels : int
        Depth of the codes.

    Returns
    -------
    ndarray of int64
        0 to ``levels``.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> common_level([0b0000, 0b0001], 0b0000, 2, 2).tolist()
    [2, 1]
    """
    differing = as_codes(a, dimension, levels) ^ as_codes(b, dimension, levels)
    level = np.zeros(differing.shape, dtype=np.int64)
    for depth in range(1, levels + 1):
        level += shift_right(differing, dimension * (levels - depth)) == 0
    return level


def cell_distance(a: ArrayLike, b: ArrayLike, dimension: int, levels: int) -> FloatArray:
    r"""Return the ultrametric of the tree: :math:`2^{-l}` for the common level :math:`l`, and 0 for equal addresses.

    Parameters
    ----------
    a, b : array_like of int, broadcastable
        Codes of one curve.
    dimension : int
        Number of axes.
    levels : int
        Depth of the codes.

    Returns
    -------
    ndarray of float64
        In [0, 1].

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Laws: ``property_tests/math/test_coordinates.py``.

    Examples
    --------
    >>> cell_distance([0b0000, 0b0001, 0b1000], 0b0000, 2, 2).tolist()
    [0.0, 0.5, 1.0]
    """
    shared = common_level(a, b, dimension, levels)
    is_equal = as_uint64("a", a) == as_uint64("b", b)
    return np.where(is_equal, 0.0, np.ldexp(1.0, -shared))


def _require_level(level: int, levels: int) -> None:
    if not 0 <= level <= levels:
        raise InvalidParameterError("level", level, f"must be 0 to {levels}")
