"""Laws of the isotonic map: the nearest that rises, whatever the order, and merged exactly."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError
from soma.math import isotonic
from soma.math.importance import TIED, Laws
from soma.math.isotonic import Isotonic, pool_adjacent_violators

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = np.finfo(np.float64).max
reals = st.floats(allow_nan=False, allow_infinity=False)
levels = st.integers(-3, 6).map(float)
raw = st.one_of(levels, reals)
outcomes = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
weights = st.one_of(st.just(1.0), st.integers(1, 5).map(float), st.floats(5e-324, 1e299))
triples = st.tuples(raw, outcomes, weights)
samples = st.lists(triples, max_size=9)
seen = st.lists(triples, min_size=1, max_size=9)

SEQUENCES = st.lists(st.one_of(levels, st.floats(-1e6, 1e6)), min_size=1, max_size=12)


def learned(sample: list[tuple[float, float, float]], state: Isotonic | None = None) -> Isotonic:
    return (state or Isotonic()).update(*np.array(sample).reshape(-1, 3).T)


def nearest(values: list[float], masses: list[float]) -> list[Fraction]:
    """Return the fit by its min-max formula, in exact numbers."""
    v, w = [Fraction(x) for x in values], [Fraction(x) for x in masses]
    n = len(v)

    def mean(a: int, b: int) -> Fraction:
        return sum((w[j] * v[j] for j in range(a, b + 1)), Fraction(0)) / sum(w[a : b + 1])

    return [max(min(mean(a, b) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


# pool_adjacent_violators


def test_the_reference_value_comes_out(shared_data: Path) -> None:
    known = json.loads((shared_data / "decay" / "reference_values.json").read_text("utf-8"))["pav"]
    assert pool_adjacent_violators(known["in"]).tolist() == known["out"]


@given(st.lists(raw, max_size=12), st.data())
@example([1.7e308, -1.7e308, 1.7e308], None)
@example([0.6839839319154414, 0.6839839319154413], [0.1, 0.3])  # their mean rounds to less than both
def test_the_pooled_sequence_never_falls_and_stays_in_range(
    values: list[float], data: st.DataObject | list[float] | None
) -> None:
    is_drawn = data is not None and not isinstance(data, list)
    w = data.draw(st.lists(weights, min_size=len(values), max_size=len(values))) if is_drawn else data
    got = pool_adjacent_violators(values, w)
    assert got.dtype == np.float64
    assert got.shape == (len(values),)
    assert (got[1:] >= got[:-1]).all()
    if values:
        assert min(values) <= got[0]
        assert got[-1] <= max(values)


@given(SEQUENCES, st.data())
def test_the_pooled_sequence_is_the_nearest(values: list[float], data: st.DataObject) -> None:
    w = data.draw(st.lists(weights, min_size=len(values), max_size=len(values)))
    wanted = [float(x) for x in nearest(values, w)]
    np.testing.assert_allclose(pool_adjacent_violators(values, w), wanted, rtol=1e-12, atol=1e-12 * np.ptp(values))


@given(st.lists(raw, max_size=12), weights)
def test_what_rises_is_returned_as_it_is(values: list[float], weight: float) -> None:
    rising = sorted(values)
    assert pool_adjacent_violators(rising, [weight] * len(rising)).tolist() == rising


@given(SEQUENCES, st.data())
def test_pooling_again_changes_nothing(values: list[float], data: st.DataObject) -> None:
    w = data.draw(st.lists(weights, min_size=len(values), max_size=len(values)))
    once = pool_adjacent_violators(values, w)
    assert pool_adjacent_violators(once, w).tolist() == once.tolist()


@given(SEQUENCES, st.data())
def test_an_integer_weight_is_a_repetition(values: list[float], data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
    repeated = np.repeat(pool_adjacent_violators(values, times), times)
    np.testing.assert_allclose(
        pool_adjacent_violators(np.repeat(values, times)), repeated, rtol=1e-12, atol=1e-12 * np.ptp(values)
    )


@given(SEQUENCES)
def test_scikit_learn_pools_alike(values: list[float]) -> None:
    got = pool_adjacent_violators(values)
    theirs = IsotonicRegression().fit(np.arange(len(values)), values).predict(np.arange(len(values)))
    np.testing.assert_allclose(got, theirs, rtol=1e-9, atol=1e-9 * (1 + np.ptp(values)))


@pytest.mark.parametrize(
    ("values", "masses", "named"),
    [
        ([1.0, np.nan], None, "values"),
        ([1.0, np.inf], None, "values"),
        ([[1.0]], None, "values"),
        (3.0, None, "values"),
        (["high"], None, "values"),
        ([1.0, 2.0], [1.0], "weights"),
        ([1.0], [[1.0]], "weights"),
        ([1.0], [0.0], "weights"),
        ([1.0], [-1.0], "weights"),
        ([1.0], [np.nan], "weights"),
        ([1.0], [np.inf], "weights"),
        ([1.0, 2.0], [1e308, 1e308], "weights"),
    ],
)
def test_values_and_weights_outside_their_domain_are_refused(values: Any, masses: Any, named: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        pool_adjacent_violators(values, masses)
    assert refused.value.parameter == named


# the laws that the class states, one test each


def test_it_states_every_law() -> None:
    assert Isotonic.laws == Laws()
    assert len(dataclasses.fields(Laws)) == 7


@given(samples, st.lists(raw, min_size=1, max_size=9))
@example([(0.0, 0.1, 1.0), (1.0, 0.7, 1.0), (2.0, 0.7, 1.0)], [0.9999999999999999, 1.0000000000000002])
@example([(-1.7e308, 0.0, 1.0), (1.7e308, 1.0, 1.0)], [0.0])
def test_a_greater_importance_never_maps_lower(sample: list[tuple[float, float, float]], asked: list[float]) -> None:
    at = [x for x, _, _ in sample]
    points = np.sort([*asked, *at, *np.nextafter(at, -LARGEST), *np.nextafter(at, LARGEST)])
    assert (np.diff(learned(sample).normalise(points)) >= 0).all()


def test_it_does_not_fall_where_rounding_carries_a_line_above_its_end() -> None:
    low, high = 0.34, 0.9
    assert low + (high - low) > high
    state = Isotonic().update([-1e10, 1.0], [low, high])
    assert state.normalise([np.nextafter(1.0, 0), 1.0]).tolist() == [high, high]


def test_it_does_not_fall_between_neighbouring_doubles() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        x, y = rng.normal(size=20), rng.random(20)
        state = Isotonic().update(x, y)
        at, _ = state.knots()
        near = np.sort(np.concatenate([at, *(at * (1 + i * 2.0**-52) for i in range(-6, 7))]))
        assert (np.diff(state.normalise(near)) >= 0).all()


@given(samples, st.lists(raw, min_size=1, max_size=9))
def test_every_importance_maps_into_the_unit_interval(
    sample: list[tuple[float, float, float]], asked: list[float]
) -> None:
    mapped = learned(sample).normalise([*asked, -LARGEST, LARGEST, 0.0, -0.0])
    assert mapped.dtype == np.float64
    assert ((mapped >= 0) & (mapped <= 1) & ~np.signbit(mapped)).all()


@given(seen, st.data())
def test_the_order_of_a_sample_does_not_matter(sample: list[tuple[float, float, float]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(sample))
    one_by_one = Isotonic()
    for x, y, w in shuffled:
        one_by_one = one_by_one.update(x, y, w)
    assert learned(shuffled) == learned(sample) == one_by_one
    assert one_by_one.to_json() == learned(sample).to_json()


@given(samples, samples, samples)
def test_merging_equals_learning_from_everything(a: list[Any], b: list[Any], c: list[Any]) -> None:
    x, y, z = learned(a), learned(b), learned(c)
    assert x.merge(y) == learned([*a, *b]) == learned(b, learned(a))
    assert x.merge(y) == y.merge(x)
    assert hash(x.merge(y)) == hash(y.merge(x))
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert x.merge(Isotonic()) == x == Isotonic().merge(x)


@given(st.lists(raw, min_size=1))
def test_before_any_data_everything_is_in_the_middle(asked: list[float]) -> None:
    assert (Isotonic().normalise(asked) == TIED).all()
    assert Isotonic().update([], []) == Isotonic()
    assert [part.shape for part in Isotonic().knots()] == [(0,), (0,)]


def test_it_does_learn() -> None:
    state = Isotonic().update([1, 5], [0, 1])
    assert state.update(3, 0.5) != state
    assert state.normalise(0) < state.normalise(9)


@given(raw, outcomes, st.integers(1, 9), raw)
def test_one_importance_maps_everywhere_to_its_outcome(x: float, y: float, n: int, asked: float) -> None:
    np.testing.assert_allclose(Isotonic().update([x] * n, [y] * n).normalise(asked), y, rtol=1e-15)


# the map against its definition


@given(seen)
def test_at_its_knots_it_is_the_nearest_that_rises(sample: list[tuple[float, float, float]]) -> None:
    groups: dict[Fraction, list[tuple[Fraction, Fraction]]] = {}
    for x, y, w in sample:
        groups.setdefault(Fraction(x), []).append((Fraction(y), Fraction(w)))
    at = sorted(groups)
    masses = [sum((w for _, w in groups[x]), Fraction(0)) for x in at]
    means = [sum((y * w for y, w in groups[x]), Fraction(0)) / mass for x, mass in zip(at, masses, strict=True)]
    wanted = [float(g) for g in nearest(means, masses)]  # type: ignore[arg-type]
    state = learned(sample)
    np.testing.assert_allclose(state.normalise([float(x) for x in at]), wanted, rtol=1e-12, atol=1e-12)
    places, fit = state.knots()
    assert places.tolist() == [float(x) for x in at]
    assert state.normalise(places).tolist() == fit.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_learns_the_same_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 30, 400) / 2
    w = rng.integers(1, 6, 400) / 4
    for y in (rng.random(400) < x / 15, rng.random(400), 1 - x / 15):
        theirs = IsotonicRegression(out_of_bounds="clip").fit(x, y.astype(float), sample_weight=w)
        asked = np.concatenate([x, rng.uniform(-2, 18, 200)])
        got = Isotonic().update(x, y.astype(float), w).normalise(asked)
        np.testing.assert_allclose(got, theirs.predict(asked), rtol=0, atol=1e-12)


@given(seen, st.floats(0, 1))
def test_between_knots_it_runs_on_a_line_and_beyond_them_it_is_constant(
    sample: list[tuple[float, float, float]], t: float
) -> None:
    state = learned(sample)
    at, fit = state.knots()
    assert state.normalise([-LARGEST, LARGEST]).tolist() == [fit[0], fit[-1]]
    for a, b, low, high in zip(at, at[1:], fit, fit[1:], strict=False):
        x = min(max(float(a * (1 - t) + b * t), a), b)
        part = (Fraction(x) - Fraction(a)) / (Fraction(b) - Fraction(a))
        wanted = Fraction(low) + (Fraction(high) - Fraction(low)) * part
        np.testing.assert_allclose(state.normalise(x), float(wanted), rtol=1e-12, atol=1e-13)


@given(seen)
def test_every_element_is_mapped_by_itself(sample: list[tuple[float, float, float]]) -> None:
    state, x = learned(sample), [x for x, _, _ in sample]
    mapped = state.normalise(x)
    assert mapped.tolist() == [float(state.normalise(one)) for one in x]
    assert state.normalise(np.array([x, x]).T).tolist() == np.array([mapped, mapped]).T.tolist()


def test_it_learns_from_arrays_of_any_shape() -> None:
    table = Isotonic().update([[1, 2], [3, 4]], [[0, 1], [0, 1]], [[1, 2], [1, 1]])
    assert table == Isotonic().update([4, 3, 2, 1], [1, 0, 1, 0], [1, 1, 2, 1])


# JSON, and what is refused


@given(samples, st.lists(raw, min_size=1))
def test_json_gives_the_same_state_back(sample: list[tuple[float, float, float]], asked: list[float]) -> None:
    state = learned(sample)
    for back in (
        isotonic.from_json(state.to_json()),
        isotonic.from_dict(state.to_dict()),
        isotonic.from_dict(canonical_json.loads(canonical_json.dumps(state.to_dict()))),  # type: ignore[arg-type]
    ):
        assert back == state
        assert back.to_json() == state.to_json()
        assert back.normalise(asked).tobytes() == state.normalise(asked).tobytes()


def test_minus_zero_is_zero() -> None:
    one, other = Isotonic().update([0.0], [0.0]), Isotonic().update([-0.0], [-0.0])
    assert one.to_json() == other.to_json()
    assert "-0" not in other.to_json()


@pytest.mark.parametrize("wrong", ["[]", "3", '{"kind": "ecdf"}', "{}", "nope", '{"kind": "isotonic"}'])
def test_an_unknown_description_is_refused(wrong: str) -> None:
    with pytest.raises(SerializationError):
        isotonic.from_json(wrong)


@pytest.mark.parametrize(
    ("importance", "outcome", "weight", "named"),
    [
        ([np.nan], [0.5], None, "importance"),
        ([np.inf], [0.5], None, "importance"),
        (["high"], [0.5], None, "importance"),
        ([1.0], [np.nan], None, "outcome"),
        ([1.0], [1.1], None, "outcome"),
        ([1.0], [-0.1], None, "outcome"),
        ([1.0, 2.0], [0.5], None, "outcome"),
        ([1.0], 0.5, None, "outcome"),
        ([1.0], [0.5], [0.0], "weight"),
        ([1.0], [0.5], [-1.0], "weight"),
        ([1.0], [0.5], [np.nan], "weight"),
        ([1.0], [0.5], [np.inf], "weight"),
        ([1.0], [0.5], [1.0, 1.0], "weight"),
        ([1.0, 2.0], [0.5, 0.5], [1e308, 1e308], "weight"),
    ],
)
def test_a_bad_argument_is_named(importance: Any, outcome: Any, weight: Any, named: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        Isotonic().update(importance, outcome, weight)
    assert refused.value.parameter == named


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_mapped(wrong: float) -> None:
    with pytest.raises(InvalidParameterError, match="finite"):
        Isotonic().update([1], [1]).normalise([1.0, wrong])


@pytest.mark.parametrize(
    "points",
    [
        "x",
        3,
        [[1.0, 0.5, 1.0]],
        [[1.0, 0.5, 1.0, 1.0]],
        [[1.0, 0.5, 1.0, True]],
        [[1.0, 0.5, 1.0, 0]],
        [[1.0, 0.5, 1.0, 2**53]],
        [[1.0, 1.5, 1.0, 1]],
        [[1.0, 0.5, 0.0, 1]],
        [[np.nan, 0.5, 1.0, 1]],
        [["x", 0.5, 1.0, 1]],
        [[[1.0], 0.5, 1.0, 1]],
        [[[1.0], [0.5], [1.0], 1]],
        [[2.0, 0.5, 1.0, 1], [1.0, 0.5, 1.0, 1]],
        [[1.0, 0.5, 1.0, 1], [1.0, 0.5, 1.0, 1]],
        [[1.0, 0.5, 1e301, 10]],
    ],
)
def test_points_outside_their_domain_are_refused(points: Any) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        isotonic.from_dict({"kind": "isotonic", "points": points})
    assert refused.value.parameter == "points"


def test_counts_never_pass_what_a_double_counts_exactly() -> None:
    half = Isotonic(((1.0, 0.5, 1.0, 2**52),))
    with pytest.raises(InvalidParameterError, match="2\\*\\*53"):
        half.merge(half)


def test_only_an_isotonic_map_merges_with_one() -> None:
    from soma.math.importance import Ecdf

    with pytest.raises(InvalidParameterError, match="same"):
        Isotonic().merge(Ecdf())  # type: ignore[arg-type]


def test_a_state_cannot_be_changed() -> None:
    state = learned([(1.0, 0.5, 1.0)])
    before = state.to_json()
    state.update([7], [1]).merge(state)
    assert state.to_json() == before
    assert not hasattr(state, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.points = ()  # type: ignore[misc]
