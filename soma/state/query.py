"""What is looked for, and which memories may be found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from soma.errors import InvalidParameterError
from soma.math.domain import finite, non_negative
from soma.state.fields import MAX_DIMENSION, MAX_EMBEDDING, MemoryType, as_uuid
from soma.state.instant import Instant, to_seconds
from soma.state.paths import at_path, label

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from soma.state.record import MemoryRecord

__all__ = ["AnyOf", "Between", "Filter", "Query"]


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
    focus : mapping of UUID or str to float, or iterable of UUID or str, optional
        The memories that are in mind, and how much, >= 0 and not all 0; evenly by default. ``graph`` starts there.

    Raises
    ------
    InvalidParameterError
        For an array that is not finite, or has more than one axis; for a focus outside its domain.

    Examples
    --------
    >>> query = Query("what broke?", focus=["6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11"])
    >>> [attention for id, attention in query.focus]
    [1.0]
    """

    text: str | None = None
    embedding: tuple[float, ...] | None = None
    coordinate: tuple[float, ...] | None = None
    focus: tuple[tuple[UUID, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "embedding", _point("embedding", self.embedding, MAX_EMBEDDING))
        object.__setattr__(self, "coordinate", _point("coordinate", self.coordinate, MAX_DIMENSION))
        if self.text is not None and not isinstance(self.text, str):
            raise InvalidParameterError("text", self.text, "must be a string")
        object.__setattr__(self, "focus", _focus(self.focus))
        if self.text is None and self.embedding is None and self.coordinate is None and not self.focus:
            raise InvalidParameterError("query", None, "must have a text, an embedding, a coordinate or a focus")

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
        if self.embedding is None:
            return f"what is linked to {', '.join(str(id) for id, _ in self.focus)}"
        return f"a vector of {len(self.embedding or ())} numbers"


@dataclass(frozen=True, slots=True)
class Between:
    """The values between two ends, both of them included: numbers among numbers, texts among texts.

    Parameters
    ----------
    lower, upper : float or str, optional
        The ends, of one kind; at least one.

    Raises
    ------
    InvalidParameterError
        For ends of two kinds, out of order, not finite, or none.

    Examples
    --------
    >>> Between(3, 5).admits(5), Between(lower="2024-06").admits("2024-05-31"), Between(3).admits("4")
    (True, False, False)
    """

    lower: float | str | None = None
    upper: float | str | None = None

    def __post_init__(self) -> None:
        ends = [end for end in (self.lower, self.upper) if end is not None]
        kinds = {_kind(end) for end in ends}
        if len(kinds) != 1 or not kinds <= {"number", "text"}:
            raise InvalidParameterError("between", (self.lower, self.upper), "must have ends, two numbers or two texts")
        if kinds == {"number"}:
            finite("between", ends)
        if len(ends) == 2 and ends[0] > ends[1]:  # type: ignore[operator]
            raise InvalidParameterError("between", (self.lower, self.upper), "must not begin above its end")

    def admits(self, value: Any) -> bool:
        """Whether a JSON value lies between the ends, or one of a list does."""
        if isinstance(value, list | tuple):
            return any(map(self.admits, value))
        lower, upper = self.lower, self.upper
        if _kind(value) != _kind(upper if lower is None else lower):
            return False
        return (lower is None or lower <= value) and (upper is None or value <= upper)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some JSON values, by their labels: what an ordinary value or a list of them in a filter becomes.

    Parameters
    ----------
    labels : frozenset of str
        As `soma.state.paths.label` gives them; the empty one admits what is absent or null.
    """

    labels: frozenset[str]

    def admits(self, value: Any) -> bool:
        """Whether a JSON value is one of these, or is a list that has one of these."""
        if label(value) in self.labels:
            return True
        return isinstance(value, list | tuple) and any(label(item) in self.labels for item in value)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which memories may be recalled at all.

    Parameters
    ----------
    tags : frozenset of str
        All of them must be carried.
    memory_type : MemoryType, optional
        The only type admitted.
    since_s, until_s : float, optional
        From when on and before when it must have happened, POSIX seconds.
    where : tuple of (str, Between or AnyOf)
        What must stand at paths of the payload.
    """

    tags: frozenset[str] = frozenset()
    memory_type: MemoryType | None = None
    since_s: float | None = None
    until_s: float | None = None
    where: tuple[tuple[str, Between | AnyOf], ...] = ()

    @classmethod
    def of(
        cls,
        *,
        tags: Iterable[str] = (),
        memory_type: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Filter:
        """Return a filter from what a caller writes.

        Raises
        ------
        InvalidParameterError
            Naming the argument that is outside its domain.
        """
        if isinstance(tags, str):
            raise InvalidParameterError("tags", tags, "must be a list of strings")
        try:
            kind = None if memory_type is None else MemoryType(memory_type)
        except ValueError:
            raise InvalidParameterError("memory_type", memory_type, 'must be "episodic" or "semantic"') from None
        asked = {} if where is None else where
        if not isinstance(asked, Mapping) or not all(isinstance(path, str) and path for path in asked):
            raise InvalidParameterError("where", where, "must map paths of the payload to values")
        return cls(
            frozenset(tags),
            kind,
            None if since is None else to_seconds("since", since),
            None if until is None else to_seconds("until", until),
            tuple((path, _condition(value)) for path, value in sorted(asked.items(), key=itemgetter(0))),
        )

    def admits(self, record: MemoryRecord, now_s: float) -> bool:
        """Whether a record may be recalled at ``now_s``: an expired one may not."""
        return (
            (record.expires_at is None or record.expires_at > now_s)
            and (self.memory_type is None or record.memory_type is self.memory_type)
            and (self.since_s is None or record.timestamp >= self.since_s)
            and (self.until_s is None or record.timestamp < self.until_s)
            and self.tags.issubset(record.tags)
            and all(condition.admits(at_path(record.payload, path)) for path, condition in self.where)
        )


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else "other"


def _condition(value: Any) -> Between | AnyOf:
    if isinstance(value, Between | AnyOf):
        return value
    values = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return AnyOf(frozenset(map(label, values)))


def _focus(value: Any) -> tuple[tuple[UUID, float], ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidParameterError("focus", value, "must be a list of ids, or map them to numbers")
    given = value.items() if isinstance(value, Mapping) else value
    pairs = (one if isinstance(one, tuple) and len(one) == 2 else (one, 1.0) for one in given)
    attention = {as_uuid("focus", id): float(non_negative("focus", finite("focus", share))) for id, share in pairs}
    if attention and not any(attention.values()):
        raise InvalidParameterError("focus", value, "must not be 0 for every memory")
    return tuple(attention.items())


def _point(parameter: str, value: ArrayLike | None, max_dimension: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    array = finite(parameter, value)
    if array.ndim != 1 or not 1 <= array.size <= max_dimension:
        raise InvalidParameterError(parameter, value, f"must be one vector of 1 to {max_dimension} numbers")
    return tuple(array.tolist())
