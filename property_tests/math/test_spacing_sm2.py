"""Laws of SM-2, and what its specification says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.spacing import SM2State, sm2_review
from soma.math.units import DAY

QUALITIES = list(range(6))
CHANGES = (-0.8, -0.54, -0.32, -0.14, 0.0, 0.1)

qualities = st.sampled_from(QUALITIES)
passed = st.sampled_from([3, 4, 5])
failed = st.sampled_from([0, 1, 2])
states = st.builds(
    SM2State,
    st.one_of(st.integers(0, 4), st.integers(0, 2**53)),
    st.one_of(st.integers(0, 10_000).map(lambda days: days * DAY), st.floats(0.0, 1e304)),
    st.one_of(st.just(2.5), st.floats(1.3, 10.0)),
)


@given(states, qualities, st.booleans())
def test_easiness_never_falls_below_its_least_and_intervals_are_whole_days(
    state: SM2State, quality: int, changes: bool
) -> None:
    after = sm2_review(state, quality, failure_changes_easiness=changes)
    assert after.easiness >= 1.3
    assert DAY <= after.interval_s < math.inf
    days = float(after.interval_s) / DAY
    assert days == pytest.approx(round(days), rel=1e-15)


@given(states, passed)
def test_easiness_changes_by_what_each_quality_is_worth(state: SM2State, quality: int) -> None:
    after = sm2_review(state, quality)
    assert after.easiness == pytest.approx(max(1.3, float(state.easiness) + CHANGES[quality]), rel=1e-12)


@given(states, failed)
def test_a_failure_starts_again_and_the_flag_says_whether_easiness_changes(state: SM2State, quality: int) -> None:
    changed, kept = (sm2_review(state, quality, failure_changes_easiness=flag) for flag in (True, False))
    for after in (changed, kept):
        assert after.n_recalled == 0
        assert after.interval_s == DAY
    assert kept.easiness == state.easiness
    assert changed.easiness == pytest.approx(max(1.3, float(state.easiness) + CHANGES[quality]), rel=1e-12)


@given(states, passed, st.booleans())
@example(SM2State(2**53), 3, False)
def test_a_recall_takes_the_next_interval(state: SM2State, quality: int, changes: bool) -> None:
    after = sm2_review(state, quality, failure_changes_easiness=changes)
    assert after.n_recalled == min(int(state.n_recalled) + 1, 2**53)
    if state.n_recalled < 2:
        assert after.interval_s == (DAY, 6 * DAY)[int(state.n_recalled)]
    elif state.interval_s < 1e9 * DAY:
        grown, days = float(state.interval_s) / DAY * float(after.easiness), float(after.interval_s) / DAY
        assert grown * (1.0 - 1e-11) <= days < grown + 1.0 + 1e-6 or days == 1.0
        assert after.interval_s >= state.interval_s or state.interval_s == 0.0


@given(states)
def test_a_better_answer_leaves_more(state: SM2State) -> None:
    after = sm2_review(state, QUALITIES)
    assert (np.diff(after.easiness) >= 0.0).all()
    assert (np.diff(after.interval_s[3:]) >= 0.0).all()  # type: ignore[index]


@given(st.lists(st.tuples(states, qualities), max_size=6))
def test_arrays_do_what_each_of_their_items_does(rows: list[tuple[SM2State, int]]) -> None:
    columns = [np.array([getattr(s, name) for s, _ in rows]) for name in ("n_recalled", "interval_s", "easiness")]
    together = sm2_review(SM2State(*columns), [q for _, q in rows])
    alone = [sm2_review(s, q) for s, q in rows]
    for name in ("n_recalled", "interval_s", "easiness"):
        assert getattr(together, name).tolist() == [float(getattr(s, name)) for s in alone]


def test_a_whole_number_is_not_rounded_up() -> None:
    state = SM2State(2, 5 * DAY, 2.5 + 0.1 + 0.1 + 0.1 - 0.1)  # 2.7 + 0.1 is a little more than 2.8
    assert sm2_review(state, 5).interval_s == 14 * DAY


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda: sm2_review(SM2State(), 6), "quality"),
        (lambda: sm2_review(SM2State(), -1), "quality"),
        (lambda: sm2_review(SM2State(), 3.5), "quality"),
        (lambda: sm2_review(SM2State(), math.nan), "quality"),
        (lambda: sm2_review(SM2State(np.zeros(3), np.zeros(3), np.full(3, 2.5)), [3, 4]), "quality"),  # type: ignore[arg-type]
        (lambda: SM2State(n_recalled=2.0**54), "n_recalled"),  # type: ignore[arg-type]
        (lambda: SM2State(n_recalled=-1), "n_recalled"),
        (lambda: SM2State(n_recalled=0.5), "n_recalled"),  # type: ignore[arg-type]
        (lambda: SM2State(n_recalled=math.inf), "n_recalled"),  # type: ignore[arg-type]
        (lambda: SM2State(interval_s=-1.0), "interval_s"),
        (lambda: SM2State(interval_s=math.inf), "interval_s"),
        (lambda: SM2State(easiness=1.29), "easiness"),
        (lambda: SM2State(easiness=math.nan), "easiness"),
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(call: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    assert caught.value.parameter == parameter
