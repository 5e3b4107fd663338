r"""Scales of time: under exponential decay no memory overtakes another, and so the place of each has an address.

A memory of weight :math:`w_i` without decay is worth :math:`w_i 2^{-(now - t_i)/h} = 2^{\kappa_i - now/h}`: time takes
the same number from all :math:`\kappa`. The whole part of :math:`\kappa` names a band, one half-life wide; two bands
are one of the next level, as two halves of a cell are.

>>> kappa = forward_key([1.0, 8.0, 1.0], [0.0, 0.0, 3600.0], half_life_s=1200.0)
>>> kappa.tolist()
[0.0, 3.0, 3.0]
>>> time_band(kappa).tolist(), time_band(kappa, level=1).tolist()
([0, 3, 3], [0, 1, 1])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite, non_negative, positive_scalar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["forward_key", "time_band"]

MAX_LEVEL = 62
_FARTHEST = 2.0**53  # a whole number beyond has no neighbours among the doubles, and no band


def forward_key(weight: ArrayLike, time_s: ArrayLike, half_life_s: float) -> FloatArray:
    r"""Return what of a decaying weight does not change with time, in half-lives.

    .. math:: \kappa = \log_2 w + t/h, \quad w\,2^{-(now - t)/h} = 2^{\kappa - now/h}

    Parameters
    ----------
    weight : array_like, shape (\*batch,)
        Weight without decay :math:`w`, such as importance to some power: finite, >= 0.
    time_s : array_like, broadcast with it
        When each memory began to fade :math:`t`, POSIX seconds, finite.
    half_life_s : float
        Half-life :math:`h`, seconds, > 0.

    Returns
    -------
    ndarray of float64, shape (\*batch,)
        Of two memories the greater :math:`\kappa` has the greater weight, at every time after both; -infinity for a
        weight of 0. Its last digit is worth about :math:`10^{-16} t/h` half-lives.

    Raises
    ------
    InvalidParameterError
        Outside the domain; NaN counts as outside.

    Notes
    -----
    Source: forward decay (Cormode et al. 2009). Laws: ``property_tests/math/test_time_bands.py``.

    Examples
    --------
    >>> forward_key([1.0, 0.5, 0.0], 60.0, half_life_s=60.0).tolist()
    [1.0, 0.0, -inf]
    """
    weights, times = non_negative("weight", finite("weight", weight)), finite("time_s", time_s)
    half_life = positive_scalar("half_life_s", half_life_s)
    try:
        np.broadcast_shapes(weights.shape, times.shape)
    except ValueError:
        raise InvalidParameterError("time_s", times.shape, f"must broadcast with weights of {weights.shape}") from None
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(weights) + times / half_life)


def time_band(kappa: ArrayLike, level: int = 0) -> NDArray[np.int64]:
    r"""Return the band of each memory: :math:`\lfloor \kappa / 2^l \rfloor`.

    Parameters
    ----------
    kappa : array_like, shape (\*batch,)
        Of `forward_key`: finite, so of weights above 0.
    level : int
        How coarse :math:`l`: a band is :math:`2^l` half-lives wide; 0 to 62.

    Returns
    -------
    ndarray of int64, shape (\*batch,)
        Weights in one band differ by less than the factor :math:`2^{2^l}`, at every time. The band of the next level is
        the half of it, rounded down: ``band >> 1``. A half-life later the same weight lies one band higher.

    Raises
    ------
    InvalidParameterError
        Outside the domain, and beyond 2^53, where a double tells no two half-lives apart.

    Notes
    -----
    Laws: ``property_tests/math/test_time_bands.py``.

    Examples
    --------
    >>> time_band([-0.5, 0.0, 5.5], level=2).tolist()
    [-1, 0, 1]
    """
    keys = finite("kappa", kappa)
    if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= MAX_LEVEL:
        raise InvalidParameterError("level", level, f"must be an integer from 0 to {MAX_LEVEL}")
    if (np.abs(keys) > _FARTHEST).any():
        raise InvalidParameterError("kappa", kappa, "must be within 2^53 half-lives of 0")
    return np.asarray(np.floor(keys)).astype(np.int64) >> level
