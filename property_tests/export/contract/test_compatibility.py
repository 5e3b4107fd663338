"""Laws of compatibility: the committed versions understand each other, and what breaks them is convicted.

Two laws hold the judges themselves: what they clear is never refused, by jsonschema and by fastavro.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from soma.state.events import EVENT_TYPES
from soma_export.contract.avro import avro_schemas
from soma_export.contract.compatibility import avro_backward, backward, forward
from soma_export.contract.json_schema import load, schemas, versions

# The committed versions


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_version_understands_the_next_and_the_last_those_of_the_types(event_type: str) -> None:
    described = [*(load(event_type, version) for version in versions()), schemas()[event_type]]
    for old, new in itertools.pairwise(described):
        assert backward(old, new) == []
        assert forward(old, new) == []
    written = [*(load(event_type, version, suffix="avsc") for version in versions()), avro_schemas()[event_type]]
    for old, new in itertools.pairwise(written):
        assert avro_backward(old, new) == []
        assert avro_backward(new, old) == []


@pytest.mark.parametrize("one", EVENT_TYPES)
def test_the_types_are_told_apart(one: str) -> None:
    for other in EVENT_TYPES:
        is_same = {one, other} <= {"memory.created", "memory.updated"} or one == other
        assert (backward(schemas()[one], schemas()[other]) == []) is is_same or {one, other} == {
            "memory.linked",
            "memory.unlinked",
        }
        assert (avro_backward(avro_schemas()[one], avro_schemas()[other]) == []) is (one == other)


# What breaks them


def field(name: str, **changes: Any) -> Callable[[dict[str, Any]], object]:
    def change(schema: dict[str, Any]) -> None:
        place = schema
        for part in name.split("."):
            place = place[part] if part in ("items", "additionalProperties") else place["properties"][part]
        for keyword, value in changes.items():
            if value is None:
                del place[keyword]
            else:
                place[keyword] = value

    return change


def require(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda schema: schema["required"].append(name)


def free(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda schema: schema["required"].remove(name)


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda schema: (
        schema["properties"].pop(name),
        name in schema["required"] and schema["required"].remove(name),
    )


def add(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda schema: schema["properties"].update({name: value})


def whole(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda schema: schema.update(changes)


MUTATIONS: list[tuple[str, Callable[[dict[str, Any]], object], str, str]] = [
    # what is changed, how, what old data lack for the new reader, and what new data lack for the old one
    ("memory.created", lambda schema: None, "", ""),
    ("memory.created", free("importance"), "", "may lack the field importance"),
    ("memory.created", drop("importance"), "", "may lack the field importance"),
    ("memory.created", drop("text"), "", ""),
    ("memory.created", require("text"), "may lack the field text", ""),
    ("memory.created", add("mood", {"type": "string"}), "", ""),
    ("memory.created", field("text", type="string"), "the field text of the value may be a null", ""),
    ("memory.created", field("text", type=["null", "string", "array"]), "", "text of the value may be a array"),
    ("memory.created", field("importance", type="number"), "", "may be a number, where the reader expects integer"),
    ("memory.created", field("memory_type", enum=["episodic"]), 'may be "semantic"', ""),
    ("memory.created", field("memory_type", enum=["episodic", "semantic", "x"]), "", 'may be "x"'),
    ("memory.created", field("memory_type", enum=None), "", "may be others"),
    ("memory.created", field("memory_type", enum=None, const="episodic"), 'may be "semantic"', ""),
    ("memory.created", field("coordinate", maxItems=63), "the reader's maxItems 63", ""),
    ("memory.created", field("coordinate", maxItems=None), "", "the reader's maxItems 64"),
    ("memory.created", field("coordinate", minItems=2), "the reader's minItems 2", ""),
    ("memory.created", field("coordinate", uniqueItems=True), "the reader's uniqueItems", ""),
    ("memory.created", field("coordinate.items", type="integer"), "an item of the field coordinate", ""),
    ("memory.created", field("coordinate", items=None), "", "an item of the field coordinate"),
    ("memory.created", field("coordinate.items", minimum=0), "may lie below what the reader accepts, 0", ""),
    ("memory.created", field("importance", minimum=0), "may lie below what the reader accepts, 0", ""),
    ("memory.created", field("importance", maximum=10), "may lie above what the reader accepts, 10", ""),
    ("memory.created", field("importance", exclusiveMaximum=2**53 - 1), "may lie above what the reader accepts", ""),
    ("memory.created", field("importance", maximum=2**53), "", "may lie above what the reader accepts"),
    ("memory.created", field("importance", maximum=None, exclusiveMaximum=2**53), "", "may lie above"),
    ("memory.recalled", field("weight", exclusiveMinimum=None, minimum=0), "", "may lie below"),
    ("memory.recalled", field("weight", minimum=0), "", ""),
    ("memory.created", field("namespace", pattern="^[a-z]+$"), "the reader's pattern", "the reader's pattern"),
    ("memory.created", field("namespace", pattern=None), "", "the reader's pattern"),
    ("memory.created", field("text", maxLength=10), "the reader's maxLength 10", ""),
    ("memory.created", field("text", minLength=1), "the reader's minLength 1", ""),
    ("memory.created", field("id", format=None), "", "the reader's format uuid"),
    ("memory.created", field("id", minLength=36), "the reader's minLength 36", ""),
    ("memory.created", field("payload", additionalProperties={"type": "string"}), "further field of the field pay", ""),
    ("memory.created", field("payload", additionalProperties=False), "further fields, which the reader refuses", ""),
    ("memory.created", field("payload", propertyNames={"maxLength": 9}), "propertyNames", "propertyNames"),
    ("memory.created", field("payload", **{"$ref": "#"}), "$ref, which cannot be", "$ref, which cannot be"),
    ("memory.created", field("text", type=None, anyOf=[{"type": "string"}]), "may be a null", ""),
    ("memory.created", field("text", type=None, anyOf=[{"type": "string"}, {"type": "null"}]), "", ""),
    ("memory.created", field("text", anyOf=[{"minLength": 1}]), "keywords beside anyOf", "keywords beside anyOf"),
    ("memory.created", field("text", description="Else."), "", ""),
    ("memory.created", whole(additionalProperties=False), "further fields, which the reader refuses", ""),
    ("memory.created", whole(title="Another", **{"$id": "urn:x"}), "", ""),
    ("memory.created", whole(type="array"), "may be a object, where", "may be a array, where"),
    ("memory.created", add("text", False), "where the reader expects nothing", ""),
    ("memory.created", add("text", True), "", "the field text of the value may be a array or boolean"),
    ("namespace.registered", field("frame", additionalProperties=True), "", "further fields, which the reader refuses"),
    ("namespace.registered", field("frame.lower", maxItems=3), "the field lower of the field frame", ""),
    ("namespace.registered", field("frame", properties={}), "expects nothing", ""),
    ("namespace.registered", field("importance_scale.kind", const=None), "", "may be others"),
    ("namespace.registered", field("importance_scale.kind", const="x"), 'may be "bounded"', 'may be "x"'),
]  # fmt: skip


@pytest.mark.parametrize(("event_type", "change", "old_data", "new_data"), MUTATIONS)
def test_a_change_is_convicted_in_the_direction_that_it_breaks(
    event_type: str, change: Callable[[dict[str, Any]], object], old_data: str, new_data: str
) -> None:
    old = schemas()[event_type]
    new = copy.deepcopy(old)
    change(new)
    for defects, complaint in ((backward(old, new), old_data), (forward(old, new), new_data)):
        assert bool(defects) is bool(complaint), defects
        assert complaint in " and ".join(defects)


PAIRS: list[tuple[Any, Any, bool, bool]] = [
    # two schemas, whether the second reads the first, and the first the second
    ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 5}, True, False),
    ({"type": "array", "maxItems": 0, "items": {"type": "string"}}, {"type": "array", "items": False}, True, False),
    ({"enum": [1, "a"]}, {"enum": [1, "a", None]}, True, False),
    ({"enum": [1, "a"]}, {"type": ["integer", "string"]}, True, False),
    ({"type": ["integer", "string"], "enum": [1]}, {"type": "integer"}, True, False),
    ({"enum": [1, True]}, {"enum": [True, 1]}, True, True),
    ({"enum": [1]}, {"enum": [True]}, False, False),
    ({"enum": ["a", "b"], "const": "a"}, {"const": "a"}, True, True),
    ({"enum": ["a"], "const": "b"}, False, True, True),
    ({"type": "integer"}, {"type": ["string", "number"]}, True, False),
    ({"anyOf": [{"type": "integer", "minimum": 5}, {"type": "null"}]}, {"type": ["integer", "null"]}, True, False),
    ({"additionalProperties": {"type": "integer"}}, {"properties": {"a": {"type": "string"}}}, False, False),
    ({"additionalProperties": {"type": "integer"}}, {"properties": {"a": {"type": "number"}}}, True, False),
    ({"additionalProperties": False}, {"properties": {"a": {"type": "string"}}}, True, False),
    ({"properties": {"a": {}}}, {"properties": {"a": {}}, "additionalProperties": {"type": "null"}}, False, True),
]


@pytest.mark.parametrize(("one", "other", "reads", "is_read"), PAIRS)
def test_which_of_two_schemas_reads_the_other(one: Any, other: Any, reads: bool, is_read: bool) -> None:
    assert (backward(one, other) == []) is reads
    assert (forward(one, other) == []) is is_read


def enum(name: str, *symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields)}


AVRO_MUTATIONS: list[tuple[Any, Any, str, str]] = [
    ("int", "int", "", ""),
    ("int", "long", "", "written as long, which cannot be read as int"),
    ("long", "double", "", "written as double, which cannot be read as long"),
    ("float", "double", "", "written as double"),
    ("string", "bytes", "", ""),
    ("string", "int", "written as string", "written as int"),
    ("string", {"type": "string", "logicalType": "uuid"}, "the logicalType None, and", "the logicalType uuid, and"),
    ("string", ["null", "string"], "", "written as null"),
    (["string", "null"], ["null", "string"], "", ""),
    (["null", "int"], ["null", "string"], "written as int", "written as string"),
    ("int", ["null", "string"], "cannot be read as null and", "written as null"),
    ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, "", "an item of the value is written"),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "string"}, "an entry of", "an entry of"),
    ({"type": "map", "values": "int"}, {"type": "array", "items": "int"}, "written as map", "written as array"),
    (enum("E", "a"), enum("E", "a", "b"), "", "the value may be b"),
    (enum("E", "a", default="a"), enum("E", "a", "b"), "", ""),
    (enum("E", "a"), enum("F", "a"), "written as E, which the reader does not know", "written as F, which"),
    (enum("E", "a"), enum("F", "a", aliases=["E"]), "", "written as F, which"),
    ({"type": "fixed", "name": "F", "size": 2}, {"type": "fixed", "name": "F", "size": 3}, "the size 2", "the size 3"),
    (record(), record({"name": "a", "type": "int"}), "lacks the field a", ""),
    (record(), record({"name": "a", "type": "int", "default": 0}), "", ""),
    (record({"name": "a", "type": "int"}), record({"name": "b", "type": "int", "aliases": ["a"]}), "", "the field a"),
    (
        record({"name": "a", "type": ["null", "R"]}),
        record({"name": "a", "type": ["null", "R", "int"]}),
        "",
        "the field a of the value is written as int",
    ),
    ({"type": "record"}, "int", "not Avro", "not Avro"),
]


@pytest.mark.parametrize(("old", "new", "old_data", "new_data"), AVRO_MUTATIONS)
def test_a_change_of_avro_is_convicted_in_the_direction_that_it_breaks(
    old: Any, new: Any, old_data: str, new_data: str
) -> None:
    for defects, complaint in ((avro_backward(old, new), old_data), (avro_backward(new, old), new_data)):
        assert bool(defects) is bool(complaint), defects
        assert complaint in " and ".join(defects)


# What the judges clear is never refused

NAMES = ("a", "b")
SCALARS: list[Any] = [None, True, False, 0, 1, 2.5, -3, 1e300, "", "a", "ab", "xyz"]
BOUNDS = st.integers(-3, 3)


def json_schemas(depth: int = 2) -> st.SearchStrategy[Any]:
    """Draw schemas of our dialect, and of what is near it."""
    numeric = dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), BOUNDS)
    lengths = {"minLength": st.integers(0, 3), "maxLength": st.integers(0, 3), "pattern": st.sampled_from(["^a", "b$"])}
    inner = json_schemas(depth - 1) if depth else st.booleans()
    sizes = {"minItems": st.integers(0, 2), "maxItems": st.integers(0, 2), "uniqueItems": st.booleans(), "items": inner}
    objects = {
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
        "required": st.lists(st.sampled_from(NAMES), unique=True),
        "additionalProperties": inner | st.booleans(),
    }
    types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
    finite = {"enum": st.lists(st.sampled_from(SCALARS), min_size=1, max_size=4), "const": st.sampled_from(SCALARS)}
    said = st.one_of(
        st.fixed_dictionaries({"type": types | st.lists(types, min_size=1, unique=True)}, optional=keywords)
        for keywords in (numeric, lengths, sizes, objects, finite, {**numeric, **lengths, **objects})
    )
    return st.booleans() | said | st.fixed_dictionaries({"anyOf": st.lists(said, min_size=1, max_size=2)})


def changes_of(schema: Any) -> st.SearchStrategy[Any]:
    """Draw a schema that is near another one: a keyword of it dropped or changed, at any depth."""
    if isinstance(schema, bool) or not schema:
        return json_schemas(1) | st.just(schema)
    keyword = st.sampled_from(sorted(schema))

    def change(name: str) -> st.SearchStrategy[Any]:
        dropped = st.just({other: value for other, value in schema.items() if other != name})
        if name in ("minimum", "exclusiveMinimum", "minLength", "minItems", "maximum", "maxLength", "maxItems"):
            return dropped | st.builds(lambda by: {**schema, name: max(schema[name] + by, 0)}, st.integers(-1, 1))
        if name in ("items", "additionalProperties"):
            return dropped | changes_of(schema[name]).map(lambda value: {**schema, name: value})
        if name == "type" and isinstance(schema[name], str):
            return dropped | st.just({**schema, name: "number"}) | st.just({**schema, name: [schema[name], "null"]})
        if name == "properties" and schema[name]:
            key = min(schema[name])
            return dropped | changes_of(schema[name][key]).map(lambda v: {**schema, name: {**schema[name], key: v}})
        if name in ("enum", "required", "anyOf") and len(schema[name]) > 1:
            return dropped | st.just({**schema, name: schema[name][1:]})
        return dropped

    return keyword.flatmap(change) | st.just(schema)


VALUES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=5,
)


def is_named(value: Any, schema: Any) -> bool:
    """Whether a value has no field that its schema lets in without naming it, as a writer of the schema has not."""
    if not isinstance(value, dict | list) or isinstance(schema, bool):
        return not isinstance(value, dict) or not value
    choices = [one for one in schema.get("anyOf", [schema]) if Draft202012Validator(one).is_valid(value)]
    if isinstance(value, list):
        return all(is_named(item, one.get("items", True)) for one in choices if one is not True for item in value)
    return all(
        name in one.get("properties", {}) or one.get("additionalProperties", True) not in (True, {})
        for one in choices
        for name in value
    ) and all(
        is_named(item, one.get("properties", {}).get(name, one.get("additionalProperties", True)))
        for one in choices
        for name, item in value.items()
    )


@given(st.data())
def test_what_is_cleared_is_accepted(data: st.DataObject) -> None:
    old = data.draw(json_schemas())
    new = data.draw(changes_of(old) | json_schemas())
    cleared = backward(old, new) == []
    event("cleared" if cleared else "convicted")
    assume(cleared)
    writer, reader = Draft202012Validator(old), Draft202012Validator(new)
    for value in data.draw(st.lists(VALUES, min_size=1, max_size=10)):
        if writer.is_valid(value) and is_named(value, old):
            assert reader.is_valid(value), value


@given(json_schemas())
def test_a_schema_understands_itself(schema: Any) -> None:
    assert backward(schema, schema) == []
    assert backward(schema, True) == []
    assert backward(False, schema) == []


def avro_types(depth: int = 1) -> st.SearchStrategy[Any]:
    simple: st.SearchStrategy[Any] = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "string"])
    symbols = st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, unique=True)
    enums = symbols.map(lambda known: enum("E", *known))
    unions = st.lists(simple, min_size=1, max_size=3, unique=True)
    if not depth:
        return simple | unions | enums | enums.map(lambda one: {**one, "default": one["symbols"][0]})
    return avro_types(0) | avro_types(0).map(lambda items: {"type": "array", "items": items})


@st.composite
def avro_records(draw: st.DrawFn) -> Any:
    fields: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True)):
        kind = draw(avro_types())
        if isinstance(kind, str) and kind != "null" and draw(st.booleans()):
            fields.append({"name": name, "type": ["null", kind], "default": None})
        elif "'E'" not in str(fields) or "'E'" not in str(kind):  # a name is defined once
            fields.append({"name": name, "type": kind})
    return record(*fields)


def avro_values(schema: Any) -> st.SearchStrategy[Any]:
    if isinstance(schema, list):
        return st.one_of([avro_values(branch) for branch in schema])
    if isinstance(schema, str):
        simple: dict[str, st.SearchStrategy[Any]] = {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-5, 5),
            "long": st.integers(-5, 2**40),
            "float": st.floats(width=32, allow_nan=False),
            "double": st.floats(allow_nan=False),
            "string": st.text(max_size=3),
        }
        return simple[schema]
    if schema["type"] == "array":
        return st.lists(avro_values(schema["items"]), max_size=3)
    if schema["type"] == "enum":
        return st.sampled_from(schema["symbols"])
    return st.fixed_dictionaries({one["name"]: avro_values(one["type"]) for one in schema["fields"]})


@given(st.data())
def test_what_is_cleared_in_avro_is_read(data: st.DataObject) -> None:
    writer = data.draw(avro_records())
    reader = data.draw(avro_records() | st.just(writer))
    cleared = avro_backward(writer, reader) == []
    event("cleared" if cleared else "convicted")
    written = data.draw(avro_values(writer))
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, writer, written)
    buffer.seek(0)
    if cleared:
        fastavro.schemaless_reader(buffer, writer, reader)
        assert buffer.tell() == len(buffer.getvalue())
    assert avro_backward(writer, writer) == []
