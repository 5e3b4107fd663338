"""What the environment says about the servers of production: one frozen value, whose repr shows no secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from soma.errors import ConfigurationError

__all__ = ["ExportSettings"]

SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,49}")
PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Addresses and bounds of the production path.

    Parameters
    ----------
    kafka : str
        ``SOMA_KAFKA_BOOTSTRAP``: ``host:port``, several separated by commas.
    postgres : str
        ``SOMA_POSTGRES_DSN``: a libpq connection string.
    kafka_options : mapping
        ``SOMA_KAFKA_OPTIONS``: further settings of librdkafka as a JSON object: ``security.protocol``,
        ``sasl.username`` and their kin.
    schema : str
        ``SOMA_POSTGRES_SCHEMA``: the schema that holds the tables; ``soma`` by default.
    topic_prefix : str
        ``SOMA_TOPIC_PREFIX``: put before the name of every topic and consumer group; empty by default.
    event_format : str
        ``SOMA_EVENT_FORMAT``: what is published, ``json`` (the default) or ``avro``; both are always read.
    schema_registry : str or None
        ``SOMA_SCHEMA_REGISTRY_URL``: needed to write or read Avro.
    max_skew_s : float
        ``SOMA_MAX_SKEW_S``: how far in the future of the broker's clock a time may lie; 300 seconds by default.

    Raises
    ------
    ConfigurationError
        For a value that cannot be used.

    Examples
    --------
    >>> ExportSettings("127.0.0.1:9092", "host=127.0.0.1 password=s3cret").schema
    'soma'
    """

    kafka: str
    postgres: str = field(repr=False)
    kafka_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    schema: str = "soma"
    topic_prefix: str = ""
    event_format: str = "json"
    schema_registry: str | None = field(default=None, repr=False)
    max_skew_s: float = 300.0

    def __post_init__(self) -> None:
        if not SCHEMA.fullmatch(self.schema):
            raise ConfigurationError(
                f"the schema {self.schema!r} is no plain name", "set SOMA_POSTGRES_SCHEMA to a-z, 0-9 and _"
            )
        if not PREFIX.fullmatch(self.topic_prefix):
            raise ConfigurationError(
                f"the prefix {self.topic_prefix!r} cannot begin a topic's name",
                "set SOMA_TOPIC_PREFIX to letters, digits, '.', '_' and '-'",
            )
        if self.event_format not in ("json", "avro"):
            raise ConfigurationError(
                f"the event format {self.event_format!r} is unknown", "set SOMA_EVENT_FORMAT to json or avro"
            )
        if self.event_format == "avro" and not self.schema_registry:
            raise ConfigurationError("Avro needs a schema registry", "set SOMA_SCHEMA_REGISTRY_URL")

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, is_postgres_needed: bool = True
    ) -> ExportSettings:
        """Read the settings.

        Parameters
        ----------
        environment : mapping, optional
            ``os.environ`` by default.
        is_postgres_needed : bool
            Whether it is an error to name no Postgres.

        Raises
        ------
        ConfigurationError
            For a missing address, or a value that cannot be used.
        """
        found = os.environ if environment is None else environment
        needed = ("SOMA_KAFKA_BOOTSTRAP", *(("SOMA_POSTGRES_DSN",) if is_postgres_needed else ()))
        missing = [name for name in needed if not found.get(name)]
        if missing:
            raise ConfigurationError(
                f"{' and '.join(missing)} must name a server",
                "set it, or run `soma export up` and the lines that it prints",
            )
        return cls(
            kafka=found["SOMA_KAFKA_BOOTSTRAP"],
            postgres=found.get("SOMA_POSTGRES_DSN") or "",
            kafka_options=_options(found.get("SOMA_KAFKA_OPTIONS") or "{}"),
            schema=found.get("SOMA_POSTGRES_SCHEMA") or "soma",
            topic_prefix=found.get("SOMA_TOPIC_PREFIX") or "",
            event_format=found.get("SOMA_EVENT_FORMAT") or "json",
            schema_registry=found.get("SOMA_SCHEMA_REGISTRY_URL") or None,
            max_skew_s=_seconds(found.get("SOMA_MAX_SKEW_S") or "300"),
        )

    def client(self, **options: Any) -> dict[str, Any]:
        """Return what a client of Kafka is made with: address, the user's options, then those of the caller."""
        return {
            "bootstrap.servers": self.kafka,
            "client.id": "soma",
            "log_level": 2,  # what matters is raised, and said once
            **self.kafka_options,
            **{name.replace("_", "."): value for name, value in options.items()},
        }


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ConfigurationError("SOMA_KAFKA_OPTIONS is no JSON object", 'write {"security.protocol": "SSL"}')
    return options


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"SOMA_MAX_SKEW_S is {text!r}", "give seconds, >= 0")
    return seconds
