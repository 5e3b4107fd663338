"""When memories will fall under a threshold: a policy followed into the future, with nothing recalled meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.policy_evaluate import BM25, GRAPH, MENTIONS
from soma.state.features import Columns, Records, features
from soma.state.instant import to_iso
from soma.state.query import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from soma.math.policy import Policy
    from soma.state.namespace import Namespace
    from soma.state.stored import StoredMemory

__all__ = ["Fall", "Forecast", "best_scores", "forecast"]

TOLERANCE_S: Final = 0.5
OF_A_QUERY: Final = ("similarity", "lexical", "when")


@dataclass(frozen=True, slots=True)
class Fall:
    """One memory that will fall under the threshold.

    Parameters
    ----------
    id : UUID
        The memory.
    at_s : float
        When, POSIX seconds, to half a second; ``now_s`` for one that is under it already.
    score : float
        What it scores now.
    """

    id: UUID
    at_s: float
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class Forecast:
    """What will fall under a threshold, and when.

    Parameters
    ----------
    threshold, now_s, horizon_s : float
        What was asked; times in POSIX seconds.
    n_memories : int
        Live memories.
    falls : tuple of Fall
        Those that fall by the horizon, by their time, then by id.
    """

    threshold: float
    now_s: float
    horizon_s: float
    n_memories: int
    falls: tuple[Fall, ...]

    def __str__(self) -> str:
        said = f"{len(self.falls):,} of {self.n_memories:,} memories fall under {self.threshold:g}"
        return f"{said} by {to_iso(self.horizon_s)[:10]}"

    __repr__ = __str__

    def by_day(self) -> dict[str, int]:
        """Return how many fall on each day (UTC) on which any does."""
        return dict(sorted(Counter(to_iso(fall.at_s)[:10] for fall in self.falls).items()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        falls = [{"id": str(fall.id), "at": fall.at_s, "score": fall.score} for fall in self.falls]
        return {
            "threshold": self.threshold,
            "now": self.now_s,
            "horizon": self.horizon_s,
            "memories": self.n_memories,
            "by_day": self.by_day(),
            "falls": falls,
        }


def best_scores(
    memories: Sequence[StoredMemory], policy: Policy, namespace: Namespace, now_s: float
) -> NDArray[np.float64]:
    """Return what each memory scores for the query that fits it best: similarity and lexical overlap of 1.

    Parameters
    ----------
    memories : sequence of StoredMemory, length n
        Live ones.
    policy : Policy
        Pointwise, of terms that need no other knowledge of a query.
    namespace : Namespace
        The registration.
    now_s : float
        POSIX seconds.

    Returns
    -------
    ndarray of float64, shape (n,)
        Scores.

    Raises
    ------
    InvalidParameterError
        For a policy of sets, or one that asks where a query stands.
    """
    return _scores(Columns.of(memories), memories, policy, namespace, now_s)


def _scores(
    columns: Columns, memories: Sequence[StoredMemory], policy: Policy, namespace: Namespace, now_s: float
) -> NDArray[np.float64]:
    needed = policy.features
    if "common_level" in needed or any(name.startswith(BM25) for name in needed) or not policy.is_pointwise:
        raise InvalidParameterError(
            "policy",
            str(policy),
            "must be pointwise, and ask neither where the query stands nor which rare words it has",
        )
    best = {name for name in needed if name in OF_A_QUERY or name.startswith((MENTIONS, GRAPH))}
    records = Records([memory.record for memory in memories], tuple)
    known = features(needed - best, columns, records, Query(text="-"), namespace, now_s, None)
    known |= {name: np.ones(len(memories)) for name in best}
    return np.broadcast_to(policy.evaluate(known), len(memories)).astype(np.float64)


def forecast(
    memories: Sequence[StoredMemory],
    policy: Policy,
    namespace: Namespace,
    *,
    threshold: float,
    now_s: float,
    horizon_s: float,
) -> Forecast:
    """Return which memories fall under a threshold by a horizon, and when, if nothing is recalled meanwhile.

    A memory falls when its best possible score does (`best_scores`), or when it expires; one that is pinned never does.

    Parameters
    ----------
    memories : sequence of StoredMemory
        Live ones of one namespace.
    policy : Policy
        One that never rises with time.
    namespace : Namespace
        The registration.
    threshold : float
        The score, finite.
    now_s, horizon_s : float
        From when to when, POSIX seconds.

    Returns
    -------
    Forecast
        Times to half a second.

    Raises
    ------
    InvalidParameterError
        For a horizon before now, a threshold that is not finite, or a policy as in `best_scores`.

    Notes
    -----
    Laws: ``property_tests/state/test_forecast.py``.
    """
    if not np.isfinite(threshold):
        raise InvalidParameterError("threshold", threshold, "must be finite")
    if not now_s <= horizon_s:
        raise InvalidParameterError("horizon", horizon_s, f"must not lie before now, {now_s:.0f}")
    free = [memory for memory in memories if not memory.record.pinned]
    columns = Columns.of(free)

    def under(after_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        moved = replace(
            columns,
            timestamp_s=columns.timestamp_s - after_s,
            last_used_s=columns.last_used_s - after_s,
            trace_at_s=columns.trace_at_s - after_s,
        )
        return _scores(moved, free, policy, namespace, now_s) < threshold

    low, high = np.zeros(len(free)), np.full(len(free), horizon_s - now_s)
    already, finally_ = under(low), under(high)
    while free and float((high - low).max()) > TOLERANCE_S:
        middle = (low + high) / 2.0
        is_under = under(middle)
        low, high = np.where(is_under, low, middle), np.where(is_under, middle, high)
    at_s = np.where(already, now_s, np.where(finally_, now_s + high, np.inf))
    expires = [memory.record.expires_at for memory in free]
    at_s = np.minimum(at_s, [np.inf if end is None else max(end, now_s) for end in expires])
    score = _scores(columns, free, policy, namespace, now_s)
    found = [
        Fall(memory.record.id, float(when), float(now))
        for memory, when, now in zip(free, at_s, score, strict=True)
        if when <= horizon_s
    ]
    return Forecast(
        threshold, now_s, horizon_s, len(memories), tuple(sorted(found, key=lambda fall: (fall.at_s, fall.id)))
    )
