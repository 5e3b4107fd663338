"""Policies of the form similarity times weight: the parts that a faster bound needs, found in the expression.

Laws of everything here: ``property_tests/math/test_policy_product.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.math.decay import Exponential
from soma.math.policy_expression import INDEXED_FEATURES, Policy
from soma.math.policy_operations import Binary, Clip, Constant
from soma.math.policy_terms import Decay, Term

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Product", "product_of"]

_LARGEST: Final = 1e30  # of a weight: far from where doubles end, whatever the order of the factors
_EVER_S: Final = 1e18
_LOWEST: Final[dict[str, ArrayLike]] = {"importance": 0.0, "age_s": 0.0, "idle_s": 0.0, "memory_type": "episodic"}
_HIGHEST: Final[dict[str, ArrayLike]] = {
    "importance": 1.0,
    "age_s": _EVER_S,
    "idle_s": _EVER_S,
    "memory_type": "semantic",
}
_OF_ROWS: Final = frozenset({"importance", "memory_type"})


@dataclass(frozen=True, slots=True)
class Product:
    r"""A score :math:`\min(\max(c, f), u) \cdot w`, whose weight :math:`w \ge 0` does not depend on the similarity.

    Parameters
    ----------
    floor, top : float
        Between them the similarity is held: 0 <= floor <= top, and top <= 1 unless it is the floor.
    fixed : Policy
        The part of the weight that does not change with time.
    half_life_s : mapping of str to float
        The part that decays exponentially: for ``age_s`` and ``idle_s`` a half-life, seconds.
    rest : Policy or None
        The part that is bounded by block.
    """

    floor: float
    top: float
    fixed: Policy
    half_life_s: Mapping[str, float]
    rest: Policy | None


def product_of(policy: Policy) -> Product | None:
    """Return the parts of a policy of this form; None for any other.

    Parameters
    ----------
    policy : Policy
        Any.

    Returns
    -------
    Product or None
        None, too, where the weight can be negative or beyond 1e30: nothing is assumed that is not shown.

    Examples
    --------
    >>> from soma.math import policy as p
    >>> from soma.math.decay import Exponential, Power
    >>> found = product_of(p.similarity().clip(0) * p.importance() ** 0.5 * p.decay(Exponential(60.0), of=p.age_s))
    >>> found.fixed, found.half_life_s, found.rest
    (importance() ** 0.5, {'age_s': 60.0}, None)
    >>> product_of(p.presets.dense()).rest
    decay(Power(scale_s=2592000.0, exponent=0.5), of=idle_s)
    >>> product_of(p.similarity() + p.importance()) is None
    True
    """
    if not policy.features <= INDEXED_FEATURES or not policy.is_pointwise:
        return None
    held: list[tuple[float, float]] = []
    fixed: list[Policy] = []
    rest: list[Policy] = []
    rate: dict[str, float] = {}
    for factor in _factors(policy):
        if "similarity" in factor.features:
            ends = _ends(factor)
            if ends is None:
                return None
            held.append(ends)
        elif not _is_weight(factor):
            return None
        elif factor.features <= _OF_ROWS:
            fixed.append(factor)
        elif isinstance(factor, Decay) and isinstance(factor.curve, Exponential) and isinstance(factor.of, Term):
            rate[factor.of.name] = rate.get(factor.of.name, 0.0) + 1.0 / factor.curve.half_life_s
        else:
            rest.append(factor)
    if len(held) != 1 or not all(0.0 < r < np.inf for r in rate.values()):
        return None
    if math.prod(max(1.0, _greatest(factor)) for factor in (*fixed, *rest)) > _LARGEST:
        return None
    ((floor, top),) = held
    half_lives = {name: 1.0 / r for name, r in sorted(rate.items())}
    return Product(floor, top, _product(fixed) or Constant(1.0), half_lives, _product(rest))


def _factors(policy: Policy) -> Iterator[Policy]:
    if isinstance(policy, Binary) and policy.operator == "*":
        yield from _factors(policy.left)
        yield from _factors(policy.right)
    else:
        yield policy


def _product(factors: list[Policy]) -> Policy | None:
    whole: Policy | None = None
    for factor in factors:
        whole = factor if whole is None else whole * factor
    return whole


def _ends(factor: Policy) -> tuple[float, float] | None:
    """Return between what the similarity is held, if that is all that the factor does, and it is never negative."""
    match factor:
        case Clip(of=Term(name="similarity"), lower=float() as lower, upper=upper) if lower >= 0.0:
            return lower, min(max(1.0, lower), math.inf if upper is None else upper)
        case (
            Binary(operator="max", left=Term(name="similarity"), right=Constant(value=lower))
            | Binary(operator="max", left=Constant(value=lower), right=Term(name="similarity"))
        ) if lower >= 0.0:
            return lower, max(1.0, lower)
    return None


def _is_weight(factor: Policy) -> bool:
    return bool(factor.bounds(_LOWEST, _HIGHEST)[0] >= 0.0)


def _greatest(factor: Policy) -> float:
    return float(factor.bounds(_LOWEST, _HIGHEST)[1])
