"""Vectors made again by another embedder: beside the old ones, resumable, swapped at once, never by accident."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import soma
from soma.cli import main
from soma.embedding import HashingEmbedder
from soma.errors import ConfigurationError, InvalidParameterError, StoreError
from soma.state.events import MemoryUpdated
from soma.stores.sqlite import SqliteStorage

SMALL, OTHER = HashingEmbedder(dimension=32), HashingEmbedder(dimension=64)
NOW = 1_772_323_200.0
TEXTS = ["the clock is slow", "lunch was late", "a flaky test", "rain again", "the archive moved", "the clock is slow"]


def filled(folder: Path, embedder: HashingEmbedder | str | None = SMALL, texts: Sequence[str] = TEXTS) -> soma.Memory:
    memory = soma.open(folder, embedder=embedder, clock=lambda: NOW)
    for n, text in enumerate(texts):
        memory.remember(text, timestamp=NOW - n)
    return memory


class Interrupted(HashingEmbedder):
    """Breaks off after so many texts."""

    left = 3

    def embed(self, texts: Sequence[str]) -> np.ndarray:  # type: ignore[type-arg]
        Interrupted.left -= len(texts)
        if Interrupted.left < 0:
            raise KeyboardInterrupt
        return HashingEmbedder.embed(self, texts)


def test_another_embedder_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    filled(tmp_path, "hashing").close()
    with pytest.raises(ConfigurationError) as caught:
        soma.open(tmp_path, embedder=OTHER)
    assert "made by hashing-v1-d256, and hashing-v1-d64 is asked for" in str(caught.value)
    assert "soma reembed --embedder" in str(caught.value)
    with pytest.raises(ConfigurationError, match="soma reembed --embedder static"):
        soma.open(tmp_path, embedder="static")
    assert len(soma.open(tmp_path)) == len(TEXTS)


def test_an_embedder_that_only_code_can_build_must_be_given_again(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with pytest.raises(ConfigurationError, match="d32, which is not at hand: open it from Python with that embedder"):
        soma.open(tmp_path)
    with soma.open(tmp_path, embedder=SMALL) as memory:
        assert len(memory) == len(TEXTS)


def test_an_empty_store_takes_any_embedder(tmp_path: Path) -> None:
    soma.open(tmp_path, embedder=SMALL).close()
    with soma.open(tmp_path, embedder=OTHER) as memory:
        assert memory.embedder == OTHER
        memory.remember("now it is decided")
    with pytest.raises(ConfigurationError, match="is asked for"):
        soma.open(tmp_path, embedder=SMALL)


@settings(max_examples=20)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12), st.integers(1, 5))
def test_a_store_is_afterwards_what_it_would_have_been(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], batch: int
) -> None:
    """Recalls, coordinates and vectors are those of a store that had the new embedder from the start."""
    folder = tmp_path_factory.mktemp("reembed")
    filled(folder / "a", SMALL, texts).close()
    done = soma.reembed(folder / "a", OTHER, batch=batch, clock=lambda: NOW)
    assert (done.before, done.after, done.n_made) == (SMALL.revision, OTHER.revision, len(set(texts)))
    assert done.n_moved == len(texts)
    with soma.open(folder / "a", embedder=OTHER, clock=lambda: NOW) as again, filled(folder / "b", OTHER, texts) as new:
        wanted = {record.timestamp: record.coordinate for record in new}
        assert {record.timestamp: record.coordinate for record in again} == wanted
        for query in ("clock", "rain archive"):
            scores = [[hit.score for hit in memory.recall(query, k=20, now=NOW)] for memory in (again, new)]
            assert scores[0] == scores[1]
        assert again.as_of(NOW).all() == tuple(again)


def test_a_coordinate_that_was_given_stays(tmp_path: Path) -> None:
    with filled(tmp_path) as memory:
        given_here = memory.remember("a place of its own", coordinate=[0.25, -0.5, 0.125])
    assert soma.reembed(tmp_path, OTHER).n_moved == len(TEXTS)
    with soma.open(tmp_path, embedder=OTHER) as memory:
        assert memory.retrieve(given_here.id).record == given_here
        assert sum(isinstance(event, MemoryUpdated) for event in memory.events()) == len(TEXTS)


def test_broken_off_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    filled(tmp_path).close()
    Interrupted.left = 3
    with pytest.raises(KeyboardInterrupt):
        soma.reembed(tmp_path, Interrupted(dimension=64), batch=2)
    with soma.open(tmp_path, embedder=SMALL) as memory:  # nothing was swapped
        assert memory.recall("clock")[0].record.text == "the clock is slow"
    seen: list[tuple[int, int]] = []
    done = soma.reembed(tmp_path, OTHER, batch=2, progress=lambda n, of: seen.append((n, of)))
    assert done.n_made == 3  # of five different texts two were made before
    assert seen == [(4, 5), (5, 5)]


def test_the_old_vectors_are_gone_afterwards(tmp_path: Path) -> None:
    filled(tmp_path).close()
    soma.reembed(tmp_path, OTHER)
    storage = SqliteStorage(tmp_path)
    revisions = storage._connection.execute("SELECT DISTINCT revision FROM vectors").fetchall()
    storage.close()
    assert revisions == [(OTHER.revision,)]


def test_whoever_has_the_store_open_is_told_before_it_writes(tmp_path: Path) -> None:
    with filled(tmp_path) as memory:
        soma.reembed(tmp_path, OTHER)
        with pytest.raises(StoreError, match=f"made again meanwhile, by {OTHER.revision}: open it again"):
            memory.remember("by the old embedder")
        assert memory.recall("clock")[0].record.text == "the clock is slow"  # reading goes on
        assert len(memory) == len(TEXTS)


def test_every_namespace_of_the_store_is_taken(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with soma.open(tmp_path, namespace=name, embedder=SMALL) as memory:
            memory.remember(f"the clock of {name}")
    assert soma.reembed(tmp_path, OTHER).n_made == 2
    for name in ("one", "two"):
        with soma.open(tmp_path, namespace=name, embedder=OTHER) as memory:
            assert [hit.record.text for hit in memory.recall("clock")] == [f"the clock of {name}"]


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no soma store"):
        soma.reembed(tmp_path / "nowhere", OTHER)
    filled(tmp_path).close()
    with pytest.raises(ConfigurationError, match="'oracle' is unknown"):
        soma.reembed(tmp_path, "oracle")
    with pytest.raises(InvalidParameterError, match="batch must be >= 1"):
        soma.reembed(tmp_path, OTHER, batch=0)


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    filled(tmp_path).close()
    done = CliRunner().invoke(main, ["reembed", "--embedder", "hashing", "-p", str(tmp_path), "--json"])
    assert json.loads(done.stdout) == {
        "before": SMALL.revision,
        "after": "hashing-v1-d256",
        "made": 5,
        "moved": len(TEXTS),
    }
    again = CliRunner().invoke(main, ["reembed", "--embedder", "hashing", "-p", str(tmp_path)])
    assert again.stdout == "0 vectors made by hashing-v1-d256, 0 memories moved\n"


KILLED = """
import sys, time
from pathlib import Path
import soma
from soma.embedding import HashingEmbedder

def progress(done, of):
    print(done, flush=True)
    time.sleep(0.02)

soma.reembed(Path(sys.argv[1]), HashingEmbedder(dimension=64), batch=1, progress=progress)
"""


def test_killed_in_the_middle_nothing_is_lost_and_it_goes_on(tmp_path: Path) -> None:
    texts = [f"note number {n}" for n in range(60)]
    filled(tmp_path, SMALL, texts).close()
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if int(line) >= 10:
                break
        worker.kill()
    with soma.open(tmp_path, embedder=SMALL) as memory:
        assert {record.text for record in memory} == set(texts)
    done = soma.reembed(tmp_path, OTHER)
    assert 0 < done.n_made <= 50
    with soma.open(tmp_path, embedder=OTHER) as memory:
        assert memory.recall("note number 7", k=1, policy=soma.policy.similarity())[0].record.text == "note number 7"
