"""What the exact index is made of: segments whose rows never change, which of their rows live, and views of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from soma.math.blocks import BLOCK_ROWS as BLOCK
from soma.math.blocks import newest_first
from soma.math.policy import MEMORY_TYPES
from soma.math.quantised import Codes, code_vectors
from soma.state.features import Columns

if TYPE_CHECKING:
    from uuid import UUID

    from numpy.typing import NDArray

    from soma.math.weights import Factors
    from soma.stores.rows import IndexRow

__all__ = ["BLOCK", "SEGMENT_ROWS", "Part", "Segment", "View", "as_keys", "made_segments", "merged_segments"]

SEGMENT_ROWS: Final = 65_536
"""Rows in a full segment."""

NEVER: Final = np.inf
TYPES: Final = np.array(MEMORY_TYPES)
NOT_KEPT: Final[NDArray[Any]] = np.zeros((0, 0))
NUMBERS: Final = ("timestamp_s", "last_used_s", "importance", "memory_type")
READS: Final = {
    "age_s": "timestamp_s",
    "idle_s": "last_used_s",
    "importance": "importance",
    "memory_type": "memory_type",
}
"""What each feature of a row is made of."""
_KEPT_FACTORS: Final = 4


@dataclass(eq=False, slots=True)
class Segment:
    """Rows, as columns, in the order of a visit; nothing of them changes.

    Parameters
    ----------
    ids : ndarray of S16, shape (n,)
        Bytes of UUIDs.
    id_order : ndarray of int32, shape (n,)
        The rows by rising id.
    timestamp_s, last_used_s, expires_at_s : ndarray of float64, shape (n,)
        POSIX seconds; infinite where a memory never expires.
    importance : ndarray of int64, shape (n,)
        Raw.
    memory_type : ndarray of int8, shape (n,)
        Places in `soma.math.policy.MEMORY_TYPES`.
    tags : mapping of str to ndarray of int32
        The rows that carry each tag, rising.
    vectors : ndarray of float32, shape (n, d)
        Unit vectors; they may lie in a file.
    codes : Codes
        The same in one byte a number.
    least, most : mapping of str to ndarray
        The extremes of numbers in each block.
    first_expiry_s : float
        When the first of the rows expires.
    file : str
        The name of the file that it lies in; empty if it lies in none.
    backing : object
        What is known of that file (`soma.stores.segment_files`).
    factors : dict
        What is known of the rows' weights under policies that were asked for.
    """

    ids: NDArray[np.bytes_]
    id_order: NDArray[np.int32]
    timestamp_s: NDArray[np.float64]
    last_used_s: NDArray[np.float64]
    expires_at_s: NDArray[np.float64]
    importance: NDArray[np.int64]
    memory_type: NDArray[np.int8]
    tags: Mapping[str, NDArray[np.int32]]
    vectors: NDArray[np.float32]
    codes: Codes
    least: Mapping[str, NDArray[Any]]
    most: Mapping[str, NDArray[Any]]
    first_expiry_s: float
    file: str = ""
    backing: Any = None
    factors: dict[Any, Factors] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls,
        ids: NDArray[np.bytes_],
        numbers: Mapping[str, NDArray[Any]],
        tags: Mapping[str, NDArray[np.int32]],
        vectors: NDArray[np.float32],
        codes: Codes,
    ) -> Segment:
        """Return the segment of rows in the order given."""
        starts = np.arange(0, len(ids), BLOCK)
        return cls(
            ids,
            np.argsort(ids, kind="stable").astype(np.int32),
            numbers["timestamp_s"],
            numbers["last_used_s"],
            numbers["expires_at_s"],
            numbers["importance"],
            numbers["memory_type"],
            tags,
            vectors,
            codes,
            {name: np.minimum.reduceat(numbers[name], starts) for name in NUMBERS},
            {name: np.maximum.reduceat(numbers[name], starts) for name in NUMBERS},
            float(numbers["expires_at_s"].min()),
        )

    @property
    def numbers(self) -> dict[str, NDArray[Any]]:
        """The columns of numbers, by name."""
        return {name: getattr(self, name) for name in (*NUMBERS, "expires_at_s")}

    def rows_of(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the row of each id, -1 where there is none."""
        at = np.searchsorted(self.ids, keys, sorter=self.id_order)
        rows = self.id_order[np.minimum(at, len(self) - 1)].astype(np.int64)
        return np.where(self.ids[rows] == keys, rows, -1)

    def columns(self, rows: NDArray[np.int64] | slice) -> Columns:
        """Return the numbers of rows."""
        return _columns(
            self.timestamp_s[rows], self.last_used_s[rows], self.importance[rows], TYPES[self.memory_type[rows]]
        )

    def keep_factors(self, key: Any, factors: Factors) -> Factors:
        """Keep what is known of the rows' weights under a policy, beside that of a few others."""
        if len(self.factors) >= _KEPT_FACTORS:
            self.factors = {}
        self.factors[key] = factors
        return factors


