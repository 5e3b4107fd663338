"""Published values of the spacing models, and one learner's reviews scored as published: both from shared data.

The data are no part of the project: see the fixture ``shared_data``.
"""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soma.math.spacing import DEFAULT_WEIGHTS, FSRS, Grade, SM2State, replay, sm2_review
from soma.math.units import DAY


@pytest.fixture(scope="module")
def published(shared_data: Path) -> Any:
    return json.loads((shared_data / "decay" / "reference_values.json").read_text("utf-8"))


MODEL = FSRS.published("6")


def test_fsrs_6_forgets_as_published(published: Any) -> None:
    values = published["fsrs6"]
    assert tuple(values["w"]) == DEFAULT_WEIGHTS["6"]
    assert MODEL.factor == pytest.approx(values["factor"], rel=1e-14)
    for elapsed, stability, recall in values["R"]:
        assert MODEL.retrievability(elapsed * DAY, stability * DAY) == pytest.approx(recall, rel=1e-13)
    intervals = MODEL.interval_s([0.7, 0.8, 0.9, 0.95], 10 * DAY) / DAY
    assert intervals.tolist() == pytest.approx(values["interval(S=10; r=.7,.8,.9,.95)"], rel=1e-12)


def test_fsrs_6_learns_as_published(published: Any) -> None:
    values, all_grades = published["fsrs6"], list(Grade)
    assert (MODEL.initial_stability_s(all_grades) / DAY).tolist() == pytest.approx(values["S0"], rel=1e-14)
    assert MODEL.initial_difficulty(all_grades).tolist() == pytest.approx(values["D0_clamped"], rel=1e-13)
    assert MODEL.next_difficulty(5.0, all_grades).tolist() == pytest.approx(values["D_next(D=5; G=1..4)"], rel=1e-13)
    half_way = FSRS("6", (*MODEL.weights[:7], 0.5, *MODEL.weights[8:]))
    aim = values["D0_easy_unclamped"]
    assert half_way.next_difficulty(10.0, Grade.GOOD) == pytest.approx((10.0 + aim) / 2.0, rel=1e-13)
    s = 5 * DAY
    for recall, difficulty, grade, after in values["S_recall(S=5; R,D,G)"]:
        elapsed = MODEL.interval_s(recall, s)
        assert MODEL.next_stability_s(elapsed, s, difficulty, grade) / DAY == pytest.approx(after, rel=1e-12)
    for recall, difficulty, after in values["S_forget(S=5; R,D)"]:
        elapsed = MODEL.interval_s(recall, s)
        assert MODEL.next_stability_s(elapsed, s, difficulty, 1) / DAY == pytest.approx(after, rel=1e-12)
    same_day = MODEL.next_stability_s(0.0, s, 5.0, all_grades) / DAY
    assert same_day.tolist() == pytest.approx(values["S_sameday(S=5; G=1..4)"], rel=1e-12)


def test_fsrs_6_takes_the_published_history(published: Any) -> None:
    trace = published["fsrs6"]["trace_integer_days [(dt,G)]->(S,D)"]
    days, grade = np.array(trace["reviews"]).T
    seen = replay(MODEL, np.ones(len(days), np.int64), np.cumsum(days) * DAY, grade)
    found = [seen.state.stability_s[0] / DAY, seen.state.difficulty[0]]
    assert found == pytest.approx([trace["S"], trace["D"]], rel=1e-12)
    assert found == pytest.approx(trace["fsrs_rs_f32"], rel=1e-6)


@pytest.mark.parametrize(("version", "key"), [("4", "fsrs4_curve"), ("4.5", "fsrs45_5_curve"), ("5", "fsrs45_5_curve")])
def test_earlier_versions_forget_as_published(version: Any, key: str, published: Any) -> None:
    found = FSRS.published(version).retrievability(np.array([0.0, 1.0, 10.0, 100.0]) * DAY, DAY)
    assert found.tolist() == pytest.approx(published[key]["S=1,t=0,1,10,100"], rel=1e-13)


def test_sm2_is_as_published(published: Any) -> None:
    values = published["sm2"]
    changes = np.array(sm2_review(SM2State(), list(range(6))).easiness) - 2.5
    assert changes.tolist() == pytest.approx(values["EF_delta_q0..5"], abs=1e-12)
    state, intervals = SM2State(), []
    for _ in range(6):
        state = sm2_review(state, 4)
        intervals.append(float(state.interval_s) / DAY)
    assert intervals == values["q=4x6 I (ceil)"]
    state, found = SM2State(), []
    for quality in (5, 5, 5, 2, 5, 5):
        state = sm2_review(state, quality)
        found.append([float(state.interval_s) / DAY, float(state.easiness)])
    np.testing.assert_allclose(found, values["q=5,5,5,2,5,5 (I,EF)"], rtol=1e-12)


@pytest.fixture(scope="module")
def log(shared_data: Path) -> tuple[Any, Any, Any]:
    with (shared_data / "decay" / "py_fsrs_review_log_12580.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    item = np.array([int(row["card_id"]) for row in rows])
    time_s = np.array([datetime.fromisoformat(row["review_time"]).timestamp() for row in rows])
    grade = np.array([int(row["review_rating"]) for row in rows])
    order = np.argsort(time_s, kind="stable")
    return item[order], time_s[order], grade[order]


def losses(model: FSRS, log: tuple[Any, Any, Any], *, whole_days: bool) -> Any:
    seen = replay(model, *log, whole_days=whole_days)
    predicted, is_recalled = seen.retrievability[seen.is_scored], log[2][seen.is_scored] > Grade.AGAIN
    return -np.where(is_recalled, np.log(predicted), np.log1p(-predicted))


def test_one_learner_s_reviews_are_scored_as_published(log: tuple[Any, Any, Any], published: Any) -> None:
    assert (len(log[0]), len(set(log[0].tolist()))) == (12_580, 1_205)
    floored, fractional = (losses(MODEL, log, whole_days=flag) for flag in (True, False))
    assert len(floored) == len(fractional) == 5_329
    expected = published["fsrs6"]["josh_5329_events_logloss_default"]
    assert floored.mean() == pytest.approx(expected["unweighted"], rel=1e-12)
    assert floored.mean() == pytest.approx(0.4586624, abs=5e-8)
    assert fractional.mean() == pytest.approx(0.46176, abs=5e-6)
    # what fsrs-rs reports weighs recent reviews more
    weights = 0.25 + 0.75 * np.linspace(0.0, 1.0, len(floored)) ** 3
    assert np.average(floored, weights=weights) == pytest.approx(expected["recency_weighted"], rel=1e-9)
    assert np.average(floored, weights=weights) == pytest.approx(expected["fsrs_rs_evaluate"], rel=1e-5)
