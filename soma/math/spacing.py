"""Spacing: what reviews do to memory, and when to review again; continuous time, whole arrays of items at once.

Three models, oldest first: SM-2 (`sm2_review`), half-life regression (`HalfLifeRegression`), and FSRS (`FSRS`) in its
versions 4, 4.5, 5 and 6, which are one family with different rules (`RULES`) and weights (`DEFAULT_WEIGHTS`). `replay`
takes whole review histories through FSRS. Times are in seconds; weights and formulas are in days, as published.

>>> from soma.math.units import DAY
>>> model = FSRS.published("6")
>>> state = model.start([Grade.AGAIN, Grade.GOOD, Grade.EASY], 0.0)
>>> model.retrievability(3.0 * DAY, state.stability_s).round(2).tolist()
[0.66, 0.88, 0.95]
>>> (model.interval_s(0.9, state.stability_s) / DAY).round(2).tolist()
[0.21, 2.31, 8.3]

Laws: ``property_tests/math/test_spacing.py``, ``test_spacing_replay.py``, ``test_spacing_sm2.py`` and
``test_spacing_half_life.py``.
"""

from __future__ import annotations

from soma.math.spacing_fit import fit_fsrs
from soma.math.spacing_fsrs import FSRS
from soma.math.spacing_half_life import MAX_HALF_LIFE_S, MIN_HALF_LIFE_S, HalfLifeRegression
from soma.math.spacing_replay import Replay, replay
from soma.math.spacing_sm2 import SM2State, sm2_review
from soma.math.spacing_state import ReviewState
from soma.math.spacing_versions import DEFAULT_WEIGHTS, RULES, WEIGHT_DOMAIN, Grade, Rules, Version

__all__ = [
    "DEFAULT_WEIGHTS",
    "FSRS",
    "MAX_HALF_LIFE_S",
    "MIN_HALF_LIFE_S",
    "RULES",
    "WEIGHT_DOMAIN",
    "Grade",
    "HalfLifeRegression",
    "Replay",
    "ReviewState",
    "Rules",
    "SM2State",
    "Version",
    "fit_fsrs",
    "replay",
    "sm2_review",
]
