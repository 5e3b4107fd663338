"""Laws of policies: every score is explained by its parts, and is the same in any company of rows."""

from __future__ import annotations

import copy
import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math import policy as p
from soma.math.units import DAY
from soma.state.record import MemoryType
from soma.testing.policies import columns, curves, policies, values

POLICIES = policies()


@st.composite
def evaluable(draw: st.DrawFn) -> tuple[p.Policy, dict[str, Any]]:
    """A policy, and a table of at least two rows to evaluate it on."""
    policy = draw(POLICIES)
    return policy, draw(columns(policy.features, min_rows=2))


PLAIN: dict[str, Callable[..., float]] = {
    "+": lambda *terms: reduce(operator.add, terms),
    "*": lambda *factors: math.prod(factors),
    "-": operator.sub,
    "/": operator.truediv,
    "**": math.pow,
    "max": max,
    "min": min,
    "negative": operator.neg,
    "exp": math.exp,
    "log": math.log,
}


def recomposed(node: p.Policy, explanation: p.Explanation, features: dict[str, Any]) -> float:
    """Recompute a node from its explained children in plain Python."""
    children = [child.value for child in explanation.children]
    match node:
        case p.Clip(_, lower, upper):
            low = -math.inf if lower is None else lower
            high = math.inf if upper is None else upper
            return min(max(children[0], low), high)
        case p.Decay(curve, _):
            return float(curve.value(children[0]))
        case p.Constant(value):
            return value
        case p.SameCell(level):
            return float(features["common_level"] >= level)
        case p.MemoryTypeIs(is_type):
            return float(features["memory_type"] == is_type)
        case p.Term() | p.BestMatch() | p.Graph() | p.Mentions():
            return float(features[node.reads[0]])
    return PLAIN[explanation.operation](*children)


def explained(node: p.Policy, explanation: p.Explanation) -> Iterator[tuple[p.Policy, p.Explanation]]:
    """Walk a policy beside its explanation, whose chains of sums and products are flat."""
    yield node, explanation
    parts = list(node.operands)
    while isinstance(node, p.Binary) and node.operator in "+*" and len(parts) < len(explanation.children):
        parts[:1] = parts[0].operands
    for part, child in zip(parts, explanation.children, strict=True):
        yield from explained(part, child)


@given(evaluable(), st.integers(0, 1))
def test_an_explanation_recomposes_every_node_from_its_children(
    drawn: tuple[p.Policy, dict[str, Any]], row: int
) -> None:
    policy, features = drawn
    assume(features or row == 0)
    one = {name: column[row] for name, column in features.items()}
    for node, explanation in explained(policy, policy.explain(features, row)):
        again = recomposed(node, explanation, one)
        assert math.isclose(explanation.value, again, rel_tol=1e-12, abs_tol=1e-300), str(node)
        assert explanation.operation == (node.kind if node.operands else "")


@given(evaluable())
def test_an_explanation_has_the_score_of_its_row_bit_for_bit(drawn: tuple[p.Policy, dict[str, Any]]) -> None:
    policy, features = drawn
    scores = np.atleast_1d(policy.evaluate(features))
    for row in range(-len(scores), len(scores)):
        assert policy.explain(features, row).value == scores[row]


@given(st.data())
def test_the_scores_of_a_subset_are_the_subset_of_the_scores(data: st.DataObject) -> None:
    policy = data.draw(POLICIES)
    assume(policy.features)
    features = data.draw(columns(policy.features, min_rows=1, max_rows=40))
    n = len(next(iter(features.values())))
    scores = policy.evaluate(features)
    assert scores.shape == (n,)
    assert scores.dtype == np.float64
    some = data.draw(st.lists(st.integers(0, n - 1)).map(lambda rows: np.array(rows, dtype=np.intp)))
    stride = data.draw(st.sampled_from([-3, -1, 2, 3, 7]))
    for rows in (some, slice(None, None, stride), slice(0, 1), slice(n - 1, n), slice(0, 0)):
        part = policy.evaluate({name: column[rows] for name, column in features.items()})
        assert part.tobytes() == scores[rows].tobytes()
    one = policy.evaluate({name: column[0] for name, column in features.items()})
    assert one.shape == ()
    assert one == scores[0]


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 1.0, 2.0, 0.7, 3.0])
@pytest.mark.parametrize("policy", [p.trace() ** p.graph(), p.trace() ** (0.5 + p.graph() - 0.5)])
def test_a_power_of_many_rows_is_the_power_of_each(policy: p.Policy, exponent: float) -> None:
    # numpy squares where all rows share the exponent 2 and calls pow for a column of them: last bits differ
    base = np.random.default_rng(1).uniform(0.01, 5.0, 2_000)
    for features in (
        {"trace": base, "graph": np.full_like(base, exponent)},
        {"trace": base, "graph": np.broadcast_to(exponent, base.shape)},
        {"trace": np.repeat(base, 3)[::3], "graph": exponent},
    ):
        scores = policy.evaluate(features)
        for i in range(0, len(base), 10):
            assert policy.evaluate({"trace": base[i : i + 1], "graph": [exponent]})[0] == scores[i]
            assert policy.evaluate({"trace": base[i], "graph": exponent}) == scores[i]


