"""The exact index: one-byte codes in memory, exact rows beside them, searched block by block without approximation."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import numpy as np

from soma.math.policy import MEMORY_TYPES
from soma.math.policy_evaluate import Plan
from soma.math.policy_product import Product, product_of
from soma.state.query import Filter, Query
from soma.stores.protocols import Found
from soma.stores.segment_files import DamagedIndexError
from soma.stores.segment_search import Asked, Each, by_weight_together
from soma.stores.segment_tail import TAIL_ROWS, Tail
from soma.stores.segments import BLOCK, SEGMENT_ROWS, Part, Segment, View, as_keys, made_segments, merged_segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.state.namespace import Namespace
    from soma.stores.rows import IndexRow
    from soma.stores.segment_files import SegmentFiles

__all__ = ["ExactIndex", "Sizes"]

FAST_WAY: Final = "index (fast)"
WAY: Final = "index"

_COMPILED_FROM: Final = 32_768  # rows: below, the compiler takes longer to load than it will ever save
_SHARED_FROM: Final = 262_144  # rows: below, a thread costs more than it saves
_KEPT_PLANS: Final = 64


class Sizes(NamedTuple):
    """When an index puts its rows in order, in rows: how much is written again, against how tight the bounds are.

    Parameters
    ----------
    tail : int
        The tail is sealed when it would hold more.
    segment : int
        A full segment; less than half of it is a small one.
    n_small : int
        So many small segments are merged.
    sorted_from : int
        A batch of more rows becomes segments at once.
    hollow_from : int
        A longer segment, half of whose rows are dead, is written again.
    kept_from : int
        An index of fewer rows is made from the log faster than it is found again.
    """

    tail: int = TAIL_ROWS
    segment: int = SEGMENT_ROWS
    n_small: int = 8
    sorted_from: int = 4 * BLOCK
    hollow_from: int = 2 * BLOCK
    kept_from: int = 4_096


class ExactIndex:
    """Vectors of one namespace, with what a policy needs to bound the score of a row and of a block of rows.

    Rows come into a tail. When that is full it is sealed: put in an order that makes bounds tight, and never changed.
    A memory that changes or goes leaves its row dead where it lies; when half of a segment is dead, or segments are
    many and small, their living rows are merged into new ones. A reader works on the view that it began with.

    Parameters
    ----------
    dimension : int
        Dimension of the vectors.
    is_compiled : bool, optional
        Whether to search with the compiled kernels (extra ``fast``); by default where they are installed and the index
        is large enough to repay their loading. The answers are the same.
    files : SegmentFiles, optional
        Where it is saved when it is closed, and found again; full segments lie there, mapped into memory.
    sizes : Sizes
        When the tail is sealed and segments are merged.

    Notes
    -----
    Laws: ``property_tests/stores/test_exact_index.py``: every answer equals `soma.state.recall.rank`.
    """

    def __init__(
        self,
        dimension: int,
        *,
        is_compiled: bool | None = None,
        files: SegmentFiles | None = None,
        sizes: Sizes | None = None,
    ) -> None:
        self.dimension = dimension
        self.is_compiled = is_compiled
        self._files = files
        self._sizes = Sizes() if sizes is None else sizes
        self._writing = threading.Lock()
        self._plans: dict[Policy, tuple[Product | None, Plan]] = {}
        self._hands: ThreadPoolExecutor | None = None
        self._sealed: list[Part] = []
        self._clear()
        saved = None if files is None else files.load()
        if saved is not None:
            self._sealed, self._followed = saved.parts, (saved.log, saved.position)
            self._saved = self._followed
            self._view = View(self._sealed)

    def __len__(self) -> int:
        return self._view.n_live

    @property
    def n_bytes(self) -> dict[str, int]:
        """How many bytes are held ``"in memory"``, and how many ``"mapped"`` from files, which memory only borrows."""
        held = {"in memory": 0, "mapped": 0}
        for part in self._view.parts:
            segment = part.segment
            columns = [segment.ids, segment.id_order, segment.vectors, *segment.numbers.values()]
            held["mapped" if segment.file else "in memory"] += sum(column.nbytes for column in columns)
            codes = segment.codes
            factors = [factors.factor for factors in segment.factors.values()]
            held["in memory"] += sum(a.nbytes for a in (part.live, codes.code, codes.scale, codes.error, *factors))
        return held

    def _clear(self) -> None:
        self._followed = self._saved = ("", 0)
        self._sealed = []
        self._tail = Tail(self.dimension)
        self._view = View([])

    def followed(self) -> tuple[str, int]:
        """Return the identity of the log that was followed, and the position up to which; ``("", 0)`` if none was."""
        return self._followed

    def follow(self, log: str, position: int) -> None:
        """Remember that everything up to ``position`` of ``log`` has been put in."""
        self._followed = (log, position)

    def resume(self, rows: Callable[[], Sequence[IndexRow]]) -> None:
        """Take up what was put in before: its files have it all."""

    def drop_others(self) -> None:
        """Remove what other models have left of the namespace: what is saved next takes its place."""

    def clear(self) -> None:
        """Take everything out, and forget what was followed."""
        with self._writing:
            self._clear()

    def save(self) -> None:
        """Write the index down, if it has files and has followed a log further than what is written."""
        files = self._files
        if files is None or files.is_read_only or not self._followed[0] or self._followed == self._saved:
            return
        with self._writing:
            if self._view.n_live < self._sizes.kept_from:
                files.clear()
            else:
                self._seal()
                self._merge([part for part in self._sealed if part.is_spent])
                self._settle()
                self._sealed = files.save(self._sealed, *self._followed)
                self._view = View(self._sealed)
            self._saved = self._followed

    def close(self) -> None:
        """Save what is to be kept, and hold nothing any more; closing twice is allowed.

        What cannot be saved is made again from the log: a warning says so.
        """
        try:
            self.save()
        except (OSError, DamagedIndexError) as error:
            warnings.warn(f"the index is not saved, and will be made again: {error}", RuntimeWarning, stacklevel=2)
        self.clear()
        if self._hands is not None:
            self._hands.shutdown()
            self._hands = None

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
            What scoring needs beside the vector; of several with one id the last counts.
        vectors : sequence of ndarray of float32, shape (n, dimension)
            Unit vectors.
        position : int
            Of the log; rows come in its order.
        """
        last = {row.id: i for i, row in enumerate(rows)}
        if not last:
            return
        kept = list(last.values())
        taken = [rows[i] for i in kept]
        block = np.array([vectors[i] for i in kept], dtype=np.float32).reshape(len(kept), self.dimension)
        with self._writing:
            self._bury([row.id for row in taken], block)
            if len(taken) > self._sizes.sorted_from:
                self._sealed += map(Part.of, made_segments(taken, block, self._sizes.segment))
            else:
                if self._tail.n + len(taken) > self._sizes.tail:
                    self._seal()
                self._tail.append(taken, block)
            self._settle()

    def remove(self, ids: Iterable[UUID], position: int) -> None:  # noqa: ARG002 - as in upsert
        """Take memories out as of a log position; those that are not in are passed over."""
        with self._writing:
            self._bury(list(ids), None)
            self._settle()

    def _bury(self, ids: Sequence[UUID], successors: NDArray[np.float32] | None) -> None:
        """Let rows die; where no equal vector takes a dead one's place, its file is deleted at once."""
        self._tail.drop(ids)
        keys = as_keys(ids)
        for i, part in enumerate(self._sealed):
            segment = part.segment
            self._check(segment, np.empty(0, dtype=np.int64))
            rows = segment.rows_of(keys)
            dead = np.flatnonzero(rows >= 0)
            dead = dead[part.live[rows[dead]]]
            if not len(dead):
                continue
            is_spent = successors is None or not np.array_equal(segment.vectors[rows[dead]], successors[dead])
            if is_spent and segment.file and self._files is not None and not self._files.is_read_only:
                self._files.drop(segment.file)
            self._sealed[i] = part.without(rows[dead], is_spent=is_spent)

    def _seal(self) -> None:
        part = self._tail.part()
        self._tail = Tail(self.dimension)
        self._sealed.append(part)
        self._merge([part])

    def _merge(self, parts: Sequence[Part]) -> None:
        self._sealed = [part for part in self._sealed if part not in parts]
        living = [part for part in parts if part.n_live]
        for part in living:
            self._check(part.segment, None)
        if living:
            self._sealed += map(Part.of, merged_segments(living, self._sizes.segment))

    def _settle(self) -> None:
        """Merge what is worth it, file what is full, and show readers what there is now."""
        sizes, files = self._sizes, self._files
        small = [part for part in self._sealed if 2 * part.n_live < sizes.segment]
        hollow = [p for p in self._sealed if 2 * p.n_live < len(p.segment) and len(p.segment) > sizes.hollow_from]
        merged = small if len(small) >= sizes.n_small else hollow
        if merged:
            self._merge(merged)
        if files is not None and not files.is_read_only:
            is_due = [2 * len(p.segment) >= sizes.segment and not p.segment.file for p in self._sealed]
            self._sealed = [files.filed(p) if due else p for p, due in zip(self._sealed, is_due, strict=True)]
        self._view = View([*self._sealed, self._tail.part()])

    def _check(self, segment: Segment, rows: NDArray[np.int64] | None) -> None:
        if segment.backing is not None and self._files is not None:
            self._files.check(segment, rows)

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
            The best, by falling score, with their scores and features; the way that was taken.
        """
        return self._answers([query], policy, namespace, now_s, k, keep)[0]

    def search_batch(
        self, queries: Sequence[Query], policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> list[Found]:
        """Return what `search` returns for each query: in NumPy at less than the cost of all these calls.

        Parameters
        ----------
        queries : sequence of Query
            With embeddings of the index's dimension; 64 at once are a good number.
        policy, namespace, now_s, k, keep
            As for `search`.

        Returns
        -------
        list of Found
            One for each query. In NumPy the memories visited are those of all queries together.
        """
        return self._answers(queries, policy, namespace, now_s, k, keep)

    def _answers(
        self, queries: Sequence[Query], policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> list[Found]:
        view, (product, plan) = self._view, self._plan(policy)
        is_compiled = self._compiles(view)
        reads_all = product is None or (len(queries) == 1 and not is_compiled)  # vectors, where others read codes
        for part in view.parts:
            self._check(part.segment, None if reads_all else np.empty(0, dtype=np.int64))
        lives = [self._candidates(part, keep, now_s) for part in view.parts]
        n_candidates = sum(
            part.n_live if live is part.live else int(np.count_nonzero(live))
            for part, live in zip(view.parts, lives, strict=True)
        )
        asked = [Asked(view, query, policy, namespace, now_s, self._check, plan) for query in queries]
        if product is None:
            found = [one.by_boxes(lives, k, is_compiled) for one in asked]
        elif is_compiled or len(asked) == 1:  # the compiled kernel outruns a product of matrices
            each = self._each(view) if is_compiled else None
            found = [one.by_weight(product, lives, k, is_compiled, each) for one in asked]
        else:
            found = by_weight_together(asked, product, lives, k)
        return [
            Found(
                [UUID(bytes=bytes(id).ljust(16, b"\0")) for id in view[best.rows]],
                best.scores,
                one.known(best.rows),
                n_candidates,
                best.n_visited,
                FAST_WAY if is_compiled else WAY,
            )
            for one, best in zip(asked, found, strict=True)
        ]

    def _each(self, view: View) -> Each | None:
        """Return what lets two threads share a search, where there is enough to share."""
        if n_threads() < 2 or view.n_live < _SHARED_FROM or len(view.parts) < 2:
            return None
        if self._hands is None:
            self._hands = ThreadPoolExecutor(2, thread_name_prefix="soma-index")
        return self._hands.map

    def _compiles(self, view: View) -> bool:
        if self.is_compiled is None:
            return view.n_live >= _COMPILED_FROM and find_spec("numba") is not None
        return self.is_compiled

    def _plan(self, policy: Policy) -> tuple[Product | None, Plan]:
        found = self._plans.get(policy)
        if found is None:
            if len(self._plans) >= _KEPT_PLANS:
                self._plans = {}
            found = self._plans[policy] = product_of(policy), Plan(policy)
        return found

    def _candidates(self, part: Part, keep: Filter, now_s: float) -> NDArray[np.bool_]:
        segment, live = part.segment, part.live
        if segment.first_expiry_s <= now_s:
            live = live & (segment.expires_at_s > now_s)
        if keep.memory_type is not None:
            live = live & (segment.memory_type == MEMORY_TYPES.index(keep.memory_type))
        if keep.since_s is not None:
            live = live & (segment.timestamp_s >= keep.since_s)
        if keep.until_s is not None:
            live = live & (segment.timestamp_s < keep.until_s)
        if keep.tags:
            counts = np.zeros(len(segment), dtype=np.int64)
            for tag in keep.tags:
                counts[segment.tags.get(tag, [])] += 1
            live = live & (counts == len(keep.tags))
        return live


def n_threads() -> int:
    """Return how many threads a search may take: ``OMP_NUM_THREADS``, else two where there are two processors."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else min(2, os.cpu_count() or 1)
