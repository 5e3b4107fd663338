"""The log as it stands in Kafka: what topics there are, and what they hold between two offsets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka import Message as Delivered
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from soma.errors import ConfigurationError, NotFoundError, StoreBusyError, StoreError
from soma_export.contract.message import Message, Position
from soma_export.contract.topics import Topic
from soma_export.settings import ExportSettings

__all__ = ["Log", "TopicState", "as_message", "unreachable"]

BATCH: Final = 1_000
RETRY_AFTER_S: Final = 5.0
SETTLING: Final = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""What brokers say of a topic that was made, or of a broker that was started, a moment ago."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker knows it.

    Parameters
    ----------
    name : str
        The topic's name.
    topic_id : str
        Its identity, which a topic made again does not share.
    n_partitions : int
        How many partitions it has.
    """

    name: str
    topic_id: str
    n_partitions: int


class Log:
    """Reads and describes topics.

    Parameters
    ----------
    settings : ExportSettings
        Where Kafka is.
    timeout_s : float
        How long to wait for an answer, seconds.

    Raises
    ------
    StoreBusyError
        From every method, if Kafka does not answer in time.
    """

    def __init__(self, settings: ExportSettings, *, timeout_s: float = 30.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._admin: AdminClient | None = None

    @property
    def admin(self) -> AdminClient:
        """The administrator's client; kept, as its answers arrive only while it lives."""
        if self._admin is None:
            self._admin = AdminClient(self._settings.client())
        return self._admin

    def make(self, topics: list[Topic], *, replication: int = 1) -> list[str]:
        """Make the topics that do not exist, and return their names.

        Raises
        ------
        ConfigurationError
            If one exists with another number of partitions, or the broker refuses one.
        """
        there = {topic.name: self.state(topic.name) for topic in topics}
        wrong = [t.name for t in topics if (state := there[t.name]) and state.n_partitions != t.partitions]
        if wrong:
            raise ConfigurationError(
                f"{', '.join(wrong)} exists with another number of partitions",
                "name that number: the partitions of a log cannot change",
            )
        new = [topic for topic in topics if there[topic.name] is None]
        if not new:
            return []
        asked = [NewTopic(t.name, t.partitions, replication, config=dict(t.config)) for t in new]
        made = []
        for name, answer in self.admin.create_topics(asked, request_timeout=self._timeout_s).items():
            try:
                answer.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another init was quicker
                    raise ConfigurationError(
                        f"the topic {name} cannot be made: {error.args[0].str()}", "ask the broker's administrator"
                    ) from error
            else:
                made.append(name)
        deadline = time.monotonic() + self._timeout_s
        while any(self.state(name) is None for name in made):  # the brokers tell one another
            if time.monotonic() > deadline:
                raise unreachable(self._settings, "the new topics are not known everywhere yet")
            time.sleep(0.05)
        return made

    def state(self, name: str, *, timeout_s: float | None = None) -> TopicState | None:
        """Return a topic's identity and partitions, or None for a topic that is not there."""
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        answer = self.admin.describe_topics(TopicCollection([name]), request_timeout=wait_s)[name]
        try:
            found: Any = answer.result()
        except KafkaException as error:
            if error.args[0].code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001
                return None
            raise unreachable(self._settings, error.args[0].str()) from error
        identity = str(found.topic_id).replace("+", "-").replace("/", "_")  # as Kafka's own tools write it
        return TopicState(name, identity, len(found.partitions))

    def required(self, name: str, *, timeout_s: float | None = None) -> TopicState:
        """Return a topic's identity and partitions.

        Raises
        ------
        NotFoundError
            If there is no such topic.
        """
        found = self.state(name, timeout_s=timeout_s)
        if found is None:
            raise NotFoundError("topic", name, "run `soma export init`")
        return found

    def bounds(self, topic: TopicState) -> dict[int, tuple[int, int]]:
        """Return, for each partition, the first offset that is kept and the one after the last."""
        with self._consumer() as consumer:
            found = {p: self._bounds(consumer, topic.name, p) for p in range(topic.n_partitions)}
            filled = [TopicPartition(topic.name, p, low) for p, (low, high) in found.items() if high > low]
            consumer.assign(filled)
            until_s = time.monotonic() + self._timeout_s
            for partition in filled:  # a broker may count batches when it is asked; what it delivers is true
                low, high = found[partition.partition]
                while (told := consumer.get_watermark_offsets(partition, cached=True)[1]) < 0:
                    if time.monotonic() > until_s:
                        raise unreachable(self._settings, f"{topic.name} was silent for {self._timeout_s:.0f} s")
                    consumer.poll(0.02)
                found[partition.partition] = (low, max(high, told))
            return found

    def read(self, topic: TopicState, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Message]:
        """Yield what each partition holds from its start up to its end; the order within a partition is the log's.

        Parameters
        ----------
        topic : TopicState
            The topic.
        starts, ends : mapping of int to int
            For each partition the first offset, and the one after the last.

        Raises
        ------
        StoreError
            If the log does not hold the first offset any more.
        """
        left = {p: end for p, end in ends.items() if starts.get(p, 0) < end}
        if not left:
            return
        with self._consumer() as consumer:
            consumer.assign([TopicPartition(topic.name, p, starts.get(p, 0)) for p in left])
            heard_s = time.monotonic()
            while left:
                first = consumer.poll(0.2)
                batch = [] if first is None else [first, *consumer.consume(BATCH - 1, 0)]  # what is there, at once
                if batch:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self._timeout_s:
                    raise unreachable(self._settings, f"{topic.name} was silent for {self._timeout_s:.0f} s")
                for delivered in batch:
                    partition, offset = _partition(delivered), _offset(delivered)
                    error = delivered.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name
                            left.pop(partition, None)
                            continue
                        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):  # noqa: SLF001
                            raise StoreError(
                                f"{topic.name} does not hold offset {starts.get(partition, 0)} of partition "
                                f"{partition} any more: the log was cut, restore it from a backup"
                            )
                        if not error.retriable() and error.fatal():
                            raise unreachable(self._settings, error.str())
                        continue
                    if partition in left:
                        if offset < left[partition]:
                            yield as_message(delivered, topic.topic_id)
                        if offset + 1 >= left[partition]:
                            del left[partition]

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(
            self._settings.client(
                group_id=f"{self._settings.topic_prefix}soma-reader",  # never joined: partitions are assigned by hand
                enable_auto_commit=False,
                enable_partition_eof=True,
                fetch_wait_max_ms=50,
                auto_offset_reset="error",
            )
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def _bounds(self, consumer: Consumer, name: str, partition: int) -> tuple[int, int]:
        until_s = time.monotonic() + self._timeout_s
        while True:
            left_s = until_s - time.monotonic()
            try:
                low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=max(0.1, left_s))
            except KafkaException as error:
                if left_s <= 0 or error.args[0].code() not in SETTLING:
                    raise unreachable(self._settings, error.args[0].str()) from error
                time.sleep(0.1)  # a broker that has just started does not know yet that it leads
            else:
                return low, high


