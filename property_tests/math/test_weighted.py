"""Similarity times weight: whatever the weights, the segments and the kernel, the answer is that of the reference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma.math.decay import Power
from soma.math.quantised import code_vectors
from soma.math.similarity import cosine, unit_vectors
from soma.math.topk import TopK, top_k_reference
from soma.math.weighted import Segment, weighted_top_k
from soma.math.weighted_batch import weighted_top_k_batch
from soma.math.weights import SMALLEST, TINY, Factors, Weights

Floats = NDArray[np.float64]
POWER = Power(scale_s=5.0, exponent=0.5)


@dataclass(frozen=True)
class Case:
    """Rows in segments, and a score: the similarity, held between two ends, times a weight that decays."""

    query: NDArray[np.float32]
    vectors: NDArray[np.float32]
    ids: NDArray[np.int64]
    importance: Floats
    time_s: Floats
    used_s: Floats
    live: NDArray[np.bool_]
    half_life_s: dict[str, float]
    has_power: bool
    now_s: float
    floor: float
    top: float
    cuts: tuple[int, ...]
    block_rows: int
    k: int

    def score(self, rows: NDArray[np.int64]) -> Floats:
        value = np.clip(cosine(self.query, self.vectors[rows]), self.floor, self.top) * self.importance[rows]
        for name, time_s in (("age_s", self.time_s), ("idle_s", self.used_s)):
            if name in self.half_life_s:
                value = value * np.exp2(-np.maximum(0.0, self.now_s - time_s[rows]) / self.half_life_s[name])
        if self.has_power:
            value = value * POWER.value(np.maximum(0.0, self.now_s - self.used_s[rows]))
        return value

    def segments(self, is_compiled: bool) -> list[Segment]:
        ends = [0, *self.cuts, len(self.ids)]
        found = []
        for first, end in pairwise(ends):
            rows = slice(first, end)
            times = {"age_s": self.time_s[rows], "idle_s": self.used_s[rows]}
            factors = Factors.of(self.importance[rows], times, self.half_life_s, self.block_rows)
            rest = None
            if self.has_power:
                ages = [np.maximum(0.0, self.now_s - f) for f in self.ends_of(self.used_s[rows])]
                rest = POWER.value(ages[0]) * (1 - 1e-12), POWER.value(ages[1]) * (1 + 1e-12)
            weights = factors.at(dict.fromkeys(self.half_life_s, self.now_s), rest, self.top)
            codes = code_vectors(self.vectors[rows]) if is_compiled else None
            found.append(Segment(self.vectors[rows], weights, self.live[rows], codes))
        return found

    def ends_of(self, values: Floats) -> tuple[Floats, Floats]:
        starts = np.arange(0, len(values), self.block_rows)
        if not len(values):
            return values, values
        return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)

    def search(self, is_compiled: bool) -> TopK:
        return weighted_top_k(
            self.query,
            self.segments(is_compiled),
            self.ids,
            k=self.k,
            score=self.score,
            floor=self.floor,
            top=self.top,
            block_rows=self.block_rows,
        )

    def reference(self) -> TopK:
        rows = np.flatnonzero(self.live)
        best = top_k_reference(self.score(rows), self.ids[rows], self.k)
        return replace(best, rows=rows[best.rows])


HALF_LIVES = st.sampled_from([1e-9, 1e-3, 0.5, 8.0, 1e4, 1e300])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Rows that tie, repeat, vanish, weigh nothing, come from the future, and are far too old to weigh anything."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 60))
    d = draw(st.sampled_from([2, 3, 16, 40, 384, 1_024]))
    vectors = rng.integers(-1, 2, (n, d)).astype(float)
    if draw(st.booleans()):
        vectors = rng.normal(size=(3, d))[rng.integers(0, 3, n)] * (1.0 + 1e-6 * rng.normal(size=(n, d)))
    rows = unit_vectors(vectors)
    rows[rng.random(n) < 0.1] = 0.0
    query = draw(st.sampled_from([rng.integers(-1, 2, d).astype(float), rng.normal(size=d), np.zeros(d)]))
    start = draw(st.sampled_from([0.0, 1.7e9, -1e5]))
    wide = draw(st.sampled_from([10.0, 1e5]))
    time_s = start + (rng.choice([-9.0, 0.0, 4.0, 16.0], n) if draw(st.booleans()) else rng.uniform(-wide, wide, n))
    used_s = np.where(rng.random(n) < 0.3, time_s + 3.0, time_s)
    if draw(st.booleans()):
        order = np.argsort(-used_s)
        time_s, used_s = time_s[order], used_s[order]
    importance = rng.choice([0.0, 0.5, 1.0], n) if draw(st.booleans()) else rng.random(n)
    importance = np.where(rng.random(n) < 0.1, draw(st.sampled_from([0.0, 1e-40, 5e-324, 1e-300])), importance)
    floor = draw(st.sampled_from([0.0, 0.0, 0.3]))
    return Case(
        unit_vectors(query),
        rows,
        rng.permutation(n),
        importance,
        time_s,
        used_s,
        rng.random(n) < draw(st.sampled_from([1.0, 0.7, 0.1, 0.0])),
        draw(st.dictionaries(st.sampled_from(["age_s", "idle_s"]), HALF_LIVES)),
        draw(st.booleans()),
        start + draw(st.sampled_from([0.0, 1e-3, 7.0, 1e4, 1e9, -50.0])),
        floor,
        draw(st.sampled_from([1.0, 1.0, 0.5])),
        tuple(sorted(draw(st.lists(st.integers(0, n), max_size=3)))),
        draw(st.integers(1, 9)),
        draw(st.integers(1, n + 3) | st.integers(1, 3)),
    )


def assert_same(found: TopK, wanted: TopK) -> None:
    assert found.rows.tolist() == wanted.rows.tolist()
    assert found.scores.tobytes() == wanted.scores.tobytes()


@given(cases(), st.booleans())
def test_every_answer_is_that_of_the_reference_to_the_bit(case: Case, is_compiled: bool) -> None:
    assert_same(case.search(is_compiled), case.reference())


@given(cases(), st.integers(0, 4), st.booleans())
def test_a_batch_answers_as_its_queries_alone(case: Case, n_queries: int, has_codes: bool) -> None:
    rng = np.random.default_rng(n_queries)
    asked = [replace(case, query=unit_vectors(rng.normal(size=len(case.query)))) for _ in range(n_queries)]
    found = weighted_top_k_batch(
        np.array([one.query for one in asked], dtype=np.float32).reshape(n_queries, len(case.query)),
        case.segments(has_codes), case.ids, k=case.k, scores=[one.score for one in asked],
        floor=case.floor, top=case.top, block_rows=case.block_rows,
    )  # fmt: skip
    for one, best in zip(asked, found, strict=True):
        assert_same(best, one.reference())


@given(cases(), st.integers(2, 3))
def test_several_hands_answer_as_one(case: Case, n_hands: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = weighted_top_k(
            case.query, case.segments(True), case.ids, k=case.k, score=case.score, floor=case.floor, top=case.top,
            block_rows=case.block_rows, n_hands=n_hands, each=pool.map,
        )  # fmt: skip
    assert_same(found, case.reference())


@given(cases(), st.booleans())
def test_the_weight_of_every_row_lies_within_its_bounds(case: Case, has_future: bool) -> None:
    near = replace(case, vectors=np.tile(case.query, (len(case.ids), 1)), floor=1.0, top=1.0)  # the score is the weight
    exact, first = near.score(np.arange(len(near.ids))), 0
    for segment in near.segments(False):
        n = len(segment.live)
        rows, weights = np.arange(n), segment.weights
        upper = weights.row_upper(rows, near.block_rows, np.ones(n))
        block = rows // near.block_rows
        assert (exact[first : first + n] <= upper).all()
        assert (upper <= weights.most[block] * (1 + 1e-12)).all()
        part = np.where(weights.is_even[block], 1.0, weights.factor)
        part = np.where(weights.is_even[block] | (part > TINY), part * (1 - 2.0**-22), 0.0)
        assert (part * weights.below[block] - SMALLEST <= exact[first : first + n]).all()
        first += n


def large_case(seed: int, k: int, share: float) -> Case:
    """Many blocks, of which most are too light to matter."""
    rng = np.random.default_rng(seed)
    n = 9_000 + int(rng.integers(0, 500))
    centres = rng.normal(size=(8, 24))
    vectors = unit_vectors(centres[rng.integers(0, 8, n)] + 0.4 * rng.normal(size=(n, 24)))
    vectors[rng.integers(0, n, n // 8)] = vectors[0]
    time_s = np.sort(rng.uniform(0.0, 1e4, n))[::-1].copy()
    return Case(
        unit_vectors(centres[0]), vectors, rng.permutation(n), rng.beta(2, 4, n), time_s, time_s, rng.random(n) < share,
        {"age_s": 1e3}, bool(rng.random() < 0.5), 1e4, 0.0, 1.0, (4_000, 4_001), 64, k,
    )  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 10, 700]), st.sampled_from([1.0, 0.9, 0.05]), st.booleans())
def test_many_blocks_and_many_equal_rows_change_no_answer(seed: int, k: int, share: float, is_compiled: bool) -> None:
    case = large_case(seed, k, share)
    assert_same(case.search(is_compiled), case.reference())


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 10, 700]))
def test_a_large_batch_answers_as_its_queries_alone(seed: int, k: int) -> None:
    case = large_case(seed, k, 0.9)
    asked = [replace(case, query=case.vectors[i]) for i in range(5)]
    found = weighted_top_k_batch(
        case.vectors[:5], case.segments(True), case.ids, k=k, scores=[one.score for one in asked], block_rows=64
    )
    for one, best in zip(asked, found, strict=True):
        assert_same(best, one.reference())


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_rows_that_are_too_light_are_not_read(seed: int, is_compiled: bool) -> None:
    case = replace(large_case(seed, 5, 1.0), has_power=False)
    found = case.search(is_compiled)
    weight = case.importance * np.exp2(-(case.now_s - case.time_s) / 1e3)
    n_heavy = int((weight >= found.scores[-1]).sum())
    assert n_heavy < len(case.ids) / 2
    assert found.n_visited < n_heavy + len(case.ids) / 5  # those of the first blocks were read before it was known
    assert found.n_scored <= (400 if is_compiled else 2_000)


def test_half_lives_so_short_that_times_are_too_coarse_for_them_are_bounded_by_block() -> None:
    weights = Factors.of(np.ones(4), {"age_s": np.full(4, 1.7e9)}, {"age_s": 1e-7}, 2).at({"age_s": 1.7e9}, None)
    assert weights.is_even.all()


def test_weights_alone_are_their_own_bounds() -> None:
    weights = Weights.of(np.array([0.5, 0.25, 1e-50]), 2)
    assert weights.factor.tolist() == [0.5, 0.25, TINY]
    assert not weights.is_even.any()


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_weights_below_what_a_float32_holds_are_told_apart(seed: int, is_compiled: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 40
    importance = 10.0 ** rng.uniform(-300, -36, n)
    case = Case(
        unit_vectors(np.ones(4)), unit_vectors(np.ones((n, 4)) + 0.1 * rng.normal(size=(n, 4))), rng.permutation(n),
        importance, np.zeros(n), np.zeros(n), np.ones(n, dtype=bool), {}, False, 0.0, 0.0, 1.0, (), 8, 3,
    )  # fmt: skip
    assert_same(case.search(is_compiled), case.reference())
