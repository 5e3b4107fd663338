"""The oracle over the log: what the fold makes of one partition, with the position of every effect."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from soma.state.events import Event, MemoryLinked, MemoryUnlinked
from soma.state.minimal import MinimalSoma
from soma.state.record import Link
from soma.state.transition import apply, fold
from soma_export.contract.message import Message, Position
from soma_export.intake import Accepted, Poison, Taken
from soma_export.registrations import Registrations

__all__ = ["Folded", "fold_messages", "segment_of"]


@dataclass(slots=True)
class Folded:
    """What the log says that a store holds, for one segment of a partition.

    Parameters
    ----------
    soma : MinimalSoma
        The state.
    positions : dict
        For each memory the last event that took effect on it.
    link_positions : dict
        The same for each link.
    effects : dict
        For each event taken its position and its effect.
    events : dict
        For each event taken the event.
    undiverted : list of Poison
        What cannot take effect, and is not among the dead letters.
    acceptable : list of Position
        Dead letters that could take effect now: retry them.
    """

    soma: MinimalSoma
    positions: dict[tuple[str, UUID], Position] = field(default_factory=dict)
    link_positions: dict[tuple[str, UUID, UUID, str], Position] = field(default_factory=dict)
    effects: dict[UUID, tuple[Position, str]] = field(default_factory=dict)
    events: dict[UUID, Event] = field(default_factory=dict)
    undiverted: list[Poison] = field(default_factory=list)
    acceptable: list[Position] = field(default_factory=list)

    def links(self) -> Iterator[tuple[tuple[str, UUID, UUID, str], Link]]:
        """Yield every link, also those whose ends are absent."""
        for (namespace, source), targets in self.soma.links.items():
            for (target, kind), link in targets.items():
                yield (namespace, source, target, kind), link


def segment_of(key: bytes | None, n_segments: int) -> int:
    """Return the segment that a key belongs to: the log is folded a segment at a time, to bound the memory.

    Parameters
    ----------
    key : bytes or None
        Of a message.
    n_segments : int
        How many there are, >= 1.
    """
    return zlib.crc32(key or b"") % n_segments


def fold_messages(
    taken: Iterable[tuple[Message, Taken]], registrations: Registrations, diverted: dict[Position, bool]
) -> Folded:
    """Fold the messages of one segment of one partition.

    Parameters
    ----------
    taken : iterable of (Message, Accepted or Poison)
        In the order of the log.
    registrations : Registrations
        The namespaces.
    diverted : dict
        The dead letters, each with whether it is settled: what was diverted is no part of the state.
    """
    folded = Folded(fold(registrations.events.values()))
    for message, item in taken:
        position = message.position
        if position in diverted:
            if isinstance(item, Accepted) and not diverted[position]:
                folded.acceptable.append(position)
            continue
        if isinstance(item, Poison):
            folded.undiverted.append(item)
            continue
        event = item.event
        if event.event_id in folded.effects:
            if folded.events[event.event_id] != event:
                folded.undiverted.append(Poison(message, "write", f"the event id {event.event_id} was taken before"))
            continue
        folded.soma, effect = apply(folded.soma, event)
        folded.effects[event.event_id] = (position, effect.kind.value)
        folded.events[event.event_id] = event
        if not effect.is_change:
            continue
        if isinstance(event, MemoryLinked | MemoryUnlinked):
            folded.link_positions[event.namespace, event.source, event.target, event.link_type] = position
        else:
            namespace, id = event.key
            assert id is not None  # noqa: S101 - only a registration has no id; for the type checker
            folded.positions[namespace, id] = position
    return folded
