"""Dimensions that are read from distances: correlation sums, and ratios of the distances to neighbours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.dimension_estimate import DimensionEstimate, slope
from soma.math.domain import FloatArray, finite, positive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["correlation_sum", "grassberger_procaccia", "levina_bickel", "two_nn"]

FEWEST_PAIRS: Final = 1_000
"""Below so many pairs a correlation sum is noise: its relative error is about 1/sqrt of their number."""

LARGEST_SUM: Final = 0.01
"""Above, balls reach beyond the edges of the set, and the slope falls."""

WIDTH: Final = 4.0
"""By what factor the sum must rise over the line."""

_MAX_OCTAVES: Final = 40
_N_RADII: Final = 16


def correlation_sum(points: ArrayLike, radii: ArrayLike) -> FloatArray:
    r"""Return the share of the pairs of points that are no further apart than each radius.

    .. math:: C(r) = \frac{2}{n(n-1)} \#\{i < j : |x_i - x_j| \le r\}

    Parameters
    ----------
    points : array_like, shape (n, d)
        Points, n >= 2, of any unit.
    radii : array_like, shape (\*batch,)
        Distances :math:`r` of that unit, > 0.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        In [0, 1], never falling with r.

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Euclidean. Laws: ``property_tests/math/test_dimension_distances.py``.

    Examples
    --------
    >>> correlation_sum([[0.0], [1.0], [3.0]], [1.0, 2.0, 3.0]).round(3).tolist()
    [0.333, 0.667, 1.0]
    """
    array, r = _points(points, 2), positive("radii", radii)
    n = len(array)
    # a tree counts rising radii at once
    rising, place = np.unique(r, return_inverse=True)
    tree = _tree(array)
    share: FloatArray = (tree.count_neighbors(tree, rising) - n) / (n * (n - 1.0))
    return share[place].reshape(r.shape)


def grassberger_procaccia(points: ArrayLike, radii: ArrayLike | None = None) -> DimensionEstimate:
    r"""Return the correlation dimension :math:`D_2`: the slope of :math:`\log C(r)` over :math:`\log r`.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Points.
    radii : array_like, shape (m,), optional
        Distances of the line, > 0, three or more different ones. By default sixteen, from where about a thousand
        pairs are nearer to where about a hundredth of all are.

    Returns
    -------
    DimensionEstimate
        At least 0. Its error is that of the line; as one pair counts at all larger radii, the true one is larger.

    Raises
    ------
    InvalidParameterError
        For radii within which there is no pair, or too few points; then it says how many are needed.

    Notes
    -----
    Source: Grassberger and Procaccia 1983. Laws: ``property_tests/math/test_dimension_distances.py``.

    Examples
    --------
    >>> line = np.random.default_rng(0).random((2_000, 1))
    >>> print(grassberger_procaccia(line, [0.01, 0.02, 0.04]))
    0.983 ± 0.002
    """
    array = _points(points, 2)
    found = _radii(array) if radii is None else np.unique(positive("radii", radii))
    if found.size < 3:
        raise InvalidParameterError("radii", radii, "must hold three distances or more")
    share = correlation_sum(array, found)
    if share[0] == 0.0:
        raise InvalidParameterError("radii", float(found[0]), "must reach a pair of points")
    x, y = np.log2(found), np.log2(share)
    value, error = slope(x, y)
    return DimensionEstimate(
        method="grassberger_procaccia",
        value=value,
        standard_error=error,
        n_points=len(array),
        scales=(float(found[0]), float(found[-1])),
        log2_scale=tuple(x.tolist()),
        log2_measure=tuple((-y).tolist()),
    )


def two_nn(points: ArrayLike) -> DimensionEstimate:
    r"""Return the intrinsic dimension from the two nearest neighbours of each point.

    .. math:: \hat d = \frac{n - 1}{\sum_i \ln (r_{i2} / r_{i1})}

    Parameters
    ----------
    points : array_like, shape (n, d)
        Different points, n >= 4.

    Returns
    -------
    DimensionEstimate
        With the standard error :math:`\hat d/\sqrt{n - 2}`.

    Raises
    ------
    InvalidParameterError
        Outside the domain; for points that are equal, or whose neighbours are all equally far.

    Notes
    -----
    It looks at the smallest scale that there is, noise and rounding of the data included. Source: Facco et al. 2017,
    with the unbiased likelihood estimate. Laws: ``property_tests/math/test_dimension_distances.py``.

    Examples
    --------
    >>> plane = np.random.default_rng(0).random((2_000, 2)) @ [[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]]
    >>> print(two_nn(plane))
    2.013 ± 0.045
    """
    array = _points(points, 4)
    n = len(array)
    distance = _neighbours(array, 2)
    total = float(np.log(distance[:, 1] / distance[:, 0]).sum())
    if total == 0.0:
        raise InvalidParameterError("points", n, "must have neighbours at different distances")
    value = (n - 1) / total
    return DimensionEstimate("two_nn", value, value / math.sqrt(n - 2), n, _span(distance))


def levina_bickel(points: ArrayLike, *, k_min: int = 10, k_max: int = 20) -> DimensionEstimate:
    r"""Return the intrinsic dimension from the distances to the nearest neighbours, by maximum likelihood.

    .. math:: \hat d_k = \left(\frac{1}{n} \sum_i \frac{1}{k - 1} \sum_{j<k} \ln \frac{T_k(x_i)}{T_j(x_i)}\right)^{-1}

    averaged over k.

    Parameters
    ----------
    points : array_like, shape (n, d)
        Different points, more than ``k_max``.
    k_min, k_max : int
        Least and greatest number of neighbours, 2 <= k_min <= k_max.

    Returns
    -------
    DimensionEstimate
        Its standard error takes the points for independent, though their neighbourhoods overlap: the true one is
        larger.

    Raises
    ------
    InvalidParameterError
        Outside the domain; for points that are equal, or whose neighbours are all equally far.

    Notes
    -----
    Sources: Levina and Bickel 2004; MacKay and Ghahramani 2005, who average the inverses. Laws:
    ``property_tests/math/test_dimension_distances.py``.

    Examples
    --------
    >>> plane = np.random.default_rng(0).random((2_000, 2)) @ [[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]]
    >>> print(levina_bickel(plane))
    1.924 ± 0.011
    """
    for name, k in (("k_min", k_min), ("k_max", k_max)):
        if type(k) is not int or k < 2:
            raise InvalidParameterError(name, k, "must be an integer >= 2")
    if k_min > k_max:
        raise InvalidParameterError("k_max", k_max, f"must be at least k_min = {k_min}")
    array = _points(points, k_max + 1)
    distance = _neighbours(array, k_max)
    log = np.log(distance)
    upto = np.cumsum(log, axis=1)
    ks = np.arange(k_min, k_max + 1)
    inverse = log[:, ks - 1] - upto[:, ks - 2] / (ks - 1)  # one column for each k
    mean = inverse.mean(axis=0)
    if not (mean > 0.0).all():
        raise InvalidParameterError("points", len(array), "must have neighbours at different distances")
    value = float((1.0 / mean).mean())
    each = (inverse / np.square(mean)).mean(axis=1)  # what a point moves the mean of 1/mean by
    error = float(each.std(ddof=1)) / math.sqrt(len(array))
    return DimensionEstimate("levina_bickel", value, error, len(array), _span(distance))


def _points(points: ArrayLike, n_needed: int) -> FloatArray:
    array = finite("points", points)
    if array.ndim != 2 or not array.shape[1]:
        raise InvalidParameterError("points", array.shape, "must have shape (n, d), d >= 1")
    if len(array) < n_needed:
        raise InvalidParameterError("points", len(array), f"must be at least {n_needed} points")
    return array


def _tree(points: FloatArray) -> Any:
    from scipy.spatial import cKDTree  # noqa: PLC0415 - `import soma` loads NumPy alone

    return cKDTree(points)


def _neighbours(points: FloatArray, k: int) -> FloatArray:
    """Return the distances to the k nearest others, rising, shape (n, k)."""
    distance: FloatArray = _tree(points).query(points, k=k + 1)[0][:, 1:]
    n_equal = int((distance[:, 0] == 0.0).sum())
    if n_equal:
        raise InvalidParameterError("points", len(points), f"must differ: {n_equal} have an equal (see numpy.unique)")
    return distance


def _span(distance: FloatArray) -> tuple[float, float]:
    return float(distance.min()), float(distance.max())


def _radii(points: FloatArray) -> FloatArray:
    """Return the distances of the line where none are given."""
    n = len(points)
    n_needed = math.ceil(math.sqrt(2.0 * WIDTH * FEWEST_PAIRS / LARGEST_SUM))
    if n < n_needed:
        raise InvalidParameterError("points", n, f"must be at least {n_needed} points, or the radii be given")
    size = 2.0 * float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())
    if size == 0.0:
        raise InvalidParameterError("points", n, "must differ from each other")
    octaves = size * np.exp2(-np.arange(_MAX_OCTAVES, -1.0, -1.0))
    share = correlation_sum(points, octaves)
    is_met = share > 0.0
    ends = np.log([FEWEST_PAIRS / (n * (n - 1.0) / 2.0), LARGEST_SUM])
    if share[is_met][0] > LARGEST_SUM:
        raise InvalidParameterError("points", n, "must not be equal in more than a hundredth of the pairs")
    lowest, highest = np.exp(np.interp(ends, np.log(share[is_met]), np.log(octaves[is_met])))
    return np.geomspace(lowest, highest, _N_RADII)
