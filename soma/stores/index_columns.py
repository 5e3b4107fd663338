"""What an index keeps of memories beside their vectors: the numbers that scoring needs, in columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.math.policy import MEMORY_TYPES
from soma.state.features import Columns
from soma.state.query import Filter
from soma.stores.rows import IndexRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IndexColumns"]

TYPES: Final = np.array(MEMORY_TYPES)
NOT_KEPT: Final[NDArray[Any]] = np.zeros((0, 0))
NUMBERS: Final = np.dtype(
    [
        ("id", "S16"),
        ("timestamp_s", np.float64),
        ("last_used_s", np.float64),
        ("expires_at_s", np.float64),
        ("importance", np.int64),
        ("memory_type", np.int8),
        ("is_live", np.bool_),
    ]
)
KNOWN: Final = frozenset({"tags", "memory_type", "since_s", "until_s"})
"""What of a `Filter` the columns can tell."""


class IndexColumns:
    """One row for each live memory, in no order; the row of one that is taken out is free for the next.

    Notes
    -----
    Laws: ``property_tests/stores/test_vectors_qdrant.py``.
    """

    def __init__(self) -> None:
        self._row_of: dict[UUID, int] = {}
        self._free: list[int] = []
        self._rows_of_tag: dict[str, set[int]] = {}
        self._labels: list[tuple[UUID, tuple[str, ...]]] = []
        self._numbers = np.zeros(64, dtype=NUMBERS)

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, rows: Iterable[IndexRow]) -> None:
        """Put memories in, or in the place of those of the same id.

        Parameters
        ----------
        rows : iterable of IndexRow
            What scoring needs.
        """
        for row in rows:
            place = self._row_of.get(row.id)
            if place is None:
                place = self._row_of[row.id] = self._new()
            else:
                self._untag(place)
            self._labels[place] = (row.id, row.tags)
            for tag in row.tags:
                self._rows_of_tag.setdefault(tag, set()).add(place)
            self._numbers[place] = (
                row.id.bytes,
                row.timestamp_s,
                row.last_used_s,
                np.inf if row.expires_at_s is None else row.expires_at_s,
                row.importance,
                MEMORY_TYPES.index(row.memory_type),
                True,
            )

    def drop(self, ids: Iterable[UUID]) -> None:
        """Take memories out; those that are not in are passed over."""
        for id in ids:
            place = self._row_of.pop(id, None)
            if place is not None:
                self._untag(place)
                self._numbers[place]["is_live"] = False
                self._free.append(place)

    def rows_of(self, ids: Iterable[UUID]) -> NDArray[np.int64]:
        """Return the rows of memories, -1 for one that is not in."""
        return np.fromiter((self._row_of.get(id, -1) for id in ids), dtype=np.int64)

    def ids(self, rows: NDArray[np.int64]) -> list[UUID]:
        """Return the ids of rows."""
        return [self._labels[row][0] for row in rows.tolist()]

    def keys(self, rows: NDArray[np.int64]) -> NDArray[np.bytes_]:
        """Return the ids of rows as bytes that sort."""
        return np.asarray(self._numbers["id"][rows])

    @staticmethod
    def can_tell(keep: Filter) -> bool:
        """Whether the columns hold all that a filter asks about."""
        rest: dict[str, Any] = {f.name: getattr(keep, f.name) for f in fields(keep) if f.name not in KNOWN}
        return Filter(**rest) == Filter()

    def admitted(self, keep: Filter, now_s: float) -> NDArray[np.int64]:
        """Return the rows that a filter admits.

        Parameters
        ----------
        keep : Filter
            One that the columns `can_tell`.
        now_s : float
            The time of the recall, POSIX seconds: what has expired is not admitted.
        """
        numbers = self._numbers[: len(self._labels)]
        live = numbers["is_live"] & (numbers["expires_at_s"] > now_s)
        if keep.memory_type is not None:
            live &= numbers["memory_type"] == MEMORY_TYPES.index(keep.memory_type)
        if keep.since_s is not None:
            live &= numbers["timestamp_s"] >= keep.since_s
        if keep.until_s is not None:
            live &= numbers["timestamp_s"] < keep.until_s
        if keep.tags:
            tagged = np.zeros(len(numbers), dtype=bool)
            tagged[list(set.intersection(*(self._rows_of_tag.get(tag, set()) for tag in keep.tags)))] = True
            live &= tagged
        return np.flatnonzero(live)

    def at(self, rows: NDArray[np.int64]) -> Columns:
        """Return what scoring needs of rows, but for what no index keeps."""
        numbers = self._numbers[rows]
        return Columns(
            numbers["timestamp_s"],
            numbers["last_used_s"],
            numbers["importance"],
            TYPES[numbers["memory_type"]],
            NOT_KEPT,
            NOT_KEPT,
            NOT_KEPT,
        )

    def _new(self) -> int:
        if self._free:
            return self._free.pop()
        self._labels.append((UUID(int=0), ()))
        if len(self._labels) > len(self._numbers):
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
        return len(self._labels) - 1

    def _untag(self, row: int) -> None:
        for tag in self._labels[row][1]:
            self._rows_of_tag[tag].discard(row)
