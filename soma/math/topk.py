"""The k best rows, exactly: blocks in the order of their bounds, a cheap bound a row, an exact score for survivors.

Laws of everything here: ``property_tests/math/test_topk.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.blocks import BLOCK_ROWS, Rows, require_numbers, require_positive_int, require_shape
from soma.math.domain import FloatArray
from soma.math.quantised import Codes, code_query

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Best",
    "TopK",
    "cosine_error",
    "merge_top_k",
    "top_k",
    "top_k_reference",
]

Vectors: TypeAlias = "NDArray[np.float32]"
Bound: TypeAlias = Callable[[Rows, FloatArray, FloatArray], FloatArray]

_FIRST_BATCH: Final = 4  # blocks: enough to find a threshold, few enough to regret none
_LARGEST_BATCH: Final = 64
_GROWTH: Final = 4
_PARTS: Final = 16  # of the range of similarity, in each of which a block has one bound


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

    rows: Rows
    scores: FloatArray
    n_visited: int
    n_scored: int

    def threshold(self, k: int) -> float:
        """Return the score that another row must reach to be among the ``k`` best: -inf while there are fewer."""
        return float(self.scores[k - 1]) if len(self.scores) >= k else -math.inf


def top_k_reference(scores: FloatArray, ids: NDArray[Any], k: int) -> TopK:
    """Return the k best of all rows: what every faster way must equal.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        One score a row; not NaN.
    ids : ndarray, shape (n,)
        Unique, of any type that sorts: integers, or the bytes of UUIDs as ``S16``.
    k : int
        How many, >= 1; with k > n all rows come.

    Returns
    -------
    TopK
        By falling score; ties by rising id. Raises `InvalidParameterError` for NaN, a k below 1, or other shapes.

    Examples
    --------
    >>> top_k_reference(np.array([0.5, 0.9, 0.5]), np.array([7, 8, 3]), 2).rows.tolist()
    [1, 2]
    """
    require_positive_int("k", k)
    require_numbers("scores", scores, ids.shape)
    order = np.lexsort((ids, -scores))[:k]
    return TopK(order.astype(np.int64), scores[order], len(scores), len(scores))


def merge_top_k(parts: Sequence[TopK], ids: Sequence[NDArray[Any]], k: int) -> TopK:
    """Return the k best of several segments, whose rows are numbered as if the segments lay end to end.

    Segments are searched in turn, each from what is known: ``at_least=merge_top_k(parts, ids, k).threshold(k)``.

    Parameters
    ----------
    parts : sequence of TopK, length s
        The k best of each segment, of which rows below the final threshold may be missing.
    ids : sequence of ndarray, length s
        The ids of each segment, of one type, unique over all of them.

    Returns
    -------
    TopK
        Row i of segment j is numbered i plus the lengths of the segments before j. Raises `InvalidParameterError`
        for a k below 1, or another number of parts than of segments.

    Examples
    --------
    >>> ids = [np.array([4, 2]), np.array([1, 3])]
    >>> scores = [np.array([0.5, 0.9]), np.array([0.5, 0.1])]
    >>> parts = [top_k_reference(s, i, 2) for s, i in zip(scores, ids)]
    >>> merge_top_k(parts, ids, 2).rows.tolist()
    [1, 2]
    """
    require_positive_int("k", k)
    if len(parts) != len(ids):
        raise InvalidParameterError("parts", len(parts), f"must be as many as the {len(ids)} segments")
    if not parts:
        return TopK(np.empty(0, dtype=np.int64), np.empty(0), 0, 0)
    scores = np.concatenate([part.scores for part in parts])
    found = np.concatenate([segment[part.rows] for part, segment in zip(parts, ids, strict=True)])
    first = np.cumsum([0, *(len(segment) for segment in ids[:-1])])
    rows = np.concatenate([part.rows + offset for part, offset in zip(parts, first, strict=True)])
    order = np.lexsort((found, -scores))[:k]
    return TopK(rows[order], scores[order], sum(p.n_visited for p in parts), sum(p.n_scored for p in parts))


def cosine_error(dimension: int) -> float:
    r"""Return a bound of the error of a float32 product of unit vectors, in any order of summation.

    .. math:: |fl_{32}(q \cdot v) - fl_{64}(q \cdot v)| \le
              (\gamma_d(2^{-24}) + \gamma_d(2^{-53}))\,\lVert q \rVert \lVert v \rVert + 2^{-124} d,
              \quad \gamma_d(u) = \frac{d u}{1 - d u}

    In any order, and with or without fused operations, each product passes at most d roundings, so that the error
    is at most :math:`\gamma_d \sum_i |q_i v_i|`, and Cauchy-Schwarz bounds the sum. The second term stands for
    the float64 kernel, which rounds too; the last for products, inputs or sums that underflow, even if the
    processor flushes them to zero. Lengths up to 1.001 are allowed for.

    Parameters
    ----------
    dimension : int
        Dimension :math:`d`, 0 to 2^20.

    Returns
    -------
    float
        About d * 6e-8: 2.3e-5 for d = 384, 4.9e-4 for d = 8,192. Raises `InvalidParameterError` outside the domain.

    Notes
    -----
    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1.

    Examples
    --------
    >>> round(cosine_error(384), 7)
    2.29e-05
    """
    if not 0 <= dimension <= 2**20:
        raise InvalidParameterError("dimension", dimension, "must lie between 0 and 2**20")
    gamma = sum(dimension * u / (1.0 - dimension * u) for u in (2.0**-24, 2.0**-53))
    return gamma * 1.001**2 * (1.0 + 1e-9) + dimension * 2.0**-124


def top_k(
    query: Vectors,
    vectors: Vectors,
    ids: NDArray[Any],
    *,
    k: int,
    score: Callable[[Rows], FloatArray],
    upper: Bound,
    block_upper: FloatArray,
    upper_within: Bound | None = None,
    block_rows: int = BLOCK_ROWS,
    live: NDArray[np.bool_] | None = None,
    at_least: float = -math.inf,
    codes: Codes | None = None,
) -> TopK:
    """Return the k best rows, bit-equal to `top_k_reference` over the exact scores of the live rows.

    Blocks are visited in growing batches by falling bound; when no block left can hold a score as high as the
    k-th best so far, no row of them is read. In a batch a float32 product, with the bound of its error, says
    within what each similarity lies. Rows that cannot enter for their similarity alone are dropped by one
    comparison, if ``upper_within`` is given; the rest by ``upper``; only the survivors are scored exactly.

    Parameters
    ----------
    query : ndarray of float32, shape (d,)
        A unit vector, or zero.
    vectors : ndarray of float32, shape (n, d)
        Unit vectors, or zeros; row i is in block ``i // block_rows``.
    ids : ndarray, shape (n,)
        Unique among live rows, of any type that sorts.
    k : int
        How many, >= 1.
    score : callable
        From rows to their exact scores. The similarity in it is `soma.math.similarity.cosine`.
    upper : callable
        From rows, and bounds of the similarity of each, below and above, to upper bounds of their computed scores:
        rounding is in the bound, as in those of `soma.math.policy`.
    block_upper : ndarray of float64, shape (ceil(n / block_rows),)
        Upper bound of every score in the block.
    upper_within : callable, optional
        From blocks, and bounds of a similarity for each, below and above, to upper bounds of the score of any row
        of the block whose similarity lies between. A block is asked several times in a call.
    block_rows : int
        Rows in a block, >= 1.
    live : ndarray of bool, shape (n,), optional
        Which rows count; all by default.
    at_least : float
        Rows that score less do not count: the threshold that other segments have set.
    codes : Codes, optional
        The vectors in one byte a number: what is read is then these, by a compiled kernel (extra ``fast``).

    Returns
    -------
    TopK
        By falling score; ties by rising id; fewer than k if fewer rows count. Raises `InvalidParameterError` for NaN
        in a score, a bound or a product, a k below 1, or shapes and types that do not fit.

    Examples
    --------
    >>> from soma.math.similarity import cosine, unit_vectors
    >>> vectors, query = unit_vectors([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), unit_vectors([0.0, 1.0])
    >>> top_k(query, vectors, np.arange(3), k=2, score=lambda rows: cosine(query, vectors[rows]),
    ...       upper=lambda rows, low, high: high, block_upper=np.ones(1)).rows.tolist()
    [2, 1]
    """
    for parameter, number in (("k", k), ("block_rows", block_rows)):
        require_positive_int(parameter, number)
    n = len(vectors)
    for parameter, array, kind, shape in (
        ("query", query, np.float32, (query.size,)),
        ("vectors", vectors, np.float32, (n, query.size)),
        ("ids", ids, ids.dtype, (n,)),
        ("live", np.empty(n, dtype=bool) if live is None else live, np.bool_, (n,)),
    ):
        require_shape(parameter, array, shape)
        if array.dtype != kind:
            raise InvalidParameterError(parameter, array.dtype, f"must be {np.dtype(kind)}")
    require_numbers("block_upper", block_upper, (-(-n // block_rows),))
    require_numbers("at_least", np.array(at_least), ())
    nearness = _Nearness(query, vectors, codes, block_rows)
    best = Best(k, ids, score, at_least)
    order = np.argsort(-block_upper, kind="stable")
    n_visited, start, batch = 0, 0, _FIRST_BATCH
    while start < len(order) and block_upper[order[start]] >= best.threshold:
        blocks = np.sort(order[start : start + batch])
        blocks = blocks[block_upper[blocks] >= best.threshold]
        start, batch = start + batch, min(_GROWTH * batch, _LARGEST_BATCH)
        near, reach, counts, alive, n_read = _read(nearness, blocks, live)
        row_of = partial(_row_of, blocks, block_rows, alive)
        n_visited += n_read
        if not len(near):
            continue
        nearest = np.empty(0, dtype=np.int64)
        if best.threshold == -math.inf:
            # any k exact scores are a threshold; those of the nearest rows are likely to be a high one
            nearest = _largest(near, best.enough)
            best.add(row_of(nearest))
        if upper_within is not None and best.threshold > -math.inf:
            keep = _reaches(near, reach, counts, _cut(near, reach, blocks, upper_within, best.threshold))
        else:
            keep = np.ones(len(near), dtype=bool)
        keep[nearest] = False
        left = np.flatnonzero(keep)
        _sift(row_of(left), near[left], reach[left] if reach.ndim else reach, upper, best)
    return best.answer(n_visited)


class Lookup(Protocol):
    """Ids by row: an array, or what stands for one that lies in pieces."""

    def __getitem__(self, rows: Rows, /) -> NDArray[Any]:
        """Return the ids of rows."""
        ...


class Best:
    """The best rows so far, and the score that another must reach.

    Parameters
    ----------
    k : int
        How many, >= 1.
    ids : Lookup
        From rows to ids, unique, of any type that sorts.
    score : callable
        From rows to their exact scores.
    at_least : float
        Rows that score less do not count.
    """

    def __init__(self, k: int, ids: Lookup, score: Callable[[Rows], FloatArray], at_least: float = -math.inf) -> None:
        self.k, self.ids, self.score, self.threshold = k, ids, score, at_least
        self.rows, self.scores = np.empty(0, dtype=np.int64), np.empty(0)
        self.n_scored = 0
        self.enough = max(2 * k, 64)  # rows to score at once: so few cost hardly more than one

    def add(self, rows: Rows) -> None:
        """Score rows, none of which was scored before, and keep the best."""
        if not len(rows):
            return
        scores = self.score(rows)
        require_numbers("scores", scores, rows.shape)
        self.n_scored += len(rows)
        may_enter = scores >= self.threshold
        rows = np.concatenate([self.rows, rows[may_enter]])
        scores = np.concatenate([self.scores, scores[may_enter]])
        if len(rows) > 4 * self.k:  # those below the k-th score cannot stay; those equal to it may, by their id
            stays = scores >= -np.partition(-scores, self.k - 1)[self.k - 1]
            rows, scores = rows[stays], scores[stays]
        order = np.lexsort((self.ids[rows], -scores))[: self.k]
        self.rows, self.scores = rows[order], scores[order]
        if len(order) == self.k:
            self.threshold = float(self.scores[-1])

    def add_those_that_may(self, rows: Rows, upper: FloatArray) -> None:
        """Score the rows whose upper bounds reach the threshold, the most promising first: they raise it."""
        left = upper >= self.threshold
        while left.any():
            rows, upper = rows[left], upper[left]
            chosen = _largest(upper, self.enough)
            self.add(rows[chosen])
            left = upper >= self.threshold
            left[chosen] = False

    def answer(self, n_visited: int) -> TopK:
        """Return the best rows, and how many were visited for them."""
        return TopK(self.rows, self.scores, n_visited, self.n_scored)


class _Nearness:
    """About what the similarity of rows is, and how far from that it can be: one number for all, or one each."""

    def __init__(self, query: Vectors, vectors: Vectors, codes: Codes | None, block_rows: int) -> None:
        self.query, self.vectors, self.codes, self.block_rows = query, vectors, codes, block_rows
        self.slack = np.array(cosine_error(len(query)))
        self.coded = None if codes is None else code_query(query)

    def of_blocks(self, blocks: Rows, n_rows: int) -> tuple[NDArray[Any], FloatArray]:
        if self.codes is None or self.coded is None:
            return products(self.query, self.vectors, blocks, self.block_rows, n_rows), self.slack
        from soma.math.topk_numba import cosines  # noqa: PLC0415 - the compiler is loaded on first use

        return cosines(self.coded, self.codes, blocks, self.block_rows, n_rows)

    def of_rows(self, rows: Rows) -> tuple[NDArray[Any], FloatArray]:
        return np.vecdot(self.vectors[rows], self.query), self.slack


def _read(
    nearness: _Nearness, blocks: Rows, live: NDArray[np.bool_] | None
) -> tuple[NDArray[Any], FloatArray, Rows, Rows | None, int]:
    """Return what is known of live rows, how many a block has, their positions in the batch, and rows read."""
    block_rows = nearness.block_rows
    counts = np.minimum(len(nearness.vectors) - blocks * block_rows, block_rows)
    n_rows = int(counts.sum())  # only the last block may be short
    alive: Rows | None = None  # all, without writing them down
    if live is None:
        (near, reach), n_read = nearness.of_blocks(blocks, n_rows), n_rows
    else:
        is_alive = live[_row_of(blocks, block_rows, None, np.arange(n_rows))]
        alive, counts = np.flatnonzero(is_alive), np.add.reduceat(is_alive, np.cumsum(counts) - counts, dtype=np.int64)
        if 2 * len(alive) < n_rows:  # a copy of the few costs less than reading all in place
            (near, reach), n_read = nearness.of_rows(_row_of(blocks, block_rows, None, alive)), len(alive)
        else:
            (near, reach), n_read = nearness.of_blocks(blocks, n_rows), n_rows
            near, reach = near[alive], reach[alive] if reach.ndim else reach
    if len(near) and not math.isfinite(float(near.max()) - float(near.min())):
        raise InvalidParameterError("vectors", near, "must have finite products with the query")
    return near, reach, counts, alive, n_read


def _row_of(blocks: Rows, block_rows: int, alive: Rows | None, chosen: Rows) -> Rows:
    block, within = np.divmod(chosen if alive is None else alive[chosen], block_rows)
    return np.asarray(blocks[block] * block_rows + within)


def products(query: Vectors, vectors: Vectors, blocks: Rows, block_rows: int, n_rows: int) -> Vectors:
    """Return float32 products; runs of neighbouring blocks are read in place and at once."""
    near = np.empty(n_rows, dtype=np.float32)
    done = 0
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1):
        part = vectors[run[0] * block_rows : (run[-1] + 1) * block_rows]
        np.vecdot(part, query, out=near[done : done + len(part)])
        done += len(part)
    return near


def _cut(near: NDArray[Any], reach: FloatArray, blocks: Rows, upper_within: Bound, threshold: float) -> FloatArray:
    """Return for each block a similarity below which no row of it can reach the threshold."""
    slack = float(reach.max())
    low, high = float(near.min()) - slack, float(near.max()) + slack
    edges = np.clip(np.linspace(low, high, _PARTS + 1), -1.0, 1.0)
    each = np.repeat(blocks, _PARTS)
    bound = upper_within(each, np.tile(edges[:-1], len(blocks)), np.tile(edges[1:], len(blocks)))
    require_numbers("upper_within", bound, each.shape)
    reaches = bound.reshape(len(blocks), _PARTS) >= threshold
    first = reaches.argmax(axis=1)
    cut = np.where(first > 0, edges[first], -np.inf)  # nothing lies below the first part, rounding apart
    cut[~reaches.any(axis=1)] = np.inf
    return cut


def _reaches(near: NDArray[Any], reach: FloatArray, counts: Rows, cut: FloatArray) -> NDArray[np.bool_]:
    if reach.ndim:
        return np.asarray(near + reach >= np.repeat(cut, counts))
    lowest = np.nextafter((cut - reach).astype(np.float32), np.float32(-np.inf))
    return np.asarray(near >= np.repeat(lowest, counts))


def _sift(rows: Rows, near: NDArray[Any], reach: FloatArray, upper: Bound, best: Best) -> None:
    """Score the rows that may enter, the most promising first: they raise the threshold for all the others."""
    if len(rows) <= best.enough:
        best.add(rows)
        return
    wide = near.astype(np.float64)
    bound = upper(rows, np.clip(wide - reach, -1.0, 1.0), np.clip(wide + reach, -1.0, 1.0))
    require_numbers("upper", bound, rows.shape)
    best.add_those_that_may(rows, bound)


def _largest(values: NDArray[np.floating[Any]], m: int) -> Rows:
    return np.arange(len(values)) if len(values) <= m else np.argpartition(-values, m - 1)[:m]
