"""From memories to the arrays that a policy is evaluated on: one function for the oracle and for every index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import coordinates, multiscale, similarity
from soma.math.bm25 import Postings, bm25, shares
from soma.math.policy_evaluate import BM25, GRAPH, MENTIONS, PAYLOAD, PLACE
from soma.math.policy_operations import MAX_REACH
from soma.math.policy_terms import BestMatch, Graph
from soma.math.policy_windows import faded_postings, fading
from soma.state.attention import Attention, LinkColumns
from soma.state.paths import at_path, label
from soma.state.times import nearness_in_time
from soma.state.words import asks, stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.state.namespace import Namespace
    from soma.state.query import Query
    from soma.state.record import Link, MemoryRecord
    from soma.state.stored import StoredMemory

__all__ = ["Columns", "Features", "Held", "Records", "Split", "explained_features", "features"]

OF_NUMBERS: Final = frozenset({"importance", "age_s", "idle_s", "memory_type", "n_recalls", "trace", "activation"})
"""The features that follow from `Columns` alone."""

Split: TypeAlias = Callable[[str], Sequence[str]]
"""From a text to its words: `soma.math.similarity.tokens` or `soma.state.words.stems`."""


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


class Held(Protocol):
    """What scoring reads of n memories beside the numbers of `Columns`: all of it in their order."""

    def ids(self) -> NDArray[np.bytes_]:
        """Return the ids as ``S16``, shape (n,)."""
        ...

    def points(self) -> NDArray[np.float64]:
        """Return the coordinates, shape (n, dimension)."""
        ...

    def values(self, path: str) -> tuple[Sequence[Any], NDArray[np.intp]]:
        """Return the different values at a path of the payloads, and which of them each memory has, shape (n,)."""
        ...

    def labels(self, path: str) -> tuple[Sequence[str], NDArray[np.intp]]:
        """Return the same with the labels of the values, as `soma.state.paths.label` gives them."""
        ...

    def postings(self, split: Split, words: Sequence[str]) -> list[Postings]:
        """Return for each word which memories have it, each once, and how often."""
        ...

    def lengths(self, split: Split) -> NDArray[np.integer]:
        """Return how many words each memory's text has, shape (n,)."""
        ...

    def n_words(self, split: Split) -> NDArray[np.integer]:
        """Return how many different words each memory's text has, shape (n,)."""
        ...

    def asks(self) -> NDArray[np.bool_]:
        """Return whether each memory's text asks something, shape (n,)."""
        ...

    def links(self) -> LinkColumns:
        """Return the links between the live memories of the namespace, whether these n are among them or not."""
        ...


class Records:
    """What scoring reads of memories at hand, as it is defined: every text and every payload is looked through.

    Parameters
    ----------
    records : sequence of MemoryRecord, length n
        The memories.
    links : callable
        Returns the links between the live memories of the namespace.
    """

    def __init__(self, records: Sequence[MemoryRecord], links: Callable[[], Iterable[Link]]) -> None:
        self._records = records
        self._links = links

    def ids(self) -> NDArray[np.bytes_]:
        """Return the ids as ``S16``, shape (n,)."""
        return np.array([record.id.bytes for record in self._records], dtype="S16")

    def points(self) -> NDArray[np.float64]:
        """Return the coordinates, shape (n, dimension)."""
        return np.array([record.coordinate for record in self._records], dtype=np.float64)

    def values(self, path: str) -> tuple[Sequence[Any], NDArray[np.intp]]:
        """Return the value at a path of each payload."""
        return [at_path(record.payload, path) for record in self._records], np.arange(len(self._records))

    def labels(self, path: str) -> tuple[Sequence[str], NDArray[np.intp]]:
        """Return the label of each of these values."""
        values, which = self.values(path)
        return [label(value) for value in values], which

    def postings(self, split: Split, words: Sequence[str]) -> list[Postings]:
        """Return for each word which memories have it, each once, and how often."""
        counts = [Counter(split(record.searchable_text)) for record in self._records]
        found = (np.array([had[word] for had in counts], dtype=np.int64) for word in words)
        return [(np.flatnonzero(count), count[count > 0]) for count in found]

    def lengths(self, split: Split) -> NDArray[np.integer]:
        """Return how many words each memory's text has, shape (n,)."""
        return np.array([len(split(record.searchable_text)) for record in self._records], dtype=np.int64)

    def n_words(self, split: Split) -> NDArray[np.integer]:
        """Return how many different words each memory's text has, shape (n,)."""
        return np.array([len(set(split(record.searchable_text))) for record in self._records], dtype=np.int64)

    def asks(self) -> NDArray[np.bool_]:
        """Return whether each memory's text asks something, shape (n,)."""
        return np.array([asks(record.searchable_text) for record in self._records], dtype=bool)

    def links(self) -> LinkColumns:
        """Return the links."""
        return LinkColumns.of(self._links())


