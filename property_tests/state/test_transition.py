"""Laws of the fold: order matters within a record and nowhere else; nothing counts twice; the past stays."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import MinimalSoma, apply, fold, state_hash
from soma.errors import InvalidParameterError, NotFoundError
from soma.state.events import Event, MemoryCreated, MemoryRecalled, MemoryUpdated, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.stored import EffectKind, StoredMemory, Tombstone, admit
from soma.testing.strategies import IDS, events, logs, records


def holdings(soma: MinimalSoma) -> tuple[object, ...]:
    return soma.namespaces, soma.memories, soma.links


@given(logs(), st.randoms(use_true_random=False))
def test_events_of_different_records_commute(log: list[Event], random: object) -> None:
    queues: dict[object, list[Event]] = {}
    for event in log:
        queues.setdefault(event.key if not isinstance(event, NamespaceRegistered) else None, []).append(event)
    interleaved = queues.pop(None)
    while queues:
        key = random.choice(sorted(queues, key=str))  # type: ignore[attr-defined]
        interleaved.append(queues[key].pop(0))
        if not queues[key]:
            del queues[key]
    one, other = fold(log), fold(interleaved)
    assert holdings(one) == holdings(other)
    assert state_hash(one) == state_hash(other)


@given(logs(), st.data())
def test_redelivering_any_part_of_the_log_changes_nothing(log: list[Event], data: st.DataObject) -> None:
    soma = fold(log)
    again = data.draw(st.lists(st.sampled_from(log), max_size=10)) + log[data.draw(st.integers(0, len(log))) :]
    for event in again:
        after, effect = apply(soma, event)
        assert after is soma or after == soma
        assert effect.kind in (EffectKind.DUPLICATE, EffectKind.REFUSED)


@given(logs(), st.data())
def test_folding_in_two_parts_is_folding_whole(log: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    assert fold(log[cut:], start=fold(log[:cut])) == fold(log)


@given(logs(), st.data())
def test_time_travel_is_the_fold_of_what_had_happened(log: list[Event], data: st.DataObject) -> None:
    until_s = data.draw(st.sampled_from([event.at_s for event in log]))
    assert fold(log, until_s=until_s) == fold(
        [e for e in log if e.at_s <= until_s or isinstance(e, NamespaceRegistered)]
    )


@given(logs())
def test_every_old_state_stays_as_it_was(log: list[Event]) -> None:
    soma, states = MinimalSoma(), []
    for event in log:
        states.append((soma, state_hash(soma), soma.all()))
        soma, _ = apply(soma, event)
    for state, digest, everything in states:
        assert state_hash(state) == digest
        assert state.all() == everything


@given(logs())
def test_the_version_counts_the_effects_on_a_memory(log: list[Event]) -> None:
    soma, counts = MinimalSoma(), dict[object, int]()
    for event in log:
        soma, effect = apply(soma, event)
        if effect.is_change and event.key in soma.memories and effect.kind not in ("linked", "unlinked"):
            counts[event.key] = counts.get(event.key, 0) + 1
    assert {key: stored.version for key, stored in soma.memories.items()} == counts


@given(logs())
def test_an_event_without_effect_leaves_what_is_held(log: list[Event]) -> None:
    soma = MinimalSoma()
    for event in log:
        after, effect = apply(soma, event)
        assert effect.is_change == (holdings(after) != holdings(soma)) or is_rewrite(soma, event)
        assert effect.is_change or effect.reason
        soma = after


def is_rewrite(soma: MinimalSoma, event: Event) -> bool:
    """A link set again at the same weight and time changes nothing that can be seen."""
    return event.type == "memory.linked"


@given(logs(), events())
def test_the_state_hash_tells_states_apart(log: list[Event], event: Event) -> None:
    before = fold(log)
    after, _ = apply(before, event)
    assert (state_hash(before) == state_hash(after)) == (holdings(before) == holdings(after))


@given(records(namespace="lab"))
def test_a_memory_can_be_deleted_and_restored(record: object) -> None:
    from soma.state.events import MemoryDeleted

    start = fold([NamespaceRegistered(event_id=IDS[0], at_s=0, registration=Namespace("lab", dimension=2))])
    created = MemoryCreated(event_id=IDS[1], at_s=0, record=record)  # type: ignore[arg-type]
    deleted = MemoryDeleted(event_id=IDS[2], at_s=1, namespace="lab", id=record.id, reason="forgotten")  # type: ignore[attr-defined]
    restored = MemoryCreated(event_id=IDS[3], at_s=2, record=record)  # type: ignore[arg-type]
    gone = fold([created, deleted], start=start)
    assert gone.all() == ()
    assert isinstance(gone.memories["lab", record.id], Tombstone)  # type: ignore[attr-defined]
    back = fold([restored], start=gone)
    assert back.all() == (record,)
    assert back.memories["lab", record.id].version == 3  # type: ignore[attr-defined]


@given(records(namespace="lab"), st.lists(st.floats(0, 1e9), min_size=1, max_size=5))
def test_each_recall_adds_to_the_trace_and_an_update_keeps_it(record: object, at: list[float]) -> None:
    soma = fold(
        [
            NamespaceRegistered(event_id=IDS[0], at_s=0, registration=Namespace("lab", dimension=2)),
            MemoryCreated(event_id=IDS[1], at_s=0, record=record),  # type: ignore[arg-type]
        ]
    )
    from uuid import UUID

    key = ("lab", record.id)  # type: ignore[attr-defined]
    for i, at_s in enumerate(at):
        recalled = MemoryRecalled(event_id=UUID(int=100 + i), at_s=at_s, namespace="lab", id=key[1])
        soma, effect = apply(soma, recalled)
        assert effect.kind is EffectKind.RECALLED
    stored = soma.memories[key]
    assert isinstance(stored, StoredMemory)
    assert stored.n_recalls == len(at)
    assert stored.last_recalled_s == max(at)
    updated, _ = apply(soma, MemoryUpdated(event_id=IDS[4], at_s=0, record=record))  # type: ignore[arg-type]
    assert updated.memories[key].trace == stored.trace  # type: ignore[union-attr]


def test_an_event_of_an_unregistered_namespace_is_refused_with_a_reason() -> None:
    recalled = MemoryRecalled(event_id=IDS[1], at_s=0, namespace="lab", id=IDS[0])
    soma, effect = apply(MinimalSoma(), recalled)
    assert soma == MinimalSoma()
    assert effect.kind is EffectKind.REFUSED
    assert "lab" in effect.reason
    with pytest.raises(NotFoundError, match="register it first"):
        admit(recalled, None)


def test_a_namespace_is_registered_once() -> None:
    first = NamespaceRegistered(event_id=IDS[0], at_s=0, registration=Namespace("lab", dimension=2))
    second = NamespaceRegistered(event_id=IDS[1], at_s=1, registration=Namespace("lab", dimension=3))
    assert fold([first, second]).namespaces["lab"].dimension == 2


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.7e308, float("inf"), float("nan")])
def test_a_weight_whose_sums_would_not_stay_finite_is_refused(weight: float) -> None:
    with pytest.raises(InvalidParameterError, match="weight"):
        MemoryRecalled(event_id=UUID(int=1), at_s=0, namespace="lab", id=UUID(int=2), weight=weight)
