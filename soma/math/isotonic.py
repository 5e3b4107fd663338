"""Isotonic importance: a monotone map from raw importance to outcomes, learned by pooling adjacent violators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, positive, unit_interval
from soma.math.importance_base import MAX_COUNT, TIED, Laws, Scale, along, read_dict, read_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["KINDS", "Isotonic", "from_dict", "from_json", "pool_adjacent_violators"]

_Points: TypeAlias = tuple[tuple[float, float, float, int], ...]
_MAX_WEIGHT: Final = 2.0**1000  # what is left above lets sums be taken in any order


def pool_adjacent_violators(values: ArrayLike, weights: ArrayLike | None = None) -> FloatArray:
    r"""Return the non-decreasing sequence that is nearest to ``values`` in weighted least squares.

    .. math:: \min_{g_1 \le \dots \le g_n} \sum_i w_i (v_i - g_i)^2, \quad
       g_i = \max_{a \le i} \min_{b \ge i} \frac{\sum_{j=a}^b w_j v_j}{\sum_{j=a}^b w_j}

    Parameters
    ----------
    values : array_like, shape (n,)
        :math:`v`, finite, in their order; any unit.
    weights : array_like, shape (n,), optional
        :math:`w`, finite, > 0, of a sum of at most 2**1000; 1 each without.

    Returns
    -------
    ndarray of float64, shape (n,)
        :math:`g`, non-decreasing, within the range of the values; values that already rise are returned as they are.

    Raises
    ------
    InvalidParameterError
        For another shape, NaN or infinity, and weights that are not > 0.

    Notes
    -----
    Source: Ayer, Brunk, Ewing, Reid and Silverman, An empirical distribution function for sampling with incomplete
    information (1955). One pass, O(n). Laws: ``property_tests/math/test_isotonic.py``.

    Examples
    --------
    >>> pool_adjacent_violators([1, 3, 2, 4, 3.5, 5]).tolist()
    [1.0, 2.5, 2.5, 3.75, 3.75, 5.0]
    """
    v = _row("values", finite("values", values) + 0.0)
    w = np.ones_like(v) if weights is None else _row("weights", positive("weights", weights))
    if w.size != v.size:
        raise InvalidParameterError("weights", weights, f"must be as many as the {v.size} values")
    _total("weights", w)
    blocks: list[tuple[float, float, int]] = []  # mean, weight and length, the means rising
    for value, weight in zip(v.tolist(), w.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            block = _pooled(blocks.pop(), block)
        blocks.append(block)
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Isotonic(Scale):
    r"""The non-decreasing map from importance to outcome that is nearest to the data: what an importance has meant.

    At the importances :math:`x_1 < \dots < x_m` that were seen, with :math:`\bar y_i` the weighted mean outcome and
    :math:`w_i` the weight of each, the fit is

    .. math:: (g_1, \dots, g_m) = \arg\min_{g_1 \le \dots \le g_m} \sum_i w_i (\bar y_i - g_i)^2

    (`pool_adjacent_violators`). Between two of them it runs on a line, beyond the first and the last it is constant.

    Parameters
    ----------
    points : tuple of (float, float, float, int)
        Distinct triples of importance, outcome in [0, 1] and weight > 0, rising, and how often each was seen.

    Raises
    ------
    InvalidParameterError
        For points outside their domain.

    Notes
    -----
    It offers what the classes of `soma.math.importance` offer, except that `update` takes outcomes beside importances;
    so it is no `Normaliser`, which learns from importances alone, and code that feeds one cannot be handed the other.
    And a sample of one importance maps everywhere to its mean outcome, not to `TIED`: it has told something.

    The state counts triples and sums nothing: integers add exactly in every order, and so states merge exactly. It is
    as large as its distinct triples, which are few for outcomes such as recalled and not recalled.
    Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions (1972).
    Laws: ``property_tests/math/test_isotonic.py``.

    Examples
    --------
    >>> state = Isotonic().update([1, 2, 3, 4], [0, 1, 0, 1])
    >>> state.normalise([0, 1.5, 2, 3, 3.5, 9]).tolist()
    [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]
    """

    kind: ClassVar[str] = "isotonic"
    laws: ClassVar[Laws] = Laws()

    points: _Points = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _checked(self.points))

    def update(self, importance: ArrayLike, outcome: ArrayLike, weight: ArrayLike | None = None) -> Self:
        r"""Return the state after more pairs; the fit of a sample is the update of the empty state.

        Parameters
        ----------
        importance : array_like, shape (\*batch,)
            Raw importance, finite; it may be empty.
        outcome : array_like, shape (\*batch,)
            What followed, in [0, 1]: recalled or not, useful or not, or a share.
        weight : array_like, shape (\*batch,), optional
            Weight of each pair, > 0, of a sum of at most 2**1000; 1 each without.

        Returns
        -------
        Isotonic
            A new value.

        Raises
        ------
        InvalidParameterError
            Naming the argument: for NaN or infinity, another shape than ``importance``, an outcome outside [0, 1], a
            weight that is not > 0.
        """
        x = finite("importance", importance) + 0.0
        y = unit_interval("outcome", outcome) + 0.0
        w = np.ones_like(x) if weight is None else positive("weight", weight)
        for name, given, array in (("outcome", outcome, y), ("weight", weight, w)):
            if array.shape != x.shape:
                raise InvalidParameterError(name, given, f"must have the shape {x.shape} of importance")
        _total("weight", w)
        batch: dict[tuple[float, ...], int] = {}
        for triple in zip(x.ravel().tolist(), y.ravel().tolist(), w.ravel().tolist(), strict=True):
            batch[triple] = batch.get(triple, 0) + 1
        return self._join(type(self)(tuple((*triple, n) for triple, n in sorted(batch.items()))))  # type: ignore[misc]

    def knots(self) -> tuple[FloatArray, FloatArray]:
        """Return the distinct importances that were seen, rising, and the fit at each, both of shape (m,)."""
        means = [_mean(self.points[start:stop]) for start, stop in self._runs()]
        at = np.array([self.points[start][0] for start, _ in self._runs()], dtype=np.float64)
        fit = pool_adjacent_violators([mean for mean, _ in means], [weight for _, weight in means])
        return at, fit

    def _runs(self) -> list[tuple[int, int]]:
        ends = [i for i, (one, other) in enumerate(pairwise(self.points), start=1) if one[0] != other[0]]
        return list(pairwise([0, *ends, len(self.points)])) if self.points else []

    def _join(self, other: Self) -> Self:
        total: dict[tuple[float, ...], int] = {}
        for *triple, n in (*self.points, *other.points):
            total[tuple(triple)] = total.get(tuple(triple), 0) + int(n)
        return type(self)(tuple((*triple, n) for triple, n in sorted(total.items())))  # type: ignore[misc]

    def _map(self, x: FloatArray) -> FloatArray:
        if not self.points:
            return np.full_like(x, TIED)
        at, fit = self.knots()
        return along(x, at, fit, fit)


KINDS: Final[Mapping[str, type[Isotonic]]] = {Isotonic.kind: Isotonic}
"""The learned maps, by the name that their JSON form carries."""


def from_dict(description: Mapping[str, Any]) -> Isotonic:
    """Return the map that ``to_dict`` described.

    Parameters
    ----------
    description : mapping
        JSON values.

    Returns
    -------
    Isotonic
        Equal to the one described.

    Raises
    ------
    SerializationError
        For an unknown kind, or a missing or unknown field.
    InvalidParameterError
        For a field outside its domain.

    Examples
    --------
    >>> from_dict({"kind": "isotonic", "points": [[3, 1, 1, 2]]})
    Isotonic(points=((3.0, 1.0, 1.0, 2),))
    """
    return read_dict(description, KINDS)


def from_json(text: str) -> Isotonic:
    """Return the map that ``to_json`` wrote.

    Parameters
    ----------
    text : str
        One JSON object.

    Returns
    -------
    Isotonic
        Equal to the one described.

    Raises
    ------
    SerializationError
        For text that is not a JSON object of at most 64 MB, and as `from_dict`.

    Examples
    --------
    >>> state = Isotonic().update([1, 2], [0, 1])
    >>> from_json(state.to_json()) == state
    True
    """
    return read_json(text, KINDS)


def _row(parameter: str, array: FloatArray) -> FloatArray:
    if array.ndim != 1:
        raise InvalidParameterError(parameter, array, "must have one dimension")
    return array


def _total(parameter: str, weights: FloatArray) -> None:
    with np.errstate(over="ignore"):
        if not weights.sum() <= _MAX_WEIGHT:
            raise InvalidParameterError(parameter, weights, "must have a sum of at most 2**1000")


def _pooled(left: tuple[float, float, int], right: tuple[float, float, int]) -> tuple[float, float, int]:
    (high, of_high, n_left), (low, of_low, n_right) = left, right
    weight = of_high + of_low
    # shares before products: no product of a weight and a value can overflow or vanish
    mean = high * (of_high / weight) + low * (of_low / weight)
    return min(max(mean, low), high), weight, n_left + n_right


def _mean(points: _Points) -> tuple[float, float]:
    """Return mean outcome and weight of points of one importance."""
    weights, outcomes = [w * n for _, _, w, n in points], [y for _, y, _, _ in points]
    weight = math.fsum(weights)
    mean = math.fsum(w / weight * y for w, y in zip(weights, outcomes, strict=True))
    return min(max(mean, min(outcomes)), max(outcomes)), weight


def _checked(points: Any) -> _Points:
    try:
        hits = [n for _, _, _, n in points]
        numbers = finite("points", [(x, y, w) for x, y, w, _ in points]) + 0.0
    except (TypeError, ValueError):
        raise InvalidParameterError(
            "points", points, "must be quadruples of finite numbers, the last a count"
        ) from None
    if not hits:
        return ()
    if numbers.shape != (len(hits), 3):
        raise InvalidParameterError("points", points, "must be quadruples of numbers, the last a count")
    if any(type(n) is not int or n < 1 for n in hits) or sum(hits) > MAX_COUNT:
        raise InvalidParameterError("points", points, "must hold counts >= 1, of a sum below 2**53")
    outcomes, weights = numbers[:, 1], numbers[:, 2]
    if not ((outcomes >= 0) & (outcomes <= 1) & (weights > 0)).all():
        raise InvalidParameterError("points", points, "must have outcomes in [0, 1] and weights > 0")
    _total("points", weights * np.array(hits, dtype=np.float64))
    rows = [(x, y, w) for x, y, w in numbers.tolist()]
    if any(one >= other for one, other in pairwise(rows)):
        raise InvalidParameterError("points", points, "must rise, each once")
    return tuple((*row, n) for row, n in zip(rows, hits, strict=True))
