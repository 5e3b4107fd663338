"""Laws of the KVWriter, on a real Postgres: the rows equal the fold, and redelivery changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests.export.contract.test_codec import CODEC
from soma.math.multiscale import Trace
from soma.state.events import Event, MemoryCreated, MemoryRecalled, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.record import Link, MemoryRecord
from soma.state.stored import Stored, StoredMemory, Tombstone
from soma.state.transition import fold
from soma.testing.strategies import logs
from soma_export.contract import Message, Position
from soma_export.database import connect, migrate
from soma_export.intake import Accepted, Poison, Taken, take_in
from soma_export.local.postgres import LocalPostgres
from soma_export.projections.kv_rows import READ_COLUMNS, stored_of
from soma_export.projections.kv_writer import Batch, CursorMovedError, KVWriter, Written
from soma_export.settings import ExportSettings
from soma_export.verify import differing_fields

TOPIC = "a-topic"
TABLES = ("memories", "memory_links", "memory_events", "cursors", "dead_letters", "namespaces")


class Bench:
    """One schema, emptied for every example, and a log of one partition."""

    def __init__(self, settings: ExportSettings) -> None:
        migrate(settings)
        self.store = connect(settings)
        self.writer = KVWriter(lambda: connect(settings), "g")
        self.buried: list[Poison] = []

    def clear(self) -> None:
        self.store.execute(f"TRUNCATE {', '.join(TABLES)}")
        self.buried.clear()
        assert self.writer.positions(TOPIC, {0: 0}) == {0: 0}

    def project(self, taken: Sequence[Taken], start: int, end: int) -> Written:
        accepted = [item for item in taken if isinstance(item, Accepted)]
        poison = [item for item in taken if isinstance(item, Poison)]
        return self.writer.project(Batch(TOPIC, {0: start}, {0: end}, accepted, poison), self.buried.extend)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: sorted(map(repr, self.store.execute(f"SELECT t.* FROM {name} AS t"))) for name in TABLES[:3]}

    def memories(self) -> dict[tuple[str, UUID], Stored]:
        found = self.store.execute(f"SELECT {READ_COLUMNS} FROM memories AS m")
        return {key: stored for key, stored, _ in map(stored_of, found)}

    def links(self) -> set[tuple[str, Link]]:
        found = self.store.execute("SELECT namespace, source, target, type, weight, at FROM memory_links")
        return {(namespace, Link(*rest)) for namespace, *rest in found}


@pytest.fixture(scope="module")
def bench(postgres_server: LocalPostgres) -> Iterator[Bench]:
    made = Bench(ExportSettings("127.0.0.1:1", postgres_server.address, schema="kv_writer"))
    yield made
    made.writer.close()
    made.store.close()


def taken(log: Sequence[Event], first: int = 0) -> list[Taken]:
    """Take in a log as messages of one partition; every third offset is a hole, as transactions leave them."""
    registered = {e.registration.name: e.registration for e in log if isinstance(e, NamespaceRegistered)}
    found = []
    offsets = (offset for offset in count(first) if offset % 3 != 2)
    for event in log:
        if not isinstance(event, NamespaceRegistered):
            sent = CODEC.encode(event)
            message = Message(Position(TOPIC, 0, next(offsets)), 1e12, sent.key, sent.value, sent.headers)
            found.append(take_in(message, CODEC, registered.get, 1e12))
    return found


def end_of(items: Sequence[Taken], before: int) -> int:
    return items[-1].position.offset + 1 if items else before


def write(bench: Bench, items: Sequence[Taken], sizes: Sequence[int], start: int = 0) -> int:
    left, turn = list(items), 0
    while left:
        size = sizes[turn % len(sizes)]
        batch, left, turn = left[:size], left[size:], turn + 1
        bench.project(batch, start, end_of(batch, start))
        start = end_of(batch, start)
    return start


SIZES = st.lists(st.integers(1, 8), min_size=1, max_size=5)


@given(logs(), SIZES)
def test_the_rows_equal_the_fold(bench: Bench, log: list[Event], sizes: list[int]) -> None:
    bench.clear()
    write(bench, taken(log), sizes)
    expected, found = fold(log), bench.memories()
    assert set(found) == set(expected.memories)
    assert not {
        key: differing_fields(expected.memories[key], found[key])
        for key in found
        if expected.memories[key] != found[key]
    }
    assert bench.links() == {
        (namespace, link) for (namespace, _), targets in expected.links.items() for link in targets.values()
    }
    assert len(bench.rows()["memory_events"]) == len(taken(log))


@given(logs(), SIZES, SIZES, st.data())
def test_redelivering_any_suffix_changes_nothing(
    bench: Bench, log: list[Event], sizes: list[int], others: list[int], data: st.DataObject
) -> None:
    bench.clear()
    items = taken(log)
    end = write(bench, items, sizes)
    before = bench.rows()
    suffix = items[data.draw(st.integers(0, len(items))) :]
    if suffix:  # from an old position: the cursor stands elsewhere
        with pytest.raises(CursorMovedError):
            bench.project(suffix, suffix[0].position.offset, end_of(suffix, 0))
    again = taken([item.event for item in suffix if isinstance(item, Accepted)], first=end)  # same ids, new offsets
    write(bench, list(map(retake, again, suffix)), others, end)
    assert bench.rows() == before
    assert not bench.buried


def retake(item: Taken, original: Taken) -> Taken:
    """A resend has the registration of the original."""
    assert isinstance(original, Accepted)
    return take_in(item.message, CODEC, lambda _: original.registration, 1e12)


@given(logs(max_size=8), SIZES)
def test_the_order_of_batches_does_not_matter_to_the_rows(bench: Bench, log: list[Event], sizes: list[int]) -> None:
    bench.clear()
    write(bench, taken(log), [100])
    whole = bench.memories(), bench.links()
    bench.clear()
    write(bench, taken(log), sizes)
    assert (bench.memories(), bench.links()) == whole


def created(id: int, event_id: int, **changes: Any) -> MemoryCreated:
    fields = {"id": UUID(int=id), "namespace": "lab", "coordinate": [0.0, 0.5], "timestamp": 0.0, "importance": 1}
    return MemoryCreated(event_id=UUID(int=event_id), at_s=0.0, record=MemoryRecord(**{**fields, **changes}))


REGISTERED = NamespaceRegistered(event_id=UUID(int=99), at_s=0, registration=Namespace("lab", 2))


def test_a_batch_that_fails_leaves_nothing_and_goes_through_later(bench: Bench) -> None:
    bench.clear()
    items = taken([REGISTERED, created(1, 1), created(2, 2)])

    def away(_: Sequence[Poison]) -> None:
        raise psycopg.OperationalError("the topic of dead letters is away")

    poison = Poison(items[0].message, "decode", "made up")
    with pytest.raises(psycopg.OperationalError):
        bench.writer.project(Batch(TOPIC, {0: 0}, {0: 2}, items, [poison]), away)  # type: ignore[arg-type]
    assert not any(bench.rows().values())
    write(bench, items, [2])
    assert len(bench.memories()) == 2


def test_an_id_that_another_event_has_taken_is_a_dead_letter(bench: Bench) -> None:
    bench.clear()
    items = taken([REGISTERED, created(1, 1), created(2, 1), created(3, 3)])
    written = bench.project(items, 0, end_of(items, 0))
    assert written.effects == {"created": 2}
    assert ["was taken by another event" in letter.reason for letter in bench.buried] == [True]
    later = taken([REGISTERED, created(4, 3)], first=end_of(items, 0))
    bench.project(later, end_of(items, 0), end_of(later, 0))
    assert len(bench.buried) == 2
    assert {key[1].int for key in bench.memories()} == {1, 3}
    assert bench.store.execute("SELECT count(*) FROM dead_letters").fetchone() == (2,)


def test_a_dead_letter_keeps_the_bytes_as_they_came(bench: Bench) -> None:
    bench.clear()
    message = Message(Position(TOPIC, 0, 0), 1.0, b"\x00key", b"\xff\x00{", (("ce_id", b"\xff"), ("\0x", b"")))
    bench.project([Poison(message, "decode", "not\0JSON")], 0, 1)
    bench.project([], 1, 2)
    row = bench.store.execute('SELECT key, value, headers, reason, "offset" FROM dead_letters').fetchone()
    assert row == (b"\x00key", b"\xff\x00{", [["Y2VfaWQ=", "/w=="], ["AHg=", ""]], "not\\0JSON", 0)


def test_traces_and_tombstones_come_back_bit_for_bit(bench: Bench) -> None:
    bench.clear()
    log = [
        REGISTERED,
        created(
            1,
            1,
            timestamp=0.1,
            payload={"x": 1e-300, "n": None},
            tags=["b", 'a"\\,{ }', "NULL", "é"],
            extras={"mood": [1]},
        ),
        *(MemoryRecalled(event_id=UUID(int=n), at_s=n / 3, namespace="lab", id=UUID(int=1)) for n in range(2, 9)),
    ]
    write(bench, taken(log), [3])
    expected, found = fold(log).memories["lab", UUID(int=1)], bench.memories()["lab", UUID(int=1)]
    assert isinstance(expected, StoredMemory)
    assert expected == found
    assert isinstance(expected.trace, Trace)
    assert not differing_fields(expected, found)
    assert differing_fields(expected, Tombstone(1, "x", None, 0.0)) == ["deleted"]
