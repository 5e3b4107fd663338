"""The candidates: what any policy reads of every live memory, in memory, so that no recall reads the store for it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.math import similarity
from soma.math.policy_evaluate import BM25, MENTIONS, PAYLOAD, PLACE
from soma.math.policy_terms import BestMatch
from soma.state.features import Columns
from soma.state.paths import at_path, label
from soma.state.recall import Recall, ranked
from soma.state.words import asks, stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.bm25 import Postings
    from soma.math.policy import Policy
    from soma.state.attention import LinkColumns
    from soma.state.features import Split
    from soma.state.namespace import Namespace
    from soma.state.query import Filter, Query
    from soma.state.record import MemoryRecord
    from soma.state.stored import StoredMemory

__all__ = ["Candidates"]

LEAST: Final = 1_024
"""Rows below which dead ones are not worth clearing away."""

NUMBERS: Final = tuple(field.name for field in fields(Columns))


class Candidates:
    """The live memories of one namespace, with all that a policy may read of them.

    A memory that changes gets a new row, and its old one is dead; when half of the rows are, they are cleared away.
    Words and fields of payloads are kept once a policy or a filter has asked for them.

    Parameters
    ----------
    dimension : int
        Of the vectors.

    Notes
    -----
    Laws: ``property_tests/stores/test_oracle.py`` and ``test_candidates.py``: every answer equals
    `soma.state.recall.rank`, to the bit.
    """

    def __init__(self, dimension: int) -> None:
        self._row_of: dict[UUID, int] = {}
        self._is_live = _Column(np.zeros(0, dtype=bool))
        self._vectors = _Column(np.zeros((0, dimension), dtype=np.float32))
        self._numbers: dict[str, _Column] = {}
        self._tags = _Values()
        self._words: dict[Split, _Words] = {}
        self._values: dict[str, _Values] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, memories: Sequence[StoredMemory], vectors: NDArray[np.float32]) -> None:
        """Put memories in, or in the place of those of the same id.

        Parameters
        ----------
        memories : sequence of StoredMemory, length n
            Each once.
        vectors : ndarray of float32, shape (n, dimension)
            Their unit vectors.
        """
        if not memories:
            return
        records = [memory.record for memory in memories]
        self.drop([record.id for record in records])
        first = len(self._is_live.held)
        self._row_of |= {record.id: first + i for i, record in enumerate(records)}
        self._is_live.extend(np.ones(len(records), dtype=bool))
        self._vectors.extend(vectors)
        columns = Columns.of(memories)
        numbers = {
            **{name: getattr(columns, name) for name in NUMBERS},
            "id": np.array([record.id.bytes for record in records], dtype="S16"),
            "asks": np.array([asks(record.searchable_text) for record in records], dtype=bool),
            "point": np.array([record.coordinate for record in records], dtype=np.float64),
            "expires_at_s": np.array(
                [np.inf if record.expires_at is None else record.expires_at for record in records]
            ),
        }
        for name, values in numbers.items():
            self._numbers.setdefault(name, _Column(values[:0])).extend(values)
        for record in records:
            self._tags.add(label(record.tags), record.tags)
        self._add_texts(records, self._words, self._values)

    def drop(self, ids: Iterable[UUID]) -> None:
        """Take memories out; those that are not in are passed over."""
        rows = [row for id in ids if (row := self._row_of.pop(id, None)) is not None]
        self._is_live.held[rows] = False
        if len(self._is_live.held) > max(LEAST, 2 * len(self._row_of)):
            self._clear_away()

    def prepare(self, policy: Policy, keep: Filter, live: Callable[[], Sequence[StoredMemory]]) -> None:
        """Begin to keep what a policy and a filter ask for; ``live`` reads the memories where that is new."""
        words: dict[Split, _Words] = {}
        paths = {path for path, _ in keep.where}
        for name in policy.features:
            if name.startswith((PAYLOAD, MENTIONS, PLACE)):
                paths.add(name.partition(".")[2])
            elif name == "n_words" or name.startswith(BM25):
                words[stems] = _Words()
                paths.add((BestMatch.of_feature(name).group if name.startswith(BM25) else None) or "")
            elif name == "lexical":
                words[similarity.tokens] = _Words()
        words = {split: empty for split, empty in words.items() if split not in self._words}
        values = {path: _Values() for path in sorted(paths - {""}) if path not in self._values}
        if not words and not values:
            return
        self._clear_away()
        records = [memory.record for memory in live()]
        by_row = sorted(records, key=lambda record: self._row_of[record.id])
        self._add_texts(by_row, words, values)
        self._words |= words
        self._values |= values

    def search(
        self,
        query: Query,
        policy: Policy,
        namespace: Namespace,
        now_s: float,
        k: int,
        keep: Filter,
        records: Callable[[Sequence[UUID]], Sequence[MemoryRecord]],
        links: Callable[[], LinkColumns],
    ) -> Recall:
        """Return the ``k`` best memories, as `soma.state.recall.rank` defines them.

        Parameters
        ----------
        query, policy, namespace, now_s, k
            As of `soma.state.recall.rank`; the policy and the filter are prepared for.
        keep : Filter
            Which memories count.
        records : callable
            From ids to records.
        links : callable
            Returns the links between live memories.
        """
        if not self._row_of:
            return Recall(query, policy, now_s, (), 0)
        n = len(self._is_live.held)
        chosen = _Chosen(self._rows(keep, now_s), n, self._numbers, self._words, self._values, links)
        similar = None
        if "similarity" in policy.features and query.embedding is not None:
            target = similarity.unit_vectors(query.embedding)
            vectors = self._vectors.held
            similar = similarity.cosine(target, vectors if len(chosen.rows) == n else vectors[chosen.rows])

        def found(best: NDArray[np.int64]) -> Sequence[MemoryRecord]:
            return records([UUID(bytes=id.ljust(16, b"\0")) for id in chosen.ids()[best].tolist()])

        return ranked(chosen, chosen.columns(), found, query, policy, namespace, now_s, k, similar)

    def _rows(self, keep: Filter, now_s: float) -> NDArray[np.intp]:
        """Return the rows that a filter admits."""
        admitted = self._is_live.held & (self._numbers["expires_at_s"].held > now_s)
        if keep.memory_type is not None:
            admitted &= self._numbers["memory_type"].held == keep.memory_type.value
        if keep.since_s is not None:
            admitted &= self._numbers["timestamp_s"].held >= keep.since_s
        if keep.until_s is not None:
            admitted &= self._numbers["timestamp_s"].held < keep.until_s
        if keep.tags:
            admitted &= self._tags.where(keep.tags.issubset)
        for path, condition in keep.where:
            admitted &= self._values[path].where(condition.admits)
        return np.flatnonzero(admitted)

    def _add_texts(
        self, records: Sequence[MemoryRecord], words: dict[Split, _Words], values: dict[str, _Values]
    ) -> None:
        for split, kept in words.items():
            for record in records:
                kept.add(split(record.searchable_text))
        for path, known in values.items():
            for record in records:
                value = at_path(record.payload, path)
                known.add(label(value), value)

    def _clear_away(self) -> None:
        """Let only live rows stand, in their order."""
        rows = np.flatnonzero(self._is_live.held)
        if len(rows) == len(self._is_live.held):
            return
        place = np.full(len(self._is_live.held), -1, dtype=np.intp)
        place[rows] = np.arange(len(rows))
        for column in (self._is_live, self._vectors, *self._numbers.values()):
            column.keep(rows)
        for values in (self._tags, *self._values.values()):
            values.keep(rows)
        for words in self._words.values():
            words.keep(rows, place)
        self._row_of = {id: int(place[row]) for id, row in self._row_of.items()}


class _Chosen:
    """Some of the rows, as scoring reads them."""

    def __init__(
        self,
        rows: NDArray[np.intp],
        n: int,
        numbers: dict[str, _Column],
        words: dict[Split, _Words],
        values: dict[str, _Values],
        links: Callable[[], LinkColumns],
    ) -> None:
        self.rows = rows
        self.links = links
        self._numbers, self._words, self._values = numbers, words, values
        self._place = np.full(n, -1, dtype=np.intp)
        self._place[rows] = np.arange(len(rows))

    def columns(self) -> Columns:
        return Columns(*(self._numbers[name].held[self.rows] for name in NUMBERS))

    def ids(self) -> NDArray[np.bytes_]:
        return self._numbers["id"].held[self.rows]

    def points(self) -> NDArray[np.float64]:
        return self._numbers["point"].held[self.rows]

    def values(self, path: str) -> tuple[Sequence[Any], NDArray[np.intp]]:
        return self._values[path].values, self._values[path].codes[self.rows]

    def labels(self, path: str) -> tuple[Sequence[str], NDArray[np.intp]]:
        return self._values[path].labels, self._values[path].codes[self.rows]

    def postings(self, split: Split, words: Sequence[str]) -> list[Postings]:
        return [self._words[split].postings(word, self._place) for word in words]

    def lengths(self, split: Split) -> NDArray[np.integer]:
        return self._words[split].lengths[self.rows]

    def n_words(self, split: Split) -> NDArray[np.integer]:
        return self._words[split].n_words[self.rows]

    def asks(self) -> NDArray[np.bool_]:
        return self._numbers["asks"].held[self.rows]


class _Column:
    """An array that grows; it begins as an empty one of its type and shape."""

    def __init__(self, empty: NDArray[Any]) -> None:
        self._n = 0
        self._space = np.zeros((LEAST, *empty.shape[1:]), dtype=empty.dtype)

    @property
    def held(self) -> NDArray[Any]:
        return self._space[: self._n]

    def extend(self, values: NDArray[Any]) -> None:
        n = self._n + len(values)
        if n > len(self._space):
            grown = np.zeros((max(n, 2 * len(self._space)), *self._space.shape[1:]), dtype=self._space.dtype)
            grown[: self._n] = self.held
            self._space = grown
        self._space[self._n : n] = values
        self._n = n

    def keep(self, rows: NDArray[np.intp]) -> None:
        self._space[: len(rows)] = self._space[rows]
        self._n = len(rows)


class _Values:
    """One JSON value a row, of which each different one is kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._code_of: dict[str, int] = {}
        self._codes = array("q")

    def add(self, name: str, value: Any) -> None:
        code = self._code_of.setdefault(name, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        self._codes.append(code)

    @property
    def labels(self) -> list[str]:
        return list(self._code_of)

    @property
    def codes(self) -> NDArray[np.intp]:
        return np.array(self._codes, dtype=np.intp)

    def where(self, admits: Callable[[Any], bool]) -> NDArray[np.bool_]:
        return np.array([admits(value) for value in self.values], dtype=bool)[self.codes]

    def keep(self, rows: NDArray[np.intp]) -> None:
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        labels, values = self.labels, self.values
        self.values = [values[code] for code in used]
        self._code_of = {labels[code]: i for i, code in enumerate(used)}
        self._codes = array("q", codes.tolist())


class _Words:
    """The words of one text a row: for each word the rows that have it and how often, and for each row how many."""

    def __init__(self) -> None:
        self._postings: dict[str, tuple[array[int], array[int]]] = {}
        self._lengths = array("i")
        self._n_words = array("i")

    def add(self, words: Sequence[str]) -> None:
        row = len(self._lengths)
        counted = Counter(words)
        for word, count in counted.items():
            rows, counts = self._postings.setdefault(word, (array("i"), array("i")))
            rows.append(row)
            counts.append(count)
        self._lengths.append(len(words))
        self._n_words.append(len(counted))

    @property
    def lengths(self) -> NDArray[np.int32]:
        return np.array(self._lengths, dtype=np.int32)

    @property
    def n_words(self) -> NDArray[np.int32]:
        return np.array(self._n_words, dtype=np.int32)

    def postings(self, word: str, place: NDArray[np.intp]) -> Postings:
        """Return the postings of a word at the places of the rows, without the rows that have none."""
        rows, counts = (np.array(kept, dtype=np.int32) for kept in self._postings.get(word, ((), ())))
        places = place[rows]
        is_chosen = places >= 0
        return places[is_chosen], counts[is_chosen]

    def keep(self, rows: NDArray[np.intp], place: NDArray[np.intp]) -> None:
        self._lengths = array("i", self.lengths[rows].tolist())
        self._n_words = array("i", self.n_words[rows].tolist())
        for word in list(self._postings):
            places, counts = self.postings(word, place)
            if len(places):
                self._postings[word] = array("i", places.tolist()), array("i", counts.tolist())
            else:
                del self._postings[word]
