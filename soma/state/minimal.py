"""MinimalSoma: the whole state of a memory system as one immutable value. It is the oracle of every store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from immutables import Map

from soma import canonical_json
from soma.errors import NotFoundError
from soma.math.policy import or_default
from soma.state.events import MemoryCreated, MemoryLinked, MemoryUnlinked
from soma.state.instant import Instant, to_seconds
from soma.state.namespace import Namespace
from soma.state.query import Filter, Query
from soma.state.recall import Recall, rank
from soma.state.record import Link, MemoryRecord
from soma.state.stored import Effect, EffectKind, Stored, StoredMemory, admit, evolve, stored_to_dict

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.math.policy import Policy

__all__ = ["MinimalSoma", "recall", "state_hash", "store"]

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class MinimalSoma:
    """The state: namespaces, memories, links, and the events already applied.

    Every operation returns a new value in about constant time; the old one stays intact, because the maps share
    their structure (hash array mapped tries).

    Parameters
    ----------
    namespaces : Map of str to Namespace
        The registrations.
    memories : Map of (str, UUID) to StoredMemory or Tombstone
        What the log has made of each memory.
    links : Map of (str, UUID) to Map of (UUID, str) to Link
        Links by the memory that they start from, then by target and type.
    seen : Map of UUID to None
        The events applied.
    dim : int, optional
        Register the namespace ``"default"`` with this dimension, so that `store` can be called at once.

    Notes
    -----
    Laws: ``property_tests/state/test_minimal.py``.

    Examples
    --------
    >>> empty = MinimalSoma(dim=2)
    >>> one = empty.store(MemoryRecord(id="6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11", coordinate=[0.25, 0.5],
    ...                                timestamp=0, importance=7, payload={"note": "first"}))
    >>> len(one.all()), len(empty.all())
    (1, 0)
    """

    namespaces: Map[str, Namespace] = field(default_factory=Map)
    memories: Map[tuple[str, UUID | None], Stored] = field(default_factory=Map)
    links: Map[tuple[str, UUID], Map[tuple[UUID, str], Link]] = field(default_factory=Map)
    seen: Map[UUID, None] = field(default_factory=Map)
    dim: InitVar[int | None] = None

    def __post_init__(self, dim: int | None) -> None:
        if dim is not None:
            object.__setattr__(self, "namespaces", self.namespaces.set("default", Namespace("default", dimension=dim)))

    def __repr__(self) -> str:
        return f"MinimalSoma({len(self.all()):,} memories in {len(self.namespaces)} namespaces)"

    def register(self, namespace: Namespace) -> tuple[MinimalSoma, Effect]:
        """Return the state with ``namespace``; one that is registered stays as it is."""
        if namespace.name in self.namespaces:
            return self, Effect(EffectKind.DUPLICATE, f"namespace {namespace.name} is registered")
        namespaces = self.namespaces.set(namespace.name, namespace)
        return replace(self, namespaces=namespaces), Effect(EffectKind.REGISTERED)

    def store(self, record: MemoryRecord) -> MinimalSoma:
        """Return the state with ``record``; a live memory of the same id is replaced and keeps its trace.

        Parameters
        ----------
        record : MemoryRecord
            What to remember.

        Returns
        -------
        MinimalSoma
            The new state.

        Raises
        ------
        NotFoundError
            If the record's namespace is not registered.
        InvalidParameterError
            If its coordinate has another dimension, or lies outside the frame.
        """
        event = MemoryCreated(event_id=_NOBODY, at_s=record.timestamp, record=record)
        namespace = self.namespaces.get(record.namespace)
        admit(event, namespace)
        assert namespace is not None  # noqa: S101 - admit has raised otherwise; for the type checker
        stored, _ = evolve(self.memories.get(record.key), event, namespace)
        assert stored is not None  # noqa: S101 - a creation always leaves a memory; for the type checker
        return replace(self, memories=self.memories.set(record.key, stored))

    def all(self, namespace: str | None = None) -> tuple[MemoryRecord, ...]:
        """Return the live records, ordered by namespace and id."""
        return tuple(memory.record for memory in self.live(namespace))

    def live(self, namespace: str | None = None) -> list[StoredMemory]:
        """Return the live memories, ordered by namespace and id."""
        found = [
            stored
            for (name, _), stored in self.memories.items()
            if isinstance(stored, StoredMemory) and (namespace is None or name == namespace)
        ]
        return sorted(found, key=lambda memory: memory.record.key)

    def get(self, namespace: str, id: UUID) -> StoredMemory | None:
        """Return one live memory, or None."""
        stored = self.memories.get((namespace, id))
        return stored if isinstance(stored, StoredMemory) else None

    def link(self, namespace: str, source: UUID, target: UUID, link_type: str) -> Link | None:
        """Return one link as it is stored, whether or not its ends are live."""
        return self.links.get((namespace, source), Map()).get((target, link_type))

    def with_link(self, event: MemoryLinked | MemoryUnlinked, link: Link | None) -> MinimalSoma:
        """Return the state with the link of an event set, or removed."""
        key = event.namespace, event.source
        from_source = self.links.get(key, Map())
        end = event.target, event.link_type
        changed = from_source.delete(end) if link is None else from_source.set(end, link)
        return replace(self, links=self.links.set(key, changed) if changed else self.links.delete(key))

    def visible_links(self, namespace: str) -> tuple[Link, ...]:
        """Return the links whose two ends are live, ordered by source, target and type."""
        found = [
            link
            for (name, source), links in self.links.items()
            if name == namespace and self.get(name, source) is not None
            for link in links.values()
            if self.get(name, link.target) is not None
        ]
        return tuple(sorted(found, key=lambda link: (link.source, link.target, link.type)))

    def recall(
        self,
        query: Query | str | ArrayLike,
        *,
        now_s: Instant,
        k: int = 5,
        policy: Policy | None = None,
        namespace: str = "default",
        tags: Iterable[str] = (),
        memory_type: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        where: Mapping[str, Any] | None = None,
        vectors: Callable[[Sequence[MemoryRecord]], Any] | None = None,
    ) -> Recall:
        """Return the ``k`` best memories under a policy, by evaluating it over all of them.

        Parameters
        ----------
        query : Query, str or array_like
            Text; a `Query`; or a coordinate of the namespace's dimension.
        now_s : float, aware datetime or str
            The time of the recall, POSIX seconds.
        k : int
            How many hits at most, >= 1.
        policy : Policy, optional
            The scoring expression; without one `soma.math.presets.default`, or `dense` for a query without words.
        namespace : str
            Where to look.
        tags : iterable of str
            Only memories that carry all of these.
        memory_type : str, optional
            Only ``"episodic"`` or only ``"semantic"`` memories.
        since, until : float, aware datetime or str, optional
            Only what happened at ``since`` or later, and before ``until``.
        where : mapping, optional
            Only memories whose payload has these values: from dotted paths to a value, a list of which any will do, or
            a `soma.Between`. A list in a payload has a value if one of its items is that; None stands for none.
        vectors : callable, optional
            From a list of n records to their (n, d) vectors; by default their precomputed embeddings.

        Returns
        -------
        Recall
            Hits by falling score; ties go to the smaller id.

        Raises
        ------
        NotFoundError
            If the namespace is not registered.
        InvalidParameterError
            For a query that cannot give what the policy needs.

        Examples
        --------
        >>> soma = MinimalSoma(dim=2).store(
        ...     MemoryRecord(id="6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11", coordinate=[0.25, 0.5], timestamp=0,
        ...                  importance=10))
        >>> soma.recall([0.25, 0.5], now_s=0.0)[0].score
        1.0
        """
        registration = self.namespaces.get(namespace)
        if registration is None:
            raise NotFoundError("namespace", namespace, "register it first, with its dimension")
        now = to_seconds("now_s", now_s)
        keep = Filter.of(tags=tags, memory_type=memory_type, since=since, until=until, where=where)
        memories = [memory for memory in self.live(namespace) if keep.admits(memory.record, now)]
        asked = Query.of(query)
        return rank(
            memories,
            asked,
            policy=or_default(policy, has_words=asked.text is not None),
            namespace=registration,
            now_s=now,
            k=k,
            vectors=vectors,
            links=partial(self.visible_links, namespace),
        )

    def __iter__(self) -> Iterator[MemoryRecord]:
        return iter(self.all())


store = MinimalSoma.store
recall = MinimalSoma.recall


def state_hash(soma: MinimalSoma) -> str:
    """Return a hash of what the state holds, the same for every order of commuting events.

    Parameters
    ----------
    soma : MinimalSoma
        The state.

    Returns
    -------
    str
        SHA-256 in hexadecimal, over canonical JSON. Traces are left out: they are sums of floats, compared within
        a tolerance instead; so are the ids of the events applied.

    Examples
    --------
    >>> state_hash(MinimalSoma(dim=2)) == state_hash(MinimalSoma(dim=2)) != state_hash(MinimalSoma(dim=3))
    True
    """
    digest = hashlib.sha256()
    for name in sorted(soma.namespaces):
        digest.update(canonical_json.dumps(soma.namespaces[name].to_dict()) + b"\n")
    for key in sorted(soma.memories, key=str):
        described = {name: value for name, value in stored_to_dict(soma.memories[key]).items() if name != "trace"}
        digest.update(canonical_json.dumps([key[0], str(key[1]), described]) + b"\n")
    for space, source in sorted(soma.links):
        for target, kind in sorted(soma.links[space, source]):
            link = soma.links[space, source][target, kind]
            line = [space, str(source), str(target), kind, link.weight, link.at_s]
            digest.update(canonical_json.dumps(line) + b"\n")
    return digest.hexdigest()
