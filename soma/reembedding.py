"""A store's vectors by another model: made beside the old ones, batch by batch, then swapped in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from soma.embedded import EmbeddedStore, take
from soma.embedding import record_vectors
from soma.errors import InvalidParameterError
from soma.math import projection
from soma.state.events import MemoryUpdated
from soma.state.namespace import Namespace
from soma.state.stored import StoredMemory
from soma.stores.rows import vector_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.embedding import Embedder
    from soma.stores.protocols import Storage, VectorIndex

__all__ = ["Reembedded", "reembed_storage"]

PAGE = 10_000
TOLERANCE = 1e-9
"""How far a coordinate may lie from the projection of its vector and still count as made by it."""


@dataclass(frozen=True, slots=True)
class Reembedded:
    """What a re-embedding did.

    Parameters
    ----------
    before, after : str or None
        Revisions of the embedders.
    n_made : int
        Vectors made by this run; those of a run that was broken off stand already.
    n_moved : int
        Memories whose coordinate the projector had given: it gave them another.
    """

    before: str | None
    after: str
    n_made: int
    n_moved: int


def reembed_storage(
    storage: Storage,
    embedder: Embedder,
    *,
    name: str,
    clock: Callable[[], float],
    new_id: Callable[[], UUID],
    batch: int = 256,
    progress: Callable[[int, int], None] | None = None,
    index_of: Callable[[str], VectorIndex] | None = None,
) -> Reembedded:
    """Give every live memory of a storage a vector by another embedder, and make that one the storage's own.

    Vectors are kept by revision, so that the new ones grow beside the old, a batch in a transaction: whoever reads
    meanwhile reads the old. Broken off, it goes on where it stopped when it is called again. The last transaction
    swaps: it moves the coordinates that the projector had given, as events, names the embedder, and drops the old
    vectors. Indexes that outlive the process are filled beside the old ones before that transaction, and take their
    place with it.

    Parameters
    ----------
    storage : Storage
        Open for writing. Whoever has it open with the old embedder can write no more, and is told to open it again.
    embedder : Embedder
        From texts to vectors.
    name : str
        What the embedder is known by at the next opening.
    clock, new_id : callable
        Return the time, POSIX seconds, and a fresh UUID.
    batch : int
        Texts in a transaction, >= 1.
    progress : callable, optional
        Called after each batch with the number of vectors there are, and the number there will be.
    index_of : callable, optional
        Opens, for the name of a namespace, the index that keeps its new vectors.

    Returns
    -------
    Reembedded
        What was done.

    Raises
    ------
    InvalidParameterError
        For a batch below 1.
    StoreBusyError
        If another process keeps the store locked; what was made is kept.

    Notes
    -----
    Laws: ``property_tests/stores/test_reembed.py``.
    """
    if batch < 1:
        raise InvalidParameterError("batch", batch, "must be >= 1")
    before, n_made = storage.setting("embedder"), 0
    followers: dict[str, EmbeddedStore] = {}
    try:
        while True:
            n_made += _make(storage, embedder, batch, progress)
            if index_of is not None:
                _follow(followers, storage, embedder, before, index_of, clock, new_id)
            with storage.writing():
                if _missing(storage, embedder)[0]:  # somebody wrote between the last batch and the lock
                    continue
                n_moved = sum(
                    _move(storage, embedder, namespace, before, clock(), new_id)
                    for namespace in storage.records.namespaces().values()
                )
                storage.set_setting("embedder", embedder.revision)
                storage.set_setting("embedder_name", name)
                storage.vectors.keep_only(embedder.revision)
            for follower in followers.values():
                len(follower)  # follows the moves
                follower.index.drop_others()
            return Reembedded(before, embedder.revision, n_made, n_moved)
    finally:
        for follower in followers.values():
            follower.index.close()


def _follow(
    followers: dict[str, EmbeddedStore],
    storage: Storage,
    embedder: Embedder,
    before: str | None,
    index_of: Callable[[str], VectorIndex],
    clock: Callable[[], float],
    new_id: Callable[[], UUID],
) -> None:
    """Fill the index of every namespace, beside that of the model before; one by the same model is filled again."""
    with storage.reading():
        namespaces = storage.records.namespaces()
    for name, namespace in namespaces.items():
        if name in followers:
            len(followers[name])
            continue
        index = index_of(name)
        try:
            if before == embedder.revision:
                index.clear()
            followers[name] = EmbeddedStore(storage, namespace, embedder, index, clock=clock, new_id=new_id)
        except BaseException:
            index.close()
            raise


def _make(storage: Storage, embedder: Embedder, batch: int, progress: Callable[[int, int], None] | None) -> int:
    """Make the vectors that are missing; return how many."""
    with storage.reading():
        missing, n_all = _missing(storage, embedder)
    done = 0
    for start in range(0, len(missing), batch):
        page = missing[start : start + batch]
        with storage.reading():
            live = [memory for key in page for memory in _live(storage, *key)]
        records = {vector_key(memory.record): memory.record for memory in live}
        vectors = dict(zip(records, record_vectors(embedder, list(records.values())), strict=True))
        with storage.writing():
            storage.vectors.put(embedder.revision, vectors)
        done += len(vectors)
        if progress is not None:
            progress(n_all - len(missing) + start + len(page), n_all)
    return done


def _missing(storage: Storage, embedder: Embedder) -> tuple[list[tuple[str, UUID]], int]:
    """Return one memory for each vector that is missing, and how many vectors there will be."""
    of_key: dict[bytes, tuple[str, UUID]] = {}
    for name in storage.records.namespaces():
        of_key |= {row.vector_key: (name, row.id) for row in storage.records.index_rows(name)}
    keys, known = list(of_key), set[bytes]()
    for start in range(0, len(keys), PAGE):
        known |= storage.vectors.get(embedder.revision, keys[start : start + PAGE]).keys()
    return [place for key, place in of_key.items() if key not in known], len(of_key)


def _live(storage: Storage, namespace: str, id: UUID) -> list[StoredMemory]:
    return [memory for memory in storage.records.get(namespace, [id]) if isinstance(memory, StoredMemory)]


def _move(
    storage: Storage,
    embedder: Embedder,
    namespace: Namespace,
    before: str | None,
    at_s: float,
    new_id: Callable[[], UUID],
) -> int:
    """Give the memories that the projector had placed by their old vectors the place of their new ones."""
    projector = namespace.projector
    if projector is None or before in (None, embedder.revision):
        return 0
    live = storage.records.live(namespace.name)
    keys = [vector_key(memory.record) for memory in live]
    old = storage.vectors.get(before or "", keys)
    placed = [memory for memory, key in zip(live, keys, strict=True) if key in old]
    if not placed:
        return 0
    seed, n = projector.seed, namespace.dimension
    was = _project([old[vector_key(memory.record)] for memory in placed], seed, n)
    at = np.array([memory.record.coordinate for memory in placed])
    moved = [placed[row] for row in np.flatnonzero(np.abs(was - at).max(axis=1) <= TOLERANCE)]
    if not moved:
        return 0
    new = storage.vectors.get(embedder.revision, [vector_key(memory.record) for memory in moved])
    points = _project([new[vector_key(memory.record)] for memory in moved], seed, n).tolist()
    cause_id = new_id()
    for memory, point in zip(moved, points, strict=True):
        record = replace(memory.record, coordinate=tuple(point))
        take(storage, namespace, MemoryUpdated(event_id=new_id(), at_s=at_s, cause_id=cause_id, record=record))
    return len(moved)


def _project(vectors: Sequence[NDArray[np.float32]], seed: int, dimension: int) -> NDArray[np.float64]:
    stacked = np.stack(vectors)
    return projection.project(stacked, projection.orthogonal_axes(seed, stacked.shape[1], dimension))
