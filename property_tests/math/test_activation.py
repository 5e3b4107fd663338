"""Laws of ACT-R's activation, published values, and a mistake that others have made."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests.math.oracles import python_actr
from soma.errors import InvalidParameterError
from soma.math import multiscale
from soma.math.activation import (
    base_level,
    hybrid_base_level,
    latency_s,
    noise_variance,
    optimised_base_level,
    recall_probability,
    spaced_decays,
)

ages = st.floats(1e-3, 1e9)
histories = st.lists(ages, min_size=1, max_size=12)
decays = st.floats(0.01, 3.0)
fractions = st.floats(0.01, 0.99)


@given(histories, decays)
def test_the_base_level_is_its_definition(history: list[float], decay: float) -> None:
    expected = math.log(math.fsum(t**-decay for t in history))
    assert float(base_level(history, decay)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(histories, decays, ages)
def test_a_presentation_never_lowers_it(history: list[float], decay: float, age: float) -> None:
    alone = float(base_level(history, decay))
    assert float(base_level([*history, age], decay)) >= alone - 1e-12 * (1 + abs(alone))
    assert float(base_level([*history, math.inf], decay)) == pytest.approx(alone, rel=1e-13, abs=1e-13)


@given(histories, decays, st.floats(1e-3, 1e3))
def test_another_unit_of_time_shifts_it(history: list[float], decay: float, factor: float) -> None:
    scaled = base_level([factor * t for t in history], decay)
    assert float(scaled) == pytest.approx(float(base_level(history, decay)) - decay * math.log(factor), abs=1e-9)


@given(st.lists(ages, min_size=2, max_size=8), decays)
def test_many_histories_at_once_are_each_alone(history: list[float], decay: float) -> None:
    rows = [history[:n] + [math.inf] * (len(history) - n) for n in range(len(history) + 1)]
    found = base_level(rows, decay)
    assert found[0] == -math.inf
    for n in range(1, len(history) + 1):
        assert found[n] == pytest.approx(float(base_level(history[:n], decay)), rel=1e-13, abs=1e-13)
    assert base_level(history, [decay] * len(history)) == base_level(history, decay)


@given(histories, fractions)
def test_the_hybrid_with_all_of_them_is_exact(history: list[float], decay: float) -> None:
    rising = sorted(history)
    found = hybrid_base_level(rising, len(rising), rising[-1], decay)
    assert float(found) == pytest.approx(float(base_level(rising, decay)), rel=1e-12, abs=1e-12)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12, unique=True), fractions, st.data())
def test_both_are_those_of_python_actr(history: list[int], decay: float, data: st.DataObject) -> None:
    """It takes no limit of presentations at one time, and cancels near it."""
    rising = sorted(history)
    k = data.draw(st.integers(1, len(rising)))
    memory = python_actr().Memory(python_actr().Buffer())
    exact, hybrid = base_level(rising, decay), hybrid_base_level(rising[:k], len(rising), rising[-1], decay)
    for limit, found in ((None, exact), (k, hybrid)):
        oracle, chunk = python_actr().DMBaseLevel(memory, decay, limit), SimpleNamespace()
        for age in reversed(rising):
            oracle.now = lambda at=-age: at
            (oracle.merge if chunk.__dict__ else oracle.create)(chunk)
        oracle.now = lambda: 0.0
        assert float(found) == pytest.approx(oracle.activation(chunk), rel=1e-8, abs=1e-8)


@given(ages, st.integers(1, 10_000), fractions)
def test_the_hybrid_without_any_is_the_optimised_form(oldest: float, n: int, decay: float) -> None:
    assert hybrid_base_level([], n, oldest, decay) == optimised_base_level(n, oldest, decay)
    expected = math.log(n / (1 - decay)) - decay * math.log(oldest)
    assert float(optimised_base_level(n, oldest, decay)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(histories, st.integers(0, 20), fractions, st.floats(0.0, 1e6) | st.sampled_from([0.0, 1e-9, 1e-300]))
def test_the_hybrid_lies_between_its_ends(history: list[float], n_more: int, decay: float, further: float) -> None:
    """The presentations that are spread lie between t_k and t_n: so does what they add."""
    rising, n = sorted(history), len(history) + n_more
    oldest = rising[-1] + further
    found = float(hybrid_base_level(rising, n, oldest, decay))
    low = float(base_level([*rising, *[oldest] * n_more], decay))
    high = float(base_level([*rising, *[rising[-1]] * n_more], decay))
    assert low - 1e-9 <= found <= high + 1e-9


@given(st.floats(-50.0, 50.0), st.floats(-5.0, 5.0), st.floats(0.05, 3.0))
def test_recall_is_logistic_and_latency_exponential(level: float, threshold: float, noise: float) -> None:
    p = float(recall_probability(level, threshold, noise))
    assert p == pytest.approx(1 / (1 + math.exp(min(700.0, (threshold - level) / noise))), rel=1e-9, abs=1e-300)
    assert float(recall_probability(2 * threshold - level, threshold, noise)) == pytest.approx(1 - p, abs=1e-12)
    assert float(latency_s(level, 2.0, 0.5)) == pytest.approx(2.0 * math.exp(-0.5 * level))
    assert noise_variance(noise) == pytest.approx(math.pi**2 * noise**2 / 3)
    assert float(recall_probability(-math.inf)) == 0.0
    assert float(latency_s(-math.inf)) == math.inf


times = st.lists(st.floats(0.0, 1e7), min_size=1, max_size=9).map(sorted)


@given(times, st.floats(0.0, 1.0), st.floats(0.05, 1.0))
def test_spaced_decays_are_their_definition(at_s: list[float], scale: float, intercept: float) -> None:
    expected: list[float] = []
    for j, now in enumerate(at_s):
        level = math.fsum(max(now - at_s[i], 1.0) ** -expected[i] for i in range(j))
        expected.append(scale * level + intercept)
    found = spaced_decays(at_s, scale, intercept)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_array_equal(spaced_decays([*at_s, math.inf], scale, intercept)[:-1], found)
    assert (found >= intercept).all()
    assert (spaced_decays(at_s, 0.0, intercept) == intercept).all()


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.floats(0.01, 1.0), st.floats(0.05, 1.0))
def test_what_comes_later_fades_more_slowly(one: float, other: float, scale: float, intercept: float) -> None:
    soon, late = sorted((one, other))
    decay_soon, decay_late = (float(spaced_decays([0.0, gap], scale, intercept)[1]) for gap in (soon, late))
    assert decay_late <= decay_soon


@given(st.lists(st.floats(1.0, 3e8), min_size=1, max_size=20))
def test_a_mergeable_trace_keeps_the_base_level_within_its_bound(history: list[float]) -> None:
    law = multiscale.power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=3.2e8)
    now_s = 1e9
    trace = multiscale.Trace.empty(law)
    for age in history:
        trace = multiscale.access(trace, now_s - age, 1.0, law)
    error = abs(multiscale.base_level(trace, now_s, law) - float(base_level(history)))
    assert error <= -math.log1p(-law.eps) + 1e-9


def test_seven_merged_streams_are_one() -> None:
    law = multiscale.power_law(0.5, eps=1e-3, t_min_s=1.0, t_max_s=3.2e8)
    rng = np.random.default_rng(7)
    at_s = rng.uniform(0.0, 1e8, 700)

    def of(times_s: Any) -> multiscale.Trace:
        trace = multiscale.Trace.empty(law)
        for time_s in times_s:
            trace = multiscale.access(trace, float(time_s), 1.0, law)
        return trace

    merged = multiscale.Trace.empty(law)
    for stream in range(7):
        merged = multiscale.merge(merged, of(at_s[stream::7]), law)
    found = multiscale.level(merged, 1.1e8, law)
    assert found == pytest.approx(multiscale.level(of(np.sort(at_s)), 1.1e8, law), rel=1e-12)


def test_published_values_come_out(shared_data: Path) -> None:
    known = json.loads((shared_data / "decay" / "reference_values.json").read_text("utf-8"))["actr"]
    assert float(base_level([1.0, 10.0, 100.0])) == pytest.approx(known["B([1,10,100])"], rel=1e-12)
    history = [10.0, 20.0, 30.0, 40.0, 50.0]
    values = known["B([10,20,30,40,50])"]
    assert float(base_level(history)) == pytest.approx(values["exact"], rel=1e-10)
    optimised = float(optimised_base_level(5, 50.0))
    assert optimised == pytest.approx(values["optimized n/(1-d)L^-d"], rel=1e-12)
    for k in (1, 2, 3):
        assert float(hybrid_base_level(history[:k], 5, 50.0)) == pytest.approx(values[f"petrov_k{k}"], rel=1e-10)
    mistake = float(optimised_base_level(5, 10.0))  # the age of the latest, as one library has it
    assert mistake == pytest.approx(values["pyactr_0.3.2_optimized_learning (defect)"], rel=1e-12)
    exact = values["exact"]
    assert abs(mistake - exact) > 1.0
    assert abs(optimised - exact) < 0.4
    probabilities = recall_probability([0.0, 1.0, -1.0], noise=0.4)
    assert probabilities.tolist() == pytest.approx(known["P(A-tau=0,1,-1; s=.4)"], rel=1e-12)


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda: base_level([0.0]), "elapsed_s"),
        (lambda: base_level([math.nan]), "elapsed_s"),
        (lambda: base_level(1.0), "elapsed_s"),
        (lambda: base_level(["1"]), "elapsed_s"),
        (lambda: base_level([1.0], 0.0), "decay"),
        (lambda: base_level([1.0], math.nan), "decay"),
        (lambda: base_level([1.0, 2.0], [0.5] * 3), "decay"),
        (lambda: optimised_base_level(0, 1.0), "n_presentations"),
        (lambda: optimised_base_level(1, 0.0), "oldest_s"),
        (lambda: optimised_base_level(1, 1.0, 1.0), "decay"),
        (lambda: hybrid_base_level([2.0, 1.0], 5, 9.0), "recent_s"),
        (lambda: hybrid_base_level(2.0, 5, 9.0), "recent_s"),
        (lambda: hybrid_base_level([1.0, 2.0], 1, 9.0), "n_presentations"),
        (lambda: hybrid_base_level([1.0, 2.0], 3, 1.0), "oldest_s"),
        (lambda: hybrid_base_level([1.0], 3, 9.0, math.nan), "decay"),
        (lambda: recall_probability(math.nan), "activation"),
        (lambda: recall_probability(0.0, math.inf), "threshold"),
        (lambda: recall_probability(0.0, 0.0, 0.0), "noise"),
        (lambda: latency_s(math.inf), "activation"),
        (lambda: latency_s(0.0, 0.0), "factor_s"),
        (lambda: latency_s(0.0, 1.0, -1.0), "exponent"),
        (lambda: noise_variance(0.0), "noise"),
        (lambda: spaced_decays([1.0, 0.0], 0.1, 0.1), "times_s"),
        (lambda: spaced_decays([math.nan], 0.1, 0.1), "times_s"),
        (lambda: spaced_decays(1.0, 0.1, 0.1), "times_s"),
        (lambda: spaced_decays([0.0], -0.1, 0.1), "scale"),
        (lambda: spaced_decays([0.0], 0.1, 0.0), "intercept"),
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(call: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    assert caught.value.parameter == parameter
