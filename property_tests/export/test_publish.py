"""Publishing on a real Kafka: acknowledged is durable, and what is not acknowledged is named."""

from __future__ import annotations

from uuid import uuid4

import pytest

from property_tests.export.running import LAB, created, register
from soma.errors import ConfigurationError, InvalidParameterError, NotFoundError, SerializationError, StoreBusyError
from soma.state.events import NamespaceRegistered
from soma.state.namespace import Namespace
from soma_export.local.kafka import LocalKafka
from soma_export.publish import PublishError
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment


def in_the_log(deployment: Deployment) -> dict[str, bytes]:
    topic = deployment.log.required(deployment.topics.events)
    bounds = deployment.log.bounds(topic)
    messages = deployment.log.read(
        topic, {p: low for p, (low, _) in bounds.items()}, {p: high for p, (_, high) in bounds.items()}
    )
    return {str(message.position): dict(message.headers)["ce_id"] for message in messages}


def test_what_is_acknowledged_stands_at_the_position_that_is_returned(deployment: Deployment) -> None:
    register(deployment)
    told = [created() for _ in range(12_000)]  # more than the queue holds: the caller waits
    with deployment.publisher() as publisher:
        positions = publisher.publish(iter(told), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    found = in_the_log(deployment)
    assert {str(p): str(event.event_id).encode() for p, event in zip(positions, told, strict=True)} == found


def test_a_namespace_is_registered_once_and_for_good(deployment: Deployment) -> None:
    with deployment.publisher() as publisher:
        assert publisher.register(LAB, event_id=uuid4(), at_s=0)
        assert not publisher.register(LAB, event_id=uuid4(), at_s=1)
        with pytest.raises(InvalidParameterError, match="must keep the constants"):
            publisher.register(Namespace("lab", 7), event_id=uuid4(), at_s=2)
    registrations = deployment.registrations()
    assert registrations.get("lab") == LAB
    assert registrations.get("elsewhere") is None
    assert registrations.refresh() == []


def test_what_is_refused_is_refused_before_it_is_sent(deployment: Deployment) -> None:
    register(deployment)
    with deployment.publisher() as publisher:
        for event, error in (
            (created(namespace="elsewhere"), NotFoundError),
            (created(coordinate=[0.0]), InvalidParameterError),
            (created(payload={"x": "y" * 1_000_000}), SerializationError),
        ):
            with pytest.raises(error):
                publisher.publish([event])
        registration = NamespaceRegistered(event_id=uuid4(), at_s=0, registration=LAB)
        with pytest.raises(InvalidParameterError, match="register"):
            publisher.publish([registration])
    assert in_the_log(deployment) == {}


def test_what_was_taken_before_a_refusal_is_durable(deployment: Deployment) -> None:
    register(deployment)
    with deployment.publisher() as publisher, pytest.raises(NotFoundError):
        publisher.publish([created(), created(), created(namespace="elsewhere"), created()])
    assert len(in_the_log(deployment)) == 2


def test_an_outage_names_what_is_not_acknowledged_and_the_same_call_goes_through_later(
    deployment: Deployment, kafka_server: LocalKafka
) -> None:
    register(deployment)
    with deployment.publisher(timeout_s=4) as publisher:
        publisher.publish([created()])
        told = [created() for _ in range(5)]
        kafka_server.stop()
        with pytest.raises(PublishError, match="publish them again") as caught:
            publisher.publish(told)
        assert caught.value.unacknowledged == tuple(told)
        kafka_server.start()
        publisher.publish(caught.value.unacknowledged)
    assert {str(event.event_id).encode() for event in told} <= set(in_the_log(deployment).values())


def test_a_kafka_that_is_not_there_is_named() -> None:
    settings = ExportSettings("127.0.0.1:1", "host=127.0.0.1")
    with (
        Deployment(settings).publisher(timeout_s=1) as publisher,
        pytest.raises(StoreBusyError, match=r"127\.0\.0\.1:1"),
    ):
        publisher.publish([created()])


def test_topics_are_made_once_and_keep_their_partitions(deployment: Deployment) -> None:
    assert deployment.log.make(list(deployment.topics.to_make(6))) == []
    with pytest.raises(ConfigurationError, match="another number of partitions"):
        deployment.log.make(list(deployment.topics.to_make(7)))
