"""The worker's place in a consumer group: which partitions are its own, and what they deliver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from soma.errors import StoreError
from soma_export.contract.message import Message
from soma_export.log import as_message
from soma_export.settings import ExportSettings

__all__ = ["GroupSource"]

GONE: Final = "_AUTO_OFFSET_RESET"
PATIENCE: Final = {"session.timeout.ms": 10_000, "heartbeat.interval.ms": 2_000}
"""How soon the group gives a dead member's partitions to another; the user's own options win."""


class GroupSource:
    """One member of a consumer group, on one topic. Rebalances are cooperative: what stays is not interrupted.

    Parameters
    ----------
    settings : ExportSettings
        Where Kafka is.
    topic : str
        What is read.
    group : str
        The consumer group.
    on_assigned : callable
        From new partitions to the topic's id and the offset at which each goes on. The position committed to Kafka
        is not asked: the store's own cursor is the truth.
    on_revoked : callable
        Told which partitions belong to another member now.
    options : mapping
        Further settings of the consumer.
    """

    def __init__(
        self,
        settings: ExportSettings,
        topic: str,
        group: str,
        *,
        on_assigned: Callable[[list[int]], tuple[str, dict[int, int]]],
        on_revoked: Callable[[list[int]], None],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._topic = topic
        self._topic_id = ""
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._is_paused = False
        self._failure: Exception | None = None
        defaults = settings.client(
            group_id=group,
            partition_assignment_strategy="cooperative-sticky",
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="error",
            queued_max_messages_kbytes=65_536,
            fetch_wait_max_ms=50,
        )
        self._consumer = Consumer({**PATIENCE, **defaults, **(options or {})})
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def poll(self, n_max: int, timeout_s: float) -> list[Message]:
        """Return what has come: wait for the first message, and take what is there beside it.

        Parameters
        ----------
        n_max : int
            Most messages.
        timeout_s : float
            How long to wait for the first, seconds.

        Raises
        ------
        StoreError
            If the log does not hold the next offset any more, or the membership cannot be recovered.
        """
        first = self._consumer.poll(timeout_s)
        self._raise_failure()
        if first is None:
            return []
        found = [first, *self._consumer.consume(n_max - 1, 0)] if n_max > 1 else [first]
        self._raise_failure()
        delivered = []
        for message in found:
            error = message.error()
            if error is None:
                delivered.append(as_message(message, self._topic_id))
            elif error.name() == GONE:
                raise StoreError(
                    f"{self._topic} does not hold the next offset of partition {message.partition()} any more: "
                    "the log was cut; restore it from a backup, or replay what is left"
                )
            elif error.fatal():
                raise StoreError(f"the consumer cannot go on: {error.str()}; start the worker again")
        return delivered  # anything else the client repairs itself: it reconnects, and asks for the leader again

    def pause(self) -> None:
        """Deliver nothing until `resume`; `poll` goes on keeping the membership alive."""
        self._is_paused = True
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Deliver again. What was fetched before the pause is gone: seek to where it shall go on."""
        self._is_paused = False
        self._consumer.resume(self._consumer.assignment())

    def seek(self, partition: int, offset: int) -> bool:
        """Go on at another offset; return False if the partition is not being fetched yet: try again later."""
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset))
        except KafkaException as error:
            if error.args[0].fatal():
                raise StoreError(f"the consumer cannot go on: {error.args[0].str()}") from error
            return False
        return True

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell Kafka how far the store is: a signal for whoever watches the lag, and never read back."""
        offsets = [TopicPartition(self._topic, number, offset) for number, offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            if error.args[0].fatal():
                raise StoreError(f"the consumer cannot go on: {error.args[0].str()}") from error

    def ends(self) -> dict[int, int]:
        """Return the offset after the last of each own partition, as far as the client has heard of it."""
        found = {}
        for partition in self._consumer.assignment():
            _, high = self._consumer.get_watermark_offsets(partition, cached=True)
            if high >= 0:
                found[partition.partition] = high
        return found

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        numbers = sorted(partition.partition for partition in partitions)
        try:
            self._topic_id, positions = self._on_assigned(numbers)
        except Exception as error:  # noqa: BLE001 - raised again by poll: here it would be lost in the client
            self._failure = error
            return
        own = [TopicPartition(self._topic, number, positions[number]) for number in numbers]
        consumer.incremental_assign(own)
        if self._is_paused:
            consumer.pause(own)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._on_revoked([partition.partition for partition in partitions])
        try:
            consumer.incremental_unassign(partitions)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:  # noqa: SLF001 - the assignment is gone already
                self._failure = error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
