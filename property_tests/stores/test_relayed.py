"""A storage that publishes its log: in order, at least once, nothing passed over, and never at the cost of a write."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import soma
from soma import Namespace, Settings
from soma.embedded import EmbeddedStore
from soma.embedding import HashingEmbedder
from soma.errors import StoreError
from soma.factory import open_storage
from soma.memory import Memory
from soma.state.events import Event
from soma.stores import relayed
from soma.stores.protocols import Storage
from soma.stores.relayed import CURSOR, RelayedStorage
from soma.stores.sqlite import SqliteStorage
from soma.stores.vectors_memory import ExactIndex
from soma.testing.storages import check_storage, created

EMBEDDER = HashingEmbedder(dimension=32)


class Topic:
    """Keeps what is published; fails while it is told to, sometimes after it has taken something."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.n_failures = 0
        self.n_taken_before_failing = 0
        self.n_closed = 0

    def publish(self, events: Sequence[Event]) -> None:
        if self.n_failures:
            self.n_failures -= 1
            self.events += events[: self.n_taken_before_failing]
            raise StoreError("the topic does not answer")
        self.events += events

    def close(self) -> None:
        self.n_closed += 1

    def first(self) -> list[Event]:
        """Return each event where it came first."""
        return list({event.event_id: event for event in reversed(self.events)}.values())[::-1]


def opened(storage: Storage) -> Memory:
    numbers = itertools.count(1)
    return Memory(
        EmbeddedStore(
            storage,
            Namespace("lab", dimension=1),
            EMBEDDER,
            ExactIndex(EMBEDDER.dimension),
            clock=lambda: 1_000.0,
            new_id=lambda: UUID(int=next(numbers)),
        )
    )


def test_it_is_a_storage() -> None:
    check_storage(lambda: RelayedStorage(SqliteStorage(None), Topic()))


def test_what_is_stored_is_published_in_the_order_of_the_log() -> None:
    topic = Topic()
    with opened(RelayedStorage(SqliteStorage(None), topic)) as memory:
        first = memory.remember("the clock is slow", coordinate=[0.0])
        other = memory.remember("lunch was late", coordinate=[0.0])
        memory.link(first.id, other.id)
        memory.recall("clock", reinforce=True)
        memory.forget(other.id)
        assert topic.events == list(memory.events())
        assert memory.stats()["unpublished"] == 0
    memory.close()
    assert topic.n_closed == 1


def test_what_was_there_before_is_published_first() -> None:
    storage = SqliteStorage(None)
    memory = opened(storage)
    for n in range(3):
        memory.remember(f"note {n}", coordinate=[0.0])
    assert "unpublished" not in memory.stats()
    topic = Topic()
    RelayedStorage(storage, topic)
    assert topic.events == list(memory.events())


def test_at_the_opening_a_relay_that_fails_is_an_error() -> None:
    storage, topic = SqliteStorage(None), Topic()
    with storage.writing():
        storage.log.append(created(9))
    topic.n_failures = 1
    with pytest.raises(StoreError, match="does not answer"):
        RelayedStorage(storage, topic)


def test_a_relay_that_fails_costs_no_write_and_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(relayed.time, "monotonic", lambda: now_s)
    topic = Topic()
    with opened(RelayedStorage(SqliteStorage(None), topic)) as memory:
        memory.remember("before", coordinate=[0.0])
        topic.n_failures, topic.n_taken_before_failing = 2, 0
        memory.remember("the relay fails", coordinate=[0.0])
        assert topic.n_failures == 1
        memory.remember("and is not asked again at once", coordinate=[0.0])
        assert topic.n_failures == 1
        assert memory.stats()["unpublished"] == 2
        now_s += relayed.FIRST_PAUSE_S
        memory.remember("it is asked, and fails again", coordinate=[0.0])
        assert topic.n_failures == 0
        now_s += relayed.FIRST_PAUSE_S
        memory.remember("the second pause is longer", coordinate=[0.0])
        assert memory.stats()["unpublished"] == 4
        now_s += relayed.FIRST_PAUSE_S
        memory.remember("it is back", coordinate=[0.0])
        assert memory.stats()["unpublished"] == 0
        assert topic.events == list(memory.events())
        assert len(memory) == 6


def test_a_transaction_that_is_undone_publishes_nothing() -> None:
    topic = Topic()
    storage = RelayedStorage(SqliteStorage(None), topic)

    def undone() -> None:
        with storage.writing():
            with storage.writing():
                storage.log.append(created(1))
            raise KeyError

    with pytest.raises(KeyError):
        undone()
    assert topic.events == []
    with storage.writing():
        storage.log.append(created(2))
    assert topic.events == [created(2)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 3)), max_size=25))
def test_two_relays_of_one_log_keep_its_order_and_pass_nothing_over(steps: list[tuple[str, int, int]]) -> None:
    """Each event stands in the topic, first where the log has it, however often relays fail and begin again."""
    storage, topic = SqliteStorage(None), Topic()
    storages = {name: RelayedStorage(storage, topic) for name in "ab"}
    for number, (who, n_failures, n_taken) in enumerate(steps, start=1):
        topic.n_failures, topic.n_taken_before_failing = n_failures, n_taken
        with storages[who].writing():
            storages[who].log.append(created(number))
        storages[who]._not_before_s = 0.0
        if n_failures == 2:  # killed: it begins again from what the store says
            topic.n_failures = 0
            storages[who] = RelayedStorage(storage, topic)
    topic.n_failures = 0
    RelayedStorage(storage, topic)
    assert topic.first() == [event for _, event in storage.log.read()]
    assert int(storage.setting(CURSOR) or 0) == storage.log.head()


def test_reading_alone_needs_no_relay(tmp_path: Path) -> None:
    soma.open(tmp_path).close()
    settings = Settings(path=tmp_path, is_dual_write=True)
    assert isinstance(open_storage(settings, is_read_only=True), SqliteStorage)
