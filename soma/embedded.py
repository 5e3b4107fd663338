"""The embedded store at work: events in, effects out, in one transaction; the exact index follows the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np

from soma.embedding import record_vectors
from soma.errors import ConfigurationError, InvalidParameterError, NotFoundError, SomaError, StoreError
from soma.math import projection
from soma.state.attention import LinkColumns
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryLinked,
    MemoryUnlinked,
    MemoryUpdated,
    NamespaceRegistered,
)
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.state.recall import Recall, collect
from soma.state.record import MemoryRecord
from soma.state.stored import Effect, EffectKind, StoredMemory, admit, evolve, evolve_link
from soma.stores.candidates import Candidates
from soma.stores.rows import index_row, vector_key
from soma.stores.segment_files import DamagedIndexError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from soma.embedding import Embedder
    from soma.math.policy import Policy
    from soma.stores.protocols import Found, Storage, VectorIndex

__all__ = ["EmbeddedStore", "take"]

MOST_HITS: Final = 10_000
"""Most records that are kept at hand because they were hits."""


class EmbeddedStore:
    """One namespace of a storage, with an index that follows the log.

    Parameters
    ----------
    storage : Storage
        Log, records and vectors.
    registration : Namespace
        What the first write registers, if the namespace is not registered yet.
    embedder : Embedder
        From texts to vectors.
    index : VectorIndex
        Of the embedder's dimension, and of this namespace alone.
    clock : callable
        Returns the time, POSIX seconds.
    new_id : callable
        Returns a fresh UUID.
    """

    def __init__(
        self,
        storage: Storage,
        registration: Namespace,
        embedder: Embedder,
        index: VectorIndex,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], UUID],
    ) -> None:
        self.storage = storage
        self.embedder = embedder
        self.clock = clock
        self.new_id = new_id
        self.namespace = registration.name
        self.index = index
        self._made: dict[bytes, NDArray[np.float32]] = {}
        self._candidates: Candidates | None = None
        self._linked: tuple[int, LinkColumns | None] = 0, None
        log, self._position = index.followed()  # before the snapshot: others may go on after it
        self._hits: dict[UUID, MemoryRecord] = {}
        with storage.reading():
            self.registration = storage.records.namespaces().get(self.namespace, registration)
            if self._position and log == self._mark(self._position):
                index.resume(lambda: storage.records.index_rows(self.namespace))
            else:
                self._fill()
            self._catch_up()

    def _mark(self, position: int) -> str:
        """Return a name for the log up to a position: one that went another way since, as a backup may, has another."""
        last = next(self.storage.log.read(position - 1), None)
        return f"{self.storage.identity} {last[1].event_id}" if last is not None and last[0] == position else ""

    def _fill(self) -> None:
        """Put every live memory into an empty index."""
        self.index.clear()
        self._hits, self._candidates = {}, None  # what the log has told since the last position is not told again
        self._position = self.storage.log.head()
        rows = self.storage.records.index_rows(self.namespace)
        vectors = self._kept([row.vector_key for row in rows])
        missing = self.live([row.id for row in rows if row.vector_key not in vectors])
        if missing:
            vectors |= self._vectors_by_key([memory.record for memory in missing])
        self.index.upsert(rows, [vectors[row.vector_key] for row in rows], self._position)
        self.index.follow(self._mark(self._position), self._position)

    def __len__(self) -> int:
        """Return the number of live memories."""
        self._catch_up()
        return len(self.index)

    def ask(self, query: Query | str | ArrayLike) -> Query:
        """Return what a caller looks for with the vector of its words.

        Raises
        ------
        InvalidParameterError
            For a blank text, or a vector of another dimension than the embedder's.
        """
        return self.ask_all([query])[0]

    def ask_all(self, queries: Iterable[Query | str | ArrayLike]) -> list[Query]:
        """Return what a caller looks for with the vectors of the words, made together."""
        asked = [Query.of(query) for query in queries]
        words = {
            i: one.text
            for i, one in enumerate(asked)
            if one.text is not None and one.embedding is None and one.coordinate is None
        }
        for text in words.values():
            if not text.strip():
                raise InvalidParameterError("query", text, "must contain words")
        for one in asked:
            if one.embedding is not None and len(one.embedding) != self.embedder.dimension:
                raise InvalidParameterError(
                    "embedding",
                    len(one.embedding),
                    f"must have dimension {self.embedder.dimension}, as {self.embedder.revision} makes",
                )
        if words:
            vectors = self.embedder.embed(list(words.values())).tolist()
            for i, vector in zip(words, vectors, strict=True):
                asked[i] = replace(asked[i], embedding=tuple(vector))
        return asked

    def search(self, queries: Sequence[Query], policy: Policy, now_s: float, k: int, keep: Filter) -> list[Recall]:
        """Return the ``k`` best memories for each query: by the index where it can serve the policy, else over all.

        Both give what `soma.state.recall.rank` gives.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise InvalidParameterError("k", k, "must be an integer >= 1")
        if not queries:
            return []
        with self.storage.reading():
            self._catch_up()
            is_served = policy.index_servable and not keep.where
            if is_served and all(query.embedding is not None for query in queries):
                found = self._found(queries, policy, now_s, k, keep)
                if found is not None:
                    return [
                        collect(
                            query,
                            policy,
                            now_s,
                            self._live_records(one.ids),
                            one.scores,
                            one.columns,
                            one.n_candidates,
                            way=one.way,
                            n_visited=one.n_visited,
                        )
                        for query, one in zip(queries, found, strict=True)
                    ]
            candidates = self._all_candidates(policy, keep)
            return [
                candidates.search(query, policy, self.registration, now_s, k, keep, self._live_records, self._links)
                for query in queries
            ]

    def _all_candidates(self, policy: Policy, keep: Filter) -> Candidates:
        """Return what policies read that no index serves; made for the first of them; then it follows the log."""
        if self._candidates is not None:
            self._candidates.prepare(policy, keep, lambda: self.storage.records.live(self.namespace))
            return self._candidates
        candidates = Candidates(self.embedder.dimension)
        candidates.prepare(policy, keep, list)  # before anything is in: the store is read once
        memories = self.storage.records.live(self.namespace)
        candidates.put(memories, self.vectors([memory.record for memory in memories]))
        self._candidates = candidates
        return candidates

    def _links(self) -> LinkColumns:
        """Return the links between live memories, as of the position; read again after a write."""
        position, links = self._linked
        if links is None or position != self._position:
            links = LinkColumns.of(self.storage.records.links(self.namespace))
            self._linked = self._position, links
        return links

    def _found(
        self, queries: Sequence[Query], policy: Policy, now_s: float, k: int, keep: Filter
    ) -> list[Found] | None:
        try:
            return self.index.search_batch(queries, policy, self.registration, now_s, k, keep)
        except DamagedIndexError:  # it is derived: what its files have lost, the log has not
            self._fill()
            return self.index.search_batch(queries, policy, self.registration, now_s, k, keep)

    def place(self, records: Sequence[MemoryRecord]) -> list[MemoryRecord]:
        """Return the records with the coordinates that the namespace's projector gives to their vectors.

        Raises
        ------
        ConfigurationError
            If the namespace has no projector.

        Notes
        -----
        The axes follow from the registered seed and from the dimension of the vectors at hand: after
        `soma.reembedding.reembed_storage` that of the new ones, which has moved the older memories likewise.
        """
        projector = self.registration.projector
        if projector is None:
            raise ConfigurationError(f"namespace {self.namespace} has no projector", "give a coordinate")
        axes = projection.orthogonal_axes(projector.seed, self.embedder.dimension, self.registration.dimension)
        points = projection.project(self.vectors(records), axes)
        return [
            replace(record, coordinate=tuple(point)) for record, point in zip(records, points.tolist(), strict=True)
        ]

    def commit(self, events: Callable[[], Iterable[Event]], records: Sequence[MemoryRecord] = ()) -> list[Effect]:
        """Append events and take their effects in one transaction; ``events`` is called inside it.

        The vectors of ``records`` are made before the lock is taken, those of other records that come while it is held.
        """
        vectors = self._vectors_by_key(records)
        effects: list[Effect] = []
        made: list[MemoryRecord] = []
        stale: set[bytes] = set()
        with self.storage.writing():
            self._refuse_other_vectors()
            for number, event in enumerate(events()):
                if number == 0:
                    self.registration = self._registered()
                effect, replaced = take(self.storage, self.registration, event)
                effects.append(effect)
                if replaced is not None:
                    stale.add(vector_key(replaced))
                if isinstance(event, MemoryCreated) and vector_key(event.record) not in vectors:
                    made.append(event.record)
            vectors |= self._vectors_by_key(made)
            self.storage.vectors.put(self.embedder.revision, vectors)
            self.storage.vectors.drop_unused(stale)
        self._catch_up_or_later()
        return effects

    def append(self, events: Sequence[Event]) -> None:
        """Append events as they are, registration and all, and take their effects in one transaction.

        Raises
        ------
        SomaError
            For an event that has no effect on what the store holds, or stands in its log already; nothing is stored.
        """
        stale: set[bytes] = set()
        made: dict[UUID, MemoryRecord] = {}
        with self.storage.writing():
            self._refuse_other_vectors()
            for event in events:
                if isinstance(event, NamespaceRegistered):
                    is_new = self.storage.log.append(event) is not None
                    self.storage.records.register(event.registration)
                    self.registration, replaced = event.registration, None
                else:
                    effect, replaced = take(self.storage, self.registration, event)
                    is_new = effect.is_change
                if not is_new:
                    raise StoreError(f"event {event.event_id} stands in the log already: this is another store's log")
                if replaced is not None:
                    stale.add(vector_key(replaced))
                if isinstance(event, MemoryCreated | MemoryUpdated):
                    made[event.record.id] = event.record
            self.storage.vectors.put(self.embedder.revision, self._vectors_by_key(list(made.values())))
            self.storage.vectors.drop_unused(stale)
        self._catch_up_or_later()

    def _refuse_other_vectors(self) -> None:
        """Raise if the store's vectors were made again by another embedder since it was opened."""
        revision = self.storage.setting("embedder")
        if revision not in (None, self.embedder.revision):
            raise StoreError(f"the store's vectors were made again meanwhile, by {revision}: open it again")

    def _registered(self) -> Namespace:
        """Return the registration that the store holds; make it with the first event."""
        known = self.storage.records.namespaces().get(self.namespace)
        if known is None:
            event = NamespaceRegistered(event_id=self.new_id(), at_s=self.clock(), registration=self.registration)
            self.storage.log.append(event)
            self.storage.records.register(self.registration)
        return known or self.registration

    def _catch_up_or_later(self) -> None:
        """Bring the index to what was written. If that fails, the write stands; every read tries again, and says so."""
        with suppress(SomaError):
            self._catch_up()

    def _catch_up(self) -> None:
        """Bring the index to the head of the log, whoever wrote it."""
        try:
            self._put_in()
        except DamagedIndexError:
            with self.storage.reading():
                self._fill()

    def _put_in(self) -> None:
        with self.storage.reading():
            head = self.storage.log.head()
            if head == self._position:
                return
            ids = [id for namespace, id in self.storage.log.keys(self._position) if namespace == self.namespace]
            stored = self.storage.records.get(self.namespace, ids)
            live = [memory for memory in stored if isinstance(memory, StoredMemory)]
            rows = [index_row(memory) for memory in live]
            vectors = self._vectors_by_key([memory.record for memory in live])
            gone = [id for id, memory in zip(ids, stored, strict=True) if not isinstance(memory, StoredMemory)]
            self.index.remove(gone, head)
            self.index.upsert(rows, [vectors[row.vector_key] for row in rows], head)
            self.index.follow(self._mark(head), head)
            for id in ids:
                self._hits.pop(id, None)
            if self._candidates is not None:
                self._candidates.drop(gone)
                self._candidates.put(live, np.array([vectors[row.vector_key] for row in rows], dtype=np.float32))
            self._position = head

    def _live_records(self, ids: Sequence[UUID]) -> list[MemoryRecord]:
        """Return the records of live memories: those that were hits lately are at hand."""
        missing = [id for id in ids if id not in self._hits]
        if len(self._hits) + len(missing) > MOST_HITS:
            self._hits.clear()
            missing = list(ids)
        self._hits |= {memory.record.id: memory.record for memory in self.live(missing)}
        return [self._hits[id] for id in ids]

    def live(self, ids: Sequence[UUID]) -> list[StoredMemory]:
        """Return live memories by id, in their order, or raise `NotFoundError`."""
        found: list[StoredMemory] = []
        for id, stored in zip(ids, self.storage.records.get(self.namespace, ids), strict=True):
            if not isinstance(stored, StoredMemory):
                raise NotFoundError("memory", id, f"it is not in namespace {self.namespace}")
            found.append(stored)
        return found

    def vectors(self, records: Sequence[MemoryRecord]) -> NDArray[np.float32]:
        """Return the unit vectors of records, shape (n, d): kept ones where there are any."""
        by_key = self._vectors_by_key(records)
        rows = [by_key[vector_key(record)] for record in records]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.embedder.dimension)

    def _kept(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors that the storage keeps; one of another dimension is damaged, and made again."""
        kept = self.storage.vectors.get(self.embedder.revision, keys)
        return {key: vector for key, vector in kept.items() if len(vector) == self.embedder.dimension}

    def _vectors_by_key(self, records: Sequence[MemoryRecord]) -> dict[bytes, NDArray[np.float32]]:
        by_key = {vector_key(record): record for record in records}
        found = {key: self._made[key] for key in by_key if key in self._made}
        with self.storage.reading():
            found |= self._kept([key for key in by_key if key not in found])
        missing = [key for key in by_key if key not in found]
        if missing:
            made = dict(zip(missing, record_vectors(self.embedder, [by_key[key] for key in missing]), strict=True))
            found |= made
            self._made = made  # a record is placed, stored and indexed in turn: one vector serves all three
        return found


def take(storage: Storage, registration: Namespace, event: Event) -> tuple[Effect, MemoryRecord | None]:
    """Append one event and take its effect, inside a transaction of the caller's.

    Parameters
    ----------
    storage : Storage
        In `Storage.writing`.
    registration : Namespace
        Of the event's namespace.
    event : Event
        Anything but a registration.

    Returns
    -------
    effect : Effect
        What it did; a duplicate does nothing.
    replaced : MemoryRecord or None
        The record that stands no more.

    Raises
    ------
    NotFoundError, InvalidParameterError
        For an event without effect, or one that the namespace does not admit: the transaction must be undone.
    """
    admit(event, registration)
    log, kept = storage.log, storage.records
    position = log.append(event)
    if position is None:
        return Effect(EffectKind.DUPLICATE, f"event {event.event_id} was applied before"), None
    if isinstance(event, MemoryLinked | MemoryUnlinked):
        before = kept.link(event.namespace, event.source, event.target, event.link_type)
        link, effect = evolve_link(before, event)
        if link is not None:
            kept.put_link(event.namespace, link, position)
        elif before is not None:
            kept.drop_link(event.namespace, before)
        else:
            raise NotFoundError("link", f"from {event.source} to {event.target} of type {event.link_type}")
        return effect, None
    namespace, id = event.key
    assert id is not None  # noqa: S101 - only a registration has no id; for the type checker
    (stored,) = kept.get(namespace, [id])
    changed, effect = evolve(stored, event, registration)
    if not effect.is_change or changed is None:
        raise NotFoundError("memory", id, f"it is not in namespace {namespace}")
    kept.put(changed, namespace, id, position)
    is_replaced = isinstance(stored, StoredMemory) and effect.kind is not EffectKind.RECALLED
    return effect, stored.record if is_replaced else None  # type: ignore[union-attr]
