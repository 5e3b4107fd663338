"""What the exact index does beside one query: many at once, two threads, opening from files, memory, compiling.

``python benchmarks/bench_index.py --rows 100000`` writes results/index.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from soma.bench.recall_task import SCALE, SPAN_S, RecallTask, Setting
from soma.math.importance import Bounded
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.stores.rows import IndexRow
from soma.stores.segment_files import SegmentFiles
from soma.stores.vectors_memory import ExactIndex

LAB = Namespace("bench", dimension=1, importance_scale=Bounded(0.0, float(SCALE)))
COMPILING = "import time; t = time.process_time(); import soma.math.topk_numba; print(time.process_time() - t)"


def median_ms(call: Callable[[], object], rounds: int, clock: Callable[[], int]) -> float:
    """Return the median time of a call, in milliseconds."""
    taken = []
    for _ in range(rounds):
        begun = clock()
        call()
        taken.append((clock() - begun) / 1e6)
    return statistics.median(taken)


def filled(task: RecallTask, files: SegmentFiles | None, is_compiled: bool) -> ExactIndex:
    """Return an index of the task's rows."""
    index = ExactIndex(task.setting.dimension, files=files, is_compiled=is_compiled)
    rows = [
        IndexRow(UUID(int=i), float(t), float(t), int(importance), "episodic", None, (), b"")
        for i, (t, importance) in enumerate(zip(task.time_s, task.importance, strict=True))
    ]
    index.upsert(rows, list(task.vectors), 1)
    index.follow("bench", 1)
    return index


def together(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what a query costs alone and among 64, compiled and in NumPy."""
    rows = []
    for fraction, label in ((1 / 12, "T/12"), (float("inf"), "none")):
        task = RecallTask.made(Setting(options.rows, half_life_fraction=fraction, n_queries=64))
        asked = [Query(embedding=query) for query in task.queries]
        for is_compiled in (True, False):
            index = filled(task, None, is_compiled)
            at = task.setting.policy, LAB, SPAN_S, 10, Filter.of()
            alone, batch = [index.search(query, *at) for query in asked], index.search_batch(asked, *at)
            assert [found.ids for found in alone] == [found.ids for found in batch]

            def one(index: ExactIndex = index, at: Any = at, asked: Any = asked) -> None:
                for query in asked:
                    index.search(query, *at)

            def many(index: ExactIndex = index, at: Any = at, asked: Any = asked) -> None:
                index.search_batch(asked, *at)

            times = [median_ms(call, 3, time.process_time_ns) / 64 for call in (one, many)]
            rows.append({"half_life": label, "compiled": is_compiled, "alone_ms": times[0], "among_64_ms": times[1]})
    return rows


def saved(options: argparse.Namespace) -> dict[str, Any]:
    """Return what an index of the largest size takes to save, to open and to ask first, and its memory."""
    task = RecallTask.made(Setting(options.largest, n_queries=2))
    asked, at = Query(embedding=task.queries[0]), (task.setting.policy, LAB, SPAN_S, 10, Filter.of())
    with tempfile.TemporaryDirectory() as folder:
        files = SegmentFiles(Path(folder) / "index", {})
        index = filled(task, files, True)
        wanted = index.search(asked, *at).ids
        begun = time.perf_counter()
        index.close()
        save_s = time.perf_counter() - begun
        begun = time.perf_counter()
        index = ExactIndex(task.setting.dimension, files=files, is_compiled=True)
        open_ms = (time.perf_counter() - begun) * 1e3
        assert len(index) == options.largest
        begun = time.perf_counter()
        assert index.search(asked, *at).ids == wanted
        first_ms = (time.perf_counter() - begun) * 1e3
        held = {name: count / options.largest for name, count in index.n_bytes.items()}
        walls = {}
        for n_threads in ("1", "2"):
            os.environ["OMP_NUM_THREADS"] = n_threads
            for half_life, policy in (("T/12", at[0]), ("none", Setting(half_life_fraction=float("inf")).policy)):

                def ask(policy: Any = policy) -> None:
                    index.search(asked, policy, *at[1:])

                ask()
                walls[f"{half_life}, {n_threads} threads"] = median_ms(ask, 15, time.perf_counter_ns)
    return {
        "rows": options.largest,
        "save_s": save_s,
        "open_ms": open_ms,
        "first_query_ms": first_ms,
        "bytes_per_row": held,
        "wall_ms": walls,
    }


def compiling() -> dict[str, float]:
    """Return the time of the first import of the kernels on a machine, and of a later one, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", COMPILING]
        done = [subprocess.run(command, capture_output=True, check=True, env=environment) for _ in range(2)]
        times = [float(one.stdout) for one in done]
    return {"first_s": times[0], "later_s": times[1]}


def main() -> None:
    """Measure, and write the results down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "index.json")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    report = {"numpy": np.__version__, "compiling": compiling(), "batch": together(options), "saved": saved(options)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(f"{json.dumps(report, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
