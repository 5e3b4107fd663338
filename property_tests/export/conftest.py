"""Real servers for the tests of production: Apache Kafka and PostgreSQL, started by the code of ``soma export up``.

Both are started once for the session, each in a folder and on a port of its own. A test may stop, kill and pause
them; whatever it leaves behind is set right after it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TypeVar
from uuid import uuid4

import pytest

from soma.errors import ConfigurationError
from soma_export.database import migrate
from soma_export.local.kafka import LocalKafka
from soma_export.local.postgres import LocalPostgres
from soma_export.local.server import LocalServer
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment

Server = TypeVar("Server", bound=LocalServer)
SERVERS = ("kafka_server", "postgres_server")
VARIABLES = (LocalKafka.variable, LocalPostgres.variable, "SOMA_KAFKA_JARS")


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """Run Apache Kafka for the session. Where there is none the tests do not run, which CI refuses."""
    directory = tmp_path_factory.mktemp("kafka")
    yield from running(found(lambda: LocalKafka.find(directory, is_apache_required=True)))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """Run a PostgreSQL for the session."""
    directory = tmp_path_factory.mktemp("postgres")
    yield from running(found(lambda: LocalPostgres.find(directory)))


@pytest.fixture
def settings(
    kafka_server: LocalKafka, postgres_server: LocalPostgres, request: pytest.FixtureRequest
) -> ExportSettings:
    """Name topics and a schema that no other test has."""
    name = re.sub(r"\W+", "_", request.node.name.lower())[:20].strip("_") + "_" + uuid4().hex[:8]
    return ExportSettings(kafka_server.address, postgres_server.address, topic_prefix=f"{name}.", schema=f"s_{name}")


@pytest.fixture
def deployment(settings: ExportSettings) -> Deployment:
    """Make the topics, six partitions for the events, and the tables."""
    found = Deployment(settings)
    found.log.make(list(found.topics.to_make(6)))
    migrate(settings)
    return found


@pytest.fixture(autouse=True)
def _servers_run_for_the_next_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wake and start again what a test paused, stopped or killed."""
    yield
    for name in SERVERS:
        if name in request.fixturenames:
            server: LocalServer = request.getfixturevalue(name)
            server.resume()
            server.start()


@pytest.fixture
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment says about the servers."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def found(find: Callable[[], Server]) -> Server:
    """Return a server; a desk without it skips its tests, and CI fails."""
    try:
        return find()
    except ConfigurationError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.remove()
