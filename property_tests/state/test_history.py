"""The past of a memory is what the fold went through, and what comes back is what there was."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import apply, fold
from soma.errors import InvalidParameterError, NotFoundError
from soma.math import multiscale
from soma.state.events import Event, MemoryLinked, MemoryUnlinked, NamespaceRegistered
from soma.state.history import Change, Position, history, restoring, versions
from soma.state.minimal import MinimalSoma
from soma.state.namespace import Namespace
from soma.state.stored import EffectKind, StoredMemory, Tombstone
from soma.testing.strategies import DIMENSION, IDS, events

NEW = UUID(int=77_000)
LAB = Namespace("lab", dimension=DIMENSION)
REGISTERED = NamespaceRegistered(event_id=UUID(int=76_000), at_s=0, registration=LAB)


def logs() -> st.SearchStrategy[list[Event]]:
    """Draw a log of one namespace, long enough that its events meet."""
    drawn = st.lists(events(namespace="lab"), min_size=8, max_size=24, unique_by=lambda event: event.event_id)
    return drawn.map(lambda found: [REGISTERED, *found])


def all_histories(log: list[Event]) -> list[tuple[UUID, tuple[Change, ...]]]:
    entries = entries_of(log)
    return [(id, changes) for id in IDS if (changes := history(entries, LAB, id))]


def entries_of(log: list[Event]) -> list[tuple[int, Event]]:
    """Number the events as a store would, each id once, those that the fold refuses left out."""
    soma, found = MinimalSoma(), []
    for event in log:
        soma, effect = apply(soma, event)
        if effect.kind not in (EffectKind.DUPLICATE, EffectKind.REFUSED):
            found.append((len(found) + 1, event))
    return found


@given(logs())
def test_the_last_change_is_what_the_fold_leaves(log: list[Event]) -> None:
    state = fold(log)
    for id, changes in all_histories(log):
        assert changes[-1].stored == state.memories.get(("lab", id))


@given(logs())
def test_every_change_is_what_the_fold_was_then(log: list[Event]) -> None:
    entries = entries_of(log)
    for id, changes in all_histories(log):
        for change in changes:
            then = fold(event for position, event in entries if position <= change.position)
            assert change.stored == then.memories.get(("lab", id))
            if isinstance(change.event, MemoryLinked | MemoryUnlinked):
                ends = change.event.source, change.event.target, change.event.link_type
                assert (then.link("lab", *ends) is not None) == isinstance(change.event, MemoryLinked)


@given(logs())
def test_every_event_that_changed_something_is_in_a_history(log: list[Event]) -> None:
    state, changed = MinimalSoma(), set()
    for event in log:
        state, effect = apply(state, event)
        if effect.is_change:
            changed.add(event.event_id)
    told = {change.event.event_id for _, changes in all_histories(log) for change in changes}
    assert told == changed - {REGISTERED.event_id}


@given(logs())
def test_versions_are_the_changes_of_the_record(log: list[Event]) -> None:
    others = {EffectKind.RECALLED, EffectKind.LINKED, EffectKind.UNLINKED}
    for _, changes in all_histories(log):
        written = versions(changes)
        assert [change.version for change in written] == sorted({change.version for change in written})
        assert {change.effect.kind for change in changes if change not in written} <= others


@given(logs(), st.data())
def test_a_restored_version_is_the_record_that_it_was(log: list[Event], data: st.DataObject) -> None:
    for id, changes in all_histories(log):
        kept = [change for change in versions(changes) if change.record is not None]
        if not kept:
            continue
        wanted = data.draw(st.sampled_from(kept))
        state, effect = apply(fold(log), restoring(changes, LAB, event_id=NEW, at_s=1.0, version=wanted.version))
        back = state.get("lab", id)
        assert effect.is_change
        assert back is not None
        assert back.record == wanted.record


@given(logs())
def test_a_deleted_memory_comes_back_as_strong_as_it_was(log: list[Event]) -> None:
    state = fold(log)
    for id, changes in all_histories(log):
        gone = state.memories.get(("lab", id))
        if not isinstance(gone, Tombstone):
            continue
        before = next(change.stored for change in reversed(changes) if isinstance(change.stored, StoredMemory))
        back = apply(state, restoring(changes, LAB, event_id=NEW, at_s=gone.at_s + 1))[0].get("lab", id)
        assert back is not None
        assert back.record == before.record
        if gone.into is None:
            assert (back.trace, back.n_recalls) == (before.trace, before.n_recalls)
            assert back.last_recalled_s == before.last_recalled_s
        else:  # its accesses live on in another memory: they may not count twice
            first = multiscale.access(multiscale.Trace.empty(LAB.trace), back.record.timestamp, 1.0, LAB.trace)
            assert (back.trace, back.n_recalls) == (first, 0)


@given(logs())
def test_a_live_memory_takes_the_record_before_its_present_one_and_keeps_its_accesses(log: list[Event]) -> None:
    state = fold(log)
    for id, changes in all_histories(log):
        now = state.get("lab", id)
        earlier = [change.record for change in changes if change.record is not None]
        if now is None or all(record == now.record for record in earlier):
            continue
        back = apply(state, restoring(changes, LAB, event_id=NEW, at_s=1.0))[0].get("lab", id)
        assert back is not None
        assert back.record == [record for record in earlier if record != now.record][-1]
        assert (back.trace, back.n_recalls) == (now.trace, now.n_recalls)


@given(logs(), st.integers(0, 25))
def test_a_place_in_the_log_restores_what_was_there(log: list[Event], place: int) -> None:
    entries = entries_of(log)
    for id, changes in all_histories(log):
        then = fold(event for position, event in entries if position <= place).memories.get(("lab", id))
        if isinstance(then, StoredMemory):
            assert restoring(changes, LAB, event_id=NEW, at_s=0.0, until=Position(place)).record == then.record
        else:
            with pytest.raises(NotFoundError):
                restoring(changes, LAB, event_id=NEW, at_s=0.0, until=Position(place))


@given(logs(), st.data())
def test_an_instant_restores_the_last_version_written_by_then(log: list[Event], data: st.DataObject) -> None:
    for _, changes in all_histories(log):
        at_s = data.draw(st.sampled_from([change.event.at_s for change in changes]))
        by_then = [change for change in changes if change.event.at_s <= at_s and change.stored is not None]
        if by_then and by_then[-1].record is not None:
            assert restoring(changes, LAB, event_id=NEW, at_s=0.0, until=at_s).record == by_then[-1].record


@pytest.mark.parametrize("place", [-1, 1.0, True, "3", None])
def test_a_place_in_the_log_is_a_whole_number(place: object) -> None:
    with pytest.raises(InvalidParameterError, match="must be an int >= 0"):
        Position(place)  # type: ignore[arg-type]


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(NotFoundError, match="never held it"):
        restoring(history([(1, REGISTERED)], LAB, NEW), LAB, event_id=NEW, at_s=0)
    with pytest.raises(InvalidParameterError, match="without an instant"):
        restoring([], LAB, event_id=NEW, at_s=0, version=1, until=Position(1))


def test_a_link_that_was_removed_cannot_be_removed_again() -> None:
    ends = {"namespace": "lab", "source": IDS[0], "target": IDS[1], "at_s": 1.0}
    log = [
        REGISTERED,
        MemoryLinked(event_id=UUID(int=1), **ends, link_type="related", weight=1.0),  # type: ignore[arg-type]
        MemoryUnlinked(event_id=UUID(int=2), **ends, link_type="related"),  # type: ignore[arg-type]
        MemoryUnlinked(event_id=UUID(int=3), **ends, link_type="related"),  # type: ignore[arg-type]
    ]
    for id in IDS[:2]:
        told = [change.effect.kind for change in history(entries_of(log), LAB, id)]
        assert told == [EffectKind.LINKED, EffectKind.UNLINKED]
