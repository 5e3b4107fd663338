"""From a message to an event that may take effect, or to the reason why it never will. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from soma.errors import InvalidParameterError, NotFoundError, SerializationError
from soma.state.events import Event, MemoryCreated, MemoryUpdated, NamespaceRegistered
from soma.state.namespace import Namespace
from soma.state.stored import admit
from soma_export.contract.codec import Codec
from soma_export.contract.message import Message, Position

__all__ = ["FAULTS_OF_A_MESSAGE", "Accepted", "Poison", "Taken", "take_in"]

FAULTS_OF_A_MESSAGE: Final = (InvalidParameterError, NotFoundError, SerializationError)
"""Anything else is the fault of a server or of the set-up, and condemns no message."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message whose event is valid, and admitted by its namespace.

    Parameters
    ----------
    message : Message
        As it came.
    event : Event
        What it says.
    registration : Namespace
        The constants of the event's namespace.
    fields : dict
        The body as JSON values, time included.
    """

    message: Message
    event: Event
    registration: Namespace
    fields: dict[str, Any]

    @property
    def position(self) -> Position:
        """Where it stands in the log."""
        return self.message.position


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that can never take effect.

    Parameters
    ----------
    message : Message
        As it came.
    stage : str
        What refused it: ``decode``, ``admit`` or ``write``.
    reason : str
        One sentence.
    """

    message: Message
    stage: str
    reason: str

    @property
    def position(self) -> Position:
        """Where it stands in the log."""
        return self.message.position


Taken: TypeAlias = Accepted | Poison


def take_in(
    message: Message, codec: Codec, registration: Callable[[str], Namespace | None], max_skew_s: float
) -> Taken:
    """Decode and validate one message.

    Parameters
    ----------
    message : Message
        From the topic of events.
    codec : Codec
        Reads it.
    registration : callable
        From the name of a namespace to its registration, or None.
    max_skew_s : float
        How far after the broker's time of the message an event or a memory may lie, seconds. The broker's clock
        decides, and not the worker's: so a replay decides alike.

    Returns
    -------
    Accepted or Poison
        Never an exception for what the message holds.

    Raises
    ------
    StoreError, ConfigurationError
        If a server that must be asked, for a schema or a registration, does not answer: no fault of the message.

    Notes
    -----
    Laws: ``property_tests/export/test_intake.py``.
    """
    try:
        event, fields = codec.decode(message)
    except FAULTS_OF_A_MESSAGE as error:
        return Poison(message, "decode", str(error))
    try:
        if isinstance(event, NamespaceRegistered):
            raise InvalidParameterError("type", event.type, "must be published to the topic of namespaces")
        namespace = registration(event.key[0])
        admit(event, namespace)
        _not_from_the_future(event, message.appended_s + max_skew_s)
    except FAULTS_OF_A_MESSAGE as error:
        return Poison(message, "admit", str(error))
    assert namespace is not None  # noqa: S101 - admit has refused the event otherwise; for the type checker
    return Accepted(message, event, namespace, fields)


def _not_from_the_future(event: Event, latest_s: float) -> None:
    if event.at_s > latest_s:
        raise InvalidParameterError("at", event.at_s, f"must be at most {latest_s:.0f}, the broker's time and the skew")
    if isinstance(event, MemoryCreated | MemoryUpdated) and event.record.timestamp > latest_s:
        raise InvalidParameterError(
            "timestamp", event.record.timestamp, f"must be at most {latest_s:.0f}, the broker's time and the skew"
        )
