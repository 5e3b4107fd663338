"""FSRS: one family of models of stability and difficulty, of which each published version is a member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.decay_models import Power
from soma.math.domain import FloatArray, finite, non_negative, positive, positive_scalar, unit_interval
from soma.math.spacing_formulas import Formulas
from soma.math.spacing_state import ReviewState, broadcast, difficulties, grades
from soma.math.spacing_versions import DEFAULT_WEIGHTS, RULES, WEIGHT_DOMAIN, Rules, Version
from soma.math.units import DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["FSRS"]


@final
@dataclass(frozen=True, slots=True)
class FSRS:
    r"""The model of one version with its weights; time is continuous, and items come in arrays.

    .. math:: R(t, S) = (1 + F\,t/S)^{-b}, \quad F = 0.9^{-1/b} - 1

    A review at retrievability R and difficulty D gives, on a recall and on a lapse,

    .. math::

        S' = S\,[1 + e^{w_8} (11 - D)\, S^{-w_9} (e^{w_{10}(1 - R)} - 1)\, h], \quad
        S' = w_{11} D^{-w_{12}} ((S + 1)^{w_{13}} - 1)\, e^{w_{14}(1 - R)}

    with S in days, and h = w15 for Hard, w16 for Easy. `Rules` says what each version adds.

    Parameters
    ----------
    version : {"4", "4.5", "5", "6"}
        The version.
    weights : tuple of float
        17, 17, 19 or 21 of them, each within `WEIGHT_DOMAIN`; `FSRS.published` has the usual ones.

    Raises
    ------
    InvalidParameterError
        For another version, another number of weights, or a weight outside its domain.

    Notes
    -----
    Stability is never less than 0.001 days. Grades are 1 Again, 2 Hard, 3 Good, 4 Easy (`Grade`). Source: the
    algorithms of open-spaced-repetition. Laws: ``property_tests/math/test_spacing.py``.

    Examples
    --------
    >>> model = FSRS.published("6")
    >>> state = model.review(model.start([3, 3], 0.0), [3, 1], 2 * 86_400.0)
    >>> (state.stability_s / 86_400.0).round(2).tolist()
    [10.96, 0.61]
    """

    version: Version
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.version not in RULES:
            raise InvalidParameterError("version", self.version, f"must be one of {', '.join(RULES)}")
        weights = finite("weights", self.weights)
        n = self.rules.n_weights
        if weights.shape != (n,):
            raise InvalidParameterError("weights", self.weights, f"must be {n} numbers for version {self.version}")
        for i, (weight, (low, high)) in enumerate(zip(weights.tolist(), WEIGHT_DOMAIN, strict=False)):
            if not low <= weight <= high:
                raise InvalidParameterError(f"weights[{i}]", weight, f"must lie in [{low}, {high}]")
        object.__setattr__(self, "weights", tuple(weights.tolist()))

    @classmethod
    def published(cls, version: Version = "6") -> FSRS:
        """Return a version with the weights that it is published with."""
        if version not in DEFAULT_WEIGHTS:
            raise InvalidParameterError("version", version, f"must be one of {', '.join(RULES)}")
        return cls(version, DEFAULT_WEIGHTS[version])

    @property
    def rules(self) -> Rules:
        """Where the version differs from the others."""
        return RULES[self.version]

    @property
    def exponent(self) -> float:
        """The exponent b of the forgetting curve, > 0."""
        return self._formulas.exponent

    @property
    def factor(self) -> float:
        """The factor F of the forgetting curve, by which R(S) = 0.9."""
        return self._formulas.factor

    @property
    def _formulas(self) -> Formulas:
        return Formulas(self.rules, self.weights)

    def curve(self, stability_s: float) -> Power:
        """Return the forgetting curve of one stability, in seconds, for policies and plots."""
        return Power(positive_scalar("stability_s", stability_s) / self.factor, self.exponent)

    def retrievability(self, elapsed_s: ArrayLike, stability_s: ArrayLike) -> FloatArray:
        r"""Return the probability of recall after ``elapsed_s`` seconds.

        Parameters
        ----------
        elapsed_s : array_like, shape (\*batch,)
            Time since the last review :math:`t`, seconds, >= 0; may be infinite.
        stability_s : array_like, broadcastable to (\*batch,)
            Stability :math:`S`: the time at which recall is 0.9, seconds, > 0.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [0, 1], never rising with time.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> FSRS.published("6").retrievability([0.0, 86_400.0], 86_400.0).round(3).tolist()
        [1.0, 0.9]
        """
        elapsed, stability = non_negative("elapsed_s", elapsed_s), positive("stability_s", stability_s)
        with np.errstate(over="ignore", under="ignore"):
            return self._formulas.recall(elapsed, stability)

    def interval_s(self, retention: ArrayLike, stability_s: ArrayLike) -> FloatArray:
        r"""Return the seconds after which recall is ``retention``: :math:`(S/F)(r^{-1/b} - 1)`.

        Parameters
        ----------
        retention : array_like, shape (\*batch,)
            The probability of recall :math:`r` to review at, in [0, 1].
        stability_s : array_like, broadcastable to (\*batch,)
            Stability :math:`S`, seconds, > 0.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Seconds, >= 0; infinite for 0, and beyond the range of doubles.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> (FSRS.published("6").interval_s([0.8, 0.9], 864_000.0) / 86_400.0).round(1).tolist()
        [33.2, 10.0]
        """
        kept, stability = unit_interval("retention", retention), positive("stability_s", stability_s)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            return np.expm1(np.abs(np.log(kept)) / self.exponent) / self.factor * stability

    def initial_stability_s(self, grade: ArrayLike) -> FloatArray:
        r"""Return the stability after a first review: :math:`w_{G-1}` days.

        Parameters
        ----------
        grade : array_like, shape (\*batch,)
            The grade :math:`G`, 1 to 4.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Seconds, > 0.

        Raises
        ------
        InvalidParameterError
            For another grade.

        Examples
        --------
        >>> (FSRS.published("6").initial_stability_s([1, 4]) / 86_400.0).tolist()
        [0.212, 8.2956]
        """
        return self._formulas.first_stability(grades("grade", grade)) * DAY

    def initial_difficulty(self, grade: ArrayLike) -> FloatArray:
        r"""Return the difficulty after a first review.

        .. math:: w_4 - w_5 (G - 3) \text{ (4, 4.5)}, \quad w_4 - e^{w_5 (G - 1)} + 1 \text{ (5, 6)}

        Parameters
        ----------
        grade : array_like, shape (\*batch,)
            The grade :math:`G`, 1 to 4.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [1, 10].

        Raises
        ------
        InvalidParameterError
            For another grade.

        Examples
        --------
        >>> FSRS.published("6").initial_difficulty([1, 2, 3, 4]).round(2).tolist()
        [6.41, 5.11, 2.12, 1.0]
        """
        return self._formulas.first_difficulty(grades("grade", grade))

    def next_difficulty(self, difficulty: ArrayLike, grade: ArrayLike) -> FloatArray:
        r"""Return the difficulty after a review.

        .. math:: w_7 D_0 + (1 - w_7)(D - w_6 (G - 3)\,d)

        with d = 1 and D0 that of Good (4, 4.5), or d = (10 - D)/9 and D0 that of Easy, not clipped (5, 6).

        Parameters
        ----------
        difficulty : array_like, shape (\*batch,)
            The difficulty before :math:`D`, in [1, 10].
        grade : array_like, broadcastable to (\*batch,)
            The grade :math:`G`, 1 to 4.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            In [1, 10].

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> FSRS.published("6").next_difficulty(5.0, [1, 2, 3, 4]).round(2).tolist()
        [8.34, 6.67, 4.99, 3.31]
        """
        d, g = broadcast(difficulty=difficulties(difficulty), grade=grade)
        return self._formulas.next_difficulty(d, g)

    def next_stability_s(
        self, elapsed_s: ArrayLike, stability_s: ArrayLike, difficulty: ArrayLike, grade: ArrayLike
    ) -> FloatArray:
        r"""Return the stability after a review.

        Parameters
        ----------
        elapsed_s : array_like, shape (\*batch,)
            Time since the review before, seconds, >= 0; below one day it is on the same day.
        stability_s : array_like, broadcastable to (\*batch,)
            The stability before :math:`S`, seconds, > 0.
        difficulty : array_like, broadcastable to (\*batch,)
            The difficulty before :math:`D`, in [1, 10].
        grade : array_like, broadcastable to (\*batch,)
            The grade :math:`G`, 1 to 4.

        Returns
        -------
        ndarray of float64, shape (\*batch,)
            Seconds, at least 86.4.

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> model = FSRS.published("6")
        >>> (model.next_stability_s(5 * 86_400.0, 5 * 86_400.0, 5.0, [1, 3]) / 86_400.0).round(2).tolist()
        [0.95, 17.36]
        """
        elapsed = non_negative("elapsed_s", elapsed_s)
        stability = positive("stability_s", stability_s)
        t, s, d, g = broadcast(
            elapsed_s=elapsed / DAY,
            stability_s=np.maximum(stability / DAY, np.finfo(np.float64).tiny),
            difficulty=difficulties(difficulty),
            grade=grade,
        )
        formulas = self._formulas
        with np.errstate(over="ignore", under="ignore"):
            r = formulas.recall(t, s)
            after = formulas.next_stability(s.ravel(), d.ravel(), t.ravel(), g.ravel(), r.ravel())
        following: FloatArray = after.reshape(t.shape) * DAY
        return following

    def start(self, grade: ArrayLike, at_s: ArrayLike) -> ReviewState:
        r"""Return the state of items after their first review.

        Parameters
        ----------
        grade : array_like, shape (\*batch,)
            The grade, 1 to 4.
        at_s : array_like, broadcastable to (\*batch,)
            When the review was, POSIX seconds.

        Returns
        -------
        ReviewState
            Of shape (\*batch,).

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> FSRS.published("6").start(3, 0.0).difficulty.round(3).item()
        2.118
        """
        at, g = broadcast(at_s=finite("at_s", at_s), grade=grade)
        return ReviewState(self.initial_stability_s(g), self.initial_difficulty(g), at)

    def review(self, state: ReviewState, grade: ArrayLike, at_s: ArrayLike, *, whole_days: bool = False) -> ReviewState:
        r"""Return the state of items after one more review.

        Parameters
        ----------
        state : ReviewState
            The state after the review before, broadcastable to (\*batch,).
        grade : array_like, shape (\*batch,)
            The grade, 1 to 4.
        at_s : array_like, broadcastable to (\*batch,)
            When the review was, POSIX seconds, not before the last.
        whole_days : bool
            Whether to count only the whole days since the last review, as published implementations do.

        Returns
        -------
        ReviewState
            Of shape (\*batch,).

        Raises
        ------
        InvalidParameterError
            Outside the domain; NaN counts as outside.

        Examples
        --------
        >>> model = FSRS.published("6")
        >>> later = model.review(model.start(3, 0.0), 3, 86_400.0 * 2.3)
        >>> model.retrievability(86_400.0 * 7.0, later.stability_s).round(3).item()
        0.932
        """
        at, last, s, d, g = broadcast(
            at_s=finite("at_s", at_s),
            last_review_s=state.last_review_s,
            stability_s=state.stability_s,
            difficulty=state.difficulty,
            grade=grade,
        )
        elapsed = at - last
        if (elapsed < 0.0).any():
            raise InvalidParameterError("at_s", at_s, "must not be before the last review")
        if whole_days:
            elapsed = np.floor(elapsed / DAY) * DAY
        return ReviewState(self.next_stability_s(elapsed, s, d, g), self.next_difficulty(d, g), at)
