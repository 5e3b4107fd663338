"""Recall: a policy evaluated over memories, and the ranked, explained answer."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

import numpy as np

from soma.errors import InvalidParameterError
from soma.math import similarity
from soma.math.policy_evaluate import PLACE
from soma.math.topk import top_k_reference
from soma.state.features import Columns, Held, Records, explained_features
from soma.state.instant import to_iso
from soma.state.record import MemoryRecord
from soma.state.times import NamedTime, named_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Explanation, Policy
    from soma.state.namespace import Namespace
    from soma.state.query import Query
    from soma.state.record import Link
    from soma.state.stored import StoredMemory

__all__ = ["Hit", "Recall", "collect", "headline", "rank", "ranked"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One recalled memory.

    Parameters
    ----------
    rank : int
        Place in the answer, from 0.
    score : float
        The policy's value.
    record : MemoryRecord
        The memory.
    features : mapping of str to float
        What the policy was evaluated on, but for ids and places, which say something only among the candidates.
    reasons : mapping of str to mapping
        Of a feature that is a sum, its summands: of ``bm25`` what each word adds, of ``graph`` what comes from where.
    """

    rank: int
    score: float
    record: MemoryRecord
    features: Mapping[str, float]
    reasons: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class Recall:
    """A ranked answer: a sequence of hits that can explain itself.

    Parameters
    ----------
    query : Query
        What was looked for.
    policy : Policy
        What scored.
    now_s : float
        The time of the recall, POSIX seconds.
    hits : tuple of Hit
        By falling score; ties by id.
    n_candidates : int
        How many memories were ranked.
    explanations : sequence of Explanation
        Of a set-level policy, why each hit has its score, which its own features do not tell; else empty.
    way : str
        How the hits were found: ``"scan"`` over every memory, or by an index that says so. The answer is the same.
    n_visited : int
        How many memories were read for it.
    """

    query: Query
    policy: Policy
    now_s: float
    hits: tuple[Hit, ...]
    n_candidates: int
    explanations: Sequence[Explanation] = ()
    way: str = "scan"
    n_visited: int = 0

    @property
    def times(self) -> tuple[NamedTime, ...]:
        """The times that the words of the query name, as seen from ``now_s``: what the term ``when`` reads."""
        return () if self.query.text is None else named_times(self.query.text, self.now_s)

    @property
    def focus(self) -> dict[UUID, float]:
        """The hits as what another query has in mind: each with its score, where that is above 0."""
        return {hit.record.id: hit.score for hit in self.hits if hit.score > 0.0}

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, rank: int) -> Hit: ...
    @overload
    def __getitem__(self, rank: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, rank: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[rank]

    def explain(self, rank: int = 0) -> Explanation:
        """Return the expression tree with the value of each node, for the hit at ``rank``.

        Raises
        ------
        InvalidParameterError
            If there is no such hit.
        """
        if not -len(self.hits) <= rank < len(self.hits):
            raise InvalidParameterError("rank", rank, f"must be below {len(self.hits)}, the number of hits")
        if self.explanations:
            return _with_reasons(self.explanations[rank], self.hits[rank].reasons)
        columns = {name: np.array([value]) for name, value in self.hits[rank].features.items()}
        return _with_reasons(self.policy.explain(columns, 0), self.hits[rank].reasons)

    @property
    def search(self) -> str:
        """How the hits were found, in words: by what, and how many memories were read."""
        why = f", since {self.policy.why_not}" if self.way == "scan" and self.policy.why_not else ""
        return f"found by {self.way}: {self.n_visited:,} of {self.n_candidates:,} memories read{why}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a hit: rank, score, what identifies the memory, and every feature."""
        return [
            {
                "rank": hit.rank,
                "score": hit.score,
                "id": str(hit.record.id),
                "text": hit.record.searchable_text,
                "timestamp": hit.record.timestamp,
                "importance_raw": hit.record.importance,
                "memory_type": hit.record.memory_type.value,
                "tags": list(hit.record.tags),
                **hit.features,
            }
            for hit in self.hits
        ]

    def __repr__(self) -> str:
        found = f"{len(self.hits)} of {self.n_candidates:,} memories for {str(self.query)!r} at {to_iso(self.now_s)}"
        rows = (
            f"{hit.rank:>3}  {hit.score:.4f}  {to_iso(hit.record.timestamp)[:10]}  {headline(hit.record)}"
            for hit in self.hits
        )
        return "\n".join([found, *rows])

    def _repr_html_(self) -> str:
        names = list(self.hits[0].features) if self.hits else []
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ["rank", "score", "when", "memory", *names])
        rows = "".join(
            f"<tr><td>{hit.rank}</td><td>{hit.score:.4f}</td><td>{to_iso(hit.record.timestamp)[:10]}</td>"
            f"<td style='text-align:left'>{html.escape(headline(hit.record))}</td>"
            + "".join(f"<td>{_shown(hit.features[name])}</td>" for name in names)
            + "</tr>"
            for hit in self.hits
        )
        caption = html.escape(f"{len(self.hits)} of {self.n_candidates:,} memories for {str(self.query)!r}")
        return (
            f"<table><caption>{caption}<br><code>{html.escape(str(self.policy))}</code></caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def rank(
    memories: Sequence[StoredMemory],
    query: Query,
    *,
    policy: Policy,
    namespace: Namespace,
    now_s: float,
    k: int,
    vectors: Callable[[Sequence[MemoryRecord]], Any] | None,
    links: Callable[[], Iterable[Link]],
) -> Recall:
    """Evaluate ``policy`` over every memory and return the ``k`` best: the definition of recall.

    Parameters
    ----------
    memories : sequence of StoredMemory
        The candidates: all of them are the candidate set of a set-level policy.
    query : Query
        What is looked for.
    policy : Policy
        The score.
    namespace : Namespace
        The registration: dimension, importance scale, trace constants.
    now_s : float
        The time of the recall, POSIX seconds.
    k : int
        How many hits at most, >= 1.
    vectors : callable, optional
        From n records to their unit vectors, float32 of shape (n, d); by default their precomputed embeddings.
    links : callable
        Returns the links between the live memories of the namespace, for ``graph``.

    Returns
    -------
    Recall
        Hits by falling score; ties go to the smaller id.

    Raises
    ------
    InvalidParameterError
        For a query that cannot give what the policy needs, or a ``k`` below 1.
    """
    records = [memory.record for memory in memories]
    similar = None
    if "similarity" in policy.features and query.embedding is not None:
        rows = (vectors or precomputed(len(query.embedding)))(records)
        similar = similarity.cosine(similarity.unit_vectors(query.embedding), rows)

    def found(best: NDArray[np.int64]) -> list[MemoryRecord]:
        return [records[row] for row in best]

    return ranked(Records(records, links), Columns.of(memories), found, query, policy, namespace, now_s, k, similar)


