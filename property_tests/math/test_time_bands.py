"""Laws of the scales of time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import InvalidParameterError
from soma.math.decay import Exponential
from soma.math.time_bands import forward_key, time_band

weights = st.floats(1e-6, 1.0)
times = st.floats(0.0, 2e9)
half_lives = st.floats(60.0, 1e9)
keys = st.floats(-1e6, 1e6)
levels = st.integers(0, 62)


@given(weights, times, half_lives, st.floats(0.0, 40.0))
def test_it_is_the_weight_at_any_time_but_for_one_factor(
    weight: float, time: float, half_life: float, n: float
) -> None:
    now = time + n * half_life
    kappa = float(forward_key(weight, time, half_life))
    wanted = weight * float(Exponential(half_life).value(now - time))
    assert 2.0 ** (kappa - now / half_life) == pytest.approx(wanted, rel=1e-7)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=40),
    st.sampled_from([1.0, 2.0, 4.0]),
    st.integers(0, 30),
)
def test_its_order_is_that_of_the_weights_at_every_time(
    pairs: list[tuple[int, int]], half_life_s: float, wait: int
) -> None:
    power, time_s = np.array(pairs, dtype=float).reshape(-1, 2).T
    weight = np.where(power > 0, np.exp2(power), 0.0)
    order = np.argsort(-forward_key(weight, time_s, half_life_s), kind="stable")
    # powers of two: the decayed weights are exact, and ties are ties
    now = weight * np.exp2(-((wait + 40.0) - time_s) / half_life_s)
    exact = np.round(np.log2(now, where=now > 0, out=np.full(len(now), -np.inf)) * 4)
    assert order.tolist() == sorted(range(len(now)), key=lambda row: -exact[row])


@given(st.lists(keys, min_size=1, max_size=9), levels)
def test_a_band_is_half_open_and_so_wide(kappa: list[float], level: int) -> None:
    band = time_band(kappa, level).astype(float)
    assert (band * 2.0**level <= kappa).all()
    assert (np.array(kappa) < (band + 1.0) * 2.0**level).all()


@given(st.lists(keys, min_size=1, max_size=9), st.integers(0, 61))
def test_two_bands_are_one_of_the_next_level(kappa: list[float], level: int) -> None:
    assert (time_band(kappa, level) >> 1).tolist() == time_band(kappa, level + 1).tolist()


@given(keys, keys, levels)
def test_weights_of_one_band_are_alike_and_bands_keep_the_order(a: float, b: float, level: int) -> None:
    one, other = time_band([a, b], level).tolist()
    if one == other:
        assert abs(a - b) < 2.0**level
    if a <= b:
        assert one <= other


@given(st.integers(-(10**6), 10**6), st.integers(-1000, 1000), st.integers(1, 10**6))
def test_a_half_life_later_it_is_the_next_band(time: int, n: int, half_life: int) -> None:
    before, after = time_band(
        forward_key([1.0, 1.0], [time * 1.0 * half_life, (time + n) * 1.0 * half_life], half_life)
    )
    assert after - before == n


@given(weights, times, half_lives, st.integers(0, 20))
def test_each_doubling_of_the_weight_is_a_band(weight: float, time: float, half_life: float, n: int) -> None:
    kappa = forward_key([weight, weight * 2.0**n], time, half_life)
    assert kappa[1] - kappa[0] == pytest.approx(n, abs=1e-7)


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("weight must be >= 0", lambda: forward_key(-1.0, 0.0, 1.0)),
        ("weight must be finite", lambda: forward_key(math.inf, 0.0, 1.0)),
        ("time_s must be finite", lambda: forward_key(1.0, math.nan, 1.0)),
        ("time_s must broadcast with weights of (3,)", lambda: forward_key([1.0] * 3, [0.0] * 2, 1.0)),
        ("half_life_s must be finite and > 0", lambda: forward_key(1.0, 0.0, 0.0)),
        ("kappa must be finite", lambda: time_band(forward_key([0.0], 0.0, 1.0))),
        ("kappa must be within 2^53 half-lives of 0", lambda: time_band([2.0**54])),
        ("level must be an integer from 0 to 62", lambda: time_band([0.0], 63)),
        ("level must be an integer from 0 to 62", lambda: time_band([0.0], True)),
    ],
)
def test_what_is_outside_the_domain_is_refused(said: str, call: Any) -> None:
    with pytest.raises(InvalidParameterError) as error:
        call()
    assert str(error.value).startswith(said)
