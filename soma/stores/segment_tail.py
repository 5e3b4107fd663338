"""Where the exact index takes rows in: a short segment that grows at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soma.math.blocks import BLOCK_ROWS as BLOCK
from soma.math.policy import MEMORY_TYPES
from soma.math.quantised import Codes, code_vectors, width_of
from soma.stores.segments import NEVER, NUMBERS, Part, Segment

if TYPE_CHECKING:
    from uuid import UUID

    from numpy.typing import NDArray

    from soma.stores.rows import IndexRow

__all__ = ["TAIL_ROWS", "Tail"]

TAIL_ROWS: Final = 8_192
"""Rows that the tail takes before it is sealed."""

_COLUMNS: Final[dict[str, Any]] = {
    "ids": "S16",
    "timestamp_s": np.float64,
    "last_used_s": np.float64,
    "expires_at_s": np.float64,
    "importance": np.int64,
    "memory_type": np.int8,
    "live": np.bool_,
    "scale": np.float32,
    "error": np.float32,
}


class Tail:
    """Rows in the order in which they came. What a reader was shown is never written over.

    Parameters
    ----------
    dimension : int
        Of the vectors.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.n = 0
        self._row_of: dict[UUID, int] = {}
        self._rows_of_tag: dict[str, list[int]] = {}
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(BLOCK, dtype=kind) for name, kind in _COLUMNS.items()}
        self._vectors = np.zeros((BLOCK, dimension), dtype=np.float32)
        self._code = np.zeros((BLOCK, width_of(dimension)), dtype=np.int8)
        self._first_expiry_s = NEVER
        self._part: Part | None = None

    def append(self, rows: Sequence[IndexRow], vectors: NDArray[np.float32]) -> None:
        """Take rows in, of ids that it does not hold."""
        first, self.n = self.n, self.n + len(rows)
        self._reserve(self.n)
        codes = code_vectors(vectors)
        self._vectors[first : self.n], self._code[first : self.n] = vectors, codes.code
        self._columns["scale"][first : self.n], self._columns["error"][first : self.n] = codes.scale, codes.error
        for i, row in enumerate(rows, first):
            expires_at_s = NEVER if row.expires_at_s is None else row.expires_at_s
            self._first_expiry_s = min(self._first_expiry_s, expires_at_s)
            for name, value in (
                ("ids", row.id.bytes),
                ("timestamp_s", row.timestamp_s),
                ("last_used_s", row.last_used_s),
                ("expires_at_s", expires_at_s),
                ("importance", row.importance),
                ("memory_type", MEMORY_TYPES.index(row.memory_type)),
            ):
                self._columns[name][i] = value
            self._row_of[row.id] = i
            for tag in row.tags:
                self._rows_of_tag.setdefault(tag, []).append(i)
        live = self._columns["live"].copy()
        live[first : self.n] = True
        self._columns["live"] = live
        self._part = None

    def drop(self, ids: Sequence[UUID]) -> None:
        """Let rows die; ids that it does not hold are passed over."""
        gone = [self._row_of.pop(id) for id in ids if id in self._row_of]
        if gone:
            live = self._columns["live"].copy()
            live[gone] = False
            self._columns["live"] = live
            self._part = None

    def part(self) -> Part:
        """Return the rows as they are now."""
        if self._part is None:
            of = {name: column[: self.n] for name, column in self._columns.items()}
            starts = np.arange(0, self.n, BLOCK)
            least, most = (
                {name: reduce.reduceat(of[name], starts) if self.n else of[name] for name in NUMBERS}
                for reduce in (np.minimum, np.maximum)
            )
            segment = Segment(
                of["ids"],
                np.empty(0, dtype=np.int32),
                of["timestamp_s"],
                of["last_used_s"],
                of["expires_at_s"],
                of["importance"],
                of["memory_type"],
                _Tagged(self._rows_of_tag, self.n),
                self._vectors[: self.n],
                Codes(self._code[: self.n], of["scale"], of["error"]),
                least,
                most,
                self._first_expiry_s,
            )
            self._part = Part(segment, of["live"], len(self._row_of))
        return self._part

    def _reserve(self, n: int) -> None:
        capacity = len(self._vectors)
        if n <= capacity:
            return
        capacity = max(n, 2 * capacity)
        for name, column in self._columns.items():
            self._columns[name] = _grown(column, capacity)
        self._vectors, self._code = _grown(self._vectors, capacity), _grown(self._code, capacity)


class _Tagged(Mapping[str, "NDArray[np.int32]"]):
    """The rows of each tag among the first n: made when they are asked for."""

    def __init__(self, rows_of_tag: Mapping[str, list[int]], n: int) -> None:
        self._rows_of_tag, self._n = rows_of_tag, n

    def __getitem__(self, tag: str) -> NDArray[np.int32]:
        rows = np.array(self._rows_of_tag[tag], dtype=np.int32)
        return rows[rows < self._n]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._rows_of_tag))

    def __len__(self) -> int:
        return len(self._rows_of_tag)


def _grown(column: NDArray[Any], capacity: int) -> NDArray[Any]:
    grown = np.zeros((capacity, *column.shape[1:]), dtype=column.dtype)
    grown[: len(column)] = column
    return grown
