"""The topics, how they are kept, and the key that gives a record its partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from soma.canonical_json import MAX_BYTES
from soma.state.events import Event

__all__ = ["Topic", "Topics", "key_of"]

FOREVER: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}
ENVELOPE_BYTES: Final = 48_576
"""Room for key, headers and framing beside the body."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Parameters
    ----------
    name : str
        With its prefix.
    partitions : int
        Fixed when it is made: more would send a record's events to two places.
    config : mapping of str to str
        What differs from the broker's defaults.
    """

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one deployment.

    Parameters
    ----------
    prefix : str
        Put before every name.
    """

    prefix: str = ""

    @property
    def events(self) -> str:
        """The log: every event of a record, by namespace and id."""
        return f"{self.prefix}memory.events"

    @property
    def namespaces(self) -> str:
        """The registrations, which every worker reads whole before it begins."""
        return f"{self.prefix}memory.namespaces"

    @property
    def dead_letters(self) -> str:
        """What could not be taken, as it came, and why."""
        return f"{self.prefix}memory.dead-letters"

    def group(self, projection: str) -> str:
        """Return the consumer group of a projection."""
        return f"{self.prefix}soma-{projection}"

    def to_make(self, partitions: int) -> Iterator[Topic]:
        """Yield the topics as ``soma export init`` makes them.

        The first registration of a namespace counts, and compaction would keep the last: so it is not compacted.
        """
        yield Topic(
            self.events, partitions, {**FOREVER, **BROKER_TIME, "max.message.bytes": str(MAX_BYTES + ENVELOPE_BYTES)}
        )
        yield Topic(self.namespaces, 1, {**FOREVER, **BROKER_TIME})
        yield Topic(self.dead_letters, 1, {**FOREVER, "max.message.bytes": str(2 * (MAX_BYTES + ENVELOPE_BYTES))})


def key_of(event: Event) -> bytes:
    """Return the key of an event: its namespace, and the id whose order it belongs to.

    Parameters
    ----------
    event : Event
        Any; for a link the id is the one that it starts from, for a registration there is none.

    Returns
    -------
    bytes
        UTF-8; equal for the events whose order matters.
    """
    namespace, id = event.key
    return namespace.encode() if id is None else f"{namespace}/{id}".encode()
