"""Expressions of time in a question, and the intervals that they name as seen from a moment.

All calendars are in UTC, weeks begin on Monday, and seasons are those of the northern half of the year by whole months.
What is named without a year or a week is the last such time that has begun. The grammar, with words in any case
(a month that is also a word, May or March, needs its capital and a word such as "in" before it):

==================================================  ===========================================================
today, yesterday, the day before yesterday          that day
tonight, last night                                 from 18:00 to 06:00
this, last, next + week, weekend, month, year       the calendar's one; "last" is the one before this
this, last, next + a weekday, month or season       of this week or year; the last that has ended; the next to begin
the past (or last) + number + hours ... years       from so long ago until now; so is "the past month"
number + hours ... years + ago (before, earlier)    one such unit, about that moment
3 June, June 3rd, 2023, on 2023-06-03               that day
June, in June 2023, 2023-06, summer of 2022, in     that month, season or year
2022
Monday, on Monday                                   the last one that has begun
two weeks before 3 June, the Sunday after           counted from that time; "the week before" ends with it
2023-06-03
since, after, before, until + a time                from it or up to it; "since" and "after" reach until now
between + a time + and + a time, from ... to ...    from the start of the first to the end of the second
==================================================  ===========================================================

Numbers are digits or words up to twelve; "a" and "an" are one, "a couple of" two, "a few" and "several" three.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from soma.math.units import DAY, HOUR, MINUTE, WEEK
from soma.state.instant import EARLIEST_S, to_iso

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NamedTime", "named_times", "nearness_in_time"]

_MONTHS: Final = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_MONTH: Final = {
    **{name: i for i, name in enumerate(_MONTHS, 1)},
    **{name[:3]: i for i, name in enumerate(_MONTHS, 1)},
    "sept": 9,
}
_WEEKDAY: Final = {
    name: i
    for i, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split())  # noqa: SIM905
}
_SEASON: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_UNIT: Final = {
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "week": WEEK,
    "fortnight": 2 * WEEK,
    "month": 365.2425 / 12 * DAY,
    "year": 365.2425 * DAY,
    "decade": 3652.425 * DAY,
}
_NUMBER: Final = {
    **{
        name: i
        for i, name in enumerate(
            "one two three four five six seven eight nine ten eleven twelve".split(),  # noqa: SIM905
            1,
        )
    },
    "a": 1,
    "an": 1,
    "the": 1,
    "couple": 2,
    "few": 3,
    "several": 3,
}
_CUES: Final = frozenset("in on of since until till before after by during from to and between early mid late".split())  # noqa: SIM905
_HINTS: Final = "the last past previous this next today yesterday tomorrow tonight".split()  # noqa: SIM905
_FIRST: Final = frozenset(  # what an expression may begin with
    [*_MONTH, *_WEEKDAY, *_SEASON, *_NUMBER, *_CUES, *_HINTS]
)
_WORD: Final = re.compile(r"\d{4}-\d{2}(?:-\d{2})?(?!\w)|\d+(?:st|nd|rd|th)?(?!\w)|[^\W\d_]+|\w+", re.ASCII)


@dataclass(frozen=True, slots=True)
class NamedTime:
    """An interval that a question names.

    Parameters
    ----------
    text : str
        The words that name it.
    start_s, end_s : float
        From when until when, POSIX seconds; the end is not part of it.
    scale_s : float
        The length of what is named, seconds: of the month in "since May". Nearness falls on this scale.
    """

    text: str
    start_s: float
    end_s: float
    scale_s: float

    def __str__(self) -> str:
        return f"{self.text!r}: {to_iso(self.start_s)} to {to_iso(self.end_s)}"


class _Span(NamedTuple):
    """An interval, and the length of what is named; both in POSIX seconds."""

    start: float
    end: float
    scale: float


class _Word(NamedTuple):
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower()


_Found: TypeAlias = "tuple[_Span, int] | None"
"""What was read at a place, and the place after it."""


def named_times(text: str, now_s: float) -> tuple[NamedTime, ...]:
    """Return the intervals that a text names, in its order.

    Parameters
    ----------
    text : str
        A question in English; the module says what is understood. Anything else names no time.
    now_s : float
        The moment that "last" and "ago" are counted from, POSIX seconds.

    Returns
    -------
    tuple of NamedTime
        At each place the longest expression; none overlaps another.

    Notes
    -----
    Laws: ``property_tests/state/test_times.py``.

    Examples
    --------
    >>> for time in named_times("What broke last May, and what two days ago?", 1_718_020_800.0):  # 2024-06-10T12:00
    ...     print(time)
    'last May': 2024-05-01T00:00:00Z to 2024-06-01T00:00:00Z
    'two days ago': 2024-06-08T00:00:00Z to 2024-06-09T00:00:00Z
    """
    reader = _Reader(text, now_s)
    found: list[NamedTime] = []
    place = 0
    while place < len(reader.words):
        word = reader.words[place].low
        read = reader.expression(place) if word in _FIRST or word[0].isdecimal() else None
        if read is None:
            place += 1
            continue
        span, after = read
        said = text[reader.words[place].start : reader.words[after - 1].end]
        found.append(NamedTime(said, *span))
        place = after
    return tuple(found)


def nearness_in_time(at_s: NDArray[np.float64], text: str, now_s: float) -> NDArray[np.float64]:
    r"""Return how near each moment is to the times that a text names: the term ``when``.

    .. math:: \max_e \frac{1}{1 + d_e / L_e}

    over the expressions e of the text, with d the distance to the interval and L the length of what is named.

    Parameters
    ----------
    at_s : ndarray of float64, shape (n,)
        Moments, POSIX seconds.
    text : str
        A question.
    now_s : float
        When it is asked, POSIX seconds.

    Returns
    -------
    ndarray of float64, shape (n,)
        In (0, 1]: 1 within an interval; 1 everywhere if the text names no time.

    Examples
    --------
    >>> nearness_in_time(np.array([0.0, 86_400.0, 3 * 86_400.0]), "What was on 1970-01-02?", 1e6).tolist()
    [0.5, 1.0, 0.5]
    """
    times = named_times(text, now_s)
    if not times:
        return np.ones(len(at_s))
    distance = [np.maximum(0.0, np.maximum(time.start_s - at_s, at_s - time.end_s)) / time.scale_s for time in times]
    return np.asarray(1.0 / (1.0 + np.minimum.reduce(distance)))


class _Reader:
    """A text as words, read from any place on; each method returns what it understands there, or None."""

    def __init__(self, text: str, now_s: float) -> None:
        self.words = [_Word(match.group(), match.start(), match.end()) for match in _WORD.finditer(text)]
        self.now_s = now_s
        self.today = datetime.fromtimestamp(now_s, UTC).date()

    def word(self, place: int) -> str:
        """Return the word at a place in small letters, or nothing."""
        return self.words[place].low if 0 <= place < len(self.words) else ""

    def expression(self, place: int) -> _Found:
        """Return the longest expression at a place."""
        rules: list[Callable[[int], _Found]] = [self.range, self.open, self.counted_from, self.simple]
        try:
            return max((found for rule in rules if (found := rule(place))), key=lambda found: found[1], default=None)
        except (ValueError, OverflowError):  # beyond the years 1 to 9999: no time that we know
            return None

    def simple(self, place: int) -> _Found:
        """Return what stands for itself: a date, or a time relative to now."""
        rules = [self.ago, self.rolling, self.relative, self.day_name, self.dated]
        return max((found for rule in rules if (found := rule(place))), key=lambda found: found[1], default=None)

    def range(self, place: int) -> _Found:
        """Return the span of "between May and July", of "from Monday to Friday"."""
        joints = {"between": ("and",), "from": ("to", "until", "till", "through")}.get(self.word(place), ())
        first = self.simple(place + 1) if joints else None
        if first is None or self.word(first[1]) not in joints:
            return None
        last = self.simple(first[1] + 1)
        if last is None:
            return None
        start, end = first[0].start, last[0].end
        while start >= end:  # "between March and May 2023": the year of the second is that of the first too
            start = _midnight(_shifted(_day(start), -12))
        return _Span(start, end, max(first[0].scale, last[0].scale)), last[1]

    def open(self, place: int) -> _Found:
        """Return the span of "since May", "after", "before" or "until" it."""
        word = self.word(place)
        found = self.simple(place + 1) if word in ("since", "after", "before", "until", "till") else None
        if found is None:
            return None
        (start, end, scale), after = found
        if word in ("before", "until", "till"):
            return _Span(EARLIEST_S, start if word == "before" else end, scale), after
        start = start if word == "since" else end
        return (_Span(start, self.now_s, scale), after) if start < self.now_s else None

    def counted_from(self, place: int) -> _Found:
        """Return the span of "two weeks before 3 June", of "the Sunday after 3 June"."""
        if self.word(place) == "the" and self.word(place + 1) in _WEEKDAY:
            weekday, place = _WEEKDAY[self.word(place + 1)], place + 2
            anchor = self.anchor(place)
            if anchor is None:
                return None
            (start, end, _), sign, after = anchor
            day = _day(start) if sign < 0 else _day(end) - timedelta(days=1)
            ahead = (weekday - day.weekday()) % 7 if sign > 0 else (day.weekday() - weekday) % 7
            return _days(day + sign * timedelta(days=ahead or 7)), after
        counted = self.count(place)
        anchor = self.anchor(counted[2]) if counted else None
        if counted is None or anchor is None:
            return None
        (start, end, _), sign, after = anchor
        number, unit, _ = counted
        if self.word(place) == "the":  # the unit that ends, or begins, there
            length = _UNIT[unit]
            return (_Span(start - length, start, length) if sign < 0 else _Span(end, end + length, length)), after
        return self.about(start, sign * number, unit), after

    def anchor(self, place: int) -> tuple[_Span, int, int] | None:
        """Return a date with the direction that leads from it, and the place after."""
        sign = {"before": -1, "after": 1}.get(self.word(place))
        found = self.dated(place + 1) if sign else None
        return None if found is None or sign is None else (found[0], sign, found[1])

    def ago(self, place: int) -> _Found:
        """Return the span of "two months ago"."""
        counted = self.count(place)
        if counted is None or self.word(place) == "the":
            return None
        number, unit, after = counted
        if self.word(after) not in ("ago", "before", "earlier", "back", "previously"):
            return None
        return self.about(self.now_s, -number, unit), after + 1

    def rolling(self, place: int) -> _Found:
        """Return the span of "the last two weeks", of "the past month"."""
        place += self.word(place) == "the"
        word = self.word(place)
        if word not in ("last", "past", "previous"):
            return None
        counted = self.count(place + 1)
        if counted is None:
            if word != "past" or self.unit(place + 1) is None:
                return None
            counted = 1, self.word(place + 1), place + 2
        number, unit, after = counted
        start = self.moved(self.now_s, -number, unit)
        return _Span(start, self.now_s, self.now_s - start), after

    def relative(self, place: int) -> _Found:
        """Return the span of "this week", "last May", "next Friday"."""
        word = self.word(place)
        if word not in ("this", "last", "previous", "next"):
            return None
        step = {"this": 0, "next": 1}.get(word, -1)
        name, after = self.word(place + 1), place + 2
        found = self.of_calendar(name, step) or self.of_name(place + 1, step)
        return (found, after) if found else None

    def of_calendar(self, name: str, step: int) -> _Span | None:
        """Return the week, month or year that is so many from this one."""
        monday = self.today - timedelta(days=self.today.weekday())
        match name:
            case "night":
                evening = _midnight(self.today) + 18 * HOUR + step * DAY
                return _Span(evening, evening + 12 * HOUR, 12 * HOUR)
            case "week":
                return _days(monday + timedelta(weeks=step), 7)
            case "weekend":
                return _days(monday + timedelta(days=5, weeks=step), 2)
            case "month":
                return _months(_shifted(self.today.replace(day=1), step))
            case "year":
                return _months(date(self.today.year + step, 1, 1), 12)
        return None

    def of_name(self, place: int, step: int) -> _Span | None:
        """Return the weekday, month or season of that name: the last before, this, or the next one."""
        name = self.word(place)
        if name in _WEEKDAY:
            this = self.today + timedelta(days=_WEEKDAY[name] - self.today.weekday())
            found = [_days(this + timedelta(weeks=week)) for week in (-1, 0, 1)]
        else:
            month, length = (_SEASON[name], 3) if name in _SEASON else (self.month(place), 1)
            if not month:
                return None
            found = [_months(date(self.today.year + year, month, 1), length) for year in (-2, -1, 0, 1)]
        if step < 0:
            return max(span for span in found if span.end <= self.now_s)
        return min(span for span in found if span.start > self.now_s) if step > 0 else found[-2]

    def day_name(self, place: int) -> _Found:
        """Return the span of "yesterday", "the day before yesterday", "Monday"."""
        word = self.word(place)
        if [self.word(place + i) for i in range(4)] == ["the", "day", "before", "yesterday"]:
            return _days(self.today - timedelta(days=2)), place + 4
        if word in ("today", "yesterday", "tomorrow"):
            ahead = {"today": 0, "yesterday": -1, "tomorrow": 1}[word]
            return _days(self.today + timedelta(days=ahead)), place + 1
        if word == "tonight":
            start = _midnight(self.today) + 18 * HOUR
            return _Span(start, start + 12 * HOUR, 12 * HOUR), place + 1
        if word in _WEEKDAY:
            return _days(self.today - timedelta(days=(self.today.weekday() - _WEEKDAY[word]) % 7)), place + 1
        return None

    def dated(self, place: int) -> _Found:
        """Return the span of "3 June 2023", "June 3", "June 2023", "2023-06-03", "summer of 2022", "2022"."""
        place += self.word(place) in ("in", "on", "the", "during", "by")
        place += self.word(place) == "the"
        word = self.word(place)
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word):
            return _days(date.fromisoformat(word)), place + 1
        if re.fullmatch(r"\d{4}-\d{2}", word):
            return _months(date(int(word[:4]), int(word[5:]), 1)), place + 1
        if word in _SEASON:
            year, after = self.year(place + 1)
            return (_months(date(year, _SEASON[word], 1), 3), after) if year else None
        day, after = self.day(place)
        if day:
            after += self.word(after) == "of"
            month = self.month(after, is_sure=True)
            return self.on(day, month, *self.year(after + 1)) if month else None
        month = self.month(place)
        if month:
            day, after = self.day(place + 1)
            if day:
                return self.on(day, month, *self.year(after))
            year, after = self.year(place + 1)
            return _months(date(year or self.year_of(month, 1), month, 1)), after
        year, after = self.year(place)
        if year and (self.word(place - 1) in _CUES or self.word(place - 1) == "year"):
            return _months(date(year, 1, 1), 12), after
        return None

    def on(self, day: int, month: int, year: int, after: int) -> _Found:
        """Return a day of the calendar; without a year, the last that has begun."""
        return _days(date(year or self.year_of(month, day), month, day)), after

    def year_of(self, month: int, day: int) -> int:
        """Return the year in which that day was last: of 29 February, a leap year."""
        year = self.today.year - ((month, day) > (self.today.month, self.today.day))
        while (month, day) == (2, 29) and not _is_leap(year):
            year -= 1
        return year

    def month(self, place: int, *, is_sure: bool = False) -> int:
        """Return the number of the month that is named at a place, or 0."""
        word = self.word(place)
        number = _MONTH.get(word, 0)
        if not number or is_sure or (len(word) > 3 and word not in ("march", "sept")):
            return number
        is_capital = self.words[place].text[0].isupper()
        is_cued = self.word(place - 1) in _CUES | {"last", "this", "next", "previous"}
        is_dated = bool(self.day(place + 1)[0] or self.year(place + 1)[0])
        return number if is_dated or (is_capital and is_cued) else 0

    def day(self, place: int) -> tuple[int, int]:
        """Return the day of a month at a place, or 0, and the place after."""
        found = re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th)?", self.word(place))
        day = int(found[1]) if found else 0
        return (day, place + 1) if 1 <= day <= 31 else (0, place)

    def year(self, place: int) -> tuple[int, int]:
        """Return the year at a place, after an "of" or a "in" or not, or 0, and the place after."""
        at = place + (self.word(place) in ("of", "in"))
        found = re.fullmatch(r"1[89]\d\d|20\d\d", self.word(at))
        return (int(found[0]), at + 1) if found else (0, place)

    def count(self, place: int) -> tuple[int, str, int] | None:
        """Return how many of which unit are named, and the place after."""
        word = self.word(place)
        number = int(word) if word.isdecimal() and len(word) <= 4 else _NUMBER.get(word, 0)
        at = place + 1
        if word == "a" and self.word(at) in ("couple", "few"):
            number, at = _NUMBER[self.word(at)], at + 1
        at += self.word(at) == "of"
        unit = self.unit(at)
        return (number, unit, at + 1) if number and unit else None

    def unit(self, place: int) -> str | None:
        """Return the unit of time that is named at a place, in the singular."""
        word = self.word(place).removesuffix("s")
        return word if word in _UNIT else None

    def moved(self, at_s: float, number: int, unit: str) -> float:
        """Return a moment so many units later; by months as the calendar counts them."""
        months = {"month": 1, "year": 12, "decade": 120}.get(unit)
        if months is None:
            return at_s + number * _UNIT[unit]
        day = _day(at_s)
        return at_s + _midnight(_shifted(day, number * months)) - _midnight(day)

    def about(self, at_s: float, number: int, unit: str) -> _Span:
        """Return the unit of time about a moment that is so many units from another."""
        middle, length = self.moved(at_s, number, unit), _UNIT[unit]
        if unit == "day":
            return _days(_day(middle))
        return _Span(middle - length / 2, middle + length / 2, length)


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def _day(at_s: float) -> date:
    return datetime.fromtimestamp(at_s, UTC).date()


def _days(first: date, n: int = 1) -> _Span:
    start = _midnight(first)
    return _Span(start, start + n * DAY, n * DAY)


def _months(first: date, n: int = 1) -> _Span:
    start, end = _midnight(first), _midnight(_shifted(first, n))
    return _Span(start, end, end - start)


def _shifted(day: date, months: int) -> date:
    """Return the same day of another month, or its last."""
    year, month = divmod(12 * day.year + day.month - 1 + months, 12)
    while True:
        try:
            return date(year, month + 1, day.day)
        except ValueError:
            if day.day <= 28:
                raise
            day = day.replace(day=day.day - 1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
