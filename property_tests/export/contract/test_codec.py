"""Laws of the contract on the wire: what is decoded was encoded, and what cannot be read says why."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from soma.errors import SerializationError, SomaError
from soma.state.events import Event, MemoryCreated, MemoryDeleted, MemoryLinked
from soma.state.record import MemoryRecord
from soma.testing.strategies import events
from soma_export.contract import Codec, JsonFormat, Message, Position, Topics, key_of
from soma_export.contract.headers import Envelope, headers_of

CODEC = Codec(JsonFormat())
PLACE = Position("topic", 3, 17)
ID = b"00000000-0000-0000-0000-000000000002"
GONE = MemoryDeleted(event_id=UUID(int=1), at_s=12.5, namespace="lab", id=UUID(int=2), reason="forgotten")


def message_of(event: Event, codec: Codec = CODEC, **changes: Any) -> Message:
    sent = codec.encode(event)
    return Message(PLACE, 1e9, **{"key": sent.key, "value": sent.value, "headers": sent.headers, **changes})


def with_header(message: Message, name: str, value: bytes | None) -> Message:
    kept = tuple((n, v) for n, v in message.headers if n != name)
    headers = kept if value is None else (*kept, (name, value))
    return Message(message.position, message.appended_s, message.key, message.value, headers)


@given(events())
def test_what_is_decoded_was_encoded(event: Event) -> None:
    found, fields = CODEC.decode(message_of(event))
    assert found == event
    assert type(found) is type(event)
    assert fields["at"] == event.at_s


@given(events())
def test_equal_events_give_equal_bytes_and_the_key_of_their_order(event: Event) -> None:
    assert CODEC.encode(event) == CODEC.encode(event)
    namespace, id = event.key
    assert CODEC.encode(event).key == key_of(event) == (namespace if id is None else f"{namespace}/{id}").encode()


def test_the_envelope_is_cloud_events() -> None:
    headers = dict(CODEC.encode(GONE, traceparent=f"00-{'a' * 32}-{'b' * 16}-01").headers)
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"00000000-0000-0000-0000-000000000001",
        "ce_type": b"memory.deleted",
        "ce_source": b"urn:soma:lab",
        "ce_time": b"1970-01-01T00:00:12Z",
        "ce_dataschema": b"urn:soma:event:memory.deleted:1",
        "content-type": b"application/json",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01".encode(),
    }
    assert Envelope.of(headers.items()).traceparent == f"00-{'a' * 32}-{'b' * 16}-01"
    with pytest.raises(SerializationError, match="traceparent"):
        headers_of(GONE, "application/json", traceparent="nonsense")


def test_fields_of_a_newer_writer_are_kept() -> None:
    value = json.dumps({"namespace": "lab", "id": str(UUID(int=2)), "reason": "x", "mood": [1, {"a": None}], "at": 1})
    found, _ = CODEC.decode(message_of(GONE, value=value.encode()))
    assert found.extras == {"mood": [1, {"a": None}]}
    assert CODEC.decode(message_of(found))[0] == found


def test_a_field_that_would_hide_the_time_is_refused() -> None:
    record = MemoryRecord(id=UUID(int=1), coordinate=[0.0], timestamp=0, importance=1, extras={"at": 5})
    with pytest.raises(SerializationError, match="own time"):
        CODEC.encode(MemoryCreated(event_id=UUID(int=2), at_s=0, record=record))


@pytest.mark.parametrize(
    ("header", "value", "complaint"),
    [
        ("ce_specversion", b"0.3", "CloudEvents 0.3"),
        ("ce_specversion", None, "lacks the header ce_specversion"),
        ("ce_id", None, "lacks the header ce_id"),
        ("ce_id", b"seven", "must be a UUID"),
        ("ce_id", b"\xff", "not UTF-8"),
        ("ce_type", b"memory.dreamt", "not that of 'memory.dreamt'"),
        ("ce_dataschema", b"urn:soma:event:memory.deleted:2", "version 2"),
        ("ce_dataschema", b"nonsense", "nonsense"),
        ("content-type", b"text/plain", "text/plain"),
        ("cause_id", b"seven", "must be a UUID"),
        ("encryption", b"aes", "encrypted"),
    ],
)
def test_an_envelope_that_cannot_be_read_says_why(header: str, value: bytes | None, complaint: str) -> None:
    with pytest.raises(SomaError, match=complaint):
        CODEC.decode(with_header(message_of(GONE), header, value))


def test_an_unknown_type_is_named() -> None:
    message = with_header(message_of(GONE), "ce_type", b"memory.dreamt")
    with pytest.raises(SerializationError, match=r"memory\.dreamt.*expected memory\.created"):
        CODEC.decode(with_header(message, "ce_dataschema", b"urn:soma:event:memory.dreamt:1"))


def test_a_header_that_stands_twice_is_refused() -> None:
    message = message_of(GONE)
    twice = Message(PLACE, 0.0, message.key, message.value, (*message.headers, ("ce_id", b"x")))
    with pytest.raises(SerializationError, match="ce_id stands twice"):
        CODEC.decode(twice)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "no body"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"at": NaN}', "NaN"),
        (b'{"at": 1, "at": 2}', "stands twice"),
        (b'{"reason": "a\\u0000b", "at": 1}', "NUL"),
        (b'{"at": 1, "a": ' + b"[" * 60 + b"]" * 60 + b"}", "nested deeper"),
        (b'{"at": 1, "a": "' + b"x" * 10_000_000 + b'"}', "at most 1,000,000"),
        (b'{"namespace": "lab", "id": "00000000-0000-0000-0000-000000000002", "reason": "x"}', "'at'"),
        (b'{"namespace": "lab", "reason": "x", "at": 1}', "'id'"),
        (b'{"namespace": "' + b"x" * 300 + b'", "id": "' + ID + b'", "reason": "x", "at": 1}', "1 to 128"),
        (b'{"namespace": "lab", "id": "00000000-0000-0000-0000-000000000003", "reason": "x", "at": 1}', "the key"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_says_why(value: bytes | None, complaint: str) -> None:
    with pytest.raises(SomaError, match=complaint) as caught:
        CODEC.decode(message_of(GONE, value=value))
    assert len(str(caught.value)) < 400


def test_a_link_is_ordered_with_what_it_starts_from() -> None:
    link = MemoryLinked(
        event_id=UUID(int=9), at_s=0, namespace="lab", source=UUID(int=1), target=UUID(int=2), link_type="caused"
    )
    assert key_of(link) == f"lab/{UUID(int=1)}".encode()


def test_topics_are_named_by_their_prefix_and_kept_forever() -> None:
    topics = Topics("blue.")
    made = {topic.name: topic for topic in topics.to_make(6)}
    assert set(made) == {"blue.memory.events", "blue.memory.namespaces", "blue.memory.dead-letters"}
    assert made["blue.memory.events"].partitions == 6
    for topic in made.values():
        assert topic.config["retention.ms"] == "-1"
        assert topic.config["cleanup.policy"] == "delete"
    assert made["blue.memory.events"].config["message.timestamp.type"] == "LogAppendTime"
