"""The past of one memory: every change that the log made of it, and how an old version comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from soma.errors import InvalidParameterError, NotFoundError
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryLinked,
    MemoryUnlinked,
    MemoryUpdated,
    NamespaceRegistered,
)
from soma.state.inherited import inherited_of
from soma.state.instant import Instant, to_iso
from soma.state.namespace import Namespace
from soma.state.record import Link, MemoryRecord
from soma.state.stored import Effect, EffectKind, Stored, StoredMemory, Tombstone, evolve, evolve_link

__all__ = ["Change", "Moment", "Position", "history", "restoring", "versions"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the log: the state after so many of its entries, whatever their times.

    Parameters
    ----------
    value : int
        The position of the last entry taken, >= 0; 0 is before the first.

    Raises
    ------
    InvalidParameterError
        For anything but an int >= 0.

    Examples
    --------
    >>> Position(3) < Position(12)
    True
    """

    value: int

    def __post_init__(self) -> None:
        if type(self.value) is not int or self.value < 0:
            raise InvalidParameterError("position", self.value, "must be an int >= 0")


Moment: TypeAlias = "Instant | Position"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a memory, or of a link of its.

    Parameters
    ----------
    position : int
        Of its event in the log.
    event : Event
        What happened.
    effect : Effect
        What it did.
    stored : StoredMemory, Tombstone or None
        The memory as it was afterwards; None if there was none yet.
    """

    position: int
    event: Event
    effect: Effect
    stored: Stored | None

    @property
    def version(self) -> int:
        """The version of the memory afterwards; 0 if there was none yet."""
        return 0 if self.stored is None else self.stored.version

    @property
    def record(self) -> MemoryRecord | None:
        """The record as it was afterwards; None while it was deleted, or not there yet."""
        return self.stored.record if isinstance(self.stored, StoredMemory) else None

    def __str__(self) -> str:
        event, shown = self.event, ""
        if isinstance(event, MemoryLinked | MemoryUnlinked):
            shown = f"{event.source} -> {event.target} ({event.link_type})"
        elif isinstance(self.stored, Tombstone):
            shown = self.stored.reason
        elif self.record is not None and self.effect.kind is not EffectKind.RECALLED:
            shown = " ".join((self.record.text or "").split())[:60]
        when, did = to_iso(event.at_s), self.effect.kind.value
        return f"{self.position:>8,}  {when}  v{self.version:<3} {did:<9} {shown}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "position": self.position,
            "at": self.event.at_s,
            "event_id": str(self.event.event_id),
            "type": self.event.type,
            "effect": self.effect.kind.value,
            "version": self.version,
            "event": self.event.body(),
        }


def history(entries: Iterable[tuple[int, Event]], namespace: Namespace, id: UUID) -> tuple[Change, ...]:
    """Return what happened to one memory, and to the links that start or end at it, in the order of the log.

    Parameters
    ----------
    entries : iterable of (int, Event)
        Positions and events of the log, in order, each event once.
    namespace : Namespace
        The registration.
    id : UUID
        The memory.

    Returns
    -------
    tuple of Change
        Empty for an id that the log does not know.

    Notes
    -----
    Laws: ``property_tests/state/test_history.py``. The last change leaves what `soma.state.transition.fold` leaves.
    """
    stored: Stored | None = None
    links: dict[tuple[UUID, UUID, str], Link] = {}
    found: list[Change] = []
    for position, event in entries:
        if isinstance(event, NamespaceRegistered) or event.key[0] != namespace.name:
            continue
        if isinstance(event, MemoryLinked | MemoryUnlinked):
            if id not in (event.source, event.target):
                continue
            ends = event.source, event.target, event.link_type
            link, effect = evolve_link(links.get(ends), event)
            if link is None:
                links.pop(ends, None)
            else:
                links[ends] = link
        elif event.key[1] == id:
            stored, effect = evolve(stored, event, namespace)
        else:
            continue
        if effect.is_change:
            found.append(Change(position, event, effect, stored))
    return tuple(found)


def versions(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that wrote or deleted the record: recalls and links left out.

    Parameters
    ----------
    changes : iterable of Change
        A `history`.
    """
    written = (EffectKind.CREATED, EffectKind.REPLACED, EffectKind.DELETED)
    return tuple(change for change in changes if change.effect.kind in written)


def restoring(
    changes: Iterable[Change],
    namespace: Namespace,
    *,
    event_id: UUID,
    at_s: float,
    version: int | None = None,
    until: Moment | None = None,
) -> MemoryCreated | MemoryUpdated:
    """Return the event that brings an old version of a memory back.

    A deleted memory comes back with the accesses that it had, so that it is as strong as if it had stayed. One that
    another memory stands for (`Tombstone.into`) comes back with the access at its own timestamp alone: the rest was
    handed on, and would count twice. A live memory keeps its accesses, and takes the old record.

    Parameters
    ----------
    changes : iterable of Change
        The whole `history` of the memory.
    namespace : Namespace
        The registration.
    event_id, at_s
        Of the new event; ``at_s`` in POSIX seconds.
    version : int, optional
        The version that is wanted.
    until : float or Position, optional
        Or: the last version up to then, POSIX seconds or a place in the log. By default the last that had a record;
        for a live memory the one before its present record.

    Returns
    -------
    MemoryCreated or MemoryUpdated
        To be appended to the log.

    Raises
    ------
    NotFoundError
        If there is no such version, or it has no record because the memory was deleted then.
    InvalidParameterError
        If both ``version`` and ``until`` are given.

    Notes
    -----
    Laws: ``property_tests/state/test_history.py``.
    """
    if version is not None and until is not None:
        raise InvalidParameterError("version", version, "must stand without an instant")
    known = [change for change in changes if change.stored is not None]
    if not known:
        raise NotFoundError("memory", "of that id", f"namespace {namespace.name} never held it")
    last = known[-1].stored
    if version is not None:
        wanted = next((change for change in known if change.version == version), None)
    elif until is not None:
        wanted = next((change for change in reversed(known) if _is_by(change, until)), None)
    elif isinstance(last, StoredMemory):
        wanted = next((change for change in reversed(known) if change.record not in (None, last.record)), None)
    else:
        wanted = next((change for change in reversed(known) if change.record is not None), None)
    if wanted is None or wanted.record is None:
        asked = f"version {version}" if version is not None else "earlier version" if until is None else "version then"
        raise NotFoundError("record", f"of the {asked}", "soma versions lists those there are")
    if isinstance(last, StoredMemory):
        return MemoryUpdated(event_id=event_id, at_s=at_s, record=wanted.record)
    alive = next(change.stored for change in reversed(known) if isinstance(change.stored, StoredMemory))
    handed_on = isinstance(last, Tombstone) and last.into is not None
    inherited = None if handed_on else inherited_of([alive], namespace.trace)
    return MemoryCreated(event_id=event_id, at_s=at_s, record=wanted.record, inherited=inherited)


def _is_by(change: Change, until: Moment) -> bool:
    if isinstance(until, Position):
        return change.position <= until.value
    assert isinstance(until, int | float)  # noqa: S101 - the caller has made seconds of it; for the type checker
    return change.event.at_s <= until
