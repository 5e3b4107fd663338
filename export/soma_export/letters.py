"""Reading the dead letters, and sending them again."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered

from soma.errors import InvalidParameterError, NotFoundError, StoreBusyError
from soma_export.contract.message import Headers, Position
from soma_export.wiring import Deployment

__all__ = ["Letter", "find", "parse_position", "retry"]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Parameters
    ----------
    position : Position
        Where the message stands in the log.
    key, value : bytes or None
        As they came.
    headers : tuple of (str, bytes)
        As they came.
    stage : str
        What refused it: ``decode``, ``admit`` or ``write``.
    reason : str
        Why.
    first_seen_s : float
        When it was diverted, POSIX seconds.
    retried_at_s : float or None
        When it was sent again.
    """

    position: Position
    key: bytes | None
    value: bytes | None
    headers: Headers
    stage: str
    reason: str
    first_seen_s: float
    retried_at_s: float | None

    def to_dict(self, *, is_whole: bool = False) -> dict[str, Any]:
        """Return the letter as JSON values; the value and the headers only where they are asked for."""
        described: dict[str, Any] = {
            "position": str(self.position),
            "stage": self.stage,
            "reason": self.reason,
            "bytes": len(self.value or b""),
            "first_seen": self.first_seen_s,
            "retried_at": self.retried_at_s,
        }
        if is_whole:
            described["key"] = None if self.key is None else self.key.decode("utf-8", "backslashreplace")
            described["headers"] = {name: value.decode("utf-8", "backslashreplace") for name, value in self.headers}
            described["value"] = None if self.value is None else self.value.decode("utf-8", "backslashreplace")
        return described


def parse_position(text: str) -> Position:
    """Return the position that ``dead-letters list`` prints.

    Parameters
    ----------
    text : str
        ``topic-id/partition/offset``.

    Raises
    ------
    InvalidParameterError
        For anything else.

    Examples
    --------
    >>> parse_position("zXw5/3/17").offset
    17
    """
    parts = text.split("/")
    if len(parts) != 3 or not parts[0] or not all(part.isascii() and part.isdigit() for part in parts[1:]):
        raise InvalidParameterError("position", text, "must be topic-id/partition/offset, as the list prints it")
    return Position(parts[0], int(parts[1]), int(parts[2]))


def find(
    deployment: Deployment,
    *,
    positions: list[Position] | None = None,
    stage: str | None = None,
    is_retried: bool | None = None,
    limit: int | None = None,
) -> list[Letter]:
    """Return dead letters, the oldest first.

    Parameters
    ----------
    deployment : Deployment
        Where the store is.
    positions : list of Position, optional
        Only these.
    stage : str, optional
        Only those that this stage refused.
    is_retried : bool, optional
        Only those that were, or were not, sent again.
    limit : int, optional
        At most so many.

    Raises
    ------
    NotFoundError
        If one of the positions is not among them.
    """
    with deployment.database() as store:
        rows = store.execute(
            'SELECT topic_id, partition, "offset", key, value, headers, stage, reason, '
            "extract(epoch FROM first_seen)::float8, extract(epoch FROM retried_at)::float8 FROM dead_letters "
            "WHERE consumer_group = %(group)s AND (%(stage)s::text IS NULL OR stage = %(stage)s) "
            "AND (%(retried)s::boolean IS NULL OR (retried_at IS NOT NULL) = %(retried)s) "
            "AND (%(places)s::text[] IS NULL OR topic_id || '/' || partition || '/' || \"offset\" = ANY (%(places)s)) "
            'ORDER BY first_seen, partition, "offset" LIMIT %(limit)s',
            {
                "group": deployment.group,
                "stage": stage,
                "retried": is_retried,
                "places": None if positions is None else [str(position) for position in positions],
                "limit": limit,
            },
        ).fetchall()
    letters = [
        Letter(
            Position(*row[:3]),
            row[3],
            row[4],
            tuple((base64.b64decode(name).decode(), base64.b64decode(value)) for name, value in row[5]),
            *row[6:],
        )
        for row in rows
    ]
    missing = set(positions or ()) - {letter.position for letter in letters}
    if missing:
        raise NotFoundError("dead letter", min(missing), "look at `soma export dead-letters list`")
    return letters


def retry(deployment: Deployment, letters: list[Letter], *, timeout_s: float = 30.0) -> int:
    """Append the messages to the log again, as they came, and mark those that the log has acknowledged.

    Parameters
    ----------
    deployment : Deployment
        Where log and store are.
    letters : list of Letter
        What is sent; one that is still wrong becomes a dead letter again, at its new position.
    timeout_s : float
        How long to wait for the log, seconds.

    Returns
    -------
    int
        How many were acknowledged.

    Raises
    ------
    StoreBusyError
        If the log has not acknowledged all of them; those that it has are marked.
    """
    acknowledged: list[Position] = []
    reasons: set[str] = set()

    def noted(position: Position) -> Any:
        def delivered(error: KafkaError | None, _: Delivered) -> None:
            if error is None:
                acknowledged.append(position)
            else:
                reasons.add(error.str())

        return delivered

    options: dict[str, Any] = deployment.settings.client(
        enable_idempotence=True, acks="all", delivery_timeout_ms=int(timeout_s * 1e3), message_max_bytes=64_000_000
    )
    producer = Producer(options)
    try:
        for letter in letters:
            producer.produce(
                deployment.topics.events,
                key=letter.key,
                value=letter.value,
                headers=list(letter.headers),
                on_delivery=noted(letter.position),
            )
            producer.poll(0)
        producer.flush(timeout_s + 5)
    finally:
        producer.close()
    with deployment.database() as store, store.transaction(), store.cursor() as cursor:
        cursor.executemany(
            "UPDATE dead_letters SET retried_at = now(), attempts = attempts + 1 "
            'WHERE topic_id = %s AND partition = %s AND "offset" = %s AND consumer_group = %s',
            [(p.topic_id, p.partition, p.offset, deployment.group) for p in acknowledged],
        )
    if len(acknowledged) < len(letters):
        raise StoreBusyError(
            f"{len(letters) - len(acknowledged)} of {len(letters)} dead letters were not acknowledged by Kafka "
            f"({'; '.join(sorted(reasons)) or 'no answer in time'}): try again",
            timeout_s,
        )
    return len(acknowledged)
