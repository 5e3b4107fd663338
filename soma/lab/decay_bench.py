"""The leaderboard of models of reviews: each predicts what comes after what it has learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.lab.review_models import MODELS, ReviewModel
from soma.math.review_scores import area_under_curve, bins_error, log_losses, time_splits

if TYPE_CHECKING:
    from soma.lab.reviews import ReviewLog
    from soma.math.domain import FloatArray

__all__ = ["Standing", "leaderboard"]

LEAST_EVENTS: Final = 120


@dataclass(frozen=True, slots=True)
class Standing:
    """One row of the leaderboard.

    Parameters
    ----------
    model : str
        The model's name.
    params : int
        Numbers that it learns from a log.
    log_loss : float
        Mean surprise of the test events.
    rmse_bins : float
        Calibration: `soma.math.review_scores.bins_error`.
    auc : float
        Area under the curve.
    n_events : int
        Test events.
    behind : float
        Its log loss less that of the first model of the table.
    behind_low, behind_high : float
        Of that difference the 95 % interval: items are drawn again, all events of an item together.
    """

    model: str
    params: int
    log_loss: float
    rmse_bins: float
    auc: float
    n_events: int
    behind: float
    behind_low: float
    behind_high: float

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def leaderboard(
    log: ReviewLog,
    *,
    models: Iterable[ReviewModel] = MODELS,
    n_splits: int = 5,
    n_draws: int = 1_000,
    rng: np.random.Generator,
) -> list[Standing]:
    """Return the models by rising log loss.

    Parameters
    ----------
    log : ReviewLog
        The reviews.
    models : iterable of ReviewModel
        The contenders; all that there are by default.
    n_splits : int
        Tests; each is predicted from all scored reviews before it.
    n_draws : int
        Draws of the bootstrap, >= 1.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    list of Standing
        One for each model.

    Raises
    ------
    InvalidParameterError
        For fewer than 120 scored reviews.

    Notes
    -----
    Laws: ``property_tests/lab/test_decay_bench.py``.
    """
    n = len(log.rows)
    if n < LEAST_EVENTS:
        raise InvalidParameterError(
            "log", n, f"must hold at least {LEAST_EVENTS} reviews that are a day after the one before"
        )
    splits = list(time_splits(n, n_splits))
    tested = slice(splits[0][1].start, n)
    outcome, seen = log.outcome[tested], log.scored.at(tested)
    found = []
    for model in models:
        p = np.concatenate([model.predict(log, train, test) for train, test in splits])
        found.append((model, p, log_losses(outcome, p)))
    found.sort(key=lambda one: float(one[2].mean()))
    best = found[0][2]
    draws = list(_draws(log.item[log.rows[tested]], n_draws, rng))
    standings = []
    for model, p, losses in found:
        differences = [float(weights @ (losses - best) / weights.sum()) for weights in draws]
        low, high = np.quantile(differences, [0.025, 0.975])
        standings.append(
            Standing(
                model.name,
                model.n_params,
                float(losses.mean()),
                bins_error(outcome, p, seen),
                area_under_curve(outcome, p),
                len(outcome),
                float((losses - best).mean()),
                float(low),
                float(high),
            )
        )
    return standings


def _draws(items: Any, n_draws: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield how often each event counts when items are drawn with replacement."""
    _, place = np.unique(items, return_inverse=True)
    n = int(place.max()) + 1
    for _ in range(n_draws):
        yield np.bincount(rng.integers(n, size=n), minlength=n)[place].astype(np.float64)
