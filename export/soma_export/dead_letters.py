"""Dead letters: what can never take effect, kept as it came, with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered

from soma.errors import StoreBusyError
from soma_export.delivery import RateCap
from soma_export.intake import Poison
from soma_export.settings import ExportSettings

__all__ = ["DeadLetterTopic", "ThrottledError", "letter_headers"]

TIMEOUT_S: Final = 30.0
LARGEST: Final = 64_000_000


class ThrottledError(StoreBusyError):
    """Too many dead letters at once: perhaps it is not the events that are wrong. Wait, divert nothing."""


def letter_headers(letter: Poison, first_seen_s: float) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: those of the message, then why and from where it comes.

    Parameters
    ----------
    letter : Poison
        What is diverted.
    first_seen_s : float
        When, POSIX seconds.
    """
    schema = dict(letter.message.headers).get("ce_dataschema", b"")
    added = {
        "dl_reason": letter.reason[:2_000],
        "dl_stage": letter.stage,
        "dl_topic_id": letter.position.topic_id,
        "dl_partition": str(letter.position.partition),
        "dl_offset": str(letter.position.offset),
        "dl_attempts": "1",
        "dl_first_seen": f"{first_seen_s:.3f}",
        "dl_schema": schema.decode("utf-8", "replace"),
    }
    return [*letter.message.headers, *((name, value.encode("utf-8", "replace")) for name, value in added.items())]


class DeadLetterTopic:
    """Writes to the topic of dead letters, no faster than a cap allows.

    Parameters
    ----------
    settings : ExportSettings
        Where Kafka is.
    topic : str
        The topic of dead letters.
    cap : RateCap
        How many at once, and how many a second.
    clock : callable
        Returns the time, POSIX seconds.
    """

    def __init__(
        self, settings: ExportSettings, topic: str, cap: RateCap, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._cap = cap
        self._clock = clock
        self._made: Producer | None = None

    def bury(self, letters: Sequence[Poison]) -> None:
        """Append letters to the topic, and return when all of them are acknowledged.

        One that is too large for the topic goes there without its body, which the table of dead letters has.

        Raises
        ------
        ThrottledError
            If the cap is reached; nothing was written.
        StoreBusyError
            If Kafka does not acknowledge in time.
        """
        self._cap, wait_s = self._cap.take(len(letters), at_s=self._clock())
        if wait_s > 0:
            raise ThrottledError(
                f"{len(letters)} more dead letters are above the cap of {self._cap.per_s:g} a second: "
                "look at `soma export dead-letters list`; the log waits",
                wait_s,
            )
        failed: list[tuple[Poison, KafkaError]] = []
        for letter in letters:
            self._send(letter, letter.message.value, failed)
        self._flush()
        too_large = [letter for letter, error in failed if error.code() == KafkaError.MSG_SIZE_TOO_LARGE]
        others = [error for _, error in failed if error.code() != KafkaError.MSG_SIZE_TOO_LARGE]
        failed.clear()
        for letter in too_large:
            self._send(letter, None, failed)
        self._flush()
        if failed or others:
            reason = (others or [error for _, error in failed])[0].str()
            self.close()
            raise StoreBusyError(f"the topic {self._topic} does not acknowledge dead letters ({reason})", 5.0)

    def close(self) -> None:
        """Release the connection; closing twice is allowed."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _send(self, letter: Poison, value: bytes | None, failed: list[tuple[Poison, KafkaError]]) -> None:
        def delivered(error: KafkaError | None, _: Delivered) -> None:
            if error is not None:
                failed.append((letter, error))

        headers: Any = letter_headers(letter, self._clock())
        if value is None and letter.message.value is not None:
            headers.append(("dl_value_omitted", str(len(letter.message.value)).encode()))
        try:
            self._producer().produce(
                self._topic, key=str(letter.position).encode(), value=value, headers=headers, on_delivery=delivered
            )
        except KafkaException as error:
            failed.append((letter, error.args[0]))

    def _flush(self) -> None:
        if self._producer().flush(TIMEOUT_S):
            self.close()
            raise StoreBusyError(f"the topic {self._topic} does not acknowledge dead letters in time", 5.0)

    def _producer(self) -> Producer:
        if self._made is None:
            options: dict[str, Any] = self._settings.client(
                enable_idempotence=True,
                acks="all",
                delivery_timeout_ms=int((TIMEOUT_S - 5) * 1e3),
                message_max_bytes=LARGEST,
            )
            self._made = Producer(options)
        return self._made
