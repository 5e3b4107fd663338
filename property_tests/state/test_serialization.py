"""Laws of the JSON forms: one value, one sequence of bytes, and back; what is ambiguous is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError, SomaError
from soma.state.frozen import freeze
from soma.state.serialization import (
    event_from_json,
    event_to_json,
    record_from_json,
    record_to_json,
    stored_from_json,
    stored_to_json,
)
from soma.state.transition import fold
from soma.testing.strategies import events, json_values, logs, namespaces, records

finite_floats = st.floats(allow_nan=False, allow_infinity=False)


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)


@given(json_values())
@example(1e20)
@example(-0.0)
@example(5e-324)
def test_reading_what_was_written_gives_the_value_back(value: object) -> None:
    assert canonical_json.loads(canonical_json.dumps(value)) == value


@given(json_values())
def test_canonical_bytes_are_a_fixed_point(value: object) -> None:
    data = canonical_json.dumps(value)
    assert canonical_json.dumps(canonical_json.loads(data)) == data


@given(json_values())
def test_any_spelling_of_a_value_has_the_same_canonical_bytes(value: object) -> None:
    spelled = json.dumps(value, indent=2, ensure_ascii=True)
    assert canonical_json.dumps(canonical_json.loads(spelled)) == rfc8785.dumps(value)


@given(
    st.recursive(json_values() | st.text() | st.floats(allow_nan=False, allow_infinity=False), nested, max_leaves=20)
)
@example({"\U0001f600": 1, "\uffff": 2, "\x7f": '\x1f\n\t"\\\u2028'})
@example([1e-5, 1e-7, 9.99e-8, 1e15, 1e16, 1e21, 5e-324, 1.7976931348623157e308, -0.0, 0.0, 5.0, -1e-4])
@example([1.0, 1, True, np.float64(0.1), (2.5, -2.5), []])
def test_the_bytes_are_those_of_the_library(value: object) -> None:
    try:
        wanted = rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeError):
        with pytest.raises(SerializationError):
            canonical_json.dumps(value)
    else:
        assert canonical_json.dumps(value) == wanted


@given(
    st.sampled_from(["9", "1.", "0.0"]),
    st.sampled_from([0, 150, 199, 200, 299, 310]),
    st.sampled_from(["", "e", "E+"]),
    st.sampled_from([0, 9, 99, 110, 307, 308, 309, 999]),
)
def test_no_number_becomes_infinite(begins: str, n_digits: int, mark: str, exponent: int) -> None:
    literal = f"{begins}{'9' * n_digits or '9'}{mark}{exponent if mark else ''}"
    if math.isfinite(float(literal)) and (mark or "." in begins):
        assert canonical_json.loads(f"[{literal}]") == [float(literal)]
    elif not math.isfinite(float(literal)):
        with pytest.raises(SerializationError, match="is too large for a double"):
            canonical_json.loads(f"[{literal}]")


@given(json_values())
def test_freezing_changes_no_value_and_no_byte(value: object) -> None:
    frozen = freeze(value, "payload")
    assert frozen == value
    assert canonical_json.dumps(frozen) == canonical_json.dumps(value)


@given(records(embedding_dimension=3))
def test_records_round_trip_and_keep_their_bytes(record: object) -> None:
    data = record_to_json(record)  # type: ignore[arg-type]
    assert record_from_json(data) == record
    assert record_to_json(record_from_json(data)) == data


@given(events())
def test_events_round_trip_and_keep_their_bytes(event: object) -> None:
    data = event_to_json(event)  # type: ignore[arg-type]
    assert event_from_json(data) == event
    assert event_to_json(event_from_json(data)) == data


@given(namespaces(), st.uuids())
def test_registrations_round_trip(namespace: object, event_id: object) -> None:
    from soma.state.events import NamespaceRegistered

    event = NamespaceRegistered(event_id=event_id, at_s=0.0, registration=namespace)  # type: ignore[arg-type]
    assert event_from_json(event_to_json(event)) == event


@given(logs())
def test_stored_memories_and_tombstones_round_trip(log: list) -> None:  # type: ignore[type-arg]
    for stored in fold(log).memories.values():
        assert stored_from_json(stored_to_json(stored)) == stored


@given(records())
def test_a_record_does_not_follow_changes_of_what_it_was_made_from(record: object) -> None:
    with pytest.raises(TypeError):
        record.payload["new"] = 1  # type: ignore[attr-defined]


REFUSED = {
    "duplicate key": '{"a": 1, "a": 2}',
    "NaN": '{"a": NaN}',
    "infinity": "[Infinity]",
    "minus infinity": "[-Infinity]",
    "overflow": "[1e999]",
    "integer beyond 2**53": "[9007199254740993]",
    "huge integer": "[" + "9" * 5_000 + "]",
    "NUL": '["\\u0000"]',
    "NUL in a key": '{"\\u0000": 1}',
    "lone surrogate": '["\\ud800"]',
    "deep nesting": "[" * 41 + "]" * 41,
    "very deep nesting": "[" * 100_000 + "]" * 100_000,
    "cut off": '{"a": ',
    "two documents": "{} {}",
    "empty": "",
    "invalid UTF-8": b'"\xff"',
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "too large": '"' + "x" * canonical_json.MAX_BYTES + '"',
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_or_dangerous_json_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(SerializationError) as caught:
        canonical_json.loads(REFUSED[name])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, b"bytes", {1: "a"}, {"a": {1, 2}}, 2**53, "\0", "\ud800", ...],
    ids=repr,
)
def test_values_that_json_cannot_carry_are_refused(value: object) -> None:
    with pytest.raises(SerializationError):
        freeze({"payload": value}, "payload")


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(SerializationError, match="nested"):
        freeze({"loop": loop}, "payload")


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_input_escapes_the_errors_of_soma(data: bytes | str) -> None:
    for parse in (record_from_json, event_from_json, stored_from_json):
        with pytest.raises(SomaError):
            parse(data)


@given(events(), st.data())
def test_a_mutilated_event_is_refused_or_read_never_half_read(event: object, data: st.DataObject) -> None:
    fields = json.loads(event_to_json(event))  # type: ignore[arg-type]
    part = fields if data.draw(st.booleans()) else fields["data"]
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(json_values(max_leaves=3))
    try:
        read = event_from_json(json.dumps(fields))
    except SomaError:
        return
    assert event_from_json(event_to_json(read)) == read


def test_unknown_fields_are_kept() -> None:
    record = record_from_json(
        '{"id":"00000000-0000-4000-8000-000000000001","namespace":"lab","coordinate":[0],"payload":{},'
        '"memory_type":"episodic","timestamp":0,"importance":1,"mood":"calm"}'
    )
    assert record.extras == {"mood": "calm"}
    assert b'"mood":"calm"' in record_to_json(record)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("coordinate", [math.nan]),
        ("coordinate", []),
        ("coordinate", "12"),
        ("timestamp", math.nan),
        ("timestamp", 1e300),
        ("importance", 1.5),
        ("importance", True),
        ("namespace", "x" * 129),
        ("namespace", "../etc"),
        ("memory_type", "procedural"),
        ("id", "not-a-uuid"),
        ("embedding", [1.0]),
        ("tags", "ci"),
        ("pinned", 1),
        ("text", 7),
    ],
)
def test_a_field_outside_its_domain_is_named(field: str, value: object) -> None:
    from soma.state.record import MemoryRecord

    fields = {
        "id": "00000000-0000-4000-8000-000000000001",
        "coordinate": [0.0],
        "timestamp": 0,
        "importance": 1,
    }
    with pytest.raises(InvalidParameterError) as caught:
        MemoryRecord(**{**fields, field: value})  # type: ignore[arg-type]
    assert caught.value.parameter in (field, "model_revision")
