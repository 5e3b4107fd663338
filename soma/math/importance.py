"""Importance, from a raw number of any scale to [0, 1]: normalisers as values, with their laws as data.

A normaliser learns from batches, merges with another of the same settings, and maps. What holds for a class is
stated as `Laws` beside it, and tested from that statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, positive_scalar
from soma.math.importance_base import TIED, Laws, Normaliser, between, read_dict, read_json, share
from soma.math.importance_ranked import Ecdf, FixedBins, LogBuckets, Winsorised

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
    "Winsorised",
    "from_dict",
    "from_json",
]


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
        return share(x, self.lower, self.upper)


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
        return between(x, self.lower, self.upper)


KINDS: Final[Mapping[str, type[Normaliser]]] = {
    kind.kind: kind for kind in (Bounded, Logistic, MinMax, Winsorised, Ecdf, FixedBins, LogBuckets)
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
    return read_dict(description, KINDS)


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
    return read_json(text, KINDS)
