"""What every normaliser is: a value that learns, merges and maps, and what it states of itself."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "MAX_COUNT",
    "TIED",
    "Laws",
    "Normaliser",
    "Scale",
    "along",
    "as_number",
    "between",
    "listed",
    "read_dict",
    "read_json",
    "share",
]

TIED: Final = 0.5
"""What a fitted normaliser gives where it has nothing to tell apart: no data yet, or a sample of one value."""

MAX_COUNT: Final = 2**53 - 1
"""The largest total that a double and JSON count exactly."""

_MAX_BYTES: Final = 64_000_000  # an `Ecdf` is as large as its distinct values


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
    nearly_mergeable : bool
        Merged states map as the state of both samples, within the error that the class states; none states rounding.
    is_fitted : bool
        It learns from data; without, updates change nothing.
    """

    monotone: bool = True
    bounded: bool = True
    order_independent: bool = True
    mergeable: bool = True
    exactly_mergeable: bool = True
    nearly_mergeable: bool = True
    is_fitted: bool = True


@dataclass(frozen=True, slots=True)
class Scale(ABC):
    """A map from raw importance to [0, 1], as a value that merges and is written as JSON."""

    kind: ClassVar[str]
    laws: ClassVar[Laws]
    settings: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _map(self, x: FloatArray) -> FloatArray: ...

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
        return {"kind": self.kind, **{f.name: listed(getattr(self, f.name)) for f in fields(self)}}

    def to_json(self) -> str:
        """Return the kind, the settings and what was learned, as JSON."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def _join(self, other: Self) -> Self:  # noqa: ARG002 - a fixed scale joins only its equal
        return self

    def _set_numbers(self, *names: str) -> None:
        for name in names:
            object.__setattr__(self, name, as_number(name, getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Normaliser(Scale):
    """A scale that learns from raw importance alone, or not at all.

    Notes
    -----
    Laws: ``property_tests/math/test_importance.py``.
    """

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

    def _learn(self, x: FloatArray) -> Self:  # noqa: ARG002 - a fixed scale learns nothing
        return self


_AnyScale = TypeVar("_AnyScale", bound=Scale)


def read_dict(description: Mapping[str, Any], kinds: Mapping[str, type[_AnyScale]]) -> _AnyScale:
    """Return what ``to_dict`` described, one of ``kinds``, or raise."""
    name = description.get("kind") if isinstance(description, Mapping) else None
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SerializationError(f"the normaliser {name!r} is unknown: expected one of {', '.join(kinds)}")
    wanted, given = {f.name for f in fields(kind)}, set(description) - {"kind"}
    if wanted != given:
        wrong = ", ".join(sorted(map(str, wanted ^ given)))
        raise SerializationError(f"the normaliser {name} has exactly {sorted(wanted)}, but {wrong} differs")
    return kind(**{key: description[key] for key in wanted})


def read_json(text: str, kinds: Mapping[str, type[_AnyScale]]) -> _AnyScale:
    """Return what ``to_json`` wrote, one of ``kinds``, or raise."""
    from soma import canonical_json  # noqa: PLC0415 - keeps the normalisers free of it until a file is read

    return read_dict(canonical_json.loads(text, max_bytes=_MAX_BYTES), kinds)  # type: ignore[arg-type]


def listed(value: Any) -> Any:
    """Return tuples as lists, at any depth."""
    return [listed(x) for x in value] if isinstance(value, tuple) else value


def as_number(parameter: str, value: Any) -> float:
    """Return one finite number, with one zero, or raise."""
    array = finite(parameter, value)
    if array.ndim != 0:
        raise InvalidParameterError(parameter, value, "must be one number")
    return float(array) + 0.0


def share(x: FloatArray, lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """Return (x - lower) / (upper - lower), cut to [0, 1], for lower < upper however far apart."""
    low, high = np.asarray(lower), np.asarray(upper)
    inside = np.clip(x, low, high)
    with np.errstate(over="ignore"):
        is_far = bool(np.isinf(high - low))
    if is_far:
        inside, low, high = inside / 2.0, low / 2.0, high / 2.0
    return np.asarray((inside - low) / (high - low))


def between(x: FloatArray, lower: float, upper: float) -> FloatArray:
    """Return `share`, and for lower = upper `TIED` there, 0 below and 1 above."""
    if lower == upper:
        return np.asarray(TIED + TIED * ((x > lower) * 1.0 - (x < lower)))
    return share(x, lower, upper)


def along(x: FloatArray, at: FloatArray, leaving: FloatArray, entering: FloatArray) -> FloatArray:
    """Return lines from (at[i], leaving[i]) to (at[i + 1], entering[i + 1]), constant beyond the ends.

    It is monotone in doubles too, where the knots rise strictly and the values rise in the order of that path.
    """
    inside = np.clip(x, at[0], at[-1])
    left = np.searchsorted(at, inside, side="right") - 1
    right = np.minimum(left + 1, at.size - 1)
    lower, upper = at[left], at[right]
    with np.errstate(over="ignore"):
        unit = np.where(np.isinf(upper - lower), 0.5, 1.0)
    run = upper * unit - lower * unit
    part = np.divide(inside * unit - lower * unit, run, out=np.zeros_like(inside), where=run > 0.0)
    # rounding may carry a line a bit above its right end, where it would fall
    return np.asarray(np.minimum(leaving[left] + (entering[right] - leaving[left]) * part, entering[right]))
