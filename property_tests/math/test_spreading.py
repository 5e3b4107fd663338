"""Laws of what spreads over links, the fan effect by hand, and two oracles: networkx and python_actr."""

from __future__ import annotations

import math
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from property_tests.math.oracles import python_actr
from soma.errors import InvalidParameterError
from soma.math import decay
from soma.math.spreading import (
    Links,
    association_strengths,
    decayed_weights,
    personalised_pagerank,
    spreading_activation,
)
from soma.testing.policies import curves

Triple = tuple[int, int, float]

WEIGHTS = st.floats(1e-3, 1e3) | st.sampled_from([0.0, 1.0])
DAMPINGS = st.floats(0.0, 0.95) | st.just(0.5)
STRENGTHS = st.floats(-3.0, 5.0)
FANS = st.sampled_from(["facts", "facts_and_self", "weights"])


def triples(n: int, *, min_size: int = 0) -> st.SearchStrategy[list[Triple]]:
    nodes = st.integers(0, n - 1)
    return st.lists(st.tuples(nodes, nodes, WEIGHTS), min_size=min_size, max_size=3 * n)


def vectors(n: int) -> st.SearchStrategy[list[float]]:
    """Vectors that are a distribution once they are divided by their sum."""
    return st.lists(st.floats(0.0, 10.0).map(lambda x: x if x > 1e-3 else 0.0), min_size=n, max_size=n).filter(any)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Triple]]:
    n = draw(st.integers(1, 8))
    return n, draw(triples(n))


@st.composite
def walks(draw: st.DrawFn) -> tuple[Links, list[float], list[float]]:
    """Links, a restart, and where walks go that cannot go on."""
    n, given_links = draw(graphs())
    return linked(n, given_links), draw(vectors(n)), draw(vectors(n))


def linked(n: int, given_links: list[Triple]) -> Links:
    source, target, weight = zip(*given_links, strict=True) if given_links else ((), (), ())
    return Links.of(source, target, weight, n_nodes=n)


def transitions(links: Links, dangling: Any) -> Any:
    """Return the dense matrix whose column j says where a walk goes from j."""
    matrix = np.zeros((links.n_nodes, links.n_nodes))
    np.add.at(matrix, (links.target, links.source), links.weight)
    total = matrix.sum(axis=0)
    matrix[:, total == 0.0] = np.asarray(dangling)[:, None] / np.sum(dangling)
    return matrix / np.where(total == 0.0, 1.0, total)


def solved(links: Links, restart: Any, dangling: Any, damping: float) -> Any:
    p = np.asarray(restart) / np.sum(restart)
    return np.linalg.solve(np.eye(len(p)) - damping * transitions(links, dangling), (1.0 - damping) * p)


# Personalised PageRank


@given(walks(), DAMPINGS)
def test_pagerank_is_a_distribution(walk: tuple[Links, list[float], list[float]], damping: float) -> None:
    links, restart, dangling = walk
    for given_dangling in (None, dangling):
        rank = personalised_pagerank(links, restart, damping=damping, dangling=given_dangling)
        assert (rank >= 0.0).all()
        assert math.fsum(rank) == pytest.approx(1.0, abs=1e-12)


@given(graphs(), st.data(), DAMPINGS, st.booleans())
def test_pagerank_is_that_of_networkx(
    graph: tuple[int, list[Triple]], data: st.DataObject, damping: float, has_dangling: bool
) -> None:
    n, given_links = graph
    restart, dangling = data.draw(vectors(n)), data.draw(vectors(n)) if has_dangling else None
    oracle = nx.MultiDiGraph()
    oracle.add_nodes_from(range(n))
    oracle.add_weighted_edges_from(given_links)
    expected = nx.pagerank(
        oracle,
        alpha=damping,
        personalization=dict(enumerate(restart)),
        dangling=None if dangling is None else dict(enumerate(dangling)),
        tol=1e-14,
        max_iter=10_000,
    )
    rank = personalised_pagerank(linked(n, given_links), restart, damping=damping, dangling=dangling)
    assert rank.tolist() == pytest.approx([expected[i] for i in range(n)], abs=1e-9)


