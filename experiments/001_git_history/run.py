"""Which policy finds the commit that an issue is about: run it, and read README.md beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

import soma
from soma import DAY, decay
from soma import policy as p
from soma.embedding.by_name import embedder_of
from soma.ingest import commits_as_memories, load
from soma.lab.experiment import Experiment, recaller

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
METRICS = ("R@1", "R@5", "R@10", "RR")

importance = 0.5 + 0.5 * p.importance()
fading = p.decay(decay.Power(scale_s=30 * DAY, exponent=0.5), of=p.idle_s)
fused = 0.5 * p.minmax(p.similarity()) + 0.5 * p.minmax(p.bm25())
POLICIES = {
    "default": p.default(),
    "default of vectors alone": p.presets.dense(),
    "fused, importance": fused * importance,
    "fused, fading": fused * fading,
    "fused, importance, fading": fused * importance * fading,
    "fused, importance, a little fading": fused * importance * (0.8 + 0.2 * fading),
    "mostly words": 0.3 * p.minmax(p.similarity()) + 0.7 * p.minmax(p.bm25()),
    "conversation": p.presets.conversation(),
}


def main() -> None:
    """Ask every question under every policy with every embedder, print the tables, and write results.csv."""
    params = tomllib.loads((HERE / "params.toml").read_text("utf-8"))
    questions = json.loads((HERE / "questions.json").read_text("utf-8"))
    reachable = subprocess.run(
        ["git", "-C", str(ROOT), "rev-list", params["until"], "--"], capture_output=True, text=True, check=False
    ).stdout.split()
    missing = {commit for one in questions for commit in one["evidence"]} - set(reachable)
    if missing:
        sys.exit(f"{len(missing)} of the commits in questions.json are not in this clone: run git fetch --unshallow")
    episodes = [one for one in commits_as_memories(ROOT) if one.payload["commit"] in set(reachable)]
    ids = {one.payload["commit"]: str(one.id) for one in episodes}
    topics = pd.DataFrame({"qid": str(number), "query": one["question"]} for number, one in enumerate(questions))
    qrels = pd.DataFrame(
        {"qid": str(number), "docno": ids[commit]} for number, one in enumerate(questions) for commit in one["evidence"]
    )
    tables = []
    for name in params["embedders"]:
        with tempfile.TemporaryDirectory() as folder, soma.open(folder, embedder=embedder_of(name)) as memory:
            load(memory, episodes)
            found = Experiment(
                POLICIES,
                topics,
                qrels,
                METRICS,
                rng=np.random.default_rng(params["seed"]),
                recall=recaller(memory, k=params["k"], now=max(one.timestamp for one in episodes) + DAY),
                n_resamples=params["resamples"],
            )
        print(f"{name}: {len(episodes)} commits\n{found}\n")
        tables.append(found.summary().reset_index().assign(embedder=name))
    pd.concat(tables).round(4).to_csv(HERE / "results.csv", index=False)


if __name__ == "__main__":
    main()
