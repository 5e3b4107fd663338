"""``soma export parity``."""

from __future__ import annotations

import sys

import click

from soma.cli.options import as_json, print_json
from soma.factory import open_storage
from soma.settings import Settings
from soma_export.parity import parity as compare
from soma_export.settings import ExportSettings
from soma_export.wiring import Deployment

__all__ = ["parity"]


@click.command()
@as_json
def parity(is_json: bool) -> None:
    """Compare the embedded store with the fold of the topic that SOMA_DUAL_WRITE fills; exit code 1 if they differ."""
    storage = open_storage(Settings.from_environment(), is_read_only=True)
    try:
        found = compare(Deployment(ExportSettings.from_environment(is_postgres_needed=False)), storage)
    finally:
        storage.close()
    if is_json:
        print_json(found.to_dict())
    else:
        click.echo(
            f"{found.n_messages:,} messages folded; {found.n_memories:,} memories and {found.n_links:,} links compared"
        )
        if found.n_behind:
            click.echo(f"{found.n_behind:,} events are not published yet: the next write with SOMA_DUAL_WRITE does it")
        for difference in found.differences[:20]:
            click.echo(f"  {difference}")
        if len(found.differences) > 20:
            click.echo(f"  and {len(found.differences) - 20:,} more")
        click.echo("the store equals the fold" if found.is_equal else f"{len(found.differences):,} differences")
    if not found.is_equal:
        sys.exit(1)