def ranked(
    held: Held,
    columns: Columns,
    records: Callable[[NDArray[np.int64]], Sequence[MemoryRecord]],
    query: Query,
    policy: Policy,
    namespace: Namespace,
    now_s: float,
    k: int,
    similar: NDArray[np.float64] | None,
) -> Recall:
    """Return the ``k`` best of n memories, however they are held: `rank` without the reading of records.

    Parameters
    ----------
    held : Held
        Ids, words and fields of the n memories.
    columns : Columns
        Their numbers.
    records : callable
        From the rows of hits to their records.
    query, policy, namespace, now_s, k
        As of `rank`.
    similar : ndarray of float64, shape (n,), or None
        The cosine to the query's embedding, if it has one.

    Raises
    ------
    InvalidParameterError
        As of `rank`.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InvalidParameterError("k", k, "must be an integer >= 1")
    n = len(columns.timestamp_s)
    if not n:
        return Recall(query, policy, now_s, (), 0)
    known = explained_features(policy.features, columns, held, query, namespace, now_s, similar)
    evaluated = policy.evaluated(known.columns)
    best = top_k_reference(np.broadcast_to(evaluated.scores, n), held.ids(), k)
    return collect(
        query,
        policy,
        now_s,
        records(best.rows),
        best.scores,
        {
            name: np.asarray(values)[best.rows]
            for name, values in known.columns.items()
            if name != "id" and not name.startswith(PLACE)
        },
        n,
        () if policy.is_pointwise else evaluated.explain(best.rows.tolist()),
        reasons=known.reasons(best.rows),
    )


def collect(
    query: Query,
    policy: Policy,
    now_s: float,
    records: Sequence[MemoryRecord],
    scores: NDArray[np.float64],
    columns: Mapping[str, NDArray[Any]],
    n_candidates: int,
    explanations: Sequence[Explanation] = (),
    *,
    way: str = "scan",
    n_visited: int | None = None,
    reasons: Sequence[Mapping[str, Mapping[str, float]]] = (),
) -> Recall:
    """Return the answer made of memories that are ranked already.

    Parameters
    ----------
    query, policy, now_s
        What was asked, what scored, and when (POSIX seconds).
    records : sequence of MemoryRecord
        The k hits, best first.
    scores : ndarray, shape (k,)
        Their scores.
    columns : mapping of str to ndarray, shape (k,)
        Each feature's value for each hit.
    n_candidates : int
        How many memories were ranked.
    explanations : sequence of Explanation
        Of a set-level policy, one a hit.
    way : str
        How they were found.
    n_visited : int, optional
        How many memories were read; all by default.
    reasons : sequence of mapping
        As of `Hit`, one a hit; by default none.
    """
    hits = tuple(
        Hit(
            i,
            float(scores[i]),
            record,
            {name: values[i].item() for name, values in columns.items()},
            reasons[i] if reasons else {},
        )
        for i, record in enumerate(records)
    )
    visited = n_candidates if n_visited is None else n_visited
    return Recall(query, policy, now_s, hits, n_candidates, explanations, way, visited)


def _with_reasons(tree: Explanation, reasons: Mapping[str, Mapping[str, float]]) -> Explanation:
    """Return an explanation in which features that are sums have their summands."""
    if not reasons:
        return tree
    if tree.children:
        return replace(tree, children=tuple(_with_reasons(child, reasons) for child in tree.children))
    words = reasons.get(tree.label) or reasons.get(tree.label.removesuffix("()")) or {}
    if not words:
        return tree
    return replace(tree, operation="+", children=tuple(type(tree)(repr(word), share) for word, share in words.items()))


def precomputed(dimension: int) -> Callable[[Sequence[MemoryRecord]], NDArray[np.float32]]:
    """Return a function from records to their own embeddings as unit vectors, zero where a record has none."""

    def vectors(records: Sequence[MemoryRecord]) -> NDArray[np.float32]:
        found = np.zeros((len(records), dimension))
        for row, record in enumerate(records):
            if record.embedding is not None:
                if len(record.embedding) != dimension:
                    raise InvalidParameterError(
                        "embedding",
                        len(record.embedding),
                        f"must have dimension {dimension}, as the query has",
                    )
                found[row] = record.embedding
        return similarity.unit_vectors(found)

    return vectors


def headline(record: MemoryRecord, width: int = 72) -> str:
    """Return the first line of a memory's text as one printable line.

    Parameters
    ----------
    record : MemoryRecord
        The memory.
    width : int, default 72
        How many characters at most; a cut line ends in an ellipsis.
    """
    lines = (" ".join(line.split()) for line in record.searchable_text.splitlines())
    found = next(filter(None, lines), "(no text)")
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in found)  # a terminal obeys some letters
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _shown(value: float | str) -> str:
    return html.escape(value) if isinstance(value, str) else f"{value:.4g}"
