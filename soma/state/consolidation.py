r"""Consolidation: as memories age they are represented at coarser scales, and nothing is lost that can be counted.

An episode of age :math:`\tau r^l` becomes part of the semantic memory of its cell of level :math:`L - l`: one for each
cell and each band of age. It speaks in events, so that a store applies it like any other change, and a fold undoes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID, uuid5

import numpy as np

from soma import canonical_json
from soma.canonical_json import MAX_INTEGER
from soma.errors import InvalidParameterError
from soma.math import coordinates
from soma.state.events import Event, MemoryCreated, MemoryDeleted
from soma.state.frozen import freeze_object
from soma.state.inherited import Inherited, inherited_of
from soma.state.instant import to_seconds
from soma.state.record import MemoryRecord, MemoryType
from soma.state.stored import StoredMemory, evolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.state.namespace import Namespace

__all__ = ["MAX_SOURCES", "Consolidated", "Scales", "consolidate", "consolidated", "live_bound", "undo"]

MAX_SOURCES: Final = 4_096
"""Most memories that one step makes into one; of a larger group the result takes in the next ones."""

NAMES: Final = UUID("8c5a3c0e-2f0d-5d5e-9f39-6d6f0f2b7c41")

Source: TypeAlias = tuple[UUID, int]
"""A memory that was consumed, and its version then."""

Place: TypeAlias = tuple[int, int, int]
"""Band of age, level, and cell of that level."""


@dataclass(frozen=True, slots=True)
class Scales:
    r"""From which age on memories are consolidated, and how much coarser each band of age is.

    Parameters
    ----------
    tau_s : float
        Age :math:`\tau` at which the first band begins, seconds, > 0. What is younger stays as it is.
    ratio : float
        Ratio :math:`r` of the ends of a band, >= 1.1: band l holds the ages in :math:`[\tau r^l, \tau r^{l+1})`.
    levels : int
        Level :math:`L` of the cells of the first band, >= 0; each further band is a level coarser, down to the frame.

    Raises
    ------
    InvalidParameterError
        Outside the domain.
    """

    tau_s: float
    ratio: float = 2.0
    levels: int = 8

    def __post_init__(self) -> None:
        if not 0.0 < self.tau_s < math.inf:
            raise InvalidParameterError("tau_s", self.tau_s, "must be finite and > 0")
        if not 1.1 <= self.ratio < math.inf:
            raise InvalidParameterError("ratio", self.ratio, "must be finite and >= 1.1")
        if type(self.levels) is not int or not 0 <= self.levels <= 64:
            raise InvalidParameterError("levels", self.levels, "must be an integer from 0 to 64")

    def bands(self, ages_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the band of each age, -1 for what is too young; shape (n,)."""
        ends = [self.tau_s]
        oldest = float(ages_s.max(initial=0.0))
        while ends[-1] <= oldest:
            ends.append(ends[-1] * self.ratio)
        return np.searchsorted(np.array(ends), ages_s, side="right") - 1


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What a consolidated memory stands for, as its payload says under ``"consolidated"``.

    Parameters
    ----------
    level, cell, band : int
        The cell, and the band of age that it was made for.
    count : int
        Episodes that it stands for, also through other consolidated memories.
    importance : int
        Sum of their raw importance.
    since_s : float
        Timestamp of the earliest, POSIX seconds; that of the latest is the record's own.
    sources : tuple of (UUID, int)
        What was consumed to make it, each with its version then.
    """

    level: int
    cell: int
    band: int
    count: int
    importance: int
    since_s: float
    sources: tuple[Source, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; integers that JSON does not keep exactly are texts."""
        return {
            "level": self.level,
            "cell": _exact(self.cell),
            "band": self.band,
            "count": self.count,
            "importance": _exact(self.importance),
            "since": self.since_s,
            "sources": [[str(id), version] for id, version in self.sources],
        }


