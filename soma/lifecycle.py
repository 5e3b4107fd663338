"""What happens to memories once they are stored: recalled, pinned, swept away, consolidated; one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from soma import canonical_json
from soma.embedded import EmbeddedStore
from soma.errors import InvalidParameterError
from soma.math import policy as policies
from soma.state.consolidation import Scales, consolidate
from soma.state.duplicates import Duplicates, find_duplicates
from soma.state.events import Event, MemoryCreated, MemoryDeleted, MemoryRecalled, MemoryUpdated
from soma.state.forecast import best_scores
from soma.state.instant import to_iso
from soma.state.record import MemoryRecord
from soma.state.stored import StoredMemory

if TYPE_CHECKING:
    from soma.math.policy import Policy

__all__ = [
    "Budget",
    "Consolidation",
    "budget_of",
    "delete_all",
    "evict",
    "forget_duplicates",
    "forget_expired",
    "reinforce",
    "run_consolidation",
    "set_budget",
    "set_pinned",
    "sweep",
]


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


@dataclass(frozen=True, slots=True)
class Budget:
    """How many memories a namespace may hold, and what tells their worth.

    Parameters
    ----------
    n_memories : int
        At least 0; those that are pinned stay in any case, and count.
    policy : Policy
        A memory's worth is its best possible score (`soma.state.forecast.best_scores`); of equals the older goes first.
    """

    n_memories: int
    policy: Policy = field(default_factory=policies.presets.dense)

    def __post_init__(self) -> None:
        if type(self.n_memories) is not int or self.n_memories < 0:
            raise InvalidParameterError("budget", self.n_memories, "must be an integer >= 0")

    def to_json(self) -> str:
        """Return it as canonical JSON."""
        return canonical_json.dumps({"memories": self.n_memories, "policy": self.policy.to_dict()}).decode()

    @classmethod
    def from_json(cls, text: str) -> Budget:
        """Return the budget that `to_json` wrote."""
        found: Any = canonical_json.loads(text)
        return cls(found["memories"], policies.from_dict(found["policy"]))


def set_budget(store: EmbeddedStore, budget: Budget | None) -> None:
    """Keep a budget with the store, for `sweep` to enforce; None takes it away.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    budget : Budget or None
        Whose policy must tell the worth of a memory without a query.
    """
    if budget is not None:
        best_scores([], budget.policy, store.registration, 0.0)  # refuses what cannot tell it
    with store.storage.writing():
        store.storage.set_setting(f"budget {store.namespace}", "" if budget is None else budget.to_json())


def budget_of(store: EmbeddedStore) -> Budget | None:
    """Return the budget that is kept with a store, if there is one.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    """
    with store.storage.reading():
        kept = store.storage.setting(f"budget {store.namespace}")
    return Budget.from_json(kept) if kept else None


def sweep(store: EmbeddedStore, *, is_dry_run: bool) -> dict[str, list[UUID]]:
    """Delete what has expired, then what is over the budget if the namespace has one; return the ids by reason.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    is_dry_run : bool
        Say which, and delete nothing.
    """
    now_s, budget = store.clock(), budget_of(store)

    def chosen() -> dict[str, list[UUID]]:
        expired = store.storage.records.expired(store.namespace, now_s)
        return {"expired": expired, "evicted": [] if budget is None else _over(store, budget, now_s, set(expired))}

    return _delete(store, chosen, now_s, is_dry_run)


def forget_expired(store: EmbeddedStore, *, is_dry_run: bool) -> list[UUID]:
    """Delete the memories whose ``expires_at`` has passed, and return their ids, ordered.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    is_dry_run : bool
        Say which, and delete nothing.
    """
    now_s = store.clock()
    chosen = _delete(
        store, lambda: {"expired": store.storage.records.expired(store.namespace, now_s)}, now_s, is_dry_run
    )
    return chosen["expired"]


def evict(store: EmbeddedStore, budget: Budget, *, is_dry_run: bool) -> list[UUID]:
    """Delete the memories of least worth until so many are left, and return their ids, the least first.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    budget : Budget
        How many may stay.
    is_dry_run : bool
        Say which, and delete nothing.
    """
    now_s = store.clock()
    return _delete(store, lambda: {"evicted": _over(store, budget, now_s, set())}, now_s, is_dry_run)["evicted"]


def _over(store: EmbeddedStore, budget: Budget, now_s: float, gone: set[UUID]) -> list[UUID]:
    """Return which memories are over a budget once others are gone, that of the least worth first."""
    live = [memory for memory in store.storage.records.live(store.namespace) if memory.record.id not in gone]
    free = [memory for memory in live if not memory.record.pinned]
    worth = best_scores(free, budget.policy, store.registration, now_s).tolist()
    order = sorted(
        zip(worth, free, strict=True), key=lambda pair: (pair[0], pair[1].record.timestamp, pair[1].record.id)
    )
    return [memory.record.id for _, memory in order[: max(0, len(live) - budget.n_memories)]]


def delete_all(store: EmbeddedStore, *, is_dry_run: bool) -> list[UUID]:
    """Delete every live memory of a store's namespace, pinned ones too, and return their ids, ordered.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    is_dry_run : bool
        Say which, and delete nothing.
    """
    reason = "namespace deleted"

    def everything() -> dict[str, list[UUID]]:
        return {reason: [memory.record.id for memory in store.storage.records.live(store.namespace)]}

    return _delete(store, everything, store.clock(), is_dry_run)[reason]


def forget_duplicates(store: EmbeddedStore, *, threshold: float, is_dry_run: bool) -> tuple[Duplicates, ...]:
    """Delete the memories that say the same as another of the namespace, and return which ones they are.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memories are.
    threshold : float
        The least cosine, in (0, 1].
    is_dry_run : bool
        Say which, and delete nothing.
    """
    found: list[Duplicates] = []

    def others() -> dict[str, list[UUID]]:
        records = [memory.record for memory in store.storage.records.live(store.namespace)]
        found.extend(find_duplicates(records, store.vectors(records), threshold=threshold))
        return {f"duplicate of {group.keep}": list(group.others) for group in found}

    _delete(store, others, store.clock(), is_dry_run)
    return tuple(found)


def _delete(
    store: EmbeddedStore, choose: Callable[[], dict[str, list[UUID]]], now_s: float, is_dry_run: bool
) -> dict[str, list[UUID]]:
    """Delete what is chosen inside the transaction, by reason, for one cause."""
    if is_dry_run:
        with store.storage.reading():
            return choose()
    cause_id = store.new_id()
    gone: dict[str, list[UUID]] = {}

    def events() -> Iterator[Event]:
        gone.update(choose())
        for reason, ids in gone.items():
            for id in ids:
                yield MemoryDeleted(
                    event_id=store.new_id(),
                    at_s=now_s,
                    cause_id=cause_id,
                    namespace=store.namespace,
                    id=id,
                    reason=reason,
                )

    store.commit(events)
    return gone


def set_pinned(store: EmbeddedStore, id: UUID, is_pinned: bool) -> MemoryRecord:
    """Pin a memory, or let it go, and return its record; one that is so already is left as it is.

    Parameters
    ----------
    store : EmbeddedStore
        Where the memory is.
    id : UUID
        The memory.
    is_pinned : bool
        Whether nothing shall evict, consolidate or expire it. Pinning takes its ``expires_at`` away.
    """
    made: list[MemoryRecord] = []

    def events() -> Iterator[Event]:
        record = store.live([id])[0].record
        made.append(record)
        if record.pinned != is_pinned:
            made[0] = replace(record, pinned=is_pinned, expires_at=None if is_pinned else record.expires_at)
            yield MemoryUpdated(event_id=store.new_id(), at_s=store.clock(), record=made[0])

    store.commit(events)
    return made[0]


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
