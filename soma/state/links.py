"""Links as a graph: neighbours, paths, and what spreads along them; pure functions of the links of a state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final, get_args
from uuid import UUID

from soma.errors import InvalidParameterError, NotFoundError
from soma.math.domain import non_negative
from soma.math.policy_terms import Direction
from soma.state.attention import Attention, LinkColumns
from soma.state.record import Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soma.math.decay import Curve

__all__ = ["LinkGraph", "Neighbour"]


@final
@dataclass(frozen=True, slots=True)
class Neighbour:
    """A memory that links lead to.

    Parameters
    ----------
    id : UUID
        Which memory.
    n_hops : int
        Fewest links that lead to it, >= 1.
    strength : float
        Product of the weights on the strongest way of so many links.
    """

    id: UUID
    n_hops: int
    strength: float


@final
@dataclass(frozen=True, slots=True)
class LinkGraph:
    """The links of a namespace, to be followed.

    Parameters
    ----------
    links : tuple of Link
        Such as `Memory.links` or `MinimalSoma.visible_links` returns: those whose ends are live.
    direction : {"out", "in", "both"}
        Which way they are followed.

    Raises
    ------
    InvalidParameterError
        For another direction.

    Notes
    -----
    Laws: ``property_tests/state/test_links.py``.

    Examples
    --------
    >>> a, b, c = UUID(int=1), UUID(int=2), UUID(int=3)
    >>> graph = LinkGraph((Link(a, b, "caused", 0.5, 0.0), Link(b, c, "caused", 0.5, 0.0)))
    >>> [(one.id.int, one.n_hops, one.strength) for one in graph.neighbours(a, n_hops=2)]
    [(2, 1, 0.5), (3, 2, 0.25)]
    """

    links: tuple[Link, ...]
    direction: Direction = "out"

    def __post_init__(self) -> None:
        object.__setattr__(self, "links", tuple(self.links))
        if self.direction not in get_args(Direction):
            raise InvalidParameterError("direction", self.direction, "must be 'out', 'in' or 'both'")

    def only(self, *, types: Iterable[str] | None = None, min_weight: float = 0.0) -> LinkGraph:
        """Return the graph of some of its links.

        Parameters
        ----------
        types : iterable of str, optional
            What they mean; any by default.
        min_weight : float
            Least weight, >= 0.
        """
        least = float(non_negative("min_weight", min_weight))
        wanted = None if types is None else frozenset(types)
        kept = (link for link in self.links if link.weight >= least and (wanted is None or link.type in wanted))
        return replace(self, links=tuple(kept))

    def neighbours(self, id: UUID, *, n_hops: int = 1) -> tuple[Neighbour, ...]:
        """Return what is within some links of a memory: the nearest first, then the strongest, then by id.

        Parameters
        ----------
        id : UUID
            Where to begin; it is not among its neighbours.
        n_hops : int
            Most links to follow, >= 1.

        Raises
        ------
        InvalidParameterError
            For another number of links.
        """
        if type(n_hops) is not int or n_hops < 1:
            raise InvalidParameterError("n_hops", n_hops, "must be an integer >= 1")
        found: list[Neighbour] = []
        for hops, layer in enumerate(self._layers(id), start=1):
            if hops > n_hops:
                break
            near = (Neighbour(one, hops, strength) for one, (strength, _) in layer.items())
            found += sorted(near, key=lambda one: (-one.strength, one.id))
        return tuple(found)

    def path(self, source: UUID, target: UUID) -> tuple[Link, ...]:
        """Return the way of fewest links; of those the strongest, and of those the first by ids.

        Parameters
        ----------
        source, target : UUID
            Where it begins and ends; the way from a memory to itself is empty.

        Raises
        ------
        NotFoundError
            If no links lead there.
        """
        if source == target:
            return ()
        for layer in self._layers(source):
            if target in layer:
                return layer[target][1]
        raise NotFoundError("way", f"from {source} to {target}", "follow links in both directions, or of more types")

    def spread(
        self,
        sources: Mapping[UUID, float] | Iterable[UUID],
        *,
        now_s: float | None = None,
        curve: Curve | None = None,
        damping: float = 0.5,
    ) -> dict[UUID, float]:
        """Return how much of an attention that starts at some memories comes to each: personalised PageRank.

        Parameters
        ----------
        sources : mapping of UUID to float, or iterable of UUID
            Where attention starts, and how much, >= 0; evenly by default.
        now_s : float, optional
            The present, POSIX seconds; with a curve.
        curve : Curve, optional
            How links fade with the time since they were set; by default they do not.
        damping : float
            How much of it goes on at each link, in [0, 1).

        Returns
        -------
        dict of UUID to float
            Of a sum of 1, the greatest share first, then by id; what nothing comes to is left out.

        Raises
        ------
        InvalidParameterError
            Outside the domain, for no sources, and for a curve without the present.

        Notes
        -----
        `soma.math.spreading.personalised_pagerank`; as a term of a policy it is `soma.math.policy.graph`.
        """
        start = dict(sources) if isinstance(sources, Mapping) else dict.fromkeys(sources, 1.0)
        if (curve is None) != (now_s is None):
            raise InvalidParameterError("now_s", now_s, "must be given with a curve, and only then")
        if not start:
            raise InvalidParameterError("sources", sources, "must hold a memory")
        columns, direction = LinkColumns.of(self.links), self.direction
        found = Attention(columns, start, damping=damping, direction=direction, curve=curve, now_s=now_s or 0.0)
        return found.reached()

    def _steps(self, link: Link) -> Iterable[tuple[UUID, UUID, Link]]:
        if self.direction != "in":
            yield link.source, link.target, link
        if self.direction != "out":
            yield link.target, link.source, link

    def _layers(self, start: UUID) -> Iterable[dict[UUID, tuple[float, tuple[Link, ...]]]]:
        """Yield what is 1, 2, ... links away, each with the strength of its best way, and the way."""
        steps: dict[UUID, list[tuple[UUID, Link]]] = {}
        for link in self.links:
            for one, other, _ in self._steps(link):
                steps.setdefault(one, []).append((other, link))
        seen = {start}
        layer: dict[UUID, tuple[float, tuple[Link, ...]]] = {start: (1.0, ())}
        ranks: dict[UUID, tuple[float, Sequence[object]]] = {start: (-1.0, ())}
        while layer:
            further: dict[UUID, tuple[float, tuple[Link, ...]]] = {}
            next_ranks: dict[UUID, tuple[float, Sequence[object]]] = {}
            for one, (strength, way) in layer.items():
                for other, link in steps.get(one, ()):
                    if other in seen:
                        continue
                    product = strength * link.weight
                    rank = (-product, (*ranks[one][1], other, link.type, link.source))
                    if other not in next_ranks or rank < next_ranks[other]:
                        next_ranks[other], further[other] = rank, (product, (*way, link))
            seen |= further.keys()
            layer, ranks = further, next_ranks
            if layer:
                yield layer
