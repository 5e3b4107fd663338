"""A fixed orthogonal projection: a place in the picture for every embedding, the same on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["orthogonal_axes", "project"]


def orthogonal_axes(seed: int, dimension: int, n_axes: int) -> FloatArray:
    r"""Return orthonormal axes, drawn by a hash from ``seed``.

    A Gaussian matrix, :math:`G_{ij} = \\sqrt{-2 \\ln u_{ij}} \\cos 2\\pi v_{ij}` with :math:`u, v` read from
    SHAKE-256 of the seed, made orthonormal row by row (modified Gram-Schmidt): no generator whose stream may
    change between versions takes part.

    Parameters
    ----------
    seed : int
        Any integer >= 0.
    dimension : int
        Dimension :math:`D` of the embeddings.
    n_axes : int
        Number of axes, at most :math:`D`.

    Returns
    -------
    ndarray of float64, shape (n_axes, dimension)
        Rows of length 1, orthogonal to each other.

    Raises
    ------
    InvalidParameterError
        For a negative seed, or more axes than dimensions.

    Notes
    -----
    Laws: ``property_tests/math/test_projection.py``.

    Examples
    --------
    >>> axes = orthogonal_axes(0, 256, 3)
    >>> bool(np.allclose(axes @ axes.T, np.eye(3)))
    True
    """
    if seed < 0:
        raise InvalidParameterError("seed", seed, "must be >= 0")
    if not 1 <= n_axes <= dimension:
        raise InvalidParameterError("n_axes", n_axes, f"must be 1 to {dimension}, the dimension of the embeddings")
    n = n_axes * dimension
    stream = hashlib.shake_256(f"soma axes {seed} {dimension} {n_axes}".encode()).digest(16 * n)
    words = np.frombuffer(stream, dtype="<u8").reshape(2, n)
    u, v = (words + 0.5) / 2.0**64
    axes = (np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * v)).reshape(n_axes, dimension)
    for i in range(n_axes):
        for j in range(i):
            axes[i] -= (axes[i] @ axes[j]) * axes[j]
        axes[i] /= np.linalg.norm(axes[i])
    return np.asarray(axes)


def project(vectors: ArrayLike, axes: FloatArray) -> FloatArray:
    r"""Return the coordinates of unit vectors on ``axes``, inside the half-open box :math:`[-1, 1)`.

    Parameters
    ----------
    vectors : array_like, shape (\*batch, dimension)
        Finite vectors of length at most 1.
    axes : ndarray, shape (n_axes, dimension)
        From `orthogonal_axes`.

    Returns
    -------
    ndarray of float64, shape (\*batch, n_axes)
        In [-1, 1): a coordinate that rounds to 1 becomes the largest number below it.

    Raises
    ------
    InvalidParameterError
        For vectors that are not finite or of another dimension.

    Notes
    -----
    Laws: ``property_tests/math/test_projection.py``.

    Examples
    --------
    >>> project([1.0, 0.0], np.array([[1.0, 0.0]])).tolist()
    [0.9999999999999999]
    """
    array = finite("vectors", vectors)
    if array.ndim == 0 or array.shape[-1] != axes.shape[1]:
        raise InvalidParameterError("vectors", array.shape, f"must have {axes.shape[1]} components")
    return np.asarray(np.clip(np.vecdot(array[..., None, :], axes), -1.0, np.nextafter(1.0, 0.0)))