def test_features_broadcast_and_others_are_ignored() -> None:
    policy = p.similarity() + p.importance()
    features = {"similarity": [0.5, 0.25], "importance": 1, "age_s": [math.nan]}
    assert policy.evaluate(features).tolist() == [1.5, 1.25]
    assert p.constant(2).evaluate({}).shape == ()
    with pytest.raises(InvalidParameterError, match="broadcast"):
        policy.evaluate({"similarity": [0.5, 0.25], "importance": [1, 1, 1]})


def test_evaluation_leaves_the_features_alone_and_returns_a_new_array() -> None:
    given_array = np.array([0.5, 0.25])
    scores = p.similarity().evaluate({"similarity": given_array})
    scores[0] = 9.0
    assert given_array.tolist() == [0.5, 0.25]


@given(evaluable(), st.data())
def test_a_missing_feature_is_named(drawn: tuple[p.Policy, dict[str, Any]], data: st.DataObject) -> None:
    policy, features = drawn
    assume(features)
    absent = data.draw(st.sampled_from(sorted(features)))
    del features[absent]
    calls = (policy.evaluate, lambda f: policy.explain(f, 0), lambda f: policy.bounds(f, f))
    for call in calls:
        with pytest.raises(InvalidParameterError, match=re.escape(f"must include {absent}")):
            call(features)


@pytest.mark.parametrize(
    ("term", "bad"),
    [
        (p.similarity(), math.nan),
        (p.similarity(), math.inf),
        (p.similarity(), "high"),
        (p.importance(), -0.1),
        (p.importance(), 1.1),
        (p.age_s(), -1.0),
        (p.age_s(), math.nan),
        (p.age_s(), math.inf),
        (p.idle_s(), -1e-9),
        (p.decay(decay.Constant()), -1.0),
        (p.activation(), math.nan),
        (p.trace(), -1.0),
        (p.lexical(), math.nan),
        (p.graph(), math.inf),
        (p.same_cell(1), -1),
        (p.same_cell(1), math.nan),
        (p.memory_type("semantic"), "Semantic"),
        (p.memory_type("semantic"), 1.0),
    ],
)
def test_a_feature_outside_its_domain_is_named(term: p.Policy, bad: object) -> None:
    (name,) = term.features
    policy = (1 + term).clip(0)
    with pytest.raises(InvalidParameterError) as caught:
        policy.evaluate({name: [bad]})
    assert caught.value.parameter == name
    with pytest.raises(InvalidParameterError, match=name):
        policy.bounds({name: [bad]}, {name: [bad]})


@pytest.mark.parametrize(
    ("node", "x"),
    [
        (p.log(p.similarity()), -0.5),
        (p.log(p.similarity()), 0.0),
        (p.similarity() ** -1, 0.0),
        (p.similarity() ** 0.5, -0.5),
        (1 / p.similarity(), 0.0),
        (p.similarity() / p.similarity(), 0.0),
        (p.exp(p.similarity() * 1e3), 1.0),
        (p.similarity() * 1e308 * 10, 1.0),
    ],
)
def test_a_node_without_a_finite_value_is_named(node: p.Policy, x: float) -> None:
    policy = 1 + p.max(node, 0) * p.importance()
    with pytest.raises(InvalidParameterError, match="row 1") as caught:
        policy.evaluate({"similarity": [0.9999e-3 if node.kind != "*" else 0.0, x], "importance": [1.0, 1.0]})
    assert caught.value.parameter == str(node)


