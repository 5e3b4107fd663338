"""The formulas of FSRS: unchecked, in days, for arrays of one shape; shared by single reviews and by replays.

Overflow and underflow give limits, and callers silence them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.math.spacing_versions import Grade

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.domain import FloatArray
    from soma.math.spacing_versions import Rules

EASIEST: Final = 1.0
HARDEST: Final = 10.0
_LOG_RECALL_AT_S: Final = math.log(0.9)
_LEAST_DAYS: Final = 0.001
_MOST_DAYS: Final = 1e300  # so that stability stays a finite number of seconds


def factor(exponent: float) -> float:
    """Return the factor F of the forgetting curve, by which R(S) = 0.9."""
    return math.expm1(-_LOG_RECALL_AT_S / exponent)


def log_recall(t: FloatArray, s: FloatArray, exponent: float) -> FloatArray:
    """Return the logarithm of R; both times in one unit."""
    logarithm: FloatArray = np.log1p(t / s * factor(exponent)) * -exponent
    return logarithm


def first_difficulty(rules: Rules, w: Sequence[float], g: NDArray[Any]) -> FloatArray:
    """Return the difficulty after a first review."""
    return np.clip(_unclamped(rules, w, g), EASIEST, HARDEST)


def next_difficulty(rules: Rules, w: Sequence[float], d: FloatArray, g: NDArray[Any]) -> FloatArray:
    """Return the difficulty after a review."""
    change = w[6] * (3.0 - g)
    if rules.difficulty == "damped":
        change = change * (10.0 - d) / 9.0
    aim = Grade.EASY if rules.difficulty == "damped" else Grade.GOOD
    aimed = float(_unclamped(rules, w, np.asarray(aim)))
    return np.clip(w[7] * aimed + (1.0 - w[7]) * (d + change), EASIEST, HARDEST)


def next_stability(
    rules: Rules,
    w: Sequence[float],
    s: FloatArray,
    d: FloatArray,
    t: FloatArray,
    g: NDArray[Any],
    log_r: FloatArray,
) -> FloatArray:
    """Return the stability after a review, of rows with one number an item; ``log_r`` is ln R before it."""
    gain = math.exp(w[8]) * np.array([0.0, 0.0, w[15], 1.0, w[16]])
    forgotten = -np.expm1(log_r)
    after: FloatArray = s * (1.0 + gain[g] * (11.0 - d) * s ** -w[9] * np.expm1(w[10] * forgotten))
    lapsed = np.flatnonzero(g == Grade.AGAIN)
    after[lapsed] = _after_lapse(rules, w, s[lapsed], d[lapsed], forgotten[lapsed])
    if rules.same_day != "as any":
        short = np.flatnonzero(t < 1.0)
        after[short] = _same_day(rules, w, s[short], g[short])
    return np.clip(after, _LEAST_DAYS, _MOST_DAYS, out=after)


def _unclamped(rules: Rules, w: Sequence[float], g: NDArray[Any]) -> FloatArray:
    change = w[5] * (g - 3.0) if rules.difficulty == "linear" else np.expm1(w[5] * (g - 1.0))
    difficulty: FloatArray = w[4] - change
    return difficulty


def _after_lapse(rules: Rules, w: Sequence[float], s: FloatArray, d: FloatArray, forgotten: FloatArray) -> FloatArray:
    after: FloatArray = w[11] * d ** -w[12] * np.expm1(w[13] * np.log1p(s)) * np.exp(w[14] * forgotten)
    if rules.lapse == "at most S":
        return np.minimum(after, s)
    if rules.lapse == "below S":
        return np.minimum(after, s / math.exp(w[17] * w[18]))
    return after


def _same_day(rules: Rules, w: Sequence[float], s: FloatArray, g: NDArray[Any]) -> FloatArray:
    increase: FloatArray = np.exp(w[17] * (g - 3.0 + w[18]))
    if rules.same_day == "saturating":
        increase = increase * s ** -w[19]
        increase = np.where(g == Grade.AGAIN, increase, np.maximum(increase, 1.0))
    after: FloatArray = s * increase
    return after
