"""The namespaces that are registered: a small topic, read whole before any event, and again when one is unknown."""

from __future__ import annotations

from soma.state.events import NamespaceRegistered
from soma.state.namespace import Namespace
from soma_export.contract.codec import Codec
from soma_export.contract.message import Position
from soma_export.intake import FAULTS_OF_A_MESSAGE
from soma_export.log import Log

__all__ = ["Registrations"]


class Registrations:
    """What every namespace fixed when it was made. The first registration counts; a later one has no effect.

    Parameters
    ----------
    log : Log
        Reads the topic.
    codec : Codec
        Reads its messages.
    topic : str
        Its name.
    """

    def __init__(self, log: Log, codec: Codec, topic: str) -> None:
        self._log = log
        self._codec = codec
        self._topic = topic
        self._next: tuple[str, int] = ("", 0)
        self.events: dict[str, NamespaceRegistered] = {}
        self.refused: dict[Position, str] = {}

    def get(self, name: str) -> Namespace | None:
        """Return a registration, or None; a name that is unknown is looked up in the topic."""
        if name not in self.events:
            self.refresh()
        event = self.events.get(name)
        return None if event is None else event.registration

    def refresh(self) -> list[NamespaceRegistered]:
        """Read what has come since, and return the registrations that are new.

        Raises
        ------
        NotFoundError
            If the topic is not there.
        StoreBusyError
            If Kafka does not answer.
        """
        topic = self._log.required(self._topic)
        known_id, start = self._next
        if topic.topic_id != known_id:
            start = 0
        _, end = self._log.bounds(topic)[0]
        new = []
        for message in self._log.read(topic, {0: start}, {0: end}):
            try:
                event, _ = self._codec.decode(message)
            except FAULTS_OF_A_MESSAGE as error:
                self.refused[message.position] = str(error)
                continue
            if not isinstance(event, NamespaceRegistered):
                self.refused[message.position] = f"{event.type} does not belong here"
            elif event.registration.name not in self.events:
                self.events[event.registration.name] = event
                new.append(event)
            elif self.events[event.registration.name].registration != event.registration:
                self.refused[message.position] = f"namespace {event.registration.name} is registered otherwise"
        self._next = (topic.topic_id, max(start, end))
        return new
