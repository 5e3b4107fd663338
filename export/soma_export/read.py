"""Read what the store holds."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from soma.state.stored import Stored
from soma_export.contract.message import Position
from soma_export.database import translated
from soma_export.projections.kv_rows import READ_COLUMNS, stored_of
from soma_export.wiring import Deployment

__all__ = ["stored_memories"]


def stored_memories(
    deployment: Deployment, namespace: str | None = None
) -> Iterator[tuple[tuple[str, UUID], Stored, Position]]:
    """Yield every memory of the store, tombstones included, ordered by namespace and id.

    Parameters
    ----------
    deployment : Deployment
        Where the store is.
    namespace : str, optional
        Only this one's.

    Yields
    ------
    key : (str, UUID)
        Namespace and id.
    stored : StoredMemory or Tombstone
        What the log has made of it.
    position : Position
        The last event that took effect on it.

    Raises
    ------
    StoreBusyError
        If Postgres does not answer.
    """
    query = (
        f"SELECT {READ_COLUMNS} FROM memories AS m "  # noqa: S608 - constants
        "WHERE %(namespace)s::text IS NULL OR m.namespace = %(namespace)s ORDER BY m.namespace, m.id"
    )
    with deployment.database() as store, translated(), store.transaction(), store.cursor(name="soma_read") as cursor:
        cursor.execute(query, {"namespace": namespace})
        for row in cursor:
            yield stored_of(row)
