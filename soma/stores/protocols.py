"""What the embedded memory asks of its stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    import numpy as np
    from numpy.typing import NDArray

    from soma.state.events import Event
    from soma.state.namespace import Namespace
    from soma.state.record import Link
    from soma.state.stored import Stored, StoredMemory
    from soma.stores.rows import IndexRow

__all__ = ["EventLog", "KeyValueStore", "Storage", "VectorCache"]


class EventLog(Protocol):
    """The log: what lasts. Positions start at 1 and grow; an event id is appended once."""

    def append(self, event: Event) -> int | None:
        """Append one event and return its position, or None if its id stands in the log already."""
        ...

    def read(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield (position, event) for every position after ``after``, in order."""
        ...

    def keys(self, after: int) -> Iterable[tuple[str, UUID]]:
        """Return the (namespace, record id) that events after ``after`` are about, each once."""
        ...

    def head(self) -> int:
        """Return the last position, 0 if the log is empty."""
        ...


class KeyValueStore(Protocol):
    """What the log has made of each memory, link and namespace: a projection, rebuilt from the log."""

    def namespaces(self) -> dict[str, Namespace]:
        """Return every registration by name."""
        ...

    def register(self, namespace: Namespace) -> None:
        """Keep a registration."""
        ...

    def get(self, namespace: str, ids: Sequence[UUID]) -> list[Stored | None]:
        """Return the stored memories or tombstones of ``ids``, None where there never was one, in their order."""
        ...

    def put(self, stored: Stored, namespace: str, id: UUID, position: int) -> None:
        """Keep a stored memory or tombstone, as of a log position."""
        ...

    def live(self, namespace: str) -> list[StoredMemory]:
        """Return the live memories, ordered by id."""
        ...

    def index_rows(self, namespace: str) -> list[IndexRow]:
        """Return what an index keeps of every live memory, by their time."""
        ...

    def counts(self, namespace: str) -> dict[str, int]:
        """Return how many memories are live, by type, and how many were deleted."""
        ...

    def expired(self, namespace: str, now_s: float) -> list[UUID]:
        """Return the ids of live memories whose time has passed, ordered."""
        ...

    def link(self, namespace: str, source: UUID, target: UUID, link_type: str) -> Link | None:
        """Return one link, or None."""
        ...

    def put_link(self, namespace: str, link: Link, position: int) -> None:
        """Keep a link."""
        ...

    def drop_link(self, namespace: str, link: Link) -> None:
        """Drop a link."""
        ...

    def links(self, namespace: str) -> list[Link]:
        """Return the links whose two ends are live, ordered by source, target and type."""
        ...


class VectorCache(Protocol):
    """Vectors by the hash of what they were made from: derived, and safe to drop."""

    def get(self, revision: str, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors that are there, by key."""
        ...

    def put(self, revision: str, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors."""
        ...

    def drop_unused(self, keys: Iterable[bytes]) -> None:
        """Drop the vectors of ``keys``, of every revision, that no live memory refers to."""
        ...


class Storage(Protocol):
    """The three together, with one transaction over all of them."""

    @property
    def log(self) -> EventLog:
        """What lasts."""
        ...

    @property
    def records(self) -> KeyValueStore:
        """What the log has made of each memory."""
        ...

    @property
    def vectors(self) -> VectorCache:
        """Vectors already made."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Run a block as the one writer; everything in it lasts when the block ends, or nothing does."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Run a block on one snapshot; never waits for a writer."""
        ...

    def setting(self, name: str) -> str | None:
        """Return a setting kept with the store, or None."""
        ...

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        ...

    def close(self) -> None:
        """Release what is held; closing twice is allowed."""
        ...