def test_a_memory_type_may_be_the_enumeration() -> None:
    assert tuple(kind.value for kind in MemoryType) == p.MEMORY_TYPES
    policy = p.memory_type(MemoryType.SEMANTIC)
    assert policy == p.memory_type("semantic")
    assert type(policy.is_type) is str
    types = [MemoryType.SEMANTIC, MemoryType.EPISODIC]
    assert policy.evaluate({"memory_type": types}).tolist() == [1.0, 0.0]
    assert policy.evaluate({"memory_type": np.array(types, dtype=object)}).tolist() == [1.0, 0.0]


def test_a_cell_is_shared_from_its_level_down() -> None:
    assert p.same_cell(3).evaluate({"common_level": [2, 3, 4]}).tolist() == [0.0, 1.0, 1.0]
    assert p.same_cell(3).features == {"common_level"}


@given(st.floats(-100, 100), st.floats(0.1, 2.0))
def test_operators_mean_what_they_mean_for_numbers(a: float, x: float) -> None:
    t = p.trace()
    for policy, expected in [
        (t + a, x + a),
        (a + t, a + x),
        (t - a, x - a),
        (a - t, a - x),
        (t * a, x * a),
        (a * t, a * x),
        (a / t, a / x),
        (t**2, x * x),
        (t.max(a), max(x, a)),
        (t.min(a), min(x, a)),
        (p.max(a, t, 1), max(a, x, 1)),
        (p.min(a, t, 1), min(a, x, 1)),
        (-t, -x),
        (t.clip(1), max(x, 1)),
        (t.clip(upper=1), min(x, 1)),
        (p.clip(t, 0.5, 1), min(max(x, 0.5), 1)),
        (p.exp(t), math.exp(x)),
        (t.log(), math.log(x)),
        (np.float64(a) * t, a * x),
        (np.float64(a) - t, a - x),
        (t * np.int64(2), x * 2),
        (sum([t, t, t]), x + x + x),
    ]:
        assert math.isclose(float(policy.evaluate({"trace": x})), expected, rel_tol=1e-14, abs_tol=1e-14)
    assert math.isclose(float((2**t).evaluate({"trace": x})), 2**x, rel_tol=1e-14)
    assert math.isclose(float((t / 3).evaluate({"trace": x})), x / 3, rel_tol=1e-14)


@given(st.floats(0, 1e9), st.floats(0, 1e9), curves())
def test_decay_takes_a_builder_or_an_expression(age: float, idle: float, curve: decay.Curve) -> None:
    assert p.decay(curve) == p.decay(curve, of=p.age_s) == p.decay(curve, of=p.age_s())
    assert p.decay(curve, of=p.idle_s) == p.decay(curve, of=p.idle_s())
    features = {"age_s": age, "idle_s": idle}
    assert p.decay(curve).evaluate(features) == curve.value(age)
    assert p.decay(curve, of=p.idle_s).evaluate(features) == curve.value(idle)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: p.similarity() + "1",
        lambda: p.similarity() * None,
        lambda: p.similarity() * True,
        lambda: p.similarity() * math.nan,
        lambda: p.similarity() * math.inf,
        lambda: p.similarity() * np.array([1.0, 2.0]),
        lambda: np.array([1.0, 2.0]) * p.similarity(),
        lambda: p.constant([1.0]),
        lambda: p.max(p.similarity(), "2"),
        lambda: p.clip(p.similarity()),
        lambda: p.similarity().clip(1, 0),
        lambda: p.similarity().clip(math.nan),
        lambda: p.similarity().clip(True),
        lambda: p.same_cell(-1),
        lambda: p.same_cell(1.0),
        lambda: p.same_cell(True),
        lambda: p.same_cell(65),
        lambda: p.memory_type("dream"),
        lambda: p.memory_type(["semantic"]),
        lambda: p.decay(decay.Constant(), of=p.similarity),
        lambda: p.decay(decay.Constant(), of=p.age_s() + 1),
        lambda: p.decay(decay.Constant(), of="age_s"),
        lambda: p.decay(3.0),
        lambda: p.decay(decay.Constant),
        lambda: p.Term("common_level"),
        lambda: p.Term("now_s"),
        lambda: p.Binary("%", p.similarity(), p.similarity()),
        lambda: p.Binary("+", p.similarity(), 1.0),
        lambda: p.Unary("sin", p.similarity()),
        lambda: p.Unary("exp", 1.0),
        lambda: p.Clip(1.0, 0),
    ],
)
def test_what_is_no_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidParameterError):
        wrong()


