"""Memories, links and registrations as SQLite tables of JSON."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from soma import canonical_json
from soma.state.namespace import Namespace
from soma.state.record import Link
from soma.state.serialization import stored_from_json, stored_to_json
from soma.state.stored import Stored, StoredMemory
from soma.stores.rows import IndexRow, index_row, undamaged

__all__ = ["SqliteKeyValueStore"]

PAGE = 500


class SqliteKeyValueStore:
    """What the log has made of each memory, as canonical JSON, with the columns that an index loads.

    Parameters
    ----------
    connection : sqlite3.Connection
        Its transactions are the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def namespaces(self) -> dict[str, Namespace]:
        """Return every registration by name."""
        rows = self._connection.execute("SELECT name, json FROM namespaces ORDER BY name")
        return {name: Namespace.from_dict(_object(text)) for name, text in rows}

    def register(self, namespace: Namespace) -> None:
        """Keep a registration."""
        text = canonical_json.dumps(namespace.to_dict()).decode()
        self._connection.execute("INSERT INTO namespaces VALUES (?, ?)", (namespace.name, text))

    def get(self, namespace: str, ids: Sequence[UUID]) -> list[Stored | None]:
        """Return the stored memories or tombstones of ``ids``, None where there never was one, in their order."""
        found: dict[bytes, Stored] = {}
        for start in range(0, len(ids), PAGE):
            page = [id.bytes for id in ids[start : start + PAGE]]
            marks = ",".join("?" * len(page))
            rows = self._connection.execute(
                f"SELECT id, json FROM memories WHERE namespace = ? AND id IN ({marks})",  # noqa: S608 - only marks
                (namespace, *page),
            )
            found.update((id, _stored(text, id)) for id, text in rows)
        return [found.get(id.bytes) for id in ids]

    def put(self, stored: Stored, namespace: str, id: UUID, position: int) -> None:
        """Keep a stored memory or tombstone, as of a log position."""
        text = stored_to_json(stored).decode()
        columns: tuple[Any, ...] = (None,) * 7
        if isinstance(stored, StoredMemory):
            row = index_row(stored)
            tags = canonical_json.dumps(row.tags).decode()
            columns = (
                row.timestamp_s,
                row.last_used_s,
                row.importance,
                row.memory_type,
                row.expires_at_s,
                tags,
                row.vector_key,
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO memories VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (namespace, id.bytes, position, text, isinstance(stored, StoredMemory), *columns),
        )

    def live(self, namespace: str) -> list[StoredMemory]:
        """Return the live memories, ordered by id."""
        rows = self._connection.execute(
            "SELECT id, json FROM memories WHERE namespace = ? AND is_live ORDER BY id", (namespace,)
        )
        return [memory for id, text in rows if isinstance(memory := _stored(text, id), StoredMemory)]

    def index_rows(self, namespace: str) -> list[IndexRow]:
        """Return what an index keeps of every live memory, by their time."""
        rows = self._connection.execute(
            "SELECT id, timestamp_s, last_used_s, importance, memory_type, expires_at_s, tags, vector_key"
            " FROM memories WHERE namespace = ? AND is_live ORDER BY timestamp_s, id",
            (namespace,),
        )
        return [
            IndexRow(UUID(bytes=id), timestamp_s, last_used_s, importance, memory_type, expires_at_s, _tags(tags), key)
            for id, timestamp_s, last_used_s, importance, memory_type, expires_at_s, tags, key in rows
        ]

    def counts(self, namespace: str) -> dict[str, int]:
        """Return how many memories are live, by type, and how many were deleted."""
        rows = self._connection.execute(
            "SELECT coalesce(memory_type, 'deleted'), count(*) FROM memories WHERE namespace = ? GROUP BY 1",
            (namespace,),
        )
        return dict(rows)

    def expired(self, namespace: str, now_s: float) -> list[UUID]:
        """Return the ids of live memories whose time has passed, ordered."""
        rows = self._connection.execute(
            "SELECT id FROM memories WHERE namespace = ? AND is_live AND expires_at_s <= ? ORDER BY id",
            (namespace, now_s),
        )
        return [UUID(bytes=id) for (id,) in rows]

    def link(self, namespace: str, source: UUID, target: UUID, link_type: str) -> Link | None:
        """Return one link, or None."""
        row = self._connection.execute(
            "SELECT source, target, type, weight, at_s FROM links"
            " WHERE namespace = ? AND source = ? AND target = ? AND type = ?",
            (namespace, source.bytes, target.bytes, link_type),
        ).fetchone()
        return None if row is None else _link(row)

    def put_link(self, namespace: str, link: Link, position: int) -> None:
        """Keep a link."""
        self._connection.execute(
            "INSERT OR REPLACE INTO links VALUES (?, ?, ?, ?, ?, ?, ?)",
            (namespace, link.source.bytes, link.target.bytes, link.type, link.weight, link.at_s, position),
        )

    def drop_link(self, namespace: str, link: Link) -> None:
        """Drop a link."""
        self._connection.execute(
            "DELETE FROM links WHERE namespace = ? AND source = ? AND target = ? AND type = ?",
            (namespace, link.source.bytes, link.target.bytes, link.type),
        )

    def links(self, namespace: str) -> list[Link]:
        """Return the links whose two ends are live, ordered by source, target and type."""
        rows = self._connection.execute(
            "SELECT source, target, type, weight, at_s FROM links AS l WHERE namespace = ?1"
            " AND EXISTS (SELECT 1 FROM memories WHERE namespace = ?1 AND id = l.source AND is_live)"
            " AND EXISTS (SELECT 1 FROM memories WHERE namespace = ?1 AND id = l.target AND is_live)"
            " ORDER BY source, target, type",
            (namespace,),
        )
        return [_link(row) for row in rows]


def _stored(text: str, id: bytes) -> Stored:
    return undamaged(stored_from_json, text, f"memory {UUID(bytes=id)}")


def _link(row: tuple[bytes, bytes, str, float, float]) -> Link:
    return Link(UUID(bytes=row[0]), UUID(bytes=row[1]), *row[2:])


def _tags(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(str(tag) for tag in json.loads(text))


def _object(text: str) -> dict[str, Any]:
    value = canonical_json.loads(text)
    assert isinstance(value, dict)  # noqa: S101 - written by register, for the type checker
    return value