def _columns(
    timestamp_s: NDArray[np.float64],
    last_used_s: NDArray[np.float64],
    importance: NDArray[np.int64],
    memory_type: NDArray[np.str_],
) -> Columns:
    return Columns(timestamp_s, last_used_s, importance, memory_type, NOT_KEPT, NOT_KEPT, NOT_KEPT)


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """A segment, and which of its rows live: another part takes its place when one dies."""

    segment: Segment
    live: NDArray[np.bool_]
    n_live: int
    is_spent: bool = False
    """Whether a dead row's vector is that of no memory any more, and is not to stay in a file."""

    @classmethod
    def of(cls, segment: Segment) -> Part:
        """Return a part all of whose rows live."""
        return cls(segment, np.ones(len(segment), dtype=bool), len(segment))

    def without(self, rows: NDArray[np.int64], *, is_spent: bool) -> Part:
        """Return the part after the death of rows."""
        live = self.live.copy()
        live[rows] = False
        return Part(self.segment, live, int(np.count_nonzero(live)), self.is_spent or is_spent)


Place: TypeAlias = "tuple[Part, NDArray[Any] | slice, NDArray[np.int64]]"
"""A part, which of some rows lie in it, and their numbers there."""


class View:
    """All that an index holds at one moment: a reader keeps it while writers make others.

    Parameters
    ----------
    parts : sequence of Part
        Rows are numbered as if they lay end to end.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part for part in parts if part.n_live)
        self.n_live = sum(part.n_live for part in self.parts)
        self.n_blocks = [-(-len(part.segment) // BLOCK) for part in self.parts]
        self.starts = np.cumsum([0, *(len(part.segment) for part in self.parts)])

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the ids of rows."""
        found = np.empty(len(rows), dtype="S16")
        for part, where, within in self.places(rows):
            found[where] = part.segment.ids[within]
        return found

    def places(self, rows: NDArray[np.int64]) -> Iterable[Place]:
        """Yield for each part that holds any of the rows: which of them, and their numbers in it."""
        if len(self.parts) == 1:
            yield self.parts[0], slice(None), rows
            return
        holder = np.searchsorted(self.starts, rows, side="right") - 1
        for i in np.bincount(holder).nonzero()[0].tolist():
            (where,) = (holder == i).nonzero()
            yield self.parts[i], where, rows[where] - self.starts[i]

    def columns(self, rows: NDArray[np.int64], features: frozenset[str]) -> Columns:
        """Return the numbers of rows: those that some features read."""
        places = list(self.places(rows))
        return self.columns_at(places, len(rows), features)

    def columns_at(self, places: Sequence[Place], n: int, features: frozenset[str]) -> Columns:
        """Return the numbers of n rows whose places are known."""
        found: dict[str, NDArray[Any]] = dict.fromkeys(NUMBERS, NOT_KEPT)
        for name in [READS[feature] for feature in features if feature in READS]:
            columns = [getattr(part.segment, name) for part, _, _ in places]
            if len(places) == 1:
                found[name] = columns[0][places[0][2]]
            else:
                found[name] = np.empty(n, dtype=columns[0].dtype if columns else float)
                for column, (_, where, within) in zip(columns, places, strict=True):
                    found[name][where] = column[within]
        if "memory_type" in features:
            found["memory_type"] = TYPES[found["memory_type"].astype(np.intp)]
        return _columns(*(found[name] for name in NUMBERS))

    def boxes(self) -> tuple[Columns, Columns]:
        """Return the least and the greatest numbers of each block, of all parts: the least age is the latest time's."""
        ends: list[dict[str, NDArray[Any]]] = [
            {name: np.concatenate([getattr(part.segment, end)[name] for part in self.parts]) for name in NUMBERS}
            for end in ("least", "most")
        ]
        low, high = ends
        return (
            _columns(high["timestamp_s"], high["last_used_s"], low["importance"], TYPES[low["memory_type"]]),
            _columns(low["timestamp_s"], low["last_used_s"], high["importance"], TYPES[high["memory_type"]]),
        )


