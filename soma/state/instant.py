"""Instants: POSIX seconds, from what people write."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from soma.errors import InvalidParameterError

__all__ = ["EARLIEST_S", "LATEST_S", "Instant", "to_iso", "to_seconds"]

Instant: TypeAlias = "float | int | str | datetime"

EARLIEST_S: Final = datetime.min.replace(tzinfo=UTC).timestamp()
LATEST_S: Final = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()  # a float of it has no microseconds


def to_seconds(parameter: str, value: Instant) -> float:
    """Return POSIX seconds.

    Parameters
    ----------
    parameter : str
        Name of the argument, for the error.
    value : float, datetime or str
        POSIX seconds; an aware datetime; or ISO 8601 text: a date (its midnight in UTC) or a time with its offset.

    Returns
    -------
    float
        Seconds since 1970-01-01T00:00Z, between the years 1 and 9999.

    Raises
    ------
    InvalidParameterError
        For a naive datetime, NaN, or an instant out of range.

    Examples
    --------
    >>> to_seconds("as_of", "1970-01-02")
    86400.0
    """
    if isinstance(value, str):
        value = _parse(parameter, value)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise InvalidParameterError(parameter, value, "must be an aware datetime: add tzinfo=datetime.UTC")
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidParameterError(parameter, value, "must be POSIX seconds, an aware datetime or an ISO 8601 text")
    if not EARLIEST_S <= value <= LATEST_S:  # NaN fails as well
        raise InvalidParameterError(parameter, value, "must be POSIX seconds between the years 1 and 9999")
    return float(value) + 0.0


def to_iso(at_s: float) -> str:
    """Return an instant as ISO 8601 in UTC, to the second.

    Parameters
    ----------
    at_s : float
        POSIX seconds.

    Returns
    -------
    str
        Ends in ``Z``.

    Examples
    --------
    >>> to_iso(86400.0)
    '1970-01-02T00:00:00Z'
    """
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _parse(parameter: str, text: str) -> datetime:
    try:
        if len(text) == len("2026-03-01"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameterError(parameter, text, "must be ISO 8601: 2026-03-01 or 2026-03-01T12:00:00Z") from None
    if instant.utcoffset() is None:
        raise InvalidParameterError(parameter, text, "must say its offset from UTC: end it with Z or +01:00")
    return instant
