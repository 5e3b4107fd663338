"""What FSRS knows of items, and what it lets in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, positive
from soma.math.spacing_formulas import EASIEST, HARDEST
from soma.math.spacing_versions import Grade

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReviewState"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class ReviewState:
    r"""What FSRS knows of each item after a review.

    Parameters
    ----------
    stability_s : array_like, shape (\*batch,)
        Stability :math:`S`: the time at which recall is 0.9, seconds, > 0.
    difficulty : array_like, shape (\*batch,)
        Difficulty :math:`D`, dimensionless, in [1, 10].
    last_review_s : array_like, shape (\*batch,)
        When the review was, POSIX seconds.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.
    """

    stability_s: FloatArray
    difficulty: FloatArray
    last_review_s: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "stability_s", positive("stability_s", self.stability_s))
        object.__setattr__(self, "difficulty", difficulties(self.difficulty))
        object.__setattr__(self, "last_review_s", finite("last_review_s", self.last_review_s))


def difficulties(value: ArrayLike) -> FloatArray:
    """Return difficulties as float64, or raise unless every one lies in [1, 10]."""
    array = finite("difficulty", value)
    if not ((array >= EASIEST) & (array <= HARDEST)).all():
        raise InvalidParameterError("difficulty", value, "must lie in [1, 10]")
    return array


def grades(parameter: str, value: ArrayLike) -> NDArray[np.int8]:
    """Return grades as small integers, or raise unless every one is 1, 2, 3 or 4."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        array = finite(parameter, value)
    if array.size and not (array.min() >= Grade.AGAIN and array.max() <= Grade.EASY):
        raise InvalidParameterError(parameter, value, "must be 1, 2, 3 or 4")
    whole = array.astype(np.int8)
    if array.dtype.kind == "f" and not (whole == array).all():
        raise InvalidParameterError(parameter, value, "must be 1, 2, 3 or 4")
    return whole


def broadcast(*, grade: ArrayLike, **arrays: FloatArray) -> tuple[Any, ...]:
    """Return arrays of one shape, the grades last, or raise."""
    checked: list[NDArray[Any]] = [*arrays.values(), grades("grade", grade)]
    try:
        return np.broadcast_arrays(*checked)
    except ValueError:
        shapes = tuple(array.shape for array in checked)
        raise InvalidParameterError(", ".join([*arrays, "grade"]), shapes, "must broadcast together") from None
