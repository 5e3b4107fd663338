"""Verify: every store holds what the fold of the log says, or the difference is named."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from soma.errors import NotFoundError, SomaError, StoreError
from soma.state.record import Link
from soma.state.serialization import event_from_dict
from soma.state.stored import Stored, StoredMemory, stored_to_dict
from soma_export.contract.message import Message, Position
from soma_export.database import Connection, translated
from soma_export.intake import Taken, take_in
from soma_export.log import TopicState
from soma_export.oracle import Folded, fold_messages, segment_of
from soma_export.projections.kv_rows import READ_COLUMNS, stored_of
from soma_export.registrations import Registrations
from soma_export.wiring import Deployment

__all__ = ["Difference", "Report", "dead_positions", "verify"]

TRACE_RELATIVE: Final = 1e-9
"""Traces are sums of floats: they may differ by this, relatively."""

SHOWN: Final = 1_000
"""Most differences that a report lists; it counts all of them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a store is not what the log says.

    Parameters
    ----------
    store : str
        ``memories``, ``memory_links``, ``memory_events``, ``namespaces`` or ``dead_letters``.
    key : str
        What identifies the row.
    kind : str
        ``missing``, ``extra`` or ``altered``.
    fields : tuple of str
        What is altered.
    """

    store: str
    key: str
    kind: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.store}: {self.key} is {self.kind}" + (f" in {', '.join(self.fields)}" if self.fields else "")


@dataclass(slots=True)
class Report:
    """What a verification found.

    Parameters
    ----------
    schema : str
        The schema that was compared.
    positions : dict of int to int
        How far each partition was folded: where the cursor of the store stood.
    n_messages, n_memories, n_links, n_events : int
        How many messages were folded, and how many rows were compared.
    n_dead_letters : int
        How many messages were diverted, and are no part of the state.
    acceptable : list of Position
        Dead letters that could take effect now: `soma export dead-letters retry` brings them back.
    n_differences : int
        How many places differ.
    differences : list of Difference
        The first of them.
    """

    schema: str
    positions: dict[int, int]
    n_messages: int = 0
    n_memories: int = 0
    n_links: int = 0
    n_events: int = 0
    n_dead_letters: int = 0
    acceptable: list[Position] = field(default_factory=list)
    n_differences: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the store equals the fold."""
        return self.n_differences == 0

    def add(self, store: str, key: object, kind: str, fields: tuple[str, ...] = ()) -> None:
        """Note a difference."""
        self.n_differences += 1
        if len(self.differences) < SHOWN:
            self.differences.append(Difference(store, str(key), kind, fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "schema": self.schema,
            "is_clean": self.is_clean,
            "positions": {str(partition): offset for partition, offset in sorted(self.positions.items())},
            "messages": self.n_messages,
            "memories": self.n_memories,
            "links": self.n_links,
            "events": self.n_events,
            "dead_letters": self.n_dead_letters,
            "acceptable": [str(position) for position in self.acceptable],
            "n_differences": self.n_differences,
            "differences": [
                {"store": d.store, "key": d.key, "kind": d.kind, "fields": list(d.fields)} for d in self.differences
            ],
        }


def verify(deployment: Deployment, *, schema: str | None = None, n_segments: int = 1) -> Report:
    """Fold the log up to the store's cursors, and compare every row.

    Parameters
    ----------
    deployment : Deployment
        Where log and store are. Workers may go on: the store is read in one snapshot.
    schema : str, optional
        Another schema than that of the settings.
    n_segments : int
        Each partition is folded in so many passes, which divides the memory needed, >= 1.

    Returns
    -------
    Report
        Clean if and only if the store equals the fold.

    Raises
    ------
    NotFoundError
        If no worker has ever written to the schema.
    StoreError
        If the log does not begin at its beginning any more.
    StoreBusyError
        If a server does not answer.

    Notes
    -----
    Laws: ``property_tests/export/test_verify.py``: red for a removed, an altered and an extra row.
    """
    topic = deployment.log.required(deployment.topics.events)
    registrations = deployment.registrations()
    registrations.refresh()
    with deployment.database(schema=schema) as store, translated(), store.transaction():
        store.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursors = store.execute(
            "SELECT partition, next_offset FROM cursors WHERE consumer_group = %s AND topic_id = %s",
            [deployment.group, topic.topic_id],
        ).fetchall()
        if not cursors:
            raise NotFoundError("cursor", deployment.group, "run `soma export run-workers` first")
        report = Report(schema or deployment.settings.schema, dict(cursors))
        for partition, (low, high) in deployment.log.bounds(topic).items():
            if low > 0:
                raise StoreError(f"the log begins at offset {low} of partition {partition}: its fold needs all of it")
            if report.positions.get(partition, 0) > high:
                report.add("cursors", f"partition {partition}", "altered", ("next_offset",))
                report.positions[partition] = high
        diverted = dead_positions(store, topic.topic_id, deployment.group)
        report.n_dead_letters = len(diverted)
        for partition in sorted(report.positions):
            for segment in range(n_segments):
                messages = _taken(deployment, topic, registrations, partition, report, segment, n_segments)
                folded = fold_messages(messages, registrations, diverted)
                _compare(store, topic, partition, (segment, n_segments), folded, report)
        _strays(store, topic, report)
        _compare_namespaces(store, registrations, report)
    return report


def dead_positions(store: Connection, topic_id: str, group: str) -> dict[Position, bool]:
    """Return the positions of the dead letters, each with whether it is settled: retried, or refused by the store.

    Parameters
    ----------
    store : psycopg.Connection
        To the schema.
    topic_id : str
        The topic.
    group : str
        The consumer group.
    """
    rows = store.execute(
        """SELECT partition, "offset", retried_at IS NOT NULL OR stage = 'write' FROM dead_letters """
        "WHERE topic_id = %s AND consumer_group = %s",
        [topic_id, group],
    )
    return {Position(topic_id, partition, offset): is_settled for partition, offset, is_settled in rows}


def _taken(
    deployment: Deployment,
    topic: TopicState,
    registrations: Registrations,
    partition: int,
    report: Report,
    segment: int,
    n_segments: int,
) -> Iterator[tuple[Message, Taken]]:
    for message in deployment.log.read(topic, {partition: 0}, {partition: report.positions[partition]}):
        if segment_of(message.key, n_segments) == segment:
            report.n_messages += 1
            yield (
                message,
                take_in(message, deployment.codec, registrations.get, deployment.settings.max_skew_s),
            )


def _compare(
    store: Connection, topic: TopicState, partition: int, part: tuple[int, int], folded: Folded, report: Report
) -> None:
    report.acceptable.extend(folded.acceptable)
    for poison in folded.undiverted:
        report.add("dead_letters", poison.position, "missing")
    place = [topic.topic_id, partition]
    _compare_memories(store, place, part, folded, report)
    _compare_links(store, place, part, folded, report)
    _compare_events(store, place, part, folded, report)


def _rows(store: Connection, query: str, place: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield rows a thousand at a time: a partition may hold millions."""
    with store.cursor(name="soma_verify") as cursor:
        cursor.itersize = 1_000
        cursor.execute(query, place)
        yield from cursor


def _compare_memories(
    store: Connection, place: list[Any], part: tuple[int, int], folded: Folded, report: Report
) -> None:
    left = dict(folded.soma.memories)
    query = f"SELECT {READ_COLUMNS} FROM memories AS m WHERE m.topic_id = %s AND m.partition = %s"  # noqa: S608 - constants
    for row in _rows(store, query, place):
        key = (row[0], row[1])
        if segment_of(f"{key[0]}/{key[1]}".encode(), part[1]) != part[0]:
            continue
        report.n_memories += 1
        expected = left.pop(key, None)
        if expected is None:
            report.add("memories", f"{key[0]}/{key[1]}", "extra")
            continue
        try:
            _, found, position = stored_of(row)
        except (SomaError, TypeError, ValueError):
            report.add("memories", f"{key[0]}/{key[1]}", "altered", ("unreadable",))
            continue
        fields = differing_fields(expected, found)
        if position != folded.positions[key]:
            fields.append("position")
        if fields:
            report.add("memories", f"{key[0]}/{key[1]}", "altered", tuple(fields))
    for key in left:
        report.add("memories", f"{key[0]}/{key[1]}", "missing")


def differing_fields(expected: Stored, found: Stored) -> list[str]:
    """Return the names of the fields in which two stored memories differ; traces within a tolerance."""
    if type(expected) is not type(found):
        return ["deleted"]
    one, other = stored_to_dict(expected), stored_to_dict(found)
    for described in (one, other):
        described.pop("trace", None)
        described.update(described.pop("record", {}))
    fields = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    if isinstance(expected, StoredMemory) and isinstance(found, StoredMemory):
        near = len(expected.trace.values) == len(found.trace.values) and all(
            math.isclose(a, b, rel_tol=TRACE_RELATIVE)
            for a, b in zip(expected.trace.values, found.trace.values, strict=True)
        )
        if not near or expected.trace.at_s != found.trace.at_s:
            fields.append("trace")
    return fields


def _compare_links(store: Connection, place: list[Any], part: tuple[int, int], folded: Folded, report: Report) -> None:
    left = dict(folded.links())
    query = (
        'SELECT namespace, source, target, type, weight, at, topic_id, partition, "offset" FROM memory_links '
        "WHERE topic_id = %s AND partition = %s"
    )
    for namespace, source, target, kind, weight, at, *position in _rows(store, query, place):
        if segment_of(f"{namespace}/{source}".encode(), part[1]) != part[0]:
            continue
        report.n_links += 1
        key = (namespace, source, target, kind)
        shown = f"{namespace}/{source} to {target} of type {kind}"
        expected = left.pop(key, None)
        if expected is None:
            report.add("memory_links", shown, "extra")
            continue
        fields = [] if expected == Link(source, target, kind, weight, at) else ["weight or time"]
        if Position(*position) != folded.link_positions[key]:
            fields.append("position")
        if fields:
            report.add("memory_links", shown, "altered", tuple(fields))
    for namespace, source, target, kind in left:
        report.add("memory_links", f"{namespace}/{source} to {target} of type {kind}", "missing")


def _compare_events(store: Connection, place: list[Any], part: tuple[int, int], folded: Folded, report: Report) -> None:
    left = dict(folded.effects)
    query = (
        'SELECT event_id, type, cause_id, effect, "offset", body, namespace, record_id FROM memory_events '
        "WHERE topic_id = %s AND partition = %s"
    )
    for event_id, kind, cause_id, effect, offset, body, namespace, record_id in _rows(store, query, place):
        if segment_of(f"{namespace}/{record_id}".encode(), part[1]) != part[0]:
            continue
        report.n_events += 1
        expected = left.pop(event_id, None)
        if expected is None:
            report.add("memory_events", event_id, "extra")
            continue
        position, expected_effect = expected
        fields = ["effect"] if effect != expected_effect else []
        if offset != position.offset:
            fields.append("position")
        if not _is_same_event(folded, event_id, kind, cause_id, body):
            fields.append("body")
        if fields:
            report.add("memory_events", event_id, "altered", tuple(fields))
    for event_id in left:
        report.add("memory_events", event_id, "missing")


def _is_same_event(folded: Folded, event_id: UUID, kind: str, cause_id: UUID | None, body: dict[str, Any]) -> bool:
    data = {name: value for name, value in body.items() if name != "at"}
    try:
        found = event_from_dict(
            {"id": event_id, "type": kind, "at": body.get("at"), "cause_id": cause_id, "data": data}
        )
    except SomaError:
        return False
    return found == folded.events[event_id]


def _strays(store: Connection, topic: TopicState, report: Report) -> None:
    """Find rows that claim to come from another topic or from a partition that no cursor has reached."""
    for table, key in (
        ("memories", "namespace || '/' || id"),
        ("memory_links", "namespace || '/' || source"),
        ("memory_events", "event_id::text"),
    ):
        rows = store.execute(
            f"SELECT {key} FROM {table} WHERE topic_id <> %s OR NOT partition = ANY (%s)",  # noqa: S608 - constants
            [topic.topic_id, list(report.positions)],
        )
        for (shown,) in rows:
            report.add(table, shown, "extra")


def _compare_namespaces(store: Connection, registrations: Registrations, report: Report) -> None:
    left = {name: event.registration.to_dict() for name, event in registrations.events.items()}
    for name, registration in store.execute("SELECT name, registration FROM namespaces"):
        expected = left.pop(name, None)
        if expected is None:
            report.add("namespaces", name, "extra")
        elif _plain(expected) != registration:
            report.add("namespaces", name, "altered", ("registration",))
    used = {row[0] for row in store.execute("SELECT DISTINCT namespace FROM memories")}
    for name in left:
        if name in used:  # one that no worker has met yet is not missing
            report.add("namespaces", name, "missing")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    return [_plain(child) for child in value] if isinstance(value, list | tuple) else value
