"""What another policy would have recalled: the answers of two policies to the same questions, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from soma.errors import InvalidParameterError
from soma.math.rank_agreement import rank_biased_overlap
from soma.state.recall import Recall, headline

if TYPE_CHECKING:
    from soma.math.policy import Policy
    from soma.state.history import Moment
    from soma.state.instant import Instant
    from soma.state.minimal import MinimalSoma
    from soma.state.query import Query
    from soma.state.record import MemoryRecord

__all__ = ["Contrast", "Move", "Recaller", "contrast", "contrasts"]


class Recaller(Protocol):
    """What answers: a `soma.Memory`."""

    def as_of(self, moment: Moment) -> MinimalSoma:
        """Return the state at a moment."""
        ...

    def recall(
        self,
        query: Query | str,
        *,
        k: int = 5,
        policy: Policy | None = None,
        now: Instant | None = None,
        as_of: Moment | None = None,
        state: MinimalSoma | None = None,
    ) -> Recall:
        """Return the ``k`` best memories."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one memory in an answer.

    Parameters
    ----------
    record : MemoryRecord
        The memory.
    before, after : int or None
        Its ranks, from 0, under the first policy and the second; None where it is not in the answer.
    """

    record: MemoryRecord
    before: int | None
    after: int | None

    @property
    def verb(self) -> Literal["enters", "leaves", "rises", "falls", "stays"]:
        """What it does."""
        if self.before is None or self.after is None:
            return "enters" if self.before is None else "leaves"
        if self.before == self.after:
            return "stays"
        return "rises" if self.after < self.before else "falls"

    def to_dict(self) -> dict[str, Any]:
        """Return the move as JSON values."""
        return {
            "id": str(self.record.id),
            "verb": self.verb,
            "before": self.before,
            "after": self.after,
            "title": headline(self.record, 60),
        }


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two answers to one question, of the same memories at the same time.

    Parameters
    ----------
    before, after : Recall
        The answers of the first policy and of the second.
    """

    before: Recall
    after: Recall

    @property
    def moves(self) -> tuple[Move, ...]:
        """Every memory of either answer: by its rank in the second, and then those that leave, by their old one."""
        old = {hit.record.id: hit for hit in self.before}
        new = {hit.record.id: hit for hit in self.after}
        stay = [Move(hit.record, old[id].rank if id in old else None, hit.rank) for id, hit in new.items()]
        return (*stay, *(Move(hit.record, hit.rank, None) for id, hit in old.items() if id not in new))

    @property
    def n_shared(self) -> int:
        """How many memories are in both answers."""
        return sum(move.before is not None and move.after is not None for move in self.moves)

    @property
    def agreement(self) -> float:
        """Their `soma.math.rank_agreement.rank_biased_overlap`."""
        return rank_biased_overlap([hit.record.id for hit in self.before], [hit.record.id for hit in self.after])

    def to_dict(self) -> dict[str, Any]:
        """Return the contrast as JSON values."""
        return {
            "query": str(self.before.query),
            "now": self.before.now_s,
            "n_candidates": self.before.n_candidates,
            "n_shared": self.n_shared,
            "rank_biased_overlap": self.agreement,
            "moves": [move.to_dict() for move in self.moves],
        }


def contrast(before: Recall, after: Recall) -> Contrast:
    """Return two answers as one contrast.

    Parameters
    ----------
    before, after : Recall
        Answers to one question, of the same time.

    Raises
    ------
    InvalidParameterError
        For answers to two questions, or at two times.
    """
    if str(before.query) != str(after.query) or before.now_s != after.now_s:
        raise InvalidParameterError("after", str(after.query), "must answer the same question at the same time")
    return Contrast(before, after)


def contrasts(
    memory: Recaller,
    before: Policy,
    after: Policy,
    queries: Iterable[str],
    *,
    k: int = 5,
    now: Instant | None = None,
    as_of: Moment | None = None,
) -> tuple[Contrast, ...]:
    """Return what two policies recall for each of some questions; nothing is reinforced.

    Parameters
    ----------
    memory : Memory
        What is asked.
    before, after : Policy
        The policies.
    queries : iterable of str
        The questions.
    k : int
        Hits at most, >= 1.
    now : float, aware datetime or str, optional
        The time that ages are counted to; the clock's, read once, by default.
    as_of : float, aware datetime, str or Position, optional
        Ask the memories of that moment.

    Returns
    -------
    tuple of Contrast
        In the order of the questions.

    Raises
    ------
    InvalidParameterError
        As `soma.Memory.recall`.

    Notes
    -----
    Laws: ``property_tests/lab/test_counterfactual.py``.

    Examples
    --------
    >>> import tempfile, soma
    >>> from soma import policy as p
    >>> with soma.open(tempfile.mkdtemp()) as memory:
    ...     _ = memory.remember("the clock is slow", importance=1), memory.remember("a clock test", importance=9)
    ...     (found,) = contrasts(memory, p.importance(), -p.importance(), ["clock"])
    >>> [move.verb for move in found.moves], round(found.agreement, 2)
    (['rises', 'falls'], 0.9)
    """
    state = None if as_of is None else memory.as_of(as_of)
    found: list[Contrast] = []
    for query in queries:
        if found:
            first = memory.recall(query, k=k, policy=before, now=now, state=state)
        else:
            first = memory.recall(query, k=k, policy=before, now=now, as_of=as_of)
            now = first.now_s  # the same for all
        found.append(contrast(first, memory.recall(query, k=k, policy=after, now=now, state=state)))
    return tuple(found)
