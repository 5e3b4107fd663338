"""Many queries at once under similarity times weight, exactly: one product of matrices serves them all.

Laws of everything here: ``property_tests/math/test_weighted.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.blocks import BLOCK_ROWS, Rows, require_positive_int
from soma.math.domain import FloatArray
from soma.math.topk import Best, Lookup, TopK, cosine_error
from soma.math.weighted import Segment
from soma.math.weights import SMALLEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["weighted_top_k_batch"]

_FIRST_BATCH: Final = 2
_LARGEST_BATCH: Final = 8
_LONGEST: Final = 1.001


def weighted_top_k_batch(
    queries: NDArray[np.float32],
    segments: Sequence[Segment],
    ids: Lookup,
    *,
    k: int,
    scores: Sequence[Callable[[Rows], FloatArray]],
    floor: float = 0.0,
    top: float = 1.0,
    block_rows: int = BLOCK_ROWS,
) -> list[TopK]:
    r"""Return for each query what `soma.math.weighted.weighted_top_k` returns, at less than the cost of the calls.

    A row's weight is the same for every query: blocks are visited in one order, until none can serve any query. The
    product of a block and all queries is one of matrices in float32. Of codes it errs by at most

    .. math:: |s\,fl(c \cdot q) - v \cdot q| \le e\,\lVert q \rVert + \gamma_d(2^{-24})\,(\lVert v \rVert + e)\,
              \lVert q \rVert

    Parameters
    ----------
    queries : ndarray of float32, shape (m, d)
        Unit vectors, or zeros.
    segments, ids, k, floor, top, block_rows
        As for ``weighted_top_k``. Codes are read where a segment has them, else its vectors.
    scores : sequence of callable, length m
        For each query, from rows to exact scores.

    Returns
    -------
    list of TopK, length m
        The rows visited are those of all queries together.

    Raises
    ------
    InvalidParameterError
        For NaN in a score, a k below 1, or another number of scores than of queries.

    Examples
    --------
    >>> from soma.math.similarity import cosine, unit_vectors
    >>> from soma.math.weights import Weights
    >>> vectors, weight = unit_vectors([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), np.array([1.0, 1.0, 0.5])
    >>> segment = Segment(vectors, Weights.of(weight), np.ones(3, dtype=bool))
    >>> scores = [lambda rows, q=q: cosine(q, vectors[rows]) * weight[rows] for q in vectors]
    >>> [found.rows.tolist() for found in weighted_top_k_batch(vectors, [segment], np.arange(3), k=1, scores=scores)]
    [[0], [1], [1]]
    """
    require_positive_int("k", k)
    if len(scores) != len(queries):
        raise InvalidParameterError("scores", len(scores), f"must be one for each of {len(queries)} queries")
    starts = np.cumsum([0, *(len(segment.live) for segment in segments)])
    lows = np.full((len(queries), max(1, min(k, int(starts[-1])))), -1.0)
    found: list[tuple[Rows, Rows, FloatArray]] = []
    n_visited = 0
    for i in sorted(range(len(segments)), key=lambda i: -float(segments[i].weights.most.max(initial=-np.inf))):
        segment = segments[i]
        weights = segment.weights
        order, at, batch = np.argsort(-weights.most, kind="stable"), 0, _FIRST_BATCH
        while at < len(order) and len(queries) and weights.most[order[at]] >= lows[:, 0].min():
            blocks = np.sort(order[at : at + batch])
            at, batch = at + batch, min(2 * batch, _LARGEST_BATCH)
            rows = (blocks[:, None] * block_rows + np.arange(block_rows)).ravel()
            rows = rows[: np.searchsorted(rows, len(segment.live))]  # only the last block may be short
            most = weights.row_upper(rows, block_rows, np.full(len(rows), top))
            rows = rows[segment.live[rows] & (most >= lows[:, 0].min())]
            n_visited += len(rows)
            middle, reach = _products(queries, segment, rows)
            part = weights.row_upper(rows, block_rows, np.ones(len(rows)))
            upper = np.clip(middle + reach[:, None], floor, top) * part[:, None] + SMALLEST
            where, asked = np.nonzero(upper >= lows[:, 0])
            found.append((rows[where] + starts[i], asked, upper[where, asked]))
            similar = np.clip(middle[where, asked] - reach[where], floor, top)
            _raise(lows, asked, weights.row_lower(rows[where], block_rows, similar))
    rows, asked, upper = (np.concatenate([part[i] for part in found]) if found else np.empty(0, int) for i in range(3))
    left = np.flatnonzero(upper >= lows[asked, 0])
    left = left[np.argsort(asked[left], kind="stable")]
    ends = np.searchsorted(asked[left], np.arange(len(queries) + 1))
    answers = []
    for q, score in enumerate(scores):
        best, mine = Best(k, ids, score), left[ends[q] : ends[q + 1]]
        best.add_those_that_may(rows[mine], upper[mine])
        answers.append(best.answer(n_visited))
    return answers


def _products(queries: NDArray[np.float32], segment: Segment, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return about what the similarity of each row to each query is, and for each row how far from that it can be."""
    slack = cosine_error(queries.shape[1])
    if segment.codes is None:
        return (segment.vectors[rows] @ queries.T).astype(np.float64), np.full(len(rows), slack)
    codes = segment.codes
    error = codes.error[rows].astype(np.float64)
    numbers = codes.code[rows, : queries.shape[1]].astype(np.float32)
    middle = (numbers @ queries.T) * codes.scale[rows].astype(np.float64)[:, None]
    return middle, error * _LONGEST + slack * (1.0 + error) + 1e-12


def _raise(lows: FloatArray, asked: Rows, low: FloatArray) -> None:
    """Let new lower bounds in among the greatest of each query, the least of which stands first."""
    order = np.argsort(asked, kind="stable")
    ends = np.searchsorted(asked[order], np.arange(len(lows) + 1))
    for q in np.flatnonzero(np.diff(ends)).tolist():
        both = np.concatenate([lows[q], low[order[ends[q] : ends[q + 1]]]])
        lows[q] = np.partition(both, len(both) - lows.shape[1])[-lows.shape[1] :]
