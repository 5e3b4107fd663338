"""What a question costs under each of soma's own policies, against the number of memories.

``python benchmarks/bench_policies.py 600 6000 100000`` prints, for each number of memories of 25 words and each policy,
what the first question costs, which reads the store once, and the median of the others: milliseconds of processor
time. Words are drawn by Zipf's law from 20,000.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import tempfile
import time
from uuid import UUID

import soma
from soma import policy as p

POLICIES = {name: p.presets.PRESETS[name]() for name in ("dense", "default", "conversation")}
WORDS = [f"word{i}" for i in range(20_000)]
WEIGHTS = list(itertools.accumulate(1 / (i + 1) for i in range(len(WORDS))))
START = 1_700_000_000.0
BATCH = 5_000


def record(number: int, rng: random.Random, memory: soma.Memory) -> soma.MemoryRecord:
    """Return a turn of a conversation: twenty of them are a session."""
    return soma.MemoryRecord(
        id=UUID(int=number + 1),
        namespace=memory.namespace,
        coordinate=[0.0] * memory.registration.dimension,
        timestamp=START + 60 * number,
        importance=rng.randint(0, 10),
        text=" ".join(rng.choices(WORDS, cum_weights=WEIGHTS, k=25)),
        payload={"session": f"s{number // 20}", "speaker": rng.choice(["Ada", "Grace"])},
    )


def measured(memory: soma.Memory, policy: p.Policy, questions: list[str]) -> tuple[float, float]:
    """Return what the first question costs, and the median of the others, in milliseconds of processor time."""
    spent = []
    for question in questions:
        start = time.process_time()
        memory.recall(question, policy=policy, k=10)
        spent.append(1_000 * (time.process_time() - start))
    return spent[0], statistics.median(spent[1:])


def main() -> None:
    """Print one line for each number of memories and each policy."""
    for n in map(int, sys.argv[1:] or ["1000", "10000"]):
        rng = random.Random(0)
        with tempfile.TemporaryDirectory() as folder:
            memory = soma.open(folder, embedder="static", clock=lambda n=n: START + 60 * n)
            for first in range(0, n, BATCH):
                memory.store_many([record(i, rng, memory) for i in range(first, min(first + BATCH, n))])
            questions = [" ".join(rng.choices(WORDS, cum_weights=WEIGHTS, k=8)) + " last May Ada?" for _ in range(16)]
            for name, policy in POLICIES.items():
                first_ms, median_ms = measured(memory, policy, questions)
                print(f"{n:>9,}  {name:<12}  first {first_ms:9.1f} ms  then {median_ms:6.1f} ms", flush=True)
            memory.close()


if __name__ == "__main__":
    main()
