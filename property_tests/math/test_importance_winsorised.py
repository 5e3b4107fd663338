"""Laws of the winsorised scale beyond those that every normaliser states: it is what others compute."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mstats

from soma.math.importance import TIED, MinMax, Winsorised

raw = st.one_of(st.integers(-3, 12).map(float), st.integers(-(10**20), 10**20).map(float), st.floats(-1.7e308, 1.7e308))
seen = st.lists(raw, min_size=1, max_size=40)
# shares whose products with a count are exact: what rounding does to others is stated, and numpy does the same
exact_shares = st.lists(st.integers(0, 64), min_size=2, max_size=2, unique=True).map(
    lambda e: (min(e) / 64, max(e) / 64)
)


@given(exact_shares, seen, seen)
def test_it_is_its_formula_in_exact_numbers(
    edges: tuple[float, float], sample: list[float], asked: list[float]
) -> None:
    p, q = map(Fraction, edges)
    rising, n = sorted(map(Fraction, sample)), len(sample)
    a, b = rising[math.floor(n * p)], rising[math.ceil(n * q) - 1]
    state = Winsorised(*edges).update(sample)
    for x in [*asked, *sample]:
        if a == b:
            wanted = Fraction(1, 2) if x == a else Fraction(int(x > a))
        else:
            wanted = (min(max(Fraction(x), a), b) - a) / (b - a)
        np.testing.assert_allclose(state.normalise(x), float(wanted), rtol=1e-14, atol=1e-15)


@given(exact_shares, seen)
def test_its_ends_are_the_quantiles_of_numpy(edges: tuple[float, float], sample: list[float]) -> None:
    p, q = edges
    upper = np.quantile(sample, q, method="inverted_cdf")
    lower = -np.quantile(np.negative(sample), 1 - p, method="inverted_cdf")  # the mirror image
    state = Winsorised(p, q).update(sample)
    assert lower <= upper
    assert state.normalise(sample).tolist() == MinMax(float(lower), float(upper)).normalise(sample).tolist()


@pytest.mark.parametrize("n", [2, 10, 19, 20, 21, 39, 101, 1000])
def test_the_upper_end_of_the_default_is_the_quantile_of_numpy(n: int) -> None:
    sample = np.random.default_rng(n).standard_cauchy(n)
    top = np.quantile(sample, 0.95, method="inverted_cdf")
    is_at_the_end = Winsorised().update(sample).normalise(sample) == 1
    assert is_at_the_end.tolist() == (sample >= top).tolist()


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 100, 1000, 1001])
@pytest.mark.parametrize("limits", [(0.05, 0.05), (0.25, 0.125), (0.0, 0.1), (0.2, 0.0)])
def test_it_is_winsorize_of_scipy_and_then_the_range(n: int, limits: tuple[float, float]) -> None:
    rng = np.random.default_rng(n)
    for sample in (rng.standard_cauchy(n), rng.lognormal(0, 3, n), rng.poisson(2, n) * 1.0):
        cut = np.asarray(mstats.winsorize(sample, limits=limits))
        wanted = MinMax().update(cut).normalise(cut)
        got = Winsorised(limits[0], 1 - limits[1]).update(sample).normalise(sample)
        np.testing.assert_array_equal(got, wanted)


@given(seen, seen)
def test_shares_of_zero_and_one_cut_nothing(sample: list[float], asked: list[float]) -> None:
    whole = Winsorised(0, 1).update(sample)
    assert whole.normalise(asked).tolist() == MinMax().update(sample).normalise(asked).tolist()


@given(exact_shares, seen, seen)
def test_negated_data_map_to_the_mirror_image(
    edges: tuple[float, float], sample: list[float], asked: list[float]
) -> None:
    p, q = edges
    x, mirrored = np.array(asked), Winsorised(1 - q, 1 - p).update(np.negative(sample))
    got = Winsorised(p, q).update(sample).normalise(x)
    np.testing.assert_allclose(mirrored.normalise(-x), 1 - got, rtol=0, atol=1e-15)


@given(exact_shares, seen)
def test_no_more_than_the_shares_are_cut(edges: tuple[float, float], sample: list[float]) -> None:
    state = Winsorised(*edges).update(sample)
    rising, n = sorted(sample), len(sample)
    low, high = math.floor(n * edges[0]), math.ceil(n * edges[1]) - 1
    # moving what is cut further out changes nothing
    moved = [-1.7e308] * low + rising[low : high + 1] + [1.7e308] * (n - 1 - high)
    assert Winsorised(*edges).update(moved).normalise(rising).tolist() == state.normalise(rising).tolist()


def test_one_outlier_does_not_move_the_rest() -> None:
    sample = np.arange(100.0)
    with_outlier = np.append(sample[:-1], 1e12)
    assert (Winsorised().update(sample).normalise(sample) == Winsorised().update(with_outlier).normalise(sample)).all()
    assert MinMax().update(with_outlier).normalise(50) < 1e-9


def test_what_is_nearly_constant_has_a_middle_and_two_ends() -> None:
    state = Winsorised().update([0] + [5] * 98 + [9])
    assert state.normalise([0, 4, 5, 6, 9]).tolist() == [0, 0, TIED, 1, 1]


def test_shares_that_round_to_one_place_take_one_value() -> None:
    third, next_to_it = 1 / 3, float(np.nextafter(1 / 3, 1))
    assert 3 * third == 3 * next_to_it == 1
    state = Winsorised(third, next_to_it).update([1, 2, 3])
    assert state.normalise([1, 2, 3]).tolist() == [0.0, TIED, 1.0]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 9, 1000, 2**20 + 1])
def test_the_greatest_shares_leave_the_greatest_value(n: int) -> None:
    state = Winsorised(float(np.nextafter(1, 0)), 1, counts=((1.0, n), (2.0, 1)) if n > 1 else ((2.0, 1),))
    assert state.normalise([1, 2, 3]).tolist() == [0.0, TIED, 1.0]
