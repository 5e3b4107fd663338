"""Laws of the dimensions that are read from distances."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from property_tests.math.fractal_sets import FRACTALS
from soma.errors import InvalidParameterError
from soma.math.dimension import (
    DimensionEstimate,
    correlation_sum,
    grassberger_procaccia,
    levina_bickel,
    two_nn,
)

PLANE = np.random.default_rng(3).random((1_000, 2))
ESTIMATORS: dict[str, Callable[[Any], DimensionEstimate]] = {
    "grassberger_procaccia": grassberger_procaccia,
    "two_nn": two_nn,
    "levina_bickel": levina_bickel,
}
each = pytest.mark.parametrize("method", ESTIMATORS)


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    n, d = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    return draw(npst.arrays(np.float64, (n, d), elements=st.integers(-4, 4).map(float) | st.floats(-9, 9)))


@given(
    clouds(), npst.arrays(np.float64, npst.array_shapes(max_dims=2), elements=st.sampled_from([0.1, 1.0, 2.5, 30.0]))
)
def test_a_correlation_sum_counts_pairs(x: np.ndarray[Any, Any], radii: np.ndarray[Any, Any]) -> None:
    n = len(x)
    apart = np.array([math.dist(x[i], x[j]) for i in range(n) for j in range(i)])
    is_clear = (np.abs(apart - radii[..., None]) > 1e-9).all(axis=-1)  # of the rounding of a square root
    expected = (apart <= radii[..., None]).mean(axis=-1)
    found = correlation_sum(x, radii)
    assert found.shape == radii.shape
    assert found[is_clear] == pytest.approx(expected[is_clear])


# two_nn sees one scale only, at which ten thousand points of Henon's attractor are thicker: 1.27
DRAWN = [(method, name) for method in ESTIMATORS for name in FRACTALS if (method, name) != ("two_nn", "henon")]


@pytest.mark.parametrize(("method", "name"), DRAWN)
def test_ten_thousand_drawn_points_show_their_dimension(method: str, name: str) -> None:
    draw, expected = FRACTALS[name]
    estimate = ESTIMATORS[method](draw(10_000, np.random.default_rng(4)))
    tolerance = 0.05 if expected <= 2.0 else 0.07 * expected if expected <= 3.0 else 0.15 * expected
    assert estimate.value == pytest.approx(expected, abs=tolerance)
    assert estimate.method == method
    assert 0.0 < estimate.standard_error < 0.06 * expected


@each
def test_neither_unit_nor_place_nor_rotation_nor_empty_axes_matter(method: str) -> None:
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))[0][:2]
    one, other = (ESTIMATORS[method](x) for x in (PLANE, 1e3 * PLANE @ turn + 7.0))
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.standard_error == pytest.approx(one.standard_error, rel=1e-4)
    assert other.scales == pytest.approx([1e3 * scale for scale in one.scales], rel=1e-6)


@each
def test_the_order_of_points_does_not_matter(method: str) -> None:
    assert ESTIMATORS[method](PLANE[::-1]).value == pytest.approx(ESTIMATORS[method](PLANE).value, rel=1e-12)


def test_the_likelihoods_are_those_of_the_papers() -> None:
    x = PLANE[:200]
    apart = np.sort([[math.dist(a, b) for b in x] for a in x], axis=1)[:, 1:]
    assert two_nn(x).value == pytest.approx(199 / np.log(apart[:, 1] / apart[:, 0]).sum())
    assert two_nn(x).standard_error == pytest.approx(two_nn(x).value / math.sqrt(198))
    inverse = {k: np.mean([np.log(row[k - 1] / row[: k - 1]).sum() / (k - 1) for row in apart]) for k in (5, 6, 7)}
    found = levina_bickel(x, k_min=5, k_max=7)
    assert found.value == pytest.approx(np.mean([1.0 / value for value in inverse.values()]))
    moves = [
        np.mean([np.log(row[k - 1] / row[: k - 1]).sum() / (k - 1) / inverse[k] ** 2 for k in inverse]) for row in apart
    ]
    assert found.standard_error == pytest.approx(np.std(moves, ddof=1) / math.sqrt(200))
    assert found.scales == pytest.approx((apart.min(), apart[:, :7].max()))


def test_the_error_of_two_nn_covers_what_samples_differ_by() -> None:
    rng = np.random.default_rng(6)
    found = [two_nn(rng.random((500, 2))) for _ in range(60)]
    spread = np.std([estimate.value for estimate in found])
    assert 0.6 < np.mean([estimate.standard_error for estimate in found]) / spread < 1.6


def test_radii_that_are_given_are_used() -> None:
    estimate = grassberger_procaccia(PLANE, [0.4, 0.1, 0.2, 0.1])
    assert estimate.scales == (0.1, 0.4)
    assert estimate.log2_scale == pytest.approx(np.log2([0.1, 0.2, 0.4]))
    assert estimate.log2_measure == pytest.approx(-np.log2(correlation_sum(PLANE, [0.1, 0.2, 0.4])))


def test_radii_that_are_not_given_hold_pairs_enough_and_not_too_many() -> None:
    small, large = grassberger_procaccia(PLANE).scales
    n_pairs = correlation_sum(PLANE, [small, large]) * (1_000 * 999 / 2)
    assert n_pairs[0] == pytest.approx(1_000, rel=0.1)
    assert n_pairs[1] == pytest.approx(0.01 * 1_000 * 999 / 2, rel=0.1)


REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "no points": ("points", lambda: correlation_sum(np.empty((0, 2)), 1.0)),
    "one axis": ("points", lambda: two_nn([1.0, 2.0, 3.0])),
    "no axis": ("points", lambda: two_nn(np.empty((9, 0)))),
    "a point that is nowhere": ("points", lambda: two_nn([[math.nan]] * 5)),
    "a radius of 0": ("radii", lambda: correlation_sum(PLANE, 0.0)),
    "two radii": ("radii", lambda: grassberger_procaccia(PLANE, [0.1, 0.2])),
    "radii without a pair": ("radii", lambda: grassberger_procaccia(PLANE, [1e-9, 0.1, 0.2])),
    "few points": ("points", lambda: grassberger_procaccia(PLANE[:893])),
    "one place": ("points", lambda: grassberger_procaccia(np.zeros((1_000, 2)))),
    "two places": ("points", lambda: grassberger_procaccia(np.repeat([[0.0], [1.0]], 500, axis=0))),
    "equal points": ("points", lambda: two_nn(np.concatenate([PLANE, PLANE[:1]]))),
    "three points": ("points", lambda: two_nn(PLANE[:3])),
    "even distances": ("points", lambda: two_nn(np.eye(5))),
    "even distances to more": ("points", lambda: levina_bickel(np.eye(12), k_min=2, k_max=5)),
    "fewer points than neighbours": ("points", lambda: levina_bickel(PLANE[:20])),
    "a single neighbour": ("k_min", lambda: levina_bickel(PLANE, k_min=1)),
    "half a neighbour": ("k_max", lambda: levina_bickel(PLANE, k_max=12.5)),  # type: ignore[arg-type]
    "a range upside down": ("k_max", lambda: levina_bickel(PLANE, k_min=12, k_max=11)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_dimension_is_refused_by_name(case: str) -> None:
    parameter, call = REFUSED[case]
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter


def test_too_few_points_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(InvalidParameterError, match="at least 895 points"):
        grassberger_procaccia(PLANE[:894])
    with pytest.raises(InvalidParameterError, match="2 have an equal"):
        two_nn(np.concatenate([PLANE, PLANE[:1]]))
