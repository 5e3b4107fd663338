"""``soma export``: the production path; one file for each group of commands."""

from __future__ import annotations

import click

from soma_export.cli.bench import bench
from soma_export.cli.letters import dead_letters
from soma_export.cli.parity import parity
from soma_export.cli.rebuild import replay, verify
from soma_export.cli.schema import schema
from soma_export.cli.setup import init, migrate
from soma_export.cli.stack import down, up
from soma_export.cli.workers import lag, run_workers, status

__all__ = ["export"]


@click.group()
def export() -> None:
    """Run memories in production: Kafka is the log, Postgres holds what the log says.

    SOMA_KAFKA_BOOTSTRAP and SOMA_POSTGRES_DSN name the servers; `soma export up` starts both on this machine.
    """


for command in (up, down, init, migrate, schema, run_workers, status, lag, replay, verify, parity, dead_letters, bench):
    export.add_command(command)