def test_comparing_policies_by_size_is_refused() -> None:
    with pytest.raises(TypeError):
        assert p.similarity() < p.importance()


def test_a_policy_too_deep_or_too_large_is_refused() -> None:
    policy = p.similarity()
    for _ in range(p.MAX_DEPTH - 1):
        policy = -policy
    assert p.from_json(policy.to_json()) == policy
    with pytest.raises(InvalidParameterError, match=r"^policy must be at most 64 nodes deep, got 65$"):
        _ = -policy
    doubled = p.similarity()
    while policy_nodes(doubled) <= p.MAX_NODES // 2:
        doubled = doubled + doubled
    with pytest.raises(InvalidParameterError, match=r"^policy must have at most 1000 nodes, got"):
        _ = doubled + doubled + doubled


def policy_nodes(policy: p.Policy) -> int:
    return 1 + sum(map(policy_nodes, policy.operands))


@given(policies())
def test_policies_are_values(policy: p.Policy) -> None:
    again = copy.deepcopy(policy)
    assert again == policy
    assert hash(again) == hash(policy)
    assert policy + 0 != policy
    assert not hasattr(policy, "__dict__")
    assert isinstance(policy, p.Policy)


def test_the_index_says_what_it_cannot_serve() -> None:
    assert p.presets.dense().features == {"similarity", "importance", "idle_s"}
    assert p.presets.dense().index_servable
    assert p.presets.dense().why_not == ""
    policy = p.presets.dense() + p.lexical() * p.same_cell(2) * p.memory_type("semantic")
    assert not policy.index_servable
    assert policy.why_not == "the index keeps no range of common_level, lexical"


@given(policies())
def test_features_are_those_of_the_parts(policy: p.Policy) -> None:
    assert (p.graph() * policy).features == policy.features | {"graph"}
    assert policy.index_servable == (policy.features <= p.INDEXED_FEATURES)


@given(policies(["age_s", "similarity"]))
def test_a_strategy_draws_only_the_features_allowed(policy: p.Policy) -> None:
    assert policy.features <= {"age_s", "similarity"}


@given(st.data())
def test_a_product_of_factors_and_decay_never_rises_with_age(data: st.DataObject) -> None:
    policy = p.similarity().clip(0)
    for curve in data.draw(st.lists(curves(), min_size=1, max_size=3)):
        policy = policy * p.decay(curve) * p.importance() ** data.draw(st.floats(0, 2))
    ages = np.sort(data.draw(columns(["age_s"], min_rows=2))["age_s"])
    scores = policy.evaluate(
        {
            "age_s": ages,
            "similarity": data.draw(values("similarity")),
            "importance": data.draw(values("importance")),
        }
    )
    assert (np.diff(scores) <= 1e-14).all()
    assert (scores >= 0).all()


def test_the_default_is_half_vectors_half_words_with_some_weight_for_what_is_important_and_fresh() -> None:
    def score(similarity: float, bm25: float, importance: float, idle_s: float) -> float:
        known = {"similarity": similarity, "bm25": bm25, "importance": importance, "idle_s": idle_s}
        return float(p.default().evaluate(known))

    assert score(1, 4, 1, 0) == 0.75
    assert score(-1, 4, 0, 0) == 0.25 * 0.75
    assert score(-1, 0, 1, 0) == 0.0
    assert math.isclose(score(1, 1e9, 1, 90 * DAY), 0.875, rel_tol=1e-8)
    assert math.isclose(score(1, 1e9, 0, 1e15), 0.5, rel_tol=1e-4)
    assert p.default().is_pointwise
    assert p.default().why_not == "the index keeps no range of bm25"


def test_dense_is_relevance_importance_and_fading() -> None:
    def score(similarity: float, importance: float, idle_s: float) -> float:
        return float(p.presets.dense().evaluate({"similarity": similarity, "importance": importance, "idle_s": idle_s}))

    assert score(1, 1, 0) == 1.0
    assert score(1, 0, 0) == 0.5
    assert score(-1, 1, 0) == 0.0
    assert math.isclose(score(1, 1, 90 * DAY), 0.5, rel_tol=1e-14)


def test_only_rows_that_exist_are_explained() -> None:
    for row in (-3, 2):
        with pytest.raises(InvalidParameterError, match="row"):
            p.similarity().explain({"similarity": [0.1, 0.2]}, row)
    with pytest.raises(InvalidParameterError, match="one axis"):
        p.similarity().explain({"similarity": [[0.1, 0.2]]}, 0)