def consolidated(record: MemoryRecord) -> Consolidated | None:
    """Return what a record stands for, or None if it is no consolidated memory.

    Parameters
    ----------
    record : MemoryRecord
        Any. One that only looks like a consolidated memory is none: its id gives it away.
    """
    found = record.payload.get("consolidated") if record.memory_type is MemoryType.SEMANTIC else None
    if not isinstance(found, Mapping):
        return None
    try:
        known = Consolidated(
            found["level"],
            int(found["cell"]),
            found["band"],
            found["count"],
            int(found["importance"]),
            found["since"],
            tuple((UUID(id), version) for id, version in found["sources"]),
        )
        is_own = record.id == _id_of(record.namespace, known.level, known.cell, known.band, known.sources)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return known if is_own else None


def consolidate(
    memories: Iterable[StoredMemory],
    namespace: Namespace,
    now_s: float,
    scales: Scales,
    *,
    vectors: Callable[[Sequence[MemoryRecord]], NDArray[np.float32]] | None = None,
    summarise: Callable[[Sequence[MemoryRecord]], str] | None = None,
    cause_id: UUID | None = None,
) -> Iterator[Event]:
    """Yield the events that consolidate a namespace.

    Of each cell and band of age all episodes and earlier consolidated memories become one semantic memory; a single
    one is left as it is. Pinned and expiring memories are never consumed, nor are semantic ones of a user's own.

    Parameters
    ----------
    memories : iterable of StoredMemory
        The live memories of the namespace, all of them, in any order.
    namespace : Namespace
        The registration; it needs a frame.
    now_s : float
        The time that ages are counted to, POSIX seconds; also that of the events.
    scales : Scales
        When, and how much.
    vectors : callable, optional
        Returns the unit vectors of records, shape (n, d). With it the episode that speaks for a group is the one next
        to the mean of the vectors; without it, next to the mean of the coordinates.
    summarise : callable, optional
        Returns the text for a group of records; by default the text of the episode that speaks for it.
    cause_id : UUID, optional
        Of the whole operation.

    Yields
    ------
    Event
        ``memory.created`` of a consolidated memory, then ``memory.deleted`` of each that it stands for. Their ids
        follow from what they do: the same events again, or the rest of them after a crash, change nothing else.

    Raises
    ------
    InvalidParameterError
        For a namespace without a frame, or with fewer levels than the scales.

    Notes
    -----
    Laws: ``property_tests/state/test_consolidation.py``. Importance and accesses are conserved, the sources partition
    what was consumed, and doing it twice at one time is doing it once.
    """
    now_s = to_seconds("now_s", now_s)
    if namespace.frame is None:
        raise InvalidParameterError("namespace", namespace.name, "must have a frame: without one there are no cells")
    if scales.levels > namespace.levels:
        raise InvalidParameterError("levels", scales.levels, f"must be at most {namespace.levels} in {namespace.name}")
    make = _Maker(namespace, now_s, vectors, summarise, cause_id)
    live = {memory.record.id: memory for memory in memories}
    for event in _unfinished(live, make):
        del live[event.id]
        yield event
    consumable = [memory for memory in live.values() if _is_consumable(memory.record)]
    for place, group in _groups(consumable, namespace, now_s, scales).items():
        left = sorted(group, key=_order)
        while len(left) > 1:
            created, made = make.one(left[:MAX_SOURCES], place)
            yield created
            for memory in left[:MAX_SOURCES]:
                yield make.deleted(memory.record.id, made.record.id)
            left = sorted([made, *left[MAX_SOURCES:]], key=_order)


