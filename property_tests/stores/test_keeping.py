"""Forgetting by rule in a store: what goes is named before, is never pinned, and is never another namespace's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soma
from soma import DAY, Memory, fold, policy, state_hash
from soma.errors import InvalidParameterError, NotFoundError
from soma.state.events import MemoryDeleted
from soma.state.forecast import best_scores

NOW = 1_772_323_200.0


class Clock:
    """Stands still until it is set."""

    now_s = NOW

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def filled(path: Path, namespace: str, clock: Clock) -> Memory:
    memory = soma.open(path, namespace=namespace, clock=clock)
    for day in range(24):
        memory.remember(
            f"the clock of day {day}",
            importance=day % 5,
            timestamp=NOW - day * DAY,
            pinned=day % 7 == 0,
            expires_at=NOW + day * DAY if day % 7 and day % 3 == 0 else None,
        )
    return memory


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with filled(tmp_path / "store", "lab", clock) as made:
        yield made


@pytest.fixture
def other(tmp_path: Path, clock: Clock, memory: Memory) -> Iterator[Memory]:
    with filled(tmp_path / "store", "other", clock) as made:
        yield made


def reasons(memory: Memory) -> dict[UUID, str]:
    return {event.id: event.reason for event in memory.events() if isinstance(event, MemoryDeleted)}


@pytest.mark.parametrize("budget", [0, 3, 4, 10, 24, 30])
def test_what_is_evicted_is_worth_no_more_than_what_stays(memory: Memory, budget: int) -> None:
    live = fold(memory.events()).live("lab")
    worth = dict(
        zip(
            [one.record.id for one in live],
            best_scores(live, policy.presets.dense(), memory.registration, NOW).tolist(),
            strict=True,
        )
    )
    said = memory.evict(budget, dry_run=True)
    assert len(memory) == 24
    gone = memory.evict(budget)
    assert gone == said
    left = list(memory)
    free = [record for record in left if not record.pinned]
    assert len(left) == max(budget, 4) if budget < 24 else len(left) == 24
    assert sum(record.pinned for record in left) == 4
    assert [worth[id] for id in gone] == sorted(worth[id] for id in gone)
    if gone and free:
        assert worth[gone[-1]] <= min(worth[record.id] for record in free)
    assert reasons(memory) == dict.fromkeys(gone, "evicted")
    assert memory.evict(budget) == []


def test_a_policy_says_what_is_worth_keeping(memory: Memory) -> None:
    memory.evict(10, policy=policy.age_s())  # the oldest are worth most
    oldest = sorted((r for r in memory if not r.pinned), key=lambda r: r.timestamp)
    assert [r.text for r in oldest] == [f"the clock of day {day}" for day in (23, 22, 20, 19, 18, 17)]


def test_a_budget_is_kept_with_the_store_and_a_sweep_enforces_it(tmp_path: Path, clock: Clock, memory: Memory) -> None:
    assert memory.budget is None
    memory.set_budget(12, policy=policy.age_s())
    with soma.open(tmp_path / "store", namespace="lab", clock=clock) as again:
        assert again.budget is not None
        assert (again.budget.n_memories, again.budget.policy) == (12, policy.age_s())
        clock.now_s = NOW + 10 * DAY
        expired = {record.id for record in again if record.expires_at is not None and record.expires_at <= clock.now_s}
        said = again.sweep(dry_run=True)
        assert len(again) == 24
        gone = again.sweep()
    assert gone == said
    assert set(gone["expired"]) == expired
    assert len(expired) == 3
    assert len(gone["evicted"]) == 24 - 3 - 12
    assert len(memory) == 12
    assert reasons(memory) == dict.fromkeys(gone["expired"], "expired") | dict.fromkeys(gone["evicted"], "evicted")
    assert memory.sweep() == {"expired": [], "evicted": []}
    memory.set_budget(None)
    assert memory.budget is None


@pytest.mark.parametrize("budget", [-1, 2.0, True, "9"])
def test_a_budget_is_a_number_of_memories(memory: Memory, budget: Any) -> None:
    for verb in (memory.evict, memory.set_budget):
        with pytest.raises(InvalidParameterError, match="budget must be an integer >= 0"):
            verb(budget)


def test_a_policy_that_needs_a_query_cannot_tell_worth(memory: Memory) -> None:
    for verb in (memory.evict, memory.set_budget):
        with pytest.raises(InvalidParameterError, match="pointwise"):
            verb(3, policy=policy.rank(policy.similarity()))
    assert (len(memory), memory.budget) == (24, None)


def test_a_pinned_memory_stays_whatever_is_asked(memory: Memory, clock: Clock) -> None:
    (id,) = [record.id for record in memory if record.text == "the clock of day 3"]  # it has a time to live
    pinned = memory.pin(id)
    assert (pinned.pinned, pinned.expires_at) == (True, None)
    n_events = len(list(memory.events()))
    assert memory.pin(str(id)) == pinned
    assert len(list(memory.events())) == n_events  # nothing to do, nothing written
    clock.now_s = NOW + 300 * DAY
    memory.sweep()
    memory.evict(0)
    assert id in {record.id for record in memory}
    assert memory.forecast(1e9).falls == ()
    assert not memory.unpin(id).pinned
    assert [fall.id for fall in memory.forecast(1e9).falls] == [id]
    with pytest.raises(NotFoundError):
        memory.pin(UUID(int=5))


def test_a_forecast_is_what_will_be(memory: Memory, clock: Clock) -> None:
    falling = policy.decay(soma.decay.Exponential(half_life_s=10 * DAY))
    found = memory.forecast(0.2, policy=falling, horizon=NOW + 30 * DAY)
    assert 10 < len(found.falls) <= 20
    for day in (0, 5, 12, 30):
        clock.now_s = NOW + day * DAY + 1
        live = fold(memory.events()).live("lab")
        scores = best_scores(live, falling, memory.registration, clock.now_s)
        under = {
            one.record.id
            for one, score in zip(live, scores, strict=True)
            if not one.record.pinned
            and (score < 0.2 or (one.record.expires_at is not None and one.record.expires_at <= clock.now_s))
        }
        assert under == {fall.id for fall in found.falls if fall.at_s <= clock.now_s}
    assert sum(found.by_day().values()) == len(found.falls)


def test_a_namespace_is_deleted_and_no_other(memory: Memory, other: Memory) -> None:
    before = state_hash(fold(other.events()))
    for wrong in ("other", "", "lab "):
        with pytest.raises(InvalidParameterError, match="must be the name of this namespace, 'lab'"):
            memory.delete_namespace(wrong)
    said = memory.delete_namespace("lab", dry_run=True)
    assert len(memory) == 24
    assert memory.delete_namespace("lab") == said
    assert len(said) == 24
    assert (len(memory), len(other)) == (0, 24)
    assert state_hash(fold(other.events())) == before
    assert len(memory.as_of(NOW).all("lab")) == 0
    assert memory.history(said[0])[-1].event.type == "memory.deleted"


def test_duplicates_are_proposed_and_only_then_forgotten(memory: Memory, other: Memory) -> None:
    first = memory.remember("Ada fixed the archive", importance=9)
    second = memory.remember("ada fixed the archive", importance=2)
    other.remember("Ada fixed the archive", importance=10)
    proposed = [group for group in memory.duplicates() if group.keep == first.id]
    assert [group.others for group in proposed] == [(second.id,)]
    n = len(memory)
    done = memory.forget_duplicates()
    assert [group for group in done if group.keep == first.id] == proposed
    gone = {id for group in done for id in group.others}
    assert len(memory) == n - len(gone)
    assert reasons(memory)[second.id] == f"duplicate of {first.id}"
    assert memory.forget_duplicates() == ()
    assert len(other) == 25


VERBS: dict[str, Callable[[Memory], object]] = {
    "evict": lambda memory: memory.evict(2),
    "sweep": lambda memory: memory.sweep(),
    "duplicates": lambda memory: memory.forget_duplicates(0.5),
    "delete": lambda memory: memory.delete_namespace(memory.namespace),
    "expired": lambda memory: memory.forget_expired(),
    "pin": lambda memory: memory.pin(next(iter(memory)).id) if len(memory) else None,
}


@settings(max_examples=12)
@given(st.lists(st.sampled_from(sorted(VERBS)), max_size=6))
def test_a_store_equals_its_log_and_the_other_namespace_stays(
    tmp_path_factory: pytest.TempPathFactory, verbs: list[str]
) -> None:
    path, clock = tmp_path_factory.mktemp("keeping"), Clock()
    with filled(path, "lab", clock) as memory, filled(path, "other", clock) as other:
        before = state_hash(fold(other.events()))
        memory.set_budget(5)
        for verb in verbs:
            clock.now_s += DAY
            VERBS[verb](memory)
            state = fold(memory.events())
            assert tuple(memory) == state.all("lab")
            assert [hit.record.id for hit in memory.recall("clock", k=30)] == [
                hit.record.id for hit in memory.recall("clock", k=30, state=state)
            ]
        assert state_hash(fold(other.events())) == before
        assert len(other) == 24
