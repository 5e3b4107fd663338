"""What the body of an event may hold, as JSON Schema (draft 2020-12), made from the types themselves.

The parser is the judge. A schema accepts whatever the parser accepts, and cannot say everything that the parser
refuses: that a frame contains a coordinate, that an embedding names its model, that there are at most 64 distinct tags.
The committed schemas lie in ``schemas/v<version>``; the published ``$id`` is what the header ``ce_dataschema`` names.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any, Final
from uuid import UUID

from soma.canonical_json import MAX_INTEGER
from soma.errors import NotFoundError
from soma.math.coordinates import Frame
from soma.math.importance import Bounded
from soma.math.multiscale import ExponentialSum
from soma.state.events import EVENT_TYPES, Event
from soma.state.fields import LABEL, MAX_DIMENSION, MAX_EMBEDDING, MAX_WEIGHT, NAMESPACE
from soma.state.frozen import FrozenDict
from soma.state.inherited import Inherited
from soma.state.instant import EARLIEST_S, LATEST_S
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma.state.serialization import REQUIRED

__all__ = ["VERSION", "Field", "Shape", "as_files", "identifier", "load", "schemas", "shapes", "versions"]

VERSION: Final = 1
"""Version of the schemas that this version writes."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TYPES: Final[Mapping[Any, Mapping[str, Any]]] = {
    UUID: {"type": "string", "format": "uuid", "minLength": 32},  # the parser takes it with and without dashes
    float: {"type": "number"},
    int: {"type": "integer"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    FrozenDict: {"type": "object"},
}
"""What a type alone says of a value."""

