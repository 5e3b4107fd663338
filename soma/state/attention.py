"""Attention that starts at some memories and walks over links: what `p.graph` reads, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from soma.math import spreading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.decay import Curve
    from soma.math.policy_terms import Direction
    from soma.state.record import Link

__all__ = ["FOCUS", "Attention", "LinkColumns"]

FOCUS = "in focus"
"""What part of an attention is called that came over no link: it started there, or started there again."""

_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class LinkColumns:
    """The links of a namespace as arrays, to be walked again and again.

    Parameters
    ----------
    ids : ndarray of S16, shape (n,)
        Their ends, each once, ordered.
    source, target : ndarray of intp, shape (m,)
        Which of ``ids`` each link starts from, and leads to.
    weight : ndarray of float64, shape (m,)
        Strengths, > 0.
    at_s : ndarray of float64, shape (m,)
        When they were set, POSIX seconds.
    """

    ids: NDArray[np.bytes_]
    source: NDArray[np.intp]
    target: NDArray[np.intp]
    weight: NDArray[np.float64]
    at_s: NDArray[np.float64]

    @classmethod
    def of(cls, links: Iterable[Link]) -> LinkColumns:
        """Return the columns of links, which do not depend on their order."""
        known = sorted(links, key=lambda link: (link.source, link.target, link.type))
        ends = np.array([end.bytes for link in known for end in (link.source, link.target)], dtype="S16")
        ids, place = np.unique(ends, return_inverse=True)
        return cls(
            ids,
            place[::2],
            place[1::2],
            np.array([link.weight for link in known], dtype=np.float64),
            np.array([link.at_s for link in known], dtype=np.float64),
        )


class Attention:
    """How much of an attention comes to each memory over links: personalised PageRank.

    Parameters
    ----------
    links : LinkColumns
        Over which it walks.
    focus : mapping of UUID to float
        Where it starts, and how much, >= 0, not all 0.
    damping : float
        How much of it goes on at each link, in [0, 1).
    direction : {"out", "in", "both"}
        Which way links are followed.
    curve : Curve, optional
        How links fade with the time since they were set; by default they do not.
    now_s : float
        The present, POSIX seconds: a link is as old as max(0, now - then).

    Raises
    ------
    InvalidParameterError
        Outside the domain.

    Notes
    -----
    Laws: ``property_tests/state/test_attention.py``.
    """

    def __init__(
        self,
        links: LinkColumns,
        focus: Mapping[UUID, float],
        *,
        damping: float = 0.5,
        direction: Direction = "both",
        curve: Curve | None = None,
        now_s: float = 0.0,
    ) -> None:
        started = np.array([id.bytes for id in focus], dtype="S16")
        self._ids = np.union1d(links.ids, started)
        place = np.searchsorted(self._ids, links.ids)
        source, target, weight = place[links.source], place[links.target], links.weight
        if curve is not None:
            weight = spreading.decayed_weights(weight, np.maximum(0.0, now_s - links.at_s), curve)
        if direction == "in":
            source, target = target, source
        elif direction == "both":
            source, target = np.concatenate([source, target]), np.concatenate([target, source])
            weight = np.concatenate([weight, weight])
        self._links = spreading.Links.of(source, target, weight, n_nodes=len(self._ids))
        restart = np.zeros(len(self._ids))
        restart[np.searchsorted(self._ids, started)] = list(focus.values())
        self._share = spreading.personalised_pagerank(self._links, restart, damping=damping, tolerance=_TOLERANCE)
        self._damping = damping

    def shares(self, ids: NDArray[np.bytes_]) -> NDArray[np.float64]:
        """Return the share that comes to each of some memories, 0 where no link leads, shape (n,)."""
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.where(self._ids[at] == ids, self._share[at], 0.0)

    def reached(self) -> dict[UUID, float]:
        """Return the memories that any of it comes to, the greatest share first, then by id."""
        order = np.argsort(-self._share, kind="stable").tolist()
        return {self._id(i): float(self._share[i]) for i in order if self._share[i] > 0.0}

    def reasons(self, ids: NDArray[np.bytes_]) -> list[dict[str, float]]:
        """Return for each of some memories where its share comes from: memories that link to it, and `FOCUS`.

        The greatest part first. Their sum is the share, to rounding.
        """
        probability = self._links.probability()
        return [self._parts(id, probability) for id in ids.tolist()]

    def _parts(self, id: bytes, probability: NDArray[np.float64]) -> dict[str, float]:
        at = int(np.searchsorted(self._ids, id))
        if at == len(self._ids) or self._ids[at] != id:
            return {}
        into = np.flatnonzero(self._links.target == at)
        sources = self._links.source[into]
        came = (self._damping * self._share[sources] * probability[into]).tolist()
        parts = {str(self._id(source)): part for source, part in zip(sources.tolist(), came, strict=True) if part > 0.0}
        rest = float(self._share[at]) - sum(parts.values())
        if rest > _TOLERANCE:
            parts[FOCUS] = rest
        return dict(sorted(parts.items(), key=lambda part: (-part[1], part[0])))

    def _id(self, place: int) -> UUID:
        return UUID(bytes=bytes(self._ids[place]).ljust(16, b"\0"))
