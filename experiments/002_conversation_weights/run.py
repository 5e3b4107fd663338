"""Weights of the preset ``conversation``, fitted on all conversations but one and scored on that one."""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

import soma
from soma import policy as p
from soma.embedding.by_name import embedder_of
from soma.ingest import load, locomo_questions, read_locomo
from soma.lab.ablation import summands
from soma.lab.intervals import mean_intervals

HERE = Path(__file__).parent
CUTOFFS = (5, 10, 25, 50)
SCALED = {str(term): (sign, term) for sign, term in summands(p.presets.conversation())}
NEAR = 0.4 * p.minmax(p.neighbours(p.similarity(), "session"))
INSTEAD = {  # of the first two terms, of the first, and of both with the one that looks at the turn before
    "words not spread": 0.6 * p.minmax(p.bm25()) + NEAR,
    "scores spread, not words": 0.6 * p.minmax(p.neighbours(p.minmax(p.bm25()), "session")) + NEAR,
    "nothing spread": 0.6 * p.minmax(p.bm25()) + 0.4 * p.minmax(p.similarity()),
}
FUSED = 0.5 * p.minmax(p.bm25()) + 0.5 * p.minmax(p.similarity())


def measured(path: Path, embedder: str) -> dict[str, list[dict[str, np.ndarray]]]:
    """Return for each question of each conversation the values of all terms for all turns, and its evidence."""
    model, turns = embedder_of(embedder), {}
    for episode in read_locomo(path):
        turns.setdefault(episode.payload["sample"], []).append(episode)
    everything = p.presets.conversation() + FUSED + 0 * p.top_mean(FUSED, "session", 3)
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for sample, episodes in turns.items():
        with tempfile.TemporaryDirectory() as folder, soma.open(folder, embedder=model) as memory:
            load(memory, episodes)
            place = {episode.id: row for row, episode in enumerate(episodes)}
            session = np.array([episode.payload["session"] for episode in episodes])
            for question in locomo_questions(path):
                if question.sample != sample or not question.evidence:
                    continue
                hits = memory.recall(question.question, policy=everything, k=len(episodes), now=episodes[-1].timestamp)
                hits = sorted(hits, key=lambda hit: place[hit.record.id])
                columns = {name: np.array([hit.features[name] for hit in hits]) for name in hits[0].features}
                columns["id"] = np.arange(len(hits))
                columns["place.session"] = np.arange(len(hits)) + 1_000 * session  # neighbours differ by one
                values = [sign * term.evaluate(columns) for sign, term in SCALED.values()]
                is_evidence = np.zeros(len(hits), dtype=bool)
                is_evidence[[place[id] for id in question.evidence_ids]] = True
                found.setdefault(sample, []).append(
                    {
                        "terms": np.stack([np.broadcast_to(value, len(hits)) for value in values], axis=1),
                        "evidence": is_evidence,
                        "given": given(columns, session),
                        **variants(columns, np.stack([np.broadcast_to(value, len(hits)) for value in values])),
                    }
                )
    return found


def variants(columns: dict[str, np.ndarray], values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the shipped score without each of its terms, and with others instead of what is spread."""
    total = values.sum(axis=0)
    found = {f"without {term}": total - value for term, value in zip(SCALED, values, strict=True)}
    before = [place for place, term in enumerate(SCALED) if "previous" in term]
    for name, instead in INSTEAD.items():
        found[name] = total - values[:2].sum(axis=0) + instead.evaluate(columns)
    found["nothing spread"] = found["nothing spread"] - values[before].sum(axis=0)
    return found


def given(columns: dict[str, np.ndarray], session: np.ndarray) -> np.ndarray:
    """Return the score that was to be beaten: fused, neighbours .4 and .2, best three of the sitting .4, speaker .1."""
    fused = FUSED.evaluate(columns)
    score = fused + 0.1 * columns["mentions.speaker"] + 0.4 * p.top_mean(FUSED, "session", 3).evaluate(columns)
    for lag, weight in ((1, 0.4), (2, 0.2)):
        is_near = session[lag:] == session[:-lag]
        score[lag:] += weight * np.where(is_near, fused[:-lag], 0.0)
        score[:-lag] += weight * np.where(is_near, fused[lag:], 0.0)
    return score


def fit(questions: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Return the weights under which a draw in proportion to exp(score) is likeliest to draw evidence."""

    def surprise(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(weights)
        for one in questions:
            score = one["terms"] @ weights
            odds = np.exp(score - score.max())
            share, wanted = odds / odds.sum(), one["evidence"] / one["evidence"].sum()
            total -= float(wanted @ np.log(share))
            slope = slope + one["terms"].T @ (share - wanted)
        return total / len(questions), slope / len(questions)

    return np.asarray(minimize(surprise, np.full(len(SCALED), 5.0), jac=True, method="L-BFGS-B").x)


def recalls(one: dict[str, np.ndarray], score: np.ndarray) -> list[float]:
    """Return the share of the evidence among the first of each number."""
    order = np.argsort(-score, kind="stable")
    return [float(one["evidence"][order[:k]].sum() / one["evidence"].sum()) for k in CUTOFFS]


def main() -> None:
    """Fit, score, print, and write results.csv: figures only, no text of the conversations."""
    if len(sys.argv) != 2:
        sys.exit("usage: run.py FILE.json, a file of LoCoMo's form")
    params = tomllib.loads((HERE / "params.toml").read_text("utf-8"))
    found = measured(Path(sys.argv[1]), params["embedder"])
    held_out, shipped, known, weights = [], [], [], []
    for sample, questions in found.items():
        learnt = fit([one for other in found if other != sample for one in found[other]])
        weights.append(learnt / learnt[0])
        held_out += [recalls(one, one["terms"] @ learnt) for one in questions]
        shipped += [recalls(one, one["terms"].sum(axis=1)) for one in questions]
        known += [recalls(one, one["given"]) for one in questions]
    systems = {"left out": held_out, "shipped": shipped, "given": known}
    everything = [one for questions in found.values() for one in questions]
    others = [name for name in everything[0] if name not in ("terms", "evidence", "given")]
    systems["left out less given"] = np.array(held_out) - np.array(known)
    for name in others:
        systems[f"shipped less {name}"] = np.array(shipped) - np.array([recalls(one, one[name]) for one in everything])
    table = np.concatenate([np.array(of) for of in systems.values()], axis=1)
    names = [f"{name} R@{k}" for name in systems for k in CUTOFFS]
    intervals = mean_intervals(table, rng=np.random.default_rng(params["seed"]), n_resamples=params["resamples"])
    result = pd.DataFrame(
        {"mean": intervals.mean, "low": intervals.low, "high": intervals.high, "n": len(table)}, index=names
    )
    print((100 * result[["mean", "low", "high"]]).round(1).to_string())
    print(pd.DataFrame(weights, columns=list(SCALED), index=list(found)).round(2).T.to_string())
    result.round(4).to_csv(HERE / "results.csv", index_label="figure")


if __name__ == "__main__":
    main()
