"""Fractal coordinates: a point's address in the dyadic tree of a box, as one integer.

A frame ``[lower, upper)`` is halved along every axis again and again; the first L choices are the point's address, and
a prefix of it names a cell. Morton codes are the canonical order of the children, Hilbert codes the same tree reordered so
that successive cells touch.

That points of one cell are near each other is a law. The converse is **not**: two points as near as one likes, on the
two sides of a cell's wall, may share no prefix at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite

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

Codes: TypeAlias = "NDArray[np.uint64]"

_ONE = np.uint64(1)
_BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True, slots=True)
class Frame:
    r"""A half-open box :math:`[lower, upper) \subset R^d`: where coordinates live, chosen, never fitted to data.

    Parameters
    ----------
    lower, upper : sequence of float, length d
        Finite, lower < upper on every axis.

    Raises
    ------
    InvalidParameterError
        For ends that do not make a box.

    Examples
    --------
    >>> Frame((0.0, 0.0), (4.0, 2.0)).normalise([1.0, 1.0]).tolist()
    [0.25, 0.5]
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        lower, upper = finite("lower", self.lower), finite("upper", self.upper)
        if lower.ndim != 1 or lower.shape != upper.shape or not 1 <= lower.size <= 64:
            raise InvalidParameterError("upper", self.upper, "must have the 1 to 64 axes of lower")
        if not (lower < upper).all():
            raise InvalidParameterError("upper", self.upper, f"must be above lower = {self.lower} on every axis")
        if not np.isfinite(upper - lower).all():
            raise InvalidParameterError("upper", self.upper, "must be less than 1.8e308 above lower")
        object.__setattr__(self, "lower", tuple(lower.tolist()))
        object.__setattr__(self, "upper", tuple(upper.tolist()))

    def __str__(self) -> str:
        sides = zip(self.lower, self.upper, strict=True)
        return "the frame " + " x ".join(f"[{low:g}, {high:g})" for low, high in sides)

    @classmethod
    def unit(cls, dimension: int) -> Frame:
        """Return the box [0, 1)^d."""
        return cls((0.0,) * dimension, (1.0,) * dimension)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.lower)

    def contains(self, points: ArrayLike) -> bool:
        """Whether every point lies in the box."""
        array = _points(self, points)
        return bool(((array >= np.array(self.lower)) & (array < np.array(self.upper))).all())

    def normalise(self, points: ArrayLike) -> FloatArray:
        r"""Return points as :math:`x \in [0, 1)^d`; what rounds to 1 becomes the largest number below it.

        Parameters
        ----------
        points : array_like, shape (\*batch, d)
            In the box.

        Returns
        -------
        ndarray of float64, shape (\*batch, d)
            In [0, 1).

        Raises
        ------
        InvalidParameterError
            For a point outside the box.
        """
        array = _points(self, points)
        if not self.contains(array):
            raise InvalidParameterError("points", points, f"must lie in {self}")
        lower, upper = np.array(self.lower), np.array(self.upper)
        return np.minimum((array - lower) / (upper - lower), _BELOW_ONE)

    def to_dict(self) -> dict[str, Any]:
        """Return the box as JSON values."""
        return {"lower": list(self.lower), "upper": list(self.upper)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Frame:
        """Return the box that `to_dict` described.

        Raises
        ------
        SerializationError
            For missing or unknown fields.
        InvalidParameterError
            For ends that do not make a box.
        """
        if not isinstance(description, Mapping) or set(description) != {"lower", "upper"}:
            raise SerializationError("a frame has exactly the fields lower and upper")
        return cls(description["lower"], description["upper"])


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
    _require_levels(array.shape[-1], levels)
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
    array = _cells(cells, levels)
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
    array = _codes(codes, dimension, levels)
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
    x = [axis.copy() for axis in np.moveaxis(_cells(cells, levels), -1, 0)]
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


def parent(codes: ArrayLike, dimension: int) -> Codes:
    """Return the codes one level up, of either curve.

    Examples
    --------
    >>> parent([0, 3, 4], 2).tolist()
    [0, 0, 1]
    """
    return _shift_right(_uint64("codes", codes), dimension)


def ancestor(codes: ArrayLike, dimension: int, levels: int, level: int) -> Codes:
    """Return the codes of the cells at ``level`` that hold those of depth ``levels``, of either curve.

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
    return _shift_right(_codes(codes, dimension, levels), dimension * (levels - level))


def children(codes: ArrayLike, dimension: int) -> Codes:
    """Return the codes of the 2^dimension cells one level down, of either curve, on a new last axis.

    Raises
    ------
    InvalidParameterError
        For codes that have no room for another level, or more than 16 dimensions.

    Examples
    --------
    >>> children(1, 2).tolist()
    [4, 5, 6, 7]
    """
    array = _uint64("codes", codes)
    if not 1 <= dimension <= 16 or (_shift_right(array, 64 - dimension) != 0).any():
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
    differing = _codes(a, dimension, levels) ^ _codes(b, dimension, levels)
    level = np.zeros(differing.shape, dtype=np.int64)
    for depth in range(1, levels + 1):
        level += _shift_right(differing, dimension * (levels - depth)) == 0
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
    is_equal = _uint64("a", a) == _uint64("b", b)
    return np.where(is_equal, 0.0, np.ldexp(1.0, -shared))


def _points(frame: Frame, points: ArrayLike) -> FloatArray:
    array = finite("points", points)
    if array.ndim == 0 or array.shape[-1] != frame.dimension:
        raise InvalidParameterError("points", array.shape, f"must have {frame.dimension} coordinates")
    return array


def _require_levels(dimension: int, levels: int) -> None:
    if not 1 <= dimension <= 64:
        raise InvalidParameterError("dimension", dimension, "must be 1 to 64")
    if isinstance(levels, bool) or not 0 <= levels <= 64 // dimension:
        raise InvalidParameterError("levels", levels, f"must be 0 to {64 // dimension} in {dimension} dimensions")


def _require_level(level: int, levels: int) -> None:
    if not 0 <= level <= levels:
        raise InvalidParameterError("level", level, f"must be 0 to {levels}")


def _uint64(parameter: str, value: ArrayLike) -> Codes:
    array = np.asarray(value)
    if array.dtype.kind == "u":
        return array.astype(np.uint64)
    try:
        if array.dtype.kind not in "iO" or (array < 0).any():
            raise TypeError
        return array.astype(np.uint64)
    except (TypeError, OverflowError, ValueError):
        raise InvalidParameterError(parameter, value, "must be integers of 64 bits, >= 0") from None


def _cells(cells: ArrayLike, levels: int) -> Codes:
    array = _uint64("cells", cells)
    if array.ndim == 0:
        raise InvalidParameterError("cells", cells, "must have a last axis of coordinates")
    _require_levels(array.shape[-1], levels)
    if (_shift_right(array, levels) != 0).any():
        raise InvalidParameterError("cells", cells, f"must lie in [0, 2^{levels})")
    return array


def _codes(codes: ArrayLike, dimension: int, levels: int) -> Codes:
    _require_levels(dimension, levels)
    array = _uint64("codes", codes)
    if (_shift_right(array, dimension * levels) != 0).any():
        raise InvalidParameterError("codes", codes, f"must lie in [0, 2^{dimension * levels})")
    return array


def _shift_right(array: Codes, bits: int) -> Codes:
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
