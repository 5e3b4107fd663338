"""KVWriter: the log as rows of Postgres. Effects, audit and cursor change in one transaction, or not at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg

from soma.state.events import Event, MemoryLinked, MemoryUnlinked, NamespaceRegistered
from soma.state.record import Link
from soma.state.serialization import event_from_dict
from soma.state.stored import Stored, evolve, evolve_link
from soma_export.contract.message import Position
from soma_export.intake import Accepted, Poison
from soma_export.projections.kv_rows import COLUMNS, READ_COLUMNS, TYPES, dumps, row_of, stored_of

__all__ = ["EVENT_COLUMNS", "SWAP_LOCK", "Batch", "CursorMovedError", "KVWriter", "Written", "audit_row_of"]

Connection = psycopg.Connection[tuple[Any, ...]]
Key = tuple[str, UUID]
LinkKey = tuple[str, UUID, UUID, str]

SWAP_LOCK: Final = 0x50_4D_A0_03
"""The advisory lock that keeps a transaction within one set of tables."""

EVENT_COLUMNS: Final = (
    "event_id", "type", "namespace", "record_id", "at", "cause_id", "effect", "topic_id", "partition", "offset", "body",
)  # fmt: skip


class CursorMovedError(Exception):
    """Another worker was here: the batch is void, and the positions are to be read anew."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A stretch of each of some partitions.

    Parameters
    ----------
    topic_id : str
        The topic that they are of.
    starts, ends : mapping of int to int
        For each partition the offset that the cursor must stand at, and the one that it moves to.
    accepted : sequence of Accepted
        The events, in the order of the log within each partition.
    poison : sequence of Poison
        What cannot take effect.
    """

    topic_id: str
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    accepted: Sequence[Accepted]
    poison: Sequence[Poison] = ()


@dataclass(slots=True)
class Written:
    """What a batch did.

    Parameters
    ----------
    effects : dict of str to int
        How many events had each kind of effect.
    poison : list of Poison
        What was diverted, with what the store itself refused.
    """

    effects: dict[str, int] = field(default_factory=dict)
    poison: list[Poison] = field(default_factory=list)

    def count(self, kind: str) -> None:
        """Count one event."""
        self.effects[kind] = self.effects.get(kind, 0) + 1


class KVWriter:
    """Projects batches into one schema of Postgres.

    Parameters
    ----------
    connect : callable
        Returns a new connection to the schema, with autocommit; called again when one is lost.
    group : str
        The consumer group whose cursors it moves.

    Notes
    -----
    Laws: ``property_tests/export/test_kv_writer.py``. Redelivering any suffix of the log changes nothing.
    """

    def __init__(self, connect: Callable[[], Connection], group: str) -> None:
        self._connect = connect
        self._group = group
        self._made: Connection | None = None

    @property
    def _connection(self) -> Connection:
        if self._made is None or self._made.closed or self._made.broken:
            self.close()
            self._made = self._connect()
        return self._made

    def close(self) -> None:
        """Release the connection; closing twice is allowed, and the next use connects again."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def positions(self, topic_id: str, first: Mapping[int, int]) -> dict[int, int]:
        """Return where each partition goes on; one that is new begins at its first offset.

        Parameters
        ----------
        topic_id : str
            The topic.
        first : mapping of int to int
            For each partition the first offset that the log holds.
        """
        partitions = list(first)
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO cursors (consumer_group, topic_id, partition, next_offset) "
                "SELECT %s, %s, * FROM unnest(%s::integer[], %s::bigint[]) ON CONFLICT DO NOTHING",
                [self._group, topic_id, partitions, list(first.values())],
            )
            rows = self._connection.execute(
                "SELECT partition, next_offset FROM cursors "
                "WHERE consumer_group = %s AND topic_id = %s AND partition = ANY (%s)",
                [self._group, topic_id, partitions],
            ).fetchall()
        return dict(rows)

    def register(self, events: Iterable[NamespaceRegistered]) -> None:
        """Keep registrations beside the memories; the first of a namespace counts."""
        rows = [
            [event.registration.name, json.dumps(event.registration.to_dict()), event.event_id, event.at_s]
            for event in events
        ]
        if rows:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO namespaces (name, registration, event_id, at) VALUES (%s, %s, %s, %s) "
                    "ON CONFLICT DO NOTHING",
                    rows,
                )

    def project(self, batch: Batch, bury: Callable[[Sequence[Poison]], None]) -> Written:
        """Take the effects of a batch, and move the cursors over it.

        Parameters
        ----------
        batch : Batch
            What to project.
        bury : callable
            Brings poison to the dead letters, and returns when it is safe there; called before the commit.

        Returns
        -------
        Written
            Counts, and what was diverted.

        Raises
        ------
        CursorMovedError
            If a cursor does not stand where the batch begins; nothing was written.
        psycopg.Error
            As the server says; nothing was written.
        """
        with self._connection.transaction():
            fold = _Fold(batch, *self._load(batch))
            letters = [*batch.poison, *fold.poison]
            if letters:
                bury(letters)
                self._put_letters(letters)
            self._put_events(fold.audit)
            self._put_memories(fold)
            self._put_links(fold.changed_links)
            self._connection.execute(
                "UPDATE cursors AS c SET next_offset = e.next_offset, moved_at = now() "
                "FROM unnest(%s::integer[], %s::bigint[]) AS e (partition, next_offset) "
                "WHERE c.consumer_group = %s AND c.topic_id = %s AND c.partition = e.partition",
                [list(batch.ends), list(batch.ends.values()), self._group, batch.topic_id],
            )
        fold.written.poison.extend(letters)
        return fold.written

    def _load(self, batch: Batch) -> tuple[dict[UUID, Event], dict[Key, tuple[Stored, Position]], dict[LinkKey, Link]]:
        """Lock the cursors, compare them, and load what the batch meets: events of the same ids, rows and links."""
        events = [item.event for item in batch.accepted]
        of_links = [event for event in events if isinstance(event, MemoryLinked | MemoryUnlinked)]
        keys = list({event.key for event in events if not isinstance(event, MemoryLinked | MemoryUnlinked)})
        links = list({_link_key(event) for event in of_links})
        with self._connection.pipeline():
            # a replay that takes the place of these tables waits for this transaction, or this one for it
            self._connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SWAP_LOCK])
            cursors = self._connection.execute(
                "SELECT partition, next_offset FROM cursors "
                "WHERE consumer_group = %s AND topic_id = %s AND partition = ANY (%s) ORDER BY partition FOR UPDATE",
                [self._group, batch.topic_id, list(batch.starts)],
            )
            known = self._connection.execute(
                "SELECT event_id, type, cause_id, body FROM memory_events WHERE event_id = ANY (%s)",
                [[event.event_id for event in events]],
            )
            rows = self._connection.execute(
                f"SELECT {READ_COLUMNS} FROM memories AS m JOIN unnest(%s::text[], %s::uuid[]) AS k (namespace, id) "  # noqa: S608 - constants
                "USING (namespace, id) FOR UPDATE OF m",
                [[namespace for namespace, _ in keys], [id for _, id in keys]],
            )
            linked = self._connection.execute(
                "SELECT l.namespace, l.source, l.target, l.type, l.weight, l.at FROM memory_links AS l "
                "JOIN unnest(%s::text[], %s::uuid[], %s::uuid[], %s::text[]) AS k (namespace, source, target, type) "
                "USING (namespace, source, target, type) FOR UPDATE OF l",
                [[key[i] for key in links] for i in range(4)],
            )
        if dict(cursors.fetchall()) != dict(batch.starts):
            raise CursorMovedError
        stored = {key: (value, position) for key, value, position in map(stored_of, rows)}
        return (
            {event_id: _event(event_id, *rest) for event_id, *rest in known},
            stored,
            {
                (space, source, target, kind): Link(source, target, kind, weight, at)
                for space, source, target, kind, weight, at in linked
            },
        )

    def _put_events(self, audit: Sequence[tuple[Accepted, str]]) -> None:
        if not audit:
            return
        columns = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
        with self._connection.cursor() as cursor, cursor.copy(f"COPY memory_events ({columns}) FROM STDIN") as copy:
            for item, effect in audit:
                copy.write_row(audit_row_of(item, effect))

    def _put_memories(self, fold: _Fold) -> None:
        made = [row_of(*key, *fold.stored[key]) for key in fold.changed if key not in fold.loaded]
        changed = [row_of(*key, *fold.stored[key]) for key in fold.changed if key in fold.loaded]
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        if made:
            with self._connection.cursor() as cursor, cursor.copy(f"COPY memories ({names}) FROM STDIN") as copy:
                for row in made:
                    copy.write_row([_array(value) if isinstance(value, tuple) else value for value in row])
        if changed:
            typed = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
            assigned = ", ".join(f'"{name}" = r."{name}"' for name in COLUMNS[2:])
            self._connection.execute(
                f"UPDATE memories AS m SET {assigned} FROM json_to_recordset(%s::json) AS r ({typed}) "  # noqa: S608 - constants
                "WHERE m.namespace = r.namespace AND m.id = r.id "
                'AND (m.topic_id <> r.topic_id OR m."offset" < r."offset")',
                ["[" + ",".join(map(_json_row, changed)) + "]"],
            )

    def _put_links(self, links: Mapping[LinkKey, tuple[Link | None, Position]]) -> None:
        with self._connection.cursor() as cursor:
            gone = [key for key, (link, _) in links.items() if link is None]
            if gone:
                cursor.executemany(
                    "DELETE FROM memory_links WHERE namespace = %s AND source = %s AND target = %s AND type = %s", gone
                )
            kept = [
                (*key, link.weight, link.at_s, place.topic_id, place.partition, place.offset)
                for key, (link, place) in links.items()
                if link is not None
            ]
            if kept:
                cursor.executemany(
                    "INSERT INTO memory_links VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
                    "ON CONFLICT (namespace, source, target, type) DO UPDATE SET weight = excluded.weight, "
                    "at = excluded.at, topic_id = excluded.topic_id, partition = excluded.partition, "
                    '"offset" = excluded."offset"',
                    kept,
                )

    def _put_letters(self, letters: Sequence[Poison]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO dead_letters (topic_id, partition, "offset", consumer_group, key, value, headers, stage, '
                "reason, attempts) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1) ON CONFLICT DO NOTHING",
                [
                    (
                        letter.position.topic_id,
                        letter.position.partition,
                        letter.position.offset,
                        self._group,
                        letter.message.key,
                        letter.message.value,
                        json.dumps([[_text(name.encode()), _text(value)] for name, value in letter.message.headers]),
                        letter.stage,
                        letter.reason.replace("\0", "\\0"),
                    )
                    for letter in letters
                ],
            )


class _Fold:
    """The effects of a batch on what was loaded: the same steps as those of `soma.state.transition.apply`."""

    def __init__(
        self,
        batch: Batch,
        known: dict[UUID, Event],
        loaded: dict[Key, tuple[Stored, Position]],
        links: dict[LinkKey, Link],
    ) -> None:
        self.loaded = frozenset(loaded)
        self.stored = loaded
        self.changed: dict[Key, None] = {}
        self.changed_links: dict[LinkKey, tuple[Link | None, Position]] = {}
        self.audit: list[tuple[Accepted, str]] = []
        self.poison: list[Poison] = []
        self.written = Written()
        self._known = known
        self._links: dict[LinkKey, Link | None] = dict(links)
        for item in batch.accepted:
            self._take(item)

    def _take(self, item: Accepted) -> None:
        event = item.event
        earlier = self._known.get(event.event_id)
        if earlier is not None:
            if earlier == event:
                self.written.count("duplicate")
            else:
                reason = f"the event id {event.event_id} was taken by another event: give each event its own"
                self.poison.append(Poison(item.message, "write", reason))
            return
        self._known[event.event_id] = event
        if isinstance(event, MemoryLinked | MemoryUnlinked):
            effect = self._take_link(event, item.position)
        else:
            effect = self._take_memory(event, item)
        self.written.count(effect)
        self.audit.append((item, effect))

    def _take_memory(self, event: Event, item: Accepted) -> str:
        namespace, id = event.key
        assert id is not None  # noqa: S101 - only a registration has no id; for the type checker
        key = (namespace, id)
        before = self.stored.get(key)
        after, effect = evolve(None if before is None else before[0], event, item.registration)
        if effect.is_change and after is not None:
            self.stored[key] = (after, item.position)
            self.changed[key] = None
        return effect.kind.value

    def _take_link(self, event: MemoryLinked | MemoryUnlinked, position: Position) -> str:
        key = _link_key(event)
        after, effect = evolve_link(self._links.get(key), event)
        if effect.is_change:
            self._links[key] = after
            self.changed_links[key] = (after, position)
        return effect.kind.value


def audit_row_of(item: Accepted, effect: str) -> tuple[Any, ...]:
    """Return the row of one event in the audit, a value for each of `EVENT_COLUMNS`.

    Parameters
    ----------
    item : Accepted
        The event.
    effect : str
        What it did.
    """
    event, place = item.event, item.position
    return (
        event.event_id,
        event.type,
        *event.key,
        event.at_s,
        event.cause_id,
        effect,
        place.topic_id,
        place.partition,
        place.offset,
        _body(item),
    )


def _text(data: bytes) -> str:
    """Return any bytes as text that every database holds."""
    return base64.b64encode(data).decode()


def _link_key(event: MemoryLinked | MemoryUnlinked) -> LinkKey:
    return event.namespace, event.source, event.target, event.link_type


def _event(event_id: UUID, kind: str, cause_id: UUID | None, body: dict[str, Any]) -> Event:
    data = {name: value for name, value in body.items() if name != "at"}
    return event_from_dict({"id": event_id, "type": kind, "at": body["at"], "cause_id": cause_id, "data": data})


def _array(values: tuple[Any, ...]) -> str:
    """Return numbers or strings as Postgres writes an array; for the driver it would be a fifth of the row."""
    if values and isinstance(values[0], float):
        return "{" + ",".join(map(repr, values)) + "}"
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _body(item: Accepted) -> str:
    """Return the body as JSON: the message's own bytes, where they are that."""
    value = item.message.value or b""
    return value.decode("utf-8") if value.startswith(b"{") else dumps(item.fields)


def _json_row(row: Sequence[Any]) -> str:
    """Return a row as a JSON object; the columns of type jsonb are JSON already."""
    fields = (
        f'"{name}":{value if kind == "jsonb" and value is not None else json.dumps(value, default=str)}'
        for (name, kind), value in zip(TYPES.items(), row, strict=True)
    )
    return "{" + ",".join(fields) + "}"
