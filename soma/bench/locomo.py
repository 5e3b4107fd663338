"""How well policies find the evidence in conversations of LoCoMo's form: no judge, no language model.

Each conversation is a memory of its own: its turns are ingested as `soma.ingest.read_locomo` gives them, and each
question is asked through `Memory.recall`. What counts is whether the turns in which the answer stands are found.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from soma.errors import InvalidParameterError
from soma.factory import open as open_store
from soma.ingest import LocomoCategory, load, locomo_questions, read_locomo
from soma.lab.experiment import Experiment, System, recaller
from soma.math import policy as p
from soma.math.policy import Policy

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np

    from soma.embedding.protocol import Embedder
    from soma.ingest import Episode, Loaded, LocomoQuestion
    from soma.memory import Memory

__all__ = ["CUTOFFS", "LocomoBench", "bench_locomo"]

CUTOFFS: Final = (5, 10, 25, 50)
"""Depths at which recall is taken."""

_NAMES: Final = {"nDCG@10": "ndcg@10", "RR": "mrr"}


@dataclass(frozen=True, slots=True)
class LocomoBench:
    """What was found.

    Parameters
    ----------
    experiment : Experiment
        The systems; topics have ``category`` and ``conversation``.
    questions : tuple of LocomoQuestion
        All questions of the file.
    n_memories : int
        Turns that became memories.
    """

    experiment: Experiment
    questions: tuple[LocomoQuestion, ...]
    n_memories: int

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one row for each system and category, those of all categories first, as JSON values.

        Returns
        -------
        list of dict
            ``system``, ``category``, ``n_questions`` (with evidence), ``n_without_evidence``, ``n_repaired`` and
            ``n_unresolved`` (entries of evidence), each metric as a share in [0, 1] with ``METRIC_interval`` and
            ``METRIC_minus_baseline`` (difference, low, high), ``baseline``; ``ms_per_query`` by the clock and
            ``cpu_ms_per_query`` of the processor, the embedding of the query included.
        """
        summary: dict[Any, Any] = self.experiment.summary("category").to_dict("index")
        table: dict[Any, Any] = self.experiment.table("category").to_dict("index")
        rows = []
        for (system, category), means in table.items():
            row: dict[str, Any] = {
                "system": system,
                "category": category,
                "n_questions": int(means["n"]),
                **self._evidence(category),
            }
            for metric in self.experiment.metrics:
                found = summary[system, category, metric]
                name = _NAMES.get(metric, metric.replace("R@", "recall@"))
                row[name] = _rounded(found["mean"])
                row[f"{name}_interval"] = [_rounded(found["low"]), _rounded(found["high"])]
                ends = ("difference", "difference_low", "difference_high")
                row[f"{name}_minus_baseline"] = [_rounded(found[end]) for end in ends]
            row["baseline"] = self.experiment.baseline
            row["ms_per_query"] = round(float(means["ms"]), 3)
            row["cpu_ms_per_query"] = round(float(means["cpu_ms"]), 3)
            rows.append(row)
        return rows

    def _evidence(self, category: str) -> dict[str, int]:
        asked = [one for one in self.questions if category in ("all", _label(one.category))]
        return {
            "n_without_evidence": sum(not one.evidence for one in asked),
            "n_repaired": sum(len(one.repaired) for one in asked),
            "n_unresolved": sum(len(one.unresolved) for one in asked),
        }


