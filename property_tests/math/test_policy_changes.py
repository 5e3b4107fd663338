"""Laws of what tells two policies apart, and of a policy with another forgetting curve."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math import policy as p
from soma.math.units import DAY
from soma.testing.policies import curves, policies

WEEK = decay.Exponential(half_life_s=7 * DAY)
MONTH = decay.Exponential(half_life_s=30 * DAY)


@given(policies(), policies())
def test_nothing_differs_exactly_where_policies_are_equal(one: p.Policy, other: p.Policy) -> None:
    assert p.differences(one, one) == ()
    assert (p.differences(one, other) == ()) == (one == other)


@given(policies(), policies())
def test_the_way_back_is_the_same_differences_turned_round(one: p.Policy, other: p.Policy) -> None:
    there = Counter((each.where, each.before, each.after) for each in p.differences(one, other))
    back = Counter((each.where, each.after, each.before) for each in p.differences(other, one))
    assert there == back


@given(policies(), policies())
def test_a_factor_that_comes_is_named_and_nothing_else(policy: p.Policy, factor: p.Policy) -> None:
    base, more = p.max(policy, 0), p.min(factor, 1)
    assert p.differences(base, base * more) == (p.Difference("factor of *", None, str(more)),)
    assert p.differences(more + base, base) == (p.Difference("term of +", str(more), None),)


def test_a_parameter_of_a_term_is_named_with_both_values() -> None:
    one = p.similarity().clip(0) * p.decay(WEEK, of=p.idle_s)
    (found,) = p.differences(one, p.similarity().clip(0) * p.decay(MONTH, of=p.idle_s))
    assert (found.where, found.before, found.after) == ("decay of idle_s: half_life_s", "604800", "2592000")
    (found,) = p.differences(one, p.similarity().clip(0.1) * p.decay(WEEK, of=p.idle_s))
    assert (found.where, found.before, found.after) == ("clip: lower", "0", "0.1")


def test_another_family_is_one_difference() -> None:
    one, power = p.decay(WEEK), decay.Power(scale_s=DAY, exponent=0.5)
    (found,) = p.differences(one, p.decay(power))
    assert (found.where, found.before, found.after) == ("decay of age_s: curve", repr(WEEK), repr(power))


def test_weights_and_terms_are_paired_by_what_they_read() -> None:
    one = 0.8 * p.similarity() + 0.2 * p.importance()
    other = 0.5 * p.importance() + 0.8 * p.similarity() + p.lexical()
    found = {(each.where, each.before, each.after) for each in p.differences(one, other)}
    assert found == {("constant beside importance: value", "0.2", "0.5"), ("term of +", None, "lexical()")}


def test_another_order_of_the_same_parts_is_told() -> None:
    one, other = p.similarity() * p.importance(), p.importance() * p.similarity()
    (found,) = p.differences(one, other)
    assert (found.where, found.before, found.after) == ("order of *", str(one), str(other))


def test_another_structure_is_one_replacement() -> None:
    (found,) = p.differences(p.similarity() + p.importance(), p.similarity() ** p.importance())
    assert (found.before, found.after) == ("similarity() + importance()", "similarity() ** importance()")
    assert str(found) == "policy: similarity() + importance() -> similarity() ** importance()"


@given(curves())
def test_a_replaced_curve_is_all_that_changes(curve: decay.Curve) -> None:
    policy = p.with_curve(p.default(), curve)
    assert f"decay({curve!r}, of=idle_s)" in str(policy)
    assert policy.features == p.default().features
    assert p.with_curve(policy, decay.Power(scale_s=30 * DAY, exponent=0.5)) == p.default()
    assert p.with_curve(policy, curve) == policy


@settings(max_examples=50)
@given(policies(["similarity", "importance"]), curves())
def test_the_curve_is_found_wherever_it_stands(rest: p.Policy, curve: decay.Curve) -> None:
    inside = p.minmax(1 - p.decay(WEEK, of=p.age_s).clip(0.1))
    assert p.with_curve(p.max(rest, 2) + inside, curve) == p.max(rest, 2) + p.minmax(
        1 - p.decay(curve, of=p.age_s).clip(0.1)
    )


@pytest.mark.parametrize("policy", [p.similarity(), p.presets.redis()])
def test_none_or_several_curves_are_refused(policy: p.Policy) -> None:
    with pytest.raises(InvalidParameterError, match="must hold one forgetting curve"):
        p.with_curve(policy, WEEK)
