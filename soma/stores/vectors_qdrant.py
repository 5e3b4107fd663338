"""Vectors kept by Qdrant, searched exactly: it says which are near, and a policy's bounds which others matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.errors import StoreError
from soma.math import similarity
from soma.math.topk import cosine_error, top_k_reference
from soma.state.features import Records, features
from soma.state.query import Filter, Query
from soma.stores.index_columns import IndexColumns
from soma.stores.protocols import Found
from soma.stores.qdrant_engine import ABOUT_ID, BATCH, PointOf, QdrantEngine, require_same
from soma.stores.rows import IndexRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.state.namespace import Namespace

__all__ = ["QdrantIndex"]

NOTHING: Final = Records((), tuple)
WAY: Final = "Qdrant"
FEW: Final = 64
GROWTH: Final = 16


class QdrantIndex:
    """One namespace's vectors in a Qdrant, and in the process the numbers that a policy scores beside them.

    A search asks Qdrant for the memories nearest to the query, exactly. Their products, computed in float32, enclose
    their similarities within `soma.math.topk.cosine_error`; every other memory's lies below the last product and that
    error. From these the policy's bounds (`Policy.bounds`) say for each memory how much it can score. Those that can
    reach the k best are scored from their vectors by the same functions as everywhere; if they are too many, Qdrant is
    asked for more of the nearest, in the end for all. So the answer is that of `soma.state.recall.rank`, to the bit.

    On a server other processes follow the same log. A point never goes back to an earlier position, and never vanishes:
    if after a search no point is beyond the position that this process has followed, none was during the search.
    Otherwise the index does not answer.

    Parameters
    ----------
    engine : QdrantEngine
        The points.
    remedy : str
        The command that makes them again, for errors.

    Raises
    ------
    ConfigurationError
        If the points say that they are not what the engine was asked for.

    Notes
    -----
    Laws: ``property_tests/stores/test_vector_indexes.py``, ``test_vectors_qdrant.py``, ``test_oracle.py``.
    """

    def __init__(self, engine: QdrantEngine, *, remedy: str) -> None:
        self.engine = engine
        self.remedy = remedy
        self._columns = IndexColumns()
        self._about = engine.about()
        require_same(engine.where, engine.place, self._about, remedy)
        self._is_whole = False

    def __len__(self) -> int:
        return len(self._columns)

    def followed(self) -> tuple[str, int]:
        """Return the log that was followed, by whatever process, and the position up to which; ``("", 0)`` if none."""
        self._about = self.engine.about()
        return self._about.log, self._about.position

    def follow(self, log: str, position: int) -> None:
        """Remember that everything up to ``position`` of ``log`` has been put in."""
        self._about = replace(self._about, log=log, position=position)
        nothing = [0.0] * self._about.dimension
        self.engine.put([PointOf(ABOUT_ID, nothing, self._about.to_payload())], position)

    def resume(self, rows: Callable[[], Sequence[IndexRow]]) -> None:
        """Take up what was put in before: `rows` gives what is kept of all live memories beside their vectors."""
        self._columns = IndexColumns()
        self._columns.put(rows())

    def clear(self) -> None:
        """Take everything out, and forget what was followed."""
        if self.engine.is_beyond(0):
            self.engine.clear()
        self._columns = IndexColumns()
        self._about = replace(self._about, log="", position=0)

    def drop_others(self) -> None:
        """Remove what indexes by other models have left of the same namespace."""
        self.engine.drop_siblings()

    def upsert(self, rows: Sequence[IndexRow], vectors: Sequence[NDArray[np.float32]], position: int) -> None:
        """Put memories in, or in the place of those of the same id, unless they are there as of a later position.

        Parameters
        ----------
        rows : sequence of IndexRow, length n
            What scoring needs beside the vector.
        vectors : sequence of ndarray of float32, shape (n, dimension)
            Unit vectors.
        position : int
            Of the log.
        """
        for start in range(0, len(rows), BATCH):
            lot = zip(rows[start : start + BATCH], vectors[start : start + BATCH], strict=True)
            points = [PointOf.live(row.id, vector, row.memory_type, row.tags, position) for row, vector in lot]
            self.engine.put(points, position)
        self._columns.put(rows)

    def remove(self, ids: Iterable[UUID], position: int) -> None:
        """Take memories out as of a log position; a grave keeps those from coming back that come too late."""
        gone = list(ids)
        for start in range(0, len(gone), BATCH):
            lot = gone[start : start + BATCH]
            self.engine.put([PointOf.gone(id, self._about.dimension, position) for id in lot], position)
        self._columns.drop(gone)

    def close(self) -> None:
        """Release what is held; closing twice is allowed."""
        self.engine.close()

    def search(
        self, query: Query, policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> Found | None:
        """Return the ``k`` best memories, exactly, or None if this index cannot say.

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
        Found or None
            None for a filter that asks more than the index keeps, and while another process changes the points.

        Raises
        ------
        StoreError
            If Qdrant does not answer, or lacks vectors that it should have.
        """
        if not self._columns.can_tell(keep):
            return None
        rows = self._columns.admitted(keep, now_s)
        search = _Search(self.engine, self._columns, rows, query, policy, namespace, now_s, k)
        try:
            if "similarity" in policy.features:
                self._require_whole()
                search.narrow(keep)
            else:
                search.take(np.arange(len(rows)), np.zeros(len(rows)))
        except _LackingError as lacking:
            if not self._is_behind():
                raise StoreError(
                    f"the vectors in {self.engine.where} are not whole ({lacking}): make them again: {self.remedy}"
                ) from None
        return None if self._is_behind() else search.found()

    def search_batch(
        self, queries: Sequence[Query], policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> list[Found] | None:
        """Return what `search` returns for each query, or None if it returned None for one."""
        found = [self.search(query, policy, namespace, now_s, k, keep) for query in queries]
        told = [one for one in found if one is not None]
        return told if len(told) == len(found) else None

    def _require_whole(self) -> None:
        """Count once after each opening."""
        if not self._is_whole:
            n_there = self.engine.count_live()
            if n_there != len(self):
                raise _LackingError(f"{n_there:,} of {len(self):,}")
            self._is_whole = True

    def _is_behind(self) -> bool:
        return self.engine.is_shared and self.engine.is_beyond(self._about.position)


class _LackingError(Exception):
    """Qdrant does not hold a point that it should."""


class _Search:
    """One search at work: rows are numbered among those that the filter admits."""

    def __init__(
        self,
        engine: QdrantEngine,
        columns: IndexColumns,
        rows: NDArray[np.int64],
        query: Query,
        policy: Policy,
        namespace: Namespace,
        now_s: float,
        k: int,
    ) -> None:
        self.engine, self.columns, self.rows = engine, columns, rows
        self.query, self.policy, self.namespace, self.now_s, self.k = query, policy, namespace, now_s, k
        self.target = similarity.unit_vectors(query.embedding or ())
        self.slack = cosine_error(len(self.target))
        self.similar = np.zeros(len(rows))
        self.scores = np.full(len(rows), -np.inf)
        self.is_scored = np.zeros(len(rows), dtype=bool)

    def narrow(self, keep: Filter) -> None:
        """Score all that can be among the best: of ever more of the nearest, until no other can."""
        n_read = max(FEW, min(2 * self.k, len(self.rows)))
        limit = GROWTH * n_read
        known = self._features(np.arange(len(self.rows)), self.similar)
        while len(self.rows):
            low, high, is_all = self._enclosed(limit, keep)
            bound = self.policy.bounds({**known, "similarity": low}, {**known, "similarity": high})[1]
            upper = np.broadcast_to(bound, self.rows.shape)
            self._read(self._most_promising(upper, n_read)[:n_read])
            while len(left := self._most_promising(upper, n_read)):
                if len(left) > limit and not is_all:  # to know more of them costs less than to read them
                    break
                self._read(left[:n_read])
            else:
                return
            limit *= GROWTH

    def take(self, places: NDArray[np.int64], similar: NDArray[np.float64]) -> None:
        """Score rows by their similarities."""
        self.similar[places] = similar
        self.scores[places] = np.broadcast_to(self.policy.evaluate(self._features(places, similar)), places.shape)
        self.is_scored[places] = True

    def found(self) -> Found:
        """Return the best of what was scored."""
        scored = np.flatnonzero(self.is_scored)
        best = scored[top_k_reference(self.scores[scored], self.columns.keys(self.rows[scored]), self.k).rows]
        return Found(
            self.columns.ids(self.rows[best]),
            self.scores[best],
            self._features(best, self.similar[best]),
            len(self.rows),
            len(scored),
            WAY,
        )

    def _enclosed(self, limit: int, keep: Filter) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
        """Return bounds of the similarity of every row, and whether Qdrant has said something of each."""
        near = self.engine.nearest(self.target, limit, keep.memory_type, keep.tags)
        is_all = len(near) < limit
        low = np.full(len(self.rows), -1.0)
        high = np.full(len(self.rows), 1.0 if is_all else min(1.0, near[-1][1] + self.slack))
        is_named = np.zeros(len(self.rows), dtype=bool)
        if near:
            named = self.columns.rows_of([id for id, _ in near])
            places = np.searchsorted(self.rows, named).clip(0, len(self.rows) - 1)
            is_ours = self.rows[places] == named  # what has expired is near too, and no candidate
            places, products = places[is_ours], np.array([product for _, product in near])[is_ours]
            is_named[places] = True
            low[places], high[places] = products - self.slack, products + self.slack
        if is_all and not is_named.all():
            raise _LackingError(f"{np.count_nonzero(is_named):,} of {len(self.rows):,}")
        return np.clip(low, -1.0, 1.0), np.clip(high, -1.0, 1.0), is_all

    def _most_promising(self, upper: NDArray[np.float64], n: int) -> NDArray[np.int64]:
        """Return the rows that may still enter, the ``n`` first of them those of the greatest bounds."""
        n_scored = np.count_nonzero(self.is_scored)
        least = -np.partition(-self.scores, self.k - 1)[self.k - 1] if n_scored >= self.k else -np.inf
        left = np.flatnonzero(~self.is_scored & (upper >= least))
        return left if len(left) <= n else left[np.argpartition(-upper[left], n - 1)]

    def _read(self, places: NDArray[np.int64]) -> None:
        """Score rows by their vectors."""
        ids = self.columns.ids(self.rows[places])
        held = self.engine.vectors(ids)
        if len(held) < len(ids):
            raise _LackingError(f"{len(held):,} of {len(ids):,}")
        vectors = np.array([held[id] for id in ids], dtype=np.float32)
        self.take(places, similarity.cosine(self.target, vectors))

    def _features(self, places: NDArray[np.int64], similar: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        columns = self.columns.at(self.rows[places])
        return features(self.policy.features, columns, NOTHING, self.query, self.namespace, self.now_s, similar)
