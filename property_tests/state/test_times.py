"""Laws of the times that a question names: what each expression means, seen from a moment."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.math.units import DAY
from soma.state.instant import EARLIEST_S, LATEST_S, to_seconds
from soma.state.times import NamedTime, named_times, nearness_in_time

NOW = datetime(2024, 6, 12, 15, 30, tzinfo=UTC)  # a Wednesday
FOREVER = "0001-01-01"


def seen(text: str, now: datetime = NOW) -> list[tuple[str, datetime, datetime]]:
    return [
        (time.text, datetime.fromtimestamp(time.start_s, UTC), datetime.fromtimestamp(time.end_s, UTC))
        for time in named_times(text, now.timestamp())
    ]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("today", "2024-06-12", "2024-06-13"),
        ("Yesterday", "2024-06-11", "2024-06-12"),
        ("the day before yesterday", "2024-06-10", "2024-06-11"),
        ("tomorrow", "2024-06-13", "2024-06-14"),
        ("tonight", "2024-06-12T18:00Z", "2024-06-13T06:00Z"),
        ("last night", "2024-06-11T18:00Z", "2024-06-12T06:00Z"),
        ("this week", "2024-06-10", "2024-06-17"),
        ("last week", "2024-06-03", "2024-06-10"),
        ("next week", "2024-06-17", "2024-06-24"),
        ("last weekend", "2024-06-08", "2024-06-10"),
        ("this weekend", "2024-06-15", "2024-06-17"),
        ("last month", "2024-05-01", "2024-06-01"),
        ("next month", "2024-07-01", "2024-08-01"),
        ("last year", "2023-01-01", "2024-01-01"),
        ("last May", "2024-05-01", "2024-06-01"),
        ("last june", "2023-06-01", "2023-07-01"),
        ("this August", "2024-08-01", "2024-09-01"),
        ("next June", "2025-06-01", "2025-07-01"),
        ("last summer", "2023-06-01", "2023-09-01"),
        ("last winter", "2023-12-01", "2024-03-01"),
        ("last Wednesday", "2024-06-05", "2024-06-06"),
        ("last Monday", "2024-06-10", "2024-06-11"),
        ("this friday", "2024-06-14", "2024-06-15"),
        ("next Tuesday", "2024-06-18", "2024-06-19"),
        ("Wednesday", "2024-06-12", "2024-06-13"),
        ("Thursday", "2024-06-06", "2024-06-07"),
        ("the past two weeks", "2024-05-29T15:30Z", "2024-06-12T15:30Z"),
        ("the last 3 months", "2024-03-12T15:30Z", "2024-06-12T15:30Z"),
        ("the past month", "2024-05-12T15:30Z", "2024-06-12T15:30Z"),
        ("ten days ago", "2024-06-02", "2024-06-03"),
        ("three weeks before", "2024-05-19T03:30Z", "2024-05-26T03:30Z"),
        ("a couple of days ago", "2024-06-10", "2024-06-11"),
        ("3 June", "2024-06-03", "2024-06-04"),
        ("30 June", "2023-06-30", "2023-07-01"),
        ("the 3rd of June 2023", "2023-06-03", "2023-06-04"),
        ("June 3rd, 2023", "2023-06-03", "2023-06-04"),
        ("may 7, 2023", "2023-05-07", "2023-05-08"),
        ("29 February", "2024-02-29", "2024-03-01"),
        ("2023-06-03", "2023-06-03", "2023-06-04"),
        ("2023-06", "2023-06-01", "2023-07-01"),
        ("in March 2023", "2023-03-01", "2023-04-01"),
        ("in March", "2024-03-01", "2024-04-01"),
        ("July", "2023-07-01", "2023-08-01"),
        ("summer of 2022", "2022-06-01", "2022-09-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("two weeks before 3 June 2023", "2023-05-16T12:00Z", "2023-05-23T12:00Z"),
        ("two days after 3 June 2023", "2023-06-05", "2023-06-06"),
        ("the week before 9 June 2023", "2023-06-02", "2023-06-09"),
        ("the day after 9 June 2023", "2023-06-10", "2023-06-11"),
        ("the Sunday before 25 May 2023", "2023-05-21", "2023-05-22"),
        ("the Sunday before 21 May 2023", "2023-05-14", "2023-05-15"),
        ("the Thursday after 25 May 2023", "2023-06-01", "2023-06-02"),
        ("since May", "2024-05-01", "2024-06-12T15:30Z"),
        ("after 3 June 2024", "2024-06-04", "2024-06-12T15:30Z"),
        ("before 2023", FOREVER, "2023-01-01"),
        ("until March 2023", FOREVER, "2023-04-01"),
        ("between March and May 2023", "2023-03-01", "2023-06-01"),
        ("between November and February", "2023-11-01", "2024-03-01"),
        ("from 3 June to 5 June", "2024-06-03", "2024-06-06"),
    ],
)
def test_an_expression_means_its_interval_wherever_it_stands(text: str, start: str, end: str) -> None:
    wanted = to_seconds("start", start), to_seconds("end", end)
    for sentence in (f"{text}", f"What did Ada do {text}?", f"What, {text}, was repaired"):
        (time,) = named_times(sentence, NOW.timestamp())
        assert (time.start_s, time.end_s) == wanted, str(time)
        assert time.text.lower() in text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What may Ada do? They march on.",
        "May I ask what the second test is?",
        "a month of work, two weeks of leave, the year, ago",
        "room 2022, version 3.11, 30 Februaryish, 31 clocks",
        "the last test, this clock and the next one",
        "the week before, before lunch, since then, between us and them",
        "in 9999-99-99 and 2023-13, 9000 years ago",
    ],
)
def test_other_words_name_no_time(text: str) -> None:
    assert seen(text) == []


def test_several_times_are_read_in_their_order() -> None:
    found = [text for text, *_ in seen("Was it yesterday, last May or two days ago? Not in 2022.")]
    assert found == ["yesterday", "last May", "two days ago", "in 2022"]


PARTS = """a the last this next past two 3 31 2024 9999 1st in on of since until before after between and from to ago
yesterday day week weekend months years decade night Monday friday may May March june February 29 summer 2023-06-03
2024-13 ? , couple few"""
moments = st.floats(EARLIEST_S, LATEST_S)


@given(st.lists(st.sampled_from(PARTS.split()), max_size=9).map(" ".join), moments)
def test_whatever_is_written_names_intervals_that_do_not_overlap_in_the_text(text: str, now_s: float) -> None:
    end = 0
    for time in named_times(text, now_s):
        assert EARLIEST_S <= time.start_s < time.end_s
        assert 0 < time.scale_s < math.inf
        place = text.index(time.text, end)
        end = place + len(time.text)


@given(st.text(max_size=40), moments)
def test_any_text_can_be_read(text: str, now_s: float) -> None:
    named_times(text, now_s)


@given(st.integers(-4_000, 4_000), st.sampled_from(["yesterday", "last Friday", "two weeks ago", "last week"]))
def test_what_is_counted_in_weeks_moves_with_now(weeks: int, text: str) -> None:
    ((_, start, end),) = seen(text)
    ((_, later_start, later_end),) = seen(text, NOW + timedelta(weeks=weeks))
    assert later_start - start == later_end - end == timedelta(weeks=weeks)


@given(st.lists(st.floats(-1e9, 2e9), min_size=1, max_size=9))
def test_nearness_is_1_within_and_falls_with_the_distance(times: list[float]) -> None:
    at_s = np.array(times)
    (time,) = named_times("in March 2023", NOW.timestamp())
    near = nearness_in_time(at_s, "What broke in March 2023?", NOW.timestamp())
    distance = np.maximum(0, np.maximum(time.start_s - at_s, at_s - time.end_s))
    assert ((near == 1) == (distance == 0)).all()
    assert np.allclose(near, 1 / (1 + distance / (31 * DAY)))
    order = np.argsort(distance)
    assert (np.diff(near[order]) <= 0).all()


def test_of_several_times_the_nearest_counts_and_of_none_all_are_near() -> None:
    at_s = np.array([NOW.timestamp() - 40 * DAY, NOW.timestamp()])
    both = nearness_in_time(at_s, "last week or 2 May?", NOW.timestamp())
    each = [nearness_in_time(at_s, text, NOW.timestamp()) for text in ("last week", "2 May")]
    assert both.tolist() == np.maximum(*each).tolist()
    assert nearness_in_time(at_s, "the clock", NOW.timestamp()).tolist() == [1.0, 1.0]


def test_a_named_time_says_what_it_means() -> None:
    assert str(NamedTime("1970", 0.0, DAY, DAY)) == "'1970': 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z"
