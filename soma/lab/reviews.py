"""Review logs from files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from soma.errors import InvalidParameterError, NotFoundError, SerializationError
from soma.math.review_history import ReviewHistory, review_history
from soma.state.instant import to_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.domain import FloatArray

__all__ = ["ReviewLog", "read_reviews"]

COLUMNS: Final = ("card_id", "review_rating", "review_time")


@final
@dataclass(frozen=True, eq=False)
class ReviewLog:
    """Reviews in the order of time.

    Parameters
    ----------
    item : ndarray of int64, shape (n,)
        Which item each review is of.
    time_s : ndarray of float64, shape (n,)
        When it was, POSIX seconds, never falling.
    grade : ndarray of int8, shape (n,)
        1 Again, 2 Hard, 3 Good, 4 Easy.
    duration_ms : ndarray of float64, shape (n,), optional
        How long the answer took, milliseconds.
    """

    item: NDArray[np.int64]
    time_s: FloatArray
    grade: NDArray[np.int8]
    duration_ms: FloatArray | None = None

    @cached_property
    def history(self) -> ReviewHistory:
        """What was known before each review, intervals in whole days."""
        return review_history(self.item, self.time_s, self.grade > 1, duration_ms=self.duration_ms, whole_days=True)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Where the reviews stand that a benchmark scores: those at least a day after the one before."""
        return np.flatnonzero(self.history.is_scored)

    @cached_property
    def scored(self) -> ReviewHistory:
        """What was known before each of these."""
        return self.history.at(self.rows)

    @cached_property
    def outcome(self) -> NDArray[np.bool_]:
        """Whether each of these succeeded."""
        return np.asarray(self.grade[self.rows] > 1)

    def until(self, row: int) -> ReviewLog:
        """Return the first reviews, so many."""
        duration = None if self.duration_ms is None else self.duration_ms[:row]
        return ReviewLog(self.item[:row], self.time_s[:row], self.grade[:row], duration)


def read_reviews(path: str | PathLike[str]) -> ReviewLog:
    """Read a log of reviews.

    Parameters
    ----------
    path : path
        CSV with the columns ``card_id`` (any text), ``review_rating`` (1 to 4), ``review_time`` (ISO 8601 with its
        offset, or POSIX seconds) and, if there is one, ``review_duration`` (milliseconds).

    Returns
    -------
    ReviewLog
        In the order of time.

    Raises
    ------
    NotFoundError
        If there is no such file.
    SerializationError
        For a file that is not such a log: it names the line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotFoundError("file", str(path), f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SerializationError(f"{path} is not UTF-8 text: save it as CSV") from None
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise SerializationError(f"{path} lacks the column {', '.join(missing)}: a log has {', '.join(COLUMNS)}")
    is_timed = "review_duration" in (reader.fieldnames or ())
    names: dict[str, int] = {}
    found: list[tuple[float, int, int, float]] = []
    for row in reader:
        try:
            item = names.setdefault(_text(row["card_id"]), len(names))
            found.append((_seconds(_text(row["review_time"])), item, _grade(row), _duration(row) if is_timed else 0.0))
        except (ValueError, InvalidParameterError) as error:
            raise SerializationError(f"{path}, line {reader.line_num}: {error}") from None
    if not found:
        raise SerializationError(f"{path} holds no review")
    columns = [np.array(column) for column in zip(*found, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    times, items, grades, durations = (column[order] for column in columns)
    return ReviewLog(items.astype(np.int64), times, grades.astype(np.int8), durations if is_timed else None)


def _text(value: str | None) -> str:
    if not value:
        raise ValueError("a field is empty")
    return value


def _seconds(text: str) -> float:
    try:
        return to_seconds("review_time", float(text))
    except ValueError:
        return to_seconds("review_time", text)


def _grade(row: dict[str, str | None]) -> int:
    text = _text(row["review_rating"])
    if text not in ("1", "2", "3", "4"):
        raise ValueError(f"review_rating is {text!r}, and must be 1, 2, 3 or 4")
    return int(text)


def _duration(row: dict[str, str | None]) -> float:
    text = _text(row["review_duration"])
    duration = float(text)
    if not 0.0 <= duration < float("inf"):
        raise ValueError(f"review_duration is {text!r}, and must be milliseconds >= 0")
    return duration
