"""The compiled kernels of the exact top-k: products of one-byte codes at the speed of memory (extra ``fast``).

What they compute is `soma.math.quantised.cosine_between`, and for policies of the form similarity times weight the
visit that `soma.math.weighted` does in NumPy. They decide nothing: rows that they name are scored exactly by others.

Compiled once for a processor, then kept beside the module (or in the user's cache, if that cannot be written).
Laws: ``property_tests/math/test_weighted.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from soma.math.quantised import LANES
from soma.math.weights import SMALLEST, TINY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.quantised import Codes, QueryCode
    from soma.math.weights import Weights

__all__ = ["cosines", "visit"]

_KNOWN = {} if config.CPU_NAME or config.CPU_FEATURES or not config.ENABLE_AVX else llvm.get_host_cpu_features()

_MULTIPLIES = [  # what multiplies so many numbers at once and adds them up in pairs, the most first
    (lanes, name)
    for lanes, feature, name in (
        (2 * LANES, "avx512bw", "llvm.x86.avx512.pmaddw.d.512"),
        (LANES, "avx2", "llvm.x86.avx2.pmadd.wd"),
    )
    if _KNOWN.get(feature)
]

_SUMS = 4
_CACHE_LINE = 64
_AHEAD = 8

_OPTIONS = {"cache": True, "nogil": True, "boundscheck": False, "error_model": "numpy"}


@intrinsic  # type: ignore[untyped-decorator]
def _pairs(_context: Any, codes: Any, row: Any, query: Any) -> Any:
    """Return the product of one row of codes and the query's: of as many numbers at once as the processor can."""
    return types.int32(codes, row, query), _build_pairs


