"""What happens to memories after they were stored: strengthened, swept away, consolidated; each in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from soma.embedded import EmbeddedStore
from soma.state.consolidation import Scales, consolidate
from soma.state.events import Event, MemoryCreated, MemoryDeleted, MemoryRecalled
from soma.state.instant import to_iso
from soma.state.record import MemoryRecord
from soma.state.stored import StoredMemory

__all__ = ["Consolidation", "reinforce", "run_consolidation", "sweep"]


@dataclass(frozen=True, slots=True)
class Consolidation:
    """What a consolidation did, or would do.

    Parameters
    ----------
    now_s : float
        The time that ages were counted to, POSIX seconds.
    n_before, n_after : int
        Live memories.
    n_consumed : int
        Memories that others stand for now.
    made : tuple of MemoryRecord
        The consolidated memories that are new and stay.
    is_dry_run : bool
        Whether nothing was written.
    """

    now_s: float
    n_before: int
    n_after: int
    n_consumed: int
    made: tuple[MemoryRecord, ...]
    is_dry_run: bool

    def __str__(self) -> str:
        would = "would become" if self.is_dry_run else "became"
        return f"{self.n_before:,} memories {would} {self.n_after:,}: {self.n_consumed:,} into {len(self.made):,}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "now": self.now_s,
            "before": self.n_before,
            "after": self.n_after,
            "consumed": self.n_consumed,
            "dry_run": self.is_dry_run,
            "made": [
                {
                    "id": str(record.id),
                    "text": record.text,
                    "until": to_iso(record.timestamp),
                    **{name: value for name, value in record.payload["consolidated"].items() if name != "sources"},
                }
                for record in self.made
            ],
        }


def reinforce(store: EmbeddedStore, ids: Sequence[UUID]) -> None:
    """Record that memories were recalled; one that was forgotten meanwhile is passed over.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    ids : sequence of UUID
        What was recalled.
    """
    now_s, cause_id = store.clock(), store.new_id()

    def events() -> Iterator[Event]:
        for id, stored in zip(ids, store.storage.records.get(store.namespace, ids), strict=True):
            if isinstance(stored, StoredMemory):
                yield MemoryRecalled(
                    event_id=store.new_id(), at_s=now_s, cause_id=cause_id, namespace=store.namespace, id=id
                )

    store.commit(events)


def sweep(store: EmbeddedStore) -> list[UUID]:
    """Delete the memories whose ``expires_at`` has passed, and return their ids.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    """
    now_s, cause_id = store.clock(), store.new_id()
    gone: list[UUID] = []

    def events() -> Iterator[Event]:
        gone.extend(store.storage.records.expired(store.namespace, now_s))
        for id in gone:
            yield MemoryDeleted(
                event_id=store.new_id(),
                at_s=now_s,
                cause_id=cause_id,
                namespace=store.namespace,
                id=id,
                reason="expired",
            )

    store.commit(events)
    return gone


def run_consolidation(
    store: EmbeddedStore,
    scales: Scales,
    *,
    now_s: float,
    is_dry_run: bool,
    summarise: Callable[[Sequence[MemoryRecord]], str] | None,
) -> Consolidation:
    """Consolidate the namespace of a store: planned and written in one transaction, which is the lock.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    scales, summarise
        As for `soma.state.consolidation.consolidate`; what speaks for a group is decided by the vectors of the texts.
    now_s : float
        The time that ages are counted to, POSIX seconds.
    is_dry_run : bool
        Plan, and write nothing.
    """
    made: dict[UUID, MemoryRecord] = {}
    n_before, n_deleted, n_created = 0, 0, 0

    def events() -> Iterator[Event]:
        nonlocal n_before, n_deleted, n_created
        live = store.storage.records.live(store.namespace)
        n_before = len(live)
        for event in consolidate(
            live, store.registration, now_s, scales, vectors=store.vectors, summarise=summarise, cause_id=store.new_id()
        ):
            if isinstance(event, MemoryCreated):
                n_created += 1
                made[event.record.id] = event.record
            elif isinstance(event, MemoryDeleted):
                n_deleted += 1
                made.pop(event.id, None)
            if not is_dry_run:
                yield event

    if is_dry_run:
        with store.storage.reading():
            list(events())
    else:
        store.commit(events)
    n_after = n_before + n_created - n_deleted
    return Consolidation(now_s, n_before, n_after, n_before - (n_after - len(made)), tuple(made.values()), is_dry_run)