class _Match:
    """The words of a query and who has them among n memories, for one BM25 term."""

    def __init__(self, columns: Columns, held: Held, text: str, term: BestMatch) -> None:
        asked = Counter(stems(text))
        self.words = sorted(asked)
        postings = held.postings(stems, self.words)
        lengths: NDArray[Any] = held.lengths(stems)
        having = [len(rows) for rows, _ in postings]
        if term.reach:
            place = _places(columns, held, term.group or "")
            postings = list(faded_postings(postings, place, term.ratio, term.reach))
            before, after = fading(lengths.astype(np.float64), place, term.ratio, term.reach)
            lengths = lengths + before + after
        self._of = postings, [asked[word] for word in self.words], lengths
        self._how: dict[str, Any] = {"k1": term.k1, "b": term.b, "having": having}

    def scores(self) -> NDArray[np.float64]:
        """Return the score of each memory."""
        return bm25(*self._of, **self._how)

    def reasons(self, rows: NDArray[np.int64]) -> list[dict[str, float]]:
        """Return what each word adds to the score of each of some rows, where it adds anything."""
        found = shares(*self._of, rows, **self._how).T.tolist()
        return [{word: share for word, share in zip(self.words, row, strict=True) if share} for row in found]


class _Attention:
    """The attention that comes to n memories, for one term ``graph``."""

    def __init__(self, held: Held, query: Query, term: Graph, now_s: float) -> None:
        if not query.focus:
            raise InvalidParameterError("query", str(query), "must have a focus, because the policy uses graph")
        how: dict[str, Any] = {"damping": term.damping, "direction": term.direction, "curve": term.curve}
        self._ids = held.ids()
        self._attention = Attention(held.links(), dict(query.focus), **how, now_s=now_s)

    def scores(self) -> NDArray[np.float64]:
        """Return the share of each memory."""
        return self._attention.shares(self._ids)

    def reasons(self, rows: NDArray[np.int64]) -> list[dict[str, float]]:
        """Return where the shares of some rows come from."""
        return self._attention.reasons(self._ids[rows])


@dataclass(frozen=True, slots=True)
class Features:
    """What a policy reads of n memories for one query, and what it follows from.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n,)
        The features, in a fixed order of names.
    sums : dict of str to object
        Of the features that are sums, what they are sums of.
    """

    columns: dict[str, NDArray[Any]]
    sums: dict[str, _Match | _Attention]

    def reasons(self, rows: NDArray[np.int64]) -> list[dict[str, dict[str, float]]]:
        """Return for each of some rows the summands of the features that are sums, by the names of both."""
        found: list[dict[str, dict[str, float]]] = [{} for _ in rows]
        for name, of in self.sums.items():
            for row, summands in zip(found, of.reasons(rows), strict=True):
                row[name] = summands
        return found


def features(
    needed: frozenset[str],
    columns: Columns,
    held: Held,
    query: Query,
    namespace: Namespace,
    now_s: float,
    similar: NDArray[np.float64] | None,
) -> dict[str, NDArray[Any]]:
    """Return the features that a policy needs, one array of n values each: `explained_features` without reasons."""
    return explained_features(needed, columns, held, query, namespace, now_s, similar).columns


def explained_features(
    needed: frozenset[str],
    columns: Columns,
    held: Held,
    query: Query,
    namespace: Namespace,
    now_s: float,
    similar: NDArray[np.float64] | None,
) -> Features:
    """Return the features that a policy needs, with what they follow from.

    Parameters
    ----------
    needed : frozenset of str
        Names, from ``policy.features``.
    columns : Columns
        The numbers of n memories.
    held : Held
        The rest of them; read only for ``id``, ``payload.<path>``, ``mentions.<path>``, words, ``graph``,
        ``common_level`` and nearness in space. The n memories are the candidates that ``bm25`` counts words over.
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
    Features
        One array of n values each.

    Raises
    ------
    InvalidParameterError
        Naming the term that the query or the namespace cannot serve.
    """
    found: dict[str, NDArray[Any]] = {}
    sums: dict[str, _Match | _Attention] = {}
    for name in sorted(needed):
        if name in OF_NUMBERS:
            found[name] = _of_numbers(name, columns, namespace, now_s)
        elif name == "similarity":
            found[name] = _nearness(held, query, namespace) if similar is None else similar
        elif name == "id":
            found[name] = held.ids()
        elif name.startswith(PAYLOAD):
            labels, which = held.labels(name.removeprefix(PAYLOAD))
            found[name] = np.array(labels, dtype=np.str_)[which]
        elif name == "common_level":
            found[name] = _common_level(held, query, namespace)
        elif name in ("n_words", "asks"):
            found[name] = held.n_words(stems) if name == "n_words" else held.asks().astype(np.float64)
        elif name.startswith(PLACE):
            found[name] = _places(columns, held, name.removeprefix(PLACE))
        elif name.startswith(BM25):
            sums[name] = _Match(columns, held, _text(query, name), BestMatch.of_feature(name))
            found[name] = sums[name].scores()
        elif name.startswith(GRAPH):
            sums[name] = _Attention(held, query, Graph.of_feature(name), now_s)
            found[name] = sums[name].scores()
        elif name in ("lexical", "when") or name.startswith(MENTIONS):
            found[name] = _of_words(name, columns, held, _text(query, name), now_s)
        else:
            raise InvalidParameterError("policy", name, "must use only terms that recall can supply")
    return Features(found, sums)


