"""Laws of the JSON Schemas: they are the types', they are committed, and they let in what the parser lets in."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from soma import canonical_json
from soma.errors import NotFoundError, SomaError
from soma.math.coordinates import Frame
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
from soma.state.inherited import Inherited
from soma.state.namespace import Namespace, Projector
from soma.state.record import MemoryRecord
from soma.state.serialization import event_from_dict
from soma.testing.strategies import events, instants, json_values, namespaces, records
from soma_export.contract import Codec, JsonFormat
from soma_export.contract.headers import SCHEMA_VERSION
from soma_export.contract.json_schema import VERSION, as_files, identifier, load, schemas, shapes, versions

WHOLE = MemoryRecord(
    id=UUID(int=1),
    coordinate=[0.25, -1e-300],
    timestamp=86_400.5,
    importance=7,
    payload={"note": "é", "n": [1, 1.0, -0.0, None, {"deep": True}]},
    namespace="lab",
    memory_type="semantic",
    embedding=[0.1, 1.0],
    model_revision="model-1",
    text="a text",
    tags=["b", "a"],
    expires_at=1e9,
    extras={"mood": [1, {"a": None}]},
)
REGISTERED = Namespace("lab", 2, Frame.unit(2), Projector(7, 256))
SENT: dict[str, Any] = {"event_id": UUID(int=9), "at_s": 86_401.25}
ENDS: dict[str, Any] = {"namespace": "lab", "source": UUID(int=1), "target": UUID(int=2), "link_type": "caused"}
EXAMPLES: tuple[Event, ...] = (
    MemoryCreated(**SENT, record=WHOLE, inherited=Inherited(86_400.0, (0.0, 0.5), 2, 80_000.0)),
    MemoryUpdated(**SENT, record=dataclasses.replace(WHOLE, pinned=True, expires_at=None)),
    MemoryDeleted(**SENT, namespace="lab", id=UUID(int=1), reason="consolidated", into=UUID(int=2)),
    MemoryRecalled(**SENT, namespace="lab", id=UUID(int=1), weight=0.1),
    MemoryLinked(**SENT, **ENDS, weight=2.5),
    MemoryUnlinked(**SENT, **ENDS, extras={"since": 1}),
    NamespaceRegistered(**SENT, registration=REGISTERED),
)
"""One event of each type, with every field."""

VALIDATORS = {name: Draft202012Validator(schema) for name, schema in schemas().items()}


def value_of(event: Event) -> dict[str, Any]:
    """Return the value of a message as JSON, lists for tuples and every float as it is."""
    value: dict[str, Any] = json.loads(json.dumps({**event.body(), "at": event.at_s}))
    return value


def all_events() -> st.SearchStrategy[Event]:
    """Draw events of every type, also those of records with embeddings and of namespaces with projectors."""
    projectors = st.builds(Projector, seed=st.integers(0, 2**53 - 1), embedding_dimension=st.integers(1, 8_192))
    registered = st.builds(
        lambda namespace, projector: dataclasses.replace(namespace, projector=projector),
        namespaces(),
        st.none() | projectors,
    )
    common: dict[str, Any] = {"event_id": st.uuids(), "at_s": instants()}
    return (
        events()
        | st.builds(MemoryCreated, **common, record=records(embedding_dimension=3))
        | st.builds(NamespaceRegistered, **common, registration=registered)
    )


def parse(event_type: str, value: Mapping[str, Any]) -> Event:
    data = {name: field for name, field in value.items() if name != "at"}
    return event_from_dict({"id": str(UUID(int=9)), "type": event_type, "at": value["at"], "data": data})


# The schemas are the types'


def test_the_committed_schemas_are_those_of_the_types() -> None:
    folder = resources.files("soma_export.contract") / "schemas" / f"v{VERSION}"
    committed = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    assert committed == as_files(), "run `soma export schema --write` after a deliberate change"


def test_every_type_of_event_has_a_schema_of_the_version_that_the_headers_name() -> None:
    assert schemas().keys() == EVENT_TYPES.keys() == {example.type for example in EXAMPLES}
    assert VERSION == SCHEMA_VERSION == versions()[-1]
    for event in EXAMPLES:
        named = dict(Codec(JsonFormat()).encode(event).headers)["ce_dataschema"].decode()
        assert named == identifier(event.type, VERSION) == load(event.type, VERSION)["$id"]


def test_what_is_not_committed_is_not_found() -> None:
    assert load("memory.linked", 1, suffix="avsc")["name"] == "MemoryLinked"
    for event_type, version in (("memory.linked", 99), ("memory.dreamt", 1), ("../v1/memory.linked", 1)):
        with pytest.raises(NotFoundError, match=r"committed are \[1"):
            load(event_type, version)


def described(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, value in schema.get("properties", {}).items():
        assert value["description"].endswith("."), name
        assert not set("`\n") & set(value["description"]), name
        yield name
        yield from described(value)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_schema_is_valid_and_describes_every_field(event_type: str) -> None:
    schema = schemas()[event_type]
    Draft202012Validator.check_schema(schema)
    names = list(described(schema))
    assert len(names) == len(set(names)) or event_type == "namespace.registered"  # whose objects share some names
    assert schema["additionalProperties"] is True


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_a_schema_knows_every_field_that_is_written(event: Event) -> None:
    known = {field.name for field in shapes()[event.type].fields}
    optional = {"pinned", "expires_at"}
    assert known - optional <= value_of(event).keys()
    extras = event.record.extras if isinstance(event, MemoryCreated | MemoryUpdated) else event.extras
    assert value_of(event).keys() - known == extras.keys()


# They let in what the parser lets in


@given(all_events())
def test_every_event_is_valid(event: Event) -> None:
    VALIDATORS[event.type].validate(canonical_json.loads(canonical_json.dumps(value_of(event))))


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_what_is_required_is_what_the_parser_requires(event: Event) -> None:
    whole = value_of(event)
    assert parse(event.type, whole) == event
    for field in shapes()[event.type].fields:
        lacking = {name: value for name, value in whole.items() if name != field.name}
        if field.name in ("embedding", "model_revision"):  # which come together
            lacking = {name: value for name, value in lacking.items() if name not in ("embedding", "model_revision")}
        assert VALIDATORS[event.type].is_valid(lacking) is not field.is_required, field.name
        if field.name == "at":  # which the codec requires
            continue
        if field.is_required:
            with pytest.raises(SomaError, match=field.name):
                parse(event.type, lacking)
        else:
            parse(event.type, lacking)


UGLY = st.sampled_from(
    [
        None, True, False, 0, -1, 1, 64, 65, 2**53 - 1, 0.0, -0.0, 0.5, 1e300, -1e300, 5e-324,
        "", " ", "x", "x" * 128, "x" * 129, "a\nb", "\ufeffx", "episodic", "bounded", "lab.1_-", "-lab", "é",
        "00000000000000000000000000000001", "{00000000-0000-0000-0000-00000000000A}", "urn:uuid:" + str(UUID(int=5)),
        "2026-03-01", "2026-W09-7", "2026-03-01T12:00:00Z", "20260301T120000+01:00", "2026-03-01T12:00:00", "today",
        [], [1], [0.5, 2], [0.5] * 64, [0.5] * 65, ["a"], ["a"] * 65, [""], [None], [[1.0]], {}, {"a": 1},
        {"lower": [0], "upper": [1]}, {"lower": [0, 0], "upper": [1, 1]}, {"lower": [0], "upper": [1], "x": 1},
        {"lower": [False, False], "upper": [True, True]},
        {"seed": 1, "embedding_dimension": 2}, {"seed": 1, "embedding_dimension": 2, "x": 3},
        {"trace_at": 0, "trace": [1, 0.5], "n_recalls": 1, "last_recalled": None},
        {"trace_at": "2026-03-01", "trace": [True], "n_recalls": 1.0, "last_recalled": 5},
        {"kind": "bounded", "lower": 0, "upper": 1}, {"kind": "logistic", "midpoint": 0, "scale": 1},
    ]
)  # fmt: skip


@given(st.sampled_from(EXAMPLES), st.data())
@example(EXAMPLES[0], None)
def test_what_the_parser_accepts_is_valid(event: Event, data: st.DataObject | None) -> None:
    value = value_of(event)
    changed = {"at": "2026-03-01", "id": str(UUID(int=10)).upper(), "text": None, "tags": ["a"] * 65, "new": [1]}
    if data is not None:
        name = data.draw(st.sampled_from([field.name for field in shapes()[event.type].fields]))
        changed = {name: data.draw(UGLY | json_values())}
    value |= changed
    try:
        parse(event.type, value)
    except SomaError:
        assert data is not None
        return
    VALIDATORS[event.type].validate(value)


# And refuse the obvious rest

BROKEN: list[tuple[int, str, Any]] = [
    (0, "id", 7),
    (0, "id", "seven"),
    (0, "coordinate", []),
    (0, "coordinate", [0.0] * 65),
    (0, "coordinate", ["0.5"]),
    (0, "coordinate", 0.5),
    (0, "payload", "text"),
    (0, "payload", None),
    (0, "memory_type", "procedural"),
    (0, "timestamp", "yesterday"),
    (0, "timestamp", 1e15),
    (0, "timestamp", None),
    (0, "importance", 7.5),
    (0, "importance", "7"),
    (0, "importance", 2**53),
    (0, "namespace", "x" * 300),
    (0, "namespace", "a/b"),
    (0, "embedding", [0.0] * 8_193),
    (0, "embedding", "vector"),
    (0, "model_revision", ""),
    (0, "text", ["a"]),
    (0, "tags", "a, b"),
    (0, "inherited", {"trace_at": 0.0, "trace": [1.0], "n_recalls": 0}),
    (0, "inherited", {"trace_at": 0.0, "trace": [], "n_recalls": 0, "last_recalled": None}),
    (0, "inherited", {"trace_at": 0.0, "trace": [-1.0], "n_recalls": 0, "last_recalled": None}),
    (0, "inherited", {"trace_at": 0.0, "trace": [1.0], "n_recalls": -1, "last_recalled": None}),
    (0, "inherited", {"trace_at": 0.0, "trace": [1.0], "n_recalls": 0, "last_recalled": None, "x": 1}),
    (0, "tags", ["a\tb"]),
    (0, "tags", {"a": 1}),
    (0, "pinned", 1),
    (0, "expires_at", False),
    (0, "at", None),
    (2, "reason", ""),
    (2, "into", "nobody"),
    (3, "weight", 0),
    (4, "from", None),
    (4, "type", " x"),
    (4, "weight", -1.0),
    (6, "dimension", 0),
    (6, "dimension", 65),
    (6, "frame", {"lower": [0.0]}),
    (6, "frame", {"lower": [False, False], "upper": [True, True]}),
    (6, "frame", {"lower": [0.0], "upper": [1.0], "middle": [0.5]}),
    (6, "projector", {"seed": -1, "embedding_dimension": 3}),
    (6, "trace", {}),
    (6, "importance_scale", {"kind": "min_max", "lower": 0, "upper": 1}),
]


@pytest.mark.parametrize(("number", "name", "broken"), BROKEN)
def test_what_is_obviously_broken_is_refused(number: int, name: str, broken: Any) -> None:
    event = EXAMPLES[number]
    value = value_of(event)
    assert VALIDATORS[event.type].is_valid(value)
    assert not VALIDATORS[event.type].is_valid({**value, name: broken})
    with pytest.raises(SomaError):
        parse(event.type, {**value, name: broken})


def test_a_change_of_a_schema_is_seen() -> None:
    changed = copy.deepcopy(schemas())
    changed["memory.created"]["properties"]["text"]["type"] = "string"
    assert changed != schemas()  # what is returned is the caller's own
    assert schemas()["memory.created"] == load("memory.created", VERSION)
