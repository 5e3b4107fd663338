"""Laws of attention over links: what the term ``graph`` is worth in recall; networkx is the oracle."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma import DAY, InvalidParameterError, Link, MemoryRecord, MinimalSoma, Query, Recall, decay
from soma import policy as p
from soma.math.policy_terms import BestMatch, Graph
from soma.state.attention import FOCUS
from soma.state.events import MemoryLinked
from soma.state.transition import apply
from soma.testing.policies import curves

NOW = 1_000_000.0
IDS = [UUID(int=n << 8) for n in range(1, 9)]  # their last byte is 0, which an array of bytes does not show
LIVE = IDS[:6]
ids = st.sampled_from(IDS)
links = st.lists(
    st.builds(
        Link,
        source=ids,
        target=ids,
        type=st.sampled_from(["caused", "related"]),
        weight=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
        at_s=st.sampled_from([NOW - DAY, NOW - 60.0, NOW, NOW + 60.0]),
    ),
    max_size=16,
    unique_by=lambda link: (link.source, link.target, link.type),
)
focuses = st.dictionaries(st.sampled_from(LIVE), st.sampled_from([0.5, 1.0, 3.0]), min_size=1, max_size=3)
dampings = st.floats(0.0, 0.95)
directions = st.sampled_from(["out", "in", "both"])


def state(links: list[Link]) -> MinimalSoma:
    soma = MinimalSoma(dim=1)
    for number, link in enumerate(links):
        event = MemoryLinked(
            event_id=UUID(int=number),
            at_s=link.at_s,
            namespace="default",
            source=link.source,
            target=link.target,
            link_type=link.type,
            weight=link.weight,
        )
        soma, _ = apply(soma, event)
    for number, id in enumerate(LIVE):
        tags = ["odd"] * (number % 2)
        soma = soma.store(
            MemoryRecord(id=id, coordinate=[0.0], timestamp=0, importance=5, tags=tags, text=f"memory {number}")
        )
    return soma


def found(soma: MinimalSoma, focus: Any, policy: p.Policy, **keep: Any) -> Recall:
    return soma.recall(Query(focus=focus), now_s=NOW, k=99, policy=policy, **keep)


def shares(recall: Recall) -> dict[UUID, float]:
    return {hit.record.id: hit.score for hit in recall}


def expected(
    soma: MinimalSoma, focus: dict[UUID, float], damping: float, direction: str, curve: decay.Curve | None
) -> dict[UUID, float]:
    graph = nx.DiGraph()
    graph.add_nodes_from(LIVE)
    for link in soma.visible_links("default"):
        weight = link.weight * (1.0 if curve is None else float(curve.value(max(0.0, NOW - link.at_s))))
        ends = [(link.source, link.target)] * (direction != "in") + [(link.target, link.source)] * (direction != "out")
        for source, target in ends:
            if weight > 0.0:
                before = graph.get_edge_data(source, target, {"weight": 0.0})["weight"]
                graph.add_edge(source, target, weight=before + weight)
    return nx.pagerank(graph, alpha=damping, personalization=focus, dangling=focus, tol=1e-14, max_iter=10_000)  # type: ignore[no-any-return]


@given(links, focuses, dampings, directions, st.none() | curves())
def test_it_is_pagerank_over_the_links_between_live_memories(
    links: list[Link], focus: dict[UUID, float], damping: float, direction: Any, curve: decay.Curve | None
) -> None:
    soma = state(links)
    policy = p.graph(damping=damping, direction=direction, curve=curve)
    wanted = expected(soma, focus, damping, direction, curve)
    assert shares(found(soma, focus, policy)) == pytest.approx(wanted, abs=1e-9)


@given(links, focuses, dampings)
def test_all_of_it_comes_to_some_memory(links: list[Link], focus: dict[UUID, float], damping: float) -> None:
    assert sum(shares(found(state(links), focus, p.graph(damping=damping))).values()) == pytest.approx(1.0, abs=1e-9)


@given(links, st.permutations(IDS), focuses, st.sampled_from([0.5, 4.0]))
def test_neither_the_order_of_links_and_ids_nor_the_unit_of_attention_matters(
    links: list[Link], order: list[UUID], focus: dict[UUID, float], unit: float
) -> None:
    shuffled = sorted(links, key=lambda link: (order.index(link.target), link.type))
    again = {id: unit * focus[id] for id in order if id in focus}
    assert shares(found(state(shuffled), again, p.graph())) == shares(found(state(links), focus, p.graph()))


@given(links, focuses, dampings, directions)
def test_what_a_filter_leaves_out_still_leads_on(
    links: list[Link], focus: dict[UUID, float], damping: float, direction: Any
) -> None:
    soma, policy = state(links), p.graph(damping=damping, direction=direction)
    all_of_it = shares(found(soma, focus, policy))
    some = shares(found(soma, focus, policy, tags=["odd"]))
    assert some == {id: all_of_it[id] for id in LIVE[1::2]}


@given(links, focuses, dampings, directions)
def test_the_reasons_of_a_share_are_its_summands(
    links: list[Link], focus: dict[UUID, float], damping: float, direction: Any
) -> None:
    policy = p.graph(damping=damping, direction=direction)
    recall = found(state(links), focus, 2.0 * policy)
    for place, hit in enumerate(recall):
        (parts,) = hit.reasons.values()
        assert sum(parts.values()) == pytest.approx(hit.score / 2.0, abs=1e-11)
        assert min(parts.values(), default=0.0) >= 0.0
        linked = {str(link.source) for link in links} | {str(link.target) for link in links}
        assert parts.keys() <= {FOCUS, *linked}
        if hit.record.id in focus:
            assert parts[FOCUS] >= (1.0 - damping) * focus[hit.record.id] / sum(focus.values()) - 1e-11
        if parts:
            (tree,) = [part for part in recall.explain(place).children if part.label == str(policy)]
            assert {part.label: part.value for part in tree.children} == {repr(name): x for name, x in parts.items()}


def test_attention_fades_with_each_link_and_with_age() -> None:
    a, b, c = LIVE[:3]
    chain = state([Link(a, b, "caused", 1.0, NOW), Link(b, c, "caused", 1.0, NOW)])
    near = shares(found(chain, [a], p.graph()))
    assert near[a] > near[b] > near[c] > near[LIVE[3]] == 0.0
    two = state([Link(a, b, "caused", 1.0, NOW - DAY), Link(a, c, "caused", 1.0, NOW)])
    fading = shares(found(two, [a], p.graph(curve=decay.Exponential(half_life_s=DAY))))
    assert fading[b] == pytest.approx(fading[c] / 2.0)


def test_a_focus_that_is_not_live_leads_nowhere_and_takes_its_part() -> None:
    a, b = LIVE[:2]
    soma = state([Link(a, b, "caused", 1.0, NOW)])
    gone = shares(found(soma, [IDS[7]], p.graph()))
    assert set(gone.values()) == {0.0}
    whole, part = (shares(found(soma, focus, p.graph())) for focus in ([a], [a, IDS[7]]))
    assert part[a] == pytest.approx(whole[a] * (1.0 - 1.0 / 3.0))  # as much stays there as stays with the other
    assert 2.0 * part[b] == pytest.approx(part[a])


def test_one_answer_is_the_focus_of_the_next() -> None:
    soma = state([Link(LIVE[4], LIVE[2], "caused", 1.0, NOW)])
    first = soma.recall("memory 4", now_s=NOW, k=1, policy=p.bm25())
    assert list(first.focus) == [LIVE[4]]
    again = soma.recall(Query("anything", focus=first.focus), now_s=NOW, k=2, policy=p.graph() + 0.01 * p.bm25())
    assert [hit.record.id for hit in again] == [LIVE[4], LIVE[2]]
    assert soma.recall("memory 4", now_s=NOW, k=99, policy=p.bm25() - 100).focus == {}


@given(dampings, directions, st.none() | curves())
def test_the_name_of_the_feature_says_how(damping: float, direction: Any, curve: decay.Curve | None) -> None:
    policy = p.graph(damping=damping, direction=direction, curve=curve)
    (name,) = policy.features
    assert Graph.of_feature(name) == policy
    assert p.from_json(policy.to_json()) == policy
    assert policy.evaluate({name: [0.25, 0.5]}).tolist() == [0.25, 0.5]
    space = {"p": p, "graph": p.graph, **{family.__name__: family for family in decay.FAMILIES.values()}}
    assert eval(str(policy), space) == policy


@given(st.floats(0, 9), st.floats(0, 1), st.sampled_from([None, 'a "b", c=(1)', "é'"]))
def test_so_does_that_of_words(k1: float, b: float, group: str | None) -> None:
    policy = p.bm25(k1=k1, b=b, ratio=0.25, reach=3, group=group)
    (name,) = policy.features
    assert BestMatch.of_feature(name) == policy


@pytest.mark.parametrize(
    ("said", "given_"),
    [
        ("damping must be within [0, 0.95], got 1.0", {"damping": 1.0}),
        ("damping must be within [0, 0.95], got -0.5", {"damping": -0.5}),
        ("direction must be 'out', 'in' or 'both', got 'up'", {"direction": "up"}),
        ("curve must be a forgetting curve of soma.math.decay, got 3", {"curve": 3}),
    ],
)
def test_a_term_outside_its_domain_is_refused(said: str, given_: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError) as error:
        p.graph(**given_)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("said", "focus"),
    [
        ("focus must be a list of ids, or map them to numbers", "6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11"),
        ("focus must be a list of ids, or map them to numbers", 3),
        ("focus must be a UUID", ["here"]),
        ("focus must be >= 0", {IDS[0]: -1.0}),
        ("focus must be finite", {IDS[0]: np.inf}),
        ("focus must not be 0 for every memory", {IDS[0]: 0.0}),
    ],
)
def test_a_focus_outside_its_domain_is_refused(said: str, focus: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{said}"):
        Query("why?", focus=focus)


def test_a_question_without_a_focus_cannot_be_asked_with_graph() -> None:
    with pytest.raises(InvalidParameterError, match=r"^query must have a focus, because the policy uses graph"):
        state([]).recall("why?", now_s=NOW, policy=p.graph())
    with pytest.raises(InvalidParameterError, match=r"^query must have a text, an embedding, a coordinate or a focus"):
        Query(focus=[])
