"""Laws of following links; networkx is the oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from uuid import UUID

import networkx as nx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import soma
from soma.errors import InvalidParameterError, NotFoundError
from soma.math.decay import Exponential
from soma.state.links import LinkGraph, Neighbour
from soma.state.record import Link

IDS = [UUID(int=n) for n in range(1, 8)]
ids = st.sampled_from(IDS)
links = st.lists(
    st.builds(
        Link,
        source=ids,
        target=ids,
        type=st.sampled_from(["caused", "related"]),
        weight=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
        at_s=st.floats(0.0, 100.0),
    ),
    max_size=14,
    unique_by=lambda link: (link.source, link.target, link.type),
).map(tuple)
directions = st.sampled_from(["out", "in", "both"])
graphs = st.builds(LinkGraph, links, directions)


def oracle(graph: LinkGraph) -> nx.MultiDiGraph:
    known = nx.MultiDiGraph()
    known.add_nodes_from(IDS)
    for link in graph.links:
        if graph.direction != "in":
            known.add_edge(link.source, link.target, link=link)
        if graph.direction != "out":
            known.add_edge(link.target, link.source, link=link)
    return known


def ways(graph: LinkGraph, source: UUID, target: UUID) -> list[tuple[float, list[object], tuple[Link, ...]]]:
    """Every way of fewest links, strongest first, then by ids and types."""
    known = oracle(graph)
    found = []
    for nodes in nx.all_shortest_paths(nx.DiGraph(known), source, target):
        steps: list[list[Link]] = [
            [data["link"] for data in known.get_edge_data(one, other).values()] for one, other in pairwise(nodes)
        ]
        chosen: list[tuple[Link, ...]] = [()]
        for step in steps:
            chosen = [(*way, link) for way in chosen for link in step]
        for way in chosen:
            key = [part for other, link in zip(nodes[1:], way, strict=True) for part in (other, link.type, link.source)]
            found.append((-math.prod(link.weight for link in way), key, way))
    return sorted(found, key=lambda one: one[:2])


@given(graphs, ids, st.integers(1, 8))
def test_neighbours_are_all_that_so_few_links_lead_to(graph: LinkGraph, id: UUID, n_hops: int) -> None:
    found = graph.neighbours(id, n_hops=n_hops)
    hops = nx.single_source_shortest_path_length(oracle(graph), id, cutoff=n_hops)
    assert {one.id: one.n_hops for one in found} == {other: n for other, n in hops.items() if n}
    assert list(found) == sorted(found, key=lambda one: (one.n_hops, -one.strength, one.id))
    for one in found:
        assert one.strength == pytest.approx(-ways(graph, id, one.id)[0][0])


@given(graphs, ids, ids)
def test_a_path_is_the_strongest_of_the_shortest(graph: LinkGraph, source: UUID, target: UUID) -> None:
    if source == target:
        assert graph.path(source, target) == ()
    elif not nx.has_path(oracle(graph), source, target):
        with pytest.raises(NotFoundError, match=str(target)):
            graph.path(source, target)
    else:
        assert graph.path(source, target) == ways(graph, source, target)[0][2]


@given(links, ids, st.integers(1, 4))
def test_following_back_is_following_what_is_turned_round(drawn: Sequence[Link], id: UUID, n_hops: int) -> None:
    turned = tuple(Link(link.target, link.source, link.type, link.weight, link.at_s) for link in drawn)
    back = LinkGraph(tuple(drawn), "in").neighbours(id, n_hops=n_hops)
    assert back == LinkGraph(turned, "out").neighbours(id, n_hops=n_hops)


@given(graphs, ids, st.sampled_from([None, [], ["caused"], ["caused", "related"]]), st.sampled_from([0.0, 0.5, 3.0]))
def test_a_filter_keeps_what_it_names(graph: LinkGraph, id: UUID, types: list[str] | None, least: float) -> None:
    kept = graph.only(types=types, min_weight=least)
    wanted = ["caused", "related"] if types is None else types
    assert kept.links == tuple(link for link in graph.links if link.type in wanted and link.weight >= least)
    assert kept.direction == graph.direction
    assert {one.id for one in kept.neighbours(id, n_hops=7)} <= {one.id for one in graph.neighbours(id, n_hops=7)}


@given(graphs, st.dictionaries(ids, st.floats(0.1, 5.0), min_size=1, max_size=3), st.sampled_from([0.0, 0.5, 0.85]))
def test_attention_spreads_as_personalised_pagerank(
    graph: LinkGraph, sources: dict[UUID, float], damping: float
) -> None:
    found = graph.spread(sources, damping=damping)
    known = nx.DiGraph()
    known.add_nodes_from(IDS)
    for one, other, data in oracle(graph).edges(data=True):
        weight = data["link"].weight + known.get_edge_data(one, other, {"weight": 0.0})["weight"]
        known.add_edge(one, other, weight=weight)
    expected = nx.pagerank(known, alpha=damping, personalization=sources, tol=1e-12, max_iter=1_000)
    for id in IDS:
        assert found.get(id, 0.0) == pytest.approx(expected[id], abs=1e-8)
    assert sum(found.values()) == pytest.approx(1.0)
    assert list(found.items()) == sorted(found.items(), key=lambda one: (-one[1], one[0]))
    total = sum(sources.values())
    assert graph.spread({id: share / total for id, share in sources.items()}, damping=damping) == pytest.approx(found)


@given(graphs, ids, st.floats(100.0, 1e3))
def test_links_fade_with_the_time_since_they_were_set(graph: LinkGraph, id: UUID, now_s: float) -> None:
    curve = Exponential(half_life_s=50.0)
    faded = tuple(
        Link(link.source, link.target, link.type, link.weight * float(curve.value(now_s - link.at_s)), link.at_s)
        for link in graph.links
    )
    assume(all(link.weight > 0.0 for link in faded))
    expected = LinkGraph(faded, graph.direction).spread([id])
    assert graph.spread([id], now_s=now_s, curve=curve) == pytest.approx(expected, abs=1e-8)


def test_what_a_memory_links_to_can_be_followed() -> None:
    with soma.create_memory("TEST") as memory:
        a, b, c = (memory.remember(text) for text in ("the alarm", "the fire", "the report"))
        memory.link(b.id, a.id, "caused", 0.9)
        memory.link(a.id, c.id, "mentioned", 0.5)
        graph = memory.graph()
        assert graph.neighbours(b.id, n_hops=2) == (Neighbour(a.id, 1, 0.9), Neighbour(c.id, 2, 0.45))
        assert [link.type for link in graph.path(b.id, c.id)] == ["caused", "mentioned"]
        assert [one.id for one in memory.graph("in").neighbours(a.id)] == [b.id]
        memory.forget(a.id)
        assert memory.graph().neighbours(b.id) == ()  # nothing leads through what is forgotten
        memory.store(a)
        assert memory.graph().neighbours(b.id)[0].id == a.id


SOME = LinkGraph((Link(IDS[0], IDS[1], "related", 1.0, 0.0),))
REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "another direction": ("direction", lambda: LinkGraph((), "up")),  # type: ignore[arg-type]
    "no links to follow": ("n_hops", lambda: SOME.neighbours(IDS[0], n_hops=0)),
    "half a link": ("n_hops", lambda: SOME.neighbours(IDS[0], n_hops=1.5)),  # type: ignore[arg-type]
    "a negative weight": ("min_weight", lambda: SOME.only(min_weight=-1.0)),
    "no source": ("sources", lambda: SOME.spread([])),
    "sources without attention": ("restart", lambda: SOME.spread({IDS[0]: 0.0})),
    "a curve without the present": ("now_s", lambda: SOME.spread([IDS[0]], curve=Exponential(1.0))),
    "the present without a curve": ("now_s", lambda: SOME.spread([IDS[0]], now_s=1.0)),
    "all of it goes on": ("damping", lambda: SOME.spread([IDS[0]], damping=1.0)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(case: str) -> None:
    parameter, call = REFUSED[case]
    with pytest.raises(InvalidParameterError) as refused:
        call()
    assert refused.value.parameter == parameter
