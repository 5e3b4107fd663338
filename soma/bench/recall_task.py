"""A task of recall: rows with importance and time, queries, a policy, and the answer that is right."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import policy as p
from soma.math.decay import Constant, Curve, Exponential, Power
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import top_k_reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy

__all__ = ["SCALE", "SPAN_S", "RecallTask", "Setting"]

SPAN_S: Final = 365.0 * 86_400.0
"""The time over which the rows are spread, in seconds; it ends with the time of the recall."""

SCALE: Final = 1_000_000
"""The greatest raw importance."""

_CHUNK: Final = 8_192
_ROWS_A_TOPIC: Final = 128


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Parameters
    ----------
    n : int
        Rows, >= 1.
    dimension : int
        Numbers in a vector, >= 1.
    k : int
        Hits asked for, >= 1.
    half_life_fraction : float
        The half-life as a share of the rows' time span, > 0; infinite for no decay, and then all importance is 1.
    curve : {"exponential", "power"}
        The power law has the exponent 1/2, and a scale of this share instead of a half-life.
    n_queries : int
        How many queries, >= 1.
    seed : int
        Of the rows and queries.

    Raises
    ------
    InvalidParameterError
        Outside the domain.
    """

    n: int = 100_000
    dimension: int = 384
    k: int = 10
    half_life_fraction: float = 1 / 12
    curve: str = "exponential"
    n_queries: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n", "dimension", "k", "n_queries"):
            if getattr(self, name) < 1:
                raise InvalidParameterError(name, getattr(self, name), "must be an integer >= 1")
        if not self.half_life_fraction > 0.0:
            raise InvalidParameterError("half_life_fraction", self.half_life_fraction, "must be > 0, or inf")
        if self.curve not in ("exponential", "power"):
            raise InvalidParameterError("curve", self.curve, "must be exponential or power")

    @property
    def decays(self) -> bool:
        """Whether age counts."""
        return math.isfinite(self.half_life_fraction)

    @property
    def policy(self) -> Policy:
        """Similarity times importance times decay of the age."""
        of_span_s = self.half_life_fraction * SPAN_S
        curve: Curve = Constant()
        if self.decays:
            curve = Exponential(of_span_s) if self.curve == "exponential" else Power(of_span_s, 0.5)
        return p.similarity().clip(0) * p.importance() * p.decay(curve, of=p.age_s)


@dataclass(frozen=True, slots=True)
class RecallTask:
    """Rows and queries of a setting; a row's id is its number.

    Parameters
    ----------
    setting : Setting
        What is measured.
    vectors : ndarray of float32, shape (n, d)
        Unit vectors.
    queries : ndarray of float32, shape (m, d)
        Unit vectors.
    importance : ndarray of int64, shape (n,)
        Raw, of `SCALE`.
    time_s : ndarray of float64, shape (n,)
        From 0 to `SPAN_S`, when recall happens.
    """

    setting: Setting
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]
    importance: NDArray[np.int64]
    time_s: NDArray[np.float64]

    @classmethod
    def made(cls, setting: Setting, known: NDArray[np.float32] | None = None) -> RecallTask:
        """Return a task on synthetic vectors, or on those given.

        Parameters
        ----------
        setting : Setting
            What is measured.
        known : ndarray of float32, shape (n + m, d), optional
            Unit vectors of texts; the last m are the queries.

        Notes
        -----
        Synthetic vectors have topics of Zipf-like sizes around one common direction, as those of sentences have.
        Importance is Beta(2, 4); times are uniform.
        """
        rng = np.random.default_rng(setting.seed)
        n, m = setting.n, setting.n_queries
        rows = _synthetic(n + m, setting.dimension, rng) if known is None else known
        if rows.shape != (n + m, setting.dimension):
            raise InvalidParameterError("known", rows.shape, f"must have shape {(n + m, setting.dimension)}")
        importance = rng.beta(2.0, 4.0, n) if setting.decays else np.ones(n)
        return cls(
            setting, rows[:n], rows[n:], np.rint(importance * SCALE).astype(np.int64), rng.uniform(0.0, SPAN_S, n)
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each row's similarity is multiplied by at the time of the recall."""
        columns = {"similarity": np.ones(len(self.time_s)), "importance": self.importance / SCALE}
        return self.setting.policy.evaluate({**columns, "age_s": SPAN_S - self.time_s})

    def answers(self) -> list[list[int]]:
        """Return the right rows for each query, from float64 scores of all of them."""
        found = []
        ids = np.arange(len(self.vectors))
        columns = {"importance": self.importance / SCALE, "age_s": SPAN_S - self.time_s}
        for query in self.queries:
            scores = self.setting.policy.evaluate({"similarity": cosine(query, self.vectors), **columns})
            found.append(top_k_reference(scores, ids, self.setting.k).rows.tolist())
        return found

    def save(self, folder: Path) -> None:
        """Write the task where other processes find it."""
        (folder / "setting.json").write_text(json.dumps(asdict(self.setting)), encoding="utf-8")
        for name in ("vectors", "queries", "importance", "time_s"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> RecallTask:
        """Return the task that was saved; its vectors are mapped."""
        setting = Setting(**json.loads((folder / "setting.json").read_text(encoding="utf-8")))
        arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("vectors", "queries"))
        numbers = (np.load(folder / f"{name}.npy") for name in ("importance", "time_s"))
        return cls(setting, *arrays, *numbers)


def _synthetic(n: int, d: int, rng: np.random.Generator) -> NDArray[np.float32]:
    n_topics = max(1, n // _ROWS_A_TOPIC)
    share = 1.0 / np.arange(1, n_topics + 1) ** 0.7
    common, topics = unit_vectors(rng.normal(size=d)), unit_vectors(rng.normal(size=(n_topics, d)))
    rows = np.empty((n, d), dtype=np.float32)
    for first in range(0, n, _CHUNK):
        count = min(_CHUNK, n - first)
        topic = rng.choice(n_topics, count, p=share / share.sum())
        noise = unit_vectors(rng.normal(size=(count, d)))
        rows[first : first + count] = unit_vectors(0.22 * common + 0.67 * topics[topic] + 0.71 * noise)
    return rows
