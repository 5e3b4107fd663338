"""What changes a memory: remember, store, forget, link."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid5

from soma.errors import InvalidParameterError
from soma.memory.base import MemoryBase
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryUnlinked,
    MemoryUpdated,
)
from soma.state.fields import as_uuid
from soma.state.instant import Instant
from soma.state.record import MemoryRecord, MemoryType, render_text
from soma.state.salience import salience
from soma.state.serialization import record_to_json
from soma.state.stored import Effect, StoredMemory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Writing"]

_IMPORT = UUID("0d0b6c52-7d1c-5b0e-8f1a-3a6b6f6c9b2d")

MAX_SKEW_S = 300.0
"""How far in the future a timestamp may lie, seconds: clocks differ."""


class Writing(MemoryBase):
    """Verbs that append events."""

    def remember(
        self,
        text: str | None = None,
        *,
        payload: Mapping[str, Any] | None = None,
        importance: int | Literal["auto"] = 5,
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
            Raw; the namespace's scale maps it to [0, 1] (0 to 10 by default). With ``"auto"`` it is read off the
            words, from 1 to 10, by the rule of `soma.state.salience`.
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
        if importance == "auto":
            importance = salience(text if isinstance(text, str) else render_text(payload or {})).importance
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