def _of_numbers(name: str, columns: Columns, namespace: Namespace, now_s: float) -> NDArray[Any]:
    match name:
        case "importance":
            return namespace.importance_scale.normalise(columns.importance)
        case "age_s":
            return np.maximum(0.0, now_s - columns.timestamp_s)
        case "idle_s":
            return np.maximum(0.0, now_s - columns.last_used_s)
        case "memory_type":
            return columns.memory_type
        case "n_recalls":
            return columns.n_recalls
        case "trace":
            return multiscale.levels(columns.trace_values, columns.trace_at_s, now_s, namespace.trace)
        case _:
            return multiscale.base_levels(columns.trace_values, columns.trace_at_s, now_s, namespace.trace)


def _of_words(name: str, columns: Columns, held: Held, text: str, now_s: float) -> NDArray[np.float64]:
    if name == "when":
        return nearness_in_time(columns.timestamp_s, text, now_s)
    asked = frozenset(similarity.tokens(text))
    if name == "lexical":
        shared = np.zeros(len(columns.timestamp_s))
        for rows, _ in held.postings(similarity.tokens, sorted(asked)):
            shared[rows] += 1.0
        return shared / len(asked) if asked else shared
    values, which = held.values(name.removeprefix(MENTIONS))
    return np.array([_mentioned(value, asked) for value in values], dtype=np.float64)[which]


def _text(query: Query, term: str) -> str:
    if query.text is None:
        raise InvalidParameterError("query", str(query), f"must have a text, because the policy uses {term}")
    return query.text


def _nearness(held: Held, query: Query, namespace: Namespace) -> NDArray[np.float64]:
    return similarity.nearness(similarity.euclidean(_coordinate(query, namespace, "similarity"), held.points()))


def _mentioned(value: Any, asked: frozenset[str]) -> float:
    """Return the share of a text's words that are asked for; of several texts the largest; a number is a text too."""
    if isinstance(value, list | tuple):
        return max((_mentioned(item, asked) for item in value), default=0.0)
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    return similarity.lexical_overlap(similarity.tokens(str(value)), asked) if is_text else 0.0


def _places(columns: Columns, held: Held, path: str) -> NDArray[np.intp]:
    """Return where each memory stands in the order of time; memories of two groups lie further apart than any reach."""
    n = len(columns.timestamp_s)
    group = np.zeros(n, dtype=np.intp)
    if path:
        labels, which = held.labels(path)
        number = {name: i for i, name in enumerate(dict.fromkeys(labels))}
        group = np.array([number[name] for name in labels], dtype=np.intp)[which]
        alone = np.flatnonzero(np.array([not name for name in labels], dtype=bool)[which])
        group[alone] = len(number) + np.arange(len(alone))
    order = np.lexsort((columns.timestamp_s, group))
    same = (np.diff(group[order]) == 0) & (np.diff(columns.timestamp_s[order]) == 0)
    if same.any():
        order = np.lexsort((held.ids(), columns.timestamp_s, group))
    place = np.empty(n, dtype=np.intp)
    gaps = np.cumsum(np.r_[0, np.diff(group[order]) != 0][:n])
    place[order] = np.arange(n) + MAX_REACH * gaps
    return place


def _common_level(held: Held, query: Query, namespace: Namespace) -> NDArray[Any]:
    point = _coordinate(query, namespace, "same_cell")
    if namespace.frame is None:
        raise InvalidParameterError("policy", "same_cell", f"needs a frame, and namespace {namespace.name} has none")
    levels = namespace.levels
    codes = coordinates.address(held.points(), namespace.frame, levels)
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
