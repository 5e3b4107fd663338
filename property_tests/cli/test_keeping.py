"""Forgetting by rule, archives and their commands: what they print, what they write, what they refuse."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

import soma
from soma import DAY, policy
from soma.cli import main


@pytest.fixture
def store(tmp_path: Path) -> Path:
    now = time.time()
    with soma.open(tmp_path / "store", namespace="lab") as memory:
        for day in range(30):
            memory.remember(f"the clock of day {day}", timestamp=now - day * DAY, importance=day % 5)
        memory.remember("The clock of day 3", importance=0)
        memory.remember("soon gone", expires_at=now + 3_600)
    return tmp_path / "store"


def call(store: Path, *arguments: object, stdin: bytes | None = None) -> Result:
    line = [*map(str, arguments), "--path", str(store), "-n", "lab"]
    return CliRunner().invoke(main, line, input=stdin)


def answer(store: Path, *arguments: object) -> Any:
    done = call(store, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def size(store: Path) -> int:
    return int(answer(store, "stats")["episodic"])


def test_a_forecast_is_counted_by_day(store: Path) -> None:
    said = call(store, "forecast", "--threshold", 1e9, "--horizon", "2100-01-01").stdout
    assert said.startswith("32 of 32 memories fall under 1e+09 by 2100-01-01\n")
    whole = answer(store, "forecast", "--threshold", 1e9, "--horizon", "2100-01-01")
    assert (whole["memories"], sum(whole["by_day"].values()), len(whole["falls"])) == (32, 32, 32)
    done = call(store, "forecast", "--horizon", "2001-01-01")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "horizon must not lie before now" in done.stderr


def test_what_would_be_evicted_is_evicted(store: Path, tmp_path: Path) -> None:
    policy_file = tmp_path / "age.json"
    policy_file.write_text(policy.age_s().to_json())
    said = answer(store, "evict", "--budget", 5, "--policy", policy_file, "--dry-run")
    assert (said["dry_run"], len(said["evicted"]), size(store)) == (True, 27, 32)
    text = call(store, "evict", "--budget", 5, "--policy", policy_file).stdout
    assert text.splitlines()[-2:] == ["and 7 more evicted", "27 memories are deleted"]
    assert size(store) == 5


def test_a_budget_is_kept_and_swept(store: Path) -> None:
    assert call(store, "budget").stdout == "any number; there are 32\n"
    assert "20 memories of most worth by" in call(store, "budget", 20).stdout
    assert answer(store, "budget")["budget"]["memories"] == 20
    assert {name: len(ids) for name, ids in answer(store, "sweep", "--dry-run").items() if name != "dry_run"} == {
        "expired": 0,
        "evicted": 12,
    }
    assert size(store) == 32
    assert call(store, "sweep").stdout.endswith("12 memories are deleted\n")
    assert size(store) == 20
    assert answer(store, "budget", "--remove") == {"budget": None, "memories": 20}
    assert call(store, "budget", 3, "--remove").exit_code == 2
    assert call(store, "budget", "--policy", "x.json").exit_code == 2
    assert call(store, "budget", -1).exit_code == 2


def test_a_pin_holds(store: Path) -> None:
    (gone,) = [hit["id"] for hit in answer(store, "recall", "soon gone", "-k", 1)["hits"]]
    assert call(store, "pin", gone).stdout == f"{gone} is pinned\n"
    answer(store, "evict", "--budget", 0)
    assert size(store) == 1
    assert call(store, "pin", gone, "--remove").stdout == f"{gone} is not pinned\n"
    answer(store, "evict", "--budget", 0)
    assert size(store) == 0


def test_duplicates_are_listed_before_they_go(store: Path) -> None:
    said = call(store, "duplicates", "--threshold", "1.0").stdout
    assert said.endswith("1 memories say the same as another\n")
    assert "keep  the clock of day 3" in said
    assert "1.00  The clock of day 3" in said
    assert size(store) == 32
    (group,) = answer(store, "duplicates", "--threshold", "1.0", "--forget")["groups"]
    assert len(group["others"]) == 1
    assert size(store) == 31


def test_a_namespace_is_deleted_by_its_name_after_a_question(store: Path) -> None:
    other = ["remember", "of another", "--path", str(store), "-n", "other"]
    assert CliRunner().invoke(main, other).exit_code == 0
    delete = ["delete-namespace", "lab", "--path", str(store)]
    asked = CliRunner().invoke(main, delete, input="n\n")
    assert (asked.exit_code, size(store)) == (1, 32)
    assert "Delete 32 memories of namespace lab?" in asked.stderr
    assert CliRunner().invoke(main, [*delete, "-n", "other", "--yes"]).exit_code == 2
    assert CliRunner().invoke(main, [*delete, "--dry-run"]).stdout.endswith("32 memories would be deleted\n")
    assert size(store) == 32
    assert CliRunner().invoke(main, [*delete, "--yes"]).exit_code == 0
    assert size(store) == 0
    with soma.open(store, namespace="other") as memory:
        assert len(memory) == 1


def test_an_archive_comes_back_byte_for_byte(store: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    assert "33 events of namespace lab are in" in call(store, "export-jsonl", first).stdout
    assert call(store, "export-jsonl", "-").stdout_bytes == first.read_bytes()
    moved = tmp_path / "moved"
    assert call(moved, "import-jsonl", first).stdout == "33 new events; namespace lab holds 32 memories\n"
    assert answer(moved, "import-jsonl", first) == {"namespace": "lab", "new": 0, "memories": 32}
    assert answer(moved, "export-jsonl", second)["events"] == 33
    assert first.read_bytes() == second.read_bytes()
    piped = call(tmp_path / "piped", "import-jsonl", "-", stdin=first.read_bytes())
    assert piped.exit_code == 0
    assert size(tmp_path / "piped") == 32


def test_a_file_is_neither_replaced_nor_left_half(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("mine")
    done = call(store, "export-jsonl", file)
    assert (done.exit_code, file.read_text()) == (2, "mine")
    assert "is there already: choose another name, or --force" in done.stderr
    assert call(store, "export-jsonl", file, "--force").exit_code == 0
    assert file.read_bytes().startswith(b'{"format":"soma-archive-1"')
    done = call(store, "export-jsonl", tmp_path / "absent" / "a.jsonl")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "cannot be written" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read"), (b"", "line 1"), (b'{"a":1}\n', "line 1"), (b"\x80\x04K\x01.", "line 1")],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    file = tmp_path / "a.jsonl"
    if content is not None:
        file.write_bytes(content)
    done = call(tmp_path / "store", "import-jsonl", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "a.jsonl" in done.stderr
    assert not (tmp_path / "store").exists()


def test_an_import_that_ctrl_c_broke_off_goes_on(tmp_path: Path) -> None:
    """A real process, a real signal; the store then holds a beginning of the archive, and takes the rest."""
    with soma.open(tmp_path / "big", namespace="lab") as memory:
        records = [
            soma.MemoryRecord(
                id=UUID(int=n), namespace="lab", coordinate=(0, 0, 0), timestamp=n, importance=1, text=str(n)
            )
            for n in range(6_000)
        ]
        memory.store_many(records)
    file, into = tmp_path / "big.jsonl", tmp_path / "into"
    assert call(tmp_path / "big", "export-jsonl", file).exit_code == 0
    command = [sys.executable, "-c", "from soma.cli import main; main()", "import-jsonl", str(file), "-p", str(into)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (into / "soma.sqlite3").exists() and events_in(into) >= 1_000:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.005)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert b"Traceback" not in said
    held = events_in(into)
    assert 1_000 <= held < 6_001
    assert answer(into, "import-jsonl", file)["new"] == 6_001 - held
    assert call(into, "export-jsonl", "-").stdout_bytes == file.read_bytes()


def events_in(store: Path) -> int:

    try:
        with closing(sqlite3.connect(f"file:{store / 'soma.sqlite3'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.Error:
        return 0
