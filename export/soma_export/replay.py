"""Replay: the log, folded anew into empty tables beside the live ones, which may then take their place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from psycopg import sql

from soma.errors import ConfigurationError
from soma_export.contract.message import Message
from soma_export.database import connect, migrate, translated
from soma_export.intake import Accepted, Poison, take_in
from soma_export.projections.kv_writer import SWAP_LOCK, Batch
from soma_export.verify import dead_positions
from soma_export.wiring import Deployment

__all__ = ["Replayed", "replay", "swap"]

BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    Parameters
    ----------
    schema : str
        Where the tables are.
    n_messages : int
        How many messages were folded.
    seconds : float
        How long it took.
    """

    schema: str
    n_messages: int
    seconds: float


def replay(deployment: Deployment, schema: str) -> Replayed:
    """Fold the log up to its present end into an empty schema.

    What was diverted to the dead letters of the live tables stays diverted: those decisions are carried over.

    Parameters
    ----------
    deployment : Deployment
        Where log and stores are.
    schema : str
        A schema that does not exist yet, or is empty.

    Raises
    ------
    ConfigurationError
        If the schema is that of the live tables, or holds memories.
    StoreBusyError
        If a server does not answer.

    Notes
    -----
    Laws: ``property_tests/export/test_verify.py``. The tables equal the live ones, positions included.
    """
    settings = deployment.settings
    if schema == settings.schema:
        raise ConfigurationError(f"{schema} holds the live tables", "name another schema, and swap them afterwards")
    migrate(settings, schema=schema)
    started_s = time.monotonic()
    topic = deployment.log.required(deployment.topics.events)
    bounds = deployment.log.bounds(topic)
    ends = {partition: high for partition, (_, high) in bounds.items()}
    registrations = deployment.registrations()
    registrations.refresh()
    with deployment.database(schema=schema) as target, translated(), target.transaction():
        if target.execute("SELECT EXISTS (SELECT FROM cursors)").fetchone() != (False,):
            raise ConfigurationError(f"the schema {schema} is not empty", "drop it, or name another")
        live = sql.Identifier(settings.schema)
        target.execute(
            sql.SQL("INSERT INTO dead_letters SELECT * FROM {}.dead_letters WHERE consumer_group = %s").format(live),
            [deployment.group],
        )
        diverted = dead_positions(target, topic.topic_id, deployment.group)
    writer = deployment.kv_writer(schema=schema)
    n = 0
    try:
        writer.register(registrations.events.values())
        position = writer.positions(topic.topic_id, {partition: low for partition, (low, _) in bounds.items()})
        for partition, end in ends.items():
            messages = deployment.log.read(topic, {partition: position[partition]}, {partition: end})
            for chunk in _chunks(messages, BATCH):
                taken = [
                    take_in(message, deployment.codec, registrations.get, settings.max_skew_s)
                    for message in chunk
                    if message.position not in diverted
                ]
                reached = chunk[-1].position.offset + 1
                writer.project(
                    Batch(
                        topic.topic_id,
                        {partition: position[partition]},
                        {partition: reached},
                        [item for item in taken if isinstance(item, Accepted)],
                        [item for item in taken if isinstance(item, Poison)],
                    ),
                    _keep_in_table,
                )
                position[partition] = reached
                n += len(chunk)
    finally:
        writer.close()
    return Replayed(schema, n, time.monotonic() - started_s)


def swap(deployment: Deployment, schema: str, *, retired: str) -> None:
    """Put the tables of a schema in the place of the live ones, in one transaction.

    Workers go on: their next batch finds the cursor elsewhere, and they follow it.

    Parameters
    ----------
    deployment : Deployment
        Where the store is.
    schema : str
        What takes the place.
    retired : str
        What the schema of the live tables is called from now on.

    Raises
    ------
    StoreError
        If a schema of that name exists.
    """
    with connect(deployment.settings) as store, translated(), store.transaction():
        store.execute("SELECT pg_advisory_xact_lock(%s)", [SWAP_LOCK])
        for before, after in ((deployment.settings.schema, retired), (schema, deployment.settings.schema)):
            store.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after)))


def _keep_in_table(_: Sequence[Poison]) -> None:
    """Leave the topic of dead letters as it is: whatever a replay diverts was diverted there before."""


def _chunks(messages: Iterable[Message], n: int) -> Iterator[list[Message]]:
    left = iter(messages)
    while chunk := list(islice(left, n)):
        yield chunk