@given(walks(), DAMPINGS, st.booleans())
def test_pagerank_solves_its_linear_system(
    walk: tuple[Links, list[float], list[float]], damping: float, has_dangling: bool
) -> None:
    links, restart, dangling = walk
    rank = personalised_pagerank(links, restart, damping=damping, dangling=dangling if has_dangling else None)
    assert np.abs(rank - solved(links, restart, dangling if has_dangling else restart, damping)).sum() <= 1.01e-10


@given(walks(), DAMPINGS, st.floats(1e-12, 0.5))
def test_pagerank_is_within_its_tolerance(
    walk: tuple[Links, list[float], list[float]], damping: float, tolerance: float
) -> None:
    links, restart, _ = walk
    rank = personalised_pagerank(links, restart, damping=damping, tolerance=tolerance)
    assert np.abs(rank - solved(links, restart, restart, damping)).sum() <= tolerance + 1e-13


@given(walks(), DAMPINGS, st.floats(0.0, 1.0), st.data())
def test_pagerank_is_linear_in_the_restart(
    walk: tuple[Links, list[float], list[float]], damping: float, share: float, data: st.DataObject
) -> None:
    links, one, dangling = walk
    first = np.array(one) / sum(one)
    other = np.array(data.draw(vectors(links.n_nodes)))
    second = other / other.sum()

    def rank(restart: Any) -> Any:
        return personalised_pagerank(links, restart, damping=damping, dangling=dangling)

    mixed = rank(share * first + (1.0 - share) * second)
    assert mixed.tolist() == pytest.approx((share * rank(first) + (1.0 - share) * rank(second)).tolist(), abs=1e-9)
    assert rank(7.0 * first).tolist() == pytest.approx(rank(first).tolist(), abs=1e-12)


@given(walks())
def test_without_damping_nothing_leaves_the_restart(walk: tuple[Links, list[float], list[float]]) -> None:
    links, restart, dangling = walk
    rank = personalised_pagerank(links, restart, damping=0.0, dangling=dangling)
    assert rank.tolist() == pytest.approx((np.array(restart) / sum(restart)).tolist(), rel=1e-15)


@given(graphs(), st.data(), DAMPINGS, STRENGTHS, FANS)
def test_names_of_nodes_do_not_matter(
    graph: tuple[int, list[Triple]], data: st.DataObject, damping: float, most: float, fan: Any
) -> None:
    n, given_links = graph
    restart, dangling = np.array(data.draw(vectors(n))), np.array(data.draw(vectors(n)))
    new = np.array(data.draw(st.permutations(range(n))))
    old = np.argsort(new)
    links = linked(n, given_links)
    renamed = linked(n, [(int(new[i]), int(new[j]), w) for i, j, w in given_links])
    rank = personalised_pagerank(links, restart, damping=damping, dangling=dangling)
    again = personalised_pagerank(renamed, restart[old], damping=damping, dangling=dangling[old])
    assert again[new].tolist() == pytest.approx(rank.tolist(), abs=1e-9)
    level = spreading_activation(restart, links, association_strengths(links, most, fan=fan), range(n), dangling)
    strengths = association_strengths(renamed, most, fan=fan)
    assert spreading_activation(restart[old], renamed, strengths, new, dangling)[new].tolist() == pytest.approx(
        level.tolist(), abs=1e-9
    )


@given(graphs(), st.data(), DAMPINGS, st.floats(1e-300, 1e300))
def test_only_the_shares_of_what_leaves_a_node_matter(
    graph: tuple[int, list[Triple]], data: st.DataObject, damping: float, factor: float
) -> None:
    n, given_links = graph
    restart, node = data.draw(vectors(n)), data.draw(st.integers(0, n - 1))
    links = linked(n, given_links)
    scaled = linked(n, [(i, j, factor * w if i == node else w) for i, j, w in given_links])
    rank = personalised_pagerank(links, restart, damping=damping)
    assert personalised_pagerank(scaled, restart, damping=damping).tolist() == pytest.approx(rank.tolist(), abs=1e-9)
    strengths = association_strengths(links, 2.0, fan="weights")
    assert association_strengths(scaled, 2.0, fan="weights").tolist() == pytest.approx(strengths.tolist(), abs=1e-9)


