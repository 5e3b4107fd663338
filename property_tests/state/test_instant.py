"""Instants: what people write becomes seconds, and whatever is accepted can be shown again."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.state.instant import EARLIEST_S, LATEST_S, to_iso, to_seconds

seconds = st.floats(EARLIEST_S, LATEST_S)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(seconds)
def test_every_instant_that_is_accepted_can_be_shown_and_read_again(at_s: float) -> None:
    shown = to_iso(to_seconds("at", at_s))
    assert len(shown) == len("2026-03-01T12:00:00Z")
    assert to_seconds("at", shown) in (math.floor(at_s), math.floor(at_s) + 1)  # the microsecond nearest to it decides


@pytest.mark.parametrize("at_s", [EARLIEST_S, LATEST_S])
def test_the_ends_are_within(at_s: float) -> None:
    assert to_seconds("at", to_iso(at_s)) == at_s


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999), offsets)
def test_one_instant_written_with_any_offset_is_the_same(moment: datetime, offset: timezone) -> None:
    assert to_seconds("at", moment) == to_seconds("at", moment.astimezone(offset).isoformat())


NAIVE = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize(
    "value",
    [EARLIEST_S - 1, LATEST_S + 1, math.nan, math.inf, True, None, [], NAIVE, NAIVE.isoformat(), "soon"],
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(InvalidParameterError, match="at"):
        to_seconds("at", value)  # type: ignore[arg-type]
