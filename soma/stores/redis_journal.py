"""What one transaction has done to the tables, as JSON: written with it, and done again by every other process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from soma import canonical_json
from soma.errors import StoreError
from soma.state.namespace import Namespace
from soma.state.record import Link
from soma.state.serialization import event_from_json, event_to_json, stored_from_json, stored_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soma.state.events import Event
    from soma.state.stored import Stored
    from soma.stores.sqlite import SqliteStorage

__all__ = ["Journal", "RecordedEventLog", "RecordedKeyValueStore", "link_of", "redo"]


class Journal(list[list[Any]]):
    """The steps of the transaction at work, in order."""

    def to_json(self) -> bytes:
        """Return the steps as JSON."""
        return json.dumps(self, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def redo(replica: SqliteStorage, steps: Iterable[Sequence[Any]]) -> None:
    """Do the steps of a journal again, inside a transaction of the replica.

    Parameters
    ----------
    replica : SqliteStorage
        It must stand where the journal began.
    steps : iterable of sequences
        As `Journal` has them.

    Raises
    ------
    StoreError
        If the replica stands elsewhere.
    """
    for kind, *said in steps:
        if kind == "append":
            position, text = said
            if replica.log.append(event_from_json(text)) != position:
                raise StoreError(f"the log in Redis does not go on at position {position}: open the store again")
        elif kind == "put":
            namespace, id, position, text = said
            replica.records.put(stored_from_json(text), namespace, UUID(id), position)
        elif kind == "register":
            replica.records.register(Namespace.from_dict(said[0]))
        elif kind == "put_link":
            namespace, link, position = said
            replica.records.put_link(namespace, link_of(link), position)
        elif kind == "drop_link":
            namespace, link = said
            replica.records.drop_link(namespace, link_of(link))
        elif kind == "setting":
            replica.set_setting(*said)
        else:
            raise StoreError(f"the journal in Redis has a step {kind!r}, which this version of soma does not know")


def link_of(said: Sequence[Any]) -> Link:
    """Return a link from its JSON form: source, target, type, weight, time."""
    source, target, link_type, weight, at_s = said
    return Link(UUID(source), UUID(target), link_type, weight, at_s)


def _said(link: Link) -> list[Any]:
    return [str(link.source), str(link.target), link.type, link.weight, link.at_s]


class RecordedEventLog:
    """The log of the replica, whose appends are kept in the journal; see `soma.stores.protocols.EventLog`."""

    def __init__(self, replica: SqliteStorage, journal: Journal) -> None:
        self._log = replica.log
        self._journal = journal
        self.read, self.keys, self.head = self._log.read, self._log.keys, self._log.head

    def append(self, event: Event) -> int | None:
        """Append one event and return its position, or None if its id stands in the log already."""
        position = self._log.append(event)
        if position is not None:
            self._journal.append(["append", position, event_to_json(event).decode()])
        return position


class RecordedKeyValueStore:
    """The records of the replica, whose writes are kept in the journal; see `soma.stores.protocols.KeyValueStore`."""

    def __init__(self, replica: SqliteStorage, journal: Journal) -> None:
        kept = self._kept = replica.records
        self._journal = journal
        self.namespaces, self.get, self.live, self.index_rows = kept.namespaces, kept.get, kept.live, kept.index_rows
        self.counts, self.expired, self.link, self.links = kept.counts, kept.expired, kept.link, kept.links

    def register(self, namespace: Namespace) -> None:
        """Keep a registration."""
        self._kept.register(namespace)
        self._journal.append(["register", canonical_json.loads(canonical_json.dumps(namespace.to_dict()))])

    def put(self, stored: Stored, namespace: str, id: UUID, position: int) -> None:
        """Keep a stored memory or tombstone, as of a log position."""
        self._kept.put(stored, namespace, id, position)
        self._journal.append(["put", namespace, str(id), position, stored_to_json(stored).decode()])

    def put_link(self, namespace: str, link: Link, position: int) -> None:
        """Keep a link."""
        self._kept.put_link(namespace, link, position)
        self._journal.append(["put_link", namespace, _said(link), position])

    def drop_link(self, namespace: str, link: Link) -> None:
        """Drop a link."""
        self._kept.drop_link(namespace, link)
        self._journal.append(["drop_link", namespace, _said(link)])
