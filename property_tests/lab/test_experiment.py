"""Experiments: every system is asked the same, baselines are there, tables and figures say what was found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import soma
from soma import policy as p
from soma.errors import ConfigurationError, InvalidParameterError, SerializationError
from soma.lab import plots
from soma.lab.experiment import BASELINES, Experiment, System, recaller
from soma.lab.intervals import mean_intervals
from soma.lab.metrics import METRICS, per_query

IDS = [f"m{number}" for number in range(12)]
T0 = 1_772_323_200.0


def fixed(rankings: Mapping[str, Sequence[str]]) -> System:
    return lambda topic: rankings[topic["qid"]]


def frames(qrels: Mapping[str, Sequence[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    topics = pd.DataFrame(
        {"qid": qid, "query": f"question {qid}", "kind": f"kind {number % 2}", "talk": f"talk {number % 3}"}
        for number, qid in enumerate(qrels)
    )
    relevant = [{"qid": qid, "docno": id} for qid, ids in qrels.items() for id in ids]
    return topics, pd.DataFrame(relevant, columns=["qid", "docno"])


@st.composite
def runs(draw: st.DrawFn) -> tuple[dict[str, System], dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    questions = [f"q{number}" for number in range(draw(st.integers(2, 6)))]
    some = st.lists(st.sampled_from(IDS), unique=True, max_size=4)
    qrels = {question: draw(some) for question in questions}
    qrels["q0"] = ["m0"]
    found = {
        name: {question: draw(st.lists(st.sampled_from(IDS), unique=True)) for question in questions}
        for name in (*BASELINES, "ours")
    }
    return {name: fixed(ranking) for name, ranking in found.items()}, qrels, found


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.integers(0, 3), st.sampled_from([None, "talk"]))
def test_tables_are_the_means_of_what_each_system_found(run: Any, seed: int, cluster: str | None) -> None:
    systems, qrels, rankings = run
    rng = np.random.default_rng(seed)
    found = Experiment(systems, *frames(qrels), rng=rng, cluster=cluster, n_resamples=50)
    judged = {question: dict.fromkeys(ids, 1) for question, ids in qrels.items() if ids}
    assert found.left_out == tuple(question for question, ids in qrels.items() if not ids)
    table, summary = found.table(), found.summary()
    assert found.systems == tuple(systems)
    for name in systems:
        values = per_query(rankings[name], judged)
        assert table.loc[name, "n"] == len(judged)
        assert found.rankings[name] == {question: tuple(rankings[name][question]) for question in judged}
        for metric in METRICS:
            own = np.array([values[question][metric] for question in judged])
            base = per_query(rankings["fused"], judged)
            apart = own - [base[question][metric] for question in judged]
            assert table.loc[name, metric] == pytest.approx(own.mean())
            row = summary.loc[(name, metric)]
            talks = [f"talk {number % 3}" for number, question in enumerate(qrels) if question in judged]
            expected = mean_intervals(
                np.stack([own, apart], axis=1),
                rng=np.random.default_rng(found.seed),
                cluster=talks if cluster else None,
                n_resamples=50,
            )
            assert [row["mean"], row["difference"]] == pytest.approx(expected.mean)
            assert [row["low"], row["difference_low"]] == pytest.approx(expected.low)
            assert [row["high"], row["difference_high"]] == pytest.approx(expected.high)
    assert (found.summary().to_numpy() == summary.to_numpy()).all()  # the same each time
    parts = found.table("kind")
    for name in systems:
        rows = parts.loc[name]
        assert rows.index[0] == "all"
        kinds = rows.drop(index="all")
        assert kinds["n"].sum() == rows.loc["all", "n"]
        assert (kinds["RR"] * kinds["n"]).sum() == pytest.approx(rows.loc["all", "RR"] * rows.loc["all", "n"])


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(runs(), st.sampled_from([None, "talk"]))
def test_what_is_saved_is_read(tmp_path_factory: pytest.TempPathFactory, run: Any, cluster: str | None) -> None:
    systems, qrels, _ = run
    found = Experiment(systems, *frames(qrels), rng=np.random.default_rng(1), cluster=cluster, n_resamples=20)
    folder = found.save(tmp_path_factory.mktemp("runs") / "run", parameters={"k": 7})
    again = Experiment.read(folder)
    pd.testing.assert_frame_equal(again.per_query, found.per_query)
    pd.testing.assert_frame_equal(again.summary("kind"), found.summary("kind"))
    assert (again.rankings, again.left_out, repr(again)) == (found.rankings, found.left_out, repr(found))
    with pytest.raises(ConfigurationError, match="is not empty: give a new folder"):
        found.save(folder)
    lines = (folder / "results.jsonl").read_text("utf-8").splitlines(keepends=True)
    (folder / "results.jsonl").write_text("".join(lines[:-1]), "utf-8")
    with pytest.raises(SerializationError, match="holds no whole run"):
        Experiment.read(folder)
    with pytest.raises(ConfigurationError, match="holds no run"):
        Experiment.read(folder / "none")


QRELS = {"q1": ["m1", "m2"], "q2": ["m3"], "q3": []}


def constant(*ids: str) -> dict[str, System]:
    return {name: (lambda topic: ids) for name in BASELINES}


def test_an_evaluation_without_baselines_is_refused() -> None:
    for missing in BASELINES:
        systems = {name: system for name, system in constant("m1").items() if name != missing}
        with pytest.raises(InvalidParameterError, match=f"must hold the baselines {missing}, or recall= be given"):
            Experiment(systems, *frames(QRELS), rng=np.random.default_rng(0))


def test_where_policies_can_be_asked_the_baselines_are_added(tmp_path: Path) -> None:
    ticks = itertools.count()
    with soma.open(tmp_path, clock=lambda: T0 + next(ticks)) as memory:
        ids = {text: str(memory.remember(text).id) for text in ("the clock is slow", "a clock test", "lunch was late")}
        topics = pd.DataFrame({"qid": [1, 2], "query": ["clock test", "lunch"]})
        qrels = pd.DataFrame({"qid": [1, 2], "docno": [ids["a clock test"], ids["lunch was late"]]})
        found = Experiment(
            {"oldest": p.age_s(), "bm25": lambda topic: []},  # a baseline of one's own is kept
            topics,
            qrels,
            ["R@1", "RR"],
            rng=np.random.default_rng(0),
            recall=recaller(memory, k=3, now=T0 + 60),
        )
        assert found.systems == (*(name for name in BASELINES if name != "bm25"), "oldest", "bm25")
        table = found.table()
        assert table["RR"].to_dict() == {
            "dense": 1.0,
            "rrf": 1.0,
            "fused": 1.0,
            "recency": 0.75,  # the newest is lunch, and the test is next
            "oldest": pytest.approx((1 / 2 + 1 / 3) / 2),
            "bm25": 0.0,
        }
        assert (table[["ms", "cpu_ms"]] >= 0.0).all(axis=None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"baseline": "best"}, "baseline must be one of the systems bm25, dense"),
        ({"cluster": "none"}, "cluster must be a column of the topics"),
        ({"level": 1.5}, "level must lie in"),
        ({"metrics": ["recall"]}, "metrics must be recall_all@K"),
        ({"systems": {"soma": p.similarity(), **constant()}}, "is a policy, which needs recall="),
        ({"topics": pd.DataFrame({"qid": ["q1"]})}, "topics must have the column 'query'"),
        ({"topics": pd.DataFrame({"qid": ["q1", "q1"], "query": "x"})}, "topics must name no qid twice"),
        ({"qrels": pd.DataFrame({"qid": ["q1"]})}, "qrels must have the column 'docno'"),
        ({"qrels": pd.DataFrame({"qid": ["q9"], "docno": "m1"})}, "qrels must name something relevant"),
        ({"qrels": pd.DataFrame({"qid": ["q1"] * 2, "docno": "m1"})}, "must name no docno of a question twice"),
        ({"qrels": pd.DataFrame({"qid": ["q1"], "docno": "m1", "label": 0})}, "must name something relevant"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, Any], message: str) -> None:
    topics, qrels = frames(QRELS)
    given = {"systems": constant("m1"), "topics": topics, "qrels": qrels, "metrics": ["R@1"]} | wrong
    with pytest.raises(InvalidParameterError, match=message):
        Experiment(rng=np.random.default_rng(0), **given)


@pytest.fixture
def experiment() -> Experiment:
    systems = constant("m9", "m1") | {"our_$100": (lambda topic: ["m1", "m2"])}
    steps: list[tuple[int, int]] = []
    found = Experiment(
        systems,
        *frames(QRELS),
        rng=np.random.default_rng(0),
        n_resamples=200,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 2), (2, 2)]
    return found


def test_what_is_shown_is_whole_escaped_and_the_same_each_time(experiment: Experiment) -> None:
    assert repr(experiment).startswith(
        "2 questions, 1 more without evidence; in brackets the difference from fused, 95%"
    )
    assert "50.0 [+0.0, +50.0]" in repr(experiment).replace("  ", " ")
    assert "<td>25.0</td>" in experiment._repr_html_()
    assert "<script" not in experiment._repr_html_()
    latex = experiment.to_latex()
    assert r"our\_\$100 & \textbf{50.0} {\scriptsize$[+0.0, +50.0]$}" in latex
    assert r"system & R@5 & R@10 & R@25 & R@50 & recall\_all@5" in latex
    assert latex.count(r"\\") == 1 + len(experiment.systems)
    assert r"our\_\$100 & kind 1 & \textbf{0.0}" in experiment.to_latex("kind")
    for by in ("query", "ms", "cpu_ms", "qid", "RR"):
        with pytest.raises(InvalidParameterError, match="must be a column of the topics"):
            experiment.table(by)


def test_figures_show_the_tables(experiment: Experiment) -> None:
    axes = experiment.plot("RR")
    rows = experiment.summary().xs("RR", level="metric").sort_values("mean", ascending=False, kind="stable")
    assert np.asarray(axes.lines[0].get_xdata()) == pytest.approx(100 * rows["difference"].to_numpy())
    segments = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    ends = 100 * rows[["difference_low", "difference_high"]].to_numpy(float)
    assert np.array([segment[:, 0] for segment in segments]) == pytest.approx(ends)
    assert axes.get_yticklabels()[0].get_text() == r"our_\$100  50.0"
    assert axes.yaxis_inverted()
    assert experiment.plot().get_xlabel().startswith("R@5 less that of fused")
    with pytest.raises(InvalidParameterError, match="metric must be one of R@5"):
        experiment.plot("R@7")
    lines = plots.cutoffs(experiment).lines
    assert [line.get_label() for line in lines][-1] == r"our_\$100"
    assert np.asarray(lines[-1].get_xdata()).tolist() == [5, 10, 25, 50]
    assert np.asarray(lines[-1].get_ydata()) == pytest.approx([50.0] * 4)
    narrow = Experiment(constant("m1"), *frames(QRELS), ["R@5", "RR"], rng=np.random.default_rng(0), n_resamples=2)
    with pytest.raises(InvalidParameterError, match="two cut-offs"):
        plots.cutoffs(narrow)


def test_systems_see_the_topic_and_cannot_change_it() -> None:
    seen: list[Mapping[str, Any]] = []

    def curious(topic: Mapping[str, Any]) -> Sequence[str]:
        seen.append(topic)
        with pytest.raises(TypeError):
            topic["query"] = "another"  # type: ignore[index]
        return []

    Experiment(constant() | {"curious": curious}, *frames(QRELS), ["R@5"], rng=np.random.default_rng(0), n_resamples=2)
    assert [dict(topic) for topic in seen] == [
        {"qid": f"q{n}", "query": f"question q{n}", "kind": f"kind {n - 1}", "talk": f"talk {n - 1}"} for n in (1, 2)
    ]
