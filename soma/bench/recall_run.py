"""Run systems at a task: each in a process of its own, in turns, on one thread, by the processor's time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from soma.bench.recall_systems import SYSTEMS, installed
from soma.bench.recall_task import RecallTask
from soma.errors import InvalidParameterError, StoreError

__all__ = ["Measured", "measure", "serve"]

_LIBRARIES: Final = ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS")
_ONE_THREAD: Final = {f"{library}_NUM_THREADS": "1" for library in _LIBRARIES}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one system did.

    Parameters
    ----------
    system : str
        Its name.
    version : str
        Of its package.
    ms_per_query : float
        Median of the processor's time.
    ratio : float
        This time by that of the first system: above 1, the first is faster.
    equal : bool
        Whether every answer is the right one.
    recall : float
        The share of the right rows that were found.
    visited_fraction : float or None
        The share of the rows that were read, on average.
    bytes_per_row : float or None
        Memory that must stay at hand.
    """

    system: str
    version: str
    ms_per_query: float
    ratio: float
    equal: bool
    recall: float
    visited_fraction: float | None
    bytes_per_row: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure(
    task: RecallTask,
    systems: Sequence[str] = (),
    *,
    n_rounds: int = 7,
    progress: Callable[[str], None] | None = None,
) -> list[Measured]:
    """Return what each system did; equality is looked at before anything is timed.

    Parameters
    ----------
    task : RecallTask
        Rows and queries.
    systems : sequence of str
        Names of `soma.bench.recall_systems.SYSTEMS`; all that are installed by default.
    n_rounds : int
        How often each query is asked of each system, >= 1: the systems take turns, each with all queries.
    progress : callable, optional
        Called with a line about what is being done.

    Returns
    -------
    list of Measured
        In the order given.

    Raises
    ------
    InvalidParameterError
        For an unknown system, or fewer than one round.
    StoreError
        If a system's process ends before it should.
    """
    names = list(systems) or [system.name for system in installed()]
    for name in names:
        if name not in SYSTEMS:
            raise InvalidParameterError("system", name, f"must be one of {', '.join(SYSTEMS)}")
    if n_rounds < 1:
        raise InvalidParameterError("n_rounds", n_rounds, "must be an integer >= 1")
    say = progress or (lambda _line: None)
    right = task.answers()
    n_queries = len(right)
    with tempfile.TemporaryDirectory(prefix="soma-bench-") as folder:
        task.save(Path(folder))
        workers: list[_Worker] = []
        try:
            for name in names:
                say(f"{name}: taking {task.setting.n:,} rows in")
                workers.append(_Worker(name, Path(folder)))
            found = {worker.name: [worker.ask(i)["rows"] for i in range(n_queries)] for worker in workers}
            taken: dict[str, list[float]] = {name: [] for name in names}
            for turn in range(n_rounds):
                say(f"round {turn + 1} of {n_rounds}")
                for worker in workers:
                    taken[worker.name] += [worker.ask(i)["ms"] for i in range(n_queries)]
            visited = {worker.name: worker.visited(n_queries) for worker in workers}
        finally:
            for worker in workers:
                worker.close()
    first = statistics.median(taken[names[0]])
    return [
        Measured(
            worker.name,
            SYSTEMS[worker.name].version,
            round(statistics.median(taken[worker.name]), 4),
            round(statistics.median(taken[worker.name]) / first, 2),
            found[worker.name] == right,
            _recall(found[worker.name], right),
            visited[worker.name],
            worker.bytes_per_row,
        )
        for worker in workers
    ]


def _recall(found: list[list[int]], right: list[list[int]]) -> float:
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, right, strict=True))
    return round(hits / sum(map(len, right)), 4)


class _Worker:
    """A system in a process of its own, which answers one line by one line."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a name of ours
            [sys.executable, "-m", "soma.bench", name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ONE_THREAD},
        )
        try:
            self.bytes_per_row: float | None = self._read()["bytes_per_row"]
        except StoreError:
            self.close()
            raise

    def ask(self, query: int) -> dict[str, Any]:
        return self._call({"ask": query})

    def visited(self, n_queries: int) -> float | None:
        shares = [self._call({"visited": i})["visited"] for i in range(n_queries)]
        return None if None in shares else round(statistics.mean(shares), 5)

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _call(self, message: dict[str, int]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - opened above
        self._process.stdin.write(f"{json.dumps(message)}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - opened above
        line = self._process.stdout.readline()
        if not line:
            raise StoreError(f"{self.name} ended before it was done, with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(name: str, folder: Path) -> None:
    """Take a task in, and answer what is asked on standard input: the other end of `measure`.

    Parameters
    ----------
    name : str
        Of a system.
    folder : Path
        Of a task that was saved.
    """
    ready = SYSTEMS[name].prepare(RecallTask.load(folder), folder / f"of {name}")
    _say({"bytes_per_row": ready.bytes_per_row})
    for line in sys.stdin:
        message = json.loads(line)
        if "visited" in message:
            _say({"visited": ready.visited(message["visited"])})
            continue
        begun = time.process_time_ns()
        rows = ready.ask(message["ask"])
        _say({"ms": (time.process_time_ns() - begun) / 1e6, "rows": rows})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()
