"""The event log as a SQLite table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from uuid import UUID

from soma.state.events import Event
from soma.state.serialization import event_from_json, event_to_json
from soma.stores.rows import undamaged

__all__ = ["SqliteEventLog"]

PAGE = 1_000


class SqliteEventLog:
    """An append-only table of canonical JSON; the event id is unique in it.

    Parameters
    ----------
    connection : sqlite3.Connection
        Its transactions are the caller's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, event: Event) -> int | None:
        """Append one event and return its position, or None if its id stands in the log already."""
        namespace, record_id = event.key
        cursor = self._connection.execute(
            "INSERT INTO events (event_id, type, namespace, record_id, at_s, json) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (event_id) DO NOTHING",
            (
                event.event_id.bytes,
                event.type,
                namespace,
                None if record_id is None else record_id.bytes,
                event.at_s,
                event_to_json(event).decode(),
            ),
        )
        return cursor.lastrowid if cursor.rowcount == 1 else None

    def read(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield (position, event) for every position after ``after``, in order."""
        while True:
            page = self._connection.execute(
                "SELECT position, json FROM events WHERE position > ? ORDER BY position LIMIT ?",
                (after, PAGE),
            ).fetchall()
            if not page:
                return
            for position, text in page:
                yield position, undamaged(event_from_json, text, f"position {position} of its log")
            after = page[-1][0]

    def keys(self, after: int) -> list[tuple[str, UUID]]:
        """Return the (namespace, record id) that events after ``after`` are about, each once."""
        rows = self._connection.execute(
            "SELECT DISTINCT namespace, record_id FROM events WHERE position > ? AND record_id IS NOT NULL",
            (after,),
        )
        return [(namespace, UUID(bytes=id)) for namespace, id in rows]

    def head(self) -> int:
        """Return the last position, 0 if the log is empty."""
        return int(self._connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])
