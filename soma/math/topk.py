"""The k best rows, exactly: blocks in the order of their bounds, a cheap bound a row, an exact score for survivors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCK_ROWS", "TopK", "cosine_error", "top_k", "top_k_reference"]

BLOCK_ROWS: Final = 512
"""Rows in a block."""

_FIRST_BATCH: Final = 4
_LARGEST_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class TopK:
    """The best rows.

    Parameters
    ----------
    rows : ndarray of int64, shape (m,)
        By falling score; ties by rising id.
    scores : ndarray of float64, shape (m,)
        Their exact scores.
    n_visited : int
        Rows whose vectors were read.
    n_scored : int
        Rows that were scored exactly.
    """

    rows: NDArray[np.int64]
    scores: FloatArray
    n_visited: int
    n_scored: int


def top_k_reference(scores: FloatArray, ids: NDArray[Any], k: int) -> TopK:
    """Return the k best of all rows: what every faster way must equal.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        One score a row; minus infinity is allowed, NaN is not.
    ids : ndarray, shape (n,)
        Unique, of any type that sorts: integers, or the bytes of UUIDs as ``S16``.
    k : int
        How many, >= 1; with k > n all rows come.

    Returns
    -------
    TopK
        By falling score; ties by rising id.

    Raises
    ------
    InvalidParameterError
        For NaN, or a k below 1.

    Examples
    --------
    >>> top_k_reference(np.array([0.5, 0.9, 0.5]), np.array([7, 8, 3]), 2).rows.tolist()
    [1, 2]
    """
    _require_k(k)
    _require_scores(scores)
    order = np.lexsort((ids, -scores))[:k]
    return TopK(order.astype(np.int64), scores[order], len(scores), len(scores))


def cosine_error(dimension: int) -> float:
    r"""Return a bound of the error of a float32 product of unit vectors, in any order of summation.

    .. math:: |fl(q \cdot v) - q \cdot v| \le \gamma_d \sum_i |q_i v_i| \le \gamma_d \lVert q \rVert \lVert v \rVert,
              \quad \gamma_d = \frac{d u}{1 - d u},\ u = 2^{-24}

    to which come products that underflow, :math:`d\,2^{-149}`, and the unit vectors' own rounding, twice
    :math:`d^{1/2}\,u` in length.

    Parameters
    ----------
    dimension : int
        Dimension :math:`d`, 1 to 8,192.

    Returns
    -------
    float
        About d * 6e-8.

    Notes
    -----
    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1.

    Examples
    --------
    >>> cosine_error(384) < 2.4e-5
    True
    """
    u = 2.0**-24
    gamma = dimension * u / (1.0 - dimension * u)
    return gamma * (1.0 + math.sqrt(dimension) * u) ** 2 * (1.0 + 1e-6) + dimension * 2.0**-149 + 1e-12


def top_k(
    query: NDArray[np.float32],
    vectors: NDArray[np.float32],
    ids: NDArray[Any],
    *,
    k: int,
    score: Callable[[NDArray[np.int64]], FloatArray],
    upper: Callable[[NDArray[np.int64], FloatArray, FloatArray], FloatArray],
    block_upper: FloatArray,
    block_rows: int = BLOCK_ROWS,
    live: NDArray[np.bool_] | None = None,
) -> TopK:
    """Return the k best rows, bit-equal to `top_k_reference` over the exact scores of the live rows.

    Blocks are visited in batches by falling bound; when no block left can hold a score as high as the k-th best
    so far, no row of them is read. In a batch a float32 product, with the bound of its error, gives each row an
    upper bound, and only rows that may still enter are scored exactly.

    Parameters
    ----------
    query : ndarray of float32, shape (d,)
        A unit vector.
    vectors : ndarray of float32, shape (n, d)
        Unit vectors; row i is in block ``i // block_rows``.
    ids : ndarray, shape (n,)
        Unique among live rows, of any type that sorts.
    k : int
        How many, >= 1.
    score : callable
        From rows to their exact scores.
    upper : callable
        From rows and bounds of their similarity, below and above, to upper bounds of their scores.
    block_upper : ndarray of float64, shape (ceil(n / block_rows),)
        Upper bound of every score in the block.
    block_rows : int
        Rows in a block.
    live : ndarray of bool, shape (n,), optional
        Which rows count; all by default.

    Returns
    -------
    TopK
        By falling score; ties by rising id; fewer than k if fewer rows count.

    Raises
    ------
    InvalidParameterError
        For a NaN score, a k below 1, or shapes that do not fit.

    Notes
    -----
    Laws: ``property_tests/math/test_topk.py``.

    Examples
    --------
    >>> from soma.math.similarity import cosine, unit_vectors
    >>> vectors, query = unit_vectors([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), unit_vectors([0.0, 1.0])
    >>> top_k(query, vectors, np.arange(3), k=2, score=lambda rows: cosine(query, vectors[rows]),
    ...       upper=lambda rows, low, high: high, block_upper=np.ones(1)).rows.tolist()
    [2, 1]
    """
    _require_k(k)
    n = len(vectors)
    n_blocks = -(-n // block_rows)
    if block_upper.shape != (n_blocks,):
        raise InvalidParameterError("block_upper", block_upper.shape, f"must have shape ({n_blocks},)")
    _require_scores(block_upper)
    slack = cosine_error(vectors.shape[1] if vectors.ndim == 2 else 0)
    order = np.argsort(-block_upper, kind="stable")
    best = np.empty(0, dtype=np.int64)
    best_scores = np.empty(0)
    n_visited = n_scored = 0
    threshold = -np.inf
    start, batch = 0, _FIRST_BATCH
    while start < n_blocks and block_upper[order[start]] >= threshold:
        blocks = order[start : start + batch]
        blocks = blocks[block_upper[blocks] >= threshold]
        start, batch = start + batch, min(2 * batch, _LARGEST_BATCH)
        rows = _rows_of(blocks, block_rows, n, live)
        if not len(rows):
            continue
        n_visited += len(rows)
        near = _products(query, vectors, rows, blocks, block_rows, live is None).astype(np.float64)
        bound = upper(rows, np.maximum(near - slack, -1.0), np.minimum(near + slack, 1.0))
        rows, bound = rows[bound >= threshold], bound[bound >= threshold]
        while len(rows):
            # the most promising first: a few exact scores raise the threshold for all the others
            chosen = _largest(bound, max(4 * k, 64))
            exact = score(rows[chosen])
            _require_scores(exact)
            n_scored += len(chosen)
            best, best_scores = _merged(best, best_scores, rows[chosen], exact, ids, k)
            threshold = best_scores[-1] if len(best) == k else -np.inf
            rest = np.ones(len(rows), dtype=bool)
            rest[chosen] = False
            rest &= bound >= threshold
            rows, bound = rows[rest], bound[rest]
    return TopK(best, best_scores, n_visited, n_scored)


def _rows_of(blocks: NDArray[np.int64], block_rows: int, n: int, live: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    rows = (np.sort(blocks)[:, None] * block_rows + np.arange(block_rows)).ravel()
    rows = rows[rows < n]
    return rows if live is None else rows[live[rows]]


def _products(
    query: NDArray[np.float32],
    vectors: NDArray[np.float32],
    rows: NDArray[np.int64],
    blocks: NDArray[np.int64],
    block_rows: int,
    is_whole: bool,
) -> NDArray[np.float32]:
    """Return float32 products; runs of whole blocks are read in place, without a copy."""
    if not is_whole and len(rows) < len(blocks) * block_rows // 2:
        return np.asarray(vectors[rows] @ query)
    products = np.empty(len(rows), dtype=np.float32)
    ordered = np.sort(blocks)
    for run in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
        low, high = run[0] * block_rows, min((run[-1] + 1) * block_rows, len(vectors))
        inside = np.searchsorted(rows, [low, high])
        found = np.vecdot(vectors[low:high], query)
        products[inside[0] : inside[1]] = found[rows[inside[0] : inside[1]] - low]
    return products


def _largest(bound: FloatArray, m: int) -> NDArray[np.int64]:
    if len(bound) <= m:
        return np.arange(len(bound))
    return np.argpartition(-bound, m - 1)[:m]


def _merged(
    best: NDArray[np.int64],
    best_scores: FloatArray,
    rows: NDArray[np.int64],
    scores: FloatArray,
    ids: NDArray[Any],
    k: int,
) -> tuple[NDArray[np.int64], FloatArray]:
    rows, scores = np.concatenate([best, rows]), np.concatenate([best_scores, scores])
    if len(rows) > 4 * k:  # rows below the k-th score cannot stay; those equal to it may, by their id
        kth = -np.partition(-scores, k - 1)[k - 1]
        rows, scores = rows[scores >= kth], scores[scores >= kth]
    order = np.lexsort((ids[rows], -scores))[:k]
    return rows[order], scores[order]


def _require_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InvalidParameterError("k", k, "must be an integer >= 1")


def _require_scores(scores: FloatArray) -> None:
    if np.isnan(scores).any():
        raise InvalidParameterError("scores", scores, "must not be NaN")
