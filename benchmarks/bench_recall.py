"""Exact recall beside its peers: answers compared first, each system in its own process, in turns, on one thread.

``python benchmarks/bench_recall.py --rows 100000 --largest 1000000 --real FILE.npy`` writes results/recall.json, of
which ``python benchmarks/report.py`` makes REPORT.md and its figures. Times are medians of the processor's time.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from soma.bench.recall_run import Measured, measure
from soma.bench.recall_task import RecallTask, Setting

FOLDER = Path(__file__).parent / "results"
FRACTIONS = {"T/52": 1 / 52, "T/12": 1 / 12, "T/4": 1 / 4, "T": 1.0, "none": math.inf}
SOMA = ["soma (fast)", "soma (numpy)"]
SCANS = ["numpy", "numba", "faiss", "scikit-learn"]
GRAPHS = ["hnswlib", "usearch", "qdrant-edge"]
PACKAGES = {"faiss": "faiss", "hnswlib": "hnswlib", "usearch": "usearch", "qdrant-edge": "qdrant_edge"}


def there(names: list[str]) -> list[str]:
    """Return the systems that are installed, in their order."""
    return [name for name in names if find_spec(PACKAGES.get(name, "numpy")) is not None]


def row(setting: Setting, label: str, vectors: str, found: list[Measured]) -> dict[str, Any]:
    """Return one row of the report as JSON values."""
    known = {**asdict(setting), "half_life_fraction": label}
    return {"setting": known, "vectors": vectors, "systems": [system.to_dict() for system in found]}


def ratios(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return soma and its peers at each half-life, on synthetic vectors and on real ones."""
    rows = []
    for label, fraction in FRACTIONS.items():
        graphs = there(GRAPHS) if label == "T/12" and options.graphs else []
        setting = Setting(options.rows, half_life_fraction=fraction, n_queries=options.queries)
        found = measure(
            RecallTask.made(setting), [*SOMA, *there(SCANS), *graphs], n_rounds=options.rounds, progress=say
        )
        rows.append(row(setting, label, "synthetic", found))
    if options.real is not None:
        known = np.load(options.real)
        for label, fraction in FRACTIONS.items():
            setting = Setting(len(known) - options.queries, known.shape[1], 10, fraction, n_queries=options.queries)
            found = measure(
                RecallTask.made(setting, known), [*SOMA, *there(SCANS)], n_rounds=options.rounds, progress=say
            )
            rows.append(row(setting, label, "MiniLM, clauses", found))
    return rows


def scaling(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what recall costs as rows and half-life grow, beside the time of reading the rows at all."""
    rows = []
    sizes = [n for n in (1_000, 10_000, 100_000, 1_000_000) if n <= options.largest]
    for n in sizes:
        for label, fraction in FRACTIONS.items():
            if n == 1_000_000 and label not in ("T/12", "none"):
                continue  # a million rows take minutes to take in
            setting = Setting(n, half_life_fraction=fraction, n_queries=options.queries)
            n_rounds = options.rounds if n < 1_000_000 else 3
            systems = [*SOMA, "numpy", *(there(["faiss"]) if n == 1_000_000 else [])]
            found = measure(RecallTask.made(setting), systems, n_rounds=n_rounds, progress=say)
            rows.append({**row(setting, label, "synthetic", found), "stream_ms": stream_ms(n, setting.dimension)})
    if options.largest >= 1_000_000:
        setting = Setting(1_000_000, half_life_fraction=1 / 100, curve="power", n_queries=options.queries)
        found = measure(RecallTask.made(setting), [*SOMA, "numba"], n_rounds=3, progress=say)
        rows.append({**row(setting, "power, T/100", "synthetic", found), "stream_ms": stream_ms(1_000_000, 384)})
    return rows


def stream_ms(n: int, dimension: int) -> dict[str, float]:
    """Return the time in which this machine adds up as many bytes as the rows have, in float32 and in codes."""
    found = {}
    for name, size in (("float32", 4), ("codes", 1)):
        numbers = np.ones(n * dimension * size // 8, dtype=np.int64)
        taken = []
        for _ in range(7):
            begun = time.process_time_ns()
            numbers.sum()
            taken.append((time.process_time_ns() - begun) / 1e6)
        found[name] = statistics.median(taken)
    return found


def say(line: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"{line}\n")


def processor() -> str:
    """Return the name of the processor, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main() -> None:
    """Measure, and write the results down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--real", type=Path, help="what real_vectors.py made")
    parser.add_argument(
        "--graphs", action=argparse.BooleanOptionalAction, default=True, help="build HNSW graphs (slow)"
    )
    parser.add_argument("--out", type=Path, default=FOLDER / "recall.json")
    options = parser.parse_args()
    shown = " ".join(word for word in sys.argv[1:] if not word.startswith("/"))
    report = {
        "command": f"python benchmarks/bench_recall.py {shown}".strip(),
        "machine": f"{processor()}, Python {platform.python_version()}, NumPy {np.__version__}, one thread",
        "ratios": ratios(options),
        "scaling": scaling(options),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(f"{json.dumps(report, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
