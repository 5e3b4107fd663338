"""Seconds in the units that people think in."""

from __future__ import annotations

from typing import Final

__all__ = ["DAY", "HOUR", "MINUTE", "WEEK", "YEAR"]

MINUTE: Final = 60.0
HOUR: Final = 60.0 * MINUTE
DAY: Final = 24.0 * HOUR
WEEK: Final = 7.0 * DAY
YEAR: Final = 365.25 * DAY
