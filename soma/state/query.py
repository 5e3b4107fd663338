"""What is looked for, and which memories may be found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soma.errors import InvalidParameterError
from soma.math.domain import finite
from soma.state.fields import MAX_DIMENSION, MAX_EMBEDDING, MemoryType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.state.record import MemoryRecord

__all__ = ["Filter", "Query"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Parameters
    ----------
    text : str, optional
        Words, for lexical overlap.
    embedding : array_like, shape (d,), optional
        A vector of the memories' model: ``similarity`` is then the cosine.
    coordinate : array_like, shape (dimension,), optional
        A point: without an embedding, ``similarity`` is 1 / (1 + distance); also the address for ``same_cell``.

    Raises
    ------
    InvalidParameterError
        For an array that is not finite, or has more than one axis.
    """

    text: str | None = None
    embedding: tuple[float, ...] | None = None
    coordinate: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "embedding", _point("embedding", self.embedding, MAX_EMBEDDING))
        object.__setattr__(self, "coordinate", _point("coordinate", self.coordinate, MAX_DIMENSION))
        if self.text is not None and not isinstance(self.text, str):
            raise InvalidParameterError("text", self.text, "must be a string")
        if self.text is None and self.embedding is None and self.coordinate is None:
            raise InvalidParameterError("query", None, "must have a text, an embedding or a coordinate")

    @classmethod
    def of(cls, query: Query | str | ArrayLike) -> Query:
        """Return a query from text, from a coordinate, or from a query."""
        if isinstance(query, Query):
            return query
        if isinstance(query, str):
            return cls(text=query)
        return cls(coordinate=query)  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.text is not None:
            return self.text
        if self.coordinate is not None:
            return f"({', '.join(f'{x:g}' for x in self.coordinate)})"
        return f"a vector of {len(self.embedding or ())} numbers"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which memories may be recalled at all.

    Parameters
    ----------
    tags : frozenset of str
        All of them must be carried.
    memory_type : MemoryType, optional
        The only type admitted.
    """

    tags: frozenset[str] = frozenset()
    memory_type: MemoryType | None = None

    @classmethod
    def of(cls, *, tags: Iterable[str] = (), memory_type: str | None = None) -> Filter:
        """Return a filter from what a caller writes."""
        if isinstance(tags, str):
            raise InvalidParameterError("tags", tags, "must be a list of strings")
        try:
            return cls(frozenset(tags), None if memory_type is None else MemoryType(memory_type))
        except ValueError:
            raise InvalidParameterError("memory_type", memory_type, 'must be "episodic" or "semantic"') from None

    def admits(self, record: MemoryRecord, now_s: float) -> bool:
        """Whether a record may be recalled at ``now_s``: an expired one may not."""
        return (
            (record.expires_at is None or record.expires_at > now_s)
            and (self.memory_type is None or record.memory_type is self.memory_type)
            and self.tags.issubset(record.tags)
        )


def _point(parameter: str, value: ArrayLike | None, max_dimension: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    array = finite(parameter, value)
    if array.ndim != 1 or not 1 <= array.size <= max_dimension:
        raise InvalidParameterError(parameter, value, f"must be one vector of 1 to {max_dimension} numbers")
    return tuple(array.tolist())
