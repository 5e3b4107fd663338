"""What the embedded memory asks of its stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    import numpy as np
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.state.events import Event
    from soma.state.namespace import Namespace
    from soma.state.query import Filter, Query
    from soma.state.record import Link
    from soma.state.stored import Stored, StoredMemory
    from soma.stores.rows import IndexRow

__all__ = ["EventLog", "Found", "KeyValueStore", "Storage", "VectorCache", "VectorIndex"]


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

    def keep_only(self, revision: str) -> None:
        """Drop the vectors of every other revision."""
        ...

    def drop_unused(self, keys: Iterable[bytes]) -> None:
        """Drop the vectors of ``keys``, of every revision, that no live memory refers to."""
        ...


class Found(NamedTuple):
    """What an index answers.

    Parameters
    ----------
    ids : list of UUID
        By falling score; ties go to the smaller id.
    scores : ndarray of float64, shape (n,)
        Their scores.
    columns : dict of str to ndarray
        Their features, by name.
    n_candidates : int
        How many memories counted.
    n_visited : int
        How many of them were read.
    way : str
        How they were found: ``"index"``, ``"index (fast)"`` by compiled kernels, or ``"Qdrant"``.
    """

    ids: list[UUID]
    scores: NDArray[np.float64]
    columns: dict[str, NDArray[Any]]
    n_candidates: int
    n_visited: int
    way: str = "index"


class VectorIndex(Protocol):
    """The vectors of one namespace, with what a policy needs to rank them: a projection, rebuilt from the log.

    An index that outlives the process remembers how far it has followed which log, so that it need not be filled
    again. It keeps a row of a later position than the one that is put in, in any order, and likewise what was removed.
    It is asked once it was told to `follow` what was put in.
    """

    def __len__(self) -> int:
        """Return the number of live memories."""
        ...

    def followed(self) -> tuple[str, int]:
        """Return the identity of the log that was followed, and the position up to which; ``("", 0)`` if none was."""
        ...

    def follow(self, log: str, position: int) -> None:
        """Remember that everything up to ``position`` of ``log`` has been put in."""
        ...

    def resume(self, rows: Callable[[], Sequence[IndexRow]]) -> None:
        """Take up what was put in before; what changed since comes next.

        An index that has not kept them itself reads ``rows``: those of all live memories.
        """
        ...

    def clear(self) -> None:
        """Take everything out, and forget what was followed."""
        ...

    def drop_others(self) -> None:
        """Remove what indexes by other models have left of the same namespace."""
        ...

    def upsert(self, rows: Sequence[IndexRow], vectors: Sequence[NDArray[np.float32]], position: int) -> None:
        """Put memories and their unit vectors in, as of a log position, or in the place of those of the same id."""
        ...

    def remove(self, ids: Iterable[UUID], position: int) -> None:
        """Take memories out as of a log position; those that are not in are passed over."""
        ...

    def search(
        self, query: Query, policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> Found | None:
        """Return the ``k`` best memories, exactly: what `soma.state.recall.rank` says, to the bit.

        None where the index cannot say, and the definition has to: for a filter that asks more than it keeps, or while
        others change it.
        """
        ...

    def search_batch(
        self, queries: Sequence[Query], policy: Policy, namespace: Namespace, now_s: float, k: int, keep: Filter
    ) -> list[Found] | None:
        """Return what `search` returns for each query, or None if it returned None for one."""
        ...

    def close(self) -> None:
        """Release what is held; closing twice is allowed."""
        ...


class Storage(Protocol):
    """Log, records and vector cache together, with one transaction over all of them."""

    @property
    def identity(self) -> str:
        """A name for this log alone, given when the store was made."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether every write is refused."""
        ...

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
