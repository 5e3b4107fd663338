"""Interval arithmetic: how far an expression can reach while its arguments stay inside a box.

An interval is a pair of arrays ``(lower, upper)`` that enclose **finite** numbers; an infinite end says that
no bound is known. Results enclose what floating-point evaluation gives, not only what real numbers would:

* ``+ - * /``, min, max and clip round monotonically, so that the value computed at a corner of the box bounds
  every value computed inside it, and nothing is widened;
* exp, log, powers and curves come from libraries that promise a small relative error and no monotony: their
  ends are widened by `RELATIVE_SLACK`, then cut back to the range that the function can have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from soma.math.domain import FloatArray

__all__ = [
    "RELATIVE_SLACK",
    "Interval",
    "add",
    "decreasing",
    "divide",
    "exponential",
    "integer_power",
    "logarithm",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "subtract",
]

Interval: TypeAlias = tuple[FloatArray, FloatArray]

RELATIVE_SLACK: Final = 1e-12
"""How much a computed exp, log, power or curve may err: thousands of times what libraries do."""

_ABSOLUTE_SLACK: Final = 1e-300  # covers subnormal results, whose relative error is not small


def add(x: Interval, y: Interval) -> Interval:
    """Return the interval of x + y."""
    return _sound(np.add(x[0], y[0]), np.add(x[1], y[1]))


def subtract(x: Interval, y: Interval) -> Interval:
    """Return the interval of x - y."""
    return _sound(np.subtract(x[0], y[1]), np.subtract(x[1], y[0]))


def negative(x: Interval) -> Interval:
    """Return the interval of -x."""
    return np.negative(x[1]), np.negative(x[0])


def multiply(x: Interval, y: Interval) -> Interval:
    """Return the interval of x * y, for any signs."""
    return _corners(np.multiply, x, y)


def divide(x: Interval, y: Interval) -> Interval:
    """Return the interval of x / y; nothing is known where the divisor may be 0."""
    lower, upper = _corners(np.divide, x, y)
    unknown = (y[0] <= 0) & (y[1] >= 0)
    return np.where(unknown, -np.inf, lower), np.where(unknown, np.inf, upper)


def minimum(x: Interval, y: Interval) -> Interval:
    """Return the interval of min(x, y)."""
    return np.minimum(x[0], y[0]), np.minimum(x[1], y[1])


def maximum(x: Interval, y: Interval) -> Interval:
    """Return the interval of max(x, y)."""
    return np.maximum(x[0], y[0]), np.maximum(x[1], y[1])


def exponential(x: Interval) -> Interval:
    """Return the interval of exp(x)."""
    return _widened(np.exp(x[0]), np.exp(x[1]), least=0.0)


def logarithm(x: Interval) -> Interval:
    """Return the interval of log(x), over the part of x where it is defined."""
    return _widened(np.log(np.maximum(x[0], 0.0)), np.log(np.maximum(x[1], 0.0)))


def power(x: Interval, y: Interval) -> Interval:
    """Return the interval of x ** y for x >= 0; nothing is known where x may be negative.

    For x >= 0 the power is monotone in each argument, whatever the other is: the corners hold the extremes.
    """
    unknown = x[0] < 0
    lower, upper = _corners(np.power, (np.maximum(x[0], 0.0), np.maximum(x[1], 0.0)), y)
    lower, upper = _widened(lower, upper, least=0.0)
    return np.where(unknown, -np.inf, lower), np.where(unknown, np.inf, upper)


def integer_power(x: Interval, exponent: float) -> Interval:
    """Return the interval of x ** n for a whole number n: x may be negative."""
    straddles = (x[0] < 0) & (x[1] > 0)
    even = exponent % 2 == 0
    lower, upper = _corners(np.power, x, (np.array(exponent), np.array(exponent)))
    lower, upper = _widened(lower, upper, least=0.0 if even else -np.inf)
    if exponent >= 0:
        return np.where(straddles & even & (exponent > 0), 0.0, lower), upper
    touches = (x[0] <= 0) & (x[1] >= 0)
    return np.where(touches, 0.0 if even else -np.inf, lower), np.where(touches, np.inf, upper)


def decreasing(function: Callable[[FloatArray], FloatArray], x: Interval) -> Interval:
    """Return the interval of a function that never rises and stays in [0, 1], such as a forgetting curve."""
    return _widened(function(x[1]), function(x[0]), least=0.0, most=1.0)


def _corners(operation: np.ufunc, x: Interval, y: Interval) -> Interval:
    values = [operation(a, b) for a in x for b in y]
    # 0 * inf and inf / inf stand for finite numbers: their product or ratio comes as near to 0 as one likes,
    # and the far end of its range stands at another corner
    known = [np.where(np.isnan(value), 0.0, value) for value in values]
    return np.minimum.reduce(np.broadcast_arrays(*known)), np.maximum.reduce(np.broadcast_arrays(*known))


def _widened(lower: FloatArray, upper: FloatArray, *, least: float = -np.inf, most: float = np.inf) -> Interval:
    lower, upper = _sound(
        lower - (np.abs(lower) * RELATIVE_SLACK + _ABSOLUTE_SLACK),
        upper + (np.abs(upper) * RELATIVE_SLACK + _ABSOLUTE_SLACK),
    )
    return np.maximum(lower, least), np.minimum(upper, most)


def _sound(lower: FloatArray, upper: FloatArray) -> Interval:
    return np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)
