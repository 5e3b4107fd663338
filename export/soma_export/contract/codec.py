"""Events to messages and back: the envelope in the headers, the body in one of two formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from soma import canonical_json
from soma.errors import SerializationError
from soma.state.events import EVENT_TYPES, Event
from soma.state.serialization import event_from_dict
from soma_export.contract.headers import Envelope, headers_of
from soma_export.contract.message import Headers, Message
from soma_export.contract.topics import key_of

__all__ = ["Codec", "Encoded", "Format", "JsonFormat"]

TIME: Final = "at"


class Format(Protocol):
    """How a body becomes bytes."""

    @property
    def content_type(self) -> str:
        """What the header ``content-type`` says."""
        ...

    def encode(self, event_type: str, fields: Mapping[str, Any]) -> bytes:
        """Return the bytes of a body, or raise `SerializationError`."""
        ...

    def decode(self, event_type: str, data: bytes) -> dict[str, Any]:
        """Return the body that `encode` wrote, or raise `SerializationError`."""
        ...


class JsonFormat:
    """Canonical JSON (RFC 8785), read strictly."""

    content_type = "application/json"

    def encode(self, event_type: str, fields: Mapping[str, Any]) -> bytes:  # noqa: ARG002 - every format is asked so
        """Return the canonical bytes of a body."""
        return canonical_json.dumps(fields)

    def decode(self, event_type: str, data: bytes) -> dict[str, Any]:
        """Return the body, or raise `SerializationError`."""
        fields = canonical_json.loads(data)
        if not isinstance(fields, dict):
            raise SerializationError(f"the body of {event_type} must be a JSON object")
        return fields


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as it is sent.

    Parameters
    ----------
    key : bytes
        What chooses the partition.
    value : bytes
        The body.
    headers : tuple of (str, bytes)
        The envelope.
    """

    key: bytes
    value: bytes
    headers: Headers


class Codec:
    """Writes one format and reads all that it is given.

    Parameters
    ----------
    writer : Format
        What is written.
    others : Format
        What is read beside it.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_codec.py``. What is decoded equals what was encoded.
    """

    def __init__(self, writer: Format, *others: Format) -> None:
        self._writer = writer
        self._formats = {known.content_type: known for known in (writer, *others)}

    def encode(self, event: Event, *, traceparent: str | None = None) -> Encoded:
        """Return an event as it is sent.

        Raises
        ------
        SerializationError
            For a body that is too large, or has a field of its own called ``at``.
        """
        body = event.body()
        if TIME in body:
            raise SerializationError(f"a field of {event.type} is called {TIME!r}, which is the event's own time")
        value = self._writer.encode(event.type, {**body, TIME: event.at_s})
        return Encoded(key_of(event), value, headers_of(event, self._writer.content_type, traceparent=traceparent))

    def decode(self, message: Message) -> tuple[Event, dict[str, Any]]:
        """Return the event that a message carries, and its body as JSON values, time included.

        Raises
        ------
        SerializationError
            For an envelope or a body that cannot be read.
        InvalidParameterError
            For a field outside its domain.
        """
        envelope = Envelope.of(message.headers)
        if envelope.type not in EVENT_TYPES:
            raise SerializationError(
                f"the event's type {envelope.type!r} is unknown: expected {', '.join(EVENT_TYPES)}"
            )
        reader = self._formats.get(envelope.content_type)
        if reader is None:
            raise SerializationError(f"content-type {envelope.content_type!r} is none of {', '.join(self._formats)}")
        if message.value is None:
            raise SerializationError(f"the message has no body, which {envelope.type} needs")
        fields = reader.decode(envelope.type, message.value)
        if TIME not in fields:
            raise SerializationError(f"the body of {envelope.type} lacks {TIME!r}, the time of the event")
        data = {name: value for name, value in fields.items() if name != TIME}
        event = event_from_dict(
            {
                "id": envelope.event_id,
                "type": envelope.type,
                "at": fields[TIME],
                "cause_id": envelope.cause_id,
                "data": data,
            }
        )
        if message.key != key_of(event):
            raise SerializationError(f"the key {message.key!r} is not that of the event, {key_of(event)!r}")
        return event, fields
