"""The same bodies as Avro, in the Confluent wire format: byte 0, the schema's id as four bytes, the Avro binary.

What is read equals what was written, to the bit of every float. Payload and whatever else has no schema travel as JSON
text, and so do the fields that a newer writer knew (``extras``). The schema that was written with is asked of the
registry by its id, and resolved to ours by Avro's rules.
"""

from __future__ import annotations

import json
import math
import struct
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from io import BytesIO
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException, UnknownType

from soma import canonical_json
from soma.canonical_json import MAX_BYTES, MAX_INTEGER, require_text
from soma.errors import ConfigurationError, NotFoundError, SerializationError, StoreBusyError, StoreError
from soma.state.frozen import FrozenDict, freeze, freeze_object
from soma_export.contract.json_schema import Field, Shape, shapes

__all__ = ["AvroFormat", "ConfluentRegistry", "SchemaRegistry", "avro_schemas", "subject_of"]

NAMESPACE: Final = "soma.events"
EXTRAS: Final = "extras"
UNKNOWN_ID: Final = 40403  # what a registry calls an id that it has not given
HEADER: Final = struct.Struct(">BI")
PRIMITIVES: Final[Mapping[Any, Any]] = {
    UUID: {"type": "string", "logicalType": "uuid"},
    float: "double",
    int: "long",
    str: "string",
    bool: "boolean",
    FrozenDict: "string",  # JSON
}
UNREADABLE: Final = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
"""What fastavro raises for bytes or schemas that do not fit, beside errors of its own."""

Answer = TypeVar("Answer")


class SchemaRegistry(Protocol):
    """Gives schemas their ids, and schemas for ids; `StoreBusyError` where it does not answer."""

    def register(self, subject: str, schema: str) -> int:
        """Return the id of a schema under a subject, the same for the same schema; make it known if it is new."""
        ...

    def schema(self, id: int) -> str:
        """Return the schema of an id, or raise `NotFoundError`."""
        ...


def subject_of(event_type: str) -> str:
    """Return the subject that the schemas of an event are versions of.

    Parameters
    ----------
    event_type : str
        As in `soma.state.events.EVENT_TYPES`.

    Returns
    -------
    str
        ``memory.events-<event type>``: as in Confluent's TopicRecordNameStrategy, so that the types of one topic
        evolve apart; but without the topic's prefix, so that deployments share it.

    Examples
    --------
    >>> subject_of("memory.created")
    'memory.events-memory.created'
    """
    return f"memory.events-{event_type}"


def avro_schemas() -> dict[str, dict[str, Any]]:
    """Return the Avro schema of every event's body, by the type of the event.

    Returns
    -------
    dict of str to dict
        A record each. A field that may be absent is a union with null, and null means absent; so does the default.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_avro.py``.

    Examples
    --------
    >>> [field["name"] for field in avro_schemas()["memory.recalled"]["fields"]]
    ['namespace', 'id', 'weight', 'at', 'extras']
    """
    return {name: {"namespace": NAMESPACE, **_record(shape)} for name, shape in shapes().items()}


class AvroFormat:
    """Avro binary behind the id of its schema; a `soma_export.contract.codec.Format`.

    Parameters
    ----------
    registry : SchemaRegistry
        Asked once for each schema: when it is first written, and when its id is first read.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_avro.py``.
    """

    content_type = "application/vnd.soma.avro"

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._schemas = avro_schemas()
        self._parsed = {name: fastavro.parse_schema(_physical(schema)) for name, schema in self._schemas.items()}
        self._ids: dict[str, int] = {}
        self._writers: dict[int, Any] = {}

    def encode(self, event_type: str, fields: Mapping[str, Any]) -> bytes:
        """Return the bytes of a body, which is made of JSON values.

        Raises
        ------
        SerializationError
            For a field that is missing or of another kind, or a body that is too large.
        ConfigurationError, StoreBusyError
            If the registry refuses the schema, or does not answer.
        """
        row = _to_row(_shape(event_type), fields, event_type)
        if event_type not in self._ids:
            text = json.dumps(self._schemas[event_type], ensure_ascii=False)
            id = self._registry.register(subject_of(event_type), text)
            self._ids[event_type], self._writers[id] = id, self._parsed[event_type]
        buffer = BytesIO()
        buffer.write(HEADER.pack(0, self._ids[event_type]))
        fastavro.schemaless_writer(buffer, self._parsed[event_type], row, disable_tuple_notation=True)
        return _sized(buffer.getvalue(), event_type)

    def decode(self, event_type: str, data: bytes) -> dict[str, Any]:
        """Return the body that `encode` wrote, here or in another version.

        Raises
        ------
        SerializationError
            For bytes that are not one body of this type.
        StoreBusyError
            If the registry does not answer.
        """
        shape, reader = _shape(event_type), self._parsed[event_type]
        _sized(data, event_type)
        if len(data) < HEADER.size or data[0] != 0:
            raise SerializationError(f"the body of {event_type} does not begin with byte 0 and the id of a schema")
        writer = self._writer(HEADER.unpack_from(data)[1])
        if writer is reader:
            return _from_row(shape, _read(data, writer, None, event_type), event_type)
        row = _read(data, writer, reader, event_type)
        return _newer_fields(data, writer, reader, event_type) | _from_row(shape, row, event_type)

    def _writer(self, id: int) -> Any:
        if id not in self._writers:
            try:
                text = self._registry.schema(id)
            except NotFoundError:
                raise SerializationError(f"the registry has no schema with the id {id}, which the body names") from None
            try:
                parsed: Any = fastavro.parse_schema(_physical(json.loads(text)))
                if not isinstance(parsed, dict) or parsed["type"] != "record":
                    raise TypeError("it describes something else")
            except (SchemaParseException, UnknownType, *UNREADABLE) as error:
                raise SerializationError(f"the schema with the id {id} is no Avro record: {error!r:.120}") from error
            ours = [known for known in self._parsed.values() if known == parsed]
            self._writers[id] = ours[0] if ours else parsed
        return self._writers[id]


