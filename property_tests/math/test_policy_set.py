"""Laws of the set-level stage: what a candidate set says of each candidate, whatever its order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soma.errors import InvalidParameterError, SerializationError
from soma.math import policy as p
from soma.math.importance import TIED
from soma.math.policy_windows import window_sums
from soma.math.units import DAY, HOUR
from soma.testing.policies import columns, policies, set_nodes, set_policies

X = p.similarity()
EPS = 2.0**-52

numbers = st.floats(-1e300, 1e300)
small = st.integers(-50, 50).map(float)
scales = st.lists(st.integers(1, 40).map(float), min_size=1, max_size=4, unique=True).map(sorted)


def values_of(policy: p.Policy, x: Any, **others: Any) -> Any:
    given_columns: dict[str, Any] = {"similarity": x, "id": np.arange(len(x)), **others}
    return policy.evaluate(given_columns)


@st.composite
def candidates(draw: st.DrawFn, n_max: int = 25) -> dict[str, Any]:
    """Candidates with many ties of value, time and group."""
    n = draw(st.integers(1, n_max))
    some = st.lists(small | st.floats(-1e3, 1e3), min_size=n, max_size=n)
    ages = st.lists(st.integers(0, 60).map(float), min_size=n, max_size=n)
    labels = st.lists(st.sampled_from(["", "a", "b"]), min_size=n, max_size=n)
    return {
        "similarity": np.array(draw(some)),
        "age_s": np.array(draw(ages)),
        "payload.g": np.array(draw(labels), dtype=np.str_),
        "id": np.array(draw(st.permutations(range(n)))),
    }


# Any set-level policy


@given(set_policies(), st.data())
def test_permuting_the_candidates_permutes_the_scores_bit_for_bit(policy: p.Policy, data: st.DataObject) -> None:
    table = data.draw(columns(policy.features | {"similarity"}, max_rows=16))
    n = len(table["similarity"])
    order = np.array(data.draw(st.permutations(range(n))), dtype=np.intp)
    scores = np.broadcast_to(policy.evaluate(table), n)
    again = np.broadcast_to(policy.evaluate({name: column[order] for name, column in table.items()}), n)
    assert again.tobytes() == scores[order].tobytes()


@given(candidates(), st.data())
def test_candidates_that_tie_in_everything_score_alike(table: dict[str, Any], data: st.DataObject) -> None:
    n = len(table["id"])
    double = {name: np.r_[column, column] for name, column in table.items()} | {"id": np.arange(2 * n)}
    order = np.array(data.draw(st.permutations(range(2 * n))), dtype=np.intp)
    for node in (p.minmax(X), p.top_mean(X, "g", 3), p.context(X, [2, 9], "g"), p.context(X, [5])):
        scores = node.evaluate(double)
        assert scores[:n].tobytes() == scores[n:].tobytes()
        assert (
            node.evaluate({name: column[order] for name, column in double.items()}).tobytes() == scores[order].tobytes()
        )


FACTS = {"minmax": 2, "neighbours": 3, "previous": 1, "rank": 2, "rrf": 2, "top_mean": 4}


def recomposed(node: p.SetLevel, explanation: p.Explanation) -> float:
    """Compute a node from its explained children in plain Python."""
    x, *facts = [child.value for child in explanation.children]
    match node:
        case p.MinMax():
            least, greatest = facts
            return 0.5 if least == greatest else (x - least) / (greatest - least)
        case p.Rank():
            return sum(facts)
        case p.ReciprocalRank(_, k):
            return 1 / (k + 1 + sum(facts))
        case p.TopMean():
            return facts[2] / facts[3]
        case p.Context(_, scales_s):
            return math.fsum(facts) / len(scales_s)
        case p.Neighbours() | p.Previous():
            return sum(facts)
    raise AssertionError(node)


@given(set_nodes(set_nodes(policies(max_leaves=2)) | policies(max_leaves=2)), st.data())
def test_an_explanation_recomposes_the_score_from_its_children(node: p.Policy, data: st.DataObject) -> None:
    table = data.draw(columns(node.features | {"similarity"}))
    n = len(table["similarity"])
    scores = np.broadcast_to(node.evaluate(table), n)
    for row in range(n) if node.features else [0]:
        why = node.explain(table, row)
        assert why.value == scores[row]
        assert why.operation == node.kind
        inner: Any = node
        while isinstance(inner, p.SetLevel):
            size = max(abs(child.value) for child in why.children)
            if size < 1e290:
                assert math.isclose(why.value, recomposed(inner, why), rel_tol=1e-12, abs_tol=1e-12 * size)
            assert len(why.children) == 1 + FACTS.get(inner.kind, 2 * len(getattr(inner, "scales_s", ())))
            inner, why = inner.of, why.children[0]


def test_an_explanation_names_what_the_set_says() -> None:
    features = {"similarity": [0.1, 0.4], "id": [2, 1], "age_s": [0.0, 5.0], "payload.session": ["a", "a"]}
    for policy, labels in {
        p.minmax(p.similarity()): ["least of the candidates", "greatest"],
        p.rank(p.similarity()): ["candidates with more", "with as much and a smaller id"],
        p.top_mean(p.similarity(), group="session", n=1): [
            "best of the group",
            "last that counts",
            "sum of those",
            "number of those",
        ],
        p.context(p.similarity(), scales_s=[10.0], group="session"): ["kept within 10 s", "received within 10 s"],
    }.items():
        told = policy.explain(features, row=0)
        assert [child.label for child in told.children] == ["similarity()", *labels]
        described = told.to_dict()
        assert list(described) == ["label", "value", "operation", "children"]
        assert (described["label"], described["value"]) == (told.label, told.value)
        assert [each["label"] for each in described["children"]] == ["similarity()", *labels]


@given(set_policies(), st.data())
def test_rows_explained_together_are_explained_as_alone(policy: p.Policy, data: st.DataObject) -> None:
    table = data.draw(columns(policy.features | {"similarity"}, max_rows=6))
    rows = list(range(len(table["similarity"]))) if policy.features else [0, 0]
    assert policy.explain_rows(table, rows) == tuple(policy.explain(table, row) for row in rows)
    assert policy.explain_rows(table, []) == ()


@given(policies(), st.data())
def test_a_pointwise_policy_explains_rows_too(policy: p.Policy, data: st.DataObject) -> None:
    table = data.draw(columns(policy.features, min_rows=2))
    rows = [1, 0, -1] if policy.features else [0]
    assert policy.explain_rows(table, rows) == tuple(policy.explain(table, row) for row in rows)


@given(set_policies())
def test_a_set_level_policy_is_a_document_and_a_formula(policy: p.Policy) -> None:
    again = p.from_json(policy.to_json())
    assert again == policy
    assert again.content_hash == policy.content_hash
    assert hash(again) == hash(policy)
    names = {name: getattr(p, name) for name in p.__all__ if name.islower()}
    names |= {kind.__name__: kind for kind in p.curves.FAMILIES.values()}
    assert eval(str(policy), {"__builtins__": {}}, names) == policy
    latex = policy.latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left(") == latex.count(r"\right)")


def test_hashes_of_set_level_policies_stay() -> None:
    policy = p.rrf(X, p.lexical()) + p.minmax(p.rank(X)) * p.context(X, [HOUR, DAY]) + p.top_mean(X, "sitting", 3)
    assert policy.content_hash == "df56dfb51e71942938cb47371726035fc8fdd929ed0f81640dac52d4b8997da6"
    assert p.context(X, [60]) == p.context(X, (60.0,))
    assert p.rrf(X, k=60).content_hash == p.rrf(X).content_hash


@given(set_policies(), policies())
def test_a_policy_says_whether_it_is_pointwise(of_a_set: p.Policy, alone: p.Policy) -> None:
    assert not of_a_set.is_pointwise
    assert not (alone + of_a_set).is_pointwise
    assert alone.is_pointwise
    assert not of_a_set.index_servable
    assert "candidate set as a whole" in of_a_set.why_not


@given(set_policies(st.just(X)))
def test_a_set_level_policy_has_no_bounds(policy: p.Policy) -> None:
    whole = ("id", "place.")
    table: dict[str, Any] = {
        name: ["a"] if name.startswith("payload") else [1] if name.startswith(whole) else [0.0]
        for name in policy.features
    }
    with pytest.raises(InvalidParameterError, match="must be pointwise to have bounds"):
        policy.bounds(table, table)


@given(set_nodes(policies(["similarity", "age_s"], max_leaves=2)))
def test_an_empty_set_has_no_scores(node: p.Policy) -> None:
    table = {name: np.empty(0, dtype="U1" if name.startswith("payload") else float) for name in node.features}
    table |= {"id": np.empty(0, dtype=int)}
    assert node.evaluate(table).shape == ((0,) if node.features else ())
    assert node.explain_rows(table, []) == ()


# minmax


@given(st.lists(numbers | small, min_size=1, max_size=20))
def test_minmax_lies_in_0_to_1_and_reaches_both(x: list[float]) -> None:
    scores = values_of(p.minmax(X), x)
    if len(set(x)) == 1:
        assert scores.tolist() == [TIED] * len(x)
        return
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[int(np.argmin(x))] == 0
    assert scores[int(np.argmax(x))] == 1
    assert (np.diff(scores[np.argsort(x)]) >= 0).all()


def test_a_constant_set_has_one_stated_minmax_whatever_its_value() -> None:
    assert TIED == 0.5
    for value in (-7.0, 0.0, 1e308):
        assert values_of(p.minmax(X), [value] * 3).tolist() == [TIED] * 3
    assert float(p.minmax(2).evaluate({})) == TIED
    assert values_of(p.minmax(X), [-1.7e308, 0.0, 1.7e308]).tolist() == [0.0, 0.5, 1.0]


@given(st.lists(small, min_size=1, max_size=20), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_minmax_does_not_see_an_affine_map(x: list[float], a: float, b: float) -> None:
    plain, mapped = values_of(p.minmax(X), x), values_of(p.minmax(a * X + b), x)
    size = (abs(b) + a * 50) / (a * max(np.ptp(x), 1.0))
    assert np.allclose(plain, mapped, rtol=0, atol=1e-14 + 8 * EPS * size)
    assert np.allclose(values_of(p.minmax(-X), x), 1 - plain, rtol=0, atol=1e-15)


# rank and rrf


@given(st.lists(small, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_rank_is_a_permutation_that_sorts_by_value_and_then_id(x: list[float], random: Any) -> None:
    ids = random.sample(range(1_000), len(x))
    scores = p.rank(X).evaluate({"similarity": x, "id": ids})
    assert sorted(scores.tolist()) == list(range(len(x)))
    assert [int(i) for i in np.argsort(scores)] == sorted(range(len(x)), key=lambda i: (-x[i], ids[i]))
    for named in ([f"{i:04}" for i in ids], np.array([f"{i:04}" for i in ids], dtype="S16"), np.array(ids, dtype="u8")):
        assert p.rank(X).evaluate({"similarity": x, "id": named}).tolist() == scores.tolist()


@given(candidates())
def test_a_rank_is_explained_by_those_with_more_and_those_that_tie(table: dict[str, Any]) -> None:
    x, ids = table["similarity"], table["id"]
    for row, why in enumerate(p.rank(X).explain_rows(table, range(len(x)))):
        more, tied = (child.value for child in why.children[1:])
        assert more == sum(x > x[row])
        assert tied == sum((x == x[row]) & (ids < ids[row]))


@given(st.lists(small, min_size=1, max_size=20))
def test_rank_and_rrf_see_the_order_only(x: list[float]) -> None:
    maps = (3 * X - 7, p.exp(X / 10), (X.clip(0) + 1) ** 3 + X, p.max(X, X))
    for node in (p.rank, p.rrf):
        plain = values_of(node(X), x)
        for mapped in maps:
            assert values_of(node(mapped), x).tolist() == plain.tolist()


@given(candidates(), st.floats(0, 100))
def test_rrf_is_the_published_sum_over_ranks_from_1(table: dict[str, Any], k: float) -> None:
    table |= {"lexical": table["age_s"]}
    got = p.rrf(X, p.lexical(), k=k).evaluate(table)
    ranks = [p.rank(term).evaluate(table) + 1 for term in (X, p.lexical())]
    assert np.allclose(got, sum(1 / (k + rank) for rank in ranks), rtol=1e-15)
    assert p.rrf(X).evaluate(table).max() == 1 / 61
    assert (p.rrf(X, k=k).evaluate(table) <= 1 / (k + 1)).all()


@pytest.mark.parametrize("ids", [[1, 1], ["a", "a"], [0.5, 1.5], [None, 1], 3])
def test_ids_must_tell_the_candidates_apart(ids: Any) -> None:
    with pytest.raises(InvalidParameterError, match="unique"):
        p.rank(X).evaluate({"similarity": [0.1, 0.2], "id": ids})


# context


def spread_plainly(x: Any, age: Any, labels: Any, reach: float) -> list[float]:
    """The definition, by two loops."""
    n = len(x)
    near = [
        [i == j or (labels[i] == labels[j] != "" and abs(age[i] - age[j]) <= reach) for j in range(n)] for i in range(n)
    ]
    return [math.fsum(x[j] / sum(near[j]) for j in range(n) if near[i][j]) for i in range(n)]


@given(candidates(), scales)
def test_context_is_the_mean_of_the_shares_at_each_scale(table: dict[str, Any], scales_s: list[float]) -> None:
    x, age = table["similarity"], table["age_s"]
    size = np.abs(x).max() * len(x)
    for group, labels in ((None, ["all"] * len(x)), ("g", table["payload.g"])):
        got = p.context(X, scales_s, group).evaluate(table)
        want = np.mean([spread_plainly(x, age, labels, scale) for scale in scales_s], axis=0)
        assert np.allclose(got, want, rtol=0, atol=1e-14 * size)


@given(candidates(), scales)
def test_context_keeps_the_sum_in_every_group(table: dict[str, Any], scales_s: list[float]) -> None:
    x = table["similarity"]
    bound = 1e-14 * len(x) * (np.abs(x).max() + 1)
    assert abs(math.fsum(p.context(X, scales_s).evaluate(table)) - math.fsum(x)) <= bound
    scores = p.context(X, scales_s, "g").evaluate(table)
    for label in ("a", "b"):
        rows = table["payload.g"] == label
        assert abs(math.fsum(scores[rows]) - math.fsum(x[rows])) <= bound
    alone = table["payload.g"] == ""
    assert (scores[alone] == x[alone]).all()


@given(candidates(), scales, st.floats(-10, 10), st.floats(-10, 10))
def test_context_is_linear(table: dict[str, Any], scales_s: list[float], a: float, b: float) -> None:
    table |= {"graph": np.roll(table["similarity"], 1)}
    mixed = p.context(a * X + b * p.graph(), scales_s, "g").evaluate(table)
    apart = a * p.context(X, scales_s, "g") + b * p.context(p.graph(), scales_s, "g")
    size = np.abs(table["similarity"]).max() * (abs(a) + abs(b)) * len(mixed)
    assert np.allclose(mixed, apart.evaluate(table), rtol=0, atol=1e-14 * size)


@given(candidates(), st.floats(0.01, 0.99), st.integers(1, 5))
def test_context_without_neighbours_in_reach_is_the_score_itself(
    table: dict[str, Any], reach: float, n_scales: int
) -> None:
    table["age_s"] = np.array(sorted(table["id"]), dtype=float)  # a second apart
    scales_s = [reach * (i + 1) / n_scales for i in range(n_scales)]
    assert p.context(X, scales_s).evaluate(table).tolist() == table["similarity"].tolist()
    assert p.context(X, [10.0], "g").evaluate(table | {"payload.g": [""] * len(table["id"])}).tolist() == (
        table["similarity"].tolist()
    )


@given(candidates(), scales, st.sampled_from([0.25, 2.0, 1024.0]))
def test_context_has_no_unit_of_time(table: dict[str, Any], scales_s: list[float], c: float) -> None:
    plain = p.context(X, scales_s, "g").evaluate(table)
    table |= {"age_s": table["age_s"] * c}
    assert p.context(X, [c * scale for scale in scales_s], "g").evaluate(table).tobytes() == plain.tobytes()


@given(candidates(), scales)
def test_context_does_not_see_beyond_its_group_and_its_reach(table: dict[str, Any], scales_s: list[float]) -> None:
    far = {
        "similarity": np.append(table["similarity"], [1e12, -3.0]),
        "age_s": np.append(table["age_s"], [1e6, 5.0]),
        "payload.g": np.append(table["payload.g"], ["a", "another"]),
    }
    node = p.context(X, scales_s, "g")
    assert node.evaluate(far)[:-2].tobytes() == node.evaluate(table).tobytes()


def test_context_reaches_as_far_as_its_scale_and_no_further() -> None:
    table = {"similarity": [1.0, 0.0, 0.0], "age_s": [0.0, 10.0, 20.5]}
    assert p.context(X, [10.0]).evaluate(table).tolist() == [0.5, 0.5, 0.0]
    assert p.context(X, [9.99]).evaluate(table).tolist() == [1.0, 0.0, 0.0]


@given(st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=40), st.data())
def test_window_sums_are_sums(x: list[float], data: st.DataObject) -> None:
    ends = [sorted(data.draw(st.tuples(st.integers(0, len(x)), st.integers(0, len(x))))) for _ in x]
    first, last = np.array(ends).T
    assert window_sums(np.array(x), first, last).tolist() == [sum(x[a:b]) for a, b in ends]


def test_window_sums_do_not_cancel() -> None:
    x = np.array([1e16, 1.0, 1.0, -1e16, 0.1])
    assert window_sums(x, np.array([1, 4, 0, 0, 0]), np.array([3, 5, 0, 1, 0])).tolist() == [2.0, 0.1, 0.0, 1e16, 0.0]


# top_mean


@given(candidates(), st.integers(1, 6))
def test_top_mean_is_the_mean_of_the_best_of_the_group(table: dict[str, Any], n: int) -> None:
    x, labels = table["similarity"], table["payload.g"]
    scores = p.top_mean(X, "g", n).evaluate(table)
    for i, label in enumerate(labels):
        best = sorted(x[labels == label], reverse=True)[:n] if label else [x[i]]
        assert math.isclose(scores[i], math.fsum(best) / len(best), rel_tol=1e-13, abs_tol=1e-12)
        assert best[-1] <= scores[i] <= best[0]
    for label in ("a", "b"):
        assert len(set(scores[labels == label])) <= 1


@given(st.floats(-1e300, 1e300), st.integers(1, 9), st.integers(1, 9))
def test_top_mean_of_one_value_is_that_value(x: float, n_members: int, n: int) -> None:
    table = {"similarity": [x] * n_members + [7.0], "payload.g": ["a"] * n_members + ["b"]}
    assume(abs(x) < 1e290)
    assert p.top_mean(X, "g", n).evaluate(table).tolist() == [x] * n_members + [7.0]
    alone = {"similarity": [x] * n_members, "payload.g": [""] * n_members}
    assert p.top_mean(X, "g", n).evaluate(alone).tolist() == [x] * n_members


@given(candidates(), st.integers(1, 5))
def test_top_mean_falls_as_more_values_count(table: dict[str, Any], n: int) -> None:
    fewer, more = (p.top_mean(X, "g", m).evaluate(table) for m in (n, n + 1))
    assert (more <= fewer + 1e-12 * np.abs(table["similarity"]).max()).all()


# Refusals


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: p.minmax("similarity"),
        lambda: p.MinMax(1.0),
        lambda: p.rrf(X, k=-1),
        lambda: p.rrf(X, k=math.nan),
        lambda: p.rrf(X, k="60"),
        lambda: p.rrf(X, k=True),
        lambda: p.context(X, []),
        lambda: p.context(X, [0.0]),
        lambda: p.context(X, [60.0, 60.0]),
        lambda: p.context(X, [60.0, 30.0]),
        lambda: p.context(X, [math.inf]),
        lambda: p.context(X, range(1, 34)),
        lambda: p.context(X, ["60"]),
        lambda: p.Context(X, 60.0),
        lambda: p.context(X, [60.0], ""),
        lambda: p.context(X, [60.0], 3),
        lambda: p.top_mean(X, None, 1),
        lambda: p.top_mean(X, "a\nb", 1),
        lambda: p.top_mean(X, "x" * 129, 1),
        lambda: p.top_mean(X, "g", 0),
        lambda: p.top_mean(X, "g", 1.0),
        lambda: p.top_mean(X, "g", True),
    ],
)
def test_what_is_no_set_level_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidParameterError):
        wrong()


@pytest.mark.parametrize(
    "change",
    [
        {"node": "context", "scales_s": [60], "group": "g", "n": 1},
        {"node": "context", "scales_s": [60]},
        {"node": "context", "scales_s": 60, "group": None},
        {"node": "context", "scales_s": [True], "group": None},
        {"node": "context", "scales_s": [[60]], "group": None},
        {"node": "context", "scales_s": None, "group": None},
        {"node": "rrf"},
        {"node": "rrf", "k": None},
        {"node": "top_mean", "group": "g"},
        {"node": "top_mean", "group": ["g"], "n": 1},
        {"node": "minmax", "k": 1},
    ],
)
def test_a_malformed_node_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SerializationError, match="expression"):
        p.from_dict({"soma_policy": 1, "expression": {"of": {"node": "similarity"}, **change}})


@pytest.mark.parametrize("labels", [[1, 2], [None, "a"], [b"a", b"b"]])
def test_labels_are_strings(labels: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"payload\.g must hold strings"):
        p.top_mean(X, "g", 1).evaluate({"similarity": [0.1, 0.2], "payload.g": labels})


def test_a_value_that_overflows_is_named() -> None:
    with pytest.raises(InvalidParameterError, match="finite everywhere"):
        p.top_mean(X, "g", 2).evaluate({"similarity": [1.7e308, 1.7e308], "payload.g": ["a", "a"]})


def test_context_takes_as_many_scales_as_it_says() -> None:
    assert len(p.context(p.similarity(), range(1, 33)).scales_s) == 32
    with pytest.raises(InvalidParameterError, match="must be 1 to 32 rising numbers"):
        p.context(p.similarity(), range(1, 34))
