"""Experiments: systems asked the same questions, against baselines, with paired intervals (extra ``lab``)."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter, process_time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd

from soma.errors import InvalidParameterError
from soma.lab.experiment_tables import latex, readable
from soma.lab.intervals import mean_intervals
from soma.lab.metrics import METRICS, per_query
from soma.lab.run_directory import read_run, write_run
from soma.math import policy as p
from soma.math.policy import Policy

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from matplotlib.axes import Axes

    from soma.lab.counterfactual import Recaller

__all__ = ["BASELINES", "Experiment", "System", "recaller"]

System: TypeAlias = Callable[[Mapping[str, Any]], Sequence[str]]
"""From a topic, a row of the topics by column, to the ids that it finds, best first."""

TOTAL: Final = "all"
TIMES: Final = ("ms", "cpu_ms")
_SETTINGS: Final = ("metrics", "baseline", "level", "n_resamples", "cluster", "seed", "left_out")


def _fused() -> Policy:
    return 0.5 * p.minmax(p.bm25()) + 0.5 * p.minmax(p.similarity())


BASELINES: Final[Mapping[str, Callable[[], Policy]]] = MappingProxyType(
    {
        "bm25": p.bm25,
        "dense": p.similarity,
        "rrf": lambda: p.rrf(p.similarity(), p.bm25()),
        "fused": _fused,
        "recency": lambda: -p.age_s(),
    }
)
"""What every system is compared with: words, meaning, their ranks fused, their scores fused, and the newest first."""


def recaller(memory: Recaller, *, k: int = 50, **options: Any) -> Callable[[Policy], System]:
    """Return what makes a system of a policy: `Memory.recall` of each topic's query under it.

    Parameters
    ----------
    memory : Memory
        What is asked; nothing is reinforced.
    k : int
        How many are recalled: no measure may look deeper.
    **options
        More of `Memory.recall`: ``now``, ``where``.

    Notes
    -----
    Laws: ``property_tests/lab/test_experiment.py``.
    """

    def system(policy: Policy) -> System:
        def ask(topic: Mapping[str, Any]) -> list[str]:
            return [str(hit.record.id) for hit in memory.recall(topic["query"], k=k, policy=policy, **options)]

        return ask

    return system


class Experiment:
    """Systems that were asked the same questions, and what each found.

    Everything is asked and measured when the experiment is made. An evaluation without baselines says nothing: those of
    `BASELINES` are added where ``recall`` is given, and are demanded where it is not.

    Parameters
    ----------
    systems : mapping of str to System or Policy
        By name: functions from a topic to the ids that are found, best first, or policies, which ``recall`` makes
        systems of.
    topics : DataFrame
        One row a question, with ``qid`` and ``query``, and whatever systems read and ``by`` and ``cluster`` name.
    qrels : DataFrame
        One row for each id that is relevant: ``qid``, ``docno``, and ``label`` >= 1, or 1 without that column. Topics
        for which nothing is relevant are left out: recall over nothing is undefined, and not 1.
    metrics : iterable of str
        As `soma.lab.metrics.per_query` takes them.
    baseline : str
        The system that the others are compared with.
    rng : numpy.random.Generator
        Draws the seed of the intervals.
    recall : callable, optional
        From a policy to a system: `recaller` of a memory.
    cluster : str, optional
        A column of the topics: intervals draw its values, and all questions that share one, instead of questions.
    n_resamples : int
        Resamples of the bootstrap, >= 2.
    level : float
        Coverage of the intervals, in (0, 1).
    progress : callable, optional
        Called after each question with the number of questions that are done, and the number there will be.

    Attributes
    ----------
    per_query : DataFrame
        One row for each system and question: ``system``, the columns of the topic but for ``query``, each metric, and
        the milliseconds that the system took, ``ms`` by the clock and ``cpu_ms`` of the processor.
    rankings : dict of str to dict of str to tuple of str
        What each system found for each ``qid``.
    left_out : tuple of str
        The ``qid`` of each topic for which nothing is relevant.
    metrics : tuple of str
        The measures.
    baseline : str
        The system that the others are compared with.

    Raises
    ------
    InvalidParameterError
        For frames without these columns, ids that stand twice, a missing baseline, or outside the domain.

    Notes
    -----
    In the shape of PyTerrier's ``Experiment``. Laws: ``property_tests/lab/test_experiment.py``.

    Examples
    --------
    >>> import pandas as pd
    >>> topics = pd.DataFrame({"qid": ["1", "2"], "query": ["a", "b"]})
    >>> qrels = pd.DataFrame({"qid": ["1", "2"], "docno": ["A", "B"]})
    >>> systems = {name: (lambda topic: ["A", "B"]) for name in BASELINES}
    >>> upper = {"upper": lambda topic: [topic["query"].upper()]}
    >>> found = Experiment(systems | upper, topics, qrels, ["RR"], rng=np.random.default_rng(0))
    >>> found.table()["RR"].to_dict()["upper"], found.table()["RR"].to_dict()["fused"]
    (1.0, 0.75)
    """

    def __init__(
        self,
        systems: Mapping[str, System | Policy],
        topics: pd.DataFrame,
        qrels: pd.DataFrame,
        metrics: Iterable[str] = METRICS,
        *,
        baseline: str = "fused",
        rng: np.random.Generator,
        recall: Callable[[Policy], System] | None = None,
        cluster: str | None = None,
        n_resamples: int = 2_000,
        level: float = 0.95,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        asked = _systems(systems, recall)
        if baseline not in asked:
            raise InvalidParameterError("baseline", baseline, f"must be one of the systems {', '.join(asked)}")
        relevant, rows = _relevant(qrels), _rows(topics)
        known = [row for row in rows if row["qid"] in relevant]
        if not known:
            raise InvalidParameterError("qrels", len(relevant), "must name something relevant for one of the topics")
        if cluster is not None and cluster not in known[0]:
            raise InvalidParameterError("cluster", cluster, f"must be a column of the topics, {', '.join(known[0])}")
        self.metrics, self.baseline, self.level, self.n_resamples = tuple(metrics), baseline, level, n_resamples
        self.cluster = cluster
        self.seed = int(rng.integers(2**53))
        self.left_out = tuple(row["qid"] for row in rows if row["qid"] not in relevant)
        judged = {row["qid"]: relevant[row["qid"]] for row in known}
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
        found: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in asked}
        for number, row in enumerate(known, 1):  # all systems in turn, so that a slow moment of the machine is shared
            for name, system in asked.items():
                start, begun = perf_counter(), process_time()
                ids = system(MappingProxyType(row))
                spent[name].append((1_000.0 * (perf_counter() - start), 1_000.0 * (process_time() - begun)))
                found[name][row["qid"]] = tuple(ids)
            if progress is not None:
                progress(number, len(known))
        self.rankings = found
        self.per_query = pd.DataFrame(
            [
                {
                    "system": name,
                    **{key: value for key, value in row.items() if key != "query"},
                    **values,
                    **dict(zip(TIMES, times, strict=True)),
                }
                for name in asked
                for row, values, times in zip(
                    known, per_query(found[name], judged, self.metrics).values(), spent[name], strict=True
                )
            ]
        )
        self.summary()  # refuses a level or a number of resamples before anybody waits for it again

    @property
    def systems(self) -> tuple[str, ...]:
        """The names of the systems, in their order."""
        return tuple(dict.fromkeys(self.per_query["system"]))

    def table(self, by: str | None = None) -> pd.DataFrame:
        """Return the mean of each metric: one row a system, or one for each system and value of a topic's column.

        Parameters
        ----------
        by : str, optional
            A column of the topics, such as a category; the rows of ``"all"`` come first.

        Returns
        -------
        DataFrame
            Indexed by system (and ``by``): ``n``, the metrics, and the means of ``ms`` and ``cpu_ms``.
        """
        parts = [
            part.groupby("system", sort=False)[[*self.metrics, *TIMES]].mean().assign(n=n, part=label)
            for label, part, n in self._parts(by)
        ]
        found = pd.concat(parts)[["part", "n", *self.metrics, *TIMES]]
        if by is None:
            return found.drop(columns="part")
        return found.rename(columns={"part": by}).set_index(by, append=True)

    def summary(self, by: str | None = None) -> pd.DataFrame:
        """Return each mean with its interval, and its difference from the baseline with the paired interval.

        Parameters
        ----------
        by : str, optional
            A column of the topics, such as a category; the rows of ``"all"`` come first.

        Returns
        -------
        DataFrame
            Indexed by system, (``by``) and metric: ``n``, ``mean``, ``low``, ``high``, ``difference``,
            ``difference_low`` and ``difference_high``. All are over the same resamples, the same each time.
        """
        rows = []
        for label, part, n in self._parts(by):
            values = {name: group[list(self.metrics)].to_numpy(float) for name, group in part.groupby("system")}
            clusters = None if self.cluster is None else part[part["system"] == self.baseline][self.cluster].to_numpy()
            table = np.concatenate(
                [values[name] for name in self.systems]
                + [values[name] - values[self.baseline] for name in self.systems],
                axis=1,
            )
            found = mean_intervals(
                table,
                rng=np.random.default_rng(self.seed),
                cluster=clusters,
                n_resamples=self.n_resamples,
                level=self.level,
            )
            half = len(self.systems) * len(self.metrics)
            for place, (name, metric) in enumerate((name, metric) for name in self.systems for metric in self.metrics):
                own, apart = (
                    {"": found.mean[at], "_low": found.low[at], "_high": found.high[at]} for at in (place, half + place)
                )
                rows.append(
                    {
                        "system": name,
                        "part": label,
                        "metric": metric,
                        "n": n,
                        "mean": own[""],
                        "low": own["_low"],
                        "high": own["_high"],
                        **{f"difference{end}": value for end, value in apart.items()},
                    }
                )
        frame = pd.DataFrame(rows)
        if by is None:
            return frame.drop(columns="part").set_index(["system", "metric"])
        return frame.rename(columns={"part": by}).set_index(["system", by, "metric"])

    def to_latex(self, by: str | None = None) -> str:
        """Return `table` as a LaTeX tabular in percent, the best of each column bold, with the differences.

        Parameters
        ----------
        by : str, optional
            As of `table`.
        """
        return latex(self.summary(by), self.baseline, self.level)

    def save(self, folder: str | PathLike[str], *, parameters: Mapping[str, Any] | None = None) -> Path:
        """Write everything into a new folder: ``manifest.json`` and ``results.jsonl``; return the folder.

        Parameters
        ----------
        folder : path
            Must not exist, or be empty.
        parameters : mapping, optional
            What else the manifest should say: JSON values.

        Raises
        ------
        ConfigurationError
            If the folder holds something, or cannot be written.
        """
        settings = {name: getattr(self, name) for name in _SETTINGS}
        rows = (
            {**{str(key): value for key, value in row.items()}, "ranking": self.rankings[row["system"]][row["qid"]]}
            for row in self.per_query.to_dict("records")
        )
        return write_run(
            folder, {**settings, "n_rows": len(self.per_query), "parameters": dict(parameters or {})}, rows
        )

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> Experiment:
        """Return the experiment that `save` wrote: equal in every table, and nothing is asked again.

        Parameters
        ----------
        folder : path
            As it was given there.

        Raises
        ------
        ConfigurationError
            If there is no such folder.
        SerializationError
            If it holds no run, or half of one.
        """
        manifest, rows = read_run(folder)
        found = cls.__new__(cls)
        for name in _SETTINGS:
            value = manifest[name]
            setattr(found, name, tuple(value) if isinstance(value, list) else value)
        found.rankings = {row["system"]: {} for row in rows}
        for row in rows:
            found.rankings[row["system"]][row["qid"]] = tuple(row.pop("ranking"))
        found.per_query = pd.DataFrame(rows)
        return found

    def plot(self, metric: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the difference of each system from the baseline; see `soma.lab.plots.experiment`."""
        from soma.lab import plots  # noqa: PLC0415 - matplotlib is loaded on first use

        return plots.experiment(self, metric, ax=ax)

    def __repr__(self) -> str:
        return f"{self._caption()}\n{readable(self.summary()).to_string()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._caption())}</p>{readable(self.summary()).to_html(escape=True)}"

    def _caption(self) -> str:
        n = self.per_query["qid"].nunique()
        without = f", {len(self.left_out)} more without evidence" if self.left_out else ""
        return f"{n:,} questions{without}; in brackets the difference from {self.baseline}, {self.level:.0%} paired"

    def _parts(self, by: str | None) -> list[tuple[Any, pd.DataFrame, int]]:
        whole = [(TOTAL, self.per_query, self.per_query["qid"].nunique())]
        if by is None:
            return whole
        if by not in self.per_query or by in {*self.metrics, *TIMES, "system", "qid"}:
            raise InvalidParameterError("by", by, "must be a column of the topics")
        return whole + [(label, part, part["qid"].nunique()) for label, part in self.per_query.groupby(by, sort=True)]