def undo(
    memory: StoredMemory, former: Mapping[UUID, StoredMemory], at_s: float, *, cause_id: UUID | None = None
) -> Iterator[Event]:
    """Yield the events that bring back what a consolidated memory stands for, and remove it.

    Parameters
    ----------
    memory : StoredMemory
        The consolidated memory, live.
    former : mapping of UUID to StoredMemory
        Its sources as they were: from a fold of the log up to the consolidation.
    at_s : float
        When it is undone, POSIX seconds.
    cause_id : UUID, optional
        Of the whole operation.

    Yields
    ------
    Event
        ``memory.created`` of each source with the accesses that it had, then ``memory.deleted``. What happened to the
        consolidated memory itself since then ends with it.

    Raises
    ------
    InvalidParameterError
        For a memory that is not consolidated, or a source that is missing.
    """
    known = consolidated(memory.record)
    if known is None:
        raise InvalidParameterError("memory", memory.record.id, "must be a consolidated memory")
    missing = [str(id) for id, _ in known.sources if id not in former]
    if missing:
        raise InvalidParameterError("former", missing[:3], "must hold every source")
    for id, version in known.sources:
        was = former[id]
        yield MemoryCreated(
            event_id=uuid5(memory.record.id, f"restored/{id}/{version}"),
            at_s=at_s,
            cause_id=cause_id,
            record=was.record,
            inherited=Inherited(was.trace.at_s, was.trace.values, was.n_recalls, was.last_recalled_s),
        )
    yield MemoryDeleted(
        event_id=uuid5(memory.record.id, f"undone/{memory.version}"),
        at_s=at_s,
        cause_id=cause_id,
        namespace=memory.record.namespace,
        id=memory.record.id,
        reason="undone",
    )


def live_bound(memories: Iterable[StoredMemory], namespace: Namespace, now_s: float, scales: Scales) -> int:
    r"""Return how many memories are live after a consolidation, at most.

    .. math:: n_{young} + n_{kept} + c\,(1 + \lfloor \log_r (a / \tau) \rfloor)

    with c the occupied cells of level L and a the oldest age among what may be consumed; ``kept`` are pinned, expiring
    and a user's own semantic memories.

    Parameters
    ----------
    memories, namespace, now_s, scales
        As for `consolidate`.
    """
    found = list(memories)
    consumable = [memory for memory in found if _is_consumable(memory.record)]
    if not consumable or namespace.frame is None:
        return len(found)
    bands = scales.bands(_ages(consumable, now_s))
    old = [memory for memory, band in zip(consumable, bands, strict=True) if band >= 0]
    cells = coordinates.address(_points(old), namespace.frame, scales.levels) if old else np.empty(0)
    return len(found) - len(old) + len(np.unique(cells)) * (1 + int(bands.max(initial=-1)))


@dataclass(frozen=True, slots=True)
class _Maker:
    namespace: Namespace
    now_s: float
    vectors: Callable[[Sequence[MemoryRecord]], NDArray[np.float32]] | None
    summarise: Callable[[Sequence[MemoryRecord]], str] | None
    cause_id: UUID | None

    def one(self, sources: Sequence[StoredMemory], place: Place) -> tuple[MemoryCreated, StoredMemory]:
        band, level, cell = place
        records = [memory.record for memory in sources]
        parts = [_part_of(record) for record in records]
        counts = np.array([part[0] for part in parts], dtype=np.float64)
        centre = np.average(_points(sources), axis=0, weights=counts)
        speaker = records[self._speaker(records, counts, centre)]
        named = tuple((memory.record.id, memory.version) for memory in sources)
        known = Consolidated(
            level=level,
            cell=cell,
            band=band,
            count=sum(part[0] for part in parts),
            importance=sum(part[1] for part in parts),
            since_s=min(part[2] for part in parts),
            sources=named,
        )
        text = speaker.searchable_text if self.summarise is None else self.summarise(records)
        has_vector = self.summarise is None and speaker.embedding is not None
        record = MemoryRecord(
            id=_id_of(self.namespace.name, level, cell, band, named),
            namespace=self.namespace.name,
            coordinate=self._within(centre, speaker, level, cell),
            timestamp=max(record.timestamp for record in records),
            importance=max(record.importance for record in records),
            payload=freeze_object({"consolidated": known.to_dict()}, "payload"),
            memory_type=MemoryType.SEMANTIC,
            text=text or None,
            tags=tuple(set.intersection(*(set(record.tags) for record in records))),
            embedding=speaker.embedding if has_vector else None,
            model_revision=speaker.model_revision if has_vector else None,
        )
        event = MemoryCreated(
            event_id=uuid5(record.id, "created"),
            at_s=self.now_s,
            cause_id=self.cause_id,
            record=record,
            inherited=inherited_of(sources, self.namespace.trace),
        )
        made, _ = evolve(None, event, self.namespace)
        assert isinstance(made, StoredMemory)  # noqa: S101 - a creation leaves a live memory; for the type checker
        return event, made

    def deleted(self, id: UUID, into: UUID) -> MemoryDeleted:
        return MemoryDeleted(
            event_id=uuid5(into, f"consumed/{id}"),
            at_s=self.now_s,
            cause_id=self.cause_id,
            namespace=self.namespace.name,
            id=id,
            reason="consolidated",
            into=into,
        )

    def _speaker(
        self, records: Sequence[MemoryRecord], counts: NDArray[np.float64], centre: NDArray[np.float64]
    ) -> int:
        """Return the place of the most central record; the first of those that are equally central."""
        if self.vectors is None:
            points = np.array([record.coordinate for record in records])
            return int(np.square(points - centre).sum(axis=1).argmin())
        found = np.asarray(self.vectors(records), dtype=np.float64)
        return int((found @ (counts @ found)).argmax())

    def _within(self, centre: NDArray[np.float64], speaker: MemoryRecord, level: int, cell: int) -> tuple[float, ...]:
        """Return the centre, or the speaker's own place where rounding has put the centre outside the cell."""
        assert self.namespace.frame is not None  # noqa: S101 - there are cells; for the type checker
        point = tuple(centre.tolist())
        is_within = self.namespace.frame.contains(point)
        if is_within and int(coordinates.address(point, self.namespace.frame, level)) == cell:
            return point
        return speaker.coordinate


