"""Vectors in one byte a number, and what the similarity to each of them can be.

Laws of everything here: ``property_tests/math/test_quantised.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LANES", "Codes", "QueryCode", "code_query", "code_vectors", "cosine_between", "width_of"]

LANES: Final = 16
"""Codes are padded with zeros to a multiple of it: numbers that a processor multiplies at once."""

_LONGEST: Final = 1.001
_CODE: Final = 127
_MOST_QUERY: Final = 2**14 - 1
_CHUNK: Final = 2**20


@dataclass(frozen=True, slots=True)
class Codes:
    """Vectors as integers, a scale each, and how far each lies from what its integers say.

    Parameters
    ----------
    code : ndarray of int8, shape (n, width)
        In [-127, 127]; columns from d on are 0.
    scale : ndarray of float32, shape (n,)
        A row says ``scale * code``.
    error : ndarray of float32, shape (n,)
        No less than the length of what a row says less what it was.
    """

    code: NDArray[np.int8]
    scale: NDArray[np.float32]
    error: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QueryCode:
    """A query as integers.

    Parameters
    ----------
    code : ndarray of int16, shape (width,)
        So small that its product with any code of vectors is an int32, exactly.
    scale : float
        The query says ``scale * code``.
    length : float
        No less than the length of what it says.
    error : float
        No less than what the products of a unit vector with what it says and with what it was can differ by, with
        all the rounding of `cosine_between` and of `soma.math.similarity.cosine`.
    """

    code: NDArray[np.int16]
    scale: float
    length: float
    error: float


def width_of(dimension: int) -> int:
    """Return how many integers a vector takes: its dimension, rounded up to a multiple of `LANES`.

    Parameters
    ----------
    dimension : int
        Of the vectors, >= 0.

    Examples
    --------
    >>> width_of(384), width_of(2)
    (384, 16)
    """
    return -(-dimension // LANES) * LANES


def code_vectors(vectors: NDArray[np.float32]) -> Codes:
    r"""Return vectors as integers, with a bound of what that costs.

    .. math:: c_{ij} = \mathrm{round}(v_{ij} / s_i), \quad s_i = \max_j |v_{ij}| / 127, \quad
              e_i \ge \lVert v_i - s_i c_i \rVert_2

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors, or zeros: of a length of at most 1.001.

    Returns
    -------
    Codes
        A zero vector has the code 0 and no error.

    Raises
    ------
    InvalidParameterError
        For numbers that are not finite, longer vectors, or another type or shape.

    Examples
    --------
    >>> from soma.math.similarity import unit_vectors
    >>> codes = code_vectors(unit_vectors([[1.0, -0.5], [0.0, 0.0]]))
    >>> codes.code[:, :2].tolist(), bool(codes.error.max() < 0.01)
    ([[127, -64], [0, 0]], True)
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise InvalidParameterError("vectors", (vectors.dtype.name, vectors.shape), "must be float32 of shape (n, d)")
    n, d = vectors.shape
    code = np.zeros((n, width_of(d)), dtype=np.int8)
    scale, error = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    step = max(1, _CHUNK // max(1, d))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        exact = vectors[rows].astype(np.float64)
        length = np.sqrt(np.vecdot(exact, exact))
        if not (length <= _LONGEST).all():
            raise InvalidParameterError("vectors", float(length.max()), f"must have a length of at most {_LONGEST}")
        scale[rows] = np.max(np.abs(exact), axis=1, initial=0.0) / _CODE
        step_of = scale[rows].astype(np.float64)[:, None]  # as it is kept: float32
        whole = np.rint(exact / np.where(step_of > 0.0, step_of, 1.0)).clip(-_CODE, _CODE)
        code[rows, :d] = whole
        exact -= whole * step_of
        error[rows] = _float32_above(np.sqrt(np.vecdot(exact, exact)) * (1.0 + 1e-9))
    return Codes(code, scale, error)


def code_query(query: NDArray[np.float32]) -> QueryCode:
    r"""Return a query as integers, finer than the vectors: nearly all of the error is then theirs.

    .. math:: g_j = \mathrm{round}(q_j / t), \quad t = \max_j |q_j| / m, \quad
              m = \min(2^{14} - 1, \lfloor (2^{31} - 1) / (127 d) \rfloor)

    so that :math:`|\sum_j c_j g_j| \le 127\,m\,d < 2^{31}` in any order of summation: at d = 1,024 by 0.8 %.

    Parameters
    ----------
    query : ndarray of float32, shape (d,)
        A unit vector, or zero; d from 1 to 2^20.

    Returns
    -------
    QueryCode
        With ``error`` :math:`1.001\,\lVert q - t g \rVert_2 + (d + 16)\,2^{-52}`; see `cosine_between`.

    Raises
    ------
    InvalidParameterError
        For numbers that are not finite, a longer vector, or another type or shape.

    Examples
    --------
    >>> code_query(np.array([0.6, -0.8], dtype=np.float32)).code[:2].tolist()
    [12287, -16383]
    """
    if query.dtype != np.float32 or query.ndim != 1 or not 1 <= query.size <= 2**20:
        raise InvalidParameterError("query", (query.dtype.name, query.shape), "must be float32 of shape (d,)")
    d = query.size
    exact = query.astype(np.float64)
    if not float(np.sqrt(exact @ exact)) <= _LONGEST:
        raise InvalidParameterError("query", query, f"must have a length of at most {_LONGEST}")
    most = min(_MOST_QUERY, (2**31 - 1) // (_CODE * d))
    scale = float(np.max(np.abs(exact))) / most or 1.0
    whole = np.rint(exact / scale)
    code = np.zeros(width_of(d), dtype=np.int16)
    code[:d] = whole
    said = whole * scale
    left = exact - said
    return QueryCode(
        code,
        scale,
        float(np.sqrt(said @ said)) * (1.0 + 1e-9),
        float(np.sqrt(left @ left)) * (1.0 + 1e-9) * _LONGEST + (d + 16) * 2.0**-52,
    )


def cosine_between(query: QueryCode, codes: Codes) -> tuple[FloatArray, FloatArray]:
    r"""Return what the computed cosine of the query to each vector lies between.

    .. math:: |q \cdot v - t s\,(g \cdot c)| = |(q - t g) \cdot v + t g \cdot (v - s c)|
              \le \lVert q - t g \rVert \lVert v \rVert + \lVert t g \rVert\, e

    The product :math:`g \cdot c` is an integer, and exact. What is computed rounds: the cosine in float64 by at most
    :math:`\gamma_d(2^{-53}) \cdot 1.001^2` (Higham), :math:`t s (g \cdot c)` twice at a size of at most 1.1, the bounds
    three times at a size of at most 3: together less than :math:`(1.01 d + 13)\,2^{-53}`, for which
    :math:`(d + 16)\,2^{-52}` stands in the query's ``error``. Products that underflow change the cosine by less than
    :math:`d\,2^{-1022}`.

    Parameters
    ----------
    query : QueryCode
        The query.
    codes : Codes
        Of n vectors of the same dimension.

    Returns
    -------
    lower, upper : ndarray of float64, shape (n,)
        `soma.math.similarity.cosine` lies between them before it is held within [-1, 1], as they are then to be.

    Notes
    -----
    This is what `soma.math.topk_numba` computes, in plain NumPy.

    Examples
    --------
    >>> from soma.math.similarity import cosine, unit_vectors
    >>> vectors, query = unit_vectors([[1.0, 2.0], [2.0, -1.0]]), unit_vectors([3.0, 1.0])
    >>> low, high = cosine_between(code_query(query), code_vectors(vectors))
    >>> bool((low <= cosine(query, vectors)).all() and (cosine(query, vectors) <= high).all())
    True
    """
    product = codes.code.astype(np.int64) @ query.code.astype(np.int64)
    middle = product * (codes.scale.astype(np.float64) * query.scale)
    reach = codes.error.astype(np.float64) * query.length + query.error
    return middle - reach, middle + reach


def _float32_above(values: FloatArray) -> NDArray[np.float32]:
    rounded = values.astype(np.float32)
    return np.where(rounded < values, np.nextafter(rounded, np.float32(np.inf)), rounded)
