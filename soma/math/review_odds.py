r"""The odds of recall from what is plain to see in a history: soma's own model of reviews.

Forgetting is a power law in the odds: :math:`\ln t` enters the log-odds linearly, as in ACT-R. What a learner has shown
sets its height: the longest interval survived, the share of lapses, and how much work the last sitting took.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.review_history import ReviewHistory
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ReviewOdds"]

SHORTEST_S: Final = 0.5 * DAY
"""A shorter time counts as this: within a day people do not forget by the clock."""


@final
@dataclass(frozen=True, slots=True)
class ReviewOdds:
    r"""Recall as a logistic function of nine numbers.

    .. math::

        \ln \frac{P}{1 - P} = b_0 + b_1 \ln t + b_2 \ln(1 + m) + b_3 \ln(1 + l) + b_4 q + b_5 k + b_6 n
        + b_7 u + b_8 \bar u

    with the time t since the last review, the longest interval m that was survived and the last one l (days), the share
    q of lapses, the reviews k of the last sitting, the number n of reviews, and the logarithmic duration u of the last
    answer and of the mean one. A sign is not forced: a log decides.

    Parameters
    ----------
    intercept, log_elapsed, log_longest, log_last_interval, lapse_share, n_sitting, n_reviews : float
        Weights, finite.
    last_log_duration, mean_log_duration : float
        Weights of the durations, finite; 0 for a log without any.

    Raises
    ------
    InvalidParameterError
        For a weight that is not finite.

    Notes
    -----
    Laws: ``property_tests/math/test_review_odds.py``; how it was chosen: ``docs/explanation/reviews.md``.

    Examples
    --------
    >>> from soma.math.review_history import review_history
    >>> seen = review_history([1, 1, 1], [0.0, 86_400.0, 5 * 86_400.0], [True, True, True])
    >>> ReviewOdds(intercept=2.0, log_elapsed=-1.0).retrievability(seen).round(3).tolist()
    [nan, 0.881, 0.649]
    """

    intercept: float
    log_elapsed: float
    log_longest: float = 0.0
    log_last_interval: float = 0.0
    lapse_share: float = 0.0
    n_sitting: float = 0.0
    n_reviews: float = 0.0
    last_log_duration: float = 0.0
    mean_log_duration: float = 0.0

    def __post_init__(self) -> None:
        finite("weights", list(asdict(self).values()))

    def retrievability(self, history: ReviewHistory) -> FloatArray:
        r"""Return the probability of recall at each review.

        Parameters
        ----------
        history : ReviewHistory
            Of n reviews.

        Returns
        -------
        ndarray of float64, shape (n,)
            In [0, 1]; NaN at a first review.
        """
        from scipy.special import expit  # noqa: PLC0415 - `import soma` loads NumPy alone

        weights = np.array(list(asdict(self).values()))
        return np.asarray(expit(weights[0] + _features(history) @ weights[1:]), dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return the weights as JSON values."""
        return asdict(self)

    @classmethod
    def fit(cls, history: ReviewHistory, is_recalled: ArrayLike, *, ridge: float = 1.0) -> ReviewOdds:
        r"""Return the model of the greatest penalised likelihood.

        .. math:: \sum_j \ln P(y_j) - \lambda \sum_i (b_i \sigma_i)^2

        with the deviation :math:`\sigma_i` of each feature, so that units do not matter.

        Parameters
        ----------
        history : ReviewHistory
            Of n reviews, none of them a first.
        is_recalled : array_like of bool, shape (n,)
            Whether each succeeded.
        ridge : float
            Penalty :math:`\lambda`, >= 0.

        Returns
        -------
        ReviewOdds
            A feature that is constant has the weight 0.

        Raises
        ------
        InvalidParameterError
            For fewer than 20 reviews, a first one among them, outcomes that are all alike, or a negative penalty.
        """
        from scipy.optimize import minimize  # noqa: PLC0415 - `import soma` loads NumPy alone

        features, outcome = _features(history), np.asarray(is_recalled)
        if outcome.dtype != np.bool_ or outcome.shape != features.shape[:1]:
            raise InvalidParameterError("is_recalled", outcome.shape, f"must be {len(features)} truth values")
        if len(outcome) < 20 or not np.isfinite(features).all():
            raise InvalidParameterError("history", len(outcome), "must hold at least 20 reviews, and no first one")
        if outcome.all() or not outcome.any():
            raise InvalidParameterError("is_recalled", bool(outcome[0]), "must hold successes and failures")
        if not 0.0 <= ridge < np.inf:
            raise InvalidParameterError("ridge", ridge, "must be finite and >= 0")
        mean, deviation = features.mean(axis=0), features.std(axis=0)
        is_constant = deviation <= 1e-12 * (1.0 + np.abs(mean))
        scale = np.where(is_constant, 1.0, deviation)
        design = np.column_stack([np.ones(len(outcome)), np.where(is_constant, 0.0, (features - mean) / scale)])
        penalty = np.full(design.shape[1], ridge)
        penalty[0] = 0.0

        def loss(b: FloatArray) -> tuple[float, FloatArray]:
            z = design @ b
            value = np.logaddexp(0.0, z).sum() - z[outcome].sum() + penalty @ b**2
            slope = design.T @ (1.0 / (1.0 + np.exp(-z)) - outcome) + 2.0 * penalty * b
            return float(value) / len(z), slope / len(z)

        start = np.zeros(design.shape[1])
        start[0] = np.log(outcome.mean() / (1.0 - outcome.mean()))
        found = minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1_000}
        )
        weights = np.where(is_constant, 0.0, found.x[1:] / scale)
        return cls(float(found.x[0] - weights @ mean), *map(float, weights))


def _features(history: ReviewHistory) -> FloatArray:
    """Return what the weights multiply, shape (n, 8), in their order."""
    return np.column_stack(
        [
            np.log(np.maximum(history.elapsed_s, SHORTEST_S) / DAY),
            np.log1p(history.longest_s / DAY),
            np.log1p(history.last_interval_s / DAY),
            history.lapse_share,
            history.n_sitting,
            history.n_reviews,
            history.last_log_duration,
            history.mean_log_duration,
        ]
    )
