r"""Fitting: the parameters under which outcomes or savings are likeliest, with errors and intervals.

A model is any function from named parameters to what it predicts: a forgetting curve, an activation, a spacing model,
a policy. `fit_outcomes` is maximum likelihood for recalled or not, `fit_savings` least squares for shares that were
measured, `fit_curve` either of them for one of the families of `soma.math.decay`, and `bootstrap` draws intervals.

>>> import numpy as np
>>> from soma.math.activation import base_level, recall_probability
>>> ages_s = np.array([[1.0, 60.0], [600.0, 900.0], [60.0, 4_000.0], [4_000.0, 9_000.0], [50.0, 70.0]])
>>> n_recalled, n_asked = [19, 9, 13, 3, 17], [20, 20, 20, 20, 20]
>>> def actr(p):
...     return recall_probability(base_level(ages_s, p["decay"]), threshold=p["threshold"], noise=0.4)
>>> unknown = [Parameter("decay", 0.5, 0.0, 1.0), Parameter("threshold", -2.0)]
>>> found = fit_outcomes(actr, n_recalled, unknown, n_trials=n_asked)
>>> found.converged, {name: round(value, 2) for name, value in found.params.items()}
(True, {'decay': 0.28, 'threshold': -1.1})

Laws: ``property_tests/math/test_fitting.py``; published fits: ``property_tests/math/test_fitting_data.py``.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.domain import FloatArray, non_negative
from soma.math.fit_bootstrap import Intervals, bootstrap
from soma.math.fit_parameters import FitResult, Parameter
from soma.math.fit_search import fit_outcomes, fit_savings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from soma.math.decay_family import Family

__all__ = ["FitResult", "Intervals", "Parameter", "bootstrap", "fit_curve", "fit_outcomes", "fit_savings"]


def fit_curve(
    family: str,
    elapsed_s: ArrayLike,
    observed: ArrayLike,
    *,
    kind: Literal["outcomes", "savings"] = "outcomes",
    n_trials: ArrayLike = 1,
    fixed: Mapping[str, float] | None = None,
) -> FitResult:
    """Return the forgetting curve of a family that fits outcomes or savings best.

    Parameters
    ----------
    family : str
        One of `soma.math.decay.FAMILIES` that has parameters.
    elapsed_s : array_like, shape (n,)
        Time since learning, seconds, finite and >= 0; some of it > 0.
    observed : array_like, shape (n,)
        What `fit_outcomes` or `fit_savings` takes.
    kind : {"outcomes", "savings"}
        Which of the two.
    n_trials : array_like of int, broadcastable to (n,)
        Trials, for outcomes.
    fixed : mapping of str to float, optional
        Parameters to hold. The midpoint of the families that have one is held at 1/2: their scale says the same.

    Returns
    -------
    FitResult
        ``soma.math.decay.from_dict({"family": result.model, **result.params})`` is the curve.

    Raises
    ------
    InvalidParameterError
        Outside the domain; for an unknown family, or nothing to be fitted.

    Notes
    -----
    The best of three searches, which begin at an early, a middle and a late time of the data.

    Examples
    --------
    >>> days = np.array([1, 2, 5, 10, 20, 40]) * 86_400.0
    >>> found = fit_curve("exponential", days, [39, 36, 33, 21, 12, 3], n_trials=40)
    >>> [round(seconds / 86_400.0, 1) for seconds in (found.params["half_life_s"], *found.intervals()["half_life_s"])]
    [12.0, 9.6, 14.9]
    """
    held = dict(fixed or {})
    known = decay.FAMILIES.get(family)
    if known is None:
        raise InvalidParameterError("family", family, f"must be one of {', '.join(decay.FAMILIES)}")
    names = [each.name for each in fields(known)]
    if set(held) - set(names):
        raise InvalidParameterError("fixed", held, f"must hold only parameters of {family}: {', '.join(names)}")
    if "midpoint" in names:
        held.setdefault("midpoint", 0.5)
    if not set(names) - set(held):
        raise InvalidParameterError("family", family, "must have a parameter that is not held")
    elapsed = non_negative("elapsed_s", elapsed_s)
    if elapsed.ndim != 1 or not np.isfinite(elapsed).all() or not (elapsed > 0.0).any():
        raise InvalidParameterError("elapsed_s", elapsed_s, "must be finite times, some of them > 0")

    def curve(values: Mapping[str, float]) -> FloatArray:
        return decay.from_dict({"family": family, **values, **held}).value(elapsed)

    tries = []
    for time_s in np.quantile(elapsed[elapsed > 0.0], (0.1, 0.5, 0.9)):
        unknown = [_domain(known, name, float(time_s)) for name in names if name not in held]
        if kind == "savings":
            tries.append(fit_savings(curve, observed, unknown, model=family))
        elif kind == "outcomes":
            tries.append(fit_outcomes(curve, observed, unknown, n_trials=n_trials, model=family))
        else:
            raise InvalidParameterError("kind", kind, "must be 'outcomes' or 'savings'")
    best = max(tries, key=lambda found: found.log_likelihood)
    return replace(best, fixed=tuple(held.items()))


def _domain(family: type[Family], name: str, time_s: float) -> Parameter:
    """Return where a parameter of a family may lie, and where its search begins."""
    if name in family.laws.times:
        return Parameter(name, time_s, 0.0)
    if name in family.laws.rates:
        return Parameter(name, 1.0 / time_s, 0.0)
    start = {"k": 1.84, "c": 1.25, "initial": 0.9}.get(name, 0.5)
    is_share = name == "initial" or (family is decay.StretchedExponential and name == "exponent")
    return Parameter(name, start, 0.0, 1.0 if is_share else math.inf)
