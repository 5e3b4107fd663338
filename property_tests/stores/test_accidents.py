"""A full disk and a clock that jumps: what was acknowledged stays, what fails says so, the fold is the truth."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import soma
from soma import DAY, YEAR, fold
from soma.errors import StoreError
from soma.state.stored import StoredMemory
from soma.stores.sqlite import FILE_NAME

NOW = 2_000_000_000.0

FILLER = """
import resource, signal, sys
import soma
from soma.errors import StoreError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
with soma.open(sys.argv[1], namespace="lab") as memory:
    try:
        for n in range(10_000):
            print(memory.remember(f"note {n} about clocks " + "x" * 2_000).id, flush=True)
    except StoreError as error:
        print("full:", error)
        print(len(memory), len(memory.recall("clocks", k=3)))  # reading goes on
"""


def is_sound(memory: soma.Memory) -> bool:
    """Whether what is stored is what the log says."""
    state = fold(memory.events())
    rows = [memory.retrieve(record.id) for record in memory]
    return rows == state.live(memory.namespace) and all(isinstance(row, StoredMemory) for row in rows)


@pytest.mark.parametrize("size", [120_000, 400_000, 1_500_000])
def test_a_full_disk_is_one_sentence_and_loses_nothing_acknowledged(tmp_path: Path, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path), str(size)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    *acknowledged, sentence, read = done.stdout.splitlines()
    assert sentence.startswith("full: the store in ")
    assert "Traceback" not in sentence
    assert read.split()[0] == str(len(acknowledged))
    with soma.open(tmp_path, namespace="lab") as memory:  # there is room again
        assert {str(record.id) for record in memory} == set(acknowledged)
        assert is_sound(memory)
        memory.remember("and it goes on")
        assert len(memory) == len(acknowledged) + 1


def test_a_store_that_cannot_even_be_made_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path), "4096"], capture_output=True, text=True, check=False
    )
    assert "soma.errors.StoreError: the store in" in done.stderr
    with soma.open(tmp_path) as memory:
        memory.remember("there is room again")
        assert is_sound(memory)


jumps = st.sampled_from([0.0, 0.25, 1.0, 3_600.0, -3_600.0, DAY, -DAY, 30 * DAY, -30 * DAY, 20 * YEAR, -20 * YEAR])


@settings(max_examples=40)
@given(st.lists(st.tuples(jumps, st.sampled_from(["remember", "recall", "update", "sweep"])), max_size=12))
def test_a_clock_that_jumps_loses_nothing_and_confuses_nobody(steps: list[tuple[float, str]]) -> None:
    now_s = 1_772_323_200.0
    with tempfile.TemporaryDirectory() as folder, soma.open(folder, namespace="lab", clock=lambda: now_s) as memory:
        kept = [memory.remember("the clock is slow"), memory.remember("the clock stops", importance=9)]
        for jump, step in steps:
            now_s += jump
            if step == "remember":
                kept.append(memory.remember(f"the clock at {now_s}"))
            elif step == "update":
                kept[0] = memory.remember("the clock was slow", id=kept[0].id)
            elif step == "sweep":
                assert memory.forget_expired() == []  # nothing has a time to live
            else:
                hits = memory.recall("clock", k=len(kept), reinforce=True)
                assert {hit.record.id for hit in hits} == {record.id for record in kept}
                assert all(0.0 <= hit.score <= 1.0 for hit in hits)
        assert {record.id: record for record in memory} == {record.id: record for record in kept}
        assert is_sound(memory)
        trace = memory.retrieve(kept[0].id).trace
        assert all(value >= 0.0 for value in trace.values)


def test_a_clock_set_back_hides_no_memory_and_a_far_future_is_refused(tmp_path: Path) -> None:
    now_s = 1_772_323_200.0
    with soma.open(tmp_path, clock=lambda: now_s) as memory:
        memory.remember("written while the clock was right")
        now_s -= 10 * YEAR
        (hit,) = memory.recall("clock", policy=soma.policy.decay(soma.decay.Exponential(half_life_s=DAY)))
        assert hit.score == 1.0  # no newer than new
        with pytest.raises(ValueError, match="must be at most 300 s after now"):
            memory.remember("from the future", timestamp=now_s + 301)


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with soma.open(tmp_path) as memory:
        for n in range(50):
            memory.remember(f"note {n}")
    file = tmp_path / FILE_NAME
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
    damaged = file.read_bytes()
    with pytest.raises(StoreError, match=r"the store in .* failed"):
        soma.open(tmp_path).recall("note")
    assert file.read_bytes() == damaged


DAMAGES = {
    "UPDATE memories SET json = '{'": "damaged at memory 00000000-0000-0000-0000-000000000007 .*from a backup",
    "UPDATE memories SET json = replace(json, '\"importance\":5', '\"importance\":5.5')": "damaged at memory",
    "UPDATE events SET json = 'null' WHERE position = 2": "damaged at position 2 of its log .*from a backup",
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.items())
def test_a_damaged_row_is_named(tmp_path: Path, damage: str, sentence: str) -> None:
    with soma.open(tmp_path) as memory:
        memory.remember("the clock is slow", id=UUID(int=7))
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute(damage).rowcount
    connection.close()

    def read_all() -> None:
        with soma.open(tmp_path) as memory:
            list(memory)
            list(memory.events())

    with pytest.raises(StoreError, match=sentence):
        read_all()


@pytest.mark.parametrize("vector", ["x'00'", "x''", "zeroblob(8)"])
def test_a_damaged_vector_is_made_again(tmp_path: Path, vector: str) -> None:
    with soma.open(tmp_path) as memory:
        memory.remember("the clock is slow")
        wanted = memory.recall("clock", now=NOW)[0].score
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute(f"UPDATE vectors SET vector = {vector}").rowcount
    connection.close()
    with soma.open(tmp_path) as memory:
        assert memory.recall("clock", now=NOW)[0].score == wanted
