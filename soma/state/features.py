"""From memories to the arrays that a policy is evaluated on: one function for the oracle and for every index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from soma import canonical_json
from soma.errors import InvalidParameterError
from soma.math import coordinates, multiscale, similarity
from soma.math.policy_evaluate import PAYLOAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.state.namespace import Namespace
    from soma.state.query import Query
    from soma.state.record import MemoryRecord
    from soma.state.stored import StoredMemory

__all__ = ["Columns", "features"]


@dataclass(frozen=True, slots=True)
class Columns:
    """The numbers of n memories that scoring needs, as arrays.

    Parameters
    ----------
    timestamp_s : ndarray of float64, shape (n,)
        When each memory happened, POSIX seconds.
    last_used_s : ndarray of float64, shape (n,)
        The latest recall or the timestamp, whichever is later, POSIX seconds.
    importance : ndarray of int64, shape (n,)
        Raw.
    memory_type : ndarray of str, shape (n,)
        ``"episodic"`` or ``"semantic"``.
    trace_at_s : ndarray of float64, shape (n,)
        The time of each trace, POSIX seconds.
    trace_values : ndarray of float64, shape (n, K)
        The accumulators.
    n_recalls : ndarray of int64, shape (n,)
        How often each was recalled.
    """

    timestamp_s: NDArray[np.float64]
    last_used_s: NDArray[np.float64]
    importance: NDArray[np.int64]
    memory_type: NDArray[np.str_]
    trace_at_s: NDArray[np.float64]
    trace_values: NDArray[np.float64]
    n_recalls: NDArray[np.int64]

    @classmethod
    def of(cls, memories: Sequence[StoredMemory]) -> Columns:
        """Return the columns of ``memories``, in their order."""
        n_terms = len(memories[0].trace.values) if memories else 0
        return cls(
            np.array([memory.record.timestamp for memory in memories], dtype=np.float64),
            np.array([memory.last_used_s for memory in memories], dtype=np.float64),
            np.array([memory.record.importance for memory in memories], dtype=np.int64),
            np.array([memory.record.memory_type.value for memory in memories], dtype="U8"),
            np.array([memory.trace.at_s for memory in memories], dtype=np.float64),
            np.array([memory.trace.values for memory in memories], dtype=np.float64).reshape(len(memories), n_terms),
            np.array([memory.n_recalls for memory in memories], dtype=np.int64),
        )


def features(
    needed: frozenset[str],
    columns: Columns,
    records: Sequence[MemoryRecord],
    query: Query,
    namespace: Namespace,
    now_s: float,
    similar: NDArray[np.float64] | None,
) -> dict[str, NDArray[Any]]:
    """Return the features that a policy needs, one array of n values each.

    Parameters
    ----------
    needed : frozenset of str
        Names, from ``policy.features``.
    columns : Columns
        The numbers of n memories.
    records : sequence of MemoryRecord, length n
        The same memories; read only for ``id``, ``payload.<name>``, ``lexical``, ``common_level`` and nearness in
        space.
    query : Query
        What is looked for.
    namespace : Namespace
        The registration.
    now_s : float
        The time of the recall, POSIX seconds. An age is max(0, now - then): what lies in the future is new.
    similar : ndarray of float64, shape (n,), or None
        The cosine to the query's embedding, if it has one.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        In a fixed order of names.

    Raises
    ------
    InvalidParameterError
        Naming the term that the query or the namespace cannot serve.
    """
    age = np.maximum(0.0, now_s - columns.timestamp_s)
    found: dict[str, NDArray[Any]] = {}
    for name in sorted(needed):
        if name == "similarity":
            found[name] = _nearness(records, query, namespace) if similar is None else similar
        elif name == "importance":
            found[name] = namespace.importance_scale.normalise(columns.importance)
        elif name == "age_s":
            found[name] = age
        elif name == "idle_s":
            found[name] = np.maximum(0.0, now_s - columns.last_used_s)
        elif name in ("memory_type", "n_recalls"):
            found[name] = getattr(columns, name)
        elif name == "id":
            found[name] = np.array([record.id.bytes for record in records], dtype="S16")
        elif name.startswith(PAYLOAD):
            field = name.removeprefix(PAYLOAD)
            found[name] = np.array([_label(record.payload.get(field)) for record in records], dtype=np.str_)
        elif name in ("trace", "activation"):
            of = multiscale.levels if name == "trace" else multiscale.base_levels
            found[name] = of(columns.trace_values, columns.trace_at_s, now_s, namespace.trace)
        elif name == "lexical":
            found[name] = _lexical(records, query)
        elif name == "common_level":
            found[name] = _common_level(records, query, namespace)
        else:
            raise InvalidParameterError("policy", name, "must use only terms that recall can supply")
    return found


def _label(value: Any) -> str:
    """Return one text for each JSON value, and the empty one for none: 1 and "1" are two labels."""
    return "" if value is None else canonical_json.dumps(value).decode()


def _nearness(records: Sequence[MemoryRecord], query: Query, namespace: Namespace) -> NDArray[np.float64]:
    return similarity.nearness(similarity.euclidean(_coordinate(query, namespace, "similarity"), _points(records)))


def _lexical(records: Sequence[MemoryRecord], query: Query) -> NDArray[np.float64]:
    if query.text is None:
        raise InvalidParameterError("query", str(query), "must have a text, because the policy uses lexical")
    words = similarity.tokens(query.text)
    return np.array(
        [similarity.lexical_overlap(words, similarity.tokens(record.searchable_text)) for record in records],
        dtype=np.float64,
    )


def _common_level(records: Sequence[MemoryRecord], query: Query, namespace: Namespace) -> NDArray[Any]:
    point = _coordinate(query, namespace, "same_cell")
    if namespace.frame is None:
        raise InvalidParameterError("policy", "same_cell", f"needs a frame, and namespace {namespace.name} has none")
    levels = namespace.levels
    codes = coordinates.address(_points(records), namespace.frame, levels)
    code = coordinates.address(np.array(point), namespace.frame, levels)
    return np.asarray(coordinates.common_level(codes, code, namespace.dimension, levels))


def _coordinate(query: Query, namespace: Namespace, term: str) -> tuple[float, ...]:
    if query.coordinate is None:
        needs = "a coordinate" if term == "same_cell" else "an embedding or a coordinate"
        raise InvalidParameterError("query", str(query), f"must have {needs}, because the policy uses {term}")
    if len(query.coordinate) != namespace.dimension:
        raise InvalidParameterError(
            "query",
            query.coordinate,
            f"must have dimension {namespace.dimension}, as namespace {namespace.name} has",
        )
    return query.coordinate


def _points(records: Sequence[MemoryRecord]) -> NDArray[np.float64]:
    return np.array([record.coordinate for record in records], dtype=np.float64)
