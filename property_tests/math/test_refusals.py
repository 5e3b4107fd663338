"""What the mathematics says when it is given what it cannot take: the whole sentence, word by word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from soma import policy as p
from soma.errors import InvalidParameterError
from soma.math import (
    activation,
    coordinates,
    decay,
    importance,
    isotonic,
    multiscale,
    policy,
    policy_evaluate,
    projection,
    review_history,
    review_scores,
    similarity,
    spacing,
)
from soma.math.frame import Frame
from soma.math.spacing import FSRS
from soma.math.units import DAY
from soma.math.vector_tree import VectorTree

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(0)
LAW = multiscale.power_law(0.5, 1e-3, 1.0, 1e6)

REFUSALS: list[tuple[str, Callable[[], object]]] = [
    ("vectors must have at least one axis, got 1.0", lambda: similarity.unit_vectors(1.0)),
    ("vectors must be finite, got [[nan]]", lambda: similarity.unit_vectors([[NAN]])),
    (
        "query must be float32, as unit_vectors gives it, got 'float64'",
        lambda: similarity.cosine(np.zeros(2), np.zeros((1, 2), np.float32)),
    ),
    (
        "query must have shape (d,), got (1, 2)",
        lambda: similarity.cosine(np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)),
    ),
    (
        "vectors must have shape (n, 2), got (1, 3)",
        lambda: similarity.cosine(np.zeros(2, np.float32), np.zeros((1, 3), np.float32)),
    ),
    ("dimension must be 1 to 64, got 65", lambda: coordinates.morton_encode([[0] * 65], 0)),
    ("levels must be 0 to 32 in 2 dimensions, got 33", lambda: coordinates.morton_encode([[0, 0]], 33)),
    ("cells must be integers of 64 bits, >= 0, got [[-1, 0]]", lambda: coordinates.morton_encode([[-1, 0]], 3)),
    ("cells must be integers of 64 bits, >= 0, got [[0.5, 0]]", lambda: coordinates.morton_encode([[0.5, 0]], 3)),
    ("cells must have a last axis of coordinates, got 1", lambda: coordinates.morton_encode(1, 3)),
    ("cells must lie in [0, 2^3), got [[8, 0]]", lambda: coordinates.morton_encode([[8, 0]], 3)),
    ("codes must lie in [0, 2^6), got [64]", lambda: coordinates.morton_decode([64], 2, 3)),
    ("codes must be integers of 64 bits, >= 0, got ['a']", lambda: coordinates.hilbert_decode(["a"], 2, 3)),
    ("x must have a last axis of coordinates, got 0.5", lambda: coordinates.grid_cells(0.5, 3)),
    ("x must lie in [0, 1), got [1.0]", lambda: coordinates.grid_cells([1.0], 3)),
    (
        "codes must leave room for another level of at most 16 dimensions, got 9223372036854775808",
        lambda: coordinates.children(2**63, 2),
    ),
    ("level must be 0 to 3, got 4", lambda: coordinates.ancestor(0, 2, 3, 4)),
    ("upper must have the 1 to 64 axes of lower, got ()", lambda: Frame((), ())),
    ("upper must have the 1 to 64 axes of lower, got (1.0, 1.0)", lambda: Frame((0.0,), (1.0, 1.0))),
    ("upper must be above lower = (0.0, 0.0) on every axis, got (1.0, 0.0)", lambda: Frame((0.0, 0.0), (1.0, 0.0))),
    ("upper must be less than 1.8e308 above lower, got (1e+308,)", lambda: Frame((-1e308,), (1e308,))),
    ("upper must be finite, got (nan,)", lambda: Frame((0.0,), (NAN,))),
    ("points must lie in the frame [0, 1) x [0, 1), got [0.0, 1.0]", lambda: Frame.unit(2).normalise([0.0, 1.0])),
    ("points must have 2 coordinates, got (1,)", lambda: Frame.unit(2).normalise([0.0])),
    ("seed must be >= 0, got -1", lambda: projection.orthogonal_axes(-1, 4, 2)),
    ("n_axes must be 1 to 4, the dimension of the embeddings, got 5", lambda: projection.orthogonal_axes(0, 4, 5)),
    (
        "vectors must have 4 components, got (1, 2)",
        lambda: projection.project([[1.0, 2.0]], projection.orthogonal_axes(0, 4, 2)),
    ),
    ("item must be integers, got [0.5]", lambda: review_history.review_history([0.5], [0.0], [True])),
    ("is_recalled must be true or false, got [2]", lambda: review_history.review_history([0], [0.0], [2])),
    (
        "item, time_s, is_recalled, duration_ms must be of one length, got ((2,), (1,), (1,), (2,))",
        lambda: review_history.review_history([0, 1], [0.0], [True]),
    ),
    (
        "time_s must never fall within the reviews of one item, got array([1., 0.])",
        lambda: review_history.review_history([0, 0], [1.0, 0.0], [True, True]),
    ),
    (
        "duration_ms must be finite, got [inf]",
        lambda: review_history.review_history([0], [0.0], [True], duration_ms=[INF]),
    ),
    ("n, n_splits must be at least n_splits + 1, and 1, got (3, 5)", lambda: list(review_scores.time_splits(3, 5))),
    (
        "is_recalled must be truth values, one for each of (1,), got (1,)",
        lambda: review_scores.log_losses([1.0], [0.5]),
    ),
    ("penalty must be finite and >= 0, got -1.0", lambda: spacing.fit_fsrs("6", [1], [0.0], [3], penalty=-1.0)),
    ("max_rounds must be an integer >= 1, got 0", lambda: spacing.fit_fsrs("6", [1], [0.0], [3], max_rounds=0)),
    (
        "time_s must hold a review at least a day after the one before, got 1",
        lambda: spacing.fit_fsrs("6", [1], [0.0], [3]),
    ),
    ("version must be one of 4, 4.5, 5, 6, got '7'", lambda: FSRS("7", ())),
    ("weights must be 21 numbers for version 6, got (1.0,)", lambda: FSRS("6", (1.0,))),
    ("weights[0] must lie in [0.001, 36500.0], got 0.0", lambda: FSRS("6", (0.0, *FSRS.published("6").weights[1:]))),
    ("version must be one of 4, 4.5, 5, 6, got '3'", lambda: FSRS.published("3")),
    ("grade must be 1, 2, 3 or 4, got 5", lambda: FSRS.published("6").start(5, 0.0)),
    ("grade must be 1, 2, 3 or 4, got 1.5", lambda: FSRS.published("6").start(1.5, 0.0)),
    ("grade must be real numbers, got 'Good'", lambda: FSRS.published("6").initial_stability_s("Good")),
    (
        "at_s must not be before the last review, got 0.0",
        lambda: FSRS.published("6").review(FSRS.published("6").start(3, DAY), 3, 0.0),
    ),
    ("weights must be one row of at least one number, got ()", lambda: spacing.HalfLifeRegression(())),
    (
        "features must have 2 numbers in each row, got [[1.0]]",
        lambda: spacing.HalfLifeRegression((1.0, 2.0)).half_life_s([[1.0]]),
    ),
    (
        "item, time_s, grade must be of one dimension and one length, got ((2,), (1,), (1,))",
        lambda: spacing.replay(FSRS.published("6"), [0, 1], [0.0], [3]),
    ),
    (
        "time_s must never fall within the reviews of one item, got [1.0, 0.0]",
        lambda: spacing.replay(FSRS.published("6"), [0, 0], [1.0, 0.0], [3, 3]),
    ),
    ("item must be 64-bit integers, got [0.5]", lambda: spacing.replay(FSRS.published("6"), [0.5], [0.0], [3])),
    ("n_recalled must be whole numbers up to 2**53, got 0.5", lambda: spacing.SM2State(0.5)),
    ("interval_s must be finite, got inf", lambda: spacing.SM2State(0, INF)),
    ("easiness must be at least 1.3, got 1.2", lambda: spacing.SM2State(0, 0.0, 1.2)),
    ("quality must be 0, 1, 2, 3, 4 or 5, got 6", lambda: spacing.sm2_review(spacing.SM2State(), 6)),
    (
        "quality must broadcast with the state, got [3, 3, 3]",
        lambda: spacing.sm2_review(spacing.SM2State([0, 0]), [3, 3, 3]),
    ),
    (
        "term must be one of similarity, importance, age_s, idle_s, n_recalls, activation, trace, "
        "lexical, when, n_words, asks, got 'weather'",
        lambda: p.Term("weather"),
    ),
    ("level must be an integer from 0 to 64, got 65", lambda: p.same_cell(65)),
    ("memory_type must be episodic or semantic, got 'dream'", lambda: p.memory_type("dream")),
    ("curve must be a forgetting curve of soma.math.decay, got 'fast'", lambda: p.decay("fast")),
    ("of must be age_s or idle_s, got similarity()", lambda: p.decay(decay.Constant(), of=p.similarity())),
    ("clip must have a lower or an upper end, got None", lambda: p.similarity().clip()),
    ("lower must be <= upper, which is 1.0, got 2.0", lambda: p.similarity().clip(2, 1)),
    ("constant must be real numbers, got '1'", lambda: p.similarity() + "1"),
    ("constant must be finite, got nan", lambda: p.similarity() + NAN),
    ("k must be >= 0, got -1.0", lambda: p.rrf(p.similarity(), k=-1)),
    ("n must be an integer from 1 to 1000000, got 0", lambda: p.top_mean(p.similarity(), group="session", n=0)),
    (
        "group must be the name of a field of the payload, 1 to 128 characters, got ''",
        lambda: p.top_mean(p.similarity(), group="", n=1),
    ),
    (
        "scales_s must be 1 to 32 rising numbers of seconds, > 0, got (2.0, 1.0)",
        lambda: p.context(p.similarity(), scales_s=[2.0, 1.0], group="session"),
    ),
    ("features must include similarity, which the policy reads, got []", lambda: p.similarity().evaluate({})),
    (
        "features must broadcast to one shape, got {'importance': (3,), 'similarity': (2,)}",
        lambda: (p.similarity() * p.importance()).evaluate({"similarity": [0.1, 0.2], "importance": [0.1, 0.2, 0.3]}),
    ),
    (
        "memory_type must hold only episodic and semantic, got ['dream']",
        lambda: p.memory_type("semantic").evaluate({"memory_type": ["dream"]}),
    ),
    ("row must be one of 1 rows in one axis, got 1", lambda: p.similarity().explain({"similarity": [1.0]}, row=1)),
    (
        "weights must be as many as the 1 values, got [1.0, 2.0]",
        lambda: isotonic.pool_adjacent_violators([1.0], [1.0, 2.0]),
    ),
    ("values must have one dimension, got array([[1.]])", lambda: isotonic.pool_adjacent_violators([[1.0]])),
    (
        "weights must have a sum of at most 2**1000, got array([1.e+308, 1.e+308])",
        lambda: isotonic.pool_adjacent_violators([1.0, 2.0], [1e308, 1e308]),
    ),
    (
        "outcome must have the shape (1,) of importance, got [0.5, 0.6]",
        lambda: isotonic.Isotonic().update([1], [0.5, 0.6]),
    ),
    ("outcome must lie in [0, 1], got [1.5]", lambda: isotonic.Isotonic().update([1], [1.5])),
    ("weight must be finite and > 0, got [0.0]", lambda: isotonic.Isotonic().update([1], [0.5], [0.0])),
    (
        "points must be quadruples of finite numbers, the last a count, got ((1.0, 0.5, 1.0),)",
        lambda: isotonic.Isotonic(((1.0, 0.5, 1.0),)),
    ),
    (
        "points must hold counts >= 1, of a sum below 2**53, got ((1.0, 0.5, 1.0, 0),)",
        lambda: isotonic.Isotonic(((1.0, 0.5, 1.0, 0),)),
    ),
    (
        "points must have outcomes in [0, 1] and weights > 0, got ((1.0, 1.5, 1.0, 1),)",
        lambda: isotonic.Isotonic(((1.0, 1.5, 1.0, 1),)),
    ),
    (
        "points must rise, each once, got ((2.0, 0.5, 1.0, 1), (1.0, 0.5, 1.0, 1))",
        lambda: isotonic.Isotonic(((2.0, 0.5, 1.0, 1), (1.0, 0.5, 1.0, 1))),
    ),
    (
        "decay must broadcast to the ages' shape (2,), got (3,)",
        lambda: activation.base_level([1.0, 2.0], [0.5, 0.5, 0.5]),
    ),
    ("elapsed_s must be > 0, along a last axis of presentations, got 1.0", lambda: activation.base_level(1.0)),
    ("elapsed_s must be > 0, along a last axis of presentations, got [0.0]", lambda: activation.base_level([0.0])),
    (
        "recent_s must rise along a last axis of presentations, got [2.0, 1.0]",
        lambda: activation.hybrid_base_level([2.0, 1.0], 3, 9.0),
    ),
    (
        "n_presentations must be at least 2, as many as are recent, got 1",
        lambda: activation.hybrid_base_level([1.0, 2.0], 1, 9.0),
    ),
    (
        "oldest_s must be at least the oldest of the recent ages, got 1.5",
        lambda: activation.hybrid_base_level([1.0, 2.0], 3, 1.5),
    ),
    ("decay must lie in (0, 1), got 1.0", lambda: activation.optimised_base_level(3, 9.0, 1.0)),
    ("activation must be numbers below infinity, got inf", lambda: activation.recall_probability(INF)),
    ("noise must be finite and > 0, got 0.0", lambda: activation.recall_probability([0.0, 1.0], noise=0.0)),
    ("times_s must be times along a last axis, got 1.0", lambda: activation.spaced_decays(1.0, 0.2, 0.1)),
    ("times_s must rise along the last axis, got [2.0, 1.0]", lambda: activation.spaced_decays([2.0, 1.0], 0.2, 0.1)),
    ("scale must be >= 0, got -1.0", lambda: activation.spaced_decays([1.0, 2.0], -1.0, 0.1)),
    ("directions must have 2^1 rows of length d, got (1, 2)", lambda: VectorTree(1, ([[1.0, 0.0]],))),
    (
        "bits, levels must be >= 1, with a product of at most 16, got (1, 17)",
        lambda: VectorTree.fit([[1.0]], levels=17, bits=1, rng=RNG),
    ),
    ("max_rounds must be an integer >= 1, got 0", lambda: VectorTree.fit([[1.0]], levels=1, rng=RNG, max_rounds=0)),
    ("vectors must have shape (n, d), n and d >= 1, got (0,)", lambda: VectorTree.fit([], levels=1, rng=RNG)),
    (
        "vectors must have dimension 2, got (1,)",
        lambda: VectorTree.fit([[1.0, 0.0]], levels=1, bits=1, rng=RNG).address([1.0]),
    ),
    ("retention has no inverse where nothing is forgotten, got array(0.5)", lambda: decay.Constant().inverse(0.5)),
    ("half_life_s must be finite and > 0, got 0.0", lambda: decay.Exponential(0.0)),
    ("half_life_s must be one number, got [1.0]", lambda: decay.Exponential([1.0])),
    ("elapsed_s must be >= 0, got -1.0", lambda: decay.Exponential(1.0).value(-1.0)),
    ("elapsed_s must be real numbers, got 'soon'", lambda: decay.Exponential(1.0).value("soon")),
    ("retention must lie in [0, 1], got 1.5", lambda: decay.Exponential(1.0).inverse(1.5)),
    ("midpoint must lie in (0, 1), got 1.0", lambda: decay.LinearMidpoint(1.0, 1.0)),
    (
        "retention must be > 0, where LinearMidpoint(scale_s=1.0, midpoint=0.5) stays, got 0.0",
        lambda: decay.LinearMidpoint(1.0, 0.5).inverse(0.0),
    ),
    ("initial must lie in (0, 1], got 0.0", lambda: decay.Wickelgren(0.0, 1.0, 1.0)),
    (
        "retention must be at most 0.5, where Wickelgren(initial=0.5, rate_per_s=1.0, exponent=1.0) starts, got 0.9",
        lambda: decay.Wickelgren(0.5, 1.0, 1.0).inverse(0.9),
    ),
    ("values must be finite numbers >= 0, at least one, got ()", lambda: multiscale.Trace(0.0, ())),
    ("values must be finite numbers >= 0, at least one, got (inf,)", lambda: multiscale.Trace(0.0, (INF,))),
    ("at_s must be finite, or -infinity for a trace of zeros, got -inf", lambda: multiscale.Trace(-INF, (1.0,))),
    (
        "weight must be finite and >= 0, got -1.0",
        lambda: multiscale.access(multiscale.Trace.empty(LAW), 0.0, -1.0, LAW),
    ),
    ("at_s must be finite, got nan", lambda: multiscale.access(multiscale.Trace.empty(LAW), NAN, 1.0, LAW)),
    (
        "trace must have 17 values, got Trace(at_s=0.0, values=(1.0,))",
        lambda: multiscale.level(multiscale.Trace(0.0, (1.0,)), 1.0, LAW),
    ),
    ("values must be >= 0, of shape (n, 17), got [[1.0]]", lambda: multiscale.levels([[1.0]], [0.0], 1.0, LAW)),
    (
        "at_s must be finite, or -infinity for a trace of zeros, got [nan]",
        lambda: multiscale.levels(np.ones((1, len(LAW.tau_s))), [NAN], 1.0, LAW),
    ),
    (
        "at_s must have shape (1,), and now_s be one number, got [0.0, 0.0]",
        lambda: multiscale.levels(np.ones((1, len(LAW.tau_s))), [0.0, 0.0], 1.0, LAW),
    ),
    ("exponent must be finite and > 0, got 0.0", lambda: multiscale.power_law(0.0, 1e-3, 1.0, 10.0)),
    ("eps must lie in [1e-11, 1), got 1.0", lambda: multiscale.power_law(0.5, 1.0, 1.0, 10.0)),
    ("t_max_s must be >= t_min_s, which is 10.0, got 1.0", lambda: multiscale.power_law(0.5, 1e-3, 10.0, 1.0)),
    ("t_min_s must be finite and > 0, got 0.0", lambda: multiscale.power_law(0.5, 1e-3, 0.0, 1.0)),
    ("ratio must be > 1, got 1.0", lambda: multiscale.alias_bound(0.5, 1.0)),
    (
        "weight must have 1 terms, as tau_s, got (1.0, 2.0)",
        lambda: multiscale.ExponentialSum((1.0,), (1.0, 2.0), 0.5, 0.1, 1.0, 2.0),
    ),
    ("tau_s must rise, got (2.0, 1.0)", lambda: multiscale.ExponentialSum((2.0, 1.0), (1.0, 2.0), 0.5, 0.1, 1.0, 2.0)),
    (
        "t_max_s must be >= t_min_s, which is 2.0, got 1.0",
        lambda: multiscale.ExponentialSum((1.0,), (1.0,), 0.5, 0.1, 2.0, 1.0),
    ),
    ("tau_s must have 1 to 1000 terms, got ()", lambda: multiscale.ExponentialSum((), (), 0.5, 0.1, 1.0, 2.0)),
    (
        "other must have the same kind as MinMax(lower=None, upper=None), got Ecdf(counts=())",
        lambda: importance.MinMax().merge(importance.Ecdf()),
    ),
    ("batch must be finite, got [inf]", lambda: importance.MinMax().update([INF])),
    ("batch must be real numbers, got ['high']", lambda: importance.MinMax().update(["high"])),
    (
        "policy must be pointwise to have bounds, got 'minmax(similarity())'",
        lambda: policy_evaluate.bound(p.minmax(p.similarity()), {"similarity": [0.0]}, {"similarity": [1.0]}),
    ),
    (
        "lower similarity must not lie above its upper end, got [1.0]",
        lambda: policy_evaluate.bound(p.similarity(), {"similarity": [1.0]}, {"similarity": [0.0]}),
    ),
    (
        "policy must be a Policy: build one from soma.policy, or read it with from_json, got 'similarity'",
        lambda: policy.or_default("similarity"),
    ),
]


@pytest.mark.parametrize(("told", "call"), REFUSALS, ids=[told[:60] for told, _ in REFUSALS])
def test_it_says_which_parameter_what_it_must_be_and_what_came(told: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert str(refused.value) == told
