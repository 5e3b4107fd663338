"""Importance, from a raw integer of any scale to [0, 1]: normalisers as values, with their laws as data.

A normaliser learns from batches (`update`), joins with another of the same settings (`merge`), and maps
(`normalise`). What holds for a class is stated as `Laws` beside it, and tested from that statement.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "KINDS",
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

_MIDDLE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Laws:
    """What holds for a class of normalisers, as data that tests are made from.

    Parameters
    ----------
    is_fitted : bool
        Whether it learns from data at all.
    exactly_mergeable : bool
        Whether merging the states of two batches equals, bit for bit, the state of both together.

    Notes
    -----
    Every class is monotone, bounded by [0, 1] and independent of the order of the data: those need no flag.
    """

    is_fitted: bool = True
    exactly_mergeable: bool = True


@dataclass(frozen=True, slots=True)
class Normaliser(ABC):
    """A monotone map from raw importance to [0, 1].

    Notes
    -----
    Laws: ``property_tests/math/test_importance.py``.
    """

    kind: ClassVar[str]
    laws: ClassVar[Laws]

    @abstractmethod
    def _learn(self, x: FloatArray) -> Self: ...

    @abstractmethod
    def _map(self, x: FloatArray) -> FloatArray: ...

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """Return the state of both samples together.

        Raises
        ------
        InvalidParameterError
            For another kind, or other settings.
        """

    def update(self, batch: ArrayLike) -> Self:
        """Return the state after more data.

        Parameters
        ----------
        batch : array_like, shape (n,)
            Raw importance, finite.

        Returns
        -------
        Normaliser
            Of the same kind and settings.

        Raises
        ------
        InvalidParameterError
            For NaN or infinity, which are never dropped.
        """
        return self._learn(finite("batch", batch).ravel())

    def normalise(self, x: ArrayLike) -> FloatArray:
        r"""Return importance in [0, 1].

        Parameters
        ----------
        x : array_like, shape (\*batch,)
            Raw importance, finite.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [0, 1]; 0.5 where nothing has been learned, or all that was learned is one value and x is it.

        Raises
        ------
        InvalidParameterError
            For NaN or infinity.
        """
        return np.clip(self._map(finite("x", x)), 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind, the settings and what was learned, as JSON values."""
        described: dict[str, Any] = {"kind": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            described[field.name] = (
                [list(x) if isinstance(x, tuple) else x for x in value] if isinstance(value, tuple) else value
            )
        return described

    def to_json(self) -> str:
        """Return the kind, the settings and what was learned, as JSON."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def _require_same(self, other: Self, *settings: str) -> None:
        is_same = type(other) is type(self) and all(getattr(self, s) == getattr(other, s) for s in settings)
        if not is_same:
            raise InvalidParameterError("other", other, f"must be of the kind and settings of {self!r}")


@dataclass(frozen=True, slots=True)
class Bounded(Normaliser):
    r"""A fixed linear scale, :math:`(x - lower) / (upper - lower)`, cut to [0, 1]: it needs no data.

    Parameters
    ----------
    lower, upper : float
        What maps to 0 and to 1, lower < upper.

    Examples
    --------
    >>> Bounded(0.0, 10.0).normalise([-3, 5, 12]).tolist()
    [0.0, 0.5, 1.0]
    """

    kind: ClassVar[str] = "bounded"
    laws: ClassVar[Laws] = Laws(is_fitted=False)

    lower: float
    upper: float

    def __post_init__(self) -> None:
        lower, upper = float(finite("lower", self.lower)), float(finite("upper", self.upper))
        if not lower < upper or not math.isfinite(upper - lower):
            raise InvalidParameterError("upper", self.upper, f"must be above lower = {self.lower}, by less than 1e308")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def _learn(self, x: FloatArray) -> Self:  # noqa: ARG002 - a fixed scale learns nothing
        return self

    def merge(self, other: Self) -> Self:
        """Return the same scale, or raise if the other is another one."""
        self._require_same(other, "lower", "upper")
        return self

    def _map(self, x: FloatArray) -> FloatArray:
        inside = np.clip(x, self.lower, self.upper)
        return np.asarray((inside - self.lower) / (self.upper - self.lower))


@dataclass(frozen=True, slots=True)
class Logistic(Normaliser):
    r"""A fixed S-shaped scale, :math:`1 / (1 + e^{-(x - m)/s})`: no value is too large for it.

    Parameters
    ----------
    midpoint : float
        What maps to 0.5, :math:`m`.
    scale : float
        Steepness :math:`s`, > 0: at m + s the result is 0.731.

    Examples
    --------
    >>> Logistic(midpoint=5.0, scale=1.0).normalise([5, 6]).round(3).tolist()
    [0.5, 0.731]
    """

    kind: ClassVar[str] = "logistic"
    laws: ClassVar[Laws] = Laws(is_fitted=False)

    midpoint: float
    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "midpoint", float(finite("midpoint", self.midpoint)))
        object.__setattr__(self, "scale", positive_scalar("scale", self.scale))

    def _learn(self, x: FloatArray) -> Self:  # noqa: ARG002 - a fixed scale learns nothing
        return self

    def merge(self, other: Self) -> Self:
        """Return the same scale, or raise if the other is another one."""
        self._require_same(other, "midpoint", "scale")
        return self

    def _map(self, x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            z = (x - self.midpoint) / self.scale
        small = np.exp(-np.minimum(np.abs(z), 745.0))
        return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small))


@dataclass(frozen=True, slots=True)
class MinMax(Normaliser):
    """The range of the data, mapped linearly to [0, 1].

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
        if (self.lower is None) != (self.upper is None):
            raise InvalidParameterError("upper", self.upper, "must be given with lower")
        if self.lower is not None and self.upper is not None:
            lower, upper = float(finite("lower", self.lower)), float(finite("upper", self.upper))
            if lower > upper:
                raise InvalidParameterError("upper", self.upper, f"must be at least lower = {self.lower}")
            object.__setattr__(self, "lower", lower)
            object.__setattr__(self, "upper", upper)

    def _learn(self, x: FloatArray) -> Self:
        return self.merge(type(self)(float(x.min()), float(x.max()))) if x.size else self

    def merge(self, other: Self) -> Self:
        """Return the range of both samples."""
        self._require_same(other)
        if self.lower is None or self.upper is None:
            return other
        if other.lower is None or other.upper is None:
            return self
        return type(self)(min(self.lower, other.lower), max(self.upper, other.upper))

    def _map(self, x: FloatArray) -> FloatArray:
        if self.lower is None or self.upper is None:
            return np.full_like(x, _MIDDLE)
        if self.lower == self.upper:
            return np.asarray(_MIDDLE + np.sign(x - self.lower) / 2.0)
        half = self.upper / 2.0 - self.lower / 2.0  # halves, so that the widest range does not overflow
        inside = np.clip(x, self.lower, self.upper)
        return np.asarray((inside / 2.0 - self.lower / 2.0) / half)


@dataclass(frozen=True, slots=True)
class _Counted(Normaliser):
    """A normaliser whose state is counts in ordered places; a value maps to its mid-rank."""

    @abstractmethod
    def _place(self, x: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _counts(self) -> tuple[FloatArray, FloatArray]: ...

    def _map(self, x: FloatArray) -> FloatArray:
        places, counts = self._counts()
        total = counts.sum()
        if total == 0:
            return np.full_like(x, _MIDDLE)
        upto = np.concatenate([[0.0], np.cumsum(counts)])
        place = self._place(x)
        below = upto[np.searchsorted(places, place, side="left")]
        within = upto[np.searchsorted(places, place, side="right")]
        return np.asarray((below + within) / 2.0 / total)


def _added(one: Mapping[float, int], other: Mapping[float, int]) -> tuple[tuple[float, int], ...]:
    keys = sorted({*one, *other})
    return tuple((key, one.get(key, 0) + other.get(key, 0)) for key in keys)


def _counted(name: str, pairs: Any) -> tuple[tuple[float, int], ...]:
    try:
        counts = tuple((float(finite(name, place)), int(count)) for place, count in pairs)
    except (TypeError, ValueError):
        raise InvalidParameterError(name, pairs, "must be pairs of a place and a count") from None
    places = [place for place, _ in counts]
    if places != sorted(set(places)) or any(count < 1 for _, count in counts):
        raise InvalidParameterError(name, pairs, "must be rising places with counts >= 1")
    return counts


@dataclass(frozen=True, slots=True)
class Ecdf(_Counted):
    """The share of the data below a value, ties counted half (mid-rank): exact, and as large as its distinct values.

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
    laws: ClassVar[Laws] = Laws()

    counts: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", _counted("counts", self.counts))

    def _learn(self, x: FloatArray) -> Self:
        values, counts = np.unique(x + 0.0, return_counts=True)
        return self.merge(type(self)(tuple(zip(values.tolist(), counts.tolist(), strict=True))))

    def merge(self, other: Self) -> Self:
        """Return the counts of both samples."""
        self._require_same(other)
        return type(self)(_added(dict(self.counts), dict(other.counts)))

    def _place(self, x: FloatArray) -> FloatArray:
        return x

    def _counts(self) -> tuple[FloatArray, FloatArray]:
        table = np.array(self.counts, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


@dataclass(frozen=True, slots=True)
class FixedBins(_Counted):
    """Counts between fixed edges: a value maps to the mid-rank of its bin.

    Parameters
    ----------
    edges : tuple of float
        Rising; they make ``len(edges) + 1`` bins, the outer ones open. A value on an edge falls above it.
    counts : tuple of int, optional
        How often each bin was hit.

    Examples
    --------
    >>> FixedBins((3.0, 7.0)).update([1, 5, 5, 9]).normalise([2, 5, 100]).tolist()
    [0.125, 0.5, 0.875]
    """

    kind: ClassVar[str] = "fixed_bins"
    laws: ClassVar[Laws] = Laws()

    edges: tuple[float, ...]
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        edges = finite("edges", self.edges)
        if edges.ndim != 1 or not edges.size or not (np.diff(edges) > 0).all():
            raise InvalidParameterError("edges", self.edges, "must be rising numbers, at least one")
        counts = tuple(self.counts) or (0,) * (edges.size + 1)
        if len(counts) != edges.size + 1 or any(type(count) is not int or count < 0 for count in counts):
            raise InvalidParameterError("counts", self.counts, f"must be {edges.size + 1} counts >= 0")
        object.__setattr__(self, "edges", tuple(edges.tolist()))
        object.__setattr__(self, "counts", counts)

    def _learn(self, x: FloatArray) -> Self:
        hits = np.bincount(self._place(x).astype(np.int64), minlength=len(self.counts))
        return self.merge(replace(self, counts=tuple(hits.tolist())))

    def merge(self, other: Self) -> Self:
        """Return the counts of both samples, which must have the same edges."""
        self._require_same(other, "edges")
        return replace(self, counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def _place(self, x: FloatArray) -> FloatArray:
        return np.searchsorted(np.array(self.edges), x, side="right").astype(np.float64)

    def _counts(self) -> tuple[FloatArray, FloatArray]:
        return np.arange(len(self.counts), dtype=np.float64), np.array(self.counts, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LogBuckets(_Counted):
    r"""Counts in buckets whose edges grow by a constant ratio, :math:`\gamma = (1 + a)/(1 - a)`: any scale, few numbers.

    Parameters
    ----------
    accuracy : float
        Relative accuracy :math:`a` of a bucket, in (0, 1).
    counts : tuple of (float, int)
        Buckets, rising, and how often each was hit: 0 for zero; :math:`\pm(1 + \lceil \log_\gamma |x| \rceil + 2^{20})`
        for the others.

    Notes
    -----
    Source: Masson, Rim and Lee, DDSketch (2019); negative numbers have a mirrored set of buckets, and no bucket is
    ever joined with another, so that merging is exact.

    Examples
    --------
    >>> LogBuckets(0.01).update([1, 10, 1000]).normalise([0.1, 10, 5000]).round(3).tolist()
    [0.0, 0.5, 1.0]
    """

    kind: ClassVar[str] = "log_buckets"
    laws: ClassVar[Laws] = Laws()

    accuracy: float = 0.01
    counts: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", positive_scalar("accuracy", self.accuracy))
        if not 1e-3 <= self.accuracy < 1.0:
            raise InvalidParameterError("accuracy", self.accuracy, "must lie in [0.001, 1)")
        object.__setattr__(self, "counts", _counted("counts", self.counts))

    def _learn(self, x: FloatArray) -> Self:
        places, counts = np.unique(self._place(x), return_counts=True)
        return self.merge(replace(self, counts=tuple(zip(places.tolist(), counts.tolist(), strict=True))))

    def merge(self, other: Self) -> Self:
        """Return the counts of both samples, which must have the same accuracy."""
        self._require_same(other, "accuracy")
        return replace(self, counts=_added(dict(self.counts), dict(other.counts)))

    def _place(self, x: FloatArray) -> FloatArray:
        log_gamma = math.log1p(self.accuracy) - math.log1p(-self.accuracy)
        size = np.ceil(np.log(np.where(x == 0, 1.0, np.abs(x))) / log_gamma) + 2.0**20 + 1.0
        return np.where(x == 0, 0.0, np.copysign(size, x))

    def _counts(self) -> tuple[FloatArray, FloatArray]:
        table = np.array(self.counts, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]


KINDS: Final[Mapping[str, type[Normaliser]]] = {
    kind.kind: kind for kind in (Bounded, Logistic, MinMax, Ecdf, FixedBins, LogBuckets)
}
"""Every normaliser, by the name that its JSON form carries."""


def from_dict(description: Mapping[str, Any]) -> Normaliser:
    """Return the normaliser that ``to_dict`` described.

    Raises
    ------
    SerializationError
        For an unknown kind, or missing or unknown fields.
    InvalidParameterError
        For a field outside its domain.

    Examples
    --------
    >>> from_dict({"kind": "bounded", "lower": 0, "upper": 10})
    Bounded(lower=0.0, upper=10.0)
    """
    if not isinstance(description, Mapping):
        raise SerializationError("a normaliser must be a JSON object")
    name = description.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SerializationError(f"the normaliser {name!r} is unknown: expected one of {', '.join(KINDS)}")
    wanted = {field.name for field in fields(kind)}
    if wanted != set(description) - {"kind"}:
        raise SerializationError(f"the normaliser {name} has exactly the fields {', '.join(sorted(wanted))}")
    values = {name: tuple(x) if isinstance(x := description[name], list) else x for name in wanted}
    return kind(**values)


def from_json(text: str) -> Normaliser:
    """Return the normaliser that ``to_json`` wrote.

    Raises
    ------
    SerializationError
        For text that is not JSON, and as `from_dict`.

    Examples
    --------
    >>> state = Ecdf().update([1, 2])
    >>> from_json(state.to_json()) == state
    True
    """
    from soma import canonical_json  # noqa: PLC0415 - needed only when a file is read

    return from_dict(canonical_json.loads(text))  # type: ignore[arg-type]
