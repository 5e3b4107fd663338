"""What a question costs against the number of memories: milliseconds of processor time, under each policy.

Memories are turns of random words, twenty a session, embedded by hashing, so that no model counts.
Run: .venv/bin/python benchmarks/bench_questions.py [N ...]
"""

from __future__ import annotations

import sys
import tempfile
from time import process_time
from uuid import UUID

import numpy as np

import soma
from soma import policy as p
from soma.ingest import Episode, load

POLICIES = {
    "dense": p.presets.dense(),
    "bm25": p.bm25(),
    "default": p.default(),
    "conversation": p.presets.conversation(),
}
QUERIES = 30


def main() -> None:
    """Print one row a number of memories."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(20_000)])
    odds = 1.0 / np.arange(1, len(words) + 1)
    odds /= odds.sum()
    print(f"{'memories':>10}" + "".join(f"{name:>14}" for name in POLICIES) + "   ms a query, k = 10")
    for n in [int(text) for text in sys.argv[1:]] or [600, 6_000, 60_000]:
        texts = [" ".join(rng.choice(words, 12, p=odds)) for _ in range(n)]
        episodes = (
            Episode(
                id=UUID(int=number + 1),
                text=text,
                timestamp=1.7e9 + 60 * number,
                importance=5,
                payload={"session": number // 20, "speaker": ("Ada", "Bo")[number % 2]},
            )
            for number, text in enumerate(texts)
        )
        with tempfile.TemporaryDirectory() as folder, soma.open(folder, embedder="hashing") as memory:
            load(memory, episodes)
            row = []
            for policy in POLICIES.values():
                memory.recall("warm", policy=policy, k=10, now=2e9)
                start = process_time()
                for number in range(QUERIES):
                    memory.recall(texts[number * (n // QUERIES)], policy=policy, k=10, now=2e9)
                row.append(1_000 * (process_time() - start) / QUERIES)
        print(f"{n:>10,}" + "".join(f"{ms:>14.1f}" for ms in row), flush=True)


if __name__ == "__main__":
    main()
