"""Memories that say the same as another one of their namespace: proposals, never deletions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np

from soma.errors import InvalidParameterError
from soma.math.similarity import cosine, unit_vectors

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from soma.state.record import MemoryRecord

__all__ = ["Duplicates", "find_duplicates"]

CELLS: Final = 2**26


@dataclass(frozen=True, slots=True)
class Duplicates:
    """A memory, and those that say the same.

    Parameters
    ----------
    keep : UUID
        The one to keep: pinned before unpinned, then the more important, then the newer.
    others : tuple of UUID
        The rest, none of them pinned, in the order in which they would be kept.
    similarities : tuple of float
        The cosine of each of the others with the one to keep.
    """

    keep: UUID
    others: tuple[UUID, ...]
    similarities: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        others = zip(self.others, self.similarities, strict=True)
        return {"keep": str(self.keep), "others": [{"id": str(id), "similarity": value} for id, value in others]}


def find_duplicates(
    records: Sequence[MemoryRecord], vectors: ArrayLike, *, threshold: float = 0.95
) -> tuple[Duplicates, ...]:
    """Return which memories say the same as another one that is to be kept.

    Parameters
    ----------
    records : sequence of MemoryRecord, length n
        Of one namespace.
    vectors : array_like, shape (n, d)
        Their vectors.
    threshold : float
        The least cosine, in (0, 1].

    Returns
    -------
    tuple of Duplicates
        Each memory stands in one of them at most; most duplicates first, then by the one to keep.

    Raises
    ------
    InvalidParameterError
        For a threshold outside its domain, or records of several namespaces.

    Notes
    -----
    From the one that is most worth keeping on, each memory takes those that are as similar to it and not yet taken;
    so two duplicates of one memory may differ from each other by more. All pairs are compared: time is of the order
    of n^2 d. A product in single precision, with a bound on its rounding, leaves out the pairs that cannot matter; the
    rest is decided by `soma.math.similarity.cosine`. Laws: ``property_tests/state/test_duplicates.py``.
    """
    if not 0.0 < threshold <= 1.0:
        raise InvalidParameterError("threshold", threshold, "must be in (0, 1]")
    if len({record.namespace for record in records}) > 1:
        raise InvalidParameterError("records", len(records), "must be of one namespace")
    if not records:
        return ()
    order = sorted(range(len(records)), key=lambda row: _worth(records[row]))
    ranked, units = [records[row] for row in order], unit_vectors(vectors)[order]
    slack = (units.shape[1] + 2) * 2.0**-23
    block = max(1, min(1_024, CELLS // len(ranked)))
    is_pinned = np.array([record.pinned for record in ranked])
    is_taken = is_pinned.copy()  # a pinned one is never a duplicate of another
    found: list[Duplicates] = []
    for start in range(0, len(ranked), block):
        near = units[start : start + block] @ units[start:].T >= threshold - slack
        for row in range(start, min(start + block, len(ranked))):
            if is_taken[row] and not is_pinned[row]:
                continue
            rest = np.flatnonzero(near[row - start, row + 1 - start :] & ~is_taken[row + 1 :]) + row + 1
            values = _similarities(units[row], units[rest])
            same, values = rest[values >= threshold], values[values >= threshold]
            if same.size:
                is_taken[same] = True
                others = tuple(ranked[other].id for other in same)
                found.append(Duplicates(ranked[row].id, others, tuple(values.tolist())))
    return tuple(sorted(found, key=lambda group: (-len(group.others), group.keep)))


def _similarities(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosines; exactly 1 for the same vector, whatever its rounding, unless it is zero."""
    is_same = (many == one).all(axis=1) & one.any()
    return np.where(is_same, 1.0, cosine(one, many))


def _worth(record: MemoryRecord) -> tuple[bool, int, float, UUID]:
    return not record.pinned, -record.importance, -record.timestamp, record.id
