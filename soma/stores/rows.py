"""What an index keeps of a memory, and what its vector is made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError, StoreError
from soma.state.record import MemoryRecord
from soma.state.stored import StoredMemory

__all__ = ["IndexRow", "index_row", "undamaged", "vector_key", "whole_vectors"]

T = TypeVar("T")


class IndexRow(NamedTuple):
    """What an index keeps of a live memory beside its vector."""

    id: UUID
    timestamp_s: float
    last_used_s: float
    importance: int
    memory_type: str
    expires_at_s: float | None
    tags: tuple[str, ...]
    vector_key: bytes


def vector_key(record: MemoryRecord) -> bytes:
    """Return the hash of what a record's vector is made from: its text, or its precomputed embedding."""
    if record.embedding is not None:
        return _embedding_key(record.embedding)
    return hashlib.sha256(b"text " + record.searchable_text.encode()).digest()


@lru_cache(maxsize=2_048)  # a record's key is asked for by each step of one write, and its JSON costs a millisecond
def _embedding_key(embedding: tuple[float, ...]) -> bytes:
    return hashlib.sha256(b"embedding " + canonical_json.dumps(embedding)).digest()


def index_row(memory: StoredMemory) -> IndexRow:
    """Return what an index keeps of a memory."""
    record = memory.record
    return IndexRow(
        record.id,
        record.timestamp,
        memory.last_used_s,
        record.importance,
        record.memory_type.value,
        record.expires_at,
        record.tags,
        vector_key(record),
    )


def undamaged(read: Callable[[str], T], text: str, what: str) -> T:
    """Return what a text kept in a store says, or raise `StoreError` that names it: soma wrote it otherwise."""
    try:
        return read(text)
    except (SerializationError, InvalidParameterError) as error:
        raise StoreError(f"the store is damaged at {what} ({error}): restore it from a backup") from error


def whole_vectors(blobs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, NDArray[np.float32]]:
    """Return kept vectors by key; what is no vector is left out, and made again."""
    return {key: np.frombuffer(blob, dtype="<f4") for key, blob in blobs if blob and len(blob) % 4 == 0}
