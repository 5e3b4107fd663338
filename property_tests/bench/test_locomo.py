"""Laws of the evidence bench: what is counted, what is asked, what is refused; and what is known of five conversations.

The conversations of the laws are our own; the real ones are read where they lie, and never copied.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from soma import policy as p
from soma.bench.locomo import bench_locomo
from soma.cli import main
from soma.embedding import HashingEmbedder
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.lab.experiment import BASELINES

TURNS = {
    1: ("Did the repair of the clock tower go well?", "Yes, the bell rings again", "We should celebrate that"),
    2: ("I bought a canoe", "What colour is it?", "Green, like the old one", "Have fun on the river"),
}
ASKED = (
    {"question": "Which thing rings again?", "category": 4, "evidence": ["D1:2"]},
    {"question": "What colour is the canoe that Ada bought?", "category": 1, "evidence": ["D2:1", "D2:3"]},
    {"question": "What was celebrated?", "category": 4, "evidence": ["D1:03"]},
    {"question": "Who swims?", "category": 5, "evidence": []},
    {"question": "Where is the canoe?", "category": 2, "evidence": ["D2:4", "D7:1"]},
)


def sample(id: str = "ours-1", asked: Any = ASKED) -> dict[str, Any]:
    conversation: dict[str, Any] = {}
    for session, texts in TURNS.items():
        conversation[f"session_{session}_date_time"] = f"1:56 pm on {session} May, 2026"
        conversation[f"session_{session}"] = [
            {"speaker": ("Ada", "Bo")[n % 2], "dia_id": f"D{session}:{n + 1}", "text": text}
            for n, text in enumerate(texts)
        ]
    return {"sample_id": id, "conversation": conversation, "qa": [*asked]}


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_the_evidence_of_each_question_is_sought_in_its_own_conversation(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", [sample(), sample("ours-2", ASKED[:2])])
    steps: list[tuple[str, int, int]] = []
    found = bench_locomo(
        path,
        HashingEmbedder(),
        rng=np.random.default_rng(0),
        policies={"oldest": p.age_s(), "soma": p.presets.conversation()},
        cutoffs=(1, 5, 5),
        progress=lambda *step: steps.append(step),
    )
    assert steps[:2] == [("turns", 7, 14), ("turns", 14, 14)]
    assert steps[2:] == [("questions", n, 6) for n in range(1, 7)]
    assert found.n_memories == 14
    rows = {(row["system"], row["category"]): row for row in found.to_rows()}
    systems = [*BASELINES, "oldest", "soma"]
    assert list(rows)[: len(systems)] == [(name, "all") for name in systems]
    assert {category for _, category in rows} == {"all", "multi-hop", "single-hop", "temporal"}
    whole = rows["oldest", "all"]
    counts = {name: whole[name] for name in ("n_questions", "n_without_evidence", "n_repaired", "n_unresolved")}
    assert counts == {"n_questions": 6, "n_without_evidence": 1, "n_repaired": 1, "n_unresolved": 1}
    # the oldest first: turn by turn, D1:2 second, D2:1 and D2:3 fourth and sixth, D1:3 third, D2:4 seventh
    assert whole["recall@1"] == 0.0
    assert whole["recall@5"] == pytest.approx((1 + 0.5 + 1 + 0 + 1 + 0.5) / 6, abs=1e-6)
    assert whole["recall_all@5"] == pytest.approx(3 / 6)
    assert whole["mrr"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 3 + 1 / 7 + 1 / 2 + 1 / 4) / 6, abs=1e-6)
    assert rows["recency", "temporal"]["recall@1"] == 1.0  # D2:4 is the last turn
    for row in rows.values():
        assert row["ms_per_query"] > 0.0
        assert row["cpu_ms_per_query"] > 0.0
        assert row["baseline"] == "fused"
        low, high = row["recall@5_interval"]
        assert low <= row["recall@5"] <= high
        apart, least, most = row["recall@5_minus_baseline"]
        assert apart == pytest.approx(row["recall@5"] - rows["fused", row["category"]]["recall@5"], abs=2e-6)
        assert least <= apart <= most
    ids = {id for ranking in found.experiment.rankings["soma"].values() for id in ranking}
    assert len(ids) == 14
    for qid, ranking in found.experiment.rankings["soma"].items():
        others = {other for other in found.experiment.rankings["soma"] if not other.startswith(qid.split("/")[0])}
        assert not set(ranking) & {id for other in others for id in found.experiment.rankings["soma"][other]}


def test_the_same_seed_gives_the_same_figures(tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", [sample(), sample("ours-2")])

    def rows(seed: int, **more: Any) -> list[dict[str, Any]]:
        found = bench_locomo(path, HashingEmbedder(), rng=np.random.default_rng(seed), **more).to_rows()
        return [{name: value for name, value in row.items() if "ms_per_query" not in name} for row in found]

    assert rows(1) == rows(1)
    assert rows(1) != rows(1, by_conversation=True)
    assert [row["recall@5"] for row in rows(1)] == [row["recall@5"] for row in rows(2)]


@pytest.mark.parametrize("cutoffs", [(0,), (True,), (1.5,), (100_001,)])
def test_a_depth_outside_its_domain_is_refused(cutoffs: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "ours.json", [sample()])
    with pytest.raises(InvalidParameterError, match="cutoffs must be integers from 1 to 100,000"):
        bench_locomo(path, HashingEmbedder(), rng=np.random.default_rng(0), cutoffs=cutoffs)


def test_files_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigurationError, match="does not exist"):
        bench_locomo(tmp_path / "none.json", HashingEmbedder(), rng=rng)
    with pytest.raises(SerializationError, match="it must be a list of samples"):
        bench_locomo(write(tmp_path / "other.json", {}), HashingEmbedder(), rng=rng)
    with pytest.raises(InvalidParameterError, match="questions must hold one with evidence"):
        bench_locomo(write(tmp_path / "empty.json", [sample(asked=ASKED[3:4])]), HashingEmbedder(), rng=rng)


def run(*arguments: str) -> Any:
    return CliRunner(catch_exceptions=False).invoke(main, ["bench", "locomo", *arguments])


def test_the_command_prints_the_table_and_the_evidence(tmp_path: Path) -> None:
    path = str(write(tmp_path / "ours.json", [sample()]))
    policy = tmp_path / "oldest.json"
    policy.write_text(p.age_s().to_json(), "utf-8")
    asked = ("--policy", str(policy), "--policy", "dense", "--ablate", "--k", "5", "--k", "1")
    found = run("--data", path, "--embedder", "hashing", *asked)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0] == "7 turns, 4 questions with evidence, 1 without; entries of evidence: 1 repaired, 1 unresolved"
    assert lines[1].split()[:5] == ["system", "category", "n", "recall@5", "recall@1"]
    assert any(line.startswith("soma without 0.1 * mentions(") for line in lines)
    assert any(line.startswith(f"{policy}") for line in lines)
    assert {"dense", "policy dense"} <= {line.partition("  ")[0] for line in lines}  # the baseline, and the preset
    found = run(
        "--data", path, "--embedder", "hashing", "--json", "--seed", "3", "--by-conversation", "--baseline", "soma"
    )
    rows = json.loads(found.stdout)
    assert [row["system"] for row in rows[:6]] == [*BASELINES, "soma"]
    assert rows[5]["recall@5_minus_baseline"] == [0.0, 0.0, 0.0]
    assert {"recall@5", "recall@10", "recall@25", "recall@50", "recall_all@5", "recall_all@10", "ndcg@10", "mrr"} < set(
        rows[0]
    )


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path: Path) -> None:
    found = run("--data", str(tmp_path / "none.json"))
    assert found.exit_code == 2
    assert "does not exist: give a file of LoCoMo's conversations" in found.stderr
    path = str(write(tmp_path / "bad.json", [sample() | {"qa": 7}]))
    found = run("--data", path, "--embedder", "hashing")
    assert found.exit_code == 2
    assert found.stderr.count("\n") <= 2
    assert "qa must be a list of questions" in found.stderr


def test_the_evidence_of_a_real_conversation_is_found(shared_data: Path, tmp_path: Path) -> None:
    (first, *_) = json.loads((shared_data / "locomo_dev.json").read_text("utf-8"))
    path = write(tmp_path / "one.json", [first | {"qa": first["qa"][:70]}])
    found = bench_locomo(path, HashingEmbedder(), rng=np.random.default_rng(0), n_resamples=500)
    rows = {(row["system"], row["category"]): row for row in found.to_rows()}
    assert rows["soma", "all"]["n_questions"] == 68
    # without a model: what the words of the turns around are worth
    assert rows["soma", "all"]["recall@5"] >= 0.60
    assert rows["soma", "all"]["recall@5_minus_baseline"][1] > 0.0
