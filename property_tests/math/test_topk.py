"""Laws of the exact top-k: whatever the bounds, the blocks and the order, the answer is that of the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.math.blocks import block_max, block_min
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import TopK, merge_top_k, top_k, top_k_reference
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
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float64


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
    case = replace(case, live=live)
    assert_same(case.search(), *case.reference())


@given(cases(), st.sampled_from([-math.inf, -0.5, 0.0, 0.25, 0.5, 1.0, math.inf]))
def test_a_threshold_from_outside_drops_what_scores_below_it_and_nothing_else(case: Case, at_least: float) -> None:
    assert_same(case.search(at_least), *case.reference(at_least))


@given(cases())
def test_a_threshold_that_a_row_just_reaches_keeps_the_row(case: Case) -> None:
    rows, scores = case.reference()
    if len(rows):
        assert_same(case.search(float(scores[-1])), rows, scores)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_segments_searched_in_turn_answer_as_one(seed: int, k: int, cuts: list[int]) -> None:
    whole = large_case(seed, k=k, n_blocks=6)
    ends = [0, *sorted(cuts), whole.n]
    parts: list[TopK] = []
    ids: list[NDArray[Any]] = []
    for first, end in pairwise(ends):
        rows = slice(first, end)
        segment = replace(
            whole,
            vectors=whole.vectors[rows],
            ids=whole.ids[rows],
            importance=whole.importance[rows],
            age_s=whole.age_s[rows],
            loose=np.zeros(-(-(end - first) // whole.block_rows)),
        )
        threshold = merge_top_k(parts, ids, k).threshold(k)
        parts.append(segment.search(threshold))
        ids.append(segment.ids)
    merged = merge_top_k(parts, ids, k)
    assert_same(merged, *whole.reference())
    assert merged.n_visited == sum(part.n_visited for part in parts)
    assert merged.n_scored == sum(part.n_scored for part in parts)


def test_the_threshold_is_open_while_fewer_than_k_are_known() -> None:
    best = top_k_reference(np.array([0.25, 0.75]), np.arange(2), 5)
    assert [best.threshold(k) for k in (1, 2, 3)] == [0.75, 0.25, -math.inf]


@st.composite
def policy_cases(draw: st.DrawFn) -> tuple[Any, dict[str, NDArray[Any]], int, int]:
    policy = draw(drawn.policies({"similarity", "importance", "age_s"}, max_leaves=5))
    table = draw(drawn.columns({"importance", "age_s"}, min_rows=1, max_rows=12))
    return policy, table, draw(st.integers(1, 6)), draw(st.integers(1, 6))


@given(policy_cases(), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_any_pointwise_policy_is_served_by_its_own_bounds(
    case: tuple[Any, dict[str, NDArray[Any]], int, int], seed: int, repeat: int
) -> None:
    policy, table, block_rows, k = case
    columns = {name: np.tile(column, repeat) for name, column in table.items()}
    n = len(columns["importance"])
    rng = np.random.default_rng(seed)
    vectors, query = unit_vectors(rng.normal(size=(n, 3))), unit_vectors(rng.normal(size=3))
    vectors[rng.random(n) < 0.2] = 0.0
    boxes = [{name: f(column, block_rows) for name, column in columns.items()} for f in (block_min, block_max)]

    def score(rows: Rows) -> Floats:
        features = {"similarity": cosine(query, vectors[rows]), **{f: c[rows] for f, c in columns.items()}}
        return np.broadcast_to(policy.evaluate(features), rows.shape)

    def bound(boxes: Sequence[dict[str, Floats]], at: Rows, low: Floats, high: Floats) -> Floats:
        ends = [
            {"similarity": end, **{f: c[at] for f, c in box.items()}}
            for end, box in zip((low, high), boxes, strict=True)
        ]
        return np.broadcast_to(policy.bounds(*ends)[1], at.shape)

    everything = np.arange(len(boxes[0]["age_s"]))
    ones, ids = np.ones(len(everything)), rng.permutation(n)
    found = top_k(
        query,
        vectors,
        ids,
        k=k,
        score=score,
        upper=lambda rows, low, high: bound((columns, columns), rows, low, high),
        block_upper=bound(boxes, everything, -ones, ones),
        upper_within=lambda blocks, low, high: bound(boxes, blocks, low, high),
        block_rows=block_rows,
    )
    wanted = top_k_reference(score(np.arange(n)), ids, k)
    assert_same(found, wanted.rows, wanted.scores)


@given(cases())
def test_no_more_is_scored_than_is_visited_and_no_more_visited_than_there_is(case: Case) -> None:
    found = case.search()
    assert len(found.rows) <= found.n_scored <= found.n_visited <= case.n


@given(st.integers(0, 2**32 - 1))
def test_hopeless_blocks_are_not_read(seed: int) -> None:
    case = large_case(seed)
    found = case.search()
    may_enter = case.weight(np.ones(case.n), case.age_s) * (1 + SLACK) >= found.scores[-1]
    assert may_enter.sum() < case.n / 2
    # a block is read whole for one row that may enter; those of the first three batches, of 4, 16 and 64 blocks,
    # were chosen before the threshold stood where it ends
    n_blocks = np.add.reduceat(may_enter, np.arange(0, case.n, case.block_rows)).astype(bool).sum()
    assert found.n_visited <= (n_blocks + 84) * case.block_rows


def test_of_a_batch_only_blocks_that_may_enter_are_read() -> None:
    weight = np.repeat([1.0] * 6 + [0.5] * 58, 8)
    vectors = unit_vectors(np.ones((len(weight), 2)))
    scores = cosine(vectors[0], vectors) * weight
    found = top_k(
        vectors[0],
        vectors,
        np.arange(len(weight)),
        k=1,
        score=lambda rows: scores[rows],
        upper=lambda rows, low, high: scores[rows],
        block_upper=block_max(scores, 8),
        block_rows=8,
    )
    assert found.n_visited == 6 * 8


@given(st.integers(0, 2**32 - 1))
def test_rows_at_the_cut_survive_the_rounding_of_their_products(seed: int) -> None:
    # in each block one pair of opposite rows sets the middle of the similarities to 0; all others lie there, and
    # the sign of their float32 products is that of the rounding
    rng = np.random.default_rng(seed)
    n_blocks, block_rows, d = 20, 32, 64
    query = unit_vectors(rng.normal(size=d))
    others = rng.normal(size=(n_blocks * block_rows, d))
    q = query.astype(np.float64)
    vectors = unit_vectors(others - np.outer(others @ q, q) / (q @ q))
    vectors[::block_rows], vectors[1::block_rows] = query, -query
    n = len(vectors)
    case = Case(
        query,
        vectors,
        rng.permutation(n),
        np.ones(n),
        np.zeros(n),
        DECAYS["constant"],
        np.zeros(n_blocks),
        True,
        True,
        block_rows,
        None,
        n_blocks + 5,
    )
    assert_same(case.search(), *case.reference())


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_hopeless_rows_are_not_scored(seed: int, has_within: bool) -> None:
    case = replace(large_case(seed, has_within=has_within), decay=DECAYS["constant"])
    found = case.search()
    assert found.n_visited > 0.9 * case.n
    assert found.n_scored < 0.25 * case.n


@given(st.integers(0, 2**32 - 1))
def test_bounds_within_a_block_spare_bounds_of_rows(seed: int) -> None:
    case, asked = replace(large_case(seed), decay=DECAYS["constant"]), {True: 0, False: 0}
    for has_within in asked:

        def upper(rows: Rows, low: Floats, high: Floats, has_within: bool = has_within) -> Floats:
            asked[has_within] += len(rows)
            return case.upper(rows, low, high)

        counted = replace(case, has_within=has_within)
        object.__setattr__(counted, "upper", upper)
        counted.search()
    assert asked[True] < 0.5 * asked[False]


@given(st.integers(0, 2**32 - 1))
def test_a_block_that_can_only_tie_is_read_for_the_smaller_id(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 64
    vectors, ids = unit_vectors(np.ones((n, 2))), rng.permutation(n)
    query = vectors[0]
    scores = cosine(query, vectors)
    found = top_k(
        query, vectors, ids, k=2, score=lambda rows: scores[rows],
        upper=lambda rows, low, high: scores[rows], block_upper=block_max(scores, 1), block_rows=1,
    )  # fmt: skip
    assert ids[found.rows].tolist() == [0, 1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.booleans())
def test_many_survivors_are_scored_in_turns_without_losing_any(seed: int, k: int, is_loose: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 600
    vectors, ids = unit_vectors(rng.choice([-1.0, 1.0], n)[:, None] * np.ones(2)), rng.permutation(n)
    similarity = cosine(vectors[0], vectors)
    scores = similarity * rng.choice([0.25, 0.5, 1.0], n)
    bound = scores + rng.choice([0.0, 0.0, 0.1, 2.0], n) * is_loose

    def upper(rows: Rows, low: Floats, high: Floats) -> Floats:
        assert low.min() >= -1
        assert high.max() <= 1
        assert ((low <= similarity[rows]) & (similarity[rows] <= high)).all()
        return np.asarray(bound[rows])

    found = top_k(
        vectors[0],
        vectors,
        ids,
        k=k,
        score=lambda rows: scores[rows],
        upper=upper,
        block_upper=block_max(bound, n),
        block_rows=n,
    )
    wanted = top_k_reference(scores, ids, k)
    assert_same(found, wanted.rows, wanted.scores)


@given(st.integers(0, 2**32 - 1))
def test_few_live_rows_are_read_alone(seed: int) -> None:
    case = large_case(seed, n_blocks=40)
    live = np.zeros(case.n, dtype=bool)
    live[np.random.default_rng(seed).choice(case.n, 20, replace=False)] = True
    vectors = np.where(live[:, None], case.vectors, np.float32(np.nan))
    found = replace(case, live=live, vectors=vectors).search()
    assert_same(found, *replace(case, live=live).reference())
    assert found.n_visited <= 20


@given(st.integers(0, 2**32 - 1))
def test_what_dead_rows_hold_does_not_matter(seed: int) -> None:
    case = large_case(seed, n_blocks=40)
    live = np.random.default_rng(seed).random(case.n) < 0.9
    case = replace(case, decay=DECAYS["constant"], importance=np.ones(case.n), live=live)
    found = replace(case, vectors=np.where(live[:, None], case.vectors, np.float32(np.nan))).search()
    assert_same(found, *case.reference())
    assert found.n_visited == case.n  # in place: skipping a few would cost more


@given(st.lists(st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 1.0, math.inf]), max_size=20), st.integers(1, 25))
def test_the_reference_sorts_by_score_and_then_by_id(scores: list[float], k: int) -> None:
    ids = np.array([(7 * row) % 23 for row in range(len(scores))])
    found = top_k_reference(np.array(scores), ids, k)
    assert found.rows.tolist() == sorted(range(len(scores)), key=lambda row: (-scores[row], ids[row]))[:k]
