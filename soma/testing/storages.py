"""The contract of a storage: laws that ours and everybody else's must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

import numpy as np

from soma.errors import StoreError
from soma.math.multiscale import Trace
from soma.state.events import MemoryCreated, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.record import Link, MemoryRecord
from soma.state.stored import StoredMemory, Tombstone
from soma.stores.protocols import Storage
from soma.stores.rows import index_row, vector_key

__all__ = ["check_storage"]

LAB = Namespace("lab", dimension=2)
AT_S = 1_000_000.0


class _UndoneError(Exception):
    """Ends a transaction from within."""


def check_storage(make: Callable[[], Storage], again: Callable[[bool], Storage] | None = None) -> None:
    """Raise AssertionError unless a storage keeps the contract of `soma.stores.protocols.Storage`.

    Parameters
    ----------
    make : callable
        Returns a new, empty storage at each call, which no other one shares.
    again : callable, optional
        Opens the storage that ``make`` returned last once more, for reading alone if its argument is true; without it
        nothing is asked of two that share what they hold.

    Examples
    --------
    >>> from soma.stores.sqlite import SqliteStorage
    >>> check_storage(lambda: SqliteStorage(None))
    """
    for law in (_keeps_a_log, _keeps_records, _keeps_links, _keeps_vectors, _keeps_settings, _is_whole_or_nothing):
        with _open(make) as storage:
            law(storage)
    with _open(make) as one, _open(make) as other:
        assert one.identity, "a store has a name of its own"
        assert one.identity != other.identity, "two stores have two names"
    with _open(make) as storage:
        storage.close()  # and once more at the end
    if again is not None:
        for shared in (_is_seen_by_another, _reads_one_snapshot, _lasts):
            with _open(make) as storage:
                shared(storage, again)


def record(number: int, text: str = "the clock is slow", **changes: object) -> MemoryRecord:
    """Return a record of the namespace ``lab``."""
    made = MemoryRecord(
        id=UUID(int=number), namespace="lab", coordinate=(0.0, 1.0), timestamp=AT_S, importance=3, text=text
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def stored(of: MemoryRecord, version: int = 1) -> StoredMemory:
    """Return a memory of a record."""
    return StoredMemory(of, version, Trace(of.timestamp, (1.0,) * len(LAB.trace.tau_s)))


def created(number: int, at_s: float = AT_S) -> MemoryCreated:
    """Return the event that made a record."""
    return MemoryCreated(event_id=UUID(int=1_000 + number), at_s=at_s, record=record(number))


def _keeps_a_log(storage: Storage) -> None:
    assert (storage.log.head(), list(storage.log.read())) == (0, [])
    registered = NamespaceRegistered(event_id=UUID(int=1), at_s=0.0, registration=LAB)
    with storage.writing():
        positions = [storage.log.append(event) for event in (registered, created(1), created(2))]
        assert storage.log.append(created(1)) is None, "an event id is appended once"
    first, second, third = positions
    assert first is not None
    assert second is not None
    assert third is not None
    assert 0 < first < second < third, "positions grow"
    with storage.writing():
        last = storage.log.append(created(3))
    assert last is not None
    assert last > third
    with storage.reading():
        assert storage.log.head() == last
        assert [position for position, _ in storage.log.read()] == [first, second, third, last]
        assert [event for _, event in storage.log.read(second)] == [created(2), created(3)]
        assert set(storage.log.keys(second)) == {("lab", UUID(int=2)), ("lab", UUID(int=3))}
        assert list(storage.log.keys(last)) == []


def _keeps_records(storage: Storage) -> None:
    live = [stored(record(n, f"note {n}", tags=("b", "a"), timestamp=AT_S - n)) for n in (3, 1, 2)]
    short = stored(record(4, "note 4", expires_at=AT_S + 10.0))
    gone = Tombstone(2, "forgotten", UUID(int=1), AT_S)
    with storage.writing():
        storage.records.register(LAB)
        for position, memory in enumerate([*live, short], start=1):
            storage.records.put(memory, "lab", memory.record.id, position)
        storage.records.put(gone, "lab", UUID(int=5), 9)
        storage.records.put(stored(record(1, namespace="other")), "other", UUID(int=1), 10)
    with storage.reading():
        kept = storage.records
        assert kept.namespaces() == {"lab": LAB}
        asked = [UUID(int=n) for n in (5, 1, 77, 3)]
        assert kept.get("lab", asked) == [gone, live[1], None, live[0]], "in the order asked for"
        assert kept.get("nowhere", asked) == [None] * 4
        assert kept.live("lab") == [live[1], live[2], live[0], short], "ordered by id"
        assert sorted(kept.index_rows("lab")) == sorted(index_row(memory) for memory in [*live, short])
        assert kept.counts("lab") == {"episodic": 4, "deleted": 1}
        assert kept.counts("nowhere") == {}
        assert kept.expired("lab", AT_S + 9.0) == []
        assert kept.expired("lab", AT_S + 10.0) == [UUID(int=4)], "from that instant on"
    with storage.writing():
        storage.records.put(stored(record(1, "changed"), 2), "lab", UUID(int=1), 11)
        assert storage.records.get("lab", [UUID(int=1)]) == [stored(record(1, "changed"), 2)], "reads its own writes"
    with storage.reading():
        assert storage.records.get("other", [UUID(int=1)]) == [stored(record(1, namespace="other"))]


def _keeps_links(storage: Storage) -> None:
    link, back = (Link(UUID(int=a), UUID(int=b), "related", 0.3, AT_S) for a, b in ((1, 2), (2, 1)))
    with storage.writing():
        storage.records.register(LAB)
        for number in (1, 2):
            storage.records.put(stored(record(number)), "lab", UUID(int=number), number)
        for one in (back, link):
            storage.records.put_link("lab", one, 3)
    with storage.reading():
        assert storage.records.links("lab") == [link, back]
        assert storage.records.link("lab", link.source, link.target, "related") == link
        assert storage.records.link("lab", link.source, link.target, "caused") is None
        assert storage.records.links("other") == []
    with storage.writing():
        storage.records.put(Tombstone(2, "forgotten", None, AT_S), "lab", UUID(int=2), 4)
        assert storage.records.links("lab") == [], "hidden while an end is deleted"
        storage.records.put(stored(record(2), 3), "lab", UUID(int=2), 5)
        assert storage.records.links("lab") == [link, back], "and kept"
        storage.records.put_link("lab", replace(link, weight=2.0), 6)
        storage.records.drop_link("lab", back)
    with storage.reading():
        assert storage.records.links("lab") == [replace(link, weight=2.0)]


def _keeps_vectors(storage: Storage) -> None:
    memory = stored(record(1))
    used, unused = vector_key(memory.record), b"u" * 32
    vectors = {used: np.arange(4, dtype=np.float32), unused: np.float32(0.1) * np.ones(4, dtype=np.float32)}
    with storage.writing():
        storage.records.register(LAB)
        storage.records.put(memory, "lab", memory.record.id, 1)
        storage.vectors.put("one-d4", vectors)
        storage.vectors.put("two-d4", {unused: vectors[unused]})
        assert set(storage.vectors.get("one-d4", [used, unused])) == {used, unused}, "reads its own writes"
    found = storage.vectors.get("one-d4", [used, unused, b"n" * 32])
    assert {key: vector.tobytes() for key, vector in found.items()} == {
        key: vector.tobytes() for key, vector in vectors.items()
    }, "to the bit"
    assert storage.vectors.get("one-d4", []) == {}
    assert set(storage.vectors.get("two-d4", [used, unused])) == {unused}
    with storage.writing():
        storage.vectors.drop_unused([used, unused])
    assert set(storage.vectors.get("one-d4", [used, unused])) == {used}
    assert storage.vectors.get("two-d4", [unused]) == {}, "of every revision"
    with storage.writing():
        storage.vectors.put("two-d4", {used: vectors[used]})
        storage.vectors.keep_only("two-d4")
    assert storage.vectors.get("one-d4", [used]) == {}
    assert set(storage.vectors.get("two-d4", [used])) == {used}


def _keeps_settings(storage: Storage) -> None:
    assert storage.setting("colour") is None
    with storage.writing():
        storage.set_setting("colour", "blue")
        storage.set_setting("colour", "grün")
        assert storage.setting("colour") == "grün"
    assert storage.setting("colour") == "grün"


def _is_whole_or_nothing(storage: Storage) -> None:
    with storage.writing():
        storage.records.register(LAB)
        storage.log.append(created(1))
    try:
        with storage.writing():
            with storage.writing():  # a block in a block belongs to it
                storage.log.append(created(2))
            storage.records.put(stored(record(2)), "lab", UUID(int=2), 2)
            storage.records.put_link("lab", Link(UUID(int=1), UUID(int=2), "related", 1.0, AT_S), 2)
            storage.vectors.put("one-d4", {b"k" * 32: np.zeros(4, dtype=np.float32)})
            storage.set_setting("colour", "blue")
            raise _UndoneError
    except _UndoneError:
        pass
    with storage.reading():
        assert storage.log.head() == 1
        assert storage.records.get("lab", [UUID(int=2)]) == [None]
        assert storage.records.link("lab", UUID(int=1), UUID(int=2), "related") is None
        assert storage.setting("colour") is None
    assert storage.vectors.get("one-d4", [b"k" * 32]) == {}
    with storage.writing():
        assert storage.log.append(created(2)) == 2, "as if it had never been tried"


def _is_seen_by_another(storage: Storage, again: Callable[[bool], Storage]) -> None:
    with _open(lambda: again(False)) as other:
        assert other.identity == storage.identity
        for number, writer in enumerate((storage, other, storage), start=1):
            with writer.writing():
                if number == 1:
                    writer.records.register(LAB)
                position = writer.log.append(created(number))
                assert position == number
                writer.records.put(stored(record(number)), "lab", UUID(int=number), number)
        for reader in (storage, other):
            with reader.reading():
                assert reader.log.head() == 3
                assert [memory.record for memory in reader.records.live("lab")] == [record(n) for n in (1, 2, 3)]
    with _open(lambda: again(True)) as reader:
        assert reader.is_read_only
        with reader.reading():
            assert reader.log.head() == 3
        try:
            with reader.writing():
                reader.log.append(created(9))
        except StoreError:
            pass
        else:
            raise AssertionError("a store opened for reading refuses a write")


def _reads_one_snapshot(storage: Storage, again: Callable[[bool], Storage]) -> None:
    with storage.writing():
        storage.records.register(LAB)
        storage.log.append(created(1))
    with _open(lambda: again(False)) as reader, reader.reading():
        assert reader.log.head() == 1
        with storage.writing():  # nobody waits for the reader, and it for nobody
            storage.log.append(created(2))
        assert reader.log.head() == 1, "a block reads one snapshot"


def _lasts(storage: Storage, again: Callable[[bool], Storage]) -> None:
    with storage.writing():
        storage.records.register(LAB)
        storage.log.append(created(1))
        storage.records.put(stored(record(1)), "lab", UUID(int=1), 1)
        storage.set_setting("colour", "blue")
    identity = storage.identity
    storage.close()
    with _open(lambda: again(False)) as opened:
        assert opened.identity == identity
        assert opened.setting("colour") == "blue"
        with opened.reading():
            assert [event for _, event in opened.log.read()] == [created(1)]
            assert opened.records.live("lab") == [stored(record(1))]


@contextmanager
def _open(make: Callable[[], Storage]) -> Iterator[Storage]:
    storage = make()
    try:
        yield storage
    finally:
        storage.close()
