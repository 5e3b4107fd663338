"""Consolidation conserves what can be counted, is done once, and can be taken up again or back at any point."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from soma.errors import InvalidParameterError
from soma.math import multiscale
from soma.math.coordinates import Frame
from soma.math.multiscale import level
from soma.math.units import DAY
from soma.state import consolidation
from soma.state.consolidation import Scales, consolidate, consolidated, live_bound, undo
from soma.state.events import Event, MemoryCreated, MemoryDeleted, MemoryRecalled, NamespaceRegistered
from soma.state.minimal import MinimalSoma
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord, MemoryType
from soma.state.stored import StoredMemory
from soma.state.transition import apply, fold

NOW = 1.8e9
LAB = Namespace("lab", 2, frame=Frame((-1.0, -1.0), (1.0, 1.0)))
REGISTERED = NamespaceRegistered(event_id=UUID(int=1), at_s=0.0, registration=LAB)
EMPTY = fold([REGISTERED])
SCALES = Scales(tau_s=DAY, ratio=2.0, levels=3)


def applied(state: MinimalSoma, events: Sequence[Event]) -> MinimalSoma:
    for event in events:
        state, effect = apply(state, event)
        assert effect.is_change, effect
    return state


def plan(state: MinimalSoma, now_s: float = NOW, scales: Scales = SCALES, **more: Any) -> list[Event]:
    return list(consolidate(state.live("lab"), LAB, now_s, scales, **more))


def stands_for(memory: StoredMemory) -> tuple[int, int]:
    """Return how many episodes a memory stands for, and their importance."""
    known = consolidated(memory.record)
    return (1, memory.record.importance) if known is None else (known.count, known.importance)


def mass(state: MinimalSoma, now_s: float) -> tuple[int, int, int, float]:
    """Return what is conserved: episodes, importance, recalls and the level of all accesses."""
    live = state.live("lab")
    return (
        sum(stands_for(memory)[0] for memory in live),
        sum(stands_for(memory)[1] for memory in live),
        sum(memory.n_recalls for memory in live),
        math.fsum(level(memory.trace, now_s, LAB.trace) for memory in live),
    )


def require_equal_mass(one: tuple[int, int, int, float], other: tuple[int, int, int, float]) -> None:
    assert one[:3] == other[:3]
    assert one[3] == pytest.approx(other[3], rel=1e-12)


ages = st.floats(0.0, 4e7) | st.sampled_from([0.0, DAY, math.nextafter(DAY, 0), 2 * DAY, 4 * DAY])
corners = st.sampled_from([-1.0, -0.75, -0.5, 0.0, 0.25, math.nextafter(1.0, 0), math.nextafter(0.0, -1)])
axes = st.floats(-1.0, 1.0, exclude_max=True) | corners


@st.composite
def populations(draw: st.DrawFn, max_size: int = 25) -> MinimalSoma:
    """Draw a state with memories of all ages, kinds and histories."""
    state = EMPTY
    for number in range(draw(st.integers(0, max_size))):
        kind = draw(st.sampled_from(["episode"] * 6 + ["pinned", "expiring", "semantic"]))
        record = MemoryRecord(
            id=UUID(int=1_000 + number),
            namespace="lab",
            coordinate=(draw(axes), draw(axes)),
            timestamp=NOW - draw(ages),
            importance=draw(st.integers(-5, 10) | st.sampled_from([2**53 - 1, -(2**53) + 1])),
            memory_type=MemoryType.SEMANTIC if kind == "semantic" else MemoryType.EPISODIC,
            text=draw(st.none() | st.just(f"note {number}")),
            tags=tuple(draw(st.sets(st.sampled_from("abc")))),
            pinned=kind == "pinned",
            expires_at=NOW + DAY if kind == "expiring" else None,
        )
        events: list[Event] = [MemoryCreated(event_id=UUID(int=2_000 + number), at_s=record.timestamp, record=record)]
        for recall in range(draw(st.integers(0, 2))):
            at_s = record.timestamp + draw(st.floats(0.0, 1.0)) * (NOW - record.timestamp)
            event_id = UUID(int=10_000 + 10 * number + recall)
            events.append(MemoryRecalled(event_id=event_id, at_s=at_s, namespace="lab", id=record.id, weight=1.5))
        state = applied(state, events)
    return state


scales = st.builds(
    Scales,
    tau_s=st.sampled_from([1.0, DAY, 30 * DAY]),
    ratio=st.sampled_from([1.1, 2.0, 4.0, 100.0]),
    levels=st.integers(0, 32),
)


@given(populations(), scales)
def test_importance_episodes_and_accesses_are_conserved(state: MinimalSoma, scales: Scales) -> None:
    after = applied(state, plan(state, scales=scales))
    for later_s in (NOW, NOW + DAY, NOW + 1e8):
        require_equal_mass(mass(after, later_s), mass(state, later_s))


@given(populations(), scales)
def test_the_sources_partition_what_was_consumed(state: MinimalSoma, scales: Scales) -> None:
    events = plan(state, scales=scales)
    after = applied(state, events)
    before = {memory.record.id: memory for memory in state.live("lab")}
    gone = before.keys() - {memory.record.id for memory in after.live("lab")}
    named: Counter[UUID] = Counter()
    for memory in after.live("lab"):
        known = consolidated(memory.record)
        if known is not None:
            named.update(id for id, _ in known.sources)
            assert known.since_s == min(before[id].record.timestamp for id, _ in known.sources)
            assert memory.record.timestamp == max(before[id].record.timestamp for id, _ in known.sources)
            assert len(known.sources) == known.count > 1
    assert named == Counter(gone)
    into = {event.id: event.into for event in events if isinstance(event, MemoryDeleted)}
    assert into.keys() == gone
    assert set(into.values()) <= {memory.record.id for memory in after.live("lab")}


@given(populations(), scales)
def test_doing_it_twice_at_one_time_is_doing_it_once(state: MinimalSoma, scales: Scales) -> None:
    after = applied(state, plan(state, scales=scales))
    assert plan(after, scales=scales) == []


@given(populations(), scales, st.sampled_from([0.0, 1.0, DAY, 1e7]))
def test_few_are_left(state: MinimalSoma, scales: Scales, later_s: float) -> None:
    after = applied(state, plan(state, scales=scales))
    now_s = NOW + later_s
    bound = live_bound(after.live("lab"), LAB, now_s, scales)
    later = applied(after, plan(after, now_s, scales))
    assert len(later.live("lab")) <= bound
    if later_s == 0.0:
        assert len(after.live("lab")) <= live_bound(state.live("lab"), LAB, NOW, scales)


@given(populations(), scales)
def test_what_is_young_pinned_expiring_or_a_users_own_stays(state: MinimalSoma, scales: Scales) -> None:
    after = applied(state, plan(state, scales=scales))
    for memory in state.live("lab"):
        record = memory.record
        is_kept = record.pinned or record.expires_at is not None or record.memory_type is MemoryType.SEMANTIC
        if is_kept or NOW - record.timestamp < scales.tau_s:
            assert after.get("lab", record.id) == memory


@given(populations(), scales, st.data())
def test_a_run_that_broke_off_is_taken_up_to_the_same_result(
    state: MinimalSoma, scales: Scales, data: st.DataObject
) -> None:
    events = plan(state, scales=scales)
    whole = applied(state, events)
    n = data.draw(st.integers(0, len(events)))
    broken = applied(state, events[:n])
    rest = plan(broken, scales=scales)
    resumed = applied(broken, rest)
    assert resumed.memories == whole.memories
    assert {event.event_id for event in events} == {event.event_id for event in events[:n] + rest}
    for event in events:  # the same events, sent again, change nothing
        assert not apply(resumed, event)[1].is_change


@given(populations(), scales, st.randoms(use_true_random=False))
def test_the_order_of_the_memories_does_not_matter(state: MinimalSoma, scales: Scales, rng: random.Random) -> None:
    live = state.live("lab")
    rng.shuffle(live)
    assert list(consolidate(live, LAB, NOW, scales)) == plan(state, scales=scales)


@given(populations(), scales)
def test_it_can_be_undone_while_the_log_is_kept(state: MinimalSoma, scales: Scales) -> None:
    former = {memory.record.id: memory for memory in state.live("lab")}
    after = applied(state, plan(state, scales=scales))
    for memory in after.live("lab"):
        if consolidated(memory.record) is not None:
            after = applied(after, list(undo(memory, former, NOW + 1.0)))
    assert [memory.record for memory in after.live("lab")] == [memory.record for memory in former.values()]
    for memory in after.live("lab"):
        was = former[memory.record.id]
        assert (memory.trace, memory.n_recalls, memory.last_recalled_s) == (
            was.trace,
            was.n_recalls,
            was.last_recalled_s,
        )
    again = applied(after, plan(after, scales=scales))  # and what came back may be consolidated anew
    require_equal_mass(mass(again, NOW), mass(state, NOW))


@given(populations(), scales)
def test_a_consolidated_memory_lies_in_its_cell_and_says_what_it_is(state: MinimalSoma, scales: Scales) -> None:
    for event in plan(state, scales=scales):
        if isinstance(event, MemoryCreated):
            record = event.record
            known = consolidated(record)
            assert known is not None
            sources = [state.get("lab", id) for id, _ in known.sources]
            records = [memory.record for memory in sources if memory is not None]
            assert record.memory_type is MemoryType.SEMANTIC
            assert record.importance == max(other.importance for other in records)
            assert set(record.tags) == set.intersection(*(set(other.tags) for other in records))
            texts = {other.searchable_text for other in records}
            assert (record.text or "") in texts
            sides = 2.0 * 2.0**-known.level
            assert all(
                max(abs(a - b) for a, b in zip(record.coordinate, other.coordinate, strict=True)) < sides
                for other in records
            )


def episode(number: int, age_s: float, **changes: Any) -> MemoryCreated:
    fields: dict[str, Any] = {"coordinate": (0.1, 0.1), "importance": 1, "text": f"note {number}"}
    record = MemoryRecord(id=UUID(int=number), namespace="lab", timestamp=NOW - age_s, **{**fields, **changes})
    return MemoryCreated(event_id=UUID(int=number + 10**6), at_s=record.timestamp, record=record)


def test_as_time_passes_cells_grow_and_bands_merge() -> None:
    places = [(0.1, 0.1), (0.1, 0.2), (0.9, 0.9), (-0.9, -0.9)]
    state = applied(EMPTY, [episode(n, DAY, coordinate=place) for n, place in enumerate(places)])
    left = []
    for days in (0, 1, 3, 7, 15):
        state = applied(state, plan(state, NOW + days * DAY))
        left.append(len(state.live("lab")))
    assert left == [3, 3, 2, 1, 1]
    assert stands_for(state.live("lab")[0]) == (4, 4)


def test_a_group_of_any_size_becomes_one() -> None:
    n = 2 * consolidation.MAX_SOURCES + 100
    state = applied(EMPTY, [episode(number, DAY + number % 7) for number in range(n)])
    events = plan(state)
    after = applied(state, events)
    (one,) = after.live("lab")
    assert stands_for(one) == (n, n)
    require_equal_mass(mass(after, NOW), mass(state, NOW))
    broken = applied(state, events[: n // 2])
    assert applied(broken, plan(broken)).memories == after.memories


def test_a_mean_that_rounding_puts_outside_its_cell_is_not_taken() -> None:
    n = next(n for n in range(2, 100) if np.average(np.full((n, 1), 0.1), axis=0, weights=np.ones(n))[0] < 0.1)
    odd = Namespace("lab", 1, frame=Frame((0.1,), (0.7,)))
    state = applied(
        fold([NamespaceRegistered(event_id=UUID(int=1), at_s=0.0, registration=odd)]),
        [episode(number, DAY, coordinate=(0.1,)) for number in range(n)],
    )
    created = next(consolidate(state.live("lab"), odd, NOW, SCALES))
    assert isinstance(created, MemoryCreated)
    assert created.record.coordinate == (0.1,)


def test_what_came_back_is_not_taken_for_the_rest_of_a_broken_run() -> None:
    state = applied(EMPTY, [episode(n, DAY) for n in range(3)])
    events = plan(state)
    after = applied(state, events)
    former = state.live("lab")[0]
    back = MemoryCreated(event_id=UUID(int=77), at_s=NOW, record=former.record)
    again = plan(applied(after, [back]))
    (into,) = {event.into for event in again if isinstance(event, MemoryDeleted)}
    assert into not in {event.into for event in events if isinstance(event, MemoryDeleted)}
    (one,) = applied(applied(after, [back]), again).live("lab")
    assert stands_for(one) == (4, 4)  # who brings a source back by itself has it twice; `undo` has not


def test_the_episode_nearest_to_the_mean_of_the_vectors_speaks() -> None:
    state = applied(EMPTY, [episode(n, DAY) for n in range(3)])
    vectors = {"note 0": [1.0, 0.0], "note 1": [0.8, 0.6], "note 2": [0.0, 1.0]}

    def of(records: Sequence[MemoryRecord]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.array([vectors[record.text or ""] for record in records], dtype=np.float32)

    created = plan(state, vectors=of)[0]
    assert isinstance(created, MemoryCreated)
    assert created.record.text == "note 1"
    told = plan(state, summarise=lambda records: f"{len(records)} notes")[0]
    assert isinstance(told, MemoryCreated)
    assert told.record.text == "3 notes"


def test_what_only_looks_consolidated_is_a_users_own() -> None:
    state = applied(EMPTY, [episode(n, DAY) for n in range(2)])
    created = plan(state)[0]
    assert isinstance(created, MemoryCreated)
    record = created.record
    forged = MemoryRecord(
        id=UUID(int=7), namespace="lab", coordinate=(0, 0), timestamp=0, importance=1, payload=record.payload,
        memory_type=MemoryType.SEMANTIC,
    )  # fmt: skip
    assert consolidated(record) is not None
    assert consolidated(forged) is None
    for payload in ({"consolidated": 3}, {"consolidated": {"level": 1}}, {}):
        changes: dict[str, Any] = {"payload": payload, "memory_type": "semantic"}
        assert consolidated(episode(9, 0.0, **changes).record) is None
    with pytest.raises(InvalidParameterError, match="must be a consolidated memory"):
        list(undo(state.live("lab")[0], {}, NOW))
    after = applied(state, plan(state))
    with pytest.raises(InvalidParameterError, match="must hold every source"):
        list(undo(after.live("lab")[0], {}, NOW))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau_s": 0.0}, "tau_s"), ({"tau_s": math.nan}, "tau_s"), ({"tau_s": math.inf}, "tau_s"),
        ({"ratio": 1.0}, "ratio"), ({"ratio": math.nan}, "ratio"), ({"levels": -1}, "levels"),
        ({"levels": 65}, "levels"), ({"levels": True}, "levels"), ({"levels": 2.0}, "levels"),
    ],
)  # fmt: skip
def test_scales_outside_their_domain_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        Scales(**{"tau_s": DAY, **changes})


def test_a_namespace_without_cells_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="frame"):
        list(consolidate([], Namespace("lab", 2), NOW, SCALES))
    with pytest.raises(InvalidParameterError, match="levels"):
        list(consolidate([], LAB, NOW, Scales(DAY, levels=33)))
    with pytest.raises(InvalidParameterError, match="now_s"):
        list(consolidate([], LAB, math.nan, SCALES))


class Consolidation(RuleBasedStateMachine):
    """A life: memories come, are recalled and forgotten, time passes, and consolidation runs, or breaks off."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.now_s, self.n = EMPTY, NOW, 0
        self.expected = mass(EMPTY, NOW)

    @initialize()
    def begin(self) -> None:
        self.remember(0.0, 0.0, 3)

    def _take(self, event: Event) -> None:
        self.state, _ = apply(self.state, event)

    def _id(self) -> UUID:
        self.n += 1
        return UUID(int=self.n)

    @rule(x=axes, y=axes, importance=st.integers(0, 10))
    def remember(self, x: float, y: float, importance: int) -> None:
        record = MemoryRecord(
            id=self._id(), namespace="lab", coordinate=(x, y), timestamp=self.now_s, importance=importance
        )
        self._take(MemoryCreated(event_id=self._id(), at_s=self.now_s, record=record))
        count, weight, recalls, _ = self.expected
        self.expected = count + 1, weight + importance, recalls, 0.0

    @rule(place=st.integers(0, 10**6))
    def recall(self, place: int) -> None:
        live = self.state.live("lab")
        if live:
            id = live[place % len(live)].record.id
            self._take(MemoryRecalled(event_id=self._id(), at_s=self.now_s, namespace="lab", id=id))
            count, weight, recalls, _ = self.expected
            self.expected = count, weight, recalls + 1, 0.0

    @rule(place=st.integers(0, 10**6))
    def forget(self, place: int) -> None:
        live = self.state.live("lab")
        if live:
            memory = live[place % len(live)]
            self._take(
                MemoryDeleted(
                    event_id=self._id(), at_s=self.now_s, namespace="lab", id=memory.record.id, reason="forgotten"
                )
            )
            (n, importance), (count, weight, recalls, _) = stands_for(memory), self.expected
            self.expected = count - n, weight - importance, recalls - memory.n_recalls, 0.0

    @rule(elapsed_s=st.floats(0.0, 20 * DAY))
    def wait(self, elapsed_s: float) -> None:
        self.now_s += elapsed_s

    @rule()
    def consolidate(self) -> None:
        before = mass(self.state, self.now_s)
        bound = live_bound(self.state.live("lab"), LAB, self.now_s, SCALES)
        self.state = applied(self.state, plan(self.state, self.now_s))
        require_equal_mass(mass(self.state, self.now_s), before)
        assert len(self.state.live("lab")) <= bound
        assert plan(self.state, self.now_s) == []

    @rule(n=st.integers(0, 20))
    def break_off_and_resume(self, n: int) -> None:
        events = plan(self.state, self.now_s)
        whole = applied(self.state, events)
        broken = applied(self.state, events[:n])
        self.state = applied(broken, plan(broken, self.now_s))
        assert self.state.memories == whole.memories

    @invariant()
    def nothing_is_lost(self) -> None:
        assert mass(self.state, self.now_s)[:3] == self.expected[:3]


