"""Importance read off a text: a rule of points that anyone can check, for those who have no better estimate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from soma.state.times import named_times
from soma.state.words import asks, stems

__all__ = ["MARKS", "Salience", "salience"]

LEAST, GREATEST = 1, 10

_NUMBER: Final = re.compile(r"(?<!\w)[-+]?[$€£¥]?\d[\d.,:/%]*(?!\w)")
_NAME: Final = re.compile(r"(?<=[\w,;:] )(?!I\b|I')[A-Z]\w+")  # a capital that no sentence begins with
_PROMISE: Final = re.compile(
    r"\b(?:(?:I|we)(?: will|'ll|’ll| shall| must| have to| decided| agreed| promised?)|remember (?:to|that)"
    r"|do(?:n't|n’t| not) forget|never again|always|deadline|due (?:on|by)|the plan is)\b",
    re.IGNORECASE,
)

MARKS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "to begin with": 2,
        "8 different words or more": 1,
        "16 different words or more": 1,
        "a number": 1,
        "a name": 1,
        "a time": 1,
        "a promise or a decision": 2,
        "asks": -1,
    }
)
"""What counts, and how many points."""


@dataclass(frozen=True, slots=True)
class Salience:
    """The points that a text gets.

    Parameters
    ----------
    points : mapping of str to int
        For each of `MARKS` that the text has, its points.
    """

    points: Mapping[str, int]

    @property
    def importance(self) -> int:
        """The sum of the points, 1 to 10."""
        return min(max(sum(self.points.values()), LEAST), GREATEST)

    def __str__(self) -> str:
        told = ", ".join(f"{points:+d} {mark}" for mark, points in self.points.items())
        return f"{self.importance}: {told}"


def salience(text: str) -> Salience:
    """Return how important a text looks, from its words alone.

    Parameters
    ----------
    text : str
        Any text; the marks are those of English.

    Returns
    -------
    Salience
        Every point, and their sum from 1 to 10.

    Notes
    -----
    The marks: how many different words it has without stop words; a number; a name, which is a capital that no sentence
    begins with; a time that `soma.state.times` understands; a promise or a decision ("I will", "we decided", "don't
    forget"); and a question, which says less than a statement.

    Laws: ``property_tests/state/test_salience.py``.

    Examples
    --------
    >>> print(salience("I will send Ada the 3 reports next Friday"))
    7: +2 to begin with, +1 a number, +1 a name, +1 a time, +2 a promise or a decision
    """
    n_words = len(set(stems(text)))
    has = {
        "to begin with": True,
        "8 different words or more": n_words >= 8,
        "16 different words or more": n_words >= 16,
        "a number": _NUMBER.search(text) is not None,
        "a name": _NAME.search(text) is not None,
        "a time": bool(named_times(text, 0.0)),
        "a promise or a decision": _PROMISE.search(text) is not None,
        "asks": asks(text),
    }
    return Salience({mark: points for mark, points in MARKS.items() if has[mark]})
