"""Memory: remember, recall, forget and link over an embedded, durable store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid5

from soma import lifecycle
from soma.embedded import EmbeddedStore
from soma.errors import InvalidParameterError
from soma.lab.recall import LabRecall
from soma.lifecycle import Consolidation
from soma.math import policy as policies
from soma.state.consolidation import Scales
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryUnlinked,
    MemoryUpdated,
)
from soma.state.fields import as_uuid
from soma.state.instant import Instant, to_seconds
from soma.state.links import Direction, LinkGraph
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.state.record import Link, MemoryRecord, MemoryType
from soma.state.serialization import record_to_json
from soma.state.stored import Effect, StoredMemory
from soma.state.transition import fold

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.embedding import Embedder
    from soma.math.policy import Policy
    from soma.state.minimal import MinimalSoma

__all__ = ["Memory"]

_IMPORT = UUID("0d0b6c52-7d1c-5b0e-8f1a-3a6b6f6c9b2d")

MAX_SKEW_S = 300.0
"""How far in the future a timestamp may lie, seconds: clocks differ."""


class Memory:
    """One namespace of a store: an event log, what the log has made of each memory, and an exact index.

    Every change is an event. It is in the log, on the disk, before the call returns; the index follows the log,
    also where another process wrote it. Make one with `soma.open`.

    Parameters
    ----------
    store : EmbeddedStore
        Where events go, and what the log has made of the namespace.
    """

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"Memory({self.namespace!r}, {len(self):,} memories, {self.embedder.revision})"

    def __len__(self) -> int:
        """Return the number of live memories."""
        return len(self._store)

    def __iter__(self) -> Iterator[MemoryRecord]:
        """Yield the live records, ordered by id."""
        with self._store.storage.reading():
            memories = self._store.storage.records.live(self._store.namespace)
        return (memory.record for memory in memories)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the store; closing twice is allowed."""
        self._store.storage.close()

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        return self._store.namespace

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of texts."""
        return self._store.embedder

    @property
    def registration(self) -> Namespace:
        """Dimension, frame, projector, trace constants and importance scale of the namespace."""
        return self._store.registration

    # -- writing ---------------------------------------------------------------------------------------------

    def remember(
        self,
        text: str | None = None,
        *,
        payload: Mapping[str, Any] | None = None,
        importance: int = 5,
        tags: Iterable[str] = (),
        timestamp: Instant | None = None,
        coordinate: ArrayLike | None = None,
        memory_type: str = MemoryType.EPISODIC,
        pinned: bool = False,
        expires_at: Instant | None = None,
        id: UUID | str | None = None,
    ) -> MemoryRecord:
        """Store a new memory and return its record.

        Parameters
        ----------
        text : str, optional
            What is embedded and searched by words; without it the strings of the payload are.
        payload : mapping, optional
            A JSON object kept with the memory.
        importance : int
            Raw; the namespace's scale maps it to [0, 1] (0 to 10 by default).
        tags : iterable of str
            Labels.
        timestamp : float, aware datetime or str, optional
            When it happened; now by default.
        coordinate : array_like, optional
            A point of the namespace's dimension; by default the namespace's projector gives one.
        memory_type : str
            ``"episodic"`` or ``"semantic"``.
        pinned : bool
            Never evicted, consolidated or expired.
        expires_at : float, aware datetime or str, optional
            From when on it is not recalled, and may be swept away.
        id : UUID or str, optional
            The identity; a fresh one by default.

        Returns
        -------
        MemoryRecord
            As stored.

        Raises
        ------
        InvalidParameterError
            For a field outside its domain; nothing is stored.
        SerializationError
            For a payload that JSON cannot carry; nothing is stored.
        StoreBusyError
            If another process keeps the store locked.
        """
        if payload is None and (text is None or text == "" or (isinstance(text, str) and text.isspace())):
            raise InvalidParameterError("text", text, "must hold words, or a payload be given")
        fields: dict[str, Any] = {
            "id": self._store.new_id() if id is None else id,
            "namespace": self.namespace,
            "coordinate": (0.0,) if coordinate is None else coordinate,
            "timestamp": self._store.clock() if timestamp is None else timestamp,
            "importance": importance,
            "payload": {} if payload is None else payload,
            "memory_type": memory_type,
            "text": text,
            "tags": tags,
            "pinned": pinned,
            "expires_at": expires_at,
        }
        record = MemoryRecord(**fields)
        if coordinate is None:
            (record,) = self._store.place([record])
        self.store(record)
        return record

    def place(self, records: Sequence[MemoryRecord]) -> list[MemoryRecord]:
        """Return records with the coordinates that the namespace's projector gives them."""
        return self._store.place(records)

    def store(self, record: MemoryRecord) -> Effect:
        """Store one record; a live memory of the same id is replaced and keeps its trace.

        Parameters
        ----------
        record : MemoryRecord
            Of this memory's namespace.

        Returns
        -------
        Effect
            ``created`` or ``replaced``.

        Raises
        ------
        InvalidParameterError
            For a record of another namespace or dimension, outside the frame, or from the future.
        SerializationError
            For a record that is too large.
        StoreBusyError
            If another process keeps the store locked.
        """
        return self.store_many([record])[0]

    def store_many(self, records: Sequence[MemoryRecord], *, is_history: bool = False) -> list[Effect]:
        """Store records in one transaction: all of them, or none.

        Parameters
        ----------
        records : sequence of MemoryRecord
            Of this memory's namespace.
        is_history : bool
            An import of the past: each event happened at its record's timestamp, not now, so that ``as_of`` finds
            the memory from then on. The same record again has no effect, also after it was forgotten.

        Returns
        -------
        list of Effect
            ``created`` or ``replaced`` (``duplicate`` in a repeated import), one for each record.

        Raises
        ------
        InvalidParameterError, SerializationError, StoreBusyError
            As `store`; nothing is stored.
        """
        now = self._store.clock()
        for record in records:
            if not isinstance(record, MemoryRecord):
                raise InvalidParameterError("record", record, "must be a MemoryRecord")
            if record.namespace != self.namespace:
                raise InvalidParameterError("namespace", record.namespace, f"must be {self.namespace}")
            if record.timestamp > now + MAX_SKEW_S:
                raise InvalidParameterError(
                    "timestamp", record.timestamp, f"must be at most {MAX_SKEW_S:.0f} s after now, {now:.0f}"
                )

        def events() -> Iterator[Event]:
            for record in records:
                (stored,) = self._store.storage.records.get(self.namespace, [record.id])
                kind = MemoryUpdated if isinstance(stored, StoredMemory) else MemoryCreated
                if is_history:  # the same record always gives the same event: an import repeated has no effect
                    event_id = uuid5(_IMPORT, hashlib.sha256(record_to_json(record)).hexdigest())
                    yield kind(event_id=event_id, at_s=record.timestamp, record=record)
                else:
                    yield kind(event_id=self._store.new_id(), at_s=now, record=record)

        return self._store.commit(events, records)

    def forget(self, id: UUID | str, *, reason: str = "forgotten") -> None:
        """Delete one memory; its events stay in the log, and storing it again brings it back.

        Parameters
        ----------
        id : UUID or str
            The memory.
        reason : str
            Kept in the log.

        Raises
        ------
        NotFoundError
            If there is no such live memory.
        """
        event = MemoryDeleted(
            event_id=self._store.new_id(),
            at_s=self._store.clock(),
            namespace=self.namespace,
            id=as_uuid("id", id),
            reason=reason,
        )
        self._store.commit(lambda: [event])

    def forget_expired(self) -> list[UUID]:
        """Delete the memories whose ``expires_at`` has passed, and return their ids."""
        return lifecycle.sweep(self._store)

    def consolidate(
        self,
        scales: Scales,
        *,
        now: Instant | None = None,
        dry_run: bool = False,
        summarise: Callable[[Sequence[MemoryRecord]], str] | None = None,
    ) -> Consolidation:
        """Represent old memories at coarser scales; their importance and their accesses are conserved.

        Parameters
        ----------
        scales : Scales
            From which age on, and how much coarser each band of age is.
        now : float, aware datetime or str, optional
            For a dry run: the time that ages are counted to. Without it the clock's.
        dry_run : bool
            Say what would be done, and change nothing.
        summarise : callable, optional
            Returns the text for a group of records; by default the most central of their texts.

        Returns
        -------
        Consolidation
            How many memories there were, what they became, and the new ones.

        Raises
        ------
        InvalidParameterError
            For a namespace without a frame, or with fewer levels than the scales; for another time than the present
            that is no dry run.
        """
        if now is not None and not dry_run:
            raise InvalidParameterError("now", now, "must come with dry_run: what is done is done at the present")
        now_s = self._store.clock() if now is None else to_seconds("now", now)
        return lifecycle.run_consolidation(self._store, scales, now_s=now_s, is_dry_run=dry_run, summarise=summarise)

    def link(self, source: UUID | str, target: UUID | str, link_type: str = "related", weight: float = 1.0) -> None:
        """Link two memories, or set the weight of their link.

        Parameters
        ----------
        source, target : UUID or str
            Live memories of this namespace.
        link_type : str
            What the link means.
        weight : float
            Strength, > 0.

        Raises
        ------
        NotFoundError
            If an end is not a live memory.
        """
        event = MemoryLinked(
            event_id=self._store.new_id(),
            at_s=self._store.clock(),
            namespace=self.namespace,
            source=as_uuid("source", source),
            target=as_uuid("target", target),
            link_type=link_type,
            weight=weight,
        )

        def events() -> Iterator[Event]:
            self._store.live([event.source, event.target])
            yield event

        self._store.commit(events)

    def unlink(self, source: UUID | str, target: UUID | str, link_type: str = "related") -> None:
        """Remove a link.

        Raises
        ------
        NotFoundError
            If there is no such link.
        """
        event = MemoryUnlinked(
            event_id=self._store.new_id(),
            at_s=self._store.clock(),
            namespace=self.namespace,
            source=as_uuid("source", source),
            target=as_uuid("target", target),
            link_type=link_type,
        )
        self._store.commit(lambda: [event])

    # -- reading ---------------------------------------------------------------------------------------------

    def retrieve(self, id: UUID | str) -> StoredMemory:
        """Return one memory: its record, version, trace and recalls.

        Raises
        ------
        NotFoundError
            If there is no such live memory.
        """
        with self._store.storage.reading():
            return self._store.live([as_uuid("id", id)])[0]

    def links(self, id: UUID | str | None = None) -> list[Link]:
        """Return the links whose ends are live, of one memory or of all, ordered by source, target and type."""
        with self._store.storage.reading():
            links = self._store.storage.records.links(self.namespace)
        wanted = None if id is None else as_uuid("id", id)
        return [link for link in links if wanted is None or wanted in (link.source, link.target)]

    def graph(self, direction: Direction = "out") -> LinkGraph:
        """Return these links as a graph to be followed "out", "in" or "both": neighbours, paths, spreading."""
        return LinkGraph(tuple(self.links()), direction)

    def recall(
        self,
        query: Query | str | ArrayLike,
        *,
        k: int = 5,
        policy: Policy | None = None,
        now: Instant | None = None,
        as_of: Instant | None = None,
        state: MinimalSoma | None = None,
        strengthen: bool = False,
        tags: Iterable[str] = (),
        memory_type: str | None = None,
    ) -> LabRecall:
        """Return the ``k`` best memories under a policy, exactly and explained.

        Parameters
        ----------
        query : str, Query or array_like
            Words, embedded here; a `Query`; or a coordinate.
        k : int
            How many at most, >= 1.
        policy : Policy, optional
            The score; `soma.math.policy.default` without one.
        now : float, aware datetime or str, optional
            The time that ages are counted to; the clock's by default. The memories are those of today.
        as_of : float, aware datetime or str, optional
            Travel in time: the memories are those of that instant, and so is ``now``.
        state : MinimalSoma, optional
            What if: the memories are those of this state, such as a fold of `as_of` and other events.
        strengthen : bool
            Record that the hits were recalled, which strengthens their traces.
        tags : iterable of str
            Only memories that carry all of these.
        memory_type : str, optional
            Only ``"episodic"`` or only ``"semantic"`` memories.

        Returns
        -------
        LabRecall
            Hits by falling score; ties go to the smaller id.

        Raises
        ------
        InvalidParameterError
            For an argument outside its domain, or a query that cannot give what the policy needs.
        """
        if as_of is not None and (now is not None or state is not None):
            raise InvalidParameterError("as_of", as_of, "must stand without now and state, which it gives")
        if strengthen and (as_of is not None or state is not None):
            raise InvalidParameterError("strengthen", strengthen, "must be false for another state than today's")
        asked = self._store.ask(query)
        scored = policies.or_default(policy)
        if as_of is not None:
            state, now = self.as_of(as_of), as_of
        now_s = self._store.clock() if now is None else to_seconds("now", now)
        if state is not None:
            if self.namespace not in state.namespaces:
                state, _ = state.register(self._store.registration)
            return LabRecall.of(
                state.recall(
                    asked,
                    now_s=now_s,
                    k=k,
                    policy=scored,
                    namespace=self.namespace,
                    tags=tags,
                    memory_type=memory_type,
                    vectors=self._store.vectors,
                )
            )
        found = self._store.search(asked, scored, now_s, k, Filter.of(tags=tags, memory_type=memory_type))
        if strengthen and found.hits:
            lifecycle.strengthen(self._store, [hit.record.id for hit in found])
        return LabRecall.of(found)

    def as_of(self, instant: Instant) -> MinimalSoma:
        """Return the state of the whole store at an instant: the fold of the events up to then."""
        with self._store.storage.reading():
            events = [event for _, event in self._store.storage.log.read()]
        return fold(events, until_s=instant)

    def events(self) -> Iterator[Event]:
        """Yield the events of this namespace, in the order of the log."""
        with self._store.storage.reading():
            events = [event for _, event in self._store.storage.log.read() if event.key[0] == self.namespace]
        return iter(events)

    def stats(self) -> dict[str, Any]:
        """Return counts and constants of the namespace, as JSON values."""
        with self._store.storage.reading():
            counts = self._store.storage.records.counts(self.namespace)
            head, links = (
                self._store.storage.log.head(),
                len(self._store.storage.records.links(self.namespace)),
            )
        return {
            "namespace": self.namespace,
            "episodic": counts.get("episodic", 0),
            "semantic": counts.get("semantic", 0),
            "deleted": counts.get("deleted", 0),
            "links": links,
            "events": head,
            "dimension": self.registration.dimension,
            "embedder": self.embedder.revision,
        }
