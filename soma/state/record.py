"""What is remembered: the memory record, and the link between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from soma.canonical_json import require_text
from soma.errors import InvalidParameterError
from soma.state.fields import (
    MAX_DIMENSION,
    MAX_EMBEDDING,
    MemoryType,
    as_importance,
    as_label,
    as_memory_type,
    as_namespace,
    as_tags,
    as_uuid,
    as_vector,
)
from soma.state.frozen import FrozenDict, freeze_object
from soma.state.instant import to_seconds

__all__ = ["Link", "MemoryRecord", "MemoryType", "render_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRecord:
    """One memory, as a value that cannot change.

    Parameters
    ----------
    id : UUID or str
        The identity, unique in the namespace.
    coordinate : sequence of float
        A finite point; its dimension (and frame) is registered with the namespace.
    timestamp : float, aware datetime or str
        When it happened, POSIX seconds.
    importance : int
        Raw, on any scale; the namespace's importance scale maps it to [0, 1].
    payload : mapping
        A JSON object; copied and frozen.
    namespace : str
        1 to 128 letters, digits, ``.``, ``_`` and ``-``, the first a letter or digit.
    memory_type : MemoryType or str
        ``"episodic"`` or ``"semantic"``.
    embedding : sequence of float, optional
        A precomputed vector, finite; needs ``model_revision``.
    model_revision : str, optional
        The model that made the vector.
    text : str, optional
        What is embedded and searched by words; without it the payload's strings are (`render_text`).
    tags : iterable of str
        Labels; kept sorted, each once.
    pinned : bool
        Never evicted, consolidated or expired.
    expires_at : float, aware datetime or str, optional
        When it may be swept away, POSIX seconds.
    extras : mapping
        Fields that a newer writer knew and this version does not; kept, never read.

    Raises
    ------
    InvalidParameterError
        For a field outside its domain.
    SerializationError
        For a payload that JSON cannot carry.

    Examples
    --------
    >>> record = MemoryRecord(id="6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11", coordinate=[0.25, 0.5],
    ...                       timestamp=86_400, importance=7, payload={"note": "Ada fixed the clock test"})
    >>> record.searchable_text
    'Ada fixed the clock test'
    """

    id: UUID
    coordinate: tuple[float, ...]
    timestamp: float
    importance: int
    payload: FrozenDict = field(default_factory=FrozenDict)
    namespace: str = "default"
    memory_type: MemoryType = MemoryType.EPISODIC
    embedding: tuple[float, ...] | None = None
    model_revision: str | None = None
    text: str | None = None
    tags: tuple[str, ...] = ()
    pinned: bool = False
    expires_at: float | None = None
    extras: FrozenDict = field(default_factory=FrozenDict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "id", as_uuid("id", self.id))
        put(self, "namespace", as_namespace(self.namespace))
        put(self, "coordinate", as_vector("coordinate", self.coordinate, MAX_DIMENSION))
        put(self, "payload", freeze_object(self.payload, "payload"))
        put(self, "extras", freeze_object(self.extras, "extras"))
        put(self, "memory_type", as_memory_type(self.memory_type))
        put(self, "timestamp", to_seconds("timestamp", self.timestamp))
        put(self, "importance", as_importance(self.importance))
        put(self, "tags", as_tags(self.tags))
        if not isinstance(self.pinned, bool):
            raise InvalidParameterError("pinned", self.pinned, "must be true or false")
        if self.text is not None:
            if not isinstance(self.text, str):
                raise InvalidParameterError("text", self.text, "must be a string")
            require_text(self.text, "text")
        if self.embedding is not None:
            put(self, "embedding", as_vector("embedding", self.embedding, MAX_EMBEDDING))
        if self.model_revision is not None:
            as_label("model_revision", self.model_revision)
        if (self.embedding is None) != (self.model_revision is None):
            raise InvalidParameterError(
                "model_revision", self.model_revision, "must be given with an embedding, and only with one"
            )
        if self.expires_at is not None:
            put(self, "expires_at", to_seconds("expires_at", self.expires_at))
            if self.pinned:
                raise InvalidParameterError("expires_at", self.expires_at, "must be absent from a pinned memory")

    @property
    def key(self) -> tuple[str, UUID]:
        """Namespace and id: what identifies the memory everywhere."""
        return self.namespace, self.id

    @property
    def searchable_text(self) -> str:
        """The text, or what `render_text` makes of the payload."""
        return self.text if self.text is not None else render_text(self.payload)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the contract as JSON values; absent options are left out, extras are included."""
        fields: dict[str, Any] = {
            **self.extras,
            "id": str(self.id),
            "namespace": self.namespace,
            "coordinate": self.coordinate,
            "payload": self.payload,
            "memory_type": self.memory_type.value,
            "timestamp": self.timestamp,
            "importance": self.importance,
        }
        for name in ("embedding", "model_revision", "text", "expires_at"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        if self.tags:
            fields["tags"] = self.tags
        if self.pinned:
            fields["pinned"] = True
        return fields


@dataclass(frozen=True, slots=True)
class Link:
    """A weighted, typed, directed link between two memories of one namespace.

    Parameters
    ----------
    source, target : UUID
        The memory it starts from, and the one it leads to; either may be absent.
    type : str
        What the link means: ``"caused"``.
    weight : float
        Strength, > 0.
    at_s : float
        When it was last set, POSIX seconds.
    """

    source: UUID
    target: UUID
    type: str
    weight: float
    at_s: float


def render_text(payload: Mapping[str, Any]) -> str:
    """Return the strings of a payload, in the order of its sorted keys, joined by spaces.

    Parameters
    ----------
    payload : mapping
        A JSON object; its keys and numbers are not rendered.

    Returns
    -------
    str
        Empty if there is no string.

    Examples
    --------
    >>> render_text({"b": ["two", 3], "a": "one"})
    'one two'
    """
    found: list[str] = []

    def visit(value: object) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            for key in sorted(value):
                visit(value[key])
        elif isinstance(value, list | tuple):
            for child in value:
                visit(child)

    visit(payload)
    return " ".join(found)
