"""The exact index: vectors and scoring columns in memory, searched block by block without approximation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.math import similarity
from soma.math.blocks import BLOCK_ROWS as BLOCK
from soma.math.blocks import newest_first
from soma.math.policy import MEMORY_TYPES
from soma.math.topk import top_k
from soma.state.features import Columns, features
from soma.state.query import Filter, Query
from soma.stores.protocols import Found
from soma.stores.rows import IndexRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.state.namespace import Namespace

__all__ = ["ExactIndex"]

NEVER: Final = np.inf
TYPES: Final = np.array(MEMORY_TYPES)
NOT_KEPT: Final[NDArray[Any]] = np.zeros((0, 0))


class ExactIndex:
    """Vectors of one namespace, with what a policy needs to bound the best score of a block of rows.

    A whole load is put in the order that makes the bounds of blocks tight. Later rows keep the order in which they
    come, and so share blocks with their contemporaries. A changed row is written in place and widens the bounds of
    its block; a removed one is masked until half of the rows are gone.

    Parameters
    ----------
    dimension : int
        Dimension of the vectors.

    Notes
    -----
    Laws: ``property_tests/stores/test_exact_index.py``: every answer equals `soma.state.recall.rank`.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._followed = ("", 0)
        self._clear(BLOCK)

    def __len__(self) -> int:
        return len(self._row_of)

    def _clear(self, capacity: int) -> None:
        self._n = 0
        self._row_of: dict[UUID, int] = {}
        self._rows_of_tag: dict[str, set[int]] = {}
        self._meta: list[IndexRow] = []
        self._vectors = np.zeros((capacity, self.dimension), dtype=np.float32)
        self._ids = np.zeros(capacity, dtype="S16")
        self._timestamp_s = np.zeros(capacity)
        self._last_used_s = np.zeros(capacity)
        self._expires_at_s = np.full(capacity, NEVER)
        self._importance = np.zeros(capacity, dtype=np.int64)
        self._memory_type = np.zeros(capacity, dtype=np.int8)
        self._is_live = np.zeros(capacity, dtype=bool)

    def followed(self) -> tuple[str, int]:
        """Return the identity of the log that was followed, and the position up to which; ``("", 0)`` if none was."""
        return self._followed

    def follow(self, log: str, position: int) -> None:
        """Remember that everything up to ``position`` of ``log`` has been put in."""
        self._followed = (log, position)

    def resume(self, rows: Sequence[IndexRow]) -> None:
        """Take up what was put in before: nothing outlives the process, and so nothing has to be done."""

    def drop_others(self) -> None:
        """Remove what other models have left of the namespace: nothing does."""

    def clear(self) -> None:
        """Take everything out, and forget what was followed."""
        self._followed = ("", 0)
        self._clear(BLOCK)

    def close(self) -> None:
        """Hold nothing any more; closing twice is allowed."""
        self.clear()

    def upsert(
        self,
        rows: Sequence[IndexRow],
        vectors: Sequence[NDArray[np.float32]],
        position: int,  # noqa: ARG002 - one process puts rows in, in the order of the log
    ) -> None:
        """Put memories in, or in the place of those of the same id.

        Parameters
        ----------
        rows : sequence of IndexRow, length n
            What scoring needs beside the vector.
        vectors : sequence of ndarray of float32, shape (n, dimension)
            Unit vectors.
        position : int
            Of the log; rows come in its order.
        """
        self._upsert(rows, vectors)

    def _upsert(self, rows: Sequence[IndexRow], vectors: Sequence[NDArray[np.float32]]) -> None:
        self._reserve(self._n + len(rows))
        order: Iterable[int] = range(len(rows))
        if self._n == 0 and len(rows) > BLOCK:  # a whole load may choose its order: contemporaries of like importance
            order = newest_first([row.last_used_s for row in rows], [row.importance for row in rows]).tolist()
        for i in order:
            meta, vector = rows[i], vectors[i]
            row = self._row_of.get(meta.id)
            if row is None:
                row, self._n = self._n, self._n + 1
                self._row_of[meta.id] = row
                self._meta.append(meta)
            else:
                self._untag(row)
            self._write(row, meta, vector)

    def remove(self, ids: Iterable[UUID], position: int) -> None:  # noqa: ARG002 - as in upsert
        """Take memories out as of a log position; those that are not in are passed over."""
        for id in ids:
            row = self._row_of.pop(id, None)
            if row is not None:
                self._untag(row)
                self._is_live[row] = False
        if self._n > 2 * BLOCK and 2 * len(self) < self._n:
            self._compact()

    def search(self, query: Query, policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter) -> Found:
        """Return the ``k`` best memories, exactly.

        Parameters
        ----------
        query : Query
            With an embedding of the index's dimension.
        policy : Policy
            One that ``policy.index_servable`` admits.
        namespace : Namespace
            The registration.
        now_s : float
            The time of the recall, POSIX seconds.
        k : int
            How many at most, >= 1.
        keep : Filter
            Which memories count.

        Returns
        -------
        Found
            The best, by falling score, with their scores and features.
        """
        n, needed = self._n, policy.features
        target = similarity.unit_vectors(query.embedding or ())
        live = self._candidates(keep, now_s)
        vectors = self._vectors[:n]

        def columns(rows: NDArray[np.int64], similar: NDArray[np.float64] | None) -> dict[str, NDArray[Any]]:
            return features(needed, self._columns(rows), (), query, namespace, now_s, similar)

        def exact(rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
            return columns(rows, similarity.cosine(target, vectors[rows]))

        def score(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.broadcast_to(policy.evaluate(exact(rows)), rows.shape)

        def upper(
            rows: NDArray[np.int64], lowest: NDArray[np.float64], highest: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            known = columns(rows, highest)
            bound = policy.bounds({**known, "similarity": lowest}, known)[1]
            return np.broadcast_to(bound, rows.shape)

        least, greatest = self._boxes(policy, namespace, query, now_s) if n else ({}, {})

        def upper_within(
            blocks: NDArray[np.int64], lowest: NDArray[np.float64], highest: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            low, high = ({name: ends[blocks] for name, ends in box.items()} for box in (least, greatest))
            bound = policy.bounds({**low, "similarity": lowest}, {**high, "similarity": highest})[1]
            return np.broadcast_to(bound, blocks.shape)

        n_blocks = -(-n // BLOCK)
        best = top_k(
            target,
            vectors,
            self._ids[:n],
            k=k,
            score=score,
            upper=upper,
            upper_within=upper_within,
            block_upper=np.broadcast_to(policy.bounds(least, greatest)[1], n_blocks) if n else np.zeros(0),
            block_rows=BLOCK,
            live=live,
        )
        found = exact(best.rows)
        ids = [self._meta[row].id for row in best.rows]
        return Found(ids, best.scores, found, int(np.count_nonzero(live)), best.n_visited)

    def _candidates(self, keep: Filter, now_s: float) -> NDArray[np.bool_]:
        live = self._is_live[: self._n] & (self._expires_at_s[: self._n] > now_s)
        if keep.memory_type is not None:
            live &= self._memory_type[: self._n] == MEMORY_TYPES.index(keep.memory_type)
        if keep.tags:
            tagged = np.zeros(self._n, dtype=bool)
            rows = set.intersection(*(self._rows_of_tag.get(tag, set()) for tag in keep.tags))
            tagged[list(rows)] = True
            live &= tagged
        return live

    def _columns(self, rows: NDArray[np.int64]) -> Columns:
        return Columns(
            self._timestamp_s[rows],
            self._last_used_s[rows],
            self._importance[rows],
            TYPES[self._memory_type[rows]],
            NOT_KEPT,
            NOT_KEPT,
            NOT_KEPT,
        )

    def _boxes(
        self, policy: Policy, namespace: Namespace, query: Query, now_s: float
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Return the least and the greatest features of each block, but for those of its similarity: -1 and 1."""
        starts = np.arange(0, self._n, BLOCK)

        def extremes(reduce: np.ufunc, similar: float) -> dict[str, NDArray[Any]]:
            flip = np.maximum if reduce is np.minimum else np.minimum  # the least age is that of the latest time
            columns = Columns(
                flip.reduceat(self._timestamp_s[: self._n], starts),
                flip.reduceat(self._last_used_s[: self._n], starts),
                reduce.reduceat(self._importance[: self._n], starts),
                TYPES[reduce.reduceat(self._memory_type[: self._n], starts)],
                NOT_KEPT,
                NOT_KEPT,
                NOT_KEPT,
            )
            every = np.full(len(starts), similar)
            return features(policy.features, columns, (), query, namespace, now_s, every)

        return extremes(np.minimum, -1.0), extremes(np.maximum, 1.0)

    def _write(self, row: int, meta: IndexRow, vector: NDArray[np.float32]) -> None:
        self._meta[row] = meta
        self._vectors[row] = vector
        self._ids[row] = meta.id.bytes
        self._timestamp_s[row] = meta.timestamp_s
        self._last_used_s[row] = meta.last_used_s
        self._expires_at_s[row] = NEVER if meta.expires_at_s is None else meta.expires_at_s
        self._importance[row] = meta.importance
        self._memory_type[row] = MEMORY_TYPES.index(meta.memory_type)
        self._is_live[row] = True
        for tag in meta.tags:
            self._rows_of_tag.setdefault(tag, set()).add(row)

    def _untag(self, row: int) -> None:
        for tag in self._meta[row].tags:
            self._rows_of_tag[tag].discard(row)

    def _reserve(self, n: int) -> None:
        capacity = len(self._ids)
        if n <= capacity:
            return
        capacity = max(n, 2 * capacity)
        for name in (
            "_vectors",
            "_ids",
            "_timestamp_s",
            "_last_used_s",
            "_expires_at_s",
            "_importance",
            "_memory_type",
            "_is_live",
        ):
            old = getattr(self, name)
            grown = np.zeros((capacity, *old.shape[1:]), dtype=old.dtype)
            grown[: self._n] = old[: self._n]
            setattr(self, name, grown)

    def _compact(self) -> None:
        rows = np.flatnonzero(self._is_live[: self._n])
        metas, vectors = [self._meta[row] for row in rows], list(self._vectors[rows])
        self._clear(max(BLOCK, len(rows)))
        self._upsert(metas, vectors)
