"""What is asked of a memory: retrieve, recall, links, counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from soma import lifecycle
from soma.errors import InvalidParameterError
from soma.lab.recall import LabRecall
from soma.math import policy as policies
from soma.math.policy_terms import Direction
from soma.memory.travelling import Travelling
from soma.state.fields import as_uuid
from soma.state.history import Moment, Position
from soma.state.instant import Instant, to_seconds
from soma.state.links import LinkGraph
from soma.state.query import Filter, Query
from soma.state.recall import rank
from soma.state.record import Link
from soma.state.stored import StoredMemory
from soma.stores.relayed import CURSOR

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.math.policy import Policy
    from soma.state.minimal import MinimalSoma

__all__ = ["Recalling"]


class Recalling(Travelling):
    """Verbs that read, of today or of any other state."""

    def retrieve(self, id: UUID | str) -> StoredMemory:
        """Return one memory: its record, version, trace and recalls.

        Raises
        ------
        NotFoundError
            If there is no such live memory.
        """
        with self._store.storage.reading():
            return self._store.live([as_uuid("id", id)])[0]

    def links(self, id: UUID | str | None = None) -> list[Link]:
        """Return the links whose ends are live, of one memory or of all, ordered by source, target and type."""
        with self._store.storage.reading():
            links = self._store.storage.records.links(self.namespace)
        wanted = None if id is None else as_uuid("id", id)
        return [link for link in links if wanted is None or wanted in (link.source, link.target)]

    def graph(self, direction: Direction = "out") -> LinkGraph:
        """Return these links as a graph to be followed "out", "in" or "both": neighbours, paths, spreading."""
        return LinkGraph(tuple(self.links()), direction)

    def recall(
        self,
        query: Query | str | ArrayLike,
        *,
        k: int = 5,
        policy: Policy | None = None,
        now: Instant | None = None,
        as_of: Moment | None = None,
        state: MinimalSoma | None = None,
        reinforce: bool = False,
        tags: Iterable[str] = (),
        memory_type: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> LabRecall:
        """Return the ``k`` best memories under a policy, exactly and explained.

        Parameters
        ----------
        query : str, Query or array_like
            Words, embedded here; a `Query`; or a coordinate.
        k : int
            How many at most, >= 1.
        policy : Policy, optional
            The score; without one `soma.math.presets.default`, or `dense` for a query without words.
        now : float, aware datetime or str, optional
            The time that ages are counted to; the clock's by default. The memories are those of today.
        as_of : float, aware datetime, str or Position, optional
            Travel in time: the memories are those of that instant, and so is ``now``. With a `soma.Position` they are
            those that the log held there, and ``now`` is the latest time of its events, unless it is given.
        state : MinimalSoma, optional
            What if: the memories are those of this state, such as a fold of `as_of` and other events.
        reinforce : bool
            Record that the hits were recalled, which strengthens their traces.
        tags : iterable of str
            Only memories that carry all of these.
        memory_type : str, optional
            Only ``"episodic"`` or only ``"semantic"`` memories.
        since, until : float, aware datetime or str, optional
            Only what happened at ``since`` or later, and before ``until``.
        where : mapping, optional
            Only memories whose payload has these values: from dotted paths to a value, a list of which any will do, or
            a `soma.Between`. A list in a payload has a value if one of its items is that; None stands for none.

        Returns
        -------
        LabRecall
            Hits by falling score; ties go to the smaller id.

        Raises
        ------
        InvalidParameterError
            For an argument outside its domain, or a query that cannot give what the policy needs.
        """
        if reinforce and (as_of is not None or state is not None):
            raise InvalidParameterError("reinforce", reinforce, "must be false for another state than today's")
        keep = {"tags": tags, "memory_type": memory_type, "since": since, "until": until, "where": where}
        (found,) = self._answers([query], k, policy, now, as_of, state, keep)
        if reinforce and found.hits:
            lifecycle.reinforce(self._store, [hit.record.id for hit in found])
        return found

    def recall_batch(
        self,
        queries: Iterable[Query | str | ArrayLike],
        *,
        k: int = 5,
        policy: Policy | None = None,
        now: Instant | None = None,
        as_of: Moment | None = None,
        state: MinimalSoma | None = None,
        tags: Iterable[str] = (),
        memory_type: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> list[LabRecall]:
        """Return the answer to each of several questions, as `recall` gives it, to the bit.

        Their words are embedded together, all are asked at one time of one state, and nothing is reinforced.

        Parameters
        ----------
        queries : iterable of str, Query or array_like
            What is looked for.
        k, policy, now, as_of, state, tags, memory_type, since, until, where
            As of `recall`, the same for all.

        Returns
        -------
        list of LabRecall
            In the order of the questions.

        Raises
        ------
        InvalidParameterError
            As of `recall`; nothing is answered then.
        """
        keep = {"tags": tags, "memory_type": memory_type, "since": since, "until": until, "where": where}
        return self._answers(queries, k, policy, now, as_of, state, keep)

    def _answers(
        self,
        queries: Iterable[Query | str | ArrayLike],
        k: int,
        policy: Policy | None,
        now: Instant | None,
        as_of: Moment | None,
        state: MinimalSoma | None,
        keep: dict[str, Any],
    ) -> list[LabRecall]:
        if as_of is not None and (state is not None or (now is not None and not isinstance(as_of, Position))):
            raise InvalidParameterError("as_of", as_of, "must stand without now and state, which it gives")
        asked, kept = self._store.ask_all(queries), Filter.of(**keep)
        scored = [policies.or_default(policy, has_words=one.text is not None) for one in asked]
        if as_of is not None:
            state = self.as_of(as_of)
            if not isinstance(as_of, Position):
                now = as_of
            elif now is None:
                now = self._instant_of(as_of)
        now_s = self._store.clock() if now is None else to_seconds("now", now)
        if state is None:
            found: dict[int, LabRecall] = {}
            with self._store.storage.reading():
                for scores in dict.fromkeys(scored):  # one policy, or the two that None may mean
                    places = [place for place, its in enumerate(scored) if its == scores]
                    answers = self._store.search([asked[place] for place in places], scores, now_s, k, kept)
                    found |= {place: LabRecall.of(answer) for place, answer in zip(places, answers, strict=True)}
            return [found[place] for place in range(len(asked))]
        if self.namespace not in state.namespaces:
            state, _ = state.register(self._store.registration)
        live = [memory for memory in state.live(self.namespace) if kept.admits(memory.record, now_s)]
        return [
            LabRecall.of(
                rank(
                    live,
                    one,
                    policy=scores,
                    namespace=state.namespaces[self.namespace],
                    now_s=now_s,
                    k=k,
                    vectors=self._store.vectors,
                    links=partial(state.visible_links, self.namespace),
                )
            )
            for one, scores in zip(asked, scored, strict=True)
        ]

    def stats(self) -> dict[str, Any]:
        """Return counts and constants of the namespace, as JSON values.

        Where the log was ever published as well (``SOMA_DUAL_WRITE``), ``unpublished`` says how many of its events, of
        every namespace, were not yet.
        """
        with self._store.storage.reading():
            counts = self._store.storage.records.counts(self.namespace)
            head, links = (
                self._store.storage.log.head(),
                len(self._store.storage.records.links(self.namespace)),
            )
            published = self._store.storage.setting(CURSOR)
        return {
            "namespace": self.namespace,
            "episodic": counts.get("episodic", 0),
            "semantic": counts.get("semantic", 0),
            "deleted": counts.get("deleted", 0),
            "links": links,
            "events": head,
            "dimension": self.registration.dimension,
            "embedder": self.embedder.revision,
            **({} if published is None else {"unpublished": head - int(published)}),
        }
