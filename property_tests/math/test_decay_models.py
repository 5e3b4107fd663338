"""What single families of curves are, and the values that their sources publish."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.decay import Power
from soma.math.units import DAY, HOUR

# Single families


@given(st.floats(1e-6, 600.0), st.floats(1e-3, 1e6))
def test_power_tends_to_the_exponential(x: float, exponent: float) -> None:
    log = math.log(Power(scale_s=exponent, exponent=exponent).value(x))
    assert -x * (1.0 + 1e-9) - 1e-12 <= log
    assert log <= (-x + x * x / (2.0 * exponent)) + 1e-9 * x + 1e-12


@given(st.floats(1.0, 1e8), st.floats(0.0, 1e3))
def test_hyperbolic_is_named_by_its_half_life(half_life_s: float, moment: float) -> None:
    curve = Power.hyperbolic(half_life_s)
    assert curve.half_life == pytest.approx(half_life_s, rel=1e-12)
    assert curve.value(moment * half_life_s) == pytest.approx(1.0 / (1.0 + moment), rel=1e-12)


@given(st.floats(0.3, 8.0), st.floats(1e-3, 1e3), st.floats(0.0, 100.0))
def test_gamma_mixture_is_the_average_of_exponentials(shape: float, theta: float, moment: float) -> None:
    log_rate = np.linspace(-150.0, 6.0, 8_000)
    rate = np.exp(log_rate)
    density = stats.gamma(shape, scale=theta).pdf(rate * theta) * theta
    average = np.trapezoid(density * np.exp(-moment * rate) * rate, log_rate)
    assert Power.gamma_mixture(shape, theta).value(moment / theta) == pytest.approx(average, rel=1e-9)


def test_a_gamma_mixture_needs_a_distribution() -> None:
    with pytest.raises(InvalidParameterError, match="shape must"):
        Power.gamma_mixture(0.0, 1.0)
    with pytest.raises(InvalidParameterError, match="theta_per_s must"):
        Power.gamma_mixture(1.0, 0.0)


@given(st.floats(0.1, 10.0))
def test_the_first_loss_of_ebbinghaus_is_that_of_its_slope(k: float) -> None:
    curve = decay.Ebbinghaus(k, 1.0)
    slope = (1.0 - float(curve.value(1e-6))) / 1e-6
    assert curve.hazard(0.0) == pytest.approx(slope, rel=1e-5)
    assert decay.Ebbinghaus(k, 1.25).hazard(0.0) == 0.0
    assert decay.Ebbinghaus(k, 0.8).hazard(0.0) == math.inf


@given(st.floats(0.01, 1e6), st.floats(0.0, 50.0))
def test_a_stretched_exponential_that_is_not_stretched_is_the_exponential(tau_s: float, moment: float) -> None:
    plain = decay.Exponential(half_life_s=tau_s * math.log(2.0))
    stretched = decay.StretchedExponential(tau_s, 1.0)
    assert stretched.value(moment * tau_s) == pytest.approx(plain.value(moment * tau_s), rel=1e-12)
    assert stretched.hazard(moment * tau_s) == pytest.approx(plain.hazard(0.0), rel=1e-12)


@given(
    st.builds(decay.Wickelgren, st.floats(0.01, 1.0), st.floats(1e-10, 1e2), st.floats(0.05, 1.0)), st.floats(0.0, 1e3)
)
def test_wickelgren_is_a_share_of_the_power_law(curve: decay.Wickelgren, moment: float) -> None:
    power = Power(scale_s=1.0 / curve.rate_per_s, exponent=curve.exponent)
    elapsed = moment / curve.rate_per_s
    assert curve.value(elapsed) == pytest.approx(curve.initial * power.value(elapsed), rel=1e-12)
    assert curve.hazard(elapsed) == pytest.approx(power.hazard(elapsed), rel=1e-12)


@pytest.mark.parametrize(
    "family", [decay.ExponentialMidpoint, decay.GaussianMidpoint, decay.LinearMidpoint], ids=lambda kind: kind.family
)
@given(scale_s=st.floats(1e-2, 1e10), midpoint=st.floats(0.01, 0.99))
def test_a_midpoint_is_passed_at_the_scale(
    family: type[decay.ExponentialMidpoint], scale_s: float, midpoint: float
) -> None:
    curve = family(scale_s, midpoint)
    assert curve.value(scale_s) == pytest.approx(midpoint, rel=1e-12)
    assert curve.inverse(midpoint) == pytest.approx(scale_s, rel=1e-12)


@given(st.floats(0.01, 1e6), st.floats(0.0, 1e3), st.floats(0.05, 0.95))
@example(scale=1.0, distance=1.0, midpoint=0.5)
def test_midpoints_are_the_published_formulas(scale: float, distance: float, midpoint: float) -> None:
    d = distance * scale
    log = math.log(midpoint)
    assert decay.ExponentialMidpoint(scale, midpoint).value(d) == pytest.approx(
        math.exp(d * log / scale), rel=1e-9, abs=1e-300
    )
    assert decay.GaussianMidpoint(scale, midpoint).value(d) == pytest.approx(
        math.exp(d * d * log / scale**2), rel=1e-9, abs=1e-300
    )
    linear = max(0.0, 1.0 - d * (1.0 - midpoint) / scale)
    assert decay.LinearMidpoint(scale, midpoint).value(d) == pytest.approx(linear, rel=1e-9, abs=1e-12)


# Reference values


def test_ebbinghaus_gives_the_savings_of_1885() -> None:
    since_one_minute_before = np.array([20, 60, 528, 1440, 2880, 8640, 44640, 19, 63, 525])
    published = [56.9747, 47.2602, 34.4742, 30.411, 28.0577, 24.9159, 21.2279, 57.5031, 46.8913, 34.4998]
    savings = 100.0 * decay.Ebbinghaus().value((since_one_minute_before - 1.0) * 60.0)
    assert savings == pytest.approx(published, abs=5e-5)


def test_power_is_the_curve_of_fsrs_4_and_of_4_5() -> None:
    stability_s, days = DAY, np.array([0.0, 1.0, 10.0, 100.0])
    four = Power(9.0 * stability_s, 1.0).value(days * DAY)
    assert four == pytest.approx([1.0, 0.9, 0.47368421052631576, 0.08256880733944955], rel=1e-12)
    four_and_a_half = Power(81.0 / 19.0 * stability_s, 0.5).value(days * DAY)
    assert four_and_a_half == pytest.approx([1.0, 0.9, 0.5467110653077083, 0.20220890233055122], rel=1e-12)


def test_power_is_the_curve_of_fsrs_6() -> None:
    exponent = 0.1542
    factor = 0.9 ** (-1.0 / exponent) - 1.0
    elapsed, stability = np.array([[0, 1], [1, 2], [4, 4], [10, 1], [365, 10]]).T
    values = [Power(s * DAY / factor, exponent).value(t * DAY) for t, s in zip(elapsed, stability, strict=True)]
    published = [1.0, 0.9403442888929227, 0.9, 0.6928266345726217, 0.5735586746235102]
    assert values == pytest.approx(published, rel=1e-9)


def test_exponential_is_the_curve_of_memorybank_and_of_generative_agents() -> None:
    values = [decay.Exponential(strength * DAY * math.log(2.0)).value(DAY) for strength in (1, 2, 5, 10)]
    assert values == pytest.approx([0.367879, 0.606531, 0.818731, 0.904837], abs=5e-7)
    hours = np.array([1.0, 24.0, 168.0, 720.0])
    agents = decay.Exponential(138.28257298606084 * HOUR).value(hours * HOUR)
    assert agents == pytest.approx([0.995, 0.8866535105013078, 0.4308018556079912, 0.027078096829945757], rel=1e-10)


def test_midpoints_are_the_decay_functions_of_qdrant() -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert decay.ExponentialMidpoint(1.0).value(x) == pytest.approx([1.0, 0.5, 0.25, 0.125], rel=1e-15)
    assert decay.GaussianMidpoint(1.0).value(x) == pytest.approx([1.0, 0.5, 0.0625, 0.001953125], rel=1e-14)
    assert decay.LinearMidpoint(1.0).value(x).tolist() == [1.0, 0.5, 0.0, 0.0]
