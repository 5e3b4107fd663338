"""JSON first: records, events and stored memories as canonical bytes, and back by strict parsing."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final
from uuid import UUID

from soma import canonical_json
from soma.errors import SerializationError
from soma.math.multiscale import Trace
from soma.state.events import (
    EVENT_TYPES,
    Event,
    MemoryCreated,
    MemoryDeleted,
    MemoryLinked,
    MemoryRecalled,
    MemoryUnlinked,
    MemoryUpdated,
    NamespaceRegistered,
)
from soma.state.frozen import freeze_object
from soma.state.inherited import Inherited
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma.state.stored import Stored, StoredMemory, Tombstone, stored_to_dict

__all__ = [
    "event_from_dict",
    "event_from_json",
    "event_to_dict",
    "event_to_json",
    "record_from_dict",
    "record_from_json",
    "record_to_json",
    "stored_from_json",
    "stored_to_json",
]

REQUIRED: Final = ("id", "namespace", "coordinate", "payload", "memory_type", "timestamp", "importance")
OPTIONAL: Final = ("embedding", "model_revision", "text", "tags", "pinned", "expires_at")
KNOWN: Final = frozenset((*REQUIRED, *OPTIONAL))


def record_to_json(record: MemoryRecord) -> bytes:
    """Return the canonical bytes of a record: equal records give equal bytes.

    Parameters
    ----------
    record : MemoryRecord
        Any.

    Returns
    -------
    bytes
        RFC 8785.

    Raises
    ------
    SerializationError
        If they are more than `soma.canonical_json.MAX_BYTES`.
    """
    return canonical_json.dumps(record.to_dict())


def record_from_json(data: bytes | str) -> MemoryRecord:
    """Parse a record strictly; unknown fields are kept in ``extras``.

    Parameters
    ----------
    data : bytes or str
        One JSON object.

    Returns
    -------
    MemoryRecord
        Valid.

    Raises
    ------
    SerializationError
        For bytes that are not acceptable JSON, or a missing field.
    InvalidParameterError
        For a field outside its domain.

    Examples
    --------
    >>> record_from_json('{"id": "6f1c7a52-4c0b-4f0e-9a53-0d7a3c1f2b11"}')
    Traceback (most recent call last):
    soma.errors.SerializationError: the record lacks 'namespace', 'coordinate', 'payload', 'memory_type', 'timestamp', 'importance'
    """  # noqa: E501 - one sentence is one line of output
    return record_from_dict(_object(canonical_json.loads(data), "the record"))


def record_from_dict(fields: Mapping[str, Any]) -> MemoryRecord:
    """Return a record from the fields of the contract; unknown ones are kept in ``extras``.

    Parameters
    ----------
    fields : mapping
        JSON values.

    Returns
    -------
    MemoryRecord
        Valid.

    Raises
    ------
    SerializationError
        For a missing field, or a payload that JSON cannot carry.
    InvalidParameterError
        For a field outside its domain.
    """
    _require(fields, REQUIRED, "the record")
    extras = _extras(fields, KNOWN)
    known = {name: value for name, value in fields.items() if name in KNOWN} if extras else fields
    return MemoryRecord(**known, extras=freeze_object(extras, "extras"))


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON values: envelope (id, type, at, cause) and data (the body of the contract).

    Parameters
    ----------
    event : Event
        Any.

    Returns
    -------
    dict
        ``id``, ``type``, ``at``, ``cause_id`` if there is one, ``data``.
    """
    cause = {} if event.cause_id is None else {"cause_id": str(event.cause_id)}
    return {"id": str(event.event_id), "type": event.type, "at": event.at_s, **cause, "data": event.body()}


def event_to_json(event: Event) -> bytes:
    """Return the canonical bytes of an event: equal events give equal bytes.

    Parameters
    ----------
    event : Event
        Any.

    Returns
    -------
    bytes
        RFC 8785.

    Raises
    ------
    SerializationError
        If they are more than `soma.canonical_json.MAX_BYTES`.
    """
    return canonical_json.dumps(event_to_dict(event))


def event_from_json(data: bytes | str) -> Event:
    """Parse an event strictly.

    Parameters
    ----------
    data : bytes or str
        One JSON object, as `event_to_dict` describes it.

    Returns
    -------
    Event
        Of the type that it names.

    Raises
    ------
    SerializationError
        For bytes that are not acceptable JSON, an unknown type, or a missing field.
    InvalidParameterError
        For a field outside its domain.
    """
    return event_from_dict(_object(canonical_json.loads(data), "the event"))


