"""Exact top-k under a decaying policy, against the NumPy that one would write by hand; one run, one thread.

The vectors are synthetic: Zipf-sized topics around one common direction, float32, unit length. The share of rows
that must be visited depends on the data: it is printed. Each ratio is a quotient of medians of CPU time, measured
in turns, so that every search finds the cache cold. Every answer is first compared, bit for bit, with the float64
reference over all rows. The peer ``naive`` gets the decayed weights of the rows for nothing, although they depend on
the time of the query; ``naive_with_weights`` computes them.

Orders of the rows: ``newest`` first; in ``bands`` of importance, newest first in each; by ``kappa``, for which the
bounds by hand use the largest decayed weight of each block, as no policy in general can.

``python benchmarks/bench_topk.py --rows 131072 --json``
"""

# ruff: noqa: E402 - NumPy reads the thread counts when it is loaded: they are set before it

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is loaded, which reads them once

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from soma.math import policy as p
from soma.math.blocks import block_max, block_min, exponential_order, newest_first
from soma.math.decay import Constant, Curve, Exponential
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import TopK, top_k, top_k_reference

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPAN_S: Final = 365.0 * 86_400.0
CHUNK: Final = 8_192
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
    order: str


def memories(n: int, d: int, n_queries: int, order: str, half_life_s: float | None, seed: int) -> Memories:
    """Return clustered unit vectors, importance Beta(2, 4) (1 without decay), and times spread over the span."""
    rng = np.random.default_rng(seed)
    n_topics = max(1, n // 128)
    share = 1.0 / np.arange(1, n_topics + 1) ** 0.7
    common, topics = unit_vectors(rng.normal(size=d)), unit_vectors(rng.normal(size=(n_topics, d)))

    def draw(m: int) -> NDArray[np.float32]:
        topic = rng.choice(n_topics, m, p=share / share.sum())
        return unit_vectors(0.22 * common + 0.67 * topics[topic] + 0.71 * unit_vectors(rng.normal(size=(m, d))))

    vectors = np.concatenate([draw(min(CHUNK, n - first)) for first in range(0, n, CHUNK)])
    importance = np.ones(n) if half_life_s is None else rng.beta(2.0, 4.0, n)
    time_s = rng.uniform(0.0, SPAN_S, n)
    if order == "kappa" and half_life_s is not None:
        rows = exponential_order(importance, time_s, half_life_s)
    else:
        rows = newest_first(time_s, importance if order == "bands" else None)
    queries = draw(n_queries)
    return Memories(vectors[rows], queries, rng.permutation(n), importance[rows], time_s[rows], order)


class ByHand:
    """The score and its bounds as a few lines of NumPy."""

    def __init__(self, data: Memories, half_life_s: float | None) -> None:
        self.data, self.half_life_s = data, half_life_s
        self.newest, self.most = block_max(data.time_s), block_max(data.importance)
        if data.order == "kappa" and half_life_s is not None:
            # the block's largest weight at the end of the span; at a later now, times 2 ** (-wait / half-life)
            self.most = block_max(self.weights(data.importance, data.time_s))
            self.newest = np.full(len(self.most), SPAN_S)

    def weights(self, importance: Floats, time_s: Floats) -> Floats:
        """Return the weights at the end of the span."""
        if self.half_life_s is None:
            return importance
        return importance * np.exp2((time_s - SPAN_S) / self.half_life_s)

    def block_upper(self) -> Floats:
        """Return the bounds of all blocks."""
        return self.weights(self.most, self.newest) * SLACK

    def upper_within(self, blocks: Ints, _low: Floats, high: Floats) -> Floats:
        """Return bounds of blocks within ranges of similarity."""
        return np.maximum(high, 0.0) * self.weights(self.most[blocks], self.newest[blocks]) * SLACK

    def score(self, query: NDArray[np.float32], rows: Ints) -> Floats:
        """Return the exact scores of rows."""
        weights = self.weights(self.data.importance[rows], self.data.time_s[rows])
        return np.maximum(cosine(query, self.data.vectors[rows]), 0.0) * weights

    def upper(self, rows: Ints, _low: Floats, high: Floats) -> Floats:
        """Return bounds of rows."""
        weights = self.weights(self.data.importance[rows], self.data.time_s[rows])
        return np.maximum(high, 0.0) * weights * SLACK


class ByPolicy:
    """The same through a policy, as the store does it."""

    def __init__(self, data: Memories, half_life_s: float | None) -> None:
        self.data = data
        curve: Curve = Constant() if half_life_s is None else Exponential(half_life_s)
        self.policy = p.similarity().clip(0) * p.importance() * p.decay(curve, of=p.age_s)
        self.oldest, self.newest = block_min(data.time_s), block_max(data.time_s)
        self.least = block_min(data.importance)
        self.most = block_max(data.importance)

    def block_upper(self) -> Floats:
        """Return the bounds of all blocks."""
        ends = np.full(len(self.newest), -1.0), np.ones(len(self.newest))
        lower = {"similarity": ends[0], "importance": self.least, "age_s": SPAN_S - self.newest}
        upper = {"similarity": ends[1], "importance": self.most, "age_s": SPAN_S - self.oldest}
        return self.policy.bounds(lower, upper)[1]

    def upper_within(self, blocks: Ints, low: Floats, high: Floats) -> Floats:
        """Return bounds of blocks within ranges of similarity."""
        lower = {"similarity": low, "importance": self.least[blocks], "age_s": SPAN_S - self.newest[blocks]}
        upper = {"similarity": high, "importance": self.most[blocks], "age_s": SPAN_S - self.oldest[blocks]}
        return self.policy.bounds(lower, upper)[1]

    def _columns(self, rows: Ints) -> dict[str, Floats]:
        return {"importance": self.data.importance[rows], "age_s": SPAN_S - self.data.time_s[rows]}

    def score(self, query: NDArray[np.float32], rows: Ints) -> Floats:
        """Return the exact scores of rows."""
        return self.policy.evaluate({"similarity": cosine(query, self.data.vectors[rows]), **self._columns(rows)})

    def upper(self, rows: Ints, low: Floats, high: Floats) -> Floats:
        """Return bounds of rows."""
        columns = self._columns(rows)
        return self.policy.bounds({"similarity": low, **columns}, {"similarity": high, **columns})[1]


Way = ByHand | ByPolicy


def search(data: Memories, way: Way, query: NDArray[np.float32], k: int) -> TopK:
    """Return what is measured: bounds of all blocks included, since they depend on the time of the query."""
    return top_k(
        query,
        data.vectors,
        data.ids,
        k=k,
        score=partial(way.score, query),
        upper=way.upper,
        block_upper=way.block_upper(),
        upper_within=way.upper_within,
    )


def naive(data: Memories, weights: Floats, query: NDArray[np.float32], k: int) -> Ints:
    """Return the best rows as one would by hand, in float32."""
    scores = np.maximum(data.vectors @ query, 0.0) * weights
    best = np.argpartition(-scores, k)[:k]
    return best[np.argsort(-scores[best])]


def check(data: Memories, way: Way, k: int) -> None:
    """Compare every answer with the reference; a faster wrong answer is a failure."""
    everything = np.arange(len(data.ids))
    for query in data.queries:
        found, wanted = search(data, way, query, k), top_k_reference(way.score(query, everything), data.ids, k)
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
    rows = [
        measure(options, order, label, half_life_s)
        for label, half_life_s in HALF_LIVES.items()
        for order in (("newest",) if half_life_s is None else ("newest", "bands", "kappa"))
    ]
    report = {
        "benchmark": "topk",
        "command": f"python benchmarks/bench_topk.py --rows {options.rows}",
        "numpy": np.__version__,
        "python": platform.python_version(),
        "processor": processor(),
        "threads": 1,
        "vectors": "synthetic",
        "arguments": vars(options),
        "results": rows,
    }
    print(json.dumps(report, indent=2) if options.json else table(report))


def measure(options: argparse.Namespace, order: str, label: str, half_life_s: float | None) -> dict[str, Any]:
    """Return the figures of one half-life and one order."""
    data = memories(options.rows, options.dimension, options.queries, order, half_life_s, options.seed)
    hand, policy, k = ByHand(data, half_life_s), ByPolicy(data, half_life_s), options.k
    weights = hand.weights(data.importance, data.time_s)
    for way in (hand, policy):
        check(data, way, k)
    q = data.queries
    found = {
        way: [search(data, engine, query, k) for query in q] for way, engine in (("hand", hand), ("policy", policy))
    }
    taken = medians_s(
        {
            "naive": lambda i: naive(data, weights, q[i], k),
            "hand": lambda i: search(data, hand, q[i], k),
            "naive_with_weights": lambda i: naive(data, hand.weights(data.importance, data.time_s), q[i], k),
            "policy": lambda i: search(data, policy, q[i], k),
        },
        options.queries,
        options.repeats,
    )
    return {
        "half_life": label,
        "order": order,
        "importance": "one" if half_life_s is None else "Beta(2, 4)",
        "visited": {way: statistics.mean(f.n_visited for f in each) / options.rows for way, each in found.items()},
        "scored": {way: statistics.mean(f.n_scored for f in each) for way, each in found.items()},
        "ms": {name: round(s * 1e3, 4) for name, s in taken.items()},
        "bounds_by_policy_us": bounds_us(data, policy, q, k),
        "ratio_to_naive": {way: round(taken["naive"] / taken[way], 2) for way in found},
        "ratio_to_naive_with_weights": {way: round(taken["naive_with_weights"] / taken[way], 2) for way in found},
    }


def bounds_us(data: Memories, way: ByPolicy, queries: NDArray[np.float32], k: int) -> dict[str, float]:
    """Return the mean CPU time a query of each callable of the policy, in microseconds, with cold caches."""
    spent = dict.fromkeys(("block_upper", "upper_within", "upper", "score"), 0)

    def timed(name: str, call: Callable[..., Floats]) -> Callable[..., Floats]:
        def run(*arguments: Any) -> Floats:
            start = time.process_time_ns()
            result = call(*arguments)
            spent[name] += time.process_time_ns() - start
            return result

        return run

    for query in queries:
        data.vectors.sum()  # what the other ways of the comparison do to the cache
        top_k(
            query,
            data.vectors,
            data.ids,
            k=k,
            score=timed("score", partial(way.score, query)),
            upper=timed("upper", way.upper),
            block_upper=timed("block_upper", way.block_upper)(),
            upper_within=timed("upper_within", way.upper_within),
        )
    return {name: round(ns / len(queries) / 1e3, 1) for name, ns in spent.items()}


def table(report: dict[str, Any]) -> str:
    """Return the report as text."""
    lines = [
        f"{report['command']}",
        f"NumPy {report['numpy']}, Python {report['python']}, {report['processor']}; synthetic vectors; ms a query",
        f"{'half-life':10}{'order':8}{'visited':>8}{'naive':>8}{'hand':>8}{'policy':>8}{'hand x':>8}{'policy x':>9}",
    ]
    for row in report["results"]:
        ms, ratio = row["ms"], row["ratio_to_naive"]
        lines.append(
            f"{row['half_life']:10}{row['order']:8}{row['visited']['hand']:8.3f}{ms['naive']:8.2f}{ms['hand']:8.2f}"
            f"{ms['policy']:8.2f}{ratio['hand']:8.1f}{ratio['policy']:9.1f}   policy us: {row['bounds_by_policy_us']}"
        )
    return "\n".join(lines)


def processor() -> str:
    """Return the name of the processor, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
