"""What every part of a `Memory` stands on: its store, and how it is opened, counted and closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from soma.embedded import EmbeddedStore
    from soma.embedding import Embedder

__all__ = ["MemoryBase"]


class MemoryBase:
    """One namespace of a store.

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
        """Release the store and its index; closing twice is allowed."""
        self._store.index.close()
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
