"""Laws of instants as sources write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.ingest.times import as_zone, read_instant
from soma.state.instant import EARLIEST_S, LATEST_S

BERLIN = as_zone("Europe/Berlin")
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001 - zones are drawn beside them
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, offsets)
def test_a_time_with_its_offset_is_the_same_in_every_zone(moment: datetime, offset: timezone) -> None:
    there = moment.replace(tzinfo=offset)
    for zone in (None, UTC, BERLIN):
        assert read_instant("at", there.isoformat(), zone) == there.timestamp()


@given(moments)
def test_a_naive_time_is_refused_or_taken_in_the_zone_given(moment: datetime) -> None:
    assert read_instant("at", moment.isoformat(), UTC) == moment.replace(tzinfo=UTC).timestamp()
    with pytest.raises(InvalidParameterError, match=r"^at must say its offset .* or a timezone be given, got"):
        read_instant("at", moment.isoformat())


@given(st.floats(EARLIEST_S, LATEST_S) | st.integers(int(EARLIEST_S), int(LATEST_S)))
def test_seconds_are_seconds_as_numbers_and_as_text(seconds: float) -> None:
    assert read_instant("at", seconds, BERLIN) == seconds
    text = f"{seconds:.6f}"
    assert read_instant("at", text, BERLIN) == float(text)


def test_a_zone_has_a_summer_and_two_hours_that_are_not_like_others() -> None:
    assert read_instant("at", "2026-01-01 12:00", BERLIN) == datetime(2026, 1, 1, 11, tzinfo=UTC).timestamp()
    assert read_instant("at", "2026-07-01 12:00", BERLIN) == datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp()
    assert read_instant("at", "2026-10-25T02:30", BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    with pytest.raises(InvalidParameterError, match="must exist in Europe/Berlin, whose clocks leapt over it"):
        read_instant("at", "2026-03-29T02:30", BERLIN)


def test_a_date_is_its_midnight() -> None:
    assert read_instant("at", "1970-01-02") == 86_400
    assert read_instant("at", "1970-01-02", BERLIN) == 82_800


@pytest.mark.parametrize("text", ["2026", "202603", "20260301"])
def test_digits_that_may_be_a_date_or_seconds_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="at must be unmistakable: write 2026-03-01"):
        read_instant("at", text, UTC)
    assert read_instant("at", f"{text}.0") == float(text)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, [], "", "now", "NaN", "inf", float("nan"), float("inf"), "1772323200000", 1_772_323_200_000),
        *("9" * 400, "2026-02-30T00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "10:00", "\0"),
    ],
)
def test_what_is_no_instant_is_refused_by_its_name(value: object) -> None:
    for zone in (None, UTC, BERLIN):
        with pytest.raises(InvalidParameterError, match=r"^at must "):
            read_instant("at", value, zone)


@pytest.mark.parametrize("text", ["0001-01-01T00:00", "9999-12-31T23:59:59"])
def test_the_ends_of_time_are_refused_where_the_zone_leads_beyond_them(text: str) -> None:
    zone = as_zone("Asia/Tokyo" if text.startswith("0001") else "America/New_York")
    with pytest.raises(InvalidParameterError, match="must lie between the years 1 and 9999"):
        read_instant("at", text, zone)


@pytest.mark.parametrize("name", ["CET/Berlin", "", "Europe", "../etc/passwd", "/etc/localtime", "+01:00", "\0"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="timezone must be a name such as UTC or Europe/Berlin"):
        as_zone(name)
