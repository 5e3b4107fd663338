"""Entropy of the cells that points fall into, level by level, and the dimensions that are its slope."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.coordinates import common_level
from soma.math.dimension_estimate import DimensionEstimate, slope
from soma.math.domain import FloatArray, finite, non_negative
from soma.math.space_filling import as_codes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["lacunarity", "occupied_cells", "renyi_dimension", "renyi_entropies"]

MIN_LEVELS: Final = 3
"""A line through fewer points has no error."""

POINTS_PER_CELL: Final = 5
"""Where cells hold fewer on average, the count of those that are occupied is that of the points."""


def occupied_cells(codes: ArrayLike, dimension: int, levels: int) -> NDArray[np.int64]:
    r"""Return the number of cells that hold a point, at each level.

    Parameters
    ----------
    codes : array_like of int, shape (n,)
        Addresses of either curve, at least one.
    dimension : int
        Number of axes :math:`d`.
    levels : int
        Depth of the codes :math:`L`.

    Returns
    -------
    ndarray of int64, shape (levels + 1,)
        :math:`N(0) = 1`, and :math:`N(l) \le N(l+1) \le 2^d N(l)`.

    Raises
    ------
    InvalidParameterError
        For no codes, or outside the domain.

    Notes
    -----
    One sort, whatever the number of levels. Laws: ``property_tests/math/test_dimension.py``.

    Examples
    --------
    >>> occupied_cells([0b0000, 0b0011, 0b1100], 2, 2).tolist()
    [1, 2, 3]
    """
    return _splits(np.sort(_codes(codes, dimension, levels)), dimension, levels)


def renyi_entropies(
    codes: ArrayLike, dimension: int, levels: int, q: ArrayLike = 1.0, *, weights: ArrayLike | None = None
) -> FloatArray:
    r"""Return the Rényi entropy of the occupied cells, at each level.

    .. math:: H_q = \frac{1}{1 - q} \log_2 \sum_i p_i^q, \quad H_1 = -\sum_i p_i \log_2 p_i

    Parameters
    ----------
    codes : array_like of int, shape (n,)
        Addresses of either curve, at least one.
    dimension : int
        Number of axes :math:`d`.
    levels : int
        Depth of the codes.
    q : array_like, shape (\*orders,)
        Order, dimensionless, >= 0; 0 counts cells, and infinity sees the fullest only.
    weights : array_like, shape (n,), optional
        Mass of each code, > 0, less than 1e290 apart; the same for all by default.

    Returns
    -------
    ndarray of float64, shape (\*orders, levels + 1)
        Bits: :math:`H_q(l) \le H_q(l+1) \le H_q(l) + d`, and never rising with q.

    Raises
    ------
    InvalidParameterError
        For no codes, weights of another length, or outside the domain.

    Notes
    -----
    Source: Rényi 1961. Laws: ``property_tests/math/test_dimension.py``.

    Examples
    --------
    >>> renyi_entropies([0, 1, 2, 3], 1, 2, [0.0, 1.0]).tolist()
    [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
    """
    orders = non_negative("q", q)
    return _entropies(*_in_order(_codes(codes, dimension, levels), weights), dimension, levels, orders)


def renyi_dimension(
    codes: ArrayLike,
    dimension: int,
    levels: int,
    q: float = 0.0,
    *,
    weights: ArrayLike | None = None,
    within: tuple[int, int] | None = None,
) -> DimensionEstimate:
    r"""Return the generalised dimension :math:`D_q`: by how many bits the entropy of the cells grows with a level.

    :math:`D_0` is the box-counting dimension, :math:`D_1` the information dimension and :math:`D_2` the correlation
    dimension; a range of q is the Rényi spectrum.

    Parameters
    ----------
    codes : array_like of int, shape (n,)
        Addresses of either curve.
    dimension : int
        Number of axes :math:`d`.
    levels : int
        Depth of the codes.
    q : float
        Order, dimensionless, >= 0.
    weights : array_like, shape (n,), optional
        Mass of each code, > 0, known and not sampled.
    within : (int, int), optional
        First and last level of the line. By default from the first at which the points are apart, to the last at which
        an occupied cell holds five of them; to the last of all where weights are given, or all points are one.

    Returns
    -------
    DimensionEstimate
        In [0, d] to rounding, for the line of least squares through :math:`H_q(l)`.

    Raises
    ------
    InvalidParameterError
        Outside the domain, for fewer than three levels, and for too few points; then it says how many are needed.

    Notes
    -----
    That :math:`D_q` never rises with q is a law of the entropies at each level, and not of fitted slopes. Sources:
    Grassberger 1983; Hentschel and Procaccia 1983. Laws: ``property_tests/math/test_dimension.py``.

    Examples
    --------
    >>> full = range(2**12)
    >>> print(renyi_dimension(full, 2, 6, within=(0, 6)))
    2.000 ± 0.000
    """
    order = non_negative("q", q)
    if order.ndim:
        raise InvalidParameterError("q", q, "must be one number")
    rising, mass = _in_order(_codes(codes, dimension, levels), weights)
    first, last = _range(rising, dimension, levels, weights is not None) if within is None else within
    if not 0 <= first <= last <= levels or last - first + 1 < MIN_LEVELS:
        raise InvalidParameterError("within", (first, last), f"must hold three levels or more of 0 to {levels}")
    level = np.arange(first, last + 1, dtype=np.float64)
    entropy = _entropies(rising, mass, dimension, levels, order)[first : last + 1]
    value, error = slope(level, entropy)
    return DimensionEstimate(
        method=f"renyi_{float(order):g}",
        value=value,
        standard_error=error,
        n_points=len(rising),
        scales=(2.0**-last, 2.0**-first),
        log2_scale=tuple((-level).tolist()),
        log2_measure=tuple(entropy.tolist()),
    )


def lacunarity(codes: ArrayLike, dimension: int, levels: int, *, weights: ArrayLike | None = None) -> FloatArray:
    r"""Return how unevenly the cells of each level are filled: mean square over squared mean of their masses.

    .. math:: \Lambda(l) = 2^{d l} \sum_i p_i^2

    over all cells of the frame, empty ones too.

    Parameters
    ----------
    codes, dimension, levels, weights
        As for `renyi_entropies`.

    Returns
    -------
    ndarray of float64, shape (levels + 1,)
        At least 1, which is an even filling; never falling with the level, and by at most :math:`2^d` a level.

    Raises
    ------
    InvalidParameterError
        For no codes, weights of another length, or outside the domain.

    Notes
    -----
    Source: Allain and Cloitre 1991, with the cells of the frame for their gliding box.

    Examples
    --------
    >>> lacunarity([0, 0, 3, 3], 1, 2).tolist()
    [1.0, 1.0, 2.0]
    """
    bits = dimension * np.arange(levels + 1)
    return np.asarray(np.exp2(bits - renyi_entropies(codes, dimension, levels, 2.0, weights=weights)))


def _codes(codes: ArrayLike, dimension: int, levels: int) -> NDArray[np.uint64]:
    array = as_codes(codes, dimension, levels)
    if array.ndim != 1 or not array.size:
        raise InvalidParameterError("codes", array.shape, "must have shape (n,), n >= 1")
    return array


def _splits(rising: NDArray[np.uint64], dimension: int, levels: int) -> NDArray[np.int64]:
    """Return the number of occupied cells at each level: neighbours in order part at the level below a common one."""
    shared = common_level(rising[1:], rising[:-1], dimension, levels)
    parted = np.bincount(shared[shared < levels] + 1, minlength=levels + 1)
    return 1 + np.cumsum(parted)


def _in_order(codes: NDArray[np.uint64], weights: ArrayLike | None) -> tuple[NDArray[np.uint64], FloatArray]:
    """Return the codes, rising, and the mass of each: the one sort."""
    if weights is None:
        return np.sort(codes), np.ones(len(codes))
    mass = _masses(weights, len(codes))
    order = np.argsort(codes, kind="stable")
    return codes[order], mass[order]


def _entropies(
    rising: NDArray[np.uint64], mass: FloatArray, dimension: int, levels: int, orders: FloatArray
) -> FloatArray:
    """Return the entropy of each order at each level: the masses of its cells are the sums of those below."""
    shared = common_level(rising[1:], rising[:-1], dimension, levels)
    found = np.empty((*orders.shape, levels + 1))
    for level in range(levels, -1, -1):
        starts = np.flatnonzero(np.concatenate([[True], shared < level]))
        mass = np.add.reduceat(mass, starts)
        shared = shared[starts[1:] - 1]
        found[..., level] = _entropy(mass / mass.sum(), orders)
    return found


def _masses(weights: ArrayLike, n: int) -> FloatArray:
    array = finite("weights", weights)
    if array.shape != (n,) or not (array > 0.0).all():
        raise InvalidParameterError("weights", weights, f"must be {n} numbers > 0")
    scaled: FloatArray = array / array.max()
    if scaled.min() < 1e-290:
        raise InvalidParameterError("weights", weights, "must not differ by a factor of 1e290 or more")
    return scaled


def _entropy(share: FloatArray, orders: FloatArray) -> FloatArray:
    bits = -np.log2(share)
    flat = [_entropy_of_order(share, bits, float(q)) for q in orders.ravel()]
    return np.reshape(np.maximum(flat, 0.0), orders.shape)


def _entropy_of_order(share: FloatArray, bits: FloatArray, q: float) -> float:
    if q == 1.0:
        return float(share @ bits)
    if math.isinf(q):
        return float(bits.min())
    if abs(q - 1.0) < 0.5:  # near 1 the sum is near 1: what it differs by is summed itself
        return math.log1p(float(share @ np.expm1((1.0 - q) * math.log(2.0) * bits))) / (1.0 - q) / math.log(2.0)
    most = -q * float(bits.min())
    return (most + math.log2(float(np.exp2(-q * bits - most).sum()))) / (1.0 - q)


def _range(rising: NDArray[np.uint64], dimension: int, levels: int, is_exact: bool) -> tuple[int, int]:
    """Return the levels of the line where none are given."""
    cells = _splits(rising, dimension, levels)
    if cells[-1] == 1:
        return 0, levels
    first = int(np.argmax(cells > 1))
    if levels < first + MIN_LEVELS - 1:
        raise InvalidParameterError("levels", levels, f"must be at least {first + MIN_LEVELS - 1} for these points")
    if is_exact:
        return first, levels
    n_needed = POINTS_PER_CELL * int(cells[first + MIN_LEVELS - 1])
    if len(rising) < n_needed:
        raise InvalidParameterError("codes", len(rising), f"must be at least {n_needed} points for three levels")
    return first, int(np.flatnonzero(cells * POINTS_PER_CELL <= len(rising))[-1])
