"""The formulas of FSRS: unchecked, in days, for arrays of one shape; shared by single reviews and by replays.

Overflow and underflow give limits, and callers silence them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.domain import FloatArray
    from soma.math.spacing_versions import Rules

EASIEST: Final = 1.0
HARDEST: Final = 10.0
_LOG_RECALL_AT_S: Final = math.log(0.9)
_LEAST_DAYS: Final = 0.001
_MOST_DAYS: Final = (1.0 - 1e-15) * sys.float_info.max / DAY  # so that stability stays a finite number of seconds
_AGAIN, _GOOD, _EASY = 1, 3, 4  # plain numbers: these formulas are called for a few items at a time, too


class Formulas:
    """The formulas of one version with its weights, and the constants that they need again and again."""

    def __init__(self, rules: Rules, weights: Sequence[float]) -> None:
        self._rules, self._w = rules, weights
        self.exponent = weights[-1] if rules.exponent is None else rules.exponent
        self.factor = math.expm1(-_LOG_RECALL_AT_S / self.exponent)
        self._is_damped = rules.difficulty == "damped"
        self._aim = float(self._unclamped(np.asarray(_EASY if self._is_damped else _GOOD))) * weights[7]
        self._first_days = np.array([np.nan, *weights[:4]])
        self._gain = math.exp(weights[8])
        # of a parabola through w15, 1 and w16 for Hard, Good and Easy: many times faster than a table
        self._slope, self._bend = (weights[16] - weights[15]) / 2.0, (weights[16] + weights[15]) / 2.0 - 1.0
        self._shrink = math.exp(-weights[17] * weights[18]) if rules.lapse == "below S" else 1.0

    def recall(self, t: FloatArray, s: FloatArray) -> FloatArray:
        """Return R; both times in one unit."""
        recall: FloatArray = np.exp(np.log1p(t / s * self.factor) * -self.exponent)
        return recall

    def first_stability(self, g: NDArray[Any]) -> FloatArray:
        """Return the stability after a first review."""
        stability: FloatArray = self._first_days.take(g)
        return stability

    def first_difficulty(self, g: NDArray[Any]) -> FloatArray:
        """Return the difficulty after a first review."""
        return np.minimum(np.maximum(self._unclamped(g), EASIEST), HARDEST)

    def next_difficulty(self, d: FloatArray, g: NDArray[Any]) -> FloatArray:
        """Return the difficulty after a review."""
        following = (g - 3.0) * -self._w[6]
        if self._is_damped:
            following *= (10.0 - d) / 9.0
        following += d
        following *= 1.0 - self._w[7]
        following += self._aim
        return np.minimum(np.maximum(following, EASIEST), HARDEST)

    def next_stability(self, s: FloatArray, d: FloatArray, t: FloatArray, g: NDArray[Any], r: FloatArray) -> FloatArray:
        """Return the stability after a review at recall ``r``, of rows with one number an item."""
        w, forgotten, above_good = self._w, 1.0 - r, g - 3.0
        gain = above_good * self._bend  # and in place: the arrays cost more than the arithmetic
        gain += self._slope
        gain *= above_good
        gain += 1.0
        gain *= self._gain
        after: FloatArray = np.expm1(forgotten * w[10])
        after *= s ** (1.0 - w[9])
        after *= 11.0 - d
        after *= gain
        after += s
        (lapsed,) = (g == _AGAIN).nonzero()
        after[lapsed] = self._after_lapse(s.take(lapsed), d.take(lapsed), forgotten.take(lapsed))
        if self._rules.same_day != "as any":
            (short,) = (t < 1.0).nonzero()
            after[short] = self._same_day(s.take(short), g.take(short))
        np.maximum(after, _LEAST_DAYS, out=after)
        return np.minimum(after, _MOST_DAYS, out=after)

    def _unclamped(self, g: NDArray[Any]) -> FloatArray:
        w4, w5 = self._w[4], self._w[5]
        change = np.expm1(w5 * (g - 1.0)) if self._is_damped else w5 * (g - 3.0)
        difficulty: FloatArray = w4 - change
        return difficulty

    def _after_lapse(self, s: FloatArray, d: FloatArray, forgotten: FloatArray) -> FloatArray:
        w = self._w
        after: FloatArray = w[11] * d ** -w[12] * np.expm1(w[13] * np.log1p(s)) * np.exp(w[14] * forgotten)
        return after if self._rules.lapse == "free" else np.minimum(after, s * self._shrink)

    def _same_day(self, s: FloatArray, g: NDArray[Any]) -> FloatArray:
        w = self._w
        factor: FloatArray = np.exp(w[17] * (g - 3.0 + w[18]))
        if self._rules.same_day == "short":
            return s * factor
        after = s ** (1.0 - w[19]) * factor
        return np.where(g == _AGAIN, after, np.maximum(after, s))
