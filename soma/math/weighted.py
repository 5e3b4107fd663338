"""The k best rows under similarity times weight, exactly: a bound a row costs one product, and no expression.

Laws of everything here: ``property_tests/math/test_weighted.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.math.blocks import BLOCK_ROWS, Rows, require_positive_int
from soma.math.domain import FloatArray
from soma.math.quantised import Codes, QueryCode, code_query
from soma.math.topk import Best, Lookup, TopK, cosine_error, products
from soma.math.weights import SMALLEST, Weights

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
    n_hands: int = 1,
    each: Callable[..., Iterable[Any]] = map,
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
    n_hands : int
        Among how many the segments with codes are dealt; each visits its share without regard to the others.
    each : callable
        As `map`, which lets one hand work after the other; that of an executor of threads lets them work at once.

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
    weight_of = [float(of.most[of.by_most()[0]]) if len(of.most) else -np.inf for of in (s.weights for s in segments)]
    order = sorted(range(len(segments)), key=lambda i: (-weight_of[i], i))
    compiled = [i for i in order if segments[i].codes is not None and len(segments[i].live)]
    n_visited = 0
    if compiled:
        hands = [compiled[i::n_hands] for i in range(min(n_hands, len(compiled)))]
        visit_share = partial(_visit_compiled, code_query(query), segments, starts, k, floor, top, block_rows)
        shares = list(each(visit_share, hands))
        rows, upper, lows = (np.concatenate([share[i] for share in shares]) for i in (0, 1, 2))
        n_visited += sum(share[3] for share in shares)
        may_enter = upper >= (np.partition(lows, -k)[-k] if len(lows) >= k else -1.0)
        best.add_those_that_may(rows[may_enter], upper[may_enter])
    for i in order:
        if segments[i].codes is None:
            n_visited += _visit(query, segments[i], int(starts[i]), best, floor, top, block_rows)
    return best.answer(n_visited)


def _visit_compiled(
    query: QueryCode,
    segments: Sequence[Segment],
    starts: Rows,
    k: int,
    floor: float,
    top: float,
    block_rows: int,
    share: Sequence[int],
) -> tuple[Rows, FloatArray, FloatArray, int]:
    """Return rows of some segments that may be among the best, their bounds, the k greatest lower ones, rows read."""
    from soma.math.topk_numba import visit  # noqa: PLC0415 - the compiler is loaded on first use

    lows = np.full(max(1, min(k, int(starts[-1]))), -1.0)
    found: list[Rows] = []
    uppers: list[FloatArray] = []
    n_visited = 0
    for i in share:
        segment = segments[i]
        blocks = segment.weights.by_most()
        if segment.codes is None or segment.weights.most[blocks[0]] < lows[0]:
            continue
        at = segment.weights, segment.live, blocks, lows
        rows, upper, n = visit(query, segment.codes, *at, floor=floor, top=top, block_rows=block_rows)
        found.append(rows + starts[i])
        uppers.append(upper)
        n_visited += n
    return np.concatenate(found), np.concatenate(uppers), lows, n_visited


def _visit(
    query: NDArray[np.float32], segment: Segment, start: int, best: Best, floor: float, top: float, block_rows: int
) -> int:
    weights, live, vectors = segment.weights, segment.live, segment.vectors
    slack = cosine_error(len(query))
    order = weights.by_most()
    n_visited, at, batch = 0, 0, _FIRST_BATCH
    while at < len(order) and weights.most[order[at]] >= best.threshold:
        blocks = order[at : at + batch]
        blocks = np.sort(blocks[weights.most[blocks] >= best.threshold])
        at, batch = at + batch, min(_GROWTH * batch, _LARGEST_BATCH)
        counts = np.minimum(len(live) - blocks * block_rows, block_rows)  # only the last block may be short
        rows = (blocks[:, None] * block_rows + np.arange(block_rows)).ravel()[: int(counts.sum())]
        lightest, farthest = _needed(weights, blocks, best.threshold, floor, top, slack)
        chosen = np.flatnonzero(live[rows] & (weights.factor[rows] >= np.repeat(lightest, counts)))
        if 2 * len(chosen) < len(rows):  # a copy of the few costs less than reading all in place
            near, n_read = np.vecdot(vectors[rows[chosen]], query), len(chosen)
        else:
            near, n_read = products(query, vectors, blocks, block_rows, len(rows))[chosen], len(rows)
        n_visited += n_read
        left = near >= np.repeat(farthest, counts)[chosen]
        rows = rows[chosen[left]]
        similarity = np.clip(near[left].astype(np.float64) + slack, floor, top)
        best.add_those_that_may(rows + start, weights.row_upper(rows, block_rows, similarity))
    return n_visited


def _needed(
    weights: Weights, blocks: Rows, threshold: float, floor: float, top: float, slack: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return for each block a factor and a product in float32 below which no row of it can reach the threshold."""
    no_bound = np.full(len(blocks), -np.inf, dtype=np.float32)
    if threshold <= 0.0:
        return no_bound, no_bound
    least = (threshold - 2.0 * SMALLEST) * (1.0 - 2.0**-20)
    with np.errstate(divide="ignore"):
        factor = least / (weights.above[blocks] * top)
        similarity = least / (weights.most[blocks] / top)
    factor = np.where(weights.is_even[blocks], -np.inf, factor)
    similarity = np.where(similarity <= floor, -np.inf, similarity - slack - 1e-6)  # float32 rounds, too
    return factor.astype(np.float32), similarity.astype(np.float32)