def bench_locomo(
    path: str | PathLike[str],
    embedder: Embedder,
    *,
    rng: np.random.Generator,
    policies: Mapping[str, Policy] | None = None,
    baseline: str = "fused",
    cutoffs: Iterable[int] = CUTOFFS,
    by_conversation: bool = False,
    n_resamples: int = 2_000,
    progress: Callable[[str, int, int], None] | None = None,
) -> LocomoBench:
    """Ask the questions of a file of LoCoMo's form, under the baselines, the preset ``conversation`` and any policy.

    Parameters
    ----------
    path : path
        A JSON list of samples, as `soma.ingest.read_locomo` takes it.
    embedder : Embedder
        Of all systems.
    rng : numpy.random.Generator
        Draws the intervals.
    policies : mapping of str to Policy, optional
        The systems beside `soma.lab.experiment.BASELINES`; ``{"soma": soma.math.presets.conversation()}`` by default.
    baseline : str
        The system that the others are compared with.
    cutoffs : iterable of int
        Where recall is taken, >= 1. The greatest, and 10 at least, is how many are recalled.
    by_conversation : bool
        Whether intervals draw conversations, and all questions of each, rather than questions.
    n_resamples : int
        Resamples of the bootstrap, >= 2.
    progress : callable, optional
        Called with ``"turns"`` or ``"questions"``, how many are done, and how many there will be.

    Returns
    -------
    LocomoBench
        The same for the same generator, but for the milliseconds.

    Raises
    ------
    ConfigurationError
        If the file cannot be opened.
    SerializationError
        If it is none of LoCoMo.
    InvalidParameterError
        If it holds no question with evidence, or outside the domain.

    Notes
    -----
    Questions are asked at the time of their conversation's last turn. Laws: ``property_tests/bench/test_locomo.py``.
    """
    depths = tuple(dict.fromkeys(cutoffs))
    for depth in depths:
        if isinstance(depth, bool) or not isinstance(depth, int) or not 1 <= depth <= 100_000:
            raise InvalidParameterError("cutoffs", depth, "must be integers from 1 to 100,000")
    questions = locomo_questions(path)
    conversations: dict[str, list[Episode]] = {}
    for episode in read_locomo(path):
        conversations.setdefault(episode.payload["sample"], []).append(episode)
    if not any(question.evidence for question in questions):
        raise InvalidParameterError("questions", len(questions), "must hold one with evidence, or nothing is measured")
    report = _quiet if progress is None else progress
    n_turns = sum(map(len, conversations.values()))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        memories: dict[str, Memory] = {}
        done = 0
        for number, (sample, episodes) in enumerate(conversations.items()):
            memory = opened.enter_context(open_store(Path(folder) / str(number), embedder=embedder))
            load(memory, episodes, progress=_counted(report, done, n_turns))
            done += len(episodes)
            memories[sample] = memory
        last = {sample: max(episode.timestamp for episode in of) for sample, of in conversations.items()}

        def recall(policy: Policy) -> System:
            systems = {
                sample: recaller(memory, k=max(10, *depths), now=last[sample])(policy)
                for sample, memory in memories.items()
            }

            def ask(topic: Mapping[str, Any]) -> Sequence[str]:
                return systems[topic["conversation"]](topic)

            return ask

        warm = recall(p.similarity() + p.bm25())  # the index is read once, by whoever comes first
        for sample in memories:
            warm({"query": "hello", "conversation": sample})
        experiment = Experiment(
            {"soma": p.presets.conversation()} if policies is None else policies,
            _topics(questions),
            _qrels(questions),
            [*(f"R@{depth}" for depth in depths), "recall_all@5", "recall_all@10", "nDCG@10", "RR"],
            baseline=baseline,
            rng=rng,
            recall=recall,
            cluster="conversation" if by_conversation else None,
            n_resamples=n_resamples,
            progress=lambda done, total: report("questions", done, total),
        )
    return LocomoBench(experiment, questions, n_turns)


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Say nothing."""


def _counted(report: Callable[[str, int, int], None], before: int, total: int) -> Callable[[Loaded], None]:
    return lambda loaded: report("turns", before + loaded.n_new, total)


def _topics(questions: Iterable[LocomoQuestion]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "qid": _qid(one),
            "query": one.question,
            "category": _label(one.category),
            "conversation": one.sample,
        }
        for one in questions
    )


def _qrels(questions: Iterable[LocomoQuestion]) -> pd.DataFrame:
    return pd.DataFrame({"qid": _qid(one), "docno": str(id)} for one in questions for id in one.evidence_ids)


def _qid(question: LocomoQuestion) -> str:
    return f"{question.sample}/{question.number}"


def _label(category: LocomoCategory) -> str:
    return category.name.lower().replace("_", "-")


def _rounded(value: float) -> float:
    return round(float(value), 6)
