"""The two searches: maximum likelihood of outcomes, and least squares."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.domain import FloatArray, finite
from soma.math.fit_parameters import FitResult, Parameter, checked, named, predicted
from soma.math.fit_verdict import FLAT, inverse_of, judged, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

    Model: TypeAlias = Callable[[Mapping[str, float]], ArrayLike]

__all__ = ["fit_outcomes", "fit_savings"]

LEAST: Final = 1e-12
"""Nearest to 0 and 1 that a probability counts: a model that excludes what happened is improbable, not impossible."""

_STEP: Final = 1e-4
_MAX_ROUNDS: Final = 1_000


def fit_outcomes(
    predict: Model,
    n_recalled: ArrayLike,
    parameters: Sequence[Parameter],
    *,
    n_trials: ArrayLike = 1,
    model: str = "model",
) -> FitResult:
    r"""Return the parameters of the greatest likelihood of outcomes.

    .. math:: \ln L = \sum_i y_i \ln p_i(\theta) + (n_i - y_i) \ln(1 - p_i(\theta))

    Parameters
    ----------
    predict : callable
        From values by name to the probability of recall, shape (m,), in [0, 1].
    n_recalled : array_like, shape (m,)
        Successes :math:`y_i`: truth values, or integers from 0 to ``n_trials``.
    parameters : sequence of Parameter
        What is searched for.
    n_trials : array_like of int, broadcastable to (m,)
        Trials :math:`n_i`, >= 1.
    model : str
        A name for the result.

    Returns
    -------
    FitResult
        With standard errors from the Hessian; n is the number of trials.

    Raises
    ------
    InvalidParameterError
        Outside the domain, and for predictions of another shape or outside [0, 1].

    Notes
    -----
    L-BFGS-B on scales without ends, then Newton's steps. A parameter that ends at an end of its domain is said so in
    the message, and its error is infinite; one that runs off to infinity is no convergence. Laws:
    ``property_tests/math/test_fitting.py``.

    Examples
    --------
    >>> found = fit_outcomes(lambda p: [p["share"]], [3], [Parameter("share", 0.5, 0.0, 1.0)], n_trials=4)
    >>> round(found.params["share"], 6), round(found.standard_errors[0], 4)
    (0.75, 0.2165)
    """
    from scipy.optimize import Bounds, minimize  # noqa: PLC0415 - `import soma` loads NumPy alone

    unknown = checked(parameters)
    successes, trials = _counts(n_recalled, n_trials)
    n = int(trials.sum())

    def loss(free: FloatArray) -> float:
        p = predicted("predict", predict(named(unknown, free)), len(trials))
        if ((p < 0.0) | (p > 1.0)).any():
            raise InvalidParameterError("predict", p, "must return probabilities in [0, 1]")
        inside = np.clip(p, LEAST, 1.0 - LEAST)
        return -float((successes * np.log(inside) + (trials - successes) * np.log1p(-inside)).sum())

    def mean_loss(free: FloatArray) -> float:
        return loss(free) / n

    start = np.array([parameter.free(parameter.start) for parameter in unknown])
    low, high = np.array([parameter.reach() for parameter in unknown]).T
    found = minimize(
        mean_loss,
        start,
        jac="3-point",
        method="L-BFGS-B",
        bounds=Bounds(low, high),
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    free, slope, curvature = _polished(loss, found.x, low, high)
    verdict = judged(unknown, free, curvature)
    gain = slope[verdict.is_known] @ verdict.covariance @ slope[verdict.is_known]
    is_top = not verdict.is_saddle and gain < 1e-6 and (np.abs(slope[~verdict.is_known]) < 1e-4).all()
    trouble = [] if is_top else ["no maximum was found"]
    return result_of(unknown, free, verdict, trouble, model=model, log_likelihood=-loss(free), n=n)


def fit_savings(
    predict: Model, observed: ArrayLike, parameters: Sequence[Parameter], *, model: str = "model"
) -> FitResult:
    r"""Return the parameters of least squares: of the greatest likelihood under normal errors of one variance.

    .. math:: \ln L = -\frac{n}{2} \left(\ln \frac{2 \pi\,SSD}{n} + 1\right), \quad AIC = 2(k + 1) - 2 \ln L

    Parameters
    ----------
    predict : callable
        From values by name to what was observed, shape (n,).
    observed : array_like, shape (n,)
        Savings or any other share, finite; more than there are parameters.
    parameters : sequence of Parameter
        What is searched for, :math:`k` of them.
    model : str
        A name for the result.

    Returns
    -------
    FitResult
        With standard errors from the Jacobian and the variance :math:`SSD/(n - k)`.

    Raises
    ------
    InvalidParameterError
        Outside the domain, and for predictions of another shape.

    Notes
    -----
    Laws: ``property_tests/math/test_fitting.py``.

    Examples
    --------
    >>> days = np.array([1.0, 2.0, 4.0, 8.0])
    >>> line = [Parameter("a", 1.0), Parameter("b", 1.0)]
    >>> found = fit_savings(lambda p: p["a"] - p["b"] * np.log2(days), [0.75, 0.5, 0.25, 0.1], line)
    >>> [round(value, 4) for value in found.values]
    [0.73, 0.22]
    """
    from scipy.optimize import least_squares  # noqa: PLC0415 - `import soma` loads NumPy alone

    unknown = checked(parameters)
    y = finite("observed", observed)
    if y.ndim != 1 or len(y) <= len(unknown):
        raise InvalidParameterError("observed", y.shape, f"must be more than {len(unknown)} numbers")

    def away(free: FloatArray) -> FloatArray:
        return predicted("predict", predict(named(unknown, free)), len(y)) - y

    start = np.array([parameter.free(parameter.start) for parameter in unknown])
    reach = np.array([parameter.reach() for parameter in unknown]).T
    found = least_squares(
        away,
        start,
        jac="3-point",
        bounds=(reach[0], reach[1]),
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=_MAX_ROUNDS,
    )
    n, ssd, jacobian = len(y), float(2.0 * found.cost), np.asarray(found.jac, dtype=np.float64)
    variance = max(ssd / (n - len(unknown)), 1e-200)
    verdict = judged(unknown, found.x, jacobian.T @ jacobian / variance)
    trouble = ["no minimum was found"] if verdict.is_saddle or found.status <= 0 else []
    with np.errstate(divide="ignore"):
        log_likelihood = -n / 2.0 * (float(np.log(2.0 * math.pi * ssd / n)) + 1.0)
    result = result_of(unknown, found.x, verdict, trouble, model=model, log_likelihood=log_likelihood, n=n)
    squares = float(y @ y)
    return replace(result, ssd=ssd, r2_uncentred=1.0 - ssd / squares if squares > 0.0 else None)


def _counts(n_recalled: ArrayLike, n_trials: ArrayLike) -> tuple[FloatArray, FloatArray]:
    successes = finite("n_recalled", n_recalled)
    if successes.ndim != 1 or not successes.size:
        raise InvalidParameterError("n_recalled", successes.shape, "must have shape (m,), m >= 1")
    try:
        trials = np.broadcast_to(finite("n_trials", n_trials), successes.shape)
    except ValueError:
        raise InvalidParameterError("n_trials", n_trials, f"must broadcast to {successes.shape}") from None
    if (trials < 1.0).any() or (trials != np.floor(trials)).any():
        raise InvalidParameterError("n_trials", n_trials, "must be integers >= 1")
    if (successes < 0.0).any() or (successes > trials).any() or (successes != np.floor(successes)).any():
        raise InvalidParameterError("n_recalled", n_recalled, "must be integers from 0 to n_trials")
    return successes, trials


def _polished(
    loss: Callable[[FloatArray], float], free: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return where Newton's steps from here end, with slope and curvature there; only steps that gain are taken."""
    here = loss(free)
    while True:
        slope, curvature = _derivatives(loss, free)
        is_free = (free > low + 1.0) & (free < high - 1.0) & (np.diagonal(curvature) >= FLAT)
        inverse = inverse_of(curvature[np.ix_(is_free, is_free)])
        if inverse is None:
            return free, slope, curvature
        step = np.zeros(len(free))
        step[is_free] = -inverse @ slope[is_free]
        there = loss(np.clip(free + step, low, high))
        if not there < here - 1e-12 * abs(here):
            return free, slope, curvature
        free, here = np.clip(free + step, low, high), there


def _derivatives(loss: Callable[[FloatArray], float], free: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return slope and curvature by central differences."""
    n = len(free)
    steps = np.diag(_STEP * np.maximum(1.0, np.abs(free)))
    here = loss(free)
    up, down = (np.array([loss(free + sign * step) for step in steps]) for sign in (1.0, -1.0))
    width = np.diagonal(steps)
    slope = (up - down) / (2.0 * width)
    curvature = np.diag((up - 2.0 * here + down) / width**2)
    for i in range(n):
        for j in range(i):
            corners = [s * t * loss(free + s * steps[i] + t * steps[j]) for s in (1.0, -1.0) for t in (1.0, -1.0)]
            curvature[i, j] = curvature[j, i] = math.fsum(corners) / (4.0 * width[i] * width[j])
    return slope, curvature
