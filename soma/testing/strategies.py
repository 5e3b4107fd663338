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


@st.composite
def records(
    draw: st.DrawFn,
    *,
    ids: st.SearchStrategy[UUID] | None = None,
    namespace: str | None = None,
    dimension: int = DIMENSION,
    embedding_dimension: int | None = None,
) -> MemoryRecord:
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
    is_pinned = draw(st.booleans())
    embedding: list[float] | None = None
    if embedding_dimension is not None and draw(st.booleans()):
        numbers = st.floats(-1.0, 1.0, width=32)
        embedding = draw(st.lists(numbers, min_size=embedding_dimension, max_size=embedding_dimension))
    fields: dict[str, Any] = {
        "id": draw(st.sampled_from(IDS) if ids is None else ids),
        "namespace": namespace or draw(st.sampled_from(NAMESPACES)),
        "coordinate": draw(st.lists(st.floats(-1e6, 1e6), min_size=dimension, max_size=dimension)),
        "timestamp": draw(instants()),
        "importance": draw(st.integers(-20, 20) | st.integers(-MAX_INTEGER, MAX_INTEGER)),
        "payload": draw(json_objects()),
        "memory_type": draw(st.sampled_from(MemoryType)),
        "text": draw(st.none() | texts()),
        "tags": draw(st.lists(labels(), max_size=3)),
        "pinned": is_pinned,
        "expires_at": None if is_pinned else draw(st.none() | instants()),
        "embedding": embedding,
        "model_revision": None if embedding is None else "test-model",
        "extras": draw(st.just({}) | st.just({"x-later": [1, "two"]})),
    }
    return MemoryRecord(**fields)


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


@st.composite
def events(draw: st.DrawFn, *, namespace: str | None = None) -> Event:
    """Draw an event about one of few memories, so that events meet.

    Parameters
    ----------
    namespace : str, optional
        The namespace; one of two by default.
    """
    common: dict[str, Any] = {
        "event_id": draw(st.uuids()),
        "at_s": draw(instants()),
        "cause_id": draw(st.none() | st.uuids()),
    }
    where = namespace or draw(st.sampled_from(NAMESPACES))
    one, other = draw(st.sampled_from(IDS)), draw(st.sampled_from(IDS))
    weight = draw(st.floats(0.01, 10.0))
    kind = draw(
        st.sampled_from([MemoryCreated, MemoryUpdated, MemoryDeleted, MemoryRecalled, MemoryLinked, MemoryUnlinked])
    )
    if kind is MemoryCreated:
        record = draw(records(ids=st.just(one), namespace=where))
        return MemoryCreated(**common, record=record, inherited=draw(st.none() | histories()))
    if kind is MemoryUpdated:
        return MemoryUpdated(**common, record=draw(records(ids=st.just(one), namespace=where)))
    if kind is MemoryDeleted:
        into = draw(st.none() | st.just(other))
        return MemoryDeleted(**common, namespace=where, id=one, reason=draw(labels()), into=into)
    if kind is MemoryRecalled:
        return MemoryRecalled(**common, namespace=where, id=one, weight=weight)
    link: dict[str, Any] = {"namespace": where, "source": one, "target": other}
    link["link_type"] = draw(st.sampled_from(["related", "caused"]))
    if kind is MemoryLinked:
        return MemoryLinked(**common, **link, weight=weight)
    return MemoryUnlinked(**common, **link)


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
