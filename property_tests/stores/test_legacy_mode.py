"""LEGACY_COMPAT: what a dump of version 1 holds, for reading alone, and the way out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import soma
from soma import Settings, create_memory
from soma.errors import ConfigurationError, SomaError, StoreError
from soma.ingest import read_legacy

ENTRIES = {
    "lab:(0.25, 1.0):data": {"task": "Ada fixed the flaky clock", "timestamp": 1_772_000_000, "importance": 7},
    "lab:(-30.5, 2.0):data": {"task": "lunch was late", "timestamp": 1_772_100_000, "by": "Bo"},
    "lab:(-30.5, 2.0):meta": {"access_count": 3},
    "lab:(9.0, 2.0):lock": {},
    "other:(0.0,):data": {"task": "another clock", "timestamp": 1_772_100_000},
    "mixed:(0.0,):data": {"task": "one axis", "timestamp": 1_772_100_000},
    "mixed:(0.0, 1.0):data": {"task": "two axes", "timestamp": 1_772_100_000},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    dump = tmp_path / "v1.json"
    dump.write_text(json.dumps(ENTRIES))
    return Settings.from_environment(
        {
            "SOMA_MODE": "LEGACY_COMPAT",
            "SOMA_ALLOW_LEGACY": "true",
            "SOMA_LEGACY_PATH": str(dump),
            "SOMA_NAMESPACE": "lab",
        }
    )


def run(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SOMA_")}
    given = {
        "SOMA_MODE": "LEGACY_COMPAT",
        "SOMA_ALLOW_LEGACY": "true",
        "SOMA_LEGACY_PATH": str(settings.legacy_path),
        "SOMA_NAMESPACE": "lab",
    }
    return subprocess.run(
        [sys.executable, "-c", "from soma.cli import main; main()", *arguments],
        env=clean | given | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_memories_of_the_dump_are_recalled_and_the_user_is_warned(settings: Settings) -> None:
    with pytest.warns(UserWarning, match=r"never writes it.* 1 of its entries are left out.*:lock") as caught:
        memory = create_memory(settings=settings)
    assert caught[0].filename == __file__
    assert settings.legacy_path is not None
    with memory:
        records = read_legacy(settings.legacy_path).records["lab"]
        assert sorted(memory, key=lambda r: r.timestamp) == sorted(records, key=lambda r: r.timestamp)
        found = memory.recall("who repaired the clock?", k=1)[0].record
        assert (found.text, found.coordinate, found.importance) == ("Ada fixed the flaky clock", (0.25, 1.0), 7)
        assert len(memory.as_of(1_772_050_000).all("lab")) == 1


@pytest.mark.filterwarnings("ignore:LEGACY_COMPAT")
def test_nothing_is_ever_written(settings: Settings) -> None:
    assert settings.legacy_path is not None
    before = settings.legacy_path.read_bytes()
    with create_memory(settings=settings) as memory:
        id = next(iter(memory)).id
        verbs: list[Any] = [
            lambda: memory.remember("new"),
            lambda: memory.forget(id),
            lambda: memory.recall("clock", reinforce=True),
            lambda: memory.pin(id),
            lambda: memory.evict(0),
            lambda: memory.delete_namespace("lab"),
        ]
        for verb in verbs:
            with pytest.raises(StoreError, match="opened for reading"):
                verb()
        assert len(memory) == 2
    assert settings.legacy_path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"is_legacy_allowed": False}, ConfigurationError, "set SOMA_ALLOW_LEGACY=true"),
        ({"legacy_path": None}, ConfigurationError, "set SOMA_LEGACY_PATH"),
        ({"legacy_path": Path("/nowhere.json")}, ConfigurationError, "nowhere.json"),
        ({"namespace": "absent"}, StoreError, r"one that it holds \(lab, mixed, other\)"),
        ({"namespace": "mixed"}, StoreError, "1 of dimension 1, 1 of dimension 2"),
    ],
)
@pytest.mark.filterwarnings("ignore:LEGACY_COMPAT")
def test_what_cannot_be_read_is_an_error(
    settings: Settings, change: Mapping[str, Any], error: type[SomaError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        create_memory(settings=replace(settings, **change))


def test_a_pickle_is_refused_unread(settings: Settings, tmp_path: Path) -> None:
    trap = tmp_path / "v1.json"
    trap.write_bytes(b"\x80\x04cos\nsystem\n(S'touch " + str(tmp_path / "sprung").encode() + b"'\ntR.")
    with pytest.raises(ConfigurationError, match="pickle"):
        create_memory(settings=replace(settings, legacy_path=trap))
    assert not (tmp_path / "sprung").exists()


def test_a_namespace_moves_into_a_store_of_this_version(settings: Settings, tmp_path: Path) -> None:
    moved = tmp_path / "lab.jsonl"
    done = run(settings, "export-jsonl", str(moved))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("soma: LEGACY_COMPAT reads")
    done = run(settings, "import-jsonl", str(moved), "--path", str(tmp_path / "store"), SOMA_MODE="DEVELOPMENT")
    assert done.returncode == 0, done.stderr
    assert settings.legacy_path is not None
    with soma.open(tmp_path / "store", namespace="lab") as memory:
        assert {r.id: r for r in memory} == {r.id: r for r in read_legacy(settings.legacy_path).records["lab"]}
        assert memory.remember("a new one beside them").coordinate is not None


def test_the_mode_stays_hidden_without_its_switch(settings: Settings) -> None:
    done = run(settings, "stats", SOMA_ALLOW_LEGACY="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "SOMA_ALLOW_LEGACY" in done.stderr
