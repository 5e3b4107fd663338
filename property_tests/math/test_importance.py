"""Laws of the importance normalisers, made from what each class states about itself."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError
from soma.math import importance
from soma.math.importance import (
    KINDS,
    TIED,
    Bounded,
    Ecdf,
    FixedBins,
    Laws,
    LogBuckets,
    Logistic,
    MinMax,
    Normaliser,
    Winsorised,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.mark import MarkDecorator

reals = st.floats(allow_nan=False, allow_infinity=False)
# importances as people give them, and everything else that a double can be: ties must happen, and so must extremes
raw = st.one_of(st.integers(-3, 12).map(float), st.integers(-(10**20), 10**20).map(float), reals)
samples = st.lists(raw, max_size=9)
seen = st.lists(raw, min_size=1, max_size=9)

shares = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)

EMPTY: dict[str, st.SearchStrategy[Normaliser]] = {
    "bounded": st.tuples(reals, reals).filter(lambda e: e[0] < e[1]).map(lambda e: Bounded(*e)),
    "logistic": st.builds(Logistic, reals, st.floats(min_value=0, exclude_min=True, allow_infinity=False)),
    "min_max": st.just(MinMax()),
    "winsorised": shares.map(lambda e: Winsorised(*e)),
    "ecdf": st.just(Ecdf()),
    "fixed_bins": st.lists(raw, min_size=1, max_size=6, unique=True).map(lambda e: FixedBins(tuple(sorted(e)))),
    "log_buckets": st.floats(1e-3, 1, exclude_max=True).map(LogBuckets),
}
EXAMPLES: dict[str, Normaliser] = {
    "bounded": Bounded(0, 10),
    "logistic": Logistic(5, 2),
    "min_max": MinMax().update([1, 9]),
    "winsorised": Winsorised(0.1, 0.9).update([1, 9, 9]),
    "ecdf": Ecdf().update([1, 9, 9]),
    "fixed_bins": FixedBins((2.0, 5.0)).update([1, 9]),
    "log_buckets": LogBuckets(0.02).update([-4, 0, 1, 9]),
}
VALUES = [-7.0, -1.0, 0.0, 0.5, 1.0, 1.0, 2.0, 5.0, 9.0, 1e6]

each = pytest.mark.parametrize("kind", KINDS)


def stating(law: str, value: bool = True) -> MarkDecorator:
    """Run a test over the classes that state a law."""
    return pytest.mark.parametrize("kind", [n for n, c in KINDS.items() if getattr(c.laws, law) is value])


def bits(x: np.ndarray) -> bytes:
    return np.asarray(x, dtype=np.float64).tobytes()


def test_every_kind_is_named_and_has_a_strategy() -> None:
    assert set(KINDS) == set(EMPTY) == set(EXAMPLES)
    assert all(KINDS[name].kind == name for name in KINDS)
    public = [getattr(importance, name) for name in importance.__all__]
    classes = {c for c in public if isinstance(c, type) and issubclass(c, Normaliser)}
    assert set(KINDS.values()) == classes - {Normaliser}


def test_every_law_is_stated_by_a_class_and_used_by_a_test() -> None:
    named = {field.name for field in dataclasses.fields(Laws)}
    merging = {"nearly_mergeable", "mergeable", "exactly_mergeable"}
    assert named == {"monotone", "bounded", "order_independent", "is_fitted"} | merging
    assert all(any(getattr(c.laws, law) for c in KINDS.values()) for law in named)


@each
def test_what_merges_exactly_merges_and_what_merges_nearly_merges(kind: str) -> None:
    laws = KINDS[kind].laws
    assert laws.mergeable or not laws.exactly_mergeable
    assert laws.nearly_mergeable or not laws.mergeable


# the laws that a class states


@stating("monotone")
@given(st.data(), samples, seen)
def test_a_greater_importance_never_maps_lower(
    kind: str, data: st.DataObject, sample: list[float], asked: list[float]
) -> None:
    state = data.draw(EMPTY[kind]).update(sample)
    points = np.sort([*asked, *sample, *np.nextafter(asked, 0.0)])
    assert (np.diff(state.normalise(points)) >= 0).all()


@stating("bounded")
@given(st.data(), samples, seen)
def test_every_importance_maps_into_the_unit_interval(
    kind: str, data: st.DataObject, sample: list[float], asked: list[float]
) -> None:
    state = data.draw(EMPTY[kind]).update(sample)
    mapped = state.normalise([*asked, *sample, -1.7e308, 1.7e308, 0.0, -0.0])
    assert mapped.dtype == np.float64
    assert ((mapped >= 0) & (mapped <= 1) & ~np.signbit(mapped)).all()


@stating("order_independent")
@given(st.data(), seen)
def test_the_order_of_a_sample_does_not_matter(kind: str, data: st.DataObject, sample: list[float]) -> None:
    empty = data.draw(EMPTY[kind])
    shuffled = data.draw(st.permutations(sample))
    state = empty.update(sample)
    assert empty.update(shuffled) == state
    one_by_one = empty
    for x in shuffled:
        one_by_one = one_by_one.update(x)
    assert one_by_one == state
    assert one_by_one.to_json() == state.to_json()


@stating("mergeable")
@given(st.data(), samples, samples, seen)
def test_merged_samples_map_as_the_sample_of_both(
    kind: str, data: st.DataObject, one: list[float], other: list[float], asked: list[float]
) -> None:
    empty = data.draw(EMPTY[kind])
    merged = empty.update(one).merge(empty.update(other))
    both = empty.update([*one, *other])
    np.testing.assert_allclose(merged.normalise(asked), both.normalise(asked), rtol=0, atol=1e-9)


@stating("exactly_mergeable")
@given(st.data(), samples, samples, samples)
def test_merging_equals_learning_from_everything(
    kind: str, data: st.DataObject, a: list[float], b: list[float], c: list[float]
) -> None:
    empty = data.draw(EMPTY[kind])
    x, y, z = (empty.update(sample) for sample in (a, b, c))
    assert x.merge(y) == empty.update([*a, *b]) == empty.update(a).update(b)
    assert x.merge(y) == y.merge(x)
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert x.merge(empty) == x == empty.merge(x)
    assert hash(x.merge(y)) == hash(y.merge(x))


@stating("is_fitted", value=False)
@given(st.data(), samples)
def test_a_fixed_scale_learns_nothing(kind: str, data: st.DataObject, sample: list[float]) -> None:
    state = data.draw(EMPTY[kind])
    assert state.update(sample) == state


@stating("is_fitted")
@given(st.data(), seen)
def test_before_any_data_everything_is_in_the_middle(kind: str, data: st.DataObject, asked: list[float]) -> None:
    empty = data.draw(EMPTY[kind])
    assert (empty.normalise(asked) == TIED).all()
    assert empty.update([]) == empty


@stating("is_fitted")
@given(st.data(), raw, st.integers(1, 9))
def test_a_constant_sample_maps_to_the_middle(kind: str, data: st.DataObject, x: float, n: int) -> None:
    state = data.draw(EMPTY[kind]).update([x] * n)
    assert state.normalise(x) == TIED == 0.5


@given(st.floats(-1e300, 1e300), st.integers(1, 9))
def test_beside_a_constant_sample_lie_the_ends(x: float, n: int) -> None:
    below, above = np.nextafter(x, -math.inf), np.nextafter(x, math.inf)
    for state in (MinMax().update([x] * n), Winsorised().update([x] * n), Ecdf().update([x] * n)):
        assert state.normalise([below, x, above]).tolist() == [0.0, TIED, 1.0]


@each
def test_minus_zero_is_zero(kind: str) -> None:
    one, other = (EXAMPLES[kind].update([zero]) for zero in (0.0, -0.0))
    assert one.to_json() == other.to_json()
    assert bits(one.normalise(0.0)) == bits(other.normalise(-0.0))


def test_minus_zero_leaves_no_trace_in_a_state() -> None:
    assert "-0" not in Bounded(-0.0, 1).to_json() + Logistic(-0.0, 1).to_json() + FixedBins((-0.0,)).to_json()
    assert "-0" not in Winsorised(-0.0, 1).to_json()
    for empty in (MinMax(), Winsorised(), Ecdf(), LogBuckets()):
        assert "-0" not in empty.update([-0.0]).to_json()


@stating("is_fitted")
def test_a_fitted_scale_does_learn(kind: str) -> None:
    state = EXAMPLES[kind]
    assert state.update([50.0]) != state
    assert state.normalise(-100) < state.normalise(100)


# values, and what is refused


@each
@given(st.data(), seen)
def test_every_element_is_mapped_by_itself(kind: str, data: st.DataObject, sample: list[float]) -> None:
    state = data.draw(EMPTY[kind]).update(sample)
    mapped = state.normalise(sample)
    assert mapped.shape == (len(sample),)
    assert bits(mapped) == b"".join(bits(state.normalise(x)) for x in sample)
    assert bits(state.normalise(np.array(sample)[::-1])) == bits(mapped[::-1])
    table = np.array([sample, sample]).T
    assert bits(state.normalise(table)) == bits(np.array([mapped, mapped]).T)
    assert state.normalise(sample[0]).shape == ()


@each
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_error(kind: str, wrong: float) -> None:
    state = EXAMPLES[kind]
    for call in (state.update, state.normalise):
        with pytest.raises(InvalidParameterError, match="finite"):
            call([1.0, wrong])
    with pytest.raises(InvalidParameterError, match="real numbers"):
        state.update(["high"])


@each
@given(st.data(), samples, seen)
def test_json_gives_the_same_state_back(
    kind: str, data: st.DataObject, sample: list[float], asked: list[float]
) -> None:
    state = data.draw(EMPTY[kind]).update(sample)
    for back in (
        importance.from_json(state.to_json()),
        importance.from_dict(state.to_dict()),
        # as a registration travels: canonical JSON writes 5.0 as 5
        importance.from_dict(canonical_json.loads(canonical_json.dumps(state.to_dict()))),  # type: ignore[arg-type]
    ):
        assert back == state
        assert type(back) is type(state)
        assert bits(back.normalise(asked)) == bits(state.normalise(asked))
        assert back.to_json() == state.to_json()


@each
def test_a_missing_or_unknown_field_is_refused(kind: str) -> None:
    described = EXAMPLES[kind].to_dict()
    for name in described:
        with pytest.raises(SerializationError):
            importance.from_dict({k: v for k, v in described.items() if k != name})
    with pytest.raises(SerializationError, match="extra"):
        importance.from_dict(described | {"extra": 1})


@pytest.mark.parametrize("wrong", ["[]", "3", '{"kind": "softmax"}', '{"kind": ["ecdf"]}', "{}", "nope", "null"])
def test_an_unknown_kind_is_refused(wrong: str) -> None:
    with pytest.raises(SerializationError):
        importance.from_json(wrong)


def test_a_large_state_still_reads_back() -> None:
    state = Ecdf().update(np.arange(45_000) * math.pi * 1e6)
    assert len(state.to_json()) > canonical_json.MAX_BYTES
    assert importance.from_json(state.to_json()) == state


@each
def test_a_field_of_another_type_is_refused(kind: str) -> None:
    described = EXAMPLES[kind].to_dict()
    for name in set(described) - {"kind"}:
        for wrong in (
            "x",
            {"a": 1},
            [["x", 1]],
            [[1.0]],
            [[1.0, 1.5]],
            [[1.0, True]],
            [[[1.0], 1]],
            [1.5],
            [True],
            [None],
        ):
            with pytest.raises(InvalidParameterError):
                importance.from_dict(described | {name: wrong})


REFUSED: dict[str, list[Callable[[], Any]]] = {
    "upper must be above lower = 1.0": [
        lambda: Bounded(1, 1),
    ],
    "upper must be above lower = 2.0": [
        lambda: Bounded(2, 1),
    ],
    "upper must be finite": [
        lambda: Bounded(0, np.inf),
        lambda: MinMax(0.0, np.inf),
    ],
    "upper must be one number": [
        lambda: Bounded(0, [1.0]),  # type: ignore[arg-type]
    ],
    "midpoint must be finite": [
        lambda: Logistic(np.nan, 1),
    ],
    "scale must be finite and > 0": [
        lambda: Logistic(0, 0),
    ],
    "midpoint must be one number": [
        lambda: Logistic([0.0], 1),  # type: ignore[arg-type]
    ],
    "upper_share must be above lower_share = 0.5": [
        lambda: Winsorised(0.5, 0.5),
    ],
    "upper_share must be above lower_share = 0.9": [
        lambda: Winsorised(0.9, 0.1),
    ],
    "lower_share must lie in [0, 1]": [
        lambda: Winsorised(-0.1, 0.9),
        lambda: Winsorised(np.nan, 0.9),
    ],
    "upper_share must lie in [0, 1]": [
        lambda: Winsorised(0.1, 1.1),
    ],
    "lower_share must be one number": [
        lambda: Winsorised([0.1], 0.9),  # type: ignore[arg-type]
    ],
    "counts must have places of this scale, rising, each once": [
        lambda: Winsorised(counts=((2.0, 1), (1.0, 1))),
        lambda: FixedBins((1.0,), counts=((-1, 1),)),
        lambda: FixedBins((1.0,), counts=((2, 1),)),
        lambda: Ecdf(counts=((2.0, 1), (1.0, 1))),
        lambda: Ecdf(counts=((1.0, 1), (1.0, 1))),
        lambda: LogBuckets(0.1, counts=((1.5, 1),)),
        lambda: LogBuckets(0.1, counts=((10**9, 1),)),
    ],
    "upper must be given with lower, or neither": [
        lambda: MinMax(1.0),
        lambda: MinMax(None, 1.0),
    ],
    "upper must be at least lower = 2.0": [
        lambda: MinMax(2.0, 1.0),
    ],
    "edges must be rising numbers, at least one": [
        lambda: FixedBins(()),
        lambda: FixedBins((1.0, 1.0)),
    ],
    "edges must be finite": [
        lambda: FixedBins((1.0, np.nan)),
    ],
    "counts must hold integers >= 1, of a sum below 2**53": [
        lambda: FixedBins((1.0,), counts=((0, -1),)),
        lambda: FixedBins((1.0,), counts=((0, 2**53),)),
        lambda: FixedBins((1.0,), counts=((0, 2**52), (1, 2**52))),
        lambda: Ecdf(counts=((1.0, 0),)),
        lambda: Ecdf(counts=((1.0, 2**52), (2.0, 2**52))),
    ],
    "counts must be pairs of a finite place and a count": [
        lambda: Ecdf(counts=((np.nan, 1),)),
        lambda: LogBuckets(0.1, counts=((np.inf, 1),)),
    ],
    "relative_accuracy must be finite and > 0": [
        lambda: LogBuckets(0.0),
    ],
    "relative_accuracy must lie in [0.001, 1)": [
        lambda: LogBuckets(1.0),
        lambda: LogBuckets(1e-4),
    ],
}


@pytest.mark.parametrize("told", REFUSED)
def test_settings_outside_their_domain_are_refused_with_what_is_wanted(told: str) -> None:
    for call in REFUSED[told]:
        with pytest.raises(InvalidParameterError) as refused:
            call()
        assert f"{refused.value.parameter} {refused.value.requirement}" == told


def test_only_the_same_kind_and_settings_merge() -> None:
    others = [
        *EXAMPLES.values(),
        Bounded(0, 9),
        Logistic(5, 3),
        Logistic(4, 2),
        Winsorised(0.1, 0.8),
        Winsorised(0.2, 0.9),
        FixedBins((2.0, 6.0)),
        LogBuckets(0.03),
    ]
    for one in others:
        for other in others:
            is_data_only = type(one) is type(other) and type(one) in (MinMax, Ecdf)
            if one is not other and not is_data_only:
                with pytest.raises(InvalidParameterError, match="same"):
                    one.merge(other)


@each
def test_a_state_cannot_be_changed(kind: str) -> None:
    state = EXAMPLES[kind]
    before = state.to_json()
    state.update([77.0]).merge(state)
    assert state.to_json() == before
    assert not hasattr(state, "__dict__")
    for field in dataclasses.fields(state):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(state, field.name, None)
    assert not any(isinstance(getattr(state, f.name), list | np.ndarray) for f in dataclasses.fields(state))


@each
def test_json_names_the_kind_first_hand(kind: str) -> None:
    state = EXAMPLES[kind]
    assert state.to_dict()["kind"] == kind
    assert json.loads(state.to_json()) == state.to_dict()  # lists, and no tuples
    assert state.to_json() == json.dumps(state.to_dict(), sort_keys=True, separators=(",", ":"))


# each class against its definition


@given(reals, reals, raw)
@example(-1.7e308, 1.7e308, 0.0)
@example(0.0, 5e-324, 5e-324)
def test_a_line_runs_from_its_lower_to_its_upper_end(a: float, b: float, x: float) -> None:
    assume(a != b)
    lower, upper = sorted([a, b])
    for line in (Bounded(lower, upper), MinMax().update([a, b]), MinMax(lower, upper)):
        assert line.normalise([lower, upper]).tolist() == [0.0, 1.0]
        within = min(max(x, lower), upper)
        # exact rationals: no rounding to share with the code
        exact = (_fraction(within) - _fraction(lower)) / (_fraction(upper) - _fraction(lower))
        np.testing.assert_allclose(line.normalise(x), float(exact), rtol=1e-14, atol=1e-15)


def _fraction(x: float) -> Any:
    from fractions import Fraction

    return Fraction(x)


@given(st.floats(-700, 700), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_the_logistic_is_its_formula_and_symmetric(z: float, midpoint: float, scale: float) -> None:
    import mpmath  # type: ignore[import-untyped]

    unit = Logistic(0, 1)
    np.testing.assert_allclose(unit.normalise(z), float(1 / (1 + mpmath.exp(-mpmath.mpf(z)))), rtol=1e-15)
    np.testing.assert_allclose(unit.normalise(z) + unit.normalise(-z), 1.0, rtol=1e-15)
    moved = Logistic(midpoint, scale)
    assert moved.normalise(midpoint) == 0.5
    x = midpoint + z * scale
    np.testing.assert_allclose(moved.normalise(x), unit.normalise((x - midpoint) / scale), rtol=1e-12, atol=1e-300)


def test_the_logistic_does_not_fall_between_neighbouring_doubles() -> None:
    z = np.concatenate([np.linspace(-40, 40, 100_001), np.linspace(-2, 2, 100_001)])
    unit = Logistic(0, 1)
    assert (unit.normalise(np.nextafter(z, np.inf)) >= unit.normalise(z)).all()


@given(seen, seen)
def test_the_ecdf_is_the_mid_rank(sample: list[float], asked: list[float]) -> None:
    state = Ecdf().update(sample)
    for x in [*asked, *sample]:
        below, level = sum(s < x for s in sample), sum(s == x for s in sample)
        assert state.normalise(x) == (2 * below + level) / (2 * len(sample))
    # the mean of mid-ranks over their own sample is one half, ties or not
    np.testing.assert_allclose(state.normalise(sample).mean(), 0.5, rtol=1e-12)


@given(st.lists(raw, min_size=1, max_size=6, unique=True), seen, seen)
def test_bins_are_the_mid_rank_of_a_bin_and_an_edge_falls_above(
    edges: list[float], sample: list[float], asked: list[float]
) -> None:
    edges = sorted(edges)
    state = FixedBins(tuple(edges)).update(sample)

    def bin_of(x: float) -> int:
        return sum(edge <= x for edge in edges)

    assert sum(n for _, n in state.counts) == len(sample)
    assert all(n == sum(bin_of(s) == i for s in sample) for i, n in state.counts)
    for x in [*asked, *edges]:
        below = sum(bin_of(s) < bin_of(x) for s in sample)
        level = sum(bin_of(s) == bin_of(x) for s in sample)
        assert state.normalise(x) == (2 * below + level) / (2 * len(sample))
