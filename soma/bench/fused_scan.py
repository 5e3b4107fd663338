"""A full scan as fast as float32 allows, compiled: products, weights and the k best in one pass over the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fused_scan"]


@njit(cache=True, fastmath=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scan(vectors: Any, query: Any, weights: Any, best: Any, rows: Any) -> None:
    for row in range(len(vectors)):
        total = np.float32(0.0)
        for j in range(len(query)):
            total += vectors[row, j] * query[j]
        score = max(total, np.float32(0.0)) * weights[row]
        if score <= best[-1]:
            continue
        at = len(best) - 1
        while at > 0 and best[at - 1] < score:
            best[at], rows[at] = best[at - 1], rows[at - 1]
            at -= 1
        best[at], rows[at] = score, row


def fused_scan(
    vectors: NDArray[np.float32], query: NDArray[np.float32], weights: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """Return the rows of the k greatest products times weights, best first.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Rows.
    query : ndarray of float32, shape (d,)
        What they are multiplied by.
    weights : ndarray of float32, shape (n,)
        Of the rows, >= 0.
    k : int
        How many, >= 1.
    """
    best, rows = np.full(k, -1.0, dtype=np.float32), np.full(k, -1, dtype=np.int64)
    _scan(vectors, query, weights, best, rows)
    return rows[rows >= 0]
