"""Laws of the replay, and FSRS against two other implementations of it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import fsrs
import fsrs_rs_python
import numpy as np
import pytest
from fsrs.scheduler import LOWER_BOUNDS_PARAMETERS, UPPER_BOUNDS_PARAMETERS
from hypothesis import given, settings
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math import spacing_replay
from soma.math.spacing import DEFAULT_WEIGHTS, FSRS, RULES, WEIGHT_DOMAIN, Grade, Replay, replay
from soma.math.units import DAY, YEAR

COLUMNS = ("retrievability", "stability_s", "difficulty", "is_scored")
grades = st.sampled_from(Grade)
models = st.sampled_from([FSRS.published(version) for version in RULES])

Log = tuple[list[int], list[float], list[Grade]]


@st.composite
def logs(draw: st.DrawFn, item_ids: st.SearchStrategy[int] | None = None) -> Log:
    """Draw the reviews of a few items, mixed, by rising time."""
    ids = st.integers(0, 5) if item_ids is None else item_ids
    pauses = st.one_of(st.sampled_from([0.0, DAY, 7 * DAY]), st.floats(0.0, 100 * DAY))
    rows = draw(st.lists(st.tuples(ids, pauses, grades), max_size=30))
    times = np.cumsum([pause for _, pause, _ in rows]).tolist()
    return [row[0] for row in rows], times, [row[2] for row in rows]


def assert_equal(a: Replay, b: Replay, rtol: float = 1e-12) -> None:
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=0.0)
    assert a.item.tolist() == b.item.tolist()
    for name in ("stability_s", "difficulty", "last_review_s"):
        np.testing.assert_allclose(getattr(a.state, name), getattr(b.state, name), rtol=rtol, atol=0.0)


# The replay


@given(models, logs(), st.booleans())
def test_a_replay_is_every_review_of_every_item_in_turn(model: FSRS, log: Log, whole_days: bool) -> None:
    seen = replay(model, *log, whole_days=whole_days)
    states: dict[int, Any] = {}
    for i, (item, time_s, grade) in enumerate(zip(*log, strict=True)):
        row = [float(getattr(seen, name)[i]) for name in COLUMNS[:3]]
        if item not in states:
            assert all(map(math.isnan, row))
            assert not seen.is_scored[i]
            states[item] = model.start(grade, time_s)
            continue
        state = states[item]
        elapsed_s = time_s - float(state.last_review_s)
        if whole_days:
            elapsed_s = math.floor(elapsed_s / DAY) * DAY
        recall = float(model.retrievability(elapsed_s, state.stability_s))
        expected = [recall, float(state.stability_s), float(state.difficulty)]
        assert row == pytest.approx(expected, rel=1e-10)
        assert bool(seen.is_scored[i]) is (elapsed_s >= DAY)
        states[item] = model.review(state, grade, time_s, whole_days=whole_days)
    assert seen.item.tolist() == sorted(states)
    for name in ("stability_s", "difficulty", "last_review_s"):
        expected = [float(getattr(states[item], name)) for item in sorted(states)]
        assert getattr(seen.state, name).tolist() == pytest.approx(expected, rel=1e-10)


@given(models, logs(), st.randoms(use_true_random=False))
def test_items_do_not_touch_each_other(model: FSRS, log: Log, random: Any) -> None:
    whole = replay(model, *log)
    items, times, marks = (np.array(column) for column in log)
    mixed = list(log[0])
    random.shuffle(mixed)  # any order in which each item keeps its own
    own = {item: iter(np.flatnonzero(items == item).tolist()) for item in mixed}
    order = np.array([next(own[item]) for item in mixed], dtype=np.int64)
    shuffled = replay(model, items[order].astype(int), times[order], marks[order].astype(int))
    assert_equal(shuffled, _taken(whole, order))
    for item in set(log[0]):
        only = np.flatnonzero(items == item)
        alone = replay(model, items[only], times[only], marks[only])
        for name in COLUMNS:
            np.testing.assert_allclose(getattr(alone, name), getattr(whole, name)[only], rtol=1e-12)


def _taken(seen: Replay, order: Any) -> Replay:
    return Replay(*(getattr(seen, name)[order] for name in COLUMNS), seen.item, seen.state)


@given(models, logs(), st.sampled_from([1, 2, 3]))
def test_how_many_items_go_at_once_does_not_matter(model: FSRS, log: Log, n_items: int) -> None:
    whole = replay(model, *log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spacing_replay, "_ITEMS_AT_ONCE", n_items)
        assert_equal(replay(model, *log), whole)


@given(models, logs(st.sampled_from([-(2**63), -7, 0, 3, 2**62, 2**63 - 1])))
def test_items_may_be_any_integers(model: FSRS, log: Log) -> None:
    names, small = np.unique(np.array(log[0], dtype=np.int64), return_inverse=True)
    seen, expected = replay(model, np.array(log[0], dtype=np.int64), *log[1:]), replay(model, small, *log[1:])
    assert seen.item.tolist() == names.tolist()
    assert_equal(replace(seen, item=expected.item), expected)


@given(models, logs())
def test_whole_days_count_the_days_that_have_passed(model: FSRS, log: Log) -> None:
    items, times, marks = log
    floored, last = replay(model, *log, whole_days=True), {}
    whole_times = []
    for item, time_s in zip(items, times, strict=True):
        before, counted = last.get(item, (time_s, 0.0))
        last[item] = time_s, counted + math.floor((time_s - before) / DAY) * DAY
        whole_times.append(last[item][1])
    counted = replay(model, items, whole_times, marks)
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(floored, name), getattr(counted, name), rtol=1e-12)
    np.testing.assert_array_equal(floored.is_scored, replay(model, *log).is_scored)


def test_no_review_leaves_nothing() -> None:
    seen = replay(FSRS.published("6"), [], [], [])
    assert seen.item.tolist() == seen.retrievability.tolist() == seen.state.stability_s.tolist() == []


@pytest.mark.parametrize(
    ("log", "parameter"),
    [
        (([1, 1], [5.0, 4.0], [3, 3]), "time_s"),
        (([1, 2], [5.0, math.nan], [3, 3]), "time_s"),
        (([1, 2], [5.0, math.inf], [3, 3]), "time_s"),
        (([1, 2], [5.0, 6.0], [3, 5]), "grade"),
        (([1.0, 2.0], [5.0, 6.0], [3, 3]), "item"),
        ((["a", "b"], [5.0, 6.0], [3, 3]), "item"),
        ((np.array([1, 2], np.uint64), [5.0, 6.0], [3, 3]), "item"),
        (([1, 2], [5.0], [3, 3]), "item, time_s, grade"),
        (([[1, 2]], [[5.0, 6.0]], [[3, 3]]), "item, time_s, grade"),
        ((1, 5.0, 3), "item, time_s, grade"),
    ],
)
def test_a_log_that_is_none_is_refused_by_name(log: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        replay(FSRS.published("6"), *log)
    assert caught.value.parameter == parameter


def test_reviews_of_others_may_come_in_any_order() -> None:
    seen = replay(FSRS.published("6"), [1, 2, 1], [2 * DAY, DAY, 3 * DAY], [3, 3, 3])
    assert seen.is_scored.tolist() == [False, False, True]
    assert seen.state.last_review_s.tolist() == [3 * DAY, DAY]


# Other implementations

whole_day_histories = st.lists(st.tuples(st.integers(0, 1_000), grades), min_size=1, max_size=12)


@st.composite
def allowed_weights(draw: st.DrawFn) -> tuple[float, ...]:
    """Draw weights that py-fsrs and we both take."""
    bounds = zip(LOWER_BOUNDS_PARAMETERS, UPPER_BOUNDS_PARAMETERS, WEIGHT_DOMAIN, strict=True)
    return tuple(draw(st.floats(max(low, ours[0]), min(high, ours[1]))) for low, high, ours in bounds)


@given(st.one_of(st.just(DEFAULT_WEIGHTS["6"]), allowed_weights()), whole_day_histories)
def test_py_fsrs_gives_the_same_on_whole_days(weights: tuple[float, ...], history: list[tuple[int, Grade]]) -> None:
    begun = datetime(2024, 1, 1, tzinfo=UTC)
    scheduler, card = fsrs.Scheduler(weights, enable_fuzzing=False), fsrs.Card(card_id=1, due=begun)
    days = np.cumsum([0, *(pause for pause, _ in history[1:])]).tolist()
    seen = replay(FSRS("6", weights), [1] * len(days), np.array(days) * DAY, [grade for _, grade in history])
    for i, (day, (_, grade)) in enumerate(zip(days, history, strict=True)):
        now = begun + timedelta(days=day)
        if i:
            assert seen.stability_s[i] / DAY == pytest.approx(card.stability, rel=1e-9)
            assert seen.difficulty[i] == pytest.approx(card.difficulty, rel=1e-9)
            assert seen.retrievability[i] == pytest.approx(scheduler.get_card_retrievability(card, now), rel=1e-9)
        card, _ = scheduler.review_card(card, fsrs.Rating(grade), now)
    assert seen.state.stability_s[0] / DAY == pytest.approx(card.stability, rel=1e-9)
    assert seen.state.difficulty[0] == pytest.approx(card.difficulty, rel=1e-9)


@given(whole_day_histories, st.floats(0.0, 0.99))
def test_py_fsrs_gives_the_same_when_it_floors_days(history: list[tuple[int, Grade]], part: float) -> None:
    begun = datetime(2024, 1, 1, tzinfo=UTC)
    scheduler, card = fsrs.Scheduler(enable_fuzzing=False), fsrs.Card(card_id=1, due=begun)
    hours = (np.cumsum([24 * (pause + part) for pause, _ in history])).tolist()
    moments = [begun + timedelta(seconds=round(3_600 * h)) for h in hours]
    for moment, (_, grade) in zip(moments, history, strict=True):
        card, _ = scheduler.review_card(card, fsrs.Rating(grade), moment)
    times = [moment.timestamp() for moment in moments]
    seen = replay(FSRS.published("6"), [1] * len(times), times, [grade for _, grade in history], whole_days=True)
    assert seen.state.stability_s[0] / DAY == pytest.approx(card.stability, rel=1e-9)
    assert seen.state.difficulty[0] == pytest.approx(card.difficulty, rel=1e-9)


def test_published_weights_of_version_6_are_those_of_py_fsrs() -> None:
    assert fsrs.Scheduler().parameters == DEFAULT_WEIGHTS["6"]
    for (low, high), lower, upper in zip(WEIGHT_DOMAIN, LOWER_BOUNDS_PARAMETERS, UPPER_BOUNDS_PARAMETERS, strict=True):
        assert low <= lower
        assert upper <= high


def rust_states(weights: tuple[float, ...], history: list[tuple[int, Grade]]) -> list[tuple[float, float]]:
    days = [0, *(pause for pause, _ in history[1:])]
    reviews = [fsrs_rs_python.FSRSReview(int(g), day) for day, (_, g) in zip(days, history, strict=True)]
    states = fsrs_rs_python.FSRS(list(weights)).historical_memory_states(fsrs_rs_python.FSRSItem(reviews))
    return [(state.stability, state.difficulty) for state in states]


def our_states(model: FSRS, history: list[tuple[int, Grade]]) -> list[tuple[float, float]]:
    state, at_s = model.start(history[0][1], 0.0), 0.0
    states = [state]
    for pause, grade in history[1:]:
        at_s += pause * DAY
        states.append(state := model.review(state, grade, at_s))
    return [(float(s.stability_s) / DAY, float(s.difficulty)) for s in states]


short_histories = st.lists(st.tuples(st.integers(0, 60), grades), min_size=1, max_size=8)


@settings(max_examples=50)
@given(short_histories)
def test_fsrs_rs_gives_the_same_for_version_6(history: list[tuple[int, Grade]]) -> None:
    ours, theirs = our_states(FSRS.published("6"), history), rust_states(DEFAULT_WEIGHTS["6"], history)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@settings(max_examples=50)
@given(short_histories)
def test_fsrs_rs_reads_the_weights_of_version_5_as_version_6(history: list[tuple[int, Grade]]) -> None:
    model = FSRS("6", (*DEFAULT_WEIGHTS["5"], 0.0, 0.5))
    theirs = rust_states(DEFAULT_WEIGHTS["5"], history)
    np.testing.assert_allclose(our_states(model, history), theirs, rtol=1e-4)
    # version 5 itself differs after a Hard review on the same day alone
    if not any(pause < 1 and grade == Grade.HARD for pause, grade in history[1:]):
        np.testing.assert_allclose(our_states(FSRS.published("5"), history), theirs, rtol=1e-4)


@given(st.floats(0.1, 1_000.0), st.floats(0.7, 0.97))
def test_fsrs_rs_gives_the_same_interval(stability: float, retention: float) -> None:
    theirs = fsrs_rs_python.FSRS(list(DEFAULT_WEIGHTS["6"])).next_interval(stability, retention, 3)
    ours = float(FSRS.published("6").interval_s(retention, stability * DAY)) / DAY
    assert theirs == pytest.approx(ours, rel=1e-4)


def test_no_history_is_too_long_or_too_old() -> None:
    times = np.arange(300) * YEAR
    seen = replay(FSRS.published("6"), np.zeros(300, np.int64), times, np.resize([3, 4, 2, 3, 1], 300))
    assert np.isfinite(seen.state.stability_s).all()
    assert all(b > 0.0 for _, b in pairwise(seen.retrievability))


def test_a_stability_beyond_all_numbers_stays_at_the_greatest() -> None:
    steep = list(FSRS.published("6").weights)
    steep[8], steep[9], steep[10], steep[16], steep[20] = 10.0, 0.0, 5.0, 10.0, 1.0
    times = np.array([*(10.0 ** np.arange(0, 303, 3)) * DAY, 1.79e308])
    seen = replay(FSRS("6", tuple(steep)), np.zeros(len(times), np.int64), times, np.full(len(times), 4))
    assert 1e308 < float(seen.state.stability_s[0]) < np.inf
    assert (seen.retrievability[1:] >= 0.0).all()