class ConfluentRegistry:
    """A schema registry that speaks Confluent's REST interface.

    Parameters
    ----------
    url : str
        ``http://host:port``; several are separated by commas and tried in turn.
    timeout_s : float
        How long one request may take.
    max_retries : int
        How often a request is repeated when the registry does not answer.

    Raises
    ------
    ConfigurationError
        For an address that cannot be used; from a request, if the registry refuses the schema or the caller.
    StoreBusyError, StoreError
        From a request, if the registry does not answer, or answers something else.
    """

    def __init__(self, url: str, *, timeout_s: float = 10.0, max_retries: int = 2) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415 - only who uses it pays for it

        options = {"timeout": timeout_s, "max.retries": max_retries, "retries.wait.ms": 100}
        try:
            addresses = [urlsplit(one.strip()) for one in url.split(",")]
            # without the password that an address may hold
            self._shown = ", ".join(f"{one.hostname}:{one.port}" for one in addresses)
            self._client = SchemaRegistryClient({"url": url, **options})
        except (TypeError, ValueError):
            problem = "the schema registry's address cannot be used"
            raise ConfigurationError(problem, "write it as http://host:port") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def register(self, subject: str, schema: str) -> int:
        """Return the id of a schema under a subject."""
        from confluent_kafka.schema_registry import Schema  # noqa: PLC0415 - only who uses it pays for it

        id = self._ask(subject, lambda: self._client.register_schema(subject, Schema(schema, "AVRO")))
        if type(id) is not int or not 0 <= id < 2**32:
            raise StoreError(f"the schema registry at {self._shown} gave {subject} the id {id!r}: is it a registry?")
        return id

    def schema(self, id: int) -> str:
        """Return the schema of an id, or raise `NotFoundError`."""
        found = self._ask(id, lambda: self._client.get_schema(id)).schema_str
        if not isinstance(found, str):
            self._client.clear_caches()  # type: ignore[no-untyped-call] # or the same would be said again
            raise StoreError(f"the schema registry at {self._shown} answered no schema for {id}: is it a registry?")
        return found

    def _ask(self, key: object, request: Callable[[], Answer]) -> Answer:
        from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415 - as above

        where = f"the schema registry at {self._shown}"
        try:
            return request()
        except SchemaRegistryError as error:
            said, status = f"{where} answered {key} with {error}", error.http_status_code
            if error.error_code == UNKNOWN_ID:  # 404 alone may be another server's
                raise NotFoundError("schema", key, said) from error
            if status in (401, 403):
                raise ConfigurationError(said, "give its address as http://name:password@host:port") from error
            if status in (409, 422):
                raise ConfigurationError(said, "the schema must be compatible with its earlier versions") from error
            if status == 429 or status >= 500:
                raise StoreBusyError(said, retry_after_s=1.0) from error
            raise StoreError(f"{said}: is it a registry?") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(f"{where} answered {key} with something else: {error!r:.120}") from error
        except Exception as error:  # of an HTTP library that the client's version chooses
            raise StoreBusyError(f"{where} does not answer: {error!r:.120}", retry_after_s=1.0) from error


def _record(shape: Shape) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [_avro_field(field) for field in shape.fields]
    if shape.is_open:
        doc = "Fields that this schema does not name, as a JSON object."
        listed.append({"name": EXTRAS, "doc": doc, "type": ["null", "string"], "default": None})
    return {"type": "record", "name": shape.name, "doc": shape.description, "fields": listed}


def _avro_field(field: Field) -> dict[str, Any]:
    described = {"name": field.name, "doc": field.description}
    if field.is_required and not field.is_nullable:
        return {**described, "type": _avro_kind(field.kind)}
    absent = {} if field.is_required else {"default": None}
    return {**described, "type": ["null", _avro_kind(field.kind)], **absent}


