"""Vectors kept beside the records, by the hash of what they were made from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from soma.stores.rows import whole_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SqliteVectorCache"]

PAGE = 500


class SqliteVectorCache:
    """A table of float32 vectors (little endian), by model revision and key: derived, and safe to drop.

    Parameters
    ----------
    connection : sqlite3.Connection
        Its transactions are the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, revision: str, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors that are there, by key."""
        found: dict[bytes, NDArray[np.float32]] = {}
        for start in range(0, len(keys), PAGE):
            page = keys[start : start + PAGE]
            marks = ",".join("?" * len(page))
            rows = self._connection.execute(
                f"SELECT key, vector FROM vectors WHERE revision = ? AND key IN ({marks})",  # noqa: S608 - only marks
                (revision, *page),
            )
            found |= whole_vectors(rows)
        return found

    def put(self, revision: str, vectors: dict[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors; the same key and revision always hold the same vector."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)",
            [(revision, key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()],
        )

    def keep_only(self, revision: str) -> None:
        """Drop the vectors of every other revision."""
        self._connection.execute("DELETE FROM vectors WHERE revision <> ?", (revision,))

    def drop_unused(self, keys: Iterable[bytes]) -> None:
        """Drop the vectors of ``keys``, of every revision, that no live memory refers to."""
        self._connection.executemany(
            "DELETE FROM vectors WHERE key = ?1"
            " AND NOT EXISTS (SELECT 1 FROM memories WHERE vector_key = ?1 AND is_live)",
            [(key,) for key in keys],
        )
