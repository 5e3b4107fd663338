"""Time travel: the log, the states that it has been through, and how an old version comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from soma.errors import InvalidParameterError
from soma.memory.base import MemoryBase
from soma.state.events import Event, NamespaceRegistered
from soma.state.fields import as_uuid
from soma.state.history import Change, Moment, Position, history, restoring, versions
from soma.state.instant import to_seconds
from soma.state.record import MemoryRecord
from soma.state.transition import fold

if TYPE_CHECKING:
    from soma.state.minimal import MinimalSoma

__all__ = ["Travelling"]


class Travelling(MemoryBase):
    """Verbs that look into the log."""

    def as_of(self, moment: Moment) -> MinimalSoma:
        """Return the state of this namespace at an instant, or at a place in the log: the fold up to there.

        Parameters
        ----------
        moment : float, aware datetime, str or Position
            World time: what had happened by then, whenever it was written down. `soma.Position`: what the log held
            then, whenever it happened.

        Returns
        -------
        MinimalSoma
            A value of its own: `soma.fold` further events onto it, recall from it.

        Raises
        ------
        InvalidParameterError
            For what is no instant, or for a position beyond the log's head.
        """
        if isinstance(moment, Position):
            return fold(event for _, event in self._entries(moment))
        return fold((event for _, event in self._entries()), until_s=to_seconds("as_of", moment))

    def events(self) -> Iterator[Event]:
        """Yield the events of this namespace, in the order of the log."""
        return iter([event for _, event in self._entries()])

    def head(self) -> Position:
        """Return the place of the last entry in the store's log: for `as_of`, to come back to this state."""
        with self._store.storage.reading():
            return Position(self._store.storage.log.head())

    def history(self, id: UUID | str) -> tuple[Change, ...]:
        """Return everything that happened to one memory and to its links, in the order of the log.

        Parameters
        ----------
        id : UUID or str
            The memory, live or deleted.

        Returns
        -------
        tuple of Change
            Empty for an id that the namespace never held.
        """
        return history(self._entries(), self.registration, as_uuid("id", id))

    def versions(self, id: UUID | str) -> tuple[Change, ...]:
        """Return what one memory has been: each time that its record was written or deleted.

        Parameters
        ----------
        id : UUID or str
            The memory, live or deleted.
        """
        return versions(self.history(id))

    def restore(self, id: UUID | str, *, version: int | None = None, as_of: Moment | None = None) -> MemoryRecord:
        """Bring an old version of a memory back, and return its record. The log keeps what was in between.

        Parameters
        ----------
        id : UUID or str
            The memory, live or deleted.
        version : int, optional
            The version that is wanted, as `versions` numbers them.
        as_of : float, aware datetime, str or Position, optional
            Or: the last version up to then. By default the last record of a deleted memory, which comes back with the
            accesses that it had; for a live one the record before its present one.

        Raises
        ------
        NotFoundError
            If there is no such version, or the memory was deleted then.
        InvalidParameterError
            If both are given.
        """
        wanted = as_uuid("id", id)
        until = as_of if as_of is None or isinstance(as_of, Position) else to_seconds("as_of", as_of)
        made: list[MemoryRecord] = []

        def events() -> Iterator[Event]:
            event = restoring(
                self.history(wanted),
                self.registration,
                event_id=self._store.new_id(),
                at_s=self._store.clock(),
                version=version,
                until=until,
            )
            made.append(event.record)
            yield event

        self._store.commit(events)
        return made[0]

    def _instant_of(self, position: Position) -> float:
        """Return the time of the last event up to a place in the log, POSIX seconds."""
        return max((event.at_s for _, event in self._entries(position)), default=self._store.clock())

    def _entries(self, until: Position | None = None) -> list[tuple[int, Event]]:
        with self._store.storage.reading():
            head = self._store.storage.log.head()
            if until is not None and until.value > head:
                raise InvalidParameterError("position", until.value, f"must be at most {head:,}, the head of the log")
            last = head if until is None else until.value
            return [
                (position, event)
                for position, event in self._store.storage.log.read()
                if event.key[0] == self.namespace and (position <= last or isinstance(event, NamespaceRegistered))
            ]
