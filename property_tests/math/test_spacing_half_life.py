"""Laws of half-life regression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.decay import Exponential
from soma.math.spacing import MAX_HALF_LIFE_S, MIN_HALF_LIFE_S, HalfLifeRegression
from soma.math.units import DAY, MINUTE

numbers = st.one_of(st.floats(-10.0, 10.0), st.floats(-1e150, 1e150))
rows = st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.tuples(*[numbers] * n)] * 2))
elapsed_times = st.one_of(st.floats(0.0, 1e9), st.sampled_from([0.0, math.inf]))


@given(rows)
def test_half_lives_are_two_to_the_weighted_sum_within_their_ends(drawn: Any) -> None:
    weights, features = drawn
    half_life = float(HalfLifeRegression(weights).half_life_s(features))
    assert MIN_HALF_LIFE_S <= half_life <= MAX_HALF_LIFE_S
    exponent = math.fsum(w * x for w, x in zip(weights, features, strict=True))
    slack = 1e-12 * max((abs(w * x) for w, x in zip(weights, features, strict=True)), default=0.0)
    if slack < 1e-9:
        expected = min(max(2.0 ** min(max(exponent, -50.0), 50.0) * DAY, MIN_HALF_LIFE_S), MAX_HALF_LIFE_S)
        assert half_life == pytest.approx(expected, rel=1e-8)


def test_the_ends_are_a_quarter_of_an_hour_and_nine_months() -> None:
    assert MIN_HALF_LIFE_S == 15 * MINUTE
    assert MAX_HALF_LIFE_S == 274 * DAY
    model = HalfLifeRegression((1.0,))
    assert model.half_life_s([[-1e308], [-6.59], [8.1], [1e308]]).tolist() == [900.0, 900.0, 274 * DAY, 274 * DAY]
    assert 900.0 < model.half_life_s([-6.58]) < 905.0
    assert 273 * DAY < model.half_life_s([8.097]) < 274 * DAY


@given(st.floats(-6.0, 7.0), st.floats(-5.0, 5.0))
def test_one_more_doubles(exponent: float, x: float) -> None:
    one, two = HalfLifeRegression((1.0, 1.0)).half_life_s([[exponent - x, x], [exponent - x, x + 1.0]])
    assert two == pytest.approx(2.0 * one, rel=1e-12)


@given(rows, elapsed_times, elapsed_times)
def test_recall_halves_after_the_half_life_and_never_rises(drawn: Any, one: float, other: float) -> None:
    weights, features = drawn
    model = HalfLifeRegression(weights)
    half_life = model.half_life_s(features)
    start, half, end = model.retrievability([0.0, float(half_life), math.inf], features)
    assert (start, half, end) == (1.0, 0.5, 0.0)
    early, late = sorted((one, other))
    before, after = model.retrievability([early, late], features)
    assert 0.0 <= after <= before <= 1.0
    assert before == pytest.approx(Exponential(float(half_life)).value(early), rel=1e-11)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), st.tuples(numbers, numbers))
def test_arrays_do_what_each_of_their_rows_does(features: list[Any], weights: Any) -> None:
    model = HalfLifeRegression(weights)
    alone = np.array([float(model.half_life_s(row)) for row in features])
    np.testing.assert_allclose(model.half_life_s(features), alone, rtol=1e-6)
    assert model.half_life_s(np.reshape(features, (len(features), 1, 2))).shape == (len(features), 1)


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda: HalfLifeRegression(()), "weights"),
        (lambda: HalfLifeRegression(1.0), "weights"),  # type: ignore[arg-type]
        (lambda: HalfLifeRegression((math.nan,)), "weights"),
        (lambda: HalfLifeRegression((1.0, 2.0)).half_life_s([1.0]), "features"),
        (lambda: HalfLifeRegression((1.0,)).half_life_s(1.0), "features"),
        (lambda: HalfLifeRegression((1.0,)).half_life_s([math.inf]), "features"),
        (lambda: HalfLifeRegression((1e308, -1e308)).half_life_s([10.0, 10.0]), "features"),
        (lambda: HalfLifeRegression((1.0,)).retrievability(-1.0, [1.0]), "elapsed_s"),
        (lambda: HalfLifeRegression((1.0,)).retrievability(math.nan, [1.0]), "elapsed_s"),
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(call: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    assert caught.value.parameter == parameter