def as_message(delivered: Delivered, topic_id: str) -> Message:
    """Return what a client of Kafka delivered as a value.

    Parameters
    ----------
    delivered : confluent_kafka.Message
        Without an error.
    topic_id : str
        Identity of its topic.
    """
    kind, milliseconds = delivered.timestamp()
    headers: Any = delivered.headers() or []
    return Message(
        Position(topic_id, _partition(delivered), _offset(delivered)),
        milliseconds / 1e3 if kind else 0.0,
        _bytes(delivered.key()),
        _bytes(delivered.value()),
        tuple([(name, _bytes(value) or b"") for name, value in headers]),
    )


def unreachable(settings: ExportSettings, reason: str) -> StoreBusyError:
    """Return the error for a Kafka that does not answer.

    Parameters
    ----------
    settings : ExportSettings
        Where it should be.
    reason : str
        What the client says.
    """
    return StoreBusyError(
        f"Kafka at {settings.kafka} does not answer ({reason}): start it, or correct SOMA_KAFKA_BOOTSTRAP",
        RETRY_AFTER_S,
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _partition(delivered: Delivered) -> int:
    found = delivered.partition()
    return -1 if found is None else found


def _offset(delivered: Delivered) -> int:
    found = delivered.offset()
    return -1 if found is None else found
