"""A message as bytes, and where it stands in the log: values, whatever client delivered them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Headers", "Message", "Position"]

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an event stands in the log.

    Parameters
    ----------
    topic_id : str
        Kafka's id of the topic: a topic that is made again starts its offsets again, under another id.
    partition : int
        Number of the partition.
    offset : int
        Place in the partition.
    """

    topic_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Message:
    """What the log holds at one position.

    Parameters
    ----------
    position : Position
        Where.
    appended_s : float
        When the broker appended it, POSIX seconds.
    key : bytes or None
        What chose the partition.
    value : bytes or None
        The body.
    headers : tuple of (str, bytes)
        The envelope.
    """

    position: Position
    appended_s: float
    key: bytes | None
    value: bytes | None
    headers: Headers
