"""The k best rows under similarity times weight, exactly: a bound a row costs one product, and no expression.

Laws of everything here: ``property_tests/math/test_weighted.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.math.blocks import BLOCK_ROWS, Rows, require_positive_int
from soma.math.domain import FloatArray
from soma.math.quantised import Codes, QueryCode, code_query
from soma.math.topk import Best, Lookup, TopK, cosine_error, products
from soma.math.weights import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Segment", "weighted_top_k"]

_FIRST_BATCH: Final = 4
_LARGEST_BATCH: Final = 256
_GROWTH: Final = 3


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that are visited together.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Unit vectors, or zeros.
    weights : Weights
        Theirs, at the time of the query.
    live : ndarray of bool, shape (n,)
        Which rows count.
    codes : Codes, optional
        The vectors in one byte a number: what the compiled kernel reads.
    """

    vectors: NDArray[np.float32]
    weights: Weights
    live: NDArray[np.bool_]
    codes: Codes | None = None


def weighted_top_k(
    query: NDArray[np.float32],
    segments: Sequence[Segment],
    ids: Lookup,
    *,
    k: int,
    score: Callable[[Rows], FloatArray],
    floor: float = 0.0,
    top: float = 1.0,
    block_rows: int = BLOCK_ROWS,
) -> TopK:
    r"""Return the k best rows, bit-equal to `soma.math.topk.top_k_reference` over the live rows of all segments.

    .. math:: s_i = \min(\max(c_i, f), u)\,w_i

    Segments, and the blocks of each, are visited by falling bound of their weights; a block's rows that are too light
    for any similarity are passed over; the rest have their similarity bounded. Where segments have codes the compiled
    kernel does this (extra ``fast``), with `soma.math.quantised`; else NumPy, with float32 products. What may be among
    the best is then scored exactly.

    Parameters
    ----------
    query : ndarray of float32, shape (d,)
        A unit vector, or zero.
    segments : sequence of Segment
        Row i of segment j is numbered i plus the lengths of the segments before j.
    ids : Lookup
        From these numbers to ids, unique among live rows, of any type that sorts.
    k : int
        How many, >= 1.
    score : callable
        From these numbers to exact scores. The similarity in them is `soma.math.similarity.cosine`.
    floor, top : float
        The similarity counts as held between them, 0 <= floor <= top.
    block_rows : int
        Rows in a block, >= 1.

    Returns
    -------
    TopK
        By falling score; ties by rising id. Raises `InvalidParameterError` for NaN in a score, or a k below 1.

    Examples
    --------
    >>> from soma.math.similarity import cosine, unit_vectors
    >>> vectors, query = unit_vectors([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), unit_vectors([0.0, 1.0])
    >>> weight = np.array([1.0, 1.0, 0.5])
    >>> segment = Segment(vectors, Weights.of(weight), np.ones(3, dtype=bool))
    >>> weighted_top_k(query, [segment], np.arange(3), k=2,
    ...                score=lambda rows: cosine(query, vectors[rows]) * weight[rows]).rows.tolist()
    [1, 2]
    """
    require_positive_int("k", k)
    best = Best(k, ids, score)
    starts = np.cumsum([0, *(len(segment.live) for segment in segments)])
    weight_of = [float(segment.weights.most.max(initial=-np.inf)) for segment in segments]
    order = sorted(range(len(segments)), key=lambda i: (-weight_of[i], i))
    compiled = [i for i in order if segments[i].codes is not None and len(segments[i].live)]
    n_visited = 0
    if compiled:
        n_visited += _visit_compiled(code_query(query), segments, compiled, starts, best, floor, top, block_rows)
    for i in order:
        if segments[i].codes is None:
            n_visited += _visit(query, segments[i], int(starts[i]), best, floor, top, block_rows)
    return best.answer(n_visited)


def _visit_compiled(
    query: QueryCode,
    segments: Sequence[Segment],
    order: Sequence[int],
    starts: NDArray[np.int64],
    best: Best,
    floor: float,
    top: float,
    block_rows: int,
) -> int:
    from soma.math.topk_numba import visit  # noqa: PLC0415 - the compiler is loaded on first use

    lows = np.full(min(best.k, int(starts[-1])), -1.0)
    found: list[Rows] = []
    uppers: list[FloatArray] = []
    n_visited = 0
    for i in order:
        segment = segments[i]
        if segment.codes is None or segment.weights.most.max(initial=-1.0) < lows[0]:
            continue
        blocks = np.argsort(-segment.weights.most, kind="stable")
        rows, upper, n = visit(
            query,
            segment.codes,
            segment.weights,
            segment.live,
            blocks,
            lows,
            floor=floor,
            top=top,
            block_rows=block_rows,
        )
        found.append(rows + starts[i])
        uppers.append(upper)
        n_visited += n
    upper = np.concatenate(uppers)
    may_enter = upper >= lows[0]
    best.add_those_that_may(np.concatenate(found)[may_enter], upper[may_enter])
    return n_visited


def _visit(
    query: NDArray[np.float32], segment: Segment, start: int, best: Best, floor: float, top: float, block_rows: int
) -> int:
    weights, live, vectors = segment.weights, segment.live, segment.vectors
    slack = cosine_error(len(query))
    order = np.argsort(-weights.most, kind="stable")
    n_visited, at, batch = 0, 0, _FIRST_BATCH
    while at < len(order) and weights.most[order[at]] >= best.threshold:
        blocks = order[at : at + batch]
        blocks = np.sort(blocks[weights.most[blocks] >= best.threshold])
        at, batch = at + batch, min(_GROWTH * batch, _LARGEST_BATCH)
        rows = (blocks[:, None] * block_rows + np.arange(block_rows)).ravel()
        rows = rows[: np.searchsorted(rows, len(live))]  # only the last block may be short
        heavy = live[rows]
        if best.threshold > 0.0:
            heavy = heavy & (weights.row_upper(rows, block_rows, np.full(len(rows), top)) >= best.threshold)
        chosen = np.flatnonzero(heavy)
        if 2 * len(chosen) < len(rows):  # a copy of the few costs less than reading all in place
            near = np.vecdot(vectors[rows[chosen]], query)
            n_visited += len(chosen)
        else:
            near = products(query, vectors, blocks, block_rows, len(rows))[chosen]
            n_visited += len(rows)
        similarity = np.clip(near.astype(np.float64) + slack, floor, top)
        best.add_those_that_may(rows[chosen] + start, weights.row_upper(rows[chosen], block_rows, similarity))
    return n_visited
