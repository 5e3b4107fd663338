"""What the curvature at the end of a search says: errors, ends of domains, and what is not determined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.math.fit_parameters import FARTHEST, FitResult, Parameter, named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.domain import FloatArray

__all__: list[str] = []

FLAT: Final = 1e-6
"""Curvature, nats, below which nothing is known: an error of a thousand on the scale without ends."""


def inverse_of(matrix: FloatArray) -> FloatArray | None:
    """Return the inverse of a positive definite matrix; None for any other."""
    if not len(matrix):
        return matrix
    scale = np.sqrt(np.abs(np.diagonal(matrix)))
    if not (np.isfinite(matrix).all() and (scale > 0.0).all()):
        return None
    scaled = matrix / np.outer(scale, scale)
    if np.linalg.eigvalsh(scaled)[0] <= 1e-10:
        return None
    return np.asarray(np.linalg.inv(scaled) / np.outer(scale, scale))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the curvature at a maximum says of each parameter."""

    is_known: NDArray[np.bool_]
    covariance: FloatArray  # of those that are known
    ends: list[str]
    is_lost: bool  # something ran off to infinity, or is not determined
    is_saddle: bool


def judged(parameters: tuple[Parameter, ...], free: FloatArray, curvature: FloatArray) -> Verdict:
    """Return which parameters the data determine, given the curvature of minus the log-likelihood in nats."""
    is_known = np.diagonal(curvature) >= FLAT
    ends, is_lost = [], False
    for number, (parameter, u) in enumerate(zip(parameters, free.tolist(), strict=True)):
        low, high = parameter.reach()
        end = parameter.lower if u < (low + high) / 2.0 else parameter.upper
        is_far = min(u - low, high - u) < (1.0 if is_known[number] else FARTHEST - 10.0)
        if is_far and math.isfinite(end):
            ends.append(f"{parameter.name} ends at {end:g}")
        elif is_far or not is_known[number]:
            ends.append(f"{parameter.name} is not determined")
            is_lost = True
        is_known[number] &= not is_far
    covariance = inverse_of(curvature[np.ix_(is_known, is_known)])
    if covariance is None:
        return Verdict(np.zeros_like(is_known), np.empty((0, 0)), ends, is_lost, is_saddle=True)
    return Verdict(is_known, covariance, ends, is_lost, is_saddle=False)


def result_of(
    parameters: tuple[Parameter, ...],
    free: FloatArray,
    verdict: Verdict,
    trouble: list[str],
    *,
    model: str,
    log_likelihood: float,
    n: int,
) -> FitResult:
    """Return the result of a search that ended here."""
    values = tuple(named(parameters, free).values())
    errors = np.full(len(values), np.inf)
    slopes = np.array([parameter.slope(value) for parameter, value in zip(parameters, values, strict=True)])
    errors[verdict.is_known] = np.sqrt(np.diagonal(verdict.covariance)) * slopes[verdict.is_known]
    return FitResult(
        model=model,
        parameters=parameters,
        values=values,
        standard_errors=tuple(errors.tolist()),
        log_likelihood=log_likelihood,
        n=n,
        converged=not trouble and not verdict.is_lost,
        message="; ".join([*trouble, *verdict.ends]) or "converged",
    )
