"""The parts of a product are the policy: put together again they score the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from soma import DAY
from soma.math import policy as p
from soma.math.decay import Constant, Exponential, Power
from soma.math.policy_product import product_of
from soma.testing import policies as drawn

WEEK = Exponential(7 * DAY)
PRODUCTS = [
    p.presets.dense(),
    p.similarity().clip(0),
    p.similarity().clip(0.1, 0.8) * p.importance() ** 0.5 * p.decay(WEEK),
    2.0 * p.similarity().clip(0) * p.decay(WEEK, of=p.idle_s) * p.decay(WEEK) * p.decay(Exponential(DAY)),
    p.max(p.similarity(), 0.25) * p.memory_type("semantic"),
    p.max(0.0, p.similarity()) * p.decay(Power(DAY, 0.5)) * (0.1 + 0.9 * p.decay(WEEK, of=p.idle_s)),
    p.similarity().clip(0) * p.age_s(),
    p.similarity().clip(0, 5) * p.importance(),
    p.similarity().clip(2) * p.importance(),
    (p.importance() + p.exp(-p.age_s() / DAY)) * p.similarity().clip(0) * p.decay(Constant()),
]
OTHERS = [
    p.similarity(),
    p.importance(),
    p.similarity().clip(-0.5) * p.importance(),
    p.similarity().clip(upper=0.5),
    p.similarity().clip(0) + p.importance(),
    p.similarity().clip(0) * (p.importance() - 0.5),
    p.similarity().clip(0) * p.similarity().clip(0),
    p.similarity().clip(0) / 2.0,
    p.similarity().clip(0) * 1e20 * (1e20 * p.importance()),
    p.similarity().clip(0) * p.lexical(),
    p.rank(p.similarity().clip(0)),
    p.similarity().clip(0) ** 2,
]


def composed(policy: p.Policy, columns: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    product = product_of(policy)
    assert product is not None
    value = np.clip(columns["similarity"], product.floor, product.top) * product.fixed.evaluate(columns)
    for name, half_life_s in product.half_life_s.items():
        value = value * np.exp2(-columns[name] / half_life_s)
    return value if product.rest is None else value * product.rest.evaluate(columns)


@pytest.mark.parametrize("policy", PRODUCTS, ids=str)
def test_a_product_is_taken_apart_without_loss(policy: p.Policy) -> None:
    @given(drawn.columns({"similarity", "importance", "age_s", "idle_s", "memory_type"}, min_rows=1))
    def law(columns: dict[str, NDArray[Any]]) -> None:
        columns = {**columns, "similarity": np.clip(columns["similarity"], -1.0, 1.0)}
        exact = policy.evaluate(columns)
        np.testing.assert_allclose(composed(policy, columns), exact, rtol=1e-9, atol=1e-290)
        product = product_of(policy)
        assert product is not None
        assert (exact >= 0.0).all()
        assert product.top <= max(1.0, product.floor)

    law()


@pytest.mark.parametrize("policy", OTHERS, ids=str)
def test_what_is_no_product_or_may_be_negative_or_huge_is_left_alone(policy: p.Policy) -> None:
    assert product_of(policy) is None


def test_half_lives_of_one_age_are_one() -> None:
    product = product_of(PRODUCTS[3])
    assert product is not None
    assert product.half_life_s == pytest.approx({"age_s": 7 * DAY / 8, "idle_s": 7 * DAY})
    assert product.rest is None
