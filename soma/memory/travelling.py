"""Time travel: the log and the states that it has been through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from soma.memory.base import MemoryBase
from soma.state.events import Event
from soma.state.instant import Instant
from soma.state.transition import fold

if TYPE_CHECKING:
    from soma.state.minimal import MinimalSoma

__all__ = ["Travelling"]


class Travelling(MemoryBase):
    """Verbs that look into the log."""

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
