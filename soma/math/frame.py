"""Frames: the boxes that fractal coordinates divide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError, SerializationError
from soma.math.domain import FloatArray, finite

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Frame"]

BELOW_ONE: Final = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True, slots=True)
class Frame:
    r"""A half-open box :math:`[lower, upper) \subset R^d`: where coordinates live, chosen, never fitted to data.

    Parameters
    ----------
    lower, upper : sequence of float, length d
        Finite, lower < upper on every axis.

    Raises
    ------
    InvalidParameterError
        For ends that do not make a box.

    Examples
    --------
    >>> Frame((0.0, 0.0), (4.0, 2.0)).normalise([1.0, 1.0]).tolist()
    [0.25, 0.5]
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        lower, upper = finite("lower", self.lower), finite("upper", self.upper)
        if lower.ndim != 1 or lower.shape != upper.shape or not 1 <= lower.size <= 64:
            raise InvalidParameterError("upper", self.upper, "must have the 1 to 64 axes of lower")
        if not (lower < upper).all():
            raise InvalidParameterError("upper", self.upper, f"must be above lower = {self.lower} on every axis")
        with np.errstate(over="ignore"):
            is_measured = np.isfinite(upper - lower).all()
        if not is_measured:
            raise InvalidParameterError("upper", self.upper, "must be less than 1.8e308 above lower")
        object.__setattr__(self, "lower", tuple(lower.tolist()))
        object.__setattr__(self, "upper", tuple(upper.tolist()))

    def __str__(self) -> str:
        sides = zip(self.lower, self.upper, strict=True)
        return "the frame " + " x ".join(f"[{low:g}, {high:g})" for low, high in sides)

    @classmethod
    def unit(cls, dimension: int) -> Frame:
        """Return the box [0, 1)^d."""
        return cls((0.0,) * dimension, (1.0,) * dimension)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.lower)

    def contains(self, points: ArrayLike) -> bool:
        """Whether every point lies in the box."""
        array = _points(self, points)
        return bool(((array >= np.array(self.lower)) & (array < np.array(self.upper))).all())

    def normalise(self, points: ArrayLike) -> FloatArray:
        r"""Return points as :math:`x \in [0, 1)^d`; what rounds to 1 becomes the largest number below it.

        Parameters
        ----------
        points : array_like, shape (\*batch, d)
            In the box.

        Returns
        -------
        ndarray of float64, shape (\*batch, d)
            In [0, 1).

        Raises
        ------
        InvalidParameterError
            For a point outside the box.
        """
        array = _points(self, points)
        if not self.contains(array):
            raise InvalidParameterError("points", points, f"must lie in {self}")
        lower, upper = np.array(self.lower), np.array(self.upper)
        return np.asarray(np.minimum((array - lower) / (upper - lower), BELOW_ONE))

    def to_dict(self) -> dict[str, Any]:
        """Return the box as JSON values."""
        return {"lower": list(self.lower), "upper": list(self.upper)}

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> Frame:
        """Return the box that `to_dict` described.

        Raises
        ------
        SerializationError
            For missing or unknown fields, and for truth values.
        InvalidParameterError
            For ends that do not make a box.
        """
        if not isinstance(description, Mapping) or set(description) != {"lower", "upper"}:
            raise SerializationError("a frame has exactly the fields lower and upper")
        lower, upper = description["lower"], description["upper"]
        if any(isinstance(x, bool) for side in (lower, upper) if isinstance(side, Sequence) for x in side):
            raise SerializationError("the ends of a frame must be numbers, not truth values")
        return cls(lower, upper)


def _points(frame: Frame, points: ArrayLike) -> FloatArray:
    array = finite("points", points)
    if array.ndim == 0 or array.shape[-1] != frame.dimension:
        raise InvalidParameterError("points", array.shape, f"must have {frame.dimension} coordinates")
    return array
