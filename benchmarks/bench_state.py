"""MinimalSoma: n stores cost time linear in n, beside appending to a list; and ``import soma`` beside ``import numpy``.

Run ``python benchmarks/bench_state.py``, with ``--json`` for the figures alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from uuid import UUID

import soma
from soma import MemoryRecord, MinimalSoma

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 7


def stores(n: int) -> dict[str, float]:
    """Return microseconds a store, and a list append of the same record, over n of them; old values are checked."""
    records = [MemoryRecord(id=UUID(int=i), coordinate=[0.0, 0.0], timestamp=i, importance=1) for i in range(n)]
    state, kept = MinimalSoma(dim=2), []
    begun = time.process_time()
    for i, record in enumerate(records):
        state = state.store(record)
        if i % (n // 10) == 0:
            kept.append((i, state))
    spent = time.process_time() - begun
    assert all(len(old.memories) == i + 1 and records[i].key in old.memories for i, old in kept)
    log: list[MemoryRecord] = []
    begun = time.process_time()
    for record in records:
        log.append(record)  # noqa: PERF402 - appending is what is measured
    appended = time.process_time() - begun
    return {"n": n, "store_us": spent / n * 1e6, "append_us": appended / n * 1e6}


def import_seconds(module: str) -> float:
    """Return the CPU time of a fresh interpreter that imports a module, less that of one that imports nothing."""

    def once(code: str) -> float:
        script = f"import time; t = time.process_time(); {code}; print(time.process_time() - t)"
        return float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)

    once(f"import {module}")
    return statistics.median(once(f"import {module}") for _ in range(ROUNDS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    is_json = parser.parse_args().json
    figures = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, soma {soma.__version__}",
        "stores": [stores(n) for n in SIZES],
        "import_s": {name: import_seconds(name) for name in ("numpy", "soma", "soma.memory")},
    }
    if is_json:
        print(json.dumps(figures, indent=2))
        return
    print(figures["machine"])
    for row in figures["stores"]:
        print("{n:>8,} stores: {store_us:6.2f} us each, list append {append_us:.3f} us".format(**row))
    for name, seconds in figures["import_s"].items():
        print(f"import {name:<12} {seconds * 1e3:7.1f} ms, {seconds / figures['import_s']['numpy']:.2f} x numpy")


if __name__ == "__main__":
    main()