NAME: Final = {"pattern": f"^{NAMESPACE.pattern}$"}
SHORT: Final = {"pattern": f"^{LABEL.pattern}$"}
POSITIVE: Final = {"exclusiveMinimum": 0}
POINT: Final = {"minItems": 1, "maxItems": MAX_DIMENSION}
TERMS: Final = {"minItems": 1, "items": POSITIVE}
INSTANT: Final = {
    "type": ["number", "string"],  # a number is what soma writes; ISO 8601 text is read as well
    "minimum": EARLIEST_S,
    "maximum": LATEST_S,
    "pattern": "^[0-9]{4}",
}
LIMITS: Final[Mapping[str, Mapping[str, Any]]] = {
    "at": INSTANT,
    "coordinate": POINT,
    "dimension": {"minimum": 1, "maximum": MAX_DIMENSION},
    "embedding": {"minItems": 1, "maxItems": MAX_EMBEDDING},
    "embedding_dimension": {"minimum": 1, "maximum": MAX_EMBEDDING},
    "eps": POSITIVE,
    "expires_at": INSTANT,
    "exponent": POSITIVE,
    "importance": {"minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
    "model_revision": SHORT,
    "namespace": NAME,
    "reason": SHORT,
    "seed": {"minimum": 0, "maximum": MAX_INTEGER},
    "t_max_s": POSITIVE,
    "t_min_s": POSITIVE,
    "tags": {"items": SHORT},  # without maxItems: a tag that stands twice counts once
    "tau_s": TERMS,
    "timestamp": INSTANT,
    "type": SHORT,
    "weight": {**POSITIVE, "maximum": MAX_WEIGHT},
    "ExponentialSum.weight": TERMS,
    "Inherited.trace": {"minItems": 1, "items": {"minimum": 0}},
    "last_recalled": INSTANT,
    "n_recalls": {"minimum": 0, "maximum": MAX_INTEGER},
    "trace_at": INSTANT,
    "Frame.lower": POINT,
    "Frame.upper": POINT,
}
"""What a type does not say of a field, by the field's name in JSON, after its class where that differs."""

WRITTEN_AS: Final = {"at_s": "at", "source": "from", "target": "to", "link_type": "type", "Namespace.name": "namespace"}
"""Names in JSON where they are not the attribute's."""

EXACT: Final = frozenset({Frame, ExponentialSum, Bounded, Inherited})
"""Classes whose parsers refuse an unknown field; elsewhere it is kept, or passed over."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object of the contract.

    Parameters
    ----------
    name : str
        In JSON.
    kind : type or Shape
        ``UUID``, ``float``, ``int``, ``str``, ``bool``, ``FrozenDict`` (an object), an ``Enum``, ``tuple[x, ...]`` of
        one of these, or the shape of an object.
    description : str
        From the docstring of its class.
    limits : mapping
        Keywords of JSON Schema beside those of the kind.
    is_required : bool
        Whether the parser refuses an object without it.
    is_nullable : bool
        Whether it may be null.
    """

    name: str
    kind: Any
    description: str
    limits: Mapping[str, Any]
    is_required: bool
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """One object of the contract, as its class describes it.

    Parameters
    ----------
    name : str
        Of the class.
    description : str
        The first sentence of the class's docstring.
    fields : tuple of Field
        In the order of the class.
    is_open : bool
        Whether unknown fields are let in.
    """

    name: str
    description: str
    fields: tuple[Field, ...]
    is_open: bool


@cache
def shapes() -> Mapping[str, Shape]:
    """Return the shape of every event's body, by the type of the event; `schemas` and Avro are made from it."""
    return {name: _event(kind) for name, kind in EVENT_TYPES.items()}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of every event's body, by the type of the event.

    Returns
    -------
    dict of str to dict
        Draft 2020-12; unknown fields are let in, as the parser keeps them.

    Notes
    -----
    Laws: ``property_tests/export/contract/test_json_schema.py``.

    Examples
    --------
    >>> schemas()["memory.recalled"]["required"]
    ['at', 'id', 'namespace', 'weight']
    """
    return {
        name: {
            "$schema": DIALECT,
            "$id": identifier(name, VERSION),
            "title": name,
            "description": shape.description,
            **_object(shape),
        }
        for name, shape in shapes().items()
    }


def identifier(event_type: str, version: int) -> str:
    """Return the ``$id`` of a schema.

    Parameters
    ----------
    event_type : str
        As in `EVENT_TYPES`.
    version : int
        Of the schema.

    Returns
    -------
    str
        A URN; the header ``ce_dataschema`` of an event.
    """
    return f"urn:soma:event:{event_type}:{version}"


def as_files() -> dict[str, bytes]:
    """Return the content of the files to commit in ``schemas/v<VERSION>``, by name: JSON Schema and Avro.

    Returns
    -------
    dict of str to bytes
        Indented JSON, keys sorted.
    """
    from soma_export.contract.avro import avro_schemas  # noqa: PLC0415 - which is made from this module

    described = {f"{name}.json": schema for name, schema in schemas().items()}
    described |= {f"{name}.avsc": schema for name, schema in avro_schemas().items()}
    return {
        name: (json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
        for name, schema in sorted(described.items())
    }


def versions() -> list[int]:
    """Return the committed versions, rising."""
    folder = resources.files("soma_export.contract") / "schemas"
    return sorted(int(entry.name[1:]) for entry in folder.iterdir() if re.fullmatch(r"v[0-9]+", entry.name))


def load(event_type: str, version: int, *, suffix: str = "json") -> dict[str, Any]:
    """Return a committed schema.

    Parameters
    ----------
    event_type : str
        As in `EVENT_TYPES`.
    version : int
        Of the schema.
    suffix : str
        ``json`` for JSON Schema, ``avsc`` for Avro.

    Returns
    -------
    dict
        The schema.

    Raises
    ------
    NotFoundError
        If none is committed.
    """
    folder = resources.files("soma_export.contract") / "schemas" / f"v{version}"
    name = f"{event_type}.{suffix}"
    found = {entry.name: entry for entry in folder.iterdir()} if folder.is_dir() else {}
    if name not in found:
        raise NotFoundError("schema", f"{event_type} of version {version}", f"committed are {versions()}")
    schema: dict[str, Any] = json.loads(found[name].read_text("utf-8"))
    return schema


def _event(kind: type[Event]) -> Shape:
    """Return the shape of a body; where one value is the whole body, its fields are those of the body."""
    envelope = {field.name for field in fields(Event)}
    own = [field.name for field in fields(kind) if field.name not in envelope]
    hints = typing.get_type_hints(kind)
    body: list[Field] = []
    for name in own:
        value = hints[name]
        is_body = value in (MemoryRecord, Namespace)
        body += _fields(value) if is_body else [_field(kind, name, value)]
    at = _field(Event, "at_s", hints["at_s"])
    return Shape(kind.__name__, _summary(kind), (*body, at), is_open=True)


def _nested(kind: type) -> Shape:
    return Shape(kind.__name__, _summary(kind), tuple(_fields(kind)), is_open=kind not in EXACT)


def _fields(kind: Any) -> Iterator[Field]:
    hints = typing.get_type_hints(kind)
    named = getattr(kind, "kind", None)
    if isinstance(named, str):  # one of several classes, told apart by a name in JSON
        yield Field("kind", str, _summary(kind), {"const": named}, is_required=True, is_nullable=False)
    for field in fields(kind):
        if field.name != "extras":
            yield _field(kind, field.name, hints[field.name])


def _field(kind: type, attribute: str, hint: Any) -> Field:
    name = WRITTEN_AS.get(f"{kind.__name__}.{attribute}", WRITTEN_AS.get(attribute, attribute))
    choices = [choice for choice in typing.get_args(hint) if choice is not type(None)]
    is_nullable = type(None) in typing.get_args(hint)
    value = choices[0] if is_nullable else hint
    # an event may lack what may be null; the objects within it lack nothing
    is_required = name in REQUIRED if kind is MemoryRecord else not (is_nullable and issubclass(kind, Event))
    return Field(
        name,
        _nested(value) if is_dataclass(value) and isinstance(value, type) else value,
        _documented(kind).get(attribute, ""),
        LIMITS.get(f"{kind.__name__}.{name}", LIMITS.get(name, {})),
        is_required,
        is_nullable,
    )


def _object(shape: Shape) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.name: _property(field) for field in shape.fields},
        "required": sorted(field.name for field in shape.fields if field.is_required),
        "additionalProperties": shape.is_open,
    }


def _property(field: Field) -> dict[str, Any]:
    schema = {**_kind(field.kind), **field.limits}
    if "items" in field.limits:
        schema["items"] = {**_kind(typing.get_args(field.kind)[0]), **field.limits["items"]}
    if field.is_nullable:
        allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        schema["type"] = [*allowed, "null"]
    return {"description": field.description, **schema}


def _kind(kind: Any) -> dict[str, Any]:
    if isinstance(kind, Shape):
        return _object(kind)
    if typing.get_origin(kind) is tuple:
        return {"type": "array", "items": _kind(typing.get_args(kind)[0])}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind]}
    return dict(TYPES[kind])


def _summary(kind: type) -> str:
    return _plain(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def _documented(kind: type) -> dict[str, str]:
    """Return what the section Parameters of a class says of each of its attributes."""
    document = inspect.cleandoc(kind.__doc__ or "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n[A-Z]\w*\n-+\n|\Z)", document, re.DOTALL | re.MULTILINE)
    entries = re.findall(r"^([\w, ]+) : .*\n((?:    .*\n?)+)", section[1] if section else "", re.MULTILINE)
    return {name.strip(): _plain(text) for names, text in entries for name in names.split(",")}


def _plain(text: str) -> str:
    """Return text without the marks of reStructuredText."""
    unmarked = re.sub(r"\\ :sup:`([^`]*)`", r"^\1", " ".join(text.split()))
    return re.sub(r":\w+:`([^`]*)`", r"\1", unmarked).replace("`", "")