@given(graphs(), st.data(), DAMPINGS)
def test_what_no_walk_reaches_has_none(graph: tuple[int, list[Triple]], data: st.DataObject, damping: float) -> None:
    n, given_links = graph
    restart = data.draw(vectors(n))
    rank = personalised_pagerank(linked(n, given_links), restart, damping=damping)
    reached = {i for i, x in enumerate(restart) if x > 0.0}
    for _ in range(n):
        reached |= {j for i, j, w in given_links if i in reached and w > 0.0}
    for node in range(n):
        assert rank[node] == 0.0 or node in reached
    assert all(rank[i] > 0.0 for i, x in enumerate(restart) if x > 0.0)


@given(graphs(), st.data())
def test_links_of_the_same_ends_are_one_and_those_of_no_weight_none(
    graph: tuple[int, list[Triple]], data: st.DataObject
) -> None:
    n, given_links = graph
    links = linked(n, data.draw(st.permutations(given_links)))
    total: dict[tuple[int, int], float] = {}
    for i, j, w in given_links:
        if w > 0.0:
            total[i, j] = total.get((i, j), 0.0) + w
    ends = list(zip(links.source.tolist(), links.target.tolist(), strict=True))
    assert ends == sorted(total)
    assert links.weight.tolist() == pytest.approx([total[end] for end in ends], rel=1e-12)
    assert not links.weight.flags.writeable


def test_a_walk_by_hand() -> None:
    """From 0 to 1 or, three times as often, to 2; from 2 to 1; 1 is the end: the walk goes back to 0."""
    links = Links.of([0, 0, 2], [1, 2, 1], [1.0, 3.0, 5.0], n_nodes=3)
    # x0 = (x1 + 1)/2, x1 = (x0/4 + x2)/2, x2 = 3 x0/8
    x0 = 1 / (2 - 5 / 16)
    expected = [x0, 5 / 16 * x0, 3 / 8 * x0]
    assert sum(expected) == pytest.approx(1.0, abs=1e-15)
    assert personalised_pagerank(links, [1.0, 0.0, 0.0]).tolist() == pytest.approx(expected, abs=1e-10)


def test_too_few_rounds_are_an_error_that_says_how_far_it_was() -> None:
    links = Links.of([0, 1], [1, 0], n_nodes=2)
    with pytest.raises(InvalidParameterError, match="max_rounds must be more, or tolerance larger") as caught:
        personalised_pagerank(links, [1.0, 0.0], damping=0.99, max_rounds=10)
    assert caught.value.parameter == "max_rounds"
    assert personalised_pagerank(links, [1.0, 0.0], damping=0.99, max_rounds=5_000)[0] > 0.5


# Spreading activation


@given(graphs(), st.data(), STRENGTHS, FANS)
def test_activation_is_its_definition(
    graph: tuple[int, list[Triple]], data: st.DataObject, most: float, fan: Any
) -> None:
    n, given_links = graph
    links = linked(n, given_links)
    base = data.draw(st.lists(st.floats(-9.0, 9.0), min_size=n, max_size=n))
    sources = data.draw(st.lists(st.integers(0, n - 1), max_size=n))
    attention = data.draw(st.lists(st.floats(0.0, 3.0), min_size=len(sources), max_size=len(sources)))
    least = data.draw(st.sampled_from([-math.inf, 0.0]))
    targets: dict[int, dict[int, float]] = {j: {} for j in range(n)}
    for j, i, w in given_links:
        if w > 0.0:
            targets[j][i] = targets[j].get(i, 0.0) + w

    def strength(j: int, i: int) -> float:
        out = targets[j]
        n_facts = {"facts": len(out), "facts_and_self": len(out) + 1, "weights": math.fsum(out.values()) / out[i]}[fan]
        return max(least, most - math.log(n_facts))

    def level(weights: list[float]) -> list[float]:
        return [
            b + math.fsum(w * strength(j, i) for j, w in zip(sources, weights, strict=True) if i in targets[j])
            for i, b in enumerate(base)
        ]

    strengths = association_strengths(links, most, fan=fan, min_strength=least)
    found = spreading_activation(base, links, strengths, sources, attention)
    assert found.tolist() == pytest.approx(level(attention), abs=1e-10)
    even = spreading_activation(base, links, strengths, sources)
    assert even.tolist() == pytest.approx(level([1.0 / len(sources)] * len(sources) if sources else []), abs=1e-10)


