"""Exact top-k under a decaying policy, against the NumPy that one would write by hand; one run, one thread.

The vectors are synthetic: Zipf-sized topics around one common direction, float32, unit length. Real sentence
vectors have more structure, so the visited fraction differs from that of real data: it is printed.
Each ratio is a quotient of medians of CPU time, measured in turns; every answer is first compared, bit for bit,
with the reference in float64 over all rows. The peer is given the weights of the rows for nothing.

``python benchmarks/bench_topk.py --rows 131072 --json``
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded, which reads them once

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from soma.math import policy as p
from soma.math.decay import Constant, Curve, Exponential
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import (
    BLOCK_ROWS,
    TopK,
    block_max,
    block_min,
    newest_first,
    top_k,
    top_k_reference,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPAN_S: Final = 365.0 * 86_400.0
SLACK: Final = 1.0 + 1e-12  # one exp2 and two products, by hand: no library errs by so much
HALF_LIVES: Final = {"T/12": SPAN_S / 12, "T/4": SPAN_S / 4, "none": None}


@dataclass(frozen=True)
class Memories:
    """Rows in the order of the index, and queries."""

    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    ids: Ints
    importance: Floats
    time_s: Floats


def memories(n: int, d: int, n_queries: int, order: str, importance: str, seed: int) -> Memories:
    """Return clustered unit vectors with importance Beta(2, 4), or 1, and times spread over the span."""
    rng = np.random.default_rng(seed)
    n_topics = max(1, n // 128)
    share = 1.0 / np.arange(1, n_topics + 1) ** 0.7
    common, topics = unit_vectors(rng.normal(size=d)), unit_vectors(rng.normal(size=(n_topics, d)))

    def draw(m: int) -> NDArray[np.float32]:
        topic = rng.choice(n_topics, m, p=share / share.sum())
        noise = unit_vectors(rng.normal(size=(m, d)))
        return unit_vectors(0.22 * common + 0.67 * topics[topic] + 0.71 * noise)

    vectors, queries = draw(n), draw(n_queries)
    weight = rng.beta(2.0, 4.0, n) if importance == "beta" else np.ones(n)
    time_s = np.sort(rng.uniform(0.0, SPAN_S, n))
    rows = newest_first(time_s) if order == "newest" else newest_first(time_s, weight)
    return Memories(vectors[rows], queries, rng.permutation(n), weight[rows], time_s[rows])


class ByHand:
    """The score and its bounds as a few lines of NumPy."""

    def __init__(self, data: Memories, half_life_s: float | None) -> None:
        self.data, self.half_life_s = data, half_life_s
        self.newest, self.most = block_max(data.time_s, BLOCK_ROWS), block_max(data.importance, BLOCK_ROWS)

    def weights(self, importance: Floats, time_s: Floats) -> Floats:
        if self.half_life_s is None:
            return importance
        return importance * np.exp2((time_s - SPAN_S) / self.half_life_s)

    def block_upper(self) -> Floats:
        return self.weights(self.most, self.newest) * SLACK

    def upper_within(self, blocks: Ints, low: Floats, high: Floats) -> Floats:
        return np.maximum(high, 0.0) * self.weights(self.most[blocks], self.newest[blocks]) * SLACK

    def score(self, query: NDArray[np.float32], rows: Ints) -> Floats:
        weights = self.weights(self.data.importance[rows], self.data.time_s[rows])
        return np.maximum(cosine(query, self.data.vectors[rows]), 0.0) * weights

    def upper(self, rows: Ints, low: Floats, high: Floats) -> Floats:
        weights = self.weights(self.data.importance[rows], self.data.time_s[rows])
        return np.maximum(high, 0.0) * weights * SLACK


class ByPolicy:
    """The same through a policy, as the store does it."""

    def __init__(self, data: Memories, half_life_s: float | None) -> None:
        self.data = data
        curve: Curve = Constant() if half_life_s is None else Exponential(half_life_s)
        self.policy = p.similarity().clip(0) * p.importance() * p.decay(curve, of=p.age_s)
        self.oldest, self.newest = block_min(data.time_s, BLOCK_ROWS), block_max(data.time_s, BLOCK_ROWS)
        self.least = block_min(data.importance, BLOCK_ROWS)
        self.most = block_max(data.importance, BLOCK_ROWS)

    def block_upper(self) -> Floats:
        lower = {"similarity": -1.0, "importance": self.least, "age_s": SPAN_S - self.newest}
        upper = {"similarity": 1.0, "importance": self.most, "age_s": SPAN_S - self.oldest}
        return self.policy.bounds(lower, upper)[1]

    def upper_within(self, blocks: Ints, low: Floats, high: Floats) -> Floats:
        lower = {"similarity": low, "importance": self.least[blocks], "age_s": SPAN_S - self.newest[blocks]}
        upper = {"similarity": high, "importance": self.most[blocks], "age_s": SPAN_S - self.oldest[blocks]}
        return self.policy.bounds(lower, upper)[1]

    def _columns(self, rows: Ints) -> dict[str, Floats]:
        return {"importance": self.data.importance[rows], "age_s": SPAN_S - self.data.time_s[rows]}

    def score(self, query: NDArray[np.float32], rows: Ints) -> Floats:
        return self.policy.evaluate(
            {"similarity": cosine(query, self.data.vectors[rows]), **self._columns(rows)}
        )

    def upper(self, rows: Ints, low: Floats, high: Floats) -> Floats:
        columns = self._columns(rows)
        return self.policy.bounds({"similarity": low, **columns}, {"similarity": high, **columns})[1]


Way = ByHand | ByPolicy


def search(data: Memories, way: Way, query: NDArray[np.float32], k: int) -> TopK:
    return top_k(
        query, data.vectors, data.ids, k=k,
        score=lambda rows: way.score(query, rows), upper=way.upper, block_upper=way.block_upper(),
        upper_within=way.upper_within,
    )  # fmt: skip


def naive(data: Memories, weights: Floats, query: NDArray[np.float32], k: int) -> Ints:
    scores = np.maximum(data.vectors @ query, 0.0) * weights
    best = np.argpartition(-scores, k)[:k]
    return best[np.argsort(-scores[best])]


def check(data: Memories, way: Way, k: int) -> None:
    everything = np.arange(len(data.ids))
    for query in data.queries:
        found, wanted = (
            search(data, way, query, k),
            top_k_reference(way.score(query, everything), data.ids, k),
        )
        if not (np.array_equal(found.rows, wanted.rows) and np.array_equal(found.scores, wanted.scores)):
            sys.exit(f"{type(way).__name__}: the answer differs from the reference; nothing was timed")


def medians_s(ways: dict[str, Callable[[int], object]], n_queries: int, repeats: int) -> dict[str, float]:
    """Return the median CPU time of one call of each way, in turns over all queries."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats * n_queries):
        for name, way in ways.items():
            start = time.process_time_ns()
            way(turn % n_queries)
            taken[name].append((time.process_time_ns() - start) / 1e9)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=131_072)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for order in ("newest", "bands"):
        for label, half_life_s in HALF_LIVES.items():
            rows.append(measure(options, order, label, half_life_s))
    report = {
        "benchmark": "topk", "numpy": np.__version__, "python": platform.python_version(),
        "machine": platform.machine(), "processor": processor(), "arguments": vars(options),
        "vectors": "synthetic", "results": rows,
    }  # fmt: skip
    print(json.dumps(report, indent=2) if options.json else table(report))


