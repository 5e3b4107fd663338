"""A forgetting curve from a log of reviews, with intervals over its items."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.fitting import FitResult, Intervals, bootstrap, fit_curve
from soma.math.review_scores import log_losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from soma.lab.reviews import ReviewLog
    from soma.math.decay_family import Family

__all__ = ["FittedCurve", "fit_reviews"]

LEAST_REVIEWS: Final = 20
"""From fewer, an interval says nothing."""


@dataclass(frozen=True, slots=True)
class FittedCurve:
    """A forgetting curve, and what a log says of it.

    Parameters
    ----------
    fit : FitResult
        Of all its scored reviews.
    intervals : Intervals
        Over items drawn again, all reviews of an item together.
    log_loss : float
        Mean surprise of the reviews that it was fitted to, nats.
    base_log_loss : float
        That of one probability for all: a curve that is not below it says nothing.
    n_items : int
        Items with a scored review.
    """

    fit: FitResult
    intervals: Intervals
    log_loss: float
    base_log_loss: float
    n_items: int

    @property
    def curve(self) -> Family:
        """The curve."""
        return decay.from_dict({"family": self.fit.model, **self.fit.params})

    def to_dict(self) -> dict[str, Any]:
        """Return what was found as JSON values."""
        return {
            "curve": self.curve.to_dict(),
            "converged": self.fit.converged,
            "message": self.fit.message,
            **self.intervals.to_dict(),
            "log_loss": self.log_loss,
            "base_log_loss": self.base_log_loss,
            "n_reviews": self.fit.n,
            "n_items": self.n_items,
        }


def fit_reviews(
    log: ReviewLog,
    family: str,
    *,
    rng: np.random.Generator,
    n_resamples: int = 200,
    level: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
) -> FittedCurve:
    """Return the forgetting curve of a family under which a log's outcomes are likeliest.

    The time is that since the review before, in whole days, and the outcome whether the review succeeded: every review
    counts that came at least a day after the one before.

    Parameters
    ----------
    log : ReviewLog
        The reviews.
    family : str
        One of `soma.math.decay.FAMILIES` that has parameters.
    rng : numpy.random.Generator
        Draws the items.
    n_resamples : int
        Resamples, >= 2.
    level : float
        Coverage, in (0, 1).
    progress : callable, optional
        Called after each resample with the number that is done, and the number there will be.

    Returns
    -------
    FittedCurve
        The same for the same generator.

    Raises
    ------
    InvalidParameterError
        For fewer than 20 scored reviews, an unknown family, one that the log does not determine, or outside the domain.

    Notes
    -----
    One curve for all items: `soma.lab.decay_bench` says how far it is behind models that look at each item's history.
    Laws: ``property_tests/lab/test_review_fits.py``.
    """
    if len(log.rows) < LEAST_REVIEWS:
        raise InvalidParameterError(
            "log", len(log.rows), f"must hold at least {LEAST_REVIEWS} reviews that are a day after the one before"
        )
    outcome, item = log.outcome, log.item[log.rows]
    days, place = np.unique(log.scored.elapsed_s, return_inverse=True)

    def fit(rows: NDArray[np.int64]) -> FitResult:
        n_trials = np.bincount(place[rows], minlength=len(days))
        n_recalled = np.bincount(place[rows], weights=outcome[rows], minlength=len(days))
        asked = n_trials > 0
        return fit_curve(family, days[asked], n_recalled[asked].astype(np.int64), n_trials=n_trials[asked])

    found = fit(np.arange(len(outcome)))
    if not found.converged:
        raise InvalidParameterError("family", family, f"must be one that the log determines ({found.message})")
    n_done = itertools.count(1)

    def again(rows: NDArray[np.int64]) -> FitResult:
        result = fit(rows)
        if progress is not None:
            progress(next(n_done), n_resamples)
        return result

    intervals = bootstrap(again, item, rng=rng, n_resamples=n_resamples, level=level)
    curve = decay.from_dict({"family": found.model, **found.params})
    return FittedCurve(
        found,
        intervals,
        float(log_losses(outcome, curve.value(log.scored.elapsed_s)).mean()),
        float(log_losses(outcome, np.full(len(outcome), outcome.mean())).mean()),
        len(np.unique(item)),
    )
