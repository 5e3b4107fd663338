"""Stored memories as rows of Postgres, and back: what is read equals what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from soma.math.multiscale import Trace
from soma.state.record import MemoryRecord
from soma.state.stored import Stored, StoredMemory, Tombstone
from soma_export.contract.message import Position

__all__ = ["COLUMNS", "READ_COLUMNS", "TYPES", "dumps", "row_of", "stored_of"]

TYPES: Final[Mapping[str, str]] = {
    "namespace": "text",
    "id": "uuid",
    "version": "bigint",
    "topic_id": "text",
    "partition": "integer",
    "offset": "bigint",
    "coordinate": "double precision[]",
    "payload": "jsonb",
    "memory_type": "text",
    "timestamp": "double precision",
    "importance": "bigint",
    "text": "text",
    "tags": "text[]",
    "pinned": "boolean",
    "expires_at": "double precision",
    "embedding": "double precision[]",
    "model_revision": "text",
    "extras": "jsonb",
    "trace_at": "double precision",
    "trace": "double precision[]",
    "n_recalls": "bigint",
    "last_recalled": "double precision",
    "deleted_at": "double precision",
    "delete_reason": "text",
    "deleted_into": "uuid",
}
"""Every column of ``memories`` with its type, in the order of `row_of`."""

COLUMNS: Final = tuple(TYPES)
READ_COLUMNS: Final = ", ".join(f'm."{name}"' for name in COLUMNS)
"""The columns as a query on ``memories AS m`` selects them for `stored_of`."""

OF_RECORD: Final = COLUMNS[6:18]

dumps: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""From a JSON value to text, for a column of type jsonb."""


def row_of(namespace: str, id: UUID, stored: Stored, position: Position) -> tuple[Any, ...]:
    """Return the row of one memory, a value for each of `COLUMNS`.

    Parameters
    ----------
    namespace : str
        Its namespace.
    id : UUID
        Its id.
    stored : StoredMemory or Tombstone
        What the log has made of it.
    position : Position
        The last event that took effect on it.
    """
    place = (namespace, id, stored.version, position.topic_id, position.partition, position.offset)
    if isinstance(stored, Tombstone):
        return (*place, *(None,) * 16, stored.at_s, stored.reason, stored.into)
    record = stored.record
    return (
        *place,
        record.coordinate,
        dumps(record.payload),
        record.memory_type.value,
        record.timestamp,
        record.importance,
        record.text,
        record.tags,
        record.pinned,
        record.expires_at,
        record.embedding,
        record.model_revision,
        dumps(record.extras) if record.extras else "{}",
        stored.trace.at_s,
        stored.trace.values,
        stored.n_recalls,
        stored.last_recalled_s,
        None,
        None,
        None,
    )


def stored_of(row: Sequence[Any]) -> tuple[tuple[str, UUID], Stored, Position]:
    """Return the key, the value and the position that `row_of` wrote, from a row of `READ_COLUMNS`.

    Parameters
    ----------
    row : sequence
        As the driver returns it.

    Raises
    ------
    InvalidParameterError
        For a row that was altered into no memory at all.
    """
    fields = dict(zip(COLUMNS, row, strict=True))
    key = (fields["namespace"], fields["id"])
    position = Position(fields["topic_id"], fields["partition"], fields["offset"])
    if fields["payload"] is None:
        return (
            key,
            Tombstone(fields["version"], fields["delete_reason"], fields["deleted_into"], fields["deleted_at"]),
            position,
        )
    known = {name: fields[name] for name in OF_RECORD}
    known["tags"] = known["tags"] or ()
    record = MemoryRecord(namespace=key[0], id=key[1], **known)
    trace = Trace(fields["trace_at"], tuple(fields["trace"]))
    return key, StoredMemory(record, fields["version"], trace, fields["n_recalls"], fields["last_recalled"]), position