def _unfinished(live: Mapping[UUID, StoredMemory], make: _Maker) -> list[MemoryDeleted]:
    """Return what a consolidation that broke off has left to delete: sources that nothing has changed since."""
    left: dict[UUID, MemoryDeleted] = {}
    for id, memory in sorted(live.items()):
        known = consolidated(memory.record)
        for source, version in () if known is None else known.sources:
            if source in live and live[source].version == version:
                left.setdefault(source, make.deleted(source, id))
    return list(left.values())


def _groups(
    memories: Sequence[StoredMemory], namespace: Namespace, now_s: float, scales: Scales
) -> dict[Place, list[StoredMemory]]:
    """Return what is old enough by band, level and cell, in their order."""
    bands = scales.bands(_ages(memories, now_s))
    old = [(memory, int(band)) for memory, band in zip(memories, bands, strict=True) if band >= 0]
    if not old or namespace.frame is None:
        return {}
    finest = coordinates.address(_points([memory for memory, _ in old]), namespace.frame, scales.levels)
    found: dict[Place, list[StoredMemory]] = {}
    for (memory, band), code in zip(old, finest.tolist(), strict=True):
        level = max(0, scales.levels - band)
        place = band, level, code >> namespace.dimension * (scales.levels - level)
        found.setdefault(place, []).append(memory)
    return dict(sorted(found.items()))


def _part_of(record: MemoryRecord) -> tuple[int, int, float]:
    """Return how many episodes a record stands for, their importance, and when the first of them was."""
    known = consolidated(record)
    return (1, record.importance, record.timestamp) if known is None else (known.count, known.importance, known.since_s)


def _is_consumable(record: MemoryRecord) -> bool:
    if record.pinned or record.expires_at is not None:
        return False
    return record.memory_type is MemoryType.EPISODIC or consolidated(record) is not None


def _order(memory: StoredMemory) -> tuple[float, UUID]:
    return memory.record.timestamp, memory.record.id


def _ages(memories: Sequence[StoredMemory], now_s: float) -> NDArray[np.float64]:
    return np.maximum(0.0, now_s - np.array([memory.record.timestamp for memory in memories], dtype=np.float64))


def _points(memories: Sequence[StoredMemory]) -> NDArray[np.float64]:
    return np.array([memory.record.coordinate for memory in memories], dtype=np.float64)


def _id_of(namespace: str, level: int, cell: int, band: int, sources: Iterable[Source]) -> UUID:
    named = [namespace, level, str(cell), band, [[str(id), version] for id, version in sources]]
    return uuid5(NAMES, canonical_json.dumps(named).decode())


def _exact(number: int) -> int | str:
    return number if abs(number) <= MAX_INTEGER else str(number)
