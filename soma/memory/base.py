"""What every part of a `Memory` stands on: its store, and how it is opened, counted and closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from soma.state.fields import as_uuid
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord

if TYPE_CHECKING:
    from uuid import UUID

    import numpy as np
    from numpy.typing import NDArray

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

    def records(self, ids: Iterable[UUID | str]) -> list[MemoryRecord]:
        """Return the records of live memories, in the order of their ids; from one reading.

        Raises
        ------
        NotFoundError
            If there is no such live memory.
        """
        wanted = [as_uuid("id", id) for id in ids]
        with self._store.storage.reading():
            return [memory.record for memory in self._store.live(wanted)]

    def vectors(self, records: Sequence[MemoryRecord]) -> NDArray[np.float32]:
        """Return the unit vectors of the texts of records, shape (n, d): those that the store keeps, where it does."""
        return self._store.vectors(records)

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
