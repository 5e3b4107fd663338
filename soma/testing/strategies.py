"""Hypothesis strategies for soma's values: JSON, records, events, and whole logs.

They draw what the contract admits and no more: every value is valid, also the ugly ones.
"""

from __future__ import annotations

import string
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from soma.canonical_json import MAX_INTEGER
from soma.math.coordinates import Frame
from soma.state.events import (
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryRecalled,
    MemoryUnlinked,
    MemoryUpdated,
    NamespaceRegistered,
)
from soma.state.inherited import Inherited
from soma.state.namespace import Namespace, default_trace
from soma.state.record import MemoryRecord, MemoryType

__all__ = ["events", "histories", "instants", "json_objects", "json_values", "logs", "namespaces", "records", "texts"]

NAMESPACES = ("lab", "field")
LINK_TYPES = ("related", "caused")
IDS = tuple(UUID(int=n) for n in range(1, 6))
DIMENSION = 2


def texts(*, max_size: int = 40) -> st.SearchStrategy[str]:
    """Draw text that every store can hold: any characters but NUL and surrogates.

    Parameters
    ----------
    max_size : int
        Longest text, in characters.
    """
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=max_size)


def json_values(*, max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Draw JSON values that RFC 8785 keeps exactly.

    Parameters
    ----------
    max_leaves : int
        Most leaves of a value.
    """
    leaves = (
        st.none()
        | st.booleans()
        | st.integers(-MAX_INTEGER, MAX_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts()
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts(max_size=8), inner, max_size=4),
        max_leaves=max_leaves,
    )


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Draw JSON objects, as payloads are."""
    return st.dictionaries(texts(max_size=8), json_values(), max_size=4)


def instants() -> st.SearchStrategy[float]:
    """Draw times in this century, POSIX seconds, with fractions."""
    return st.floats(946_684_800.0, 4_102_444_800.0)


def labels() -> st.SearchStrategy[str]:
    """Draw short printable labels, as tags and link types are."""
    return st.text(string.ascii_letters + string.digits + "-_ éλ", min_size=1, max_size=12).filter(
        lambda text: not text[0].isspace()
    )


def namespaces() -> st.SearchStrategy[Namespace]:
    """Draw registrations of dimension 1 to 4, with and without a frame."""

    def of(dimension: int) -> st.SearchStrategy[Namespace]:
        frame = Frame((-1.0,) * dimension, (1.0,) * dimension)
        name = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
        return st.builds(Namespace, name=name, dimension=st.just(dimension), frame=st.sampled_from([None, frame]))

    return st.integers(1, 4).flatmap(of)


def records(
    *,
    ids: st.SearchStrategy[UUID] | None = None,
    namespace: str | None = None,
    dimension: int = DIMENSION,
    embedding_dimension: int | None = None,
) -> st.SearchStrategy[MemoryRecord]:
    """Draw a valid record; few ids and namespaces by default, so that records meet.

    Parameters
    ----------
    ids : strategy, optional
        Where ids come from; a handful by default.
    namespace : str, optional
        The namespace; one of two by default.
    dimension : int
        Dimension of the coordinate.
    embedding_dimension : int, optional
        Dimension of the embeddings that some records have; none by default.
    """
    embeddings: st.SearchStrategy[list[float] | None] = st.none()
    if embedding_dimension is not None:
        numbers = st.floats(-1.0, 1.0, width=32)
        embeddings |= st.lists(numbers, min_size=embedding_dimension, max_size=embedding_dimension)
    fields = {
        "id": st.sampled_from(IDS) if ids is None else ids,
        "namespace": st.sampled_from(NAMESPACES) if namespace is None else st.just(namespace),
        "coordinate": st.lists(st.floats(-1e6, 1e6), min_size=dimension, max_size=dimension),
        "timestamp": instants(),
        "importance": st.integers(-20, 20) | st.integers(-MAX_INTEGER, MAX_INTEGER),
        "payload": json_objects(),
        "memory_type": st.sampled_from(MemoryType),
        "text": st.none() | texts(),
        "tags": st.lists(labels(), max_size=3),
        "pinned": st.booleans(),
        "expires_at": st.none() | instants(),
        "embedding": embeddings,
        "extras": st.just({}) | st.just({"x-later": [1, "two"]}),
    }
    return st.fixed_dictionaries(fields).map(_record)


def _record(fields: dict[str, Any]) -> MemoryRecord:
    """Return the record of drawn fields: one that is pinned never expires, and an embedding has a model."""
    revision = None if fields["embedding"] is None else "test-model"
    expires_at = None if fields["pinned"] else fields["expires_at"]
    return MemoryRecord(**{**fields, "expires_at": expires_at, "model_revision": revision})


def histories() -> st.SearchStrategy[Inherited]:
    """Draw what memories inherit, for namespaces with the default trace constants."""
    n_terms = len(default_trace().tau_s)
    return st.builds(
        Inherited,
        trace_at=instants(),
        trace=st.lists(st.floats(0.0, 1e6), min_size=n_terms, max_size=n_terms),
        n_recalls=st.integers(0, 1_000),
        last_recalled=st.none() | instants(),
    )


def events(*, namespace: str | None = None) -> st.SearchStrategy[Event]:
    """Draw an event about one of few memories, so that events meet.

    Parameters
    ----------
    namespace : str, optional
        The namespace; one of two by default.
    """
    ids = st.sampled_from(IDS)
    where = st.sampled_from(NAMESPACES) if namespace is None else st.just(namespace)
    said: dict[str, Any] = {"event_id": st.uuids(), "at_s": instants(), "cause_id": st.none() | st.uuids()}
    memory = {**said, "namespace": where, "id": ids}
    link = {**said, "namespace": where, "source": ids, "target": ids, "link_type": st.sampled_from(LINK_TYPES)}
    weights, record = st.floats(0.01, 10.0), records(namespace=namespace)
    return st.one_of(
        st.builds(MemoryCreated, **said, record=record, inherited=st.none() | histories()),
        st.builds(MemoryUpdated, **said, record=record),
        st.builds(MemoryDeleted, **memory, reason=labels(), into=st.none() | ids),
        st.builds(MemoryRecalled, **memory, weight=weights),
        st.builds(MemoryLinked, **link, weight=weights),
        st.builds(MemoryUnlinked, **link),
    )


@st.composite
def logs(draw: st.DrawFn, *, max_size: int = 20) -> list[Event]:
    """Draw a log: the registrations of its namespaces first, then events about few memories.

    Parameters
    ----------
    max_size : int
        Most events after the registrations.
    """
    registered: list[Event] = [
        NamespaceRegistered(
            event_id=draw(st.uuids()), at_s=946_684_800.0, registration=Namespace(name, dimension=DIMENSION)
        )
        for name in NAMESPACES
    ]
    return registered + draw(st.lists(events(), max_size=max_size, unique_by=lambda event: event.event_id))
