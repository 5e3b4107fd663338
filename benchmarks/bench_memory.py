"""The embedded memory from end to end: what storing costs beside the same by hand, and recall beside qdrant-edge.

By hand is one insert into SQLite with ``synchronous=FULL`` and one upsert into the Qdrant client's local store.
``python benchmarks/bench_memory.py`` writes results/memory.json.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient, models

import soma
from soma import MemoryRecord, Query, decay
from soma import policy as p
from soma.bench.recall_run import measure
from soma.bench.recall_task import SPAN_S, RecallTask, Setting
from soma.embedding import FunctionEmbedder
from soma.math.similarity import unit_vectors

POLICY = p.similarity().clip(0) * p.importance() * p.decay(decay.Exponential(SPAN_S / 12), of=p.age_s)
DIMENSION = 384


def record(i: int, vector: Any, importance: int = 5, timestamp: float = 0.0) -> MemoryRecord:
    """Return a memory of 1 KB of text with its vector."""
    return MemoryRecord(
        id=UUID(int=i + 1),
        coordinate=[0.0] * 3,
        text=f"{i} " + "x" * 1_000,
        timestamp=timestamp,
        importance=importance,
        embedding=vector.tolist(),
        model_revision="bench",
    )


def opened(folder: Path) -> soma.Memory:
    """Return a memory whose records bring their vectors."""
    embedder = FunctionEmbedder(lambda texts: np.zeros((len(texts), DIMENSION)), DIMENSION, "bench")
    return soma.open(folder, embedder=embedder, clock=lambda: SPAN_S)


def by_hand(folder: Path) -> Callable[[list[MemoryRecord]], None]:
    """Return what stores records without soma."""
    folder.mkdir()
    connection = sqlite3.connect(folder / "by_hand.sqlite3")
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    connection.execute("CREATE TABLE memories (id BLOB PRIMARY KEY, json TEXT NOT NULL)")
    client = QdrantClient(path=str(folder / "qdrant"))
    vectors = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection("memories", vectors_config=vectors)

    def store(records: list[MemoryRecord]) -> None:
        with connection:
            rows = [(one.id.bytes, json.dumps(one.to_dict())) for one in records]
            connection.executemany("INSERT INTO memories VALUES (?, ?)", rows)
        points = [models.PointStruct(id=str(one.id), vector=list(one.embedding or ()), payload={}) for one in records]
        client.upsert("memories", points)

    return store


def timed(call: Callable[[], object]) -> float:
    """Return the time of a call on the clock, in milliseconds: storing waits for the disk."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def storing(rounds: int) -> dict[str, Any]:
    """Return medians of storing one memory, and a thousand at once, in turns."""
    rng = np.random.default_rng(0)
    vectors = unit_vectors(rng.normal(size=(rounds + 3_000, DIMENSION)))
    found: dict[str, list[float]] = {name: [] for name in ("soma", "by hand", "soma, 1,000", "by hand, 1,000")}
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "soma") as memory:
        hand = by_hand(Path(folder) / "hand")
        for i in range(rounds):
            one = record(i, vectors[i])
            found["soma"].append(timed(lambda one=one: memory.store(one)))
            found["by hand"].append(timed(lambda one=one: hand([one])))
        for turn in range(3):
            first = rounds + 1_000 * turn
            many = [record(i, vectors[i]) for i in range(first, first + 1_000)]
            found["soma, 1,000"].append(timed(lambda many=many: memory.store_many(many)))
            found["by hand, 1,000"].append(timed(lambda many=many: hand(many)))
    medians = {name: statistics.median(times) for name, times in found.items()}
    return {
        "ms": medians,
        "ratio": medians["soma"] / medians["by hand"],
        "ratio_of_1000": medians["soma, 1,000"] / medians["by hand, 1,000"],
    }


def recalling(n: int) -> dict[str, Any]:
    """Return the time of a recall from end to end, records read and all, beside qdrant-edge's points alone."""
    task = RecallTask.made(Setting(n, DIMENSION, n_queries=10))
    right = task.answers()
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder) / "soma") as memory:
        importance = np.rint(task.importance / 1e5).astype(int)
        for first in range(0, n, 2_000):
            rows = range(first, min(n, first + 2_000))
            memory.store_many([record(i, task.vectors[i], int(importance[i]), float(task.time_s[i])) for i in rows])
        queries = [Query(embedding=query) for query in task.queries]
        found = [memory.recall(query, k=10, policy=POLICY, now=SPAN_S) for query in queries]
        taken = []
        for _ in range(5):
            for query in queries:
                begun = time.process_time_ns()
                memory.recall(query, k=10, policy=POLICY, now=SPAN_S)
                taken.append((time.process_time_ns() - begun) / 1e6)
        way = found[0].search
    (edge,) = measure(task, ["qdrant-edge"], n_rounds=5)
    return {
        "memories": n,
        "soma_ms": statistics.median(taken),
        "qdrant_edge_ms": edge.ms_per_query,
        "qdrant_edge_recall": edge.recall,
        "ratio": edge.ms_per_query / statistics.median(taken),
        "search": way,
        "answers": len(right),
    }


def main() -> None:
    """Measure, and write the results down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "memory.json")
    options = parser.parse_args()
    report = {"storing": storing(options.rounds), "recalling": recalling(options.memories)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(f"{json.dumps(report, indent=1)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