def event_from_dict(fields: Mapping[str, Any]) -> Event:
    """Return an event from its envelope and data, as `event_to_dict` writes them.

    Parameters
    ----------
    fields : mapping
        JSON values.

    Returns
    -------
    Event
        Of the type that it names.

    Raises
    ------
    SerializationError
        For an unknown type, or a missing field.
    InvalidParameterError
        For a field outside its domain.
    """
    _require(fields, ("id", "type", "at", "data"), "the event")
    kind = EVENT_TYPES.get(fields["type"]) if isinstance(fields["type"], str) else None
    if kind is None:
        raise SerializationError(f"the event's type {fields['type']!r} is unknown: expected {', '.join(EVENT_TYPES)}")
    envelope = {"event_id": fields["id"], "at_s": fields["at"], "cause_id": fields.get("cause_id")}
    data = _object(fields["data"], "the event's data")
    if kind is MemoryCreated and "inherited" in data:
        brought = data["inherited"]
        inherited = None if brought is None else Inherited.from_dict(brought)
        return kind(**envelope, record=record_from_dict(_extras(data, ("inherited",))), inherited=inherited)
    if issubclass(kind, MemoryCreated | MemoryUpdated):
        return kind(**envelope, record=record_from_dict(data))
    if issubclass(kind, NamespaceRegistered):
        known = Namespace.from_dict(data)
        return kind(**envelope, registration=known, extras=freeze_object(_extras(data, known.to_dict()), "extras"))
    names = _BODIES[kind]
    _require(data, [name for name in names if name != "into"], kind.type)
    arguments = {attribute: data[name] for name, attribute in names.items() if name in data}
    return kind(**envelope, **arguments, extras=freeze_object(_extras(data, names), "extras"))


_BODIES: Final[Mapping[type[Event], Mapping[str, str]]] = {
    MemoryDeleted: {"namespace": "namespace", "id": "id", "reason": "reason", "into": "into"},
    MemoryRecalled: {"namespace": "namespace", "id": "id", "weight": "weight"},
    MemoryLinked: {
        "namespace": "namespace",
        "from": "source",
        "to": "target",
        "type": "link_type",
        "weight": "weight",
    },
    MemoryUnlinked: {"namespace": "namespace", "from": "source", "to": "target", "type": "link_type"},
}


def stored_to_json(stored: Stored) -> bytes:
    """Return a stored memory, or its tombstone, as canonical bytes.

    Parameters
    ----------
    stored : StoredMemory or Tombstone
        Any.

    Returns
    -------
    bytes
        RFC 8785.

    Raises
    ------
    SerializationError
        If they are too many.
    """
    return canonical_json.dumps(stored_to_dict(stored), max_bytes=2 * canonical_json.MAX_BYTES)


def stored_from_json(data: bytes | str) -> Stored:
    """Return the stored memory, or tombstone, that `stored_to_json` wrote.

    Parameters
    ----------
    data : bytes or str
        One JSON object.

    Returns
    -------
    StoredMemory or Tombstone
        Equal to what was written.

    Raises
    ------
    SerializationError
        For anything else.
    """
    fields: Any = canonical_json.loads(data, max_bytes=2 * canonical_json.MAX_BYTES)
    try:
        if "deleted" in fields:
            gone = fields["deleted"]
            into = None if gone["into"] is None else UUID(gone["into"])
            return Tombstone(fields["version"], gone["reason"], into, float(gone["at"]))
        trace, recalled = fields["trace"], fields["last_recalled"]
        return StoredMemory(
            record_from_dict(fields["record"]),
            fields["version"],
            Trace(float(trace["at"]), tuple(map(float, trace["values"]))),
            fields["n_recalls"],
            None if recalled is None else float(recalled),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SerializationError(f"this is not a stored memory: {error!r}") from error


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SerializationError(f"{what} must be a JSON object")
    return value


def _require(fields: Mapping[str, Any], names: Any, what: str) -> None:
    missing = [name for name in names if name not in fields]
    if missing:
        raise SerializationError(f"{what} lacks {', '.join(map(repr, missing))}")


def _extras(data: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in known}
