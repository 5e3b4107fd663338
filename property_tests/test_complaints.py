"""What users of other memory systems complain of, and the answer: a test for each (docs/explanation/complaints.md)."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import soma
from soma import DAY
from soma.embedding import HashingEmbedder
from soma.errors import ConfigurationError, StoreError
from soma.ingest import Episode, load
from soma.stores.vectors_sqlite import SqliteVectorCache

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/complaints.md").read_text("utf-8")

OFFLINE = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"the network was asked: {event} {arguments}")

sys.addaudithook(refuse)
import soma
with soma.open(sys.argv[1]) as memory:
    record = memory.remember("Ada fixed the flaky clock test", tags=["ci"])
    memory.link(record.id, memory.remember("the clock is slow").id)
    assert memory.recall("clock", reinforce=True)[0].record
    memory.forget(record.id)
    print(len(memory))
"""


def alone(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh interpreter that knows no key and no server."""
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG")}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=bare, capture_output=True, text=True, check=False)


def test_every_complaint_on_the_page_has_a_test_that_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) >= 13
    for file, test in named:
        assert f"def {test}(" in (ROOT / "property_tests" / file).read_text("utf-8"), f"{file}::{test}"


def test_a_write_needs_no_model_and_takes_milliseconds(tmp_path: Path) -> None:
    with soma.open(tmp_path) as memory:
        memory.remember("warm")
        seconds = []
        for n in range(100):
            started = time.perf_counter()
            memory.remember(f"note {n} about clocks")
            seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[50] < 0.1  # others wait seconds for a language model


def test_recalling_makes_no_memories(tmp_path: Path) -> None:
    """No feedback loop: what was recalled is not stored again, and a recall is an event only when asked for."""
    with soma.open(tmp_path) as memory:
        for n in range(5):
            memory.remember(f"note {n} about clocks")
        head = memory.head()
        for _ in range(50):
            memory.recall("clocks")
        assert memory.head() == head
        memory.recall("clocks", reinforce=True)
        assert len(memory) == 5
        assert [event.type for event in memory.events()][-5:] == ["memory.recalled"] * 5


def test_what_was_replaced_or_forgotten_is_not_recalled(tmp_path: Path) -> None:
    with soma.open(tmp_path) as memory:
        first = memory.remember("Ada lives in London")
        memory.remember("Ada lives in Paris", id=first.id)
        assert [hit.record.text for hit in memory.recall("Ada lives")] == ["Ada lives in Paris"]
        memory.forget(first.id)
        assert memory.recall("Ada lives").hits == ()
        assert [change.record and change.record.text for change in memory.versions(first.id)] == [
            "Ada lives in London",
            "Ada lives in Paris",
            None,
        ]


def test_what_is_old_fades(tmp_path: Path) -> None:
    now_s = 1_772_323_200.0
    with soma.open(tmp_path, clock=lambda: now_s) as memory:
        memory.remember("the clock is slow")
        scores = [memory.recall("clock", now=now_s + days * DAY)[0].score for days in (0, 1, 30, 365, 3_650)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


def test_a_write_that_fails_half_way_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with soma.open(tmp_path) as memory:
        memory.remember("the clock is slow")

        def fail(*_: object) -> None:
            raise StoreError("the vectors cannot be kept")

        with monkeypatch.context() as broken:
            broken.setattr(SqliteVectorCache, "put", fail)
            with pytest.raises(StoreError, match="the vectors cannot be kept"):
                memory.remember("this one is not stored")
        assert [record.text for record in memory] == ["the clock is slow"]
        assert len(list(memory.events())) == 2  # the registration, and the one memory


def test_an_import_repeated_makes_no_duplicate(tmp_path: Path) -> None:
    episodes = [
        Episode(id=UUID(int=n), text=f"note {n} about clocks", timestamp=1.7e9 + n, importance=3) for n in range(20)
    ]
    with soma.open(tmp_path) as memory:
        assert load(memory, episodes).n_new == 20
        head = memory.head()
        assert load(memory, episodes).n_known == 20
        assert (len(memory), memory.head()) == (20, head)


def test_another_model_never_answers_for_the_first(tmp_path: Path) -> None:
    with soma.open(tmp_path) as memory:
        memory.remember("the clock is slow")
    with pytest.raises(ConfigurationError, match="soma reembed"):
        soma.open(tmp_path, embedder=HashingEmbedder(dimension=64))


def test_a_notebook_and_an_application_share_one_store(tmp_path: Path) -> None:
    writer = "import sys, soma\nwith soma.open(sys.argv[1]) as m:\n for n in range(30): m.remember(f'note {n}')"
    with soma.open(tmp_path) as notebook:
        notebook.remember("the notebook was here first")
        assert alone(writer, tmp_path).stderr == ""
        assert len(notebook) == 31
        notebook.remember("and is here still")
    assert len(soma.open(tmp_path)) == 32


def test_nothing_is_sent_anywhere_and_no_key_is_needed(tmp_path: Path) -> None:
    done = alone(OFFLINE, tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_the_check_for_the_network_can_fail(tmp_path: Path) -> None:
    asks = OFFLINE.replace("import soma\n", "import soma, socket\nsocket.create_connection(('127.0.0.1', 9), 0.1)\n")
    assert "the network was asked" in alone(asks, tmp_path).stderr


def test_a_plain_installation_is_small() -> None:
    """Few distributions come with soma itself: numpy, scipy, click and two small ones (others bring 34 and 175)."""
    found: set[str] = set()

    def visit(name: str) -> None:
        if canonicalize_name(name) in found:
            return
        found.add(canonicalize_name(name))
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                visit(needed.name)

    visit("soma-fractal-memory")
    assert len(found) <= 8, sorted(found)


def test_it_runs_inside_an_event_loop(tmp_path: Path) -> None:
    async def cell() -> str | None:
        with soma.open(tmp_path) as memory:
            memory.remember("the clock is slow")
            return memory.recall("clock")[0].record.text

    assert asyncio.run(cell()) == "the clock is slow"
