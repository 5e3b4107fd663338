"""Laws of the sum of exponentials: it keeps the bound that it states, and the bound is what was proven."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.special import loggamma

from soma.errors import InvalidParameterError, SerializationError
from soma.math.exponential_sum import ExponentialSum, alias_bound, power_law
from soma.math.units import YEAR

EXPONENTS = st.floats(0.02, 3.0)
EPSILONS = st.floats(-11.0, -0.3).map(lambda log: 10.0**log)
STARTS = st.floats(-6.0, 6.0).map(lambda log: 10.0**log)
SPANS = st.floats(0.0, 12.0).map(lambda log: 10.0**log)
MAX_AGE_S = 10.0 * YEAR
TEN_YEARS = power_law(0.5, 5e-3, 1.0, MAX_AGE_S)


@st.composite
def power_laws(draw: st.DrawFn) -> ExponentialSum:
    start = draw(STARTS)
    return power_law(draw(EXPONENTS), draw(EPSILONS), start, start * draw(SPANS))


@settings(max_examples=80)
@given(power_laws(), st.randoms(use_true_random=False))
@example(power_law(0.5, 5e-3, 1.0, 10.0 * YEAR), None)
@example(power_law(0.05, 1e-2, 1.0, 10.0 * YEAR), None)
@example(power_law(0.95, 1e-11, 1e-3, 1e9), None)
@example(power_law(8.0, 1e-9, 1.0, 1e9), None)
@example(power_law(1e-6, 0.5, 1.0, 1e9), None)
@example(power_law(0.5, 1e-3, 1.0, 1.0), None)
def test_the_stated_bound_holds_at_every_age_of_the_range(law: ExponentialSum, random: object) -> None:
    dense = np.geomspace(law.t_min_s, law.t_max_s, 5_000)
    drawn = [] if random is None else [random.uniform(0.0, 1.0) for _ in range(200)]  # type: ignore[attr-defined]
    scattered = law.t_min_s * (law.t_max_s / law.t_min_s) ** np.array(drawn)
    age = np.clip(np.concatenate([dense, scattered]), law.t_min_s, law.t_max_s)
    error = law.value(age) * age**law.exponent - 1.0
    assert np.abs(error).max() <= law.eps


@settings(max_examples=60)
@given(EXPONENTS, EPSILONS, STARTS, SPANS)
@example(2.6011, 1e-11, 1.0, 37.184)  # both ends nearly use up their shares
def test_the_proven_bound_is_at_most_the_one_asked_for(exponent: float, eps: float, start: float, span: float) -> None:
    assert power_law(exponent, eps, start, start * span).eps <= eps


@settings(max_examples=60)
@given(st.floats(0.1, 3.0), st.floats(-11.0, -6.0), STARTS, SPANS)
def test_the_proven_bound_counts_the_alias_and_both_ends_and_rounding(
    exponent: float, log: float, start: float, span: float
) -> None:
    law = power_law(exponent, 10.0**log, start, start * span)
    tau, weight = np.array(law.tau_s), np.array(law.weight)
    assume(len(tau) > 2)
    ratio = float(tau[1] / tau[0])
    density = weight[0] * tau[0] ** exponent
    fast = tau[0] / ratio ** np.arange(1.0, 200.0)
    slow = tau[-2] * ratio ** np.arange(1.0, 230.0 / math.log(ratio))
    dropped = (density * fast**-exponent * np.exp(-law.t_min_s / fast)).sum() * law.t_min_s**exponent
    # less weight and mean rate, which the last term has in common with what it replaces
    beyond = [np.expm1(-law.t_max_s / each) + law.t_max_s / each for each in (slow, tau[-1])]
    lost = (density * slow**-exponent * beyond[0]).sum() - weight[-1] * beyond[1]
    counted = float(alias_bound(exponent, ratio)) + dropped + lost * law.t_max_s**exponent
    assert 0.5e-13 <= law.eps - counted <= 1.5e-13


@pytest.mark.parametrize("exponent", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("eps", [1e-2, 1e-6, 1e-10])
def test_the_proven_bound_is_near_the_error_that_is_reached(exponent: float, eps: float) -> None:
    law = power_law(exponent, eps, 1.0, MAX_AGE_S)
    age = np.geomspace(1.0, MAX_AGE_S, 20_000)
    reached = np.abs(law.value(age) * age**exponent - 1.0).max()
    assert reached <= law.eps <= 1.3 * reached + 2e-13


@given(power_laws(), st.floats(0.0, 1e12), st.floats(0.0, 1e12))
def test_ages_outside_the_range_are_clamped(law: ExponentialSum, a: float, b: float) -> None:
    assert law.value([0.0, 5e-324, 0.5 * law.t_min_s]).tolist() == [float(law.value(law.t_min_s))] * 3
    assert law.value([math.inf, 1e300, 2.0 * law.t_max_s]).tolist() == [float(law.value(law.t_max_s))] * 3
    early, late = law.value(sorted([a, b]))
    assert late <= early * (1.0 + 1e-13)


def test_ten_years_of_seconds_take_about_twenty_terms() -> None:
    law = power_law(0.5, 5e-3, 1.0, 10.0 * YEAR)
    assert 15 <= len(law.tau_s) <= 20
    ratios = np.diff(np.log(law.tau_s[:-1]))
    assert ratios == pytest.approx(ratios[0])
    assert 4.0 < math.exp(ratios[0]) < 5.0
    assert law.tau_s[0] <= 1.0 / 8.0


@settings(max_examples=40)
@given(EXPONENTS, EPSILONS, SPANS, st.floats(1e-3, 1e3))
def test_another_unit_of_time_gives_the_same_law(exponent: float, eps: float, span: float, unit: float) -> None:
    one, other = power_law(exponent, eps, 1.0, span), power_law(exponent, eps, unit, unit * span)
    if len(one.tau_s) == len(other.tau_s):  # where the span lies on an edge, rounding may decide on a term
        assert np.array(other.tau_s) == pytest.approx(np.array(one.tau_s) * unit, rel=1e-9)
        assert np.array(other.weight) == pytest.approx(np.array(one.weight) * unit**-exponent, rel=1e-9)


def test_the_alias_bound_has_the_published_values() -> None:
    published = [1.852e-06, 3.548e-04, 2.291e-03, 6.155e-03, 2.478e-02, 3.94e-02]
    assert alias_bound(0.5, [2, 3, 4, 5, 8, 10]) == pytest.approx(published, rel=2e-3)


@settings(max_examples=40)
@given(st.floats(1e-3, 8.0), st.floats(1.2, 1e4))
def test_the_alias_bound_is_the_sum_over_the_gamma_function(exponent: float, ratio: float) -> None:
    step = 2.0 * math.pi / math.log(ratio)
    terms = np.exp(np.real(loggamma(exponent + 1j * step * np.arange(1, 200)) - loggamma(exponent)))
    exact = 2.0 * terms.sum()
    assert alias_bound(exponent, ratio) == pytest.approx(exact, rel=1e-11, abs=1e-300)


@given(st.floats(0.05, 5.0), st.floats(1.1, 100.0), st.floats(1.001, 2.0))
def test_the_alias_bound_rises_with_the_ratio(exponent: float, ratio: float, factor: float) -> None:
    narrow, wide = alias_bound(exponent, [ratio, ratio * factor])
    assert narrow < wide or wide < 1e-300


@settings(max_examples=40)
@given(st.floats(0.05, 0.95), st.floats(2.0, 10.0), st.floats(0.0, 1.0), st.floats(-2.0, 2.0))
def test_the_alias_bound_holds_for_the_endless_sum(exponent: float, ratio: float, phase: float, log: float) -> None:
    step = math.log(ratio)
    k = np.arange(math.floor(-12.0 / step), math.ceil(50.0 / (exponent * step))) + phase
    x = log * math.log(10.0) - k * step  # ln(t/tau): beyond these terms nothing is left to add
    total = step / math.gamma(exponent) * np.exp(exponent * x - np.exp(x)).sum()
    assert abs(total - 1.0) <= alias_bound(exponent, ratio) + 1e-12


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *[("exponent", value) for value in (0.0, -1.0, 8.5, math.nan, math.inf)],
        *[("eps", value) for value in (0.0, 1e-12, 1.0, -1.0, math.nan)],
        *[("t_min_s", value) for value in (0.0, -1.0, 1e-26, math.nan)],
        *[("t_max_s", value) for value in (0.5, 1e26, math.inf, math.nan)],
    ],
)
def test_a_law_outside_the_domain_is_refused_by_name(name: str, bad: float) -> None:
    good = {"exponent": 0.5, "eps": 1e-3, "t_min_s": 1.0, "t_max_s": 1e6}
    with pytest.raises(InvalidParameterError, match=name):
        power_law(**{**good, name: bad})


def test_the_widest_law_can_be_made() -> None:
    law = power_law(8.0, 1e-11, 1e-25, 1e25)
    assert len(law.tau_s) < 1_000
    assert np.isfinite(law.weight).all()


@pytest.mark.parametrize(("exponent", "ratio"), [(0.0, 2.0), (8.5, 2.0), (0.5, 1.0), (0.5, math.nan), (0.5, 0.5)])
def test_the_alias_bound_refuses_what_is_outside_its_domain(exponent: float, ratio: float) -> None:
    with pytest.raises(InvalidParameterError):
        alias_bound(exponent, ratio)


def test_an_age_below_zero_is_an_error() -> None:
    for bad in (-1.0, math.nan):
        with pytest.raises(InvalidParameterError, match="age_s must be >= 0"):
            TEN_YEARS.value([1.0, bad])


@given(power_laws())
@settings(max_examples=20)
def test_json_gives_the_same_sum_back(law: ExponentialSum) -> None:
    text = json.dumps(law.to_dict(), allow_nan=False)
    assert ExponentialSum.from_dict(json.loads(text)) == law
    assert hash(ExponentialSum.from_dict(json.loads(text))) == hash(law)


def test_a_field_too_many_or_too_few_is_refused_by_name() -> None:
    document = TEN_YEARS.to_dict()
    with pytest.raises(SerializationError, match="unknown field 'ratio'"):
        ExponentialSum.from_dict({**document, "ratio": 4.0})
    for name in document:
        with pytest.raises(SerializationError, match=f'lacks the field "{name}"'):
            ExponentialSum.from_dict({k: v for k, v in document.items() if k != name})
        with pytest.raises(InvalidParameterError, match=name):
            ExponentialSum.from_dict({**document, name: -1.0})
    with pytest.raises(SerializationError, match="must be an object"):
        ExponentialSum.from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"tau_s": ()},
        {"tau_s": (1.0, 1.0), "weight": (1.0, 1.0)},
        {"tau_s": (2.0, 1.0), "weight": (1.0, 1.0)},
        {"weight": (1.0,)},
        {"weight": (math.nan,) * 17},
        {"tau_s": [[1.0]]},
        {"t_max_s": 0.5},
        {"eps": 0.0},
    ],
)
def test_constants_that_are_no_sum_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError):
        replace(TEN_YEARS, **change)  # type: ignore[arg-type]


def test_making_a_law_does_not_load_scipy() -> None:
    source = (
        "import sys; from soma.math.multiscale import power_law; power_law(.5, 1e-3, 1., 1e6); "
        "print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
