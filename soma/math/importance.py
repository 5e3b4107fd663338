"""Importance, from a raw number of any scale to [0, 1]: normalisers as values, with their laws as data.

A normaliser learns from batches, merges with another of the same settings, and maps. What holds for a class is
stated as `Laws` beside it, and tested from that statement.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "KINDS",
    "TIED",
    "Bounded",
    "Ecdf",
    "FixedBins",
    "Laws",
    "LogBuckets",
    "Logistic",
    "MinMax",
    "Normaliser",
    "from_dict",
    "from_json",
]

TIED: Final = 0.5
"""What a fitted normaliser gives where it has nothing to tell apart: no data yet, or a sample of one value."""

_MAX_COUNT: Final = 2**53 - 1  # the largest total that a double and JSON count exactly
_MAX_BYTES: Final = 64_000_000  # an `Ecdf` is as large as its distinct values
_LARGEST: Final = np.finfo(np.float64).max

_Counts: TypeAlias = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Laws:
    """What holds for a class of normalisers, as data that tests are made from.

    Parameters
    ----------
    monotone : bool
        A greater importance never maps lower.
    bounded : bool
        Every importance maps into [0, 1].
    order_independent : bool
        The state does not depend on the order of the data.
    mergeable : bool
        Merged states map as the state of both samples, to rounding.
    exactly_mergeable : bool
        Merged states equal the state of both samples.
    is_fitted : bool
        It learns from data; without, updates change nothing.
    """

    monotone: bool = True
    bounded: bool = True
    order_independent: bool = True
    mergeable: bool = True
    exactly_mergeable: bool = True
    is_fitted: bool = True


@dataclass(frozen=True, slots=True)
class Normaliser(ABC):
    """A map from raw importance to [0, 1].

    Notes
    -----
    Laws: ``property_tests/math/test_importance.py``.
    """

    kind: ClassVar[str]
    laws: ClassVar[Laws]
    settings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _map(self, x: FloatArray) -> FloatArray: ...

    def update(self, batch: ArrayLike) -> Self:
        r"""Return the state after more data, of the same kind and settings.

        Parameters
        ----------
        batch : array_like, shape (\*batch,)
            Raw importance, finite; it may be empty.

        Raises
        ------
        InvalidParameterError
            For NaN or infinity, which are never dropped.
        """
        x = finite("batch", batch).ravel()
        return self._learn(x) if x.size else self

    def merge(self, other: Self) -> Self:
        """Return the state of both samples together.

        Raises
        ------
        InvalidParameterError
            For another kind, or other settings.
        """
        if type(other) is not type(self) or any(getattr(self, s) != getattr(other, s) for s in self.settings):
            shared = ", ".join(["kind", *self.settings])
            raise InvalidParameterError("other", other, f"must have the same {shared} as {self!r:.80}")
        return self._join(other)

    def normalise(self, importance: ArrayLike) -> FloatArray:
        r"""Return importance in [0, 1].

        Parameters
        ----------
        importance : array_like, shape (\*batch,)
            Raw importance, finite.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [0, 1]; `TIED` where a fitted class has seen no data, or one value only and is asked for it.

        Raises
        ------
        InvalidParameterError
            For NaN or infinity.
        """
        # 0.0 is added so that no -0.0 comes out
        return np.asarray(self._map(finite("importance", importance)) + 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, the settings and what was learned, as JSON values."""
        return {"kind": self.kind, **{f.name: _listed(getattr(self, f.name)) for f in fields(self)}}

    def to_json(self) -> str:
        """Return the kind, the settings and what was learned, as JSON."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def _learn(self, x: FloatArray) -> Self:  # noqa: ARG002 - a fixed scale learns nothing
        return self

    def _join(self, other: Self) -> Self:  # noqa: ARG002 - a fixed scale joins only its equal
        return self

    def _set_numbers(self, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, _number(name, getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Bounded(Normaliser):
    r"""A fixed line, :math:`(x - a)/(b - a)`, cut to [0, 1]: it needs no data.

    Parameters
    ----------
    lower, upper : float
        What maps to 0, :math:`a`, and to 1, :math:`b`; lower < upper.

    Examples
    --------
    >>> Bounded(0.0, 10.0).normalise([-3, 5, 12]).tolist()
    [0.0, 0.5, 1.0]
    """

    kind: ClassVar[str] = "bounded"
    laws: ClassVar[Laws] = Laws(is_fitted=False)
    settings: ClassVar[tuple[str, ...]] = ("lower", "upper")

    lower: float
    upper: float

    def __post_init__(self) -> None:
        self._set_numbers("lower", "upper")
        if not self.lower < self.upper:
            raise InvalidParameterError("upper", self.upper, f"must be above lower = {self.lower}")

    def _map(self, x: FloatArray) -> FloatArray:
        return _share(x, self.lower, self.upper)


@dataclass(frozen=True, slots=True)
class Logistic(Normaliser):
    r"""A fixed S-shaped scale, :math:`1/(1 + e^{-(x - m)/s})`: it flattens, but has no end.

    Parameters
    ----------
    midpoint : float
        What maps to 0.5, :math:`m`.
    scale : float
        Width :math:`s`, > 0: m + s maps to 0.731.

    Examples
    --------
    >>> Logistic(midpoint=5.0, scale=1.0).normalise([5, 6]).round(3).tolist()
    [0.5, 0.731]
    """

    kind: ClassVar[str] = "logistic"
    laws: ClassVar[Laws] = Laws(is_fitted=False)
    settings: ClassVar[tuple[str, ...]] = ("midpoint", "scale")

    midpoint: float
    scale: float

    def __post_init__(self) -> None:
        self._set_numbers("midpoint")
        object.__setattr__(self, "scale", positive_scalar("scale", self.scale))

    def _map(self, x: FloatArray) -> FloatArray:
        # one form for both signs: each of its steps is monotone in doubles, and infinity on the way gives 0 or 1
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp((self.midpoint - x) / self.scale)))


@dataclass(frozen=True, slots=True)
class MinMax(Normaliser):
    """The range of the data, mapped to [0, 1] by a line: one outlier moves everything.

    Parameters
    ----------
    lower, upper : float or None
        Least and largest value seen; None before any.

    Examples
    --------
    >>> MinMax().update([2, 4, 6]).normalise([2, 3, 9]).tolist()
    [0.0, 0.25, 1.0]
    """

    kind: ClassVar[str] = "min_max"
    laws: ClassVar[Laws] = Laws()

    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            return
        if self.lower is None or self.upper is None:
            raise InvalidParameterError("upper", self.upper, "must be given with lower, or neither")
        self._set_numbers("lower", "upper")
        if self.lower > self.upper:
            raise InvalidParameterError("upper", self.upper, f"must be at least lower = {self.lower}")

    def _learn(self, x: FloatArray) -> Self:
        return self._join(type(self)(float(x.min()), float(x.max())))

    def _join(self, other: Self) -> Self:
        if self.lower is None or self.upper is None:
            return other
        if other.lower is None or other.upper is None:
            return self
        return type(self)(min(self.lower, other.lower), max(self.upper, other.upper))

    def _map(self, x: FloatArray) -> FloatArray:
        if self.lower is None or self.upper is None:
            return np.full_like(x, TIED)
        if self.lower == self.upper:
            return np.asarray(TIED + TIED * ((x > self.lower) * 1.0 - (x < self.lower)))
        return _share(x, self.lower, self.upper)


@dataclass(frozen=True, slots=True)
class _Ranked(Normaliser):
    """A normaliser whose state is counts in ordered places; a value maps to the mid-rank of its place."""

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
        _Ranked.__post_init__(self)

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
        _Ranked.__post_init__(self)

    def _place(self, x: FloatArray) -> FloatArray:
        half_s, e_above = np.frexp(np.abs(x))
        position = e_above + (2.0 * half_s - 2.0) + 1074.0  # 0 for the smallest double
        return np.asarray(np.sign(x) * (1.0 + np.floor(position / (2.0 * self.relative_accuracy))))


KINDS: Final[Mapping[str, type[Normaliser]]] = {
    kind.kind: kind for kind in (Bounded, Logistic, MinMax, Ecdf, FixedBins, LogBuckets)
}
"""Every normaliser, by the name that its JSON form carries."""


def from_dict(description: Mapping[str, Any]) -> Normaliser:
    """Return the normaliser that ``to_dict`` described.

    Parameters
    ----------
    description : mapping
        JSON values.

    Returns
    -------
    Normaliser
        Equal to the one described.

    Raises
    ------
    SerializationError
        For an unknown kind, or a missing or unknown field.
    InvalidParameterError
        For a field outside its domain.

    Examples
    --------
    >>> from_dict({"kind": "bounded", "lower": 0, "upper": 10})
    Bounded(lower=0.0, upper=10.0)
    """
    name = description.get("kind") if isinstance(description, Mapping) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SerializationError(f"the normaliser {name!r} is unknown: expected one of {', '.join(KINDS)}")
    wanted, given = {f.name for f in fields(kind)}, set(description) - {"kind"}
    if wanted != given:
        wrong = ", ".join(sorted(map(str, wanted ^ given)))
        raise SerializationError(f"the normaliser {name} has exactly {sorted(wanted)}, but {wrong} differs")
    return kind(**{key: description[key] for key in wanted})


def from_json(text: str) -> Normaliser:
    """Return the normaliser that ``to_json`` wrote.

    Parameters
    ----------
    text : str
        One JSON object.

    Returns
    -------
    Normaliser
        Equal to the one described.

    Raises
    ------
    SerializationError
        For text that is not a JSON object of at most 64 MB, and as `from_dict`.

    Examples
    --------
    >>> state = Ecdf().update([1, 2])
    >>> from_json(state.to_json()) == state
    True
    """
    from soma import canonical_json  # noqa: PLC0415 - keeps the normalisers free of it until a file is read

    return from_dict(canonical_json.loads(text, max_bytes=_MAX_BYTES))  # type: ignore[arg-type]


def _share(x: FloatArray, lower: float, upper: float) -> FloatArray:
    inside = np.clip(x, lower, upper)
    if math.isinf(upper - lower):
        inside, lower, upper = inside / 2.0, lower / 2.0, upper / 2.0
    return np.asarray((inside - lower) / (upper - lower))


def _listed(value: Any) -> Any:
    return [_listed(x) for x in value] if isinstance(value, tuple) else value


def _number(parameter: str, value: Any) -> float:
    array = finite(parameter, value)
    if array.ndim != 0:
        raise InvalidParameterError(parameter, value, "must be one number")
    return float(array) + 0.0


def _pairs(counts: _Counts) -> _Counts:
    try:
        places, hits = finite("counts", [place for place, _ in counts]) + 0.0, [n for _, n in counts]
    except (TypeError, ValueError):
        raise InvalidParameterError("counts", counts, "must be pairs of a finite place and a count") from None
    if places.ndim != 1 or any(type(n) is not int or n < 1 for n in hits) or sum(hits) > _MAX_COUNT:
        raise InvalidParameterError("counts", counts, "must hold integers >= 1, of a sum below 2**53")
    return tuple(zip(places.tolist(), hits, strict=True))
