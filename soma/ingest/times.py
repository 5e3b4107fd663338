"""Instants as sources write them: with a zone, in the zone that the reader is told, or as POSIX seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from soma.errors import InvalidParameterError
from soma.state.instant import to_seconds

__all__ = ["as_zone", "read_instant"]

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?")
_CALENDAR_DIGITS = (4, 6, 8)  # 2026, 202603, 20260301: a year, a month, a day, or seconds


def as_zone(name: str | None) -> tzinfo | None:
    """Return the time zone of a name; of none, none.

    Parameters
    ----------
    name : str, optional
        A name of the IANA database.

    Returns
    -------
    tzinfo or None
        The zone.

    Raises
    ------
    InvalidParameterError
        For an unknown name.

    Examples
    --------
    >>> as_zone("CET/Berlin")
    Traceback (most recent call last):
    soma.errors.InvalidParameterError: timezone must be a name such as UTC or Europe/Berlin, got 'CET/Berlin'
    """
    if name is None:
        return None
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # of a folder of zones, such as Europe, comes an OSError
        raise InvalidParameterError("timezone", name, "must be a name such as UTC or Europe/Berlin") from None


def read_instant(field: str, value: object, zone: tzinfo | None = None) -> float:
    """Return POSIX seconds.

    Parameters
    ----------
    field : str
        What the source calls it, for the error.
    value : float or str
        A number: POSIX seconds. Text: ISO 8601, or a number; one of 4, 6 or 8 digits alone is refused, as it may be
        meant as a year, a month or a day.
    zone : tzinfo, optional
        Where the clock hung that showed a time without an offset. An hour that comes twice is the first; one that
        does not come is refused.

    Returns
    -------
    float
        Seconds since 1970-01-01T00:00Z. A date is its midnight, in UTC where there is no ``zone``.

    Raises
    ------
    InvalidParameterError
        For anything else; a time without an offset where there is no ``zone`` among it.

    Notes
    -----
    Laws: ``property_tests/ingest/test_times.py``.

    Examples
    --------
    >>> read_instant("at", "1970-01-02 01:00", as_zone("Europe/Berlin"))
    86400.0
    """
    if isinstance(value, str):
        value = value.strip()
        if _NUMBER.fullmatch(value):
            if value.isdecimal() and len(value) in _CALENDAR_DIGITS:
                raise InvalidParameterError(
                    field, value, "must be unmistakable: write 2026-03-01, or POSIX seconds as 9.0"
                )
            value = float(value)
        elif (local := _local(value)) is not None and zone is not None:
            return to_seconds(field, _in_zone(field, local, zone))
    try:
        return to_seconds(field, value)  # type: ignore[arg-type]
    except InvalidParameterError as error:
        if zone is None and isinstance(value, str) and _local(value) is not None:
            requirement = "must say its offset from UTC (end it with Z or +01:00), or a timezone be given"
            raise InvalidParameterError(field, value, requirement) from error
        raise


def _local(text: str) -> datetime | None:
    """Return the time that a text gives without an offset, if it does."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant if instant.utcoffset() is None else None


def _in_zone(field: str, local: datetime, zone: tzinfo) -> datetime:
    there = local.replace(tzinfo=zone)
    try:
        exists = there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local
    except OverflowError:
        raise InvalidParameterError(field, local.isoformat(), "must lie between the years 1 and 9999") from None
    if not exists:
        raise InvalidParameterError(field, local.isoformat(), f"must exist in {zone}, whose clocks leapt over it")
    return there