@given(graphs(), st.data(), STRENGTHS, st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_activation_is_linear_in_the_attention(
    graph: tuple[int, list[Triple]], data: st.DataObject, most: float, a: float, b: float
) -> None:
    n, given_links = graph
    links = linked(n, given_links)
    strengths = association_strengths(links, most)
    one, other = np.array(data.draw(vectors(n))), np.array(data.draw(vectors(n)))

    def spread(attention: Any) -> Any:
        return spreading_activation(0.0, links, strengths, range(n), attention)

    assert spread(a * one + b * other).tolist() == pytest.approx(
        (a * spread(one) + b * spread(other)).tolist(), abs=1e-9
    )


@given(st.integers(1, 8), st.data())
def test_without_links_or_sources_the_base_level_is_left(n: int, data: st.DataObject) -> None:
    base = data.draw(st.lists(st.floats(-9.0, 9.0) | st.just(-math.inf), min_size=n, max_size=n))
    none = Links.of([], [], n_nodes=n)
    assert spreading_activation(base, none, association_strengths(none, 2.0), range(n)).tolist() == base
    links = linked(n, data.draw(triples(n)))
    assert spreading_activation(base, links, association_strengths(links, 2.0), []).tolist() == base


@given(graphs(), st.data(), STRENGTHS, FANS, st.sampled_from([-math.inf, 0.0]))
def test_another_link_of_a_node_never_raises_the_others_share(
    graph: tuple[int, list[Triple]], data: st.DataObject, most: float, fan: Any, least: float
) -> None:
    n, given_links = graph
    node, new, weight = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1)), data.draw(WEIGHTS)

    def strengths(links: Links) -> dict[tuple[int, int], float]:
        found = association_strengths(links, most, fan=fan, min_strength=least)
        ends = zip(links.source.tolist(), links.target.tolist(), strict=True)
        return dict(zip(ends, found.tolist(), strict=True))

    before = strengths(linked(n, given_links))
    after = strengths(linked(n, [*given_links, (node, new, weight)]))
    for (source, target), strength in before.items():
        if source != node:
            assert after[source, target] == strength
        elif target != new:
            assert after[source, target] <= strength + 1e-12
            if (node, new) not in before and weight > 0.0 and fan != "weights" and least < 0.0:
                assert after[source, target] < strength


def test_the_fan_effect_by_hand() -> None:
    """Hippie: park, church, bank. Lawyer: cave. Church: the hippie, the captain. With S_max = 2, and W of 1/2 each."""
    hippie, lawyer, captain, park, church, bank, cave = range(7)
    hippie_park, hippie_church, hippie_bank, lawyer_cave, captain_church = range(7, 12)
    facts = [
        (hippie, park, hippie_park),
        (hippie, church, hippie_church),
        (hippie, bank, hippie_bank),
        (lawyer, cave, lawyer_cave),
        (captain, church, captain_church),
    ]
    source = [concept for person, place, _ in facts for concept in (person, place)]
    target = [fact for *_, fact in facts for _ in range(2)]
    links = Links.of(source, target, n_nodes=12)
    strengths = association_strengths(links, 2.0)
    by_source = dict(zip(links.source.tolist(), strengths.tolist(), strict=True))
    assert by_source[hippie] == pytest.approx(0.901388, abs=1e-6)  # 2 - ln 3
    assert by_source[church] == pytest.approx(1.306853, abs=1e-6)  # 2 - ln 2
    assert by_source[lawyer] == 2.0
    asked = spreading_activation(0.0, links, strengths, [hippie, church])
    assert asked[hippie_church] == pytest.approx(1.104120, abs=1e-6)  # (0.901388 + 1.306853) / 2
    assert asked[hippie_park] == pytest.approx(0.450694, abs=1e-6)
    assert asked[captain_church] == pytest.approx(0.653426, abs=1e-6)
    assert asked[lawyer_cave] == 0.0
    assert spreading_activation(0.0, links, strengths, [lawyer, cave])[lawyer_cave] == 2.0
    with_self = association_strengths(links, 2.0, fan="facts_and_self")
    assert with_self[links.source == hippie].tolist() == pytest.approx([0.613706] * 3, abs=1e-6)  # 2 - ln 4


