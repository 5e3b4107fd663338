"""Vectors kept in Redis by the hash of what they were made from: derived, and safe to drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from soma.stores.rows import whole_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from redis import Redis
    from redis.client import Pipeline

__all__ = ["RedisVectorCache"]


class RedisVectorCache:
    """One hash of float32 vectors (little endian) for each model revision.

    Parameters
    ----------
    client : redis.Redis
        The server.
    prefix : str
        First part of the keys.
    is_used : callable
        Whether a live memory refers to a key.
    translated : callable
        Returns a context in which the driver's errors become soma's.
    """

    def __init__(
        self,
        client: Redis,
        prefix: str,
        is_used: Callable[[bytes], bool],
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._is_used = is_used
        self._translated = translated
        self._new: dict[str, dict[bytes, bytes]] = {}
        self._dropped: set[bytes] = set()
        self._only: str | None = None

    def get(self, revision: str, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors that are there, by key."""
        if not keys:
            return {}
        with self._translated():
            kept: Any = self._client.hmget(self._name(revision), list(keys))
        if self._only not in (None, revision):
            kept = [None] * len(keys)
        found = {key: blob for key, blob in zip(keys, kept, strict=True) if blob is not None}
        found = {key: blob for key, blob in found.items() if key not in self._dropped}
        new = self._new.get(revision, {})
        found |= {key: new[key] for key in keys if key in new}
        return whole_vectors(found.items())

    def put(self, revision: str, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors with the transaction; the same key and revision always hold the same vector."""
        self._dropped -= vectors.keys()
        made = {key: vector.astype("<f4").tobytes() for key, vector in vectors.items()}
        self._new.setdefault(revision, {}).update(made)

    def keep_only(self, revision: str) -> None:
        """Drop the vectors of every other revision, with the transaction."""
        self._only = revision
        self._new = {name: vectors for name, vectors in self._new.items() if name == revision}

    def drop_unused(self, keys: Iterable[bytes]) -> None:
        """Drop the vectors of ``keys``, of every revision, that no live memory refers to, with the transaction."""
        unused = {key for key in keys if not self._is_used(key)}
        self._dropped |= unused
        for vectors in self._new.values():
            for key in unused:
                vectors.pop(key, None)

    def revisions(self) -> list[str]:
        """Return the revisions that there are vectors of."""
        names: Any = self._client.smembers(f"{self._prefix}:revisions")
        return [name.decode() for name in names]

    def write(self, pipe: Pipeline, revisions: Sequence[str]) -> None:
        """Put what the transaction has gathered into its pipeline.

        Parameters
        ----------
        pipe : redis.client.Pipeline
            In MULTI.
        revisions : sequence of str
            Those there were when the transaction began.
        """
        for revision in revisions:
            if self._only not in (None, revision):
                pipe.delete(self._name(revision))
                pipe.srem(f"{self._prefix}:revisions", revision)
            elif self._dropped:
                pipe.hdel(self._name(revision), *self._dropped)
        for revision, vectors in self._new.items():
            if vectors:
                pipe.hset(self._name(revision), mapping=dict(vectors.items()))
                pipe.sadd(f"{self._prefix}:revisions", revision)

    def forget(self) -> None:
        """Forget what the transaction has gathered."""
        self._new, self._dropped, self._only = {}, set(), None

    def _name(self, revision: str) -> str:
        return f"{self._prefix}:vectors:{revision}"
