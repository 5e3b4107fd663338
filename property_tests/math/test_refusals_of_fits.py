"""What fits, dimensions, links and searches say when they are given what they cannot take: the whole sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from soma import policy as p
from soma.errors import InvalidParameterError
from soma.math import (
    activation,
    blocks,
    coordinates,
    decay,
    dimension,
    exponential_sum,
    fitting,
    importance,
    isotonic,
    policy_operations,
    spacing,
    spreading,
    topk,
)
from soma.math.fitting import Parameter
from soma.math.frame import Frame
from soma.math.rank_agreement import rank_biased_overlap
from soma.math.review_history import review_history
from soma.math.review_odds import ReviewOdds
from soma.math.review_scores import area_under_curve, bins_error
from soma.math.similarity import unit_vectors
from soma.math.spacing import FSRS

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(0)
LINKS = spreading.Links.of([0, 1], [1, 2], n_nodes=3)
SHARE = Parameter("share", 0.5, 0.0, 1.0)
MODEL = FSRS.published("6")
SEARCH: dict[str, Any] = {
    "query": unit_vectors([1.0, 0.0]),
    "vectors": unit_vectors(np.ones((3, 2))),
    "ids": np.arange(3),
    "k": 1,
    "score": lambda rows: np.ones(len(rows)),
    "upper": lambda rows, low, high: np.ones(len(rows)),
    "block_upper": np.ones(2),
    "upper_within": lambda rows, low, high: np.ones(len(rows)),
    "block_rows": 2,
}


def found_by(**changes: object) -> topk.TopK:
    return topk.top_k(**{**SEARCH, **changes})


def fitted(
    predict: Any = lambda values: [values["share"]] * 2, recalled: Any = (1, 0), n_trials: Any = 1
) -> fitting.FitResult:
    return fitting.fit_outcomes(predict, recalled, [SHARE], n_trials=n_trials)


def odds(recalled: Any, n: int = 40, **more: Any) -> object:
    return ReviewOdds.fit(review_history([0] * n, np.arange(n) * 1e5, [True] * n), recalled, **more)


REFUSALS: list[tuple[str, Callable[[], object]]] = [
    ("weights must be finite, got [nan, nan, nan, nan, nan, nan, nan, nan, nan]", lambda: ReviewOdds(*[NAN] * 9)),
    (
        "points must be quadruples of finite numbers, the last a count, got ((nan, 0.5, 1.0, 1),)",
        lambda: isotonic.Isotonic(((NAN, 0.5, 1.0, 1),)),
    ),
    (
        "counts must be pairs of a finite place and a count, got ((nan, 1),)",
        lambda: importance.FixedBins((1.0,), counts=((NAN, 1),)),
    ),
    (
        "upper_share must be above lower_share = 0.5, got 0.25",
        lambda: importance.Winsorised(lower_share=0.5, upper_share=0.25),
    ),
    ("function must be one of negative, exp, log, got 'sin'", lambda: policy_operations.Unary("sin", p.similarity())),
    (
        "operator must be one of +, -, *, /, **, max, min, got '%'",
        lambda: policy_operations.Binary("%", p.similarity(), p.similarity()),
    ),
    ("codes must be integers of 64 bits, >= 0, got [-1]", lambda: coordinates.cell_distance([-1], [0], 1, 3)),
    ("codes must be integers of 64 bits, >= 0, got [-1]", lambda: coordinates.cell_distance([0], [-1], 1, 3)),
    (
        "radii must be finite and > 0, got [-1.0, 1.0, 2.0]",
        lambda: dimension.grassberger_procaccia([[1.0], [2.0], [4.0]], [-1.0, 1.0, 2.0]),
    ),
    ("level must lie in [0, 1], got 2.0", lambda: fitted().intervals(2.0)),
    ("operand must be a policy, got 3", lambda: policy_operations.Unary("log", 3)),
    (
        "features must be finite, got [[1e+308, 1e+308], [inf, 0.0]]",
        lambda: spacing.HalfLifeRegression((1.0, 1.0)).half_life_s([[1e308, 1e308], [INF, 0.0]]),
    ),
    (
        "features must be small enough to be weighted and summed, got [[1e+200, -1e+200]]",
        lambda: spacing.HalfLifeRegression((1e200, 1e200)).half_life_s([[1e200, -1e200]]),
    ),
    ("elapsed_s must be >= 0, got [-1.0]", lambda: fitting.fit_curve("exponential", [-1.0], [1])),
    ("decay must lie in (0, 1), got 0.0", lambda: activation.optimised_base_level(3, 9.0, 0.0)),
    ("n_presentations must be finite and > 0, got 0", lambda: activation.optimised_base_level(0, 9.0)),
    ("n_presentations must be finite and > 0, got 0", lambda: activation.hybrid_base_level([1.0], 0, 9.0)),
    ("oldest_s must be finite and > 0, got 0.0", lambda: activation.hybrid_base_level([1.0], 2, 0.0)),
    ("recent_s must be finite and > 0, got [0.0]", lambda: activation.hybrid_base_level([0.0], 2, 1.0)),
    ("lower must be finite, got (nan,)", lambda: Frame((NAN,), (1.0,))),
    ("q must be one number, got [0.0, 1.0]", lambda: dimension.renyi_dimension([0, 1], 1, 4, [0.0, 1.0])),
    (
        "within must hold three levels or more of 0 to 4, got (0, 1)",
        lambda: dimension.renyi_dimension(range(16), 1, 4, within=(0, 1)),
    ),
    (
        "within must hold three levels or more of 0 to 4, got (1, 5)",
        lambda: dimension.renyi_dimension(range(16), 1, 4, within=(1, 5)),
    ),
    ("levels must be at least 3 for these points, got 2", lambda: dimension.renyi_dimension([0, 2], 1, 2)),
    ("codes must be at least 10 points for three levels, got 2", lambda: dimension.renyi_dimension([0, 8], 1, 4)),
    ("codes must be integers of 64 bits, >= 0, got []", lambda: dimension.occupied_cells([], 1, 4)),
    ("weights must be 2 numbers > 0, got [1.0]", lambda: dimension.renyi_entropies([0, 1], 1, 4, weights=[1.0])),
    (
        "weights must be 2 numbers > 0, got [1.0, 0.0]",
        lambda: dimension.renyi_entropies([0, 1], 1, 4, weights=[1.0, 0.0]),
    ),
    (
        "weights must not differ by a factor of 1e290 or more, got [1.0, 1e-300]",
        lambda: dimension.renyi_entropies([0, 1], 1, 4, weights=[1.0, 1e-300]),
    ),
    ("q must be >= 0, got -1.0", lambda: dimension.renyi_entropies([0, 1], 1, 4, -1.0)),
    ("points must have shape (n, d), d >= 1, got (3,)", lambda: dimension.two_nn([1.0, 2.0, 3.0])),
    ("points must be at least 4 points, got 2", lambda: dimension.two_nn([[1.0], [2.0]])),
    (
        "points must differ: 2 have an equal (see numpy.unique), got 4",
        lambda: dimension.two_nn([[1.0], [1.0], [2.0], [3.0]]),
    ),
    ("points must have neighbours at different distances, got 5", lambda: dimension.two_nn(np.eye(5))),
    ("k_min must be an integer >= 2, got 1", lambda: dimension.levina_bickel(np.eye(9), k_min=1)),
    ("k_max must be at least k_min = 3, got 2", lambda: dimension.levina_bickel(np.eye(9), k_min=3, k_max=2)),
    (
        "points must have neighbours at different distances, got 9",
        lambda: dimension.levina_bickel(np.eye(9), k_min=2, k_max=3),
    ),
    (
        "radii must hold three distances or more, got [1.0, 2.0]",
        lambda: dimension.grassberger_procaccia([[1.0], [2.0], [4.0]], [1.0, 2.0]),
    ),
    (
        "radii must reach a pair of points, got 0.1",
        lambda: dimension.grassberger_procaccia([[1.0], [2.0], [4.0]], [0.1, 1.0, 2.0]),
    ),
    (
        "points must be at least 895 points, or the radii be given, got 3",
        lambda: dimension.grassberger_procaccia([[1.0], [2.0], [4.0]]),
    ),
    ("points must differ from each other, got 900", lambda: dimension.grassberger_procaccia(np.zeros((900, 1)))),
    (
        "points must not be equal in more than a hundredth of the pairs, got 900",
        lambda: dimension.grassberger_procaccia([[float(n // 20)] for n in range(900)]),
    ),
    ("exponent must be at most 8.0, got 1000000000.0", lambda: exponential_sum.power_law(1e9, 1e-3, 1.0, 10.0)),
    (f"family must be one of {', '.join(decay.FAMILIES)}, got 'cubic'", lambda: fitting.fit_curve("cubic", [1.0], [1])),
    (
        "fixed must hold only parameters of exponential: half_life_s, got {'b': 1.0}",
        lambda: fitting.fit_curve("exponential", [1.0], [1], fixed={"b": 1.0}),
    ),
    (
        "family must have a parameter that is not held, got 'exponential'",
        lambda: fitting.fit_curve("exponential", [1.0], [1], fixed={"half_life_s": 1.0}),
    ),
    (
        "elapsed_s must be finite times, some of them > 0, got [0.0]",
        lambda: fitting.fit_curve("exponential", [0.0], [1]),
    ),
    (
        "elapsed_s must be finite times, some of them > 0, got [inf]",
        lambda: fitting.fit_curve("exponential", [INF], [1]),
    ),
    ("elapsed_s must be finite times, some of them > 0, got 1.0", lambda: fitting.fit_curve("exponential", 1.0, [1])),
    (
        "kind must be 'outcomes' or 'savings', got 'guesses'",
        lambda: fitting.fit_curve("exponential", [1.0], [1], kind="guesses"),
    ),
    (
        "parameters must be at least one, each of a name of its own, got []",
        lambda: fitting.fit_outcomes(lambda values: 0.5, [1], []),
    ),
    ("predict must return probabilities in [0, 1], got array([2., 2.])", lambda: fitted(lambda values: [2.0, 2.0])),
    ("predict must return 2 numbers, one for each observation, got (3,)", lambda: fitted(lambda values: [0.5] * 3)),
    ("n_recalled must have shape (m,), m >= 1, got (1, 2)", lambda: fitted(recalled=[[1, 0]])),
    ("n_recalled must be integers from 0 to n_trials, got [2, 0]", lambda: fitted(recalled=[2, 0])),
    ("n_recalled must be integers from 0 to n_trials, got [0.5, 0]", lambda: fitted(recalled=[0.5, 0])),
    ("n_trials must broadcast to (2,), got [1, 2, 3]", lambda: fitted(n_trials=[1, 2, 3])),
    ("n_trials must be integers >= 1, got 0", lambda: fitted(n_trials=0)),
    ("n_trials must be integers >= 1, got 1.5", lambda: fitted(n_trials=1.5)),
    (
        "observed must be more than 1 numbers, got (1,)",
        lambda: fitting.fit_savings(lambda values: values["share"], [0.5], [SHARE]),
    ),
    ("start must lie inside (0.0, 1.0), got 1.0", lambda: Parameter("share", 1.0, 0.0, 1.0)),
    ("level must lie in (0, 1), got 1.0", lambda: fitted().intervals(1.0)),
    (
        "n_resamples must be an integer >= 2, got 1",
        lambda: fitting.bootstrap(lambda rows: fitted(), [0, 1], rng=RNG, n_resamples=1),
    ),
    ("level must lie in (0, 1), got 1.0", lambda: fitting.bootstrap(lambda rows: fitted(), [0, 1], rng=RNG, level=1.0)),
    ("unit must have shape (n,), n >= 1, got (0,)", lambda: fitting.bootstrap(lambda rows: fitted(), [], rng=RNG)),
    ("upper must be above lower = 2.0, got 1.0", lambda: importance.Bounded(2.0, 1.0)),
    (
        "counts must be pairs of a finite place and a count, got ((nan, 1),)",
        lambda: importance.Ecdf(counts=((NAN, 1),)),
    ),
    ("ranking must hold each thing once, got ['a', 'a']", lambda: rank_biased_overlap("aa", "ab")),
    ("persistence must lie in (0, 1), got 1.0", lambda: rank_biased_overlap("ab", "ba", persistence=1.0)),
    ("penalty must be finite and >= 0, got inf", lambda: spacing.fit_fsrs("6", [1], [0.0], [3], penalty=INF)),
    (
        "elapsed_s, stability_s, difficulty, grade must broadcast together, got ((2,), (3,), (), ())",
        lambda: MODEL.next_stability_s([1.0, 2.0], [1.0] * 3, 5.0, 3),
    ),
    (
        "difficulty, grade must broadcast together, got ((2,), (3,))",
        lambda: MODEL.next_difficulty([5.0, 6.0], [3, 3, 3]),
    ),
    ("difficulty must lie in [1, 10], got 11.0", lambda: MODEL.next_difficulty(11.0, 3)),
    ("at_s, grade must broadcast together, got ((3,), (2,))", lambda: MODEL.start([3, 3], [0.0] * 3)),
    ("n_nodes must be an integer from 1 to 2^31 - 1, got 0", lambda: spreading.Links.of([0], [1], n_nodes=0)),
    ("target must have the shape of source, (1,), got (2,)", lambda: spreading.Links.of([0], [1, 2], n_nodes=3)),
    ("target must be one axis of integers from 0 to 2, got [3]", lambda: spreading.Links.of([0], [3], n_nodes=3)),
    ("weight must be >= 0, got -1.0", lambda: spreading.Links.of([0], [1], -1.0, n_nodes=3)),
    ("weight must broadcast to the shape (1,), got (2,)", lambda: spreading.Links.of([0], [1], [1.0, 2.0], n_nodes=3)),
    (
        "weight must be finite, summed over links of the same ends too, got [1e+308, 1e+308]",
        lambda: spreading.Links.of([0, 0], [1, 1], [1e308, 1e308], n_nodes=3),
    ),
    (
        "curve must be a forgetting curve of soma.math.decay, got 'fast'",
        lambda: spreading.decayed_weights([1.0], [1.0], "fast"),
    ),
    (
        "age_s must broadcast with weights of (2,), got (3,)",
        lambda: spreading.decayed_weights([1.0, 2.0], [1.0, 2.0, 3.0], decay.Constant()),
    ),
    ("max_strength must be one number, got [1.0]", lambda: spreading.association_strengths(LINKS, [1.0])),
    (
        "min_strength must be one number below infinity, got inf",
        lambda: spreading.association_strengths(LINKS, 1.0, min_strength=INF),
    ),
    (
        "fan must be facts, facts_and_self or weights, got 'few'",
        lambda: spreading.association_strengths(LINKS, 1.0, fan="few"),
    ),
    ("links must be Links, got 'links'", lambda: spreading.association_strengths("links", 1.0)),
    (
        "base_level must be numbers below infinity, got inf",
        lambda: spreading.spreading_activation(INF, LINKS, [1.0, 1.0], [0]),
    ),
    (
        "base_level must broadcast to the shape (3,), got (2,)",
        lambda: spreading.spreading_activation([0.0, 0.0], LINKS, [1.0, 1.0], [0]),
    ),
    (
        "strengths must broadcast to the shape (2,), got (3,)",
        lambda: spreading.spreading_activation(0.0, LINKS, [1.0, 1.0, 1.0], [0]),
    ),
    (
        "attention must be >= 0, one for each of 1 sources, got [-1.0]",
        lambda: spreading.spreading_activation(0.0, LINKS, [1.0, 1.0], [0], [-1.0]),
    ),
    (
        "sources must be one axis of integers from 0 to 2, got 0",
        lambda: spreading.spreading_activation(0.0, LINKS, [1.0, 1.0], 0),
    ),
    ("damping must be below 1, got 1.0", lambda: spreading.personalised_pagerank(LINKS, [1.0, 0.0, 0.0], damping=1.0)),
    (
        "max_rounds must be an integer >= 1, got 0",
        lambda: spreading.personalised_pagerank(LINKS, [1.0, 0.0, 0.0], max_rounds=0),
    ),
    (
        "max_rounds must be more, or tolerance larger: the error may still be 1, above 1e-10, got 1",
        lambda: spreading.personalised_pagerank(LINKS, [1.0, 0.0, 0.0], max_rounds=1),
    ),
    (
        "restart must be 3 numbers >= 0, not all 0, got [0.0, 0.0, 0.0]",
        lambda: spreading.personalised_pagerank(LINKS, [0.0, 0.0, 0.0]),
    ),
    (
        "dangling must be 3 numbers >= 0, not all 0, got [1.0]",
        lambda: spreading.personalised_pagerank(LINKS, [1.0, 0.0, 0.0], dangling=[1.0]),
    ),
    (
        "group must be the name of a field of the payload, 1 to 128 characters, got ''",
        lambda: p.context(p.similarity(), scales_s=[1.0], group=""),
    ),
    (
        "log(similarity()) must be finite everywhere, and is not in row 0, got -inf",
        lambda: p.similarity().log().explain({"similarity": [0.0]}, row=0),
    ),
    (
        "exp(1000 * similarity()) must be finite everywhere, and is not in row 0, got inf",
        lambda: p.exp(1e3 * p.similarity()).evaluate({"similarity": [1.0]}),
    ),
    ("k must be an integer >= 1, got 0", lambda: found_by(k=0)),
    ("block_rows must be an integer >= 1, got 0", lambda: found_by(block_rows=0)),
    ("query must be float32, got dtype('float64')", lambda: found_by(query=np.zeros(2))),
    ("query must have shape (2,), got (1, 2)", lambda: found_by(query=unit_vectors([[1.0, 0.0]]))),
    ("vectors must have shape (3, 2), got (3, 3)", lambda: found_by(vectors=unit_vectors(np.ones((3, 3))))),
    ("ids must have shape (3,), got (4,)", lambda: found_by(ids=np.arange(4))),
    ("block_upper must have shape (2,), got (3,)", lambda: found_by(block_upper=np.ones(3))),
    ("block_upper must not be NaN, got array([ 1., nan])", lambda: found_by(block_upper=np.array([1.0, NAN]))),
    ("live must be bool, got dtype('int64')", lambda: found_by(live=np.ones(3, dtype=np.int64))),
    ("at_least must not be NaN, got array(nan)", lambda: found_by(at_least=NAN)),
    (
        "scores must not be NaN, got array([nan, nan, nan])",
        lambda: found_by(score=lambda rows: np.full(len(rows), NAN)),
    ),
    ("scores must have shape (3,), got (4,)", lambda: found_by(score=lambda rows: np.ones(len(rows) + 1))),
    ("parts must be as many as the 1 segments, got 0", lambda: topk.merge_top_k([], [np.arange(1)], 1)),
    ("dimension must lie between 0 and 2**20, got -1", lambda: topk.cosine_error(-1)),
    ("dimension must lie between 0 and 2**20, got 2097152", lambda: topk.cosine_error(2**21)),
    ("values must not be NaN, got array([nan])", lambda: blocks.block_max([NAN], 2)),
    ("block_rows must be an integer >= 1, got 0", lambda: blocks.block_min([1.0], 0)),
    ("weight must have shape (2,), got (1,)", lambda: blocks.newest_first([1.0, 2.0], [1.0])),
    ("n_bands must be an integer >= 1, got 0", lambda: blocks.newest_first([1.0], [1.0], n_bands=0)),
    ("is_recalled must be 40 truth values, got (3,)", lambda: odds([True] * 3)),
    (
        "is_recalled must be truth values, one for each of (1,), got (2,)",
        lambda: area_under_curve([True, False], [0.5]),
    ),
    ("probability must lie in [0, 1], got [1.5]", lambda: area_under_curve([True], [1.5])),
    (
        "history must be of 1 reviews, and no first one, got (2,)",
        lambda: bins_error([True], [0.5], review_history([0, 0], [0.0, 1.0], [True, True])),
    ),
]


@pytest.mark.parametrize(("told", "call"), REFUSALS, ids=[told[:60] for told, _ in REFUSALS])
def test_it_says_which_parameter_what_it_must_be_and_what_came(told: str, call: Callable[[], object]) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert str(refused.value) == told


def test_integers_beyond_64_bits_are_numbers() -> None:
    assert decay.Exponential(10**30).half_life_s == 1e30
    assert importance.MinMax().update([0, 10**30]).normalise(10**30) == 1.0


def test_what_counts_is_of_integers() -> None:
    assert spacing.SM2State(3).n_recalled.dtype == np.int64
    none = topk.merge_top_k([], [], 1)
    assert (none.rows.dtype, none.scores.dtype, len(none.rows)) == (np.int64, np.float64, 0)


def test_a_scale_counts_up_to_what_a_double_counts_exactly() -> None:
    assert importance.FixedBins((1.0,), counts=((0, 2**53 - 1),)).counts == ((0.0, 2**53 - 1),)
    with pytest.raises(InvalidParameterError, match="of a sum below"):
        importance.FixedBins((1.0,), counts=((0, 2**53),))


def test_two_resamples_are_enough() -> None:
    found = fitting.bootstrap(lambda rows: fitted(recalled=[1, 0]), [0, 1], rng=np.random.default_rng(0), n_resamples=2)
    assert found["share"] == pytest.approx((0.5, 0.5))


def test_a_frame_has_64_axes_at_most() -> None:
    assert Frame.unit(64).dimension == 64
    with pytest.raises(InvalidParameterError, match="upper must have the 1 to 64 axes of lower"):
        Frame((0.0,) * 65, (1.0,) * 65)