TestConsolidation = Consolidation.TestCase
TestConsolidation.settings = settings(deadline=None)


def test_a_hundred_thousand_events_end_in_few_memories() -> None:
    rng = random.Random(5)
    state, now_s, n_events, expected = EMPTY, NOW, 0, 0
    scales = Scales(tau_s=7 * DAY, ratio=2.0, levels=4)
    alive: list[UUID] = []
    while n_events < 100_000:
        for _ in range(2_000):
            now_s += rng.expovariate(1 / 600)
            n_events += 1
            event_id = UUID(int=rng.getrandbits(128), version=4)
            if rng.random() < 0.6 or not alive:
                record = MemoryRecord(
                    id=UUID(int=rng.getrandbits(128), version=4),
                    namespace="lab",
                    coordinate=(rng.gauss(0, 0.3) % 2 - 1, rng.uniform(-1, 1)),
                    timestamp=now_s,
                    importance=rng.randrange(11),
                )
                expected += record.importance
                alive.append(record.id)
                event: Event = MemoryCreated(event_id=event_id, at_s=now_s, record=record)
            else:
                event = MemoryRecalled(event_id=event_id, at_s=now_s, namespace="lab", id=rng.choice(alive))
            state, _ = apply(state, event)
        before, live = mass(state, now_s), state.live("lab")
        bound = live_bound(live, LAB, now_s, scales)
        state = applied(state, plan(state, now_s, scales))
        require_equal_mass(mass(state, now_s), before)
        alive = [memory.record.id for memory in state.live("lab")]
        assert len(alive) <= bound
        assert mass(state, now_s)[1] == expected
    assert plan(state, now_s, scales) == []
    assert mass(state, now_s)[0] > 50_000
    assert len(alive) < 3_000
    assert multiscale.level(state.live("lab")[0].trace, now_s, LAB.trace) > 0
