"""Publish: events into the log, acknowledged when every in-sync replica has them, and never before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered

from soma.errors import InvalidParameterError, StoreError
from soma.state.events import Event, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.stored import admit
from soma_export.contract.codec import Codec
from soma_export.contract.message import Position
from soma_export.contract.topics import Topics
from soma_export.log import Log
from soma_export.registrations import Registrations
from soma_export.settings import ExportSettings

__all__ = ["PublishError", "Publisher"]

QUEUE: Final = 10_000
"""Most messages that wait for their acknowledgement; a caller with more waits."""


class PublishError(StoreError):
    """Events that the log has not acknowledged. Publish the same events again: one that did arrive counts once.

    Parameters
    ----------
    problem : str
        What happened, and what to do.
    unacknowledged : tuple of Event
        The events, in their order.
    """

    def __init__(self, problem: str, unacknowledged: tuple[Event, ...]) -> None:
        super().__init__(problem)
        self.args = (problem, unacknowledged)
        self.unacknowledged = unacknowledged


@dataclass(slots=True)
class _Waiting:
    events: list[Event] = field(default_factory=list)
    positions: list[Position | None] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    n_open: int = 0


class Publisher:
    """An idempotent producer of one deployment's events.

    Parameters
    ----------
    settings : ExportSettings
        Where Kafka is.
    codec : Codec
        How events are written.
    timeout_s : float
        How long an event may wait for its acknowledgement, seconds.

    Notes
    -----
    Laws: ``property_tests/export/test_publish.py``.
    """

    def __init__(self, settings: ExportSettings, codec: Codec, *, timeout_s: float = 30.0) -> None:
        self._settings = settings
        self._codec = codec
        self._timeout_s = timeout_s
        self._topics = Topics(settings.topic_prefix)
        self._log = Log(settings, timeout_s=timeout_s)
        self._registrations = Registrations(self._log, codec, self._topics.namespaces)
        self._made: Producer | None = None
        self._topic_ids: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is on its way, and release the connection; closing twice is allowed."""
        if self._made is not None:
            self._made.flush(self._timeout_s)
            self._made.close()
            self._made = None

    def register(self, namespace: Namespace, *, event_id: UUID, at_s: float) -> bool:
        """Register a namespace; return False if it is registered like this already.

        Parameters
        ----------
        namespace : Namespace
            Its constants.
        event_id : UUID
            Identity of the registration.
        at_s : float
            When it is made, POSIX seconds.

        Raises
        ------
        InvalidParameterError
            If the namespace is registered with other constants.
        PublishError
            If the log does not acknowledge it.
        """
        self._registrations.refresh()
        known = self._registrations.get(namespace.name)
        if known == namespace:
            return False
        if known is not None:
            raise InvalidParameterError(
                "namespace", namespace.name, "must keep the constants that it was registered with"
            )
        self._send([NamespaceRegistered(event_id=event_id, at_s=at_s, registration=namespace)], self._topics.namespaces)
        return True

    def publish(self, events: Iterable[Event], *, traceparent: str | None = None) -> list[Position]:
        """Append events to the log, and return where they stand once all of them are acknowledged.

        Parameters
        ----------
        events : iterable of Event
            Taken as fast as the log acknowledges them. Registrations go through `register`.
        traceparent : str, optional
            The trace that they belong to (W3C Trace Context).

        Returns
        -------
        list of Position
            One for each event, in their order.

        Raises
        ------
        NotFoundError
            For an event of a namespace that is not registered; no further event is taken.
        InvalidParameterError
            For an event that its namespace does not admit; no further event is taken.
        SerializationError
            For an event that is too large; no further event is taken.
        PublishError
            For events that were not acknowledged in time; it names them.
        """
        return self._send(events, self._topics.events, traceparent)

    def _send(self, events: Iterable[Event], topic: str, traceparent: str | None = None) -> list[Position]:
        topic_id = self._topic_id(topic)
        waiting = _Waiting()
        try:
            for event in events:
                if topic == self._topics.events:
                    if isinstance(event, NamespaceRegistered):
                        raise InvalidParameterError("event", event.type, "must be published by register()")
                    admit(event, self._registrations.get(event.key[0]))
                self._produce(event, topic, topic_id, waiting, traceparent)
        finally:  # also after a refusal: what was taken before it is waited for
            self._wait(waiting)
        failed = tuple(e for e, position in zip(waiting.events, waiting.positions, strict=True) if position is None)
        if failed:
            raise PublishError(
                f"{len(failed)} of {len(waiting.events)} events are not acknowledged by Kafka at "
                f"{self._settings.kafka} ({'; '.join(sorted(waiting.reasons))}): publish them again once it answers",
                failed,
            )
        return [position for position in waiting.positions if position is not None]

    def _produce(self, event: Event, topic: str, topic_id: str, waiting: _Waiting, traceparent: str | None) -> None:
        sent = self._codec.encode(event, traceparent=traceparent)
        place = len(waiting.events)

        def delivered(error: KafkaError | None, message: Delivered) -> None:
            waiting.n_open -= 1
            if error is None:
                waiting.positions[place] = Position(topic_id, int(message.partition() or 0), int(message.offset() or 0))
                return
            waiting.reasons.add(error.str())
            if error.fatal():
                self._made = None  # an idempotent producer that lost its place is of no use

        deadline = time.monotonic() + self._timeout_s
        while True:
            producer = self._producer()
            try:
                producer.produce(
                    topic, key=sent.key, value=sent.value, headers=list(sent.headers), on_delivery=delivered
                )
            except BufferError:  # back-pressure: the log is slower than the caller
                if time.monotonic() > deadline:
                    waiting.reasons.add("the queue is full")
                    waiting.events.append(event)
                    waiting.positions.append(None)
                    return
                producer.poll(0.05)
            except KafkaException as error:
                waiting.reasons.add(error.args[0].str())
                waiting.events.append(event)
                waiting.positions.append(None)
                return
            else:
                waiting.events.append(event)
                waiting.positions.append(None)
                waiting.n_open += 1
                producer.poll(0)
                return

    def _wait(self, waiting: _Waiting) -> None:
        deadline = time.monotonic() + self._timeout_s + 5.0  # the client reports each message within timeout_s
        producer = self._made
        while producer is not None and waiting.n_open and time.monotonic() < deadline:
            producer.poll(0.05)
        if waiting.n_open:
            waiting.reasons.add("no answer in time")

    def _producer(self) -> Producer:
        if self._made is None:
            options: dict[str, Any] = self._settings.client(
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                compression_type="lz4",
                queue_buffering_max_messages=QUEUE,
                delivery_timeout_ms=int(self._timeout_s * 1e3),
                message_max_bytes=2_000_000,
            )
            self._made = Producer(options)
        return self._made

    def _topic_id(self, topic: str) -> str:
        if topic not in self._topic_ids:
            self._topic_ids[topic] = self._log.required(topic).topic_id
        return self._topic_ids[topic]
