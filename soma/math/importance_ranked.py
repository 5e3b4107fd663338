"""Normalisers whose state is counts in ordered places: a value maps to its mid-rank, or between two quantiles."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, Final, Self, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, positive_scalar, unit_interval_scalar
from soma.math.importance_base import MAX_COUNT, TIED, Laws, Normaliser, between

__all__ = ["Ecdf", "FixedBins", "LogBuckets", "Winsorised"]

_LARGEST: Final = np.finfo(np.float64).max
_Counts: TypeAlias = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class _Counted(Normaliser):
    """A normaliser whose state is counts in ordered places."""

    laws: ClassVar[Laws] = Laws()
    place_type: ClassVar[type[int | float]] = int

    counts: _Counts = field(default=(), kw_only=True)

    @abstractmethod
    def _place(self, x: FloatArray) -> FloatArray: ...

    def __post_init__(self) -> None:
        given, (first, last) = _pairs(self.counts), self._place(np.array([-_LARGEST, _LARGEST]))
        counts = tuple((self.place_type(place), n) for place, n in given)
        is_rising = all(one < other for (one, _), (other, _) in pairwise(counts))
        if counts != given or not is_rising or not all(first <= place <= last for place, _ in counts):
            raise InvalidParameterError("counts", self.counts, "must have places of this scale, rising, each once")
        object.__setattr__(self, "counts", counts)

    def _learn(self, x: FloatArray) -> Self:
        places, counts = np.unique(self._place(x), return_counts=True)
        return self._join(replace(self, counts=tuple(zip(places.tolist(), counts.tolist(), strict=True))))

    def _join(self, other: Self) -> Self:
        total = dict(self.counts)
        for place, count in other.counts:
            total[place] = total.get(place, 0) + count
        return replace(self, counts=tuple(sorted(total.items())))


@dataclass(frozen=True, slots=True)
class _Ranked(_Counted):
    """A normaliser that maps a value to the mid-rank of its place."""

    def _map(self, x: FloatArray) -> FloatArray:
        if not self.counts:
            return np.full_like(x, TIED)
        places, counts = np.array(self.counts, dtype=np.float64).T
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        asked = self._place(x)
        below = upto[np.searchsorted(places, asked, side="left")]
        through = upto[np.searchsorted(places, asked, side="right")]
        return np.asarray((below + through) / (2.0 * upto[-1]))


@dataclass(frozen=True, slots=True)
class Ecdf(_Ranked):
    r"""The share of the data below a value, ties counted half: exact, and as large as its distinct values.

    .. math:: F(x) = \frac{\#\{x_i < x\} + \tfrac12 \#\{x_i = x\}}{n}

    Parameters
    ----------
    counts : tuple of (float, int)
        Distinct values, rising, and how often each was seen.

    Examples
    --------
    >>> Ecdf().update([1, 2, 2, 9]).normalise([0, 2, 9]).tolist()
    [0.0, 0.5, 0.875]
    """

    kind: ClassVar[str] = "ecdf"
    place_type: ClassVar[type[int | float]] = float

    def _place(self, x: FloatArray) -> FloatArray:
        return x


@dataclass(frozen=True, slots=True)
class Winsorised(_Counted):
    r"""The range between two quantiles of the data, mapped to [0, 1] by a line: outliers are cut, not followed.

    With :math:`x_{(1)} \le \dots \le x_{(n)}` and the shares :math:`p < q`

    .. math:: W(x) = \frac{\min(\max(x, a), b) - a}{b - a}, \quad
       a = x_{(\lfloor n p \rfloor + 1)}, \quad b = x_{(\lceil n q \rceil)}

    so that at most :math:`n p` values are cut below and at most :math:`n (1 - q)` above, each end the mirror image of
    the other. Where :math:`a = b`, that value maps to `TIED`, less to 0 and more to 1.

    Parameters
    ----------
    lower_share, upper_share : float
        :math:`p` and :math:`q`, 0 <= p < q <= 1; 0 and 1 give `MinMax`.
    counts : tuple of (float, int)
        Distinct values, rising, and how often each was seen: the state is as large as they are many.

    Raises
    ------
    InvalidParameterError
        For shares or counts outside their domain.

    Notes
    -----
    The upper end is the inverted distribution function at :math:`q`, a value of the data and never between two; the
    lower end is that of the negated data at :math:`1 - p`. Source: Hyndman and Fan, Sample quantiles in statistical
    packages (1996), definition 1. The products :math:`n p` and :math:`n q` are rounded as doubles are.
    Laws: ``property_tests/math/test_importance.py``.

    Examples
    --------
    >>> Winsorised(0.2, 0.8).update([1, 2, 3, 4, 1000]).normalise([1, 3, 1000]).tolist()
    [0.0, 0.5, 1.0]
    """

    kind: ClassVar[str] = "winsorised"
    settings: ClassVar[tuple[str, ...]] = ("lower_share", "upper_share")
    place_type: ClassVar[type[int | float]] = float

    lower_share: float = 0.05
    upper_share: float = 0.95

    def __post_init__(self) -> None:
        lower = unit_interval_scalar("lower_share", self.lower_share) + 0.0
        upper = unit_interval_scalar("upper_share", self.upper_share) + 0.0
        if not lower < upper:
            raise InvalidParameterError("upper_share", upper, f"must be above lower_share = {lower}")
        object.__setattr__(self, "lower_share", lower)
        object.__setattr__(self, "upper_share", upper)
        _Counted.__post_init__(self)

    def _place(self, x: FloatArray) -> FloatArray:
        return x

    def _map(self, x: FloatArray) -> FloatArray:
        if not self.counts:
            return np.full_like(x, TIED)
        upto = np.cumsum([count for _, count in self.counts])
        n = int(upto[-1])
        low = math.floor(n * self.lower_share) + 1
        high = max(math.ceil(n * self.upper_share), low)  # below only where both products round to one integer
        lower, upper = (self.counts[int(np.searchsorted(upto, rank))][0] for rank in (low, high))
        return between(x, lower, upper)


@dataclass(frozen=True, slots=True)
class FixedBins(_Ranked):
    """Mid-ranks of bins between fixed edges.

    Parameters
    ----------
    edges : tuple of float
        Rising; they make ``len(edges) + 1`` bins, the outer ones open. A value on an edge falls above it.
    counts : tuple of (int, int)
        Bins that were hit, from 0, rising, and how often.

    Examples
    --------
    >>> FixedBins((3.0, 7.0)).update([1, 5, 5, 9]).normalise([2, 5, 100]).tolist()
    [0.125, 0.5, 0.875]
    """

    kind: ClassVar[str] = "fixed_bins"
    settings: ClassVar[tuple[str, ...]] = ("edges",)

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        edges = finite("edges", self.edges) + 0.0
        if edges.ndim != 1 or edges.size == 0 or not (edges[1:] > edges[:-1]).all():
            raise InvalidParameterError("edges", self.edges, "must be rising numbers, at least one")
        object.__setattr__(self, "edges", tuple(edges.tolist()))
        _Counted.__post_init__(self)

    def _place(self, x: FloatArray) -> FloatArray:
        return np.searchsorted(np.array(self.edges), x, side="right").astype(np.float64)


@dataclass(frozen=True, slots=True)
class LogBuckets(_Ranked):
    r"""Mid-ranks of buckets whose edges grow with the values: any scale, few numbers, alike on every machine.

    With :math:`|x| = s\,2^e, 1 \le s < 2`, a number lies in the bucket

    .. math:: \operatorname{sgn}(x) \left(1 + \left\lfloor (e + s - 1 + 1074) / (2a) \right\rfloor\right)

    and zero in bucket 0. Two numbers of one bucket have a ratio below :math:`\gamma = (1 + a)/(1 - a)`, because
    :math:`e + s - 1` rises at least as fast as :math:`\ln |x|`, and :math:`2a < \ln \gamma`.

    Parameters
    ----------
    relative_accuracy : float
        :math:`a`, in [0.001, 1).
    counts : tuple of (int, int)
        Buckets that were hit, rising, and how often.

    Notes
    -----
    Source: Masson, Rim and Lee, DDSketch (2019), with a linearly interpolated logarithm: it takes 44 % more buckets,
    and only operations that every machine rounds alike, where the logarithms of two libraries differ in the last bit.
    Negative numbers have a mirrored set of buckets; no bucket is ever collapsed.

    Examples
    --------
    >>> LogBuckets(0.01).update([1, 10, 1000]).normalise([0.1, 10, 5000]).round(3).tolist()
    [0.0, 0.5, 1.0]
    """

    kind: ClassVar[str] = "log_buckets"
    settings: ClassVar[tuple[str, ...]] = ("relative_accuracy",)

    relative_accuracy: float = 0.01

    def __post_init__(self) -> None:
        accuracy = positive_scalar("relative_accuracy", self.relative_accuracy)
        # below, rounding would eat the slack between 2 a and ln gamma
        if not 1e-3 <= accuracy < 1.0:
            raise InvalidParameterError("relative_accuracy", accuracy, "must lie in [0.001, 1)")
        object.__setattr__(self, "relative_accuracy", accuracy)
        _Counted.__post_init__(self)

    def _place(self, x: FloatArray) -> FloatArray:
        half_s, e_above = np.frexp(np.abs(x))
        position = e_above + (2.0 * half_s - 2.0) + 1074.0  # 0 for the smallest double
        return np.asarray(np.sign(x) * (1.0 + np.floor(position / (2.0 * self.relative_accuracy))))


def _pairs(counts: _Counts) -> _Counts:
    try:
        places, hits = finite("counts", [place for place, _ in counts]) + 0.0, [n for _, n in counts]
    except (TypeError, ValueError):
        raise InvalidParameterError("counts", counts, "must be pairs of a finite place and a count") from None
    if places.ndim != 1 or any(type(n) is not int or n < 1 for n in hits) or sum(hits) > MAX_COUNT:
        raise InvalidParameterError("counts", counts, "must hold integers >= 1, of a sum below 2**53")
    return tuple(zip(places.tolist(), hits, strict=True))