def _systems(systems: Mapping[str, System | Policy], recall: Callable[[Policy], System] | None) -> dict[str, System]:
    named: dict[str, System | Policy] = dict(systems)
    missing = [name for name in BASELINES if name not in named]
    if recall is not None:
        named = {**{name: BASELINES[name]() for name in missing}, **named}
    elif missing:
        raise InvalidParameterError(
            "systems",
            sorted(named),
            f"must hold the baselines {', '.join(missing)}, or recall= be given, which adds them",
        )
    found: dict[str, System] = {}
    for name, system in named.items():
        if not isinstance(system, Policy):
            found[name] = system
        elif recall is None:
            raise InvalidParameterError(f"system {name}", str(system), "is a policy, which needs recall= to be asked")
        else:
            found[name] = recall(system)
    return found


def _rows(topics: pd.DataFrame) -> list[dict[str, Any]]:
    _require(topics, "topics", ("qid", "query"))
    rows: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()} | {"qid": str(row["qid"])} for row in topics.to_dict("records")
    ]
    if len({row["qid"] for row in rows}) != len(rows):
        raise InvalidParameterError("topics", len(rows), "must name no qid twice")
    return rows


def _relevant(qrels: pd.DataFrame) -> dict[str, dict[str, int]]:
    _require(qrels, "qrels", ("qid", "docno"))
    found: dict[str, dict[str, int]] = {}
    for row in qrels.to_dict("records"):
        label = row.get("label", 1)
        of = found.setdefault(str(row["qid"]), {})
        if str(row["docno"]) in of:
            raise InvalidParameterError("qrels", (row["qid"], row["docno"]), "must name no docno of a question twice")
        of[str(row["docno"])] = int(label)
    return found


def _require(frame: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in frame.columns:
            raise InvalidParameterError(name, list(frame.columns), f"must have the column {column!r}")
