"""Laws of fitting: what is returned is a maximum, its errors are those of theory, and trouble is said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit

from soma import policy as p
from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.activation import base_level, recall_probability
from soma.math.fitting import FitResult, Parameter, bootstrap, fit_curve, fit_outcomes, fit_savings
from soma.math.spacing import FSRS, replay
from soma.math.units import DAY

SHARE = Parameter("share", 0.5, 0.0, 1.0)
DAYS = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) * DAY
N = [200] * 7
ends = st.sampled_from([-math.inf, -3.0, 0.0, 1.0, 7.0, math.inf])


def constant(values: Mapping[str, float]) -> float:
    return values["share"]


@given(ends, ends, st.floats(-20, 20), st.floats(-20, 20))
def test_the_scale_without_ends_covers_the_domain_and_nothing_else(low: float, high: float, a: float, b: float) -> None:
    assume(low < high)
    width = min(high - low, 2.0)
    start = low + width / 2 if math.isfinite(low) else high - width / 2 if math.isfinite(high) else 0.0
    parameter = Parameter("x", start, low, high)
    assert low <= parameter.value(a) <= high
    assert parameter.value(parameter.free(start)) == pytest.approx(start)
    assert parameter.free(parameter.value(a / 4)) == pytest.approx(a / 4, abs=1e-6)
    assert (parameter.value(a) <= parameter.value(b)) == (a <= b) or parameter.value(a) == parameter.value(b)
    x = parameter.value(a / 4)
    step = 1e-5
    slope = (parameter.value(a / 4 + step) - parameter.value(a / 4 - step)) / (2 * step)
    assert parameter.slope(x) == pytest.approx(slope, rel=1e-4, abs=1e-9)
    reach = parameter.reach()
    assert reach[0] < parameter.free(start) < reach[1]


@given(st.integers(1, 500), st.data())
def test_a_share_is_that_of_the_outcomes_with_the_error_of_theory(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    found = fit_outcomes(constant, [k], [SHARE], n_trials=n)
    share = k / n
    assert found.converged, found.message
    assert found.values[0] == pytest.approx(share, abs=1e-6)
    assert found.n == n
    if 0 < k < n:
        assert found.log_likelihood == pytest.approx(k * math.log(share) + (n - k) * math.log(1 - share), rel=1e-9)
        assert found.standard_errors[0] == pytest.approx(math.sqrt(share * (1 - share) / n), rel=1e-4)
        assert found.message == "converged"
    else:
        assert found.message == f"share ends at {k // n}"
        assert found.standard_errors == (math.inf,)
        assert found.intervals()["share"] == (0.0, 1.0)


@given(st.lists(st.integers(0, 40), min_size=7, max_size=7))
@settings(deadline=None)
def test_trials_are_as_many_outcomes(counts: list[int]) -> None:
    each = np.concatenate([[1] * k + [0] * (40 - k) for k in counts])
    one = fit_curve("exponential", DAYS, counts, n_trials=40)
    other = fit_curve("exponential", np.repeat(DAYS, 40), each)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-7)
    assert other.n == one.n == 280
    if one.converged and one.message == "converged":
        assert other.values == pytest.approx(one.values, rel=1e-4)
        assert other.standard_errors == pytest.approx(one.standard_errors, rel=1e-2)


@given(st.lists(st.integers(0, 40), min_size=7, max_size=7), st.sampled_from(["exponential", "power", "wickelgren"]))
@settings(deadline=None)
def test_nothing_near_is_likelier(counts: list[int], family: str) -> None:
    found = fit_curve(family, DAYS, counts, n_trials=40)
    assume(found.converged)
    rng = np.random.default_rng(0)
    for _ in range(20):
        free = [q.free(v) + rng.normal(0, 0.05) for q, v in zip(found.parameters, found.values, strict=True)]
        near = {q.name: q.value(u) for q, u in zip(found.parameters, free, strict=True)}
        share = np.clip(decay.from_dict({"family": family, **near}).value(DAYS), 1e-12, 1 - 1e-12)
        likelihood = float((counts * np.log(share) + (40 - np.array(counts)) * np.log1p(-share)).sum())
        assert likelihood <= found.log_likelihood + 1e-4


CURVES = {
    "exponential": {"half_life_s": 5 * DAY},
    "power": {"scale_s": 2 * DAY, "exponent": 0.7},
    "wickelgren": {"initial": 0.8, "rate_per_s": 1 / DAY, "exponent": 0.4},
    "stretched_exponential": {"tau_s": 6 * DAY, "exponent": 0.6},
    "ebbinghaus": {"k": 1.84, "c": 1.25},
    "exponential_midpoint": {"scale_s": 4 * DAY},
    "gaussian_midpoint": {"scale_s": 9 * DAY},
    "linear_midpoint": {"scale_s": 60 * DAY},
}


def test_every_family_that_has_parameters_can_be_fitted() -> None:
    assert set(CURVES) == set(decay.FAMILIES) - {"constant"}


@pytest.mark.parametrize("family", CURVES)
def test_a_curve_without_noise_is_found_again(family: str) -> None:
    true = CURVES[family]
    midpoint = {"midpoint": 0.5} if "midpoint" in family else {}
    curve = decay.from_dict({"family": family, **true, **midpoint})
    found = fit_curve(family, DAYS, curve.value(DAYS), kind="savings")
    assert found.converged, found.message
    assert found.params == pytest.approx({**true, **midpoint}, rel=1e-5)
    assert decay.from_dict({"family": found.model, **found.params}).value(DAYS) == pytest.approx(curve.value(DAYS))
    assert found.ssd == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("family", CURVES)
@pytest.mark.parametrize("seconds", [1e-3, 1e4])
def test_the_unit_of_time_does_not_matter(family: str, seconds: float) -> None:
    if not decay.FAMILIES[family].laws.is_unit_free:
        with pytest.raises(InvalidParameterError):  # Ebbinghaus counts minutes, whatever comes
            fit_curve("constant", DAYS, N)
        return
    counts = [190, 170, 150, 120, 100, 60, 30]
    one = fit_curve(family, DAYS, counts, n_trials=N)
    other = fit_curve(family, DAYS * seconds, counts, n_trials=N)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-8)
    laws = decay.FAMILIES[family].laws
    for name, value in one.params.items():
        scale = seconds if name in laws.times else 1 / seconds if name in laws.rates else 1.0
        assert other.params[name] == pytest.approx(value * scale, rel=1e-3)


@pytest.mark.parametrize("held", [{"exponent": 0.5}, {"scale_s": DAY}])
def test_what_is_held_is_held(held: dict[str, float]) -> None:
    found = fit_curve("power", DAYS, [190, 170, 150, 120, 100, 60, 30], n_trials=N, fixed=held)
    assert dict(found.fixed) == held
    assert found.params.items() >= held.items()
    assert len(found.values) == 1
    free = fit_curve("power", DAYS, [190, 170, 150, 120, 100, 60, 30], n_trials=N)
    assert found.log_likelihood <= free.log_likelihood + 1e-9
    assert found.n_estimated == 1


def design(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(400), rng.normal(size=(400, 2))])
    return x, (rng.random(400) < expit(x @ [0.3, -1.0, 0.5])).astype(int)


UNBOUNDED = [Parameter(name, 0.1) for name in "abc"]


@pytest.mark.parametrize("seed", range(3))
def test_a_logistic_regression_has_the_weights_and_errors_of_theory(seed: int) -> None:
    x, y = design(seed)
    found = fit_outcomes(lambda q: expit(x @ list(q.values())), y, UNBOUNDED)
    assert found.converged
    share = expit(x @ found.values)
    assert x.T @ (y - share) == pytest.approx(0.0, abs=1e-4)  # the equations of the maximum
    covariance = np.linalg.inv(x.T * (share * (1 - share)) @ x)
    assert found.standard_errors == pytest.approx(np.sqrt(np.diagonal(covariance)), rel=1e-3)
    z = 1.959963984540054
    lower = np.array(found.values) - z * np.sqrt(np.diagonal(covariance))
    assert [found.intervals()[name][0] for name in "abc"] == pytest.approx(lower, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_line_has_the_weights_errors_and_criteria_of_theory(seed: int) -> None:
    x, _ = design(seed)
    y = x @ [0.3, -1.0, 0.5] + np.random.default_rng(seed).normal(0, 0.2, 400)
    found = fit_savings(lambda q: x @ list(q.values()), y, UNBOUNDED)
    peer, ssd = np.linalg.lstsq(x, y, rcond=None)[:2]
    assert found.values == pytest.approx(peer, rel=1e-7)
    assert found.ssd == pytest.approx(float(ssd[0]))
    assert found.standard_errors == pytest.approx(np.sqrt(np.diagonal(np.linalg.inv(x.T @ x)) * ssd[0] / 397), rel=1e-5)
    assert found.r2_uncentred == pytest.approx(1 - ssd[0] / (y @ y))
    assert found.aic == pytest.approx(400 * math.log(2 * math.pi * ssd[0] / 400) + 400 + 2 * 4)
    assert found.aicc == pytest.approx(found.aic + 2 * 4 * 5 / (400 - 4 - 1))
    assert found.bic == pytest.approx(found.aic - 8 + 4 * math.log(400))


def test_criteria_count_what_was_estimated() -> None:
    found = fit_outcomes(constant, [3], [SHARE], n_trials=4)
    assert (found.n_estimated, found.aic) == (1, pytest.approx(2 - 2 * found.log_likelihood))
    assert found.bic == pytest.approx(math.log(4) - 2 * found.log_likelihood)
    assert found.aicc == pytest.approx(found.aic + 4 / 2)
    assert fit_outcomes(constant, [1], [SHARE], n_trials=2).aicc == math.inf


def test_wald_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng, n_covered, true = np.random.default_rng(1), 0, 6 * DAY
    share = decay.Exponential(true).value(DAYS)
    for _ in range(200):
        lower, upper = fit_curve("exponential", DAYS, rng.binomial(50, share), n_trials=50).intervals(0.9)[
            "half_life_s"
        ]
        n_covered += lower <= true <= upper
    assert 165 <= n_covered <= 195  # 180 +- 3.5 standard deviations


def test_a_perfect_separation_is_no_convergence() -> None:
    x = np.linspace(-1, 1, 20)
    found = fit_outcomes(lambda q: expit(q["w"] * x), (x > 0).astype(int), [Parameter("w", 1.0)])
    assert not found.converged
    assert found.message == "w is not determined"
    assert found.standard_errors == (math.inf,)
    assert found.intervals()["w"] == (-math.inf, math.inf)


def test_a_parameter_that_changes_nothing_is_said() -> None:
    unknown = [SHARE, Parameter("idle", 1.0, 0.0)]
    for found in (
        fit_outcomes(constant, [7], unknown, n_trials=10),
        fit_savings(constant, [0.6, 0.7, 0.8], unknown),
    ):
        assert not found.converged
        assert "idle is not determined" in found.message
        assert found.values[0] == pytest.approx(0.7, rel=1e-6)
        assert found.standard_errors[1] == math.inf
        assert math.isfinite(found.standard_errors[0])


def test_two_parameters_that_say_the_same_are_no_maximum() -> None:
    unknown = [Parameter("a", 0.1), Parameter("b", 0.2)]
    found = fit_outcomes(lambda q: expit(q["a"] + q["b"]), [7], unknown, n_trials=10)
    assert not found.converged
    assert found.standard_errors == (math.inf, math.inf)


def test_what_runs_to_infinity_is_no_convergence() -> None:
    counts = np.round(200 * decay.Exponential(5 * DAY).value(DAYS))
    found = fit_curve("power", DAYS, counts, n_trials=200)  # an exponential is a power law of infinite exponent
    assert not found.converged
    assert "not determined" in found.message or "no maximum" in found.message


def test_a_stretched_exponential_of_an_exponential_ends_at_one() -> None:
    share = decay.GaussianMidpoint(6 * DAY).value(DAYS)
    found = fit_curve("stretched_exponential", DAYS, np.round(200 * share), n_trials=200)
    assert found.converged
    assert found.message == "exponent ends at 1"
    assert found.params["exponent"] == pytest.approx(1.0, abs=1e-4)
    assert math.isfinite(found.standard_errors[0])


def test_activations_spacing_models_and_policies_are_fitted_alike() -> None:
    rng = np.random.default_rng(2)
    ages = rng.uniform(1, 1e5, (500, 3))
    share = recall_probability(base_level(ages, 0.4), threshold=-2.0, noise=0.5)
    found = fit_outcomes(
        lambda q: recall_probability(base_level(ages, q["decay"]), threshold=q["threshold"], noise=q["noise"]),
        rng.binomial(40, share),
        [Parameter("decay", 0.5, 0.0, 1.0), Parameter("threshold", 0.0), Parameter("noise", 1.0, 0.0)],
        n_trials=40,
    )
    assert found.converged
    assert_covers(found, {"decay": 0.4, "threshold": -2.0, "noise": 0.5})

    item, day, grade = np.repeat(np.arange(30), 3), np.tile([0.0, 1.0, 5.0], 30), np.full(90, 3)
    weights = list(FSRS.published("6").weights)

    def recalled(good_days: float) -> Any:
        model = FSRS("6", (*weights[:2], good_days, *weights[3:]))
        return replay(model, item, day * DAY, grade).retrievability[is_later]

    is_later = day > 0
    true = recalled(4.0)
    found = fit_outcomes(
        lambda q: recalled(q["good"]), rng.binomial(200, true), [Parameter("good", 2.0, 0.001, 100.0)], n_trials=200
    )
    assert found.converged
    assert_covers(found, {"good": 4.0})

    features = {"similarity": rng.random(800), "idle_s": rng.uniform(0, 30 * DAY, 800)}

    def score(q: Mapping[str, float]) -> Any:
        policy = q["weight"] * p.similarity() * p.decay(decay.Exponential(half_life_s=q["half_life_s"]), of=p.idle_s())
        return expit(policy.evaluate(features) - 1.0)

    found = fit_outcomes(
        score,
        rng.random(800) < score({"weight": 4.0, "half_life_s": 6 * DAY}),
        [Parameter("weight", 1.0), Parameter("half_life_s", DAY, 0.0)],
    )
    assert found.converged
    assert_covers(found, {"weight": 4.0, "half_life_s": 6 * DAY})


def assert_covers(found: FitResult, true: Mapping[str, float]) -> None:
    for name, (lower, upper) in found.intervals(0.999).items():
        assert lower <= true[name] <= upper, (name, lower, true[name], upper)
        assert upper - lower < max(abs(true[name]), 1.0) * 2


def resampled(y: Any, unit: Any, seed: int = 3, **options: Any) -> Any:
    def fit(rows: Any) -> FitResult:
        return fit_outcomes(constant, y[rows], [SHARE])

    return bootstrap(fit, unit, rng=np.random.default_rng(seed), n_resamples=300, **options)


def test_a_bootstrap_is_as_wide_as_theory_for_rows_of_their_own() -> None:
    y = (np.arange(400) % 4 > 0).astype(int)
    lower, upper = resampled(y, range(400))["share"]
    assert (upper - lower) / 2 == pytest.approx(1.96 * math.sqrt(0.75 * 0.25 / 400), rel=0.2)
    narrow = resampled(y, range(400), level=0.5)["share"]
    assert lower < narrow[0] < 0.75 < narrow[1] < upper


def test_rows_of_a_unit_are_drawn_together() -> None:
    y = np.repeat([0, 1] * 10, 20)
    unit = np.repeat(np.arange(20), 20)
    lower, upper = resampled(y, unit)["share"]
    alone = resampled(y, range(400))["share"]
    assert upper - lower > 3 * (alone[1] - alone[0])
    assert resampled(y, np.zeros(400))["share"] == pytest.approx((0.5, 0.5))  # one unit: the data again and again


def test_the_same_generator_gives_the_same_intervals() -> None:
    y = (np.arange(40) % 4 > 0).astype(int)
    assert resampled(y, range(40)) == resampled(y, range(40))
    assert resampled(y, range(40)) != resampled(y, range(40), seed=4)
    assert resampled(y, range(40)) == resampled(y, [f"{n:02}" for n in range(40)])


def test_resamples_that_fail_are_counted() -> None:
    x = np.array([-1.0, -0.6, -0.2, 0.2, 0.6, 1.0])
    y = np.array([0, 0, 1, 0, 1, 1])

    def fit(rows: Any) -> FitResult:
        return fit_outcomes(lambda q: expit(q["w"] * x[rows]), y[rows], [Parameter("w", 1.0)])

    found = bootstrap(fit, range(6), rng=np.random.default_rng(0), n_resamples=100)
    failed = sum(not fit(rows).converged for rows in (np.random.default_rng(0).integers(0, 6, (100, 6))))
    assert found.n_failed == failed > 0
    described = json.loads(json.dumps(found.to_dict()))
    assert described == {
        "intervals": {"w": list(found["w"])},
        "level": 0.95,
        "n_resamples": 100,
        "n_failed": failed,
    }


def test_a_curve_is_named_and_found_among_new_and_old() -> None:
    times = [0.0] * 20 + [1.0, 2.0, 4.0]
    found = fit_curve("exponential", times, [10] * 20 + [7, 5, 2], n_trials=10)
    assert found.model == "exponential"
    assert found.params["half_life_s"] == pytest.approx(1.9, abs=0.2)


def test_a_result_is_json() -> None:
    found = fit_outcomes(constant, [4], [SHARE], n_trials=4)
    described = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert described["params"]["share"] == pytest.approx(1.0)
    assert described["standard_errors"] == {"share": None}
    assert described["converged"] is True
    assert described["n"] == 4
    assert described["message"] == found.message != ""
    assert list(described) == [
        "model",
        "params",
        "standard_errors",
        "log_likelihood",
        "aic",
        "aicc",
        "bic",
        "n",
        "ssd",
        "r2_uncentred",
        "converged",
        "message",
    ]
    perfect = fit_savings(lambda _: [0.5, 0.5], [0.5, 0.5], [SHARE])  # no error, and so no end of likelihood
    described = json.loads(json.dumps(perfect.to_dict(), allow_nan=False))
    assert (described["ssd"], described["aic"], described["log_likelihood"]) == (0.0, None, None)


Y = [0.5, 0.4, 0.3]
RNG = np.random.default_rng(0)
NEVER = fit_outcomes(constant, [1], [SHARE])
REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "a start on the edge": ("start", lambda: Parameter("x", 0.0, 0.0)),
    "a start that is none": ("start", lambda: Parameter("x", math.nan)),
    "an infinite start": ("start", lambda: Parameter("x", math.inf)),
    "nothing to search for": ("parameters", lambda: fit_outcomes(constant, [1], [])),
    "one name twice": ("parameters", lambda: fit_savings(constant, Y, [SHARE, SHARE])),
    "no outcomes": ("n_recalled", lambda: fit_outcomes(constant, [], [SHARE])),
    "one outcome that is no list": ("n_recalled", lambda: fit_outcomes(constant, 1, [SHARE])),
    "half an outcome": ("n_recalled", lambda: fit_outcomes(constant, [0.5], [SHARE])),
    "more than were tried": ("n_recalled", lambda: fit_outcomes(constant, [3], [SHARE], n_trials=2)),
    "an outcome below 0": ("n_recalled", lambda: fit_outcomes(constant, [-1], [SHARE])),
    "an outcome that is none": ("n_recalled", lambda: fit_outcomes(constant, [math.nan], [SHARE])),
    "no trials": ("n_trials", lambda: fit_outcomes(constant, [0], [SHARE], n_trials=0)),
    "half a trial": ("n_trials", lambda: fit_outcomes(constant, [1], [SHARE], n_trials=1.5)),
    "trials of other things": ("n_trials", lambda: fit_outcomes(constant, [1], [SHARE], n_trials=[1, 2])),
    "a prediction that is no share": ("predict", lambda: fit_outcomes(lambda _: [1.5], [1], [SHARE])),
    "a prediction that is none": ("predict", lambda: fit_outcomes(lambda _: [math.nan], [1], [SHARE])),
    "predictions of other things": ("predict", lambda: fit_savings(lambda _: [0.5, 0.5], Y, [SHARE])),
    "as many parameters as savings": ("observed", lambda: fit_savings(constant, [0.5], [SHARE])),
    "savings that are none": ("observed", lambda: fit_savings(constant, [0.5, math.nan], [SHARE])),
    "a family that nobody knows": ("family", lambda: fit_curve("log", DAYS, N)),
    "a family without parameters": ("family", lambda: fit_curve("constant", DAYS, N)),
    "a family whose parameters are all held": (
        "family",
        lambda: fit_curve("exponential", DAYS, N, fixed={"half_life_s": 1.0}),
    ),
    "a parameter that is not there": ("fixed", lambda: fit_curve("exponential", DAYS, N, fixed={"tau": 1.0})),
    "another kind": ("kind", lambda: fit_curve("exponential", DAYS, N, kind="both")),  # type: ignore[arg-type]
    "an endless time": ("elapsed_s", lambda: fit_curve("power", [1.0, math.inf], [1, 0])),
    "only the start": ("elapsed_s", lambda: fit_curve("power", [0.0, 0.0], [1, 0])),
    "one time that is no list": ("elapsed_s", lambda: fit_curve("power", 1.0, [1, 0])),
    "one resample": ("n_resamples", lambda: bootstrap(lambda _: NEVER, [1], rng=RNG, n_resamples=1)),
    "no coverage": ("level", lambda: bootstrap(lambda _: NEVER, [1], rng=RNG, level=1.0)),
    "no units": ("unit", lambda: bootstrap(lambda _: NEVER, [], rng=RNG)),
    "intervals of no coverage": (
        "level",
        lambda: fit_outcomes(constant, [1], [SHARE], n_trials=2).intervals(0.0),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_fitted_is_refused_by_name(case: str) -> None:
    parameter, call = REFUSED[case]
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter


def test_resamples_that_all_fail_are_refused() -> None:
    x = np.array([-1.0, 1.0])

    def fit(rows: Any) -> FitResult:
        return fit_outcomes(lambda q: expit(q["w"] * x[rows]), (x[rows] > 0).astype(int), [Parameter("w", 1.0)])

    with pytest.raises(InvalidParameterError, match="n_resamples must hold two that converge"):
        bootstrap(fit, range(2), rng=np.random.default_rng(0), n_resamples=5)
