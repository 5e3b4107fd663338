"""Dual write: the events of an embedded store into the log, behind `soma.stores.relayed.RelayedStorage`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaException

from soma.errors import StoreError
from soma.state.events import Event, NamespaceRegistered
from soma_export.publish import Publisher
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment

__all__ = ["KafkaRelay", "kafka_relay"]

TIMEOUT_S: Final = 5.0
"""How long a write waits at most for a Kafka that was there before."""


class KafkaRelay:
    """Publishes to the topics of one deployment.

    Parameters
    ----------
    deployment : Deployment
        Where Kafka is.
    timeout_s : float
        How long an event may wait for its acknowledgement, seconds.

    Raises
    ------
    NotFoundError
        If the topics are not there.
    StoreBusyError
        If Kafka does not answer.

    Notes
    -----
    Laws: ``property_tests/export/test_relay.py``.
    """

    def __init__(self, deployment: Deployment, *, timeout_s: float) -> None:
        for topic in (deployment.topics.events, deployment.topics.namespaces):
            with translated(deployment.settings):
                deployment.log.required(topic, timeout_s=timeout_s)
        self._deployment = deployment
        self._publisher: Publisher = deployment.publisher(timeout_s=timeout_s)

    def publish(self, events: Sequence[Event]) -> None:
        """Publish events in their order: registrations where they belong, and before what needs them."""
        for part in _parts(events):
            with translated(self._deployment.settings):
                if isinstance(part, NamespaceRegistered):
                    self._publisher.register(part.registration, event_id=part.event_id, at_s=part.at_s)
                else:
                    self._publisher.publish(part)

    def close(self) -> None:
        """Release the connections; closing twice is allowed."""
        self._publisher.close()
        self._deployment.close()


def kafka_relay() -> KafkaRelay:
    """Return the relay that the environment names: what ``SOMA_DUAL_WRITE`` loads.

    Raises
    ------
    ConfigurationError
        If ``SOMA_KAFKA_BOOTSTRAP`` is not set, or another setting cannot be used.
    """
    return KafkaRelay(Deployment(ExportSettings.from_environment(is_postgres_needed=False)), timeout_s=TIMEOUT_S)


@contextmanager
def translated(settings: ExportSettings) -> Iterator[None]:
    """Run a block, in which what the client of Kafka raises becomes an error of soma's."""
    try:
        yield
    except KafkaException as error:
        raise StoreError(f"Kafka at {settings.kafka} failed: {error.args[0]}") from error


def _parts(events: Sequence[Event]) -> Iterator[NamespaceRegistered | list[Event]]:
    run: list[Event] = []
    for event in events:
        if isinstance(event, NamespaceRegistered):
            if run:
                yield run
            yield event
            run = []
        else:
            run.append(event)
    if run:
        yield run
