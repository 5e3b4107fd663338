"""What a memory brings with it from the memories that it stands for: their accesses, merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING, Any

from soma.canonical_json import MAX_INTEGER
from soma.errors import InvalidParameterError, SerializationError
from soma.math import multiscale
from soma.math.multiscale import ExponentialSum, Trace
from soma.state.instant import to_seconds

if TYPE_CHECKING:
    from soma.state.stored import StoredMemory

__all__ = ["Inherited", "inherited_of"]


@dataclass(frozen=True, slots=True)
class Inherited:
    """Accesses that a created memory begins with, instead of the one at its own timestamp.

    Parameters
    ----------
    trace_at : float
        The time that the accumulators are of, POSIX seconds.
    trace : tuple of float, length K
        The accumulators, one for each term of the namespace's trace constants, finite, >= 0.
    n_recalls : int
        How often it was recalled, >= 0.
    last_recalled : float, optional
        The latest recall, POSIX seconds.

    Raises
    ------
    InvalidParameterError
        For a field outside its domain.
    """

    trace_at: float
    trace: tuple[float, ...]
    n_recalls: int
    last_recalled: float | None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "trace_at", to_seconds("trace_at", self.trace_at))
        if isinstance(self.trace, str | Mapping) or not isinstance(self.trace, Iterable):
            raise InvalidParameterError("trace", self.trace, "must be a list of numbers")
        values = tuple(self.trace)
        if not values or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
            raise InvalidParameterError("trace", self.trace, "must be a list of numbers")
        put(self, "trace", Trace(self.trace_at, tuple(float(x) + 0.0 for x in values)).values)
        if type(self.n_recalls) is not int or not 0 <= self.n_recalls <= MAX_INTEGER:
            raise InvalidParameterError("n_recalls", self.n_recalls, "must be an integer >= 0")
        if self.last_recalled is not None:
            put(self, "last_recalled", to_seconds("last_recalled", self.last_recalled))

    @property
    def accesses(self) -> Trace:
        """The accumulators with their time."""
        return Trace(self.trace_at, self.trace)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, description: object) -> Inherited:
        """Return what `to_dict` described.

        Raises
        ------
        SerializationError
            For missing or unknown fields.
        InvalidParameterError
            For a field outside its domain.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(description, Mapping) or set(description) != names:
            raise SerializationError(f"what is inherited has exactly the fields {', '.join(sorted(names))}")
        return cls(**description)


def inherited_of(memories: Iterable[StoredMemory], constants: ExponentialSum) -> Inherited:
    """Return the accesses of some memories together.

    Parameters
    ----------
    memories : iterable of StoredMemory
        At least one.
    constants : ExponentialSum
        The namespace's trace constants.

    Returns
    -------
    Inherited
        Its `soma.math.multiscale.level` at any later time is the sum of theirs, to rounding.
    """
    found = list(memories)
    trace = reduce(lambda one, other: multiscale.merge(one, other, constants), (memory.trace for memory in found))
    recalls = [memory.last_recalled_s for memory in found if memory.last_recalled_s is not None]
    return Inherited(trace.at_s, trace.values, sum(memory.n_recalls for memory in found), max(recalls, default=None))
