"""Laws of bounds: no score of the box lies outside, and where the expression allows it they are attained."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math import policy as p
from soma.math.decay import Exponential
from soma.math.policy_bounds import integer_power
from soma.testing.policies import columns, policies, values

N_POINTS = 12


SMALL = policies(max_leaves=3)

CARELESS = st.one_of(
    policies(),
    st.builds(operator.truediv, SMALL, SMALL),
    st.builds(operator.pow, SMALL, SMALL),
    st.builds(operator.pow, SMALL, st.integers(-3, 3) | st.floats(-3, 3)),
    st.builds(p.log, SMALL),
    st.builds(p.exp, SMALL),
    st.builds(lambda x, y: p.exp(x) * y, SMALL, SMALL),
    st.builds(lambda x, y: p.log(x) / p.exp(y), SMALL, SMALL),
)
"""Policies that may have no finite value in places."""


@st.composite
def boxes(draw: st.DrawFn, policy: p.Policy) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The ends of one box, and points in it: corners, points of the sides, and points inside."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lower: dict[str, Any] = {}
    upper: dict[str, Any] = {}
    inside: dict[str, Any] = {}
    for name in sorted(policy.features):
        low, high = sorted((draw(values(name)), draw(values(name))))
        if name == "memory_type":
            between = np.array([low] * N_POINTS)
        elif name == "common_level":
            between = rng.integers(low, high + 1, N_POINTS)
        else:
            between = np.clip(low + (high - low) * rng.random(N_POINTS), low, high)
        place = rng.integers(0, 3, N_POINTS)
        lower[name], upper[name] = low, high
        inside[name] = np.select([place == 0, place == 1], [low, high], between)
    return lower, upper, inside


@given(CARELESS, st.data())
def test_bounds_hold_everywhere_in_the_box(policy: p.Policy, data: st.DataObject) -> None:
    lower, upper, inside = data.draw(boxes(policy))
    low, high = policy.bounds(lower, upper)
    assert low.shape == high.shape == ()
    assert not np.isnan(low)
    assert not np.isnan(high)
    assert low <= high
    for i in range(N_POINTS):
        try:
            score = policy.evaluate({name: column[i] for name, column in inside.items()})
        except InvalidParameterError:
            continue
        assert low <= score <= high


@given(SMALL, st.data())
def test_bounds_of_a_point_are_its_score(policy: p.Policy, data: st.DataObject) -> None:
    features = data.draw(columns(policy.features, max_rows=4))
    low, high = policy.bounds(features, features)
    # the slack is relative to each node, so that a difference of large numbers leaves more of it
    rows = range(max(1, np.atleast_1d(low).size))
    largest = max(abs(value) for row in rows for value in node_values(policy.explain(features, row)))
    assert (high - low <= 1e-9 * (1 + largest)).all()


def node_values(explanation: p.Explanation) -> Iterator[float]:
    yield explanation.value
    for child in explanation.children:
        yield from node_values(child)


@given(st.data())
def test_bounds_of_the_default_are_attained_at_the_corners(data: st.DataObject) -> None:
    policy = p.presets.dense()
    lower, upper, _ = data.draw(boxes(policy))
    low, high = policy.bounds(lower, upper)
    best = policy.evaluate({**upper, "idle_s": lower["idle_s"]})
    worst = policy.evaluate({**lower, "idle_s": upper["idle_s"]})
    assert np.allclose(high, best, rtol=1e-11, atol=1e-290)
    assert np.allclose(low, worst, rtol=1e-11, atol=1e-290)
    assert (low >= 0).all()


def test_no_bound_is_known_where_a_divisor_may_be_zero() -> None:
    low, high = (1 / p.similarity()).bounds(
        {"similarity": [-1.0, 0.0, 0.5, -1.0]}, {"similarity": [1.0, 1.0, 1.0, 0.0]}
    )
    assert low.tolist() == [-math.inf, -math.inf, 1.0, -math.inf]
    assert high.tolist() == [math.inf, math.inf, 2.0, math.inf]


def test_what_fades_keeps_its_bounds_in_the_unit_interval() -> None:
    low, high = p.decay(Exponential(1.0)).bounds({"age_s": [0.0, 1e9]}, {"age_s": [1.0, 1e12]})
    assert (high[0], low[1]) == (1.0, 0.0)


def test_a_base_that_begins_at_zero_has_a_power_with_bounds() -> None:
    low, high = (p.similarity() ** p.importance()).bounds(
        {"similarity": [0.0, 0.0, -0.5], "importance": [0.5, 0.0, 0.5]},
        {"similarity": [0.25, 1.0, 0.25], "importance": [1.0, 1.0, 1.0]},
    )
    assert low.tolist() == pytest.approx([0.0, 0.0, -math.inf])
    assert high.tolist() == pytest.approx([0.5, 1.0, math.inf])


def test_a_block_of_mixed_types_may_or_may_not_hold_a_type() -> None:
    low, high = p.memory_type("semantic").bounds(
        {"memory_type": ["episodic", "episodic", "semantic"]},
        {"memory_type": ["episodic", "semantic", "semantic"]},
    )
    assert low.tolist() == [0.0, 0.0, 1.0]
    assert high.tolist() == [0.0, 1.0, 1.0]


def test_a_box_upside_down_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="lower age_s"):
        p.age_s().bounds({"age_s": [1.0, 3.0]}, {"age_s": [2.0, 2.0]})


@given(
    st.floats(-4, 4) | st.sampled_from([0.0, -0.0, 1e-3, -1e-3]),
    st.floats(-4, 4) | st.sampled_from([0.0, 1.0, 1e-3, -1e-3]),
    st.integers(-6, 6),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_whole_powers_stay_within_their_interval_also_through_zero(
    one: float, other: float, exponent: int, shares: list[float]
) -> None:
    low, high = min(one, other), max(one, other)
    with np.errstate(all="ignore"):  # as whoever asks for bounds has it
        lower, upper = integer_power((np.array(low), np.array(high)), float(exponent))
    for x in [low, high, *(min(high, max(low, low + (high - low) * share)) for share in shares)]:
        with np.errstate(divide="ignore", over="ignore"):
            assert lower <= np.power(x, float(exponent)) <= upper


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(-1, (-np.inf, np.inf)), (-3, (-np.inf, np.inf)), (-2, (0.0, np.inf)), (2, (0.0, 4.0)), (3, (-8.0, 1.0))],
)
def test_a_negative_power_through_zero_has_no_finite_end(exponent: int, expected: tuple[float, float]) -> None:
    lower, upper = integer_power((np.array(-2.0), np.array(1.0)), float(exponent))
    assert (float(lower), float(upper)) == pytest.approx(expected)
