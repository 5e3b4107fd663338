"""The measurement of recall compares before it times, in processes of their own, and says what it saw."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from soma.bench.recall_run import measure
from soma.bench.recall_systems import SYSTEMS
from soma.bench.recall_task import RecallTask, Setting
from soma.cli import main
from soma.errors import InvalidParameterError, StoreError
from soma.math.similarity import unit_vectors

SMALL = Setting(n=3_000, dimension=24, k=5, n_queries=3)
EXACT = ["soma (fast)", "soma (numpy)", "numpy", "numba", "scikit-learn"]


@pytest.mark.parametrize(
    "setting", [SMALL, Setting(3_000, 24, 5, math.inf, n_queries=3), Setting(2_000, 8, 3, 0.01, "power", 2)], ids=str
)
@pytest.mark.parametrize("name", EXACT)
def test_every_exact_system_finds_the_right_rows(setting: Setting, name: str, tmp_path: Path) -> None:
    task = RecallTask.made(setting)
    ready = SYSTEMS[name].prepare(task, tmp_path / name)
    assert [ready.ask(i) for i in range(setting.n_queries)] == task.answers()
    visited = ready.visited(0)
    assert visited is not None
    assert 0.0 < visited <= 1.0
    if setting.curve == "exponential":
        assert (visited == 1.0) == (not name.startswith("soma") or not setting.decays)


def test_systems_are_measured_in_turns_and_said_by_name() -> None:
    said: list[str] = []
    found = measure(RecallTask.made(SMALL), ["soma (fast)", "numpy"], n_rounds=2, progress=said.append)
    assert [row.system for row in found] == ["soma (fast)", "numpy"]
    assert all(row.equal and row.recall == 1.0 and row.ms_per_query > 0.0 for row in found)
    assert found[0].ratio == 1.0
    assert found[1].bytes_per_row == 96.0
    assert said[-1] == "round 2 of 2"


def test_a_wrong_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RecallTask.made(SMALL)
    monkeypatch.setattr(RecallTask, "answers", lambda _task: [[0, 1, 2, 3, 4]] * 3)
    (row,) = measure(task, ["numpy"], n_rounds=1)
    assert not row.equal
    assert row.recall < 1.0


def test_a_system_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    task = RecallTask.made(SMALL)
    monkeypatch.setattr(RecallTask, "save", lambda _task, _folder: None)  # its process finds nothing to read
    with pytest.raises(StoreError, match="numpy ended before it was done"):
        measure(task, ["numpy"], n_rounds=1)


def test_what_is_no_task_is_refused() -> None:
    for wrong in ({"n": 0}, {"k": 0}, {"half_life_fraction": 0.0}, {"half_life_fraction": math.nan}, {"curve": "line"}):
        with pytest.raises(InvalidParameterError):
            Setting(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="one of"):
        measure(RecallTask.made(SMALL), ["abacus"])
    with pytest.raises(InvalidParameterError, match="n_rounds"):
        measure(RecallTask.made(SMALL), ["numpy"], n_rounds=0)


def test_a_task_is_the_same_in_another_process(tmp_path: Path) -> None:
    task = RecallTask.made(SMALL)
    task.save(tmp_path)
    again = RecallTask.load(tmp_path)
    assert again.setting == task.setting
    for name in ("vectors", "queries", "importance", "time_s"):
        assert np.array_equal(getattr(again, name), getattr(task, name))
    given = unit_vectors(np.random.default_rng(0).normal(size=(3_003, 24)))
    assert np.array_equal(RecallTask.made(SMALL, given).queries, given[3_000:])
    with pytest.raises(InvalidParameterError, match="shape"):
        RecallTask.made(SMALL, given[1:])


def test_the_command_prints_the_fields_as_json_and_as_a_table() -> None:
    arguments = ["bench", "recall", "--n", "1500", "--dim", "16", "--k", "3", "--half-life-fraction", "0.1"]
    arguments += ["--queries", "2", "--rounds", "1", "--system", "soma (numpy)", "--system", "numpy"]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["system"] for row in rows] == ["soma (numpy)", "numpy"]
    wanted = {"system", "ms_per_query", "ratio", "equal", "visited_fraction", "bytes_per_row"}
    assert all(wanted <= row.keys() for row in rows)
    assert all(row["equal"] for row in rows)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "soma (numpy)" in done.stdout
    done = CliRunner().invoke(main, ["bench", "recall", "--half-life-fraction", "0"])
    assert done.exit_code != 0
    assert "half_life_fraction must be > 0" in done.output
