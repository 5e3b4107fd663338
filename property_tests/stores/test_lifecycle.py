"""What happens to memories in a store is what the pure functions say, in one transaction, or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import soma
from soma import DAY, Memory, Scales, apply, fold, state_hash
from soma.cli import main
from soma.errors import InvalidParameterError
from soma.state.consolidation import consolidate, consolidated, live_bound
from soma.state.events import MemoryDeleted

NOW = 1_772_323_200.0
SCALES = Scales(tau_s=7 * DAY, ratio=2.0, levels=3)
WORDS = ["the clock is slow", "lunch was late", "a test is flaky", "rain again", "the archive moved"]


class Clock:
    """Stands still until it is set."""

    now_s = NOW

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(tmp_path: Path, clock: Clock) -> Iterator[Memory]:
    with soma.open(tmp_path / "store", namespace="lab", clock=clock) as made:
        for day in range(80):
            made.remember(f"{WORDS[day % 5]}, day {day}", importance=day % 4, timestamp=NOW - day * DAY)
        made.remember("pinned for good", timestamp=NOW - 70 * DAY, pinned=True)
        made.recall("clock", k=10, reinforce=True)
        yield made


def test_a_store_does_what_the_pure_plan_says(memory: Memory) -> None:
    before = fold(memory.events())
    bound = live_bound(before.live("lab"), memory.registration, NOW, SCALES)
    done = memory.consolidate(SCALES)
    expected = before
    for event in consolidate(before.live("lab"), memory.registration, NOW, SCALES, vectors=memory._store.vectors):
        expected, _ = apply(expected, event)
    after = fold(memory.events())
    assert after.memories == expected.memories
    assert [record.id for record in memory] == [record.id for record in after.all("lab")]
    assert done.n_before == 81
    assert done.n_after == len(memory) == len(after.all("lab")) <= bound
    assert done.n_consumed == 81 - (len(memory) - len(done.made))
    assert {record.id for record in done.made} == {record.id for record in memory if consolidated(record)}
    assert sum(record.payload["consolidated"]["count"] for record in done.made) == done.n_consumed
    assert memory.consolidate(SCALES).n_consumed == 0


def test_a_dry_run_says_the_same_and_changes_nothing(memory: Memory) -> None:
    before = state_hash(fold(memory.events()))
    said = memory.consolidate(SCALES, dry_run=True)
    assert state_hash(fold(memory.events())) == before
    done = memory.consolidate(SCALES)
    assert (said.n_before, said.n_after, said.n_consumed, said.made) == (
        done.n_before,
        done.n_after,
        done.n_consumed,
        done.made,
    )
    assert str(said).replace("would become", "became") == str(done)


def test_what_was_made_is_recalled_at_once_and_after_reopening(memory: Memory, clock: Clock, tmp_path: Path) -> None:
    clock.now_s += DAY
    done = memory.consolidate(SCALES)
    spoken = done.made[0]
    assert spoken.text is not None
    assert spoken.id in {hit.record.id for hit in memory.recall(spoken.text, k=5)}
    now = memory.recall("clock", k=20)
    with soma.open(tmp_path / "store", namespace="lab", clock=clock, is_read_only=True) as reader:
        assert reader.recall("clock", k=20).hits == now.hits
    gone = {event.id for event in memory.events() if isinstance(event, MemoryDeleted)}
    past = memory.recall("clock", k=50, as_of=NOW)
    assert gone & {hit.record.id for hit in past.hits}
    assert not gone & {hit.record.id for hit in now.hits}


def test_another_time_is_only_asked_about(memory: Memory) -> None:
    today, later = memory.consolidate(SCALES, dry_run=True), memory.consolidate(SCALES, now=NOW + 1e8, dry_run=True)
    assert later.n_after < today.n_after
    with pytest.raises(InvalidParameterError, match="dry_run"):
        memory.consolidate(SCALES, now=NOW + 1e8)


def test_a_summary_of_ones_own(memory: Memory) -> None:
    done = memory.consolidate(SCALES, summarise=lambda records: f"{len(records)} days")
    assert {record.text for record in done.made} <= {f"{n} days" for n in range(2, 81)}
    assert memory.recall(done.made[0].text or "", k=1)[0].record.text == done.made[0].text


def test_a_summary_that_fails_leaves_everything_as_it_was(memory: Memory) -> None:
    before = state_hash(fold(memory.events()))

    def fail(_: object) -> str:
        raise RuntimeError("no words")

    with pytest.raises(RuntimeError, match="no words"):
        memory.consolidate(SCALES, summarise=fail)
    assert state_hash(fold(memory.events())) == before
    with pytest.raises(InvalidParameterError, match="levels"):
        memory.consolidate(Scales(DAY, levels=64))
    assert state_hash(fold(memory.events())) == before


def test_a_process_that_is_killed_leaves_all_or_nothing(memory: Memory, tmp_path: Path) -> None:
    before = state_hash(fold(memory.events()))
    memory.close()
    code = (
        "import sys, time, soma\n"
        "def slow(records):\n"
        "    print('holds the lock', flush=True)\n"
        "    time.sleep(0.2)\n"
        "    return 'slow'\n"
        f"memory = soma.open({str(tmp_path / 'store')!r}, namespace='lab', clock=lambda: {NOW})\n"
        f"memory.consolidate(soma.Scales({7 * DAY}, 2.0, 3), summarise=slow)\n"
        "print('done', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds the lock\n"
    time.sleep(0.5)
    process.kill()
    process.stdout.close()
    process.wait()
    with soma.open(tmp_path / "store", namespace="lab", clock=lambda: NOW) as again:
        assert state_hash(fold(again.events())) == before
        assert again.consolidate(SCALES).n_consumed > 0


def test_the_command_says_what_it_would_do_and_does_it(tmp_path: Path) -> None:
    path = str(tmp_path / "store")
    now_s = time.time()
    with soma.open(path, namespace="lab") as memory:
        for day in range(40):
            memory.remember(f"{WORDS[day % 5]}, day {day}", timestamp=now_s - day * DAY)
    store = ["-p", path, "-n", "lab", "--after", "7", "--levels", "2"]
    dry = CliRunner().invoke(main, ["consolidate", *store, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "40 memories would become" in dry.output
    later = CliRunner().invoke(main, ["consolidate", *store, "--dry-run", "--now", "9000-01-01", "--json"])
    assert json.loads(later.stdout)["after"] == 1
    done = CliRunner().invoke(main, ["consolidate", *store, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["before"] == 40 > found["after"] > 1
    assert sum(one["count"] for one in found["made"]) == found["consumed"]
    with soma.open(path, namespace="lab", is_read_only=True) as memory:
        assert len(memory) == found["after"]
    for wrong, word in ((["--ratio", "1"], "ratio"), (["--now", "2030-01-01"], "dry_run")):
        bad = CliRunner().invoke(main, ["consolidate", *store, *wrong])
        assert bad.exit_code == 2
        assert word in bad.output
