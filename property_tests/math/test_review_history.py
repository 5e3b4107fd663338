"""What is known before a review: of whole logs at once, as one review after the other would find it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math.review_history import SITTING_S, ReviewHistory, review_history
from soma.math.units import DAY

Log = tuple[list[int], list[float], list[bool], list[float]]
FIELDS = tuple(ReviewHistory.__dataclass_fields__)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Draw reviews of few items in the order of time, some of them at once, some exactly a sitting apart."""
    steps = st.floats(0.0, 40 * DAY) | st.sampled_from([0.0, SITTING_S, DAY, math.nextafter(DAY, 0)])
    n = draw(st.integers(0, 30))
    times = np.cumsum([draw(steps) for _ in range(n)]).tolist()
    items = draw(st.lists(st.integers(-2, 2) | st.sampled_from([2**62, -(2**62)]), min_size=n, max_size=n))
    recalled = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return items, times, recalled, draw(st.lists(st.floats(0.0, 1e6), min_size=n, max_size=n))


def of(log: Log, **more: Any) -> ReviewHistory:
    items, times, recalled, durations = log
    return review_history(np.array(items, np.int64), times, np.array(recalled, np.bool_), duration_ms=durations, **more)


def one_by_one(log: Log, whole_days: bool) -> list[list[float]]:
    """Return the same as the definition says it, a row for each review."""
    found, earlier = [], {}  # type: ignore[var-annotated]
    for item, time_s, recalled, duration in zip(*log, strict=True):
        known = earlier.setdefault(item, [])

        def interval(later: float, before: float) -> float:
            return math.floor((later - before) / DAY) * DAY if whole_days else later - before

        if not known:
            found.append([0.0] + [math.nan] * 7)
        else:
            intervals = [interval(b[0], a[0]) for a, b in pairwise(known)]
            survived = [gap for gap, (_, ok, _) in zip(intervals, known[1:], strict=True) if ok]
            logs = [math.log1p(d) for _, _, d in known]
            found.append(
                [
                    len(known),
                    interval(time_s, known[-1][0]),
                    intervals[-1] if intervals else 0.0,
                    max(survived, default=0.0),
                    sum(not ok for _, ok, _ in known) / len(known),
                    sum(t >= known[-1][0] - SITTING_S for t, _, _ in known),
                    logs[-1],
                    sum(logs) / len(logs),
                ]
            )
        known.append((time_s, recalled, duration))
    return found


@given(logs(), st.booleans())
def test_all_at_once_is_one_after_the_other(log: Log, whole_days: bool) -> None:
    seen = of(log, whole_days=whole_days)
    expected = np.array(one_by_one(log, whole_days)).reshape(-1, len(FIELDS))
    for name, column in zip(FIELDS, expected.T, strict=True):
        np.testing.assert_allclose(getattr(seen, name), column, rtol=1e-9, atol=1e-9, err_msg=name)
    assert seen.is_scored.tolist() == [row[1] >= DAY for row in expected.tolist()]


@given(logs(), st.data())
def test_nothing_is_known_of_what_comes_later(log: Log, data: st.DataObject) -> None:
    n = data.draw(st.integers(0, len(log[0])))
    part = of((log[0][:n], log[1][:n], log[2][:n], log[3][:n]))
    whole = of(log)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(whole, name)[:n], getattr(part, name), rtol=1e-9, atol=1e-9)
    if n:  # nor of the review's own outcome
        other = (log[0], log[1], [*log[2][: n - 1], not log[2][n - 1], *log[2][n:]], log[3])
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(of(other), name)[n - 1], getattr(whole, name)[n - 1])


@given(logs())
def test_items_do_not_touch_one_another(log: Log) -> None:
    whole, items = of(log), np.array(log[0], np.int64)
    for item in set(log[0]):
        rows = np.flatnonzero(items == item)
        alone = of(tuple([column[i] for i in rows] for column in log))  # type: ignore[arg-type]
        for name in FIELDS:
            np.testing.assert_allclose(getattr(whole.at(rows), name), getattr(alone, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1], [1.0, 0.0], [True, True]), "never fall"),
        (([1, 1], [0.0], [True, True]), "one length"),
        (([1, 1], [0.0, math.nan], [True, True]), "time_s"),
        (([1.5, 1], [0.0, 1.0], [True, True]), "item"),
        (([1, 1], [0.0, 1.0], [1, 0]), "is_recalled"),
    ],
)
def test_what_is_no_log_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        review_history(*arguments)
    for duration in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidParameterError, match="duration_ms"):
            review_history([1], [0.0], [True], duration_ms=[duration])
