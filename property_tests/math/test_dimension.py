"""Laws of the entropy of cells; dimensions that are known exactly, and those that are known of drawn points."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import linregress

from property_tests.math.fractal_sets import FRACTALS, Points
from soma.errors import InvalidParameterError
from soma.math.coordinates import Frame, address, ancestor, hilbert_encode, morton_encode
from soma.math.dimension import lacunarity, occupied_cells, renyi_dimension, renyi_entropies

ORDERS = [0.0, 0.5, 1.0 - 1e-12, 1.0, 1.0 + 1e-12, 1.49, 1.51, 2.0, 7.0, 200.0, math.inf]
ROUNDING = 1e-9


@st.composite
def addresses(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], int, int, np.ndarray[Any, Any]]:
    """Codes, dimension, levels, weights."""
    d = draw(st.integers(1, 5))
    levels = draw(st.integers(0, min(64 // d, 14)))
    n = draw(st.integers(1, 30))
    near = st.integers(0, min(7, 2 ** (d * levels) - 1))  # so that codes meet
    codes = draw(npst.arrays(np.uint64, n, elements=near | st.integers(0, 2 ** (d * levels) - 1)))
    return codes, d, levels, draw(npst.arrays(np.float64, n, elements=st.floats(1e-6, 1e6)))


def shares(codes: np.ndarray[Any, Any], d: int, levels: int, level: int, weights: np.ndarray[Any, Any]) -> list[float]:
    cells = ancestor(codes, d, levels, level)
    mass = [float(weights[cells == cell].sum()) for cell in np.unique(cells)]
    return [m / math.fsum(mass) for m in mass]


def entropy(share: list[float], q: float) -> float:
    if abs(q - 1.0) < 1e-9:
        return -math.fsum(p * math.log2(p) for p in share)
    if math.isinf(q):
        return -math.log2(max(share))
    return math.log2(math.fsum((p / max(share)) ** q for p in share)) / (1 - q) + q / (1 - q) * math.log2(max(share))


@given(addresses())
def test_the_sums_of_one_sort_are_those_of_the_definition(drawn: tuple[Any, ...]) -> None:
    codes, d, levels, weights = drawn
    found = renyi_entropies(codes, d, levels, ORDERS, weights=weights)
    plain = lacunarity(codes, d, levels, weights=weights)
    for level in range(levels + 1):
        share = shares(codes, d, levels, level, weights)
        assert occupied_cells(codes, d, levels)[level] == len(share)
        assert found[:, level] == pytest.approx([entropy(share, q) for q in ORDERS], abs=ROUNDING)
        assert plain[level] == pytest.approx(2 ** (d * level) * math.fsum(p * p for p in share), rel=ROUNDING)


@given(addresses())
def test_cells_and_entropies_grow_with_the_level_by_at_most_the_dimension(drawn: tuple[Any, ...]) -> None:
    codes, d, levels, weights = drawn
    cells = occupied_cells(codes, d, levels)
    assert cells[0] == 1
    assert (cells[1:] >= cells[:-1]).all()
    assert (cells[1:] <= 2**d * cells[:-1]).all()
    growth = np.diff(renyi_entropies(codes, d, levels, ORDERS, weights=weights))
    assert (growth >= -ROUNDING).all()
    assert (growth <= d + ROUNDING).all()
    unevenness = lacunarity(codes, d, levels, weights=weights)
    assert (unevenness >= 1.0 - ROUNDING).all()
    assert (unevenness[1:] >= unevenness[:-1] * (1 - ROUNDING)).all()


@given(addresses())
def test_entropies_never_rise_with_the_order(drawn: tuple[Any, ...]) -> None:
    codes, d, levels, weights = drawn
    assert (np.diff(renyi_entropies(codes, d, levels, ORDERS, weights=weights), axis=0) <= ROUNDING).all()


@given(addresses(), st.randoms(use_true_random=False))
def test_neither_the_order_of_points_nor_the_unit_of_mass_matters(drawn: tuple[Any, ...], rng: Any) -> None:
    codes, d, levels, weights = drawn
    order = rng.sample(range(len(codes)), len(codes))
    one = renyi_entropies(codes, d, levels, ORDERS, weights=weights)
    other = renyi_entropies(codes[order], d, levels, ORDERS, weights=weights[order] * 1e-290)
    assert other == pytest.approx(one, abs=ROUNDING)
    assert (renyi_entropies(codes, d, levels, ORDERS) == renyi_entropies(codes[order], d, levels, ORDERS)).all()


@given(addresses())
def test_a_point_of_mass_two_is_two_points(drawn: tuple[Any, ...]) -> None:
    codes, d, levels, _ = drawn
    twice = renyi_entropies(np.concatenate([codes, codes[:1]]), d, levels, ORDERS)
    weights = np.ones(len(codes))
    weights[0] = 2.0
    assert renyi_entropies(codes, d, levels, ORDERS, weights=weights) == pytest.approx(twice, abs=ROUNDING)


@given(st.integers(1, 3), st.data())
def test_both_curves_have_the_same_cells(d: int, data: st.DataObject) -> None:
    levels = data.draw(st.integers(1, 10))
    cells = data.draw(npst.arrays(np.uint64, (20, d), elements=st.integers(0, 2**levels - 1)))
    one, other = (
        renyi_entropies(encode(cells, levels), d, levels, ORDERS) for encode in (morton_encode, hilbert_encode)
    )
    assert one == pytest.approx(other, abs=ROUNDING)


def grid(d: int, levels: int) -> np.ndarray[Any, Any]:
    return np.arange(2 ** (d * levels), dtype=np.uint64)


def gasket(levels: int) -> np.ndarray[Any, Any]:
    x, y = np.divmod(np.arange(4**levels), 2**levels)
    is_in = x & y == 0
    return morton_encode(np.stack([x, y], axis=1)[is_in], levels)


def diagonal(d: int, levels: int) -> np.ndarray[Any, Any]:
    return morton_encode(np.repeat(np.arange(2**levels)[:, None], d, axis=1), levels)


def base_four(levels: int) -> np.ndarray[Any, Any]:
    """Numbers whose base-4 digits are 0 and 3: each digit twice the same bit."""
    n = np.arange(2 ** (levels // 2), dtype=np.uint64)
    return morton_encode(np.repeat(n[:, None], 2, axis=1), levels // 2)


EXACT = {
    "full line": (grid(1, 12), 1, 12, None, 1.0),
    "full square": (grid(2, 6), 2, 6, None, 2.0),
    "full cube": (grid(3, 5), 3, 5, None, 3.0),
    "gasket": (gasket(8), 2, 8, None, math.log2(3.0)),
    "diagonal of a square": (diagonal(2, 10), 2, 10, None, 1.0),
    "diagonal of a cube": (diagonal(3, 10), 3, 10, None, 1.0),
    "point": (np.full(7, 5, dtype=np.uint64), 2, 8, None, 0.0),
    "digits 0 and 3, even ends": (base_four(16), 1, 16, (0, 16), 0.5),
    "digits 0 and 3, odd ends": (base_four(16), 1, 16, (1, 15), 0.5),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("q", [0.0, 1.0, 2.0, math.inf])
def test_sets_of_one_density_have_their_dimension_at_every_order(name: str, q: float) -> None:
    codes, d, levels, within, expected = EXACT[name]
    estimate = renyi_dimension(codes, d, levels, q, within=within)
    assert estimate.value == pytest.approx(expected, abs=1e-9)
    if within is None:
        assert estimate.standard_error == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("q", "expected"),
    [(0.0, 1.0), (1.0, 0.8812909), (2.0, 0.7858752), (math.inf, -math.log2(0.7)), (3.0, -math.log2(0.37) / 2)],
)
def test_the_binomial_cascade_has_its_spectrum(q: float, expected: float) -> None:
    levels = 12
    ones = np.array([n.bit_count() for n in range(2**levels)])
    weights = 0.3**ones * 0.7 ** (levels - ones)
    estimate = renyi_dimension(grid(1, levels), 1, levels, q, weights=weights)
    assert estimate.value == pytest.approx(expected, abs=1e-7 if q in (1.0, 2.0) else 1e-9)  # as the values are printed
    assert estimate.scales == (2.0**-levels, 0.5)


BOXED = {"cantor": 0.05, "koch": 0.05, "sierpinski": 0.05, "uniform square": 0.05, "uniform cube": 0.07 * 3.0}


@pytest.mark.parametrize("name", BOXED)
@pytest.mark.parametrize("q", [0.0, 1.0, 2.0])
def test_ten_thousand_drawn_points_show_their_dimension(name: str, q: float) -> None:
    draw, expected = FRACTALS[name]
    x: Points = draw(10_000, np.random.default_rng(1))
    d = x.shape[1]
    levels = min(64 // d, 26)
    estimate = renyi_dimension(address(x, Frame.unit(d), levels), d, levels, q)
    assert estimate.value == pytest.approx(expected, abs=BOXED[name])
    assert estimate.n_points == 10_000


def test_an_estimate_says_where_it_comes_from() -> None:
    estimate = renyi_dimension(gasket(5), 2, 5)
    assert estimate.method == "renyi_0"
    assert estimate.log2_scale == (-1.0, -2.0, -3.0)  # at level 4 a cell holds three points
    assert estimate.log2_measure == pytest.approx(np.log2([3, 9, 27]))
    assert estimate.scales == (0.125, 0.5)
    assert str(estimate) == "1.585 ± 0.000"
    assert json.loads(json.dumps(estimate.to_dict())) == estimate.to_dict()  # lists, and no tuples


def test_a_line_has_the_error_of_its_residuals() -> None:
    x = FRACTALS["koch"][0](10_000, np.random.default_rng(2))
    estimate = renyi_dimension(address(x, Frame.unit(2), 20), 2, 20, 1.0)
    peer = linregress(estimate.log2_scale, estimate.log2_measure)
    assert (estimate.value, estimate.standard_error) == pytest.approx((-peer.slope, peer.stderr), rel=1e-9)


@given(st.integers(0, 3), st.integers(1, 6))
def test_where_in_the_frame_a_set_lies_moves_its_scales_and_not_its_dimension(corner: int, depth: int) -> None:
    digits = sum(corner << 2 * (8 + level) for level in range(depth))  # the same corner, so many times
    whole, deep = renyi_dimension(gasket(8), 2, 8), renyi_dimension(gasket(8) + np.uint64(digits), 2, 8 + depth)
    assert deep.value == pytest.approx(whole.value, abs=1e-9)
    assert deep.scales == tuple(scale * 0.5**depth for scale in whole.scales)


def test_a_tree_that_is_too_shallow_is_told_how_deep_it_must_be() -> None:
    with pytest.raises(InvalidParameterError, match="levels must be at least 3 for these points, got 2"):
        renyi_dimension(np.repeat(grid(2, 2), 99), 2, 2)


def test_too_few_points_are_refused_with_the_number_that_is_needed() -> None:
    with pytest.raises(InvalidParameterError, match="codes must be at least 320 points for three levels, got 64"):
        renyi_dimension(grid(2, 3), 2, 3)
    assert renyi_dimension(np.tile(grid(2, 3), 5), 2, 3).value == pytest.approx(2.0)


CODES = grid(2, 3)
REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "no codes": ("codes", lambda: renyi_entropies([], 2, 3)),
    "codes of two axes": ("codes", lambda: occupied_cells([[0, 1]], 2, 3)),
    "codes beyond the frame": ("codes", lambda: occupied_cells([64], 2, 3)),
    "an order below 0": ("q", lambda: renyi_entropies(CODES, 2, 3, -0.1)),
    "no order": ("q", lambda: renyi_entropies(CODES, 2, 3, math.nan)),
    "several orders": ("q", lambda: renyi_dimension(CODES, 2, 3, [0.0, 1.0])),  # type: ignore[arg-type]
    "weights of another length": ("weights", lambda: lacunarity(CODES, 2, 3, weights=[1.0])),
    "a weight of 0": ("weights", lambda: lacunarity([0, 1], 2, 3, weights=[1.0, 0.0])),
    "a weight that is none": ("weights", lambda: lacunarity([0, 1], 2, 3, weights=[1.0, math.nan])),
    "weights that are too far apart": ("weights", lambda: lacunarity([0, 1], 2, 3, weights=[1e-150, 1e150])),
    "too few points": ("codes", lambda: renyi_dimension(CODES, 2, 3)),
    "two levels": ("within", lambda: renyi_dimension(CODES, 2, 3, within=(2, 3))),
    "levels that are not there": ("within", lambda: renyi_dimension(CODES, 2, 3, within=(1, 4))),
    "a negative level": ("within", lambda: renyi_dimension(CODES, 2, 3, within=(-1, 3))),
    "a tree that is too shallow": ("levels", lambda: renyi_dimension(np.repeat(grid(2, 2), 99), 2, 2)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_dimension_is_refused_by_name(case: str) -> None:
    parameter, call = REFUSED[case]
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter
