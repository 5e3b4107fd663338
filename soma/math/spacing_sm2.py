"""SM-2: intervals that grow by a factor of easiness, whole days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["SM2State", "sm2_review"]

_MOST_RECALLED: Final = 2**53
_LEAST_EASINESS: Final = 1.3
_PASSED: Final = 3
_JUST_BELOW_1: Final = 1.0 - 1e-12  # 5 x 2.8 comes out above 14, and must not be rounded up to 15
_MOST_DAYS: Final = 1e300  # so that intervals stay finite


@final
@dataclass(frozen=True, slots=True, eq=False)
class SM2State:
    r"""What SM-2 knows of each item; as it stands, of an item before its first review.

    Parameters
    ----------
    n_recalled : array_like of int, shape (\*batch,)
        Reviews passed in a row, 0 to 2^53: as far as doubles count.
    interval_s : array_like, shape (\*batch,)
        Time until the next review, seconds, >= 0.
    easiness : array_like, shape (\*batch,)
        The E-factor, dimensionless, >= 1.3.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.
    """

    n_recalled: NDArray[np.int64] | int = 0
    interval_s: FloatArray | float = 0.0
    easiness: FloatArray | float = 2.5

    def __post_init__(self) -> None:
        n = non_negative("n_recalled", self.n_recalled)
        if not ((n <= _MOST_RECALLED) & (n == np.floor(n))).all():
            raise InvalidParameterError("n_recalled", self.n_recalled, "must be whole numbers up to 2**53")
        interval = non_negative("interval_s", self.interval_s)
        if not np.isfinite(interval).all():
            raise InvalidParameterError("interval_s", self.interval_s, "must be finite")
        easiness = finite("easiness", self.easiness)
        if not (easiness >= _LEAST_EASINESS).all():
            raise InvalidParameterError("easiness", self.easiness, f"must be at least {_LEAST_EASINESS}")
        object.__setattr__(self, "n_recalled", n.astype(np.int64))
        object.__setattr__(self, "interval_s", interval)
        object.__setattr__(self, "easiness", easiness)


def sm2_review(state: SM2State, quality: ArrayLike, *, failure_changes_easiness: bool = True) -> SM2State:
    r"""Return the state of items after one more review.

    .. math:: E' = \max(1.3,\; E + 0.1 - (5 - q)(0.08 + 0.02 (5 - q)))

    and an interval of 1 day, 6 days, then :math:`\lceil I E' \rceil`; a failure, q < 3, starts again at 1 day.

    Parameters
    ----------
    state : SM2State
        The state before, broadcastable to (\*batch,); ``SM2State()`` for a first review.
    quality : array_like, shape (\*batch,)
        The quality of the answer :math:`q`: 0, 1, 2, 3, 4 or 5.
    failure_changes_easiness : bool
        The specification says both that E changes after each review, and that a failure leaves it as it is.

    Returns
    -------
    SM2State
        Of shape (\*batch,).

    Raises
    ------
    InvalidParameterError
        For another quality, or shapes that do not fit.

    Notes
    -----
    An interval that is a whole number but for rounding is not rounded up. Source: Wozniak 1990. Laws:
    ``property_tests/math/test_spacing_sm2.py``.

    Examples
    --------
    >>> state, days = SM2State(), []
    >>> for quality in (4, 4, 4, 4, 2, 4):
    ...     state = sm2_review(state, quality)
    ...     days.append(float(state.interval_s) / 86_400.0)
    >>> days, round(float(state.easiness), 2)
    ([1.0, 6.0, 15.0, 38.0, 1.0, 1.0], 2.18)
    """
    q = finite("quality", quality)
    if not np.isin(q, range(6)).all():
        raise InvalidParameterError("quality", quality, "must be 0, 1, 2, 3, 4 or 5")
    try:
        q, n, interval, before = np.broadcast_arrays(q, state.n_recalled, state.interval_s, state.easiness)
    except ValueError:
        raise InvalidParameterError("quality", quality, "must broadcast with the state") from None
    missing, is_recalled = 5.0 - q, q >= _PASSED
    easiness = np.maximum(before + (0.1 - missing * (0.08 + missing * 0.02)), _LEAST_EASINESS)
    if not failure_changes_easiness:
        easiness = np.where(is_recalled, easiness, before)
    grown = np.clip(np.ceil(interval / DAY * easiness * _JUST_BELOW_1), 1.0, _MOST_DAYS)
    days = np.where(is_recalled, np.select([n == 0, n == 1], [1.0, 6.0], grown), 1.0)
    return SM2State(np.where(is_recalled, np.minimum(n + 1, _MOST_RECALLED), 0), days * DAY, easiness)