def test_more_facts_than_the_strength_allows_inhibit_unless_told_not_to() -> None:
    links = Links.of([0] * 4, [1, 2, 3, 4], n_nodes=5)
    assert association_strengths(links, 1.0).tolist() == pytest.approx([-0.386294] * 4, abs=1e-6)  # 1 - ln 4
    assert association_strengths(links, 1.0, min_strength=0.0).tolist() == [0.0] * 4


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(4, 7)), min_size=1, max_size=10, unique=True),
    st.integers(0, 3),
    st.integers(4, 7),
    STRENGTHS,
)
def test_activation_is_that_of_python_actr(pairs: list[tuple[int, int]], person: int, place: int, most: float) -> None:
    """It counts a concept itself, and gives each slot of the goal an attention of 1."""
    actr = python_actr()
    goal = actr.Buffer()
    memory = actr.Memory(goal)
    oracle = actr.DMSpreading(memory, goal)
    oracle.strength = most
    for i, j in pairs:
        memory.add(f"person:p{i} place:p{j}")
    goal.set(f"person:p{person} place:p{place}")
    expected = [oracle.activation(chunk) for chunk in memory.dm]
    facts = [(concept, 8 + row) for row, pair in enumerate(pairs) for concept in pair]
    links = Links.of([concept for concept, _ in facts], [fact for _, fact in facts], n_nodes=8 + len(pairs))
    strengths = association_strengths(links, most, fan="facts_and_self")
    found = spreading_activation(0.0, links, strengths, [person, place], [1.0, 1.0])
    assert found[8:].tolist() == pytest.approx(expected, abs=1e-12)


# Links that fade


@given(graphs(), curves(), st.data())
def test_a_link_fades_as_its_curve(graph: tuple[int, list[Triple]], curve: Any, data: st.DataObject) -> None:
    weights = np.array([w for *_, w in graph[1]])
    ages = data.draw(st.lists(st.floats(0.0, 1e9), min_size=len(weights), max_size=len(weights)))
    found = decayed_weights(weights, ages, curve)
    assert found.tolist() == [w * float(curve.value(age)) for w, age in zip(weights, ages, strict=True)]
    assert (found <= weights).all()
    if curve.laws.starts_at_one:
        assert decayed_weights(weights, np.zeros(len(weights)), curve).tolist() == weights.tolist()


@given(walks(), st.floats(1.0, 1e9), DAMPINGS)
def test_links_of_one_age_lead_where_they_did(
    walk: tuple[Links, list[float], list[float]], age: float, damping: float
) -> None:
    links, restart, _ = walk
    curve = decay.Power.hyperbolic(half_life_s=86_400.0)
    assume((links.weight > 0.0).all())
    older = Links.of(links.source, links.target, decayed_weights(links.weight, age, curve), n_nodes=links.n_nodes)
    rank = personalised_pagerank(links, restart, damping=damping)
    assert personalised_pagerank(older, restart, damping=damping).tolist() == pytest.approx(rank.tolist(), abs=1e-9)


# What is refused

ONE = Links.of([0], [1], n_nodes=2)
CURVE = decay.Exponential(half_life_s=1.0)


