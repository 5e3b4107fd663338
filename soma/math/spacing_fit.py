"""Weights of FSRS from a review log: penalised maximum likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.spacing_fsrs import FSRS
from soma.math.spacing_replay import replay
from soma.math.spacing_versions import WEIGHT_DOMAIN, Version

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["fit_fsrs"]

LEAST: Final = 1e-5
STEP: Final = 1e-4


def fit_fsrs(
    version: Version,
    item: ArrayLike,
    time_s: ArrayLike,
    grade: ArrayLike,
    *,
    penalty: float = 5.0,
    whole_days: bool = False,
    max_rounds: int = 100,
) -> FSRS:
    r"""Return the weights under which a log is likeliest, held near the published ones.

    .. math:: -\sum_j \ln P(y_j) + \lambda \sum_i \left(\frac{w_i - w_i^0}{|w_i^0|/2 + .05}\right)^2

    over the reviews at least a day after the one before.

    Parameters
    ----------
    version : {"4", "4.5", "5", "6"}
        The version.
    item, time_s, grade : array_like, shape (n,)
        The log, as for `replay`.
    penalty : float
        Weight :math:`\lambda` of the distance from the published weights, >= 0; without it a short log is learnt by
        heart.
    whole_days : bool
        Whether to count only the whole days between reviews.
    max_rounds : int
        Most rounds of the optimiser, >= 1.

    Returns
    -------
    FSRS
        Each weight within its domain.

    Raises
    ------
    InvalidParameterError
        Outside the domain, or for a log without a review that is a day after the one before.

    Notes
    -----
    L-BFGS-B with gradients by central differences: seconds for ten thousand reviews. Laws:
    ``property_tests/math/test_spacing_fit.py``.

    Examples
    --------
    >>> days = [0.0, 1.0, 3.0, 9.0, 20.0]
    >>> fitted = fit_fsrs("6", [7] * 5, [86_400.0 * day for day in days], [3, 3, 3, 1, 3], max_rounds=3)
    >>> len(fitted.weights), fitted != FSRS.published("6")
    (21, True)
    """
    from scipy.optimize import Bounds, minimize  # noqa: PLC0415 - `import soma` loads NumPy alone

    if not 0.0 <= penalty < np.inf:
        raise InvalidParameterError("penalty", penalty, "must be finite and >= 0")
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
        raise InvalidParameterError("max_rounds", max_rounds, "must be an integer >= 1")
    published = np.array(FSRS.published(version).weights)
    domain = np.array(WEIGHT_DOMAIN[: len(published)], dtype=np.float64)
    scale = np.abs(published) / 2.0 + 0.05
    is_scored = replay(FSRS.published(version), item, time_s, grade, whole_days=whole_days).is_scored
    is_recalled = finite("grade", grade)[is_scored] > 1
    if not is_scored.any():
        raise InvalidParameterError("time_s", len(is_scored), "must hold a review at least a day after the one before")

    def loss(weights: FloatArray) -> float:
        seen = replay(FSRS(version, tuple(weights.tolist())), item, time_s, grade, whole_days=whole_days)
        p = np.clip(seen.retrievability[is_scored], LEAST, 1.0 - LEAST)
        likelihood = -np.where(is_recalled, np.log(p), np.log1p(-p)).sum()
        away = (weights - published) / scale
        return float(likelihood + penalty * away @ away) / len(p)

    def slope(weights: FloatArray) -> FloatArray:
        found = np.empty(len(weights))
        for i, step in enumerate(STEP * scale):
            low, high = weights.copy(), weights.copy()
            low[i], high[i] = max(domain[i, 0], low[i] - step), min(domain[i, 1], high[i] + step)
            found[i] = (loss(high) - loss(low)) / (high[i] - low[i])
        return found

    bounds = Bounds(domain[:, 0], domain[:, 1])
    found = minimize(loss, published, jac=slope, method="L-BFGS-B", bounds=bounds, options={"maxiter": max_rounds})
    return FSRS(version, tuple(np.clip(found.x, domain[:, 0], domain[:, 1]).tolist()))
