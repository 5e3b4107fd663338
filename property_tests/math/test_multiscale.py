"""Laws of traces: they are linear, mergeable and blind to order, and keep the bound of their constants."""

from __future__ import annotations

import math
from functools import cache, reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math import multiscale
from soma.math.multiscale import (
    ExponentialSum,
    Trace,
    access,
    advance,
    base_level,
    base_levels,
    level,
    levels,
    merge,
    power_law,
)
from soma.math.units import DAY, HOUR, YEAR

START_S = 1.7e9  # a POSIX time of today: ages are differences of large numbers
MAX_AGE_S = 10.0 * YEAR


@cache
def law_of(exponent: float = 0.5, eps: float = 5e-3) -> ExponentialSum:
    return power_law(exponent, eps, 1.0, MAX_AGE_S)


LAWS = st.builds(law_of, st.sampled_from([0.1, 0.5, 0.9, 1.5]), st.sampled_from([1e-2, 5e-3, 1e-6]))


WEIGHTS = st.floats(0.01, 100.0)
ACCESSES = st.tuples(st.floats(START_S, START_S + 5.0 * YEAR), WEIGHTS)
HISTORIES = st.lists(ACCESSES, min_size=1, max_size=30)
# later than every access by at least t_min, and within ten years of all
NOWS = st.floats(START_S + 5.0 * YEAR + 1.0, START_S + MAX_AGE_S)

History = list[tuple[float, float]]


def trace_of(history: History, law: ExponentialSum) -> Trace:
    return reduce(lambda trace, one: access(trace, one[0], one[1], law), history, Trace.empty(law))


def approx(expected: float) -> object:
    return pytest.approx(expected, rel=1e-12, abs=1e-300)


@settings(max_examples=60)
@given(LAWS, st.floats(-20.0, 20.0))
def test_at_no_age_is_the_sum_more_than_the_bound_above_the_power_law(law: ExponentialSum, log: float) -> None:
    trace = access(Trace.empty(law), 0.0, 1.0, law)
    age = 10.0**log
    alone = level(trace, age, law)
    assert alone <= (1.0 + law.eps) * age**-law.exponent
    if age < law.t_min_s:
        assert alone >= (1.0 - law.eps) * law.t_min_s**-law.exponent
        assert alone <= sum(law.weight) * (1.0 + 1e-12)
    assert level(trace, 0.0, law) == approx(sum(law.weight))


@given(LAWS, HISTORIES, NOWS)
def test_a_trace_is_the_sum_over_all_accesses_within_the_bound(
    law: ExponentialSum, history: History, now_s: float
) -> None:
    exact = sum(weight * (now_s - at_s) ** -law.exponent for at_s, weight in history)
    trace = trace_of(history, law)
    assert abs(level(trace, now_s, law) / exact - 1.0) <= law.eps
    assert abs(base_level(trace, now_s, law) - math.log(exact)) <= -math.log1p(-law.eps) + 1e-12


@given(LAWS, HISTORIES, st.floats(0.0, 1e12))
def test_a_trace_is_exactly_the_sum_of_exponentials(law: ExponentialSum, history: History, since_s: float) -> None:
    now_s = max(at_s for at_s, _ in history) + since_s
    terms = [
        c * w * math.exp(-(now_s - at_s) / tau)
        for at_s, c in history
        for tau, w in zip(law.tau_s, law.weight, strict=True)
    ]
    assert level(trace_of(history, law), now_s, law) == approx(math.fsum(terms))