def as_keys(ids: Iterable[UUID]) -> NDArray[np.bytes_]:
    """Return the bytes of ids, which sort as the ids do."""
    return np.array([id.bytes for id in ids], dtype="S16")


def made_segments(
    rows: Sequence[IndexRow], vectors: NDArray[np.float32], segment_rows: int = SEGMENT_ROWS
) -> list[Segment]:
    """Return rows as segments, put in an order in which blocks have tight bounds."""
    order = _order(np.array([row.last_used_s for row in rows]), np.array([row.importance for row in rows], dtype=float))
    numbers: dict[str, NDArray[Any]] = {
        "timestamp_s": np.array([row.timestamp_s for row in rows], dtype=np.float64),
        "last_used_s": np.array([row.last_used_s for row in rows], dtype=np.float64),
        "expires_at_s": np.array([NEVER if r.expires_at_s is None else r.expires_at_s for r in rows], dtype=np.float64),
        "importance": np.array([row.importance for row in rows], dtype=np.int64),
        "memory_type": np.array([MEMORY_TYPES.index(row.memory_type) for row in rows], dtype=np.int8),
    }
    carried: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        for tag in row.tags:
            carried.setdefault(tag, []).append(i)
    tags = {tag: np.array(of_tag, dtype=np.int32) for tag, of_tag in carried.items()}
    return _cut_up(as_keys(row.id for row in rows), numbers, tags, vectors, code_vectors(vectors), order, segment_rows)


def merged_segments(parts: Sequence[Part], segment_rows: int = SEGMENT_ROWS) -> list[Segment]:
    """Return the live rows of parts as new segments."""
    kept = [np.flatnonzero(part.live) for part in parts]
    pairs = list(zip(parts, kept, strict=True))
    numbers = {
        name: np.concatenate([part.segment.numbers[name][rows] for part, rows in pairs])
        for name in (*NUMBERS, "expires_at_s")
    }
    tags: dict[str, list[NDArray[np.int32]]] = {}
    start = 0
    for part, rows in pairs:
        place = np.full(len(part.segment), -1, dtype=np.int32)
        place[rows] = np.arange(start, start + len(rows))
        start += len(rows)
        for tag, of_tag in part.segment.tags.items():
            moved = place[of_tag]
            tags.setdefault(tag, []).append(moved[moved >= 0])
    return _cut_up(
        np.concatenate([part.segment.ids[rows] for part, rows in pairs]),
        numbers,
        {tag: np.concatenate(found) for tag, found in tags.items()},
        np.concatenate([part.segment.vectors[rows] for part, rows in pairs]),
        Codes(
            *(
                np.concatenate([getattr(part.segment.codes, name)[rows] for part, rows in pairs])
                for name in ("code", "scale", "error")
            )
        ),
        _order(numbers["last_used_s"], numbers["importance"].astype(np.float64)),
        segment_rows,
    )


def _order(time_s: NDArray[np.float64], importance: NDArray[np.float64]) -> NDArray[np.int64]:
    return newest_first(time_s, importance, n_bands=min(8, max(1, len(time_s) // (4 * BLOCK))))


def _cut_up(
    ids: NDArray[np.bytes_],
    numbers: Mapping[str, NDArray[Any]],
    tags: Mapping[str, NDArray[np.int32]],
    vectors: NDArray[np.float32],
    codes: Codes,
    order: NDArray[np.int64],
    segment_rows: int,
) -> list[Segment]:
    segments = []
    for first in range(0, len(order), segment_rows):
        rows = order[first : first + segment_rows]
        place = np.full(len(order), -1, dtype=np.int32)
        place[rows] = np.arange(len(rows))
        of_tags = {tag: np.sort(place[of_tag][place[of_tag] >= 0]) for tag, of_tag in tags.items()}
        segments.append(
            Segment.of(
                ids[rows],
                {name: column[rows] for name, column in numbers.items()},
                {tag: of_tag for tag, of_tag in of_tags.items() if len(of_tag)},
                vectors[rows],
                Codes(codes.code[rows], codes.scale[rows], codes.error[rows]),
            )
        )
    return segments
