"""What the log has made of one memory or one link, and the step that one event takes.

This is the whole transition: `soma.state.transition` lifts it to `MinimalSoma`, the embedded memory and the
workers apply it to the row they have loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from soma.errors import InvalidParameterError, NotFoundError
from soma.math import multiscale
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryRecalled,
    MemoryUnlinked,
    MemoryUpdated,
)
from soma.state.namespace import Namespace
from soma.state.record import Link, MemoryRecord

__all__ = ["Effect", "EffectKind", "Stored", "StoredMemory", "Tombstone", "admit", "evolve", "evolve_link"]


class EffectKind(StrEnum):
    """What an event did."""

    CREATED = "created"
    REPLACED = "replaced"
    DELETED = "deleted"
    RECALLED = "recalled"
    LINKED = "linked"
    UNLINKED = "unlinked"
    REGISTERED = "registered"
    DUPLICATE = "duplicate"
    ABSENT = "absent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Effect:
    """What an event did to the state, and why if it did nothing.

    Parameters
    ----------
    kind : EffectKind
        The kind of change.
    reason : str
        For an event without effect: why.
    """

    kind: EffectKind
    reason: str = ""

    @property
    def is_change(self) -> bool:
        """Whether the state changed."""
        return self.kind not in (EffectKind.DUPLICATE, EffectKind.ABSENT, EffectKind.REFUSED)


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """A live memory: its record, and what the log adds to it.

    Parameters
    ----------
    record : MemoryRecord
        The record as last written.
    version : int
        Number of effects applied to this id; serves as an ETag.
    trace : Trace
        The accesses, as decaying accumulators; the first is at the memory's own timestamp, unless it inherited some.
    n_recalls : int
        How often it was recalled.
    last_recalled_s : float, optional
        The latest recall, POSIX seconds.
    """

    record: MemoryRecord
    version: int
    trace: multiscale.Trace
    n_recalls: int = 0
    last_recalled_s: float | None = None

    @property
    def last_used_s(self) -> float:
        """The latest recall, or the memory's timestamp if that is later, POSIX seconds."""
        recalled = self.last_recalled_s
        return self.record.timestamp if recalled is None else max(recalled, self.record.timestamp)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deleted memory: what must outlive its record.

    Parameters
    ----------
    version : int
        Number of effects applied to this id.
    reason : str
        Why it was deleted.
    into : UUID or None
        The memory that now stands for it.
    at_s : float
        When it was deleted, POSIX seconds.
    """

    version: int
    reason: str
    into: UUID | None
    at_s: float


Stored: TypeAlias = "StoredMemory | Tombstone"


def admit(event: Event, namespace: Namespace | None) -> None:
    """Raise unless ``event`` fits the registered namespace.

    Parameters
    ----------
    event : Event
        Any event but ``namespace.registered``.
    namespace : Namespace or None
        The registration of the event's namespace.

    Raises
    ------
    NotFoundError
        If the namespace is not registered.
    InvalidParameterError
        For a coordinate of another dimension, or outside the frame; for accesses of other trace constants.
    """
    if namespace is None:
        raise NotFoundError("namespace", event.key[0], "register it first, with its dimension")
    if isinstance(event, MemoryCreated | MemoryUpdated):
        coordinate = event.record.coordinate
        if len(coordinate) != namespace.dimension:
            raise InvalidParameterError(
                "coordinate",
                coordinate,
                f"must have dimension {namespace.dimension}, as namespace {namespace.name} registered",
            )
        if namespace.frame is not None and not namespace.frame.contains(coordinate):
            raise InvalidParameterError("coordinate", coordinate, f"must lie in {namespace.frame}")
    if isinstance(event, MemoryCreated) and event.inherited is not None:
        n_terms = len(namespace.trace.tau_s)
        if len(event.inherited.trace) != n_terms:
            raise InvalidParameterError(
                "trace", event.inherited.trace, f"must have {n_terms} numbers, as namespace {namespace.name} registered"
            )


def evolve(stored: Stored | None, event: Event, namespace: Namespace) -> tuple[Stored | None, Effect]:
    """Return what ``event`` makes of one memory.

    Parameters
    ----------
    stored : StoredMemory, Tombstone or None
        What the earlier events of this id have left.
    event : MemoryCreated, MemoryUpdated, MemoryDeleted or MemoryRecalled
        An admitted event of this id.
    namespace : Namespace
        The registration, for the constants of the trace.

    Returns
    -------
    stored : StoredMemory, Tombstone or None
        The new value; ``stored`` itself if there was no effect.
    effect : Effect
        What happened.

    Notes
    -----
    Laws: ``property_tests/state/test_transition.py``.
    """
    version = 1 if stored is None else stored.version + 1
    if isinstance(event, MemoryCreated):
        if isinstance(stored, StoredMemory):
            return replace(stored, record=event.record, version=version), Effect(EffectKind.REPLACED)
        brought = event.inherited
        if brought is not None:
            made = StoredMemory(event.record, version, brought.accesses, brought.n_recalls, brought.last_recalled)
            return made, Effect(EffectKind.CREATED)
        first = multiscale.access(multiscale.Trace.empty(namespace.trace), event.record.timestamp, 1.0, namespace.trace)
        return StoredMemory(event.record, version, first), Effect(EffectKind.CREATED)
    if not isinstance(stored, StoredMemory):
        return stored, Effect(EffectKind.ABSENT, f"there is no live memory {event.key[1]}")
    if isinstance(event, MemoryUpdated):
        return replace(stored, record=event.record, version=version), Effect(EffectKind.REPLACED)
    if isinstance(event, MemoryDeleted):
        return Tombstone(version, event.reason, event.into, event.at_s), Effect(EffectKind.DELETED)
    if isinstance(event, MemoryRecalled):
        earlier = stored.last_recalled_s
        recalled = replace(
            stored,
            version=version,
            trace=multiscale.access(stored.trace, event.at_s, event.weight, namespace.trace),
            n_recalls=stored.n_recalls + 1,
            last_recalled_s=event.at_s if earlier is None else max(earlier, event.at_s),
        )
        return recalled, Effect(EffectKind.RECALLED)
    raise InvalidParameterError("event", event.type, "must be an event of one memory")


def evolve_link(link: Link | None, event: MemoryLinked | MemoryUnlinked) -> tuple[Link | None, Effect]:
    """Return what ``event`` makes of the link between its ends.

    Parameters
    ----------
    link : Link or None
        The link of the same ends and type.
    event : MemoryLinked or MemoryUnlinked
        An admitted event.

    Returns
    -------
    link : Link or None
        The new value.
    effect : Effect
        What happened.
    """
    if isinstance(event, MemoryLinked):
        made = Link(event.source, event.target, event.link_type, event.weight, event.at_s)
        return made, Effect(EffectKind.LINKED)
    if link is None:
        return None, Effect(EffectKind.ABSENT, "there is no such link")
    return None, Effect(EffectKind.UNLINKED)


def stored_to_dict(stored: Stored) -> dict[str, Any]:
    """Return a stored memory as JSON values."""
    if isinstance(stored, Tombstone):
        into = None if stored.into is None else str(stored.into)
        return {
            "version": stored.version,
            "deleted": {"reason": stored.reason, "into": into, "at": stored.at_s},
        }
    return {
        "version": stored.version,
        "record": stored.record.to_dict(),
        "trace": {"at": stored.trace.at_s, "values": stored.trace.values},
        "n_recalls": stored.n_recalls,
        "last_recalled": stored.last_recalled_s,
    }
