"""``soma export init`` and ``migrate``."""

from __future__ import annotations

import click

from soma.cli.options import as_json, print_json
from soma_export.cli.options import deployment
from soma_export.database import migrate as migrate_schema

__all__ = ["init", "migrate"]


@click.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), default=6, show_default=True, help="Of the log; fixed.")
@click.option("--replication", type=click.IntRange(1, 10), default=1, show_default=True, help="Copies of each topic.")
@as_json
def init(partitions: int, replication: int, is_json: bool) -> None:
    """Make the topics that do not exist, and bring the tables to this version."""
    found = deployment()
    made = found.log.make(list(found.topics.to_make(partitions)), replication=replication)
    applied = migrate_schema(found.settings)
    if is_json:
        print_json({"topics": made, "migrations": applied})
        return
    click.echo(f"topics made: {', '.join(made) or 'none, they are there'}")
    click.echo(f"migrations applied: {', '.join(applied) or 'none, the schema is up to date'}")


@click.command()
@as_json
def migrate(is_json: bool) -> None:
    """Bring the tables to this version; one process at a time, safe to repeat."""
    applied = migrate_schema(deployment().settings)
    if is_json:
        print_json({"migrations": applied})
    else:
        click.echo(f"migrations applied: {', '.join(applied) or 'none, the schema is up to date'}")
