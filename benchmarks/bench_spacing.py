"""FSRS-6 over a million reviews: the replay beside py-fsrs and fsrs-rs-python, whose results are compared first.

A log of mixed items by time, and the same log item by item. Of each review the replay gives stability, difficulty and
the predicted recall; so does py-fsrs, on a sample of the items, scaled per review; fsrs-rs gives the first two. What a
peer reads is made before the clock starts: cards, dates, lists of reviews with whole days between them.

Run ``python benchmarks/bench_spacing.py``, with ``--json`` for the figures alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy

import fsrs
import fsrs_rs_python as rust
import numpy as np

import soma
from soma.math.spacing import FSRS, Replay, replay
from soma.math.units import DAY, YEAR

MODEL = FSRS.published("6")
ROUNDS = 5
TURN_S = 0.3
SPAN_S = 2.0 * YEAR
SHARES = [0.15, 0.1, 0.6, 0.15]  # of Again, Hard, Good, Easy
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)


def synthetic_log(n: int, n_items: int, seed: int) -> tuple[Any, Any, Any]:
    """Return items, times in whole seconds and grades, by rising time."""
    rng = np.random.default_rng(seed)
    items, times = rng.integers(0, n_items, n), np.sort(rng.integers(0, int(SPAN_S), n)).astype(np.float64)
    return items, times, rng.choice([1, 2, 3, 4], n, p=SHARES)


def by_item(log: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """Return the same reviews item by item."""
    order = np.argsort(log[0], kind="stable")
    return log[0][order], log[1][order], log[2][order]


class PyFSRS:
    """The first items of a log, for py-fsrs."""

    def __init__(self, log: tuple[Any, Any, Any], n_items: int) -> None:
        self.rows = np.flatnonzero(np.isin(log[0], np.unique(log[0])[:n_items]))
        items, times, grades = (column[self.rows].tolist() for column in log)
        self.scheduler = fsrs.Scheduler(MODEL.weights, enable_fuzzing=False)
        self.new = {item: fsrs.Card(card_id=item, due=BEGUN) for item in items}
        moments = [BEGUN + timedelta(seconds=t) for t in times]
        self.reviews = list(zip(items, moments, map(fsrs.Rating, grades), strict=True))

    def run(self) -> list[tuple[Any, float]]:
        """Return each card before its review, and what was predicted."""
        cards, scheduler, seen = dict(self.new), self.scheduler, []
        for item, moment, rating in self.reviews:
            card = cards[item]
            seen.append((card, scheduler.get_card_retrievability(card, moment)))
            cards[item], _ = scheduler.review_card(card, rating, moment)
        return seen

    def compare(self, ours: Replay) -> float:
        """Return the greatest relative difference of S, D and R before all reviews but the first."""
        rows = [(c.stability * DAY, c.difficulty, r) if c.stability else (np.nan,) * 3 for c, r in self.run()]
        columns = (ours.stability_s, ours.difficulty, ours.retrievability)
        return difference(np.array(rows), np.column_stack([column[self.rows] for column in columns]))


class RustFSRS:
    """A whole log, item by item, for fsrs-rs."""

    def __init__(self, log: tuple[Any, Any, Any]) -> None:
        items, times, grades = log
        self.later = np.diff(items, prepend=-1) == 0
        days = np.where(self.later, np.diff(times, prepend=0.0) // DAY, 0.0).astype(int).tolist()
        reviews = [rust.FSRSReview(*row) for row in zip(grades.tolist(), days, strict=True)]
        ends = np.flatnonzero(np.diff(items, append=-1)) + 1
        starts = [0, *ends[:-1].tolist()]
        self.histories = [rust.FSRSItem(reviews[a:b]) for a, b in zip(starts, ends.tolist(), strict=True)]
        self.model = rust.FSRS(list(MODEL.weights))

    def run(self) -> list[list[Any]]:
        """Return the state after each review of each item."""
        states: list[list[Any]] = self.model.historical_memory_state_batch(self.histories)
        return states

    def run_to_the_end(self) -> list[Any]:
        """Return the state after the last review of each item."""
        states: list[Any] = self.model.memory_state_batch(self.histories)
        return states

    def compare(self, ours: Replay) -> float:
        """Return the greatest relative difference of S and D after all reviews."""
        final = np.array([(s.stability, s.difficulty) for s in self.run_to_the_end()])
        before = np.array([(s.stability, s.difficulty) for states in self.run() for s in states[:-1]])
        return max(
            difference(final, np.column_stack([ours.state.stability_s / DAY, ours.state.difficulty])),
            difference(before, np.column_stack([ours.stability_s[self.later] / DAY, ours.difficulty[self.later]])),
        )


def difference(theirs: Any, ours: Any) -> float:
    """Return the greatest relative difference, where both are numbers or neither is."""
    assert (np.isnan(theirs) == np.isnan(ours)).all()
    return float(np.nanmax(np.abs(theirs / ours - 1.0)))


def medians(runs: dict[str, tuple[Callable[[], Any], int]]) -> dict[str, float]:
    """Return the median CPU time of each run, in nanoseconds a review; runs take turns of at least `TURN_S`."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, (run, n) in runs.items():
            run()  # what the others left in the caches is not its fault
            times, begun = 0, time.process_time()
            while (taken := time.process_time() - begun) < TURN_S:
                run()
                times += 1
            spent[name].append(taken / times / n * 1e9)
    return {name: statistics.median(each) for name, each in spent.items()}


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    parser.add_argument("--per-item", type=int, default=10)
    parser.add_argument("--sample", type=int, default=2_000, help="items for py-fsrs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    n = options.reviews
    log = synthetic_log(n, n // options.per_item, seed=7)
    grouped = by_item(log)
    mixed_seen, grouped_seen = (replay(MODEL, *each, whole_days=True) for each in (log, grouped))
    python, rs = PyFSRS(log, options.sample), RustFSRS(grouped)
    differences = {"py-fsrs": python.compare(mixed_seen), "fsrs-rs": rs.compare(grouped_seen)}
    assert differences["py-fsrs"] < 1e-9, differences
    assert differences["fsrs-rs"] < 1e-3, differences  # in single precision
    ns = medians(
        {
            "soma, log by time": (lambda: replay(MODEL, *log, whole_days=True), n),
            "soma, log by item": (lambda: replay(MODEL, *grouped, whole_days=True), n),
            "py-fsrs": (python.run, len(python.rows)),
            "fsrs-rs, all states": (rs.run, n),
            "fsrs-rs, last states": (rs.run_to_the_end, n),
        }
    )
    ours = {name: value for name, value in ns.items() if name.startswith("soma")}
    figures = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}",
        "versions": {"soma": soma.__version__, **{name: version(name) for name in ("fsrs", "fsrs-rs-python")}},
        "n_reviews": n,
        "n_items": len(mixed_seen.item),
        "max_relative_difference": differences,
        "ns_per_review": ns,
        "ratios": {
            f"{peer} / {name}": ns[peer] / value for name, value in ours.items() for peer in ns if peer not in ours
        },
    }
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(figures["machine"], figures["versions"])
    print(f"{n:,} reviews of {figures['n_items']:,} items; greatest relative difference: {differences}")
    for name, value in ns.items():
        print(f"{name:<22} {value:10.1f} ns a review")
    for name, ratio in figures["ratios"].items():
        print(f"{name:<42} {ratio:8.1f} x")


if __name__ == "__main__":
    main()
