"""Nothing acknowledged is lost, and reading never meets a lock: with real processes, killed for real."""

from __future__ import annotations

import copy
import gc
import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import soma
from soma.errors import InvalidParameterError, SerializationError, SomaError, StoreBusyError, StoreError
from soma.state.minimal import state_hash
from soma.state.stored import StoredMemory
from soma.stores.sqlite import FILE_NAME, SqliteStorage

WRITER = """
import sys, soma
with soma.open(sys.argv[1], namespace="lab") as memory:
    for n in range(int(sys.argv[2])):
        record = memory.remember(f"note {n} about clocks", importance=n % 10)
        if n % 3 == 0:
            memory.recall("clocks", k=2, reinforce=True)
        print(record.id, flush=True)
"""

READER = """
import sys, time, soma
deadline, seen = time.monotonic() + float(sys.argv[2]), 0
with soma.open(sys.argv[1], namespace="lab", is_read_only=True) as memory:
    while time.monotonic() < deadline:
        n = len(memory)
        assert n >= seen, "a reader went back in time"
        seen = n
        assert min(3, n) <= len(memory.recall("clocks", k=3)) <= 3
        for record in memory:
            memory.retrieve(record.id)
print(seen)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_in_the_middle_of_writing_loses_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    acknowledged: set[str] = set()
    wait = random.Random(seed)
    for _ in range(2):
        writer = start(WRITER, tmp_path, 100_000)
        assert writer.stdout is not None
        acknowledged.add(writer.stdout.readline().strip())
        time.sleep(wait.uniform(0.05, 0.4))
        writer.send_signal(signal.SIGKILL)
        with writer:  # by the same reader, which may hold more than the first line already
            acknowledged.update(line.strip() for line in writer.stdout if len(line.strip()) == 36)
    assert len(acknowledged) > 2
    with soma.open(tmp_path, namespace="lab") as memory:
        held = {str(record.id) for record in memory}
        assert acknowledged <= held
        assert len(held) <= len(acknowledged) + 2  # at most one write a run was made and not yet acknowledged
        folded = soma.fold(memory.events())
        kept = {m.record.key: m for m in (memory.retrieve(record.id) for record in memory)}
        assert kept == {k: m for k, m in folded.memories.items() if isinstance(m, StoredMemory)}
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_many_readers_beside_a_writer_meet_no_lock(tmp_path: Path) -> None:
    soma.open(tmp_path, namespace="lab").close()
    writer = start(WRITER, tmp_path, 150)
    readers = [start(READER, tmp_path, 3.0) for _ in range(3)]
    results = [(process.communicate(timeout=120), process.returncode) for process in [writer, *readers]]
    for (output, complaint), code in results:
        assert code == 0, complaint
        assert output.strip()
    with soma.open(tmp_path, namespace="lab") as memory:
        assert len(memory) == 150


def test_a_second_writer_waits_its_turn_or_is_told_when_to_come_back(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    other = SqliteStorage(tmp_path, busy_timeout_s=0.05)
    with storage.writing(), pytest.raises(StoreBusyError) as caught, other.writing():
        pass
    assert caught.value.retry_after_s > 0
    with other.writing():  # the lock is free again
        pass
    other.close()
    storage.close()


def test_two_open_memories_see_each_others_writes(tmp_path: Path) -> None:
    with soma.open(tmp_path, namespace="lab") as one, soma.open(tmp_path, namespace="lab") as two:
        first = one.remember("the clock is slow")
        assert [hit.record for hit in two.recall("clock")] == [first]
        second = two.remember("the clock is fast")
        assert {hit.record.id for hit in one.recall("clock")} == {first.id, second.id}
        two.forget(first.id)
        assert [hit.record for hit in one.recall("clock")] == [second]


def test_a_reopened_memory_is_what_it_was(tmp_path: Path) -> None:
    with soma.open(tmp_path) as memory:
        for n in range(20):
            memory.remember(f"note {n}", payload={"n": n})
        before, hits = state_hash(memory.as_of(4e9)), memory.recall("note 7", now=2e9).hits
    with soma.open(tmp_path) as memory:
        assert state_hash(memory.as_of(4e9)) == before
        assert memory.recall("note 7", now=2e9).hits == hits


@pytest.mark.parametrize(
    "write",
    [
        lambda memory: memory.remember("x", timestamp=float("nan")),
        lambda memory: memory.remember("x", timestamp=4e9),
        lambda memory: memory.remember("x", coordinate=[float("nan"), 0, 0]),
        lambda memory: memory.remember("x", coordinate=[0.0, 0.0]),
        lambda memory: memory.remember("x", coordinate=[5.0, 0.0, 0.0]),
        lambda memory: memory.remember("x", payload={"raw": b"\xff"}),
        lambda memory: memory.remember("x", payload={"nan": float("nan")}),
        lambda memory: memory.remember("x" * 2_000_000),
        lambda memory: memory.remember("nul \0 here"),
        lambda memory: memory.remember("lone \ud800 surrogate"),
        lambda memory: memory.remember("x", importance=1.5),
        lambda memory: memory.remember("x", tags="ci"),
        lambda memory: memory.remember(),
        lambda memory: memory.remember("x", id="7"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_stored(tmp_path: Path, write: object) -> None:
    with soma.open(tmp_path) as memory:
        kept = memory.remember("good")
        events = list(memory.events())
        with pytest.raises((InvalidParameterError, SerializationError)) as caught:
            write(memory)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
        assert list(memory.events()) == events
        assert list(memory) == [kept]


def test_one_bad_record_keeps_the_whole_batch_out(tmp_path: Path) -> None:
    good = soma.MemoryRecord(id="00000000-0000-4000-8000-000000000001", coordinate=[0, 0, 0], timestamp=0, importance=1)  # type: ignore[arg-type]
    bad = soma.MemoryRecord(id="00000000-0000-4000-8000-000000000002", coordinate=[0, 0], timestamp=0, importance=1)  # type: ignore[arg-type]
    with soma.open(tmp_path) as memory:
        with pytest.raises(InvalidParameterError, match="dimension 3"):
            memory.store_many([good, bad])
        assert list(memory) == []
        assert len(memory) == 0


def test_a_naive_datetime_is_refused(tmp_path: Path) -> None:
    from datetime import datetime

    with soma.open(tmp_path) as memory, pytest.raises(InvalidParameterError, match="tzinfo"):
        memory.remember("x", timestamp=datetime(2026, 3, 1))  # noqa: DTZ001 - the naive one is the point


def test_what_is_not_a_store_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE_NAME).write_text("not a database, but long enough to be taken for one " * 50)
    with pytest.raises(StoreError, match="not a soma store"):
        soma.open(tmp_path / "text")
    (tmp_path / "other").mkdir()
    connection = sqlite3.connect(tmp_path / "other" / FILE_NAME)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="not a soma store"):
        soma.open(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose a folder"):
        soma.open(tmp_path / "file")
    with pytest.raises(StoreError, match="no soma store"):
        soma.open(tmp_path / "nowhere", is_read_only=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_read_only_memory_refuses_to_write(tmp_path: Path) -> None:
    soma.open(tmp_path).close()
    with (
        soma.open(tmp_path, is_read_only=True) as memory,
        pytest.raises(StoreError, match="opened for reading"),
    ):
        memory.remember("x")


def test_namespaces_do_not_leak(tmp_path: Path) -> None:
    with soma.open(tmp_path, namespace="one") as one, soma.open(tmp_path, namespace="two") as two:
        mine, yours = one.remember("a clock", tags=["t"]), two.remember("a clock", tags=["t"])
        assert [hit.record for hit in one.recall("clock")] == [mine]
        assert [hit.record for hit in two.recall("clock", tags=["t"])] == [yours]
        assert list(one) == [mine]
        assert [hit.record for hit in one.recall("clock", as_of=4e9)] == [mine]
        for forbidden in (
            lambda: one.retrieve(yours.id),
            lambda: one.forget(yours.id),
            lambda: one.link(mine.id, yours.id),
        ):
            with pytest.raises(SomaError):
                forbidden()
        assert one.stats()["episodic"] == 1
        assert {event.key[0] for event in two.events()} == {"two"}
        with pytest.raises(InvalidParameterError, match="namespace must be two"):
            two.store(mine)


def test_a_store_that_nobody_holds_any_more_is_closed(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory = soma.open(tmp_path / "s")
        memory.remember("the clock is slow")
        storage = memory._store.storage
        connection = storage._connection
        del memory, storage
        gc.collect()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_busy_store_says_one_sentence_and_survives_a_copy() -> None:
    busy = StoreBusyError("another process is writing: try again", 2.5)
    again = copy.copy(busy)
    assert str(busy) == str(again) == "another process is writing: try again"
    assert again.retry_after_s == 2.5
