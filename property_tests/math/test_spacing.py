"""Laws of FSRS, for every version and over the whole domain of its weights."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.spacing import DEFAULT_WEIGHTS, FSRS, RULES, WEIGHT_DOMAIN, Grade, ReviewState, Version
from soma.math.units import DAY, YEAR

LEAST_S = 0.001 * DAY
FINITE = 1.7976931348623157e308
RECALLS = (Grade.HARD, Grade.GOOD, Grade.EASY)

versions = pytest.mark.parametrize("version", list(RULES))
stabilities = st.one_of(st.floats(LEAST_S, 100 * YEAR), st.floats(5e-324, FINITE), st.sampled_from([5e-324, FINITE]))
ordinary = st.floats(LEAST_S, 100 * YEAR)
elapsed_times = st.one_of(st.floats(0.0, 10 * YEAR), st.floats(0.0, math.inf), st.sampled_from([0.0, DAY, math.inf]))
later_days = st.one_of(st.floats(DAY, 10 * YEAR), st.floats(DAY, math.inf), st.sampled_from([DAY, math.inf]))
same_day = st.floats(0.0, DAY, exclude_max=True)
difficulties = st.floats(1.0, 10.0)
grades = st.sampled_from(Grade)


@st.composite
def models(draw: st.DrawFn, version: Version) -> FSRS:
    if draw(st.booleans(), label="published"):
        return FSRS.published(version)
    domain = WEIGHT_DOMAIN[: RULES[version].n_weights]
    return FSRS(version, tuple(draw(st.floats(low, high)) for low, high in domain))


def at_most(a: Any, b: Any) -> bool:
    """Return whether a <= b, to rounding."""
    return bool(np.all(np.multiply(a, 1.0 - 1e-12) <= b))


# The forgetting curve


@versions
@given(st.data())
def test_retrievability_lies_between_0_and_1_and_starts_at_1(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(stabilities)
    assert model.retrievability(0.0, stability) == 1.0
    assert model.retrievability(math.inf, stability) == 0.0
    assert 0.0 <= model.retrievability(data.draw(elapsed_times), stability) <= 1.0


@versions
@given(st.data())
def test_recall_is_nine_tenths_after_the_stability(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(stabilities)
    assert model.retrievability(stability, stability) == pytest.approx(0.9, rel=1e-12)


@versions
@given(st.data())
def test_retrievability_never_rises_with_time_nor_falls_with_stability(version: Version, data: st.DataObject) -> None:
    model = data.draw(models(version))
    early, late = sorted((data.draw(elapsed_times), data.draw(elapsed_times)))
    weak, strong = sorted((data.draw(stabilities), data.draw(stabilities)))
    assert at_most(model.retrievability(late, weak), model.retrievability(early, weak))
    assert at_most(model.retrievability(late, weak), model.retrievability(late, strong))
    assert model.retrievability(2.0 * weak, weak) < model.retrievability(weak, weak)


@versions
@given(st.data())
def test_the_interval_inverts_retrievability(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(ordinary)
    retention = data.draw(st.one_of(st.floats(0.05, 1.0), st.sampled_from([0.9, 1.0])))
    interval = model.interval_s(retention, stability)
    assert interval >= 0.0
    assert model.retrievability(interval, stability) == pytest.approx(retention, rel=1e-9)
    assert model.interval_s(0.9, stability) == pytest.approx(stability, rel=1e-12)
    assert model.interval_s(1.0, stability) == 0.0
    assert model.interval_s(0.0, stability) == math.inf


@versions
@given(st.data())
def test_the_curve_is_a_power_law_of_the_family_of_curves(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(ordinary)
    elapsed = data.draw(st.floats(0.0, 10 * YEAR))
    assert model.curve(stability).value(elapsed) == pytest.approx(model.retrievability(elapsed, stability), rel=1e-11)


def test_the_curves_of_versions_4_to_5_are_as_published() -> None:
    t = np.array([0.0, 0.5, 1.0, 10.0, 100.0, 1e4])
    for version, curve in {
        "4": 1.0 / (1.0 + t / 9.0),
        "4.5": (1.0 + 19.0 / 81.0 * t) ** -0.5,
        "5": (1.0 + 19.0 / 81.0 * t) ** -0.5,
    }.items():
        assert FSRS.published(version).retrievability(t * DAY, DAY) == pytest.approx(curve, rel=1e-13)  # type: ignore[arg-type]


# Stability


@versions
@given(st.data())
def test_stability_never_falls_after_a_recall_on_a_later_day(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(stabilities)
    for elapsed in (data.draw(later_days), DAY):
        after = model.next_stability_s(elapsed, stability, data.draw(difficulties), RECALLS)
        assert at_most(stability, after)


@versions
@given(st.data())
def test_stability_stays_a_number_from_86_seconds_on(version: Version, data: st.DataObject) -> None:
    model = data.draw(models(version))
    drawn = data.draw(elapsed_times), data.draw(stabilities), data.draw(difficulties)
    after = model.next_stability_s(*drawn, list(Grade))
    assert np.isfinite(after).all()
    assert at_most(LEAST_S, after)


@versions
@given(st.data())
def test_a_better_grade_never_leaves_less_on_a_later_day(version: Version, data: st.DataObject) -> None:
    drawn = data.draw(models(version))
    weights = list(drawn.weights)
    weights[15], weights[16] = min(weights[15], 1.0), max(weights[16], 1.0)
    model = replace(drawn, weights=tuple(weights))
    hard, good, easy = model.next_stability_s(
        data.draw(later_days), data.draw(stabilities), data.draw(difficulties), RECALLS
    )
    assert at_most(hard, good)
    assert at_most(good, easy)


def test_a_better_grade_can_leave_less_with_other_weights() -> None:
    for version, own in DEFAULT_WEIGHTS.items():
        weights = list(own)
        weights[15], weights[16] = 1.5, 0.5
        hard, good, easy = FSRS(version, tuple(weights)).next_stability_s(9 * DAY, 9 * DAY, 5.0, RECALLS)
        assert hard > good > easy


@pytest.mark.parametrize("version", [v for v, rules in RULES.items() if rules.same_day != "as any"])
@given(st.data())
def test_a_better_grade_never_leaves_less_on_the_same_day(version: Version, data: st.DataObject) -> None:
    model = data.draw(models(version))
    drawn = data.draw(same_day), data.draw(stabilities), data.draw(difficulties)
    after = model.next_stability_s(*drawn, list(Grade))
    assert at_most(after[:-1], after[1:])


@pytest.mark.parametrize("version", [v for v, rules in RULES.items() if rules.same_day != "as any"])
@given(st.data())
def test_on_the_same_day_neither_the_hour_nor_the_difficulty_matters(version: Version, data: st.DataObject) -> None:
    model, stability, grade = data.draw(models(version)), data.draw(stabilities), data.draw(grades)
    after = [model.next_stability_s(data.draw(same_day), stability, data.draw(difficulties), grade) for _ in range(2)]
    assert after[0] == after[1]


@given(st.data())
def test_version_6_never_lowers_stability_after_a_recall_on_the_same_day(data: st.DataObject) -> None:
    model, stability = data.draw(models("6")), data.draw(stabilities)
    after = model.next_stability_s(data.draw(same_day), stability, data.draw(difficulties), RECALLS)
    assert at_most(stability, after)


def test_version_5_lowers_stability_after_a_hard_recall_on_the_same_day() -> None:
    assert FSRS.published("5").next_stability_s(0.0, DAY, 5.0, Grade.HARD) < DAY


@pytest.mark.parametrize("version", [v for v, rules in RULES.items() if rules.same_day == "as any"])
@given(st.data())
def test_versions_without_a_rule_for_the_same_day_change_smoothly_there(version: Version, data: st.DataObject) -> None:
    drawn = data.draw(models(version)), data.draw(ordinary), data.draw(difficulties), data.draw(grades)
    model, stability, difficulty, grade = drawn
    before, after = model.next_stability_s([DAY * (1.0 - 1e-13), DAY], stability, difficulty, grade)
    assert before == pytest.approx(after, rel=1e-9)


@pytest.mark.parametrize("version", [v for v, rules in RULES.items() if rules.lapse != "free"])
@given(st.data())
def test_a_lapse_never_raises_stability(version: Version, data: st.DataObject) -> None:
    model, stability = data.draw(models(version)), data.draw(stabilities)
    after = model.next_stability_s(data.draw(later_days), stability, data.draw(difficulties), Grade.AGAIN)
    own = model.weights
    ceiling = stability / math.exp(own[17] * own[18]) if model.rules.lapse == "below S" else stability
    assert at_most(after, max(ceiling, LEAST_S))


def test_a_lapse_may_raise_stability_in_version_4() -> None:
    assert FSRS.published("4").next_stability_s(30 * DAY, 0.1 * DAY, 1.0, Grade.AGAIN) > 0.1 * DAY


@versions
@given(st.data())
def test_a_later_recall_strengthens_more_and_a_harder_item_gains_less(version: Version, data: st.DataObject) -> None:
    model, stability, grade = data.draw(models(version)), data.draw(stabilities), data.draw(st.sampled_from(RECALLS))
    early, late = sorted((data.draw(later_days), data.draw(later_days)))
    easy, hard = sorted((data.draw(difficulties), data.draw(difficulties)))
    soon, delayed = model.next_stability_s([early, late], stability, easy, grade)
    assert at_most(soon, delayed)
    assert at_most(model.next_stability_s(late, stability, hard, grade), delayed)


@versions
def test_the_spacing_effect_is_there(version: Version) -> None:
    soon, delayed = FSRS.published(version).next_stability_s([DAY, 20 * DAY], 10 * DAY, 5.0, Grade.GOOD)
    assert delayed > 1.5 * soon


# Difficulty


@versions
@given(st.data())
def test_difficulty_lies_between_1_and_10_and_never_rises_with_the_grade(version: Version, data: st.DataObject) -> None:
    model = data.draw(models(version))
    for difficulty in (
        model.initial_difficulty(list(Grade)),
        model.next_difficulty(data.draw(difficulties), list(Grade)),
    ):
        assert ((difficulty >= 1.0) & (difficulty <= 10.0)).all()
        assert (np.diff(difficulty) <= 1e-12).all()


@versions
@given(st.data())
def test_after_good_difficulty_moves_towards_that_of_one_first_grade(version: Version, data: st.DataObject) -> None:
    model, before = data.draw(models(version)), data.draw(difficulties)
    aim = float(model.initial_difficulty(Grade.GOOD if model.rules.difficulty == "linear" else Grade.EASY))
    after = float(model.next_difficulty(before, Grade.GOOD))
    low, high = sorted((before, aim))
    assert low - 1e-12 <= after <= high + 1e-12 or 1.0 in {after, aim} or 10.0 in {after, aim}
    unmoved = replace(model, weights=(*model.weights[:7], 0.0, *model.weights[8:]))
    assert unmoved.next_difficulty(before, Grade.GOOD) == pytest.approx(before, rel=1e-15)


def test_the_hardest_item_gets_no_harder_where_changes_are_damped() -> None:
    for version, rules in RULES.items():
        weights = list(DEFAULT_WEIGHTS[version])
        weights[7] = 0.0
        easier = FSRS(version, tuple(weights)).next_difficulty(10.0, Grade.EASY)
        assert bool(easier == 10.0) is (rules.difficulty == "damped")


# Whole states


@versions
@given(st.data())
def test_a_review_takes_the_steps_of_stability_and_difficulty(version: Version, data: st.DataObject) -> None:
    model, first, second = data.draw(models(version)), data.draw(grades), data.draw(grades)
    at_s, elapsed = data.draw(st.floats(-1e9, 4e9)), data.draw(st.floats(0.0, 10 * YEAR))
    state = model.start(first, at_s)
    assert state.stability_s == model.initial_stability_s(first) == pytest.approx(model.weights[first - 1] * DAY)
    assert state.difficulty == model.initial_difficulty(first)
    later = model.review(state, second, at_s + elapsed)
    passed = (at_s + elapsed) - at_s
    assert later.stability_s == model.next_stability_s(passed, state.stability_s, state.difficulty, second)
    assert later.difficulty == model.next_difficulty(state.difficulty, second)
    assert later.last_review_s == at_s + elapsed
    floored = model.review(state, second, at_s + elapsed, whole_days=True)
    days = math.floor(passed / DAY)
    assert floored.stability_s == model.next_stability_s(days * DAY, state.stability_s, state.difficulty, second)


@versions
@given(st.data())
def test_arrays_do_what_each_of_their_items_does(version: Version, data: st.DataObject) -> None:
    model = data.draw(models(version))
    rows = data.draw(st.lists(st.tuples(elapsed_times, ordinary, difficulties, grades), min_size=1, max_size=9))
    elapsed, stability, difficulty, grade = (np.array(column) for column in zip(*rows, strict=True))
    together = model.next_stability_s(elapsed, stability, difficulty, grade)
    alone = [float(model.next_stability_s(*row)) for row in rows]
    assert together == pytest.approx(np.array(alone), rel=1e-12)
    table = model.next_stability_s(elapsed[:, None, None], stability[:, None], difficulty[:, None], [1, 2, 3, 4])
    assert table.shape == (len(rows), len(rows), 4)
    assert table[0, 0, grade[0] - 1] == pytest.approx(together[0], rel=1e-12)
    harder = model.next_difficulty(difficulty[:, None], [1, 2, 3, 4])
    assert (harder == [[model.next_difficulty(row[2], g) for g in (1, 2, 3, 4)] for row in rows]).all()
    assert (model.next_difficulty(difficulty, [3]) == harder[:, 2]).all()


@example(version="6", grade=[])
@given(st.sampled_from(list(RULES)), st.lists(grades, max_size=4))
def test_states_have_the_shape_of_their_items(version: Version, grade: list[Grade]) -> None:
    model = FSRS.published(version)
    state = model.review(model.start(grade, 0.0), grade, DAY)
    assert state.stability_s.shape == state.difficulty.shape == state.last_review_s.shape == (len(grade),)
    assert np.ndim(model.start(3, 0.0).stability_s) == 0


# The formulas, once more and one number at a time

Numbers = tuple[float, ...]


def difficulty_by_hand(version: Version, w: Numbers, grade: int) -> float:
    return w[4] - w[5] * (grade - 3) if version in ("4", "4.5") else w[4] - math.exp(w[5] * (grade - 1)) + 1.0


def next_difficulty_by_hand(version: Version, w: Numbers, d: float, grade: int) -> float:
    if version in ("4", "4.5"):
        after = w[7] * difficulty_by_hand(version, w, 3) + (1.0 - w[7]) * (d - w[6] * (grade - 3))
    else:
        moved = d - w[6] * (grade - 3) * (10.0 - d) / 9.0
        after = w[7] * difficulty_by_hand(version, w, 4) + (1.0 - w[7]) * moved
    return min(max(after, 1.0), 10.0)


def next_stability_by_hand(version: Version, w: Numbers, t: float, s: float, d: float, grade: int) -> float:
    b = {"4": 1.0, "4.5": 0.5, "5": 0.5}.get(version, w[-1])
    recall = (1.0 + (0.9 ** (-1.0 / b) - 1.0) * t / s) ** -b
    if t < 1.0 and version == "5":
        return s * math.exp(w[17] * (grade - 3 + w[18]))
    if t < 1.0 and version == "6":
        increase = math.exp(w[17] * (grade - 3 + w[18])) * s ** -w[19]
        return s * (max(increase, 1.0) if grade >= 2 else increase)
    if grade == 1:
        after = w[11] * d ** -w[12] * ((s + 1.0) ** w[13] - 1.0) * math.exp(w[14] * (1.0 - recall))
        if version == "4":
            return after
        return min(after, s if version == "4.5" else s / math.exp(w[17] * w[18]))
    bonus = {2: w[15], 3: 1.0, 4: w[16]}[grade]
    gain = math.exp(w[8]) * (11.0 - d) * s ** -w[9] * (math.exp(w[10] * (1.0 - recall)) - 1.0)
    return s * (1.0 + gain * bonus)


@versions
@given(st.data())
def test_each_version_is_its_published_formulas(version: Version, data: st.DataObject) -> None:
    model, grade = data.draw(models(version)), int(data.draw(grades))
    w, d = model.weights, data.draw(difficulties)
    t, s = data.draw(st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 3_650.0))), data.draw(st.floats(0.01, 10_000.0))
    first = min(max(difficulty_by_hand(version, w, grade), 1.0), 10.0)
    assert model.initial_difficulty(grade) == pytest.approx(first, rel=1e-12)
    after = next_difficulty_by_hand(version, w, d, grade)
    assert model.next_difficulty(d, grade) == pytest.approx(after, rel=1e-11)
    t = t * DAY / DAY  # as the seconds give it
    expected = max(next_stability_by_hand(version, w, t, s, d, grade), 0.001)
    assert model.next_stability_s(t * DAY, s * DAY, d, grade) / DAY == pytest.approx(expected, rel=1e-9)


# What is let in


@versions
def test_published_weights_fit_and_values_do_not_change(version: Version) -> None:
    model = FSRS.published(version)
    assert model.weights == DEFAULT_WEIGHTS[version]
    assert len(model.weights) == RULES[version].n_weights
    assert model == FSRS(version, list(DEFAULT_WEIGHTS[version]))  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        model.version = "4"  # type: ignore[misc]
    with pytest.raises(TypeError):
        DEFAULT_WEIGHTS["6"] = ()  # type: ignore[index]


@pytest.mark.parametrize("i", range(21))
def test_each_weight_has_its_domain_ends_included(i: int) -> None:
    low, high = WEIGHT_DOMAIN[i]
    for value, fits in ((low, True), (high, True), (low - 1e-3, False), (high + 1e-3, False), (math.nan, False)):
        weights = list(DEFAULT_WEIGHTS["6"])
        weights[i] = value
        if fits:
            assert FSRS("6", tuple(weights)).weights[i] == value
        else:
            with pytest.raises(InvalidParameterError, match="weights"):
                FSRS("6", tuple(weights))


MODEL = FSRS.published("6")
STATE = MODEL.start(3, 100.0)


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda: FSRS("7", MODEL.weights), "version"),  # type: ignore[arg-type]
        (lambda: FSRS.published("3"), "version"),  # type: ignore[arg-type]
        (lambda: FSRS("5", MODEL.weights), "weights"),
        (lambda: FSRS("6", (MODEL.weights,)), "weights"),  # type: ignore[arg-type]
        (lambda: MODEL.retrievability(-1.0, DAY), "elapsed_s"),
        (lambda: MODEL.retrievability(math.nan, DAY), "elapsed_s"),
        (lambda: MODEL.retrievability(1.0, 0.0), "stability_s"),
        (lambda: MODEL.retrievability(1.0, math.inf), "stability_s"),
        (lambda: MODEL.interval_s(1.1, DAY), "retention"),
        (lambda: MODEL.interval_s(math.nan, DAY), "retention"),
        (lambda: MODEL.interval_s(0.9, -DAY), "stability_s"),
        (lambda: MODEL.curve(0.0), "stability_s"),
        (lambda: MODEL.initial_stability_s(0), "grade"),
        (lambda: MODEL.initial_stability_s([1, 5]), "grade"),
        (lambda: MODEL.initial_difficulty(2.5), "grade"),
        (lambda: MODEL.initial_difficulty(259), "grade"),
        (lambda: MODEL.initial_difficulty("good"), "grade"),
        (lambda: MODEL.next_difficulty(0.99, 3), "difficulty"),
        (lambda: MODEL.next_difficulty(10.01, 3), "difficulty"),
        (lambda: MODEL.next_difficulty(math.nan, 3), "difficulty"),
        (lambda: MODEL.next_difficulty([5.0, 6.0], [3, 3, 3]), "difficulty, grade"),
        (lambda: MODEL.next_stability_s(-1.0, DAY, 5.0, 3), "elapsed_s"),
        (lambda: MODEL.next_stability_s(1.0, 0.0, 5.0, 3), "stability_s"),
        (lambda: MODEL.next_stability_s(1.0, DAY, 11.0, 3), "difficulty"),
        (lambda: MODEL.next_stability_s([1.0, 2.0], [DAY] * 3, 5.0, 3), "elapsed_s, stability_s, difficulty, grade"),
        (lambda: MODEL.start(3, math.inf), "at_s"),
        (lambda: MODEL.start([3, 3], [0.0] * 3), "at_s, grade"),
        (lambda: MODEL.review(STATE, 3, 99.0), "at_s"),
        (lambda: MODEL.review(STATE, 0, 101.0), "grade"),
        (lambda: ReviewState(0.0, 5.0, 0.0), "stability_s"),  # type: ignore[arg-type]
        (lambda: ReviewState(1.0, 0.5, 0.0), "difficulty"),  # type: ignore[arg-type]
        (lambda: ReviewState(1.0, 5.0, math.nan), "last_review_s"),  # type: ignore[arg-type]
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(call: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    assert caught.value.parameter == parameter