def _avro_kind(kind: Any) -> Any:
    if isinstance(kind, Shape):
        return _record(kind)
    if typing.get_origin(kind) is tuple:
        return {"type": "array", "items": _avro_kind(typing.get_args(kind)[0])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        symbols = [member.value for member in kind]
        return {"type": "enum", "name": kind.__name__, "symbols": symbols, "default": symbols[0]}
    return PRIMITIVES[kind]


def _physical(schema: Any) -> Any:
    """Return a schema without logical types: they say how to show a value, and the parser wants it as it travels."""
    if isinstance(schema, dict):
        return {name: _physical(value) for name, value in schema.items() if name != "logicalType"}
    return [_physical(value) for value in schema] if isinstance(schema, list) else schema


def _shape(event_type: str) -> Shape:
    shape = shapes().get(event_type)
    if shape is None:
        raise SerializationError(f"the event's type {event_type!r} is unknown: expected {', '.join(shapes())}")
    return shape


def _sized(data: bytes, event_type: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise SerializationError(
            f"the body of {event_type} takes {len(data):,} bytes; at most {MAX_BYTES:,} are accepted"
        )
    return data


def _to_row(shape: Shape, fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    rest = {name: fields[name] for name in fields.keys() - {field.name for field in shape.fields}}
    for field in shape.fields:
        value = fields.get(field.name)
        if field.name not in fields:
            if field.is_required:
                raise SerializationError(f"{where} lacks {field.name!r}")
        elif value is None and field.is_nullable:
            if not field.is_required:  # null in the column means absent
                rest[field.name] = None
        else:
            value = _to_avro(field.kind, value, f"{where}: {field.name}")
        row[field.name] = value
    if rest and not shape.is_open:
        raise SerializationError(f"{where} has the unknown field {next(iter(rest))!r}")
    return {**row, EXTRAS: _to_text(rest, where)} if rest else row


def _to_avro(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is float and math.isfinite(value):
        return value
    if kind in (int, float) and type(value) is int and abs(value) <= MAX_INTEGER:
        return kind(value)
    if kind in (str, UUID) and isinstance(value, str):
        return require_text(value, where)
    if kind is bool and type(value) is bool:
        return value
    if kind is FrozenDict and isinstance(value, Mapping):
        return _to_text(value, where)
    if isinstance(kind, Shape) and isinstance(value, Mapping):
        return _to_row(kind, value, where)
    if typing.get_origin(kind) is tuple and isinstance(value, list | tuple):
        item = typing.get_args(kind)[0]
        return [_to_avro(item, one, where) for one in value]
    if isinstance(kind, type) and issubclass(kind, Enum) and value in [member.value for member in kind]:
        return value
    raise SerializationError(f"{where} holds {value!r:.60}, which its place in the Avro schema cannot carry exactly")


def _to_text(value: Mapping[str, Any], where: str) -> str:
    """Return JSON that keeps 1.0 from 1 and 0.0 from -0.0, which the canonical form does not."""
    frozen = freeze_object(value, where)
    return json.dumps(frozen, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _read(data: bytes, writer: Any, reader: Any, event_type: str) -> dict[str, Any]:
    buffer = BytesIO(data)
    buffer.seek(HEADER.size)
    try:
        row = fastavro.schemaless_reader(buffer, writer, reader)
    except (SchemaResolutionError, struct.error, *UNREADABLE) as error:
        raise SerializationError(f"the body of {event_type} cannot be read as Avro: {error!r:.160}") from error
    if (n_left := len(data) - buffer.tell()) != 0:
        raise SerializationError(f"the body of {event_type} has {n_left} bytes after its end")
    if not isinstance(row, dict):
        raise SerializationError(f"the body of {event_type} is not an Avro record")
    return row


def _from_row(shape: Shape, row: Mapping[str, Any], where: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in shape.fields:
        value = row[field.name]
        if value is not None:
            fields[field.name] = _to_json(field.kind, value, f"{where}: {field.name}")
        elif field.is_required:
            fields[field.name] = None
    rest = {} if row.get(EXTRAS) is None else _to_json(FrozenDict, row[EXTRAS], f"{where}: {EXTRAS}")
    if twice := fields.keys() & rest.keys():
        raise SerializationError(f"{where} holds {min(twice)!r} twice, in its place and in {EXTRAS}")
    return fields | rest


def _to_json(kind: Any, value: Any, where: str) -> Any:
    if isinstance(kind, Shape):
        return _from_row(kind, value, where)
    if kind is not FrozenDict:
        return value
    found = canonical_json.loads(value)
    if not isinstance(found, dict):
        raise SerializationError(f"{where} must be a JSON object")
    return found


def _newer_fields(data: bytes, writer: Any, reader: Any, event_type: str) -> dict[str, Any]:
    """Return the fields that only the writer's schema names: Avro would drop them, and the contract keeps them."""
    ours = {name for field in reader["fields"] for name in (field["name"], *field.get("aliases", ()))}
    newer = [field["name"] for field in writer["fields"] if field["name"] not in ours]
    row = _read(data, writer, None, event_type) if newer else {}
    return {name: freeze(row[name], f"{event_type}: {name}") for name in newer if row[name] is not None}
