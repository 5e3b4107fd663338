"""What a row's weight can be, by block and by row, for scores of the form similarity times weight.

Laws of everything here: ``property_tests/math/test_weighted.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.math.blocks import BLOCK_ROWS, Rows, block_max, block_min
from soma.math.domain import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SMALLEST", "TINY", "Factors", "Weights"]

SMALLEST: Final = 1e-280
"""What a score may err by where doubles run out of digits."""

TINY: Final = 2.0**-120
"""A factor of a row that is smaller, and not 0, counts as this when bounded above, and as 0 when bounded below."""

_SLACK: Final = 1e-9  # a score is a product in another order, of functions that err by 1e-12 at most
_COARSE: Final = 1e-2
_FARTHEST: Final = 200.0  # half-lives: beyond, a product of powers of two leaves the range of doubles


@dataclass(frozen=True, slots=True)
class Weights:
    """Bounds of the weight of each row at one time: ``factor * above`` of its block, and nearly ``factor * below``.

    Parameters
    ----------
    factor : ndarray of float32, shape (n,)
        What of a row's weight does not change with time, rounded up.
    above, below : ndarray of float64, shape (b,)
        What the factor of each block is multiplied by.
    is_even : ndarray of bool, shape (b,)
        Blocks whose rows have no factor: 1 stands for it.
    most : ndarray of float64, shape (b,)
        No less than the score of any row of the block, whatever its similarity.
    order : ndarray of intp, shape (b,), optional
        The blocks by falling ``most``, where that is known.
    """

    factor: NDArray[np.float32]
    above: FloatArray
    below: FloatArray
    is_even: NDArray[np.bool_]
    most: FloatArray
    order: NDArray[np.intp] | None = None

    def by_most(self) -> NDArray[np.intp]:
        """Return the blocks by falling ``most``."""
        return np.argsort(-self.most, kind="stable") if self.order is None else self.order

    @classmethod
    def of(cls, weight: FloatArray, block_rows: int = BLOCK_ROWS) -> Weights:
        """Return the bounds of weights that do not change.

        Parameters
        ----------
        weight : ndarray of float64, shape (n,)
            Finite, >= 0.
        block_rows : int
            Rows in a block.
        """
        return Factors.of(weight, {}, {}, block_rows).at({}, None)

    def row_upper(self, rows: Rows, block_rows: int, similarity: FloatArray) -> FloatArray:
        """Return bounds of scores of rows whose similarity, held between floor and top, is at most as given."""
        block = rows // block_rows
        factor = np.where(self.is_even[block], 1.0, self.factor[rows])
        return similarity * (factor * self.above[block]) + SMALLEST

    def row_lower(self, rows: Rows, block_rows: int, similarity: FloatArray) -> FloatArray:
        """Return bounds of scores of rows whose similarity, held between floor and top, is at least as given."""
        block = rows // block_rows
        factor = self.factor[rows].astype(np.float64)
        factor = np.where(factor > TINY, factor * (1.0 - 2.0**-22), 0.0)
        return similarity * (np.where(self.is_even[block], 1.0, factor) * self.below[block]) - SMALLEST


@dataclass(frozen=True, slots=True)
class Factors:
    r"""What of the weights of rows is known once for all times: their order under exponential decay never changes.

    .. math:: w_i(t) = a_i\,2^{-(t - t_i)/h} = a_i\,2^{-(r - t_i)/h} \cdot 2^{-(t - r)/h}

    The first two factors are kept, the third is one number for all rows. Where a time lies ahead of now the age is 0,
    and no such order holds: a block with such a row is bounded as a whole, as under any other curve.

    Parameters
    ----------
    factor : ndarray of float32, shape (n,)
        The first two factors, rounded up; :math:`r` is the latest time.
    block_factor : ndarray of float64, shape (b,)
        Its greatest in each block.
    most, least : ndarray of float64, shape (b,)
        The extremes of :math:`a` in each block.
    half_life_s : mapping of str to float
        Half-lives :math:`h`, seconds, by what they are an age of.
    newest, oldest : mapping of str to ndarray of float64, shape (b,)
        The extremes of each time in each block, POSIX seconds.
    range_s : mapping of str to tuple of two float
        Its extremes in all of them.
    none : ndarray of bool, shape (b,)
        False.
    order : ndarray of intp, shape (b,)
        The blocks by falling ``block_factor``.
    """

    factor: NDArray[np.float32]
    block_factor: FloatArray
    most: FloatArray
    least: FloatArray
    half_life_s: Mapping[str, float]
    newest: Mapping[str, FloatArray]
    oldest: Mapping[str, FloatArray]
    range_s: Mapping[str, tuple[float, float]]
    none: NDArray[np.bool_]
    order: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        weight: FloatArray,
        time_s: Mapping[str, FloatArray],
        half_life_s: Mapping[str, float],
        block_rows: int = BLOCK_ROWS,
    ) -> Factors:
        """Return the factors of rows.

        Parameters
        ----------
        weight : ndarray of float64, shape (n,)
            Weight without decay :math:`a`, finite, >= 0.
        time_s : mapping of str to ndarray of float64, shape (n,)
            Times, POSIX seconds, by name.
        half_life_s : mapping of str to float
            The half-life for each of these names, seconds, > 0.
        block_rows : int
            Rows in a block.
        """
        exponent = np.zeros(len(weight))
        range_s = {name: (float(time_s[name].min()), float(time_s[name].max())) for name in half_life_s if len(weight)}
        with np.errstate(over="ignore", under="ignore"):
            for name, (_, latest) in range_s.items():
                exponent += (time_s[name] - latest) / half_life_s[name]
            exact = weight * np.exp2(exponent)
        factor = exact.astype(np.float32)
        factor = np.where(factor < exact, np.nextafter(factor, np.float32(np.inf)), factor)
        factor = np.where(weight > 0.0, np.maximum(factor, np.float32(TINY)), factor)
        most, block_factor = block_max(weight, block_rows), block_max(factor, block_rows)
        return cls(
            factor,
            block_factor,
            most,
            block_min(weight, block_rows),
            {name: half_life_s[name] for name in range_s},
            {name: block_max(time_s[name], block_rows) for name in range_s},
            {name: block_min(time_s[name], block_rows) for name in range_s},
            range_s,
            np.zeros(len(most), dtype=bool),
            np.argsort(-block_factor, kind="stable"),
        )

    def at(self, now_s: Mapping[str, float], rest: tuple[FloatArray, FloatArray] | None, top: float = 1.0) -> Weights:
        """Return the bounds at one time.

        Parameters
        ----------
        now_s : mapping of str to float
            The time that each age is counted to, POSIX seconds.
        rest : tuple of two ndarray of float64, shape (b,), optional
            Lower and upper bounds, >= 0, of another factor of the weight of each row of a block.
        top : float
            The greatest similarity there is.
        """
        low, high = (1.0, 1.0) if rest is None else (np.maximum(rest[0], 0.0), rest[1])
        exponent, slack = 0.0, _SLACK
        is_common = True  # no time lies ahead: one number serves all blocks
        for name, half_life in self.half_life_s.items():
            earliest, latest = self.range_s[name]
            away = (latest - now_s[name]) / half_life
            slack += 16.0 * max(abs(now_s[name]), abs(latest), abs(earliest)) * 2.0**-52 / half_life
            is_common = is_common and latest <= now_s[name]
            exponent += away
        common = math.exp2(exponent) if -1_100.0 < exponent <= 2.0 * _FARTHEST else 0.0
        if is_common and slack <= _COARSE:
            above = np.full(len(self.most), common * (1.0 + slack))
            below = np.full(len(self.most), common * (1.0 - slack))
            if rest is not None:
                above, below = above * high, below * low
            order = self.order if rest is None else None
            return Weights(self.factor, above, below, self.none, top * self.block_factor * above + SMALLEST, order)
        youngest, eldest = np.ones(len(self.most)), np.ones(len(self.most))
        is_even = np.full(len(self.most), slack > _COARSE)
        with np.errstate(under="ignore"):
            for name, half_life in self.half_life_s.items():
                newest, oldest, now = self.newest[name], self.oldest[name], now_s[name]
                youngest = youngest * np.exp2(-np.maximum(0.0, now - newest) / half_life)
                eldest = eldest * np.exp2(-np.maximum(0.0, now - oldest) / half_life)
                is_even |= (newest > now) | ((self.range_s[name][1] - now) / half_life > _FARTHEST)
            slack = min(slack, _COARSE)
            above = np.where(is_even, self.most * youngest, common) * high * (1.0 + slack)
            below = np.where(is_even, self.least * eldest, common) * low * (1.0 - slack)
            most = top * np.where(is_even, 1.0, self.block_factor) * above + SMALLEST
        return Weights(self.factor, above, below, is_even, most)
