"""Laws of fractal coordinates: one tree, two orders of it, an ultrametric, and what it does not promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hilbertcurve.hilbertcurve import HilbertCurve
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from soma.errors import InvalidParameterError, SerializationError
from soma.math.coordinates import (
    Frame,
    address,
    ancestor,
    cell_bounds,
    cell_distance,
    children,
    common_level,
    grid_cells,
    hilbert_decode,
    hilbert_encode,
    morton_decode,
    morton_encode,
    parent,
)

CURVES = {"morton": (morton_encode, morton_decode), "hilbert": (hilbert_encode, hilbert_decode)}
curves = st.sampled_from(sorted(CURVES))
SMALL = [(d, levels) for d in range(1, 6) for levels in range(12 // d + 1)]


def shapes(max_dimension: int = 64) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(1, max_dimension).flatmap(lambda d: st.tuples(st.just(d), st.integers(0, 64 // d)))


@st.composite
def grids(draw: st.DrawFn, max_dimension: int = 64) -> tuple[np.ndarray, int, int]:  # type: ignore[type-arg]
    d, levels = draw(shapes(max_dimension))
    n = draw(st.integers(1, 6))
    cells = draw(npst.arrays(np.uint64, (n, d), elements=st.integers(0, 2**levels - 1)))
    return cells, d, levels


@st.composite
def points(draw: st.DrawFn, n: int = 3) -> tuple[np.ndarray, int, int]:  # type: ignore[type-arg]
    d = draw(st.integers(1, 4))
    levels = draw(st.integers(1, min(64 // d, 40)))
    x = draw(npst.arrays(np.float64, (n, d), elements=st.floats(0, 1, exclude_max=True)))
    return x, d, levels


def whole_grid(d: int, levels: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(list(itertools.product(range(2**levels), repeat=d)), dtype=np.uint64).reshape(-1, d)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(("d", "levels"), SMALL)
def test_encoding_is_a_bijection_of_the_whole_grid(curve: str, d: int, levels: int) -> None:
    encode, decode = CURVES[curve]
    cells = whole_grid(d, levels)
    codes = encode(cells, levels)
    assert np.array_equal(np.sort(codes), np.arange(2 ** (d * levels), dtype=np.uint64))
    assert np.array_equal(decode(codes, d, levels), cells)


@given(grids(), curves)
def test_decoding_what_was_encoded_gives_it_back(grid: tuple, curve: str) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    encode, decode = CURVES[curve]
    assert np.array_equal(decode(encode(cells, levels), d, levels), cells)


@given(grids(), curves, st.data())
def test_a_prefix_is_the_code_of_the_coarser_cell(grid: tuple, curve: str, data: st.DataObject) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    encode, _ = CURVES[curve]
    up = data.draw(st.integers(0, levels))
    coarse = cells >> np.uint64(up) if up < 64 else np.zeros_like(cells)
    assert np.array_equal(ancestor(encode(cells, levels), d, levels, levels - up), encode(coarse, levels - up))


@given(grids(), curves)
def test_codes_have_the_shape_of_their_cells(grid: tuple, curve: str) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    encode, decode = CURVES[curve]
    codes = encode(cells, levels)
    for shape in ((), (1, len(cells)), (len(cells), 1), (1, 1, len(cells), 1)):
        some = cells[0] if shape == () else cells.reshape(*shape, d)
        found = encode(some, levels)
        assert np.array_equal(found, codes[0] if shape == () else codes.reshape(shape))
        assert np.array_equal(decode(found, d, levels), some)


@given(grids(), curves)
def test_the_parent_is_the_ancestor_one_level_up_and_has_the_cell_for_a_child(grid: tuple, curve: str) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    assume(levels > 0)
    codes = CURVES[curve][0](cells, levels)
    assert np.array_equal(parent(codes, d), ancestor(codes, d, levels, levels - 1))
    if d <= 4:
        family = children(parent(codes, d), d)
        assert family.shape == (len(cells), 2**d)
        assert (family == codes[:, None]).any(axis=1).all()
        assert (np.diff(family.astype(object), axis=1) == 1).all()


@given(grids(), st.data())
def test_both_curves_agree_on_the_common_level(grid: tuple, data: st.DataObject) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    other = cells ^ np.uint64(data.draw(st.integers(0, 2**levels - 1)))
    by_curve = [common_level(encode(cells, levels), encode(other, levels), d, levels) for encode, _ in CURVES.values()]
    assert np.array_equal(*by_curve)


@given(points())
def test_the_distance_is_an_ultrametric(drawn: tuple) -> None:  # type: ignore[type-arg]
    x, d, levels = drawn
    a, b, c = address(x, Frame.unit(d), levels)
    ab, bc, ac = (float(cell_distance(*pair, d, levels)) for pair in ((a, b), (b, c), (a, c)))
    assert ac <= max(ab, bc)
    assert float(cell_distance(b, a, d, levels)) == ab
    assert (ab == 0) == (a == b)


@given(points(n=2))
def test_points_of_a_common_cell_are_nearer_than_its_side(drawn: tuple) -> None:  # type: ignore[type-arg]
    x, d, levels = drawn
    a, b = address(x, Frame.unit(d), levels)
    assert np.abs(x[0] - x[1]).max() < 2.0 ** -float(common_level(a, b, d, levels))


def test_integers_of_python_are_codes_too() -> None:
    codes = np.array([2**63, 5], dtype=object)
    assert np.array_equal(morton_decode(codes, 2, 32), morton_decode(np.array([2**63, 5], np.uint64), 2, 32))


def test_near_points_need_not_share_a_prefix() -> None:
    left, right = address([[np.nextafter(0.5, 0)], [0.5]], Frame.unit(1), 52)
    assert common_level(left, right, 1, 52) == 0


@given(grids(max_dimension=4))
def test_the_cell_holds_its_points_and_its_side_halves_with_each_level(grid: tuple) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    levels = min(levels, 20)
    cells = cells & np.uint64(2**levels - 1)
    frame = Frame((-2.0,) * d, (6.0,) * d)
    lower, upper = cell_bounds(morton_encode(cells, levels), frame, levels)
    assert np.array_equal(upper - lower, np.full_like(lower, 8.0 * 2.0**-levels))
    assert np.array_equal(address(lower, frame, levels), morton_encode(cells, levels))
    assert np.array_equal(address((lower + upper) / 2, frame, levels), morton_encode(cells, levels))


@pytest.mark.parametrize(("d", "levels"), [shape for shape in SMALL if shape[1] > 0])
def test_successive_hilbert_cells_touch(d: int, levels: int) -> None:
    walk = hilbert_decode(np.arange(2 ** (d * levels)), d, levels).astype(np.int64)
    assert (np.abs(np.diff(walk, axis=0)).sum(axis=1) == 1).all()


@given(st.integers(2, 5).flatmap(lambda d: st.tuples(st.just(d), st.integers(1, 64 // d))), st.data())
def test_successive_hilbert_cells_touch_at_any_depth(shape: tuple[int, int], data: st.DataObject) -> None:
    d, levels = shape
    at = data.draw(st.integers(0, 2 ** (d * levels) - 2))
    a, b = hilbert_decode(np.array([at, at + 1], dtype=np.uint64), d, levels).astype(object)
    assert sum(abs(a - b)) == 1


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_plane_curve_is_the_oracles_up_to_symmetry(levels: int) -> None:
    walk = hilbert_decode(np.arange(4**levels), 2, levels).astype(np.int64)
    oracle = np.array(HilbertCurve(levels, 2).points_from_distances(range(4**levels)))
    assert any(np.array_equal(walk, turned) for turned in (oracle, oracle[:, ::-1]))


@given(grids(max_dimension=6), st.data())
def test_morton_is_monotone_for_the_product_order(grid: tuple, data: st.DataObject) -> None:  # type: ignore[type-arg]
    cells, d, levels = grid
    more = data.draw(npst.arrays(np.uint64, (len(cells), d), elements=st.integers(0, 2**levels - 1)))
    low, high = np.minimum(cells, more), np.maximum(cells, more)
    assert (morton_encode(low, levels) <= morton_encode(high, levels)).all()


@given(points(n=1), st.data())
def test_the_doubling_map_drops_the_first_digit_and_a_contraction_prepends_one(
    drawn: tuple, data: st.DataObject
) -> None:  # type: ignore[type-arg]
    x, d, levels = drawn
    levels = min(levels, 20)
    x = np.ldexp(grid_cells(x, levels).astype(np.float64), -levels)  # exact in binary
    code = int(address(x, Frame.unit(d), levels)[0])
    tail = int(address(2 * x % 1, Frame.unit(d), levels - 1)[0])
    assert tail == code % 2 ** (d * (levels - 1))
    a = np.array(data.draw(st.lists(st.integers(0, 1), min_size=d, max_size=d)))
    if d * (levels + 1) <= 64:
        contracted = int(address((x + a) / 2, Frame.unit(d), levels + 1)[0])
        digit = int(morton_encode(a[None], 1)[0])
        assert contracted == digit * 2 ** (d * levels) + code


@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300), st.floats(0, 1))
def test_every_point_of_a_frame_is_normalised_into_the_unit_box(lower: float, side: float, share: float) -> None:
    upper = lower + side
    assume(lower < upper < np.inf)
    frame, point = Frame((lower,), (upper,)), min(lower + share * (upper - lower), np.nextafter(upper, -np.inf))
    assume(lower <= point)
    assert 0.0 <= float(frame.normalise([point])[0]) < 1.0
    assert not frame.contains([upper])
    assert Frame.from_dict(frame.to_dict()) == frame


@pytest.mark.parametrize(
    "call",
    [
        lambda: Frame((0.0,), (0.0,)),
        lambda: Frame((0.0,), (np.nan,)),
        lambda: Frame((0.0, 0.0), (1.0,)),
        lambda: Frame((), ()),
        lambda: Frame.unit(2).normalise([1.0, 0.0]),
        lambda: Frame.unit(2).normalise([np.nan, 0.0]),
        lambda: Frame.unit(2).normalise([0.5]),
        lambda: morton_encode([[4]], 2),
        lambda: morton_encode([[-1]], 2),
        lambda: morton_encode([[0.5]], 2),
        lambda: morton_encode([[0, 0]], 33),
        lambda: hilbert_encode([[4]], 2),
        lambda: morton_decode(16, 2, 2),
        lambda: hilbert_decode(0, 0, 1),
        lambda: ancestor(0, 2, 2, 3),
        lambda: children(2**63, 2),
        lambda: grid_cells([1.0], 1),
        lambda: grid_cells([0.5], 65),
        lambda: common_level(4, 0, 1, 2),
        lambda: cell_bounds(4, Frame.unit(1), 2),
    ],
)
def test_what_lies_outside_the_domain_is_refused(call: object) -> None:
    with pytest.raises(InvalidParameterError):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("description", [{}, {"lower": [0.0]}, {"lower": [0], "upper": [1], "more": 1}, [0, 1]])
def test_a_frame_is_read_from_its_two_fields_only(description: object) -> None:
    with pytest.raises(SerializationError, match=r"^a frame has exactly the fields lower and upper$"):
        Frame.from_dict(description)  # type: ignore[arg-type]