def measure(options: argparse.Namespace, order: str, label: str, half_life_s: float | None) -> dict[str, Any]:
    kind = "beta" if half_life_s is not None else "one"
    data = memories(options.rows, options.dimension, options.queries, order, kind, options.seed)
    hand, policy, k = ByHand(data, half_life_s), ByPolicy(data, half_life_s), options.k
    weights = hand.weights(data.importance, data.time_s)
    for way in (hand, policy):
        check(data, way, k)
    found = [search(data, hand, query, k) for query in data.queries]
    q = data.queries
    taken = medians_s(
        {
            "naive": lambda i: naive(data, weights, q[i], k),
            "naive_with_weights": lambda i: naive(data, hand.weights(data.importance, data.time_s), q[i], k),
            "by_hand": lambda i: search(data, hand, q[i], k),
            "by_policy": lambda i: search(data, policy, q[i], k),
            "block_upper_by_policy": lambda i: policy.block_upper(),
        },
        options.queries,
        options.repeats,
    )
    return {
        "order": order, "half_life": label, "importance": kind,
        "visited": statistics.mean(f.n_visited for f in found) / options.rows,
        "scored": statistics.mean(f.n_scored for f in found),
        "ms": {name: round(s * 1e3, 4) for name, s in taken.items()},
        "ratio_to_naive": {
            name: round(taken["naive"] / taken[name], 2) for name in ("by_hand", "by_policy")
        },
        "ratio_to_naive_with_weights": {
            name: round(taken["naive_with_weights"] / taken[name], 2) for name in ("by_hand", "by_policy")
        },
    }  # fmt: skip


def table(report: dict[str, Any]) -> str:
    head = f"NumPy {report['numpy']}, Python {report['python']}, {report['processor']}, synthetic vectors"
    lines = [head, f"{'order':8}{'half-life':10}{'visited':>8}{'scored':>8}{'naive ms':>10}{'by hand':>10}"
                   f"{'policy':>10}{'hand x':>8}{'policy x':>9}"]  # fmt: skip
    for row in report["results"]:
        ms, ratio = row["ms"], row["ratio_to_naive"]
        lines.append(
            f"{row['order']:8}{row['half_life']:10}{row['visited']:8.3f}{row['scored']:8.0f}{ms['naive']:10.3f}"
            f"{ms['by_hand']:10.3f}{ms['by_policy']:10.3f}{ratio['by_hand']:8.1f}{ratio['by_policy']:9.1f}"
        )
    return "\n".join(lines)


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