def _build_pairs(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    i64 = ir.IntType(64)
    many = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
    one = cgutils.create_struct_proxy(signature.args[2])(context, builder, arguments[2])
    width = builder.extract_value(many.shape, 1)
    start = builder.gep(many.data, [builder.mul(arguments[1], width)])
    # a sum waits for the one before it: several are kept in turn, and one for what is left over
    passes = [(*_MULTIPLIES[0], _SUMS), *((*multiply, 1) for multiply in _MULTIPLIES)]
    first, sums = ir.Constant(i64, 0), []
    for lanes, name, n_sums in passes:
        multiply = _Multiply(builder, lanes, name, n_sums)
        last = builder.and_(width, ir.Constant(i64, -n_sums * lanes))
        with cgutils.for_range_slice(builder, first, last, ir.Constant(i64, n_sums * lanes)) as (at, _):
            for turn in range(n_sums):
                place = [builder.add(at, ir.Constant(i64, turn * lanes))]
                multiply.add_up(turn, builder.gep(start, place), builder.gep(one.data, place))
        sums += multiply.sums()
        first = last
    return _sum(builder, sums)


class _Multiply:
    """Sums of products of so many codes of a row and of the query."""

    def __init__(self, builder: Any, lanes: int, name: str, n_sums: int) -> None:
        self.builder, self.wide, self.narrow = builder, *(ir.VectorType(ir.IntType(b), lanes) for b in (16, 8))
        sums = ir.VectorType(ir.IntType(32), lanes // 2)
        taken = ir.FunctionType(sums, [self.wide, self.wide])
        self.function = cgutils.get_or_insert_function(builder.module, taken, name)
        self.totals = [cgutils.alloca_once_value(builder, ir.Constant(sums, None)) for _ in range(n_sums)]

    def add_up(self, turn: int, codes: Any, query: Any) -> None:
        """Add the products of what stands at two places to one of the sums."""
        builder = self.builder
        left = builder.sext(builder.load(builder.bitcast(codes, self.narrow.as_pointer()), align=1), self.wide)
        right = builder.load(builder.bitcast(query, self.wide.as_pointer()), align=2)
        product = builder.call(self.function, [left, right])
        builder.store(builder.add(builder.load(self.totals[turn]), product), self.totals[turn])

    def sums(self) -> list[Any]:
        """Return the sums."""
        return list(map(self.builder.load, self.totals))


def _sum(builder: Any, sums: list[Any]) -> Any:
    """Return the sum of all numbers in some vectors: of those alike first, then of the halves of the longer."""
    while len(sums) > 1:
        sums.sort(key=lambda each: -each.type.count)
        one, other = sums[:2]
        n, n_other = one.type.count, other.type.count
        if n > n_other:
            halves = ([*range(n // 2)], [*range(n // 2, n)])
            one, other = (
                builder.shuffle_vector(
                    one, ir.Constant(one.type, None), ir.Constant(ir.VectorType(ir.IntType(32), n // 2), half)
                )
                for half in halves
            )
            sums = [one, other, *sums[1:]]
        else:
            sums = [builder.add(one, other), *sums[2:]]
    (whole,) = sums
    taken, name = ir.FunctionType(ir.IntType(32), [whole.type]), f"llvm.vector.reduce.add.v{whole.type.count}i32"
    return builder.call(cgutils.get_or_insert_function(builder.module, taken, name), [whole])


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(_context: Any, codes: Any, row: Any) -> Any:
    """Ask memory for one row of codes: rows that lie apart are foreseen by no processor."""
    return types.void(codes, row), _build_prefetch


def _build_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    i64, i32 = ir.IntType(64), ir.IntType(32)
    many = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
    width = builder.extract_value(many.shape, 1)
    start = builder.gep(many.data, [builder.mul(arguments[1], width)])
    taken = [start.type, i32, i32, i32]
    prefetch = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), taken), "llvm.prefetch.p0")
    for_read, keep, data = (ir.Constant(i32, number) for number in (0, 3, 1))
    with cgutils.for_range_slice(builder, ir.Constant(i64, 0), width, ir.Constant(i64, _CACHE_LINE)) as (at, _):
        builder.call(prefetch, [builder.gep(start, [at]), for_read, keep, data])
    return context.get_dummy_value()


@njit(inline="always")  # type: ignore[untyped-decorator]
def _plain(codes: Any, row: Any, query: Any) -> Any:
    total = np.int32(0)
    for j in range(len(query)):
        total += np.int32(codes[row, j]) * np.int32(query[j])
    return total


_product = _pairs if _MULTIPLIES else _plain

_I8 = types.Array(types.int8, 2, "C")
_I16 = types.Array(types.int16, 1, "C")
_F32 = types.Array(types.float32, 1, "C")
_F64 = types.Array(types.float64, 1, "C")
_I64 = types.Array(types.int64, 1, "C")
_BOOL = types.Array(types.boolean, 1, "C")


@njit(  # type: ignore[untyped-decorator]
    types.void(_I8, _F32, _F32, _I16, *(types.float64,) * 3, _I64, types.int64, _F64, _F64), **_OPTIONS
)
def _cosines(
    code: Any,
    scale: Any,
    error: Any,
    query: Any,
    query_scale: Any,
    length: Any,
    query_error: Any,
    blocks: Any,
    block_rows: Any,
    middle: Any,
    reach: Any,
) -> None:
    done = 0
    for block in blocks:
        first = block * block_rows
        count = min(block_rows, len(scale) - first)
        # each loop does one thing, without a branch: the processor then runs ahead of memory
        for i in range(count):
            middle[done + i] = np.float64(_product(code, first + i, query))
        for i in range(count):
            middle[done + i] *= np.float64(scale[first + i]) * query_scale
            reach[done + i] = np.float64(error[first + i]) * length + query_error
        done += count


@njit(  # type: ignore[untyped-decorator]
    types.Tuple((_I64, _F64, types.int64))(
        _I8, _F32, _F32, _I16, *(types.float64,) * 5, _F32, _BOOL, _I64, _F64, _F64, _F64, _BOOL, types.int64, _F64
    ),
    **_OPTIONS,
)
def _visit(  # noqa: PLR0912, PLR0915 - one kernel: calls would hide its loops from the compiler
    code: Any,
    scale: Any,
    error: Any,
    query: Any,
    query_scale: Any,
    length: Any,
    query_error: Any,
    floor: Any,
    top: Any,
    factor: Any,
    live: Any,
    order: Any,
    block_most: Any,
    above: Any,
    below: Any,
    is_even: Any,
    block_rows: Any,
    lows: Any,
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    found, highs = np.empty(1_024, np.int64), np.empty(1_024, np.float64)
    rows, product = np.empty(block_rows, np.int64), np.empty(block_rows, np.int32)
    middle, reach = np.empty(block_rows, np.float64), np.empty(block_rows, np.float64)
    part, bound = np.empty(block_rows, np.float64), np.empty(block_rows, np.float64)
    n_found, n_visited, k = 0, 0, len(lows)
    for block in order:
        least = lows[0]
        if block_most[block] < least:
            break
        first, count, most = block * block_rows, 0, above[block]
        lightest = (
            (least - 2.0 * SMALLEST) * (1.0 - 2.0**-20) / (most * top) if least > 0.0 and most * top > 0.0 else 0.0
        )
        for row in range(first, min(first + block_rows, len(scale))):
            rows[count] = row
            count += live[row] & (is_even[block] or factor[row] >= lightest)
        # each loop does one thing, without a branch, for as many rows at once as the processor can
        if count == min(block_rows, len(scale) - first):  # nothing is looked up by its row
            for i in range(count):
                _prefetch(code, min(first + i + _AHEAD, len(scale) - 1))
                product[i] = _product(code, first + i, query)
            for i in range(count):
                middle[i] = np.float64(product[i]) * (np.float64(scale[first + i]) * query_scale)
                reach[i] = np.float64(error[first + i]) * length + query_error
                part[i] = np.float64(factor[first + i])
        else:
            for i in range(count):
                _prefetch(code, rows[min(i + _AHEAD, count - 1)])
                product[i] = _product(code, rows[i], query)
            for i in range(count):
                row = rows[i]
                middle[i] = np.float64(product[i]) * (np.float64(scale[row]) * query_scale)
                reach[i] = np.float64(error[row]) * length + query_error
                part[i] = np.float64(factor[row])
        if is_even[block]:
            part[:count] = 1.0
        n_near = 0
        for i in range(count):
            bound[i] = min(max(middle[i] + reach[i], floor), top) * (part[i] * most) + SMALLEST
            n_near += bound[i] >= least
        n_visited += count
        if n_near == 0:
            continue
        for i in range(count):  # the threshold first: of the rows that this block begins with, few then reach it
            if bound[i] < lows[0]:
                continue
            least_part = part[i]
            if not is_even[block]:
                least_part = least_part * (1.0 - 2.0**-22) if least_part > TINY else 0.0
            low = min(max(middle[i] - reach[i], floor), top) * (least_part * below[block]) - SMALLEST
            if low > lows[0]:  # the least of the k greatest stands first
                at = 0
                while True:
                    child = 2 * at + 1
                    if child >= k:
                        break
                    if child + 1 < k and lows[child + 1] < lows[child]:
                        child += 1
                    if lows[child] >= low:
                        break
                    lows[at] = lows[child]
                    at = child
                lows[at] = low
        if n_found + n_near > len(found):
            # what no longer reaches leaves; if most of it does, there is to be more room
            kept = 0
            for j in range(n_found):
                if highs[j] >= lows[0]:
                    found[kept], highs[kept] = found[j], highs[j]
                    kept += 1
            n_found = kept
            if 2 * (kept + n_near) > len(found):
                more, higher = np.empty(2 * (kept + n_near), np.int64), np.empty(2 * (kept + n_near), np.float64)
                more[:kept], higher[:kept] = found[:kept], highs[:kept]
                found, highs = more, higher
        for i in range(count):
            if bound[i] >= lows[0]:
                found[n_found], highs[n_found] = rows[i], bound[i]
                n_found += 1
    return found[:n_found].copy(), highs[:n_found].copy(), n_visited


def cosines(
    query: QueryCode, codes: Codes, blocks: NDArray[np.int64], block_rows: int, n_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return about what the cosine to each row of some blocks is, and how far from that it can be.

    Parameters
    ----------
    query : QueryCode
        From `soma.math.quantised.code_query`.
    codes : Codes
        Of all rows.
    blocks : ndarray of int64, shape (b,)
        Numbers of blocks.
    block_rows : int
        Rows in a block; only the last of all may be short.
    n_rows : int
        Rows in these blocks.

    Returns
    -------
    middle, reach : ndarray of float64, shape (n_rows,)
        As ``soma.math.quantised.cosine_between`` has them: the bounds are ``middle - reach`` and ``middle + reach``.

    Examples
    --------
    >>> from soma.math.quantised import code_query, code_vectors
    >>> vectors = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)
    >>> middle, _ = cosines(code_query(vectors[1]), code_vectors(vectors), np.array([0]), 2, 2)
    >>> middle.round(2).tolist()
    [0.6, 1.0]
    """
    middle, reach = np.empty(n_rows), np.empty(n_rows)
    _cosines(
        codes.code,
        codes.scale,
        codes.error,
        query.code,
        query.scale,
        query.length,
        query.error,
        blocks,
        block_rows,
        middle,
        reach,
    )
    return middle, reach


def visit(
    query: QueryCode,
    codes: Codes,
    weights: Weights,
    live: NDArray[np.bool_],
    order: NDArray[np.int64],
    lows: NDArray[np.float64],
    *,
    floor: float,
    top: float,
    block_rows: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Return the rows that may be among the best, with a bound of the score of each, and how many rows were read.

    Parameters
    ----------
    query : QueryCode
        From `soma.math.quantised.code_query`.
    codes : Codes
        Of all rows.
    weights : Weights
        Theirs.
    live : ndarray of bool, shape (n,)
        Which rows count.
    order : ndarray of int64, shape (b,)
        Blocks, by falling ``weights.most``; the visit stops where it falls below the k-th greatest lower bound.
    lows : ndarray of float64, shape (k,)
        The greatest lower bounds so far, the least of them first, as a heap; changed in place. Shared by segments that
        are visited in turn, it carries what one has shown to the next.
    floor, top : float
        The similarity counts as held between them.
    block_rows : int
        Rows in a block.

    Returns
    -------
    rows : ndarray of int64, shape (m,)
        In no order; all whose score can reach ``lows[0]``, and some that no longer can.
    upper : ndarray of float64, shape (m,)
        A bound of the score of each.
    n_visited : int
        Rows whose codes were read.

    Examples
    --------
    >>> from soma.math.quantised import code_query, code_vectors
    >>> from soma.math.weights import Weights
    >>> vectors = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)
    >>> weights = Weights.of(np.array([1.0, 0.1]), 2)
    >>> query, live = code_query(vectors[1]), np.ones(2, dtype=bool)
    >>> rows, _, n = visit(query, code_vectors(vectors), weights, live, np.array([0]), np.full(1, -1.0),
    ...                    floor=0.0, top=1.0, block_rows=2)
    >>> rows.tolist(), n
    ([0], 2)
    """
    found: tuple[NDArray[np.int64], NDArray[np.float64], int] = _visit(
        codes.code,
        codes.scale,
        codes.error,
        query.code,
        query.scale,
        query.length,
        query.error,
        floor,
        top,
        weights.factor,
        live,
        order,
        weights.most,
        weights.above,
        weights.below,
        weights.is_even,
        block_rows,
        lows,
    )
    return found
