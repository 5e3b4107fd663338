"""Laws of the exact top-k: whatever the bounds, the blocks and the order, the answer is that of the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.errors import InvalidParameterError
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import (
    TopK,
    block_max,
    block_min,
    cosine_error,
    exponential_order,
    merge_top_k,
    newest_first,
    top_k,
    top_k_reference,
)
from soma.testing import policies as drawn

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
SLACK = 1e-12  # what exp2, a power and a few products can err, relatively

DECAYS: dict[str, Callable[[Floats], Floats]] = {
    "exponential": lambda age: np.exp2(-age / 8.0),
    "power": lambda age: (1.0 + age) ** -0.5,
    "linear": lambda age: np.maximum(0.0, 1.0 - age / 16.0),
    "constant": np.ones_like,
}


@dataclass(frozen=True)
class Case:
    """An index, a query, a policy with its bounds, and what is asked."""

    query: NDArray[np.float32]
    vectors: NDArray[np.float32]
    ids: NDArray[Any]
    importance: Floats
    age_s: Floats
    decay: Callable[[Floats], Floats]
    loose: Floats  # for each block, >= 0: how far its bounds lie above
    is_signed: bool
    has_within: bool
    block_rows: int
    live: NDArray[np.bool_] | None
    k: int

    @property
    def n(self) -> int:
        return len(self.ids)

    def weight(self, importance: Floats, age_s: Floats) -> Floats:
        return importance * self.decay(np.maximum(0.0, age_s))  # records of the future are new

    def near(self, similarity: Floats) -> Floats:
        return similarity if self.is_signed else np.maximum(0.0, similarity)

    def score(self, rows: Rows) -> Floats:
        near = self.near(cosine(self.query, self.vectors[rows]))
        return near * self.weight(self.importance[rows], self.age_s[rows])

    def _raised(self, near: Floats, weight: Floats, blocks: Rows) -> Floats:
        value = near * weight
        return value + np.abs(value) * SLACK + self.loose[blocks]

    def upper(self, rows: Rows, low: Floats, high: Floats) -> Floats:
        assert (low <= high).all()
        assert (np.abs([low, high]) <= 1).all()
        exact = cosine(self.query, self.vectors[rows])
        assert ((low <= exact) & (exact <= high)).all()
        return self._raised(
            self.near(high), self.weight(self.importance[rows], self.age_s[rows]), rows // self.block_rows
        )

    def upper_within(self, blocks: Rows, low: Floats, high: Floats) -> Floats:
        assert (low <= high).all()
        assert (np.abs([low, high]) <= 1).all()
        most = self.weight(block_max(self.importance, self.block_rows), block_min(self.age_s, self.block_rows))
        # a negative similarity is least bad at the least weight, of which only >= 0 is known
        return self._raised(np.maximum(0.0, high), most[blocks], blocks)

    def search(self, at_least: float = -math.inf) -> TopK:
        everything = np.arange(len(self.loose))
        ones = np.ones(len(everything))
        return top_k(
            self.query,
            self.vectors,
            self.ids,
            k=self.k,
            score=self.score,
            upper=self.upper,
            block_upper=self.upper_within(everything, -ones, ones),
            upper_within=self.upper_within if self.has_within else None,
            block_rows=self.block_rows,
            live=self.live,
            at_least=at_least,
        )

    def reference(self, at_least: float = -math.inf) -> tuple[Rows, Floats]:
        """Return the answer by definition, in plain Python."""
        scores = self.score(np.arange(self.n))
        counts = [row for row in range(self.n) if self.live is None or self.live[row]]
        counts = [row for row in counts if scores[row] >= at_least]
        best = sorted(counts, key=lambda row: (-scores[row], self.ids[row]))[: self.k]
        return np.array(best, dtype=np.int64), scores[best]


def id_arrays(n: int) -> st.SearchStrategy[NDArray[Any]]:
    """Unique ids of each kind, in any order."""
    return st.one_of(
        st.permutations(range(n)).map(lambda order: np.array(order, dtype=np.int64)),
        st.permutations(range(n)).map(lambda order: np.array(order, dtype=np.uint64) + np.uint64(2**63 - 2)),
        st.permutations(range(n)).map(
            lambda order: np.array([UUID(int=(o * 37 % 256) << 120 | o).bytes for o in order], dtype="S16")
        ),
    )


@st.composite
def cases(draw: st.DrawFn, *, max_rows: int = 40) -> Case:
    """Small indexes in which rows tie, nearly tie, repeat, vanish and come from the future."""
    n, d = draw(st.integers(0, max_rows)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (n, d)).astype(float)
    if draw(st.booleans()):
        d = draw(st.sampled_from([d, 64]))
        vectors = rng.normal(size=(3, d))[rng.integers(0, 3, n)] * (1.0 + 1e-6 * rng.normal(size=(n, d)))
    query = draw(st.sampled_from([rng.integers(-1, 2, d).astype(float), rng.normal(size=d), np.zeros(d)]))
    block_rows = draw(st.integers(1, 8))
    n_blocks = -(-n // block_rows)
    loose = rng.choice([0.0, 0.0, 1e-9, 0.3, 2.0, np.inf], n_blocks) if draw(st.booleans()) else np.zeros(n_blocks)
    importance = rng.choice([0.0, 0.5, 1.0], n) if draw(st.booleans()) else rng.random(n)
    age_s = rng.choice([-5.0, 0.0, 4.0, 16.0], n) if draw(st.booleans()) else np.sort(rng.uniform(-4.0, 64.0, n))
    return Case(
        unit_vectors(query),
        unit_vectors(vectors),
        draw(id_arrays(n)),
        importance,
        age_s,
        DECAYS[draw(st.sampled_from(sorted(DECAYS)))],
        loose,
        draw(st.booleans()),
        draw(st.booleans()),
        block_rows,
        draw(st.sampled_from([None, rng.random(n) < 0.8, rng.random(n) < 0.2, np.zeros(n, dtype=bool)])),
        draw(st.integers(1, n + 3) | st.integers(1, 3)),
    )


def assert_same(found: TopK, rows: Rows, scores: Floats) -> None:
    assert found.rows.tolist() == rows.tolist()
    assert found.scores.tobytes() == scores.tobytes()
    assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float64)


def large_case(seed: int, *, k: int = 3, n_blocks: int = 300, has_within: bool = True) -> Case:
    """An index of many blocks, the heavier the earlier, with more rows in a batch than are scored at once."""
    rng = np.random.default_rng(seed)
    n = n_blocks * 16 - int(rng.integers(0, 16))
    centres = rng.normal(size=(8, 16))
    vectors = unit_vectors(centres[rng.integers(0, 8, n)] + 0.4 * rng.normal(size=(n, 16)))
    vectors[rng.integers(0, n, n // 4)] = vectors[0]
    return Case(
        unit_vectors(centres[0]),
        vectors,
        rng.permutation(n),
        rng.choice([0.25, 0.5, 1.0], n),
        np.arange(n) // 64 / 4.0,
        DECAYS["power"],
        np.zeros(n_blocks),
        False,
        has_within,
        16,
        None,
        k,
    )


@given(cases())
def test_every_answer_is_that_of_the_reference_to_the_bit(case: Case) -> None:
    assert_same(case.search(), *case.reference())


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 40, 200]), st.booleans(), st.sampled_from([None, 0.9, 0.1]))
def test_many_batches_change_no_answer(seed: int, k: int, has_within: bool, share: float | None) -> None:
    case = large_case(seed, k=k, has_within=has_within)
    live = None if share is None else np.random.default_rng(seed).random(case.n) < share
    case = Case(**{**{f: getattr(case, f) for f in Case.__slots__}, "live": live}) if hasattr(Case, "__slots__") else (
        Case(**{**case.__dict__, "live": live})
    )
    assert_same(case.search(), *case.reference())
