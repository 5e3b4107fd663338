"""Laws of the intake: a valid event of a registered namespace is accepted, everything else is poison with a reason."""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from property_tests.export.contract.test_codec import CODEC, GONE, message_of
from soma.errors import StoreBusyError
from soma.math.coordinates import Frame
from soma.state.events import Event, MemoryCreated, MemoryRecalled, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.record import MemoryRecord
from soma.testing.strategies import events
from soma_export.contract import Codec, JsonFormat
from soma_export.intake import Accepted, Poison, take_in

PLANE = {name: Namespace(name, 2) for name in ("lab", "field")}
APPENDED_S = 1e9  # what message_of says


def created(**changes: object) -> MemoryCreated:
    fields = {"id": UUID(int=1), "namespace": "lab", "coordinate": [0.0, 0.5], "timestamp": 0.0, "importance": 1}
    return MemoryCreated(event_id=UUID(int=7), at_s=0.0, record=MemoryRecord(**{**fields, **changes}))  # type: ignore[arg-type]


@given(events())
def test_every_event_that_its_namespace_admits_is_accepted(event: Event) -> None:
    taken = take_in(message_of(event), CODEC, lambda name: Namespace(name, 2), 1e12)
    if isinstance(event, NamespaceRegistered):
        assert isinstance(taken, Poison)
        assert "topic of namespaces" in taken.reason
    else:
        assert isinstance(taken, Accepted)
        assert taken.event == event


@given(st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=20)), max_size=4))
def test_no_message_raises(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    message = message_of(GONE, value=value, headers=(*CODEC.encode(GONE).headers, *headers))
    taken = take_in(message, CODEC, PLANE.get, 300.0)
    assert isinstance(taken, Poison)
    assert taken.stage == "decode"
    assert taken.reason


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (created(namespace="elsewhere"), "namespace elsewhere"),
        (created(coordinate=[0.0]), "dimension 2"),
        (created(timestamp=APPENDED_S + 301), "broker's time"),
        (MemoryRecalled(event_id=UUID(int=7), at_s=APPENDED_S + 301, namespace="lab", id=UUID(int=1)), "broker's time"),
    ],
)
def test_what_its_namespace_does_not_admit_is_poison(event: Event, complaint: str) -> None:
    taken = take_in(message_of(event), CODEC, PLANE.get, 300.0)
    assert isinstance(taken, Poison)
    assert taken.stage == "admit"
    assert complaint in taken.reason


def test_a_coordinate_outside_the_frame_is_poison() -> None:
    framed = Namespace("lab", 2, frame=Frame((0.0, 0.0), (1.0, 1.0)))
    taken = take_in(message_of(created(coordinate=[0.5, 7.0])), CODEC, {"lab": framed}.get, 300.0)
    assert isinstance(taken, Poison)
    assert "frame" in taken.reason or "lie in" in taken.reason


def test_a_server_that_is_away_is_no_fault_of_the_message() -> None:
    def away(*_: object) -> NoReturn:
        raise StoreBusyError("the log is away", 1.0)

    class Away(JsonFormat):
        decode = away

    with pytest.raises(StoreBusyError):
        take_in(message_of(created()), CODEC, away, 300.0)
    with pytest.raises(StoreBusyError):
        take_in(message_of(created()), Codec(Away()), PLANE.get, 300.0)


def test_a_time_within_the_skew_is_accepted() -> None:
    assert isinstance(take_in(message_of(created(timestamp=APPENDED_S + 299)), CODEC, PLANE.get, 300.0), Accepted)
