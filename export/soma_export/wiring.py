"""From settings to working parts: the one place where real clients are made and put together."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from soma_export.contract.avro import AvroFormat, ConfluentRegistry
from soma_export.contract.codec import Codec, JsonFormat
from soma_export.contract.topics import Topics
from soma_export.database import Connection, connect, require_migrated
from soma_export.dead_letters import DeadLetterTopic
from soma_export.delivery import RateCap
from soma_export.log import Log
from soma_export.projections.kv_writer import KVWriter
from soma_export.publish import Publisher
from soma_export.registrations import Registrations
from soma_export.settings import ExportSettings
from soma_export.source import GroupSource
from soma_export.telemetry import Metrics
from soma_export.worker import Projection, Worker, WorkerOptions

__all__ = ["Deployment"]


class Deployment:
    """The parts of one deployment, each made when it is first asked for.

    Parameters
    ----------
    settings : ExportSettings
        Addresses and bounds.

    Examples
    --------
    >>> Deployment(ExportSettings("127.0.0.1:9092", "host=127.0.0.1")).topics.events
    'memory.events'
    """

    def __init__(self, settings: ExportSettings) -> None:
        self.settings = settings
        self.topics = Topics(settings.topic_prefix)

    @cached_property
    def _registry(self) -> ConfluentRegistry | None:
        address = self.settings.schema_registry
        return None if address is None else ConfluentRegistry(address)

    def close(self) -> None:
        """Release the connection to the schema registry, the one that a deployment itself keeps."""
        if self._registry is not None:
            self._registry.close()

    @property
    def group(self) -> str:
        """The consumer group of the KVWriter, which also names its cursors."""
        return self.topics.group("kv")

    @cached_property
    def codec(self) -> Codec:
        """Writes what the settings name, and reads both formats where a registry is configured."""
        formats: list[Any] = [JsonFormat()]
        if self._registry is not None:
            formats.append(AvroFormat(self._registry))
        if self.settings.event_format == "avro":
            formats.reverse()
        return Codec(*formats)

    @cached_property
    def log(self) -> Log:
        """The log."""
        return Log(self.settings)

    def registrations(self) -> Registrations:
        """Return the registered namespaces, to be read."""
        return Registrations(self.log, self.codec, self.topics.namespaces)

    def publisher(self, *, timeout_s: float = 30.0) -> Publisher:
        """Return a publisher."""
        return Publisher(self.settings, self.codec, timeout_s=timeout_s)

    def database(self, *, schema: str | None = None) -> Connection:
        """Return a connection to the schema, which must be that of this version.

        Raises
        ------
        ConfigurationError
            If migrations are missing.
        StoreBusyError
            If Postgres does not answer.
        """
        connection = connect(self.settings, schema=schema)
        try:
            require_migrated(connection, schema or self.settings.schema)
        except BaseException:
            connection.close()
            raise
        return connection

    def kv_writer(self, *, schema: str | None = None) -> KVWriter:
        """Return the projection into Postgres."""
        return KVWriter(partial(self.database, schema=schema), self.group)

    def letters(self, *, burst: float = 1_000, per_s: float = 10) -> DeadLetterTopic:
        """Return the way to the dead letters: at most ``burst`` at once, and ``per_s`` a second after them."""
        cap = RateCap.full(burst, per_s, at_s=time.time())
        return DeadLetterTopic(self.settings, self.topics.dead_letters, cap)

    def worker(
        self,
        *,
        options: WorkerOptions | None = None,
        metrics: Metrics | None = None,
        letters: DeadLetterTopic | None = None,
        projection: Projection | None = None,
        consumer: dict[str, Any] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> Worker:
        """Return a KV worker, ready to run.

        Parameters
        ----------
        options : WorkerOptions, optional
            Bounds.
        metrics : Metrics, optional
            What is counted.
        letters : DeadLetterTopic, optional
            Where poison goes.
        projection : Projection, optional
            The store; by default that of `kv_writer`.
        consumer : dict, optional
            Further settings of the consumer, as librdkafka names them.
        jitter : callable
            Returns a draw from [0, 1).
        """
        return Worker(
            log=self.log,
            topic=self.topics.events,
            source=partial(GroupSource, self.settings, self.topics.events, self.group, options=consumer),
            codec=self.codec,
            registrations=self.registrations(),
            projection=projection or self.kv_writer(),
            letters=letters or self.letters(),
            metrics=metrics or Metrics("kv"),
            options=options or WorkerOptions(max_skew_s=self.settings.max_skew_s),
            jitter=jitter,
        )
