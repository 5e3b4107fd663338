"""Laws of the forgetting curves, generated from what each family states about itself as data."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError
from soma.math import decay
from soma.math.decay import FAMILIES, Curve, Power
from soma.math.decay_family import Family
from soma.math.units import HOUR

PARAMETERS = {
    "half_life_s": st.floats(1e-2, 1e10),
    "scale_s": st.floats(1e-2, 1e10),
    "tau_s": st.floats(1e-2, 1e10),
    "rate_per_s": st.floats(1e-10, 1e2),
    "exponent": st.floats(0.05, 1.0),
    "initial": st.floats(0.01, 1.0),
    "midpoint": st.floats(0.01, 0.99),
    "k": st.floats(0.05, 20.0),
    "c": st.floats(0.2, 4.0),
}
EXTREMES = st.one_of(st.floats(1e-300, 1e300), st.sampled_from([5e-324, 1e-310, 1.0, 1e308]))
EXTREME_PARAMETERS = dict.fromkeys(PARAMETERS, EXTREMES) | {
    "initial": st.floats(5e-324, 1.0),
    "midpoint": st.floats(1e-300, 1.0, exclude_max=True),
}
# Six decades around the time over which the curve falls: elsewhere there is nothing to see.
MOMENTS = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
RETENTIONS = st.floats(1e-6, 1.0)

families = pytest.mark.parametrize("family", [pytest.param(kind, id=name) for name, kind in FAMILIES.items()])


def names(family: type[Family]) -> list[str]:
    return [field.name for field in fields(family)]


def curves(family: type[Family]) -> st.SearchStrategy[Family]:
    drawn = {name: PARAMETERS[name] for name in names(family)}
    if family is Power:
        drawn["exponent"] = st.floats(0.05, 50.0)
    return st.builds(family, **drawn)


def unit_of(curve: Family) -> float:
    """Return a time over which the curve falls."""
    for name in curve.laws.times:
        return float(getattr(curve, name))
    for name in curve.laws.rates:
        return 1.0 / float(getattr(curve, name))
    return HOUR


def with_laws(**wanted: object) -> list[type[Family]]:
    return [kind for kind in FAMILIES.values() if all(getattr(kind.laws, k) == v for k, v in wanted.items())]


# What every family holds


@families
@given(st.data())
def test_retention_lies_between_0_and_1_and_starts_as_stated(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    value = curve.value(data.draw(MOMENTS) * unit_of(curve))
    assert 0.0 <= value <= 1.0
    start = curve.value(0.0)
    assert start == (1.0 if family.laws.starts_at_one else curve.initial)  # type: ignore[attr-defined]


@families
@given(st.data())
def test_never_rises_with_time(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    early, late = sorted(data.draw(st.tuples(MOMENTS, MOMENTS)))
    before, after = curve.value([early * unit_of(curve), late * unit_of(curve)])
    assert after <= before * (1.0 + 1e-12)
    if family.laws.has_inverse and late > 2.0 * early and before > 0.0:
        assert after < before  # and it does fall


@families
@settings(max_examples=25)
@given(st.data())
def test_infinity_gives_the_limit(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    assert curve.value(math.inf) == (0.0 if family.laws.has_inverse else 1.0)


@families
@given(st.data())
def test_retention_never_falls_with_strength(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    elapsed = data.draw(MOMENTS) * unit_of(curve)
    for name, sign in [*((n, 1) for n in family.laws.rises_with), *((n, -1) for n in family.laws.falls_with)]:
        changed = replace(curve, **{name: data.draw(PARAMETERS[name], label=name)})
        direction = sign * np.sign(getattr(changed, name) - getattr(curve, name))
        difference = float(changed.value(elapsed) - curve.value(elapsed))
        assert direction * difference >= -1e-12 * float(curve.value(elapsed))


@families
def test_the_parameters_that_neither_strengthen_nor_weaken_do_both(family: type[Family]) -> None:
    laws = family.laws
    others = set(names(family)) - {*laws.rises_with, *laws.falls_with}
    for name in others:
        rest = {n: 0.5 for n in names(family) if n != name}
        weak, strong = family(**rest, **{name: 0.4}), family(**rest, **{name: 0.6})
        moments = np.geomspace(1e-3, 1e12, 200)
        difference = strong.value(moments) - weak.value(moments)
        assert difference.min() < 0.0 < difference.max()


@pytest.mark.parametrize("family", with_laws(has_inverse=True))
@given(st.data())
def test_the_inverse_gives_the_time_of_a_retention(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    start = float(curve.value(0.0))
    retention = data.draw(RETENTIONS) * start
    elapsed = curve.inverse(retention)
    assert elapsed >= 0.0
    assume(1e-250 < elapsed < 1e250 or retention == start)
    assert curve.value(elapsed) == pytest.approx(retention, rel=1e-9)
    assert curve.inverse(start) == 0.0


@pytest.mark.parametrize("family", FAMILIES.values())
@settings(max_examples=25)
@given(st.data())
def test_there_is_no_inverse_where_a_family_states_none(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    if not family.laws.has_inverse:
        with pytest.raises(InvalidParameterError, match="has no inverse"):
            curve.inverse(data.draw(RETENTIONS))
    elif family.laws.reaches_zero:
        assert curve.value(1e6 * unit_of(curve)) == 0.0
        with pytest.raises(InvalidParameterError, match="must be > 0"):
            curve.inverse([0.5, 0.0])
    else:
        assert curve.inverse(0.0) == math.inf
        assert curve.value(1e6 * unit_of(curve)) > 0.0 or isinstance(
            curve, decay.Exponential | decay.ExponentialMidpoint | decay.GaussianMidpoint | decay.StretchedExponential
        )
    for retention in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidParameterError, match="retention"):
            curve.inverse(retention)


@given(curves(decay.Wickelgren))
def test_no_time_gives_back_more_than_there_was_at_the_start(curve: decay.Wickelgren) -> None:
    assume(curve.initial < 0.999)
    with pytest.raises(InvalidParameterError, match="must be at most"):
        curve.inverse(curve.initial * 1.001)


@families
@given(st.data())
def test_half_life_is_the_first_time_that_retention_is_at_most_a_half(
    family: type[Family], data: st.DataObject
) -> None:
    curve = data.draw(curves(family))
    half_life = curve.half_life
    assert isinstance(half_life, float)
    if curve.value(0.0) <= 0.5:
        assert half_life == 0.0
    elif not family.laws.has_inverse:
        assert half_life == math.inf
    elif half_life < 1e300:
        assert curve.value(half_life) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("family", with_laws(is_unit_free=True))
@given(st.data())
def test_the_unit_of_time_does_not_matter(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    unit = data.draw(st.floats(1e-4, 1e4))
    scaled = replace(
        curve,
        **{name: getattr(curve, name) * unit for name in family.laws.times},
        **{name: getattr(curve, name) / unit for name in family.laws.rates},
    )
    elapsed = data.draw(MOMENTS) * unit_of(curve)
    assert scaled.value(elapsed * unit) == pytest.approx(curve.value(elapsed), rel=1e-9, abs=1e-300)
    assert scaled.hazard(elapsed * unit) * unit == pytest.approx(curve.hazard(elapsed), rel=1e-9, abs=1e-300)
    if family.laws.has_inverse:
        retention = data.draw(RETENTIONS) * float(curve.value(0.0))
        assert scaled.inverse(retention) == pytest.approx(curve.inverse(retention) * unit, rel=1e-9)


def test_ebbinghaus_is_fixed_to_minutes_and_no_family_else_to_a_unit() -> None:
    assert with_laws(is_unit_free=False) == [decay.Ebbinghaus]
    grid = [decay.Ebbinghaus(k, c) for k in np.geomspace(0.2, 20, 60) for c in np.linspace(0.5, 3, 60)]
    moments = np.geomspace(1.0, 1e7, 40)
    in_hours = decay.Ebbinghaus().value(moments / 60.0)
    assert min(np.abs(curve.value(moments) - in_hours).max() for curve in grid) > 1e-3


# Hazard


@families
@given(st.data())
def test_the_hazard_is_the_slope_of_the_logarithm_of_retention(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    latest = 0.8 if family.laws.reaches_zero else 100.0  # near the end the slope has no width
    elapsed = data.draw(st.floats(1e-2, latest)) * unit_of(curve)
    step = 1e-4 * elapsed
    early, late = curve.value([elapsed - step, elapsed + step])
    assume(late > 1e-300)
    slope = -math.log(late / early) / (2.0 * step)
    assert slope == pytest.approx(float(curve.hazard(elapsed)), rel=1e-5, abs=1e-11 / step)


@families
@given(st.data())
def test_the_hazard_moves_with_time_as_stated(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    moments = np.sort(data.draw(st.lists(MOMENTS, min_size=2, max_size=5))) * unit_of(curve)
    with np.errstate(invalid="ignore"):  # infinite twice is a difference of nan, which is no move
        moves = np.nan_to_num(np.diff(curve.hazard(moments)))
    assert (curve.hazard(moments) >= 0.0).all()
    slack = 1e-12 * np.nan_to_num(curve.hazard(moments)).max()
    trend = family.laws.hazard
    assert trend in {"mixed", "rising"} or (moves <= slack).all()
    assert trend in {"mixed", "falling"} or (moves >= -slack).all()


@families
def test_the_hazard_does_move_where_it_is_said_to(family: type[Family]) -> None:
    curve = family() if family is decay.Ebbinghaus else family(**dict.fromkeys(names(family), 0.5))
    moments = np.geomspace(1e-4, 1e2, 50) * unit_of(curve)
    moves = np.sign(np.diff(curve.hazard(moments[curve.value(moments) > 0.0])))
    expected = {"constant": {0.0}, "falling": {-1.0}, "rising": {1.0}, "mixed": {-1.0, 1.0}}
    assert set(moves) == expected[family.laws.hazard]


@pytest.mark.parametrize("family", with_laws(hazard="constant"))
@given(st.data())
def test_a_constant_hazard_is_a_semigroup(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    a, b = (data.draw(st.floats(0.0, 100.0)) * unit_of(curve) for _ in range(2))
    assert curve.value(a + b) == pytest.approx(curve.value(a) * curve.value(b), rel=1e-11)


# Domains and extremes


@families
@settings(max_examples=25)
@given(st.data())
def test_a_negative_time_and_nan_are_errors(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    bad = data.draw(st.sampled_from([-1e-9, -1.0, -math.inf, math.nan]))
    for method in (curve.value, curve.hazard):
        with pytest.raises(InvalidParameterError, match="elapsed_s must be >= 0"):
            method([1.0, bad])


@families
@settings(max_examples=25)
@given(st.data())
def test_parameters_outside_their_domain_are_errors_that_name_them(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    for name in names(family):
        bad = [0.0, -1.0, math.nan, math.inf, "1", None, [1.0, 2.0]]
        bad += [1.0] if name == "midpoint" else [1.5] if name == "initial" else []
        bad += [1.5] if family is decay.StretchedExponential and name == "exponent" else []
        for value in bad:
            with pytest.raises(InvalidParameterError, match=name):
                replace(curve, **{name: value})


@families
@given(st.data())
def test_huge_and_tiny_arguments_give_numbers_and_no_warnings(family: type[Family], data: st.DataObject) -> None:
    drawn = {name: EXTREME_PARAMETERS[name] for name in names(family)}
    if family is decay.StretchedExponential:
        drawn["exponent"] = st.floats(5e-324, 1.0)
    curve = data.draw(st.builds(family, **drawn))
    moments = np.array([0.0, 5e-324, 1e-300, 1.0, 1e300, 1.7e308, math.inf, data.draw(EXTREMES)])
    value, hazard = curve.value(moments), curve.hazard(moments)
    assert ((value >= 0.0) & (value <= 1.0)).all()
    assert (hazard >= 0.0).all()
    assert (value == curve.value(0.0))[moments == 0.0].all()
    assert curve.half_life >= 0.0
    if family.laws.has_inverse:
        retention = np.array([1.0, 0.5, 1e-300, 5e-324]) * float(curve.value(0.0))
        assert (curve.inverse(retention[retention > 0.0]) >= 0.0).all()


def test_a_quotient_beyond_the_range_of_doubles_still_counts() -> None:
    assert Power(1e-300, 0.001).value(1e10) == pytest.approx(10**-0.31, rel=1e-12)
    assert decay.Wickelgren(1.0, 1e300, 0.001).value(1e10) == pytest.approx(10**-0.31, rel=1e-12)
    assert decay.StretchedExponential(1e-300, 1e-3).value(1e10) == pytest.approx(math.exp(-(10**0.31)), rel=1e-12)


@families
@settings(max_examples=25)
@given(st.data())
def test_shapes_go_through_and_are_float64(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    methods = [curve.value, curve.hazard] + ([curve.inverse] if family.laws.has_inverse else [])
    for method in methods:
        many = method(np.full((2, 3), 1) * 0.004)
        assert many.shape == (2, 3)
        assert many.dtype == np.float64
        one: object = method(0.004)
        assert isinstance(one, np.float64)
        assert (many == one).all()
    assert curve.value([]).shape == (0,)


# As text


@families
@settings(max_examples=25)
@given(st.data())
def test_json_gives_the_same_curve_back(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    document = curve.to_dict()
    assert document["family"] == family.family
    assert set(document) == {"family", *names(family)}
    assert decay.from_dict(document) == curve
    text = curve.to_json()
    assert isinstance(text, str)
    assert decay.from_json(text) == curve
    assert decay.from_json(text.encode()) == curve
    assert list(json.loads(text)) == sorted(document)
    assert " " not in text
    assert text.encode() == canonical_json.dumps(document)


@families
@settings(max_examples=25)
@given(st.data())
def test_a_field_too_many_or_too_few_is_refused_by_name(family: type[Family], data: st.DataObject) -> None:
    document = data.draw(curves(family)).to_dict()
    known = ", ".join(names(family)) or "none"
    with pytest.raises(SerializationError, match=f"unknown field 'halflife'; known are {known}$"):
        decay.from_dict({**document, "halflife": 1.0})
    for name in names(family):
        with pytest.raises(SerializationError, match=f'lacks the field "{name}"'):
            decay.from_dict({k: v for k, v in document.items() if k != name})
        for value in (True, "1", None, [1.0]):
            with pytest.raises(SerializationError, match=f'"{name}" of the curve {family.family} must be a number'):
                decay.from_dict({**document, name: value})
        with pytest.raises(InvalidParameterError, match=name):
            decay.from_dict({**document, name: -1})


@pytest.mark.parametrize("name", ["weibull", None, 3, "Exponential", ["power"]])
def test_an_unknown_family_is_refused_by_name(name: object) -> None:
    with pytest.raises(SerializationError, match="known are exponential, power") as caught:
        decay.from_dict({"family": name, "half_life_s": 1.0})
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", '{"family":"constant","family":"constant"}', "{", '{"family":NaN}'])
def test_text_that_is_no_curve_is_refused(text: str) -> None:
    with pytest.raises(SerializationError):
        decay.from_json(text)
    with pytest.raises(SerializationError, match="must be an object"):
        decay.from_dict([("family", "constant")])  # type: ignore[arg-type]


@families
@settings(max_examples=25)
@given(st.data())
def test_latex_is_balanced_and_shows_the_argument_and_the_parameters(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    text = curve.latex(r"\mathrm{age}")
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")
    assert (r"\mathrm{age}" in text) is family.laws.has_inverse
    assert "e-" not in text
    assert "e+" not in text


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (decay.Exponential(60), r"2^{-\frac{t}{60}}"),
        (Power(60, 0.5), r"\left(1 + \frac{t}{60}\right)^{-0.5}"),
        (decay.Wickelgren(0.9, 0.1, 0.5), r"0.9 \cdot \left(1 + 0.1 \cdot t\right)^{-0.5}"),
        (decay.StretchedExponential(60, 0.5), r"\exp\left(-\left(\frac{t}{60}\right)^{0.5}\right)"),
        (
            decay.Ebbinghaus(),
            r"\frac{1.84}{\left(\log_{10}\left(1 + \frac{t}{60}\right)\right)^{1.25} + 1.84}",
        ),
        (decay.ExponentialMidpoint(60), r"0.5^{\frac{t}{60}}"),
        (decay.ExponentialMidpoint(60, 1e-5), r"\left(1 \cdot 10^{-5}\right)^{\frac{t}{60}}"),
        (decay.GaussianMidpoint(60), r"0.5^{\left(\frac{t}{60}\right)^2}"),
        (decay.LinearMidpoint(60, 0.25), r"\max\left(0, 1 - \frac{0.75 \cdot t}{60}\right)"),
        (decay.Constant(), "1"),
    ],
)
def test_latex_reads_as_in_the_literature(curve: Family, expected: str) -> None:
    assert curve.latex("t") == expected


@families
@settings(max_examples=25)
@given(st.data())
def test_curves_are_values(family: type[Family], data: st.DataObject) -> None:
    curve = data.draw(curves(family))
    assert isinstance(curve, Curve)
    assert hash(replace(curve)) == hash(curve)
    assert not hasattr(curve, "__dict__")
    assert eval(repr(curve), vars(decay)) == curve


def test_what_is_no_curve_does_not_pass_for_one() -> None:
    assert not isinstance(3.0, Curve)
    assert not isinstance(math.exp, Curve)
