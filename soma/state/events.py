"""What can happen to a memory: one frozen value for each type of event.

Events of different records commute; events of one record keep the order of the log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from uuid import UUID

from soma.errors import InvalidParameterError
from soma.state.fields import as_label, as_namespace, as_uuid, as_weight
from soma.state.frozen import FrozenDict, freeze_object
from soma.state.inherited import Inherited
from soma.state.instant import to_seconds
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord

__all__ = [
    "EVENT_TYPES",
    "Event",
    "MemoryCreated",
    "MemoryDeleted",
    "MemoryLinked",
    "MemoryRecalled",
    "MemoryUnlinked",
    "MemoryUpdated",
    "NamespaceRegistered",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(ABC):
    """What every event carries.

    Parameters
    ----------
    event_id : UUID or str
        The identity of the event: its effect is taken once, however often it is delivered.
    at_s : float, aware datetime or str
        When it happened, POSIX seconds.
    cause_id : UUID or str, optional
        The operation that it is part of, shared by the events of one bulk operation.
    extras : mapping
        Fields of the body that a newer writer knew and this version does not; kept, never read.
    """

    type: ClassVar[str]

    event_id: UUID
    at_s: float
    cause_id: UUID | None = None
    extras: FrozenDict = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "event_id", as_uuid("event_id", self.event_id))
        object.__setattr__(self, "at_s", to_seconds("at", self.at_s))
        object.__setattr__(self, "extras", freeze_object(self.extras, "extras"))
        if self.cause_id is not None:
            object.__setattr__(self, "cause_id", as_uuid("cause_id", self.cause_id))
        self.validate()

    @abstractmethod
    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""

    @property
    @abstractmethod
    def key(self) -> tuple[str, UUID | None]:
        """Namespace and record id whose order the event belongs to; for a link, the id it starts from."""

    @abstractmethod
    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values; extras included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfRecord(Event):
    record: MemoryRecord

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        if not isinstance(self.record, MemoryRecord):
            raise InvalidParameterError("record", self.record, "must be a MemoryRecord")

    @property
    def key(self) -> tuple[str, UUID | None]:
        """Namespace and record id whose order the event belongs to."""
        return self.record.key

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return self.record.to_dict()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCreated(_OfRecord):
    """A memory came to be, or came back: a live memory of the same id is replaced and keeps its trace.

    Parameters
    ----------
    record : MemoryRecord
        The whole record.
    inherited : Inherited, optional
        The accesses that it begins with; by default one, at its timestamp.
    """

    type: ClassVar[str] = "memory.created"

    inherited: Inherited | None = None

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        _OfRecord.validate(self)
        if self.inherited is not None and not isinstance(self.inherited, Inherited):
            raise InvalidParameterError("inherited", self.inherited, "must be an Inherited")
        if "inherited" in self.record.extras:
            raise InvalidParameterError("record", self.record.id, "must have no field of its own called inherited")

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        inherited = {} if self.inherited is None else {"inherited": self.inherited.to_dict()}
        return {**_OfRecord.body(self), **inherited}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUpdated(_OfRecord):
    """A live memory was replaced as a whole; without one the event has no effect.

    Parameters
    ----------
    record : MemoryRecord
        The whole record.
    """

    type: ClassVar[str] = "memory.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfMemory(Event):
    namespace: str
    id: UUID

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        as_namespace(self.namespace)
        object.__setattr__(self, "id", as_uuid("id", self.id))

    @property
    def key(self) -> tuple[str, UUID | None]:
        """Namespace and record id whose order the event belongs to."""
        return self.namespace, self.id

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return {**self.extras, "namespace": self.namespace, "id": str(self.id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDeleted(_OfMemory):
    """A memory was removed; a later ``memory.created`` brings it back.

    Parameters
    ----------
    namespace : str
        The memory's namespace.
    id : UUID or str
        The memory's id.
    reason : str
        ``"forgotten"``, ``"expired"``, ``"consolidated"`` or the caller's own.
    into : UUID or str, optional
        The memory that now stands for it.
    """

    type: ClassVar[str] = "memory.deleted"

    reason: str
    into: UUID | None = None

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        _OfMemory.validate(self)
        as_label("reason", self.reason)
        if self.into is not None:
            object.__setattr__(self, "into", as_uuid("into", self.into))

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        into = {} if self.into is None else {"into": str(self.into)}
        return {**_OfMemory.body(self), "reason": self.reason, **into}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRecalled(_OfMemory):
    """A memory was recalled, which strengthens its trace.

    Parameters
    ----------
    namespace : str
        The memory's namespace.
    id : UUID or str
        The memory's id.
    weight : float
        How much the access counts, > 0; one recall counts 1.
    """

    type: ClassVar[str] = "memory.recalled"

    weight: float = 1.0

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        _OfMemory.validate(self)
        object.__setattr__(self, "weight", as_weight(self.weight))

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return {**_OfMemory.body(self), "weight": self.weight}


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfLink(Event):
    namespace: str
    source: UUID
    target: UUID
    link_type: str

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        as_namespace(self.namespace)
        object.__setattr__(self, "source", as_uuid("from", self.source))
        object.__setattr__(self, "target", as_uuid("to", self.target))
        as_label("type", self.link_type)

    @property
    def key(self) -> tuple[str, UUID | None]:
        """Namespace and record id whose order the event belongs to."""
        return self.namespace, self.source

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        ends = {"namespace": self.namespace, "from": str(self.source), "to": str(self.target)}
        return {**self.extras, **ends, "type": self.link_type}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLinked(_OfLink):
    """A link was made, or its weight set; while an end is absent it is hidden.

    Parameters
    ----------
    namespace : str
        Namespace of both ends.
    source, target : UUID or str
        The memory it starts from, and the one it leads to (``from`` and ``to`` in JSON).
    link_type : str
        What the link means (``type`` in JSON).
    weight : float
        Strength, > 0.
    """

    type: ClassVar[str] = "memory.linked"

    weight: float = 1.0

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        _OfLink.validate(self)
        object.__setattr__(self, "weight", as_weight(self.weight))

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return {**_OfLink.body(self), "weight": self.weight}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUnlinked(_OfLink):
    """A link was removed.

    Parameters
    ----------
    namespace : str
        Namespace of both ends.
    source, target : UUID or str
        The memory it starts from, and the one it leads to (``from`` and ``to`` in JSON).
    link_type : str
        What the link means (``type`` in JSON).
    """

    type: ClassVar[str] = "memory.unlinked"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRegistered(Event):
    """A namespace was made; its constants never change, so a second registration has no effect.

    Parameters
    ----------
    registration : Namespace
        Dimension, frame, projector, trace constants and importance scale.
    """

    type: ClassVar[str] = "namespace.registered"

    registration: Namespace

    def validate(self) -> None:
        """Put every field of the body into its form, or raise."""
        if not isinstance(self.registration, Namespace):
            raise InvalidParameterError("registration", self.registration, "must be a Namespace")

    @property
    def key(self) -> tuple[str, UUID | None]:
        """Namespace and record id whose order the event belongs to."""
        return self.registration.name, None

    def body(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values."""
        return {**self.extras, **self.registration.to_dict()}


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    kind.type: kind
    for kind in (
        MemoryCreated,
        MemoryUpdated,
        MemoryDeleted,
        MemoryRecalled,
        MemoryLinked,
        MemoryUnlinked,
        NamespaceRegistered,
    )
}
"""Every type of event, by its name in the contract."""