@pytest.mark.parametrize(
    ("call", "parameter"),
    [
        (lambda: Links.of([], [], n_nodes=0), "n_nodes"),
        (lambda: Links.of([], [], n_nodes=True), "n_nodes"),
        (lambda: Links.of([], [], n_nodes=2**31), "n_nodes"),
        (lambda: Links.of([0], [1], n_nodes=2.0), "n_nodes"),  # type: ignore[arg-type]
        (lambda: Links.of([2], [1], n_nodes=2), "source"),
        (lambda: Links.of([-1], [1], n_nodes=2), "source"),
        (lambda: Links.of([0.0], [1], n_nodes=2), "source"),
        (lambda: Links.of([[0]], [[1]], n_nodes=2), "source"),
        (lambda: Links.of([[0], [0, 1]], [1], n_nodes=2), "source"),  # type: ignore[list-item]
        (lambda: Links.of([0], [2], n_nodes=2), "target"),
        (lambda: Links.of([0], [True], n_nodes=2), "target"),
        (lambda: Links.of([0, 1], [1], n_nodes=2), "target"),
        (lambda: Links.of([0], [1], [-1.0], n_nodes=2), "weight"),
        (lambda: Links.of([0], [1], math.nan, n_nodes=2), "weight"),
        (lambda: Links.of([0], [1], math.inf, n_nodes=2), "weight"),
        (lambda: Links.of([0], [1], [1.0, 2.0], n_nodes=2), "weight"),
        (lambda: Links.of([0, 0], [1, 1], 1e308, n_nodes=2), "weight"),
        (lambda: association_strengths(ONE, math.nan), "max_strength"),
        (lambda: association_strengths(ONE, [1.0, 2.0]), "max_strength"),  # type: ignore[arg-type]
        (lambda: association_strengths(ONE, 1.0, min_strength=math.nan), "min_strength"),
        (lambda: association_strengths(ONE, 1.0, min_strength=math.inf), "min_strength"),
        (lambda: association_strengths(ONE, 1.0, fan="most"), "fan"),  # type: ignore[arg-type]
        (lambda: spreading_activation(math.nan, ONE, [1.0], [0]), "base_level"),
        (lambda: spreading_activation(math.inf, ONE, [1.0], [0]), "base_level"),
        (lambda: spreading_activation([0.0] * 3, ONE, [1.0], [0]), "base_level"),
        (lambda: spreading_activation("1", ONE, [1.0], [0]), "base_level"),
        (lambda: spreading_activation(0.0, ONE, [1.0, 1.0], [0]), "strengths"),
        (lambda: spreading_activation(0.0, ONE, [math.nan], [0]), "strengths"),
        (lambda: spreading_activation(0.0, ONE, [1.0], [2]), "sources"),
        (lambda: spreading_activation(0.0, ONE, [1.0], 0), "sources"),
        (lambda: spreading_activation(0.0, ONE, [1.0], [0], [-1.0]), "attention"),
        (lambda: spreading_activation(0.0, ONE, [1.0], [0], [math.nan]), "attention"),
        (lambda: spreading_activation(0.0, ONE, [1.0], [0], [1.0, 1.0]), "attention"),
        (lambda: personalised_pagerank(ONE, [0.0, 0.0]), "restart"),
        (lambda: personalised_pagerank(ONE, [1.0, -1.0]), "restart"),
        (lambda: personalised_pagerank(ONE, [1.0, math.nan]), "restart"),
        (lambda: personalised_pagerank(ONE, [1.0]), "restart"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], dangling=[0.0, 0.0]), "dangling"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], damping=1.0), "damping"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], damping=-0.1), "damping"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], damping=math.nan), "damping"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], tolerance=0.0), "tolerance"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], tolerance=math.nan), "tolerance"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], max_rounds=0), "max_rounds"),
        (lambda: personalised_pagerank(ONE, [1.0, 0.0], max_rounds=True), "max_rounds"),
        (lambda: decayed_weights([-1.0], [0.0], CURVE), "weight"),
        (lambda: decayed_weights([1.0], [-1.0], CURVE), "age_s"),
        (lambda: decayed_weights([1.0], [math.nan], CURVE), "age_s"),
        (lambda: decayed_weights([1.0, 1.0], [0.0] * 3, CURVE), "age_s"),
        (lambda: decayed_weights([1.0], [0.0], decay.Exponential), "curve"),  # type: ignore[arg-type]
    ],
)
def test_what_is_outside_the_domain_is_refused_by_name(call: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        call()
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("function", [association_strengths, personalised_pagerank])
def test_what_are_no_links_are_refused(function: Any) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        function([(0, 1)], [1.0, 0.0])
    assert caught.value.parameter == "links"
