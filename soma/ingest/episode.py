"""What every reader of a source yields: one thing that happened, ready to be remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from soma.state.frozen import freeze_object
from soma.state.record import MemoryRecord

__all__ = ["Episode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One thing that happened, as plain values for ``Memory.remember``.

    Parameters
    ----------
    id : UUID
        The same for the same thing, however often the source is read.
    text : str
        What is embedded and searched by words.
    payload : mapping
        A JSON object: what is known about it.
    timestamp : float
        When it happened, POSIX seconds.
    importance : int
        Raw; each source documents its rule.
    tags : tuple of str
        Labels, sorted, each once.

    Examples
    --------
    >>> Episode(id=UUID(int=1), text="Ada fixed the clock test", timestamp=86_400.0, importance=3).tags
    ()
    """

    id: UUID
    text: str
    timestamp: float
    importance: int
    payload: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    def to_record(self, namespace: str = "default") -> MemoryRecord:
        """Return the record of it, whose place the namespace has still to give.

        Parameters
        ----------
        namespace : str
            Where it belongs.

        Returns
        -------
        MemoryRecord
            Episodic, at the coordinate 0.

        Raises
        ------
        InvalidParameterError, SerializationError
            For a field outside the domain of a record.
        """
        return MemoryRecord(
            id=self.id,
            namespace=namespace,
            coordinate=(0.0,),
            timestamp=self.timestamp,
            importance=self.importance,
            payload=freeze_object(self.payload, "payload"),
            text=self.text,
            tags=self.tags,
        )
