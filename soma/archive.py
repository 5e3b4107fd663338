"""A namespace's log as a file of JSON lines: whole, checked, and the same bytes again after an import."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from soma import canonical_json
from soma.errors import InvalidParameterError, SerializationError, SomaError, StoreError
from soma.state.events import Event, NamespaceRegistered
from soma.state.serialization import event_from_json, event_to_json

if TYPE_CHECKING:
    from soma.embedded import EmbeddedStore

__all__ = ["Archive", "archive_of", "read_archive", "restore_archive"]

FORMAT: Final = "soma-archive-1"
FIELDS: Final = {"format", "namespace", "n_events", "sha256"}


@dataclass(frozen=True, slots=True)
class Archive:
    """The whole log of one namespace.

    Parameters
    ----------
    namespace : str
        Its name; events carry it, so an archive goes back under the same name.
    events : tuple of Event
        In the order of the log; the first is the registration.
    """

    namespace: str
    events: tuple[Event, ...]

    def to_bytes(self) -> bytes:
        """Return the file: a line that says what follows and its SHA-256, then one event a line, as canonical JSON."""
        body = b"".join(event_to_json(event) + b"\n" for event in self.events)
        head = {
            "format": FORMAT,
            "namespace": self.namespace,
            "n_events": len(self.events),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        return canonical_json.dumps(head) + b"\n" + body


def archive_of(store: EmbeddedStore) -> Archive:
    """Return the log of a store's namespace.

    Parameters
    ----------
    store : EmbeddedStore
        Any.

    Raises
    ------
    StoreError
        If nothing was ever stored in the namespace.
    """
    with store.storage.reading():
        events = tuple(event for _, event in store.storage.log.read() if event.key[0] == store.namespace)
    if not events:
        raise StoreError(f"namespace {store.namespace} holds nothing: name another")
    return Archive(store.namespace, events)


def read_archive(content: bytes) -> Archive:
    """Return the archive that a file holds.

    Parameters
    ----------
    content : bytes
        As `Archive.to_bytes` made it.

    Raises
    ------
    SerializationError
        For a file that is no archive, or was cut or altered, naming the line.
    """
    first, _, body = content.partition(b"\n")
    try:
        head: Any = canonical_json.loads(first)
    except SerializationError as error:
        raise SerializationError(f"line 1 is not the head of an archive: {error}") from None
    if not isinstance(head, dict) or set(head) != FIELDS or head["format"] != FORMAT:
        raise SerializationError(f"line 1 is not the head of an archive: it has exactly {', '.join(sorted(FIELDS))}")
    lines = body.split(b"\n")
    if lines[-1] or len(lines) - 1 != head["n_events"]:
        raise SerializationError(f"the archive was cut: it says {head['n_events']} events, and holds {len(lines) - 1}")
    if hashlib.sha256(body).hexdigest() != head["sha256"]:
        raise SerializationError("the archive was altered: its events have another SHA-256 than its first line says")
    events: list[Event] = []
    for number, line in enumerate(lines[:-1], start=2):
        try:
            event = event_from_json(line)
        except SomaError as error:
            raise SerializationError(f"line {number}: {error}") from None
        if event.key[0] != head["namespace"]:
            raise SerializationError(
                f"line {number} is of namespace {event.key[0]}, the archive of {head['namespace']}"
            )
        events.append(event)
    if not events or not isinstance(events[0], NamespaceRegistered):
        raise SerializationError("line 2 must register the namespace")
    return Archive(head["namespace"], tuple(events))


def restore_archive(
    store: EmbeddedStore, archive: Archive, *, batch: int = 1_000, progress: Callable[[int, int], None] | None = None
) -> int:
    """Append the events of an archive to a store, a batch in a transaction, and return how many were new.

    Parameters
    ----------
    store : EmbeddedStore
        Of the archive's namespace, which holds nothing yet, or the beginning of this archive: an import that was
        broken off goes on where it stopped.
    archive : Archive
        What to append.
    batch : int
        Events in a transaction, >= 1.
    progress : callable, optional
        Called after each batch with the number of events there are, and the number there will be.

    Raises
    ------
    InvalidParameterError
        For a batch below 1.
    StoreError
        If the store is of another namespace, or holds other events of it; nothing is stored.
    """
    if batch < 1:
        raise InvalidParameterError("batch", batch, "must be >= 1")
    if store.namespace != archive.namespace:
        raise StoreError(f"the archive is of namespace {archive.namespace}: open that one, not {store.namespace}")
    with store.storage.reading():
        held = [event.event_id for _, event in store.storage.log.read() if event.key[0] == store.namespace]
    if held != [event.event_id for event in archive.events[: len(held)]]:
        raise StoreError(
            f"namespace {store.namespace} holds other events than the archive: import it into an empty one"
        )
    rest: Sequence[Event] = archive.events[len(held) :]
    for start in range(0, len(rest), batch):
        page = rest[start : start + batch]
        store.append(page)
        if progress is not None:
            progress(len(held) + start + len(page), len(archive.events))
    return len(rest)