@given(LAWS, HISTORIES, NOWS, st.randoms(use_true_random=False))
def test_the_order_of_accesses_does_not_matter(
    law: ExponentialSum, history: History, now_s: float, random: object
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = trace_of(history, law), trace_of(shuffled, law)
    assert one.at_s == other.at_s == max(at_s for at_s, _ in history)
    assert level(one, now_s, law) == approx(level(other, now_s, law))


@given(LAWS, HISTORIES, NOWS, st.lists(st.integers(0, 6), min_size=30, max_size=30))
def test_seven_merged_streams_equal_one(
    law: ExponentialSum, history: History, now_s: float, streams: list[int]
) -> None:
    parts = [
        trace_of([one for one, stream in zip(history, streams, strict=False) if stream == part], law)
        for part in range(7)
    ]
    merged = reduce(lambda a, b: merge(a, b, law), parts)
    whole = trace_of(history, law)
    assert merged.at_s == whole.at_s
    assert level(merged, now_s, law) == approx(level(whole, now_s, law))


@given(LAWS, HISTORIES, HISTORIES, HISTORIES, NOWS)
def test_merging_is_associative_and_commutative_and_adds_levels(
    law: ExponentialSum, a: History, b: History, c: History, now_s: float
) -> None:
    x, y, z = (trace_of(history, law) for history in (a, b, c))
    assert merge(x, y, law) == merge(y, x, law)
    left, right = merge(merge(x, y, law), z, law), merge(x, merge(y, z, law), law)
    assert left.at_s == right.at_s
    assert level(left, now_s, law) == approx(level(right, now_s, law))
    assert level(left, now_s, law) == approx(sum(level(part, now_s, law) for part in (x, y, z)))


@given(LAWS, HISTORIES, NOWS, WEIGHTS)
def test_a_trace_is_linear_in_the_weights(law: ExponentialSum, history: History, now_s: float, factor: float) -> None:
    scaled = trace_of([(at_s, weight * factor) for at_s, weight in history], law)
    assert level(scaled, now_s, law) == approx(factor * level(trace_of(history, law), now_s, law))


@given(LAWS, HISTORIES)
def test_the_empty_trace_changes_nothing(law: ExponentialSum, history: History) -> None:
    empty, trace = Trace.empty(law), trace_of(history, law)
    assert merge(trace, empty, law) == trace == merge(empty, trace, law)
    assert merge(empty, empty, law) == empty
    assert level(empty, START_S, law) == 0.0
    assert base_level(empty, START_S, law) == -math.inf
    assert level(advance(empty, START_S, law), START_S, law) == 0.0


@given(LAWS, HISTORIES, ACCESSES, st.floats(0.0, 1e10))
def test_an_access_never_lowers_and_always_adds_its_own_level(
    law: ExponentialSum, history: History, one: tuple[float, float], since_s: float
) -> None:
    before = trace_of(history, law)
    after = access(before, one[0], one[1], law)
    now_s = after.at_s + since_s
    assert level(after, now_s, law) >= level(before, now_s, law) * (1.0 - 1e-13)
    alone = level(trace_of([one], law), now_s, law)
    assert level(after, now_s, law) == approx(level(before, now_s, law) + alone)


@given(LAWS, HISTORIES, st.floats(0.0, 1e9), st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_advancing_in_two_steps_is_advancing_in_one(
    law: ExponentialSum, history: History, first_s: float, second_s: float, third_s: float
) -> None:
    trace = trace_of(history, law)
    middle_s = trace.at_s + first_s
    end_s = middle_s + second_s
    once, twice = advance(trace, end_s, law), advance(advance(trace, middle_s, law), end_s, law)
    assert once.at_s == twice.at_s == end_s
    now_s = end_s + third_s
    assert level(once, now_s, law) == approx(level(twice, now_s, law))
    assert level(once, now_s, law) == approx(level(trace, now_s, law))


@given(LAWS, HISTORIES, st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_a_level_never_rises_with_time_alone(law: ExponentialSum, history: History, a: float, b: float) -> None:
    trace = trace_of(history, law)
    early, late = sorted((a, b))
    before, after = level(trace, trace.at_s + early, law), level(trace, trace.at_s + late, law)
    assert after <= before * (1.0 + 1e-13)


@given(LAWS, HISTORIES, st.floats(0.0, 1e9))
def test_fading_is_not_undone(law: ExponentialSum, history: History, before_s: float) -> None:
    trace = trace_of(history, law)
    assert advance(trace, trace.at_s - before_s, law) == trace
    assert level(trace, trace.at_s - before_s, law) == level(trace, trace.at_s, law)


@settings(max_examples=40)
@given(LAWS, st.lists(HISTORIES, max_size=6), NOWS)
def test_many_levels_at_once_are_the_levels_one_by_one(
    law: ExponentialSum, histories: list[History], now_s: float
) -> None:
    traces = [Trace.empty(law), *(trace_of(history, law) for history in histories)]
    values, at_s = np.array([t.values for t in traces]), np.array([t.at_s for t in traces])
    for now in (now_s, START_S):
        found = levels(values, at_s, now, law)
        assert found.shape == (len(traces),)
        assert found.dtype == np.float64
        assert found == pytest.approx([level(trace, now, law) for trace in traces], rel=1e-13)
        logs = base_levels(values, at_s, now, law)
        assert logs == pytest.approx([base_level(trace, now, law) for trace in traces], abs=1e-12)
        assert logs[0] == -math.inf
    assert levels(values[:0], at_s[:0], now_s, law).shape == (0,)


def test_a_level_does_not_depend_on_which_others_are_asked() -> None:
    law, rng = law_of(), np.random.default_rng(7)
    values, at_s = rng.uniform(0.0, 5.0, (9_000, len(law.tau_s))), START_S - rng.uniform(0.0, YEAR, 9_000)
    whole = levels(values, at_s, START_S, law)
    for part in (slice(3, 4), slice(17, 5_000), slice(4_095, 4_098), slice(None, None, 7)):
        assert (levels(values[part], at_s[part], START_S, law) == whole[part]).all()


def test_the_base_level_is_that_of_act_r() -> None:
    law = power_law(0.5, 1e-6, 1.0, MAX_AGE_S)
    for ages, exact in (
        ([1.0, 10.0, 100.0], 0.34799683404308585),
        ([10.0, 20.0, 30.0, 40.0, 50.0], 0.02170668484676409),
    ):
        trace = trace_of([(START_S - age, 1.0) for age in ages], law)
        assert base_level(trace, START_S, law) == pytest.approx(exact, abs=1e-6)


def test_bursts_are_kept_within_the_bound_where_closed_forms_fail() -> None:
    law = law_of()
    ages = [*np.linspace(1.0, 60.0, 40), *np.linspace(200.0 * DAY, 200.0 * DAY + HOUR, 60), 9.0 * YEAR]
    exact = math.log(sum(age**-0.5 for age in ages))
    optimised = math.log(len(ages) / 0.5) - 0.5 * math.log(max(ages))
    assert abs(base_level(trace_of([(-age, 1.0) for age in ages], law), 0.0, law) - exact) < 5.1e-3
    assert abs(optimised - exact) > 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_not_finite_is_an_error(bad: float) -> None:
    law = law_of()
    trace = trace_of([(0.0, 1.0)], law)
    for call, name in (
        (lambda: advance(trace, bad, law), "to_s"),
        (lambda: access(trace, bad, 1.0, law), "at_s"),
        (lambda: level(trace, bad, law), "now_s"),
        (lambda: base_level(trace, bad, law), "now_s"),
        (lambda: levels([trace.values], [0.0], bad, law), "now_s"),
    ):
        with pytest.raises(InvalidParameterError, match=f"{name} must be finite"):
            call()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_a_weight_outside_its_domain_is_an_error(bad: float) -> None:
    with pytest.raises(InvalidParameterError, match="weight must be finite and >= 0"):
        access(Trace.empty(law_of()), 0.0, bad, law_of())


@pytest.mark.parametrize(
    ("at_s", "values"),
    [
        (0.0, ()),
        (0.0, (-1.0, 2.0)),
        (0.0, (1.0, math.nan)),
        (0.0, (math.inf,)),
        (math.nan, (1.0,)),
        (math.inf, (1.0,)),
        (-math.inf, (1.0,)),
    ],
)
def test_what_is_no_trace_is_refused(at_s: float, values: tuple[float, ...]) -> None:
    with pytest.raises(InvalidParameterError):
        Trace(at_s, values)


def test_a_trace_of_other_constants_is_refused() -> None:
    law, short = law_of(), Trace(0.0, (1.0, 1.0))
    whole = Trace.empty(law)
    for call in (
        lambda: advance(short, 1.0, law),
        lambda: access(short, 1.0, 1.0, law),
        lambda: merge(short, whole, law),
        lambda: merge(whole, short, law),
        lambda: level(short, 1.0, law),
    ):
        with pytest.raises(InvalidParameterError, match="trace must have 17 values"):
            call()


@pytest.mark.parametrize(
    ("values", "at_s"),
    [
        ([[1.0, 1.0]], [0.0]),
        ([1.0] * 17, [0.0]),
        ([[1.0] * 17], [0.0, 0.0]),
        ([[1.0] * 17], 0.0),
        ([[-1.0] * 17], [0.0]),
        ([[math.nan] * 17], [0.0]),
        ([[1.0] * 17], [math.nan]),
        ([[1.0] * 17], [math.inf]),
        ([[1.0] * 17], ["0"]),
    ],
)
def test_many_traces_that_do_not_fit_are_refused(values: object, at_s: object) -> None:
    with pytest.raises(InvalidParameterError):
        levels(values, at_s, 0.0, law_of())  # type: ignore[arg-type]


def test_numbers_of_numpy_become_plain() -> None:
    law = law_of()
    trace = access(access(Trace.empty(law), np.float64(1.0), np.float64(2.0), law), np.float64(0.0), 1, law)
    assert {type(value) for value in (trace.at_s, *trace.values)} == {float}
    assert multiscale.advance(trace, np.float64(5.0), law).at_s == 5.0
